/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>

#include "cache/sync_guess.h"

static struct wb_sync_guess guess;

static void writes(unsigned count)
{
	while (count--)
		wb_sync_guess_wrote(&guess);
}

static void regular(unsigned count, unsigned interval)
{
	while (count--) {
		writes(interval);
		wb_sync_guess_take(&guess);
		wb_sync_guess_synced(&guess);
	}
}

Test(sync_guess, a_sync_is_expected_after_ten_regular_ones)
{
	/* The first tells the interval, ten more confirm it. */
	for (unsigned i = 0; i < 11; i++) {
		writes(3);
		cr_assert_not(wb_sync_guess_take(&guess));
		wb_sync_guess_synced(&guess);
	}
	writes(2);
	cr_assert_not(wb_sync_guess_take(&guess));
	writes(1);
	cr_assert(wb_sync_guess_take(&guess));
	cr_assert_not(wb_sync_guess_take(&guess), "twice for one guess");
}

Test(sync_guess, writes_without_syncs_cost_one_wrong_guess_at_most)
{
	unsigned guesses = 0;

	regular(20, 1);
	for (unsigned i = 0; i < 1000; i++) {
		writes(1);
		guesses += wb_sync_guess_take(&guess);
	}
	cr_assert_eq(guesses, 1);
}

Test(sync_guess, rare_syncs_are_not_guessed)
{
	for (unsigned i = 0; i < 20; i++) {
		writes(WB_SYNC_GUESS_WRITES_MAX + 3);
		cr_assert_not(wb_sync_guess_take(&guess));
		wb_sync_guess_synced(&guess);
	}
}

/* Whatever the pattern: a guess that was wrong is paid for by ten syncs. */
Test(sync_guess, wrong_guesses_are_rare_under_the_worst_pattern)
{
	unsigned wrong = 0, syncs = 0;

	for (unsigned round = 0; round < 100; round++) {
		regular(11, 1);
		syncs += 11;
		writes(2);
		wrong += wb_sync_guess_take(&guess);
	}
	cr_assert_leq(wrong * 10, syncs);
}

Test(sync_guess, a_sync_with_nothing_new_says_nothing)
{
	regular(12, 1);
	wb_sync_guess_synced(&guess);
	wb_sync_guess_synced(&guess);
	writes(1);
	cr_assert(wb_sync_guess_take(&guess));
}
