/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How many queues FUSE over io_uring gets, how deep and how large: the kernel wants a
 * queue for every CPU that there may ever be, and a payload of full size for every
 * entry of each. Pure.
 */
#ifndef WB_FRONTEND_RING_PLAN_H
#define WB_FRONTEND_RING_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#define WB_RING_MEMORY_BYTES ((size_t)27 << 20)	/* of all entries at most */
#define WB_RING_THREADS_MAX 16u
#define WB_RING_DEPTH_MAX 48u

struct wb_ring_plan {
	unsigned queue_count;
	unsigned thread_count;		/* thread i has the queues i, i + thread_count, ... */
	unsigned depth;			/* entries of each queue */
	size_t payload_bytes;		/* longest READ or WRITE */
	unsigned max_background;	/* asynchronous requests that the kernel may have open */
};

/* Of one entry's payload: what an unaligned READ touches at its ends, too. */
size_t wb_ring_plan_stride_bytes(const struct wb_ring_plan *plan);

/* FALSE when there are more CPUs than the memory has room for. */
bool wb_ring_plan_make(struct wb_ring_plan *plan, unsigned cpu_count);

/* How many CPUs a list such as "0-3,8-11\n" names; 0 when it is none. */
unsigned wb_ring_plan_count_cpus(const char *list);

#endif
