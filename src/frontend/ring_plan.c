/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "frontend/ring_plan.h"

#include <glib.h>

#define EDGES_BYTES ((size_t)8 << 10)

/* Depth comes first: an entry is kept until its request is answered, and what waits
 * in the kernel keeps no disk busy. Long requests in pieces cost little. */
static const size_t payloads[] = { 256u << 10, 128u << 10, 64u << 10 };

size_t wb_ring_plan_stride_bytes(const struct wb_ring_plan *plan)
{
	return plan->payload_bytes + EDGES_BYTES;
}

/* Writes that wait for space keep their entries, and reads of the same CPU would wait
 * behind them. The kernel's limit for asynchronous requests keeps an eighth free. */
static unsigned background_of(unsigned depth)
{
	return MAX(depth - (depth + 7) / 8, 1u);
}

bool wb_ring_plan_make(struct wb_ring_plan *plan, unsigned cpu_count)
{
	*plan = (struct wb_ring_plan){
		.queue_count = cpu_count,
		.thread_count = MIN(cpu_count, WB_RING_THREADS_MAX),
	};
	if (!cpu_count)
		return false;
	for (unsigned i = 0; i < G_N_ELEMENTS(payloads) && plan->depth < WB_RING_DEPTH_MAX; i++) {
		plan->payload_bytes = payloads[i];
		plan->depth = MIN(WB_RING_DEPTH_MAX, WB_RING_MEMORY_BYTES / cpu_count /
						     wb_ring_plan_stride_bytes(plan));
	}
	plan->max_background = background_of(plan->depth);
	return plan->depth > 0;
}

unsigned wb_ring_plan_count_cpus(const char *list)
{
	g_auto(GStrv) ranges = g_strsplit(list, ",", -1);
	unsigned count = 0;

	for (unsigned i = 0; ranges[i]; i++) {
		char *rest;
		guint64 first = g_ascii_strtoull(g_strstrip(ranges[i]), &rest, 10);
		guint64 last = first;

		if (rest == ranges[i])
			return 0;
		if (*rest == '-') {
			const char *start = rest + 1;

			last = g_ascii_strtoull(start, &rest, 10);
			if (rest == start)
				return 0;
		}
		if (*rest || last < first || last > G_MAXUINT16)
			return 0;
		count += (unsigned)(last - first) + 1;
	}
	return count;
}
