/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Discarding: tells the cache's disk which places of the ring hold nothing that
 * anybody needs, so that an SSD need not carry it about, or a filesystem gets its
 * space back. Only if `discard_cache` is on, and no faster than was set.
 *
 * Which places: in the order in which the log will use them, behind those that are
 * ready for it, up to the first that is still needed:
 *  - only such as lie before a tail that is on the SSD: recovery never asks for
 *    those, whatever happens;
 *  - in the nearest sixteenth of the ring all of them. Clean blocks there are
 *    forgotten, a little before the log would have forgotten them; what has
 *    deserved to stay is appended again first, as it would be then;
 *  - beyond it only such as the map names nothing in. A clean block that can be
 *    read from the SSD is worth more than a free place: that is what the cache is
 *    for. After a drain all of it may be clean, and stays.
 * Never out of order: recovery finds clean blocks by a chain that ends at the first
 * gap, so a hole in the middle would cost the next mount all that is older.
 *
 *   IDLE -> HEADERS  the first block of each place becomes zeros, for good
 *        -> FLUSH    that is durable
 *        -> DISCARD  the rest of the place -> IDLE
 *
 * Why the first block is zeroed and not discarded: a disk may give anything for
 * what was discarded, also what was there before, and may do half of it. A header
 * that survives would have the next recovery believe the clean blocks behind it,
 * and `check` report them as rotten. With zeros first the place looks as if it had
 * never been used, at any moment of a power cut.
 *
 * A place under discard is pinned, so that the log does not go there meanwhile: a
 * discard that overtakes a write would destroy it.
 *
 * Threads: step() on the writeback worker, which is the only one that empties
 * places; completions only count down and kick it. The rest: any thread.
 */
#ifndef WB_CACHE_PLACE_DISCARD_H
#define WB_CACHE_PLACE_DISCARD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "cache/flush.h"
#include "cache/message.h"
#include "cache/reclaim.h"
#include "cache/stats.h"
#include "io/store.h"

struct wb_place_discard_deps {
	const struct wb_geometry *geometry;
	struct wb_log *log;
	struct wb_segment_table *segments;
	struct wb_tail *tail;
	struct wb_reclaim *reclaim;
	struct wb_flush *flush;
	struct wb_store *store;
	struct wb_clock *clock;
	struct wb_stats *stats;
	struct wb_message *message;
	/* May be called from any thread: step should run again. */
	void (*kick)(void *arg);
	void *arg;
};

struct wb_place_discard;

struct wb_place_discard *wb_place_discard_new(const struct wb_place_discard_deps *deps);
void wb_place_discard_free(struct wb_place_discard *discard);

enum wb_discard_wish { WB_DISCARD_NOTHING, WB_DISCARD_PLACES };
/* `bytes_per_s`: 0 = no limit. */
void wb_place_discard_set(struct wb_place_discard *discard, enum wb_discard_wish wish,
			  uint64_t bytes_per_s);
enum wb_discard_state wb_place_discard_state(struct wb_place_discard *discard);

/* After the reclaiming step, which has made ready what the log waits for. TRUE when
 * something was done. */
bool wb_place_discard_step(struct wb_place_discard *discard);
/* Ends as soon as the I/O under way has been answered. */
void wb_place_discard_abandon(struct wb_place_discard *discard);
/* No I/O is under way, no thread inside its completion (for closing). */
bool wb_place_discard_is_settled(struct wb_place_discard *discard);

#endif
