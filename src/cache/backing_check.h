/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Is this the backing that the cache left, as the cache left it? Looked at once,
 * while opening, after recovery and before anything is written; and described at
 * a clean stop, for the next time. Why our own writes never look like somebody
 * else's is argued in backing_check.c.
 */
#ifndef WB_CACHE_BACKING_CHECK_H
#define WB_CACHE_BACKING_CHECK_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "cache/block_map.h"
#include "cache/cache.h"
#include "cache/recovery.h"

struct wb_backing_check {
	const struct wb_cache_config *config;
	const struct wb_recovery *recovery;
	struct wb_block_map *map;	/* as replayed */
	uint64_t dirty_count;		/* blocks and extents that the cache has alone */
	/* out */
	bool drops_clean;		/* no clean copy may be believed */
	char *note;			/* for people, or NULL; the caller's */
};

/* FALSE: refused (WB_CACHE_ERROR_CHANGED). */
gboolean wb_backing_check(struct wb_backing_check *check, GError **error);

#define WB_BACKING_WHAT_BYTES 256
/* After a clean stop: it does not look as it did then, and `what` says how. */
bool wb_backing_look_differs(struct wb_store *backing, const struct wb_superblock *superblock,
			     const struct wb_backing_facts *facts,
			     char what[WB_BACKING_WHAT_BYTES]);

/* How it looks now, with nothing under way; `superblock` has its epoch already. */
struct wb_backing_look wb_backing_describe(const struct wb_cache_config *config,
					   const struct wb_superblock *superblock,
					   uint64_t dirty_left);

#endif
