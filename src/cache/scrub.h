/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Scrubbing: reads back every live block of the log that lies on the SSD, and
 * the headers of the records that recovery would need, and checks them, before
 * somebody asks for them and the other copy is gone.
 *
 *   a clean block is wrong    it is forgotten, so that the backing's counts
 *   a dirty block is wrong    it becomes BAD: it exists nowhere else
 *   a live header is wrong    reported: this mount does not need it, the next
 *                             one would; a drain makes it superfluous
 *
 * What fails is read a second time, alone, before it is believed. Segments
 * that are still in RAM are left out.
 *
 * Memory: WB_SCRUB_BLOCKS blocks. Threads: begin() and step() on the writeback
 * worker, which is the only one that empties places: a place whose id was seen
 * there and is pinned before the step ends is not reused. The rest: any thread.
 */
#ifndef WB_CACHE_SCRUB_H
#define WB_CACHE_SCRUB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "cache/block_map.h"
#include "cache/forget.h"
#include "cache/image.h"
#include "cache/log.h"
#include "cache/message.h"
#include "cache/stats.h"
#include "cache/tail.h"
#include "io/store.h"

struct wb_scrub_deps {
	const struct wb_geometry *geometry;
	const struct wb_image *image;
	const uint8_t *uuid;
	struct wb_log *log;
	struct wb_segment_table *segments;
	struct wb_block_map *map;
	struct wb_tail *tail;
	const struct wb_forget *forget;
	struct wb_store *store;
	struct wb_clock *clock;
	struct wb_stats *stats;
	struct wb_message *message;
	/* May be called from any thread: step should run again. */
	void (*kick)(void *arg);
	void *arg;
};

struct wb_scrub;

struct wb_scrub *wb_scrub_new(const struct wb_scrub_deps *deps);
void wb_scrub_free(struct wb_scrub *scrub);
/* At most so many bytes a second are read; 0 = no limit. */
void wb_scrub_set_rate(struct wb_scrub *scrub, uint64_t bytes_per_s);

/* Starts a pass over the whole ring; none may be under way. */
void wb_scrub_begin(struct wb_scrub *scrub);
/* TRUE when something was done. */
bool wb_scrub_step(struct wb_scrub *scrub);
bool wb_scrub_is_running(struct wb_scrub *scrub);
/* Ends the pass as soon as its read has been answered. */
void wb_scrub_abandon(struct wb_scrub *scrub);
/* No read is under way, no thread inside its completion (for closing). */
bool wb_scrub_is_settled(struct wb_scrub *scrub);
/* Of the pass under way, or of the last one. */
void wb_scrub_get_progress(struct wb_scrub *scrub, struct wb_scrub_progress *progress);

#endif
