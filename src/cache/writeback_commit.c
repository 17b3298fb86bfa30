/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The end of a batch, and of each portion: what becomes of its blocks. */
#include "cache/writeback_batch.h"

#include "base/mutant.h"

/* --- what was written -------------------------------------------------------------- */

void wb_batch_unpin(struct wb_writeback *writeback, uint32_t slot)
{
	if (slot == WB_NO_SLOT)
		return;
	wb_segment_unpin(writeback->deps.segments,
			 wb_segment_of_slot(writeback->deps.segments, slot));
}

void wb_batch_end_portion(struct wb_writeback *writeback)
{
	struct wb_batch_room *room = writeback->room;
	uint64_t filled = 0;

	for (size_t i = 0; i < writeback->block_count; i++) {
		const struct wb_batch_block *block = &room->blocks[i];

		filled += block->is_gap && !block->is_left_out;
		if (block->is_left_out || block->is_gap)
			wb_batch_unpin(writeback, block->slot);
		else
			room->written[writeback->written_count++] = (struct wb_written_block){
				.address = block->address, .slot = block->slot };
	}
	writeback->block_count = 0;
	wb_batch_end_gaps(writeback);
	WB_STAT_ADD(writeback->deps.stats, WB_STAT_GAP_BLOCKS, filled);
}

/* Only now: a place that was reused meanwhile could hold a newer version of the same
 * block in the same slot, and that would become clean. */
void wb_batch_unpin_all(struct wb_writeback *writeback)
{
	for (size_t i = 0; i < writeback->block_count; i++)
		wb_batch_unpin(writeback, writeback->room->blocks[i].slot);
	for (size_t i = 0; i < writeback->written_count; i++)
		wb_batch_unpin(writeback, writeback->room->written[i].slot);
	writeback->block_count = 0;
	writeback->written_count = 0;
	wb_batch_end_gaps(writeback);
}

/* --- COMMIT ------------------------------------------------------------------------ */

/* All discards before next_zero, but for what refused to be punched. */
static void finish_zeros(struct wb_writeback *writeback)
{
	struct wb_extent left;
	uint64_t from = 0, until;
	size_t gone = 0;

	while (from < writeback->next_zero) {
		bool is_refused = wb_refused_is_held(writeback->refused, from, &until);

		until = MIN(until, writeback->next_zero);
		if (!is_refused)
			gone += wb_extent_table_finish_zeros(writeback->deps.extents, from,
							     until, writeback->pass.durable);
		/* For want of room in the table: not again at once. */
		if (!is_refused && wb_extent_table_next_zero(writeback->deps.extents, from,
							     writeback->pass.durable, &left) &&
		    left.first < until)
			writeback->was_refused_unknown = true;
		from = until;
	}
	if (gone > 0 && writeback->zeros_done)
		writeback->zeros_done(writeback->arg);
}

void wb_batch_pause(struct wb_writeback *writeback)
{
	unsigned failures = writeback->failures;

	writeback->retry_at_ns = wb_clock_now_ns(writeback->deps.clock) +
		MIN(WB_RETRY_FIRST_NS << MIN(failures, 10u), WB_RETRY_LAST_NS);
	writeback->failures = failures + 1;
}

/* A new one gets all its tries: the count is one for all. */
static void count_bad_tries(struct wb_writeback *writeback)
{
	if (writeback->found_new_bad ||
	    (writeback->has_bad && writeback->found_bad_then != writeback->found_bad_known))
		writeback->bad_tries = writeback->found_bad;
	else if (writeback->found_bad)
		writeback->bad_tries++;
	else if (writeback->has_bad)
		writeback->bad_tries = 0;
	if (writeback->has_bad)
		writeback->found_bad_known = writeback->found_bad_then;
}

/*
 * The backing's flush has ended. If it failed nothing of the batch counts: it
 * may have dropped writes that had succeeded. Otherwise blocks that were refused
 * wait by themselves, and the others go on; only if none could be written, or
 * not all the refused ones can be remembered, everything waits.
 */
static void commit(struct wb_writeback *writeback)
{
	size_t count = 0;

	if (!writeback->error || WB_MUTANT(backing_error_ignored)) {
		finish_zeros(writeback);
		count = wb_batch_mark_clean(writeback);
		/* Of a batch that was cut short nobody knows which were tried: they
		 * are due again. */
		if (!writeback->is_cut_short)
			wb_refused_taken_are_done(writeback->refused);
		count_bad_tries(writeback);
	} else if (writeback->found_new_bad) {
		writeback->bad_tries = 1;
	}
	if (writeback->error || writeback->was_refused_unknown ||
	    (writeback->was_refused_new && !writeback->has_written))
		wb_batch_pause(writeback);
	else if (count > 0 || writeback->has_written)
		writeback->failures = 0;
	wb_batch_unpin_flushed(writeback);
	wb_batch_unpin_all(writeback);
	writeback->stage = WB_BATCH_IDLE;
}

bool wb_batch_commit_step(struct wb_writeback *writeback)
{
	if (writeback->flush.is_under_way)
		return false;
	commit(writeback);
	return true;
}
