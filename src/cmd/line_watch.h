/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Watches whether the server of a remote backing can be reached, says when that changes,
 * and tells the cache, for its statistics. Nothing to do for a disk of this machine.
 * Main thread only.
 */
#ifndef WB_CMD_LINE_WATCH_H
#define WB_CMD_LINE_WATCH_H

#include "cache/cache.h"

struct wb_line_watch {
	struct wb_cache *cache;		/* NULL: nothing to watch */
	struct wb_store *store;		/* the backing */
	struct wb_backing_line line;
};

/* Call it some times a second. */
void wb_line_watch_tick(struct wb_line_watch *watch);
/* Right now. */
bool wb_line_watch_is_away(const struct wb_line_watch *watch);
/* A stop has begun: what waits for a server that is away gives up in time. */
void wb_line_watch_hurry(struct wb_line_watch *watch);

#endif
