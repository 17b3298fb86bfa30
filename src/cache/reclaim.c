/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/reclaim.h"

#include <glib.h>
#include <stdatomic.h>

#include "base/mutant.h"
#include "cache/limits.h"

struct wb_reclaim {
	struct wb_reclaim_deps deps;	/* constant */
	void (*ready)(void *arg);
	void (*kick)(void *arg);
	void (*no_room)(void *arg);
	void *arg;

	/* the stepping thread only */
	bool has_judgement;
	struct wb_tail_position judged;
	uint64_t judged_sequence;	/* durable must cover this */
	struct wb_tail_position recording;	/* in the superblocks under way */
	/* of the update under way, or of whoever starts the next one */
	_Atomic unsigned failures;	/* in a row; read by others too */
	uint64_t retry_at_ns;

	/* atomic */
	atomic_bool is_recording_wanted;
};

struct wb_reclaim *wb_reclaim_new(const struct wb_reclaim_deps *deps)
{
	struct wb_reclaim *reclaim = g_new0(struct wb_reclaim, 1);

	reclaim->deps = *deps;
	return reclaim;
}

void wb_reclaim_free(struct wb_reclaim *reclaim)
{
	g_free(reclaim);
}

void wb_reclaim_set_callbacks(struct wb_reclaim *reclaim, void (*ready)(void *arg),
			      void (*kick)(void *arg), void (*no_room)(void *arg), void *arg)
{
	reclaim->ready = ready;
	reclaim->kick = kick;
	reclaim->no_room = no_room;
	reclaim->arg = arg;
}

bool wb_reclaim_has_failed(struct wb_reclaim *reclaim)
{
	return reclaim->failures >= WB_LOG_FAILURES_MAX;
}

/* Closed, all of it durable (so nothing of it is still being published), and
 * nothing dirty in it. */
static bool is_done_with(struct wb_reclaim *reclaim, uint64_t id, uint64_t durable)
{
	struct wb_segment *segment = wb_segment_of_id(reclaim->deps.segments, id);

	if (atomic_load(&segment->id) != id)
		return true;	/* a place that was stepped over */
	return segment->last_sequence <= durable && atomic_load(&segment->dirty_count) == 0;
}

/*
 * The first id from `from` on that is not done with, or the head's. Only as many
 * ids as there are places can be in use: a superblock that says that far more
 * were consumed must not have us count them one by one.
 */
static uint64_t find_live(struct wb_reclaim *reclaim, uint64_t from, uint64_t head,
			  uint64_t durable)
{
	uint64_t count = wb_segment_table_count(reclaim->deps.segments), found = head;

	if (head <= from || head - from <= count) {
		while (from < head && is_done_with(reclaim, from, durable))
			from++;
		return from;
	}
	for (uint64_t place = 0; place < count; place++) {
		uint64_t id = atomic_load(&wb_segment_at(reclaim->deps.segments, place)->id);

		if (id >= from && id < found && !is_done_with(reclaim, id, durable))
			found = id;
	}
	return found;
}

/*
 * The first segment from `from` on that holds what a record replaced which is not
 * durable; `end`: none before it. Those before it are free at once: a record that
 * cannot be written while no place is free for it would else keep all of the ring,
 * written back or not.
 */
static uint64_t find_superseded(struct wb_reclaim *reclaim, uint64_t from, uint64_t end,
				uint64_t durable)
{
	if (end - from > wb_segment_table_count(reclaim->deps.segments))
		return from;
	/* Asked for after the dirty counts. */
	for (; from < end; from++) {
		struct wb_segment *segment = wb_segment_of_id(reclaim->deps.segments, from);

		if (atomic_load(&segment->id) == from &&
		    atomic_load(&segment->superseded_by) > durable)
			break;
	}
	return from;
}

