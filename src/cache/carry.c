/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/carry.h"

#include <string.h>

#include "base/checksum.h"
#include "cache/limits.h"

#define ZERO_BLOCKS_MAX 65536u	/* of one discard, looked at in one step */

/* One entry for blocks that the caller holds exclusively. */
static bool append_extent(const struct wb_carry *carry, uint64_t first, uint64_t count,
			  enum wb_extent_kind kind)
{
	struct wb_extent extent = { .first = first, .count = count, .kind = kind };
	struct wb_record *record;

	if (!wb_extent_table_reserve(carry->extents))
		return false;
	if (!wb_log_append_extent(carry->log, WB_LOG_CARRY, &(struct wb_log_extent){
			.type = kind == WB_EXTENT_BAD ? WB_ENTRY_BAD : WB_ENTRY_DISCARD,
			.first = first, .count = (uint32_t)count }, &record)) {
		wb_extent_table_unreserve(carry->extents);
		return false;
	}
	extent.sequence = record->sequence;
	extent.segment_id = *carry->newest_segment = record->segment_id;
	wb_extent_table_insert(carry->extents, &extent);
	wb_log_extent_done(carry->log, record);
	return true;
}

bool wb_carry_lost(const struct wb_carry *carry, uint32_t slot)
{
	struct wb_mapping seen, now;
	struct wb_busy busy;
	struct wb_stripe *stripe;
	bool ok = false;

	wb_block_map_peek(carry->map, slot, &seen);
	busy.first = busy.last = seen.address;
	if (seen.state != WB_SLOT_BAD ||
	    wb_exclusion_enter(carry->exclusion, &busy, NULL) != WB_ENTERED)
		return false;
	stripe = wb_block_map_stripe(carry->map, seen.address);
	wb_block_map_lookup_locked(carry->map, seen.address, &now);
	wb_lock_release(&stripe->lock);
	if (now.slot == slot && now.state == WB_SLOT_BAD)
		ok = append_extent(carry, seen.address, 1, WB_EXTENT_BAD);
	wb_lock_acquire(&stripe->lock);
	/* After the extent is in its table: no reader may see the backing's old
	 * data in between. */
	if (ok) {
		wb_block_map_remove_locked(carry->map, seen.address);
		stripe->change_count++;
	}
	wb_exclusion_leave_locked(carry->exclusion, &busy);
	wb_lock_release(&stripe->lock);
	if (ok)
		wb_message_set(carry->message, "the newest data of image block %" G_GUINT64_FORMAT
			       " is lost; reads of it fail until it is written again",
			       seen.address);
	return ok;
}

static bool carry_extent(const struct wb_carry *carry, uint64_t segment_id, uint64_t from,
			 struct wb_extent *extent)
{
	struct wb_extent now;
	struct wb_busy busy = { .first = extent->first,
				.last = extent->first + extent->count - 1 };
	bool ok = false;

	if (wb_exclusion_enter_range(carry->exclusion, &busy, NULL) != WB_ENTERED)
		return false;
	/* A write may have cut it meanwhile. */
	if (wb_extent_table_next_bad(carry->extents, from, segment_id, &now) &&
	    now.first >= busy.first && now.first + now.count - 1 <= busy.last)
		ok = append_extent(carry, now.first, now.count, WB_EXTENT_BAD);
	wb_exclusion_leave_range(carry->exclusion, &busy);
	return ok;
}

static uint32_t count_bad(const struct wb_carry *carry, uint64_t segment_id, uint32_t first_slot)
{
	struct wb_extent extent;
	uint32_t count = 0;

	for (uint32_t i = 0; i < carry->geometry->segment_blocks; i++) {
		struct wb_mapping mapping;

		wb_block_map_peek(carry->map, first_slot + i, &mapping);
		count += mapping.state == WB_SLOT_BAD;
	}
	for (uint64_t from = 0; wb_extent_table_next_bad(carry->extents, from, segment_id,
							 &extent);
	     from = extent.first + extent.count)
		count++;
	return count;
}

uint64_t wb_carry_oldest_segment(const struct wb_carry *carry)
{
	uint64_t id = wb_tail_current(carry->tail).segment;
	struct wb_segment *segment = wb_segment_of_id(carry->segments, id);
	struct wb_log_head head;

	wb_log_get_head(carry->log, &head);
	if (id >= head.segment_id || atomic_load(&segment->id) != id ||
	    segment->last_sequence > wb_log_durable(carry->log) ||
	    atomic_load(&segment->dirty_count) == 0)
		return 0;
	return id;
}

static uint32_t first_slot_of(const struct wb_carry *carry, uint64_t id)
{
	return wb_geometry_slot(carry->geometry, wb_geometry_place(carry->geometry, id), 0);
}

uint64_t wb_carry_lost_segment(const struct wb_carry *carry)
{
	uint64_t id = wb_carry_oldest_segment(carry);

	if (id == 0 || count_bad(carry, id, first_slot_of(carry, id)) !=
		       atomic_load(&wb_segment_of_id(carry->segments, id)->dirty_count))
		return 0;
	return id;
}

