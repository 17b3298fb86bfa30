/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/fill_gate.h"

#include <glib.h>

#include "format/ondisk.h"

#define DAY_NS (86400.0 * 1e9)

void wb_fill_gate_init(struct wb_fill_gate *gate, struct wb_clock *clock)
{
	gate->clock = clock;
	wb_lock_init(&gate->lock, WB_RANK_POLICY);
	gate->left_at_ns = wb_clock_now_ns(clock);
}

void wb_fill_gate_clear(struct wb_fill_gate *gate)
{
	wb_lock_clear(&gate->lock);
}

/* The budget comes back evenly over the day; a day's worth may be spent at once. */
static void refill_locked(struct wb_fill_gate *gate)
{
	uint64_t now = wb_clock_now_ns(gate->clock);
	double budget = (double)gate->budget_bytes;

	gate->left_bytes += (double)(now - gate->left_at_ns) / DAY_NS * budget;
	gate->left_bytes = MIN(gate->left_bytes, budget);
	gate->left_at_ns = now;
}

void wb_fill_gate_set(struct wb_fill_gate *gate, const struct wb_tunables *tunables)
{
	uint64_t budget = (uint64_t)tunables->fill_budget << 20;

	atomic_store(&gate->stream_blocks,
		     ((uint64_t)tunables->read_bypass_threshold << 10) / WB_BLOCK_BYTES);
	atomic_store(&gate->pin_first, 0);
	atomic_store(&gate->pin_end, tunables->pin.end_bytes / WB_BLOCK_BYTES);
	atomic_store(&gate->pin_first, tunables->pin.start_bytes / WB_BLOCK_BYTES);
	wb_lock_acquire(&gate->lock);
	refill_locked(gate);
	/* What was spent of the old one is spent of the new one. */
	gate->left_bytes += (double)budget - (double)gate->budget_bytes;
	gate->budget_bytes = budget;
	wb_lock_release(&gate->lock);
	atomic_store(&gate->is_on, tunables->read_cache);
}

bool wb_fill_gate_is_stream(struct wb_fill_gate *gate, uint64_t first, uint64_t count)
{
	uint64_t limit = atomic_load(&gate->stream_blocks), blocks = count;
	struct wb_read_stream *stream = NULL;

	if (limit == 0)
		return false;
	wb_lock_acquire(&gate->lock);
	for (unsigned i = 0; i < WB_READ_STREAMS && !stream; i++)
		if (gate->streams[i].blocks > 0 && gate->streams[i].next_block == first)
			stream = &gate->streams[i];
	if (stream) {
		blocks += stream->blocks;
	} else {
		/* The one that went on least lately makes room. */
		stream = &gate->streams[0];
		for (unsigned i = 1; i < WB_READ_STREAMS; i++)
			if (gate->streams[i].used < stream->used)
				stream = &gate->streams[i];
	}
	*stream = (struct wb_read_stream){ first + count, blocks, ++gate->stream_clock };
	wb_lock_release(&gate->lock);
	return blocks > limit;
}

uint32_t wb_fill_gate_take(struct wb_fill_gate *gate, uint32_t wanted)
{
	wb_lock_acquire(&gate->lock);
	if (gate->budget_bytes > 0) {
		refill_locked(gate);
		if (gate->left_bytes < (double)wanted * WB_BLOCK_BYTES)
			wanted = (uint32_t)(MAX(gate->left_bytes, 0) / WB_BLOCK_BYTES);
		gate->left_bytes -= (double)wanted * WB_BLOCK_BYTES;
	}
	wb_lock_release(&gate->lock);
	return wanted;
}

void wb_fill_gate_give_back(struct wb_fill_gate *gate, uint32_t blocks)
{
	wb_lock_acquire(&gate->lock);
	if (gate->budget_bytes > 0)
		gate->left_bytes += (double)blocks * WB_BLOCK_BYTES;
	wb_lock_release(&gate->lock);
}

uint64_t wb_fill_gate_left_bytes(struct wb_fill_gate *gate)
{
	uint64_t left = UINT64_MAX;

	wb_lock_acquire(&gate->lock);
	if (gate->budget_bytes > 0) {
		refill_locked(gate);
		left = (uint64_t)MAX(gate->left_bytes, 0);
	}
	wb_lock_release(&gate->lock);
	return left;
}
