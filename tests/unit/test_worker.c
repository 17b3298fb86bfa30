/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>
#include <glib.h>
#include <signal.h>
#include <stdatomic.h>

#include "base/lock.h"
#include "base/worker.h"

/* --- worker, by hand --------------------------------------------------------- */

struct countdown {
	int left;
	int runs;
};

static bool count_down(void *arg)
{
	struct countdown *c = arg;

	c->runs++;
	if (c->left > 0)
		c->left--;
	return c->left > 0;
}

Test(worker, by_hand_runs_one_step_and_returns_its_answer)
{
	struct countdown c = { .left = 2 };
	struct wb_worker *worker = wb_worker_new("test", WB_WORKER_MANUAL, count_down, &c);

	wb_worker_kick(worker);
	cr_assert_eq(c.runs, 0);
	cr_assert(wb_worker_run_step(worker));
	cr_assert_not(wb_worker_run_step(worker));
	cr_assert_not(wb_worker_run_step(worker));
	cr_assert_eq(c.runs, 3);
	wb_worker_free(worker);
	cr_assert_eq(c.runs, 3);
}

Test(worker, by_hand_does_nothing_after_stop)
{
	struct countdown c = { .left = 5 };
	struct wb_worker *worker = wb_worker_new("test", WB_WORKER_MANUAL, count_down, &c);

	wb_worker_stop(worker);
	wb_worker_kick(worker);
	cr_assert_not(wb_worker_run_step(worker));
	cr_assert_eq(c.runs, 0);
	wb_worker_free(worker);
}

static bool step_into_itself(void *arg)
{
	return wb_worker_run_step(*(struct wb_worker **)arg);
}

Test(worker, by_hand_a_step_inside_a_step_aborts, .signal = SIGABRT)
{
	struct wb_worker *worker;

	worker = wb_worker_new("test", WB_WORKER_MANUAL, step_into_itself, &worker);
	wb_worker_run_step(worker);
}

Test(worker, free_of_nothing_is_fine)
{
	wb_worker_free(NULL);
	wb_executor_free(NULL);
}

/* --- worker, with a thread --------------------------------------------------- */

struct meeting {
	struct wb_lock lock;
	struct wb_cond cond;
	int steps;		/* under lock */
	int more;		/* steps that will ask for another */
	bool is_held;		/* steps wait while it is set */
	bool is_inside;
	GThread *thread;
};

static void meeting_init(struct meeting *m)
{
	*m = (struct meeting){ 0 };
	wb_lock_init(&m->lock, WB_RANK_CACHE);
	wb_cond_init(&m->cond);
}

static bool meeting_step(void *arg)
{
	struct meeting *m = arg;
	bool more;

	wb_lock_acquire(&m->lock);
	cr_assert_not(m->is_inside);
	m->is_inside = true;
	m->thread = g_thread_self();
	m->steps++;
	more = m->more > 0;
	m->more -= more;
	wb_cond_broadcast(&m->cond);
	while (m->is_held)
		wb_cond_wait(&m->cond, &m->lock);
	m->is_inside = false;
	wb_lock_release(&m->lock);
	return more;
}

static void meeting_await(struct meeting *m, int steps)
{
	wb_lock_acquire(&m->lock);
	while (m->steps < steps)
		wb_cond_wait(&m->cond, &m->lock);
	wb_lock_release(&m->lock);
}

static void meeting_hold(struct meeting *m, bool is_held)
{
	wb_lock_acquire(&m->lock);
	m->is_held = is_held;
	wb_cond_broadcast(&m->cond);
	wb_lock_release(&m->lock);
}

Test(worker, does_not_step_before_a_kick)
{
	struct meeting m;
	struct wb_worker *worker;

	meeting_init(&m);
	worker = wb_worker_new("test", WB_WORKER_THREAD, meeting_step, &m);
	wb_worker_free(worker);
	cr_assert_eq(m.steps, 0);
}

Test(worker, steps_in_a_thread_of_its_own_after_a_kick)
{
	struct meeting m;
	struct wb_worker *worker;

	meeting_init(&m);
	worker = wb_worker_new("test", WB_WORKER_THREAD, meeting_step, &m);
	wb_worker_kick(worker);
	meeting_await(&m, 1);
	cr_assert_neq(m.thread, g_thread_self());
	wb_worker_kick(worker);
	meeting_await(&m, 2);
	wb_worker_free(worker);
	cr_assert_eq(m.steps, 2);
}

Test(worker, goes_on_while_the_step_says_so)
{
	struct meeting m;
	struct wb_worker *worker;

	meeting_init(&m);
	m.more = 41;
	worker = wb_worker_new("test", WB_WORKER_THREAD, meeting_step, &m);
	wb_worker_kick(worker);
	meeting_await(&m, 42);
	wb_worker_free(worker);
	cr_assert_eq(m.steps, 42);
}

