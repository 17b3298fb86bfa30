/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Flushes of the backing, one at a time, for all who wait: writeback, which
 * flushes each batch, and syncs, as far as there are writes on the backing that
 * no batch accounts for (see bypass_path.c).
 *
 * All go through here, because the kernel tells an error of a file only to the
 * first flush that asks, while it concerns everybody who has written since the
 * last good one. So who waits for a flush is told of any that failed meanwhile; a
 * batch counts the failures since its first write; and what was acknowledged
 * without a copy elsewhere may be lost then, which a sync has to say: one that
 * waits, or the next one. After that the disk is taken at its word again.
 *
 * Any thread, no lock held.
 */
#ifndef WB_CACHE_BACKING_FLUSH_H
#define WB_CACHE_BACKING_FLUSH_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/message.h"
#include "cache/region.h"
#include "cache/stats.h"
#include "io/store.h"

enum wb_flush_failure {
	WB_FLUSH_FAILURE_IS_TOLD,	/* once, and what is new may succeed */
	/* Without a cache: nobody can know what the disk still has, and a repeated flush
	 * may lie. Every later sync fails. */
	WB_FLUSH_FAILURE_IS_FINAL,
};

struct wb_backing_flush_deps {
	struct wb_store *store;		/* the backing */
	struct wb_stats *stats;
	struct wb_message *message;
	enum wb_flush_failure failure;
	/* NULL, or where it is kept, over a death, what is owed to the next sync */
	struct wb_region *region;
	/* NULL, or: one has ended, and who waited for it was told; any thread */
	void (*flushed)(void *arg);
	void *arg;
};

struct wb_backing_flush;

struct wb_backing_flush *wb_backing_flush_new(const struct wb_backing_flush_deps *deps);
void wb_backing_flush_free(struct wb_backing_flush *flush);	/* idle; NULL is fine */

enum wb_flush_for {
	WB_FLUSH_FOR_BATCH,	/* whose blocks stay dirty if it fails */
	WB_FLUSH_FOR_WRITE,	/* O_DSYNC: of that write itself */
	WB_FLUSH_FOR_SYNC,	/* of everything: hears of earlier failures too */
	WB_FLUSH_FOR_OWN,	/* the same, but whoever syncs the image has still to hear of them */
};

struct wb_backing_waiter {
	struct wb_backing_waiter *next;
	enum wb_flush_for purpose;
	void (*done)(struct wb_backing_waiter *waiter, int error);
};

/* Opening, after a stop that was not clean: what a killed process wrote may still be
 * in the disk's cache. It is shown from now on, and no power cut may take it back. If
 * that fails it counts as a change. */
void wb_backing_flush_begin_sync(struct wb_backing_flush *flush);

/* Opening, in place of a process that died: what it had written, and what it had to
 * tell, is ours now. Nothing is flushed: as far as it was acknowledged, no sync had
 * promised it, and the next one does. */
void wb_backing_flush_take_over(struct wb_backing_flush *flush);

/* A change that only the disk will have, over which a process may die: before it is
 * submitted; returns what wb_backing_flush_failures() does. */
uint64_t wb_backing_flush_begin_change(struct wb_backing_flush *flush);
/* It has been answered, and is not acknowledged yet; as wb_backing_flush_note_change(). */
bool wb_backing_flush_end_change(struct wb_backing_flush *flush, uint64_t failures);
/* A change that only the disk has: it has been answered, and is not acknowledged
 * yet. One that failed too, as a part of it may have been made. `failures`: what
 * wb_backing_flush_failures() said before it was submitted. FALSE: a flush has failed
 * since, and may have taken it away, so that no later one brings it back. */
bool wb_backing_flush_note_change(struct wb_backing_flush *flush, uint64_t failures);
/* All changes noted so far durable. Returns 1 when waiter->done will be called,
 * in the order of asking, else the result at once: 0, or -EIO. */
int wb_backing_flush_sync(struct wb_backing_flush *flush, struct wb_backing_waiter *waiter);
/* The same without anybody waiting. */
void wb_backing_flush_want(struct wb_backing_flush *flush);
/* A flush in any case, submitted later than this call; done() is always called,
 * later. It covers a batch only if wb_backing_flush_failures() is afterwards what it
 * was before the first write. */
void wb_backing_flush_batch(struct wb_backing_flush *flush, struct wb_backing_waiter *waiter);
uint64_t wb_backing_flush_failures(struct wb_backing_flush *flush);
/* Those that have ended: the second from now on covers all changes noted so far. */
uint64_t wb_backing_flush_count(struct wb_backing_flush *flush);

/* Changes were noted that no flush which succeeded covers. */
bool wb_backing_flush_has_changes(struct wb_backing_flush *flush);
/* What can be read of the backing, but for what is dirty in front of it, is there after a
 * power cut too. Not while changes wait for a flush; and never again after one has failed
 * that they waited for: the kernel may go on showing what never came to the disk. */
bool wb_backing_flush_shows_what_stays(struct wb_backing_flush *flush);
/* That has happened. */
bool wb_backing_flush_has_lost(struct wb_backing_flush *flush);
/* What was acknowledged may be lost, and no sync has been told. */
bool wb_backing_flush_owes_error(struct wb_backing_flush *flush);
/* None at the disk, no thread inside its completion (for closing). */
bool wb_backing_flush_is_idle(struct wb_backing_flush *flush);
/* Starts no more I/O; waiters get -EIO (WB_CLOSE_ABANDON). */
void wb_backing_flush_abandon(struct wb_backing_flush *flush);

#endif
