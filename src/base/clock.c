/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/clock.h"

#include <glib.h>
#include <time.h>

static uint64_t real_now_ns(struct wb_clock *clock)
{
	struct timespec t;

	(void)clock;
	/* Cannot fail for this clock, and there is no answer without it. */
	g_assert(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

struct wb_clock *wb_clock_real(void)
{
	static struct wb_clock real = { .now_ns = real_now_ns };

	return &real;
}

static uint64_t manual_now_ns(struct wb_clock *clock)
{
	struct wb_clock_manual *manual = (struct wb_clock_manual *)clock;

	return manual->now_ns;
}

void wb_clock_manual_init(struct wb_clock_manual *manual)
{
	manual->clock.now_ns = manual_now_ns;
	manual->now_ns = 0;
}

void wb_clock_manual_advance(struct wb_clock_manual *manual, uint64_t ns)
{
	g_assert(ns <= UINT64_MAX - manual->now_ns);
	manual->now_ns += ns;
}
