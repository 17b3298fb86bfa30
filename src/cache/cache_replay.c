/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Opening: the memory image of the log, record by record or from a checkpoint. */
#include "cache/cache_private.h"

#include "base/mutant.h"
#include "cache/checkpoint.h"
#include "cache/recovery.h"
#include "format/endian.h"

/* The half that it cuts off another one. */
#define FRAGMENTS_OF_CARVE 1u

static void put(struct wb_data_path *path, const struct wb_entry *entry, uint32_t slot,
		enum wb_slot_state state)
{
	struct wb_stripe *stripe = wb_block_map_stripe(path->map, entry->address);
	struct wb_mapping now;
	uint64_t until;

	wb_lock_acquire(&stripe->lock);
	wb_block_map_lookup_locked(path->map, entry->address, &now);
	/* A copy of the backing's data never replaces what the backing does not
	 * have yet: dirty data, or a discard that was not punched. */
	if (entry->type == WB_ENTRY_DATA || WB_MUTANT(clean_replaces_dirty) ||
	    (!(now.slot != WB_NO_SLOT && wb_slot_state_is_dirty(now.state)) &&
	     wb_extent_table_lookup(path->extents, entry->address, &until) == WB_EXTENT_NONE)) {
		wb_block_map_put_locked(path->map, entry->address, slot, entry->mask, state);
		wb_block_map_set_crc(path->map, slot, entry->crc_or_length);
	}
	wb_lock_release(&stripe->lock);
}

/* These and those that they are called by are FALSE for want of memory. */
static bool insert(struct wb_data_path *path, const struct wb_extent *extent)
{
	if (!wb_extent_table_make_room(path->extents, WB_EXTENT_FRAGMENTS))
		return false;
	g_assert(wb_extent_table_reserve(path->extents));
	wb_segment_add_dirty(path->segments,
			     wb_segment_of_id(path->segments, extent->segment_id), 1);
	wb_extent_table_insert(path->extents, extent);
	return true;
}

static bool carve(struct wb_data_path *path, uint64_t first, uint64_t count,
		  enum wb_extent_kind kind)
{
	if (!wb_extent_table_make_room(path->extents, FRAGMENTS_OF_CARVE))
		return false;
	wb_extent_table_carve(path->extents, first, count, kind);
	return true;
}

/* Lost blocks are single in the table, whatever the entry says: a write over a part of
 * them may come at any time, and needs room for nothing. */
static bool insert_single(struct wb_data_path *path, const struct wb_extent *extent)
{
	struct wb_extent single = *extent;

	single.count = 1;
	for (uint64_t i = 0; i < extent->count; i++, single.first++) {
		if (!insert(path, &single))
			return false;
	}
	return true;
}

static bool replay_extent(struct wb_data_path *path, const struct wb_recovery_record *record,
			  const struct wb_entry *entry)
{
	struct wb_extent extent = {
		.first = entry->address, .count = entry->crc_or_length,
		.sequence = record->sequence, .segment_id = record->segment_id,
		.kind = entry->type == WB_ENTRY_BAD ? WB_EXTENT_BAD : WB_EXTENT_ZERO,
	};

	if (WB_MUTANT(tombstone_dropped) ||
	    (WB_MUTANT(discard_table_overflows) && wb_extent_table_count(path->extents) >= 4))
		return true;
	if (record->is_live || !WB_MUTANT(warm_copy_survives_discard))
		wb_block_map_remove_range(path->map, extent.first, extent.count);
	/* Below the tail the backing knows of it already: it only kills copies. */
	if (!record->is_live)
		return true;
	if (entry->type == WB_ENTRY_BYPASS && WB_MUTANT(bypass_carves_nothing))
		return true;
	if (entry->type == WB_ENTRY_BYPASS)
		return carve(path, extent.first, extent.count, WB_EXTENT_NONE);
	return extent.kind == WB_EXTENT_BAD ? insert_single(path, &extent) :
					      insert(path, &extent);
}

/* Lost data that was written again is lost no more. Pending zeros stay: what is
 * written over them holds the whole block. If it does not, then nothing was
 * pending any more when it was written: the punch was on the backing, and
 * perhaps later data of the block, which a second punch would destroy. */
