/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The live log replayed without a map: what has to be done to the backing so
 * that it becomes the image. The same rules as at a mount (cache_open.c), for
 * those who have no mount: a block is what the newest entry that names it says.
 */
#ifndef WB_CACHE_RECOVERY_REPLAY_H
#define WB_CACHE_RECOVERY_REPLAY_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "cache/recovery.h"

/* Packed: there may be one for every slot of the cache. */
struct wb_replay_block {
	uint64_t address : 48;
	uint64_t mask : 8;	/* these sectors; the others are the backing's */
	uint32_t slot, crc;
};

struct wb_replay_extent {
	uint64_t first, count;	/* blocks */
	bool is_lost;		/* a BAD entry; else zeros */
};

/* Both in order of address; no block of the image is named twice. */
struct wb_replay {
	GArray *blocks;		/* of struct wb_replay_block */
	GArray *extents;	/* of struct wb_replay_extent */
};

struct wb_replay *wb_replay_new(const struct wb_recovery *recovery);
void wb_replay_free(struct wb_replay *replay);

/* Is the block made without anything of what the backing holds there? */
bool wb_replay_is_whole(const struct wb_replay *replay, const struct wb_geometry *geometry,
			uint64_t address);

#endif
