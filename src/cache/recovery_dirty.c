/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is dirty, for people. From the newest entry to the oldest: a block
 * counts when it is met first and no newer extent covers it. So no entry is
 * looked at twice, however many extents there are.
 */
#include <glib.h>

#include "cache/range_set.h"
#include "cache/recovery.h"
#include "format/endian.h"

struct count {
	struct wb_recovery_dirty *dirty;
	GHashTable *seen;
	struct wb_range_set *covered;	/* by extents that are newer */
};

static void count_entry(struct count *count, const struct wb_entry_disk *e)
{
	uint64_t address = wb_get_le48(e->address);
	uint32_t blocks = wb_get_le32(e->crc_or_length);

	switch (e->type) {
	case WB_ENTRY_DATA:
		if (!wb_range_set_has(count->covered, address) &&
		    g_hash_table_add(count->seen, GSIZE_TO_POINTER(address)))
			count->dirty->dirty_blocks++;
		break;
	case WB_ENTRY_DISCARD:
	case WB_ENTRY_BAD:
		count->dirty->extents++;
		wb_range_set_cover(count->covered, address, address + blocks, NULL, NULL);
		break;
	case WB_ENTRY_BYPASS:
		/* the backing has what is newer */
		wb_range_set_cover(count->covered, address, address + blocks, NULL, NULL);
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
	count.covered = wb_range_set_new();
	for (guint i = recovery->records->len; i-- > 0;) {
		const struct wb_recovery_record *record =
			&g_array_index(recovery->records, struct wb_recovery_record, i);

		if (!record->is_live)
			break;
		for (unsigned j = record->entry_count; j-- > 0;)
			count_entry(&count, &g_array_index(recovery->entries,
						struct wb_entry_disk, record->first_entry + j));
	}
	wb_range_set_free(count.covered);
	g_hash_table_unref(count.seen);
}
