/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/place_discard.h"

#include <errno.h>
#include <glib.h>
#include <stdatomic.h>

#include "cache/limits.h"

#define BLOCK WB_BLOCK_BYTES
#define SECOND_NS UINT64_C(1000000000)

enum discard_stage { STAGE_IDLE, STAGE_HEADERS, STAGE_FLUSH, STAGE_DISCARD };

struct place {
	struct wb_place_discard *owner;
	struct wb_segment *segment;	/* pinned; NULL: not in this batch (any more) */
	uint64_t offset_bytes;
	struct wb_io io;
	int error;			/* of the I/O that ended */
};

struct wb_place_discard {
	struct wb_place_discard_deps deps;	/* constant */

	/* stepping thread only */
	struct place places[WB_DISCARD_PLACES_MAX];
	uint64_t next_id;		/* places of earlier ids were seen to */
	uint64_t budget_bytes, budget_at_ns;
	/* when the last look found nothing: not again before one of them changed */
	uint64_t looked_at_ns, looked_limit, looked_tail;
	unsigned failures;		/* batches in a row */
	uint64_t retry_at_ns;
	struct wb_device_waiter device_waiter;

	/* atomic */
	_Atomic enum discard_stage stage;
	_Atomic unsigned in_flight;	/* I/Os of this stage; pairs with their errors */
	_Atomic int flush_error;
	_Atomic unsigned completions;	/* threads inside one */
	_Atomic uint64_t rate_bytes;
	atomic_bool is_wanted, is_unsupported, is_abandoned;
};

struct wb_place_discard *wb_place_discard_new(const struct wb_place_discard_deps *deps)
{
	struct wb_place_discard *discard = g_new0(struct wb_place_discard, 1);

	discard->deps = *deps;
	for (unsigned i = 0; i < WB_DISCARD_PLACES_MAX; i++)
		discard->places[i].owner = discard;
	return discard;
}

void wb_place_discard_free(struct wb_place_discard *discard)
{
	if (!discard)
		return;
	g_assert(discard->stage == STAGE_IDLE);
	g_free(discard);
}

/* Switched off and on again, it is tried again. */
void wb_place_discard_set(struct wb_place_discard *discard, enum wb_discard_wish wish,
			  uint64_t bytes_per_s)
{
	atomic_store(&discard->rate_bytes, bytes_per_s);
	if (wish == WB_DISCARD_NOTHING)
		atomic_store(&discard->is_unsupported, false);
	atomic_store(&discard->is_wanted, wish == WB_DISCARD_PLACES);
}

enum wb_discard_state wb_place_discard_state(struct wb_place_discard *discard)
{
	if (!atomic_load(&discard->is_wanted))
		return WB_DISCARD_OFF;
	return atomic_load(&discard->is_unsupported) ? WB_DISCARD_UNSUPPORTED : WB_DISCARD_ON;
}

void wb_place_discard_abandon(struct wb_place_discard *discard)
{
	atomic_store(&discard->is_abandoned, true);
}

bool wb_place_discard_is_settled(struct wb_place_discard *discard)
{
	return atomic_load(&discard->stage) == STAGE_IDLE &&
	       atomic_load(&discard->completions) == 0;
}

/* --- completions ------------------------------------------------------------------- */

/* From the countdown on the worker may go on. */
static void count_down(struct wb_place_discard *discard)
{
	if (atomic_fetch_sub(&discard->in_flight, 1) == 1 && discard->deps.kick)
		discard->deps.kick(discard->deps.arg);
}

static void io_done(struct wb_io *io, int error)
{
	struct place *place = (struct place *)((char *)io - offsetof(struct place, io));
	struct wb_place_discard *discard = place->owner;

	atomic_fetch_add(&discard->completions, 1);
	place->error = error;
	count_down(discard);
	atomic_fetch_sub(&discard->completions, 1);
}

static void flush_done(struct wb_device_waiter *waiter, int error)
{
	struct wb_place_discard *discard = (struct wb_place_discard *)((char *)waiter -
					   offsetof(struct wb_place_discard, device_waiter));

	atomic_fetch_add(&discard->completions, 1);
	atomic_store(&discard->flush_error, error);
	count_down(discard);
	atomic_fetch_sub(&discard->completions, 1);
}

/* --- which places -------------------------------------------------------------------- */

