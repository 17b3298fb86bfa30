/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory in which a batch is made: its data, its list, the segments that it
 * pins. Taken by whoever opens the cache or sets the size, as a whole and present
 * from then on; the worker only changes from one to the next between batches.
 */
#include "cache/writeback_batch.h"

#include <errno.h>
#include <sys/mman.h>

#include "cache/cache.h"

#define BLOCK WB_BLOCK_BYTES

/* A segment at least, because it may have to be carried as a whole; and no more
 * blocks than there can be. */
static uint32_t blocks_of(const struct wb_geometry *geometry, uint64_t bytes)
{
	return (uint32_t)MIN(MAX(bytes / BLOCK, geometry->segment_blocks), geometry->slot_count);
}

/* Twice as many as full ones would need. */
static uint32_t segments_of(const struct wb_geometry *geometry, uint32_t blocks)
{
	return MAX(2 * blocks / geometry->segment_blocks, WB_SEGMENTS_PER_BATCH_MIN);
}

struct wb_batch_room *wb_batch_room_new(const struct wb_geometry *geometry, uint64_t bytes,
					GError **error)
{
	uint32_t blocks = blocks_of(geometry, bytes);
	uint32_t segments = segments_of(geometry, blocks);
	struct wb_batch_room *room = g_new0(struct wb_batch_room, 1);

	room->bytes = (size_t)blocks * (BLOCK + sizeof(struct wb_batch_block)) +
		      segments * sizeof(struct wb_segment *);
	room->data = mmap(NULL, room->bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (room->data == MAP_FAILED) {
		g_set_error(error, WB_CACHE_ERROR, WB_CACHE_ERROR_LIMIT,
			    "cannot get %zu MiB of memory for writeback: %s", room->bytes >> 20,
			    g_strerror(errno));
		g_free(room);
		return NULL;
	}
	room->block_count = blocks;
	room->segment_count = segments;
	room->blocks = (struct wb_batch_block *)(room->data + (size_t)blocks * BLOCK);
	room->pinned = (struct wb_segment **)(room->blocks + blocks);
	return room;
}

void wb_batch_room_free(struct wb_batch_room *room)
{
	if (!room)
		return;
	munmap(room->data, room->bytes);
	g_free(room);
}

bool wb_writeback_set_batch(struct wb_writeback *writeback, uint64_t bytes, GError **error)
{
	struct wb_batch_room *room = wb_batch_room_new(&writeback->deps.geometry, bytes, error);

	if (!room)
		return false;
	/* One that was set before and never used. */
	wb_batch_room_free(atomic_exchange(&writeback->next_room, room));
	return true;
}

void wb_batch_take_room(struct wb_writeback *writeback)
{
	struct wb_batch_room *room = atomic_exchange(&writeback->next_room, NULL);

	if (!room)
		return;
	g_assert(writeback->pinned_count == 0 && !wb_batch_has_io(writeback));
	wb_batch_room_free(writeback->room);
	writeback->room = room;
}
