/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Discards reach the backing: punched, or written as zeros. */
#include "cache/writeback_batch.h"

#include <string.h>

#include "base/mutant.h"

#define BLOCK WB_BLOCK_BYTES
/* A disk that cannot punch writes zeros: a piece grows while it is cheap. */
#define PIECE_BYTES_MIN WB_ZERO_PIECE_BYTES_MIN
#define PIECE_BYTES_MAX (UINT64_C(1) << 30)
#define PIECE_CHEAP_NS (UINT64_C(20) * 1000 * 1000)
#define PIECE_DEAR_NS (UINT64_C(200) * 1000 * 1000)
#define DEPTH 4u

static void zero_ended(struct wb_writeback *writeback, struct wb_batch_io *io)
{
	uint64_t took_ns = wb_clock_now_ns(writeback->deps.clock) - io->begun_ns;

	writeback->zeros_in_flight--;
	if (took_ns < PIECE_CHEAP_NS)
		writeback->zero_piece_bytes = MIN(writeback->zero_piece_bytes * 2,
						  PIECE_BYTES_MAX);
	if (took_ns > PIECE_DEAR_NS)
		writeback->zero_piece_bytes = MAX(writeback->zero_piece_bytes / 2,
						  PIECE_BYTES_MIN);
	wb_batch_backing_ended(writeback, io);
}

static void submit_zero(struct wb_writeback *writeback, struct wb_batch_io *io,
			enum wb_io_op op, uint64_t offset, uint64_t length)
{
	wb_io_prepare(&io->io, op, WB_IO_CLASS_WRITEBACK, offset,
		      op == WB_IO_WRITE ? io->scratch : NULL, length, wb_batch_io_done);
	WB_STAT_ADD(writeback->deps.stats, WB_STAT_BACKING_ZEROED_BYTES, length);
	io->begun_ns = wb_clock_now_ns(writeback->deps.clock);
	writeback->zeros_in_flight++;
	wb_store_submit(writeback->deps.backing_store, &io->io);
}

/* The next piece of the extent that begins at or covers next_zero. FALSE: all
 * I/O is taken. A piece is bounded, and so is the time of a batch: on a disk
 * that cannot punch, zeros are written, and nothing else would go on. */
static bool zero_piece(struct wb_writeback *writeback, const struct wb_extent *extent)
{
	uint64_t size = writeback->deps.geometry.backing_bytes;
	uint64_t first = MAX(extent->first, writeback->next_zero);
	uint64_t count = MIN(extent->first + extent->count - first,
			     writeback->zero_piece_bytes / BLOCK);
	uint64_t offset = first * BLOCK, end = (first + count) * BLOCK;
	struct wb_batch_io *io = writeback->zeros_in_flight < DEPTH ? wb_batch_take_io(writeback) :
									NULL;

	if (!io)
		return false;
	if (end <= size || size == writeback->deps.backing_store->size_bytes) {
		submit_zero(writeback, io, WB_IO_ZERO, offset, MIN(end, size) - offset);
	} else if (offset + BLOCK <= size) {
		/* The image ends inside its last block, and the backing does
		 * not: that block is for the next piece. */
		count = size / BLOCK - first;
		submit_zero(writeback, io, WB_IO_ZERO, offset, count * BLOCK);
	} else {
		memset(io->scratch, 0, BLOCK);
		submit_zero(writeback, io, WB_IO_WRITE, offset, size - offset);
	}
	writeback->next_zero = first + count;
	return true;
}

/* Blocks under a discard that is not punched yet stay dirty: the punch must
 * never come after them. */
static void leave_out_held(struct wb_writeback *writeback)
{
	if (WB_MUTANT(punch_after_writes))
		return;
	for (size_t i = 0; i < writeback->block_count; i++) {
		struct wb_batch_block *block = &writeback->blocks[i];
		uint64_t until;

		if (block->address >= writeback->next_zero &&
		    wb_extent_table_lookup(writeback->deps.extents, block->address, &until) ==
			    WB_EXTENT_ZERO)
			block->is_left_out = true;
	}
}

/* The extent is not narrowed by what the map has in it: those blocks are newer,
 * whole, and dirty (none can be clean before this punch is flushed), so they
 * will be written over the hole. */
bool wb_batch_zero_step(struct wb_writeback *writeback)
{
	struct wb_extent extent;
	bool any = wb_batch_collect(writeback, zero_ended);

	while (writeback->has_zeros && !writeback->error) {
		if (!wb_extent_table_next_zero(writeback->deps.extents, writeback->next_zero,
					       writeback->durable, &extent)) {
			writeback->has_zeros = false;
			writeback->next_zero = UINT64_MAX;
		} else if (wb_clock_now_ns(writeback->deps.clock) > writeback->zeros_until_ns ||
			   (WB_MUTANT(punch_after_writes) && writeback->block_count > 0)) {
			writeback->has_zeros = false;
			leave_out_held(writeback);
		} else if (!zero_piece(writeback, &extent)) {
			break;
		}
		any = true;
	}
	if (!wb_batch_has_io(writeback) && (!writeback->has_zeros || writeback->error)) {
		writeback->stage = WB_BATCH_READ;
		writeback->next = 0;
		return true;
	}
	return any;
}
