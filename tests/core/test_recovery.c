/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which records a scan finds: whole logs, torn ends, timelines, warm blocks. */
#include <criterion/criterion.h>
#include <string.h>

#include "cache/cache.h"
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

TestSuite(recovery, .init = start, .fini = stop);

static struct wb_recovery *scan(void)
{
	g_autoptr(GError) error = NULL;
	struct wb_recovery *r = wb_recovery_scan(b.store, NULL, &error);

	cr_assert(r, "refused: %s", error ? error->message : "without an error");
	return r;
}

static struct wb_recovery_record *record_at(struct wb_recovery *r, guint i)
{
	return &g_array_index(r->records, struct wb_recovery_record, i);
}

/* The log holds tail..cut, and nothing warm. */
static void expect_log(uint64_t tail, uint64_t cut)
{
	struct wb_recovery *r = scan();

	cr_expect_eq(r->tail_sequence, tail, "tail %lu", r->tail_sequence);
	cr_expect_eq(r->cut_sequence, cut, "cut %lu", r->cut_sequence);
	cr_expect_eq(r->record_count, cut + 1 - tail);
	for (guint i = 0; i < r->records->len; i++)
		cr_expect_eq(record_at(r, i)->is_live, record_at(r, i)->sequence >= tail);
	wb_recovery_free(r);
}

static void expect_warm_from(uint64_t sequence, uint64_t segment)
{
	struct wb_recovery *r = scan();

	cr_assert_gt(r->records->len, 0);
	cr_expect_eq(record_at(r, 0)->sequence, sequence, "%lu", record_at(r, 0)->sequence);
	for (guint i = 0; i < r->records->len; i++)
		cr_expect_eq(record_at(r, i)->sequence, sequence + i);
	cr_expect_eq(r->oldest_warm_segment, segment, "%lu", r->oldest_warm_segment);
	wb_recovery_free(r);
}

static void add_many(unsigned count, unsigned blocks)
{
	for (unsigned i = 0; i < count; i++)
		wb_log_builder_add(&b, blocks);
}

static void recover(void)
{
	struct wb_recovery *r = scan();

	wb_log_builder_recover(&b, r);
	wb_recovery_free(r);
}

/* --- how far it is ----------------------------------------------------------- */

struct seen {
	unsigned calls, stop_at;
	uint64_t done[2], total[2];	/* by stage */
};

static bool on_progress(void *arg, enum wb_recovery_stage stage, uint64_t done_bytes,
			uint64_t total_bytes)
{
	struct seen *seen = arg;

	cr_expect_leq(done_bytes, total_bytes);
	seen->done[stage] = done_bytes;
	seen->total[stage] = total_bytes;
	return ++seen->calls != seen->stop_at;
}

static void ignore_bad(void *arg, const struct wb_recovery_record *record, unsigned entry_index,
		       const struct wb_entry *entry, uint32_t slot)
{
	(void)arg;
	(void)record;
	(void)entry_index;
	(void)entry;
	(void)slot;
}

Test(recovery, a_scan_says_how_far_it_is_and_ends_wherever_it_is_told_to)
{
	struct seen seen = { 0 };
	struct wb_recovery_options how = {
		.bad_block = ignore_bad, .progress = on_progress, .progress_arg = &seen,
	};
	unsigned calls;

	add_many(10, 7);		/* segments 1..5 */
	wb_recovery_free(wb_recovery_scan(b.store, &how, NULL));
	for (unsigned stage = 0; stage < 2; stage++) {
		cr_expect_eq(seen.total[stage], 5 * b.superblock.geometry.segment_bytes);
		cr_expect_eq(seen.done[stage], seen.total[stage]);
	}
	calls = seen.calls;
	cr_expect_geq(calls, 10);
	for (unsigned n = 1; n <= calls; n++) {
		g_autoptr(GError) error = NULL;

		seen = (struct seen){ .stop_at = n };
		cr_assert_null(wb_recovery_scan(b.store, &how, &error));
		cr_expect(g_error_matches(error, WB_CACHE_ERROR, WB_CACHE_ERROR_STOPPED));
		cr_expect_str_eq(error->message, "memory: looking through the log was stopped "
						 "before its end");
		cr_expect_eq(seen.calls, n);
	}
}

/* --- whole logs ----------------------------------------------------------- */

