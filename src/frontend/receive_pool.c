/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "frontend/receive_pool.h"

#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>

#include "base/lock.h"

struct wb_receive_pool {
	/* constant after new */
	unsigned large_count, small_count;
	uint8_t *memory;
	size_t memory_bytes;
	struct wb_receive_buffer *buffers;

	/* under lock */
	struct wb_lock lock;
	struct wb_cond large_came_back;
	struct wb_receive_buffer *large_free, *small_free;

	/* atomic: written under lock, read without for a hint */
	atomic_uint large_free_count;
};

static void push(struct wb_receive_pool *pool, struct wb_receive_buffer *buffer)
{
	struct wb_receive_buffer **list =
		buffer->is_small ? &pool->small_free : &pool->large_free;

	buffer->next = *list;
	*list = buffer;
	if (!buffer->is_small)
		atomic_fetch_add_explicit(&pool->large_free_count, 1, memory_order_relaxed);
}

static void carve(struct wb_receive_pool *pool)
{
	uint8_t *memory = pool->memory;

	for (unsigned i = 0; i < pool->large_count + pool->small_count; i++) {
		struct wb_receive_buffer *buffer = &pool->buffers[i];

		buffer->is_small = i >= pool->large_count;
		buffer->memory = memory;
		memory += buffer->is_small ? WB_RECEIVE_SMALL_BYTES : WB_RECEIVE_LARGE_BYTES;
		push(pool, buffer);
	}
}

struct wb_receive_pool *wb_receive_pool_new(unsigned large_count, unsigned small_count)
{
	size_t bytes = (size_t)large_count * WB_RECEIVE_LARGE_BYTES +
		       (size_t)small_count * WB_RECEIVE_SMALL_BYTES;
	struct wb_receive_pool *pool;
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return NULL;
	pool = g_new0(struct wb_receive_pool, 1);
	pool->large_count = large_count;
	pool->small_count = small_count;
	pool->memory = memory;
	pool->memory_bytes = bytes;
	pool->buffers = g_new0(struct wb_receive_buffer, large_count + small_count);
	wb_lock_init(&pool->lock, WB_RANK_POOL);
	wb_cond_init(&pool->large_came_back);
	carve(pool);
	return pool;
}

void wb_receive_pool_free(struct wb_receive_pool *pool)
{
	if (!pool)
		return;
	g_assert(atomic_load(&pool->large_free_count) == pool->large_count);
	wb_cond_clear(&pool->large_came_back);
	wb_lock_clear(&pool->lock);
	munmap(pool->memory, pool->memory_bytes);
	g_free(pool->buffers);
	g_free(pool);
}

struct wb_receive_buffer *wb_receive_pool_take(struct wb_receive_pool *pool)
{
	struct wb_receive_buffer *buffer;

	wb_lock_acquire(&pool->lock);
	while (!pool->large_free)
		wb_cond_wait(&pool->large_came_back, &pool->lock);
	buffer = pool->large_free;
	pool->large_free = buffer->next;
	atomic_fetch_sub_explicit(&pool->large_free_count, 1, memory_order_relaxed);
	wb_lock_release(&pool->lock);
	return buffer;
}

struct wb_receive_buffer *wb_receive_pool_try_small(struct wb_receive_pool *pool)
{
	struct wb_receive_buffer *buffer;

	wb_lock_acquire(&pool->lock);
	buffer = pool->small_free;
	if (buffer)
		pool->small_free = buffer->next;
	wb_lock_release(&pool->lock);
	return buffer;
}

void wb_receive_pool_put(struct wb_receive_pool *pool, struct wb_receive_buffer *buffer)
{
	wb_lock_acquire(&pool->lock);
	push(pool, buffer);
	if (!buffer->is_small)
		wb_cond_signal(&pool->large_came_back);
	wb_lock_release(&pool->lock);
}

bool wb_receive_pool_is_low(struct wb_receive_pool *pool)
{
	return atomic_load_explicit(&pool->large_free_count, memory_order_relaxed) <
	       pool->large_count / 3;
}
