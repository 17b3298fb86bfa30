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

/* The piece of a discard that is next. The image may end inside its last block: that
 * block is a piece of its own, see zero_piece(), and is written as zeros. Where the
 * backing ends does not matter, as it may grow between here and the disk. */
static void prepare_zero(struct wb_writeback *writeback, struct wb_batch_io *io)
{
	uint64_t size = wb_image_bytes(writeback->deps.image);
	uint64_t first = io->first_address + io->isolation.at;
	uint64_t offset = first * BLOCK, end = (first + io->isolation.piece) * BLOCK;
	bool is_cut = end > size;

	end = MIN(end, size);
	if (is_cut)
		memset(io->scratch, 0, BLOCK);
	wb_io_prepare(&io->io, is_cut ? WB_IO_WRITE : WB_IO_ZERO, WB_IO_CLASS_WRITEBACK,
		      offset, is_cut ? io->scratch : NULL, end - offset, wb_batch_io_done);
	WB_STAT_ADD(writeback->deps.stats, WB_STAT_BACKING_ZEROED_BYTES, end - offset);
	io->begun_ns = wb_clock_now_ns(writeback->deps.clock);
}

static void adapt_piece(struct wb_writeback *writeback, const struct wb_batch_io *io)
{
	uint64_t took_ns = wb_clock_now_ns(writeback->deps.clock) - io->begun_ns;

	if (took_ns < PIECE_CHEAP_NS)
		writeback->zero_piece_bytes = MIN(writeback->zero_piece_bytes * 2,
						  PIECE_BYTES_MAX);
	if (took_ns > PIECE_DEAR_NS)
		writeback->zero_piece_bytes = MAX(writeback->zero_piece_bytes / 2,
						  PIECE_BYTES_MIN);
}

/* A piece that fails is taken apart as a write is. */
static void zero_ended(struct wb_writeback *writeback, struct wb_batch_io *io)
{
	uint64_t first = io->first_address + io->isolation.at;

	adapt_piece(writeback, io);
	if (!io->error) {
		writeback->has_written = true;
	} else {
		wb_batch_note_error(writeback, io);
		if (wb_batch_may_split(writeback, io)) {
			writeback->splits++;
			wb_isolation_halve(&io->isolation);
			prepare_zero(writeback, io);
			wb_batch_submit_again(writeback, io);
			return;
		}
		/* What no one remembers must not count as punched. */
		if (!wb_batch_refuse(writeback, first, io->isolation.piece, io->error))
			writeback->unknown_zero = MIN(writeback->unknown_zero, first);
	}
	if (wb_isolation_next(&io->isolation)) {
		prepare_zero(writeback, io);
		wb_batch_submit_again(writeback, io);
	} else {
		writeback->zeros_in_flight--;
	}
}

bool wb_batch_next_zero(struct wb_writeback *writeback, uint64_t from,
			struct wb_extent *extent)
{
	while (wb_extent_table_next_zero(writeback->deps.extents, from, writeback->pass.durable,
					 extent)) {
		uint64_t end = extent->first + extent->count, until;

		extent->first = MAX(extent->first, from);
		if (wb_refused_may_take(writeback->refused, extent->first, &until)) {
			extent->count = MIN(end, until) - extent->first;
			return true;
		}
		from = MIN(end, until);
	}
	return false;
}

/* The beginning of what is to be punched. FALSE: all I/O is taken. A piece is
 * bounded, and so is the time of a batch: on a disk that cannot punch, zeros are
 * written, and nothing else would go on. */
static bool zero_piece(struct wb_writeback *writeback, const struct wb_extent *extent)
{
	uint64_t size = wb_image_bytes(writeback->deps.image);
	uint64_t count = MIN(extent->count, writeback->zero_piece_bytes / BLOCK);
	struct wb_batch_io *io = writeback->zeros_in_flight < DEPTH ? wb_batch_take_io(writeback) :
									NULL;

	if (!io)
		return false;
	if ((extent->first + count) * BLOCK > size && count > 1)
		count = size / BLOCK - extent->first;
	io->first_address = extent->first;
	wb_isolation_begin(&io->isolation, count);
	prepare_zero(writeback, io);
	writeback->zeros_in_flight++;
	wb_batch_submit_to_backing(writeback, io);
	writeback->next_zero = extent->first + count;
	return true;
}

/* Blocks under a discard that is not punched yet, or refused to be, stay dirty:
 * the punch must never come after them. In a later portion too: what is selected is
 * as old as the discards that were punched, and later discards are newer. */
void wb_batch_leave_out_held(struct wb_writeback *writeback)
{
	if (WB_MUTANT(punch_after_writes))
		return;
	for (size_t i = 0; i < writeback->block_count; i++) {
		struct wb_batch_block *block = &writeback->room->blocks[i];
		uint64_t until;

		if ((block->address >= writeback->next_zero ||
		     wb_refused_is_held(writeback->refused, block->address, NULL)) &&
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

	/* Not over what only waits to become clean. */
	if (writeback->has_zeros && writeback->flush.is_under_way)
		return any;
	while (writeback->has_zeros) {
		if (!wb_batch_next_zero(writeback, writeback->next_zero, &extent)) {
			writeback->has_zeros = false;
			writeback->next_zero = UINT64_MAX;
		} else if (writeback->is_cut_short ||
			   wb_clock_now_ns(writeback->deps.clock) > writeback->zeros_until_ns ||
			   (WB_MUTANT(punch_after_writes) && writeback->block_count > 0)) {
			writeback->has_zeros = false;
		} else if (!zero_piece(writeback, &extent)) {
			break;
		}
		any = true;
	}
	if (!wb_batch_has_io(writeback) && !writeback->has_zeros) {
		writeback->next_zero = MIN(writeback->next_zero, writeback->unknown_zero);
		wb_batch_take_gaps(writeback);
		wb_batch_leave_out_held(writeback);
		writeback->stage = WB_BATCH_READ;
		writeback->next = 0;
		return true;
	}
	return any;
}
