/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "frontend/affine_pool.h"

#include <glib.h>
#include <stdatomic.h>

#include "base/lines.h"
#include "base/lock.h"

#define LISTS 8u	/* twice the threads that receive: then two rarely share one */

struct wb_affine_pool {
	struct list {
		struct wb_lock lock;
		/* under lock */
		struct wb_affine_item *free;
		unsigned free_count;
	} __attribute__((aligned(WB_CACHE_LINE_BYTES))) lists[LISTS];

	/* constant after the last add */
	unsigned item_count;

	/* atomic: who looks at `came_back`, or is about to */
	atomic_uint waiter_count;

	/* under lock */
	struct wb_lock lock;
	struct wb_cond changed;
	uint64_t came_back;		/* so often one did while somebody waited */
	bool nobody_waits;
};

static unsigned own_list(void)
{
	static atomic_uint threads;
	static __thread unsigned own;	/* from 1 on */

	if (!own)
		own = atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed) % LISTS + 1;
	return own - 1;
}

struct wb_affine_pool *wb_affine_pool_new(void)
{
	struct wb_affine_pool *pool = g_aligned_alloc0(1, sizeof *pool, WB_CACHE_LINE_BYTES);

	for (unsigned i = 0; i < LISTS; i++)
		wb_lock_init(&pool->lists[i].lock, WB_RANK_POOL);
	wb_lock_init(&pool->lock, WB_RANK_POOL_WAIT);
	wb_cond_init(&pool->changed);
	return pool;
}

static void put_back_locked(struct list *list, struct wb_affine_item *item)
{
	wb_lock_assert_held(&list->lock);
	item->next = list->free;
	list->free = item;
	list->free_count++;
}

static unsigned count_free(struct wb_affine_pool *pool)
{
	unsigned count = 0;

	for (unsigned i = 0; i < LISTS; i++) {
		wb_lock_acquire(&pool->lists[i].lock);
		count += pool->lists[i].free_count;
		wb_lock_release(&pool->lists[i].lock);
	}
	return count;
}

void wb_affine_pool_free(struct wb_affine_pool *pool)
{
	if (!pool)
		return;
	g_assert(count_free(pool) == pool->item_count);
	for (unsigned i = 0; i < LISTS; i++)
		wb_lock_clear(&pool->lists[i].lock);
	wb_cond_clear(&pool->changed);
	wb_lock_clear(&pool->lock);
	g_aligned_free(pool);
}

void wb_affine_pool_add(struct wb_affine_pool *pool, struct wb_affine_item *item)
{
	struct list *list;

	item->list = pool->item_count++ % LISTS;
	list = &pool->lists[item->list];
	wb_lock_acquire(&list->lock);
	put_back_locked(list, item);
	wb_lock_release(&list->lock);
}

static struct wb_affine_item *take_from(struct list *list)
{
	struct wb_affine_item *item;

	wb_lock_acquire(&list->lock);
	item = list->free;
	if (item) {
		list->free = item->next;
		list->free_count--;
	}
	wb_lock_release(&list->lock);
	return item;
}

struct wb_affine_item *wb_affine_pool_try_get(struct wb_affine_pool *pool)
{
	unsigned own = own_list();
	struct wb_affine_item *item = NULL;

	for (unsigned i = 0; i < LISTS && !item; i++)
		item = take_from(&pool->lists[(own + i) % LISTS]);
	return item;
}

static uint64_t read_came_back(struct wb_affine_pool *pool)
{
	uint64_t came_back;

	wb_lock_acquire(&pool->lock);
	came_back = pool->came_back;
	wb_lock_release(&pool->lock);
	return came_back;
}

/* Who counts itself before it looks at a list is seen by whoever puts something there
 * behind its look: the lock of the list is between the two. */
static void begin_wait(struct wb_affine_pool *pool)
{
	atomic_fetch_add(&pool->waiter_count, 1);
}

static void end_wait(struct wb_affine_pool *pool)
{
	atomic_fetch_sub(&pool->waiter_count, 1);
}

struct wb_affine_item *wb_affine_pool_get(struct wb_affine_pool *pool)
{
	struct wb_affine_item *item = wb_affine_pool_try_get(pool);
	bool gives_up = false;

	if (item)
		return item;
	begin_wait(pool);
	while (!gives_up) {
		uint64_t seen = read_came_back(pool);

		item = wb_affine_pool_try_get(pool);
		if (item)
			break;
		wb_lock_acquire(&pool->lock);
		while (pool->came_back == seen && !pool->nobody_waits)
			wb_cond_wait(&pool->changed, &pool->lock);
		gives_up = pool->nobody_waits;
		wb_lock_release(&pool->lock);
	}
	end_wait(pool);
	return item;
}

static void tell(struct wb_affine_pool *pool)
{
	wb_lock_acquire(&pool->lock);
	pool->came_back++;
	wb_cond_broadcast(&pool->changed);
	wb_lock_release(&pool->lock);
}

/* All of it under the lock of the list: it orders the look at waiter_count, and who sees
 * there that the last one is back may free the pool. */
void wb_affine_pool_put(struct wb_affine_pool *pool, struct wb_affine_item *item)
{
	struct list *list = &pool->lists[item->list];

	wb_lock_acquire(&list->lock);
	put_back_locked(list, item);
	if (atomic_load_explicit(&pool->waiter_count, memory_order_relaxed))
		tell(pool);
	wb_lock_release(&list->lock);
}

void wb_affine_pool_end_waits(struct wb_affine_pool *pool)
{
	wb_lock_acquire(&pool->lock);
	pool->nobody_waits = true;
	wb_cond_broadcast(&pool->changed);
	wb_lock_release(&pool->lock);
}

bool wb_affine_pool_wait_whole_until(struct wb_affine_pool *pool, int64_t deadline_us)
{
	bool is_whole, is_late = false;

	begin_wait(pool);
	for (;;) {
		uint64_t seen = read_came_back(pool);

		is_whole = count_free(pool) == pool->item_count;
		if (is_whole || is_late)
			break;
		wb_lock_acquire(&pool->lock);
		while (pool->came_back == seen && !is_late)
			is_late = !wb_cond_wait_until(&pool->changed, &pool->lock, deadline_us);
		wb_lock_release(&pool->lock);
	}
	end_wait(pool);
	return is_whole;
}
