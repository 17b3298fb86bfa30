/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A batch's data: from RAM or the log, checked; what the backing must add. */
#include "cache/writeback_batch.h"

#include <string.h>

#include "base/checksum.h"
#include "base/mutant.h"

#define BLOCK WB_BLOCK_BYTES

/* It stays dirty, is left out of the batch, and is read again after a pause,
 * alone; the rest goes on. */
static void mark_bad(struct wb_writeback *writeback, struct wb_batch_block *block)
{
	unsigned tries = writeback->bad_tries;

	block->is_left_out = true;
	if (block->is_gap)
		return;
	wb_batch_set_state(writeback, block->address, block->slot, WB_SLOT_BAD);
	writeback->bad_retry_at_ns = wb_clock_now_ns(writeback->deps.clock) +
		MIN(WB_RETRY_FIRST_NS << MIN(tries, 10u), WB_RETRY_LAST_NS);
	writeback->found_bad = true;
	writeback->found_new_bad |= !block->was_bad;
}

/* Also when the backing refuses it: it is not lost. */
static void mark_readable(struct wb_writeback *writeback, struct wb_batch_block *block)
{
	wb_batch_set_state(writeback, block->address, block->slot, WB_SLOT_DIRTY);
	block->is_left_out |= wb_refused_is_held(writeback->refused, block->address, NULL);
}

static void check_block(struct wb_writeback *writeback, struct wb_batch_block *block)
{
	if (WB_MUTANT(writeback_unchecked) ||
	    wb_crc32c(wb_batch_memory(writeback, block->buffer_block), BLOCK) ==
	    wb_block_map_crc(writeback->deps.map, block->slot)) {
		if (block->was_bad)
			mark_readable(writeback, block);
		return;
	}
	mark_bad(writeback, block);
	WB_STAT_ADD(writeback->deps.stats, WB_STAT_CHECKSUM_ERRORS, 1);
	if (block->is_gap)
		return;
	wb_message_set(writeback->deps.message,
		       "cache %s: the newest data of image block %" G_GUINT64_FORMAT
		       " failed its checksum and stays in the cache",
		       writeback->deps.cache_store->label, block->address);
}

static void read_ended(struct wb_writeback *writeback, struct wb_batch_io *io)
{
	for (size_t i = io->first_block; i < io->first_block + io->block_count; i++) {
		if (io->error)
			mark_bad(writeback, &writeback->room->blocks[i]);
		else
			check_block(writeback, &writeback->room->blocks[i]);
	}
	if (!io->error)
		return;
	WB_STAT_ADD(writeback->deps.stats, WB_STAT_CACHE_ERRORS, 1);
	wb_message_set(writeback->deps.message, "cache %s: reading the log failed: %s",
		       writeback->deps.cache_store->label, g_strerror(-io->error));
}

/* Blocks [from, from + count) of one segment, from its RAM buffer. */
static bool copy_from_ram(struct wb_writeback *writeback, size_t from, size_t count)
{
	struct wb_segment *segment =
		wb_segment_of_slot(writeback->deps.segments, writeback->room->blocks[from].slot);
	uint32_t ram_index;

	if (!wb_segment_try_ram_pin(segment))
		return false;
	ram_index = segment->ram_index;
	for (size_t i = from; i < from + count; i++) {
		struct wb_batch_block *block = &writeback->room->blocks[i];

		memcpy(wb_batch_memory(writeback, block->buffer_block),
		       wb_rambuf_block(writeback->deps.rambuf, ram_index,
				       block->slot % writeback->deps.geometry.segment_blocks),
		       BLOCK);
	}
	wb_segment_ram_unpin(writeback->deps.segments, segment);
	for (size_t i = from; i < from + count; i++)
		check_block(writeback, &writeback->room->blocks[i]);
	return true;
}

/* Gaps that are not in the cache are read later, from the backing. */
static bool is_read_here(const struct wb_batch_block *block)
{
	return block->slot != WB_NO_SLOT;
}

