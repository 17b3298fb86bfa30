/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Repair of a log with damage anywhere: what is kept is the log up to there and
 * nothing else, what is lost is listed, a power cut during it does no harm. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "base/checksum.h"
#include "cache/cache.h"
#include "cache/recovery_replay.h"
#include "cache/repair.h"
#include "format/endian.h"
#include "support/log_builder.h"
#include "support/store_crashy.h"
#include "support/store_faulty.h"
#include "support/store_memory.h"

#define COUNT 12u

static struct wb_log_builder b;
static const struct wb_recovery_options past = { .goes_past_damage = true };

static void start(void)
{
	wb_log_builder_init(&b, 8);
}

static void stop(void)
{
	wb_log_builder_clear(&b);
}

TestSuite(repair, .init = start, .fini = stop);

static void add_many(unsigned count, unsigned blocks)
{
	for (unsigned i = 0; i < count; i++)
		wb_log_builder_add(&b, blocks);
}

static const struct wb_log_built *record(unsigned sequence)
{
	return g_ptr_array_index(b.records, sequence - 1);
}

static void rot(unsigned sequence)
{
	wb_log_builder_flip(&b, record(sequence)->offset_bytes + 130, 2);
}

static struct wb_recovery *look(struct wb_store *store)
{
	g_autoptr(GError) error = NULL;
	struct wb_recovery *r = wb_recovery_scan(store, &past, &error);

	cr_assert(r, "%s", error ? error->message : "");
	return r;
}

static void expect_opens(struct wb_store *store, uint64_t cut)
{
	g_autoptr(GError) error = NULL;
	struct wb_recovery *r = wb_recovery_scan(store, NULL, &error);

	cr_assert(r, "%s", error ? error->message : "");
	cr_expect_eq(r->cut_sequence, cut, "cut %lu, not %lu", r->cut_sequence, cut);
	cr_expect_null(r->damage);
	for (unsigned i = 0; i < 2; i++)
		cr_expect_eq(r->copy_verdict[i], WB_SUPERBLOCK_VALID);
	wb_recovery_free(r);
}

static void expect_refused(struct wb_store *store, const char *words)
{
	g_autoptr(GError) error = NULL;
	struct wb_recovery *r = wb_recovery_scan(store, NULL, &error);

	cr_assert_null(r);
	cr_expect(strstr(error->message, words), "%s", error->message);
}

static void apply(struct wb_store *store, const struct wb_recovery *r)
{
	g_autoptr(GError) error = NULL;

	cr_assert(wb_repair_apply(store, r, &error), "%s", error ? error->message : "");
}

static void expect_same_records(const GArray *records, const uint8_t *before)
{
	const uint8_t *now = wb_store_memory_bytes(b.store);

	for (guint i = 0; i < records->len; i++) {
		const struct wb_recovery_record *record =
			&g_array_index(records, struct wb_recovery_record, i);
		uint64_t place = wb_geometry_place(b.geometry, record->segment_id);
		uint64_t at = wb_geometry_slot_offset(b.geometry, wb_geometry_slot(b.geometry,
						      place, record->block_offset));

		if (record->sequence >= b.tail_sequence)
			cr_expect_arr_eq(before + at, now + at,
					 WB_BLOCK_BYTES * (1u + record->entry_count));
	}
}

/* No record that may be needed is changed. */
static void repair(enum wb_repair_need need)
{
	g_autofree uint8_t *before = g_memdup2(wb_store_memory_bytes(b.store),
					       b.store->size_bytes);
	struct wb_recovery *r = look(b.store);

	cr_expect_eq(wb_repair_need(r), need);
	apply(b.store, r);
	expect_same_records(r->records, before);
	expect_same_records(r->lost_records, before);
	wb_recovery_free(r);
	r = look(b.store);
	cr_expect_eq(wb_repair_need(r), WB_REPAIR_NOTHING);
	apply(b.store, r);
	wb_recovery_free(r);
}

/* --- damage at every record ---------------------------------------------------------- */

enum damage { FLIPPED, ZEROED, SWAPPED, HEADER_GONE, DAMAGE_COUNT };

