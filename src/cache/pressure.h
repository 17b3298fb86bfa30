/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The gate before writes that go to the log while the ring is nearly full: they wait
 * here for their turn, in the order in which they came, so that all together write no
 * faster than write_pace.h says. A write that waits holds nothing, not even a place in
 * the log, and has paid when it goes on.
 *
 * It does not replace waiting for room (park.h), which comes after it and holds
 * whenever this gate is open: when the ring is full nevertheless, and always while
 * there is trouble with the disks, of which only those who wait there are a sign.
 *
 * Any thread. While the ring is far from full the gate costs a write one look at
 * `is_slow`, which hardly ever changes.
 */
#ifndef WB_CACHE_PRESSURE_H
#define WB_CACHE_PRESSURE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/lines.h"
#include "base/lock.h"
#include "base/worker.h"
#include "cache/stats.h"
#include "cache/write_pace.h"

/* A write that waits. */
struct wb_slowed {
	struct wb_slowed *next;
	struct wb_task *task;		/* posted when it may go on */
	uint32_t blocks;		/* that it will take of the ring */
	uint64_t since_ns;
};

struct wb_pressure {
	/* constant after init */
	struct wb_executor *executor;
	struct wb_clock *clock;
	struct wb_stats *stats;
	void (*first_waits)(void *arg);
	void *arg;

	struct wb_lock lock;
	/* under lock */
	struct wb_write_pace pace;
	struct wb_slowed *first, **last;
	uint32_t count;

	/* atomic; written under lock */
	atomic_bool is_slow __attribute__((aligned(WB_CACHE_LINE_BYTES)));
} __attribute__((aligned(WB_CACHE_LINE_BYTES)));

/* `first_waits` is called with no lock held when somebody waits and nobody did:
 * wb_pressure_release() is to be called from now on. */
void wb_pressure_init(struct wb_pressure *pressure, struct wb_executor *executor,
		      struct wb_clock *clock, struct wb_stats *stats);
void wb_pressure_set_first_waits(struct wb_pressure *pressure, void (*first_waits)(void *arg),
				 void *arg);
void wb_pressure_clear(struct wb_pressure *pressure);

static inline bool wb_pressure_is_on(struct wb_pressure *pressure)
{
	return atomic_load_explicit(&pressure->is_slow, memory_order_relaxed);
}

/* A write of `blocks` blocks, once: TRUE when it waits. Then its task is posted when it
 * is its turn (it may run elsewhere already). */
bool wb_pressure_holds(struct wb_pressure *pressure, struct wb_slowed *slowed,
		       struct wb_task *task, uint32_t blocks);

/* How the ring and writeback are now; `now_ns` is filled in here. With a mark of 0
 * nobody is slowed. TRUE: there are some who wait, and may go on sooner. */
bool wb_pressure_add(struct wb_pressure *pressure, struct wb_write_pace_news *news);

/* Lets those go on whose turn it is: `any`. Returns after how long it is the next
 * one's; 0: nobody waits. */
uint64_t wb_pressure_release(struct wb_pressure *pressure, bool *any);

/* For people: who waits now, and how fast writes may go on, in blocks a second (0:
 * without limit). */
void wb_pressure_look(struct wb_pressure *pressure, uint32_t *waiting, double *rate);

#endif
