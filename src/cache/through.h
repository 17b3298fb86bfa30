/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Syncs that promise more than the log: when one returns, the backing alone has
 * everything that was acknowledged before it (cache_mode writethrough and
 * writearound). Everything goes into the log first, as ever; such a sync then
 * waits until all that lies in the log up to its point is written back and flushed.
 *
 * Its point is where the log ended when it was asked for. All is on the backing up
 * there when
 *  - the log is durable up to there, so that nothing of it is still being published,
 *  - no slot and no pending discard of it is dirty any more, and
 *  - nothing dirty was superseded meanwhile: a version that was never written back
 *    because a newer one took its place would be missing, for the newer one may lie
 *    beyond the point.
 * If something was, the sync begins anew with a later point; after the second time
 * new changes have to wait until it is done, so that it ends.
 *
 * A block that cannot be read back, or that the backing refuses again and again,
 * makes such syncs fail; the data stays in the cache. What was given up as lost
 * (BAD) was told to those who read it, and is no concern of a sync.
 *
 * begin(), wait() and parks() on any thread, no lock held; step() on the
 * writeback worker.
 */
#ifndef WB_CACHE_THROUGH_H
#define WB_CACHE_THROUGH_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/block_map.h"
#include "cache/extent_table.h"
#include "cache/flush.h"
#include "cache/park.h"
#include "cache/refused.h"

struct wb_through_deps {
	const struct wb_geometry *geometry;
	struct wb_log *log;
	struct wb_segment_table *segments;
	struct wb_block_map *map;
	struct wb_extent_table *extents;
	struct wb_flush *flush;
	struct wb_executor *executor;
};

/* A sync, from begin to its answer. */
struct wb_through_waiter {
	struct wb_through_waiter *next;
	/* 0 or -EIO; no lock held */
	void (*done)(struct wb_through_waiter *waiter, int error);

	/* inside: the point, and what had been superseded when it was taken */
	uint64_t sequence, segment_id;
	uint32_t next_block;
	uint64_t superseded;
	unsigned attempts;
	unsigned writeback_failures;	/* the fewest seen while it waits */
	int error;
};

struct wb_through;

struct wb_through *wb_through_new(const struct wb_through_deps *deps);
void wb_through_free(struct wb_through *through);	/* nobody waits; NULL is fine */

/* Takes the point: everything acknowledged by now lies before it, in records <=
 * waiter->sequence, which the caller makes durable. Then exactly one of the
 * next two. */
void wb_through_begin(struct wb_through *through, struct wb_through_waiter *waiter);
void wb_through_wait(struct wb_through *through, struct wb_through_waiter *waiter);
void wb_through_give_up(struct wb_through *through);

/* What step() has to know of writeback. */
struct wb_through_news {
	struct wb_refused *refused;
	unsigned writeback_failures;	/* batches, in a row */
	unsigned bad_tries;		/* of blocks that cannot be read */
	bool is_hopeless;		/* nothing more will be written back or logged */
};
/* TRUE when somebody was answered or began anew. */
bool wb_through_step(struct wb_through *through, const struct wb_through_news *news);
bool wb_through_has_waiters(struct wb_through *through);

/* A change that wants to begin: TRUE when it was parked until a sync is done. */
bool wb_through_parks(struct wb_through *through, struct wb_parked *parked);

#endif
