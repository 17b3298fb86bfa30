/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A batch's blocks go to the backing, in joined writes. A write that fails is
 * taken apart until it is known which blocks are to blame; those stay dirty and
 * are tried again later, all others of the batch become clean.
 */
#include "cache/writeback_batch.h"

#include <errno.h>

#include "base/mutant.h"

#define BLOCK WB_BLOCK_BYTES

/* No room on the filesystem of a sparse backing: it is not the place that is bad.
 * Blocks that are allocated already can be written nevertheless, but where they
 * are is found out in a few pieces at each try, not block by block. */
static bool is_lack_of_space(int error)
{
	return error == -ENOSPC || error == -EDQUOT;
}

bool wb_batch_may_split(struct wb_writeback *writeback, const struct wb_batch_io *io)
{
	return io->isolation.piece > 1 && writeback->may_split &&
	       writeback->splits < (is_lack_of_space(io->error) ? WB_BATCH_SPACE_SPLITS_MAX :
								  WB_BATCH_SPLITS_MAX);
}

bool wb_batch_refuse(struct wb_writeback *writeback, uint64_t first, uint64_t count, int error)
{
	bool is_known;

	writeback->refusals++;
	if (!wb_refused_has(writeback->refused, first, NULL))
		writeback->was_refused_new = true;
	is_known = wb_refused_add(writeback->refused, first, count, error,
				  wb_clock_now_ns(writeback->deps.clock));
	writeback->was_refused_unknown |= !is_known;
	return is_known;
}

void wb_batch_submit_again(struct wb_writeback *writeback, struct wb_batch_io *io)
{
	io->is_used = true;
	atomic_store(&io->has_ended, false);
	wb_batch_submit_to_backing(writeback, io);
}

/* How much of the block the image has. */
static size_t sectors_of(const struct wb_batch_block *block)
{
	return (size_t)__builtin_popcount(block->full_mask);
}

/* The piece of the extent that is next. */
static void prepare_write(struct wb_writeback *writeback, struct wb_batch_io *io)
{
	const struct wb_batch_block *block =
		&writeback->room->blocks[io->first_block + io->isolation.at];
	uint64_t count = io->isolation.piece;
	uint64_t offset = block->address * BLOCK, length = count * BLOCK;

	for (size_t i = 0; i < count; i++) {
		io->iov[i].iov_base = wb_batch_memory(writeback, block[i].buffer_block);
		io->iov[i].iov_len = BLOCK;
	}
	if (io->sector_count > 0) {
		offset += io->first_sector * WB_SECTOR_BYTES;
		length = io->sector_count * WB_SECTOR_BYTES;
		io->iov[0].iov_base = (char *)io->iov[0].iov_base +
				      io->first_sector * WB_SECTOR_BYTES;
		io->iov[0].iov_len = length;
	} else {
		/* The image's last block may be short, or was when the batch was made. */
		size_t behind = BLOCK - sectors_of(&block[count - 1]) * WB_SECTOR_BYTES;

		io->iov[count - 1].iov_len -= behind;
		length -= behind;
	}
	wb_io_prepare(&io->io, WB_IO_WRITE, WB_IO_CLASS_WRITEBACK, offset, NULL, length,
		      wb_batch_io_done);
	io->io.iov = io->iov;
	io->io.iov_count = (unsigned)count;
	if (writeback->is_lazy)
		io->io.flags = WB_IO_LAZY;
	io->begun_ns = wb_clock_now_ns(writeback->deps.clock);
	WB_STAT_ADD(writeback->deps.stats, WB_STAT_BACKING_WRITES, 1);
	WB_STAT_ADD(writeback->deps.stats, WB_STAT_BACKING_WRITTEN_BYTES, io->io.length_bytes);
}

static void leave_out(struct wb_writeback *writeback, struct wb_batch_block *blocks,
		      uint64_t count, int error)
{
	for (uint64_t i = 0; i < count; i++)
		blocks[i].is_left_out = true;
	/* Nothing that has to be there is missing. */
	if (count == 1 && blocks->is_gap) {
		wb_batch_note_bad_gap(writeback, blocks->address);
		return;
	}
	wb_batch_refuse(writeback, blocks->address, count, error);
}

static void write_ended(struct wb_writeback *writeback, struct wb_batch_io *io)
{
	if (!io->error || WB_MUTANT(backing_error_ignored)) {
		writeback->has_written = true;
	} else {
		wb_batch_note_error(writeback, io);
		if (wb_batch_may_split(writeback, io)) {
			writeback->splits++;
			wb_isolation_halve(&io->isolation);
			prepare_write(writeback, io);
			wb_batch_submit_again(writeback, io);
			return;
		}
		leave_out(writeback, &writeback->room->blocks[io->first_block + io->isolation.at],
			  io->isolation.piece, io->error);
	}
	if (wb_isolation_next(&io->isolation)) {
		prepare_write(writeback, io);
		wb_batch_submit_again(writeback, io);
	}
}

