/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The checkpoint of a clean stop: what the map, the segment table and the extent
 * table hold, written to its region of the cache so that the next opening need
 * not read the log for it. The log stays complete: whatever is odd about a
 * checkpoint, it is left alone and the log is recovered as after a crash.
 *
 * Why a stale one is never believed:
 *  - it is durable before the superblocks that name it (size and CRC) and carry
 *    the clean flag, and that is the last that a stop writes;
 *  - an opening writes superblocks of a new epoch, without the flag and without a
 *    checkpoint, before anything else; the checkpoint names its epoch;
 *  - the last record that it names, by sequence and CRC, must lie at the end of its
 *    segment, and no later session may have begun in the next (recovery_checkpoint.c).
 *
 * Opening and closing only, by one thread.
 */
#ifndef WB_CACHE_CHECKPOINT_H
#define WB_CACHE_CHECKPOINT_H

#include <stdbool.h>

#include "cache/block_map.h"
#include "cache/extent_table.h"
#include "cache/segment_table.h"
#include "cache/stats.h"
#include "format/checkpoint_codec.h"
#include "io/store.h"

struct wb_checkpoint_deps {
	const struct wb_geometry *geometry;
	struct wb_segment_table *segments;
	struct wb_block_map *map;
	struct wb_extent_table *extents;
	struct wb_store *store;
	struct wb_stats *stats;
};

/*
 * Writes one and flushes it. Of `superblock`, which has the tail and the epoch of
 * the stop already, it fills in the size and the CRC; they are 0 when there is
 * none, because that failed (-errno) or because the state does not fit into the
 * region (-ENOSPC): no reason for anybody to fail.
 */
struct wb_checkpoint_last {
	uint64_t sequence, segment;	/* of the last record; all of the log is durable */
	uint32_t crc;
};
int wb_checkpoint_write(const struct wb_checkpoint_deps *deps,
			const struct wb_checkpoint_last *last,
			struct wb_superblock *superblock);

/* Fills the map and the tables, which are new. FALSE: it cannot be read or is not
 * what it says; what was filled is of no use then. */
bool wb_checkpoint_load(const struct wb_checkpoint_deps *deps,
			const struct wb_checkpoint *checkpoint,
			const struct wb_superblock *superblock);

#endif
