/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes around the cache, in the mode writearound and of long streams: to the
 * backing, without a place for the data in the log. A piece lies in one chunk:
 *
 *   ENTER    mark the blocks busy; how many of them can go around? The others, and
 *            what is no whole sector of the backing, go through the log (IN_LOG)
 *   LOGGED   a BYPASS entry for them is durable, and their clean copies are dead:
 *            now the backing is written
 *   WRITTEN  the disk has answered; leave
 *
 * A block can go around when nothing in front of the backing is newer than what the
 * backing has: it is not dirty, and no discard of it is pending. Then writeback has
 * nothing of it under way either: what it writes or punches stays dirty, or pending,
 * until the batch is flushed and committed; and the gaps that it fills are known (see
 * gap_range.h). The mark keeps it so until the disk has
 * answered: whoever would make it dirty, or discard it, waits. (Whatever else may
 * come to write blocks of the backing that are not dirty has to take the mark, too.)
 *
 * Why the entry comes first, and is durable: the log may still hold older versions
 * of the block, dirty ones that were written back since, discards that were punched,
 * clean copies. A recovery that did not see the entry would bring them back over
 * what is written here, or show an older copy until it is evicted and the newer data
 * appears behind it.
 *
 * What the disk has answered is durable after a flush of the backing, which every
 * later sync waits for. Until then a power cut may take it, though what was written
 * to other places afterwards is kept by the log: the one exception from the rule
 * that a crash leaves a prefix of the writes.
 *
 * If the disk refuses the write, or a flush fails meanwhile, the log takes the data.
 */
#include "cache/request.h"

#include <errno.h>
#include <string.h>

#include "base/mutant.h"

#define BLOCK WB_BLOCK_BYTES

static char *user_bytes(const struct wb_request *request)
{
	return (char *)request->pub.buffer + (request->cursor_bytes - request->pub.offset_bytes);
}

static bool is_memory_right(const struct wb_request *request)
{
	return (uintptr_t)user_bytes(request) % wb_request_backing_unit(request) == 0;
}

static struct wb_stripe *stripe_of(const struct wb_request *request)
{
	return wb_block_map_stripe(request->path->map, request->bypass.busy.first);
}

void wb_bypass_path_begin(struct wb_request *request)
{
	wb_write_path_begin(request);
	request->bypass.stage = WB_BYPASS_ENTER;
}

/* --- what can go around ---------------------------------------------------------- */

/* The end of the piece at the cursor, as far as sectors, chunk and memory are
 * concerned; *goes_around: FALSE when the log has to take it. */
static uint64_t plan_piece(const struct wb_request *request, bool *goes_around)
{
	uint64_t at = request->cursor_bytes, chunk_bytes = (uint64_t)WB_CHUNK_BLOCKS * BLOCK;
	uint64_t end = MIN(wb_request_end_bytes(request), (at / chunk_bytes + 1) * chunk_bytes);
	uint64_t whole_end = wb_round_down(end, wb_request_backing_unit(request));

	*goes_around = at % wb_request_backing_unit(request) == 0 && whole_end > at;
	if (!*goes_around)
		return MIN(end, wb_round_up(at + 1, BLOCK));
	if (!is_memory_right(request))
		return MIN(whole_end, at + WB_BOUNCE_COUNT * BLOCK);
	return whole_end;
}

static bool is_clear_locked(const struct wb_request *request, uint64_t address)
{
	struct wb_data_path *path = request->path;
	struct wb_mapping now;
	uint64_t until;

	wb_block_map_lookup_locked(path->map, address, &now);
	if (now.slot != WB_NO_SLOT && wb_slot_state_is_dirty(now.state) &&
	    !WB_MUTANT(bypass_over_dirty))
		return false;
	if (wb_gap_range_has(&path->gap_range, address) && !WB_MUTANT(gap_not_guarded))
		return false;
	return WB_MUTANT(bypass_over_discard) ||
	       wb_extent_table_lookup(path->extents, address, &until) == WB_EXTENT_NONE;
}

/* The blocks from the first one on that are like it; *goes_around: how. Of a stream
 * few blocks between dirty ones are not worth an entry and a write of their own. */
static uint64_t count_alike_locked(const struct wb_request *request, bool *goes_around)
{
	const struct wb_busy *busy = &request->bypass.busy;
	uint64_t count = 1;

	*goes_around = is_clear_locked(request, busy->first);
	while (busy->first + count <= busy->last &&
	       is_clear_locked(request, busy->first + count) == *goes_around)
		count++;
	if (busy->first + count <= busy->last && count * BLOCK < request->around_min_bytes)
		*goes_around = false;
	return count;
}

