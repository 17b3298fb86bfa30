/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The superblock recorder: one update of both copies at a time, the older (or
 * invalid) copy first: write, flush, the other one, flush. At no moment are
 * both copies in flight, so a power cut leaves at least one of them whole.
 */
#ifndef WB_CACHE_RECORDER_H
#define WB_CACHE_RECORDER_H

#include <stdbool.h>

#include "cache/flush.h"
#include "cache/message.h"
#include "cache/region.h"
#include "cache/stats.h"
#include "format/superblock_codec.h"
#include "io/store.h"

struct wb_recorder;

/* `superblock` is what the cache holds now; `first_copy` the one to overwrite
 * first. */
struct wb_recorder *wb_recorder_new(struct wb_store *store, struct wb_stats *stats,
				    struct wb_message *message,
				    const struct wb_superblock *superblock,
				    unsigned first_copy);
void wb_recorder_free(struct wb_recorder *recorder);
/* Before the first wb_recorder_start(): who flushes the device. */
void wb_recorder_set_flush(struct wb_recorder *recorder, struct wb_flush *flush);

/* Where it is kept, over a death, what is durable. */
void wb_recorder_set_region(struct wb_recorder *recorder, struct wb_region *region);

/* What to write next time; the generation is the recorder's. Only while
 * !wb_recorder_is_busy(), by the one thread that starts updates. */
struct wb_superblock *wb_recorder_superblock(struct wb_recorder *recorder);

/* What the superblocks count over all mounts, this one up to now included. Any
 * thread. */
void wb_recorder_get_lifetime(struct wb_recorder *recorder, uint64_t lifetime[WB_LIFETIME_COUNT]);

struct wb_recorder_callbacks {
	/* 0: both copies are durable. The recorder is still busy: nobody starts
	 * the next update meanwhile. */
	void (*done)(void *arg, int error);
	/* Then: it is free again. */
	void (*idle)(void *arg);
	void *arg;
};

/* Starts an update; the callbacks run on any thread. After an error the next
 * update begins with the same copy. */
void wb_recorder_start(struct wb_recorder *recorder,
		       const struct wb_recorder_callbacks *callbacks);
bool wb_recorder_is_busy(struct wb_recorder *recorder);

/* No thread is inside its callbacks any more either (for closing). */
bool wb_recorder_is_idle(struct wb_recorder *recorder);

/* Start and wait (opening and closing only, when nothing else runs). */
int wb_recorder_write_sync(struct wb_recorder *recorder);

#endif
