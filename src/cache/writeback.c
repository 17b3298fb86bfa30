/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/writeback.h"

#include <errno.h>

#include "cache/cache.h"
#include "cache/carry.h"
#include "cache/writeback_batch.h"

#define BLOCK WB_BLOCK_BYTES

struct wb_writeback *wb_writeback_new(const struct wb_writeback_deps *deps, GError **error)
{
	struct wb_batch_room *room = wb_batch_room_new(&deps->geometry, deps->batch_bytes,
						       error);
	struct wb_writeback *writeback;

	if (!room)
		return NULL;
	writeback = g_new0(struct wb_writeback, 1);
	writeback->deps = *deps;
	writeback->room = room;
	writeback->scratch = g_aligned_alloc0(WB_WRITEBACK_DEPTH, BLOCK, BLOCK);
	writeback->iovs = g_new0(struct iovec, WB_WRITEBACK_DEPTH * WB_WRITEBACK_JOIN_BLOCKS);
	writeback->carry_blocks = g_new0(struct wb_carry_block, deps->geometry.segment_blocks);
	writeback->refused = wb_refused_new();
	wb_busy_meter_init(&writeback->meter, deps->clock);
	wb_busy_meter_init(&writeback->reads_meter, deps->clock);
	writeback->zero_piece_bytes = WB_ZERO_PIECE_BYTES_MIN;
	writeback->portion_blocks = room->block_count;
	writeback->model = (struct wb_disk_model)WB_DISK_MODEL_DEFAULT;
	for (unsigned i = 0; i < WB_WRITEBACK_DEPTH; i++) {
		writeback->ios[i].writeback = writeback;
		writeback->ios[i].scratch = writeback->scratch + (size_t)i * BLOCK;
		writeback->ios[i].iov = writeback->iovs + i * WB_WRITEBACK_JOIN_BLOCKS;
	}
	writeback->flush.io.writeback = writeback;
	return writeback;
}

void wb_writeback_free(struct wb_writeback *writeback)
{
	if (!writeback)
		return;
	g_assert(wb_writeback_is_idle(writeback));
	wb_batch_room_free(writeback->room);
	wb_batch_room_free(writeback->next_room);
	g_aligned_free(writeback->scratch);
	wb_refused_free(writeback->refused);
	wb_busy_meter_clear(&writeback->meter);
	wb_busy_meter_clear(&writeback->reads_meter);
	g_free(writeback->carry_blocks);
	g_free(writeback->iovs);
	g_free(writeback);
}

void wb_writeback_set_callbacks(struct wb_writeback *writeback, void (*kick)(void *arg),
				void (*zeros_done)(void *arg), void *arg)
{
	writeback->kick = kick;
	writeback->zeros_done = zeros_done;
	writeback->arg = arg;
}

bool wb_writeback_is_idle(struct wb_writeback *writeback)
{
	return writeback->stage == WB_BATCH_IDLE && !writeback->flush.is_under_way;
}

unsigned wb_writeback_failures(struct wb_writeback *writeback)
{
	return atomic_load(&writeback->failures);
}

bool wb_writeback_is_stuck(struct wb_writeback *writeback)
{
	return atomic_load(&writeback->is_stuck);
}

bool wb_writeback_is_settled(struct wb_writeback *writeback)
{
	return wb_writeback_is_idle(writeback) && atomic_load(&writeback->completions) == 0;
}

void wb_writeback_retry_now(struct wb_writeback *writeback)
{
	atomic_store(&writeback->bad_tries, 0);
	atomic_store(&writeback->retry_bad_now, true);
	atomic_store(&writeback->is_pause_over, true);
	wb_refused_retry_now(writeback->refused);
}

struct wb_refused *wb_writeback_refused(struct wb_writeback *writeback)
{
	return writeback->refused;
}

struct wb_busy_times wb_writeback_busy(struct wb_writeback *writeback, struct wb_busy_times *reads)
{
	*reads = wb_busy_meter_read(&writeback->reads_meter);
	return wb_busy_meter_read(&writeback->meter);
}

uint64_t wb_writeback_paused_until_ns(struct wb_writeback *writeback)
{
	return atomic_load(&writeback->failures) > 0 ?
	       atomic_load(&writeback->retry_at_ns) : 0;
}

unsigned wb_writeback_bad_tries(struct wb_writeback *writeback)
{
	if (wb_block_map_found_bad_count(writeback->deps.map) != writeback->found_bad_known)
		return 0;
	return atomic_load(&writeback->bad_tries);
}

void wb_writeback_set_order(struct wb_writeback *writeback, enum wb_writeback_order order)
{
	atomic_store(&writeback->next_order, order);
}

void wb_writeback_set_gap(struct wb_writeback *writeback, uint32_t kib)
{
	atomic_store(&writeback->gap_blocks, kib / (BLOCK >> 10));
}

