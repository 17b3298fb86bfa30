/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "cache/cache.h"
#include "cache/create.h"
#include "cache/recovery.h"
#include "support/log_builder.h"
#include "support/store_memory.h"

#define CACHE_BYTES ((UINT64_C(4) << 20) + 512)	/* no multiple of a block */
#define IMAGE_BYTES (UINT64_C(1) << 30)

/* A disk that remembers the order of writes and flushes, and fails one. */
struct watched {
	struct wb_store store;		/* first */
	struct wb_store *below;
	GString *order;			/* S superblock, z zeros, F flush */
	unsigned count, fail_at;	/* the n-th write or flush; 0 = none */
	unsigned in_flight_max;
	struct wb_io *failed;
};

static bool watched_poll(struct wb_store *store)
{
	struct watched *w = (struct watched *)store;
	struct wb_io *io = w->failed;

	if (!io)
		return w->below->ops->poll(w->below);
	w->failed = io->next;
	io->done(io, -EIO);
	return true;
}

static char letter_of(const struct wb_io *io)
{
	if (io->op == WB_IO_FLUSH)
		return 'F';
	return *(const char *)io->iov[0].iov_base ? 'S' : 'z';
}

static void watched_submit(struct wb_store *store, struct wb_io *io)
{
	struct watched *w = (struct watched *)store;

	if (io->op != WB_IO_READ) {
		g_string_append_c(w->order, letter_of(io));
		if (++w->count == w->fail_at) {
			io->next = w->failed;
			w->failed = io;
			return;
		}
	}
	/* a flush covers only what was answered before it */
	if (io->op == WB_IO_FLUSH)
		cr_expect_eq(wb_store_memory_in_flight(w->below), 0);
	w->below->ops->submit(w->below, io);
	w->in_flight_max = MAX(w->in_flight_max, wb_store_memory_in_flight(w->below));
}

static const struct wb_store_ops watched_ops = { .name = "watched", .submit = watched_submit,
						 .poll = watched_poll };

static struct watched w;
static uint64_t progress_last, progress_total, progress_stop = UINT64_MAX;

static void start(void)
{
	w = (struct watched){ .below = wb_store_memory_new(CACHE_BYTES, 512, 512),
			      .order = g_string_new(NULL) };
	w.store = *w.below;
	w.store.ops = &watched_ops;
	wb_store_memory_check_buffers(w.below);
	wb_store_memory_set_order(w.below, WB_STORE_MEMORY_RANDOM, 5);
}

static void stop(void)
{
	wb_store_close(w.below);
	g_string_free(w.order, TRUE);
}

TestSuite(create, .init = start, .fini = stop);

static bool progress(void *arg, uint64_t done_bytes, uint64_t total_bytes)
{
	cr_expect_null(arg);
	cr_expect_geq(done_bytes, progress_last);
	cr_expect_leq(done_bytes, total_bytes);
	progress_last = done_bytes;
	progress_total = total_bytes;
	return done_bytes < progress_stop;
}

static struct wb_create_params params_with(enum wb_zero_mode mode)
{
	return (struct wb_create_params){
		.uuid = "a volume's uuid", .segment_bytes = WB_SEGMENT_BYTES_MIN,
		.backing_bytes = IMAGE_BYTES, .backing_mark = "a backings mark",
		.backing_mark_kind = WB_MARK_XATTR, .backing_path = "/images/disk.raw",
		.zero_mode = mode, .progress = progress,
	};
}

static void create(enum wb_zero_mode mode)
{
	struct wb_create_params params = params_with(mode);
	g_autoptr(GError) error = NULL;

	cr_assert(wb_create(&w.store, &params, &error), "%s", error ? error->message : "");
}

static void fill_with_rubbish(void)
{
	memset(wb_store_memory_bytes(w.below), 0x77, CACHE_BYTES);
}

Test(create, a_new_volume_is_found_by_recovery)
{
	struct wb_recovery *r;

	create(WB_ZERO_ALL);
	r = wb_recovery_scan(w.below, NULL, NULL);
	cr_assert(r);
	cr_expect_eq(r->newest_copy, 1);
	cr_expect_eq(r->superblock.generation, 2);
	cr_expect_eq(r->superblock.epoch, 0);
	cr_expect_eq(r->superblock.backing_mark_kind, WB_MARK_XATTR);
	cr_expect_arr_eq(r->superblock.backing_mark, "a backings mark", 16);
	cr_expect_str_eq(r->superblock.backing_path, "/images/disk.raw");
	cr_expect_arr_eq(r->superblock.uuid, "a volume's uuid", 16);
	cr_expect(r->was_clean);
	cr_expect_eq(r->highest_epoch, 0);
	cr_expect_eq(r->cut_sequence, 0);
	cr_expect_eq(r->last_segment, 0);
	cr_expect_eq(r->record_count, 0);
	wb_recovery_free(r);
}

