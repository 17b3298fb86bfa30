/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/forget.h"

static bool is_clean_locked(const struct wb_forget *forget, uint64_t address, uint32_t slot)
{
	struct wb_mapping now;

	wb_block_map_lookup_locked(forget->map, address, &now);
	return now.slot == slot && now.state == WB_SLOT_CLEAN;
}

/* Whether a recovery would replay what lies there: by the tail that is certainly on the
 * SSD. The slot is named by the map, so its place is not used again. */
static bool is_replayed(const struct wb_forget *forget, uint32_t slot)
{
	const struct wb_segment *segment = wb_segment_of_slot(forget->segments, slot);

	return atomic_load(&segment->last_sequence) >= wb_tail_durable(forget->tail).sequence;
}

/* Whoever works on the block may leave it meanwhile, and eviction asks nobody: looked
 * at again. */
static bool remove_from_map(const struct wb_forget *forget, uint64_t address, uint32_t slot)
{
	struct wb_stripe *stripe = wb_block_map_stripe(forget->map, address);
	bool is_clean;

	wb_lock_acquire(&stripe->lock);
	is_clean = is_clean_locked(forget, address, slot);
	if (is_clean)
		wb_block_map_remove_locked(forget->map, address);
	wb_lock_release(&stripe->lock);
	if (is_clean)
		WB_STAT_ADD(forget->stats, WB_STAT_CHECKSUM_REPAIRED, 1);
	return is_clean;
}

/* Entered, and seen to be clean: nobody else makes another version of it. */
static bool remove_with_entry(const struct wb_forget *forget, uint64_t address, uint32_t slot)
{
	struct wb_record *record = NULL;
	bool was_clean;

	if (!wb_log_append_extent(forget->log, WB_LOG_EXTENT, &(struct wb_log_extent){
			.type = WB_ENTRY_BYPASS, .first = address, .count = 1 }, &record))
		record = NULL;
	was_clean = remove_from_map(forget, address, slot);
	if (record)
		wb_log_extent_done(forget->log, record);
	return was_clean;
}

bool wb_forget_clean_entered(const struct wb_forget *forget, uint64_t address, uint32_t slot)
{
	struct wb_stripe *stripe = wb_block_map_stripe(forget->map, address);
	bool is_clean, needs_entry;

	wb_lock_acquire(&stripe->lock);
	is_clean = is_clean_locked(forget, address, slot);
	needs_entry = is_clean && is_replayed(forget, slot);
	wb_lock_release(&stripe->lock);
	if (needs_entry)
		return remove_with_entry(forget, address, slot);
	return is_clean && remove_from_map(forget, address, slot);
}

bool wb_forget_clean(const struct wb_forget *forget, uint64_t address, uint32_t slot)
{
	struct wb_busy busy = { .first = address, .last = address };
	bool was_clean;

	if (wb_exclusion_enter(forget->exclusion, &busy, NULL) != WB_ENTERED)
		return remove_from_map(forget, address, slot);
	wb_lock_release(&wb_block_map_stripe(forget->map, address)->lock);
	was_clean = wb_forget_clean_entered(forget, address, slot);
	wb_exclusion_leave(forget->exclusion, &busy);
	return was_clean;
}
