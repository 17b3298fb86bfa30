/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All that a cache holds, written to a cache of another size: the records that
 * recovery found, in their order and with their sequences, under new headers in the
 * segments of the new ring. A mount of the new cache finds what one of the old would
 * have found: the same dirty blocks, discards and losses, and the clean copies as far
 * back as there is room. The old cache is only read.
 *
 * Why it may take the place of the old one. It is the same volume at the same epoch,
 * so that the backing's mark and what was noted of the backing at a clean stop fit
 * both; whichever is mounted first begins the next epoch, and the mark then refuses
 * the other one as an older copy. No superblock is written before all of the log is
 * durable: a move that is cut off leaves "not a cache".
 *
 * Start-up only, by one thread.
 */
#ifndef WB_CACHE_MOVE_H
#define WB_CACHE_MOVE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "cache/create.h"
#include "cache/recovery.h"

/* What goes where. */
struct wb_move_plan {
	struct wb_geometry geometry;	/* of the new cache */
	guint first_record;		/* of recovery->records: older ones stay behind */
	guint first_live;		/* index too; records->len: none */
	uint64_t live_segments;		/* of the new ring, needed by what is live */
	uint64_t left_blocks;		/* warm ones that stay behind, headers among them */
	uint64_t bytes;			/* to be written */
};

/* FALSE and an error (WB_CACHE_ERROR_LIMIT) when no cache of that size can hold what is
 * live and go on. */
gboolean wb_move_make_plan(struct wb_move_plan *plan, const struct wb_recovery *recovery,
			   const char *label, uint64_t cache_bytes, GError **error);

struct wb_move {
	const struct wb_recovery *recovery;	/* of `from`, without damage */
	const struct wb_move_plan *plan;
	struct wb_store *from, *to;
	/* of the new cache, before; headers alone only where this volume never was */
	enum wb_zero_mode zero_mode;
	/* FALSE: stop, with WB_CACHE_ERROR_STOPPED; or NULL */
	bool (*progress)(void *arg, uint64_t done_bytes, uint64_t total_bytes);
	void *progress_arg;
	/* out: blocks that could not be read or were not what they should be. They are as
	 * wrong in the new cache, and found out there like they are in the old one. */
	uint64_t bad_blocks;
};

gboolean wb_move_run(struct wb_move *move, GError **error);

#endif