/* One read of neighbouring slots; what lies between them is thrown away. */
static void prepare_read(struct wb_writeback *writeback, struct wb_batch_io *io, uint32_t span)
{
	const struct wb_batch_block *block = &writeback->room->blocks[io->first_block];
	struct iovec *iov = io->iov;
	unsigned pieces = 0;

	for (uint32_t i = 0, slot = block->slot; i < span; i++, slot++) {
		char *memory = io->scratch;

		if (slot == block->slot) {
			memory = wb_batch_memory(writeback, block->buffer_block);
			block++;
		}
		if (pieces > 0 && memory != io->scratch &&
		    (char *)iov[pieces - 1].iov_base + iov[pieces - 1].iov_len == memory)
			iov[pieces - 1].iov_len += BLOCK;
		else
			iov[pieces++] = (struct iovec){ memory, BLOCK };
	}
	block = &writeback->room->blocks[io->first_block];
	wb_io_prepare(&io->io, WB_IO_READ, WB_IO_CLASS_WRITEBACK,
		      wb_geometry_slot_offset(&writeback->deps.geometry, block->slot), NULL,
		      (uint64_t)span * BLOCK, wb_batch_io_done);
	io->io.iov = iov;
	io->io.iov_count = pieces;
}

bool wb_batch_read_step(struct wb_writeback *writeback)
{
	const struct wb_geometry *g = &writeback->deps.geometry;
	bool any = wb_batch_collect(writeback, read_ended);
	struct wb_batch_io *io;

	while (writeback->next < writeback->block_count &&
	       (io = wb_batch_take_io(writeback))) {
		uint32_t span;
		size_t most, count;

		if (!is_read_here(&writeback->room->blocks[writeback->next])) {
			io->is_used = false;
			writeback->next++;
			continue;
		}
		/* After a failure one by one, to tell the bad ones. */
		most = writeback->has_bad ? writeback->next + 1 : writeback->block_count;
		count = wb_writeback_plan_read(writeback->room->blocks, most,
						      writeback->next, WB_WRITEBACK_GAP_BLOCKS,
						      g->segment_blocks, &span);

		io->first_block = writeback->next;
		io->block_count = count;
		any = true;
		if (copy_from_ram(writeback, writeback->next, count)) {
			io->is_used = false;
		} else {
			prepare_read(writeback, io, span);
			WB_STAT_ADD(writeback->deps.stats, WB_STAT_SSD_READ_BYTES,
				    io->io.length_bytes);
			wb_store_submit(writeback->deps.cache_store, &io->io);
		}
		writeback->next += count;
	}
	if (!wb_batch_has_io(writeback) && writeback->next == writeback->block_count) {
		/* Those of a sweep come in order. */
		if (writeback->pass.pick == WB_PICK_OLDEST)
			wb_writeback_plan_sort(writeback->room->blocks, writeback->block_count);
		writeback->stage = writeback->is_carrying ? WB_BATCH_CARRY :
				   writeback->tally.has_filled ? WB_BATCH_GAPS : WB_BATCH_MERGE;
		writeback->next = 0;
		return true;
	}
	return any;
}

/* --- MERGE ------------------------------------------------------------------------ */

static void merge_ended(struct wb_writeback *writeback, struct wb_batch_io *io)
{
	struct wb_batch_block *block = &writeback->room->blocks[io->first_block];
	char *data = wb_batch_memory(writeback, block->buffer_block);

	if (io->error) {
		wb_batch_note_error(writeback, io);
		block->is_left_out = true;
		wb_batch_refuse(writeback, block->address, 1, io->error);
		return;
	}
	for (unsigned s = 0; s < WB_SECTORS_PER_BLOCK; s++) {
		if (!(block->mask & (1u << s)))
			memcpy(data + s * WB_SECTOR_BYTES, io->scratch + s * WB_SECTOR_BYTES,
			       WB_SECTOR_BYTES);
	}
	block->mask = block->full_mask;
}

/* Only this engine writes the backing, so nothing changes between this read
 * and the write that follows. */
bool wb_batch_merge_step(struct wb_writeback *writeback)
{
	bool any = wb_batch_collect(writeback, merge_ended);
	bool is_needed = writeback->deps.backing_store->alignment_bytes > WB_SECTOR_BYTES;
	struct wb_batch_io *io;

	for (; is_needed && writeback->next < writeback->block_count; writeback->next++) {
		const struct wb_batch_block *block = &writeback->room->blocks[writeback->next];

		if (block->is_left_out || block->mask == block->full_mask)
			continue;
		io = wb_batch_take_io(writeback);
		if (!io)
			return any;
		io->first_block = writeback->next;
		wb_io_prepare(&io->io, WB_IO_READ, WB_IO_CLASS_WRITEBACK,
			      block->address * BLOCK, io->scratch, BLOCK, wb_batch_io_done);
		wb_batch_submit_to_backing(writeback, io);
		any = true;
	}
	if (!wb_batch_has_io(writeback)) {
		writeback->stage = WB_BATCH_WRITE;
		writeback->next = 0;
		writeback->next_sector = 0;
		return true;
	}
	return any;
}
