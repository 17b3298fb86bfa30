/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a scan refuses, and what it says then: damage in the middle of the log,
 * superblocks of every kind, disks that cannot be read. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "cache/cache.h"
#include "format/block.h"
#include "format/endian.h"
#include "support/log_builder.h"
#include "support/store_memory.h"

static struct wb_log_builder b;

static void start(void)
{
	wb_log_builder_init(&b, 8);
}

static void stop(void)
{
	wb_log_builder_clear(&b);
}

TestSuite(recovery_damage, .init = start, .fini = stop);

static void expect_refused_by(struct wb_store *store, int code, const char *words)
{
	g_autoptr(GError) error = NULL;
	size_t size = store->size_bytes;
	g_autofree uint8_t *before = g_memdup2(wb_store_memory_bytes(b.store), size);
	struct wb_recovery *r = wb_recovery_scan(store, NULL, &error);

	cr_assert_null(r, "not refused: cut %lu", r->cut_sequence);
	cr_assert(g_error_matches(error, WB_CACHE_ERROR, code), "%s", error->message);
	cr_expect(strstr(error->message, words), "%s", error->message);
	cr_expect(strstr(error->message, "memory:") == error->message, "%s", error->message);
	cr_expect_arr_eq(before, wb_store_memory_bytes(b.store), size);
}

static void expect_refused(int code, const char *words)
{
	expect_refused_by(b.store, code, words);
}

static void expect_cut_by(struct wb_store *store, uint64_t cut)
{
	g_autoptr(GError) error = NULL;
	struct wb_recovery *r = wb_recovery_scan(store, NULL, &error);

	cr_assert(r, "refused: %s", error ? error->message : "");
	cr_expect_eq(r->cut_sequence, cut, "cut %lu", r->cut_sequence);
	wb_recovery_free(r);
}

static void expect_cut(uint64_t cut)
{
	expect_cut_by(b.store, cut);
}

static void add_many(unsigned count, unsigned blocks)
{
	for (unsigned i = 0; i < count; i++)
		wb_log_builder_add(&b, blocks);
}

static const struct wb_log_built *record(unsigned sequence)
{
	return g_ptr_array_index(b.records, sequence - 1);
}

static void rot(const struct wb_log_built *built)
{
	wb_log_builder_flip(&b, built->offset_bytes + 130, 2);
}

static void *superblock_at(unsigned copy)
{
	return wb_store_memory_bytes(b.store) + wb_superblock_offset(copy);
}

/* --- the middle of the log ---------------------------------------------------- */

Test(recovery_damage, a_rotten_header_that_was_durable_is_named)
{
	add_many(9, 4);
	rot(record(5));
	expect_refused(WB_CACHE_ERROR_DAMAGED, "record 5 is missing; segment 2 (place 1), "
		       "block 5, where it should be, is torn or damaged");
}

Test(recovery_damage, a_missing_durable_record_is_refused_wherever_it_is)
{
	add_many(12, 4);
	for (unsigned s = 1; s < 12; s++) {
		g_autofree uint8_t *whole =
			g_memdup2(wb_store_memory_bytes(b.store) + record(s)->offset_bytes,
				  record(s)->length_bytes);

		wb_log_builder_lose(&b, record(s));
		expect_refused(WB_CACHE_ERROR_DAMAGED, "were durable");
		memcpy(wb_store_memory_bytes(b.store) + record(s)->offset_bytes, whole,
		       record(s)->length_bytes);
	}
	expect_cut(12);
	/* the known limit: only the very last flush covered it */
	wb_log_builder_lose(&b, record(12));
	expect_cut(11);
}

Test(recovery_damage, a_missing_record_that_nobody_was_promised_is_the_end)
{
	add_many(4, 4);
	b.is_each_synced = false;
	add_many(6, 4);
	wb_log_builder_lose(&b, record(7));
	expect_cut(6);
}