void wb_writeback_set_lazy(struct wb_writeback *writeback, bool is_lazy)
{
	writeback->is_lazy = is_lazy;
}

void wb_writeback_abandon(struct wb_writeback *writeback)
{
	atomic_store(&writeback->is_abandoned, true);
}

/* --- I/O of a batch ---------------------------------------------------------- */

void wb_batch_io_done(struct wb_io *io, int error)
{
	struct wb_batch_io *batch_io =
		(struct wb_batch_io *)((char *)io - offsetof(struct wb_batch_io, io));
	struct wb_writeback *writeback = batch_io->writeback;

	atomic_fetch_add(&writeback->completions, 1);
	if (batch_io->is_at_backing) {
		wb_busy_meter_end(&writeback->meter);
		if (io->op == WB_IO_READ)
			wb_busy_meter_end(&writeback->reads_meter);
	}
	if (batch_io->is_at_backing)
		batch_io->ended_ns = wb_clock_now_ns(writeback->deps.clock);
	if (io->op == WB_IO_WRITE || io->op == WB_IO_ZERO) {
		wb_stats_add_latency(writeback->deps.stats, WB_LATENCY_WRITEBACK,
				     batch_io->ended_ns - batch_io->begun_ns);
	}
	batch_io->error = error;
	atomic_store(&batch_io->has_ended, true);
	/* From here on the worker may use it again. */
	if (writeback->kick)
		writeback->kick(writeback->arg);
	atomic_fetch_sub(&writeback->completions, 1);
}

/* The clock is not asked while nobody reads. */
static struct wb_read_first_limit limit_now(const struct wb_writeback *writeback)
{
	const struct wb_read_first *first = writeback->deps.read_first;

	return wb_read_first_limit(first, first->level > 0 ?
				   wb_clock_now_ns(writeback->deps.clock) : 0);
}

unsigned wb_batch_depth(const struct wb_writeback *writeback)
{
	return limit_now(writeback).depth;
}

size_t wb_batch_join_blocks(const struct wb_writeback *writeback)
{
	return writeback->order == WB_ORDER_SEGMENTS ? 1 : limit_now(writeback).blocks;
}

struct wb_batch_io *wb_batch_take_io(struct wb_writeback *writeback)
{
	for (unsigned i = 0; i < WB_WRITEBACK_DEPTH; i++) {
		struct wb_batch_io *io = &writeback->ios[i];

		if (!io->is_used) {
			io->is_used = true;
			io->is_at_backing = false;
			atomic_store(&io->has_ended, false);
			return io;
		}
	}
	return NULL;
}

void wb_batch_submit_to_backing(struct wb_writeback *writeback, struct wb_batch_io *io)
{
	io->is_at_backing = true;
	io->begun_ns = wb_clock_now_ns(writeback->deps.clock);
	wb_busy_meter_begin(&writeback->meter);
	if (io->io.op == WB_IO_READ)
		wb_busy_meter_begin(&writeback->reads_meter);
	wb_store_submit(writeback->deps.backing_store, &io->io);
}

unsigned wb_batch_in_flight(const struct wb_writeback *writeback)
{
	unsigned count = 0;

	for (unsigned i = 0; i < WB_WRITEBACK_DEPTH; i++)
		count += writeback->ios[i].is_used;
	return count;
}

bool wb_batch_has_io(const struct wb_writeback *writeback)
{
	for (unsigned i = 0; i < WB_WRITEBACK_DEPTH; i++) {
		if (writeback->ios[i].is_used)
			return true;
	}
	return false;
}

char *wb_batch_memory(struct wb_writeback *writeback, uint32_t buffer_block)
{
	return writeback->room->data + (size_t)buffer_block * BLOCK;
}

/* Ended I/O is looked at by `ended`, on the worker. */
bool wb_batch_collect(struct wb_writeback *writeback,
		    void (*ended)(struct wb_writeback *, struct wb_batch_io *))
{
	bool any = false;

	for (unsigned i = 0; i < WB_WRITEBACK_DEPTH; i++) {
		struct wb_batch_io *io = &writeback->ios[i];

		if (!io->is_used || !atomic_load(&io->has_ended))
			continue;
		io->is_used = false;
		/* What is read to fill gaps is in readers' way as a write is. */
		if (io->is_at_backing && io->io.op != WB_IO_ZERO)
			wb_read_first_moved(writeback->deps.read_first, io->ended_ns,
					    io->ended_ns - io->begun_ns);
		ended(writeback, io);
		any = true;
	}
	return any;
}

