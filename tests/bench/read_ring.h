/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The log as a cache for reads, without data: a ring of segments that are used again in
 * turn, as reclaim.c does it, under the policy of src/cache/read_policy.c.
 */
#ifndef WB_BENCH_READ_RING_H
#define WB_BENCH_READ_RING_H

#include "cache/read_policy.h"
#include "read_trace.h"

struct ring_result {
	uint64_t reads, hits, fills, moved, written;
	struct wb_read_forecast forecast;
};

/* `slots` in segments of `segment_blocks`. */
void ring_run(const struct trace *trace, uint32_t slots, uint32_t segment_blocks,
	      struct ring_result *result);

#endif
