/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A cache moved to one of another size: what is dirty stays dirty, what is warm stays
 * warm as far as there is room, what is lost stays lost; cut off at any point it is no
 * cache yet, or a whole one.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "cache/move.h"
#include "format/endian.h"
#include "support/store_crashy.h"
#include "support/store_faulty.h"
#include "support/store_memory.h"
#include "support/volume_sim.h"

#define BLOCK 4096u
#define IMAGE_BLOCKS 256u

static struct wb_sim sim;

static void start_with(struct wb_sim_params params)
{
	params.image_bytes = IMAGE_BLOCKS * BLOCK;
	wb_sim_init(&sim, &params);
	cr_assert(wb_sim_open(&sim, NULL));
}

static void start(void)
{
	start_with((struct wb_sim_params){ .segment_count = 16, .backing_fill = 9,
					   .no_writeback = true });
}

static void stop(void)
{
	wb_sim_clear(&sim);
}

TestSuite(move, .init = start, .fini = stop);

/* --- moving ----------------------------------------------------------------------- */

static uint64_t bytes_for(unsigned segments)
{
	struct wb_geometry g;
	uint64_t bytes = WB_SUPERBLOCK_AREA_BYTES;

	do
		bytes += BLOCK;
	while (wb_geometry_compute(&g, bytes, sim.geometry.segment_bytes, IMAGE_BLOCKS * BLOCK) !=
		       WB_GEOMETRY_OK || g.segment_count < segments);
	return bytes;
}

/* A disk that had something else before. */
static struct wb_store *make_target(unsigned segments)
{
	struct wb_store *to = wb_store_memory_new(bytes_for(segments), 512, 512);

	memset(wb_store_memory_bytes(to), 0xee, to->size_bytes);
	return to;
}

static struct wb_recovery *scan(void)
{
	GError *error = NULL;
	struct wb_recovery *recovery = wb_recovery_scan(sim.cache_disk.counting, NULL, &error);

	cr_assert(recovery, "%s", error ? error->message : "");
	return recovery;
}

static bool move_to(struct wb_store *to, struct wb_move *move, GError **error)
{
	struct wb_recovery *recovery = scan();
	struct wb_move_plan plan;
	bool ok = wb_move_make_plan(&plan, recovery, "memory", to->size_bytes, error);

	move->recovery = recovery;
	move->plan = &plan;
	move->from = sim.cache_disk.counting;
	move->to = to;
	ok = ok && wb_move_run(move, error);
	wb_recovery_free(recovery);
	return ok;
}

/* The volume is stopped or dead; it has the new cache afterwards, not open yet. */
static uint64_t resize(unsigned segments)
{
	struct wb_store *to = make_target(segments);
	struct wb_move move = { 0 };
	GError *error = NULL;

	cr_assert(move_to(to, &move, &error), "%s", error ? error->message : "");
	wb_sim_replace_cache(&sim, to);
	cr_assert_eq(sim.geometry.segment_count, segments);
	return move.bad_blocks;
}

static void open_it(void)
{
	GError *error = NULL;

	cr_assert(wb_sim_open(&sim, &error), "%s", error ? error->message : "");
}

static uint8_t byte_at(uint64_t offset)
{
	uint8_t byte = 0;

	cr_assert_eq(wb_sim_read(&sim, offset, &byte, 1), 0);
	return byte;
}

static void fill(uint64_t block, uint8_t value, uint64_t blocks)
{
	cr_assert_eq(wb_sim_fill(&sim, block * BLOCK, value, blocks * BLOCK, 0), 0);
}

/* --- what stays ---------------------------------------------------------------------- */

