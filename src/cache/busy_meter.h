/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How long a disk has had I/O of some kind: the time with at least one under way,
 * and the sum of the times of all. Any thread.
 */
#ifndef WB_CACHE_BUSY_METER_H
#define WB_CACHE_BUSY_METER_H

#include <stdint.h>

#include "base/clock.h"
#include "base/lock.h"

struct wb_busy_meter {
	struct wb_clock *clock;
	struct wb_lock lock;
	/* under lock */
	uint64_t since_ns;		/* counted up to here */
	uint64_t busy_ns, sum_ns;
	uint32_t in_flight;
};

void wb_busy_meter_init(struct wb_busy_meter *meter, struct wb_clock *clock);
void wb_busy_meter_clear(struct wb_busy_meter *meter);

/* Before the submit, and in the completion. */
void wb_busy_meter_begin(struct wb_busy_meter *meter);
void wb_busy_meter_end(struct wb_busy_meter *meter);

/* Up to now; both only grow. */
struct wb_busy_times {
	uint64_t busy_ns, sum_ns;
};
struct wb_busy_times wb_busy_meter_read(struct wb_busy_meter *meter);

#endif