/* --- ENTER ------------------------------------------------------------------------ */

static void count_block_locked(struct wb_request *request, uint64_t address)
{
	struct wb_data_path *path = request->path;
	bool is_full = address * BLOCK >= request->cursor_bytes &&
		       (address + 1) * BLOCK <= request->bypass.end_bytes;
	struct wb_segment *copy = NULL;
	struct wb_mapping now;

	wb_block_map_lookup_locked(path->map, address, &now);
	if (now.slot != WB_NO_SLOT)
		copy = wb_segment_of_slot(path->segments, now.slot);
	request->bypass.counts.count[wb_request_hit_bits(copy) | (is_full ? WB_BLOCK_FULL : 0)]++;
}

/* Clean copies die; edge reads that began before are out of date. */
static void kill_copies(struct wb_request *request)
{
	struct wb_bypass_work *work = &request->bypass;
	struct wb_data_path *path = request->path;
	struct wb_stripe *stripe = stripe_of(request);

	work->counts = (struct wb_block_counts){ { 0 } };
	wb_lock_acquire(&stripe->lock);
	for (uint64_t a = work->busy.first; a <= work->busy.last; a++) {
		count_block_locked(request, a);
		if (!WB_MUTANT(bypass_keeps_copies))
			wb_block_map_remove_locked(path->map, a);
	}
	stripe->change_count++;
	wb_lock_release(&stripe->lock);
}

static void leave(struct wb_request *request)
{
	struct wb_stripe *stripe = stripe_of(request);

	wb_lock_acquire(&stripe->lock);
	stripe->change_count++;
	wb_exclusion_leave_locked(request->path->exclusion, &request->bypass.busy);
	wb_lock_release(&stripe->lock);
	request->bypass.stage = WB_BYPASS_ENTER;
}

/* Anything may have happened to the request when this has run. */
static void entry_durable(struct wb_sync_waiter *waiter, int error)
{
	struct wb_request *request =
		(struct wb_request *)((char *)waiter - offsetof(struct wb_request, waiter));

	request->bypass.error = error;
	wb_request_run(request);
}

/* The entry for the marked blocks; TRUE to go on, FALSE when the request waits. */
static bool log_entry(struct wb_request *request)
{
	struct wb_bypass_work *work = &request->bypass;
	struct wb_data_path *path = request->path;
	uint64_t generation = wb_park_generation(path->space);
	struct wb_record *record;
	int result;

	if (WB_MUTANT(bypass_unlogged)) {
		kill_copies(request);
		work->stage = WB_BYPASS_LOGGED;
		work->error = 0;
		return true;
	}
	if (!wb_log_append_extent(path->log, WB_LOG_EXTENT, &(struct wb_log_extent){
			.type = WB_ENTRY_BYPASS, .first = work->busy.first,
			.count = (uint32_t)(work->busy.last - work->busy.first + 1) }, &record)) {
		leave(request);
		return !wb_request_park_for_space(request, generation);
	}
	kill_copies(request);
	work->stage = WB_BYPASS_LOGGED;
	work->error = 0;
	request->waiter.target = record->sequence;
	request->waiter.may_wait = false;
	request->waiter.done = entry_durable;
	/* Before it is waited for: a record is not written while this is to come. */
	wb_log_extent_done(path->log, record);
	if (WB_MUTANT(bypass_before_durable))
		return true;
	result = wb_flush_sync(path->flush, &request->waiter);
	if (result != 1)
		work->error = result;
	return result != 1;
}

/* TRUE to go on, FALSE when the request waits. */
static bool enter(struct wb_request *request)
{
	struct wb_bypass_work *work = &request->bypass;
	struct wb_data_path *path = request->path;
	struct wb_stripe *stripe;
	bool goes_around;
	uint64_t alike;

	if (wb_flush_has_failed(path->flush)) {
		request->error = -EIO;
		return true;
	}
	if (wb_request_queues_for_space(request))
		return false;
	work->end_bytes = plan_piece(request, &goes_around);
	if (!goes_around) {
		work->stage = WB_BYPASS_IN_LOG;
		return true;
	}
	work->busy.first = request->cursor_bytes / BLOCK;
	work->busy.last = (work->end_bytes - 1) / BLOCK;
	if (wb_exclusion_enter(path->exclusion, &work->busy, &request->parked) != WB_ENTERED)
		return false;
	stripe = stripe_of(request);
	alike = count_alike_locked(request, &goes_around);
	work->busy.last = work->busy.first + alike - 1;
	work->end_bytes = MIN(work->end_bytes, (work->busy.last + 1) * BLOCK);
	if (!goes_around)
		wb_exclusion_leave_locked(path->exclusion, &work->busy);
	wb_lock_release(&stripe->lock);
	if (goes_around)
		return log_entry(request);
	work->stage = WB_BYPASS_IN_LOG;
	return true;
}

