/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The sweep: over the image from its beginning to its end, and again, taking whatever
 * is dirty there (SCAN, the elevator). A batch goes on where the last one ended, and
 * at most once round.
 */
#include "cache/writeback_batch.h"

#define LOOK_BLOCKS 32u			/* in one hold of a stripe */

/* It is named by the map and pinned, so its segment is not reused. */
static bool is_durable(struct wb_writeback *writeback, const struct wb_mapping *mapping)
{
	const struct wb_batch_pass *pass = &writeback->pass;
	struct wb_segment *segment =
		wb_segment_of_slot(writeback->deps.segments, mapping->slot);
	uint64_t id = atomic_load(&segment->id);

	if (id == pass->head_id)
		return pass->wish != WB_WRITEBACK_CLOSED &&
		       mapping->slot % writeback->deps.geometry.segment_blocks <
			       pass->head_blocks;
	return id < pass->head_id && segment->last_sequence <= pass->durable;
}

/* The dirty blocks of one chunk from sweep_at on, as far as the portion goes. */
static void take_chunk(struct wb_writeback *writeback, uint64_t end)
{
	struct wb_mapping found[LOOK_BLOCKS];
	size_t room = MIN(writeback->pass.block_limit - writeback->block_count, LOOK_BLOCKS);
	size_t count = wb_block_map_pin_dirty(writeback->deps.map, writeback->sweep_at, end,
					      found, room);

	for (size_t i = 0; i < count; i++) {
		if (is_durable(writeback, &found[i]) && wb_batch_is_wanted(writeback, &found[i]))
			wb_batch_add(writeback, &found[i]);
		else
			wb_batch_unpin(writeback, found[i].slot);
	}
	writeback->sweep_at = count < room ? end : found[count - 1].address + 1;
}

void wb_batch_sweep(struct wb_writeback *writeback)
{
	struct wb_batch_pass *pass = &writeback->pass;

	while (writeback->block_count < pass->block_limit) {
		uint64_t next = wb_block_map_next_dirty(writeback->deps.map, writeback->sweep_at);
		uint64_t end = pass->has_wrapped ? pass->sweep_begin : WB_NO_ADDRESS;

		if (next < end) {
			writeback->sweep_at = next;
			take_chunk(writeback, MIN((next / WB_CHUNK_BLOCKS + 1) * WB_CHUNK_BLOCKS,
						  end));
			continue;
		}
		if (pass->has_wrapped || pass->sweep_begin == 0) {
			pass->is_complete = true;
			writeback->sweep_at = pass->sweep_begin;
			return;
		}
		pass->has_wrapped = true;
		writeback->sweep_at = 0;
		/* A portion is written in ascending order. */
		if (writeback->block_count > 0)
			return;
	}
}
