/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>

#include "frontend/lone_user.h"

#define USER 7u
#define OTHER 8u

static struct wb_lone_users users;

/* How many of `count` waits, the last of so many requests each, were followed by a rest. */
static unsigned rests(struct wb_lone_user *lone, enum wb_lone_user_wait kind, unsigned count,
		      unsigned requests)
{
	unsigned result = 0;

	while (count--) {
		for (unsigned i = 0; i < requests; i++)
			wb_lone_user_came(&users, lone, USER, false);
		result += wb_lone_user_waits(&users, lone, kind, true);
	}
	return result;
}

static unsigned until_it_rests(struct wb_lone_user *lone)
{
	return rests(lone, WB_LONE_USER_SYNC, WB_LONE_USER_REGULAR, 2);
}

Test(lone_user, a_thread_rests_after_regular_waits_and_from_then_on_after_each)
{
	struct wb_lone_user lone = { 0 };

	cr_expect_eq(rests(&lone, WB_LONE_USER_SYNC, WB_LONE_USER_REGULAR - 1, 2), 0);
	cr_expect_eq(rests(&lone, WB_LONE_USER_SYNC, 10, 1), 10);
	cr_expect_eq(rests(&lone, WB_LONE_USER_READ, 10, 1), 10);
	cr_expect_eq(rests(&lone, WB_LONE_USER_SYNC, 10, 5), 10);
}

Test(lone_user, a_request_that_is_there_meanwhile_ends_it)
{
	struct wb_lone_user lone = { 0 };

	until_it_rests(&lone);
	cr_expect_not(wb_lone_user_waits(&users, &lone, WB_LONE_USER_SYNC, false));
	cr_expect_eq(until_it_rests(&lone), 1);
}

Test(lone_user, who_sends_more_than_waits_for_a_disk_is_no_such_user)
{
	struct wb_lone_user lone = { 0 };

	cr_expect_eq(rests(&lone, WB_LONE_USER_SYNC, 1000, 6), 0);
	cr_expect_eq(rests(&lone, WB_LONE_USER_READ, 1000, 2), 0);
	until_it_rests(&lone);
	cr_expect_eq(rests(&lone, WB_LONE_USER_READ, 1, 2), 0);
}

Test(lone_user, company_that_this_thread_sees_ends_it)
{
	struct wb_lone_user lone = { 0 };

	until_it_rests(&lone);
	wb_lone_user_came(&users, &lone, OTHER, false);
	cr_expect_eq(until_it_rests(&lone), 1);
	wb_lone_user_came(&users, &lone, USER, true);
	cr_expect_eq(until_it_rests(&lone), 1);
}

Test(lone_user, company_that_only_another_thread_sees_ends_it)
{
	struct wb_lone_user lone = { 0 }, of_another = { 0 };

	until_it_rests(&lone);
	wb_lone_user_came(&users, &of_another, USER, false);
	cr_expect_eq(rests(&lone, WB_LONE_USER_SYNC, 1, 1), 1);
	wb_lone_user_came(&users, &of_another, OTHER, false);
	cr_expect_eq(rests(&lone, WB_LONE_USER_SYNC, 1, 1), 0);
	cr_expect_eq(until_it_rests(&lone), 1);
	wb_lone_user_came(&users, &of_another, USER, true);
	cr_expect_eq(rests(&lone, WB_LONE_USER_SYNC, 1, 1), 0);
}

Test(lone_user, a_second_user_whom_only_another_thread_serves_is_company_all_the_time)
{
	struct wb_lone_user lone = { 0 }, of_another = { 0 };
	unsigned count = 0;

	for (unsigned i = 0; i < 1000; i++) {
		wb_lone_user_came(&users, &of_another, OTHER, false);
		count += rests(&lone, WB_LONE_USER_SYNC, 1, 2);
	}
	cr_expect_eq(count, 0);
}

Test(lone_user, requests_of_nobody_known_are_of_no_such_user)
{
	struct wb_lone_user lone = { 0 };

	for (unsigned i = 0; i < 2 * WB_LONE_USER_REGULAR; i++) {
		wb_lone_user_came(&users, &lone, 0, false);
		cr_expect_not(wb_lone_user_waits(&users, &lone, WB_LONE_USER_SYNC, true));
	}
}