static void spoil(enum damage damage, unsigned sequence)
{
	uint8_t *bytes = wb_store_memory_bytes(b.store);
	const struct wb_log_built *at = record(sequence);
	const struct wb_log_built *other = record(sequence < COUNT ? sequence + 1 : 1);
	g_autofree uint8_t *copy = g_memdup2(bytes + at->offset_bytes, at->length_bytes);

	switch (damage) {
	case FLIPPED:
		rot(sequence);
		return;
	case ZEROED:
		memset(bytes + at->offset_bytes, 0, at->length_bytes);
		return;
	case SWAPPED:
		memcpy(bytes + at->offset_bytes, bytes + other->offset_bytes, at->length_bytes);
		memcpy(bytes + other->offset_bytes, copy, at->length_bytes);
		return;
	case HEADER_GONE:
		memset(bytes + at->offset_bytes, 0x5a, WB_BLOCK_BYTES);
		return;
	case DAMAGE_COUNT:
		break;
	}
	g_assert_not_reached();
}

/* Records first..COUNT, each with 4 blocks from 16 times its number on. */
static void expect_lost(const struct wb_recovery *r, unsigned first)
{
	g_autoptr(GArray) ranges = wb_repair_list_lost(r);

	cr_assert_eq(ranges->len, COUNT - first + 1, "%u ranges", ranges->len);
	for (unsigned i = 0; i < ranges->len; i++) {
		const struct wb_repair_range *range =
			&g_array_index(ranges, struct wb_repair_range, i);

		cr_expect_eq(range->first, (first + i) * 16);
		cr_expect_eq(range->count, 4);
		cr_expect_eq(range->loss, WB_REPAIR_LOST_WRITE);
	}
}

static void expect_gap(const struct wb_recovery *r, uint64_t first, uint64_t last)
{
	g_autoptr(GArray) gaps = wb_repair_list_gaps(r);

	cr_assert_eq(gaps->len, 1);
	cr_expect_eq(g_array_index(gaps, struct wb_repair_gap, 0).first, first);
	cr_expect_eq(g_array_index(gaps, struct wb_repair_gap, 0).last, last);
}

/* Goes on as a mount would, far enough to use all places once more. */
static void go_on_after(uint64_t cut)
{
	struct wb_recovery *r = look(b.store);

	cr_expect_eq(r->cut_sequence, cut);
	wb_log_builder_recover(&b, r);
	wb_recovery_free(r);
	add_many(3, 15);
	expect_opens(b.store, cut + 3);
	wb_log_builder_move_tail(&b, b.segment_id);
	add_many(6, 15);
	expect_opens(b.store, cut + 9);
	wb_log_builder_move_tail(&b, b.segment_id);
	add_many(6, 15);
	expect_opens(b.store, cut + 15);
}

static void damage_and_repair(enum damage damage, unsigned s)
{
	unsigned last_bad = damage == SWAPPED ? s + 1 : s;
	struct wb_recovery *r;

	add_many(COUNT, 4);
	spoil(damage, s);
	expect_refused(b.store, "the log is damaged in its middle: ");
	r = look(b.store);
	cr_assert(r->damage);
	cr_expect_eq(r->cut_sequence, s - 1, "%u: cut %lu", s, r->cut_sequence);
	cr_expect_eq(r->record_count, s - 1);
	expect_lost(r, last_bad + 1);
	expect_gap(r, s, last_bad);
	wb_recovery_free(r);
	repair(WB_REPAIR_LOG);
	expect_opens(b.store, s - 1);
	r = look(b.store);
	cr_expect_eq(r->superblock.cut_crc, s > 1 ? record(s - 1)->crc : 0);
	cr_expect_eq(r->superblock.cut_sequence, s - 1);
	cr_expect_eq(r->superblock.durable, s - 1);
	wb_recovery_free(r);
	go_on_after(s - 1);
}

Test(repair, keeps_the_log_up_to_the_damage_wherever_it_is)
{
	for (unsigned damage = 0; damage < DAMAGE_COUNT; damage++) {
		for (unsigned s = 1; s + (damage == SWAPPED) < COUNT; s++) {
			damage_and_repair(damage, s);
			stop();
			start();
		}
	}
}

Test(repair, needs_nothing_when_only_the_last_record_is_torn)
{
	struct wb_recovery *r;

	add_many(COUNT, 4);
	rot(COUNT);
	r = look(b.store);
	cr_expect_null(r->damage);
	cr_expect_eq(wb_repair_need(r), WB_REPAIR_NOTHING);
	cr_expect_eq(r->lost_records->len, 0);
	wb_recovery_free(r);
}