/* The header that proves it lies behind the rotten one, in a segment that does
 * not count as part of the log because of it. */
Test(recovery_damage, rot_in_the_first_header_of_the_newest_segment_is_seen)
{
	add_many(2, 15);
	add_many(3, 3);
	rot(record(3));
	expect_refused(WB_CACHE_ERROR_DAMAGED, "record 3 is missing; segment 3");
}

Test(recovery_damage, a_log_that_ends_below_the_cut_of_the_superblock_is_refused)
{
	add_many(3, 15);
	b.superblock.cut_sequence = 3;
	b.superblock.cut_segment = 3;
	b.superblock.epoch = 2;
	b.superblock.epoch_start = 4;
	wb_log_builder_write_superblocks(&b);
	expect_cut(3);
	wb_log_builder_lose(&b, record(3));
	expect_refused(WB_CACHE_ERROR_DAMAGED, "up to 3 were durable");
}

Test(recovery_damage, a_log_that_ends_below_durable_of_the_superblock_is_refused)
{
	add_many(3, 15);
	b.superblock.durable = 3;
	wb_log_builder_write_superblocks(&b);
	wb_log_builder_lose(&b, record(3));
	expect_refused(WB_CACHE_ERROR_DAMAGED, "up to 3 were durable");
}

/* An older epoch's claim is about its own timeline. */
Test(recovery_damage, a_claim_counts_only_below_the_start_of_later_epochs)
{
	add_many(3, 15);
	b.superblock.durable = 9;	/* as after a repair that cut below it */
	wb_log_builder_write_superblocks(&b);
	expect_refused(WB_CACHE_ERROR_DAMAGED, "up to 9 were durable");
	b.superblock.durable = b.superblock.cut_sequence = 2;
	b.superblock.cut_segment = 2;
	b.superblock.epoch = 2;
	b.superblock.epoch_start = 3;
	wb_log_builder_write_superblock(&b, 0);
	expect_cut(2);
}

Test(recovery_damage, the_record_at_the_tail_must_be_there_when_it_was_durable)
{
	add_many(6, 15);
	wb_log_builder_move_tail(&b, 5);
	add_many(2, 15);
	rot(record(5));
	expect_refused(WB_CACHE_ERROR_DAMAGED, "record 5 is missing; segment 5");
}

Test(recovery_damage, a_record_out_of_reach_behind_a_rotten_warm_header_is_refused)
{
	add_many(2, 3);
	b.tail_sequence = b.superblock.tail_sequence = 3;
	wb_log_builder_write_superblocks(&b);
	wb_log_builder_add(&b, 3);
	rot(record(1));
	expect_refused(WB_CACHE_ERROR_DAMAGED, "the record lies whole behind it");
}

Test(recovery_damage, a_wrong_link_of_the_chain_is_a_break)
{
	add_many(3, 3);
	b.prev ^= 1;
	add_many(1, 3);
	expect_cut(3);
	add_many(1, 3);
	expect_refused(WB_CACHE_ERROR_DAMAGED, "holds record 4 of segment 1");
}

Test(recovery_damage, the_chain_must_hold_across_the_tail_too)
{
	add_many(3, 3);
	b.tail_sequence = 4;
	b.prev ^= 1;
	wb_log_builder_add(&b, 3);
	expect_cut(3);
	wb_log_builder_add(&b, 3);
	expect_refused(WB_CACHE_ERROR_DAMAGED, "holds record 4 of segment 1");
}

/* Its recovery could not read record 3, and so did not know the link. */
Test(recovery_damage, the_first_record_of_an_epoch_may_follow_nothing_known)
{
	add_many(3, 3);
	b.epoch = 2;
	b.epoch_start = b.tail_sequence = 4;
	b.tail_segment = 2;
	b.prev = 0;
	wb_log_builder_next_segment(&b);
	add_many(2, 3);
	expect_cut(5);
}

