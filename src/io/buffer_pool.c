/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "io/buffer_pool.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/lock.h"
#include "base/memory.h"

struct pool_class {
	/* constant after new */
	size_t buffer_bytes;
	unsigned count;
	uint8_t *start;

	/* under lock */
	unsigned *free_indexes;		/* a stack: the last one used is warm */
	unsigned free_count;
	bool *is_out;			/* per buffer: catches a second put */
};

struct wb_buffer_pool {
	/* constant after new */
	struct pool_class classes[WB_BUFFER_CLASSES_MAX];
	unsigned class_count;
	uint8_t *memory;
	size_t memory_bytes;

	struct wb_lock lock;
	struct wb_cond is_put;
	/* under lock */
	unsigned waiter_count;
};

static void *take_locked(struct wb_buffer_pool *pool, size_t bytes)
{
	wb_lock_assert_held(&pool->lock);
	for (unsigned i = 0; i < pool->class_count; i++) {
		struct pool_class *class = &pool->classes[i];
		unsigned index;

		if (class->buffer_bytes < bytes || class->free_count == 0)
			continue;
		index = class->free_indexes[--class->free_count];
		class->is_out[index] = true;
		return class->start + (size_t)index * class->buffer_bytes;
	}
	return NULL;
}

void *wb_buffer_get(struct wb_buffer_pool *pool, size_t bytes)
{
	void *buffer;

	wb_lock_acquire(&pool->lock);
	buffer = take_locked(pool, bytes);
	wb_lock_release(&pool->lock);
	return buffer;
}

/* NULL: for ever. */
static void *get(struct wb_buffer_pool *pool, size_t bytes, const int64_t *deadline_us)
{
	bool is_late = false;
	void *buffer;

	g_assert(bytes <= pool->classes[pool->class_count - 1].buffer_bytes);
	wb_lock_acquire(&pool->lock);
	pool->waiter_count++;
	while (!(buffer = take_locked(pool, bytes)) && !is_late) {
		if (deadline_us)
			is_late = !wb_cond_wait_until(&pool->is_put, &pool->lock, *deadline_us);
		else
			wb_cond_wait(&pool->is_put, &pool->lock);
	}
	pool->waiter_count--;
	wb_lock_release(&pool->lock);
	return buffer;
}

void *wb_buffer_get_wait(struct wb_buffer_pool *pool, size_t bytes)
{
	return get(pool, bytes, NULL);
}

void *wb_buffer_get_until(struct wb_buffer_pool *pool, size_t bytes, int64_t deadline_us)
{
	return get(pool, bytes, &deadline_us);
}

static const struct pool_class *class_of(const struct wb_buffer_pool *pool,
					 const void *buffer)
{
	const uint8_t *at = buffer;

	for (unsigned i = 0; i < pool->class_count; i++) {
		const struct pool_class *class = &pool->classes[i];

		if (at >= class->start &&
		    at < class->start + class->count * class->buffer_bytes)
			return class;
	}
	g_assert_not_reached();
}

void wb_buffer_put(struct wb_buffer_pool *pool, void *buffer)
{
	struct pool_class *class;
	size_t place;
	unsigned index;

	if (!buffer)
		return;
	class = (struct pool_class *)(uintptr_t)class_of(pool, buffer);
	place = (size_t)((uint8_t *)buffer - class->start);
	g_assert(place % class->buffer_bytes == 0);
	index = (unsigned)(place / class->buffer_bytes);
	wb_lock_acquire(&pool->lock);
	g_assert(class->is_out[index]);
	class->is_out[index] = false;
	class->free_indexes[class->free_count++] = index;
	/* All of them: the first to wake may need a larger one. */
	if (pool->waiter_count > 0)
		wb_cond_broadcast(&pool->is_put);
	wb_lock_release(&pool->lock);
}

size_t wb_buffer_pool_bytes(const struct wb_buffer_pool *pool)
{
	return pool->memory_bytes;
}

size_t wb_buffer_room_bytes(const struct wb_buffer_pool *pool, const void *buffer)
{
	return class_of(pool, buffer)->buffer_bytes;
}

static void set_up_class(struct pool_class *class, const struct wb_buffer_class *wanted,
			 uint8_t *start)
{
	class->buffer_bytes = wanted->buffer_bytes;
	class->count = class->free_count = wanted->count;
	class->start = start;
	class->free_indexes = g_new(unsigned, wanted->count);
	class->is_out = g_new0(bool, wanted->count);
	for (unsigned i = 0; i < wanted->count; i++)
		class->free_indexes[i] = wanted->count - 1 - i;
}

static size_t sum_bytes(const struct wb_buffer_class *classes, unsigned class_count)
{
	size_t bytes = 0;

	g_assert(class_count > 0 && class_count <= WB_BUFFER_CLASSES_MAX);
	for (unsigned i = 0; i < class_count; i++) {
		g_assert(classes[i].count > 0 && classes[i].buffer_bytes > 0);
		g_assert(classes[i].buffer_bytes % WB_BUFFER_ALIGNMENT == 0);
		g_assert(i == 0 || classes[i].buffer_bytes > classes[i - 1].buffer_bytes);
		bytes += classes[i].count * classes[i].buffer_bytes;
	}
	return bytes;
}

struct wb_buffer_pool *wb_buffer_pool_new(const struct wb_buffer_class *classes,
					  unsigned class_count, GError **error)
{
	size_t bytes = sum_bytes(classes, class_count);
	struct wb_buffer_pool *pool;
	uint8_t *start;

	/* Populated: no page fault later, when memory may be short. */
	start = wb_memory_map(bytes);
	if (!start) {
		int saved_errno = errno;

		g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(saved_errno),
			    "cannot get %zu bytes of memory for I/O buffers: %s", bytes,
			    g_strerror(saved_errno));
		return NULL;
	}
	pool = g_new0(struct wb_buffer_pool, 1);
	pool->memory = start;
	pool->memory_bytes = bytes;
	pool->class_count = class_count;
	for (unsigned i = 0; i < class_count; i++) {
		set_up_class(&pool->classes[i], &classes[i], start);
		start += classes[i].count * classes[i].buffer_bytes;
	}
	wb_lock_init(&pool->lock, WB_RANK_POOL);
	wb_cond_init(&pool->is_put);
	return pool;
}

void wb_buffer_pool_free(struct wb_buffer_pool *pool)
{
	if (!pool)
		return;
	for (unsigned i = 0; i < pool->class_count; i++) {
		g_assert(pool->classes[i].free_count == pool->classes[i].count);
		g_free(pool->classes[i].free_indexes);
		g_free(pool->classes[i].is_out);
	}
	wb_memory_unmap(pool->memory, pool->memory_bytes);
	wb_cond_clear(&pool->is_put);
	wb_lock_clear(&pool->lock);
	g_free(pool);
}
