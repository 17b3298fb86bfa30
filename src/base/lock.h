/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The one lock of wbfs: a GMutex with a rank and an owner.
 *
 * A thread may take a lock only while every lock that it holds has a smaller
 * rank; breaking that, releasing what is not held, or waiting on a condition
 * while holding another lock is a bug and aborts (with --enable-checks; the
 * owner check of wb_lock_assert_held() is there in release builds too).
 * ThreadSanitizer cannot see GLib's futexes; the notes for it are in lock.c.
 * No lock is ever held over a store's submit, a done(), or a wait for I/O.
 */
#ifndef WB_BASE_LOCK_H
#define WB_BASE_LOCK_H

#include <glib.h>

/* The order of all locks of the program, outermost first. */
enum wb_lock_rank {
	WB_RANK_NONE = 0,
	WB_RANK_PARSER,		/* libfuse, for requests that a ring brought */
	WB_RANK_FRONTEND,	/* control files, mount state */
	WB_RANK_SETTING,	/* who sets tunables */
	WB_RANK_CACHE,		/* cache.c: drain waiters, life cycle */
	WB_RANK_WRITEBACK,	/* one writeback step at a time */
	WB_RANK_FLUSH,		/* one flush step at a time */
	WB_RANK_RECORDER,	/* one superblock update at a time */
	WB_RANK_STRIPE,		/* one address range of the block map */
	WB_RANK_EXTENTS,	/* pending zeros and bad ranges */
	WB_RANK_LOG,		/* open record, log positions, ring */
	WB_RANK_POLICY,		/* caches in miniature of the read policy */
	WB_RANK_PARK,		/* lists of parked requests */
	WB_RANK_EXECUTOR,	/* task queue, worker state */
	WB_RANK_STORE,		/* a store's submission side */
	WB_RANK_POOL,		/* buffer and request pools */
	WB_RANK_POOL_WAIT,	/* who waits for something of a pool */
	WB_RANK_STREAMS,	/* which writes are sequential */
	WB_RANK_MESSAGE,	/* last error, events */
	WB_RANK_COUNT
};

struct wb_lock {
	GMutex mutex;
	enum wb_lock_rank rank;
	gpointer owner;		/* atomic: id of the holding thread, or NULL */
};

struct wb_cond {
	GCond cond;
	unsigned waiter_count;	/* atomic: written under the waiters' lock */
};

void wb_lock_init(struct wb_lock *lock, enum wb_lock_rank rank);
void wb_lock_clear(struct wb_lock *lock);
void wb_lock_acquire(struct wb_lock *lock);
/* TRUE and held, or FALSE at once. */
gboolean wb_lock_try(struct wb_lock *lock);
void wb_lock_release(struct wb_lock *lock);
void wb_lock_assert_held(const struct wb_lock *lock);

/* How often a lock was taken already when a thread wanted it, and how long the
 * threads then waited in all: all locks of a rank together, since the program
 * started. Counting costs only those who wait. Without the waits of a condition. */
struct wb_lock_waits {
	guint64 count;
	guint64 ns;
};
void wb_lock_get_waits(enum wb_lock_rank rank, struct wb_lock_waits *waits);
/* lower_case, e.g. "stripe" */
const char *wb_lock_rank_name(enum wb_lock_rank rank);

void wb_cond_init(struct wb_cond *cond);
void wb_cond_clear(struct wb_cond *cond);
/* Releases `lock` (the only lock held), waits, takes it again; may wake
 * without a reason. */
void wb_cond_wait(struct wb_cond *cond, struct wb_lock *lock);
/* The same, at most until g_get_monotonic_time() >= deadline_us; FALSE when
 * the time was up. */
gboolean wb_cond_wait_until(struct wb_cond *cond, struct wb_lock *lock,
			    gint64 deadline_us);
/* What is waited for has changed under the lock of the waiters, which may still
 * be held. Costs nothing while nobody waits: GLib would ask the kernel. */
void wb_cond_signal(struct wb_cond *cond);
void wb_cond_broadcast(struct wb_cond *cond);

#endif