/* Records 3 of two timelines were there; of the segment of the right one, which was
 * not needed any more, nothing is left. */
Test(recovery_damage, nor_does_it_follow_what_an_epoch_that_is_gone_had_ended)
{
	add_many(3, 3);
	b.epoch = 3;
	b.epoch_start = b.tail_sequence = 4;
	b.tail_segment = 3;
	b.prev ^= 1;
	b.segment_id++;
	wb_log_builder_next_segment(&b);
	add_many(2, 3);
	expect_cut(5);
}

Test(recovery_damage, an_entry_type_of_a_later_version_is_refused)
{
	const struct wb_entry entry = { .address = 1, .mask = 0xff, .type = 0x90,
					.crc_or_length = 1 };

	add_many(2, 3);
	wb_log_builder_add_entries(&b, &entry, 1);
	expect_refused(WB_CACHE_ERROR_NOT_A_CACHE, "record 3 of the log has an entry type");
}

Test(recovery_damage, an_unknown_entry_type_below_the_tail_only_costs_warmth)
{
	const struct wb_entry entry = { .address = 1, .mask = 0xff, .type = 0x90,
					.crc_or_length = 1 };
	struct wb_recovery *r;

	wb_log_builder_add(&b, 3);
	wb_log_builder_add_entries(&b, &entry, 1);
	wb_log_builder_add(&b, 3);
	b.tail_sequence = 4;
	add_many(2, 3);
	r = wb_recovery_scan(b.store, NULL, NULL);
	cr_assert(r);
	cr_expect_eq(r->record_count, 2);
	cr_expect_eq(r->records->len, 3);
	wb_recovery_free(r);
}

/* A block of user data may be a copy of a header. */
Test(recovery_damage, a_header_among_user_data_is_never_replayed)
{
	wb_log_builder_add(&b, 15);
	b.is_each_synced = false;
	b.segment_id = 1;
	b.block = 4;
	wb_log_builder_add(&b, 2);	/* number 2, inside the data of number 1 */
	expect_cut(0);			/* 1 is not durable: its data is not right */
	b.superblock.durable = 1;
	wb_log_builder_write_superblocks(&b);
	expect_cut(1);			/* durable, so its data is not judged */
}

/* --- superblocks --------------------------------------------------------------- */

Test(recovery_damage, one_torn_superblock_of_either_kind_is_no_loss)
{
	add_many(3, 4);
	for (unsigned copy = 0; copy < 2; copy++) {
		for (unsigned kept = 0; kept < 4096; kept += 512) {
			g_autofree uint8_t *whole = g_memdup2(superblock_at(copy), 4096);
			struct wb_recovery *r;

			memset((uint8_t *)superblock_at(copy) + kept, 0x5a, 4096 - kept);
			r = wb_recovery_scan(b.store, NULL, NULL);
			cr_assert(r);
			cr_expect_eq(r->newest_copy, 1 - copy);
			cr_expect_neq(r->copy_verdict[copy], WB_SUPERBLOCK_VALID);
			cr_expect_eq(r->cut_sequence, 3);
			wb_recovery_free(r);
			memcpy(superblock_at(copy), whole, 4096);
		}
	}
}

Test(recovery_damage, two_torn_superblocks_are_refused)
{
	((uint8_t *)superblock_at(0))[100]++;
	((uint8_t *)superblock_at(1))[1000]++;
	expect_refused(WB_CACHE_ERROR_DAMAGED, "no superblock is whole");
}

Test(recovery_damage, a_foreign_or_empty_file_is_no_cache)
{
	memset(superblock_at(0), 0, 4096);
	memset(superblock_at(1), 0, 4096);
	expect_refused(WB_CACHE_ERROR_NOT_A_CACHE, "`wbfs format` makes one");
	memset(superblock_at(0), 'x', 4096);
	expect_refused(WB_CACHE_ERROR_NOT_A_CACHE, "`wbfs format` makes one");
}