Test(worker, a_kick_during_a_step_gives_one_more_step)
{
	struct meeting m;
	struct wb_worker *worker;

	meeting_init(&m);
	m.is_held = true;
	worker = wb_worker_new("test", WB_WORKER_THREAD, meeting_step, &m);
	wb_worker_kick(worker);
	meeting_await(&m, 1);
	for (int i = 0; i < 10; i++)
		wb_worker_kick(worker);
	meeting_hold(&m, false);
	meeting_await(&m, 2);
	wb_worker_free(worker);
	cr_assert_eq(m.steps, 2);
}

static bool step_for_ever(void *arg)
{
	atomic_fetch_add((atomic_int *)arg, 1);
	return true;
}

Test(worker, stop_ends_a_step_function_that_always_wants_more)
{
	atomic_int runs = 0;
	struct wb_worker *worker = wb_worker_new("test", WB_WORKER_THREAD, step_for_ever, &runs);
	int at_stop;

	wb_worker_kick(worker);
	while (atomic_load(&runs) == 0)
		g_thread_yield();
	wb_worker_stop(worker);
	at_stop = atomic_load(&runs);
	wb_worker_kick(worker);
	wb_worker_stop(worker);
	cr_assert_eq(atomic_load(&runs), at_stop);
	wb_worker_free(worker);
}

/* --- by the clock ---------------------------------------------------------------- */

/* What a step found when it began, and how it wants to be woken. */
struct timed {
	struct meeting m;
	struct wb_worker *worker;
	gint64 began_us;
	gint64 took_us[2];
};

static bool timed_step(void *arg)
{
	struct timed *t = arg;

	if (t->m.steps < 2) {
		t->took_us[t->m.steps] = g_get_monotonic_time() - t->began_us;
		t->began_us = g_get_monotonic_time();
		wb_worker_wake_in(t->worker, 20 * 1000 * 1000);
	}
	return meeting_step(&t->m);
}

Test(worker, is_woken_by_the_clock_alone_and_not_before_its_time)
{
	struct timed t = { .began_us = g_get_monotonic_time() };

	meeting_init(&t.m);
	t.worker = wb_worker_new("test", WB_WORKER_THREAD, timed_step, &t);
	wb_worker_wake_in(t.worker, 10 * 1000 * 1000);
	meeting_await(&t.m, 3);
	wb_worker_free(t.worker);
	cr_assert_geq(t.took_us[0], 10 * 1000);
	cr_assert_geq(t.took_us[1], 20 * 1000);
	cr_assert_eq(t.m.steps, 3);
}

Test(worker, a_kick_comes_before_the_clock_and_the_earlier_time_counts)
{
	struct meeting m;
	struct wb_worker *worker;

	meeting_init(&m);
	worker = wb_worker_new("test", WB_WORKER_THREAD, meeting_step, &m);
	wb_worker_wake_in(worker, UINT64_MAX);
	wb_worker_kick(worker);
	meeting_await(&m, 1);
	wb_worker_wake_in(worker, UINT64_C(3600) * 1000 * 1000 * 1000);
	wb_worker_wake_in(worker, 1);
	wb_worker_wake_in(worker, UINT64_C(3600) * 1000 * 1000 * 1000);
	meeting_await(&m, 2);
	wb_worker_free(worker);
}

/*
 * No kick is lost: each of several threads puts a token on the table and
 * kicks, then waits until its token is taken. With a lost kick nobody takes
 * it, and the test hangs.
 */
#define KICKERS 3
#define TOKENS 20000

struct table {
	atomic_int token[KICKERS];
	struct wb_worker *worker;
};

static bool take_tokens(void *arg)
{
	struct table *table = arg;

	for (int i = 0; i < KICKERS; i++) {
		if (atomic_load_explicit(&table->token[i], memory_order_relaxed) == 1)
			atomic_store_explicit(&table->token[i], 0, memory_order_relaxed);
	}
	return false;
}

struct kicker {
	struct table *table;
	int index;
};

static gpointer kicker_main(gpointer data)
{
	struct kicker *k = data;
	atomic_int *token = &k->table->token[k->index];

	for (int i = 0; i < TOKENS; i++) {
		atomic_store_explicit(token, 1, memory_order_relaxed);
		wb_worker_kick(k->table->worker);
		while (atomic_load_explicit(token, memory_order_relaxed) != 0)
			g_thread_yield();
	}
	return NULL;
}

Test(worker, no_kick_is_lost_between_threads)
{
	static struct table table;
	struct kicker kickers[KICKERS];
	GThread *threads[KICKERS];

	table.worker = wb_worker_new("test", WB_WORKER_THREAD, take_tokens, &table);
	for (int i = 0; i < KICKERS; i++) {
		kickers[i] = (struct kicker){ &table, i };
		threads[i] = g_thread_new("kicker", kicker_main, &kickers[i]);
	}
	for (int i = 0; i < KICKERS; i++)
		g_thread_join(threads[i]);
	wb_worker_free(table.worker);
}

/* --- executor ---------------------------------------------------------------- */

#define TASKS 1000

struct numbered {
	struct wb_task task;
	int number;
	struct wb_executor *executor;
	struct wb_task *follower;
};

static int order[TASKS];
static atomic_int ran_count;

