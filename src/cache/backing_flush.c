/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/backing_flush.h"

#include <errno.h>
#include <glib.h>
#include <stdatomic.h>

#include "base/lock.h"
#include "base/mutant.h"

/* In the order of asking: whoever closes asks last, and may take all of this away
 * when it is answered. */
struct waiters {
	struct wb_backing_waiter *first, **last;
};

struct wb_backing_flush {
	struct wb_backing_flush_deps deps;	/* constant after new */

	struct wb_lock lock;
	/* under lock */
	bool has_changed;		/* since the last flush was submitted */
	unsigned changes_under_way;	/* see wb_backing_flush_begin_change() */
	bool covers_changes;		/* the flush under way */
	bool is_told;			/* ... but the region still says that it is owed */
	bool owes_error;		/* to the next sync of everything */
	bool has_lost;			/* changes, with a flush that failed */
	bool is_flushing;
	bool is_abandoned;
	struct waiters covered;		/* by the flush under way */
	struct waiters waiting;		/* for the next one */
	struct wb_io io;		/* of the flush under way */

	/* atomic */
	_Atomic uint64_t failures, count;
	_Atomic unsigned completions;	/* threads inside flush_done() */
};

static void init_waiters(struct waiters *waiters)
{
	waiters->first = NULL;
	waiters->last = &waiters->first;
}

static void append(struct waiters *waiters, struct wb_backing_waiter *waiter)
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

/* That no flush which succeeded covers. */
static bool has_changes_locked(const struct wb_backing_flush *flush)
{
	return flush->has_changed || flush->covers_changes;
}

static bool has_sync(const struct waiters *waiters)
{
	for (const struct wb_backing_waiter *w = waiters->first; w; w = w->next) {
		if (w->purpose == WB_FLUSH_FOR_SYNC)
			return true;
	}
	return false;
}

struct wb_backing_flush *wb_backing_flush_new(const struct wb_backing_flush_deps *deps)
{
	struct wb_backing_flush *flush = g_new0(struct wb_backing_flush, 1);

	flush->deps = *deps;
	wb_lock_init(&flush->lock, WB_RANK_FLUSH);
	init_waiters(&flush->covered);
	init_waiters(&flush->waiting);
	flush->has_lost = deps->region && wb_region_has_debt(deps->region, WB_HAS_LOST);
	return flush;
}

void wb_backing_flush_free(struct wb_backing_flush *flush)
{
	if (!flush)
		return;
	g_assert(!flush->is_flushing);
	wb_lock_clear(&flush->lock);
	g_free(flush);
}

static void set_debt(struct wb_backing_flush *flush, enum wb_region_debt debt, bool owes)
{
	if (flush->deps.region)
		wb_region_set_debt(flush->deps.region, debt, owes);
}

static void note_loss(struct wb_backing_flush *flush)
{
	flush->has_lost = true;
	set_debt(flush, WB_HAS_LOST, true);
}

void wb_backing_flush_begin_sync(struct wb_backing_flush *flush)
{
	flush->has_changed = wb_store_flush_sync(flush->deps.store) != 0;
	if (flush->has_changed)
		note_loss(flush);
}

void wb_backing_flush_take_over(struct wb_backing_flush *flush)
{
	flush->has_changed = wb_region_has_debt(flush->deps.region, WB_OWES_FLUSH) &&
			     !WB_MUTANT(owed_flush_forgotten);
	flush->owes_error = wb_region_has_debt(flush->deps.region, WB_OWES_ERROR);
}

/* --- the flush under way ------------------------------------------------------- */

static void answer(struct waiters *waiters, int error)
{
	struct wb_backing_waiter *next;

	for (struct wb_backing_waiter *waiter = waiters->first; waiter; waiter = next) {
		next = waiter->next;	/* done() gives the waiter away */
		waiter->done(waiter, error);
	}
}

static void owe_error(struct wb_backing_flush *flush)
{
	flush->owes_error = true;
	set_debt(flush, WB_OWES_ERROR, true);
}

/* Those who wait for the next one are told as well: what they wrote had been
 * answered, and this may have been the flush that was told of its error. Likewise
 * what was noted since: who asked before that is not who has to hear of it. */