Test(recovery, a_new_volume_has_an_empty_log_and_begins_in_segment_1)
{
	struct wb_recovery *r = scan();

	cr_expect_eq(r->cut_sequence, 0);
	cr_expect_eq(r->record_count, 0);
	cr_expect_eq(r->last_segment, 0);
	cr_expect_eq(r->highest_epoch, 1);
	cr_expect_not(r->was_clean);
	wb_recovery_free(r);
}

Test(recovery, opening_again_and_again_without_writing_consumes_no_ids)
{
	for (int i = 0; i < 20; i++)
		recover();
	cr_expect_eq(b.segment_id, 1);
	cr_expect_eq(b.epoch, 21);
	add_many(3, 2);
	wb_log_builder_move_tail(&b, 1);
	for (int i = 0; i < 20; i++)
		recover();
	cr_expect_eq(b.segment_id, 2);
	expect_log(1, 3);
}

Test(recovery, one_record_is_found_with_its_entries)
{
	struct wb_log_built *built = wb_log_builder_add(&b, 3);
	struct wb_recovery *r = scan();

	cr_assert_eq(r->records->len, 1);
	cr_expect_eq(record_at(r, 0)->entry_count, 3);
	cr_expect_eq(record_at(r, 0)->block_offset, 0);
	cr_expect(record_at(r, 0)->is_live);
	cr_expect_eq(r->entries->len, 3);
	cr_expect_eq(r->cut_crc, built->crc);
	cr_expect_eq(r->last_segment, 1);
	wb_recovery_free(r);
}

Test(recovery, records_of_every_size_are_found_over_several_segments)
{
	wb_log_builder_clear(&b);
	wb_log_builder_init(&b, 32);
	for (unsigned blocks = 0; blocks <= 15; blocks++)
		wb_log_builder_add(&b, blocks);
	expect_log(1, 16);
}

Test(recovery, the_ring_wraps_many_times)
{
	for (unsigned round = 0; round < 60; round++) {
		add_many(3, round % 16);
		if (b.segment_id > 4)
			wb_log_builder_move_tail(&b, b.segment_id - 3);
		wb_log_builder_add(&b, 1);
		expect_log(b.tail_sequence, b.sequence - 1);
	}
	cr_expect_gt(b.segment_id, 32);
}

Test(recovery, the_tail_may_stand_in_the_middle_of_a_segment)
{
	add_many(3, 2);
	b.tail_sequence = 4;
	add_many(2, 2);
	expect_log(4, 5);
	expect_warm_from(1, 1);
}

Test(recovery, an_empty_log_knows_the_crc_of_its_last_record)
{
	struct wb_log_built *last;
	struct wb_recovery *r;

	add_many(2, 15);
	last = wb_log_builder_add(&b, 2);
	b.superblock.tail_segment = 3;
	b.superblock.tail_sequence = 4;
	wb_log_builder_write_superblocks(&b);
	r = scan();
	cr_expect_eq(r->record_count, 0);
	cr_expect_eq(r->cut_sequence, 3);
	cr_expect_eq(r->cut_crc, last->crc);
	cr_expect_eq(r->last_segment, 3);
	cr_expect_eq(r->records->len, 3);
	cr_expect_eq(r->oldest_warm_segment, 1);
	wb_recovery_free(r);
}

Test(recovery, ids_that_were_consumed_without_a_record_are_stepped_over)
{
	add_many(2, 15);
	b.superblock.bad_places[0] = 2;
	b.superblock.bad_count = 1;
	wb_log_builder_write_superblocks(&b);
	wb_log_builder_next_segment(&b);	/* the bad place: id 3 */
	wb_log_builder_next_segment(&b);
	add_many(2, 15);
	wb_log_builder_next_segment(&b);	/* nobody knows why */
	wb_log_builder_next_segment(&b);
	add_many(1, 15);
	expect_log(1, 5);
	expect_warm_from(1, 1);
}

Test(recovery, extents_and_void_entries_are_carried)
{
	const struct wb_entry entries[] = {
		{ .type = WB_ENTRY_VOID },
		{ .address = 7, .mask = 0xff, .type = WB_ENTRY_DISCARD, .crc_or_length = 9 },
		{ .address = 5, .mask = 0x0f, .type = WB_ENTRY_DATA },
		{ .address = 30, .mask = 0xff, .type = WB_ENTRY_BAD, .crc_or_length = 1 },
	};
	struct wb_recovery *r;

	wb_log_builder_add_entries(&b, entries, 4);
	wb_log_builder_add_entries(&b, entries + 1, 1);
	r = scan();
	cr_expect_eq(r->record_count, 2);
	cr_expect_eq(r->entries->len, 5);
	cr_expect_eq(g_array_index(r->entries, struct wb_entry_disk, 4).type, WB_ENTRY_DISCARD);
	wb_recovery_free(r);
}

