/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The policy for reads by its rules; how good it is, `make bench-read` says. */
#include <criterion/criterion.h>

#include "cache/limits.h"
#include "cache/read_policy.h"
#include "support/prng.h"

#define SEGMENT 16u

static struct wb_read_policy *policy;

static void start_with(uint32_t segments)
{
	struct wb_geometry geometry = { .segment_blocks = SEGMENT, .segment_count = segments,
					.slot_count = segments * SEGMENT };

	policy = wb_read_policy_new(&geometry, NULL);
	cr_assert(policy);
}

static void start(void)
{
	start_with(64);
}

static void stop(void)
{
	wb_read_policy_free(policy);
}

TestSuite(read_policy, .init = start, .fini = stop);

static enum wb_read_plan plan(struct wb_read_forecast *forecast)
{
	wb_read_policy_forecast(policy, forecast);
	return forecast->plan;
}

Test(read_policy, a_slot_counts_its_reads_up_to_three)
{
	cr_expect_eq(wb_read_policy_mark(policy, 5), 0);
	for (unsigned i = 0; i < 9; i++)
		wb_read_policy_note_hits(policy, 4, 3);
	cr_expect_eq(wb_read_policy_mark(policy, 5), WB_READ_MARK_MAX);
	cr_expect_eq(wb_read_policy_mark(policy, 7), 0);
	wb_read_policy_clear(policy, 4, 2);
	cr_expect_eq(wb_read_policy_mark(policy, 5), 0);
	cr_expect_eq(wb_read_policy_mark(policy, 6), WB_READ_MARK_MAX);
}

Test(read_policy, marked_blocks_stay_the_most_read_first_and_not_more_than_the_share)
{
	bool live[SEGMENT];

	for (unsigned i = 0; i < SEGMENT; i++) {
		live[i] = i != 3;
		wb_read_policy_set_mark(policy, i, i < 4 ? 3 : i < 15);
	}
	cr_expect_eq(wb_read_policy_choose(policy, 0, live, SEGMENT), 12);
	cr_expect(live[0] && live[1] && live[2] && !live[3], "read three times, but for the dead one");
	cr_expect(live[4] && live[12], "the first of those that were read once");
	cr_expect(!live[13] && !live[15], "no room; never read");
}

Test(read_policy, everything_enters_until_the_ring_is_full)
{
	for (uint64_t a = 0; a < 100; a++)
		cr_expect_eq(wb_read_policy_missed(policy, a), WB_READ_ENTERS);
}

Test(read_policy, what_fell_out_is_known_when_it_comes_back)
{
	wb_read_policy_is_full(policy);
	wb_read_policy_fell_out(policy, 77);
	cr_expect_eq(wb_read_policy_missed(policy, 77), WB_READ_ENTERS_MARKED);
	cr_expect_eq(wb_read_policy_missed(policy, 77), WB_READ_ENTERS, "once");
}

Test(read_policy, a_loop_that_does_not_fit_changes_the_plan)
{
	struct wb_read_forecast forecast;

	cr_expect_eq(plan(&forecast), WB_PLAN_CLOCK);
	cr_expect(!forecast.is_known);
	for (unsigned i = 0; i < 60000; i++)
		wb_read_policy_note_reads(policy, i % 1500, 1);
	cr_expect_geq(plan(&forecast), WB_PLAN_SECOND, "%s", wb_read_plan_name(forecast.plan));
	cr_expect_gt(forecast.at_same, 10);
	cr_expect_gt(forecast.at_double, 95, "all of it would fit: %f", forecast.at_double);
	cr_expect_lt(forecast.at_half, forecast.at_same);
}

/* 262144 blocks, of which one in 128 is sampled. */
Test(read_policy, a_sample_tells_what_the_whole_would_hit)
{
	struct wb_read_forecast forecast;
	struct wb_prng prng = { 3 };

	stop();
	start_with(16384);
	for (unsigned i = 0; i < 4000000; i++)
		wb_read_policy_note_reads(policy, wb_prng_below(&prng, 524288), 1);
	wb_read_policy_forecast(policy, &forecast);
	/* Uniform: what is cached is the part of the hits. */
	cr_expect_float_eq(forecast.at_half, 25, 3, "%f", forecast.at_half);
	cr_expect_float_eq(forecast.at_same, 50, 4, "%f", forecast.at_same);
	cr_expect_gt(forecast.at_double, 90, "%f", forecast.at_double);
}
