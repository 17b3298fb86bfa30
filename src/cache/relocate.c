/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/relocate.h"

#include <glib.h>
#include <inttypes.h>
#include <string.h>

#include "base/mutant.h"
#include "cache/limits.h"

enum stage { STAGE_IDLE, STAGE_HOLD, STAGE_PROBE, STAGE_COMMIT, STAGE_COMMITTING, STAGE_MOVE,
	     STAGE_DRAIN };

struct wb_relocate {
	/* constant after opening */
	struct wb_relocate_deps deps;
	void (*resumed)(void *arg);
	void (*kick)(void *arg);
	void *arg;

	/* stepping thread only */
	enum stage stage;
	struct wb_flush_cut cut;
	uint64_t place;			/* the bad one */
	bool is_filled;			/* the superblock says what it has to */
	struct wb_tail_position recording;
	unsigned failures;		/* of COMMIT, in a row */
	uint64_t retry_at_ns;
	uint64_t source_id, target_id;	/* of the segment that moves */
	uint64_t next_end;		/* last record that has not moved */
	uint32_t spare;			/* RAM buffer */
	uint32_t source_ram_index;
	struct wb_log_move head;

	/* of the superblocks under way: set by done(), read when it is idle */
	int error;
};

struct wb_relocate *wb_relocate_new(const struct wb_relocate_deps *deps)
{
	struct wb_relocate *relocate = g_new0(struct wb_relocate, 1);

	relocate->deps = *deps;
	return relocate;
}

void wb_relocate_free(struct wb_relocate *relocate)
{
	g_free(relocate);
}

void wb_relocate_set_callbacks(struct wb_relocate *relocate, void (*resumed)(void *arg),
			       void (*kick)(void *arg), void *arg)
{
	relocate->resumed = resumed;
	relocate->kick = kick;
	relocate->arg = arg;
}

bool wb_relocate_may_give_up_place(struct wb_segment_table *segments,
				   const struct wb_superblock *superblock)
{
	return superblock->bad_count < WB_SUPERBLOCK_BAD_PLACES &&
	       wb_segment_table_good_count(segments) > WB_GOOD_SEGMENTS_MIN;
}

static void resume(struct wb_relocate *relocate)
{
	relocate->stage = STAGE_IDLE;
	wb_log_resume(relocate->deps.log);
	if (relocate->resumed)
		relocate->resumed(relocate->arg);
}

/* Nothing of it is on the disk yet. The record is tried again where it was. */
static bool call_off(struct wb_relocate *relocate)
{
	wb_flush_retry_in_place(relocate->deps.flush);
	resume(relocate);
	return true;
}

/* --- superblocks -------------------------------------------------------------- */

static void recorded(void *arg, int error)
{
	struct wb_relocate *relocate = arg;

	relocate->error = error;
}

static void recorder_idle(void *arg)
{
	struct wb_relocate *relocate = arg;

	if (relocate->kick)
		relocate->kick(relocate->arg);
}

static void start_recording(struct wb_relocate *relocate, struct wb_superblock *superblock)
{
	struct wb_recorder_callbacks callbacks = { recorded, recorder_idle, relocate };

	relocate->recording = wb_tail_current(relocate->deps.tail);
	superblock->tail_segment = relocate->recording.segment;
	superblock->tail_sequence = relocate->recording.sequence;
	superblock->durable = wb_log_durable(relocate->deps.log);
	superblock->state_flags = 0;
	wb_recorder_start(relocate->deps.recorder, &callbacks);
}

/* --- up to the point of no return ----------------------------------------------- */

/* The reasons to stay are looked at before anybody is made to wait. */
static bool idle_step(struct wb_relocate *relocate)
{
	struct wb_flush *flush = relocate->deps.flush;

	if (!wb_flush_is_quiet(flush) || wb_recorder_is_busy(relocate->deps.recorder))
		return false;
	if (!wb_relocate_may_give_up_place(relocate->deps.segments,
			wb_recorder_superblock(relocate->deps.recorder))) {
		wb_message_set(relocate->deps.message,
			       "cache %s: a place of the log cannot be written, and too many "
			       "have been given up already (%" PRIu64 "): no new data is taken",
			       relocate->deps.store->label,
			       wb_segment_table_bad_count(relocate->deps.segments));
		wb_flush_retry_in_place(flush);
		return true;
	}
	if (wb_flush_keeps_source(flush)) {
		wb_flush_retry_in_place(flush);
		return true;
	}
	wb_log_hold(relocate->deps.log);
	relocate->stage = STAGE_HOLD;
	return true;
}

