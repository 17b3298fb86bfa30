/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The image of a simulated volume grows while it is worked on, and what its backing
 * holds behind it is looked at in the end. Decided by a seed of its own, so that the
 * histories without growth stay what they were.
 */
#ifndef WB_TESTS_CRASH_GROWTH_H
#define WB_TESTS_CRASH_GROWTH_H

#include "oracle.h"

struct crash_growth {
	struct wb_sim *sim;
	struct wb_oracle *oracle;
	struct wb_prng prng;
	bool is_on;
	uint64_t image_bytes;		/* shown the last time */
	uint64_t zeroed_bytes;		/* up to there the backing may have been changed */
	uint64_t asked_bytes;		/* 0: nothing is under way, as far as we know */
	uint64_t wanted_bytes;		/* the owner has not answered yet; 0: nothing */
	uint64_t count;			/* of sizes that were shown */
};

/* Before wb_sim_init(): a backing with more behind the image, or not. */
void crash_growth_init(struct crash_growth *growth, uint64_t seed, struct wb_sim_params *params);
/* After it. */
void crash_growth_attach(struct crash_growth *growth, struct wb_sim *sim);
/* With an open volume: perhaps it asks for growth, or the owner answers. */
void crash_growth_step(struct crash_growth *growth);
/* The owner answers now, if it has to. */
void crash_growth_answer(struct crash_growth *growth);
/* A volume was opened: NULL, or the objection to the size that it has. */
char *crash_growth_check_opened(struct crash_growth *growth);
/* Nothing behind the image was touched. NULL or the objection. */
char *crash_growth_check_behind(struct crash_growth *growth, const uint8_t *backing);

#endif
