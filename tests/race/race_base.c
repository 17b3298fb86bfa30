/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Locks, conditions, workers and executors under load, for ThreadSanitizer: a
 * plain program, as Criterion does not run under it. What is shared here is
 * plain memory on purpose: only the order that base/ promises makes it right,
 * so a note that is missing in lock.c is a report.
 */
#include <glib.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/lock.h"
#include "base/worker.h"

#define THREADS 3
#define ROUNDS 3000

static struct wb_lock lock;
static struct wb_cond cond;
static unsigned shared;		/* under lock */
static int test_count;

static void report(const char *name, bool is_right)
{
	printf("%sok %d - %s\n", is_right ? "" : "not ", ++test_count, name);
}

static gpointer add_main(gpointer data)
{
	for (int i = 0; i < ROUNDS; i++) {
		if (i % 3 != 0 || !wb_lock_try(&lock))
			wb_lock_acquire(&lock);
		shared++;
		wb_lock_release(&lock);
	}
	return data;
}

static gpointer turn_main(gpointer data)
{
	unsigned me = GPOINTER_TO_UINT(data);

	for (int i = 0; i < ROUNDS / 10; i++) {
		wb_lock_acquire(&lock);
		while (shared % THREADS != me) {
			if (i % 2 != 0)
				wb_cond_wait(&cond, &lock);
			else
				wb_cond_wait_until(&cond, &lock,
						   g_get_monotonic_time() + 1000);
		}
		shared++;
		wb_cond_broadcast(&cond);
		wb_lock_release(&lock);
	}
	return NULL;
}

static void run_threads(GThreadFunc function)
{
	GThread *threads[THREADS];

	shared = 0;
	for (unsigned i = 0; i < THREADS; i++)
		threads[i] = g_thread_new("race", function, GUINT_TO_POINTER(i));
	for (unsigned i = 0; i < THREADS; i++)
		g_thread_join(threads[i]);
}

/* A kick carries what was written before it to the step. */
static struct {
	struct wb_worker *worker;
	unsigned given;		/* plain: one kicker at a time, by `lock` */
	unsigned taken;		/* under lock */
} desk;

static bool take_step(void *arg)
{
	(void)arg;
	wb_lock_acquire(&lock);
	desk.taken = desk.given;
	wb_cond_broadcast(&cond);
	wb_lock_release(&lock);
	return false;
}

static gpointer kick_main(gpointer data)
{
	for (int i = 0; i < ROUNDS; i++) {
		unsigned mine;

		wb_lock_acquire(&lock);
		mine = ++desk.given;
		wb_lock_release(&lock);
		wb_worker_kick(desk.worker);
		wb_lock_acquire(&lock);
		while (desk.taken < mine)
			wb_cond_wait(&cond, &lock);
		wb_lock_release(&lock);
	}
	return data;
}

/* One kicker, no lock at all: the flag of the worker is all the order. */
static unsigned plain_in;
static unsigned plain_out;

static bool copy_step(void *arg)
{
	(void)arg;
	plain_out = plain_in;
	return false;
}

struct step_task {
	struct wb_task task;
	struct wb_executor *executor;
	unsigned left;		/* of the task alone */
};

static void run_task(struct wb_task *task)
{
	struct step_task *t = (struct step_task *)task;

	if (--t->left > 0)
		wb_executor_post(t->executor, task);
}

static bool race_executor(void)
{
	struct wb_executor *executor = wb_executor_new("race", WB_WORKER_THREAD, THREADS);
	struct step_task tasks[8];
	bool is_right = true;

	for (unsigned i = 0; i < 8; i++) {
		tasks[i] = (struct step_task){ { NULL, run_task }, executor, ROUNDS };
		wb_executor_post(executor, &tasks[i].task);
	}
	wb_executor_free(executor);
	for (unsigned i = 0; i < 8; i++)
		is_right = is_right && tasks[i].left == 0;
	return is_right;
}

int main(void)
{
	wb_lock_init(&lock, WB_RANK_LOG);
	wb_cond_init(&cond);

	run_threads(add_main);
	report("locks exclude each other's threads", shared == THREADS * ROUNDS);

	run_threads(turn_main);
	report("threads hand a turn round", shared == THREADS * (ROUNDS / 10));

	desk.worker = wb_worker_new("race", WB_WORKER_THREAD, take_step, NULL);
	run_threads(kick_main);
	wb_worker_free(desk.worker);
	report("each kick is answered", desk.taken == THREADS * ROUNDS);

	desk.worker = wb_worker_new("race", WB_WORKER_THREAD, copy_step, NULL);
	plain_in = 7;
	wb_worker_kick(desk.worker);
	wb_worker_free(desk.worker);
	report("a kick carries what was written before it", plain_out == 0 || plain_out == 7);

	report("tasks run to their end", race_executor());

	wb_cond_clear(&cond);
	wb_lock_clear(&lock);
	printf("1..%d\n", test_count);
	return 0;
}
