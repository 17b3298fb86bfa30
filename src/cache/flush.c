/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/flush.h"

#include <errno.h>
#include <glib.h>

#include "base/mutant.h"
#include "cache/buffer_keep.h"
#include "cache/limits.h"

struct wb_flush {
	/* constant after opening */
	struct wb_flush_deps deps;
	void (*advanced)(void *arg);
	void *advanced_arg;
	void (*wait_began)(void *arg);
	void *wait_began_arg;

	struct wb_lock lock;
	/* under lock */
	bool is_running;		/* somebody is in run() */
	bool run_again;
	bool is_abandoned;
	uint64_t next_write;		/* first sequence that is not at the SSD yet */
	uint64_t completed;		/* all records <= this are WRITTEN */
	uint32_t writes_in_flight;
	bool fua_in_flight;
	bool flush_in_flight;
	uint64_t flush_covers;		/* of the flush in flight */
	bool must_rewrite;		/* a flush, or a write with FUA, failed */
	struct wb_device_waiter *device_waiting, *device_covered;
	uint64_t sync_target;		/* highest sequence that anybody wants durable */
	struct wb_sync_waiter *waiters;
	uint64_t company_target;	/* highest of those that wait for it; 0 = none */
	uint64_t company_until_ns;
	uint64_t company_ns;		/* see wb_flush_set_company() */
	struct wb_buffer_keep keep;
	_Atomic uint32_t failures;	/* in a row; read without the lock too */
	uint64_t retry_at_ns;
	uint64_t failing_sequence;	/* lowest record whose write failed; 0 = none */
	uint32_t place_failures;	/* of it in a row, its place's fault */
	_Atomic bool wants_relocation;	/* read without the lock too */
	uint64_t durable_segment;	/* of the last durable record: */
	uint32_t durable_crc;
	struct wb_io flush_io;
	/* atomic: threads inside a completion of ours */
	_Atomic uint32_t completions;
	/* runner only */
	uint32_t last_crc;		/* of the last READY record: the chain */
	bool may_wait;			/* for one write with FUA: */
	struct wb_io *waits_for;	/* to be submitted when the run is over */
};

static struct wb_flush *owner_of_flush_io(struct wb_io *io)
{
	return (struct wb_flush *)((char *)io - offsetof(struct wb_flush, flush_io));
}

struct wb_flush *wb_flush_new(const struct wb_flush_deps *deps, uint64_t first_segment,
			      uint32_t last_crc)
{
	struct wb_flush *flush = g_new0(struct wb_flush, 1);

	flush->deps = *deps;
	wb_lock_init(&flush->lock, WB_RANK_FLUSH);
	flush->completed = wb_log_durable(deps->log);
	flush->next_write = flush->completed + 1;
	wb_buffer_keep_init(&flush->keep, deps->log, deps->segments, deps->rambuf,
			    first_segment);
	flush->last_crc = last_crc;
	flush->durable_segment = first_segment - 1;
	flush->durable_crc = last_crc;
	return flush;
}

void wb_flush_free(struct wb_flush *flush)
{
	if (!flush)
		return;
	g_assert(flush->writes_in_flight == 0 && !flush->flush_in_flight);
	wb_lock_clear(&flush->lock);
	g_free(flush);
}

void wb_flush_set_advanced(struct wb_flush *flush, void (*advanced)(void *arg), void *arg)
{
	flush->advanced = advanced;
	flush->advanced_arg = arg;
}

/* --- results ------------------------------------------------------------- */

/* Takes the waiters that are answered now off the list. */
static struct wb_sync_waiter *take_waiters_locked(struct wb_flush *flush, uint64_t durable,
						  bool take_all)
{
	struct wb_sync_waiter **link = &flush->waiters, *taken = NULL, **last = &taken;

	while (*link) {
		struct wb_sync_waiter *waiter = *link;

		if (take_all || waiter->target <= durable) {
			*link = waiter->next;
			waiter->next = NULL;
			*last = waiter;
			last = &waiter->next;
		} else {
			link = &waiter->next;
		}
	}
	return taken;
}

