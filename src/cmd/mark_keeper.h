/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keeps the mark on the backing of a mounted volume true: before it is served,
 * when a drain has completed the backing, before the first change after that,
 * and at the end. All on the main thread but what is said to be not.
 */
#ifndef WB_CMD_MARK_KEEPER_H
#define WB_CMD_MARK_KEEPER_H

#include <glib.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "cache/cache.h"
#include "cmd/identity.h"

struct wb_mark_keeper {
	struct wb_disk backing;		/* a descriptor of its own on the same lock */
	const struct wb_store *store;	/* of a remote backing, or NULL: how large it is now */
	struct wb_identity mark;	/* as it is on the backing, or is to be */
	struct wb_cache *cache;		/* while it is open */
	bool is_complete;		/* the cache was stopped with nothing dirty */
	uint64_t epoch;			/* of the open cache */
	bool has_failed;		/* the last time, and that was said */

	/* atomic, set on any thread */
	atomic_bool is_due;
};

#define WB_MARK_KEEPER_NONE { .backing = WB_DISK_NONE }

/* Before the backing's store takes its descriptor. `mark` is taken over: what was
 * found on the backing, with the UUID that it shall have. */
bool wb_mark_keeper_init(struct wb_mark_keeper *keeper, const struct wb_disk *backing,
			 struct wb_identity *mark, GError **error);
void wb_mark_keeper_clear(struct wb_mark_keeper *keeper);

/* For the configuration of the cache. */
void wb_mark_keeper_fill_watch(struct wb_mark_keeper *keeper, struct wb_backing_watch *watch);

/* The cache is open: writes the mark of its epoch. */
bool wb_mark_keeper_start(struct wb_mark_keeper *keeper, struct wb_cache *cache,
			  const char *cache_path, GError **error);
/* Without a cache open: it does not know that the backing changes from here on,
 * which may end half-way. */
bool wb_mark_keeper_note_rescue(struct wb_mark_keeper *keeper, GError **error);
/* Whenever the main loop was woken: writes what is asked for. */
void wb_mark_keeper_run(struct wb_mark_keeper *keeper);
/* By the clock: what could not be written is tried again. Any thread. */
void wb_mark_keeper_tick(struct wb_mark_keeper *keeper);
/* No more of it: requests that would wait for the mark fail. */
void wb_mark_keeper_end(struct wb_mark_keeper *keeper);
/* After the cache was closed. */
void wb_mark_keeper_finish(struct wb_mark_keeper *keeper);

/* Now, or the time of the backing's last change if that lies later: a clock that
 * was set back must not make our own writes look like somebody else's. */
int64_t wb_mark_complete_time(const struct wb_disk *backing);

#endif
