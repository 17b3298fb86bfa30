/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Many histories on all processors. Each job is a process of its own, so that a
 * run that aborts takes no other one along; which seed a job runs next has no
 * influence on what the seed does.
 */
#ifndef WB_TESTS_CRASH_JOBS_H
#define WB_TESTS_CRASH_JOBS_H

#include <stdbool.h>
#include <stdint.h>

#include "crash_run.h"

struct crash_totals {
	uint64_t seeds, histories, failures;
	struct crash_report sum;	/* of the counters */
};

/* One seed, all of what belongs to it added to `totals`; it says what fails. */
typedef void (*crash_job)(uint64_t seed, struct crash_totals *totals);

/* Adds to `totals`. FALSE: a history was objected to, or a job died (of which
 * the signal handlers have printed what it was running). */
bool crash_jobs_run(uint64_t first, uint64_t last, unsigned jobs, crash_job job,
		    struct crash_totals *totals);
void crash_totals_add(struct crash_totals *totals, const struct crash_report *report);

#endif