static void answer_device(struct wb_device_waiter *waiter, int error)
{
	while (waiter) {
		struct wb_device_waiter *next = waiter->next;

		waiter->done(waiter, error);
		waiter = next;
	}
}

static void answer(struct wb_sync_waiter *waiter, int error)
{
	while (waiter) {
		struct wb_sync_waiter *next = waiter->next;

		waiter->done(waiter, error);
		waiter = next;
	}
}

static bool release_buffers_locked(struct wb_flush *flush)
{
	return wb_buffer_keep_release(&flush->keep, WB_MUTANT(buffer_released_early) ?
				      flush->completed : wb_log_durable(flush->deps.log));
}

void wb_flush_release_buffers(struct wb_flush *flush)
{
	bool released;

	wb_lock_acquire(&flush->lock);
	released = release_buffers_locked(flush);
	wb_lock_release(&flush->lock);
	if (released && flush->advanced)
		flush->advanced(flush->advanced_arg);
}

uint32_t wb_flush_available_buffers(struct wb_flush *flush)
{
	uint32_t count;

	wb_lock_acquire(&flush->lock);
	count = wb_buffer_keep_available(&flush->keep);
	wb_lock_release(&flush->lock);
	return count;
}

/* Records up to `durable` are safe: their objects are free, their tail counts,
 * waiters are answered. Drops the lock. */
static void set_durable_and_unlock(struct wb_flush *flush, uint64_t durable)
{
	struct wb_log *log = flush->deps.log;
	struct wb_record *newest = wb_log_record(log, durable);
	struct wb_tail_position tail = { newest->tail_segment, newest->tail_sequence };
	struct wb_sync_waiter *waiters;

	for (uint64_t s = wb_log_durable(log) + 1; s <= durable; s++)
		atomic_store(&wb_log_record(log, s)->state, WB_RECORD_FREE);
	wb_log_set_durable(log, durable, newest->crc);
	flush->durable_segment = newest->segment_id;
	flush->durable_crc = newest->crc;
	wb_tail_is_durable(flush->deps.tail, tail);
	release_buffers_locked(flush);
	waiters = take_waiters_locked(flush, durable, false);
	wb_lock_release(&flush->lock);
	answer(waiters, 0);
	if (flush->advanced)
		flush->advanced(flush->advanced_arg);
}

static void pause_locked(struct wb_flush *flush, uint32_t failures)
{
	uint64_t pause = WB_RETRY_FIRST_NS << MIN(failures, 10u);

	flush->retry_at_ns = wb_clock_now_ns(flush->deps.clock) + MIN(pause, WB_RETRY_LAST_NS);
}

/* What was begun before the pause fails in it: that is the same try. */
static void count_failure_locked(struct wb_flush *flush, const char *what, int error)
{
	uint32_t failures = flush->failures;

	if (failures == 0 || wb_clock_now_ns(flush->deps.clock) >= flush->retry_at_ns) {
		pause_locked(flush, failures);
		flush->failures = ++failures;
	}
	if (!what)
		return;
	WB_STAT_ADD(flush->deps.stats, WB_STAT_CACHE_ERRORS, 1);
	wb_message_set(flush->deps.message, "cache %s: %s failed: %s (try %u)",
		       flush->deps.store->label, what, g_strerror(-error), failures);
}

/* Could the disk take the same data somewhere else? */
bool wb_flush_is_place_error(int error)
{
	switch (-error) {
	case ENOSPC: case EDQUOT: case EAGAIN: case ENOMEM: case ENOBUFS: case EINTR:
	case ECANCELED:
		return false;
	default:
		return true;
	}
}

/* The lowest one counts: all before it get written, and it cannot become
 * durable before it is. */