Test(repair, gives_up_what_a_superblock_promised_behind_the_end_of_the_log)
{
	add_many(3, 15);
	b.superblock.durable = b.superblock.cut_sequence = 3;
	b.superblock.cut_segment = 3;
	b.superblock.epoch = 2;
	b.superblock.epoch_start = 4;
	wb_log_builder_write_superblocks(&b);
	wb_log_builder_lose(&b, record(2));
	wb_log_builder_lose(&b, record(3));
	expect_refused(b.store, "up to 3 were durable");
	{
		struct wb_recovery *r = look(b.store);

		expect_gap(r, 2, 3);
		wb_recovery_free(r);
	}
	repair(WB_REPAIR_LOG);
	go_on_after(1);
}

Test(repair, of_the_first_live_record_leaves_an_empty_log)
{
	add_many(6, 15);
	wb_log_builder_move_tail(&b, 5);
	add_many(2, 15);
	rot(5);
	expect_refused(b.store, "record 5 is missing; segment 5");
	repair(WB_REPAIR_LOG);
	expect_opens(b.store, 4);
	go_on_after(4);
}

Test(repair, of_a_record_out_of_reach_gives_it_up)
{
	add_many(2, 3);
	b.tail_sequence = b.superblock.tail_sequence = 3;
	wb_log_builder_write_superblocks(&b);
	wb_log_builder_add(&b, 3);
	rot(1);
	repair(WB_REPAIR_LOG);
	go_on_after(2);
}

/* The place of the old tail was used again by the segment whose header rotted:
 * with that tail nothing at all could be kept. */
Test(repair, takes_the_tail_from_behind_the_damage)
{
	struct wb_recovery *r;

	add_many(3, 15);
	wb_log_builder_move_tail(&b, 3);
	add_many(7, 15);		/* the last two lie where 1 and 2 did */
	wb_log_builder_move_tail(&b, 5);
	wb_log_builder_next_segment(&b);
	add_many(2, 3);			/* ... and these where 3 did */
	rot(11);
	r = look(b.store);
	cr_assert(r->damage);
	cr_expect_eq(r->tail_sequence, 5);
	cr_expect_eq(r->cut_sequence, 10);
	cr_expect_eq(r->record_count, 6);
	wb_recovery_free(r);
	repair(WB_REPAIR_LOG);
	expect_opens(b.store, 10);
}

Test(repair, lists_discards_and_what_overlaps_them_by_the_newest)
{
	const struct wb_entry entries[] = {
		{ .address = 100, .mask = 0xff, .type = WB_ENTRY_DATA },
		{ .address = 101, .mask = 0xff, .type = WB_ENTRY_CLEAN },
		{ .address = 90, .mask = 0xff, .type = WB_ENTRY_DISCARD, .crc_or_length = 20 },
		{ .address = 95, .mask = 0x0f, .type = WB_ENTRY_DATA },
		{ .type = WB_ENTRY_VOID },
	};
	static const struct wb_repair_range expected[] = {
		{ 90, 5, WB_REPAIR_LOST_DISCARD }, { 95, 1, WB_REPAIR_LOST_WRITE },
		{ 96, 14, WB_REPAIR_LOST_DISCARD },
	};
	g_autoptr(GArray) ranges = NULL;
	struct wb_recovery *r;

	add_many(2, 1);
	wb_log_builder_add_entries(&b, entries, G_N_ELEMENTS(entries));
	rot(2);
	r = look(b.store);
	ranges = wb_repair_list_lost(r);
	cr_assert_eq(ranges->len, G_N_ELEMENTS(expected));
	for (unsigned i = 0; i < ranges->len; i++) {
		const struct wb_repair_range *range =
			&g_array_index(ranges, struct wb_repair_range, i);

		cr_expect_eq(range->first, expected[i].first);
		cr_expect_eq(range->count, expected[i].count);
		cr_expect_eq(range->loss, expected[i].loss);
	}
	wb_recovery_free(r);
}