/* --- torn ends ------------------------------------------------------------- */

Test(recovery, a_record_torn_at_any_sector_ends_the_log_before_it)
{
	struct wb_log_built *last;

	add_many(2, 2);
	memset(wb_store_memory_bytes(b.store) + b.geometry->ring_offset + 6 * 4096, 0xa5, 40960);
	last = wb_log_builder_add(&b, 3);
	for (uint64_t kept = 0; kept < last->length_bytes; kept += 512) {
		struct wb_recovery *r;
		g_autofree uint8_t *whole =
			g_memdup2(wb_store_memory_bytes(b.store) + last->offset_bytes,
				  last->length_bytes);

		wb_log_builder_tear(&b, last, kept);
		r = scan();
		cr_expect_eq(r->cut_sequence, 2, "kept %lu: %lu", kept, r->cut_sequence);
		cr_expect_eq(r->torn_records, kept >= 4096);
		cr_expect_eq(r->last_segment, 1);
		wb_recovery_free(r);
		memcpy(wb_store_memory_bytes(b.store) + last->offset_bytes, whole,
		       last->length_bytes);
	}
	expect_log(1, 3);
}

Test(recovery, a_torn_record_cuts_off_the_later_ones_that_nobody_was_promised)
{
	struct wb_log_built *middle;
	struct wb_recovery *r;

	add_many(2, 2);
	b.is_each_synced = false;
	middle = wb_log_builder_add(&b, 2);
	add_many(6, 4);
	wb_log_builder_lose_sector(&b, middle, 9);
	r = scan();
	cr_expect_eq(r->cut_sequence, 2);
	cr_expect_eq(r->torn_records, 7);
	cr_expect_eq(r->entries->len, 4);
	wb_recovery_free(r);
	wb_log_builder_lose(&b, middle);
	expect_log(1, 2);
}

Test(recovery, data_below_the_last_claim_is_not_judged)
{
	struct wb_log_built *first = wb_log_builder_add(&b, 2);

	add_many(2, 2);
	wb_log_builder_flip(&b, first->offset_bytes + 5000, 3);
	expect_log(1, 3);
}

static void count_bad(void *arg, const struct wb_recovery_record *record,
		      unsigned entry_index, const struct wb_entry *entry, uint32_t slot)
{
	cr_expect_eq(record->sequence, 1);
	cr_expect_eq(entry_index, 1);
	cr_expect_eq(entry->address, 17);
	cr_expect_eq(slot, 2);
	++*(unsigned *)arg;
}

Test(recovery, a_check_of_all_data_names_the_bad_block)
{
	struct wb_log_built *first = wb_log_builder_add(&b, 3);
	unsigned bad_count = 0;
	struct wb_recovery_options options = { .bad_block = count_bad, .arg = &bad_count };
	struct wb_recovery *r;

	add_many(2, 2);
	wb_log_builder_flip(&b, first->offset_bytes + 2 * 4096 + 1, 0);
	r = wb_recovery_scan(b.store, &options, NULL);
	cr_assert(r);
	cr_expect_eq(bad_count, 1);
	cr_expect_eq(r->cut_sequence, 3);
	wb_recovery_free(r);
}

/* --- timelines --------------------------------------------------------------- */

/*
 * The chain alone would choose wrongly here: the header of record 3 survived, its
 * data did not. It follows record 2 without a fault, and once records of the new
 * timeline claim that 3 is durable, nobody looks at its data again.
 */
Test(recovery, a_whole_header_of_a_cut_off_timeline_is_dead)
{
	struct wb_log_built *torn, *second;
	struct wb_recovery *r;

	add_many(2, 2);
	b.is_each_synced = false;
	torn = wb_log_builder_add(&b, 4);	/* behind record 2, in segment 1 */
	wb_log_builder_add(&b, 5);
	wb_log_builder_lose_sector(&b, torn, 8);
	expect_log(1, 2);
	recover();
	b.is_each_synced = true;
	second = wb_log_builder_add(&b, 3);
	wb_log_builder_add(&b, 3);
	r = scan();
	cr_expect_eq(r->cut_sequence, 4);
	cr_expect_eq(record_at(r, 2)->segment_id, second->segment_id);
	cr_expect_eq(record_at(r, 2)->entry_count, 3);
	wb_recovery_free(r);
}