/* Discards make room by themselves, when they are done. */
bool wb_carry_is_stuck(const struct wb_carry *carry)
{
	if (wb_extent_table_bad_count(carry->extents) < WB_EXTENTS_MAX / 2 ||
	    wb_carry_lost_segment(carry) == 0)
		return false;
	if (!wb_extent_table_reserve(carry->extents))
		return true;
	wb_extent_table_unreserve(carry->extents);
	return false;
}

bool wb_carry_step(const struct wb_carry *carry)
{
	uint64_t id = wb_carry_lost_segment(carry);
	uint32_t budget = carry->geometry->segment_blocks / 2, carried = 0;
	struct wb_extent extent;

	if (id == 0)
		return false;
	for (uint64_t from = 0; carried < budget &&
	     wb_extent_table_next_bad(carry->extents, from, id, &extent);
	     from = extent.first + extent.count)
		carried += carry_extent(carry, id, from, &extent);
	return carried > 0;
}

/* --- what the backing refuses -------------------------------------------------- */

/* The place in the log was given before the block is entered. Whoever changed it
 * in between took the slot out of the map, and the place stays VOID; whoever
 * changes it afterwards gets a later place. */
static bool carry_block(const struct wb_carry *carry, const struct wb_carry_block *block,
			const struct wb_reservation *reservation, uint32_t i)
{
	struct wb_busy busy = { .first = block->address, .last = block->address };
	struct wb_entry entry = { .address = block->address, .mask = block->mask,
				  .type = WB_ENTRY_DATA };
	struct wb_stripe *stripe = wb_block_map_stripe(carry->map, block->address);
	struct wb_mapping now;
	bool is_same;

	if (wb_exclusion_enter(carry->exclusion, &busy, NULL) != WB_ENTERED)
		return false;
	wb_block_map_lookup_locked(carry->map, block->address, &now);
	wb_lock_release(&stripe->lock);
	is_same = now.slot == block->slot && wb_slot_state_is_dirty(now.state);
	if (is_same) {
		memcpy(wb_log_reserved_block(carry->log, reservation, i), block->data,
		       WB_BLOCK_BYTES);
		entry.crc_or_length = wb_crc32c(block->data, WB_BLOCK_BYTES);
		wb_block_map_set_crc(carry->map, wb_log_reserved_slot(reservation, i),
				     entry.crc_or_length);
		wb_record_set_entry(reservation->header, reservation->first_entry + i,
				    &entry);
	}
	wb_lock_acquire(&stripe->lock);
	if (is_same) {
		wb_block_map_put_locked(carry->map, block->address,
					wb_log_reserved_slot(reservation, i),
					block->mask, WB_SLOT_DIRTY);
		stripe->change_count++;
	}
	wb_exclusion_leave_locked(carry->exclusion, &busy);
	wb_lock_release(&stripe->lock);
	return is_same;
}

size_t wb_carry_blocks(const struct wb_carry *carry, const struct wb_carry_block *blocks,
		       size_t count)
{
	struct wb_reservation reservation;
	size_t done = 0, carried = 0;

	while (done < count && wb_log_reserve(carry->log, WB_LOG_CARRY, (uint32_t)(count - done),
					      &reservation)) {
		*carry->newest_segment = reservation.record->segment_id;
		for (uint32_t i = 0; i < reservation.count; i++)
			carried += carry_block(carry, &blocks[done + i], &reservation, i);
		wb_log_reservation_done(carry->log, &reservation);
		done += reservation.count;
	}
	return carried;
}

static bool is_mapped(const struct wb_carry *carry, uint64_t address)
{
	struct wb_stripe *stripe = wb_block_map_stripe(carry->map, address);
	struct wb_mapping now;

	wb_lock_acquire(&stripe->lock);
	wb_block_map_lookup_locked(carry->map, address, &now);
	wb_lock_release(&stripe->lock);
	return now.slot != WB_NO_SLOT;
}

/* A later entry would undo, after a crash, what was written over the discard
 * since: only what has nothing newer is entered again. What has is whole and
 * dirty, and needs no punch before it is written. */
static bool append_zero(const struct wb_carry *carry, uint64_t first, uint64_t end)
{
	while (first < end) {
		uint64_t stop = first;

		while (stop < end && !is_mapped(carry, stop))
			stop++;
		if (stop > first && !append_extent(carry, first, stop - first, WB_EXTENT_ZERO))
			return false;
		if (stop < end)
			wb_extent_table_carve(carry->extents, stop, 1, WB_EXTENT_ZERO);
		first = stop + 1;
	}
	return true;
}

bool wb_carry_zero(const struct wb_carry *carry, const struct wb_extent *extent)
{
	uint64_t count = MIN(extent->count, ZERO_BLOCKS_MAX);
	struct wb_busy busy = { .first = extent->first, .last = extent->first + count - 1 };
	struct wb_extent now;
	bool ok = false;

	if (wb_exclusion_enter_range(carry->exclusion, &busy, NULL) != WB_ENTERED)
		return false;
	/* A newer discard may have replaced it. */
	if (wb_extent_table_next_zero_of(carry->extents, busy.first, extent->segment_id, &now) &&
	    now.first <= busy.last && now.sequence == extent->sequence)
		ok = append_zero(carry, MAX(now.first, busy.first),
				 MIN(now.first + now.count, busy.last + 1));
	wb_exclusion_leave_range(carry->exclusion, &busy);
	return ok;
}