/* A copy of a header in the data of a record that was found. */
Test(repair, takes_no_user_data_for_a_lost_record)
{
	uint8_t *bytes = wb_store_memory_bytes(b.store);
	struct wb_recovery *r;

	add_many(3, 4);
	memcpy(bytes + record(3)->offset_bytes - WB_BLOCK_BYTES,
	       bytes + record(1)->offset_bytes, WB_BLOCK_BYTES);
	{
		struct wb_record_disk *copy = (void *)(bytes + record(3)->offset_bytes -
						       WB_BLOCK_BYTES);
		const struct wb_entry one = { .address = 7, .mask = 0xff,
					      .type = WB_ENTRY_DISCARD, .crc_or_length = 9 };

		wb_record_begin(copy, b.superblock.uuid, 1, 1, 50, 1, 9);
		wb_record_set_entry(copy, 0, &one);
		wb_record_set_counts(copy, 1, 0);
		wb_record_seal(copy, 0, 0, 1, 1);
	}
	rot(1);
	r = look(b.store);
	cr_assert(r->damage);
	cr_expect_eq(r->lost_records->len, 2);
	cr_expect_eq(r->claimed, 3);
	wb_recovery_free(r);
}

Test(repair, applies_later_records_over_the_log_for_a_rescue)
{
	const struct wb_entry again = { .address = 16, .mask = 0xff, .type = WB_ENTRY_DATA };
	struct wb_recovery *r;
	struct wb_replay *replay;
	const struct wb_replay_block *block;

	add_many(3, 2);
	wb_log_builder_add_entries(&b, &again, 1);
	rot(2);
	r = look(b.store);
	wb_repair_take_lost(r);
	replay = wb_replay_new(r);
	cr_assert_eq(replay->blocks->len, 4);	/* 16, 17, 48, 49 */
	block = &g_array_index(replay->blocks, struct wb_replay_block, 0);
	cr_expect_eq(block->address, 16);
	cr_expect_eq(wb_geometry_slot_offset(b.geometry, block->slot),
		     record(4)->offset_bytes + WB_BLOCK_BYTES);
	wb_replay_free(replay);
	wb_recovery_free(r);
}

/* --- disks that cannot be read ---------------------------------------------------------- */

static struct wb_store *with_bad_block(uint64_t offset)
{
	size_t bytes = b.store->size_bytes;
	struct wb_store *memory = wb_store_memory_new(bytes, 512, 512), *faulty;
	struct wb_fault fault = { .op = WB_IO_READ, .io_class = WB_FAULT_ANY,
				  .offset_bytes = offset, .length_bytes = WB_BLOCK_BYTES,
				  .count = WB_FAULT_FOR_EVER };

	memcpy(wb_store_memory_bytes(memory), wb_store_memory_bytes(b.store), bytes);
	faulty = wb_store_faulty_new(memory);
	wb_store_faulty_add(faulty, &fault);
	return faulty;
}

Test(repair, ends_the_log_before_a_header_that_cannot_be_read)
{
	for (unsigned synced = 0; synced < 2; synced++) {
		b.is_each_synced = synced;
		add_many(COUNT, 4);
		for (unsigned s = 1; s < COUNT; s++) {
			struct wb_store *store = with_bad_block(record(s)->offset_bytes);
			struct wb_recovery *r;

			expect_refused(store, "cannot be read: Input/output error");
			r = look(store);
			cr_expect_eq(r->cut_sequence, s - 1);
			expect_lost(r, s + 1);
			apply(store, r);
			wb_recovery_free(r);
			expect_opens(store, s - 1);
			wb_store_close(store);
		}
		stop();
		start();
	}
}

Test(repair, ends_the_log_before_data_that_cannot_be_read_and_may_count)
{
	struct wb_store *store;
	struct wb_recovery *r;

	add_many(2, 4);
	b.is_each_synced = false;
	add_many(10, 4);
	store = with_bad_block(record(5)->offset_bytes + WB_BLOCK_BYTES);
	expect_refused(store, "data of record 5, cannot be read");
	r = look(store);
	cr_expect_eq(r->cut_sequence, 4);
	expect_lost(r, 5);
	apply(store, r);
	wb_recovery_free(r);
	expect_opens(store, 4);
	wb_store_close(store);
}

/* --- clean copies ------------------------------------------------------------------------- */

static unsigned count_copies(const struct wb_recovery *r)
{
	unsigned count = 0;

	for (guint i = 0; i < r->records->len; i++) {
		const struct wb_recovery_record *record =
			&g_array_index(r->records, struct wb_recovery_record, i);

		if (!record->is_live && record->sequence >= r->superblock.warm_sequence)
			count += record->entry_count;
	}
	return count;
}

/* The backing may have something newer, from what was given up. The tail lies
 * between records of one segment, as after a drain. */
