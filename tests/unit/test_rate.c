/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>

#include "cache/rate.h"

#define SECOND_NS UINT64_C(1000000000)

static struct wb_rate rate;

Test(rate, nothing_is_known_at_first)
{
	cr_expect_eq(wb_rate_per_second(&rate, 5, 100), 0);
	wb_rate_note(&rate, SECOND_NS, 100);
	cr_expect_eq(wb_rate_per_second(&rate, SECOND_NS, 100), 0);
}

Test(rate, is_over_what_is_known_of_the_last_minute)
{
	wb_rate_note(&rate, 10 * SECOND_NS, 1000);
	cr_expect_float_eq(wb_rate_per_second(&rate, 12 * SECOND_NS, 1500), 250, 1e-6);
	for (unsigned s = 11; s <= 200; s++)
		wb_rate_note(&rate, s * SECOND_NS, s * 100);
	cr_expect_float_eq(wb_rate_per_second(&rate, 200 * SECOND_NS, 20000), 100, 1e-6);
	/* It has stopped, and a minute later it is forgotten. */
	for (unsigned s = 201; s <= 230; s++)
		wb_rate_note(&rate, s * SECOND_NS, 20000);
	cr_expect_float_eq(wb_rate_per_second(&rate, 230 * SECOND_NS, 20000), 50, 1e-6);
	for (unsigned s = 231; s <= 260; s++)
		wb_rate_note(&rate, s * SECOND_NS, 20000);
	cr_expect_eq(wb_rate_per_second(&rate, 260 * SECOND_NS, 20000), 0);
}

Test(rate, it_may_be_told_often)
{
	for (unsigned i = 0; i < 1000; i++)
		wb_rate_note(&rate, i * SECOND_NS / 100, i);
	cr_expect_float_eq(wb_rate_per_second(&rate, 10 * SECOND_NS, 1000), 100, 1e-6);
}

Test(rate, without_a_look_for_long_it_is_over_all_that_time)
{
	wb_rate_note(&rate, SECOND_NS, 0);
	wb_rate_note(&rate, 2 * SECOND_NS, 10);
	cr_expect_float_eq(wb_rate_per_second(&rate, 1002 * SECOND_NS, 2010), 2, 1e-6);
}