static void note_failing_locked(struct wb_flush *flush, uint64_t sequence, int error)
{
	if (flush->failing_sequence != 0 && sequence > flush->failing_sequence)
		return;
	if (sequence != flush->failing_sequence)
		flush->place_failures = 0;
	flush->failing_sequence = sequence;
	flush->place_failures = wb_flush_is_place_error(error) ? flush->place_failures + 1 : 0;
	if (flush->place_failures < WB_PLACE_TRIES || flush->must_rewrite ||
	    flush->is_abandoned)
		return;
	atomic_store(&flush->wants_relocation, true);
	flush->retry_at_ns = 0;
}

/* After too many failures nobody is kept waiting: the data stays in RAM and is
 * tried again, but a sync says the truth. Drops the lock. */
static void give_up_and_unlock(struct wb_flush *flush)
{
	struct wb_sync_waiter *waiters = NULL;
	struct wb_device_waiter *device_waiters = NULL;
	bool gives_up_now = flush->failures == WB_LOG_FAILURES_MAX || flush->is_abandoned;

	if (flush->failures >= WB_LOG_FAILURES_MAX || flush->is_abandoned)
		waiters = take_waiters_locked(flush, 0, true);
	if (flush->failures >= WB_LOG_FAILURES_MAX || flush->is_abandoned) {
		device_waiters = flush->device_waiting;
		flush->device_waiting = NULL;
	}
	wb_lock_release(&flush->lock);
	answer(waiters, -EIO);
	answer_device(device_waiters, -EIO);
	/* Parked requests must hear of it too. */
	if (gives_up_now && flush->advanced)
		flush->advanced(flush->advanced_arg);
}

static void advance_completed_locked(struct wb_flush *flush)
{
	while (flush->completed + 1 < flush->next_write) {
		struct wb_record *record = wb_log_record(flush->deps.log, flush->completed + 1);

		if (atomic_load(&record->state) != WB_RECORD_WRITTEN &&
		    !WB_MUTANT(durable_not_a_prefix))
			break;
		flush->completed++;
	}
}

static struct wb_device_waiter *take_device_waiting_locked(struct wb_flush *flush)
{
	struct wb_device_waiter *waiting = flush->device_waiting;

	flush->device_waiting = NULL;
	return waiting;
}

static void write_failed_and_unlock(struct wb_flush *flush, struct wb_record *record,
				    int error)
{
	struct wb_device_waiter *device = NULL;

	atomic_store(&record->state, WB_RECORD_READY);
	flush->next_write = MIN(flush->next_write, record->sequence);
	/* With FUA the error may be the flush's, and concern others. */
	if (record->io.flags & WB_IO_FUA) {
		flush->must_rewrite = true;
		device = take_device_waiting_locked(flush);
	}
	if (flush->wants_relocation)
		WB_STAT_ADD(flush->deps.stats, WB_STAT_CACHE_ERRORS, 1);
	else
		count_failure_locked(flush, "writing the log", error);
	note_failing_locked(flush, record->sequence, error);
	give_up_and_unlock(flush);
	answer_device(device, error);
}

static void write_done(struct wb_io *io, int error)
{
	struct wb_record *record =
		(struct wb_record *)((char *)io - offsetof(struct wb_record, io));
	struct wb_flush *flush = record->owner;
	bool is_fua = io->flags & WB_IO_FUA;

	atomic_fetch_add(&flush->completions, 1);
	wb_lock_acquire(&flush->lock);
	flush->writes_in_flight--;
	if (is_fua)
		flush->fua_in_flight = false;
	if (error) {
		write_failed_and_unlock(flush, record, error);
	} else {
		atomic_store(&record->state, WB_RECORD_WRITTEN);
		if (WB_MUTANT(kept_durable_early))
			wb_region_set_durable(wb_rambuf_region(flush->deps.rambuf),
					      record->sequence, record->crc);
		if (record->sequence == flush->failing_sequence)
			flush->failing_sequence = flush->place_failures = 0;
		advance_completed_locked(flush);
		if (is_fua && !flush->must_rewrite) {
			/* All before it were durable when it was submitted. */
			flush->failures = 0;
			set_durable_and_unlock(flush, record->sequence);
		} else {
			wb_lock_release(&flush->lock);
		}
	}
	if (wb_flush_wants_relocation(flush) && flush->advanced)
		flush->advanced(flush->advanced_arg);
	wb_flush_run(flush);
	atomic_fetch_sub(&flush->completions, 1);
}

