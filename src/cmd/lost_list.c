/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/lost_list.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cache/repair.h"

struct range {
	uint64_t first, end;	/* blocks */
	const char *why;
};

GArray *wb_lost_list_new(void)
{
	return g_array_new(FALSE, FALSE, sizeof(struct range));
}

void wb_lost_list_add(GArray *list, uint64_t first, uint64_t count, const char *why)
{
	struct range range = { .first = first, .end = first + count, .why = why };

	g_array_append_val(list, range);
}

static gint compare(gconstpointer a, gconstpointer b)
{
	const struct range *x = a, *y = b;

	if (x->first == y->first)
		return strcmp(x->why, y->why);
	return x->first < y->first ? -1 : 1;
}

static void merge(GArray *list)
{
	struct range *all = (struct range *)list->data;
	guint kept = 0;

	g_array_sort(list, compare);
	for (guint i = 0; i < list->len; i++) {
		if (kept && !strcmp(all[kept - 1].why, all[i].why) &&
		    all[kept - 1].end == all[i].first)
			all[kept - 1].end = all[i].end;
		else
			all[kept++] = all[i];
	}
	g_array_set_size(list, kept);
}

uint64_t wb_lost_list_print(GArray *list, const char *word, uint64_t image_bytes)
{
	uint64_t blocks = 0;

	merge(list);
	for (guint i = 0; i < list->len; i++) {
		const struct range *range = &g_array_index(list, struct range, i);

		printf("%s: bytes %" PRIu64 " to %" PRIu64 " of the image: %s\n", word,
		       range->first * WB_BLOCK_BYTES,
		       MIN(range->end * WB_BLOCK_BYTES, image_bytes) - 1, range->why);
		blocks += range->end - range->first;
	}
	return blocks;
}

void wb_lost_list_print_repair(const struct wb_recovery *recovery, const char *word)
{
	g_autoptr(GArray) changed = wb_repair_list_lost(recovery);
	g_autoptr(GArray) gaps = wb_repair_list_gaps(recovery);
	g_autoptr(GArray) list = wb_lost_list_new();

	for (guint i = 0; i < changed->len; i++) {
		const struct wb_repair_range *range =
			&g_array_index(changed, struct wb_repair_range, i);

		wb_lost_list_add(list, range->first, range->count,
				 range->loss == WB_REPAIR_LOST_DISCARD ?
				 "discarded by a record behind the damage" :
				 "written by a record behind the damage");
	}
	wb_lost_list_print(list, word, recovery->superblock.geometry.backing_bytes);
	for (guint i = 0; i < gaps->len; i++) {
		const struct wb_repair_gap *gap = &g_array_index(gaps, struct wb_repair_gap, i);

		printf("%s: unknown ranges of the image: record", word);
		if (gap->first == gap->last)
			printf(" %" PRIu64 " cannot be read\n", gap->first);
		else
			printf("s %" PRIu64 " to %" PRIu64 " cannot be read\n", gap->first,
			       gap->last);
	}
}
