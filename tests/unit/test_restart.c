/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>

#include "keeper/restart.h"

static struct wb_restart restart;
static const struct wb_restart_life never_served = { 0, false };
static const struct wb_restart_life useful = { WB_RESTART_BUSY_NS, true };

Test(restart, the_first_death_costs_no_pause)
{
	cr_expect_eq(wb_restart_next(&restart, &useful), 0);
	cr_expect_eq(wb_restart_next(&restart, &useful), 0);
}

Test(restart, a_few_fruitless_lives_may_be_chance)
{
	for (unsigned i = 0; i < WB_RESTART_FREE_MAX; i++)
		cr_expect_eq(wb_restart_next(&restart, &never_served), 0);
	cr_expect_eq(wb_restart_next(&restart, &useful), 0);
	for (unsigned i = 0; i < WB_RESTART_FREE_MAX; i++)
		cr_expect_eq(wb_restart_next(&restart, &never_served), 0);
	cr_expect_eq(wb_restart_next(&restart, &never_served), WB_RESTART_PAUSE_FIRST_MS);
}

Test(restart, pauses_grow_up_to_a_limit_and_then_it_is_over)
{
	int before = 0, pause;

	for (unsigned i = 1; i < WB_RESTART_FRUITLESS_MAX; i++) {
		pause = wb_restart_next(&restart, &never_served);
		cr_expect_geq(pause, before);
		cr_expect_leq(pause, WB_RESTART_PAUSE_LAST_MS);
		before = pause;
	}
	cr_expect_eq(before, WB_RESTART_PAUSE_LAST_MS);
	cr_expect_eq(wb_restart_next(&restart, &never_served), -1);
	cr_expect_eq(wb_restart_next(&restart, &never_served), -1);
}

Test(restart, progress_makes_pauses_short_again)
{
	for (unsigned i = 1; i < WB_RESTART_FRUITLESS_MAX; i++)
		wb_restart_next(&restart, &never_served);
	cr_expect_eq(wb_restart_next(&restart, &useful), 0);
	for (unsigned i = 1; i < WB_RESTART_FRUITLESS_MAX; i++)
		cr_expect_geq(wb_restart_next(&restart, &never_served), 0);
}

/* A request that kills whoever gets it comes again at once, among answers to others. */
Test(restart, answers_in_a_very_short_life_are_no_progress)
{
	const struct wb_restart_life life = { WB_RESTART_BUSY_NS - 1, true };

	for (unsigned i = 1; i < WB_RESTART_FRUITLESS_MAX; i++)
		cr_expect_geq(wb_restart_next(&restart, &life), 0);
	cr_expect_eq(wb_restart_next(&restart, &life), -1);
}

Test(restart, an_idle_life_is_progress_when_it_was_long)
{
	const struct wb_restart_life quiet = { WB_RESTART_QUIET_NS, false };
	const struct wb_restart_life shorter = { WB_RESTART_QUIET_NS - 1, false };

	for (unsigned i = 0; i < 2 * WB_RESTART_FRUITLESS_MAX; i++)
		cr_expect_eq(wb_restart_next(&restart, &quiet), 0);
	for (unsigned i = 1; i < WB_RESTART_FRUITLESS_MAX; i++)
		cr_expect_geq(wb_restart_next(&restart, &shorter), 0);
	cr_expect_eq(wb_restart_next(&restart, &shorter), -1);
}
