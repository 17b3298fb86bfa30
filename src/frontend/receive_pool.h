/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory for requests as they come from the kernel. A large buffer takes any
 * request; a thread reads into one, and when a WRITE must wait inside the
 * cache, the buffer stays with it and the thread takes another. Medium and
 * small ones are for shorter writes that would otherwise keep a megabyte each.
 *
 * Everything is mapped and populated at start; nothing is allocated later. Last
 * in, first out: the last one used is warm. Any thread.
 */
#ifndef WB_FRONTEND_RECEIVE_POOL_H
#define WB_FRONTEND_RECEIVE_POOL_H

#include <stdbool.h>
#include <stddef.h>

#define WB_RECEIVE_READ_BYTES ((1u << 20) + 4096u)	/* libfuse: data + one page of headers */
/* Where a request is read to: the data of a WRITE then begins with a page, so that a
 * disk can take it from there. */
#define WB_RECEIVE_HEADERS_BYTES 80u		/* of a WRITE */
#define WB_RECEIVE_START (4096u - WB_RECEIVE_HEADERS_BYTES)
#define WB_RECEIVE_LARGE_BYTES (WB_RECEIVE_READ_BYTES + 4096u)
#define WB_RECEIVE_MEDIUM_BYTES (128u << 10)
#define WB_RECEIVE_SMALL_BYTES (16u << 10)

enum wb_receive_class {
	WB_RECEIVE_LARGE, WB_RECEIVE_MEDIUM, WB_RECEIVE_SMALL, WB_RECEIVE_CLASS_COUNT
};

struct wb_receive_pool;

struct wb_receive_buffer {
	struct wb_receive_buffer *next;	/* of the pool */
	void *memory;
	enum wb_receive_class class;
};

/* A quarter as many medium ones as small ones. NULL when there is not enough
 * memory. */
struct wb_receive_pool *wb_receive_pool_new(unsigned large_count, unsigned small_count);
/* All buffers must be back. */
void wb_receive_pool_free(struct wb_receive_pool *pool);

/* A large one; waits until there is one. The caller must hold nothing that
 * others need to give theirs back. */
struct wb_receive_buffer *wb_receive_pool_take(struct wb_receive_pool *pool);
/* The smallest free one that takes `bytes` and is not large, or NULL. */
struct wb_receive_buffer *wb_receive_pool_try_short(struct wb_receive_pool *pool,
						    size_t bytes);
/* The same, or NULL; never waits. */
struct wb_receive_buffer *wb_receive_pool_try_take(struct wb_receive_pool *pool);
void wb_receive_pool_put(struct wb_receive_pool *pool, struct wb_receive_buffer *buffer);
/* TRUE when less than a third of the large ones is free. */
bool wb_receive_pool_is_low(struct wb_receive_pool *pool);

#endif
