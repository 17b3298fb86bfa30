/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The running cache: news between the engines, the workers' steps, requests. */
#include "cache/cache_private.h"

#include <errno.h>
#include <string.h>

/* --- news between the engines ------------------------------------------------ */

void wb_cache_kick_writeback(void *arg)
{
	struct wb_cache *cache = arg;

	if (cache->writeback_worker)
		wb_worker_kick(cache->writeback_worker);
}

static void kick_flush(struct wb_cache *cache)
{
	if (!wb_flush_note(cache->path.flush) && cache->flush_worker)
		wb_worker_kick(cache->flush_worker);
}

void wb_cache_on_sealed(void *arg)
{
	struct wb_cache *cache = arg;

	wb_cache_look_at_head(cache);
	kick_flush(cache);
	/* which waits for copies to end */
	if (wb_flush_wants_relocation(cache->path.flush))
		wb_cache_kick_writeback(cache);
}

/* Only the worker sleeps until a time. */
void wb_cache_on_wait_began(void *arg)
{
	struct wb_cache *cache = arg;

	wb_worker_kick(cache->flush_worker);
}

/* Who waits while places are ready waits for RAM buffers: for the flush engine, and
 * not for writeback. */
bool wb_cache_needs_room(struct wb_cache *cache)
{
	return wb_park_count(&cache->extent_room) > 0 ||
	       (wb_park_count(&cache->space) > 0 &&
		wb_log_ready_count(cache->path.log) <= WB_RESERVE_DATA);
}

/* Places are made ready before somebody has to wait for them. */
static bool is_low(struct wb_cache *cache)
{
	return wb_log_ready_count(cache->path.log) < WB_READY_SEGMENTS / 2 + WB_RESERVE_DATA;
}

static bool is_wanting_places(struct wb_cache *cache)
{
	return wb_data_path_keeps_reads(&cache->path) &&
	       wb_log_ready_count(cache->path.log) < WB_READY_SEGMENTS + WB_RESERVE_DATA;
}

static enum wb_urgency urgency_of_places(struct wb_cache *cache)
{
	if (wb_cache_needs_room(cache) || is_low(cache) || wb_pressure_is_on(&cache->pressure))
		return WB_URGENT;
	return wb_data_path_keeps_reads(&cache->path) ? WB_EARLY : WB_CALM;
}

/* After every sync: the worker is woken only when there is something for it. */
static bool has_writeback_work(struct wb_cache *cache)
{
	struct wb_log_head head;

	if (wb_cache_needs_room(cache) || cache->is_draining || is_low(cache) ||
	    is_wanting_places(cache) || wb_through_has_waiters(cache->path.through) ||
	    wb_flush_wants_relocation(cache->path.flush))
		return true;
	if (wb_cache_writeback_wish(cache) == WB_WRITEBACK_OFF)
		return false;
	wb_log_get_head(cache->path.log, &head);
	return wb_tail_current(&cache->tail).segment < head.segment_id || wb_cache_is_eager(cache);
}

/* At once: what stays of the place that is used next is to lie among what is new. Where
 * one segment has all that is new, and the next all that stays, the policy does not find
 * in each what it counts on. */
void wb_cache_on_opened(void *arg)
{
	struct wb_cache *cache = arg;

	if (is_wanting_places(cache))
		wb_cache_kick_writeback(cache);
}

void wb_cache_on_advanced(void *arg)
{
	struct wb_cache *cache = arg;

	wb_park_wake_all(&cache->space);
	if (has_writeback_work(cache))
		wb_cache_kick_writeback(cache);
}

void wb_cache_on_ready(void *arg)
{
	struct wb_cache *cache = arg;

	wb_park_wake_all(&cache->space);
}

void wb_cache_on_no_room(void *arg)
{
	struct wb_cache *cache = arg;
	uint64_t last = wb_log_last_sequence(cache->path.log);

	/* A record that is still to be written carries the tail too. */
	if (last > wb_log_durable(cache->path.log)) {
		wb_flush_want(cache->path.flush, last);
		return;
	}
	atomic_fetch_add(&cache->path.room_refusals, 1);
	wb_park_wake_all(&cache->space);
}

void wb_cache_on_zeros_done(void *arg)
{
	struct wb_cache *cache = arg;

	wb_park_wake_all(&cache->extent_room);
}

void wb_cache_on_need_space(void *arg)
{
	struct wb_cache *cache = arg;

	kick_flush(cache);
	wb_cache_kick_writeback(cache);
}

void wb_cache_on_backing_flushed(void *arg)
{
	struct wb_cache *cache = arg;

	if (cache->is_draining)
		wb_cache_kick_writeback(cache);
}