static void flush_done(struct wb_io *io, int error)
{
	struct wb_flush *flush = owner_of_flush_io(io);
	struct wb_device_waiter *covered;

	atomic_fetch_add(&flush->completions, 1);
	wb_lock_acquire(&flush->lock);
	flush->flush_in_flight = false;
	covered = flush->device_covered;
	flush->device_covered = NULL;
	if (error) {
		struct wb_device_waiter *waiting;

		/* The next one may succeed without the data being there, that
		 * of writes that ended meanwhile included. */
		flush->must_rewrite = !WB_MUTANT(failed_flush_believed);
		waiting = take_device_waiting_locked(flush);
		count_failure_locked(flush, "flushing", error);
		give_up_and_unlock(flush);
		answer_device(waiting, error);
	} else {
		/* That a record cannot be written is not over. */
		if (flush->failing_sequence == 0)
			flush->failures = 0;
		if (flush->flush_covers > wb_log_durable(flush->deps.log))
			set_durable_and_unlock(flush, flush->flush_covers);
		else
			wb_lock_release(&flush->lock);
	}
	answer_device(covered, error);
	wb_flush_run(flush);
	atomic_fetch_sub(&flush->completions, 1);
}

/* --- steps: called by the runner with the lock held, may drop it ---------- */

/* Waits for all in flight, then everything above durable is due again. */
static bool step_rewrite(struct wb_flush *flush)
{
	uint64_t durable = wb_log_durable(flush->deps.log);
	uint64_t sealed = wb_log_sealed_sequence(flush->deps.log);

	if (!flush->must_rewrite || flush->writes_in_flight > 0 || flush->flush_in_flight)
		return false;
	/* Not only below next_write: a failed write may have set that back. */
	for (uint64_t s = durable + 1; s <= sealed; s++) {
		struct wb_record *record = wb_log_record(flush->deps.log, s);

		if (atomic_load(&record->state) == WB_RECORD_WRITTEN)
			atomic_store(&record->state, WB_RECORD_READY);
	}
	flush->next_write = durable + 1;
	flush->completed = durable;
	flush->must_rewrite = false;
	return true;
}

/* Who waited for company wants what all others want: the time is over, the record
 * is full, or somebody who does not wait has come. */
static bool step_company(struct wb_flush *flush)
{
	uint64_t target = flush->company_target;

	if (target == 0)
		return false;
	if (flush->company_ns > 0 && target > flush->sync_target &&
	    target > wb_log_sealed_sequence(flush->deps.log) &&
	    wb_clock_now_ns(flush->deps.clock) < flush->company_until_ns)
		return false;
	flush->company_target = 0;
	flush->sync_target = MAX(flush->sync_target, target);
	return true;
}

/* A sync seals the open record; while a flush is under way, by itself or with a
 * write, it waits, so that all that come meanwhile share one record and the next
 * flush. */
static bool step_seal(struct wb_flush *flush)
{
	uint64_t target = flush->sync_target;

	if (target <= wb_log_sealed_sequence(flush->deps.log) || flush->flush_in_flight ||
	    flush->fua_in_flight)
		return false;
	wb_lock_release(&flush->lock);
	wb_log_seal(flush->deps.log, target);
	wb_lock_acquire(&flush->lock);
	return true;
}

