/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/through.h"

#include <errno.h>
#include <glib.h>

#include "base/mutant.h"
#include "cache/limits.h"

#define ATTEMPTS_MAX 2u		/* while others go on changing data */

struct wb_through {
	struct wb_through_deps deps;	/* constant after new */

	struct wb_lock lock;
	struct wb_through_waiter *first, **last;	/* under lock */

	/* worker only */
	struct wb_through_waiter *waiting;

	/* atomic */
	_Atomic uint32_t waiters;	/* in both lists */
	atomic_bool is_holding;
	struct wb_park_list held;	/* changes that wait for a sync */
};

struct wb_through *wb_through_new(const struct wb_through_deps *deps)
{
	struct wb_through *through = g_new0(struct wb_through, 1);

	through->deps = *deps;
	wb_lock_init(&through->lock, WB_RANK_CACHE);
	through->last = &through->first;
	wb_park_list_init(&through->held, deps->executor);
	return through;
}

void wb_through_free(struct wb_through *through)
{
	if (!through)
		return;
	wb_park_list_clear(&through->held);
	wb_lock_clear(&through->lock);
	g_free(through);
}

/* --- the point ------------------------------------------------------------------- */

/* The count first: what is superseded after that is noticed, and what was before
 * has its newer version in the log already. */
static void take_point(struct wb_through *through, struct wb_through_waiter *waiter)
{
	struct wb_log_head head;

	waiter->superseded = wb_segment_table_superseded(through->deps.segments);
	wb_log_get_head(through->deps.log, &head);
	waiter->sequence = head.last_sequence;
	waiter->segment_id = head.segment_id;
	waiter->next_block = head.next_block;
}

void wb_through_begin(struct wb_through *through, struct wb_through_waiter *waiter)
{
	wb_segment_table_watch(through->deps.segments);
	waiter->attempts = 0;
	take_point(through, waiter);
}

void wb_through_give_up(struct wb_through *through)
{
	wb_segment_table_unwatch(through->deps.segments);
}

void wb_through_wait(struct wb_through *through, struct wb_through_waiter *waiter)
{
	waiter->next = NULL;
	waiter->writeback_failures = UINT32_MAX;
	atomic_fetch_add(&through->waiters, 1);
	wb_lock_acquire(&through->lock);
	*through->last = waiter;
	through->last = &waiter->next;
	wb_lock_release(&through->lock);
}

bool wb_through_has_waiters(struct wb_through *through)
{
	return atomic_load(&through->waiters) > 0;
}

/* --- is it all there? -------------------------------------------------------------- */

enum verdict { IS_THERE, IS_MISSING, CANNOT_BE };

/* While nothing is in trouble the first thing that is missing answers it: all that
 * a mode before has left dirty is a long list. */
static bool is_answered(enum verdict verdict, const struct wb_through_news *news)
{
	return verdict == CANNOT_BE || (verdict == IS_MISSING && news->bad_tries == 0 &&
					wb_refused_is_empty(news->refused));
}

/* Dirty blocks among the first `limit` of a segment. */
static enum verdict look_at_segment(struct wb_through *through, uint64_t id, uint32_t limit,
				    const struct wb_through_news *news)
{
	const struct wb_geometry *g = through->deps.geometry;
	uint32_t first = wb_geometry_slot(g, wb_geometry_place(g, id), 0);
	enum verdict verdict = IS_THERE;

	for (uint32_t i = 0; i < limit && !is_answered(verdict, news); i++) {
		struct wb_mapping mapping;

		wb_block_map_peek(through->deps.map, first + i, &mapping);
		if (!wb_slot_state_is_dirty(mapping.state))
			continue;
		verdict = IS_MISSING;
		if ((mapping.state == WB_SLOT_BAD && news->bad_tries >= WB_DRAIN_FAILURES_MAX) ||
		    wb_refused_tries(news->refused, mapping.address) >= WB_DRAIN_FAILURES_MAX)
			verdict = CANNOT_BE;
	}
	return verdict;
}

static enum verdict look_at_discards(struct wb_through *through, uint64_t sequence,
				     const struct wb_through_news *news)
{
	enum verdict verdict = IS_THERE;
	struct wb_extent extent;

	for (uint64_t from = 0; !is_answered(verdict, news) &&
	     wb_extent_table_next_zero(through->deps.extents, from, sequence, &extent);
	     from = extent.first + extent.count)
		verdict = wb_refused_tries(news->refused, extent.first) >=
			  WB_DRAIN_FAILURES_MAX ? CANNOT_BE : IS_MISSING;
	return verdict;
}

