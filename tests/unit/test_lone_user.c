/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>

#include "frontend/lone_user.h"

/* How many of `count` waits, with so many requests before each, were followed by a rest. */
static unsigned rests(struct wb_lone_user *lone, enum wb_lone_user_wait kind, unsigned count,
		      unsigned requests)
{
	unsigned result = 0;

	while (count--) {
		for (unsigned i = 0; i < requests; i++)
			wb_lone_user_came(lone);
		result += wb_lone_user_waits(lone, kind, true);
	}
	return result;
}

Test(lone_user, a_thread_rests_after_regular_waits_and_from_then_on_after_each)
{
	struct wb_lone_user lone = { 0 };

	cr_expect_eq(rests(&lone, WB_LONE_USER_SYNC, WB_LONE_USER_REGULAR - 1, 1), 0);
	cr_expect_eq(rests(&lone, WB_LONE_USER_SYNC, 10, 0), 10);
	cr_expect_eq(rests(&lone, WB_LONE_USER_READ, 10, 1), 10);
	cr_expect_eq(rests(&lone, WB_LONE_USER_SYNC, 10, 4), 10);
}

Test(lone_user, another_request_meanwhile_ends_it)
{
	struct wb_lone_user lone = { 0 };

	rests(&lone, WB_LONE_USER_SYNC, WB_LONE_USER_REGULAR, 1);
	cr_expect_not(wb_lone_user_waits(&lone, WB_LONE_USER_SYNC, false));
	cr_expect_eq(rests(&lone, WB_LONE_USER_SYNC, WB_LONE_USER_REGULAR, 1), 1);
}

Test(lone_user, who_sends_more_than_waits_for_a_disk_is_no_such_user)
{
	struct wb_lone_user lone = { 0 };

	cr_expect_eq(rests(&lone, WB_LONE_USER_SYNC, 1000, 5), 0);
	cr_expect_eq(rests(&lone, WB_LONE_USER_READ, 1000, 2), 0);
	rests(&lone, WB_LONE_USER_READ, WB_LONE_USER_REGULAR, 1);
	cr_expect_eq(rests(&lone, WB_LONE_USER_READ, 1, 2), 0);
}
