/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory for requests as they come from the kernel. A large buffer takes any
 * request; a thread reads into one, and when a WRITE must wait inside the
 * cache, the buffer stays with it and the thread takes another. Medium and
 * small ones are for shorter writes that would otherwise keep a megabyte each.
 *
 * Everything is mapped at start, and the large ones are populated then, whatever
 * wb_memory_bring_in_late() says of the others. When all of it is with writes that wait,
 * the next one is put into memory that the machine has to spare, so that reads and
 * control files, which come through the same threads, need not wait behind it. Nothing
 * depends on that: where there is none to spare the thread waits, until a write ends.
 *
 * Last in, first out: the last one used is warm. Any thread.
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

/* More than the kernel sends asynchronously; each as long as the write that is in it. */
#define WB_RECEIVE_BORROWED_MAX 288u

enum wb_receive_class {
	WB_RECEIVE_LARGE, WB_RECEIVE_MEDIUM, WB_RECEIVE_SMALL,
	WB_RECEIVE_OWN_COUNT,
	WB_RECEIVE_BORROWED = WB_RECEIVE_OWN_COUNT, WB_RECEIVE_CLASS_COUNT
};

struct wb_receive_pool;

struct wb_receive_buffer {
	struct wb_receive_buffer *next;	/* of the pool */
	void *memory;
	enum wb_receive_class class;
	size_t bytes;			/* of a borrowed one */
};

/* A quarter as many medium ones as small ones. NULL when there is not enough
 * memory. */
struct wb_receive_pool *wb_receive_pool_new(unsigned large_count, unsigned small_count);
/* All buffers must be back. */
void wb_receive_pool_free(struct wb_receive_pool *pool);

/* A large one; waits until there is one. The caller must hold nothing that
 * others need to give theirs back. NULL: nobody is to wait now. */
struct wb_receive_buffer *wb_receive_pool_take(struct wb_receive_pool *pool);
/* The smallest free one that takes `bytes` and is not large, or NULL. */
struct wb_receive_buffer *wb_receive_pool_try_short(struct wb_receive_pool *pool,
						    size_t bytes);
/* The same, or NULL; never waits. */
struct wb_receive_buffer *wb_receive_pool_try_take(struct wb_receive_pool *pool);
/* One of `bytes` from the machine's memory, or NULL. Takes some microseconds. */
struct wb_receive_buffer *wb_receive_pool_borrow(struct wb_receive_pool *pool, size_t bytes);
void wb_receive_pool_put(struct wb_receive_pool *pool, struct wb_receive_buffer *buffer);
/* wb_receive_pool_take() returns at once, now and until waits are allowed again. */
void wb_receive_pool_end_waits(struct wb_receive_pool *pool);
void wb_receive_pool_allow_waits(struct wb_receive_pool *pool);
/* TRUE when less than a third of the large ones is free. */
bool wb_receive_pool_is_low(struct wb_receive_pool *pool);

#endif
