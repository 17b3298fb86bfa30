/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/bare.h"

#include <errno.h>
#include <stdatomic.h>

/* Waiters in the order of asking: whoever closes asks last, and may take all of
 * this away when it is answered. */
struct waiters {
	struct wb_sync_waiter *first, **last;
};

struct wb_bare {
	struct wb_bare_deps deps;	/* constant after new */

	struct wb_lock lock;
	/* under lock */
	bool has_changed;		/* since the last flush was submitted */
	bool is_flushing;
	struct waiters covered;		/* by the flush under way */
	struct waiters waiting;		/* for the next one */
	struct wb_io io;		/* of the flush under way */

	struct wb_lock busy_lock;
	struct wb_busy *busy;		/* under busy_lock */
	struct wb_park_list parked;	/* requests that met one */

	/* atomic */
	atomic_bool has_failed;
	atomic_bool is_abandoned;
};

static void init_waiters(struct waiters *waiters)
{
	waiters->first = NULL;
	waiters->last = &waiters->first;
}

static void append(struct waiters *waiters, struct wb_sync_waiter *waiter)
{
	waiter->next = NULL;
	*waiters->last = waiter;
	waiters->last = &waiter->next;
}

/* Moves all of `from` behind `to`. */
static void splice(struct waiters *to, struct waiters *from)
{
	if (!from->first)
		return;
	*to->last = from->first;
	to->last = from->last;
	init_waiters(from);
}

struct wb_bare *wb_bare_new(const struct wb_bare_deps *deps)
{
	struct wb_bare *bare = g_new0(struct wb_bare, 1);

	bare->deps = *deps;
	wb_lock_init(&bare->lock, WB_RANK_FLUSH);
	wb_lock_init(&bare->busy_lock, WB_RANK_EXTENTS);
	wb_park_list_init(&bare->parked, deps->executor);
	init_waiters(&bare->covered);
	init_waiters(&bare->waiting);
	/* What a killed process wrote may still be in the disk's cache. */
	bare->has_changed = deps->access == WB_BARE_READ_WRITE;
	return bare;
}

void wb_bare_free(struct wb_bare *bare)
{
	if (!bare)
		return;
	wb_park_list_clear(&bare->parked);
	wb_lock_clear(&bare->busy_lock);
	wb_lock_clear(&bare->lock);
	g_free(bare);
}

/* --- exclusion --------------------------------------------------------------- */

static bool meets(const struct wb_busy *list, const struct wb_busy *busy)
{
	for (; list; list = list->next) {
		if (list->first <= busy->last && busy->first <= list->last)
			return true;
	}
	return false;
}

enum wb_enter wb_bare_enter(struct wb_bare *bare, struct wb_busy *busy,
			    struct wb_parked *parked)
{
	for (;;) {
		uint64_t generation = wb_park_generation(&bare->parked);
		bool is_free;

		wb_lock_acquire(&bare->busy_lock);
		is_free = !meets(bare->busy, busy);
		if (is_free) {
			busy->next = bare->busy;
			bare->busy = busy;
		}
		wb_lock_release(&bare->busy_lock);
		if (is_free)
			return WB_ENTERED;
		if (wb_park(&bare->parked, parked, generation)) {
			WB_STAT_ADD(bare->deps.stats, WB_STAT_PARKED_REQUESTS, 1);
			return WB_ENTER_PARKED;
		}
	}
}

void wb_bare_leave(struct wb_bare *bare, struct wb_busy *busy)
{
	struct wb_busy **at = &bare->busy;

	wb_lock_acquire(&bare->busy_lock);
	while (*at != busy) {
		g_assert(*at);
		at = &(*at)->next;
	}
	*at = busy->next;
	wb_lock_release(&bare->busy_lock);
	wb_park_wake_all(&bare->parked);
}

/* --- flushes ------------------------------------------------------------------- */

