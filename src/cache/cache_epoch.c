/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Opening: what is written before anybody is served, and in which epoch. */
#include "cache/cache_private.h"

#include <string.h>

#include "base/mutant.h"
#include "cache/recovery.h"

static gboolean io_error(struct wb_cache *cache, const char *what, int error, GError **gerror)
{
	g_set_error(gerror, WB_CACHE_ERROR, WB_CACHE_ERROR_IO, "cache %s: %s failed: %s",
		    cache->config.cache_store->label, what, g_strerror(-error));
	return FALSE;
}

/*
 * The record was read, and cannot be written again: its place has gone bad. It is
 * no worse off than all the others there, so nothing is gained by refusing; the
 * log does not come back to this place, and writeback empties it.
 */
static bool gives_up_place(struct wb_cache *cache, const struct wb_recovery_record *record,
			   int error)
{
	struct wb_superblock *superblock = wb_recorder_superblock(cache->recorder);
	uint64_t place = wb_geometry_place(&cache->path.geometry, record->segment_id);

	if (!wb_flush_is_place_error(error))
		return false;
	/* Without room for one more the log does come back, and finds out again. */
	if (!wb_segment_at(cache->path.segments, place)->is_bad &&
	    wb_relocate_may_give_up_place(cache->path.segments, superblock)) {
		wb_segment_table_mark_bad(cache->path.segments, place);
		superblock->bad_places[superblock->bad_count++] = (uint32_t)place;
	}
	return true;
}

/* Records that no claim covers may be there only for readers: a flush may have
 * failed just before the last process was killed, the disk (or the page cache)
 * may have dropped them for good and still give them back, and the next flush
 * would find nothing to do and succeed. Written again, the same bytes to the
 * same place, they are covered by it, as in the flush engine. */
static int rewrite_unproven(struct wb_cache *cache, const struct wb_recovery *recovery)
{
	const struct wb_geometry *g = &cache->path.geometry;
	void *buffer = g_aligned_alloc(g->segment_blocks, WB_BLOCK_BYTES, WB_BLOCK_BYTES);
	int error = 0;

	for (size_t i = 0; i < recovery->records->len && !error; i++) {
		const struct wb_recovery_record *record = &g_array_index(recovery->records,
				struct wb_recovery_record, i);
		uint64_t offset = wb_geometry_slot_offset(g, wb_geometry_slot(g,
				wb_geometry_place(g, record->segment_id), record->block_offset));
		uint64_t length = WB_BLOCK_BYTES;

		if (!record->is_live || record->sequence <= recovery->durable)
			continue;
		for (size_t e = 0; e < record->entry_count; e++)
			length += wb_entry_has_block(g_array_index(recovery->entries,
				struct wb_entry_disk, record->first_entry + e).type) ?
				WB_BLOCK_BYTES : 0;
		error = wb_store_read_sync(cache->config.cache_store, offset, buffer, length);
		if (!error)
			error = wb_store_write_sync(cache->config.cache_store, offset, buffer,
						    length);
		else
			break;
		if (error && gives_up_place(cache, record, error))
			error = 0;
	}
	g_aligned_free(buffer);
	return error;
}

/* What recovery read may have been in a volatile cache, and the next crash
 * could take it back: it is flushed before anything builds on it. Then the
 * superblocks of the new epoch, before its first record: they make all that
 * lies beyond the cut DEAD for every later recovery. */
gboolean wb_cache_begin_epoch(struct wb_cache *cache, const struct wb_recovery *recovery,
			      GError **error)
{
	int result = WB_MUTANT(no_rewrite_at_open) ? 0 : rewrite_unproven(cache, recovery);

	if (result)
		return io_error(cache, "writing the end of the log again", result, error);
	if (!WB_MUTANT(no_flush_at_open))
		result = wb_store_flush_sync(cache->config.cache_store);
	if (result)
		return io_error(cache, "flushing", result, error);
	if (WB_MUTANT(checkpoint_outlives_opening) && recovery->was_clean)
		return TRUE;
	result = wb_recorder_write_sync(cache->recorder);
	if (result)
		return io_error(cache, "writing the superblocks", result, error);
	if (!recovery->was_clean && !WB_MUTANT(backing_not_flushed_at_open))
		wb_backing_flush_begin_sync(cache->path.backing_flush);
	return TRUE;
}

/* In place of a process that died. */
gboolean wb_cache_go_on(struct wb_cache *cache)
{
	wb_backing_flush_take_over(cache->path.backing_flush);
	if (cache->left_wrong_blocks == 0)
		return TRUE;
	wb_message_set(&cache->message, "cache %s: %" G_GUINT64_FORMAT " blocks in the memory "
		       "that a former process left are not what was written",
		       cache->config.cache_store->label, cache->left_wrong_blocks);
	return TRUE;
}

void wb_cache_make_recorder(struct wb_cache *cache, const struct wb_recovery *recovery,
			    const struct wb_log_start *start)
{
	struct wb_superblock superblock = recovery->superblock;

	/* In place of a process that died the epoch stays, and with it where it began. */
	if (!cache->is_taken_over) {
		superblock.epoch = start->epoch;
		superblock.epoch_start = start->epoch_start;
		superblock.cut_sequence = recovery->cut_sequence;
		superblock.cut_segment = recovery->last_segment;
		superblock.cut_crc = recovery->cut_crc;
	}
	superblock.tail_segment = recovery->tail_segment;
	superblock.tail_sequence = recovery->tail_sequence;
	superblock.durable = recovery->cut_sequence;
	superblock.state_flags = 0;
	/* From here on it is of an earlier session. */
	superblock.checkpoint_used = 0;
	superblock.checkpoint_crc = 0;
	cache->recorder = wb_recorder_new(cache->config.cache_store, &cache->stats,
					  &cache->message, &superblock,
					  wb_recovery_first_copy(recovery));
}

/* From here on a death leaves something in it. Nobody was told anything before. */
gboolean wb_cache_begin_memory(struct wb_cache *cache, const struct wb_log_start *start)
{
	struct wb_region_head head = {
		.epoch = start->epoch, .epoch_start = start->epoch_start,
		.durable = start->last_sequence, .durable_crc = start->last_crc,
	};

	memcpy(head.uuid, start->uuid, sizeof head.uuid);
	wb_region_begin(wb_rambuf_region(cache->path.rambuf), &head);
	return TRUE;
}
