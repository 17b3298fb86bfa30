/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A volume whose cache is lost and whose backing is used alone: what requests
 * on the backing share. Which blocks are being changed, and the flushes: one at
 * a time, for all that wait, as the kernel tells an error of a file only to the
 * first flush that asks.
 *
 * After a failed flush nobody can know what the disk still has, and a repeated
 * one may lie: from then on everything but a read is answered with -EIO.
 *
 * Any thread, no lock held.
 */
#ifndef WB_CACHE_BARE_H
#define WB_CACHE_BARE_H

#include <stdbool.h>

#include "cache/cache.h"
#include "cache/exclusion.h"
#include "cache/flush.h"

struct wb_bare_deps {
	struct wb_store *store;		/* the backing */
	struct wb_stats *stats;
	struct wb_message *message;
	struct wb_executor *executor;
	enum wb_bare_access access;
};

struct wb_bare;

struct wb_bare *wb_bare_new(const struct wb_bare_deps *deps);
void wb_bare_free(struct wb_bare *bare);	/* idle; NULL is fine */

/* The blocks [busy->first, busy->last], exclusively among those that change
 * some. A range of any length; ends with leave. */
enum wb_enter wb_bare_enter(struct wb_bare *bare, struct wb_busy *busy,
			    struct wb_parked *parked);
void wb_bare_leave(struct wb_bare *bare, struct wb_busy *busy);

/* The disk has answered a write, a part of it may be in its cache: before the
 * write is acknowledged. */
void wb_bare_note_change(struct wb_bare *bare);
/* All changes noted so far durable. Returns 1 when waiter->done will be called,
 * in the order of asking, else the result at once: 0, or -EIO. */
int wb_bare_sync(struct wb_bare *bare, struct wb_sync_waiter *waiter);
/* The same without anybody waiting. */
void wb_bare_want_sync(struct wb_bare *bare);

bool wb_bare_has_failed(struct wb_bare *bare);
/* No flush at the disk (for closing). */
bool wb_bare_is_idle(struct wb_bare *bare);
/* Starts no more I/O; the flush under way answers nobody (WB_CLOSE_ABANDON). */
void wb_bare_abandon(struct wb_bare *bare);

#endif