static bool hold_step(struct wb_relocate *relocate)
{
	struct wb_recorder *recorder = relocate->deps.recorder;

	if (!wb_log_is_still(relocate->deps.log, wb_log_durable(relocate->deps.log)) ||
	    wb_recorder_is_busy(recorder))
		return false;
	if (wb_log_ready_count(relocate->deps.log) == 0)
		return call_off(relocate);
	start_recording(relocate, wb_recorder_superblock(recorder));
	relocate->stage = STAGE_PROBE;
	return true;
}

static bool probe_step(struct wb_relocate *relocate)
{
	struct wb_log *log = relocate->deps.log;

	if (wb_recorder_is_busy(relocate->deps.recorder))
		return false;
	/* A disk that cannot be written at all has no bad place. */
	if (relocate->error)
		return call_off(relocate);
	wb_tail_is_durable(relocate->deps.tail, relocate->recording);
	if (!wb_flush_get_cut(relocate->deps.flush, &relocate->cut))
		return call_off(relocate);
	relocate->spare = wb_rambuf_take_spare(relocate->deps.rambuf);
	if (relocate->spare == WB_NO_RAM_BUFFER)
		return call_off(relocate);
	/* There was one, and the log is held. */
	relocate->target_id = wb_log_take_segment(log);
	g_assert(relocate->target_id != 0);
	relocate->source_id = wb_log_record(log, relocate->cut.sequence + 1)->segment_id;
	relocate->place = wb_geometry_place(relocate->deps.geometry, relocate->source_id);
	relocate->next_end = wb_log_last_sequence(log);
	relocate->is_filled = false;
	relocate->failures = 0;
	relocate->stage = STAGE_COMMIT;
	return true;
}

/* --- the new epoch ---------------------------------------------------------------- */

static void fill_superblock(struct wb_relocate *relocate, struct wb_superblock *superblock)
{
	superblock->epoch = wb_log_epoch(relocate->deps.log) + 1;
	superblock->epoch_start = relocate->cut.sequence + 1;
	superblock->cut_sequence = relocate->cut.sequence;
	superblock->cut_segment = relocate->cut.segment_id;
	superblock->cut_crc = relocate->cut.crc;
	superblock->bad_places[superblock->bad_count++] = (uint32_t)relocate->place;
	relocate->head.epoch = superblock->epoch;
	relocate->head.epoch_start = superblock->epoch_start;
	relocate->is_filled = true;
}

static bool commit_step(struct wb_relocate *relocate)
{
	struct wb_superblock *superblock;

	if (wb_recorder_is_busy(relocate->deps.recorder))
		return false;
	if (relocate->failures > 0 &&
	    wb_clock_now_ns(relocate->deps.clock) < relocate->retry_at_ns)
		return false;
	superblock = wb_recorder_superblock(relocate->deps.recorder);
	if (!relocate->is_filled)
		fill_superblock(relocate, superblock);
	start_recording(relocate, superblock);
	relocate->stage = STAGE_COMMITTING;
	return true;
}

static bool committing_step(struct wb_relocate *relocate)
{
	if (wb_recorder_is_busy(relocate->deps.recorder))
		return false;
	if (relocate->error) {
		relocate->retry_at_ns = wb_clock_now_ns(relocate->deps.clock) +
			MIN(WB_RETRY_FIRST_NS << MIN(relocate->failures, 10u),
			    WB_RETRY_LAST_NS);
		relocate->failures++;
		wb_flush_count_failure(relocate->deps.flush, relocate->error);
		relocate->stage = STAGE_COMMIT;
		return true;
	}
	wb_tail_is_durable(relocate->deps.tail, relocate->recording);
	wb_segment_table_mark_bad(relocate->deps.segments, relocate->place);
	relocate->stage = STAGE_MOVE;
	return true;
}

/* --- moving one segment --------------------------------------------------------------- */