static bool judge(struct wb_reclaim *reclaim)
{
	struct wb_tail_position tail = wb_tail_current(reclaim->deps.tail);
	struct wb_tail_position found = tail;
	uint64_t durable = wb_log_durable(reclaim->deps.log);
	uint64_t superseded;
	struct wb_log_head head;

	if (reclaim->has_judgement &&
	    find_superseded(reclaim, tail.segment, tail.segment + 1, durable) == tail.segment)
		return false;
	wb_log_get_head(reclaim->deps.log, &head);
	found.segment = find_live(reclaim, found.segment, head.segment_id, durable);
	if (found.segment != tail.segment)
		found.sequence = wb_segment_of_id(reclaim->deps.segments,
						  found.segment)->first_sequence;
	/* Nothing at all is live: the tail is where the next record begins. All
	 * records are durable, so no publication is under way. */
	if (found.segment == head.segment_id && !head.has_open_record &&
	    durable == head.last_sequence &&
	    wb_segment_table_dirty(reclaim->deps.segments) == 0)
		found.sequence = head.last_sequence + 1;
	/* The same sequence in a later segment is a step too: the tail of an empty
	 * log stays in the segment that ended there, and who carries lost data out
	 * of the oldest segment must find the next one. */
	if (found.sequence < tail.sequence ||
	    (found.sequence == tail.sequence && found.segment == tail.segment))
		return false;
	superseded = find_superseded(reclaim, tail.segment, found.segment, durable);
	if (superseded > tail.segment && superseded < found.segment) {
		found.segment = superseded;
		found.sequence = wb_segment_of_id(reclaim->deps.segments,
						  superseded)->first_sequence;
		/* A superblock may claim a tail in the middle of a segment that is not the
		 * tail's own. */
		found.sequence = MAX(found.sequence, tail.sequence);
	}
	reclaim->judged = found;
	/* What replaced the blocks of the judged segments has a sequence of at
	 * most this. The head was read before dirty counts: read it again. */
	reclaim->judged_sequence = superseded > tail.segment ? durable :
				   wb_log_last_sequence(reclaim->deps.log);
	reclaim->has_judgement = true;
	return true;
}

static bool commit_judgement(struct wb_reclaim *reclaim, enum wb_urgency urgency)
{
	if (!reclaim->has_judgement)
		return false;
	if (wb_log_durable(reclaim->deps.log) < reclaim->judged_sequence &&
	    !WB_MUTANT(freed_before_durable)) {
		if (urgency == WB_URGENT)
			wb_flush_want(reclaim->deps.flush, reclaim->judged_sequence);
		return false;
	}
	wb_tail_advance(reclaim->deps.tail, reclaim->judged);
	reclaim->has_judgement = false;
	return true;
}

void wb_reclaim_fill_superblock(struct wb_reclaim *reclaim, uint32_t state_flags)
{
	struct wb_superblock *superblock = wb_recorder_superblock(reclaim->deps.recorder);

	/* durable before the tail: a tail may not be ahead of what it rests on. */
	reclaim->recording = wb_tail_current(reclaim->deps.tail);
	superblock->tail_segment = reclaim->recording.segment;
	superblock->tail_sequence = reclaim->recording.sequence;
	superblock->durable = wb_log_durable(reclaim->deps.log);
	superblock->state_flags = state_flags;
}

static void recorded(void *arg, int error)
{
	struct wb_reclaim *reclaim = arg;

	if (!error) {
		wb_tail_is_durable(reclaim->deps.tail, reclaim->recording);
		reclaim->failures = 0;
		return;
	}
	/* A disk that fails at once would otherwise keep a processor busy. */
	reclaim->retry_at_ns = wb_clock_now_ns(reclaim->deps.clock) +
		MIN(WB_RETRY_FIRST_NS << MIN(reclaim->failures, 10u), WB_RETRY_LAST_NS);
	/* The log may have no place left, so that nothing else is written: who
	 * waits for one must hear that there will be none. */
	if (++reclaim->failures >= WB_LOG_FAILURES_MAX && reclaim->no_room)
		reclaim->no_room(reclaim->arg);
}

static void recorder_idle(void *arg)
{
	struct wb_reclaim *reclaim = arg;

	if (reclaim->kick)
		reclaim->kick(reclaim->arg);
}

static bool start_recording(struct wb_reclaim *reclaim)
{
	struct wb_recorder_callbacks callbacks = { recorded, recorder_idle, reclaim };

	if (wb_recorder_is_busy(reclaim->deps.recorder))
		return false;
	if (reclaim->failures > 0 && wb_clock_now_ns(reclaim->deps.clock) < reclaim->retry_at_ns)
		return false;
	wb_reclaim_fill_superblock(reclaim, 0);
	wb_recorder_start(reclaim->deps.recorder, &callbacks);
	return true;
}

/* When places are wanted and no record will carry the tail soon, the
 * superblocks do. */
static bool record_for_places(struct wb_reclaim *reclaim)
{
	struct wb_tail_position current = wb_tail_current(reclaim->deps.tail);

	return wb_tail_durable(reclaim->deps.tail).segment < current.segment &&
	       start_recording(reclaim);
}

/* --- in time ----------------------------------------------------------------------- */

/* A tail there is in the way of the head soon. */
static bool is_near(struct wb_reclaim *reclaim, struct wb_tail_position tail)
{
	uint64_t count = wb_segment_table_count(reclaim->deps.segments);
	uint64_t ahead = MIN(WB_AHEAD_SEGMENTS, count / WB_AHEAD_PART);

	return tail.segment + count <= wb_log_limit(reclaim->deps.log) + 1 + ahead;
}

