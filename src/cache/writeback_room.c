/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory in which a batch is made: data and list of the portion under way, the list
 * of what was written, and that of what is being flushed. Taken by whoever opens the
 * cache or sets the size, as a whole and present from then on; the worker only changes
 * from one to the next between batches.
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

struct wb_batch_room *wb_batch_room_new(const struct wb_geometry *geometry, uint64_t bytes,
					GError **error)
{
	uint32_t blocks = blocks_of(geometry, bytes);
	/* A portion is begun while there is room for all of it. */
	uint32_t written = MIN(WB_BATCH_WRITTEN_BLOCKS, geometry->slot_count) + blocks;
	struct wb_batch_room *room = g_new0(struct wb_batch_room, 1);

	room->bytes = (size_t)blocks * (BLOCK + sizeof(struct wb_batch_block)) +
		      2 * written * sizeof(struct wb_written_block);
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
	room->written_count = written;
	room->blocks = (struct wb_batch_block *)(room->data + (size_t)blocks * BLOCK);
	room->written = (struct wb_written_block *)(room->blocks + blocks);
	room->flushed = room->written + written;
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
	g_assert(writeback->block_count == 0 && writeback->written_count == 0 &&
		 !writeback->flush.is_under_way && !wb_batch_has_io(writeback));
	wb_batch_room_free(writeback->room);
	writeback->room = room;
}