static void note_number(struct wb_task *task)
{
	struct numbered *n = (struct numbered *)task;

	order[atomic_fetch_add(&ran_count, 1)] = n->number;
	if (n->follower != NULL)
		wb_executor_post(n->executor, n->follower);
}

static struct numbered tasks[TASKS];

static void number_tasks(struct wb_executor *executor)
{
	for (int i = 0; i < TASKS; i++)
		tasks[i] = (struct numbered){ { NULL, note_number }, i, executor, NULL };
}

static void assert_order(int count)
{
	cr_assert_eq(atomic_load(&ran_count), count);
	for (int i = 0; i < count; i++)
		cr_assert_eq(order[i], i);
}

Test(executor, by_hand_runs_tasks_in_the_order_of_posting)
{
	struct wb_executor *executor = wb_executor_new("test", WB_WORKER_MANUAL, 0);

	number_tasks(executor);
	cr_assert_not(wb_executor_run_one(executor));
	for (int i = 0; i < 3; i++)
		wb_executor_post(executor, &tasks[i].task);
	cr_assert_eq(wb_executor_queued_count(executor), 3);
	cr_assert(wb_executor_run_one(executor));
	cr_assert_eq(wb_executor_queued_count(executor), 2);
	wb_executor_post(executor, &tasks[3].task);
	while (wb_executor_run_one(executor))
		;
	assert_order(4);
	cr_assert_eq(wb_executor_queued_count(executor), 0);
	wb_executor_free(executor);
}

Test(executor, by_hand_a_task_may_be_posted_again_once_it_runs)
{
	struct wb_executor *executor = wb_executor_new("test", WB_WORKER_MANUAL, 0);

	number_tasks(executor);
	tasks[0].follower = &tasks[0].task;
	wb_executor_post(executor, &tasks[0].task);
	for (int i = 0; i < 5; i++)
		cr_assert(wb_executor_run_one(executor));
	tasks[0].follower = NULL;
	cr_assert(wb_executor_run_one(executor));
	cr_assert_not(wb_executor_run_one(executor));
	cr_assert_eq(atomic_load(&ran_count), 6);
	wb_executor_free(executor);
}

Test(executor, free_runs_what_is_queued_by_hand)
{
	struct wb_executor *executor = wb_executor_new("test", WB_WORKER_MANUAL, 0);

	number_tasks(executor);
	tasks[1].follower = &tasks[2].task;
	wb_executor_post(executor, &tasks[0].task);
	wb_executor_post(executor, &tasks[1].task);
	wb_executor_free(executor);
	assert_order(3);
}

Test(executor, one_thread_keeps_the_order_and_free_runs_the_rest)
{
	struct wb_executor *executor = wb_executor_new("test", WB_WORKER_THREAD, 1);

	number_tasks(executor);
	for (int i = 0; i < TASKS; i++)
		wb_executor_post(executor, &tasks[i].task);
	wb_executor_free(executor);
	assert_order(TASKS);
}

Test(executor, tasks_may_post_tasks_while_it_is_freed)
{
	struct wb_executor *executor = wb_executor_new("test", WB_WORKER_THREAD, 3);

	number_tasks(executor);
	for (int i = 0; i + 1 < TASKS; i++)
		tasks[i].follower = &tasks[i + 1].task;
	wb_executor_post(executor, &tasks[0].task);
	wb_executor_free(executor);
	assert_order(TASKS);
}

static gpointer post_main(gpointer data)
{
	struct wb_executor *executor = data;

	for (int i = 0; i < TASKS / 2; i++)
		wb_executor_post(executor, &tasks[i].task);
	return NULL;
}

Test(executor, several_threads_run_each_task_once)
{
	struct wb_executor *executor = wb_executor_new("test", WB_WORKER_THREAD, 4);
	bool seen[TASKS] = { false };
	GThread *poster;

	number_tasks(executor);
	poster = g_thread_new("post", post_main, executor);
	for (int i = TASKS / 2; i < TASKS; i++)
		wb_executor_post(executor, &tasks[i].task);
	g_thread_join(poster);
	wb_executor_free(executor);
	cr_assert_eq(atomic_load(&ran_count), TASKS);
	for (int i = 0; i < TASKS; i++) {
		cr_assert_not(seen[order[i]]);
		seen[order[i]] = true;
	}
}

Test(executor, a_sleeping_thread_wakes_for_a_task)
{
	struct wb_executor *executor = wb_executor_new("test", WB_WORKER_THREAD, 2);

	number_tasks(executor);
	for (int i = 0; i < TASKS; i++) {
		wb_executor_post(executor, &tasks[i].task);
		while (atomic_load(&ran_count) <= i)
			g_thread_yield();
	}
	wb_executor_free(executor);
	assert_order(TASKS);
}

#ifdef WB_CHECKS
Test(executor, posting_a_task_twice_aborts, .signal = SIGABRT)
{
	struct wb_executor *executor = wb_executor_new("test", WB_WORKER_MANUAL, 0);

	number_tasks(executor);
	wb_executor_post(executor, &tasks[0].task);
	wb_executor_post(executor, &tasks[0].task);
}
#endif
