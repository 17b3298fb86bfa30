/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One simulated history of a volume: it is opened, worked on, and loses power,
 * is killed or stopped, many times over, everything decided by one seed; then
 * it is drained and its backing compared with what was written.
 */
#ifndef WB_TESTS_CRASH_RUN_H
#define WB_TESTS_CRASH_RUN_H

#include <stdbool.h>
#include <stdint.h>

struct crash_options {
	uint64_t seed;
	/* The power goes at this point (a submit or an answer of either disk,
	 * counted from 1) of the first life, which ends there or after `steps`;
	 * 0: many lives, and the seed decides. */
	uint64_t point;
	unsigned steps;		/* of work in each life; 0: the seed decides */
	unsigned lives;		/* 0: the seed decides */
	bool deaths;		/* of the process alone, with memory that outlives it */
	bool ghosts_are_late;	/* with them: nobody waits for what was in flight */
	bool fills_ring;	/* synced writes that the tail follows at a distance */
	bool bad_places;	/* of the ring, which the head comes to with much in memory */
	unsigned cache_lies, backing_lies;	/* WB_CRASHY_... */
};

struct crash_report {
	char *objection;	/* NULL: nothing to object to; to be freed */
	uint64_t points;	/* passed in the first life */
	uint64_t power_cuts, cuts_while_opening, cuts_while_stopping, kills, clean_stops;
	uint64_t drains;	/* just after recovery */
	uint64_t checkpoints;	/* that an opening took the state from */
	uint64_t requests, segments, batches, parked, slowed, discards;
	uint64_t deaths, deaths_while_opening, resent, skipped;
	uint64_t episodes;	/* of failing disks */
	uint64_t growths;	/* of the image */
	uint64_t refusals;	/* while a disk failed */
	uint64_t settings;	/* changed */
	uint64_t caches_lost;	/* for a moment, to look at the backing alone */
	uint64_t bypassed;	/* bytes */
	uint64_t streams;	/* that were recognised */
	uint64_t gaps;		/* blocks that were filled */
	uint64_t filled, second_chances;	/* blocks that reads brought, and kept */
	uint64_t changed, busy;		/* likewise, and dropped, because a change came first */
};

void crash_run(const struct crash_options *options, struct crash_report *report);

/* What replays it: "crash-sim SEED=... ", to be freed. */
char *crash_options_text(const struct crash_options *options);

#endif
