/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the backing refuses must not stop the ring: when nothing else is dirty in
 * the oldest segment and its place is wanted, those blocks are read, checked,
 * and appended again at the head. So are those that could not be read: what fails
 * once more is given up. They take the way of a batch up to READ.
 */
#include "cache/carry.h"
#include "cache/writeback_batch.h"

static bool is_held(struct wb_writeback *writeback, const struct wb_mapping *mapping)
{
	return mapping->state == WB_SLOT_DIRTY &&
	       wb_refused_is_held(writeback->refused, mapping->address, NULL);
}

static bool is_bad(struct wb_writeback *writeback, const struct wb_mapping *mapping)
{
	(void)writeback;
	return mapping->state == WB_SLOT_BAD;
}

static bool is_held_extent(struct wb_writeback *writeback, const struct wb_extent *extent)
{
	uint64_t until;

	return wb_refused_is_held(writeback->refused, extent->first, &until) &&
	       until >= extent->first + extent->count;
}

struct tally {
	uint32_t blocks, zeros, bad;
};

static struct tally count_held(struct wb_writeback *writeback, uint64_t id)
{
	const struct wb_geometry *g = &writeback->deps.geometry;
	uint32_t first = wb_geometry_slot(g, wb_geometry_place(g, id), 0);
	struct wb_extent_table *extents = writeback->deps.extents;
	struct tally tally = { 0 };
	struct wb_extent extent;

	for (uint32_t i = 0; i < g->segment_blocks; i++) {
		struct wb_mapping mapping;

		wb_block_map_peek(writeback->deps.map, first + i, &mapping);
		tally.blocks += is_held(writeback, &mapping);
		tally.bad += mapping.state == WB_SLOT_BAD;
	}
	for (uint64_t from = 0; wb_extent_table_next_bad(extents, from, id, &extent);
	     from = extent.first + extent.count)
		tally.bad++;
	for (uint64_t from = 0; wb_extent_table_next_zero_of(extents, from, id, &extent);
	     from = extent.first + extent.count)
		tally.zeros += is_held_extent(writeback, &extent);
	return tally;
}

static bool carry_zeros(struct wb_writeback *writeback, uint64_t id)
{
	struct wb_extent extent;
	bool any = false;

	for (uint64_t from = 0; wb_extent_table_next_zero_of(writeback->deps.extents, from, id,
							     &extent);
	     from = extent.first + extent.count)
		any |= is_held_extent(writeback, &extent) &&
		       wb_carry_zero(writeback->carry, &extent);
	return any;
}

/* FALSE: the segment has none of those blocks. */
static bool begin_read(struct wb_writeback *writeback, uint64_t id,
		       bool (*is_wanted)(struct wb_writeback *, const struct wb_mapping *))
{
	wb_batch_reset(writeback);
	writeback->is_carrying = true;
	writeback->is_last_try = writeback->has_bad = is_wanted == is_bad;
	writeback->pass.pick = WB_PICK_OLDEST;
	writeback->pass.block_limit = writeback->room->block_count;
	wb_batch_take_segment(writeback, id, writeback->deps.geometry.segment_blocks, is_wanted);
	if (writeback->block_count == 0)
		return false;
	writeback->stage = WB_BATCH_READ;
	return true;
}

bool wb_writeback_begin_carry(struct wb_writeback *writeback, const struct wb_carry *carry)
{
	struct wb_segment_table *segments = writeback->deps.segments;
	uint64_t id;
	struct tally tally;

	g_assert(writeback->stage == WB_BATCH_IDLE);
	if (writeback->is_abandoned || wb_refused_is_empty(writeback->refused) ||
	    wb_clock_now_ns(writeback->deps.clock) < writeback->carry_at_ns ||
	    wb_segment_table_dirty(segments) > writeback->deps.geometry.slot_count / 2)
		return false;
	id = wb_carry_oldest_segment(carry);
	if (id == 0)
		return false;
	tally = count_held(writeback, id);
	if (tally.blocks + tally.zeros == 0 ||
	    tally.blocks + tally.zeros + tally.bad <
		    atomic_load(&wb_segment_of_id(segments, id)->dirty_count))
		return false;
	writeback->carry = carry;
	if (tally.blocks == 0 && carry_zeros(writeback, id))
		return true;
	/* Whatever comes of it: the log may have no room, blocks may be in use. */
	writeback->carry_at_ns = wb_clock_now_ns(writeback->deps.clock) + WB_RETRY_FIRST_NS;
	if (tally.blocks == 0)
		return false;
	return begin_read(writeback, id, is_held);
}

bool wb_writeback_begin_last_try(struct wb_writeback *writeback, const struct wb_carry *carry)
{
	uint64_t id;

	g_assert(wb_writeback_is_idle(writeback));
	if (writeback->is_abandoned ||
	    wb_clock_now_ns(writeback->deps.clock) < writeback->carry_at_ns ||
	    wb_writeback_bad_tries(writeback) < WB_BAD_TRIES_MAX)
		return false;
	id = wb_carry_lost_segment(carry);
	if (id == 0 || wb_carry_is_stuck(carry))
		return false;
	writeback->carry = carry;
	return begin_read(writeback, id, is_bad);
}

/* Not while others of them have become readable: those are written first, and the
 * segment stays for so long in any case. */
static size_t give_up(struct wb_writeback *writeback)
{
	size_t count = 0;

	if (wb_carry_lost_segment(writeback->carry) == 0)
		return 0;
	for (size_t i = 0; i < writeback->block_count; i++) {
		const struct wb_batch_block *block = &writeback->room->blocks[i];

		if (block->is_left_out)
			count += wb_carry_lost(writeback->carry, block->slot);
	}
	return count;
}

static size_t carry_on(struct wb_writeback *writeback)
{
	struct wb_carry_block *blocks = writeback->carry_blocks;
	size_t count = 0;

	for (size_t i = 0; i < writeback->block_count; i++) {
		const struct wb_batch_block *block = &writeback->room->blocks[i];

		if (!block->is_left_out)
			blocks[count++] = (struct wb_carry_block){
				.address = block->address, .slot = block->slot,
				.mask = block->mask,
				.data = wb_batch_memory(writeback, block->buffer_block),
			};
	}
	/* Found by this read: not given up for what others had. */
	if (writeback->found_new_bad)
		writeback->bad_tries = 1;
	count = wb_carry_blocks(writeback->carry, blocks, count);
	WB_STAT_ADD(writeback->deps.stats, WB_STAT_CARRIED_BLOCKS, count);
	return count;
}

bool wb_batch_carry_step(struct wb_writeback *writeback)
{
	size_t count = writeback->is_last_try ? give_up(writeback) : carry_on(writeback);

	writeback->carry_at_ns = count > 0 ? 0 : wb_clock_now_ns(writeback->deps.clock) +
						 WB_RETRY_FIRST_NS;
	wb_batch_unpin_all(writeback);
	writeback->stage = WB_BATCH_IDLE;
	return true;
}
