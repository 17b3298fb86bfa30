/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Carrying: what can never be written back must not stop the ring. A dirty
 * block that cannot be read any more becomes a BAD entry at the head of the log
 * (reads of it give EIO until it is written again), and a BAD extent whose entry
 * is about to be overwritten is entered again. Only when nothing else is left
 * in the oldest segment, and only when its place is wanted: until then the disk
 * may give the data back.
 *
 * One thread at a time: the writeback worker's.
 */
#ifndef WB_CACHE_CARRY_H
#define WB_CACHE_CARRY_H

#include <stdbool.h>

#include "cache/exclusion.h"
#include "cache/extent_table.h"
#include "cache/log.h"
#include "cache/message.h"
#include "cache/tail.h"

struct wb_carry {
	/* constant */
	const struct wb_geometry *geometry;
	struct wb_log *log;
	struct wb_segment_table *segments;
	struct wb_block_map *map;
	struct wb_extent_table *extents;
	struct wb_exclusion *exclusion;
	struct wb_tail *tail;
	struct wb_message *message;
};

/* Whether blocks that cannot be read are given up, or only what was given up
 * before is carried on. */
enum wb_carry_what { WB_CARRY_EXTENTS, WB_CARRY_ALL };

/* TRUE when something was carried. At most half a segment's worth. Not while a
 * writeback batch is under way: it may just have read such a block. */
bool wb_carry_step(const struct wb_carry *carry, enum wb_carry_what what);

#endif
