/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which dirty blocks a batch takes. */
#include "cache/writeback_batch.h"

#include "base/mutant.h"

/* Blocks that failed their check are tried again after growing pauses. */
struct bad_policy {
	bool are_taken, were_seen;
};

/* How many blocks of the segment may be looked at: only durable records. The
 * head may get a new record at any moment; what it had when `durable` covered
 * all of it ends at the head's next block of that time. */
static uint32_t blocks_to_take(struct wb_writeback *writeback, uint64_t id,
			       const struct wb_log_head *head)
{
	struct wb_segment *segment = wb_segment_of_id(writeback->deps.segments, id);

	if (atomic_load(&segment->id) != id || atomic_load(&segment->dirty_count) == 0)
		return 0;
	if (id == head->segment_id)
		return !head->has_open_record && head->last_sequence <= writeback->durable ?
		       head->next_block : 0;
	return segment->last_sequence <= writeback->durable ?
	       writeback->deps.geometry.segment_blocks : 0;
}

/* Takes the dirty blocks among the first `limit` of a segment as far as memory
 * goes, with the gaps that one long read brings along. FALSE: full. */
static bool take_segment(struct wb_writeback *writeback, uint64_t id, uint32_t limit,
			 struct bad_policy *bad)
{
	const struct wb_geometry *g = &writeback->deps.geometry;
	uint32_t first = wb_geometry_slot(g, wb_geometry_place(g, id), 0);
	uint32_t last_slot = WB_NO_SLOT;

	for (uint32_t i = 0; i < limit; i++) {
		struct wb_batch_block *block = &writeback->blocks[writeback->block_count];
		struct wb_mapping mapping;
		uint32_t step = 1;

		wb_block_map_peek(writeback->deps.map, first + i, &mapping);
		if (mapping.state == WB_SLOT_BAD)
			bad->were_seen = true;
		if (mapping.state != WB_SLOT_DIRTY &&
		    !(mapping.state == WB_SLOT_BAD && bad->are_taken))
			continue;
		writeback->has_bad |= mapping.state == WB_SLOT_BAD;
		if (last_slot != WB_NO_SLOT &&
		    first + i - last_slot - 1 <= WB_WRITEBACK_GAP_BLOCKS)
			step = first + i - last_slot;
		if (writeback->buffer_used + step > writeback->batch_blocks)
			return false;
		writeback->buffer_used += step;
		*block = (struct wb_batch_block){
			.address = mapping.address, .slot = first + i,
			.buffer_block = writeback->buffer_used - 1, .mask = mapping.mask,
			.full_mask = wb_geometry_block_mask(g, mapping.address),
			.was_bad = mapping.state == WB_SLOT_BAD,
		};
		writeback->block_count++;
		last_slot = first + i;
	}
	return true;
}

void wb_batch_unpin_all(struct wb_writeback *writeback)
{
	while (writeback->pinned_count > 0)
		wb_segment_unpin(writeback->deps.segments,
				 writeback->pinned[--writeback->pinned_count]);
}

/* Nothing that a drain could still do something about. */
static bool only_lost_data_is_left(struct wb_writeback *writeback,
				   const struct bad_policy *bad)
{
	if (bad->were_seen)
		return writeback->bad_tries >= WB_DRAIN_FAILURES_MAX;
	return wb_segment_table_dirty(writeback->deps.segments) > 0 &&
	       wb_segment_table_dirty(writeback->deps.segments) ==
		       wb_extent_table_bad_count(writeback->deps.extents);
}

/* The oldest first. A slot that is peeked as dirty may be superseded at any
 * moment; writing that version is harmless (it is durable, and the newer one
 * stays dirty), and COMMIT asks the map again. */
bool wb_batch_select(struct wb_writeback *writeback, enum wb_writeback_wish wish)
{
	struct wb_log_head head;
	uint64_t id = wb_tail_current(writeback->deps.tail).segment, last;
	struct wb_extent extent;
	struct bad_policy bad = {
		.are_taken = atomic_exchange(&writeback->retry_bad_now, false) ||
			     wb_clock_now_ns(writeback->deps.clock) >=
				     writeback->bad_retry_at_ns,
	};

	writeback->has_bad = false;
	writeback->durable = WB_MUTANT(writeback_before_durable) ?
		wb_log_sealed_sequence(writeback->deps.log) : wb_log_durable(writeback->deps.log);
	wb_log_get_head(writeback->deps.log, &head);
	writeback->block_count = 0;
	writeback->buffer_used = 0;
	/* No more ids than places can be in use, whatever a superblock says. */
	last = MIN(head.segment_id, id + writeback->deps.geometry.segment_count);
	for (; id <= last && writeback->pinned_count < WB_SEGMENTS_PER_BATCH_MAX; id++) {
		struct wb_segment *segment = wb_segment_of_id(writeback->deps.segments, id);
		uint32_t limit = blocks_to_take(writeback, id, &head);

		if (id == head.segment_id && wish != WB_WRITEBACK_ALL)
			break;
		if (limit == 0)
			continue;
		wb_segment_pin(segment);
		writeback->pinned[writeback->pinned_count++] = segment;
		if (!take_segment(writeback, id, limit, &bad))
			break;
	}
	writeback->has_zeros = wb_extent_table_next_zero(writeback->deps.extents, 0,
							 writeback->durable, &extent);
	if (id > last && !bad.were_seen)
		writeback->bad_tries = 0;
	atomic_store(&writeback->is_stuck, writeback->block_count == 0 &&
		     !writeback->has_zeros && only_lost_data_is_left(writeback, &bad));
	if (writeback->block_count > 0 || writeback->has_zeros)
		return true;
	wb_batch_unpin_all(writeback);
	return false;
}