/* --- LOGGED, WRITTEN ---------------------------------------------------------------- */

static void write_done(struct wb_io *io, int error)
{
	struct wb_request *request =
		(struct wb_request *)((char *)io - offsetof(struct wb_request, bypass.io));

	wb_request_left_backing(request, io);
	request->bypass.error = error;
	request->bypass.stage = WB_BYPASS_WRITTEN;
	/* Not here: the log may have to take the data, and it is copied for that. */
	wb_request_resume(request);
}

/* FALSE: the request waits for the disk. */
static bool write_backing(struct wb_request *request)
{
	struct wb_bypass_work *work = &request->bypass;
	struct wb_data_path *path = request->path;
	uint64_t at = request->cursor_bytes, length = work->end_bytes - at;
	void *memory = user_bytes(request);

	/* The log has failed, and with it the request. */
	if (work->error) {
		request->error = work->error;
		leave(request);
		return true;
	}
	if (!is_memory_right(request))
		memory = memcpy(request->bounce, memory, length);
	work->flush_failures = wb_backing_flush_begin_change(path->backing_flush);
	WB_STAT_ADD(path->stats, WB_STAT_BACKING_WRITES, 1);
	WB_STAT_ADD(path->stats, WB_STAT_BACKING_WRITTEN_BYTES, length);
	wb_io_prepare(&work->io, WB_IO_WRITE, WB_IO_CLASS_USER_WRITE, at, memory, length,
		      write_done);
	wb_request_submit_to_backing(request, &work->io);
	return false;
}

static void after_write(struct wb_request *request)
{
	struct wb_bypass_work *work = &request->bypass;
	struct wb_data_path *path = request->path;

	/* Before anybody else can change these blocks, or hear that they are changed. */
	if (!wb_backing_flush_end_change(path->backing_flush, work->flush_failures) &&
	    !work->error)
		work->error = -EIO;
	/* A death before this has it written once more: nobody else was let in. */
	if (!work->error)
		wb_executed_done(request->executed, work->end_bytes);
	leave(request);
	if (work->error) {
		WB_STAT_ADD(path->stats, WB_STAT_BACKING_ERRORS, 1);
		wb_message_set(path->message, "backing %s: writing %" G_GUINT64_FORMAT " bytes "
			       "around the cache at %" G_GUINT64_FORMAT " failed: %s; the cache "
			       "takes them", path->backing_store->label,
			       work->end_bytes - request->cursor_bytes, request->cursor_bytes,
			       g_strerror(-work->error));
		work->stage = WB_BYPASS_IN_LOG;
		return;
	}
	wb_stats_add_blocks(path->stats, WB_BLOCK_WRITE, &work->counts);
	WB_STAT_ADD(path->stats, WB_STAT_BYPASSED_BYTES, work->end_bytes - request->cursor_bytes);
	WB_STAT_ADD(path->stats, WB_STAT_BYPASSED_WRITES, 1);
	request->cursor_bytes = work->end_bytes;
	request->has_bypassed = true;
}

enum wb_progress wb_bypass_path_run(struct wb_request *request)
{
	struct wb_bypass_work *work = &request->bypass;
	bool goes_on = true;

	while (goes_on && !request->error && request->cursor_bytes < wb_request_end_bytes(request)) {
		switch (work->stage) {
		case WB_BYPASS_ENTER:
			goes_on = enter(request);
			break;
		case WB_BYPASS_LOGGED:
			goes_on = write_backing(request);
			break;
		case WB_BYPASS_WRITTEN:
			after_write(request);
			break;
		case WB_BYPASS_IN_LOG:
			goes_on = wb_write_path_range(request, work->end_bytes,
						      request->pub.buffer) ==
				  WB_PROGRESS_DONE;
			if (goes_on)
				work->stage = WB_BYPASS_ENTER;
			break;
		}
	}
	return goes_on ? WB_PROGRESS_DONE : WB_PROGRESS_WAITS;
}
