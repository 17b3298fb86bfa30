/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/worker.h"

#include <glib.h>
#include <stdatomic.h>

#include "base/lock.h"

#define NEVER G_MAXINT64

struct wb_worker {
	/* constant after new */
	enum wb_worker_mode mode;
	wb_step_fn step;
	void *arg;
	GThread *thread;		/* NULL when MANUAL */

	/* atomic */
	atomic_bool is_due;		/* kicked since the last step began */
	atomic_bool is_stopping;

	/* under lock: nothing but the sleep of the thread */
	struct wb_lock lock;
	struct wb_cond wake;
	gint64 due_at_us;		/* without a kick, at this time; NEVER */

	/* the stepping thread and the owner only */
	bool is_stepping;
	bool is_stopped;
};

/* FALSE: the thread has to end. */
static bool wait_until_due(struct wb_worker *worker)
{
	wb_lock_acquire(&worker->lock);
	while (!atomic_load(&worker->is_due) && !atomic_load(&worker->is_stopping)) {
		if (worker->due_at_us == NEVER)
			wb_cond_wait(&worker->wake, &worker->lock);
		else if (!wb_cond_wait_until(&worker->wake, &worker->lock, worker->due_at_us))
			break;
	}
	worker->due_at_us = NEVER;
	wb_lock_release(&worker->lock);
	return !atomic_load(&worker->is_stopping);
}

static gpointer worker_main(gpointer data)
{
	struct wb_worker *worker = data;

	while (wait_until_due(worker)) {
		/* Taken back BEFORE the step looks: a kick that comes after this
		 * makes the worker due again, and what a kick before it announced
		 * is visible to the step. An exchange, not a store, as it has to
		 * read what the last kick wrote (see wb_worker_kick()). */
		atomic_exchange(&worker->is_due, false);
		while (worker->step(worker->arg)) {
			if (atomic_load(&worker->is_stopping))
				break;
		}
	}
	return NULL;
}

struct wb_worker *wb_worker_new(const char *name, enum wb_worker_mode mode,
				wb_step_fn step, void *arg)
{
	struct wb_worker *worker = g_new0(struct wb_worker, 1);

	worker->mode = mode;
	worker->step = step;
	worker->arg = arg;
	wb_lock_init(&worker->lock, WB_RANK_EXECUTOR);
	wb_cond_init(&worker->wake);
	worker->due_at_us = NEVER;
	if (mode == WB_WORKER_THREAD)
		worker->thread = g_thread_new(name, worker_main, worker);
	return worker;
}

void wb_worker_kick(struct wb_worker *worker)
{
	/* Pairs with the exchange of worker_main(). Of two threads that kick,
	 * the second may only leave it to the first if the worker's exchange
	 * comes after both: a plain load here could see the flag of a step that
	 * has looked already, and the kick would be lost. */
	if (atomic_exchange(&worker->is_due, true))
		return;
	/* Under the lock, so that it cannot fall between the worker's last look
	 * at the flag and its sleep. */
	wb_lock_acquire(&worker->lock);
	wb_cond_signal(&worker->wake);
	wb_lock_release(&worker->lock);
}

void wb_worker_wake_in(struct wb_worker *worker, uint64_t ns)
{
	/* Rounded up: woken too early, the step would find nothing to do. */
	gint64 us = (gint64)MIN(ns / 1000 + 1, (uint64_t)G_MAXINT64 / 2);
	gint64 due_at_us = g_get_monotonic_time() + us;

	wb_lock_acquire(&worker->lock);
	if (due_at_us < worker->due_at_us) {
		worker->due_at_us = due_at_us;
		wb_cond_signal(&worker->wake);
	}
	wb_lock_release(&worker->lock);
}

bool wb_worker_run_step(struct wb_worker *worker)
{
	bool more;

	g_assert(worker->mode == WB_WORKER_MANUAL);
	g_assert(!worker->is_stepping);
	if (worker->is_stopped)
		return false;
	worker->is_stepping = true;
	atomic_exchange(&worker->is_due, false);
	more = worker->step(worker->arg);
	worker->is_stepping = false;
	return more;
}

void wb_worker_stop(struct wb_worker *worker)
{
	if (worker->is_stopped)
		return;
	worker->is_stopped = true;
	wb_lock_acquire(&worker->lock);
	atomic_store(&worker->is_stopping, true);
	wb_cond_signal(&worker->wake);
	wb_lock_release(&worker->lock);
	if (worker->thread != NULL)
		g_thread_join(worker->thread);
}