Test(repair, leaves_no_clean_copy_that_is_believed)
{
	struct wb_recovery *r;

	add_many(4, 15);
	add_many(2, 3);
	b.tail_segment = 5;
	b.tail_sequence = 6;
	add_many(5, 3);
	rot(9);
	r = look(b.store);
	cr_assert_eq(r->record_count, 3);
	cr_assert_eq(count_copies(r), 4 * 15 + 3);
	wb_recovery_free(r);
	repair(WB_REPAIR_LOG);
	r = look(b.store);
	cr_expect_eq(r->record_count, 3);
	cr_expect_eq(count_copies(r), 0);
	cr_expect_eq(r->superblock.warm_sequence, 9);
	wb_recovery_free(r);
	go_on_after(8);
}

/* --- superblocks -------------------------------------------------------------------------- */

Test(repair, writes_a_torn_superblock_again_from_the_other)
{
	add_many(3, 4);
	for (unsigned copy = 0; copy < 2; copy++) {
		struct wb_superblock_disk *disk = (void *)(wb_store_memory_bytes(b.store) +
							   wb_superblock_offset(copy));
		struct wb_superblock was, is;
		struct wb_recovery *r = look(b.store);

		was = r->superblock;
		wb_recovery_free(r);
		memset((uint8_t *)disk + 1000, 0x5a, 500);
		repair(WB_REPAIR_SUPERBLOCK);
		r = look(b.store);
		is = r->superblock;
		cr_expect_eq(r->newest_copy, copy);
		cr_expect_eq(is.epoch, was.epoch);
		cr_expect_eq(is.tail_sequence, was.tail_sequence);
		cr_expect_eq(is.state_flags, was.state_flags);
		wb_recovery_free(r);
		expect_opens(b.store, 3);
	}
}

Test(repair, says_so_when_no_epoch_can_follow)
{
	g_autoptr(GError) error = NULL;
	struct wb_recovery *r;

	add_many(3, 4);
	b.superblock.epoch = WB_NUMBER_MAX;
	b.superblock.epoch_start = 2;
	b.superblock.durable = 3;
	wb_log_builder_write_superblocks(&b);
	r = look(b.store);
	cr_assert(r->damage);
	cr_expect_not(wb_repair_apply(b.store, r, &error));
	cr_expect(strstr(error->message, "no new epoch can follow"), "%s", error->message);
	cr_expect(strstr(error->message, "`wbfs rescue` saves"), "%s", error->message);
	wb_recovery_free(r);
}

/* --- power cuts and faults while it repairs --------------------------------------------------- */

static struct wb_store *copy_of_disk(void)
{
	size_t bytes = b.store->size_bytes;
	struct wb_store *memory = wb_store_memory_new(bytes, 512, 512);

	memcpy(wb_store_memory_bytes(memory), wb_store_memory_bytes(b.store), bytes);
	return memory;
}

/* What a power cut left is as damaged as before, or repaired. */
static void finish(struct wb_store *store, uint64_t cut)
{
	g_autoptr(GError) error = NULL;
	struct wb_recovery *r = wb_recovery_scan(store, NULL, &error);

	if (r)
		cr_expect_eq(r->cut_sequence, cut);
	else
		cr_expect(strstr(error->message, "damaged in its middle"), "%s", error->message);
	wb_recovery_free(r);
	r = look(store);
	apply(store, r);
	wb_recovery_free(r);
	expect_opens(store, cut);
}

/* FALSE when the power stayed on to the end. */
static bool cut_power_at(uint64_t point, uint64_t cut)
{
	struct wb_crash_clock clock = { .crash_at = point };
	struct wb_store *memory = copy_of_disk();
	struct wb_store *crashy = wb_store_crashy_new(memory, &clock);
	struct wb_recovery *r = look(memory);

	wb_repair_apply(crashy, r, NULL);
	wb_recovery_free(r);
	for (uint64_t seed = 1; seed <= 6; seed++) {
		struct wb_prng prng;
		struct wb_store *left;

		wb_prng_init(&prng, seed);
		left = seed == 1 ? wb_store_crashy_crash_losing_all(crashy) :
				   wb_store_crashy_crash(crashy, &prng);
		finish(left, cut);
		wb_store_close(left);
	}
	wb_store_close(crashy);
	return clock.has_crashed;
}

static void cut_power_everywhere(uint64_t cut)
{
	uint64_t point = 1;

	while (cut_power_at(point, cut))
		point++;
	cr_expect_gt(point, 8);
}

