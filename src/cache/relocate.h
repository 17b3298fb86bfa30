/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Relocation: a record that cannot be written to its place goes somewhere else,
 * and with it all behind it. Like a crash and a recovery, but nothing is lost:
 * a new epoch begins with the record that failed, which makes everything of the
 * old one from there on DEAD.
 *
 *   IDLE -> HOLD      nobody gets a place in the log; its copies end
 *        -> PROBE     superblocks as they are: can the disk be written at all?
 *                     It also flushes, so that all before the record is durable
 *        -> COMMIT    superblocks of the new epoch, with the place in the list of
 *                     bad ones; tried until it succeeds: once the first is at the
 *                     disk, a record of the old epoch would be dead when written
 *        -> MOVE      segment by segment, the newest first
 *        -> DRAIN     nobody is left at the place that was moved from -> MOVE
 *        -> IDLE      everything is written anew
 *
 * Each segment moves to the place of the next one, whose records are dead and
 * have just moved themselves; only the newest needs a fresh one. So one is
 * enough, however much of the log is not durable: while nothing gets durable,
 * no other would become free. The part of the bad segment is copied to the
 * beginning of its new one, in the spare RAM buffer; the others keep theirs.
 *
 * What is durable in the bad place stays there, is read and written back.
 *
 * One thread at a time: the writeback worker's, like reclaim, because both have
 * superblocks written.
 */
#ifndef WB_CACHE_RELOCATE_H
#define WB_CACHE_RELOCATE_H

#include <stdbool.h>

#include "cache/block_map.h"
#include "cache/extent_table.h"
#include "cache/flush.h"
#include "cache/recorder.h"

struct wb_relocate_deps {
	const struct wb_geometry *geometry;
	struct wb_log *log;
	struct wb_segment_table *segments;
	struct wb_rambuf *rambuf;
	struct wb_block_map *map;
	struct wb_extent_table *extents;
	struct wb_tail *tail;
	struct wb_flush *flush;
	struct wb_recorder *recorder;
	struct wb_store *store;		/* its label, for messages */
	struct wb_clock *clock;
	struct wb_stats *stats;
	struct wb_message *message;
};

struct wb_relocate;

struct wb_relocate *wb_relocate_new(const struct wb_relocate_deps *deps);
void wb_relocate_free(struct wb_relocate *relocate);
/* With no lock held. `resumed`: requests get places in the log again; `kick`:
 * step should run again (any thread). */
void wb_relocate_set_callbacks(struct wb_relocate *relocate, void (*resumed)(void *arg),
			       void (*kick)(void *arg), void *arg);

/* TRUE when something was done. */
bool wb_relocate_step(struct wb_relocate *relocate);

/* One more bad place leaves enough to go on, and there is room in the list. */
bool wb_relocate_may_give_up_place(struct wb_segment_table *segments,
				   const struct wb_superblock *superblock);

#endif