/* The new record ends exactly where a whole one of the old timeline begins. */
Test(recovery, a_dead_record_right_behind_the_newest_is_not_taken)
{
	struct wb_log_built *lost;

	add_many(2, 7);			/* segment 1 is full */
	b.is_each_synced = false;
	lost = wb_log_builder_add(&b, 7);	/* 3: segment 2 */
	add_many(9, 7);			/* 4.. : behind it and later */
	wb_log_builder_lose(&b, lost);
	expect_log(1, 2);
	recover();
	cr_expect_eq(b.epoch, 2);
	cr_expect_eq(b.segment_id, 2);
	wb_log_builder_add(&b, 7);	/* 3 of epoch 2; behind it lies 4 of epoch 1 */
	expect_log(1, 3);
	b.durable = 3;
	add_many(2, 7);
	expect_log(1, 5);
}

Test(recovery, the_newest_of_many_timelines_wins)
{
	wb_log_builder_clear(&b);
	wb_log_builder_init(&b, 64);
	for (unsigned crash = 0; crash < 6; crash++) {
		struct wb_log_built *lost;

		b.is_each_synced = true;
		wb_log_builder_add(&b, 7);
		b.is_each_synced = false;
		lost = wb_log_builder_add(&b, 5 + crash);
		add_many(4, 7);
		wb_log_builder_lose(&b, lost);
		expect_log(1, crash + 1);
		recover();
		cr_expect_eq(b.epoch, crash + 2);
	}
	expect_log(1, 6);
}

Test(recovery, a_dead_header_still_tells_the_newest_tail)
{
	struct wb_log_built *lost;

	add_many(10, 7);		/* segments 1..5 */
	b.is_each_synced = false;
	lost = wb_log_builder_add(&b, 7);
	wb_log_builder_move_tail(&b, 4);
	wb_log_builder_add(&b, 14);	/* segment 7, never durable, says the tail */
	wb_log_builder_lose(&b, lost);
	expect_log(7, 10);
	recover();
	expect_log(7, 10);
	b.superblock.tail_segment = b.superblock.tail_sequence = 1;
	wb_log_builder_write_superblocks(&b);
	expect_log(7, 10);
}

Test(recovery, the_tail_is_known_from_a_header_that_is_not_the_first_of_its_segment)
{
	/* 1..14 fill segments 1..7; then the tail moves, told only by the second
	 * record of segment 8, and segment 9 takes the place of segment 1. */
	add_many(14, 7);
	wb_log_builder_add(&b, 3);
	wb_log_builder_move_tail(&b, 3);
	wb_log_builder_add(&b, 3);
	wb_log_builder_lose(&b, wb_log_builder_add(&b, 15));
	expect_log(5, 16);
	wb_log_builder_tear(&b, g_ptr_array_index(b.records, 16), 512);
	memset(wb_store_memory_bytes(b.store) +
	       ((struct wb_log_built *)g_ptr_array_index(b.records, 16))->offset_bytes, 7, 4096);
	expect_log(5, 16);
}

Test(recovery, an_old_round_of_the_ring_is_not_in_the_window)
{
	struct wb_log_built *lost;

	add_many(16, 7);			/* segments 1..8 */
	wb_log_builder_move_tail(&b, 7);
	wb_log_builder_add(&b, 2);		/* 9, over 1: the tail is durable */
	b.is_each_synced = false;
	wb_log_builder_next_segment(&b);
	lost = wb_log_builder_add(&b, 15);	/* 10, over 2: lost */
	wb_log_builder_add(&b, 15);		/* 11, over 3 */
	wb_log_builder_lose(&b, lost);
	expect_log(13, 17);
	expect_warm_from(7, 4);
}

/* --- warm blocks ------------------------------------------------------------- */

Test(recovery, warm_records_reach_back_to_the_first_gap)
{
	struct wb_log_built *gap;

	add_many(5, 15);
	gap = g_ptr_array_index(b.records, 1);
	wb_log_builder_move_tail(&b, 5);
	add_many(2, 15);
	expect_warm_from(1, 1);
	wb_log_builder_flip(&b, gap->offset_bytes + 200, 1);
	expect_warm_from(3, 3);
	expect_log(5, 7);
}

Test(recovery, a_gap_inside_a_warm_segment_stops_the_warmth_there)
{
	struct wb_log_built *gap;

	add_many(3, 4);				/* segment 1 */
	gap = wb_log_builder_add(&b, 4);	/* segment 2 */
	add_many(5, 4);				/* 2, 3 */
	wb_log_builder_move_tail(&b, 3);
	wb_log_builder_add(&b, 15);
	expect_warm_from(1, 1);
	wb_log_builder_flip(&b, gap->offset_bytes + 200, 1);
	expect_warm_from(7, 3);
}