Test(move, what_is_dirty_stays_dirty_and_is_written_back_from_the_new_cache)
{
	struct wb_stats_snapshot before, now;

	fill(0, 1, 100);
	cr_assert_eq(wb_sim_fill(&sim, 7 * BLOCK + 512, 2, 700, 0), 0);
	cr_assert_eq(wb_sim_zero(&sim, 20 * BLOCK, 30 * BLOCK, 0), 0);
	fill(25, 3, 1);
	wb_sim_stats(&sim, &before);
	cr_assert_eq(wb_sim_close(&sim), 0);
	cr_expect_eq(resize(40), 0);
	open_it();
	wb_sim_stats(&sim, &now);
	cr_expect_eq(now.dirty_blocks, before.dirty_blocks);
	cr_expect_eq(now.pending_discards, before.pending_discards);
	cr_expect_eq(wb_sim_backing_bytes(&sim)[0], 9);
	cr_expect_eq(byte_at(7 * BLOCK + 600), 2);
	cr_expect_eq(byte_at(7 * BLOCK), 1);
	cr_expect_eq(byte_at(24 * BLOCK), 0);
	cr_expect_eq(byte_at(25 * BLOCK), 3);
	cr_expect_eq(byte_at(100 * BLOCK), 9);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	cr_expect_eq(wb_sim_backing_bytes(&sim)[7 * BLOCK + 600], 2);
	cr_expect_eq(wb_sim_backing_bytes(&sim)[24 * BLOCK], 0);
	cr_expect_eq(wb_sim_backing_bytes(&sim)[25 * BLOCK], 3);
}

Test(move, what_is_clean_is_still_read_from_the_cache)
{
	fill(0, 1, 60);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	cr_assert_eq(wb_sim_close(&sim), 0);
	resize(30);
	open_it();
	for (unsigned i = 0; i < 60; i++)
		cr_expect_eq(byte_at(i * BLOCK), 1);
	cr_expect_eq(wb_sim_counter(&sim, WB_STAT_READ_BACKING_BYTES), 0);
	cr_expect_gt(wb_sim_counter(&sim, WB_STAT_READ_CACHE_BYTES), 0);
}

/* Warm copies that no longer fit are dropped, the oldest first. */
Test(move, into_a_smaller_one_go_the_newest_clean_copies)
{
	for (unsigned i = 0; i < 12; i++)
		fill(i * 14, (uint8_t)(i + 1), 14);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	cr_assert_eq(wb_sim_close(&sim), 0);
	resize(8);
	open_it();
	cr_expect_eq(byte_at(11 * 14 * BLOCK), 12);
	cr_expect_eq(wb_sim_counter(&sim, WB_STAT_READ_BACKING_BYTES), 0);
	cr_expect_eq(byte_at(0), 1);
	cr_expect_gt(wb_sim_counter(&sim, WB_STAT_READ_BACKING_BYTES), 0);
}

Test(move, what_is_dirty_and_does_not_fit_is_refused)
{
	struct wb_store *to;
	struct wb_move move = { 0 };
	GError *error = NULL;

	fill(0, 1, 140);	/* ten segments */
	cr_assert_eq(wb_sim_close(&sim), 0);
	to = make_target(14);
	cr_assert_not(move_to(to, &move, &error));
	cr_expect(strstr(error->message, "segments of the log are not written back yet, and with "
			 "6 free ones to go on they do not fit into a ring of 14: drain the "
			 "volume first"), "%s", error->message);
	cr_expect_eq(wb_store_memory_bytes(to)[0], 0xee);
	wb_store_close(to);
	g_clear_error(&error);
	to = wb_store_memory_new(1 << 20, 512, 512);
	cr_assert_not(move_to(to, &move, &error));
	cr_expect(strstr(error->message, "the cache is too small"), "%s", error->message);
	wb_store_close(to);
	g_clear_error(&error);
	resize(17);
	open_it();
	cr_expect_eq(byte_at(139 * BLOCK), 1);
}

static void add_ro_compat(struct wb_superblock_disk *superblock)
{
	superblock->ro_compat = wb_put_le64(1);
}