static enum verdict look(struct wb_through *through, const struct wb_through_waiter *waiter,
			 const struct wb_through_news *news)
{
	uint64_t places = wb_segment_table_count(through->deps.segments);
	enum verdict verdict = IS_THERE, found;

	if (wb_log_durable(through->deps.log) < waiter->sequence)
		return IS_MISSING;
	if (WB_MUTANT(through_promises_early))
		return IS_THERE;
	for (uint64_t place = 0; place < places && !is_answered(verdict, news); place++) {
		struct wb_segment *segment = wb_segment_at(through->deps.segments, place);
		uint64_t id = atomic_load(&segment->id);

		if (id == 0 || id > waiter->segment_id || atomic_load(&segment->dirty_count) == 0)
			continue;
		found = look_at_segment(through, id, id == waiter->segment_id ?
					waiter->next_block :
					through->deps.geometry->segment_blocks, news);
		verdict = MAX(verdict, found);
	}
	if (!is_answered(verdict, news)) {
		found = look_at_discards(through, waiter->sequence, news);
		verdict = MAX(verdict, found);
	}
	return verdict;
}

/* --- the worker ---------------------------------------------------------------------- */

/* Takes what came since, oldest first. */
static void take_new(struct wb_through *through)
{
	struct wb_through_waiter **link = &through->waiting;

	while (*link)
		link = &(*link)->next;
	wb_lock_acquire(&through->lock);
	*link = through->first;
	through->first = NULL;
	through->last = &through->first;
	wb_lock_release(&through->lock);
}

static void begin_anew(struct wb_through *through, struct wb_through_waiter *waiter)
{
	take_point(through, waiter);
	if (++waiter->attempts >= ATTEMPTS_MAX)
		atomic_store(&through->is_holding, true);
	wb_flush_want(through->deps.flush, waiter->sequence);
}

/* TRUE: the waiter is to be answered with its error. */
static bool judge(struct wb_through *through, struct wb_through_waiter *waiter,
		  const struct wb_through_news *news, bool *moved)
{
	waiter->error = -EIO;
	waiter->writeback_failures = MIN(waiter->writeback_failures, news->writeback_failures);
	switch (look(through, waiter, news)) {
	case CANNOT_BE:
		return true;
	case IS_MISSING:
		return news->is_hopeless || news->writeback_failures >=
		       waiter->writeback_failures + WB_DRAIN_FAILURES_MAX;
	case IS_THERE:
		break;
	}
	waiter->error = 0;
	/* Asked after the look. */
	if (wb_segment_table_superseded(through->deps.segments) == waiter->superseded ||
	    WB_MUTANT(through_forgets_superseded))
		return true;
	begin_anew(through, waiter);
	*moved = true;
	return false;
}

/* Nobody has begun anew so often any more: the others go on. */
static void let_go(struct wb_through *through)
{
	for (const struct wb_through_waiter *w = through->waiting; w; w = w->next) {
		if (w->attempts >= ATTEMPTS_MAX)
			return;
	}
	atomic_store(&through->is_holding, false);
	wb_park_wake_all(&through->held);
}

bool wb_through_step(struct wb_through *through, const struct wb_through_news *news)
{
	struct wb_through_waiter **link = &through->waiting, *answered = NULL;
	bool moved = false;

	if (!wb_through_has_waiters(through))
		return false;
	take_new(through);
	while (*link) {
		struct wb_through_waiter *waiter = *link;

		if (!judge(through, waiter, news, &moved)) {
			link = &waiter->next;
			continue;
		}
		*link = waiter->next;
		waiter->next = answered;
		answered = waiter;
	}
	moved |= answered != NULL;
	if (atomic_load(&through->is_holding))
		let_go(through);
	while (answered) {
		struct wb_through_waiter *waiter = answered;

		answered = waiter->next;
		atomic_fetch_sub(&through->waiters, 1);
		wb_segment_table_unwatch(through->deps.segments);
		waiter->done(waiter, waiter->error);
	}
	return moved;
}

/* --- changes ---------------------------------------------------------------------------- */

bool wb_through_parks(struct wb_through *through, struct wb_parked *parked)
{
	uint64_t generation;

	do {
		generation = wb_park_generation(&through->held);
		if (!atomic_load(&through->is_holding))
			return false;
	} while (!wb_park(&through->held, parked, generation));
	return true;
}
