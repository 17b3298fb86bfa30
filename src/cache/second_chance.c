/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/second_chance.h"

#include <glib.h>
#include <string.h>

#include "base/checksum.h"
#include "base/mutant.h"

#define BLOCK WB_BLOCK_BYTES
#define PIECE_BLOCKS WB_SCRUB_BLOCKS

enum stage { STAGE_IDLE, STAGE_NEXT, STAGE_READ, STAGE_APPEND };

struct wb_second_chance {
	struct wb_second_chance_deps deps;	/* constant */
	char *buffer;			/* of a piece */

	/* stepping thread only */
	enum stage stage;
	uint64_t place, segment_id;	/* the one under way, or the last that was done */
	struct wb_segment *pinned;
	bool *stays;			/* each block of the segment */
	uint32_t next_block;		/* of the segment: not looked at */
	uint32_t first_block, block_count;	/* of the piece */
	struct wb_io io;

	/* atomic */
	atomic_bool has_ended, is_abandoned;
	_Atomic int error;
	_Atomic unsigned completions;
};

struct wb_second_chance *wb_second_chance_new(const struct wb_second_chance_deps *deps)
{
	struct wb_second_chance *chance = g_new0(struct wb_second_chance, 1);

	chance->deps = *deps;
	chance->buffer = g_aligned_alloc(PIECE_BLOCKS, BLOCK, BLOCK);
	chance->stays = g_new0(bool, deps->geometry->segment_blocks);
	return chance;
}

void wb_second_chance_free(struct wb_second_chance *chance)
{
	if (!chance)
		return;
	g_assert(!chance->pinned);
	g_free(chance->stays);
	g_aligned_free(chance->buffer);
	g_free(chance);
}

void wb_second_chance_abandon(struct wb_second_chance *chance)
{
	atomic_store(&chance->is_abandoned, true);
}

bool wb_second_chance_is_settled(struct wb_second_chance *chance)
{
	return chance->stage == STAGE_IDLE && atomic_load(&chance->completions) == 0;
}

/* --- which ----------------------------------------------------------------------------- */

static uint32_t first_slot(const struct wb_second_chance *chance)
{
	return wb_geometry_slot(chance->deps.geometry, chance->place, 0);
}

static bool is_pinned(struct wb_second_chance *chance, uint32_t block)
{
	struct wb_mapping seen;

	wb_block_map_peek(chance->deps.map, first_slot(chance) + block, &seen);
	return seen.state == WB_SLOT_CLEAN &&
	       wb_fill_gate_is_pinned(chance->deps.gate, seen.address);
}

/* FALSE when there is nothing to be saved. */
static bool choose(struct wb_second_chance *chance)
{
	uint32_t blocks = chance->deps.geometry->segment_blocks, count = 0;

	for (uint32_t i = 0; i < blocks; i++) {
		struct wb_mapping seen;

		wb_block_map_peek(chance->deps.map, first_slot(chance) + i, &seen);
		chance->stays[i] = seen.state == WB_SLOT_CLEAN;
		count += chance->stays[i];
	}
	if (count == 0)
		return false;
	count = wb_read_policy_choose(chance->deps.policy, first_slot(chance), chance->stays,
				      blocks);
	for (uint32_t i = 0; i < blocks; i++) {
		if (!chance->stays[i] && is_pinned(chance, i)) {
			chance->stays[i] = true;
			count++;
		}
	}
	return count > 0;
}

bool wb_second_chance_is_over(struct wb_second_chance *chance, uint64_t place)
{
	struct wb_segment *segment = wb_segment_at(chance->deps.segments, place);
	uint64_t id = atomic_load(&segment->id);

	if (!wb_fill_gate_is_on(chance->deps.gate) || atomic_load(&chance->is_abandoned))
		return true;
	if (chance->stage != STAGE_IDLE)
		return false;
	if (chance->place == place && chance->segment_id == id)
		return true;
	chance->place = place;
	chance->segment_id = id;
	if (!choose(chance))
		return true;
	chance->pinned = segment;
	wb_segment_pin(segment);
	chance->next_block = 0;
	chance->stage = STAGE_NEXT;
	return false;
}

static uint32_t count_staying(const struct wb_second_chance *chance, uint32_t from, uint32_t to)
{
	uint32_t count = 0;

	for (uint32_t i = from; i < to; i++)
		count += chance->stays[i];
	return count;
}

static void note_dropped(struct wb_second_chance *chance, uint32_t count)
{
	WB_STAT_ADD(chance->deps.stats, WB_STAT_SECOND_CHANCE_DROPPED_BLOCKS, count);
}

void wb_second_chance_hurry(struct wb_second_chance *chance, uint64_t place)
{
	uint32_t blocks = chance->deps.geometry->segment_blocks;

	if (chance->stage == STAGE_IDLE || chance->place != place)
		return;
	/* It ends with the piece under way, whose blocks are forgotten by then. */
	note_dropped(chance, count_staying(chance, chance->stage == STAGE_NEXT ?
					   chance->next_block : chance->first_block, blocks));
	memset(chance->stays, 0, blocks * sizeof(bool));
}

/* --- a piece ----------------------------------------------------------------------------- */

static void read_done(struct wb_io *io, int error)
{
	struct wb_second_chance *chance =
		(struct wb_second_chance *)((char *)io - offsetof(struct wb_second_chance, io));

	atomic_fetch_add(&chance->completions, 1);
	atomic_store(&chance->error, error);
	atomic_store(&chance->has_ended, true);
	/* From here on the worker may use it again. */
	if (chance->deps.kick)
		chance->deps.kick(chance->deps.arg);
	atomic_fetch_sub(&chance->completions, 1);
}

