/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "frontend/receive_pool.h"

#include <stdatomic.h>
#include <stdint.h>

#include "base/lock.h"
#include "base/memory.h"

static const size_t class_bytes[WB_RECEIVE_OWN_COUNT] = {
	[WB_RECEIVE_LARGE] = WB_RECEIVE_LARGE_BYTES,
	[WB_RECEIVE_MEDIUM] = WB_RECEIVE_MEDIUM_BYTES,
	[WB_RECEIVE_SMALL] = WB_RECEIVE_SMALL_BYTES,
};

struct wb_receive_pool {
	/* constant after new */
	unsigned counts[WB_RECEIVE_OWN_COUNT];
	uint8_t *memory;
	size_t memory_bytes;
	struct wb_receive_buffer *buffers;
	struct wb_receive_buffer borrowed[WB_RECEIVE_BORROWED_MAX];

	/* under lock */
	struct wb_lock lock;
	struct wb_cond large_came_back;
	struct wb_receive_buffer *free[WB_RECEIVE_CLASS_COUNT];	/* borrowed: without memory */
	bool nobody_waits;

	/* atomic: written under lock, read without for a hint */
	atomic_uint large_free_count;
};

static void push(struct wb_receive_pool *pool, struct wb_receive_buffer *buffer)
{
	buffer->next = pool->free[buffer->class];
	pool->free[buffer->class] = buffer;
	if (buffer->class == WB_RECEIVE_LARGE)
		atomic_fetch_add_explicit(&pool->large_free_count, 1, memory_order_relaxed);
}

static void carve(struct wb_receive_pool *pool)
{
	struct wb_receive_buffer *buffer = pool->buffers;
	uint8_t *memory = pool->memory;

	for (unsigned class = 0; class < WB_RECEIVE_OWN_COUNT; class++) {
		for (unsigned i = 0; i < pool->counts[class]; i++, buffer++) {
			buffer->class = class;
			buffer->memory = memory;
			memory += class_bytes[class];
			push(pool, buffer);
		}
	}
	for (unsigned i = 0; i < WB_RECEIVE_BORROWED_MAX; i++) {
		pool->borrowed[i].class = WB_RECEIVE_BORROWED;
		push(pool, &pool->borrowed[i]);
	}
}

struct wb_receive_pool *wb_receive_pool_new(unsigned large_count, unsigned small_count)
{
	unsigned counts[WB_RECEIVE_OWN_COUNT] = { large_count, small_count / 4, small_count };
	struct wb_receive_pool *pool;
	unsigned total = 0;
	size_t bytes = 0;
	void *memory;

	for (unsigned class = 0; class < WB_RECEIVE_OWN_COUNT; class++) {
		bytes += counts[class] * class_bytes[class];
		total += counts[class];
	}
	memory = wb_memory_map(bytes);
	if (!memory)
		return NULL;
	/* The kernel copies requests into these. If this process is killed while that copy
	 * waits for a page, the user gets EIO: nobody is sent that request again. (libfuse
	 * forks for fusermount3 afterwards.) */
	wb_memory_keep_from_children(memory, bytes);
	wb_memory_bring_in(memory, counts[WB_RECEIVE_LARGE] * class_bytes[WB_RECEIVE_LARGE]);
	pool = g_new0(struct wb_receive_pool, 1);
	for (unsigned class = 0; class < WB_RECEIVE_OWN_COUNT; class++)
		pool->counts[class] = counts[class];
	pool->memory = memory;
	pool->memory_bytes = bytes;
	pool->buffers = g_new0(struct wb_receive_buffer, total);
	wb_lock_init(&pool->lock, WB_RANK_POOL);
	wb_cond_init(&pool->large_came_back);
	carve(pool);
	return pool;
}