void wb_batch_note_error(struct wb_writeback *writeback, const struct wb_batch_io *io)
{
	static const char *const verbs[] = {
		[WB_IO_READ] = "reading", [WB_IO_WRITE] = "writing",
		[WB_IO_ZERO] = "punching",
	};

	WB_STAT_ADD(writeback->deps.stats, WB_STAT_BACKING_ERRORS, 1);
	wb_message_set(writeback->deps.message,
		       "backing %s: %s %" G_GUINT64_FORMAT " bytes at %" G_GUINT64_FORMAT
		       " failed: %s", writeback->deps.backing_store->label, verbs[io->io.op],
		       io->io.length_bytes, io->io.offset_bytes, g_strerror(-io->error));
}

void wb_batch_set_state(struct wb_writeback *writeback, uint64_t address, uint32_t slot,
			enum wb_slot_state state)
{
	struct wb_stripe *stripe = wb_block_map_stripe(writeback->deps.map, address);

	wb_lock_acquire(&stripe->lock);
	wb_block_map_set_state_locked(writeback->deps.map, address, slot, state);
	wb_lock_release(&stripe->lock);
}

void wb_batch_reset(struct wb_writeback *writeback)
{
	writeback->error = 0;
	writeback->found_bad = false;
	writeback->found_new_bad = false;
	writeback->splits = 0;
	writeback->refusals = 0;
	writeback->was_refused_new = false;
	writeback->was_refused_unknown = false;
	writeback->has_written = false;
	writeback->is_cut_short = false;
	writeback->is_carrying = false;
	writeback->is_last_try = false;
	writeback->written_until_ns = 0;
	writeback->tally = (struct wb_batch_tally){ 0 };
	writeback->next = 0;
}

static bool begin(struct wb_writeback *writeback, enum wb_writeback_wish wish)
{
	if (wish == WB_WRITEBACK_OFF || writeback->is_abandoned)
		return false;
	if (!wb_batch_may_begin(writeback))
		return false;
	if (atomic_exchange(&writeback->is_pause_over, false))
		writeback->retry_at_ns = 0;
	if (writeback->failures > 0 &&
	    wb_clock_now_ns(writeback->deps.clock) < writeback->retry_at_ns)
		return false;
	if (!writeback->flush.is_under_way)
		wb_batch_take_room(writeback);
	writeback->order = atomic_load(&writeback->next_order);
	if (!wb_batch_select(writeback, wish)) {
		wb_batch_found_none(writeback);
		/* What is left is not durable yet, or nothing is. */
		if (wish == WB_WRITEBACK_ALL)
			wb_flush_want(writeback->deps.flush,
				      wb_log_last_sequence(writeback->deps.log));
		return false;
	}
	wb_batch_reset(writeback);
	writeback->flush_failures = wb_backing_flush_failures(writeback->deps.backing_flush);
	writeback->may_split = true;
	writeback->next_zero = 0;
	writeback->unknown_zero = UINT64_MAX;
	writeback->zeros_in_flight = 0;
	writeback->zeros_until_ns = wb_clock_now_ns(writeback->deps.clock) + WB_ZERO_TIME_NS;
	writeback->stage = WB_BATCH_ZERO;
	return true;
}

static void drop(struct wb_writeback *writeback, struct wb_batch_io *io)
{
	(void)writeback;
	(void)io;
}

bool wb_writeback_step(struct wb_writeback *writeback, enum wb_writeback_wish wish)
{
	enum wb_batch_stage stage;

	if (wb_batch_look_at_flush(writeback))
		return true;
	/* A stop does not wait until the last bad sector is found, and others who
	 * need the disk not for all of a batch. */
	if (wish == WB_WRITEBACK_OFF) {
		writeback->may_split = false;
		writeback->is_cut_short = true;
	}
	if (writeback->is_abandoned && writeback->stage != WB_BATCH_IDLE) {
		wb_batch_collect(writeback, drop);
		if (wb_batch_has_io(writeback) || writeback->flush.is_under_way)
			return false;
		writeback->error = -ECANCELED;
		writeback->stage = WB_BATCH_COMMIT;
	}
	stage = writeback->stage;
	switch (stage) {
	case WB_BATCH_IDLE: return begin(writeback, wish);
	case WB_BATCH_ZERO: return wb_batch_zero_step(writeback);
	case WB_BATCH_READ: return wb_batch_read_step(writeback);
	case WB_BATCH_GAPS: return wb_batch_gaps_step(writeback);
	case WB_BATCH_MERGE: return wb_batch_merge_step(writeback);
	case WB_BATCH_WRITE: return wb_batch_write_step(writeback);
	case WB_BATCH_FLUSH: return wb_batch_flush_step(writeback);
	case WB_BATCH_CARRY: return wb_batch_carry_step(writeback);
	case WB_BATCH_COMMIT: return wb_batch_commit_step(writeback);
	}
	g_assert_not_reached();
}
