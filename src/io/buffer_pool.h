/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A fixed stock of I/O memory: buffers of a few sizes, aligned to 4096,
 * allocated and touched once, so that the data path allocates nothing and
 * goes on when the machine has no memory left.
 *
 * All functions may be called from any thread. Rank of the lock inside:
 * WB_RANK_POOL, so get() and put() may be called with any outer lock held;
 * get_wait() must be called with none, by a thread that may sleep and that
 * holds no buffer itself (two such threads would wait for each other).
 */
#ifndef WB_IO_BUFFER_POOL_H
#define WB_IO_BUFFER_POOL_H

#include <glib.h>
#include <stddef.h>
#include <stdint.h>

#define WB_BUFFER_ALIGNMENT 4096u
#define WB_BUFFER_CLASSES_MAX 8u

struct wb_buffer_class {
	size_t buffer_bytes;		/* multiple of WB_BUFFER_ALIGNMENT */
	unsigned count;
};

/* The usual stock, 28 MiB: small requests, runs, and whole requests of 1 MiB
 * with the two blocks that they may touch at their ends. */
#define WB_BUFFER_CLASSES_DEFAULT                      \
	{                                              \
		{ (16u << 10), 256 },                  \
		{ (128u << 10), 64 },                  \
		{ (1u << 20) + (8u << 10), 16 },       \
	}

struct wb_buffer_pool;

/* Classes in ascending order of size. NULL and an error (G_FILE_ERROR) when
 * the memory cannot be had. */
struct wb_buffer_pool *wb_buffer_pool_new(const struct wb_buffer_class *classes,
					  unsigned class_count, GError **error);
/* All buffers have been put back before. NULL is fine. */
void wb_buffer_pool_free(struct wb_buffer_pool *pool);

/* A buffer of at least `bytes`, from the smallest class that has one left;
 * NULL when there is none, or when no class is that large. Never waits. Its
 * contents are whatever the last user left. */
void *wb_buffer_get(struct wb_buffer_pool *pool, size_t bytes);
/* The same, but waits for a put(); `bytes` must fit the largest class. */
void *wb_buffer_get_wait(struct wb_buffer_pool *pool, size_t bytes);
/* Likewise, but NULL when there is none by g_get_monotonic_time() == deadline_us. */
void *wb_buffer_get_until(struct wb_buffer_pool *pool, size_t bytes, int64_t deadline_us);
/* `buffer` must be what a get returned; NULL is fine. */
void wb_buffer_put(struct wb_buffer_pool *pool, void *buffer);

size_t wb_buffer_pool_bytes(const struct wb_buffer_pool *pool);
/* Room of a buffer that was got: its class's size. */
size_t wb_buffer_room_bytes(const struct wb_buffer_pool *pool, const void *buffer);

#endif
