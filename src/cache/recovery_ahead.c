/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Segments that will be looked at soon are read as a whole, several side by side,
 * while earlier ones are judged: a log of small records then costs what reading it
 * in one go costs. Nobody depends on it: what was not read ahead, or could not be,
 * wb_recovery_load_segment() reads itself, so that a failed read is tried once more.
 */
#include "base/memory.h"
#include "cache/recovery_scan.h"

#define AHEAD_BYTES (UINT64_C(8) << 20)	/* at most: one in use, the others at the disk */

G_STATIC_ASSERT(AHEAD_BYTES / WB_SEGMENT_BYTES_MAX >= 2);

struct wb_recovery_ahead_slot {
	struct wb_store_read read;
	uint64_t id;			/* 0: nothing is in it */
	bool is_at_disk;
	bool has_failed;
	uint8_t *data;
};

/* Once, and only for who needs it: most logs are of full segments. */
static void make_slots(struct wb_recovery_scan *scan)
{
	struct wb_recovery_ahead *ahead = &scan->ahead;
	uint64_t bytes = scan->geometry->segment_bytes, count;

	if (ahead->was_tried)
		return;
	ahead->was_tried = true;
	count = MIN(MIN(WB_RECOVERY_AHEAD_MAX, AHEAD_BYTES / bytes), scan->geometry->segment_count);
	ahead->memory = wb_memory_map(count * bytes);
	if (!ahead->memory)
		return;
	ahead->count = (unsigned)count;
	ahead->slots = g_new0(struct wb_recovery_ahead_slot, ahead->count);
	for (unsigned i = 0; i < ahead->count; i++)
		ahead->slots[i].data = ahead->memory + i * bytes;
}

static void wait_for(struct wb_recovery_scan *scan, struct wb_recovery_ahead_slot *slot)
{
	if (!slot->is_at_disk)
		return;
	slot->has_failed = wb_store_read_wait(scan->store, &slot->read) != 0;
	slot->is_at_disk = false;
}

static struct wb_recovery_ahead_slot *find(struct wb_recovery_scan *scan, uint64_t id)
{
	for (unsigned i = 0; i < scan->ahead.count; i++) {
		if (scan->ahead.slots[i].id == id)
			return &scan->ahead.slots[i];
	}
	return NULL;
}

bool wb_recovery_ahead_begin(struct wb_recovery_scan *scan, uint64_t id)
{
	struct wb_recovery_ahead_slot *slot;

	make_slots(scan);
	if (scan->segment.first_id == id || find(scan, id))
		return true;
	slot = find(scan, 0);
	if (!slot)
		return false;
	slot->id = id;
	slot->is_at_disk = true;
	slot->has_failed = false;
	wb_store_read_begin(scan->store, &slot->read,
			    wb_geometry_segment_offset(scan->geometry,
				wb_geometry_place(scan->geometry, id)),
			    slot->data, scan->geometry->segment_bytes);
	return true;
}

uint8_t *wb_recovery_ahead_take(struct wb_recovery_scan *scan, uint64_t id)
{
	struct wb_recovery_ahead_slot *slot = find(scan, id);

	if (!slot)
		return NULL;
	wait_for(scan, slot);
	if (!slot->has_failed)
		return slot->data;
	slot->id = 0;
	return NULL;
}

void wb_recovery_ahead_drop_before(struct wb_recovery_scan *scan, uint64_t id)
{
	for (unsigned i = 0; i < scan->ahead.count; i++) {
		struct wb_recovery_ahead_slot *slot = &scan->ahead.slots[i];

		if (slot->id == 0 || slot->id >= id)
			continue;
		wait_for(scan, slot);
		if (scan->segment.first_id == slot->id)
			wb_recovery_unload_segment(scan);
		slot->id = 0;
	}
}

void wb_recovery_ahead_clear(struct wb_recovery_scan *scan)
{
	wb_recovery_ahead_drop_before(scan, UINT64_MAX);
	g_free(scan->ahead.slots);
	if (scan->ahead.memory)
		wb_memory_unmap(scan->ahead.memory,
				scan->ahead.count * scan->geometry->segment_bytes);
	scan->ahead = (struct wb_recovery_ahead){ .memory = NULL };
}
