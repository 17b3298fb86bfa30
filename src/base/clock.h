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
};

static inline uint64_t wb_clock_now_ns(struct wb_clock *clock)
{
	return clock->now_ns(clock);
}

static inline uint64_t wb_clock_wall_ns(struct wb_clock *clock)
{
	return clock->wall_ns ? clock->wall_ns(clock) : clock->now_ns(clock);
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