/* The new one would lack whatever the bit stands for. */
Test(move, what_only_a_later_version_may_write_to_is_refused)
{
	struct wb_move move = { 0 };
	GError *error = NULL;
	struct wb_store *to;

	fill(0, 1, 10);
	cr_assert_eq(wb_sim_close(&sim), 0);
	wb_sim_change_superblocks(&sim, add_ro_compat);
	to = make_target(30);
	cr_assert_not(move_to(to, &move, &error));
	cr_expect(strstr(error->message, "uses features of a later version of wbfs (ro_compat 0x1)"),
		  "%s", error->message);
	for (uint64_t i = 0; i < to->size_bytes; i++)
		cr_assert_eq(wb_store_memory_bytes(to)[i], 0xee);
	wb_store_close(to);
	g_clear_error(&error);
}

Test(move, a_full_one_may_always_become_larger)
{
	cr_assert_eq(wb_sim_close(&sim), 0);
	stop();
	start_with((struct wb_sim_params){ .segment_count = 8, .no_writeback = true });
	for (unsigned i = 0; i < 60; i++)	/* until it cannot go on without writeback */
		fill(i, 5, 1);
	cr_assert_eq(wb_sim_close(&sim), 0);
	resize(9);
	open_it();
	for (unsigned i = 0; i < 60; i++)
		cr_expect_eq(byte_at(i * BLOCK), 5);
	fill(0, 6, 200);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	cr_expect_eq(wb_sim_backing_bytes(&sim)[199 * BLOCK], 6);
}

Test(move, an_empty_one_and_one_that_was_never_used)
{
	cr_assert_eq(wb_sim_close(&sim), 0);
	resize(12);
	open_it();
	fill(3, 4, 1);
	cr_assert_eq(wb_sim_close(&sim), 0);
	resize(20);
	resize(10);	/* not opened in between */
	open_it();
	cr_expect_eq(byte_at(3 * BLOCK), 4);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	cr_expect_eq(wb_sim_backing_bytes(&sim)[3 * BLOCK], 4);
}

/* --- what is wrong ------------------------------------------------------------------------ */

Test(move, a_block_that_rotted_or_cannot_be_read_is_as_wrong_in_the_new_one)
{
	struct wb_fault fault = { .op = WB_IO_READ, .io_class = WB_FAULT_ANY,
				  .count = UINT64_MAX };
	uint8_t data[BLOCK], *block;
	bool is_dirty;

	fill(0, 1, 20);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	block = wb_sim_cached_block(&sim, 3, &is_dirty);
	block[5] ^= 1;
	fault.offset_bytes = (uint64_t)(wb_sim_cached_block(&sim, 4, &is_dirty) -
				  wb_sim_cache_bytes(&sim));
	fault.length_bytes = BLOCK;
	cr_assert_eq(wb_sim_close(&sim), 0);
	wb_store_faulty_add(sim.cache_disk.faulty, &fault);
	cr_expect_eq(resize(20), 2);
	open_it();
	cr_expect_eq(wb_sim_read(&sim, 3 * BLOCK, data, BLOCK), -EIO);
	cr_expect_eq(wb_sim_read(&sim, 4 * BLOCK, data, BLOCK), -EIO);
	cr_expect_eq(byte_at(2 * BLOCK), 1);
	cr_expect_eq(byte_at(5 * BLOCK), 1);
}

Test(move, a_header_that_is_gone_meanwhile_ends_it)
{
	struct wb_recovery *recovery;
	struct wb_store *to = make_target(20);
	struct wb_move_plan plan;
	struct wb_move move = { .to = to, .plan = &plan };
	GError *error = NULL;
	bool is_dirty;

	fill(0, 1, 5);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	cr_assert_eq(wb_sim_close(&sim), 0);
	open_it();
	recovery = scan();
	move.recovery = recovery;
	move.from = sim.cache_disk.counting;
	cr_assert(wb_move_make_plan(&plan, recovery, "memory", to->size_bytes, NULL));
	wb_sim_cached_block(&sim, 0, &is_dirty)[-(int)BLOCK + 200] ^= 1;
	cr_assert_not(wb_move_run(&move, &error));
	cr_expect(strstr(error->message, "could not be moved to memory: copying the log failed: "
			 "Input/output error; it is as it was"), "%s", error->message);
	wb_recovery_free(recovery);
	wb_store_close(to);
	g_clear_error(&error);
}

