/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Time as the core sees it: real, or moved by a test. Any thread. */
#ifndef WB_BASE_CLOCK_H
#define WB_BASE_CLOCK_H

#include <stdint.h>

struct wb_clock {
	/* Nanoseconds from an arbitrary start, never backwards. */
	uint64_t (*now_ns)(struct wb_clock *clock);
	/* Since 1970, as people set it: for what they read, nothing else. NULL: as
	 * above. */
	uint64_t (*wall_ns)(struct wb_clock *clock);
	/* What is to be added to that, in seconds, for the time of the place where
	 * people are, at that moment. NULL: nothing. */
	int32_t (*utc_offset_s)(struct wb_clock *clock, uint64_t wall_ns);
};

static inline uint64_t wb_clock_now_ns(struct wb_clock *clock)
{
	return clock->now_ns(clock);
}

static inline uint64_t wb_clock_wall_ns(struct wb_clock *clock)
{
	return clock->wall_ns ? clock->wall_ns(clock) : clock->now_ns(clock);
}

/* The second of the day there. */
static inline uint32_t wb_clock_local_second(struct wb_clock *clock)
{
	uint64_t wall = wb_clock_wall_ns(clock);
	int32_t offset = clock->utc_offset_s ? clock->utc_offset_s(clock, wall) : 0;

	/* (an offset is less than a day, and 1970 is over) */
	return (uint32_t)((wall / UINT64_C(1000000000) + (uint64_t)(86400 + offset)) % 86400);
}

/* CLOCK_MONOTONIC and CLOCK_REALTIME; one static object. */
struct wb_clock *wb_clock_real(void);

/* A clock that stands until it is moved (single-threaded tests). */
struct wb_clock_manual {
	struct wb_clock clock;
	uint64_t now_ns;
};
void wb_clock_manual_init(struct wb_clock_manual *manual);
void wb_clock_manual_advance(struct wb_clock_manual *manual, uint64_t ns);

#endif
