/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "read_ring.h"

#include "cache/limits.h"
#include "format/ondisk.h"

#define NOTHING UINT32_MAX

struct ring {
	struct wb_geometry geometry;
	struct wb_read_policy *policy;
	uint32_t *slot_of, *address_of;
	uint32_t head;			/* next slot */
	uint64_t opened;		/* segments */
	uint32_t ready;			/* kept empty ahead of the head */
	struct ring_result *result;
};

static void append(struct ring *ring, uint32_t address, unsigned mark);

/* Empties the segment that is `ready` ahead of the one which has just been opened. */
static void empty_segment(struct ring *ring)
{
	uint32_t blocks = ring->geometry.segment_blocks, stay[WB_RECORD_BLOCKS_MAX + 1], count = 0;
	uint32_t first = (ring->head + ring->ready * blocks) % ring->geometry.slot_count;
	uint8_t marks[WB_RECORD_BLOCKS_MAX + 1];
	bool live[WB_RECORD_BLOCKS_MAX + 1];

	for (uint32_t i = 0; i < blocks; i++)
		live[i] = ring->address_of[first + i] != NOTHING;
	wb_read_policy_choose(ring->policy, first, live, blocks);
	for (uint32_t i = 0; i < blocks; i++) {
		uint32_t address = ring->address_of[first + i];

		if (address == NOTHING)
			continue;
		ring->address_of[first + i] = ring->slot_of[address] = NOTHING;
		if (live[i]) {
			marks[count] = (uint8_t)wb_read_policy_next_mark(ring->policy, first + i);
			stay[count++] = address;
		} else {
			wb_read_policy_fell_out(ring->policy, address);
		}
	}
	for (uint32_t i = 0; i < count; i++)
		append(ring, stay[i], marks[i]);
	ring->result->moved += count;
}

static void open_segment(struct ring *ring)
{
	if (++ring->opened + ring->ready >= ring->geometry.segment_count)
		wb_read_policy_is_full(ring->policy);
	empty_segment(ring);
}

static void append(struct ring *ring, uint32_t address, unsigned mark)
{
	uint32_t blocks = ring->geometry.segment_blocks;

	ring->address_of[ring->head] = address;
	ring->slot_of[address] = ring->head;
	wb_read_policy_set_mark(ring->policy, ring->head, mark);
	ring->head++;
	/* The last block stands for the headers of records. */
	if (ring->head % blocks == blocks - 1) {
		ring->head = (ring->head + 1) % ring->geometry.slot_count;
		open_segment(ring);
	}
}

static void do_write(struct ring *ring, uint32_t address)
{
	uint32_t slot = ring->slot_of[address];

	wb_read_policy_note_writes(ring->policy, address, 1);
	if (slot != NOTHING) {
		unsigned mark = wb_read_policy_mark(ring->policy, slot);

		ring->address_of[slot] = NOTHING;
		append(ring, address, wb_plan_written_mark(mark));
	} else {
		append(ring, address, 0);
	}
	ring->result->written++;
}

static void do_read(struct ring *ring, uint32_t address)
{
	uint8_t mark;

	ring->result->reads++;
	wb_read_policy_note_reads(ring->policy, address, 1);
	if (ring->slot_of[address] != NOTHING) {
		wb_read_policy_note_hits(ring->policy, ring->slot_of[address], 1);
		ring->result->hits++;
		return;
	}
	if (!wb_read_policy_missed(ring->policy, address, &mark))
		return;
	append(ring, address, mark);
	ring->result->fills++;
}

void ring_run(const struct trace *trace, uint32_t slots, uint32_t segment_blocks,
	      struct ring_result *result)
{
	uint32_t segments = slots / segment_blocks;
	struct ring ring = {
		.geometry = { .segment_blocks = segment_blocks, .segment_count = segments,
			      .slot_count = segments * segment_blocks },
		.ready = MIN(WB_READY_SEGMENTS, segments / 2) + WB_RESERVE_DATA,
		.result = result,
	};

	*result = (struct ring_result){ 0 };
	ring.policy = wb_read_policy_new(&ring.geometry, NULL);
	ring.slot_of = g_new(uint32_t, trace->address_count);
	ring.address_of = g_new(uint32_t, ring.geometry.slot_count);
	for (uint32_t i = 0; i < trace->address_count; i++)
		ring.slot_of[i] = NOTHING;
	for (uint32_t i = 0; i < ring.geometry.slot_count; i++)
		ring.address_of[i] = NOTHING;
	for (guint i = 0; i < trace->end; i++) {
		struct access access = g_array_index(trace->accesses, struct access, i);

		if (i == trace->begin)
			*result = (struct ring_result){ 0 };
		if (access.is_write)
			do_write(&ring, access.address);
		else
			do_read(&ring, access.address);
	}
	wb_read_policy_forecast(ring.policy, &result->forecast);
	wb_read_policy_free(ring.policy);
	g_free(ring.slot_of);
	g_free(ring.address_of);
}
