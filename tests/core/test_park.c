/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>

#include "cache/park.h"

static struct wb_executor *executor;
static struct wb_park_list list;

struct guest {
	struct wb_task task;		/* first: run() casts */
	struct wb_parked parked;
	int woken_as;			/* 1: the first; 0: not yet */
};

static struct guest guests[4];
static int wake_count;

static void run(struct wb_task *task)
{
	((struct guest *)task)->woken_as = ++wake_count;
}

static void start(void)
{
	executor = wb_executor_new("test", WB_WORKER_MANUAL, 1);
	wb_park_list_init(&list, executor);
	for (unsigned i = 0; i < G_N_ELEMENTS(guests); i++) {
		guests[i].task.run = run;
		guests[i].parked.task = &guests[i].task;
	}
}

static void stop(void)
{
	wb_park_list_clear(&list);
	wb_executor_free(executor);
}

TestSuite(park, .init = start, .fini = stop);

static void run_all(void)
{
	while (wb_executor_run_one(executor))
		;
}

Test(park, a_wake_runs_all_in_the_order_in_which_they_came)
{
	for (unsigned i = 0; i < 4; i++)
		cr_assert(wb_park(&list, &guests[i].parked, wb_park_generation(&list)));
	cr_expect_eq(wb_park_count(&list), 4);
	wb_park_wake_all(&list);
	cr_expect_eq(wb_park_count(&list), 0);
	cr_expect_eq(guests[0].woken_as, 0, "a wake must not run them itself");
	run_all();
	for (int i = 0; i < 4; i++)
		cr_expect_eq(guests[i].woken_as, i + 1);
}

Test(park, a_wake_between_the_attempt_and_the_parking_is_not_lost)
{
	uint64_t generation = wb_park_generation(&list);

	wb_park_wake_all(&list);
	cr_expect_not(wb_park(&list, &guests[0].parked, generation));
	cr_expect_eq(wb_park_count(&list), 0);
	cr_expect(wb_park(&list, &guests[0].parked, wb_park_generation(&list)));
}

Test(park, one_wake_wakes_once)
{
	cr_assert(wb_park(&list, &guests[0].parked, wb_park_generation(&list)));
	wb_park_wake_all(&list);
	run_all();
	wb_park_wake_all(&list);
	run_all();
	cr_expect_eq(wake_count, 1);
}

Test(park, who_was_woken_may_park_again)
{
	for (int round = 1; round <= 3; round++) {
		cr_assert(wb_park(&list, &guests[0].parked, wb_park_generation(&list)));
		wb_park_wake_all(&list);
		run_all();
		cr_expect_eq(wake_count, round);
	}
}
