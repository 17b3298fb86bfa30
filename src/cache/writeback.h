/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The writeback engine: brings dirty blocks from the log to the backing, in
 * batches. One batch writes at a time, and it is the only writer of the backing, so
 * an older version can never land on a newer one.
 *
 *   IDLE -> SELECT  durable dirty blocks, their segments pinned: what comes next in
 *                   the image (writeback_sweep), or the oldest segments; not those
 *                   that failed lately
 *        -> ZERO    punch every durable discard: before the batch's writes,
 *                   and before any of its blocks can become clean
 *        -> READ    from RAM or in long runs from the SSD; check CRCs
 *        -> GAPS    read what lies between, where it is to be written too
 *        -> MERGE   only where the backing cannot write single sectors: read
 *                   the rest of partial blocks from it
 *        -> WRITE   in address order, joined; then, in a sweep, the next portion:
 *                   SELECT, READ ... until enough is written, or long enough
 *        -> FLUSH   the backing; as a rule the next batch begins meanwhile
 *                   (writeback_flush)
 *        -> COMMIT  clean where the map still names that slot -> IDLE
 *
 * A block that cannot be read or written is left out of the batch, stays dirty,
 * and is tried again after a pause that grows (`refused`); the rest goes on. A
 * failed FLUSH leaves every block of the batch dirty.
 *
 * Memory: that of a portion, of the size that was set, and 48 bytes for each of its
 * blocks; 24 for each block that waits for a flush (384 KiB), half a MiB besides.
 * Threads: step() on one worker; completions only count down and kick it.
 */
#ifndef WB_CACHE_WRITEBACK_H
#define WB_CACHE_WRITEBACK_H

#include <stdbool.h>

#include "cache/backing_flush.h"
#include "cache/block_map.h"
#include "cache/busy_meter.h"
#include "cache/extent_table.h"
#include "cache/flush.h"
#include "cache/gap_range.h"
#include "cache/image.h"
#include "cache/read_first.h"
#include "cache/tunables.h"

struct wb_writeback_deps {
	struct wb_geometry geometry;
	const struct wb_image *image;
	struct wb_gap_range *gap_range;
	struct wb_log *log;
	struct wb_segment_table *segments;
	struct wb_rambuf *rambuf;
	struct wb_block_map *map;
	struct wb_extent_table *extents;
	struct wb_tail *tail;
	struct wb_flush *flush;
	struct wb_backing_flush *backing_flush;
	struct wb_store *cache_store, *backing_store;
	struct wb_read_first *read_first;	/* what it may do for the sake of reads */
	uint64_t batch_bytes;		/* at first: see wb_writeback_set_batch() */
	struct wb_clock *clock;
	struct wb_stats *stats;
	struct wb_message *message;
};

enum wb_writeback_wish {
	WB_WRITEBACK_OFF,	/* begin no batch and no write; end the one under way */
	WB_WRITEBACK_CLOSED,	/* whole segments behind the head */
	WB_WRITEBACK_DURABLE,	/* what is durable, of the head too */
	WB_WRITEBACK_ALL,	/* everything, which is made durable for it: drain, a
				 * sync that waits for that, or no room is left */
};

struct wb_writeback;

struct wb_writeback *wb_writeback_new(const struct wb_writeback_deps *deps, GError **error);
void wb_writeback_free(struct wb_writeback *writeback);
/* `kick`: step should run again (any thread); `zeros_done`: discards left the
 * extent table. */
void wb_writeback_set_callbacks(struct wb_writeback *writeback, void (*kick)(void *arg),
				void (*zeros_done)(void *arg), void *arg);

/* The most that one batch takes, from the next one on. Takes the memory: FALSE and
 * an error when there is none, and the size stays. One thread at a time. */
bool wb_writeback_set_batch(struct wb_writeback *writeback, uint64_t bytes, GError **error);

/* From the next batch on. Any thread. */
void wb_writeback_set_order(struct wb_writeback *writeback, enum wb_writeback_order order);

/* Gaps of up to so many KiB are filled where that is faster; 0: none is. Any thread. */
void wb_writeback_set_gap(struct wb_writeback *writeback, uint32_t kib);

/* Whether nobody waits for room, whatever the wish is: it goes on at a store's convenience
 * then. FALSE at first. Its worker. */
void wb_writeback_set_lazy(struct wb_writeback *writeback, bool is_lazy);

/* TRUE when something was done. */
bool wb_writeback_step(struct wb_writeback *writeback, enum wb_writeback_wish wish);
bool wb_writeback_is_idle(struct wb_writeback *writeback);
/* Batches that failed in a row; what a drain gives up by. */
unsigned wb_writeback_failures(struct wb_writeback *writeback);
/* Nor is a thread inside a completion of its I/O (for closing). */
bool wb_writeback_is_settled(struct wb_writeback *writeback);
/* The last SELECT found dirty blocks, but only such as cannot be read. */
bool wb_writeback_is_stuck(struct wb_writeback *writeback);
/* How often in a row blocks could not be read; they are tried again after
 * growing pauses. */
unsigned wb_writeback_bad_tries(struct wb_writeback *writeback);
/* All pauses are over, and what failed counts as never tried (any thread). */
void wb_writeback_retry_now(struct wb_writeback *writeback);
/* Places that the backing refused to write; only its *_copy() is for others. */
struct wb_refused *wb_writeback_refused(struct wb_writeback *writeback);
/* The end of the pause after the last failures, which may be past; 0: none. */
uint64_t wb_writeback_paused_until_ns(struct wb_writeback *writeback);

/* How long this engine has had I/O at the backing, and of that, reads. Any thread. */
struct wb_busy_times wb_writeback_busy(struct wb_writeback *writeback, struct wb_busy_times *reads);

/*
 * When all that is left in the oldest segment cannot be written to the backing
 * and its place is wanted: reads those blocks and appends them again at the
 * head. Between batches only; TRUE when it began. Not while more than half of
 * the cache is dirty: what is won would not be worth what is written, and at
 * last nothing would be won at all.
 */
struct wb_carry;
bool wb_writeback_begin_carry(struct wb_writeback *writeback, const struct wb_carry *carry);
/*
 * When all that is left in the oldest segment could not be read, the tries are used up
 * and its place is wanted: reads those blocks once more, and gives up what fails now
 * too. The tries are counted for all blocks together, so one of these may have had
 * none. Between batches only; TRUE when it began.
 */
bool wb_writeback_begin_last_try(struct wb_writeback *writeback, const struct wb_carry *carry);
/* Drops the batch under way once its I/O has ended (WB_CLOSE_ABANDON). */
void wb_writeback_abandon(struct wb_writeback *writeback);

#endif