/* A disk that refuses everything may take seconds for each try. */
static bool is_hopeless(const struct wb_writeback *writeback)
{
	return !writeback->has_written && writeback->refusals >= WB_BATCH_REFUSALS_MAX;
}

static void leave_out_rest(struct wb_writeback *writeback)
{
	for (; writeback->next < writeback->block_count; writeback->next++)
		writeback->room->blocks[writeback->next].is_left_out = true;
}

/* There is something to write, and it may be written now. */
static bool has_turn(const struct wb_writeback *writeback)
{
	return writeback->next < writeback->block_count &&
	       wb_batch_in_flight(writeback) < wb_batch_depth(writeback);
}

/* Whether others have waited long enough for the room that this batch will give. */
static bool is_out_of_time(const struct wb_writeback *writeback)
{
	return writeback->written_until_ns > 0 && writeback->order == WB_ORDER_SWEEP &&
	       !writeback->flush.is_under_way &&	/* what is written waits for it */
	       wb_clock_now_ns(writeback->deps.clock) > writeback->written_until_ns;
}

/* The rest stays dirty, and is where the next sweep begins. */
static void cut_short(struct wb_writeback *writeback)
{
	if (writeback->next >= writeback->block_count)
		return;
	writeback->is_cut_short = true;
	if (writeback->pass.pick == WB_PICK_SWEEP)
		writeback->sweep_at = writeback->room->blocks[writeback->next].address;
	/* What was read for nothing shall be less next time. */
	writeback->portion_blocks = MAX((uint32_t)writeback->next, WB_PORTION_BLOCKS_MIN);
	leave_out_rest(writeback);
}

/* What the portion has taken, for the model of the disk. */
static void note_portion(struct wb_writeback *writeback)
{
	struct wb_batch_tally *tally = &writeback->tally;

	if (tally->begun_ns == 0 || writeback->next == 0)
		return;
	tally->write_ns += wb_clock_now_ns(writeback->deps.clock) - tally->begun_ns;
	tally->begun_ns = 0;
	tally->span_bytes += (tally->last_address - writeback->room->blocks[0].address + 1) * BLOCK;
}

/* The next portion of the batch, or its end. */
static void end_writes(struct wb_writeback *writeback)
{
	const struct wb_batch_room *room = writeback->room;
	bool is_over = writeback->is_cut_short || is_hopeless(writeback) ||
		       is_out_of_time(writeback);

	note_portion(writeback);
	wb_batch_end_portion(writeback);
	if (!is_over)
		writeback->portion_blocks = (uint32_t)MIN((uint64_t)writeback->portion_blocks * 2,
							  room->block_count);
	if (is_over || writeback->written_count + room->block_count > room->written_count ||
	    !wb_batch_select_more(writeback)) {
		writeback->stage = WB_BATCH_FLUSH;
		return;
	}
	wb_batch_take_gaps(writeback);
	wb_batch_leave_out_held(writeback);
	writeback->stage = WB_BATCH_READ;
	writeback->next = 0;
}

bool wb_batch_write_step(struct wb_writeback *writeback)
{
	bool any = wb_batch_collect(writeback, write_ended);
	struct wb_write_extent extent;
	struct wb_batch_io *io;

	if (is_hopeless(writeback) || writeback->is_cut_short ||
	    (has_turn(writeback) && is_out_of_time(writeback)))
		cut_short(writeback);
	while (has_turn(writeback) && (io = wb_batch_take_io(writeback))) {
		if (!wb_writeback_plan_write(writeback->room->blocks, writeback->block_count,
					     &writeback->next, &writeback->next_sector,
					     wb_batch_join_blocks(writeback), &extent)) {
			io->is_used = false;
			break;
		}
		if (writeback->written_until_ns == 0)
			writeback->written_until_ns = wb_clock_now_ns(writeback->deps.clock) +
						      WB_BATCH_TIME_NS;
		if (writeback->tally.begun_ns == 0)
			writeback->tally.begun_ns = wb_clock_now_ns(writeback->deps.clock);
		writeback->tally.last_address =
			writeback->room->blocks[extent.first + extent.count - 1].address;
		io->first_block = extent.first;
		io->first_sector = extent.first_sector;
		io->sector_count = extent.sector_count;
		wb_isolation_begin(&io->isolation, extent.count);
		prepare_write(writeback, io);
		writeback->tally.write_count++;
		writeback->tally.write_bytes += io->io.length_bytes;
		wb_batch_submit_to_backing(writeback, io);
		any = true;
	}
	if (!wb_batch_has_io(writeback) && writeback->next >= writeback->block_count) {
		end_writes(writeback);
		return true;
	}
	return any;
}
