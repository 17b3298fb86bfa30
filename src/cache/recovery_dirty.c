/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is dirty, for people. From the newest entry to the oldest: a block
 * counts when it is met first and no newer extent covers it. So no entry is
 * looked at twice, however many extents there are.
 */
#include <glib.h>

#include "cache/recovery.h"
#include "format/endian.h"

struct range {
	uint64_t start, end;
};

static gint compare_ranges(gconstpointer a, gconstpointer b, gpointer unused)
{
	const struct range *x = a, *y = b;

	(void)unused;
	return x->start < y->start ? -1 : x->start > y->start;
}

/* The last range that begins at or before `address`. */
static struct range *find_range(GTree *ranges, uint64_t address)
{
	struct range key = { .start = address };
	GTreeNode *node = g_tree_upper_bound(ranges, &key);

	node = node ? g_tree_node_previous(node) : g_tree_node_last(ranges);
	return node ? g_tree_node_key(node) : NULL;
}

static bool is_covered(GTree *ranges, uint64_t address)
{
	const struct range *range = find_range(ranges, address);

	return range && address < range->end;
}

/* Ranges in the tree never touch each other. */
static void cover(GTree *ranges, uint64_t start, uint64_t end)
{
	struct range *range = find_range(ranges, start);
	struct range key = { .start = start };
	GTreeNode *node;

	if (!range || range->end < start) {
		range = g_new(struct range, 1);
		*range = (struct range){ .start = start, .end = end };
		g_tree_insert(ranges, range, range);
	}
	range->end = MAX(range->end, end);
	while ((node = g_tree_upper_bound(ranges, &key)) != NULL) {
		struct range *next = g_tree_node_key(node);

		if (next->start > range->end)
			break;
		range->end = MAX(range->end, next->end);
		g_tree_remove(ranges, next);
	}
}

struct count {
	struct wb_recovery_dirty *dirty;
	GHashTable *seen;
	GTree *ranges;
};

static void count_entry(struct count *count, const struct wb_entry_disk *e)
{
	uint64_t address = wb_get_le48(e->address);
	uint32_t blocks = wb_get_le32(e->crc_or_length);

	switch (e->type) {
	case WB_ENTRY_DATA:
		if (!is_covered(count->ranges, address) &&
		    g_hash_table_add(count->seen, GSIZE_TO_POINTER(address)))
			count->dirty->dirty_blocks++;
		break;
	case WB_ENTRY_DISCARD:
	case WB_ENTRY_BAD:
		count->dirty->extents++;
		cover(count->ranges, address, address + blocks);
		break;
	case WB_ENTRY_BYPASS:
		/* the backing has what is newer */
		cover(count->ranges, address, address + blocks);
		break;
	default:
		/* VOID is nothing; CLEAN never replaces dirty */
		break;
	}
}

void wb_recovery_count_dirty(const struct wb_recovery *recovery,
			     struct wb_recovery_dirty *dirty)
{
	struct count count = { .dirty = dirty };

	*dirty = (struct wb_recovery_dirty){ 0 };
	count.seen = g_hash_table_new(g_direct_hash, g_direct_equal);
	count.ranges = g_tree_new_full(compare_ranges, NULL, g_free, NULL);
	for (guint i = recovery->records->len; i-- > 0;) {
		const struct wb_recovery_record *record =
			&g_array_index(recovery->records, struct wb_recovery_record, i);

		if (!record->is_live)
			break;
		for (unsigned j = record->entry_count; j-- > 0;)
			count_entry(&count, &g_array_index(recovery->entries,
						struct wb_entry_disk, record->first_entry + j));
	}
	g_tree_unref(count.ranges);
	g_hash_table_unref(count.seen);
}