Test(create, everything_else_is_zero_afterwards)
{
	const uint8_t *bytes = wb_store_memory_bytes(w.below);

	fill_with_rubbish();
	create(WB_ZERO_ALL);
	for (uint64_t i = 4096; i < CACHE_BYTES; i++) {
		if (i == wb_superblock_offset(1))
			i += 4096;
		cr_assert_eq(bytes[i], 0, "byte %lu", i);
	}
	cr_expect_eq(progress_last, CACHE_BYTES);
	cr_expect_eq(progress_total, CACHE_BYTES);
	cr_expect_gt(w.in_flight_max, 1);
}

Test(create, without_zeroing_the_first_block_of_every_segment_is_zero_all_the_same)
{
	const uint8_t *bytes = wb_store_memory_bytes(w.below);
	static const uint8_t zeros[4096];
	struct wb_geometry g;

	fill_with_rubbish();
	create(WB_ZERO_HEADERS);
	wb_geometry_compute(&g, CACHE_BYTES, WB_SEGMENT_BYTES_MIN, IMAGE_BYTES);
	for (uint64_t place = 0; place < g.segment_count; place++) {
		uint64_t offset = wb_geometry_segment_offset(&g, place);

		cr_expect_arr_eq(bytes + offset, zeros, sizeof zeros);
		cr_expect_eq(bytes[offset + 4096], 0x77);
	}
	cr_expect_eq(progress_last, g.segment_count * 4096);
	cr_expect_gt(w.in_flight_max, 8);
}

Test(create, old_superblocks_die_first_and_new_ones_are_written_last_one_by_one)
{
	create(WB_ZERO_ALL);
	cr_expect_str_eq(w.order->str, "zzFzzzzzFSFSF", "%s", w.order->str);
}

/* Whatever is cut off: the old volume is gone for good or untouched, and what
 * can be mounted is a whole new one. */
Test(create, a_format_that_fails_anywhere_says_so_and_leaves_no_half_volume)
{
	struct wb_create_params params = params_with(WB_ZERO_HEADERS);
	unsigned writes;

	params.progress = NULL;
	create(WB_ZERO_HEADERS);
	writes = w.count;
	for (unsigned n = 1; n <= writes; n++) {
		g_autoptr(GError) error = NULL;
		struct wb_recovery *r;

		/* an older volume with another image size */
		params.backing_bytes = IMAGE_BYTES / 2;
		w.fail_at = 0;
		cr_assert(wb_create(&w.store, &params, NULL));
		params.backing_bytes = IMAGE_BYTES;
		w.fail_at = w.count + n;
		cr_assert_not(wb_create(&w.store, &params, &error));
		cr_expect(g_error_matches(error, WB_CACHE_ERROR, WB_CACHE_ERROR_IO));
		cr_expect(g_str_has_prefix(error->message, "memory: "), "%s", error->message);
		cr_expect_eq(wb_store_memory_in_flight(w.below), 0);
		r = wb_recovery_scan(w.below, NULL, NULL);
		if (r && n > 2)
			cr_expect_eq(r->superblock.geometry.backing_bytes, IMAGE_BYTES);
		cr_expect((r != NULL) == (n <= 2 || n > writes - 3), "%u of %u", n, writes);
		wb_recovery_free(r);
	}
}

/* A user who changes their mind. */
Test(create, a_format_that_is_stopped_leaves_no_cache_and_nothing_in_flight)
{
	struct wb_create_params params = params_with(WB_ZERO_ALL);
	g_autoptr(GError) error = NULL, refusal = NULL;

	create(WB_ZERO_ALL);
	progress_last = 0;
	progress_stop = 1;
	cr_assert_not(wb_create(&w.store, &params, &error));
	progress_stop = UINT64_MAX;
	cr_expect_str_eq(error->message, "memory: writing zeros failed: Operation canceled");
	cr_expect_lt(progress_last, CACHE_BYTES);
	cr_expect_eq(wb_store_memory_in_flight(w.below), 0);
	cr_expect_null(wb_recovery_scan(w.below, NULL, &refusal));
	cr_expect(g_error_matches(refusal, WB_CACHE_ERROR, WB_CACHE_ERROR_NOT_A_CACHE));
}

Test(create, an_impossible_layout_is_refused_before_anything_is_written)
{
	struct wb_create_params params = params_with(WB_ZERO_ALL);
	g_autoptr(GError) error = NULL;

	params.segment_bytes = 3 << 20;
	cr_assert_not(wb_create(&w.store, &params, &error));
	cr_expect(g_error_matches(error, WB_CACHE_ERROR, WB_CACHE_ERROR_LIMIT));
	cr_expect(strstr(error->message, "segment size"));
	cr_expect_eq(w.count, 0);
}

Test(create, records_of_an_earlier_volume_are_foreign_to_a_new_one)
{
	struct wb_log_builder b;
	struct wb_create_params params = params_with(WB_ZERO_HEADERS);
	struct wb_recovery *r;

	wb_log_builder_init(&b, 8);
	for (unsigned i = 0; i < 9; i++)
		wb_log_builder_add(&b, 3);
	params.progress = NULL;
	cr_assert(wb_create(b.store, &params, NULL));
	r = wb_recovery_scan(b.store, NULL, NULL);
	cr_assert(r);
	cr_expect_eq(r->record_count, 0);
	cr_expect_eq(r->highest_epoch, 0);
	wb_recovery_free(r);
	wb_log_builder_clear(&b);
}
