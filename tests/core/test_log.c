/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The head of the log: places, order, sealing, and the reserve. */
#include <criterion/criterion.h>

#include "cache/limits.h"
#include "cache/log.h"

#define SEGMENT_BLOCKS 16u

static struct wb_geometry g;
static struct wb_segment_table *segments;
static struct wb_rambuf *rambuf;
static struct wb_log *log_;
static int sealed_count;

static void sealed(void *arg)
{
	(*(int *)arg)++;
}

static void start(void)
{
	struct wb_log_start at = { .uuid = "uuid of a test", .epoch = 1, .epoch_start = 1,
				   .tail_segment = 1, .tail_sequence = 1 };

	cr_assert_eq(wb_geometry_compute(&g, 2 << 20, 65536, 1 << 20), WB_GEOMETRY_OK);
	segments = wb_segment_table_new(&g, NULL);
	rambuf = wb_rambuf_new(&(struct wb_cache_memory){ 0 }, &(struct wb_region_shape){
			.buffer_count = 4 + WB_RAMBUF_SPARE_COUNT, .segment_bytes = 65536,
			.request_count = 1 }, NULL);
	log_ = wb_log_new(&g, segments, rambuf, &at);
	wb_log_set_sealed(log_, sealed, &sealed_count);
	wb_log_set_limit(log_, 4);
}

static void stop(void)
{
	wb_log_free(log_);
	wb_rambuf_free(rambuf);
	wb_segment_table_free(segments);
}

TestSuite(log, .init = start, .fini = stop);

static uint32_t reserve(uint32_t wanted)
{
	struct wb_reservation reservation;

	if (!wb_log_reserve(log_, WB_LOG_DATA, wanted, &reservation))
		return 0;
	wb_log_reservation_done(log_, &reservation);
	return reservation.count;
}

static bool append_extent(enum wb_log_use use)
{
	struct wb_record *record;

	if (!wb_log_append_extent(log_, use, &(struct wb_log_extent){
			.type = WB_ENTRY_DISCARD, .first = 0, .count = 1 }, &record))
		return false;
	wb_log_extent_done(log_, record);
	return true;
}

Test(log, the_first_reservation_opens_the_first_segment)
{
	struct wb_reservation r;
	struct wb_log_head head;

	cr_assert(wb_log_reserve(log_, WB_LOG_DATA, 3, &r));
	cr_expect_eq(r.count, 3);
	cr_expect_eq(r.first_block, 1, "behind its header");
	cr_expect_eq(r.record->sequence, 1);
	cr_expect_eq(r.record->segment_id, 1);
	cr_expect_eq(wb_log_reserved_slot(&r, 2), 3);
	wb_log_get_head(log_, &head);
	cr_expect(head.segment_id == 1 && head.last_sequence == 1 && head.has_open_record);
	wb_log_reservation_done(log_, &r);
}

Test(log, a_reservation_never_crosses_a_segment)
{
	cr_expect_eq(reserve(10), 10);
	cr_expect_eq(reserve(10), SEGMENT_BLOCKS - 11);
	cr_expect_gt(sealed_count, 0);
	cr_expect_eq(wb_log_sealed_sequence(log_), 1);
}

Test(log, a_sealed_record_takes_no_more)
{
	cr_expect_eq(reserve(2), 2);
	wb_log_seal(log_, 1);
	cr_expect_eq(wb_log_sealed_sequence(log_), 1);
	cr_expect_eq(reserve(2), 2);
	cr_expect_eq(wb_log_last_sequence(log_), 2);
	cr_expect_eq(wb_log_record(log_, 2)->block_offset, 3, "behind the first record");
}

Test(log, sealing_looks_at_the_sequence_asked_for)
{
	cr_expect_eq(reserve(1), 1);
	wb_log_seal(log_, 0);
	cr_expect_eq(wb_log_sealed_sequence(log_), 0);
	wb_log_seal(log_, 100);
	cr_expect_eq(wb_log_sealed_sequence(log_), 1);
}

