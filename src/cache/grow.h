/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The image grows, while it is used. The order, each for the one after it:
 *
 *   IDLE -> GATE    the mark on the backing must not say "complete" (mark_gate):
 *                   the backing is about to change
 *        -> OWNER   whoever owns the backing makes it that large, durably
 *        -> ZERO    memory for the index of dirty blocks; zeros where the old image's last block was cut off, so that the
 *                   rest of that block is the same for all who have looked before
 *                   and after (see image.h)
 *        -> FLUSH   the backing
 *        -> RECORD  the superblocks say the new size, both, durably
 *        -> IDLE    the new size is shown
 *
 * A death on the way leaves a backing that is larger than the image, which is no
 * harm, or an image that is larger at the next opening and holds there what the
 * backing holds. What was written to the larger part was written after RECORD, so
 * recovery always knows of it.
 *
 * begin() and backing_ready() on any thread, the rest on the writeback worker, which
 * alone starts updates of the superblocks.
 */
#ifndef WB_CACHE_GROW_H
#define WB_CACHE_GROW_H

#include <stdbool.h>

#include "cache/backing_flush.h"
#include "cache/block_map.h"
#include "cache/image.h"
#include "cache/mark_gate.h"
#include "cache/recorder.h"

struct wb_grow_deps {
	struct wb_image *image;
	struct wb_block_map *map;
	struct wb_store *backing_store;
	struct wb_backing_flush *backing_flush;
	struct wb_recorder *recorder;
	struct wb_mark_gate *mark_gate;
	struct wb_message *message;
};

struct wb_grow;

struct wb_grow *wb_grow_new(const struct wb_grow_deps *deps);
void wb_grow_free(struct wb_grow *grow);	/* settled; NULL is fine */

struct wb_grow_callbacks {
	/* The backing is to have that many bytes; wb_grow_backing_ready() answers. */
	void (*wanted)(void *arg, uint64_t bytes);
	/* The image has them from now on: whoever has shown another size may say so. */
	void (*shown)(void *arg, uint64_t bytes);
	/* It is over: 0 or -errno. The message has been set. */
	void (*ended)(void *arg, int error);
	/* The worker is to step. */
	void (*kick)(void *arg);
	void *arg;
};
void wb_grow_set_callbacks(struct wb_grow *grow, const struct wb_grow_callbacks *callbacks);

/* FALSE when one is under way, or the image is that large by now. `bytes` is a size that
 * an image can have. */
bool wb_grow_begin(struct wb_grow *grow, uint64_t bytes);
/* `problem`: why it has not become so large, for people; NULL: it has. */
void wb_grow_backing_ready(struct wb_grow *grow, const char *problem);

bool wb_grow_step(struct wb_grow *grow);

/* From now on nothing is begun; what waits is over with -ECANCELED at the next step. */
void wb_grow_abandon(struct wb_grow *grow);
/* Nothing of it is at a disk, nor is anybody in kick() (for closing). */
bool wb_grow_is_settled(struct wb_grow *grow);

#endif