static void end(struct wb_second_chance *chance)
{
	struct wb_segment *pinned = chance->pinned;

	chance->pinned = NULL;
	chance->stage = STAGE_IDLE;
	wb_segment_unpin(chance->deps.segments, pinned);
}

static bool next_piece(struct wb_second_chance *chance)
{
	uint32_t blocks = chance->deps.geometry->segment_blocks, first = chance->next_block, last;

	while (first < blocks && !chance->stays[first])
		first++;
	if (first == blocks || atomic_load(&chance->is_abandoned)) {
		end(chance);
		return true;
	}
	for (uint32_t i = last = first; i < blocks && i - first < PIECE_BLOCKS; i++)
		if (chance->stays[i])
			last = i;
	chance->first_block = first;
	chance->block_count = last + 1 - first;
	chance->next_block = last + 1;
	chance->stage = STAGE_READ;
	atomic_store(&chance->has_ended, false);
	wb_io_prepare(&chance->io, WB_IO_READ, WB_IO_CLASS_FILL,
		      wb_geometry_slot_offset(chance->deps.geometry, first_slot(chance) + first),
		      chance->buffer, (uint64_t)chance->block_count * BLOCK, read_done);
	WB_STAT_ADD(chance->deps.stats, WB_STAT_SSD_READ_BYTES,
		    (uint64_t)chance->block_count * BLOCK);
	wb_store_submit(chance->deps.store, &chance->io);
	return true;
}

/* The place in the log was given before the block is entered: as in carry.c, whoever
 * changed it in between took the slot out of the map, and the place stays VOID. */
static bool append_block(struct wb_second_chance *chance, uint32_t block,
			 const struct wb_reservation *reservation, uint32_t i)
{
	struct wb_block_map *map = chance->deps.map;
	uint32_t from = first_slot(chance) + block;
	uint32_t to = wb_log_reserved_slot(reservation, i);
	const char *data = chance->buffer + (size_t)(block - chance->first_block) * BLOCK;
	struct wb_entry entry = { .type = WB_ENTRY_CLEAN };
	struct wb_mapping seen, now;
	struct wb_stripe *stripe;
	struct wb_busy busy;
	bool is_same;

	wb_block_map_peek(map, from, &seen);
	entry.address = busy.first = busy.last = seen.address;
	entry.crc_or_length = wb_crc32c(data, BLOCK);
	if (seen.state != WB_SLOT_CLEAN || entry.crc_or_length != wb_block_map_crc(map, from) ||
	    wb_exclusion_enter(chance->deps.exclusion, &busy, NULL) != WB_ENTERED)
		return false;
	stripe = wb_block_map_stripe(map, seen.address);
	wb_block_map_lookup_locked(map, seen.address, &now);
	wb_lock_release(&stripe->lock);
	is_same = now.slot == from && now.state == WB_SLOT_CLEAN;
	is_same |= WB_MUTANT(second_chance_unchecked);
	if (is_same) {
		entry.mask = seen.mask;
		memcpy(wb_log_reserved_block(chance->deps.log, reservation, i), data, BLOCK);
		wb_block_map_set_crc(map, to, entry.crc_or_length);
		wb_read_policy_set_mark(chance->deps.policy, to,
					wb_read_policy_next_mark(chance->deps.policy, from));
		wb_record_set_entry(reservation->header, reservation->first_entry + i,
				    &entry);
	}
	wb_lock_acquire(&stripe->lock);
	if (is_same)
		wb_block_map_put_locked(map, entry.address, to, entry.mask, WB_SLOT_CLEAN);
	wb_exclusion_leave_locked(chance->deps.exclusion, &busy);
	wb_lock_release(&stripe->lock);
	return is_same;
}

static void append_piece(struct wb_second_chance *chance)
{
	uint32_t block = chance->first_block, end_block = block + chance->block_count;
	uint32_t staying = count_staying(chance, block, end_block), kept = 0;
	uint32_t taken = wb_fill_gate_take(chance->deps.gate, staying), wanted = taken;
	struct wb_reservation reservation;

	while (wanted > 0 &&
	       wb_log_reserve(chance->deps.log, WB_LOG_AGAIN, wanted, &reservation)) {
		for (uint32_t i = 0; i < reservation.count; block++) {
			g_assert(block < end_block);
			if (chance->stays[block])
				kept += append_block(chance, block, &reservation, i++);
		}
		wb_log_reservation_done(chance->deps.log, &reservation);
		wanted -= reservation.count;
	}
	wb_fill_gate_give_back(chance->deps.gate, taken - kept);
	WB_STAT_ADD(chance->deps.stats, WB_STAT_SECOND_CHANCE_BLOCKS, kept);
	note_dropped(chance, staying - taken + wanted);
}

bool wb_second_chance_step(struct wb_second_chance *chance)
{
	switch (chance->stage) {
	case STAGE_IDLE:
		return false;
	case STAGE_NEXT:
		return next_piece(chance);
	case STAGE_READ:
		if (!atomic_load(&chance->has_ended))
			return false;
		chance->stage = STAGE_APPEND;
		return true;
	case STAGE_APPEND:
		if (!chance->error && !atomic_load(&chance->is_abandoned))
			append_piece(chance);
		chance->stage = STAGE_NEXT;
		return true;
	}
	g_assert_not_reached();
}
