/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "crash_jobs.h"

#include <glib.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define JOBS_MAX 256u
#define PROGRESS_SEEDS 10000u

/* Between the processes. */
struct board {
	_Atomic uint64_t next_seed;
	struct crash_totals totals[JOBS_MAX];	/* each written by its job alone */
};

void crash_totals_add(struct crash_totals *totals, const struct crash_report *report)
{
	struct crash_report *sum = &totals->sum;

	totals->histories++;
	totals->failures += report->objection != NULL;
	sum->power_cuts += report->power_cuts;
	sum->cuts_while_opening += report->cuts_while_opening;
	sum->cuts_while_stopping += report->cuts_while_stopping;
	sum->checkpoints += report->checkpoints;
	sum->kills += report->kills;
	sum->deaths += report->deaths;
	sum->deaths_while_opening += report->deaths_while_opening;
	sum->resent += report->resent;
	sum->skipped += report->skipped;
	sum->clean_stops += report->clean_stops;
	sum->drains += report->drains;
	sum->requests += report->requests;
	sum->batches += report->batches;
	sum->parked += report->parked;
	sum->slowed += report->slowed;
	sum->settings += report->settings;
	sum->caches_lost += report->caches_lost;
	sum->bypassed += report->bypassed;
	sum->streams += report->streams;
	sum->gaps += report->gaps;
	sum->filled += report->filled;
	sum->second_chances += report->second_chances;
	sum->changed += report->changed;
	sum->busy += report->busy;
	sum->discards += report->discards;
	sum->episodes += report->episodes;
	sum->refusals += report->refusals;
	sum->growths += report->growths;
}

static void join(struct crash_totals *totals, const struct crash_totals *part)
{
	uint64_t histories = totals->histories + part->histories;
	uint64_t failures = totals->failures + part->failures;

	crash_totals_add(totals, &part->sum);
	totals->seeds += part->seeds;
	totals->histories = histories;
	totals->failures = failures;
}

static void run_seeds(struct board *board, struct crash_totals *totals, uint64_t first,
		      uint64_t last, crash_job job)
{
	uint64_t seed;

	while ((seed = atomic_fetch_add(&board->next_seed, 1)) <= last) {
		job(seed, totals);
		totals->seeds++;
		if ((seed - first + 1) % PROGRESS_SEEDS == 0) {
			printf("# seed %lu\n", seed);
			fflush(stdout);
		}
	}
}

static bool run_processes(struct board *board, uint64_t first, uint64_t last, unsigned jobs,
			  crash_job job)
{
	bool all_right = true;
	int status;

	fflush(stdout);
	for (unsigned i = 0; i < jobs; i++) {
		pid_t pid = fork();

		g_assert(pid >= 0);
		if (pid > 0)
			continue;
		run_seeds(board, &board->totals[i], first, last, job);
		fflush(stdout);
		_exit(0);
	}
	while (wait(&status) > 0)
		all_right &= WIFEXITED(status) && WEXITSTATUS(status) == 0;
	return all_right;
}

bool crash_jobs_run(uint64_t first, uint64_t last, unsigned jobs, crash_job job,
		    struct crash_totals *totals)
{
	struct board *board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t failures = totals->failures;
	bool all_right = true;

	g_assert(board != MAP_FAILED);
	board->next_seed = first;
	jobs = CLAMP(jobs, 1, JOBS_MAX);
	if (jobs == 1)
		run_seeds(board, &board->totals[0], first, last, job);
	else
		all_right = run_processes(board, first, last, jobs, job);
	for (unsigned i = 0; i < jobs; i++)
		join(totals, &board->totals[i]);
	munmap(board, sizeof *board);
	return all_right && totals->failures == failures;
}
