/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>

#include "frontend/lone_sync.h"

/* How many syncs of `count` were followed by a rest. */
static unsigned rests(struct wb_lone_sync *lone, unsigned count, unsigned requests)
{
	unsigned result = 0;

	while (count--) {
		for (unsigned i = 0; i < requests; i++)
			wb_lone_sync_note_other(lone);
		result += wb_lone_sync_note(lone, true);
	}
	return result;
}

Test(lone_sync, a_thread_rests_after_regular_syncs_and_from_then_on_after_each)
{
	struct wb_lone_sync lone = { 0 };

	cr_expect_eq(rests(&lone, WB_LONE_SYNC_REGULAR - 1, 1), 0);
	cr_expect_eq(rests(&lone, 10, 0), 10);
	cr_expect_eq(rests(&lone, 10, WB_LONE_SYNC_REQUESTS_MAX), 10);
}

Test(lone_sync, a_request_that_waits_meanwhile_ends_it)
{
	struct wb_lone_sync lone = { 0 };

	rests(&lone, WB_LONE_SYNC_REGULAR, 1);
	cr_expect_not(wb_lone_sync_note(&lone, false));
	cr_expect_eq(rests(&lone, WB_LONE_SYNC_REGULAR, 1), 1);
}

Test(lone_sync, many_requests_for_each_sync_are_no_such_user)
{
	struct wb_lone_sync lone = { 0 };

	cr_expect_eq(rests(&lone, 1000, WB_LONE_SYNC_REQUESTS_MAX + 1), 0);
	rests(&lone, WB_LONE_SYNC_REGULAR, 1);
	cr_expect_eq(rests(&lone, 1, WB_LONE_SYNC_REQUESTS_MAX + 1), 0);
}
