/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether writeback rests, so that the backing's disk can stay spun down for hours.
 * Pure: it is told the time and the state of the cache some times a second.
 *
 * Without a schedule (`always`) and with no idle time it never rests. Otherwise it
 * goes on
 *
 *   in a window     of the schedule, or at any time when there is only an idle time
 *   in a pass       until all is written back that was dirty when it began: when
 *                   something has been dirty for the `every` of the schedule, or the
 *                   last turn is so long ago; or when more of the ring than the high water is not written back, so
 *                   that the disk is not woken again by each of the next writes.
 *                   What cannot be written back is left to the next one after a
 *                   minute
 *
 * and of all that, but for the high water, only while no user has asked for anything
 * for the idle time. What cannot wait (room, drain, sync) is decided before
 * (cache_writeback.c).
 *
 * Time of day is local time as it is at that moment, and nothing of it is kept: when
 * the clock is set, or summer time begins, the next look just finds another time. An
 * hour that a day does not have opens no window; one that it has twice opens it twice.
 * `every` goes by a clock that nobody sets.
 */
#ifndef WB_CACHE_REST_H
#define WB_CACHE_REST_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/schedule.h"

struct wb_rest_policy {
	struct wb_schedule schedule;
	uint32_t idle_s;		/* 0: whatever users do */
	uint32_t high_percent;
};

/* What is true now. */
struct wb_rest_look {
	uint64_t now_ns;		/* never goes back */
	uint32_t local_second;		/* of the day */
	uint64_t idle_ns;		/* since the last request of a user */
	unsigned used_percent;		/* of the ring, that is not written back */
	bool is_clean;			/* nothing is left that can be written back */
	uint64_t head_segment, tail_segment;
	uint64_t batches, blocks;	/* that have been written back, ever */
	bool has_trouble;		/* some blocks cannot be read, or are refused */
};

enum wb_rest_verdict {
	WB_REST_NEVER,			/* no policy */
	WB_REST_IN_WINDOW,
	WB_REST_PASS_DUE,		/* by `every` */
	WB_REST_PASS_FULL,		/* above the high water */
	/* it rests: */
	WB_REST_UNTIL_TIME,		/* for resumes_in_s */
	WB_REST_UNTIL_IDLE,
	WB_REST_UNTIL_FULL,
};

static inline bool wb_rest_is_resting(enum wb_rest_verdict verdict)
{
	return verdict >= WB_REST_UNTIL_TIME;
}

/* All zero at first; it is told of a cache as it is opened before anything is done. */
struct wb_rest {
	enum wb_rest_verdict verdict;
	uint32_t resumes_in_s;		/* UNTIL_TIME */

	/* inside */
	enum { WB_PASS_NONE, WB_PASS_DUE, WB_PASS_FULL } pass;
	uint64_t pass_began_ns, pass_segment;	/* and the head then */
	uint64_t last_batches;		/* with this one it is over; 0: the tail is not there */
	uint64_t seen_blocks, progress_ns;	/* when there were the last new ones */
	uint64_t dirty_since_ns;
};

void wb_rest_update(struct wb_rest *rest, const struct wb_rest_policy *policy,
		    const struct wb_rest_look *look);

#endif