void wb_worker_free(struct wb_worker *worker)
{
	if (worker == NULL)
		return;
	wb_worker_stop(worker);
	wb_cond_clear(&worker->wake);
	wb_lock_clear(&worker->lock);
	g_free(worker);
}

struct wb_executor {
	/* constant after new */
	enum wb_worker_mode mode;
	GThread **threads;
	unsigned thread_count;

	/* under lock */
	struct wb_lock lock;
	struct wb_cond wake;		/* a task came, or is_stopping */
	struct wb_task *first, *last;
	size_t queued_count;
	unsigned idle_count;
	bool is_stopping;
};

static void check_not_queued_locked(struct wb_executor *executor, struct wb_task *task)
{
#ifdef WB_CHECKS
	/* A task queued twice ties the list into a ring. */
	for (struct wb_task *t = executor->first; t != NULL; t = t->next)
		g_assert(t != task);
#else
	(void)executor;
	(void)task;
#endif
}

static struct wb_task *pop_locked(struct wb_executor *executor)
{
	struct wb_task *task = executor->first;

	wb_lock_assert_held(&executor->lock);
	if (task == NULL)
		return NULL;
	executor->first = task->next;
	if (executor->first == NULL)
		executor->last = NULL;
	executor->queued_count--;
	task->next = NULL;
	return task;
}

/* NULL: the thread has to end, as there is nothing left to run. */
static struct wb_task *wait_for_task(struct wb_executor *executor)
{
	struct wb_task *task;

	wb_lock_acquire(&executor->lock);
	while ((task = pop_locked(executor)) == NULL && !executor->is_stopping) {
		executor->idle_count++;
		wb_cond_wait(&executor->wake, &executor->lock);
		executor->idle_count--;
	}
	wb_lock_release(&executor->lock);
	return task;
}

static gpointer executor_main(gpointer data)
{
	struct wb_executor *executor = data;
	struct wb_task *task;

	while ((task = wait_for_task(executor)) != NULL)
		task->run(task);
	return NULL;
}

struct wb_executor *wb_executor_new(const char *name, enum wb_worker_mode mode,
				    unsigned thread_count)
{
	struct wb_executor *executor = g_new0(struct wb_executor, 1);

	executor->mode = mode;
	wb_lock_init(&executor->lock, WB_RANK_EXECUTOR);
	wb_cond_init(&executor->wake);
	if (mode == WB_WORKER_MANUAL)
		return executor;
	g_assert(thread_count > 0);
	executor->thread_count = thread_count;
	executor->threads = g_new0(GThread *, thread_count);
	for (unsigned i = 0; i < thread_count; i++)
		executor->threads[i] = g_thread_new(name, executor_main, executor);
	return executor;
}

void wb_executor_post(struct wb_executor *executor, struct wb_task *task)
{
	wb_lock_acquire(&executor->lock);
	check_not_queued_locked(executor, task);
	task->next = NULL;
	if (executor->last != NULL)
		executor->last->next = task;
	else
		executor->first = task;
	executor->last = task;
	executor->queued_count++;
	/* A thread that is not asleep looks at the queue before it sleeps. */
	if (executor->idle_count > 0)
		wb_cond_signal(&executor->wake);
	wb_lock_release(&executor->lock);
}

static bool run_oldest(struct wb_executor *executor)
{
	struct wb_task *task;

	wb_lock_acquire(&executor->lock);
	task = pop_locked(executor);
	wb_lock_release(&executor->lock);
	if (task == NULL)
		return false;
	task->run(task);
	return true;
}

bool wb_executor_run_one(struct wb_executor *executor)
{
	g_assert(executor->mode == WB_WORKER_MANUAL);
	return run_oldest(executor);
}

size_t wb_executor_queued_count(struct wb_executor *executor)
{
	size_t count;

	wb_lock_acquire(&executor->lock);
	count = executor->queued_count;
	wb_lock_release(&executor->lock);
	return count;
}

void wb_executor_free(struct wb_executor *executor)
{
	if (executor == NULL)
		return;
	wb_lock_acquire(&executor->lock);
	executor->is_stopping = true;
	wb_cond_broadcast(&executor->wake);
	wb_lock_release(&executor->lock);
	for (unsigned i = 0; i < executor->thread_count; i++)
		g_thread_join(executor->threads[i]);
	/* MANUAL: nobody else runs what is left. */
	while (run_oldest(executor))
		;
	g_free(executor->threads);
	wb_cond_clear(&executor->wake);
	wb_lock_clear(&executor->lock);
	g_free(executor);
}