void wb_receive_pool_free(struct wb_receive_pool *pool)
{
	if (!pool)
		return;
	g_assert(atomic_load(&pool->large_free_count) == pool->counts[WB_RECEIVE_LARGE]);
	wb_cond_clear(&pool->large_came_back);
	wb_lock_clear(&pool->lock);
	wb_memory_unmap(pool->memory, pool->memory_bytes);
	g_free(pool->buffers);
	g_free(pool);
}

static struct wb_receive_buffer *take_large_locked(struct wb_receive_pool *pool)
{
	struct wb_receive_buffer *buffer = pool->free[WB_RECEIVE_LARGE];

	if (!buffer)
		return NULL;
	pool->free[WB_RECEIVE_LARGE] = buffer->next;
	atomic_fetch_sub_explicit(&pool->large_free_count, 1, memory_order_relaxed);
	return buffer;
}

struct wb_receive_buffer *wb_receive_pool_take(struct wb_receive_pool *pool)
{
	struct wb_receive_buffer *buffer;

	wb_lock_acquire(&pool->lock);
	while (!(buffer = take_large_locked(pool)) && !pool->nobody_waits)
		wb_cond_wait(&pool->large_came_back, &pool->lock);
	wb_lock_release(&pool->lock);
	return buffer;
}

struct wb_receive_buffer *wb_receive_pool_try_take(struct wb_receive_pool *pool)
{
	struct wb_receive_buffer *buffer;

	wb_lock_acquire(&pool->lock);
	buffer = take_large_locked(pool);
	wb_lock_release(&pool->lock);
	return buffer;
}

struct wb_receive_buffer *wb_receive_pool_try_short(struct wb_receive_pool *pool, size_t bytes)
{
	struct wb_receive_buffer *buffer = NULL;

	wb_lock_acquire(&pool->lock);
	for (unsigned class = WB_RECEIVE_SMALL; class > WB_RECEIVE_LARGE && !buffer; class--) {
		if (bytes > class_bytes[class])
			continue;
		buffer = pool->free[class];
		if (buffer)
			pool->free[class] = buffer->next;
	}
	wb_lock_release(&pool->lock);
	return buffer;
}

struct wb_receive_buffer *wb_receive_pool_borrow(struct wb_receive_pool *pool, size_t bytes)
{
	struct wb_receive_buffer *buffer;

	wb_lock_acquire(&pool->lock);
	buffer = pool->free[WB_RECEIVE_BORROWED];
	if (buffer)
		pool->free[WB_RECEIVE_BORROWED] = buffer->next;
	wb_lock_release(&pool->lock);
	if (!buffer)
		return NULL;
	buffer->bytes = bytes;
	buffer->memory = wb_memory_borrow(bytes);
	if (buffer->memory)
		return buffer;
	wb_receive_pool_put(pool, buffer);
	return NULL;
}

void wb_receive_pool_put(struct wb_receive_pool *pool, struct wb_receive_buffer *buffer)
{
	if (buffer->class == WB_RECEIVE_BORROWED && buffer->memory)
		wb_memory_unmap(buffer->memory, buffer->bytes);
	wb_lock_acquire(&pool->lock);
	push(pool, buffer);
	if (buffer->class == WB_RECEIVE_LARGE)
		wb_cond_signal(&pool->large_came_back);
	wb_lock_release(&pool->lock);
}

static void set_waits(struct wb_receive_pool *pool, bool nobody_waits)
{
	wb_lock_acquire(&pool->lock);
	pool->nobody_waits = nobody_waits;
	wb_cond_broadcast(&pool->large_came_back);
	wb_lock_release(&pool->lock);
}

void wb_receive_pool_end_waits(struct wb_receive_pool *pool)
{
	set_waits(pool, true);
}

void wb_receive_pool_allow_waits(struct wb_receive_pool *pool)
{
	set_waits(pool, false);
}

bool wb_receive_pool_is_low(struct wb_receive_pool *pool)
{
	return atomic_load_explicit(&pool->large_free_count, memory_order_relaxed) <
	       pool->counts[WB_RECEIVE_LARGE] / 3;
}