/* A pause of the worker does not pile up into a burst of more than half a second. */
static uint64_t budget(struct wb_place_discard *discard, uint64_t now)
{
	uint64_t rate = atomic_load(&discard->rate_bytes);
	uint64_t passed = MIN(now - discard->budget_at_ns, SECOND_NS / 2);
	uint64_t segment_bytes = discard->deps.geometry->segment_bytes;

	if (rate == 0)
		return UINT64_MAX;
	discard->budget_bytes += rate * (passed / 1000) / 1000000;
	discard->budget_bytes = MIN(discard->budget_bytes, MAX(rate / 2, segment_bytes));
	discard->budget_at_ns = now;
	return discard->budget_bytes;
}

/* Blocks are overwritten without any of this changing: once a second in any case. */
static bool has_news(struct wb_place_discard *discard, uint64_t now)
{
	return now - discard->looked_at_ns >= SECOND_NS ||
	       discard->looked_limit != wb_log_limit(discard->deps.log) ||
	       discard->looked_tail != wb_tail_durable(discard->deps.tail).segment;
}

static bool may_begin(struct wb_place_discard *discard, uint64_t now)
{
	if (!discard->is_wanted || discard->is_unsupported || discard->is_abandoned)
		return false;
	if (discard->failures > 0 && now < discard->retry_at_ns)
		return false;
	return has_news(discard, now);
}

static void take(struct wb_place_discard *discard, unsigned i, uint64_t id)
{
	const struct wb_geometry *g = discard->deps.geometry;
	struct place *place = &discard->places[i];

	place->segment = wb_segment_of_id(discard->deps.segments, id);
	place->offset_bytes = wb_geometry_segment_offset(g, wb_geometry_place(g, id));
	wb_segment_pin(place->segment);
}

/*
 * Ids go round the ring: at id + the number of places the next round begins. The
 * last one is the head's, which is needed; if there never was a head, it is free.
 */
static unsigned choose_places(struct wb_place_discard *discard, uint64_t bytes)
{
	uint64_t total = discard->deps.geometry->segment_count;
	uint64_t segment_bytes = discard->deps.geometry->segment_bytes;
	uint64_t limit = wb_log_limit(discard->deps.log);
	uint64_t near = limit + MAX(total / WB_DISCARD_NEAR_PART, 1);
	struct wb_log_head head;
	unsigned count = 0;

	wb_log_get_head(discard->deps.log, &head);
	discard->next_id = MAX(discard->next_id, limit + 1);
	for (; count < WB_DISCARD_PLACES_MAX && bytes >= segment_bytes; discard->next_id++) {
		uint64_t id = discard->next_id;

		if (id > head.segment_id + total)
			break;
		/* Never written again, so there is nothing to be won. */
		if (wb_segment_of_id(discard->deps.segments, id)->is_bad)
			continue;
		if (!wb_reclaim_empty_place(discard->deps.reclaim, id, id <= near ?
					    WB_EMPTY_CLEAN : WB_EMPTY_UNNAMED))
			break;
		take(discard, count++, id);
		bytes -= segment_bytes;
	}
	return count;
}

/* --- I/O -------------------------------------------------------------------------------- */

static void submit_all(struct wb_place_discard *discard, enum discard_stage stage)
{
	uint64_t segment_bytes = discard->deps.geometry->segment_bytes;
	bool is_discard = stage == STAGE_DISCARD;
	unsigned count = 0;

	for (unsigned i = 0; i < WB_DISCARD_PLACES_MAX; i++)
		count += discard->places[i].segment != NULL;
	discard->in_flight = count;
	discard->stage = stage;
	for (unsigned i = 0; i < WB_DISCARD_PLACES_MAX; i++) {
		struct place *place = &discard->places[i];

		if (!place->segment)
			continue;
		wb_io_prepare(&place->io, is_discard ? WB_IO_DISCARD : WB_IO_ZERO,
			      WB_IO_CLASS_DISCARD,
			      place->offset_bytes + (is_discard ? BLOCK : 0), NULL,
			      is_discard ? segment_bytes - BLOCK : BLOCK, io_done);
		wb_store_submit(discard->deps.store, &place->io);
	}
}

static void let_go(struct wb_place_discard *discard, struct place *place)
{
	struct wb_segment *segment = place->segment;

	place->segment = NULL;
	wb_segment_unpin(discard->deps.segments, segment);
}

