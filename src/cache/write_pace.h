/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How fast writers may go on when the ring is nearly full: so that it never runs
 * empty, and nobody waits for all of a batch. Pure; one thread, or a lock outside.
 *
 * From a mark on the room that is left, as a part x of that at the mark, and the rate
 * of writeback say how much may be written:
 *
 *	rate = writeback's rate * x / (1 - x)
 *
 * At the mark that is without limit, so that nothing jumps when it is passed; half way
 * to a full ring it is the rate of writeback, which is where many writers end up; and
 * near a full ring next to nothing, so that it does not get full. What is written over
 * before it was written back needs no writeback: then more goes in than the rate says,
 * and x settles higher. It is the control that Linux has for dirty pages
 * (balance_dirty_pages), without its history: room is looked at, not predicted.
 *
 * Room comes in lumps, when the last block of old segments is written, and one may be
 * most of the ring: a sweep over random blocks frees hardly anything until it has come
 * round. If writers had it at once they would wait the longer for the next. So once the
 * rate has come down to 1.25 times that at which dirty blocks go, written back or written
 * over, it gets no higher again, on either side of the mark: until nobody has had to wait
 * for two seconds, or the ring is all but empty.
 *
 * Writers pay for the blocks that they bring out of a credit that grows at that rate;
 * whoever finds it below zero waits until it is not. So a long write waits no longer
 * than a short one, and those behind it do.
 */
#ifndef WB_CACHE_WRITE_PACE_H
#define WB_CACHE_WRITE_PACE_H

#include <stdbool.h>
#include <stdint.h>

struct wb_write_pace {			/* all zero at first */
	/* how fast writeback is */
	double blocks, busy_s;		/* lately: older ones count less and less */
	uint64_t counted_blocks;	/* of those that it ever wrote back */
	uint64_t pending_ns;		/* it has worked since then */
	uint64_t seen_ns;
	bool was_busy;

	/* room, in blocks */
	double free_blocks, mark_blocks;	/* less what was paid for since it was seen */
	uint64_t seen_blocks;
	uint64_t grown_ns;		/* when there last was more of it than before, */
	uint64_t moved_ns;		/* and when writeback last wrote something */
	uint64_t write_count;
	/* while writers were slowed: what was paid for, and is not dirty any more */
	double gone_blocks, gone_s;	/* lately */
	uint64_t paid_blocks, dirty_blocks;	/* since it was seen; then */
	bool is_slow;
	bool is_capped;			/* and the rate goes no higher again */
	uint64_t waited_ns;		/* somebody had to, then */

	/* what may be written now; below zero: has been written in advance */
	double credit_blocks;
	uint64_t credited_ns;
};

struct wb_write_pace_news {
	uint64_t now_ns;
	uint64_t free_blocks;		/* in the ring, for data */
	uint64_t mark_blocks;		/* with less than that writers are slowed */
	uint64_t ring_blocks;		/* for data, free or not */
	uint64_t dirty_blocks;
	/* counters of writeback's that only grow */
	uint64_t cleaned_blocks;
	uint64_t write_count;		/* in the middle of a batch too */
	bool is_working;		/* writeback, at a batch */
	bool is_held;			/* and is to write nothing while there is room */
};
void wb_write_pace_add(struct wb_write_pace *pace, const struct wb_write_pace_news *news);

bool wb_write_pace_is_slow(const struct wb_write_pace *pace);
/* Blocks a second; only while it is slow. */
double wb_write_pace_rate(const struct wb_write_pace *pace, uint64_t now_ns);

/* TRUE: the blocks are paid for, and may be written. */
bool wb_write_pace_take(struct wb_write_pace *pace, uint64_t now_ns, uint64_t blocks);
/* After which time to ask again, when nobody takes anything meanwhile. */
uint64_t wb_write_pace_wait_ns(const struct wb_write_pace *pace, uint64_t now_ns);

#endif
