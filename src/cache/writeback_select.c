/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which dirty blocks a batch takes. */
#include "cache/writeback_batch.h"

#include "base/mutant.h"

/* How many blocks of the segment may be looked at: only durable records. */
static uint32_t blocks_to_take(struct wb_writeback *writeback, uint64_t id,
			       const struct wb_log_head *head)
{
	struct wb_segment *segment = wb_segment_of_id(writeback->deps.segments, id);

	if (atomic_load(&segment->id) != id || atomic_load(&segment->dirty_count) == 0)
		return 0;
	if (id == head->segment_id)
		return wb_log_head_blocks(writeback->deps.log, id, writeback->durable);
	return segment->last_sequence <= writeback->durable ?
	       writeback->deps.geometry.segment_blocks : 0;
}

/* Blocks that failed their check are tried again after growing pauses; so are
 * those that the backing refused, each range by itself. What is both is read, and
 * not written: it is not given up because of others without having been read. */
static bool is_wanted(struct wb_writeback *writeback, const struct wb_mapping *mapping)
{
	bool may_write;

	if (mapping->state == WB_SLOT_BAD) {
		writeback->has_seen_bad = true;
		if (!writeback->takes_bad)
			return false;
		writeback->has_bad = true;
	} else if (mapping->state != WB_SLOT_DIRTY) {
		return false;
	}
	may_write = wb_refused_may_take(writeback->refused, mapping->address, NULL);
	return may_write || mapping->state == WB_SLOT_BAD;
}

/* Takes the blocks that are wanted among the first `limit` of a segment as far as
 * memory goes, with the gaps that one long read brings along. FALSE: full. */
bool wb_batch_take_segment(struct wb_writeback *writeback, uint64_t id, uint32_t limit,
			   bool (*is_wanted_now)(struct wb_writeback *,
						 const struct wb_mapping *))
{
	const struct wb_geometry *g = &writeback->deps.geometry;
	uint32_t first = wb_geometry_slot(g, wb_geometry_place(g, id), 0);
	uint32_t last_slot = WB_NO_SLOT;

	for (uint32_t i = 0; i < limit; i++) {
		struct wb_batch_block *block = &writeback->room->blocks[writeback->block_count];
		struct wb_mapping mapping;
		uint32_t step = 1;

		wb_block_map_peek(writeback->deps.map, first + i, &mapping);
		if (!is_wanted_now(writeback, &mapping))
			continue;
		if (last_slot != WB_NO_SLOT &&
		    first + i - last_slot - 1 <= WB_WRITEBACK_GAP_BLOCKS)
			step = first + i - last_slot;
		if (writeback->buffer_used + step > writeback->room->block_count)
			return false;
		writeback->buffer_used += step;
		*block = (struct wb_batch_block){
			.address = mapping.address, .slot = first + i,
			.buffer_block = writeback->buffer_used - 1, .mask = mapping.mask,
			.full_mask = wb_image_block_mask(writeback->deps.image, mapping.address),
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
				 writeback->room->pinned[--writeback->pinned_count]);
}

/* Nothing that a drain could still do something about. */
static bool is_beyond_help(struct wb_writeback *writeback)
{
	unsigned least_tries;
	bool were_held = wb_refused_were_held(writeback->refused, &least_tries);

	if (writeback->has_seen_bad && writeback->bad_tries < WB_DRAIN_FAILURES_MAX)
		return false;
	if (were_held && least_tries < WB_DRAIN_FAILURES_MAX)
		return false;
	return writeback->has_seen_bad || were_held ||
	       (wb_segment_table_dirty(writeback->deps.segments) > 0 &&
		wb_segment_table_dirty(writeback->deps.segments) ==
			wb_extent_table_bad_count(writeback->deps.extents));
}

static uint32_t segments_of_batch(const struct wb_writeback *writeback)
{
	return writeback->order == WB_ORDER_SEGMENTS ?
	       MIN(WB_ORDER_SEGMENTS_MAX, writeback->room->segment_count) :
	       writeback->room->segment_count;
}

/* TRUE when all was looked at that is dirty in closed segments. */
static bool select_blocks(struct wb_writeback *writeback, enum wb_writeback_wish wish)
{
	uint64_t id = wb_tail_current(writeback->deps.tail).segment, last;
	struct wb_log_head head;

	wb_log_get_head(writeback->deps.log, &head);
	/* No more ids than places can be in use, whatever a superblock says. */
	last = MIN(head.segment_id, id + writeback->deps.geometry.segment_count);
	for (; id <= last && writeback->pinned_count < segments_of_batch(writeback); id++) {
		struct wb_segment *segment = wb_segment_of_id(writeback->deps.segments, id);
		uint32_t limit = blocks_to_take(writeback, id, &head);
		size_t before = writeback->block_count;

		if (id == head.segment_id && wish == WB_WRITEBACK_CLOSED)
			break;
		if (limit == 0)
			continue;
		wb_segment_pin(segment);
		if (!wb_batch_take_segment(writeback, id, limit, is_wanted)) {
			writeback->room->pinned[writeback->pinned_count++] = segment;
			break;
		}
		/* Segments full of what must wait leave room for the others. */
		if (writeback->block_count > before)
			writeback->room->pinned[writeback->pinned_count++] = segment;
		else
			wb_segment_unpin(writeback->deps.segments, segment);
	}
	return id >= last;
}

/* The oldest first. A slot that is peeked as dirty may be superseded at any
 * moment; writing that version is harmless (it is durable, and the newer one
 * stays dirty), and COMMIT asks the map again. */
bool wb_batch_select(struct wb_writeback *writeback, enum wb_writeback_wish wish)
{
	uint64_t now = wb_clock_now_ns(writeback->deps.clock);
	struct wb_extent extent;
	bool is_complete;

	writeback->takes_bad = atomic_exchange(&writeback->retry_bad_now, false) ||
			       now >= writeback->bad_retry_at_ns;
	writeback->has_seen_bad = false;
	writeback->has_bad = false;
	writeback->found_bad_then = wb_block_map_found_bad_count(writeback->deps.map);
	writeback->durable = WB_MUTANT(writeback_before_durable) ?
		wb_log_sealed_sequence(writeback->deps.log) : wb_log_durable(writeback->deps.log);
	writeback->block_count = 0;
	writeback->buffer_used = 0;
	wb_refused_begin_pass(writeback->refused, now);
	is_complete = select_blocks(writeback, wish);
	writeback->has_zeros = wb_batch_next_zero(writeback, 0, &extent);
	if (is_complete && !writeback->has_seen_bad)
		writeback->bad_tries = 0;
	atomic_store(&writeback->is_stuck, writeback->block_count == 0 &&
		     !writeback->has_zeros && is_beyond_help(writeback));
	if (writeback->block_count > 0 || writeback->has_zeros)
		return true;
	wb_batch_unpin_all(writeback);
	if (is_complete)
		wb_refused_end_pass(writeback->refused);
	return false;
}