/* --- workers ------------------------------------------------------------------- */

bool wb_cache_flush_step(void *arg)
{
	struct wb_cache *cache = arg;
	uint64_t wait_ns, slow_ns;
	bool any;

	wb_flush_run(cache->path.flush);
	any = wb_cache_release_writers(cache, &slow_ns);
	wait_ns = wb_flush_wait_ns(cache->path.flush);
	if (slow_ns > 0 && (wait_ns == 0 || slow_ns < wait_ns))
		wait_ns = slow_ns;
	if (wait_ns > 0)
		wb_worker_wake_in(cache->flush_worker, wait_ns);
	return any;
}

static void end_verb_locked(struct wb_verb *verb, int error)
{
	uint64_t answered = verb->asked - verb->answered_from;

	if (error)
		verb->failed += answered;
	else
		verb->done += answered;
	verb->answered_from = verb->asked;
	verb->is_running = false;
}

/* A drain is over when nothing is dirty, or when all that was there at its
 * start is written back and only newer writes are dirty: not if the tail got so
 * far because something was carried beyond where the drain was to end. */
static bool has_dirty_log(struct wb_cache *cache)
{
	return wb_segment_table_dirty(cache->path.segments) > 0 ||
	       !wb_writeback_is_idle(cache->writeback);
}

/* That, or written around the cache and not flushed. */
static bool has_dirty(void *arg)
{
	struct wb_cache *cache = arg;

	return has_dirty_log(cache) || wb_backing_flush_has_changes(cache->path.backing_flush);
}

/* When the log is clean a drain is over only with the mark, and with a tail on the
 * SSD that spares the next recovery all of it. But not while somebody goes on writing
 * around the cache, nor when what was written there was lost with a flush that failed,
 * and no sync has been told: then the backing is not complete. */
static bool is_as_complete_as_can_be(struct wb_cache *cache)
{
	if (wb_backing_flush_has_changes(cache->path.backing_flush) ||
	    wb_backing_flush_owes_error(cache->path.backing_flush))
		return true;
	/* The mark is last: it may fail once, which ends the drain, and not again. */
	return wb_reclaim_record_last(cache->reclaim) &&
	       wb_mark_gate_complete(&cache->mark_gate, has_dirty, cache);
}

/* What was written around the cache before the drain began: two flushes cover it. (If
 * there were changes at the look before, there is more to do now that there are none.) */
static bool is_flushed_locked(struct wb_cache *cache, bool had_changes)
{
	return (!had_changes && !wb_backing_flush_has_changes(cache->path.backing_flush)) ||
	       wb_backing_flush_count(cache->path.backing_flush) >= cache->drain_flushes + 2;
}

/* The last error until then may be another one, of a backing that has healed since. */
static void note_failed_drain(struct wb_cache *cache, bool is_by_cache)
{
	if (is_by_cache)
		wb_message_set(&cache->message, "cache %s: it cannot be written, so what is only "
			       "in memory cannot be written back", cache->config.cache_store->label);
	wb_message_note(&cache->message, "drain failed: %" G_GUINT64_FORMAT " blocks dirty",
			wb_block_map_dirty_count(cache->path.map));
}

/* TRUE: look again. */
static bool look_after_drain(struct wb_cache *cache)
{
	bool was_clean, had_changes, is_over, is_clean, is_flushed, is_beyond, is_refused,
		has_failed;

	if (!cache->is_draining)
		return false;
	was_clean = !has_dirty_log(cache);
	had_changes = wb_backing_flush_has_changes(cache->path.backing_flush);
	is_over = was_clean && is_as_complete_as_can_be(cache);
	wb_backing_flush_want(cache->path.backing_flush);
	/* Under the lock: a drain asked for after the look is not answered by it. */
	wb_lock_acquire(&cache->lock);
	is_clean = !has_dirty_log(cache);
	is_refused = wb_writeback_is_stuck(cache->writeback) ||
		     wb_writeback_failures(cache->writeback) >=
			     cache->drain_failures + WB_DRAIN_FAILURES_MAX;
	has_failed = is_refused || wb_flush_has_failed(cache->path.flush);
	is_flushed = is_flushed_locked(cache, had_changes);
	is_beyond = wb_tail_current(&cache->tail).segment > cache->drain_segment && is_flushed;
	is_over = is_clean ? is_over && is_flushed : is_beyond || has_failed;
	if (is_over) {
		bool is_carried = cache->carried_segment > cache->drain_segment;

		has_failed = is_clean ? wb_backing_flush_owes_error(cache->path.backing_flush) :
					!is_beyond || is_carried;
		end_verb_locked(&cache->drain, has_failed ? -EIO : 0);
		cache->is_draining = false;
	}
	wb_lock_release(&cache->lock);
	if (is_over && has_failed)
		note_failed_drain(cache, !is_clean && !is_beyond && !is_refused);
	else if (is_over)
		wb_message_note(&cache->message, "drain done: %" G_GUINT64_FORMAT " blocks dirty",
				wb_block_map_dirty_count(cache->path.map));
	return is_clean && !was_clean;
}