void wb_bare_note_change(struct wb_bare *bare)
{
	wb_lock_acquire(&bare->lock);
	bare->has_changed = true;
	wb_lock_release(&bare->lock);
}

static void answer(struct waiters *waiters, int error)
{
	struct wb_sync_waiter *next;

	for (struct wb_sync_waiter *waiter = waiters->first; waiter; waiter = next) {
		next = waiter->next;	/* done() gives the waiter away */
		waiter->done(waiter, error);
	}
}

static void note_failure(struct wb_bare *bare, int error)
{
	atomic_store(&bare->has_failed, true);
	WB_STAT_ADD(bare->deps.stats, WB_STAT_BACKING_ERRORS, 1);
	wb_message_set(bare->deps.message, "backing %s: a flush failed: %s; what was written "
		       "since the last good one may be lost, and nothing more is written "
		       "until the next mount", bare->deps.store->label, g_strerror(-error));
}

static void submit_flush(struct wb_bare *bare);

static void flush_done(struct wb_io *io, int error)
{
	struct wb_bare *bare = (struct wb_bare *)((char *)io - offsetof(struct wb_bare, io));
	struct waiters ended;
	bool again;

	if (error)
		note_failure(bare, error);
	init_waiters(&ended);
	wb_lock_acquire(&bare->lock);
	if (atomic_load(&bare->is_abandoned)) {
		bare->is_flushing = false;
		wb_lock_release(&bare->lock);
		return;
	}
	splice(&ended, &bare->covered);
	if (error)
		splice(&ended, &bare->waiting);
	again = bare->waiting.first != NULL;
	if (again) {
		splice(&bare->covered, &bare->waiting);
		bare->has_changed = false;
	}
	bare->is_flushing = again;
	wb_lock_release(&bare->lock);
	/* When nothing goes on, the last answer may be the end of all this. */
	if (again)
		submit_flush(bare);
	answer(&ended, error ? -EIO : 0);
}

static void submit_flush(struct wb_bare *bare)
{
	WB_STAT_ADD(bare->deps.stats, WB_STAT_BACKING_FLUSHES, 1);
	wb_io_prepare(&bare->io, WB_IO_FLUSH, WB_IO_CLASS_WRITEBACK, 0, NULL, 0, flush_done);
	wb_store_submit(bare->deps.store, &bare->io);
}

int wb_bare_sync(struct wb_bare *bare, struct wb_sync_waiter *waiter)
{
	bool is_covered, begin = false;

	wb_lock_acquire(&bare->lock);
	if (bare->has_failed) {
		wb_lock_release(&bare->lock);
		return -EIO;
	}
	is_covered = !bare->has_changed;
	if (bare->is_flushing) {
		append(is_covered ? &bare->covered : &bare->waiting, waiter);
	} else if (!is_covered) {
		append(&bare->covered, waiter);
		bare->has_changed = false;
		bare->is_flushing = begin = true;
	} else {
		wb_lock_release(&bare->lock);
		return 0;
	}
	wb_lock_release(&bare->lock);
	if (begin)
		submit_flush(bare);
	return 1;
}

void wb_bare_want_sync(struct wb_bare *bare)
{
	bool begin;

	wb_lock_acquire(&bare->lock);
	begin = bare->has_changed && !bare->is_flushing && !bare->has_failed;
	if (begin) {
		bare->has_changed = false;
		bare->is_flushing = true;
	}
	wb_lock_release(&bare->lock);
	if (begin)
		submit_flush(bare);
}

/* --- state ------------------------------------------------------------------------ */

bool wb_bare_has_failed(struct wb_bare *bare)
{
	return atomic_load(&bare->has_failed);
}

bool wb_bare_is_idle(struct wb_bare *bare)
{
	bool is_idle;

	wb_lock_acquire(&bare->lock);
	is_idle = !bare->is_flushing;
	wb_lock_release(&bare->lock);
	return is_idle;
}

void wb_bare_abandon(struct wb_bare *bare)
{
	atomic_store(&bare->is_abandoned, true);
}
