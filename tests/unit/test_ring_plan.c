/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>

#include "frontend/fuse_uring.h"
#include "frontend/ring_plan.h"

static size_t memory_of(const struct wb_ring_plan *plan)
{
	return plan->queue_count * plan->depth * wb_ring_plan_stride_bytes(plan);
}

Test(ring_plan, keeps_to_its_memory_however_many_processors_there_are)
{
	for (unsigned cpus = 1; cpus <= 380; cpus++) {
		struct wb_ring_plan plan;

		cr_assert(wb_ring_plan_make(&plan, cpus), "%u", cpus);
		cr_assert_eq(plan.queue_count, cpus);
		cr_assert_leq(plan.thread_count, MIN(cpus, WB_RING_THREADS_MAX));
		cr_assert_leq(memory_of(&plan), WB_RING_MEMORY_BYTES, "%u", cpus);
		cr_assert_geq(plan.depth, 1);
		cr_assert_geq(plan.payload_bytes, 64u << 10);
	}
}

Test(ring_plan, goes_deep_first_and_long_then)
{
	struct wb_ring_plan plan;

	wb_ring_plan_make(&plan, 2);
	cr_assert_eq(plan.depth, WB_RING_DEPTH_MAX);
	cr_assert_eq(plan.payload_bytes, 256u << 10);
	wb_ring_plan_make(&plan, 8);
	cr_assert_eq(plan.depth, WB_RING_DEPTH_MAX);
	cr_assert_eq(plan.payload_bytes, 64u << 10);
	wb_ring_plan_make(&plan, 64);
	cr_assert_eq(plan.depth, 6);
	cr_assert_eq(plan.thread_count, WB_RING_THREADS_MAX);
}

/* Else reads would wait behind writes that wait for space. */
Test(ring_plan, keeps_room_in_each_queue_that_asynchronous_requests_cannot_take)
{
	for (unsigned cpus = 1; cpus <= 190; cpus++) {
		struct wb_ring_plan plan;

		wb_ring_plan_make(&plan, cpus);
		cr_assert_lt(plan.max_background, plan.depth, "%u", cpus);
		cr_assert_geq(plan.max_background, 1, "%u", cpus);
	}
}

Test(ring_plan, is_refused_where_there_is_no_room_for_one_entry_each)
{
	struct wb_ring_plan plan;

	cr_assert_not(wb_ring_plan_make(&plan, 0));
	cr_assert_not(wb_ring_plan_make(&plan, 1000));
}

Test(ring_plan, counts_processors_in_a_list_of_the_kernel)
{
	cr_assert_eq(wb_ring_plan_count_cpus("0\n"), 1);
	cr_assert_eq(wb_ring_plan_count_cpus("0-1\n"), 2);
	cr_assert_eq(wb_ring_plan_count_cpus("0-3,8-11\n"), 8);
	cr_assert_eq(wb_ring_plan_count_cpus("0,2,4"), 3);
}

Test(ring_plan, takes_nothing_else_for_a_list)
{
	static const char *const bad[] = { "", "\n", "-", "1-", "3-1", "0-", "x", "0-1x", "0,",
					   "0-99999999999" };

	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++)
		cr_assert_eq(wb_ring_plan_count_cpus(bad[i]), 0, "\"%s\"", bad[i]);
}

Test(fuse_uring, says_why_it_cannot_be_had_and_what_would_help)
{
	cr_assert_null(wb_fuse_uring_refusal("Y\n"));
	cr_assert_null(wb_fuse_uring_refusal("1\n"));
	cr_assert(strstr(wb_fuse_uring_refusal("N\n"),
			 "it is switched off; as root: echo Y > /sys/module/fuse/"));
	cr_assert(strstr(wb_fuse_uring_refusal(NULL),
			 "this kernel does not offer it (Linux 6.14 does"));
}