static bool scrub_has_failed(const struct wb_scrub_progress *progress)
{
	return progress->lost_blocks > 0 || progress->bad_headers > 0;
}

static void note_scrub_end(struct wb_cache *cache, const struct wb_scrub_progress *progress)
{
	wb_message_note(&cache->message, "scrub %s: %" G_GUINT64_FORMAT " blocks checked, %"
			G_GUINT64_FORMAT " repaired, %" G_GUINT64_FORMAT " lost, %"
			G_GUINT64_FORMAT " damaged headers",
			scrub_has_failed(progress) ? "failed" : "done",
			progress->checked_blocks, progress->repaired_blocks,
			progress->lost_blocks, progress->bad_headers);
}

/* A pass is answered by what it found; what was asked for meanwhile gets the
 * next one. */
static bool look_after_scrub(struct wb_cache *cache)
{
	struct wb_verb *verb = &cache->scrub_verb;
	struct wb_scrub_progress progress;
	bool begin, has_ended;

	if (wb_scrub_is_running(cache->scrub))
		return wb_scrub_step(cache->scrub);
	wb_scrub_get_progress(cache->scrub, &progress);
	wb_lock_acquire(&cache->lock);
	has_ended = verb->is_running;
	if (has_ended) {
		if (scrub_has_failed(&progress))
			verb->failed += cache->scrub_answers - verb->answered_from;
		else
			verb->done += cache->scrub_answers - verb->answered_from;
		verb->answered_from = cache->scrub_answers;
	}
	begin = verb->asked > verb->answered_from && !cache->is_stopping;
	verb->is_running = begin;
	cache->scrub_answers = verb->asked;
	wb_lock_release(&cache->lock);
	if (has_ended)
		note_scrub_end(cache, &progress);
	if (!begin)
		return false;
	wb_message_note(&cache->message, "scrub begun");
	wb_scrub_begin(cache->scrub);
	return true;
}

static bool look_after_syncs(struct wb_cache *cache)
{
	struct wb_through_news news = {
		.refused = wb_writeback_refused(cache->writeback),
		.writeback_failures = wb_writeback_failures(cache->writeback),
		.bad_tries = wb_writeback_bad_tries(cache->writeback),
		.is_hopeless = wb_flush_has_failed(cache->path.flush) ||
			       wb_mark_gate_is_refusing(&cache->mark_gate) ||
			       atomic_load(&cache->path.has_no_patience),
	};

	return wb_through_step(cache->path.through, &news);
}

/* What a drain was asked for may lie in a newer segment now. */
static bool relocate(struct wb_cache *cache)
{
	bool any = wb_relocate_step(cache->relocate);
	struct wb_log_head head;

	if (any) {
		wb_lock_acquire(&cache->lock);
		wb_log_get_head(cache->path.log, &head);
		cache->drain_segment = MAX(cache->drain_segment, head.segment_id);
		wb_lock_release(&cache->lock);
	}
	return any;
}

/* Who waits for it hears that it does not come. A next opening makes room for as many
 * lost blocks again. */
static void refuse_room_of_lost(struct wb_cache *cache)
{
	if (!wb_writeback_is_idle(cache->writeback) || !wb_carry_is_stuck(&cache->carry))
		return;
	wb_message_set(&cache->message, "the cache is full: too many of its blocks are lost to be "
		       "noted elsewhere, and what holds them cannot be used again; stop the "
		       "volume and mount it again, then write or discard the lost ranges");
	wb_cache_on_no_room(cache);
}