/* They are as good as before, for the log; nothing else depends on them. */
static void note_failure(struct wb_place_discard *discard, int error)
{
	if (error == -EOPNOTSUPP) {
		if (!atomic_exchange(&discard->is_unsupported, true))
			wb_message_note(discard->deps.message, "cache %s: its disk or filesystem "
					"does not discard; discard_cache has no effect",
					discard->deps.store->label);
		return;
	}
	WB_STAT_ADD(discard->deps.stats, WB_STAT_CACHE_DISCARD_FAILURES, 1);
	wb_message_note(discard->deps.message, "cache %s: discarding a segment failed: %s",
			discard->deps.store->label, g_strerror(-error));
}

/* Drops what failed; FALSE when nothing is left, after which there is a pause. */
static bool judge_all(struct wb_place_discard *discard, int error)
{
	bool is_any_left = false;

	for (unsigned i = 0; i < WB_DISCARD_PLACES_MAX; i++) {
		struct place *place = &discard->places[i];

		if (!place->segment)
			continue;
		if (!error && !place->error) {
			is_any_left = true;
			continue;
		}
		note_failure(discard, error ? error : place->error);
		let_go(discard, place);
	}
	if (is_any_left)
		return true;
	discard->retry_at_ns = wb_clock_now_ns(discard->deps.clock) +
		MIN(WB_RETRY_FIRST_NS << MIN(discard->failures, 10u), WB_RETRY_LAST_NS);
	discard->failures++;
	discard->stage = STAGE_IDLE;
	return false;
}

static void finish(struct wb_place_discard *discard)
{
	uint64_t bytes = discard->deps.geometry->segment_bytes - BLOCK;

	if (!judge_all(discard, 0))
		return;
	for (unsigned i = 0; i < WB_DISCARD_PLACES_MAX; i++) {
		struct place *place = &discard->places[i];

		if (!place->segment)
			continue;
		WB_STAT_ADD(discard->deps.stats, WB_STAT_CACHE_DISCARDS, 1);
		WB_STAT_ADD(discard->deps.stats, WB_STAT_CACHE_DISCARDED_BYTES, bytes);
		let_go(discard, place);
	}
	discard->failures = 0;
	discard->stage = STAGE_IDLE;
}

/* --- steps ------------------------------------------------------------------------------- */

static bool begin_step(struct wb_place_discard *discard)
{
	uint64_t now = wb_clock_now_ns(discard->deps.clock), bytes, wanted;
	unsigned count;

	if (!may_begin(discard, now))
		return false;
	bytes = budget(discard, now);
	if (bytes < discard->deps.geometry->segment_bytes)
		return false;
	count = choose_places(discard, bytes);
	if (count == 0) {
		discard->looked_at_ns = now;
		discard->looked_limit = wb_log_limit(discard->deps.log);
		discard->looked_tail = wb_tail_durable(discard->deps.tail).segment;
		return false;
	}
	wanted = count * (uint64_t)discard->deps.geometry->segment_bytes;
	discard->budget_bytes -= MIN(discard->budget_bytes, wanted);
	submit_all(discard, STAGE_HEADERS);
	return true;
}

static void end(struct wb_place_discard *discard)
{
	for (unsigned i = 0; i < WB_DISCARD_PLACES_MAX; i++)
		if (discard->places[i].segment)
			let_go(discard, &discard->places[i]);
	discard->stage = STAGE_IDLE;
}

bool wb_place_discard_step(struct wb_place_discard *discard)
{
	enum discard_stage stage = discard->stage;

	if (stage == STAGE_IDLE)
		return begin_step(discard);
	if (discard->in_flight > 0)
		return false;
	if (discard->is_abandoned) {
		end(discard);
		return true;
	}
	switch (stage) {
	case STAGE_HEADERS:
		if (!judge_all(discard, 0))
			return true;
		discard->in_flight = 1;
		discard->stage = STAGE_FLUSH;
		discard->device_waiter.done = flush_done;
		wb_flush_device(discard->deps.flush, &discard->device_waiter);
		return true;
	case STAGE_FLUSH:
		if (judge_all(discard, discard->flush_error))
			submit_all(discard, STAGE_DISCARD);
		return true;
	case STAGE_DISCARD:
		finish(discard);
		return true;
	case STAGE_IDLE:
		break;
	}
	g_assert_not_reached();
}
