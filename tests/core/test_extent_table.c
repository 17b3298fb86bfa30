/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>

#include "cache/extent_table.h"
#include "support/prng.h"

static struct wb_segment_table *segments;
static struct wb_extent_table *table;

static void start(void)
{
	struct wb_geometry g = { .segment_count = 8, .segment_blocks = 16,
				 .segment_bytes = 65536, .slot_count = 128 };

	segments = wb_segment_table_new(&g, NULL);
	table = wb_extent_table_new(segments, 100);
}

static void stop(void)
{
	wb_extent_table_free(table);
	wb_segment_table_free(segments);
}

TestSuite(extent_table, .init = start, .fini = stop);

/* As the log does it: counted first, then inserted. */
static bool insert(uint64_t first, uint64_t count, uint64_t sequence,
		   enum wb_extent_kind kind)
{
	struct wb_extent extent = { .first = first, .count = count, .sequence = sequence,
				    .segment_id = 1 + sequence % 8, .kind = kind };

	if (!wb_extent_table_reserve(table))
		return false;
	wb_segment_add_dirty(segments, wb_segment_of_id(segments, extent.segment_id), 1);
	wb_extent_table_insert(table, &extent);
	return true;
}

static enum wb_extent_kind kind_of(uint64_t address)
{
	uint64_t until;

	return wb_extent_table_lookup(table, address, &until);
}

Test(extent_table, a_look_up_says_what_holds_and_until_where)
{
	uint64_t until;

	cr_assert(insert(10, 5, 1, WB_EXTENT_ZERO));
	cr_expect_eq(wb_extent_table_lookup(table, 3, &until), WB_EXTENT_NONE);
	cr_expect_eq(until, 10);
	cr_expect_eq(wb_extent_table_lookup(table, 10, &until), WB_EXTENT_ZERO);
	cr_expect_eq(until, 15);
	cr_expect_eq(wb_extent_table_lookup(table, 15, &until), WB_EXTENT_NONE);
	cr_expect_eq(until, UINT64_MAX);
}

Test(extent_table, the_newer_extent_cuts_the_older_and_both_halves_stay)
{
	cr_assert(insert(0, 100, 1, WB_EXTENT_ZERO));
	cr_assert(insert(40, 20, 2, WB_EXTENT_BAD));
	cr_expect_eq(kind_of(39), WB_EXTENT_ZERO);
	cr_expect_eq(kind_of(40), WB_EXTENT_BAD);
	cr_expect_eq(kind_of(59), WB_EXTENT_BAD);
	cr_expect_eq(kind_of(60), WB_EXTENT_ZERO);
	cr_expect_eq(wb_extent_table_count(table), 3);
	cr_expect_eq(wb_segment_of_id(segments, 2)->dirty_count, 2, "one for each half");
}

Test(extent_table, neighbours_of_one_record_become_one)
{
	for (unsigned i = 0; i < 20; i++)
		cr_assert(insert(i * 4, 4, 1, WB_EXTENT_ZERO));
	cr_expect_eq(wb_extent_table_count(table), 1);
	cr_expect_eq(wb_segment_table_dirty(segments), 1);
}

Test(extent_table, carving_takes_out_one_kind_only)
{
	cr_assert(insert(0, 10, 1, WB_EXTENT_ZERO));
	cr_assert(insert(20, 10, 2, WB_EXTENT_BAD));
	wb_extent_table_carve(table, 5, 20, WB_EXTENT_BAD);
	cr_expect_eq(kind_of(7), WB_EXTENT_ZERO);
	cr_expect_eq(kind_of(22), WB_EXTENT_NONE);
	cr_expect_eq(kind_of(27), WB_EXTENT_BAD);
	wb_extent_table_carve(table, 0, 30, WB_EXTENT_NONE);
	cr_expect(wb_extent_table_is_empty(table));
	cr_expect_eq(wb_segment_table_dirty(segments), 0);
}

Test(extent_table, zeros_that_are_not_durable_are_neither_punched_nor_finished)
{
	struct wb_extent extent;

	cr_assert(insert(0, 10, 5, WB_EXTENT_ZERO));
	cr_assert(insert(20, 10, 6, WB_EXTENT_ZERO));
	cr_expect(wb_extent_table_next_zero(table, 0, 5, &extent));
	cr_expect_eq(extent.first, 0);
	cr_expect_not(wb_extent_table_next_zero(table, 10, 5, &extent));
	cr_expect_eq(wb_extent_table_finish_zeros(table, 0, UINT64_MAX, 5), 1);
	cr_expect_eq(kind_of(0), WB_EXTENT_NONE);
	cr_expect_eq(kind_of(20), WB_EXTENT_ZERO);
}

Test(extent_table, it_refuses_when_it_is_full_and_takes_again_when_it_is_not)
{
	unsigned count = 0;

	while (insert(count * 10, 5, count + 1, WB_EXTENT_ZERO))
		cr_assert_lt(count++, 1000);
	cr_expect_geq(count, 90);
	cr_expect_leq(wb_extent_table_count(table), 100);
	wb_extent_table_finish_zeros(table, 0, UINT64_MAX, 10);
	cr_expect(insert(5, 3, 5000, WB_EXTENT_ZERO));
}

Test(extent_table, a_reservation_that_is_not_used_is_given_back)
{
	for (unsigned i = 0; i < 1000; i++) {
		cr_assert(wb_extent_table_reserve(table));
		wb_extent_table_unreserve(table);
	}
}

Test(extent_table, it_agrees_with_a_plain_array_in_any_history)
{
	enum wb_extent_kind wanted[200] = { WB_EXTENT_NONE };
	struct wb_prng prng;

	wb_prng_init(&prng, 1);
	for (unsigned i = 1; i < 5000; i++) {
		uint64_t first = wb_prng_below(&prng, 180), count = 1 + wb_prng_below(&prng, 20);
		enum wb_extent_kind kind = i % 2 ? WB_EXTENT_ZERO : WB_EXTENT_BAD;

		if (wb_prng_below(&prng, 3) == 0) {
			wb_extent_table_carve(table, first, count, kind);
			for (uint64_t a = first; a < first + count; a++)
				wanted[a] = wanted[a] == kind ? WB_EXTENT_NONE : wanted[a];
		} else if (insert(first, count, i, kind)) {
			for (uint64_t a = first; a < first + count; a++)
				wanted[a] = kind;
		}
		for (uint64_t a = 0; a < 200; a++)
			cr_assert_eq(kind_of(a), wanted[a], "step %u address %lu", i, a);
		cr_assert_eq(wb_segment_table_dirty(segments), wb_extent_table_count(table));
	}
}

Test(extent_table, that_there_is_no_memory_for_more_is_told_and_it_stays_as_it_is)
{
	cr_assert(insert(10, 5, 1, WB_EXTENT_ZERO));
	cr_expect_not(wb_extent_table_make_room(table, SIZE_MAX / 16));
	cr_assert(insert(20, 5, 2, WB_EXTENT_ZERO));
	cr_expect(wb_extent_table_make_room(table, 1000));
	cr_expect(kind_of(14) == WB_EXTENT_ZERO && kind_of(24) == WB_EXTENT_ZERO);
	for (unsigned i = 0; i < 400; i++)
		cr_assert(insert(100 + 2 * i, 1, 3, WB_EXTENT_ZERO));
}