static void fail_locked(struct wb_backing_flush *flush, struct waiters *ended)
{
	atomic_fetch_add(&flush->failures, 1);
	splice(ended, &flush->waiting);
	if (has_changes_locked(flush) || flush->changes_under_way > 0)
		note_loss(flush);
	if (flush->has_changed || (flush->covers_changes && !has_sync(ended)))
		owe_error(flush);
}

static void tell_failure(struct wb_backing_flush *flush, int error, bool is_loss)
{
	const char *loss = "";

	if (flush->deps.failure == WB_FLUSH_FAILURE_IS_FINAL)
		loss = "; what was written since the last good one may be lost, and nothing more "
		       "is written until the next mount";
	else if (is_loss)
		loss = "; what was written around the cache since the last sync may be lost";
	WB_STAT_ADD(flush->deps.stats, WB_STAT_BACKING_ERRORS, 1);
	wb_message_set(flush->deps.message, "backing %s: a flush failed: %s%s",
		       flush->deps.store->label, g_strerror(-error), loss);
}

static void flush_done(struct wb_io *io, int error);

/* Decided under the lock; the I/O is submitted without it. */
static void begin_locked(struct wb_backing_flush *flush)
{
	splice(&flush->covered, &flush->waiting);
	flush->covers_changes = flush->has_changed;
	flush->has_changed = false;
	flush->is_flushing = true;
}

static void submit(struct wb_backing_flush *flush)
{
	WB_STAT_ADD(flush->deps.stats, WB_STAT_BACKING_FLUSHES, 1);
	wb_io_prepare(&flush->io, WB_IO_FLUSH, WB_IO_CLASS_WRITEBACK, 0, NULL, 0, flush_done);
	wb_store_submit(flush->deps.store, &flush->io);
}

static void flush_done(struct wb_io *io, int error)
{
	struct wb_backing_flush *flush =
		(struct wb_backing_flush *)((char *)io - offsetof(struct wb_backing_flush, io));
	struct waiters ended;
	bool again, is_loss, is_abandoned;

	atomic_fetch_add(&flush->completions, 1);
	init_waiters(&ended);
	wb_lock_acquire(&flush->lock);
	is_loss = has_changes_locked(flush);
	splice(&ended, &flush->covered);
	is_abandoned = flush->is_abandoned;
	if (error)
		fail_locked(flush, &ended);
	else if (is_abandoned)
		splice(&ended, &flush->waiting);
	else if (flush->covers_changes && !flush->has_changed && flush->changes_under_way == 0)
		set_debt(flush, WB_OWES_FLUSH, false);
	flush->covers_changes = false;
	flush->is_flushing = false;
	again = flush->waiting.first != NULL;
	if (again)
		begin_locked(flush);
	wb_lock_release(&flush->lock);
	if (error)
		tell_failure(flush, error, is_loss);
	if (again)
		submit(flush);
	atomic_fetch_add(&flush->count, 1);
	answer(&ended, error || is_abandoned ? -EIO : 0);
	if (flush->deps.flushed)
		flush->deps.flushed(flush->deps.arg);
	atomic_fetch_sub(&flush->completions, 1);
}

/* --- what others ask for ---------------------------------------------------------- */

/* The debt comes first, and stays while there is one under way: what of it is on the
 * disk is shown to readers after a death. */
uint64_t wb_backing_flush_begin_change(struct wb_backing_flush *flush)
{
	uint64_t failures;

	wb_lock_acquire(&flush->lock);
	flush->changes_under_way++;
	set_debt(flush, WB_OWES_FLUSH, true);
	failures = atomic_load(&flush->failures);
	wb_lock_release(&flush->lock);
	return failures;
}

bool wb_backing_flush_end_change(struct wb_backing_flush *flush, uint64_t failures)
{
	bool ok = wb_backing_flush_note_change(flush, failures);

	wb_lock_acquire(&flush->lock);
	flush->changes_under_way--;
	wb_lock_release(&flush->lock);
	return ok;
}

bool wb_backing_flush_note_change(struct wb_backing_flush *flush, uint64_t failures)
{
	bool ok;

	wb_lock_acquire(&flush->lock);
	flush->has_changed = !WB_MUTANT(bypass_not_flushed);
	ok = atomic_load(&flush->failures) == failures;
	wb_lock_release(&flush->lock);
	return ok || WB_MUTANT(foreign_flush_ignored);
}