bool wb_cache_writeback_step(void *arg)
{
	struct wb_cache *cache = arg;
	enum wb_writeback_wish wish;
	bool any;

	wb_flush_release_buffers(cache->path.flush);
	any = relocate(cache);
	any |= wb_reclaim_step(cache->reclaim, urgency_of_places(cache));
	any |= wb_second_chance_step(cache->second_chance);
	any |= wb_reclaim_record_step(cache->reclaim);
	any |= wb_grow_step(cache->grow);
	wb_cache_look_at_reads(cache);
	wish = wb_cache_writeback_wish(cache);
	wb_writeback_set_lazy(cache->writeback, !wb_pressure_is_on(&cache->pressure) &&
			      (wish == WB_WRITEBACK_CLOSED || wish == WB_WRITEBACK_DURABLE));
	any |= wb_writeback_step(cache->writeback, wish);
	if ((wb_cache_needs_room(cache) || is_low(cache)) &&
	    wb_writeback_is_idle(cache->writeback))
		any |= wb_carry_step(&cache->carry) ||
		       wb_writeback_begin_last_try(cache->writeback, &cache->carry);
	if (!any && wb_cache_needs_room(cache) && wb_writeback_is_idle(cache->writeback))
		any = wb_writeback_begin_carry(cache->writeback, &cache->carry);
	if (!any && wb_cache_needs_room(cache))
		refuse_room_of_lost(cache);
	any |= look_after_syncs(cache);
	any |= look_after_drain(cache);
	any |= look_after_scrub(cache);
	any |= wb_place_discard_step(cache->place_discard);
	wb_cache_look_at_progress(cache);
	wb_cache_wait_for_reads(cache);
	return any;
}

/* --- requests -------------------------------------------------------------------- */

struct wb_request *wb_request_get(struct wb_cache *cache)
{
	struct wb_request *request;

	wb_lock_acquire(&cache->pool_lock);
	request = cache->free_requests;
	if (request)
		cache->free_requests = request->next_free;
	wb_lock_release(&cache->pool_lock);
	if (request)
		memset(&request->pub, 0, sizeof request->pub);
	return request;
}

void wb_request_put(struct wb_cache *cache, struct wb_request *request)
{
	if (request->executed)
		wb_executed_begin(request->executed, 0, 0);
	wb_lock_acquire(&cache->pool_lock);
	request->next_free = cache->free_requests;
	cache->free_requests = request;
	wb_lock_release(&cache->pool_lock);
}

struct wb_request_public *wb_request_public(struct wb_request *request)
{
	return &request->pub;
}

void wb_cache_expect(const struct wb_cache *cache, uint64_t offset_bytes, uint64_t length_bytes)
{
	uint64_t first = offset_bytes / WB_BLOCK_BYTES;

	if (cache->path.map)	/* a bare one has none */
		wb_block_map_fetch_buckets(cache->path.map, first,
					   (offset_bytes + length_bytes - 1) / WB_BLOCK_BYTES -
					   first + 1);
}

enum wb_submit_result wb_cache_submit(struct wb_cache *cache, struct wb_request *request,
				      int *error)
{
	g_assert(request->path == &cache->path);
	return wb_request_start(request, error);
}

void wb_cache_read_answered(struct wb_cache *cache, struct wb_request *request)
{
	g_assert(request->path == &cache->path && request->pub.op == WB_READ);
	if (wb_data_path_keeps_reads(&cache->path))
		wb_fill_path_after(request);
}

void wb_cache_answered(struct wb_cache *cache)
{
	if (wb_sync_guess_take(&cache->path.sync_guess) && cache->path.flush)
		wb_flush_write_early(cache->path.flush);
}

/* --- the mark on the backing --------------------------------------------------------- */

enum wb_mark_wish wb_cache_mark_wish(struct wb_cache *cache)
{
	return cache->path.mark_gate ? wb_mark_gate_wish(cache->path.mark_gate) :
				       WB_MARK_WISH_NONE;
}

void wb_cache_mark_written(struct wb_cache *cache, enum wb_mark_wish what, int error)
{
	if (error)
		wb_message_set(&cache->message, "backing %s: its mark cannot be written: %s",
			       cache->config.backing_store->label, g_strerror(-error));
	else
		/* At least that one: a relocation may have come in between. */
		cache->marked_epoch = cache->opened_epoch;
	wb_mark_gate_written(&cache->mark_gate, what, error);
	wb_cache_kick_writeback(cache);
}

void wb_cache_end_marking(struct wb_cache *cache)
{
	if (cache->path.mark_gate)
		wb_mark_gate_refuse(cache->path.mark_gate);
}

const char *wb_cache_opening_note(const struct wb_cache *cache)
{
	return cache->opening_note;
}

/* --- control ---------------------------------------------------------------------- */

uint64_t wb_cache_image_bytes(const struct wb_cache *cache)
{
	return wb_image_bytes(&cache->path.image);
}

bool wb_cache_is_read_only(const struct wb_cache *cache)
{
	return cache->path.is_read_only;
}

void wb_cache_uuid(const struct wb_cache *cache, uint8_t uuid[16])
{
	memcpy(uuid, cache->uuid, sizeof cache->uuid);
}

bool wb_cache_is_short_of_space(struct wb_cache *cache)
{
	return wb_park_count(&cache->space) > 0 || wb_park_count(&cache->extent_room) > 0;
}
