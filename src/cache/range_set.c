/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Ranges in the tree never touch each other: each is merged away at most once,
 * so that the cost does not grow with how the ranges lie over each other. */
#include "cache/range_set.h"

#include <glib.h>

struct wb_range_set {
	GTree *ranges;		/* of struct range, which is key and value */
};

struct range {
	uint64_t start, end;
};

static gint compare_ranges(gconstpointer a, gconstpointer b, gpointer unused)
{
	const struct range *x = a, *y = b;

	(void)unused;
	return x->start < y->start ? -1 : x->start > y->start;
}

struct wb_range_set *wb_range_set_new(void)
{
	struct wb_range_set *set = g_new(struct wb_range_set, 1);

	set->ranges = g_tree_new_full(compare_ranges, NULL, g_free, NULL);
	return set;
}

void wb_range_set_free(struct wb_range_set *set)
{
	if (!set)
		return;
	g_tree_unref(set->ranges);
	g_free(set);
}

/* The last range that begins at or before `address`. */
static struct range *find_range(GTree *ranges, uint64_t address)
{
	struct range key = { .start = address };
	GTreeNode *node = g_tree_upper_bound(ranges, &key);

	node = node ? g_tree_node_previous(node) : g_tree_node_last(ranges);
	return node ? g_tree_node_key(node) : NULL;
}

bool wb_range_set_has(struct wb_range_set *set, uint64_t address)
{
	const struct range *range = find_range(set->ranges, address);

	return range && address < range->end;
}

static struct range *insert(GTree *ranges, uint64_t start)
{
	struct range *range = g_new(struct range, 1);

	*range = (struct range){ .start = start, .end = start };
	g_tree_insert(ranges, range, range);
	return range;
}

void wb_range_set_cover(struct wb_range_set *set, uint64_t start, uint64_t end,
			void (*gap)(void *arg, uint64_t start, uint64_t end), void *arg)
{
	struct range *range = find_range(set->ranges, start);
	struct range key = { .start = start };
	GTreeNode *node;
	uint64_t at;		/* up to here all is in the set */

	if (!range || range->end < start)
		range = insert(set->ranges, start);
	at = range->end;
	while ((node = g_tree_upper_bound(set->ranges, &key)) != NULL) {
		struct range *next = g_tree_node_key(node);

		if (next->start > end)
			break;
		if (gap && at < next->start)
			gap(arg, at, next->start);
		at = next->end;
		g_tree_remove(set->ranges, next);
	}
	if (gap && at < end)
		gap(arg, at, end);
	range->end = MAX(at, end);
}
