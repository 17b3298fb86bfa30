/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Things that requests need for a while, and that a thread gets back which had them
 * last: their memory is in its processor's cache, and taking one is no matter between
 * threads. They lie in several lists, and a thread begins with its own. Only who finds
 * none in any of them waits.
 *
 * Any thread. Ranks: WB_RANK_POOL and WB_RANK_POOL_WAIT.
 */
#ifndef WB_FRONTEND_AFFINE_POOL_H
#define WB_FRONTEND_AFFINE_POOL_H

#include <stdbool.h>
#include <stdint.h>

/* A member of the thing, and the pool's. */
struct wb_affine_item {
	struct wb_affine_item *next;
	unsigned list;			/* where it goes back to */
};

struct wb_affine_pool;

struct wb_affine_pool *wb_affine_pool_new(void);
/* All items must be back, or have never been there. NULL is fine. */
void wb_affine_pool_free(struct wb_affine_pool *pool);
/* One more, before the first get. */
void wb_affine_pool_add(struct wb_affine_pool *pool, struct wb_affine_item *item);

/* NULL: there is none. */
struct wb_affine_item *wb_affine_pool_try_get(struct wb_affine_pool *pool);
/* Waits until there is one; the caller must hold nothing that others need to put theirs
 * back. NULL: nobody is to wait any more. */
struct wb_affine_item *wb_affine_pool_get(struct wb_affine_pool *pool);
void wb_affine_pool_put(struct wb_affine_pool *pool, struct wb_affine_item *item);
/* get() returns NULL at once where it would wait, now and from now on. */
void wb_affine_pool_end_waits(struct wb_affine_pool *pool);

/* While nobody gets any: all are back; TRUE as soon as they are, FALSE when
 * g_get_monotonic_time() has reached deadline_us. */
bool wb_affine_pool_wait_whole_until(struct wb_affine_pool *pool, int64_t deadline_us);

#endif