/* The chain, what is durable and the tail. Only the runner touches the record. */
static void finish_record(struct wb_flush *flush, struct wb_record *record)
{
	struct wb_tail_position tail = wb_tail_current(flush->deps.tail);

	record->tail_segment = tail.segment;
	record->tail_sequence = tail.sequence;
	record->crc = wb_record_seal(record->header, flush->last_crc,
				     WB_MUTANT(durable_claimed_early) ? record->sequence :
				     wb_log_durable(flush->deps.log),
				     WB_MUTANT(tail_ahead) ? record->segment_id : tail.segment,
				     WB_MUTANT(tail_ahead) ? record->sequence : tail.sequence);
	flush->last_crc = record->crc;
}

/* With FUA the write alone makes the record durable: allowed only when all
 * before it are durable already, and worth it only when a sync waits for just
 * this record. After a failure without: whether the write failed or the flush
 * is to be known. */
static bool fua_is_enough(const struct wb_flush *flush, const struct wb_record *record)
{
	if (WB_MUTANT(fua_too_early))
		return flush->sync_target >= record->sequence && !flush->device_waiting;
	return flush->failures == 0 &&
	       record->sequence == wb_log_durable(flush->deps.log) + 1 &&
	       record->sequence == wb_log_sealed_sequence(flush->deps.log) &&
	       flush->sync_target >= record->sequence &&
	       flush->writes_in_flight == 0 && !flush->flush_in_flight &&
	       !flush->device_waiting;
}

static bool step_write(struct wb_flush *flush)
{
	struct wb_log *log = flush->deps.log;
	uint64_t sealed = wb_log_sealed_sequence(log);
	struct wb_record *record;
	enum wb_record_state state;
	bool is_fua;

	if (flush->must_rewrite || flush->wants_relocation ||
	    flush->writes_in_flight >= WB_RECORD_WRITES_MAX)
		return false;
	for (;; flush->next_write++) {
		if (flush->next_write > sealed)
			return false;
		record = wb_log_record(log, flush->next_write);
		state = atomic_load(&record->state);
		if (state != WB_RECORD_WRITING && state != WB_RECORD_WRITTEN)
			break;
	}
	if (atomic_load(&record->copies) > 0)
		return false;
	is_fua = fua_is_enough(flush, record);
	flush->writes_in_flight++;
	flush->fua_in_flight |= is_fua;
	wb_io_prepare(&record->io, WB_IO_WRITE, WB_IO_CLASS_LOG, 0, record->header,
		      (uint64_t)(1 + record->block_count) * WB_BLOCK_BYTES, write_done);
	record->io.flags = is_fua ? WB_IO_FUA : 0;
	flush->next_write++;
	wb_lock_release(&flush->lock);

	if (state == WB_RECORD_SEALED)
		finish_record(flush, record);
	record->owner = flush;
	record->io.offset_bytes = wb_log_record_offset(log, record);
	WB_STAT_ADD(flush->deps.stats, WB_STAT_RECORDS, 1);
	WB_STAT_ADD(flush->deps.stats, WB_STAT_SSD_WRITES, 1);
	WB_STAT_ADD(flush->deps.stats, WB_STAT_SSD_WRITTEN_BYTES, record->io.length_bytes);
	if (is_fua)
		WB_STAT_ADD(flush->deps.stats, WB_STAT_SSD_FLUSHES, 1);
	atomic_store(&record->state, WB_RECORD_WRITING);
	if (is_fua && flush->may_wait) {
		/* There is no other now. */
		record->io.flags |= WB_IO_MAY_WAIT;
		flush->waits_for = &record->io;
	} else {
		wb_store_submit(flush->deps.store, &record->io);
	}
	wb_lock_acquire(&flush->lock);
	return true;
}

static bool somebody_waits_below(const struct wb_flush *flush, uint64_t sequence)
{
	for (const struct wb_sync_waiter *w = flush->waiters; w; w = w->next) {
		if (w->target <= sequence)
			return true;
	}
	return false;
}

