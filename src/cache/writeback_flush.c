/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * FLUSH: what a batch has written is brought from the disk's own cache to its platters,
 * and is clean only then.
 *
 * A flush takes long, and behind it the disk would stand still until the next blocks are
 * selected, read and sent. So the next batch begins while it is under way: another batch
 * in everything but that its first writes may reach the disk before the flush has ended,
 * for which they do not count. Its blocks are others than those that the flush is for:
 * these are dirty until it has ended, and are left out by their slots. A newer version of
 * one of them may be among them; it is written after the older one was answered.
 *
 * That is the ordinary case only. After punches, or when anything of the cache or the
 * backing had to be left out, or somebody reads from the backing, the next batch waits for
 * all of the one before. If the flush fails, what was written meanwhile counts as little
 * as what it was for, and the batch under way ends.
 */
#include "cache/writeback_batch.h"

#include <errno.h>
#include <stdlib.h>

#include "base/mutant.h"

/* --- the next batch meanwhile -------------------------------------------------------- */

/* Nothing has happened to the batch that the next one has to know. */
static bool is_ordinary(struct wb_writeback *writeback)
{
	return writeback->order == WB_ORDER_SWEEP && writeback->next_zero == 0 &&
	       !writeback->error && !writeback->has_seen_bad && !writeback->found_bad &&
	       writeback->refusals == 0 && wb_refused_is_empty(writeback->refused) &&
	       wb_block_map_bad_count(writeback->deps.map) == 0 &&
	       wb_extent_table_bad_count(writeback->deps.extents) == 0 &&
	       writeback->deps.read_first->level <= 0 && !writeback->is_abandoned;
}

bool wb_batch_may_begin(const struct wb_writeback *writeback)
{
	if (!writeback->flush.is_under_way)
		return true;
	/* A room of another size is taken when nothing of this one is in use. */
	return writeback->flush.is_behind &&
	       wb_segment_table_dirty(writeback->deps.segments) >=
		       writeback->flush.least_dirty &&
	       !atomic_load(&writeback->next_room) && writeback->deps.read_first->level <= 0;
}

/* Less is not worth a flush of its own. */
static uint32_t least_blocks(const struct wb_writeback *writeback)
{
	return MIN(WB_BEHIND_BLOCKS_MIN, writeback->deps.geometry.slot_count / WB_BEHIND_PART);
}

/* To look passes over all that waits for the flush. */
void wb_batch_found_none(struct wb_writeback *writeback)
{
	writeback->flush.least_dirty = wb_segment_table_dirty(writeback->deps.segments) +
				       least_blocks(writeback);
}

static int compare_slots(const void *a, const void *b)
{
	uint32_t x = ((const struct wb_written_block *)a)->slot;
	uint32_t y = ((const struct wb_written_block *)b)->slot;

	return x < y ? -1 : x > y;
}

bool wb_batch_is_flushed(const struct wb_writeback *writeback, uint32_t slot)
{
	const struct wb_written_block key = { .slot = slot };

	return writeback->flush.is_under_way &&
	       bsearch(&key, writeback->room->flushed, writeback->flush.count, sizeof key,
		       compare_slots);
}

/* --- it begins ------------------------------------------------------------------------ */

static void flush_done(struct wb_backing_waiter *waiter, int error)
{
	struct wb_batch_io *io = (struct wb_batch_io *)((char *)waiter -
				 offsetof(struct wb_batch_io, flush_waiter));

	wb_batch_io_done(&io->io, error);
}

/* The batch's list becomes that of the flush. */
static void hand_over(struct wb_writeback *writeback)
{
	struct wb_batch_flush *flush = &writeback->flush;
	struct wb_batch_room *room = writeback->room;
	struct wb_written_block *written = room->written;

	room->written = room->flushed;
	room->flushed = written;
	flush->count = writeback->written_count;
	writeback->written_count = 0;
	flush->failures = writeback->flush_failures;
	flush->tally = writeback->tally;
	writeback->gap_batches += writeback->is_probe;
	flush->is_behind = is_ordinary(writeback);
	flush->least_dirty = flush->count + least_blocks(writeback);
	flush->error = 0;
	flush->begun_ns = wb_clock_now_ns(writeback->deps.clock);
	flush->is_under_way = true;
}

static void submit(struct wb_writeback *writeback)
{
	struct wb_batch_io *io = &writeback->flush.io;

	io->is_at_backing = true;
	atomic_store(&io->has_ended, false);
	io->io.op = WB_IO_FLUSH;
	wb_busy_meter_begin(&writeback->meter);
	io->flush_waiter.purpose = WB_FLUSH_FOR_BATCH;
	io->flush_waiter.done = flush_done;
	wb_backing_flush_batch(writeback->deps.backing_flush, &io->flush_waiter);
}

