/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads as the core sees them. In a test the same objects are MANUAL: no
 * thread exists, and the test runs steps and tasks by hand in an order that
 * its seed decides.
 *
 * wb_worker: a step function that is run whenever it was kicked, until it
 * says that there is nothing to do. At most one thread runs it at a time.
 * wb_executor: a queue of tasks (intrusive, so posting allocates nothing) run
 * by a few threads, in the order of posting.
 */
#ifndef WB_BASE_WORKER_H
#define WB_BASE_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum wb_worker_mode { WB_WORKER_THREAD, WB_WORKER_MANUAL };

/* One step: TRUE when something was done and more may be possible at once. */
typedef bool (*wb_step_fn)(void *arg);

struct wb_worker;

struct wb_worker *wb_worker_new(const char *name, enum wb_worker_mode mode,
				wb_step_fn step, void *arg);
/* Any thread, also from done(): the step function will run (again) after
 * this. Cheap when it is running or due already. */
void wb_worker_kick(struct wb_worker *worker);
/*
 * The step function will run (again) after that time at the latest, without a
 * kick. Forgotten when the next step begins, which has to ask again. Any thread,
 * mostly the step itself. By hand there is nothing to wake: the test steps after
 * it has moved its clock.
 */
void wb_worker_wake_in(struct wb_worker *worker, uint64_t ns);
/* MANUAL only: runs one step now; returns what it returned. */
bool wb_worker_run_step(struct wb_worker *worker);
/* Ends the thread after the step that it is in; later kicks do nothing. */
void wb_worker_stop(struct wb_worker *worker);
void wb_worker_free(struct wb_worker *worker);	/* stops first */

struct wb_task {
	struct wb_task *next;		/* of the executor */
	void (*run)(struct wb_task *task);
};

struct wb_executor;

struct wb_executor *wb_executor_new(const char *name, enum wb_worker_mode mode,
				    unsigned thread_count);
/* Any thread. `task` must not be posted already. */
void wb_executor_post(struct wb_executor *executor, struct wb_task *task);
/* MANUAL only: runs the oldest task; FALSE when there is none. */
bool wb_executor_run_one(struct wb_executor *executor);
size_t wb_executor_queued_count(struct wb_executor *executor);
/* Runs what is queued, then ends the threads. */
void wb_executor_free(struct wb_executor *executor);

#endif
