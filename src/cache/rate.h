/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How fast a counter grew in the last minute. Pure; one thread, or a lock outside. */
#ifndef WB_CACHE_RATE_H
#define WB_CACHE_RATE_H

#include <stdint.h>

#define WB_RATE_SAMPLES 61u	/* one a second at most: a minute from first to last */

struct wb_rate {
	unsigned count, newest;
	uint64_t at_ns[WB_RATE_SAMPLES], value[WB_RATE_SAMPLES];
};

/* Tells what the counter is now; as often as one likes. It never falls. */
void wb_rate_note(struct wb_rate *rate, uint64_t now_ns, uint64_t value);
/* For each second, over the last minute or as much of it as is known. */
double wb_rate_per_second(const struct wb_rate *rate, uint64_t now_ns, uint64_t value);

#endif