static bool is_over_locked(struct wb_backing_flush *flush)
{
	return flush->is_abandoned || (flush->deps.failure == WB_FLUSH_FAILURE_IS_FINAL &&
				       atomic_load(&flush->failures) > 0);
}

/* In the region until the next sync: that comes only when this one was answered, and
 * before that a death would have it forgotten. */
static void tell_what_is_owed_locked(struct wb_backing_flush *flush)
{
	if (!flush->owes_error && flush->is_told) {
		flush->is_told = false;
		set_debt(flush, WB_OWES_ERROR, false);
	}
	flush->is_told |= flush->owes_error;
	flush->owes_error = false;
}

int wb_backing_flush_sync(struct wb_backing_flush *flush, struct wb_backing_waiter *waiter)
{
	bool begins = false, fails;
	int result = 1;

	wb_lock_acquire(&flush->lock);
	fails = is_over_locked(flush) ||
		(waiter->purpose != WB_FLUSH_FOR_WRITE && flush->owes_error);
	if (waiter->purpose == WB_FLUSH_FOR_SYNC)
		tell_what_is_owed_locked(flush);
	if (fails) {
		result = -EIO;
	} else if (!has_changes_locked(flush)) {
		result = 0;
	} else if (flush->is_flushing) {
		append(flush->has_changed ? &flush->waiting : &flush->covered, waiter);
	} else {
		append(&flush->waiting, waiter);
		begin_locked(flush);
		begins = true;
	}
	wb_lock_release(&flush->lock);
	if (begins)
		submit(flush);
	return result;
}

void wb_backing_flush_want(struct wb_backing_flush *flush)
{
	bool begins;

	wb_lock_acquire(&flush->lock);
	begins = flush->has_changed && !flush->is_flushing && !is_over_locked(flush);
	if (begins)
		begin_locked(flush);
	wb_lock_release(&flush->lock);
	if (begins)
		submit(flush);
}

/* Never one that is under way, which may not cover what was just written. */
void wb_backing_flush_batch(struct wb_backing_flush *flush, struct wb_backing_waiter *waiter)
{
	bool begins;

	wb_lock_acquire(&flush->lock);
	append(&flush->waiting, waiter);
	begins = !flush->is_flushing;
	if (begins)
		begin_locked(flush);
	wb_lock_release(&flush->lock);
	if (begins)
		submit(flush);
}

/* --- state -------------------------------------------------------------------------- */

uint64_t wb_backing_flush_failures(struct wb_backing_flush *flush)
{
	return atomic_load(&flush->failures);
}

uint64_t wb_backing_flush_count(struct wb_backing_flush *flush)
{
	return atomic_load(&flush->count);
}

bool wb_backing_flush_has_changes(struct wb_backing_flush *flush)
{
	bool has;

	wb_lock_acquire(&flush->lock);
	has = has_changes_locked(flush);
	wb_lock_release(&flush->lock);
	return has;
}

bool wb_backing_flush_shows_what_stays(struct wb_backing_flush *flush)
{
	bool stays;

	wb_lock_acquire(&flush->lock);
	stays = !has_changes_locked(flush) && (!flush->has_lost || WB_MUTANT(fill_of_lost));
	wb_lock_release(&flush->lock);
	return stays;
}

bool wb_backing_flush_has_lost(struct wb_backing_flush *flush)
{
	bool has_lost;

	wb_lock_acquire(&flush->lock);
	has_lost = flush->has_lost;
	wb_lock_release(&flush->lock);
	return has_lost;
}

bool wb_backing_flush_owes_error(struct wb_backing_flush *flush)
{
	bool owes;

	wb_lock_acquire(&flush->lock);
	owes = flush->owes_error;
	wb_lock_release(&flush->lock);
	return owes;
}

bool wb_backing_flush_is_idle(struct wb_backing_flush *flush)
{
	bool is_idle;

	wb_lock_acquire(&flush->lock);
	is_idle = !flush->is_flushing;
	wb_lock_release(&flush->lock);
	return is_idle && atomic_load(&flush->completions) == 0;
}

void wb_backing_flush_abandon(struct wb_backing_flush *flush)
{
	wb_lock_acquire(&flush->lock);
	flush->is_abandoned = true;
	wb_lock_release(&flush->lock);
}