bool wb_batch_flush_step(struct wb_writeback *writeback)
{
	struct wb_batch_flush *flush = &writeback->flush;

	if (flush->is_under_way)
		return false;
	if (!writeback->has_written || writeback->error) {
		writeback->stage = WB_BATCH_COMMIT;
		return true;
	}
	hand_over(writeback);
	submit(writeback);
	/* While the disk is busy with it. */
	if (flush->is_behind)
		wb_writeback_plan_sort_written(writeback->room->flushed, flush->count);
	writeback->stage = flush->is_behind ? WB_BATCH_IDLE : WB_BATCH_COMMIT;
	return true;
}

/* --- it ends --------------------------------------------------------------------------- */

/* Its discard was punched, but had to stay in a full table as a whole, and will be
 * punched again. */
static bool is_under_zeros(struct wb_writeback *writeback, const struct wb_written_block *block)
{
	uint64_t until;

	return !WB_MUTANT(punch_after_writes) &&
	       wb_extent_table_lookup(writeback->deps.extents, block->address, &until) ==
		       WB_EXTENT_ZERO;
}

size_t wb_batch_mark_clean(struct wb_writeback *writeback)
{
	size_t count = 0;

	for (size_t i = 0; i < writeback->flush.count; i++) {
		const struct wb_written_block *block = &writeback->room->flushed[i];

		/* A newer version may have taken the map's place: that one is
		 * dirty and keeps its state. */
		if (!is_under_zeros(writeback, block)) {
			wb_batch_set_state(writeback, block->address, block->slot,
					   WB_SLOT_CLEAN);
			count++;
		}
	}
	WB_STAT_ADD(writeback->deps.stats, WB_STAT_WRITEBACK_BLOCKS, count);
	WB_STAT_ADD(writeback->deps.stats, WB_STAT_WRITEBACK_BATCHES, 1);
	return count;
}

void wb_batch_unpin_flushed(struct wb_writeback *writeback)
{
	for (size_t i = 0; i < writeback->flush.count; i++)
		wb_batch_unpin(writeback, writeback->room->flushed[i].slot);
	writeback->flush.count = 0;
}

/* Of a batch of which nothing was filled, so that it shows what hops cost; and not of
 * one that was held back for those who read. */
static void learn(struct wb_writeback *writeback, uint64_t now_ns)
{
	const struct wb_batch_flush *flush = &writeback->flush;
	const struct wb_batch_tally *tally = &flush->tally;

	if (!tally->has_filled && !flush->error && writeback->deps.read_first->level <= 0)
		wb_disk_model_add_writes(&writeback->model,
					 tally->write_ns + now_ns - flush->begun_ns,
					 tally->write_count, tally->write_bytes,
					 tally->span_bytes);
}

/* The time of the batch under way begins: so far the disk was busy with what was before
 * it, and may have let its writes wait. */
static void begin_time(struct wb_writeback *writeback, uint64_t now_ns)
{
	struct wb_batch_tally *tally = &writeback->tally;

	if (writeback->written_until_ns > 0)
		writeback->written_until_ns = now_ns + WB_BATCH_TIME_NS;
	writeback->zeros_until_ns = now_ns + WB_ZERO_TIME_NS;
	tally->write_ns = 0;
	if (writeback->stage == WB_BATCH_WRITE && tally->begun_ns > 0)
		tally->begun_ns = now_ns;
}

/* What the batch under way has written was with the disk when it failed. */
static void spoil_next(struct wb_writeback *writeback)
{
	writeback->error = -EIO;
	writeback->is_cut_short = true;
}

static void commit_behind(struct wb_writeback *writeback)
{
	bool is_ok = !writeback->flush.error || WB_MUTANT(backing_error_ignored);

	if (is_ok && wb_batch_mark_clean(writeback) > 0)
		writeback->failures = 0;
	if (!is_ok && writeback->stage != WB_BATCH_IDLE)
		spoil_next(writeback);
	else if (!is_ok)
		wb_batch_pause(writeback);
	wb_batch_unpin_flushed(writeback);
}

/* A flush for somebody else that failed since the first write may have been told
 * what concerns this batch. */
bool wb_batch_look_at_flush(struct wb_writeback *writeback)
{
	struct wb_batch_flush *flush = &writeback->flush;
	uint64_t now;

	if (!flush->is_under_way || !atomic_load(&flush->io.has_ended))
		return false;
	now = wb_clock_now_ns(writeback->deps.clock);
	flush->error = writeback->is_abandoned ? -ECANCELED : flush->io.error;
	if (wb_backing_flush_failures(writeback->deps.backing_flush) != flush->failures &&
	    !WB_MUTANT(foreign_flush_ignored))
		flush->error = -EIO;
	learn(writeback, now);
	if (flush->is_behind) {
		commit_behind(writeback);
		begin_time(writeback, now);
	} else if (flush->error) {
		writeback->error = flush->error;
	}
	flush->is_under_way = false;
	return true;
}