Test(recovery_damage, a_tiny_file_is_no_cache)
{
	b.store->size_bytes = 8192;
	expect_refused(WB_CACHE_ERROR_NOT_A_CACHE, "has only 8192 bytes");
}

static void set_version(unsigned copy, uint32_t version)
{
	struct wb_superblock_disk *disk = superblock_at(copy);

	disk->version = wb_put_le32(version);
	disk->crc = wb_put_le32(wb_block_compute_crc(disk));
}

Test(recovery_damage, a_superblock_of_a_later_version_in_either_place_is_refused)
{
	for (unsigned copy = 0; copy < 2; copy++) {
		set_version(copy, WB_FORMAT_VERSION + 1);
		expect_refused(WB_CACHE_ERROR_NOT_A_CACHE, "later version of wbfs");
		set_version(copy, WB_FORMAT_VERSION);
	}
	expect_cut(0);
}

Test(recovery_damage, a_newer_superblock_that_cannot_be_is_refused_and_an_older_is_not)
{
	struct wb_superblock_disk *disk = superblock_at(1);

	disk->state_flags = wb_put_le32(0x80);
	disk->crc = wb_put_le32(wb_block_compute_crc(disk));
	expect_refused(WB_CACHE_ERROR_DAMAGED, "field state_flags");
	wb_log_builder_write_superblock(&b, 0);
	expect_cut(0);
}

Test(recovery_damage, superblocks_of_two_volumes_are_refused)
{
	b.superblock.uuid[3]++;
	wb_log_builder_write_superblock(&b, 0);
	expect_refused(WB_CACHE_ERROR_DAMAGED, "different volumes");
}

Test(recovery_damage, two_superblocks_that_disagree_at_the_same_generation_are_refused)
{
	b.superblock.generation--;
	b.superblock.durable = 0;
	b.superblock.tail_sequence = 2;
	wb_log_builder_write_superblock(&b, 0);
	expect_refused(WB_CACHE_ERROR_DAMAGED, "none is the newer");
}

Test(recovery_damage, a_truncated_cache_is_refused_with_both_sizes)
{
	g_autofree char *words = g_strdup_printf("truncated: it has %lu bytes, but was formatted "
			"with %lu", b.store->size_bytes - 4096, b.store->size_bytes);

	b.store->size_bytes -= 4096;
	expect_refused(WB_CACHE_ERROR_DAMAGED, words);
	b.store->size_bytes += 4096;
}

Test(recovery_damage, a_clean_flag_below_the_epoch_of_the_log_does_not_count)
{
	struct wb_recovery *r;

	b.superblock.state_flags = WB_STATE_CLEAN;
	wb_log_builder_write_superblock(&b, 0);
	r = wb_recovery_scan(b.store, NULL, NULL);
	cr_expect(r->was_clean);
	wb_recovery_free(r);
	b.epoch = 2;
	add_many(1, 2);
	r = wb_recovery_scan(b.store, NULL, NULL);
	cr_expect_not(r->was_clean);
	cr_expect_eq(r->highest_epoch, 2);
	wb_recovery_free(r);
}

/* --- disks that cannot be read --------------------------------------------------- */

struct bad_disk {
	struct wb_store store;		/* first */
	struct wb_store *below;
	uint64_t bad_offset[2];		/* reads of these bytes fail */
	unsigned failures_left;
	struct wb_io *failed;		/* to be answered */
};

static bool bad_poll(struct wb_store *store)
{
	struct bad_disk *bad = (struct bad_disk *)store;
	struct wb_io *io = bad->failed;

	if (!io)
		return bad->below->ops->poll(bad->below);
	bad->failed = io->next;
	io->done(io, -EIO);
	return true;
}

