/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A disk in memory without a thread: submit() queues, each poll() carries out
 * and answers exactly one I/O, chosen by the order that was set. Everything
 * is done by the one thread of the test, so a seed repeats a run exactly.
 */
#ifndef WB_TESTS_STORE_MEMORY_H
#define WB_TESTS_STORE_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#include "io/store.h"

/* All zeros; memory is only taken for what is written. */
struct wb_store *wb_store_memory_new(uint64_t size_bytes, uint32_t alignment_bytes,
				     uint32_t atomic_write_bytes);

enum wb_store_memory_order {
	WB_STORE_MEMORY_FIFO,		/* the default */
	WB_STORE_MEMORY_RANDOM,		/* any I/O in flight may be next */
};
void wb_store_memory_set_order(struct wb_store *store, enum wb_store_memory_order order,
			       uint64_t seed);

/* From now on a block of zeros counts as a hole. */
void wb_store_memory_set_sparse(struct wb_store *store);

/* Abort when the memory of a WRITE changes while the store has it. */
void wb_store_memory_check_buffers(struct wb_store *store);

/* What reading gives after a DISCARD of that range: garbage, and some zeros. */
void wb_store_memory_garbage(uint64_t offset_bytes, uint8_t *at, uint64_t length_bytes);

/* The disk itself, for looking and for damaging. */
uint8_t *wb_store_memory_bytes(struct wb_store *store);
size_t wb_store_memory_in_flight(const struct wb_store *store);

/* For any store with poll(): answers all that is in flight, and what that
 * leads to. */
static inline void wb_store_poll_all(struct wb_store *store)
{
	while (store->ops->poll(store))
		;
}

#endif
