/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Disks that fail for a while in the middle of a history: the n-th read, write,
 * flush or punch gets EIO (ENOSPC on the backing too), not carried out, carried
 * out by half, or in full; some I/O takes very long. Then they are healed.
 *
 * While a disk fails, and until a sync that began later has succeeded and the cache
 * says that it is over it, requests may fail. Never else.
 */
#ifndef WB_TESTS_CRASH_FAULTS_H
#define WB_TESTS_CRASH_FAULTS_H

#include <stdbool.h>
#include <stdint.h>

#include "support/volume_sim.h"

struct crash_faults {
	struct wb_sim *sim;
	struct wb_prng *prng;		/* of the script */
	bool are_on;			/* in this history */
	bool are_bad_places;		/* and nothing else */
	bool is_failing;		/* now */
	bool is_in_trouble;		/* the cache may not be over it yet */
	uint64_t healed_step;
	uint64_t episodes;
};

/* Now and then: an episode begins or ends. */
void crash_faults_step(struct crash_faults *faults);
/* Some I/O of opening fails; FALSE when none will. */
bool crash_faults_before_open(struct crash_faults *faults);
void crash_faults_heal(struct crash_faults *faults);
/* A new life on sound disks. */
void crash_faults_forget(struct crash_faults *faults);

bool crash_faults_excuse(const struct crash_faults *faults, const struct wb_sim_op *op);
/* It has succeeded. */
void crash_faults_succeeded(struct crash_faults *faults, const struct wb_sim_op *op);

/* Superblocks are written, but it takes long, as behind a queue of reads. */
void crash_faults_slow_superblocks(struct crash_faults *faults);
/* Writes to a place of the ring fail for ever, until the power goes. */
void crash_faults_spoil_place(struct crash_faults *faults, uint64_t place);

#endif
