/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether copies of what was read may be written to the SSD at all: switched on, not of
 * a long sequential read, not beyond what the SSD is to bear in a day. And which ranges
 * are always kept.
 *
 * Any thread.
 */
#ifndef WB_CACHE_FILL_GATE_H
#define WB_CACHE_FILL_GATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/lock.h"
#include "cache/limits.h"
#include "cache/tunables.h"

/* A sequential read under way: where it goes on, and how much there was. */
struct wb_read_stream {
	uint64_t next_block, blocks, used;
};

struct wb_fill_gate {
	struct wb_clock *clock;		/* constant */

	struct wb_lock lock;
	/* under lock */
	struct wb_read_stream streams[WB_READ_STREAMS];
	uint64_t stream_clock;
	uint64_t budget_bytes;		/* a day; 0: no limit */
	double left_bytes;
	uint64_t left_at_ns;

	/* atomic */
	atomic_bool is_on;
	_Atomic uint64_t stream_blocks;	/* longer ones do not fill; 0: all do */
	_Atomic uint64_t pin_first, pin_end;	/* blocks */
};

void wb_fill_gate_init(struct wb_fill_gate *gate, struct wb_clock *clock);
void wb_fill_gate_clear(struct wb_fill_gate *gate);
void wb_fill_gate_set(struct wb_fill_gate *gate, const struct wb_tunables *tunables);

static inline bool wb_fill_gate_is_on(struct wb_fill_gate *gate)
{
	return atomic_load_explicit(&gate->is_on, memory_order_relaxed);
}

/* A read that missed: is it part of a sequential one that is too long? */
bool wb_fill_gate_is_stream(struct wb_fill_gate *gate, uint64_t first, uint64_t count);
/* Blocks that may be written now, up to `wanted`; they count as written. */
uint32_t wb_fill_gate_take(struct wb_fill_gate *gate, uint32_t wanted);
void wb_fill_gate_give_back(struct wb_fill_gate *gate, uint32_t blocks);
/* What is left of the budget, or UINT64_MAX. */
uint64_t wb_fill_gate_left_bytes(struct wb_fill_gate *gate);

static inline bool wb_fill_gate_is_pinned(struct wb_fill_gate *gate, uint64_t address)
{
	return address < atomic_load_explicit(&gate->pin_end, memory_order_relaxed) &&
	       address >= atomic_load_explicit(&gate->pin_first, memory_order_relaxed);
}

#endif
