/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/pressure.h"

#include <glib.h>

void wb_pressure_init(struct wb_pressure *pressure, struct wb_executor *executor,
		      struct wb_clock *clock, struct wb_stats *stats)
{
	wb_lock_init(&pressure->lock, WB_RANK_PARK);
	pressure->executor = executor;
	pressure->clock = clock;
	pressure->stats = stats;
	pressure->last = &pressure->first;
}

void wb_pressure_set_first_waits(struct wb_pressure *pressure, void (*first_waits)(void *arg),
				 void *arg)
{
	pressure->first_waits = first_waits;
	pressure->arg = arg;
}

void wb_pressure_clear(struct wb_pressure *pressure)
{
	wb_lock_clear(&pressure->lock);
}

static void append_locked(struct wb_pressure *pressure, struct wb_slowed *slowed)
{
	slowed->next = NULL;
	*pressure->last = slowed;
	pressure->last = &slowed->next;
	pressure->count++;
}

bool wb_pressure_holds(struct wb_pressure *pressure, struct wb_slowed *slowed,
		       struct wb_task *task, uint32_t blocks)
{
	bool waits = false, is_first = false;
	uint64_t now;

	slowed->task = task;
	slowed->blocks = blocks;
	wb_lock_acquire(&pressure->lock);
	now = wb_clock_now_ns(pressure->clock);
	/* It may have become fast since it was looked at: then nobody would come to
	 * let this one go on. */
	if (atomic_load(&pressure->is_slow) &&
	    (pressure->first || !wb_write_pace_take(&pressure->pace, now, blocks))) {
		slowed->since_ns = now;
		is_first = !pressure->first;
		append_locked(pressure, slowed);
		waits = true;
	}
	wb_lock_release(&pressure->lock);
	if (waits)	/* it may be gone */
		WB_STAT_ADD(pressure->stats, WB_STAT_SLOWED_REQUESTS, 1);
	if (is_first && pressure->first_waits)
		pressure->first_waits(pressure->arg);
	return waits;
}

/* Those who may go on, as a list of their own. */
static struct wb_slowed *take_locked(struct wb_pressure *pressure, uint64_t now)
{
	bool is_slow = atomic_load(&pressure->is_slow);
	struct wb_slowed *list = pressure->first, **end = &list;

	while (*end && (!is_slow || wb_write_pace_take(&pressure->pace, now, (*end)->blocks))) {
		WB_STAT_ADD(pressure->stats, WB_STAT_SLOWED_NS, now - (*end)->since_ns);
		pressure->count--;
		end = &(*end)->next;
	}
	pressure->first = *end;
	if (!pressure->first)
		pressure->last = &pressure->first;
	*end = NULL;
	return list;
}

static void post_all(struct wb_pressure *pressure, struct wb_slowed *list)
{
	struct wb_slowed *next;

	for (; list; list = next) {
		next = list->next;	/* posting gives it away */
		wb_executor_post(pressure->executor, list->task);
	}
}

bool wb_pressure_add(struct wb_pressure *pressure, struct wb_write_pace_news *news)
{
	bool some_wait;

	wb_lock_acquire(&pressure->lock);
	news->now_ns = wb_clock_now_ns(pressure->clock);
	wb_write_pace_add(&pressure->pace, news);
	atomic_store(&pressure->is_slow, wb_write_pace_is_slow(&pressure->pace));
	some_wait = pressure->first != NULL;
	wb_lock_release(&pressure->lock);
	return some_wait;
}

uint64_t wb_pressure_release(struct wb_pressure *pressure, bool *any)
{
	struct wb_slowed *list = NULL;
	uint64_t wait_ns = 0;

	wb_lock_acquire(&pressure->lock);
	if (pressure->first) {
		uint64_t now = wb_clock_now_ns(pressure->clock);

		list = take_locked(pressure, now);
		if (pressure->first)
			wait_ns = wb_write_pace_wait_ns(&pressure->pace, now);
	}
	wb_lock_release(&pressure->lock);
	*any = list != NULL;
	post_all(pressure, list);
	return wait_ns;
}

void wb_pressure_look(struct wb_pressure *pressure, uint32_t *waiting, double *rate)
{
	wb_lock_acquire(&pressure->lock);
	*waiting = pressure->count;
	*rate = wb_write_pace_is_slow(&pressure->pace) ?
		wb_write_pace_rate(&pressure->pace, wb_clock_now_ns(pressure->clock)) : 0;
	wb_lock_release(&pressure->lock);
}
