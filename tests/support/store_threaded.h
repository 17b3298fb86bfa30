/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A disk in memory with threads of its own: each I/O is carried out and
 * answered by one of them, in an order that nobody can count on. It can fail
 * for a while, have an unreadable spot, and lose power together with another.
 * Nobody notices a loss of power: the disk goes on over a copy, and restart()
 * brings back what was there at that moment.
 *
 * Made for ThreadSanitizer: it orders a submit before the answer, and nothing
 * else. No lock of it comes between two I/Os, and a sector is read or written
 * as a whole without one that the sanitizer would take for an order; so what
 * looks ordered in a run was ordered by the program.
 */
#ifndef WB_TESTS_STORE_THREADED_H
#define WB_TESTS_STORE_THREADED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "io/store.h"

/* The supply of some disks. An answer that is followed by a look at is_off that
 * says FALSE belongs to I/O that is there after the restart. */
struct wb_power {
	_Atomic int64_t ios_left;	/* until it goes; INT64_MAX: stays */
	atomic_bool is_off;
};

/* All zeros at first. `power` outlives the store. */
struct wb_store *wb_store_threaded_new(uint64_t size_bytes, uint32_t alignment_bytes,
				       uint64_t seed, struct wb_power *power);

/* Bits 1 << enum wb_io_op and 1 << enum wb_io_class. */
struct wb_threaded_faults {
	unsigned ops, classes;
	unsigned one_in;	/* each n-th of them fails, by chance; 1: all */
	int count;		/* so many, then the disk is sound again */
};

/* Adds to what is left of `count`. A failed I/O is not carried out, or all of
 * it, or the first half. */
void wb_store_threaded_fail(struct wb_store *store, const struct wb_threaded_faults *faults);
/* Reads that touch the range fail until length_bytes is set to 0. */
void wb_store_threaded_set_unreadable(struct wb_store *store, uint64_t offset_bytes,
				      uint64_t length_bytes);
/* Sound again. */
void wb_store_threaded_heal(struct wb_store *store);
uint64_t wb_store_threaded_fault_count(struct wb_store *store);

/* Only while nothing is in flight: the disk as it was when the power went, if it
 * did; the caller sets `power`. And the disk itself. */
void wb_store_threaded_restart(struct wb_store *store);
uint8_t *wb_store_threaded_bytes(struct wb_store *store);

#endif
