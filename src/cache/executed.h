/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How far a request has come: one place for each request object, in the memory that
 * outlives the process (region.h). A request that was executed and not answered comes
 * again after a death, and then others may have changed the same blocks, and been
 * answered: what was done must not be done again.
 *
 * A piece is executed when the entries of the log that it consists of are valid, and
 * they become so one by one. So a place says beforehand which entries those will be
 * (intend), and afterwards, while the blocks are still excluded from others, how far
 * the request has come with them (done). A death before the entries: nothing was
 * executed. Between them: they are voided, as nobody has seen them (a piece is shown
 * to readers as a whole, later). After the last one: the piece counts, done or not.
 *
 * There is no result in it: what is done to its end has succeeded, and what ended
 * with an error is tried anew, as anybody would do who got that error.
 *
 * When is a place free? A request that was answered never comes again, so from the
 * answer on what it says is of no use, and of no harm either: a number is never given
 * twice. It is cleared when the object is used again. The other order, first cleared
 * and then answered, would have a death in between execute it again.
 *
 * One thread at a time, the one that works on the request; plain stores to a cache line
 * of its own, in the order of the program: a death is precise.
 */
#ifndef WB_CACHE_EXECUTED_H
#define WB_CACHE_EXECUTED_H

#include <glib.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/death.h"
#include "base/lines.h"

/* As it lies in the memory. */
struct wb_executed {
	_Atomic uint64_t unique;	/* 0: no request */
	_Atomic uint64_t done_bytes;	/* offset on the image up to which it is executed */
	_Atomic uint64_t piece_sequence;	/* of the record; 0: no piece under way */
	_Atomic uint64_t piece_end_bytes;	/* what done_bytes will be */
	_Atomic uint32_t piece_entry, piece_count;	/* entries of the record */
	uint8_t zero[WB_CACHE_LINE_BYTES - 40];
} __attribute__((aligned(WB_CACHE_LINE_BYTES)));

G_STATIC_ASSERT(sizeof(struct wb_executed) == WB_CACHE_LINE_BYTES);

static inline void wb_executed_store(_Atomic uint64_t *to, uint64_t value)
{
	WB_DEATH_POINT();
	atomic_store_explicit(to, value, memory_order_release);
}

/* A request begins; up to `done_bytes` it is executed already. */
static inline void wb_executed_begin(struct wb_executed *executed, uint64_t unique,
				     uint64_t done_bytes)
{
	wb_executed_store(&executed->unique, 0);
	if (!unique)
		return;
	wb_executed_store(&executed->piece_sequence, 0);
	wb_executed_store(&executed->done_bytes, done_bytes);
	wb_executed_store(&executed->unique, unique);
}

/* The next piece will be these entries. */
static inline void wb_executed_intend(struct wb_executed *executed, uint64_t sequence,
				      uint32_t entry, uint32_t count, uint64_t end_bytes)
{
	wb_executed_store(&executed->piece_sequence, 0);
	atomic_store_explicit(&executed->piece_entry, entry, memory_order_relaxed);
	atomic_store_explicit(&executed->piece_count, count, memory_order_relaxed);
	wb_executed_store(&executed->piece_end_bytes, end_bytes);
	wb_executed_store(&executed->piece_sequence, sequence);
}

/* Before anybody else may change these blocks. */
static inline void wb_executed_done(struct wb_executed *executed, uint64_t done_bytes)
{
	wb_executed_store(&executed->done_bytes, done_bytes);
}

#endif
