/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Repair of a cache that opening refuses, or that has lost a superblock. The log
 * is kept up to its damage; what lies behind is given up by superblocks of a new
 * epoch that begins there. No record with data that the backing may lack is
 * changed: until its place is written again, dump still shows it. The backing is
 * not touched.
 *
 * Start-up only, one thread; the caller holds the cache alone.
 */
#ifndef WB_CACHE_REPAIR_H
#define WB_CACHE_REPAIR_H

#include "cache/recovery.h"

/* What is to be done for a scan that went past damage. */
enum wb_repair_need {
	WB_REPAIR_NOTHING,
	WB_REPAIR_SUPERBLOCK,	/* one copy is no good: nothing is lost */
	WB_REPAIR_SUPERBLOCKS,	/* both are: as they were guessed */
	WB_REPAIR_LOG,		/* give up what lies behind the damage */
};
enum wb_repair_need wb_repair_need(const struct wb_recovery *recovery);

/*
 * Does it. Can be cut off at any point and done again. FALSE and an error when
 * the cache could not be written: it is then as damaged as before, or repaired.
 */
gboolean wb_repair_apply(struct wb_store *cache_store, const struct wb_recovery *recovery,
			 GError **error);

enum wb_repair_loss {
	WB_REPAIR_LOST_WRITE,
	WB_REPAIR_LOST_DISCARD,	/* or zero-range */
};

struct wb_repair_range {
	uint64_t first, count;	/* blocks of the image */
	enum wb_repair_loss loss;
};

/* Which parts of the image the records behind the damage changed, in order of
 * address; of a part that several changed, the last one says how. To be freed. */
GArray *wb_repair_list_lost(const struct wb_recovery *recovery);

struct wb_repair_gap {
	uint64_t first, last;	/* sequences */
};

/* Records behind the damage that cannot be read: what they changed is unknown.
 * To be freed. */
GArray *wb_repair_list_gaps(const struct wb_recovery *recovery);

/* The lost records as if they were part of the log, for a rescue that says so.
 * The recovery is good for nothing else afterwards. */
void wb_repair_take_lost(struct wb_recovery *recovery);

/* What the backing tells about a cache whose superblocks are both lost. */
struct wb_repair_facts {
	uint8_t uuid[16];		/* its mark */
	uint64_t epoch;			/* of the newest mount; 0: not known */
	bool is_complete;		/* it has all that was written up to that epoch */
	uint64_t backing_bytes;		/* its size */
	const char *backing_path;
	enum wb_mark_kind mark_kind;
	uint32_t segment_bytes;		/* 0: not known */
};

/*
 * A superblock for wb_recovery_options.superblock, from the record headers:
 * FALSE and an error when they do not prove a layout. Reads only.
 */
gboolean wb_repair_guess_superblock(struct wb_store *cache_store,
				    const struct wb_repair_facts *facts,
				    struct wb_superblock *superblock, GError **error);

/*
 * What a scan with that superblock found, on a backing that says it is complete:
 * nothing in the log is needed any more, and the backing may have been used alone
 * since. TRUE: `superblock` says so now, and the scan is to be done again.
 */
bool wb_repair_is_all_written(const struct wb_repair_facts *facts,
			      const struct wb_recovery *recovery,
			      struct wb_superblock *superblock);

#endif
