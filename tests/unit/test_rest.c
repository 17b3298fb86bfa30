/* SPDX-License-Identifier: GPL-2.0-or-later */
/* When writeback rests, on a clock that is moved by hand, and set. */
#include <criterion/criterion.h>

#include "cache/rest.h"

#define SECOND_NS UINT64_C(1000000000)
#define MINUTE_NS (60 * SECOND_NS)
#define HOUR_NS (60 * MINUTE_NS)

static struct wb_rest_policy policy = { .high_percent = 80 };
/* Dirty since the beginning, and nobody has used it since. */
static struct wb_rest rest = { .dirty_since_ns = HOUR_NS };
static struct wb_rest_look look = { .now_ns = HOUR_NS, .idle_ns = HOUR_NS, .used_percent = 10,
				    .head_segment = 5, .tail_segment = 3 };

static void set_schedule(const char *text)
{
	cr_assert(wb_schedule_parse(text, &policy.schedule));
}

static enum wb_rest_verdict at(uint32_t hour, uint32_t minute)
{
	look.local_second = hour * 3600 + minute * 60;
	wb_rest_update(&rest, &policy, &look);
	return rest.verdict;
}

/* Time passes, for the clock on the wall too. */
static enum wb_rest_verdict after(uint64_t ns)
{
	look.now_ns += ns;
	look.idle_ns += ns;
	look.local_second = (uint32_t)((look.local_second + ns / SECOND_NS) % WB_DAY_S);
	wb_rest_update(&rest, &policy, &look);
	return rest.verdict;
}

static void write_back(void)
{
	look.tail_segment = look.head_segment;
	look.is_clean = true;
	look.batches++;
	look.blocks += 100;
}

static void write_more(void)
{
	look.is_clean = false;
}

Test(rest, without_a_policy_it_never_rests)
{
	cr_expect_eq(at(12, 0), WB_REST_NEVER);
	look.used_percent = 100;
	cr_expect_eq(at(12, 0), WB_REST_NEVER);
}

/* --- windows ------------------------------------------------------------------------- */

Test(rest, between_windows_it_says_when_the_next_one_opens)
{
	set_schedule("02:00-05:00");
	cr_expect_eq(at(1, 30), WB_REST_UNTIL_TIME);
	cr_expect_eq(rest.resumes_in_s, 30 * 60);
	cr_expect_eq(at(2, 0), WB_REST_IN_WINDOW);
	cr_expect_eq(at(4, 59), WB_REST_IN_WINDOW);
	cr_expect_eq(at(5, 0), WB_REST_UNTIL_TIME);
	cr_expect_eq(rest.resumes_in_s, 21 * 3600);
}

Test(rest, a_clock_that_is_set_opens_and_closes_windows_and_confuses_nothing)
{
	set_schedule("02:00-05:00");
	cr_expect_eq(at(4, 0), WB_REST_IN_WINDOW);
	cr_expect_eq(at(12, 0), WB_REST_UNTIL_TIME);
	/* back, and over the window: summer time of another planet */
	cr_expect_eq(at(2, 0), WB_REST_IN_WINDOW);
	cr_expect_eq(at(1, 59), WB_REST_UNTIL_TIME);
	cr_expect_eq(rest.resumes_in_s, 60);
	cr_expect_eq(at(5, 1), WB_REST_UNTIL_TIME);
	cr_expect_eq(rest.resumes_in_s, 20 * 3600 + 59 * 60);
}

/* --- every ------------------------------------------------------------------------------ */

Test(rest, a_pass_comes_when_the_oldest_data_is_so_old_and_goes_on_until_it_is_clean)
{
	set_schedule("every 4h");
	cr_expect_eq(at(9, 0), WB_REST_UNTIL_TIME);
	cr_expect_eq(rest.resumes_in_s, 4 * 3600);
	cr_expect_eq(after(4 * HOUR_NS - SECOND_NS), WB_REST_UNTIL_TIME);
	cr_expect_eq(rest.resumes_in_s, 1);
	cr_expect_eq(after(SECOND_NS), WB_REST_PASS_DUE);
	cr_expect_eq(after(MINUTE_NS), WB_REST_PASS_DUE);
	write_back();
	cr_expect_eq(after(SECOND_NS), WB_REST_UNTIL_TIME);
	/* Nothing is dirty for hours: nothing is due. */
	cr_expect_eq(after(9 * HOUR_NS), WB_REST_UNTIL_TIME);
	write_more();
	cr_expect_eq(after(3 * HOUR_NS), WB_REST_UNTIL_TIME);
	cr_expect_eq(after(HOUR_NS), WB_REST_PASS_DUE);
}

Test(rest, whoever_goes_on_writing_does_not_make_a_pass_endless)
{
	set_schedule("every 4h");
	at(9, 0);
	cr_expect_eq(after(4 * HOUR_NS), WB_REST_PASS_DUE);
	/* The segment that is being filled is never clean. */
	look.tail_segment = look.head_segment;
	cr_expect_eq(after(SECOND_NS), WB_REST_PASS_DUE);
	look.batches++;		/* it may have begun before */
	cr_expect_eq(after(SECOND_NS), WB_REST_PASS_DUE);
	look.batches++;
	cr_expect_eq(after(SECOND_NS), WB_REST_UNTIL_TIME);
	/* and though its first block was dirty all the time, */
	cr_expect_eq(after(3 * HOUR_NS + 59 * MINUTE_NS), WB_REST_UNTIL_TIME);
	cr_expect_eq(after(MINUTE_NS), WB_REST_PASS_DUE);
	look.tail_segment = ++look.head_segment;
	cr_expect_eq(after(SECOND_NS), WB_REST_UNTIL_TIME, "beyond where it began");
}

