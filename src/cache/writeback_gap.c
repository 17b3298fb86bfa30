/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Gaps between the blocks of a portion that are written over with what is there, where
 * that is faster than to pass over them (gap_plan). From when it is asked for until it
 * is written nobody else may change the backing there: this engine is the only one that
 * writes there, but for writes around the cache, which keep off (gap_range), or were
 * there first and are seen by their busy marks.
 *
 * Left out are gaps that are not allocated on the backing, that refused to be written or
 * read, or that somebody is changing. What becomes dirty in a gap meanwhile is newer,
 * stays dirty, and is written by a later batch.
 */
#include "cache/writeback_batch.h"

#include "base/mutant.h"
#include "cache/gap_plan.h"

#define BLOCK WB_BLOCK_BYTES
#define WORTH 1.2		/* less is noise in what was measured */

/* --- which ---------------------------------------------------------------------------- */

static bool is_whole(const struct wb_batch_block *block)
{
	return block->mask == block->full_mask && !block->was_bad;
}

static bool is_known_bad(const struct wb_writeback *writeback, uint64_t first, uint64_t end)
{
	unsigned count = MIN(writeback->bad_gap_count, WB_BAD_GAPS);

	for (unsigned i = 0; i < count; i++)
		if (writeback->bad_gaps[i] >= first && writeback->bad_gaps[i] < end)
			return true;
	return false;
}

void wb_batch_note_bad_gap(struct wb_writeback *writeback, uint64_t address)
{
	writeback->bad_gaps[writeback->bad_gap_count++ % WB_BAD_GAPS] = address;
}

static bool is_refused(struct wb_writeback *writeback, uint64_t first, uint64_t end)
{
	uint64_t until;

	return wb_refused_has(writeback->refused, first, &until) || until < end;
}

/* All blocks of [first, end) are clean in the cache. */
static bool is_cached(struct wb_writeback *writeback, uint64_t first, uint64_t end)
{
	while (first < end) {
		uint64_t stop = MIN((first / WB_CHUNK_BLOCKS + 1) * WB_CHUNK_BLOCKS, end);

		if (!wb_block_map_are_clean(writeback->deps.map, first, stop, NULL, NULL))
			return false;
		first = stop;
	}
	return true;
}

/* Cheap questions first: most gaps are too long to be worth while. */
static void look_at_gap(struct wb_writeback *writeback, struct wb_batch_block *block,
			uint32_t limit)
{
	uint64_t first = block[-1].address + 1, end = block->address;

	block->may_fill = end > first && end - first <= limit && is_whole(block) &&
			  is_whole(&block[-1]) &&
			  wb_disk_model_hop_ns(&writeback->model, end - first) >
				  WORTH * wb_disk_model_pass_ns(&writeback->model, end - first) &&
			  !is_known_bad(writeback, first, end) &&
			  !is_refused(writeback, first, end);
	block->has_cached_gap = block->may_fill && is_cached(writeback, first, end);
}

/* Those that have no room any more are selected again by the next portion. */
static void give_back(struct wb_writeback *writeback, size_t from)
{
	const struct wb_batch_block *blocks = writeback->room->blocks;
	struct wb_batch_pass *pass = &writeback->pass;

	if (from == writeback->block_count)
		return;
	writeback->sweep_at = blocks[from].address;
	pass->has_wrapped = writeback->sweep_at < pass->sweep_begin;
	pass->is_complete = false;
	for (size_t i = from; i < writeback->block_count; i++)
		wb_batch_unpin(writeback, blocks[i].slot);
	writeback->block_count = from;
}

/* Now and then a batch is written without, to see whether hops still cost what they
 * did: where gaps are filled nobody would notice. */
static bool wants_gaps(struct wb_writeback *writeback)
{
	return writeback->pass.pick == WB_PICK_SWEEP && !writeback->has_bad &&
	       writeback->block_count > 1 && atomic_load(&writeback->gap_blocks) > 0 &&
	       !writeback->is_probe;
}

/* --- from where -------------------------------------------------------------------------- */

static void leave_out(struct wb_writeback *writeback, size_t from, size_t end)
{
	struct wb_batch_block *blocks = writeback->room->blocks;

	for (size_t i = from; i < end; i++) {
		wb_batch_unpin(writeback, blocks[i].slot);
		blocks[i].slot = WB_NO_SLOT;
		blocks[i].is_left_out = true;
	}
}

static bool has_hole(struct wb_writeback *writeback, size_t from, size_t end)
{
	return wb_store_has_hole(writeback->deps.backing_store,
				 writeback->room->blocks[from].address * BLOCK,
				 (end - from) * BLOCK);
}

/* The blocks [from, end) of the portion are a gap of one chunk, or a part of one. */
static void find_data(struct wb_writeback *writeback, size_t from, size_t end)
{
	struct wb_batch_block *blocks = writeback->room->blocks;
	uint32_t slots[WB_CHUNK_BLOCKS];
	bool is_busy, are_clean;

	are_clean = wb_block_map_are_clean(writeback->deps.map, blocks[from].address,
					   blocks[end - 1].address + 1, slots, &is_busy);
	for (size_t i = from; are_clean && i < end; i++)
		blocks[i].slot = slots[i - from];
	if (is_busy && !WB_MUTANT(gap_not_guarded))
		leave_out(writeback, from, end);
}

