/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which dirty blocks a batch takes, and its portions: what concerns every way to pick
 * them, and the oldest segments. */
#include "cache/writeback_batch.h"

#include "base/mutant.h"

/* Only durable records. */
uint32_t wb_batch_blocks_of_segment(struct wb_writeback *writeback, uint64_t id)
{
	const struct wb_batch_pass *pass = &writeback->pass;
	struct wb_segment *segment = wb_segment_of_id(writeback->deps.segments, id);

	if (atomic_load(&segment->id) != id || atomic_load(&segment->dirty_count) == 0)
		return 0;
	if (id == pass->head_id)
		return pass->wish == WB_WRITEBACK_CLOSED ? 0 : pass->head_blocks;
	return segment->last_sequence <= pass->durable ?
	       writeback->deps.geometry.segment_blocks : 0;
}

/* Blocks that failed their check are tried again after growing pauses; so are
 * those that the backing refused, each range by itself. What is both is read, and
 * not written: it is not given up because of others without having been read. */
bool wb_batch_is_wanted(struct wb_writeback *writeback, const struct wb_mapping *mapping)
{
	bool may_write;

	if (wb_batch_is_flushed(writeback, mapping->slot))
		return false;
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

void wb_batch_add(struct wb_writeback *writeback, const struct wb_mapping *mapping)
{
	uint32_t at = (uint32_t)writeback->block_count++;

	writeback->room->blocks[at] = (struct wb_batch_block){
		.address = mapping->address, .slot = mapping->slot,
		.buffer_block = at, .mask = mapping->mask,
		.full_mask = wb_image_block_mask(writeback->deps.image, mapping->address),
		.was_bad = mapping->state == WB_SLOT_BAD,
	};
}

/* Takes the blocks that are wanted among the first `limit` of a segment, as many as
 * the portion may have. FALSE: full. A slot that is peeked as dirty may be superseded
 * at any moment; writing that version is harmless (it is durable, and the newer one
 * stays dirty), and COMMIT asks the map again. */
bool wb_batch_take_segment(struct wb_writeback *writeback, uint64_t id, uint32_t limit,
			   bool (*is_wanted_now)(struct wb_writeback *,
						 const struct wb_mapping *))
{
	const struct wb_geometry *g = &writeback->deps.geometry;
	struct wb_segment *segment = wb_segment_of_id(writeback->deps.segments, id);
	uint32_t first = wb_geometry_slot(g, wb_geometry_place(g, id), 0);
	uint32_t i;

	/* Nobody but this thread frees places. */
	for (i = 0; i < limit; i++) {
		struct wb_mapping mapping;

		wb_block_map_peek(writeback->deps.map, first + i, &mapping);
		if (!is_wanted_now(writeback, &mapping))
			continue;
		if (writeback->block_count == writeback->pass.block_limit)
			break;
		wb_segment_pin(segment);
		wb_batch_add(writeback, &mapping);
	}
	return i == limit;
}

static void take_oldest(struct wb_writeback *writeback)
{
	uint64_t id = wb_tail_current(writeback->deps.tail).segment, last;
	unsigned segments = 0;

	/* No more ids than places can be in use, whatever a superblock says. */
	last = MIN(writeback->pass.head_id, id + writeback->deps.geometry.segment_count);
	for (; id <= last && segments < writeback->pass.segment_limit; id++) {
		uint32_t limit = wb_batch_blocks_of_segment(writeback, id);
		size_t before = writeback->block_count;

		if (limit == 0)
			continue;
		if (!wb_batch_take_segment(writeback, id, limit, wb_batch_is_wanted))
			break;
		/* Segments full of what must wait leave room for the others. */
		segments += writeback->block_count > before;
	}
	writeback->pass.is_complete = id >= last;
}

/* Whether it is worth while to look block by block: the log may be full of what is not
 * durable, and this is asked after each sync. */
static bool has_any(struct wb_writeback *writeback)
{
	uint64_t id = wb_tail_current(writeback->deps.tail).segment;
	uint64_t last = MIN(writeback->pass.head_id,
			    id + writeback->deps.geometry.segment_count);

	while (id <= last && wb_batch_blocks_of_segment(writeback, id) == 0)
		id++;
	return id <= last;
}

static void take_portion(struct wb_writeback *writeback)
{
	if (writeback->pass.pick == WB_PICK_OLDEST)
		take_oldest(writeback);
	else if (has_any(writeback))
		wb_batch_sweep(writeback);
	else
		writeback->pass.is_complete = true;
	if (writeback->pass.is_complete && !writeback->has_seen_bad)
		writeback->bad_tries = 0;
}

/* --- a batch ------------------------------------------------------------------------- */

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

/* The log has few places left that it can go on to. */
static bool is_space_short(struct wb_writeback *writeback)
{
	struct wb_segment_table *segments = writeback->deps.segments;
	uint64_t tail = wb_tail_current(writeback->deps.tail).segment;
	uint64_t good = wb_segment_table_good_count(segments);
	uint64_t used = MIN(MAX(writeback->pass.head_id, tail) - tail, good);

	return good - used < WB_READY_SEGMENTS ||
	       used * 100 > good * WB_SPACE_SHORT_PERCENT;
}

/*
 * A sweep brings most, but what it writes frees segments only when it has come round:
 * each of them has its blocks everywhere. So when space is short every other batch is
 * one of the oldest segments. They have little left that is dirty if sweeps go on all
 * the time; and if not, somebody has to wait, but not for all of a round.
 */
static void choose_pick(struct wb_writeback *writeback)
{
	struct wb_batch_pass *pass = &writeback->pass;
	uint32_t segment_blocks = writeback->deps.geometry.segment_blocks;

	pass->block_limit = writeback->room->block_count;
	pass->segment_limit = WB_ORDER_SEGMENTS_MAX;
	if (writeback->order == WB_ORDER_SEGMENTS) {
		pass->pick = WB_PICK_OLDEST;
		return;
	}
	writeback->was_urgent = !writeback->was_urgent && is_space_short(writeback);
	pass->pick = writeback->was_urgent ? WB_PICK_OLDEST : WB_PICK_SWEEP;
	if (writeback->was_urgent)
		pass->block_limit = MIN(pass->block_limit, MAX(WB_URGENT_BLOCKS, segment_blocks));
	pass->block_limit = MIN(pass->block_limit, MAX(writeback->portion_blocks,
						       WB_PORTION_BLOCKS_MIN));
}

static void begin_pass(struct wb_writeback *writeback, enum wb_writeback_wish wish)
{
	struct wb_log_head head;
	uint64_t durable = WB_MUTANT(writeback_before_durable) ?
		wb_log_sealed_sequence(writeback->deps.log) : wb_log_durable(writeback->deps.log);

	wb_log_get_head(writeback->deps.log, &head);
	writeback->pass = (struct wb_batch_pass){
		.wish = wish, .durable = durable, .head_id = head.segment_id,
		.head_blocks = wb_log_head_blocks(writeback->deps.log, head.segment_id, durable),
		.sweep_begin = writeback->sweep_at,
	};
	choose_pick(writeback);
	/* See writeback_gap.c. */
	writeback->is_probe = writeback->gap_batches > 0 &&
			      writeback->gap_batches % WB_GAP_PROBE_BATCHES == 0;
}

bool wb_batch_select(struct wb_writeback *writeback, enum wb_writeback_wish wish)
{
	uint64_t now = wb_clock_now_ns(writeback->deps.clock);
	struct wb_extent extent;

	writeback->takes_bad = atomic_exchange(&writeback->retry_bad_now, false) ||
			       now >= writeback->bad_retry_at_ns;
	writeback->has_seen_bad = false;
	writeback->has_bad = false;
	writeback->found_bad_then = wb_block_map_found_bad_count(writeback->deps.map);
	begin_pass(writeback, wish);
	wb_refused_begin_pass(writeback->refused, now);
	take_portion(writeback);
	writeback->has_zeros = wb_batch_next_zero(writeback, 0, &extent);
	atomic_store(&writeback->is_stuck, writeback->block_count == 0 &&
		     !writeback->has_zeros && !writeback->flush.is_under_way &&
		     is_beyond_help(writeback));
	if (writeback->block_count > 0 || writeback->has_zeros)
		return true;
	if (writeback->pass.is_complete)
		wb_refused_end_pass(writeback->refused);
	return false;
}

bool wb_batch_select_more(struct wb_writeback *writeback)
{
	if (writeback->pass.pick == WB_PICK_OLDEST || writeback->pass.is_complete)
		return false;
	writeback->pass.block_limit = MIN(writeback->room->block_count,
					  MAX(writeback->portion_blocks, WB_PORTION_BLOCKS_MIN));
	take_portion(writeback);
	return writeback->block_count > 0;
}