Test(rest, a_clock_that_is_set_does_not_move_every)
{
	set_schedule("every 4h");
	at(9, 0);
	after(HOUR_NS);
	cr_expect_eq(at(23, 0), WB_REST_UNTIL_TIME);
	cr_expect_eq(rest.resumes_in_s, 3 * 3600);
	cr_expect_eq(at(3, 0), WB_REST_UNTIL_TIME);
	cr_expect_eq(after(3 * HOUR_NS), WB_REST_PASS_DUE);
}

Test(rest, every_counts_from_the_last_window)
{
	set_schedule("02:00-05:00 every 12h");
	at(20, 0);
	cr_expect_eq(after(6 * HOUR_NS), WB_REST_IN_WINDOW);
	for (unsigned i = 0; i < 18; i++)
		cr_expect_eq(after(10 * MINUTE_NS) == WB_REST_IN_WINDOW, i < 17);
	cr_expect_eq(rest.resumes_in_s, 12 * 3600 - 600);
}

Test(rest, of_windows_and_every_the_first_counts)
{
	set_schedule("02:00-05:00 every 4h");
	cr_expect_eq(at(9, 0), WB_REST_UNTIL_TIME);
	cr_expect_eq(rest.resumes_in_s, 4 * 3600);
	cr_expect_eq(at(23, 30), WB_REST_UNTIL_TIME);
	cr_expect_eq(rest.resumes_in_s, 2 * 3600 + 1800);
	cr_expect_eq(after(2 * HOUR_NS + 30 * MINUTE_NS), WB_REST_IN_WINDOW);
}

Test(rest, what_cannot_be_written_back_does_not_keep_a_pass_going)
{
	set_schedule("every 1h");
	at(9, 0);
	cr_expect_eq(after(HOUR_NS), WB_REST_PASS_DUE);
	look.has_trouble = true;
	for (unsigned i = 0; i < 5; i++) {
		look.blocks++;		/* the others are written meanwhile */
		cr_expect_eq(after(50 * SECOND_NS), WB_REST_PASS_DUE);
	}
	cr_expect_eq(after(59 * SECOND_NS), WB_REST_PASS_DUE);
	cr_expect_eq(after(SECOND_NS), WB_REST_UNTIL_TIME);
}

/* --- high water ---------------------------------------------------------------------------- */

Test(rest, above_the_high_water_all_is_written_back_and_not_just_what_is_above)
{
	set_schedule("never");
	look.used_percent = 80;
	cr_expect_eq(at(12, 0), WB_REST_UNTIL_FULL);
	look.used_percent = 81;
	cr_expect_eq(at(12, 1), WB_REST_PASS_FULL);
	look.used_percent = 30;
	cr_expect_eq(at(12, 2), WB_REST_PASS_FULL);
	write_back();
	look.used_percent = 1;
	cr_expect_eq(at(12, 3), WB_REST_UNTIL_FULL);
}

Test(rest, the_high_water_does_not_wait_for_users_or_for_a_pass_that_does)
{
	set_schedule("every 1h");
	policy.idle_s = 60;
	at(9, 0);
	look.idle_ns = 0;
	look.now_ns += HOUR_NS;
	cr_expect_eq(at(10, 0), WB_REST_UNTIL_IDLE);
	look.used_percent = 90;
	cr_expect_eq(at(10, 1), WB_REST_PASS_FULL);
}

/* --- idle -------------------------------------------------------------------------------------- */

Test(rest, with_an_idle_time_it_goes_on_only_without_users)
{
	policy.idle_s = 300;
	look.idle_ns = 299 * SECOND_NS;
	cr_expect_eq(at(12, 0), WB_REST_UNTIL_IDLE);
	cr_expect_eq(after(SECOND_NS), WB_REST_IN_WINDOW);
	look.idle_ns = 0;
	cr_expect_eq(at(12, 1), WB_REST_UNTIL_IDLE);
	set_schedule("02:00-05:00");
	cr_expect_eq(at(3, 0), WB_REST_UNTIL_IDLE);
	look.idle_ns = 300 * SECOND_NS;
	cr_expect_eq(at(3, 5), WB_REST_IN_WINDOW);
	cr_expect_eq(at(6, 0), WB_REST_UNTIL_TIME);
}

Test(rest, a_pass_that_is_due_waits_for_the_idle_time_and_is_not_forgotten)
{
	set_schedule("every 1h");
	policy.idle_s = 300;
	at(9, 0);
	after(HOUR_NS);
	look.idle_ns = 0;
	cr_expect_eq(after(0), WB_REST_UNTIL_IDLE);
	cr_expect_eq(after(299 * SECOND_NS), WB_REST_UNTIL_IDLE);
	cr_expect_eq(after(SECOND_NS), WB_REST_PASS_DUE);
	look.idle_ns = 0;
	cr_expect_eq(after(0), WB_REST_UNTIL_IDLE, "in the middle of it");
	cr_expect_eq(after(300 * SECOND_NS), WB_REST_PASS_DUE);
}