static void bad_submit(struct wb_store *store, struct wb_io *io)
{
	struct bad_disk *bad = (struct bad_disk *)store;

	for (unsigned i = 0; io->op == WB_IO_READ && i < 2; i++) {
		if (bad->failures_left > 0 && bad->bad_offset[i] >= io->offset_bytes &&
		    bad->bad_offset[i] < io->offset_bytes + io->length_bytes) {
			bad->failures_left--;
			io->next = bad->failed;
			bad->failed = io;
			return;
		}
	}
	bad->below->ops->submit(bad->below, io);
}

static const struct wb_store_ops bad_ops = { .name = "bad", .submit = bad_submit,
					     .poll = bad_poll };

static struct bad_disk make_bad(uint64_t offset)
{
	struct bad_disk bad = { .store = *b.store, .below = b.store, .failures_left = 1000,
				.bad_offset = { offset, UINT64_MAX } };

	bad.store.ops = &bad_ops;
	return bad;
}

Test(recovery_damage, a_read_error_that_a_retry_cures_is_nothing)
{
	struct bad_disk bad;

	add_many(5, 4);
	for (uint64_t at = 0; at < b.store->size_bytes; at += 4096) {
		bad = make_bad(at);
		bad.failures_left = 1;
		expect_cut_by(&bad.store, 5);
	}
}

Test(recovery_damage, an_unreadable_superblock_is_a_copy_less)
{
	struct bad_disk bad = make_bad(wb_superblock_offset(1));
	struct wb_recovery *r = wb_recovery_scan(&bad.store, NULL, NULL);

	cr_assert(r);
	cr_expect_eq(r->copy_error[1], -EIO);
	wb_recovery_free(r);
	bad.bad_offset[1] = wb_superblock_offset(0);
	expect_refused_by(&bad.store, WB_CACHE_ERROR_IO, "cannot be read");
}

Test(recovery_damage, an_unreadable_header_with_later_live_ones_is_refused)
{
	struct bad_disk bad;

	b.is_each_synced = false;
	add_many(7, 4);
	for (unsigned s = 1; s < 7; s++) {
		bad = make_bad(record(s)->offset_bytes);
		expect_refused_by(&bad.store, WB_CACHE_ERROR_IO, "cannot be read");
	}
	bad = make_bad(record(7)->offset_bytes);
	expect_cut_by(&bad.store, 6);
}

Test(recovery_damage, an_unreadable_header_that_was_durable_is_damage)
{
	struct bad_disk bad;

	add_many(7, 4);
	bad = make_bad(record(5)->offset_bytes);
	expect_refused_by(&bad.store, WB_CACHE_ERROR_DAMAGED, "cannot be read");
}

Test(recovery_damage, unreadable_data_is_refused_only_between_records_that_may_count)
{
	struct bad_disk bad;

	add_many(2, 4);
	b.is_each_synced = false;
	add_many(2, 4);
	bad = make_bad(record(1)->offset_bytes + 4096);
	expect_cut_by(&bad.store, 4);
	bad = make_bad(record(3)->offset_bytes + 4096);
	expect_refused_by(&bad.store, WB_CACHE_ERROR_IO, "data of record 3");
	bad = make_bad(record(4)->offset_bytes + 4096);
	expect_cut_by(&bad.store, 3);
}

Test(recovery_damage, a_bad_place_need_not_be_readable)
{
	struct bad_disk bad;

	b.is_each_synced = false;
	add_many(2, 15);
	b.superblock.bad_places[0] = 2;
	b.superblock.bad_count = 1;
	wb_log_builder_write_superblocks(&b);
	wb_log_builder_next_segment(&b);	/* 3: the bad place */
	wb_log_builder_next_segment(&b);
	add_many(2, 15);
	bad = make_bad(b.geometry->ring_offset + 2 * b.geometry->segment_bytes);
	expect_cut_by(&bad.store, 4);
	/* nor is it a reason to take a torn end for something else */
	wb_log_builder_lose(&b, record(3));
	expect_cut_by(&bad.store, 2);
}