/* A device flush is due when it answers somebody, or when a quarter of the RAM
 * buffers only wait for one: another quarter fills while it is under way, and a
 * writer should never have to wait for both. */
static bool flush_is_due(const struct wb_flush *flush)
{
	uint64_t durable = wb_log_durable(flush->deps.log);
	uint32_t total = wb_rambuf_count(flush->deps.rambuf);
	uint32_t waiting = total - MIN(total, wb_buffer_keep_available(&flush->keep));

	if (flush->flush_in_flight || flush->fua_in_flight || flush->must_rewrite)
		return false;
	if (flush->device_waiting)
		return true;
	if (flush->completed <= durable)
		return false;
	if (flush->sync_target > durable && flush->completed >= flush->sync_target)
		return true;
	if (somebody_waits_below(flush, flush->completed))
		return true;
	return waiting >= MAX(total / 4, 2) ||
	       flush->completed - durable >= WB_RECORDS_IN_FLIGHT_MAX / 2;
}

static bool step_flush(struct wb_flush *flush)
{
	if (!flush_is_due(flush))
		return false;
	flush->flush_in_flight = true;
	flush->flush_covers = flush->completed;
	flush->device_covered = flush->device_waiting;
	flush->device_waiting = NULL;
	wb_lock_release(&flush->lock);
	wb_io_prepare(&flush->flush_io, WB_IO_FLUSH, WB_IO_CLASS_LOG, 0, NULL, 0, flush_done);
	WB_STAT_ADD(flush->deps.stats, WB_STAT_SSD_FLUSHES, 1);
	wb_store_submit(flush->deps.store, &flush->flush_io);
	wb_lock_acquire(&flush->lock);
	return true;
}

static bool step_locked(struct wb_flush *flush)
{
	if (flush->is_abandoned)
		return false;
	if (flush->failures > 0 && wb_clock_now_ns(flush->deps.clock) < flush->retry_at_ns)
		return false;
	advance_completed_locked(flush);
	return step_rewrite(flush) || step_company(flush) || step_seal(flush) ||
	       step_write(flush) || step_flush(flush);
}

/* With may_wait the thread may stay until a record is durable; somebody else can
 * run meanwhile. */
static void run(struct wb_flush *flush, bool may_wait)
{
	struct wb_io *waits_for = NULL;
	bool released = false;

	wb_lock_acquire(&flush->lock);
	if (flush->is_running) {
		flush->run_again = true;
	} else {
		flush->is_running = true;
		flush->may_wait = may_wait;
		do {
			flush->run_again = false;
			while (step_locked(flush))
				;
		} while (flush->run_again);
		waits_for = flush->waits_for;
		flush->waits_for = NULL;
		flush->may_wait = false;
		flush->is_running = false;
		released = release_buffers_locked(flush);
	}
	wb_lock_release(&flush->lock);
	if (released && flush->advanced)
		flush->advanced(flush->advanced_arg);
	if (waits_for)
		wb_store_submit(flush->deps.store, waits_for);
}

void wb_flush_run(struct wb_flush *flush)
{
	run(flush, false);
}

/* --- relocation ------------------------------------------------------------- */

bool wb_flush_wants_relocation(struct wb_flush *flush)
{
	return atomic_load(&flush->wants_relocation);
}

bool wb_flush_is_quiet(struct wb_flush *flush)
{
	bool is_quiet;

	wb_lock_acquire(&flush->lock);
	/* What a runner submits without the lock is counted before. */
	is_quiet = flush->wants_relocation && flush->writes_in_flight == 0;
	wb_lock_release(&flush->lock);
	return is_quiet;
}

static void get_last_locked(struct wb_flush *flush, struct wb_flush_cut *last)
{
	last->sequence = wb_log_durable(flush->deps.log);
	last->segment_id = flush->durable_segment;
	last->crc = flush->durable_crc;
}