/* The target is open as a RAM segment before the map names it, and has the data. */
static void open_target(struct wb_relocate *relocate, uint32_t ram_index, uint64_t first,
			uint64_t last)
{
	struct wb_segment *target = wb_segment_of_id(relocate->deps.segments,
						     relocate->target_id);

	g_assert(target->dirty_count == 0 && target->pins == 0 &&
		 target->ram_pins == WB_RAM_CLOSED);
	target->first_sequence = first;
	target->last_sequence = last;
	target->ram_index = ram_index;
	target->superseded_by = 0;
	atomic_store(&target->id, relocate->target_id);
	atomic_store(&target->ram_pins, 0);
}

/* The change counters stay: no data of a block has changed. */
static void move_block(struct wb_relocate *relocate, uint64_t address, uint32_t from,
		       uint32_t to)
{
	struct wb_block_map *map = relocate->deps.map;
	struct wb_stripe *stripe = wb_block_map_stripe(map, address);
	struct wb_mapping now;

	wb_block_map_set_crc(map, to, wb_block_map_crc(map, from));
	wb_lock_acquire(&stripe->lock);
	wb_block_map_lookup_locked(map, address, &now);
	/* Else a newer version has replaced it. */
	if (now.slot == from)
		wb_block_map_put_locked(map, address, to, now.mask,
					(enum wb_slot_state)now.state);
	wb_lock_release(&stripe->lock);
}

static void move_blocks(struct wb_relocate *relocate, const struct wb_record *record,
			uint32_t shift)
{
	const struct wb_geometry *g = relocate->deps.geometry;
	uint32_t from = wb_log_record_slot(relocate->deps.log, record, 0);
	uint32_t to = wb_geometry_slot(g, wb_geometry_place(g, relocate->target_id), 0);
	uint32_t block = record->block_offset + 1;

	for (uint32_t i = 0; i < record->entry_count; i++) {
		struct wb_entry entry;

		wb_record_get_entry(record->header, i, &entry);
		if (!wb_entry_has_block(entry.type))
			continue;
		if (entry.type != WB_ENTRY_VOID)
			move_block(relocate, entry.address, from + block, to + block - shift);
		block++;
	}
}

/* The rest of its header the flush engine makes anew. */
static void move_record(struct wb_relocate *relocate, struct wb_record *record,
			uint32_t ram_index, uint32_t shift)
{
	move_blocks(relocate, record, shift);
	record->segment_id = relocate->target_id;
	record->block_offset -= shift;
	record->ram_index = ram_index;
	record->header = wb_rambuf_block(relocate->deps.rambuf, ram_index,
					 record->block_offset);
	wb_record_move(record->header, relocate->head.epoch, relocate->head.epoch_start,
		       record->segment_id, (uint16_t)record->block_offset);
}

static void copy_to_spare(struct wb_relocate *relocate, const struct wb_record *first,
			  const struct wb_record *last)
{
	struct wb_rambuf *rambuf = relocate->deps.rambuf;
	uint32_t end = last->block_offset + 1 + last->block_count;

	memcpy(wb_rambuf_block(rambuf, relocate->spare, 0),
	       wb_rambuf_block(rambuf, first->ram_index, first->block_offset),
	       (size_t)(end - first->block_offset) * WB_BLOCK_BYTES);
}

/* While the superblocks are of a later epoch than the memory, a death has all of it
 * moved anew: only each record has to be found in some buffer, at any moment. */
static void note_move(struct wb_relocate *relocate, bool is_bad_one, uint32_t ram_index,
		      const struct wb_region_run *run)
{
	struct wb_region *region = wb_rambuf_region(relocate->deps.rambuf);

	if (!is_bad_one) {
		wb_region_set_segment(region, ram_index, run->segment_id);
		return;
	}
	wb_region_set_run(region, ram_index, run);
	wb_region_set_last(region, relocate->source_ram_index, relocate->cut.sequence);
}

static void finish(struct wb_relocate *relocate)
{
	WB_STAT_ADD(relocate->deps.stats, WB_STAT_RELOCATIONS, 1);
	wb_message_set(relocate->deps.message,
		       "cache %s: place %" PRIu64 " of the log, at byte %" PRIu64 ", cannot be "
		       "written and was given up; its data went elsewhere",
		       relocate->deps.store->label, relocate->place,
		       wb_geometry_segment_offset(relocate->deps.geometry, relocate->place));
	wb_log_move_head(relocate->deps.log, &relocate->head);
	/* Now that each record has its place in it. */
	wb_region_set_epoch(wb_rambuf_region(relocate->deps.rambuf), relocate->head.epoch,
			    relocate->head.epoch_start);
	wb_flush_relocated(relocate->deps.flush, relocate->source_id);
	resume(relocate);
	wb_flush_run(relocate->deps.flush);
}

