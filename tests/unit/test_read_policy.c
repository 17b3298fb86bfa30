/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The policy for reads by its rules; how good it is, `make bench-read` says. */
#include <criterion/criterion.h>
#include <string.h>

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

/* A segment of which `count` slots are live, with these marks, and the others dead. */
static uint32_t choose_of(enum wb_read_plan plan, const uint8_t *marks, unsigned count, bool *live)
{
	_Atomic uint8_t all[SEGMENT];

	for (unsigned i = 0; i < SEGMENT; i++) {
		all[i] = i < count ? marks[i] : 0;
		live[i] = i < count;
	}
	return wb_plan_choose(plan, all, live, SEGMENT);
}

Test(read_policy, dead_slots_let_unused_blocks_stay_but_never_what_was_only_written)
{
	static const uint8_t marks[SEGMENT] = {
		0, WB_READ_MARK_READ, WB_READ_MARK_READ, WB_READ_MARK_READ | WB_READ_MARK_MOVED,
		WB_READ_MARK_READ, WB_READ_MARK_READ, 1, 0, 0, 0, 0, 0, 0, 0, 0,
	};
	bool live[SEGMENT];

	cr_expect_eq(choose_of(WB_PLAN_CLOCK, marks, 15, live), 1, "one is the header: none dead");
	cr_expect(live[6]);
	cr_expect_eq(choose_of(WB_PLAN_CLOCK, marks, 14, live), 4, "three for one that is dead");
	cr_expect(live[1] && live[2] && live[4] && live[6]);
	cr_expect_eq(choose_of(WB_PLAN_CLOCK, marks, 8, live), 5);
	cr_expect(!live[0] && !live[3] && !live[7], "only written, or moved in vain");
}

Test(read_policy, the_plan_keep_holds_half_of_what_is_unused_and_first_what_it_held_before)
{
	uint8_t marks[SEGMENT];
	bool live[SEGMENT];

	for (unsigned i = 0; i < SEGMENT; i++)
		marks[i] = (uint8_t)(WB_READ_MARK_READ | (i % 2 ? WB_READ_MARK_MOVED : 0));
	marks[0] = WB_READ_MARK_READ | 2;
	cr_expect_eq(choose_of(WB_PLAN_KEEP, marks, 15, live), 9);
	for (unsigned i = 0; i < 15; i++)
		cr_expect_eq(live[i], i % 2 == 1 || i == 0 || i == 2, "%u", i);
	memset(marks, 0, sizeof marks);
	cr_expect_eq(choose_of(WB_PLAN_KEEP, marks, 15, live), 0, "nobody reads it");
}

Test(read_policy, a_write_in_place_of_what_is_read_is_a_use)
{
	wb_read_policy_was_replaced(policy, 3, 20);
	cr_expect_eq(wb_read_policy_mark(policy, 20), 0, "written twice, never read");
	wb_read_policy_note_hits(policy, 3, 1);
	wb_read_policy_was_replaced(policy, 3, 20);
	cr_expect_eq(wb_read_policy_mark(policy, 20), WB_READ_MARK_READ | 2);
	wb_read_policy_set_mark(policy, 4, WB_READ_MARK_READ | WB_READ_MARK_MOVED);
	wb_read_policy_was_replaced(policy, 4, 21);
	cr_expect_eq(wb_read_policy_mark(policy, 21), WB_READ_MARK_READ | 1);
}

Test(read_policy, the_mark_of_what_is_moved_is_lower_and_says_so)
{
	unsigned moved = WB_READ_MARK_READ | WB_READ_MARK_MOVED;

	cr_expect_eq(wb_plan_next_mark(WB_PLAN_COUNT, WB_READ_MARK_READ | 3), moved | 2);
	cr_expect_eq(wb_plan_next_mark(WB_PLAN_COUNT, 1), moved);
	cr_expect_eq(wb_plan_next_mark(WB_PLAN_CLOCK, 3), moved);
	cr_expect_eq(wb_plan_next_mark(WB_PLAN_KEEP, moved), moved);
}

static bool enters(uint64_t address)
{
	uint8_t mark;

	return wb_read_policy_missed(policy, address, &mark);
}

Test(read_policy, everything_enters_until_the_ring_is_full)
{
	for (uint64_t a = 0; a < 100; a++)
		cr_expect(enters(a));
}

Test(read_policy, what_fell_out_is_known_when_it_comes_back)
{
	uint8_t mark;

	wb_read_policy_is_full(policy);
	wb_read_policy_fell_out(policy, 77);
	cr_expect(wb_read_policy_missed(policy, 77, &mark));
	cr_expect_eq(mark, WB_READ_MARK_READ | 1);
	cr_expect(wb_read_policy_missed(policy, 77, &mark));
	cr_expect_eq(mark, WB_READ_MARK_READ, "once");
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
