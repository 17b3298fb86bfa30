/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Watches whether the filesystem of a sparse backing has room for what the cache
 * may still write there, and says so before it is too late. Main thread only.
 */
#ifndef WB_CMD_SPACE_WATCH_H
#define WB_CMD_SPACE_WATCH_H

#include "cache/cache.h"

struct wb_space_watch {
	struct wb_cache *cache;
	const char *path;		/* of the backing, for messages */
	int fd;				/* on it; not ours; -1: nothing to watch */
	unsigned ticks;
	struct wb_backing_space space;
};

/* Pure: `missing_bytes` of the file are not allocated, `dirty_bytes` of them at
 * most are needed now, `cache_bytes` is the most that the cache can hold. */
void wb_space_judge(struct wb_backing_space *space, uint64_t free_bytes,
		    uint64_t missing_bytes, uint64_t dirty_bytes, uint64_t cache_bytes);

/* Call it some times a second; it looks every few seconds. */
void wb_space_watch_tick(struct wb_space_watch *watch);

#endif