/* The tail is where it ought to be, but the SSD does not say so yet. */
static bool record_in_time(struct wb_reclaim *reclaim)
{
	uint64_t last = wb_log_last_sequence(reclaim->deps.log);

	if (last == wb_log_durable(reclaim->deps.log))
		return start_recording(reclaim);
	wb_flush_want(reclaim->deps.flush, last);
	return false;
}

/*
 * A log to which nothing but copies of reads is written has no syncs of its own: nobody
 * waits for a place of it, they are dropped. So it is flushed when that is all that keeps
 * the tail back, once or twice for each round of the ring. What is dirty is another
 * matter: a flush does not help it, but to be written back it has to be durable.
 */
static bool move_in_time(struct wb_reclaim *reclaim)
{
	struct wb_tail_position current = wb_tail_current(reclaim->deps.tail);
	struct wb_segment *oldest = wb_segment_of_id(reclaim->deps.segments, current.segment);
	uint64_t target = 0;

	if (!is_near(reclaim, wb_tail_durable(reclaim->deps.tail)))
		return false;
	if (!is_near(reclaim, current))
		return record_in_time(reclaim);
	if (reclaim->has_judgement)
		target = reclaim->judged_sequence;
	else if (current.segment < wb_log_head_segment(reclaim->deps.log) &&
		 atomic_load(&oldest->id) == current.segment)
		target = oldest->last_sequence;
	if (target > wb_log_durable(reclaim->deps.log))
		wb_flush_want(reclaim->deps.flush, target);
	return false;
}

/* Also by a record that has carried it: that is as good. */
static bool is_recorded(struct wb_reclaim *reclaim)
{
	struct wb_tail_position current = wb_tail_current(reclaim->deps.tail);
	struct wb_tail_position durable = wb_tail_durable(reclaim->deps.tail);

	return durable.sequence == current.sequence && durable.segment == current.segment;
}

/* Empties a place of clean blocks. Versions only leave a closed segment, so
 * one pass is enough. */
static void evict(struct wb_reclaim *reclaim, uint64_t place)
{
	uint32_t first = wb_geometry_slot(reclaim->deps.geometry, place, 0);

	wb_read_policy_is_full(reclaim->deps.policy);

	for (uint32_t i = 0; i < reclaim->deps.geometry->segment_blocks; i++) {
		struct wb_mapping seen, now;
		struct wb_stripe *stripe;

		wb_block_map_peek(reclaim->deps.map, first + i, &seen);
		if (seen.state == WB_SLOT_FREE)
			continue;
		stripe = wb_block_map_stripe(reclaim->deps.map, seen.address);
		wb_lock_acquire(&stripe->lock);
		wb_block_map_lookup_locked(reclaim->deps.map, seen.address, &now);
		if (now.slot == first + i) {
			g_assert(now.state == WB_SLOT_CLEAN);
			wb_block_map_remove_locked(reclaim->deps.map, seen.address);
			wb_read_policy_fell_out(reclaim->deps.policy, seen.address);
		}
		wb_lock_release(&stripe->lock);
	}
	wb_read_policy_clear(reclaim->deps.policy, first,
			     reclaim->deps.geometry->segment_blocks);
}

/* Nobody reads there, or discards: what was emptied before may be pinned too. */
static bool is_let_go(struct wb_reclaim *reclaim, struct wb_segment *segment)
{
	wb_segment_table_want_unpinned(reclaim->deps.segments);
	if (WB_MUTANT(reused_while_discarded) && atomic_load(&segment->id) == 0)
		return true;
	return atomic_load(&segment->pins) == 0 &&
	       atomic_load(&segment->ram_index) == WB_NO_RAM_BUFFER;
}

/* Empties the place of that future id; FALSE when it is still needed by somebody.
 * Before `tail` recovery will never ask for what lies there. */
static bool make_empty(struct wb_reclaim *reclaim, uint64_t id, struct wb_tail_position tail)
{
	struct wb_segment *segment = wb_segment_of_id(reclaim->deps.segments, id);
	uint64_t old_id = atomic_load(&segment->id);

	if (old_id != 0) {
		if (old_id >= tail.segment)
			return false;
		evict(reclaim, wb_geometry_place(reclaim->deps.geometry, id));
	}
	if (!is_let_go(reclaim, segment))
		return false;
	atomic_store(&segment->id, 0);
	return true;
}

/* A bad place too: its id is stepped over only when what lies there is needed no
 * more, for recovery looks at one round of ids. */
