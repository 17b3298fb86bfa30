/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counts what goes through to another store and keeps book of what that store
 * has promised to be durable, so that a test can check the claims made on top
 * of it. Over any store, with threads or without; any thread.
 */
#ifndef WB_TESTS_STORE_COUNTING_H
#define WB_TESTS_STORE_COUNTING_H

#include <stdbool.h>
#include <stdint.h>

#include "io/store.h"

#define WB_IO_OP_COUNT 5

struct wb_store_counts {
	/* by class and operation, counted at submit */
	uint64_t ios[WB_IO_CLASS_COUNT][WB_IO_OP_COUNT];
	uint64_t bytes[WB_IO_CLASS_COUNT][WB_IO_OP_COUNT];
	uint64_t fua_writes;
	/* counted at done() */
	uint64_t answered, failed;
};

/* `inner` goes with the new store at close(). What it holds is durable. */
struct wb_store *wb_store_counting_new(struct wb_store *inner);

/* A new book: what the disk holds now is durable. Nothing is in flight. */
void wb_store_counting_restart(struct wb_store *store);

void wb_store_counting_get(struct wb_store *store, struct wb_store_counts *counts);
uint64_t wb_store_counting_ios(struct wb_store *store, enum wb_io_op op);
uint64_t wb_store_counting_bytes(struct wb_store *store, enum wb_io_op op);

/* How much has been in flight to be read at once since the last time this was asked. */
uint64_t wb_store_counting_take_most_read(struct wb_store *store);

/*
 * TRUE when for every sector of the range the last WRITE, ZERO or DISCARD is durable:
 * it was answered with 0, as FUA or before the submit of a FLUSH that has been
 * answered with 0. One in flight, or failed, is not covered.
 */
bool wb_store_counting_is_covered(struct wb_store *store, uint64_t offset_bytes,
				  uint64_t length_bytes);

#endif
