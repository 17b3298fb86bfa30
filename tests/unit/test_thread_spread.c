/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>
#include <sched.h>

#include "frontend/thread_spread.h"

static cpu_set_t now(void)
{
	cpu_set_t set;

	cr_assert_eq(sched_getaffinity(0, sizeof set, &set), 0);
	return set;
}

static bool is_at(const cpu_set_t *set)
{
	cpu_set_t current = now();

	return CPU_EQUAL(&current, set);
}

static cpu_set_t first_of(const cpu_set_t *set)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	for (unsigned cpu = 0; CPU_COUNT(&one) == 0; cpu++) {
		if (CPU_ISSET(cpu, set))
			CPU_SET(cpu, &one);
	}
	return one;
}

static void note_long(void)
{
	wb_thread_spread_note(WB_THREAD_SPREAD_LONG_BYTES);
}

static void note_short(unsigned count)
{
	while (count--)
		wb_thread_spread_note(WB_THREAD_SPREAD_LONG_BYTES - 1);
}

static void need_two(void)
{
	cpu_set_t set = now();

	if (CPU_COUNT(&set) < 2)
		cr_skip_test("one processor");
}

Test(thread_spread, each_thread_gets_its_own_processors_and_none_is_left_out,
     .init = need_two)
{
	cpu_set_t all = now(), together, both;

	CPU_ZERO(&together);
	for (unsigned i = 0; i < 2; i++) {
		cpu_set_t own;

		wb_thread_spread_begin(i, 2);
		cr_expect(is_at(&all));
		note_long();
		own = now();
		cr_expect_gt(CPU_COUNT(&own), 0);
		CPU_AND(&both, &own, &together);
		cr_expect_eq(CPU_COUNT(&both), 0);
		CPU_OR(&together, &together, &own);
		wb_thread_spread_end();
		cr_expect(is_at(&all));
	}
	cr_expect(CPU_EQUAL(&together, &all));
}

Test(thread_spread, many_short_requests_end_it_and_a_long_one_begins_it_anew,
     .init = need_two)
{
	cpu_set_t all = now();

	wb_thread_spread_begin(0, 2);
	note_short(WB_THREAD_SPREAD_SHORT_COUNT);
	note_long();
	note_short(WB_THREAD_SPREAD_SHORT_COUNT - 1);
	note_long();
	note_short(WB_THREAD_SPREAD_SHORT_COUNT - 1);
	cr_expect_not(is_at(&all));
	note_short(1);
	cr_expect(is_at(&all));
	note_long();
	cr_expect_not(is_at(&all));
}

Test(thread_spread, what_somebody_else_has_set_meanwhile_stays, .init = need_two)
{
	cpu_set_t all = now(), other = first_of(&all);

	wb_thread_spread_begin(1, 2);
	note_long();
	cr_assert_not(is_at(&other));
	cr_assert_eq(sched_setaffinity(0, sizeof other, &other), 0);
	wb_thread_spread_end();
	cr_expect(is_at(&other));
}

Test(thread_spread, more_threads_than_processors_stay_where_they_are)
{
	cpu_set_t all = now();

	wb_thread_spread_begin(0, (unsigned)CPU_COUNT(&all) + 1);
	note_long();
	cr_expect(is_at(&all));
}