/* Limit 4: data may open segments 1 and 2, extents 3 too, carried entries all. */
Test(log, each_use_stops_where_its_reserve_begins)
{
	struct wb_reservation r;
	unsigned blocks = 0;

	while (reserve(SEGMENT_BLOCKS))
		cr_assert_lt(blocks++, 100);
	cr_expect_eq(blocks, 2);
	cr_assert(append_extent(WB_LOG_EXTENT));
	/* What was opened out of the reserve stays for what it is for. */
	cr_expect_eq(reserve(1), 0);
	cr_expect(append_extent(WB_LOG_EXTENT));
	cr_assert(wb_log_reserve(log_, WB_LOG_CARRY, SEGMENT_BLOCKS, &r));
	cr_expect_eq(r.record->segment_id, 3);
	cr_expect_eq(r.count, SEGMENT_BLOCKS - 1);
	wb_log_reservation_done(log_, &r);
	cr_expect_not(append_extent(WB_LOG_EXTENT), "the last segment is for carried ones");
	cr_assert(wb_log_reserve(log_, WB_LOG_CARRY, 1, &r));
	cr_expect_eq(r.record->segment_id, 4);
	wb_log_reservation_done(log_, &r);
}

/* A copy of a read leaves more than what is to stay of a place that is used again, and
 * that leaves more than data. */
Test(log, copies_of_reads_open_a_segment_only_while_there_are_places_to_spare)
{
	struct wb_reservation r;

	/* Of the reserve for fills one more is ready. */
	wb_log_set_limit(log_, WB_RESERVE_FILL + 1);
	cr_assert(wb_log_reserve(log_, WB_LOG_FILL, SEGMENT_BLOCKS, &r));
	wb_log_reservation_done(log_, &r);
	cr_expect_eq(wb_log_ready_count(log_), WB_RESERVE_FILL);
	cr_expect_not(wb_log_reserve(log_, WB_LOG_FILL, 1, &r));
	while (wb_log_reserve(log_, WB_LOG_AGAIN, SEGMENT_BLOCKS, &r))
		wb_log_reservation_done(log_, &r);
	cr_expect_eq(wb_log_ready_count(log_), WB_RESERVE_AGAIN);
	cr_expect_eq(wb_log_last_change(log_), 0, "a sync is not about them");
	cr_expect_eq(reserve(1), 1);
}

Test(log, a_higher_limit_lets_it_go_on_round_the_ring)
{
	for (uint64_t id = 1; id <= g.segment_count + 2; id++) {
		struct wb_segment *segment = wb_segment_of_id(segments, id);

		wb_log_set_limit(log_, MAX(id + WB_RESERVE_DATA, 4));
		/* As reclaim and the flush engine leave it. */
		segment->ram_index = WB_NO_RAM_BUFFER;
		segment->ram_pins = WB_RAM_CLOSED;
		cr_assert_eq(reserve(SEGMENT_BLOCKS), SEGMENT_BLOCKS - 1);
		cr_expect_eq(segment->id, id);
		wb_rambuf_give_back(rambuf, segment->ram_index);
		segment->ram_index = WB_NO_RAM_BUFFER;
	}
	cr_expect_eq(wb_segment_at(segments, 0)->id, g.segment_count + 1);
}

Test(log, without_a_ram_buffer_nothing_is_opened)
{
	wb_log_set_limit(log_, 8);
	for (unsigned i = 0; i < 4; i++)
		cr_expect_eq(reserve(SEGMENT_BLOCKS), SEGMENT_BLOCKS - 1);
	cr_expect_eq(reserve(1), 0);
}

Test(log, extents_need_no_block_and_fill_a_record)
{
	for (unsigned i = 0; i < WB_RECORD_ENTRIES_MAX; i++)
		cr_assert(append_extent(WB_LOG_EXTENT));
	cr_expect_eq(wb_log_sealed_sequence(log_), 1);
	cr_expect_eq(wb_log_record(log_, 1)->block_count, 0);
	cr_expect_eq(wb_segment_table_dirty(segments), WB_RECORD_ENTRIES_MAX);
}

Test(log, a_data_entry_is_VOID_until_its_writer_sets_it)
{
	struct wb_reservation r;
	struct wb_entry entry;

	cr_assert(wb_log_reserve(log_, WB_LOG_DATA, 1, &r));
	wb_record_get_entry(r.record->header, r.first_entry, &entry);
	cr_expect_eq(entry.type, WB_ENTRY_VOID);
	cr_expect_eq(r.record->copies, 1);
	wb_log_seal(log_, 1);
	sealed_count = 0;
	wb_log_reservation_done(log_, &r);
	cr_expect_eq(r.record->copies, 0);
	cr_expect_eq(sealed_count, 1, "the last copy of a sealed record is told");
}