/* Leftovers of earlier rounds lie behind the short records of this one. */
Test(recovery, old_rounds_behind_short_records_do_not_disturb_the_warmth)
{
	for (unsigned i = 0; i < 16; i++) {
		add_many(i < 8 ? 5 : 1, 2);
		if (i >= 6)
			wb_log_builder_move_tail(&b, b.segment_id - 1);
		wb_log_builder_next_segment(&b);
	}
	cr_expect_eq(b.segment_id, 17);
	expect_warm_from(41, 9);
}

Test(recovery, blocks_that_do_not_end_at_the_tail_are_not_warm)
{
	struct wb_recovery *r;

	add_many(3, 15);
	b.superblock.tail_segment = 6;
	b.superblock.tail_sequence = 6;
	wb_log_builder_write_superblock(&b, 0);
	r = scan();
	cr_expect_eq(r->cut_sequence, 5);
	cr_expect_eq(r->records->len, 0);
	cr_expect_eq(r->cut_crc, 0);
	cr_expect_eq(r->last_segment, 5);
	cr_expect_eq(r->oldest_warm_segment, 6);
	wb_recovery_free(r);
	/* the newer superblock may be in either place */
	b.superblock.tail_segment = 7;
	b.superblock.tail_sequence = 7;
	wb_log_builder_write_superblock(&b, 1);
	expect_log(7, 6);
}

Test(recovery, an_id_that_the_cut_has_is_never_given_out_again)
{
	struct wb_recovery *r;

	add_many(2, 15);
	wb_log_builder_add(&b, 3);
	b.superblock.tail_segment = b.superblock.cut_segment = 3;
	b.superblock.tail_sequence = 4;
	b.superblock.cut_sequence = 3;
	b.superblock.cut_crc = b.prev;
	wb_log_builder_write_superblocks(&b);
	memset(wb_store_memory_bytes(b.store) +
	       ((struct wb_log_built *)g_ptr_array_index(b.records, 2))->offset_bytes, 1, 4096);
	r = scan();
	cr_expect_eq(r->last_segment, 3);
	cr_expect_eq(r->cut_crc, b.prev);
	cr_expect_eq(r->cut_sequence, 3);
	wb_recovery_free(r);
}

/* --- what is dirty ------------------------------------------------------------- */

Test(recovery, dirty_blocks_are_counted_once_and_not_below_an_extent)
{
	const struct wb_entry entries[] = {
		{ .address = 5, .mask = 0xff, .type = WB_ENTRY_DATA },
		{ .address = 6, .mask = 0xff, .type = WB_ENTRY_DATA },
		{ .address = 50, .mask = 0xff, .type = WB_ENTRY_DATA },
		{ .address = 6, .mask = 0xff, .type = WB_ENTRY_DISCARD, .crc_or_length = 10 },
		{ .address = 14, .mask = 0xff, .type = WB_ENTRY_DISCARD, .crc_or_length = 10 },
		{ .address = 5, .mask = 0x01, .type = WB_ENTRY_DATA },
		{ .address = 20, .mask = 0x01, .type = WB_ENTRY_DATA },
		{ .address = 50, .mask = 0xff, .type = WB_ENTRY_BYPASS, .crc_or_length = 1 },
		{ .address = 90, .mask = 0xff, .type = WB_ENTRY_CLEAN },
		{ .address = 95, .mask = 0xff, .type = WB_ENTRY_BAD, .crc_or_length = 1 },
	};
	struct wb_recovery_dirty dirty;
	struct wb_recovery *r;

	wb_log_builder_add_entries(&b, entries, G_N_ELEMENTS(entries));
	r = scan();
	wb_recovery_count_dirty(r, &dirty);
	cr_expect_eq(dirty.dirty_blocks, 2, "%lu", dirty.dirty_blocks);
	cr_expect_eq(dirty.extents, 3);
	wb_recovery_free(r);
}

Test(recovery, warm_records_are_not_dirty)
{
	struct wb_recovery_dirty dirty;
	struct wb_recovery *r;

	add_many(3, 15);
	wb_log_builder_move_tail(&b, 3);
	wb_log_builder_add(&b, 2);
	r = scan();
	wb_recovery_count_dirty(r, &dirty);
	cr_expect_eq(dirty.dirty_blocks, 17);
	wb_recovery_free(r);
}
