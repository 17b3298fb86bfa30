/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The second chance: before the place of an old segment is used again, those of its
 * clean blocks that were read since, as the policy chooses them, are read from the SSD
 * and appended once more, as CLEAN. A piece of the segment at a time:
 *
 *   IDLE -> READ    the blocks of a piece that stay, and what lies between them
 *        -> APPEND  those that the map still names there, and whose CRC is right
 *        -> READ the next piece, or the segment is done with -> IDLE
 *
 * Nobody waits for it: when places are wanted, a segment goes without. What cannot be
 * read, or finds no room, falls out.
 *
 * Stepping thread: the writeback worker's.
 */
#ifndef WB_CACHE_SECOND_CHANCE_H
#define WB_CACHE_SECOND_CHANCE_H

#include <stdbool.h>

#include "cache/exclusion.h"
#include "cache/fill_gate.h"
#include "cache/log.h"
#include "cache/read_policy.h"
#include "cache/stats.h"

struct wb_second_chance_deps {
	const struct wb_geometry *geometry;
	struct wb_log *log;
	struct wb_segment_table *segments;
	struct wb_block_map *map;
	struct wb_exclusion *exclusion;
	struct wb_read_policy *policy;
	struct wb_fill_gate *gate;
	struct wb_store *store;
	struct wb_stats *stats;
	void (*kick)(void *arg);	/* step should run again (any thread) */
	void *arg;
};

struct wb_second_chance;

struct wb_second_chance *wb_second_chance_new(const struct wb_second_chance_deps *deps);
void wb_second_chance_free(struct wb_second_chance *chance);

/* The place holds a closed segment without anything dirty, which is wanted: TRUE when
 * nothing more of it is to be saved, FALSE: ask again later, step goes on with it. */
bool wb_second_chance_is_over(struct wb_second_chance *chance, uint64_t place);
/* The same in a hurry: what was not saved falls out. */
void wb_second_chance_hurry(struct wb_second_chance *chance, uint64_t place);

bool wb_second_chance_step(struct wb_second_chance *chance);
void wb_second_chance_abandon(struct wb_second_chance *chance);
bool wb_second_chance_is_settled(struct wb_second_chance *chance);

#endif
