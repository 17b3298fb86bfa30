/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Carrying: what can never be written back must not stop the ring. A dirty
 * block that cannot be read any more becomes a BAD entry at the head of the log
 * (reads of it give EIO until it is written again), and a BAD extent whose entry
 * is about to be overwritten is entered again. Only when nothing else is left
 * in the oldest segment, and only when its place is wanted: until then the disk
 * may give the data back. Data that the backing refuses to take is appended
 * again as it is, and so is a discard that it refuses.
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
	/* stepping thread: the newest segment that anything was carried into */
	uint64_t *newest_segment;
};

/* The oldest segment, when it is closed, durable and has anything dirty; else 0. */
uint64_t wb_carry_oldest_segment(const struct wb_carry *carry);

/* The same, when all that is dirty in it cannot be read or was given up before; else 0. */
uint64_t wb_carry_lost_segment(const struct wb_carry *carry);

/* What was given up before, in that segment. TRUE when something was carried. At most
 * half a segment's worth. */
bool wb_carry_step(const struct wb_carry *carry);
/* A dirty block that cannot be read is given up. For a writeback batch that has just
 * tried to; TRUE when it was carried. */
bool wb_carry_lost(const struct wb_carry *carry, uint32_t slot);
/* TRUE: only lost blocks keep the oldest segment, and there is no room to note more of
 * them elsewhere. Then the tail stays until some of them are written or discarded. */
bool wb_carry_is_stuck(const struct wb_carry *carry);

/* A dirty block of a closed segment and its data, checked, from a reader that
 * still pins it. */
struct wb_carry_block {
	uint64_t address;
	uint32_t slot;
	uint8_t mask;
	const void *data;
};

/* Appends blocks again, those whose newest version is still that slot and that
 * nobody is changing, as far as the log has room. Returns how many. */
size_t wb_carry_blocks(const struct wb_carry *carry, const struct wb_carry_block *blocks,
		       size_t count);
/* Appends a discard that is pending again, as far as it is in `extent`. FALSE
 * when it cannot be now. */
bool wb_carry_zero(const struct wb_carry *carry, const struct wb_extent *extent);

#endif