static void find_all_data(struct wb_writeback *writeback)
{
	const struct wb_batch_block *blocks = writeback->room->blocks;
	size_t from = 0, end;

	for (; from < writeback->block_count; from = end) {
		uint64_t chunk = blocks[from].address / WB_CHUNK_BLOCKS;

		end = from + 1;
		if (!blocks[from].is_gap)
			continue;
		while (end < writeback->block_count && blocks[end].is_gap &&
		       blocks[end].address / WB_CHUNK_BLOCKS == chunk)
			end++;
		find_data(writeback, from, end);
		if (has_hole(writeback, from, end))
			leave_out(writeback, from, end);
	}
}

void wb_batch_take_gaps(struct wb_writeback *writeback)
{
	struct wb_batch_room *room = writeback->room;
	uint32_t limit = atomic_load(&writeback->gap_blocks);
	size_t entries, fit;

	if (!wants_gaps(writeback))
		return;
	room->blocks[0].may_fill = false;
	for (size_t i = 1; i < writeback->block_count; i++)
		look_at_gap(writeback, &room->blocks[i], limit);
	wb_gap_plan(room->blocks, writeback->block_count, wb_batch_join_blocks(writeback),
		    &writeback->model);
	fit = wb_gap_plan_fit(room->blocks, writeback->block_count, room->block_count, &entries);
	if (entries == fit)
		return;
	give_back(writeback, fit);
	wb_gap_plan_expand(room->blocks, fit, entries);
	writeback->block_count = entries;
	for (size_t i = 0; i < entries; i++)
		room->blocks[i].buffer_block = (uint32_t)i;
	writeback->gap_batches += !writeback->tally.has_filled;
	writeback->tally.has_filled = true;
	wb_gap_range_set(writeback->deps.gap_range, room->blocks[0].address,
			 room->blocks[entries - 1].address + 1);
	find_all_data(writeback);
}

void wb_batch_end_gaps(struct wb_writeback *writeback)
{
	wb_gap_range_set(writeback->deps.gap_range, 0, 0);
}

/* --- GAPS --------------------------------------------------------------------------------- */

static bool is_to_be_read(const struct wb_batch_block *block)
{
	return block->is_gap && !block->is_left_out && block->slot == WB_NO_SLOT;
}

static void gaps_ended(struct wb_writeback *writeback, struct wb_batch_io *io)
{
	struct wb_batch_block *blocks = &writeback->room->blocks[io->first_block];
	bool is_noted = false;

	if (!io->error || WB_MUTANT(gap_error_ignored))
		return;
	wb_batch_note_error(writeback, io);
	for (size_t i = 0; i < io->block_count; i++) {
		if (!is_to_be_read(&blocks[i]))
			continue;
		blocks[i].is_left_out = true;
		if (!is_noted)
			wb_batch_note_bad_gap(writeback, blocks[i].address);
		is_noted = true;
	}
}

/* From the first gap on that has to be read: all that becomes one write, up to the last
 * such gap in it. What is dirty there, or in the cache, is thrown away. */
static void prepare_gaps(struct wb_writeback *writeback, struct wb_batch_io *io)
{
	struct wb_batch_block *blocks = writeback->room->blocks;
	size_t from = writeback->next, end = from + 1, limit = wb_batch_join_blocks(writeback);

	for (size_t i = end; i < writeback->block_count && i - from < limit &&
	     blocks[i].address == blocks[i - 1].address + 1 &&
	     wb_gap_plan_reads_on(&writeback->model, i - end); i++)
		if (is_to_be_read(&blocks[i]))
			end = i + 1;
	io->first_block = from;
	io->block_count = end - from;
	for (size_t i = from; i < end; i++)
		io->iov[i - from] = (struct iovec){
			is_to_be_read(&blocks[i]) ?
				wb_batch_memory(writeback, blocks[i].buffer_block) : io->scratch,
			BLOCK };
	wb_io_prepare(&io->io, WB_IO_READ, WB_IO_CLASS_WRITEBACK, blocks[from].address * BLOCK,
		      NULL, (end - from) * BLOCK, wb_batch_io_done);
	io->io.iov = io->iov;
	io->io.iov_count = (unsigned)(end - from);
	writeback->next = end;
}

static void end_reads(struct wb_writeback *writeback)
{
	struct wb_batch_tally *tally = &writeback->tally;

	if (tally->read_count > 0 && !tally->is_blurred)
		wb_disk_model_add_reads(&writeback->model,
					wb_clock_now_ns(writeback->deps.clock) - tally->begun_ns,
					tally->read_count, tally->read_bytes);
	tally->begun_ns = tally->read_count = tally->read_bytes = 0;
	tally->is_blurred = false;
	writeback->stage = WB_BATCH_MERGE;
	writeback->next = 0;
}

bool wb_batch_gaps_step(struct wb_writeback *writeback)
{
	bool any = wb_batch_collect(writeback, gaps_ended);
	struct wb_batch_io *io;

	while (writeback->next < writeback->block_count) {
		if (!is_to_be_read(&writeback->room->blocks[writeback->next])) {
			writeback->next++;
			continue;
		}
		if (wb_batch_in_flight(writeback) >= wb_batch_depth(writeback) ||
		    !(io = wb_batch_take_io(writeback)))
			return any;
		if (writeback->tally.read_count++ == 0)
			writeback->tally.begun_ns = wb_clock_now_ns(writeback->deps.clock);
		writeback->tally.is_blurred |= writeback->flush.is_under_way;
		prepare_gaps(writeback, io);
		writeback->tally.read_bytes += io->io.length_bytes;
		wb_batch_submit_to_backing(writeback, io);
		any = true;
	}
	if (wb_batch_has_io(writeback))
		return any;
	end_reads(writeback);
	return true;
}
