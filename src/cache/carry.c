/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/carry.h"

/* One BAD entry for blocks that the caller holds exclusively. */
static bool append_bad(const struct wb_carry *carry, uint64_t first, uint64_t count)
{
	struct wb_extent extent = { .first = first, .count = count, .kind = WB_EXTENT_BAD };
	struct wb_record *record;

	if (!wb_extent_table_reserve(carry->extents))
		return false;
	if (!wb_log_append_extent(carry->log, WB_LOG_CARRY, WB_ENTRY_BAD, first,
				  (uint32_t)count, &record)) {
		wb_extent_table_unreserve(carry->extents);
		return false;
	}
	extent.sequence = record->sequence;
	extent.segment_id = record->segment_id;
	wb_extent_table_insert(carry->extents, &extent);
	wb_log_extent_done(carry->log, record);
	return true;
}

static bool carry_slot(const struct wb_carry *carry, uint32_t slot)
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
		ok = append_bad(carry, seen.address, 1);
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
		ok = append_bad(carry, now.first, now.count);
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

bool wb_carry_step(const struct wb_carry *carry, enum wb_carry_what what)
{
	uint64_t id = wb_tail_current(carry->tail).segment;
	struct wb_segment *segment = wb_segment_of_id(carry->segments, id);
	uint32_t first_slot = wb_geometry_slot(carry->geometry,
					       wb_geometry_place(carry->geometry, id), 0);
	uint32_t budget = carry->geometry->segment_blocks / 2, carried = 0;
	struct wb_log_head head;
	struct wb_extent extent;

	wb_log_get_head(carry->log, &head);
	if (id >= head.segment_id || atomic_load(&segment->id) != id ||
	    segment->last_sequence > wb_log_durable(carry->log) ||
	    atomic_load(&segment->dirty_count) == 0 ||
	    count_bad(carry, id, first_slot) != atomic_load(&segment->dirty_count))
		return false;
	for (uint32_t i = 0; what == WB_CARRY_ALL && i < carry->geometry->segment_blocks &&
	     carried < budget; i++)
		carried += carry_slot(carry, first_slot + i);
	for (uint64_t from = 0; carried < budget &&
	     wb_extent_table_next_bad(carry->extents, from, id, &extent);
	     from = extent.first + extent.count)
		carried += carry_extent(carry, id, from, &extent);
	return carried > 0;
}
