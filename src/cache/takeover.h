/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Opening in place of a process that died: the log on the SSD up to `durable`, and
 * behind it the records that only the memory has (region.h). They are written to the
 * places where they belong and flushed, and then the volume stands as after an opening
 * with nothing left to recover: in the same epoch, for nothing lies on the SSD that is
 * not of this log. (What an epoch is for: to tell records behind the cut from those that
 * are written anew. Here the cut is behind all that was ever given a place.) Nothing else
 * is written, on either disk.
 *
 * Whoever calls has waited until what the dead process had at the disks has landed: it
 * takes its data from the memory as it is THEN, and a buffer that is in use again would
 * land where its old segment was.
 *
 * What else was true when it died, and what becomes of it:
 *
 *  - Blocks, discards, lost data, carried entries: entries of the log, here or there.
 *  - Syncs and FUA: what was answered is <= `durable`. What was not comes again.
 *  - A write around the cache: its entry was durable before the backing was written; if it
 *    was not answered, it comes again. The flush of the backing that a later sync owes is
 *    owed by us (wb_backing_flush_take_over), an error that a sync has to be told likewise.
 *  - Writeback under way: what it wrote stays dirty in the log until a flush, and is
 *    written again. A tail that no header and no superblock has is forgotten: more is
 *    replayed, as after any crash.
 *  - Superblocks under way: one copy is whole; both are written anew, if they are not
 *    those that are known to be durable.
 *  - Growing: the superblocks say what was shown, or more.
 *  - The mark says "dirty" before anything is in the log, as ever.
 *  - A relocation under way, or a place that cannot be written now: the records go
 *    elsewhere, all of them, in a new epoch. See write_elsewhere().
 *  - A RAM buffer that the dying process scribbled on: a block whose CRC is wrong is
 *    written as it is, for whoever reads it to be told (P6), and counted. The superblocks
 *    then say that it was durable: without that it would look like the end of the log.
 *
 * Each step leaves the memory as it was, until `durable` says that it is not needed: a
 * death in the middle begins anew. Start-up only.
 */
#ifndef WB_CACHE_TAKEOVER_H
#define WB_CACHE_TAKEOVER_H

#include "cache/recovery.h"
#include "cache/region.h"

struct wb_takeover {
	struct wb_store *store;		/* the cache */
	struct wb_region *region;
	struct wb_recovery *recovery;	/* that ends at the region's `durable` */

	/* told by the call */
	uint64_t record_count;
	uint64_t wrong_blocks;		/* those with a wrong CRC */
};

/* The requests are settled (left_records.h). The recovery goes up to the last record then, and all of it is durable. */
gboolean wb_takeover_write_log(struct wb_takeover *takeover, GError **error);

#endif
