/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Makes the backing of a mounted volume larger when its image is to grow: a file
 * by truncation, and with space of its own where it has no holes; a device or an export
 * cannot be made larger from here, its new size is looked up.
 *
 * What is asked comes on any thread; the work is done on a thread of its own, since
 * a file system may take its time, and the main loop begins and ends that.
 */
#ifndef WB_CMD_BACKING_GROWTH_H
#define WB_CMD_BACKING_GROWTH_H

#include <glib.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "cache/cache.h"

struct wb_backing_growth {
	/* constant while it may be asked */
	struct wb_cache *cache;
	struct wb_store *store;
	int fd;
	bool is_block_device;

	/* main thread only */
	GThread *thread;		/* NULL: none is at it */

	/* atomic */
	_Atomic uint64_t wanted_bytes;	/* 0: nothing is asked */
	atomic_bool has_ended;		/* the thread may be joined */
};

/* wb_growth.wanted; `arg` is the growth. */
void wb_backing_growth_want(void *arg, uint64_t bytes);
/* Whenever the main loop was woken. */
void wb_backing_growth_run(struct wb_backing_growth *growth);
/* Before the cache is closed: nothing is told to it afterwards. */
void wb_backing_growth_end(struct wb_backing_growth *growth);

/* What the work is: NULL, or why the backing does not have `bytes`, for people, to be
 * freed. *size_bytes is what it has now. */
char *wb_backing_make_larger(int fd, bool is_block_device, uint64_t bytes,
			     uint64_t *size_bytes);

#endif
