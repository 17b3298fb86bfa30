/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Places of the backing that refused to be written, punched, or read for a
 * merge, with the time at which each is tried again (growing pauses). Only a
 * hint for writeback, which leaves these blocks where they are meanwhile: what
 * is forgotten here is merely tried sooner. Dirty data is not kept here but in
 * the log, as ever.
 *
 * A bounded array sorted by address, without overlaps. It is changed and asked
 * by the writeback worker only; wb_refused_copy() and wb_refused_retry_now()
 * may come from any thread.
 */
#ifndef WB_CACHE_REFUSED_H
#define WB_CACHE_REFUSED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wb_refused_range {
	uint64_t first, count;	/* blocks */
	int error;		/* -errno of the last try */
	unsigned tries;		/* in a row that failed */
	uint64_t since_ns;	/* of the first one */
	uint64_t retry_at_ns;
	bool was_seen;		/* by this pass: something is still to be written there */
	bool is_taken;		/* is tried again by this pass */
};

struct wb_refused;

struct wb_refused *wb_refused_new(void);
void wb_refused_free(struct wb_refused *refused);

/* The range failed now. FALSE when there is no room to remember it. */
bool wb_refused_add(struct wb_refused *refused, uint64_t first, uint64_t count, int error,
		    uint64_t now_ns);
bool wb_refused_is_empty(struct wb_refused *refused);
/* Whether `address` failed before; *until (or NULL): up to which block,
 * exclusive, the answer holds. */
bool wb_refused_has(struct wb_refused *refused, uint64_t address, uint64_t *until);
/* How often in a row; 0: it did not. */
unsigned wb_refused_tries(struct wb_refused *refused, uint64_t address);

/*
 * A pass of the planner asks for every block that it could write. A range whose
 * time has come is taken, as a whole, but only so many of them in one pass: each
 * try may take a failing disk seconds. What was due and not asked for by a
 * complete pass is forgotten: newer data or a discard has made it idle.
 */
void wb_refused_begin_pass(struct wb_refused *refused, uint64_t now_ns);
bool wb_refused_may_take(struct wb_refused *refused, uint64_t address, uint64_t *until);
void wb_refused_end_pass(struct wb_refused *refused);
/* The pass's writes are on the backing: what was taken and did not fail again is
 * no longer refused. */
void wb_refused_taken_are_done(struct wb_refused *refused);
/* It failed, and the pass under way does not try it (or not any more). */
bool wb_refused_is_held(struct wb_refused *refused, uint64_t address, uint64_t *until);
/* Ranges that the pass passed over; *least_tries: that any of them had. */
bool wb_refused_were_held(struct wb_refused *refused, unsigned *least_tries);

/* All of them are due, and count as never tried. */
void wb_refused_retry_now(struct wb_refused *refused);

/* The first `room` ranges, neighbours with one error joined; returns how many.
 * *total_count: of all ranges, *total_blocks: in them. */
size_t wb_refused_copy(struct wb_refused *refused, struct wb_refused_range *ranges,
		       size_t room, size_t *total_count, uint64_t *total_blocks);

#endif