static bool carve_overwritten(struct wb_data_path *path, const struct wb_entry *entry)
{
	bool is_whole = entry->mask == wb_image_block_mask(&path->image, entry->address);

	if (wb_extent_table_is_empty(path->extents) || WB_MUTANT(overwritten_not_carved))
		return true;
	return carve(path, entry->address, 1, is_whole ? WB_EXTENT_BAD : WB_EXTENT_NONE);
}

static bool replay_record(struct wb_data_path *path, const struct wb_recovery *recovery,
			  const struct wb_recovery_record *record)
{
	struct wb_segment *segment = wb_segment_of_id(path->segments, record->segment_id);
	uint64_t place = wb_geometry_place(&path->geometry, record->segment_id);
	uint32_t block = record->block_offset + 1;

	if (segment->id != record->segment_id) {
		segment->id = record->segment_id;
		segment->first_sequence = record->sequence;
	}
	segment->last_sequence = record->sequence;
	for (size_t i = 0; i < record->entry_count; i++) {
		const struct wb_entry_disk *disk = &g_array_index(recovery->entries,
				struct wb_entry_disk, record->first_entry + i);
		struct wb_entry entry = {
			.address = wb_get_le48(disk->address), .mask = disk->mask,
			.type = disk->type, .crc_or_length = wb_get_le32(disk->crc_or_length),
		};

		if (!wb_entry_has_block(entry.type)) {
			if (!replay_extent(path, record, &entry))
				return false;
			continue;
		}
		if (entry.type == WB_ENTRY_DATA && record->is_live) {
			put(path, &entry, wb_geometry_slot(&path->geometry, place, block),
			    WB_SLOT_DIRTY);
			if (!carve_overwritten(path, &entry))
				return false;
		} else if (entry.type != WB_ENTRY_VOID &&
			   record->sequence >= recovery->superblock.warm_sequence) {
			put(path, &entry, wb_geometry_slot(&path->geometry, place, block),
			    WB_SLOT_CLEAN);
		}
		block++;
	}
	return true;
}

static bool replay_log(struct wb_cache *cache, const struct wb_recovery *recovery)
{
	for (size_t i = 0; i < recovery->records->len; i++) {
		if (!replay_record(&cache->path, recovery, &g_array_index(recovery->records,
						struct wb_recovery_record, i)))
			return false;
	}
	cache->recovered_records = recovery->record_count;
	cache->recovered_short_bytes = recovery->short_bytes;
	return wb_extent_table_make_room(cache->path.extents, WB_EXTENTS_MAX);
}

static bool load_checkpoint(struct wb_cache *cache, const struct wb_recovery *recovery)
{
	struct wb_checkpoint_deps deps;

	wb_cache_fill_checkpoint_deps(cache, &deps);
	/* That of the path does not say how large the image is. */
	deps.geometry = &recovery->superblock.geometry;
	cache->is_from_checkpoint = wb_checkpoint_load(&deps, &recovery->checkpoint,
						       &recovery->superblock);
	return cache->is_from_checkpoint;
}

gboolean wb_cache_replay(struct wb_cache *cache, const struct wb_recovery *recovery,
			 bool *is_odd, GError **error)
{
	if (recovery->has_checkpoint && !load_checkpoint(cache, recovery)) {
		*is_odd = true;
		return FALSE;
	}
	if (!replay_log(cache, recovery)) {
		g_set_error(error, WB_CACHE_ERROR, WB_CACHE_ERROR_LIMIT,
			    "%s: there is not the memory for the discards and lost blocks that its "
			    "log holds, but for the first %zu; nothing was changed. `wbfs rescue` "
			    "needs less",
			    cache->config.cache_store->label,
			    wb_extent_table_count(cache->path.extents));
		return FALSE;
	}
	cache->recovered_dirty_blocks = wb_block_map_dirty_count(cache->path.map);
	return TRUE;
}

void wb_cache_fill_checkpoint_deps(struct wb_cache *cache, struct wb_checkpoint_deps *deps)
{
	*deps = (struct wb_checkpoint_deps){
		.geometry = &cache->path.geometry, .segments = cache->path.segments,
		.map = cache->path.map, .extents = cache->path.extents,
		.store = cache->path.cache_store, .stats = &cache->stats,
	};
}