static bool make_ready(struct wb_reclaim *reclaim, uint64_t id)
{
	return make_empty(reclaim, id, WB_MUTANT(place_reused_early) ?
			  wb_tail_current(reclaim->deps.tail) :
			  wb_tail_durable(reclaim->deps.tail));
}

static bool is_named(struct wb_reclaim *reclaim, uint64_t place)
{
	uint32_t first = wb_geometry_slot(reclaim->deps.geometry, place, 0);

	for (uint32_t i = 0; i < reclaim->deps.geometry->segment_blocks; i++) {
		struct wb_mapping seen;

		wb_block_map_peek(reclaim->deps.map, first + i, &seen);
		if (seen.state != WB_SLOT_FREE)
			return true;
	}
	return false;
}

/* What is worth it leaves the place first, when there is time for that: also while
 * somebody waits, for those places that he does not wait for. */
static bool may_be_emptied(struct wb_reclaim *reclaim, uint64_t id, enum wb_urgency urgency)
{
	struct wb_segment *segment = wb_segment_of_id(reclaim->deps.segments, id);
	uint64_t place = wb_geometry_place(reclaim->deps.geometry, id);
	uint64_t old_id = atomic_load(&segment->id);

	if (old_id == 0 || old_id >= wb_tail_durable(reclaim->deps.tail).segment)
		return true;	/* which make_ready() judges */
	if (urgency == WB_URGENT && wb_log_ready_count(reclaim->deps.log) < WB_HURRY_SEGMENTS) {
		wb_second_chance_hurry(reclaim->deps.second_chance, place);
		return true;
	}
	return wb_second_chance_is_over(reclaim->deps.second_chance, place);
}

bool wb_reclaim_empty_place(struct wb_reclaim *reclaim, uint64_t id, enum wb_emptying how)
{
	g_assert(id > wb_log_limit(reclaim->deps.log));
	if (how == WB_EMPTY_UNNAMED &&
	    is_named(reclaim, wb_geometry_place(reclaim->deps.geometry, id)))
		return false;
	if (how == WB_EMPTY_CLEAN && !may_be_emptied(reclaim, id, WB_CALM))
		return false;
	return make_empty(reclaim, id, WB_MUTANT(discarded_before_tail_durable) ?
			  wb_tail_current(reclaim->deps.tail) :
			  wb_tail_durable(reclaim->deps.tail));
}

static bool make_places_ready(struct wb_reclaim *reclaim, enum wb_urgency urgency)
{
	uint64_t limit = wb_log_limit(reclaim->deps.log);
	uint64_t good = wb_segment_table_good_count(reclaim->deps.segments);
	uint64_t target = MIN(WB_READY_SEGMENTS, good / 2);
	bool moved = false;

	while (wb_log_ready_count(reclaim->deps.log) < target + WB_RESERVE_DATA) {
		if (!may_be_emptied(reclaim, limit + 1, urgency) ||
		    !make_ready(reclaim, limit + 1))
			break;
		wb_log_set_limit(reclaim->deps.log, ++limit);
		moved = true;
	}
	return moved;
}

bool wb_reclaim_step(struct wb_reclaim *reclaim, enum wb_urgency urgency)
{
	bool moved = judge(reclaim);

	moved |= commit_judgement(reclaim, urgency);
	if (make_places_ready(reclaim, urgency)) {
		moved = true;
		if (reclaim->ready)
			reclaim->ready(reclaim->arg);
	} else if (urgency == WB_URGENT) {
		moved |= record_for_places(reclaim);
	} else if (urgency == WB_EARLY) {
		moved |= move_in_time(reclaim);
	}
	return moved;
}

void wb_reclaim_want_recording(struct wb_reclaim *reclaim)
{
	atomic_store(&reclaim->is_recording_wanted, true);
}

bool wb_reclaim_record_step(struct wb_reclaim *reclaim)
{
	if (!atomic_load(&reclaim->is_recording_wanted))
		return false;
	if (is_recorded(reclaim)) {
		atomic_store(&reclaim->is_recording_wanted, false);
		return false;
	}
	return start_recording(reclaim);
}

bool wb_reclaim_record_last(struct wb_reclaim *reclaim)
{
	while (wb_reclaim_step(reclaim, WB_CALM))
		;
	if (is_recorded(reclaim) || reclaim->failures > 0)
		return true;
	start_recording(reclaim);
	return false;
}

int wb_reclaim_record_sync(struct wb_reclaim *reclaim)
{
	int error = wb_recorder_write_sync(reclaim->deps.recorder);

	if (!error)
		wb_tail_is_durable(reclaim->deps.tail, reclaim->recording);
	return error;
}