void wb_flush_get_last(struct wb_flush *flush, struct wb_flush_cut *last)
{
	wb_lock_acquire(&flush->lock);
	get_last_locked(flush, last);
	wb_lock_release(&flush->lock);
}

bool wb_flush_get_cut(struct wb_flush *flush, struct wb_flush_cut *cut)
{
	bool ok;

	wb_lock_acquire(&flush->lock);
	get_last_locked(flush, cut);
	ok = flush->wants_relocation && flush->writes_in_flight == 0 &&
	     !flush->must_rewrite && cut->sequence + 1 == flush->failing_sequence;
	wb_lock_release(&flush->lock);
	return ok;
}

void wb_flush_retry_in_place(struct wb_flush *flush)
{
	wb_lock_acquire(&flush->lock);
	atomic_store(&flush->wants_relocation, false);
	flush->place_failures = WB_PLACE_TRIES - 1;	/* asked for again by the next */
	pause_locked(flush, flush->failures);
	wb_lock_release(&flush->lock);
}

void wb_flush_count_failure(struct wb_flush *flush, int error)
{
	wb_lock_acquire(&flush->lock);
	flush->retry_at_ns = 0;
	count_failure_locked(flush, NULL, error);
	/* The caller has a pause of its own, and needs flushes after it. */
	flush->retry_at_ns = 0;
	give_up_and_unlock(flush);
}

void wb_flush_relocated(struct wb_flush *flush, uint64_t source_id)
{
	wb_lock_acquire(&flush->lock);
	flush->completed = wb_log_durable(flush->deps.log);
	/* What is left in it is durable. */
	wb_segment_of_id(flush->deps.segments, source_id)->last_sequence = flush->completed;
	flush->next_write = flush->completed + 1;
	for (uint64_t s = flush->next_write; s <= wb_log_sealed_sequence(flush->deps.log); s++)
		atomic_store(&wb_log_record(flush->deps.log, s)->state, WB_RECORD_SEALED);
	flush->last_crc = flush->durable_crc;
	flush->failing_sequence = flush->place_failures = 0;
	flush->failures = 0;
	atomic_store(&flush->wants_relocation, false);
	wb_buffer_keep_set_source(&flush->keep, source_id);
	wb_lock_release(&flush->lock);
}

bool wb_flush_keeps_source(struct wb_flush *flush)
{
	bool keeps;

	wb_lock_acquire(&flush->lock);
	keeps = wb_buffer_keep_has_source(&flush->keep);
	wb_lock_release(&flush->lock);
	return keeps;
}

/* --- what others ask for -------------------------------------------------- */

void wb_flush_set_wait_began(struct wb_flush *flush, void (*began)(void *arg), void *arg)
{
	flush->wait_began = began;
	flush->wait_began_arg = arg;
}

void wb_flush_set_company(struct wb_flush *flush, uint64_t wait_ns)
{
	uint64_t until_ns = wb_clock_now_ns(flush->deps.clock) + wait_ns;

	wb_lock_acquire(&flush->lock);
	flush->company_ns = wait_ns;
	flush->company_until_ns = MIN(flush->company_until_ns, until_ns);
	wb_lock_release(&flush->lock);
}

uint64_t wb_flush_wait_ns(struct wb_flush *flush)
{
	uint64_t now = wb_clock_now_ns(flush->deps.clock), wait_ns = 0;

	wb_lock_acquire(&flush->lock);
	if (flush->company_target > 0)
		wait_ns = MAX(flush->company_until_ns, now + 1) - now;
	wb_lock_release(&flush->lock);
	return wait_ns;
}

