/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The death of the process alone: the memory with its RAM buffers outlives it, as it is
 * between two of its stores, and so do both disks, with whatever of the I/O in flight
 * lands in the end. The next one loses nothing that was acknowledged (P4), nor what
 * was executed and not acknowledged; and requests that were under way are sent again,
 * oldest first, while others come.
 */
#ifndef WB_TESTS_CRASH_DEATHS_H
#define WB_TESTS_CRASH_DEATHS_H

#include <glib.h>
#include <stdbool.h>

#include "crash_run.h"
#include "support/volume_sim.h"

struct crash_deaths {
	struct wb_sim *sim;
	struct wb_prng prng;		/* of its own */
	bool are_on;
	bool ghosts_are_late;		/* nobody waits for what was in flight */
	bool is_next;			/* the next crash is a death, and no power cut */
	bool is_strict;			/* nothing may be missing at the next opening */
	uint8_t *snapshot;		/* of the memory, at the crash */
	uint64_t step;			/* in which it was */
	GPtrArray *pending;		/* of struct wb_sim_op *: to be sent again */
	uint64_t count, resent, skipped;	/* skipped: executed already, all of it */
};

void crash_deaths_init(struct crash_deaths *deaths, const struct crash_options *options,
		       struct wb_sim *sim);
void crash_deaths_clear(struct crash_deaths *deaths);
/* What will the next crash be? */
void crash_deaths_choose(struct crash_deaths *deaths);
/* It is now (from inside a step, or between two). */
void crash_deaths_note(struct crash_deaths *deaths, bool is_in_step);
/* Does what happens in this step, after the death, come to anything? */
bool crash_deaths_is_over(const struct crash_deaths *deaths);
/* With the dead process's requests still there. */
void crash_deaths_collect(struct crash_deaths *deaths);
/* It is gone; nothing else is. */
void crash_deaths_survive(struct crash_deaths *deaths);
/* All is gone but the disks. */
void crash_deaths_forget(struct crash_deaths *deaths);
/* The volume is open again, and this is its image: what is known of the requests that
 * come again? NULL, or the objection. */
char *crash_deaths_check(struct crash_deaths *deaths, const uint8_t *image);
/* At work: perhaps one of them comes. */
void crash_deaths_step(struct crash_deaths *deaths);
/* All others have. */
bool crash_deaths_resend(struct crash_deaths *deaths);

#endif