static bool stop_at(void *arg, uint64_t done, uint64_t total)
{
	cr_assert_leq(done, total);
	return (*(unsigned *)arg)-- > 0;
}

static bool is_a_cache(struct wb_store *store)
{
	GError *error = NULL;
	struct wb_recovery *recovery = wb_recovery_scan(store, NULL, &error);
	bool is_one = recovery != NULL;

	cr_assert(is_one || g_error_matches(error, WB_CACHE_ERROR, WB_CACHE_ERROR_NOT_A_CACHE) ||
		  g_error_matches(error, WB_CACHE_ERROR, WB_CACHE_ERROR_DAMAGED), "%s",
		  error ? error->message : "");
	g_clear_error(&error);
	if (recovery)
		wb_recovery_free(recovery);
	return is_one;
}

Test(move, stopped_at_any_point_it_leaves_no_cache_and_the_old_one_as_it_was)
{
	unsigned stops = 0;
	bool ok = false;

	for (unsigned i = 0; i < 8; i++)
		fill(i * 14, (uint8_t)(i + 1), 14);
	cr_assert_eq(wb_sim_close(&sim), 0);
	for (unsigned n = 0; !ok; n++) {
		struct wb_store *to = make_target(20);
		unsigned left = n;
		struct wb_move move = { .zero_mode = WB_ZERO_HEADERS, .progress = stop_at,
					.progress_arg = &left };
		g_autoptr(GError) error = NULL;

		ok = move_to(to, &move, &error);
		cr_expect_eq(is_a_cache(to), ok);
		if (!ok) {
			cr_assert(g_error_matches(error, WB_CACHE_ERROR, WB_CACHE_ERROR_STOPPED),
				  "%s", error->message);
			cr_expect(strstr(error->message, "the move was stopped before its end"));
			stops++;
		}
		wb_store_close(to);
	}
	cr_expect_gt(stops, 20);
	open_it();
	cr_expect_eq(byte_at(0), 1);
}

/* Nobody has renamed it yet, or somebody did who trusted too early: half a cache must
 * not look like one. */
Test(move, the_power_may_go_at_any_point_of_it)
{
	unsigned whole = 0, none = 0;
	struct wb_prng prng;

	wb_prng_init(&prng, 11);
	for (unsigned i = 0; i < 6; i++)
		fill(i * 14, (uint8_t)(i + 1), 14);
	cr_assert_eq(wb_sim_zero(&sim, 200 * BLOCK, 10 * BLOCK, 0), 0);
	cr_assert_eq(wb_sim_close(&sim), 0);
	for (uint64_t point = 1;; point++) {
		struct wb_crash_clock clock = { .crash_at = point };
		struct wb_store *memory = make_target(12);
		struct wb_store *to = wb_store_crashy_new(memory, &clock), *left;
		struct wb_move move = { 0 };
		bool has_ended = move_to(to, &move, NULL) && !clock.has_crashed;

		left = wb_store_crashy_crash(to, &prng);
		wb_store_close(to);
		if (!is_a_cache(left)) {
			cr_assert_not(has_ended);
			none++;
			wb_store_close(left);
			continue;
		}
		whole++;
		/* the old one is here still, but the new one has to do alone */
		wb_sim_replace_cache(&sim, left);
		open_it();
		for (unsigned i = 0; i < 6; i++)
			cr_assert_eq(byte_at(i * 14 * BLOCK + 5 * BLOCK), i + 1, "point %lu", point);
		cr_assert_eq(byte_at(205 * BLOCK), 0);
		cr_assert_eq(byte_at(220 * BLOCK), 9);
		cr_assert_eq(wb_sim_close(&sim), 0);
		if (has_ended)
			break;
	}
	cr_expect_gt(none, 20);
	cr_expect_gt(whole, 1);
}

