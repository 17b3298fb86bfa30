/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>
#include <signal.h>

#include "base/clock.h"

Test(clock, real_never_goes_backwards)
{
	struct wb_clock *clock = wb_clock_real();
	uint64_t last = wb_clock_now_ns(clock);

	cr_assert_gt(last, 0);
	for (int i = 0; i < 10000; i++) {
		uint64_t now = wb_clock_now_ns(clock);

		cr_assert_geq(now, last);
		last = now;
	}
}

Test(clock, real_is_one_object)
{
	cr_assert_eq(wb_clock_real(), wb_clock_real());
}

Test(clock, real_goes_on)
{
	uint64_t start = wb_clock_now_ns(wb_clock_real());

	while (wb_clock_now_ns(wb_clock_real()) == start)
		;
}

Test(clock, manual_stands_until_it_is_moved)
{
	struct wb_clock_manual manual;

	wb_clock_manual_init(&manual);
	cr_assert_eq(wb_clock_now_ns(&manual.clock), 0);
	cr_assert_eq(wb_clock_now_ns(&manual.clock), 0);
	wb_clock_manual_advance(&manual, 5);
	wb_clock_manual_advance(&manual, UINT64_C(7000000000));
	cr_assert_eq(wb_clock_now_ns(&manual.clock), UINT64_C(7000000005));
	wb_clock_manual_advance(&manual, 0);
	cr_assert_eq(wb_clock_now_ns(&manual.clock), UINT64_C(7000000005));
}

Test(clock, manual_does_not_wrap, .signal = SIGABRT)
{
	struct wb_clock_manual manual;

	wb_clock_manual_init(&manual);
	wb_clock_manual_advance(&manual, UINT64_MAX);
	wb_clock_manual_advance(&manual, 1);
}
