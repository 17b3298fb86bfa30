/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From the newest entry to the oldest: the first that names a block decides it
 * alone, because
 *  - a DATA entry holds all that was dirty in the block: a write merges older
 *    dirty sectors into the new version;
 *  - DATA over a pending discard holds the whole block. One that does not was
 *    written after the punch was on the backing: the discard must not be
 *    applied again, it would destroy what was written back since;
 *  - over DISCARD and BAD nothing older shows; under a BYPASS the backing has
 *    what is newer;
 *  - VOID is nothing, and what CLEAN holds, the backing has.
 */
#include "cache/recovery_replay.h"

#include "cache/range_set.h"
#include "format/endian.h"

struct replaying {
	struct wb_replay *replay;
	struct wb_range_set *covered;	/* by extents that are newer */
	bool is_lost;			/* of the extent that is being added */
};

static void add_extent(void *arg, uint64_t start, uint64_t end)
{
	struct replaying *replaying = arg;
	struct wb_replay_extent extent = {
		.first = start, .count = end - start, .is_lost = replaying->is_lost,
	};

	g_array_append_val(replaying->replay->extents, extent);
}

static void take_entry(struct replaying *replaying, const struct wb_entry_disk *e,
		       uint32_t slot)
{
	uint64_t address = wb_get_le48(e->address);
	uint32_t word = wb_get_le32(e->crc_or_length);
	struct wb_replay_block block = {
		.address = address, .mask = e->mask, .slot = slot, .crc = word,
	};

	switch (e->type) {
	case WB_ENTRY_DATA:
		if (!wb_range_set_has(replaying->covered, address))
			g_array_append_val(replaying->replay->blocks, block);
		break;
	case WB_ENTRY_DISCARD:
	case WB_ENTRY_BAD:
		replaying->is_lost = e->type == WB_ENTRY_BAD;
		wb_range_set_cover(replaying->covered, address, address + word, add_extent,
				   replaying);
		break;
	case WB_ENTRY_BYPASS:
		wb_range_set_cover(replaying->covered, address, address + word, NULL, NULL);
		break;
	default:
		break;
	}
}

static void replay_record(struct replaying *replaying, const struct wb_recovery *recovery,
			  const struct wb_recovery_record *record)
{
	const struct wb_geometry *geometry = &recovery->superblock.geometry;
	const struct wb_entry_disk *entries = &g_array_index(recovery->entries,
			struct wb_entry_disk, record->first_entry);
	uint64_t place = wb_geometry_place(geometry, record->segment_id);
	uint32_t block = record->block_offset + 1;

	for (unsigned i = 0; i < record->entry_count; i++)
		block += wb_entry_has_block(entries[i].type);
	for (unsigned i = record->entry_count; i-- > 0;) {
		block -= wb_entry_has_block(entries[i].type);
		take_entry(replaying, &entries[i], wb_geometry_slot(geometry, place, block));
	}
}

/* --- order -------------------------------------------------------------------- */

static gint compare_blocks(gconstpointer a, gconstpointer b)
{
	const struct wb_replay_block *x = a, *y = b;

	return x->address < y->address ? -1 : x->address > y->address;
}

static gint compare_extents(gconstpointer a, gconstpointer b)
{
	const struct wb_replay_extent *x = a, *y = b;

	return x->first < y->first ? -1 : x->first > y->first;
}

/* The sort is stable: of equal addresses the newest comes first. */
static void keep_newest(GArray *blocks)
{
	struct wb_replay_block *all = (struct wb_replay_block *)blocks->data;
	guint kept = 0;

	g_array_sort(blocks, compare_blocks);
	for (guint i = 0; i < blocks->len; i++)
		if (!kept || all[kept - 1].address != all[i].address)
			all[kept++] = all[i];
	g_array_set_size(blocks, kept);
}

static void append_part(GArray *extents, const struct wb_replay_extent *extent, uint64_t start,
			uint64_t end)
{
	struct wb_replay_extent part = {
		.first = start, .count = end - start, .is_lost = extent->is_lost,
	};

	if (start < end)
		g_array_append_val(extents, part);
}

/* What has a block of its own leaves the extents: it is newer. */
static void carve_blocks(struct wb_replay *replay)
{
	GArray *carved = g_array_new(FALSE, FALSE, sizeof(struct wb_replay_extent));
	guint next = 0;

	g_array_sort(replay->extents, compare_extents);
	for (guint i = 0; i < replay->extents->len; i++) {
		const struct wb_replay_extent *extent =
			&g_array_index(replay->extents, struct wb_replay_extent, i);
		uint64_t at = extent->first, end = extent->first + extent->count;

		for (; next < replay->blocks->len; next++) {
			uint64_t address = g_array_index(replay->blocks,
							 struct wb_replay_block, next).address;

			if (address >= end)
				break;
			if (address < at)
				continue;
			append_part(carved, extent, at, address);
			at = address + 1;
		}
		append_part(carved, extent, at, end);
	}
	g_array_unref(replay->extents);
	replay->extents = carved;
}

/* --- doors --------------------------------------------------------------------- */

struct wb_replay *wb_replay_new(const struct wb_recovery *recovery)
{
	struct wb_replay *replay = g_new(struct wb_replay, 1);
	struct replaying replaying = { .replay = replay, .covered = wb_range_set_new() };

	replay->blocks = g_array_new(FALSE, FALSE, sizeof(struct wb_replay_block));
	replay->extents = g_array_new(FALSE, FALSE, sizeof(struct wb_replay_extent));
	for (guint i = recovery->records->len; i-- > 0;) {
		const struct wb_recovery_record *record =
			&g_array_index(recovery->records, struct wb_recovery_record, i);

		if (!record->is_live)
			break;
		replay_record(&replaying, recovery, record);
	}
	wb_range_set_free(replaying.covered);
	keep_newest(replay->blocks);
	carve_blocks(replay);
	return replay;
}

void wb_replay_free(struct wb_replay *replay)
{
	if (!replay)
		return;
	g_array_unref(replay->blocks);
	g_array_unref(replay->extents);
	g_free(replay);
}

static gint compare_place(gconstpointer a, gconstpointer b)
{
	const struct wb_replay_extent *extent = a, *wanted = b;

	if (extent->first + extent->count <= wanted->first)
		return -1;
	return extent->first > wanted->first;
}

bool wb_replay_is_whole(const struct wb_replay *replay, const struct wb_geometry *geometry,
			uint64_t address)
{
	struct wb_replay_block block = { .address = address };
	struct wb_replay_extent extent = { .first = address, .count = 1 };
	guint at;

	if (g_array_binary_search(replay->blocks, &block, compare_blocks, &at))
		return g_array_index(replay->blocks, struct wb_replay_block, at).mask ==
		       wb_geometry_block_mask(geometry, address);
	return g_array_binary_search(replay->extents, &extent, compare_place, NULL);
}