/* --- by chance ------------------------------------------------------------------------------ */

static uint8_t reference[IMAGE_BLOCKS * BLOCK];

static void do_something(struct wb_prng *prng)
{
	uint64_t offset = wb_prng_below(prng, IMAGE_BLOCKS * 8) * 512;
	uint64_t length = (1 + wb_prng_below(prng, 60)) * 512;
	uint8_t value = (uint8_t)wb_prng_next(prng);

	length = MIN(length, sizeof reference - offset);
	switch (wb_prng_below(prng, 12)) {
	case 0:
		cr_assert_eq(wb_sim_sync(&sim), 0);
		break;
	case 1:
		cr_assert_eq(wb_sim_zero(&sim, offset, length, 0), 0);
		memset(reference + offset, 0, length);
		break;
	case 2:
		if (wb_prng_below(prng, 4) == 0)
			cr_assert_eq(wb_sim_drain(&sim), 0);
		break;
	default:
		cr_assert_eq(wb_sim_fill(&sim, offset, value, length, 0), 0);
		memset(reference + offset, value, length);
		break;
	}
}

static void compare_image(uint64_t seed)
{
	g_autofree uint8_t *data = g_malloc(sizeof reference);

	cr_assert_eq(wb_sim_read(&sim, 0, data, sizeof reference), 0);
	for (size_t i = 0; i < sizeof reference; i++)
		cr_assert_eq(data[i], reference[i], "seed %lu, byte %zu", seed, i);
}

/* Fits it or not depends on how much is dirty; either way the volume goes on. */
static void resize_if_it_fits(struct wb_prng *prng, unsigned *refused)
{
	struct wb_store *to = make_target(8 + (unsigned)wb_prng_below(prng, 30));
	struct wb_move move = { 0 };
	g_autoptr(GError) error = NULL;

	if (move_to(to, &move, &error)) {
		wb_sim_replace_cache(&sim, to);
		return;
	}
	cr_assert(g_error_matches(error, WB_CACHE_ERROR, WB_CACHE_ERROR_LIMIT), "%s",
		  error->message);
	++*refused;
	wb_store_close(to);
}

Test(move, any_history_goes_on_in_the_new_cache)
{
	unsigned refused = 0;

	stop();
	for (uint64_t seed = 1; seed <= 40; seed++) {
		struct wb_prng prng;

		wb_prng_init(&prng, seed);
		start_with((struct wb_sim_params){
			.seed = seed, .segment_count = 8 + (unsigned)wb_prng_below(&prng, 20),
			.no_writeback = seed % 2 });
		memset(reference, 0, sizeof reference);
		for (unsigned life = 0; life < 6; life++) {
			unsigned n = (unsigned)wb_prng_below(&prng, 80);

			for (unsigned i = 0; i < n; i++)
				do_something(&prng);
			if (wb_prng_below(&prng, 2)) {
				cr_assert_eq(wb_sim_close(&sim), 0);
			} else {
				cr_assert_eq(wb_sim_sync(&sim), 0);
				wb_sim_kill(&sim);
				wb_sim_cut_power(&sim);
			}
			resize_if_it_fits(&prng, &refused);
			open_it();
			compare_image(seed);
		}
		cr_assert_eq(wb_sim_drain(&sim), 0);
		compare_image(seed);
		cr_assert_eq(wb_sim_close(&sim), 0);
		cr_assert_arr_eq(wb_sim_backing_bytes(&sim), reference, sizeof reference);
		stop();
	}
	cr_expect_lt(refused, 200);
	start();
}
