/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/modulator.h"

#include <glib.h>
#include <stdbool.h>

#define SAMPLES_UNSURE_MAX 15u	/* then a pause of one: 6 % of the time */
#define OWN_PART_SMALL 16u	/* one in so many of the interval is as good as none */

static unsigned percent_of(uint64_t ns, uint64_t interval_ns)
{
	return interval_ns ? (unsigned)MIN(ns * 100 / interval_ns, 100) : 0;
}

static uint64_t without(uint64_t all, uint64_t part)
{
	return all - MIN(all, part);
}

static bool has_own(const struct wb_modulator_sample *sample)
{
	return sample->own_ns > sample->interval_ns / OWN_PART_SMALL;
}

static uint64_t others_ns(const struct wb_modulator_sample *sample)
{
	uint64_t rest_ns = without(sample->busy_ns, sample->own_ns);
	uint64_t reads_ns = without(sample->reads_ns, sample->own_reads_ns);

	if (!has_own(sample))
		return rest_ns;
	return MAX(rest_ns, MIN(reads_ns, sample->busy_ns));
}

void wb_modulator_add(struct wb_modulator *modulator,
		      const struct wb_modulator_sample *sample, unsigned threshold_percent)
{
	bool is_known;

	modulator->busy_percent = percent_of(sample->busy_ns, sample->interval_ns);
	modulator->others_percent = percent_of(others_ns(sample), sample->interval_ns);
	is_known = !has_own(sample) || modulator->busy_percent <= threshold_percent;
	if (modulator->others_percent > threshold_percent) {
		modulator->verdict = WB_MODULATOR_BUSY;
		modulator->unsure_count = 0;
	} else if (is_known) {
		modulator->verdict = WB_MODULATOR_GO;
		modulator->unsure_count = 0;
	} else if (modulator->verdict == WB_MODULATOR_GO &&
		   ++modulator->unsure_count > SAMPLES_UNSURE_MAX) {
		modulator->verdict = WB_MODULATOR_LOOK;
		modulator->unsure_count = 0;
	}
	/* Else it stays: after a stop, until what was under way has ended. */
}