/* TRUE when the waiter is the first that waits for company in its record. */
static bool want_locked(struct wb_flush *flush, const struct wb_sync_waiter *waiter)
{
	uint64_t sealed = wb_log_sealed_sequence(flush->deps.log);
	bool is_first;

	if (!waiter->may_wait || flush->company_ns == 0 || waiter->target <= sealed) {
		flush->sync_target = MAX(flush->sync_target, waiter->target);
		return false;
	}
	is_first = flush->company_target <= sealed;
	if (is_first)
		flush->company_until_ns = wb_clock_now_ns(flush->deps.clock) +
					  flush->company_ns;
	flush->company_target = MAX(flush->company_target, waiter->target);
	return is_first;
}

int wb_flush_sync(struct wb_flush *flush, struct wb_sync_waiter *waiter)
{
	bool began;

	if (waiter->target <= wb_log_durable(flush->deps.log))
		return 0;
	wb_lock_acquire(&flush->lock);
	if (waiter->target <= wb_log_durable(flush->deps.log)) {
		wb_lock_release(&flush->lock);
		return 0;
	}
	if (flush->failures >= WB_LOG_FAILURES_MAX || flush->is_abandoned) {
		wb_lock_release(&flush->lock);
		return -EIO;
	}
	waiter->next = flush->waiters;
	flush->waiters = waiter;
	began = want_locked(flush, waiter);
	wb_lock_release(&flush->lock);
	if (began && flush->wait_began)
		flush->wait_began(flush->wait_began_arg);
	run(flush, true);
	return 1;
}

void wb_flush_want(struct wb_flush *flush, uint64_t target)
{
	wb_lock_acquire(&flush->lock);
	flush->sync_target = MAX(flush->sync_target, target);
	wb_lock_release(&flush->lock);
	wb_flush_run(flush);
}

void wb_flush_write_early(struct wb_flush *flush)
{
	uint64_t last = wb_log_last_sequence(flush->deps.log);
	bool is_idle;

	wb_lock_acquire(&flush->lock);
	/* On an SSD that is busy it would only be in the way. */
	is_idle = !flush->is_running && flush->failures == 0 && flush->writes_in_flight == 0 &&
		  !flush->flush_in_flight && wb_log_durable(flush->deps.log) + 1 == last;
	if (is_idle)
		flush->sync_target = MAX(flush->sync_target, last);
	wb_lock_release(&flush->lock);
	if (is_idle)
		run(flush, true);
}

void wb_flush_device(struct wb_flush *flush, struct wb_device_waiter *waiter)
{
	wb_lock_acquire(&flush->lock);
	waiter->next = flush->device_waiting;
	flush->device_waiting = waiter;
	if (flush->is_abandoned)
		give_up_and_unlock(flush);
	else
		wb_lock_release(&flush->lock);
	wb_flush_run(flush);
}

bool wb_flush_note(struct wb_flush *flush)
{
	bool is_running;

	wb_lock_acquire(&flush->lock);
	is_running = flush->is_running;
	flush->run_again |= is_running;
	wb_lock_release(&flush->lock);
	return is_running;
}

void wb_flush_try_again(struct wb_flush *flush)
{
	wb_lock_acquire(&flush->lock);
	flush->failures = 0;
	flush->retry_at_ns = 0;
	wb_lock_release(&flush->lock);
}

bool wb_flush_has_failed(struct wb_flush *flush)
{
	return atomic_load(&flush->failures) >= WB_LOG_FAILURES_MAX;
}

bool wb_flush_is_idle(struct wb_flush *flush)
{
	bool idle;

	wb_lock_acquire(&flush->lock);
	idle = flush->writes_in_flight == 0 && !flush->flush_in_flight && !flush->is_running &&
	       atomic_load(&flush->completions) == 0;
	wb_lock_release(&flush->lock);
	return idle;
}

void wb_flush_abandon(struct wb_flush *flush)
{
	wb_lock_acquire(&flush->lock);
	flush->is_abandoned = true;
	atomic_store(&flush->wants_relocation, false);
	give_up_and_unlock(flush);
}
