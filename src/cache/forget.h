/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Forgetting a clean copy that cannot be read back, so that the backing's counts.
 *
 * The map forgets it at once. The log may not: what was written back stays an entry
 * DATA of its record, and as long as the tail has not passed that (because something
 * older is dirty), a recovery takes it for dirty. It would then be the only copy, and
 * lost, though the backing has the data. So a BYPASS entry for the block goes into the
 * log, which says just that: the backing has what is newest. It has, durably: a version
 * becomes clean after the flush that followed its writeback.
 *
 * The entry is made under the block's exclusion. Without it a write might have its place
 * in the log already, before the entry's, and not be published yet: the entry would undo
 * it in a recovery. Nobody is waited for: when somebody works on the block, or the log
 * has no room, the copy is forgotten all the same, as the backing can answer and nobody
 * else can; then, and until the entry is durable (with the next sync, or sync_interval),
 * a crash brings the bad copy back. No sync is asked for here: a stretch of the disk
 * that is gone would cost a record for each block, instead of some for all of it.
 *
 * Any thread, no lock held. Allocates nothing, never waits.
 */
#ifndef WB_CACHE_FORGET_H
#define WB_CACHE_FORGET_H

#include <stdbool.h>

#include "cache/exclusion.h"
#include "cache/log.h"
#include "cache/stats.h"
#include "cache/tail.h"

struct wb_forget {
	/* constant after open; the log: of a cache that is only read it gives no place */
	struct wb_log *log;
	struct wb_segment_table *segments;
	struct wb_block_map *map;
	struct wb_exclusion *exclusion;
	struct wb_tail *tail;
	struct wb_stats *stats;
};

/* TRUE: `slot` was a clean version of `address`, and is gone (counted as repaired).
 * FALSE, and nothing is changed: it is dirty, or no version of it any more. */
bool wb_forget_clean(const struct wb_forget *forget, uint64_t address, uint32_t slot);
/* The same by who has entered the block's exclusion. */
bool wb_forget_clean_entered(const struct wb_forget *forget, uint64_t address, uint32_t slot);

#endif
