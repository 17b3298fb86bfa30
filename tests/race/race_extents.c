/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of extents, which is asked without its lock whether there is anything in it.
 * One range is discarded over and over, and some of it is written and discarded again: the
 * blocks beside that are discarded at every moment, whoever asks.
 */
#include <glib.h>
#include <stdatomic.h>
#include <stdio.h>

#include "cache/extent_table.h"

#define ROUNDS 1000000
#define RANGE_BLOCKS 100u
#define WRITTEN_FROM 50u	/* to the end of the range */
#define ASKED 5u

static struct wb_segment_table *segments;
static struct wb_extent_table *table;
static atomic_bool has_begun, is_over;

static void discard(uint64_t first, uint64_t count, uint64_t sequence)
{
	struct wb_extent extent = { .first = first, .count = count, .sequence = sequence,
				    .segment_id = 1, .kind = WB_EXTENT_ZERO };

	g_assert(wb_extent_table_reserve(table));
	wb_segment_add_dirty(segments, wb_segment_of_id(segments, 1), 1);
	wb_extent_table_insert(table, &extent);
}

/* How often the discard was not there. */
static gpointer ask_main(gpointer data)
{
	guint missing = 0;

	(void)data;
	atomic_store(&has_begun, true);
	while (!atomic_load(&is_over)) {
		uint64_t until;

		/* Mostly without the lock, which keeps the other thread from any change. */
		for (unsigned i = 0; i < 64; i++)
			missing += wb_extent_table_is_empty(table);
		missing += wb_extent_table_lookup(table, ASKED, &until) != WB_EXTENT_ZERO;
	}
	return GUINT_TO_POINTER(missing);
}

int main(void)
{
	struct wb_geometry geometry = { .segment_count = 8, .segment_blocks = 16,
					.segment_bytes = 65536, .slot_count = 128 };
	GThread *asker;
	guint missing;

	segments = wb_segment_table_new(&geometry, NULL);
	table = wb_extent_table_new(segments, 8);
	discard(0, RANGE_BLOCKS, 1);
	asker = g_thread_new("race", ask_main, NULL);
	while (!atomic_load(&has_begun))
		g_thread_yield();
	for (uint64_t i = 2; i < ROUNDS; i++) {
		discard(0, RANGE_BLOCKS, i);
		if (i % 3 == 0)
			wb_extent_table_carve(table, WRITTEN_FROM,
					      RANGE_BLOCKS - WRITTEN_FROM, WB_EXTENT_NONE);
	}
	atomic_store(&is_over, true);
	missing = GPOINTER_TO_UINT(g_thread_join(asker));
	wb_extent_table_free(table);
	wb_segment_table_free(segments);

	printf("%sok 1 - a discard is there while one takes the place of another\n",
	       missing ? "not " : "");
	printf("1..1\n");
	return 0;
}
