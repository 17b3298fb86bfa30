/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>

#include "cmd/space_watch.h"

#define MIB (UINT64_C(1) << 20)

static int judge(uint64_t free_mib, uint64_t missing_mib, uint64_t dirty_mib, uint64_t cache_mib)
{
	struct wb_backing_space space = { 0 };

	wb_space_judge(&space, free_mib * MIB, missing_mib * MIB, dirty_mib * MIB, cache_mib * MIB);
	return (int)space.state;
}

Test(space_watch, a_backing_without_holes_needs_no_room)
{
	cr_expect_eq(judge(0, 0, 50, 100), WB_SPACE_OK);
}

Test(space_watch, room_for_all_that_the_cache_can_hold_is_ok)
{
	cr_expect_eq(judge(100, 1000, 50, 100), WB_SPACE_OK);
	cr_expect_eq(judge(99, 1000, 50, 100), WB_SPACE_LOW);
}

Test(space_watch, less_than_what_is_dirty_now_is_full)
{
	cr_expect_eq(judge(50, 1000, 50, 100), WB_SPACE_LOW);
	cr_expect_eq(judge(49, 1000, 50, 100), WB_SPACE_FULL);
	cr_expect_eq(judge(0, 1000, 0, 100), WB_SPACE_FULL);
}

Test(space_watch, no_more_is_needed_than_the_holes_can_take)
{
	struct wb_backing_space space = { 0 };

	cr_expect_eq(judge(10, 10, 50, 100), WB_SPACE_OK);
	cr_expect_eq(judge(9, 10, 50, 100), WB_SPACE_FULL);
	wb_space_judge(&space, 9 * MIB, 10 * MIB, 50 * MIB, 100 * MIB);
	cr_expect_eq(space.needed_bytes, 10 * MIB);
}