Test(repair, may_lose_power_at_any_point)
{
	add_many(COUNT, 4);
	rot(6);
	cut_power_everywhere(5);
	/* one copy left before it began */
	memset(wb_store_memory_bytes(b.store) + wb_superblock_offset(0) + 600, 1, 9);
	cut_power_everywhere(5);
}

/* Records that no claim covers are part of the log, and have to stay so. */
Test(repair, makes_durable_what_it_keeps)
{
	struct wb_crash_clock clock = { 0 };
	struct wb_store *memory = wb_store_memory_new(b.store->size_bytes, 512, 512), *left;
	struct wb_store *crashy = wb_store_crashy_new(memory, &clock);
	uint64_t bytes = b.store->size_bytes;
	struct wb_recovery *r;

	b.is_each_synced = false;
	add_many(COUNT, 4);
	/* all of the ring only in the volatile cache of the disk */
	memcpy(wb_store_memory_bytes(memory), wb_store_memory_bytes(b.store),
	       WB_SUPERBLOCK_AREA_BYTES);
	wb_store_close(crashy);
	memory = wb_store_memory_new(bytes, 512, 512);
	memcpy(wb_store_memory_bytes(memory), wb_store_memory_bytes(b.store),
	       b.geometry->ring_offset);
	crashy = wb_store_crashy_new(memory, &clock);
	cr_assert_eq(wb_store_write_sync(crashy, b.geometry->ring_offset,
					 wb_store_memory_bytes(b.store) + b.geometry->ring_offset,
					 8 * b.geometry->segment_bytes), 0);
	/* and the flush that was to change that has failed */
	wb_store_crashy_fail_flush(crashy, 1);
	cr_assert_neq(wb_store_flush_sync(crashy), 0);
	{
		struct wb_store *bad = with_bad_block(record(6)->offset_bytes);

		r = look(bad);
		wb_store_close(bad);
	}
	cr_assert_eq(r->cut_sequence, 5);
	apply(crashy, r);
	wb_recovery_free(r);
	left = wb_store_crashy_crash_losing_all(crashy);
	expect_opens(left, 5);
	wb_store_close(left);
	wb_store_close(crashy);
}

Test(repair, of_a_cache_that_only_a_later_version_may_write_to_is_refused)
{
	add_many(COUNT, 4);
	b.superblock.ro_compat = 2;
	wb_log_builder_write_superblocks(&b);
	for (unsigned i = 0; i < 2; i++) {
		g_autofree uint8_t *before = NULL;
		g_autoptr(GError) error = NULL;
		struct wb_recovery *r;

		if (i == 0)
			wb_log_builder_flip(&b, wb_superblock_offset(0) + 130, 2);
		else
			rot(6);
		before = g_memdup2(wb_store_memory_bytes(b.store), b.store->size_bytes);
		r = look(b.store);
		cr_expect_eq(wb_repair_need(r), i == 0 ? WB_REPAIR_SUPERBLOCK : WB_REPAIR_LOG);
		cr_expect_not(wb_repair_apply(b.store, r, &error));
		cr_expect(error && strstr(error->message, "uses features of a later version of "
					  "wbfs (ro_compat 0x2)"));
		cr_expect_arr_eq(wb_store_memory_bytes(b.store), before, b.store->size_bytes);
		wb_recovery_free(r);
	}
}

Test(repair, that_cannot_write_says_so_and_can_be_done_again)
{
	static const int ops[] = { WB_IO_WRITE, WB_IO_FLUSH };
	unsigned failures = 0;

	add_many(COUNT, 4);
	rot(6);
	for (unsigned i = 0; i < G_N_ELEMENTS(ops); i++) {
		for (uint64_t nth = 1; nth < 10; nth++) {
			struct wb_fault fault = { .op = ops[i], .io_class = WB_FAULT_ANY,
						  .first = nth };
			struct wb_store *memory = copy_of_disk();
			struct wb_store *faulty = wb_store_faulty_new(memory);
			g_autoptr(GError) error = NULL;
			struct wb_recovery *r = look(memory);

			wb_store_faulty_add(faulty, &fault);
			if (!wb_repair_apply(faulty, r, &error)) {
				cr_expect(strstr(error->message, "cannot be repaired: "),
					  "%s", error->message);
				cr_expect(strstr(error->message, "failed: Input/output error"),
					  "%s", error->message);
				failures++;
			}
			wb_recovery_free(r);
			finish(memory, 5);
			wb_store_close(faulty);
		}
	}
	cr_expect_eq(failures, 5);
}