/*
 * No reader goes to the SSD at a slot that moved. Whoever finds a slot in the map
 * does so under the stripe lock and takes, before that lock goes, a pin on the
 * RAM buffer (reads) or on the segment (merges, which then ask for the RAM
 * buffer). The source's buffer stays open until the map names no slot of what
 * moved and nobody has the segment pinned; its data never change. No writer has
 * a place in the source: that would be a copy under way, and there is none.
 */
static bool move_step(struct wb_relocate *relocate)
{
	struct wb_log *log = relocate->deps.log;
	uint64_t last = relocate->next_end, first = last, source_id, superseded_by;
	struct wb_segment *source, *target;
	struct wb_record *begin = wb_log_record(log, last);
	uint32_t ram_index, shift;
	bool is_bad_one;

	source_id = begin->segment_id;
	for (; first - 1 > relocate->cut.sequence &&
	     wb_log_record(log, first - 1)->segment_id == source_id; first--)
		;
	begin = wb_log_record(log, first);
	is_bad_one = first == relocate->cut.sequence + 1;
	g_assert(is_bad_one == (source_id == relocate->source_id));
	/* A segment begins with a header. */
	shift = begin->block_offset;
	ram_index = is_bad_one ? relocate->spare : begin->ram_index;
	g_assert(is_bad_one || shift == 0);
	relocate->source_ram_index = begin->ram_index;
	if (is_bad_one)
		copy_to_spare(relocate, begin, wb_log_record(log, last));
	open_target(relocate, ram_index, first, last);
	source = wb_segment_of_id(relocate->deps.segments, source_id);
	superseded_by = source->superseded_by;
	for (uint64_t s = first; s <= last; s++)
		move_record(relocate, wb_log_record(log, s), ram_index, shift);
	note_move(relocate, is_bad_one, ram_index, &(struct wb_region_run){
			relocate->target_id, first, last });
	/* It is as old as it was. */
	target = wb_segment_of_id(relocate->deps.segments, relocate->target_id);
	target->dirty_since_ns = source->dirty_since_ns;
	/* What moved was not durable there, and is not needed there. What newer records had
	 * replaced of it before is in the target too, and needed until they are durable. */
	source->superseded_by = superseded_by;
	if (!WB_MUTANT(replacement_forgotten_in_move))
		target->superseded_by = superseded_by;
	wb_extent_table_move(relocate->deps.extents, source_id, relocate->cut.sequence,
			     relocate->target_id);
	if (last == wb_log_last_sequence(log)) {
		const struct wb_record *end = wb_log_record(log, last);

		relocate->head.segment_id = relocate->target_id;
		relocate->head.ram_index = ram_index;
		relocate->head.next_block = end->block_offset + 1 + end->block_count;
	}
	if (is_bad_one) {
		finish(relocate);
		return true;
	}
	relocate->next_end = first - 1;
	relocate->target_id = source_id;
	relocate->stage = STAGE_DRAIN;
	return true;
}

/* The place that was moved from is the next one's target: with a buffer of its
 * own, and new slots for the old addresses. Pins first: who has one may still
 * want the buffer. */
static bool drain_step(struct wb_relocate *relocate)
{
	struct wb_segment *segment = wb_segment_of_id(relocate->deps.segments,
						      relocate->target_id);

	wb_segment_table_want_unpinned(relocate->deps.segments);
	if (atomic_load(&segment->pins) > 0 || !wb_segment_ram_close(segment))
		return false;
	relocate->stage = STAGE_MOVE;
	return true;
}

bool wb_relocate_step(struct wb_relocate *relocate)
{
	/* Also FALSE when everything is to be dropped. */
	if (!wb_flush_wants_relocation(relocate->deps.flush))
		return false;
	switch (relocate->stage) {
	case STAGE_IDLE: return idle_step(relocate);
	case STAGE_HOLD: return hold_step(relocate);
	case STAGE_PROBE: return probe_step(relocate);
	case STAGE_COMMIT: return commit_step(relocate);
	case STAGE_COMMITTING: return committing_step(relocate);
	case STAGE_MOVE: return move_step(relocate);
	case STAGE_DRAIN: return drain_step(relocate);
	}
	g_assert_not_reached();
}
