/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The segment table: counts, and pins that keep a place or a buffer. */
#include <criterion/criterion.h>
#include <string.h>

#include "cache/segment_table.h"

static struct wb_segment_table *table;
static int unpinned_calls;

static void unpinned(void *arg)
{
	(*(int *)arg)++;
}

static void start(void)
{
	struct wb_geometry g = { .segment_count = 8, .segment_blocks = 16,
				 .segment_bytes = 65536, .slot_count = 128 };

	table = wb_segment_table_new(&g, NULL);
	wb_segment_table_set_unpinned(table, unpinned, &unpinned_calls);
}

static void stop(void)
{
	wb_segment_table_free(table);
}

TestSuite(segments, .init = start, .fini = stop);

Test(segments, ids_and_slots_name_places)
{
	cr_expect_eq(wb_segment_of_id(table, 1), wb_segment_at(table, 0));
	cr_expect_eq(wb_segment_of_id(table, 9), wb_segment_at(table, 0));
	cr_expect_eq(wb_segment_of_id(table, 16), wb_segment_at(table, 7));
	cr_expect_eq(wb_segment_of_slot(table, 15), wb_segment_at(table, 0));
	cr_expect_eq(wb_segment_of_slot(table, 16), wb_segment_at(table, 1));
}

Test(segments, dirty_things_are_counted_in_the_segment_and_in_all)
{
	wb_segment_add_dirty(table, wb_segment_at(table, 1), 1);
	wb_segment_add_dirty(table, wb_segment_at(table, 1), 1);
	wb_segment_add_dirty(table, wb_segment_at(table, 2), 1);
	wb_segment_sub_dirty(table, wb_segment_at(table, 1));
	cr_expect_eq(wb_segment_at(table, 1)->dirty_count, 1);
	cr_expect_eq(wb_segment_table_dirty(table), 2);
}

Test(segments, the_last_unpin_tells_who_asked_once)
{
	struct wb_segment *segment = wb_segment_at(table, 0);

	wb_segment_pin(segment);
	wb_segment_pin(segment);
	wb_segment_table_want_unpinned(table);
	wb_segment_unpin(table, segment);
	cr_expect_eq(unpinned_calls, 0);
	wb_segment_unpin(table, segment);
	cr_expect_eq(unpinned_calls, 1);
	wb_segment_pin(segment);
	wb_segment_unpin(table, segment);
	cr_expect_eq(unpinned_calls, 1, "nobody asked again");
}

Test(segments, without_a_buffer_there_is_nothing_to_pin)
{
	cr_expect_not(wb_segment_try_ram_pin(wb_segment_at(table, 0)));
}

Test(segments, a_buffer_is_closed_when_its_last_reader_has_gone)
{
	struct wb_segment *segment = wb_segment_at(table, 0);

	segment->ram_index = 3;
	segment->ram_pins = 0;
	cr_assert(wb_segment_try_ram_pin(segment));
	wb_segment_table_want_unpinned(table);
	cr_expect_not(wb_segment_ram_close(segment));
	cr_expect_not(wb_segment_try_ram_pin(segment), "it is closed to new readers");
	wb_segment_ram_unpin(table, segment);
	cr_expect_eq(unpinned_calls, 1);
	cr_expect(wb_segment_ram_close(segment));
}

/* More than there are addresses. */
Test(segments, that_there_is_no_memory_for_so_many_is_told)
{
	struct wb_geometry g = { .segment_count = UINT64_C(1) << 42 };
	g_autoptr(GError) error = NULL;

	cr_assert_null(wb_segment_table_new(&g, &error));
	cr_expect(strstr(error->message, "MiB of memory for the table of segments: "), "%s",
		  error->message);
}
