/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/rate.h"

#include <glib.h>

#define SECOND_NS UINT64_C(1000000000)
#define MINUTE_NS (60 * SECOND_NS)

void wb_rate_note(struct wb_rate *rate, uint64_t now_ns, uint64_t value)
{
	if (rate->count > 0 && now_ns - rate->at_ns[rate->newest] < SECOND_NS)
		return;
	rate->newest = (rate->newest + 1) % WB_RATE_SAMPLES;
	rate->at_ns[rate->newest] = now_ns;
	rate->value[rate->newest] = value;
	rate->count = MIN(rate->count + 1, WB_RATE_SAMPLES);
}

double wb_rate_per_second(const struct wb_rate *rate, uint64_t now_ns, uint64_t value)
{
	/* From the oldest sample that is not older than a minute; the last one if all
	 * are, because nobody looked. */
	for (unsigned back = rate->count; back > 0; back--) {
		unsigned i = (rate->newest + WB_RATE_SAMPLES - (back - 1)) % WB_RATE_SAMPLES;
		uint64_t ns = now_ns - rate->at_ns[i];

		if (ns > MINUTE_NS && back > 1)
			continue;
		return ns ? (double)(value - rate->value[i]) * (double)SECOND_NS / (double)ns : 0;
	}
	return 0;
}
