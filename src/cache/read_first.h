/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads of the backing go before writeback: while somebody reads there, writeback has
 * fewer and shorter writes at the disk at a time, and pauses between them if need be,
 * so that all but a few reads take no longer than the target. Pure; the writeback
 * worker.
 *
 * What is aimed at is a latency, because how busy a disk is does not say who waits for
 * it. A read that took too long slows writeback by half a step, one that did not lets it
 * go on faster by 1/128 of one: so it ends where one in 65 is late. That holds for a disk
 * that serves reads before the writes in its cache as for one that does not, of which
 * nothing is known here.
 *
 * Writeback keeps its share in any case: an eighth of the time, a half while there is
 * little room in the cache, and all that reads leave when somebody waits for room. A
 * second after the last read it has the disk for itself.
 */
#ifndef WB_CACHE_READ_FIRST_H
#define WB_CACHE_READ_FIRST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Reads of users at the backing, told by whoever does them. Any thread. */
struct wb_reads {
	_Atomic uint64_t target_ns;	/* longer is late; 0: nobody cares */
	_Atomic uint64_t begun, ended, late;
};

static inline bool wb_reads_are_timed(struct wb_reads *reads)
{
	return atomic_load_explicit(&reads->target_ns, memory_order_relaxed) > 0;
}

static inline void wb_reads_begin(struct wb_reads *reads)
{
	atomic_fetch_add_explicit(&reads->begun, 1, memory_order_relaxed);
}

/* TRUE: it was late. */
bool wb_reads_end(struct wb_reads *reads, uint64_t took_ns);

/* How much writeback has to go on in spite of them. */
enum wb_read_first_need {
	WB_NEED_NOTHING,
	WB_NEED_SOME,			/* somebody waits for what it does, or will soon */
	WB_NEED_MOST,			/* writers wait for room */
};

struct wb_read_first {			/* all zero at first: full speed */
	double level;			/* steps from full speed on */
	uint64_t begun, ended, late;	/* reads, up to the last look */
	bool is_reading;		/* somebody does, or did in the last second: */
	uint64_t read_ns;		/* seen then */
	uint64_t not_before_ns;		/* the end of the pause */
};

/* Nobody reads, and did not lately: there is nothing to look at. */
static inline bool wb_read_first_is_quiet(const struct wb_read_first *first,
					  struct wb_reads *reads)
{
	uint64_t begun = atomic_load_explicit(&reads->begun, memory_order_relaxed);

	return first->level == 0 && first->begun == begun && first->ended == begun;
}

/* Before writeback decides what to do. */
void wb_read_first_look(struct wb_read_first *first, struct wb_reads *reads, uint64_t now_ns,
			enum wb_read_first_need need);
/* One of writeback's transfers has ended, which took so long. */
void wb_read_first_moved(struct wb_read_first *first, uint64_t now_ns, uint64_t took_ns);

/* What it may have at the backing, at most; `depth` 0: nothing new until then. */
struct wb_read_first_limit {
	unsigned depth;
	uint32_t blocks;		/* of each transfer */
	uint64_t wait_ns;
};
struct wb_read_first_limit wb_read_first_limit(const struct wb_read_first *first,
					       uint64_t now_ns);

#endif
