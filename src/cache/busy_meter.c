/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/busy_meter.h"

#include <glib.h>

void wb_busy_meter_init(struct wb_busy_meter *meter, struct wb_clock *clock)
{
	*meter = (struct wb_busy_meter){ .clock = clock };
	wb_lock_init(&meter->lock, WB_RANK_MESSAGE);
}

void wb_busy_meter_clear(struct wb_busy_meter *meter)
{
	wb_lock_clear(&meter->lock);
}

/* Two threads may get here in another order than they looked at the clock. */
static void count_up_to_locked(struct wb_busy_meter *meter, uint64_t now_ns)
{
	uint64_t ns = MAX(now_ns, meter->since_ns) - meter->since_ns;

	wb_lock_assert_held(&meter->lock);
	if (meter->in_flight > 0)
		meter->busy_ns += ns;
	meter->sum_ns += ns * meter->in_flight;
	meter->since_ns += ns;
}

void wb_busy_meter_begin(struct wb_busy_meter *meter)
{
	uint64_t now_ns = wb_clock_now_ns(meter->clock);

	wb_lock_acquire(&meter->lock);
	count_up_to_locked(meter, now_ns);
	meter->in_flight++;
	wb_lock_release(&meter->lock);
}

void wb_busy_meter_end(struct wb_busy_meter *meter)
{
	uint64_t now_ns = wb_clock_now_ns(meter->clock);

	wb_lock_acquire(&meter->lock);
	g_assert(meter->in_flight > 0);
	count_up_to_locked(meter, now_ns);
	meter->in_flight--;
	wb_lock_release(&meter->lock);
}

struct wb_busy_times wb_busy_meter_read(struct wb_busy_meter *meter)
{
	uint64_t now_ns = wb_clock_now_ns(meter->clock);
	struct wb_busy_times busy;

	wb_lock_acquire(&meter->lock);
	count_up_to_locked(meter, now_ns);
	busy = (struct wb_busy_times){ meter->busy_ns, meter->sum_ns };
	wb_lock_release(&meter->lock);
	return busy;
}
