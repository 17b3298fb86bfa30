/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The list of mutants: what each one breaks, and where that is looked for. */
#ifndef WB_TESTS_MUTANTS_H
#define WB_TESTS_MUTANTS_H

#include <stdbool.h>
#include <stdint.h>

enum mutant_scenario { MUTANT_RANDOM, MUTANT_ROT, MUTANT_MIRROR, MUTANT_BYPASS,
		       MUTANT_CHECKPOINT, MUTANT_MOVE, MUTANT_REST };

struct mutant {
	const char *name;
	const char *rule;		/* that is broken */
	enum mutant_scenario scenario;
	uint64_t seeds_max;		/* more is not tried */
	bool is_mutant;			/* of the program; else the disk lies */
	bool fills_ring, bad_places;
	bool deaths, late_ghosts;	/* of the process alone; and nobody waits for its I/O */
	unsigned cache_lies, backing_lies;
};

extern const struct mutant mutants[];
extern const unsigned mutant_count;
extern const char mutants_table_head[];

#endif
