/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/clock.h"

#include <glib.h>
#include <time.h>

static uint64_t read_ns(clockid_t id)
{
	struct timespec t;

	/* Cannot fail for these clocks, and there is no answer without it. */
	g_assert(clock_gettime(id, &t) == 0);
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static uint64_t real_now_ns(struct wb_clock *clock)
{
	(void)clock;
	return read_ns(CLOCK_MONOTONIC);
}

static uint64_t real_wall_ns(struct wb_clock *clock)
{
	(void)clock;
	return read_ns(CLOCK_REALTIME);
}

/* tzset() looks each time whether the time zone was changed. */
static int32_t real_utc_offset_s(struct wb_clock *clock, uint64_t wall_ns)
{
	time_t t = (time_t)(wall_ns / UINT64_C(1000000000));
	struct tm local;

	(void)clock;
	tzset();
	return localtime_r(&t, &local) ? (int32_t)local.tm_gmtoff : 0;
}

struct wb_clock *wb_clock_real(void)
{
	static struct wb_clock real = { .now_ns = real_now_ns, .wall_ns = real_wall_ns,
					.utc_offset_s = real_utc_offset_s };

	return &real;
}

static uint64_t manual_now_ns(struct wb_clock *clock)
{
	struct wb_clock_manual *manual = (struct wb_clock_manual *)clock;

	return manual->now_ns;
}

void wb_clock_manual_init(struct wb_clock_manual *manual)
{
	manual->clock = (struct wb_clock){ .now_ns = manual_now_ns };
	manual->now_ns = 0;
}

void wb_clock_manual_advance(struct wb_clock_manual *manual, uint64_t ns)
{
	g_assert(ns <= UINT64_MAX - manual->now_ns);
	manual->now_ns += ns;
}
