/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Block exclusion: at most one piece of a write, or one discard, changes a
 * block between its look-up and its publication. Two writes of a block are
 * therefore ordered alike in the log and in the map, and a merge can rely on
 * what it looked up.
 *
 * A piece lies in one chunk, so its mark lies in one stripe. A discard may be
 * as large as the image: its range stands in a list of its own, which pieces
 * ask before they mark.
 */
#ifndef WB_CACHE_EXCLUSION_H
#define WB_CACHE_EXCLUSION_H

#include "cache/block_map.h"
#include "cache/park.h"

struct wb_exclusion;

struct wb_exclusion *wb_exclusion_new(struct wb_block_map *map, struct wb_executor *executor);
void wb_exclusion_free(struct wb_exclusion *exclusion);

enum wb_enter {
	WB_ENTERED,		/* marked: end with the matching leave */
	WB_ENTER_PARKED,	/* the request waits and will be run again; with
				 * `parked` NULL: not entered, nobody waits */
};

/* The blocks [busy->first, busy->last] of one chunk. Returns with the stripe
 * lock HELD when entered, so that the caller can look up under it. */
enum wb_enter wb_exclusion_enter(struct wb_exclusion *exclusion, struct wb_busy *busy,
				 struct wb_parked *parked);
/* With the stripe lock held; wakes who met the mark. */
void wb_exclusion_leave_locked(struct wb_exclusion *exclusion, struct wb_busy *busy);
void wb_exclusion_leave(struct wb_exclusion *exclusion, struct wb_busy *busy);

/* The same for a range of any length; no lock is held afterwards. */
enum wb_enter wb_exclusion_enter_range(struct wb_exclusion *exclusion,
				       struct wb_busy *busy, struct wb_parked *parked);
void wb_exclusion_leave_range(struct wb_exclusion *exclusion, struct wb_busy *busy);

#endif
