/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A disk that fails on demand, over any store with poll(). Faults are added
 * to a list; an I/O meets the first one that matches. Ranges that always fail
 * and "the n-th write" are the same thing with other numbers.
 */
#ifndef WB_TESTS_STORE_FAULTY_H
#define WB_TESTS_STORE_FAULTY_H

#include <stdbool.h>
#include <stdint.h>

#include "io/store.h"

enum wb_fault_effect {
	WB_FAULT_FAIL,		/* nothing reaches the disk */
	WB_FAULT_FAIL_LATE,	/* it is carried out in full, but answered as failed */
	WB_FAULT_FAIL_SHORT,	/* READ, WRITE: only the first half is carried out */
	WB_FAULT_DELAY,		/* carried out, `delay_polls` polls later */
};

enum { WB_FAULT_ANY = -1 };
#define WB_FAULT_FOR_EVER UINT64_MAX

struct wb_fault {
	int op;			/* enum wb_io_op or WB_FAULT_ANY */
	int io_class;		/* enum wb_io_class or WB_FAULT_ANY */
	uint64_t offset_bytes;	/* only I/O that touches this range; */
	uint64_t length_bytes;	/* 0: any place (FLUSH only matches then) */
	uint64_t first;		/* from the n-th match on, counted from 1; 0 = 1 */
	uint64_t count;		/* so many times; 0 = once */
	enum wb_fault_effect effect;
	int error;		/* -errno; 0 = -EIO */
	uint64_t delay_polls;
};

/* `inner` goes with the new store at close(). */
struct wb_store *wb_store_faulty_new(struct wb_store *inner);
void wb_store_faulty_add(struct wb_store *store, const struct wb_fault *fault);
void wb_store_faulty_clear(struct wb_store *store);	/* sound again */

/* How many I/Os met a fault: 0 ends a sweep over n. */
uint64_t wb_store_faulty_hit_count(const struct wb_store *store);

#endif
