/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The running cache: workers, housekeeping, statistics, closing. */
#include "cache/cache_private.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "cache/backing_check.h"

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

	kick_flush(cache);
	/* which waits for copies to end */
	if (wb_flush_wants_relocation(cache->path.flush))
		wb_cache_kick_writeback(cache);
}

static bool is_urgent(struct wb_cache *cache)
{
	return wb_park_count(&cache->space) > 0 || wb_park_count(&cache->extent_room) > 0;
}

/* Places are made ready before somebody has to wait for them. */
static bool is_low(struct wb_cache *cache)
{
	return wb_log_ready_count(cache->path.log) < WB_READY_SEGMENTS / 2 + WB_RESERVE_DATA;
}

/* After every sync: the worker is woken only when there is something for it. */
static bool has_writeback_work(struct wb_cache *cache)
{
	struct wb_log_head head;

	if (is_urgent(cache) || cache->is_draining || is_low(cache) ||
	    wb_flush_wants_relocation(cache->path.flush))
		return true;
	wb_log_get_head(cache->path.log, &head);
	return cache->allow_writeback && wb_tail_current(&cache->tail).segment < head.segment_id;
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

/* --- workers ------------------------------------------------------------------- */

bool wb_cache_flush_step(void *arg)
{
	struct wb_cache *cache = arg;

	wb_flush_run(cache->path.flush);
	return false;
}

static enum wb_writeback_wish writeback_wish(struct wb_cache *cache)
{
	/* A mark that still says "complete", of a log that looks dirty: were the
	 * backing changed now, a death before the mark is written would make that
	 * look like somebody else's. */
	if (cache->is_stopping || wb_mark_gate_is_shut(&cache->mark_gate))
		return WB_WRITEBACK_OFF;
	if (is_urgent(cache) || cache->is_draining)
		return WB_WRITEBACK_ALL;
	return cache->allow_writeback ? WB_WRITEBACK_CLOSED : WB_WRITEBACK_OFF;
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
static bool has_dirty(void *arg)
{
	struct wb_cache *cache = arg;

	return wb_segment_table_dirty(cache->path.segments) > 0 ||
	       !wb_writeback_is_idle(cache->writeback);
}

/* TRUE: look again. When all is clean, the drain is over only with the mark. */
static bool look_after_drain(struct wb_cache *cache)
{
	bool was_clean, is_marked, is_clean, is_beyond, has_failed;

	if (!cache->is_draining)
		return false;
	was_clean = !has_dirty(cache);
	is_marked = was_clean && wb_mark_gate_complete(&cache->mark_gate, has_dirty, cache);
	/* Under the lock: a drain asked for after the look is not answered by it. */
	wb_lock_acquire(&cache->lock);
	is_clean = !has_dirty(cache);
	has_failed = wb_writeback_is_stuck(cache->writeback) ||
		     wb_writeback_failures(cache->writeback) >=
			     cache->drain_failures + WB_DRAIN_FAILURES_MAX ||
		     wb_flush_has_failed(cache->path.flush);
	is_beyond = wb_tail_current(&cache->tail).segment > cache->drain_segment;
	if (is_clean ? is_marked : is_beyond || has_failed) {
		bool is_carried = cache->carried_segment > cache->drain_segment;

		end_verb_locked(&cache->drain,
				is_clean || (is_beyond && !is_carried) ? 0 : -EIO);
		cache->is_draining = false;
	}
	wb_lock_release(&cache->lock);
	return is_clean && !was_clean;
}

/* A pass is answered by what it found; what was asked for meanwhile gets the
 * next one. */
static bool look_after_scrub(struct wb_cache *cache)
{
	struct wb_verb *verb = &cache->scrub_verb;
	struct wb_scrub_progress progress;
	bool begin;

	if (wb_scrub_is_running(cache->scrub))
		return wb_scrub_step(cache->scrub);
	wb_scrub_get_progress(cache->scrub, &progress);
	wb_lock_acquire(&cache->lock);
	if (verb->is_running) {
		if (progress.lost_blocks > 0 || progress.bad_headers > 0)
			verb->failed += cache->scrub_answers - verb->answered_from;
		else
			verb->done += cache->scrub_answers - verb->answered_from;
		verb->answered_from = cache->scrub_answers;
	}
	begin = verb->asked > verb->answered_from && !cache->is_stopping;
	verb->is_running = begin;
	cache->scrub_answers = verb->asked;
	wb_lock_release(&cache->lock);
	if (begin)
		wb_scrub_begin(cache->scrub);
	return begin;
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

bool wb_cache_writeback_step(void *arg)
{
	struct wb_cache *cache = arg;
	bool any;

	wb_flush_release_buffers(cache->path.flush);
	any = relocate(cache);
	any |= wb_reclaim_step(cache->reclaim, is_urgent(cache) || is_low(cache) ?
			      WB_URGENT : WB_CALM);
	any |= wb_writeback_step(cache->writeback, writeback_wish(cache));
	if ((is_urgent(cache) || is_low(cache)) && wb_writeback_is_idle(cache->writeback))
		any |= wb_carry_step(&cache->carry,
				     wb_writeback_bad_tries(cache->writeback) >=
				     WB_BAD_TRIES_MAX ? WB_CARRY_ALL : WB_CARRY_EXTENTS);
	if (!any && is_urgent(cache) && wb_writeback_is_idle(cache->writeback))
		any = wb_writeback_begin_carry(cache->writeback, &cache->carry);
	any |= look_after_drain(cache);
	any |= look_after_scrub(cache);
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
	wb_lock_acquire(&cache->pool_lock);
	request->next_free = cache->free_requests;
	cache->free_requests = request;
	wb_lock_release(&cache->pool_lock);
}

struct wb_request_public *wb_request_public(struct wb_request *request)
{
	return &request->pub;
}

enum wb_submit_result wb_cache_submit(struct wb_cache *cache, struct wb_request *request,
				      int *error)
{
	g_assert(request->path == &cache->path);
	return wb_request_start(request, error);
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
	return cache->path.geometry.backing_bytes;
}

bool wb_cache_is_read_only(const struct wb_cache *cache)
{
	return cache->path.bare && wb_bare_is_read_only(cache->path.bare);
}

void wb_cache_uuid(const struct wb_cache *cache, uint8_t uuid[16])
{
	memcpy(uuid, cache->uuid, sizeof cache->uuid);
}

bool wb_cache_is_short_of_space(struct wb_cache *cache)
{
	return is_urgent(cache);
}

void wb_cache_set_tunables(struct wb_cache *cache, const struct wb_tunables *tunables)
{
	cache->allow_writeback = tunables->allow_writeback;
	cache->sync_interval_s = tunables->sync_interval_s;
	if (cache->path.bare)
		return;
	wb_scrub_set_rate(cache->scrub, (uint64_t)tunables->scrub_rate_mib_s << 20);
	wb_cache_kick_writeback(cache);
}

/* A verb that is done because there is no cache. */
static void answer_verb(struct wb_cache *cache, struct wb_verb *verb)
{
	wb_lock_acquire(&cache->lock);
	verb->asked++;
	verb->done++;
	wb_lock_release(&cache->lock);
}

void wb_cache_start_drain(struct wb_cache *cache)
{
	struct wb_log_head head;
	uint64_t last = wb_data_path_last(&cache->path);

	if (cache->path.bare) {
		answer_verb(cache, &cache->drain);
		return;
	}
	wb_lock_acquire(&cache->lock);
	/* Under the lock, for relocate(). */
	wb_log_get_head(cache->path.log, &head);
	/* Joining a drain that is under way moves its goal. */
	cache->drain.asked++;
	cache->drain.is_running = true;
	cache->drain_segment = head.segment_id;
	cache->drain_failures = wb_writeback_failures(cache->writeback);
	cache->is_draining = true;
	wb_lock_release(&cache->lock);
	wb_writeback_retry_now(cache->writeback);
	wb_flush_want(cache->path.flush, last);
	wb_cache_kick_writeback(cache);
}

void wb_cache_start_scrub(struct wb_cache *cache)
{
	if (cache->path.bare) {
		answer_verb(cache, &cache->scrub_verb);
		return;
	}
	wb_lock_acquire(&cache->lock);
	cache->scrub_verb.asked++;
	wb_lock_release(&cache->lock);
	wb_cache_kick_writeback(cache);
}

static void begin_flush_verb(struct wb_cache *cache);

static void flush_verb_ended(struct wb_cache *cache, int error)
{
	bool again;

	wb_lock_acquire(&cache->lock);
	if (error)
		cache->flush_verb.failed++;
	else
		cache->flush_verb.done++;
	cache->flush_verb.answered_from++;
	again = cache->flush_verb.answered_from < cache->flush_verb.asked;
	cache->flush_verb.is_running = again;
	wb_lock_release(&cache->lock);
	if (again)
		begin_flush_verb(cache);
}

static void flush_verb_done(struct wb_sync_waiter *waiter, int error)
{
	flush_verb_ended((struct wb_cache *)((char *)waiter -
			 offsetof(struct wb_cache, flush_waiter)), error);
}

static void begin_flush_verb(struct wb_cache *cache)
{
	int result;

	cache->flush_waiter.target = wb_data_path_last(&cache->path);
	cache->flush_waiter.done = flush_verb_done;
	result = wb_data_path_sync(&cache->path, &cache->flush_waiter);
	if (result != 1)
		flush_verb_ended(cache, result);
}

void wb_cache_start_flush(struct wb_cache *cache)
{
	bool begin;

	wb_lock_acquire(&cache->lock);
	cache->flush_verb.asked++;
	begin = !cache->flush_verb.is_running;
	cache->flush_verb.is_running = true;
	wb_lock_release(&cache->lock);
	if (begin)
		begin_flush_verb(cache);
}

void wb_cache_tick(struct wb_cache *cache)
{
	uint64_t now = wb_clock_now_ns(cache->config.clock);
	uint64_t interval_ns = cache->sync_interval_s * UINT64_C(1000000000);
	bool sync_is_due = false;

	wb_lock_acquire(&cache->lock);
	if (interval_ns > 0 && now >= cache->next_sync_ns) {
		sync_is_due = cache->next_sync_ns != 0;
		cache->next_sync_ns = now + interval_ns;
	}
	wb_lock_release(&cache->lock);
	if (cache->path.bare) {
		if (sync_is_due)
			wb_bare_want_sync(cache->path.bare);
		return;
	}
	if (sync_is_due)
		wb_flush_want(cache->path.flush, wb_log_last_sequence(cache->path.log));
	else
		wb_flush_run(cache->path.flush);	/* what was paused after an error */
	/* Parked requests look again: the disks' state may have changed. */
	wb_park_wake_all(&cache->space);
	wb_park_wake_all(&cache->extent_room);
	wb_cache_kick_writeback(cache);
}

/* --- statistics ------------------------------------------------------------------- */

static void count_segments(struct wb_cache *cache, struct wb_stats_snapshot *snapshot)
{
	snapshot->segments_total = cache->path.geometry.segment_count;
	for (uint64_t place = 0; place < snapshot->segments_total; place++) {
		struct wb_segment *segment = wb_segment_at(cache->path.segments, place);

		snapshot->bad_segments += segment->is_bad;
		if (atomic_load(&segment->dirty_count) > 0)
			snapshot->segments_dirty++;
		else if (!segment->is_bad)
			snapshot->segments_free++;
	}
}

static void look_at_log(struct wb_cache *cache, struct wb_stats_snapshot *snapshot)
{
	struct wb_data_path *path = &cache->path;
	struct wb_tail_position tail = wb_tail_current(&cache->tail);
	struct wb_log_head head;

	snapshot->cache_blocks = path->geometry.slot_count;
	snapshot->dirty_blocks = wb_block_map_dirty_count(path->map);
	snapshot->cached_blocks = wb_block_map_cached_count(path->map);
	snapshot->pending_discards = wb_extent_table_count(path->extents);
	count_segments(cache, snapshot);
	snapshot->segment_bytes = path->geometry.segment_bytes;
	wb_log_get_head(path->log, &head);
	snapshot->head_segment = head.segment_id;
	snapshot->head_sequence = head.last_sequence;
	snapshot->tail_segment = tail.segment;
	snapshot->tail_sequence = tail.sequence;
	snapshot->durable_sequence = wb_log_durable(path->log);
	snapshot->epoch = wb_log_epoch(path->log);
	snapshot->ram_buffers_total = wb_rambuf_count(path->rambuf);
	snapshot->ram_buffers_free = wb_rambuf_free_count(path->rambuf);
	wb_scrub_get_progress(cache->scrub, &snapshot->scrub);
	wb_cache_list_problems(cache, snapshot);
}

static enum wb_cache_state state_of(struct wb_cache *cache)
{
	if (cache->is_stopping)
		return WB_CACHE_STOPPING;
	if (cache->path.bare)
		return WB_CACHE_WITHOUT;
	return wb_flush_has_failed(cache->path.flush) || wb_reclaim_has_failed(cache->reclaim) ?
		       WB_CACHE_FAILED : WB_CACHE_RUNNING;
}

void wb_cache_get_stats(struct wb_cache *cache, struct wb_stats_snapshot *snapshot)
{
	memset(snapshot, 0, sizeof *snapshot);
	for (int i = 0; i < WB_STAT_COUNT; i++)
		snapshot->counter[i] = atomic_load_explicit(&cache->stats.counter[i],
							    memory_order_relaxed);
	snapshot->state = state_of(cache);
	snapshot->image_bytes = cache->path.geometry.backing_bytes;
	if (!cache->path.bare)
		look_at_log(cache, snapshot);
	snapshot->recovered_records = cache->recovered_records;
	snapshot->recovered_dirty_blocks = cache->recovered_dirty_blocks;
	wb_message_get(&cache->message, snapshot->last_error);
	wb_lock_acquire(&cache->lock);
	snapshot->draining = cache->drain.is_running;
	snapshot->drains_asked = cache->drain.asked;
	snapshot->drains_done = cache->drain.done;
	snapshot->drains_failed = cache->drain.failed;
	snapshot->flushes_asked = cache->flush_verb.asked;
	snapshot->flushes_done = cache->flush_verb.done;
	snapshot->flushes_failed = cache->flush_verb.failed;
	snapshot->scrubs_asked = cache->scrub_verb.asked;
	snapshot->scrubs_done = cache->scrub_verb.done;
	snapshot->scrubs_failed = cache->scrub_verb.failed;
	snapshot->backing_space = cache->backing_space;
	wb_lock_release(&cache->lock);
}

void wb_cache_set_backing_space(struct wb_cache *cache, const struct wb_backing_space *space)
{
	wb_lock_acquire(&cache->lock);
	cache->backing_space = *space;
	wb_lock_release(&cache->lock);
}

/* --- by hand, and closing ------------------------------------------------------------ */

static bool poll_store(struct wb_store *store)
{
	return store && store->ops->poll && store->ops->poll(store);
}

static bool run_step(struct wb_worker *worker)
{
	return worker && wb_worker_run_step(worker);
}

static bool run_kind(struct wb_cache *cache, unsigned kind)
{
	switch (kind % 5) {
	case 0: return wb_executor_run_one(cache->executor);
	case 1: return run_step(cache->flush_worker);
	case 2: return run_step(cache->writeback_worker);
	case 3: return poll_store(cache->config.cache_store);
	default: return poll_store(cache->config.backing_store);
	}
}

bool wb_cache_run_one(struct wb_cache *cache, unsigned choice)
{
	for (unsigned i = 0; i < 5; i++) {
		if (run_kind(cache, choice + i))
			return true;
	}
	return false;
}

static bool is_settled(struct wb_cache *cache)
{
	return wb_writeback_is_settled(cache->writeback) && wb_scrub_is_settled(cache->scrub) &&
	       wb_recorder_is_idle(cache->recorder) && wb_flush_is_idle(cache->path.flush);
}

/* Ends the batch under way and begins nothing new. The worker is stopped first:
 * from then on only this thread steps, so "settled" stays true. Completions
 * still come on the stores' threads. */
static void settle(struct wb_cache *cache)
{
	bool is_manual = cache->config.worker_mode == WB_WORKER_MANUAL;

	wb_worker_stop(cache->writeback_worker);
	wb_scrub_abandon(cache->scrub);
	while (!is_settled(cache)) {
		bool any = wb_writeback_step(cache->writeback, WB_WRITEBACK_OFF);

		any |= wb_scrub_step(cache->scrub);

		/* A superblock may wait for its flush, which may be in a pause. */
		wb_flush_run(cache->path.flush);
		if (is_manual)
			any = wb_executor_run_one(cache->executor) ||
			      poll_store(cache->config.cache_store) ||
			      poll_store(cache->config.backing_store) || any;
		if (!any)
			g_usleep(is_manual ? 0 : 500);
	}
	wb_worker_stop(cache->flush_worker);
}

struct close_sync {
	struct wb_sync_waiter waiter;
	struct wb_lock lock;
	struct wb_cond cond;
	bool is_done;
	int error;
};

static void close_sync_done(struct wb_sync_waiter *waiter, int error)
{
	struct close_sync *sync = (struct close_sync *)waiter;

	wb_lock_acquire(&sync->lock);
	sync->error = error;
	sync->is_done = true;
	wb_cond_signal(&sync->cond);
	wb_lock_release(&sync->lock);
}

/* Everything acknowledged onto the cache; the kernel does not ask for it. */
static int sync_all(struct wb_cache *cache)
{
	struct close_sync sync = { .waiter.done = close_sync_done };
	bool is_manual = cache->config.worker_mode == WB_WORKER_MANUAL;
	int result;

	wb_lock_init(&sync.lock, WB_RANK_CACHE);
	wb_cond_init(&sync.cond);
	sync.waiter.target = wb_data_path_last(&cache->path);
	result = wb_data_path_sync(&cache->path, &sync.waiter);
	if (result == 1) {
		wb_lock_acquire(&sync.lock);
		while (!sync.is_done) {
			if (!is_manual) {
				/* Pauses after errors end by the clock. */
				wb_cond_wait_until(&sync.cond, &sync.lock,
						   g_get_monotonic_time() + 50000);
			}
			if (sync.is_done)
				break;
			wb_lock_release(&sync.lock);
			if (is_manual)
				wb_cache_run_one(cache, 0);
			if (!cache->path.bare)
				wb_flush_run(cache->path.flush);
			wb_lock_acquire(&sync.lock);
		}
		result = sync.error;
		wb_lock_release(&sync.lock);
	}
	wb_lock_clear(&sync.lock);
	wb_cond_clear(&sync.cond);
	return result;
}

/* For the next opening, now that nothing of ours is under way any more. */
static void describe_backing(struct wb_cache *cache, uint64_t dirty_left)
{
	struct wb_superblock *superblock = wb_recorder_superblock(cache->recorder);

	superblock->backing_look = wb_backing_describe(&cache->config, superblock, dirty_left);
	superblock->mark_epoch = MAX(superblock->mark_epoch, cache->marked_epoch);
}

static int close_clean(struct wb_cache *cache)
{
	uint64_t dirty_left;
	int error;

	/* The disk may have healed, and there will be no later try. */
	if (wb_flush_has_failed(cache->path.flush))
		wb_flush_try_again(cache->path.flush);
	error = sync_all(cache);

	/* Then there is no way left, and nothing to wait for. */
	if (error)
		wb_flush_abandon(cache->path.flush);
	settle(cache);
	if (error)
		return error;
	/* The newest tail is known only now that everything is durable. */
	while (wb_reclaim_step(cache->reclaim, WB_CALM))
		wb_flush_try_again(cache->path.flush);
	dirty_left = wb_segment_table_dirty(cache->path.segments);
	describe_backing(cache, dirty_left);
	error = wb_reclaim_record_sync(cache->reclaim, WB_STATE_CLEAN);
	if (!error && cache->config.watch.stopped)
		cache->config.watch.stopped(cache->config.watch.arg, dirty_left == 0);
	return error;
}

static int close_bare(struct wb_cache *cache, enum wb_close_mode mode)
{
	bool is_manual = cache->config.worker_mode == WB_WORKER_MANUAL;
	int error = 0;

	if (mode == WB_CLOSE_CLEAN) {
		error = sync_all(cache);
	} else {
		atomic_store(&cache->path.is_abandoned, true);
		wb_bare_abandon(cache->path.bare);
	}
	/* A flush that nobody waits for, and what abandoned requests have there. */
	while (poll_store(cache->config.backing_store) || !wb_bare_is_idle(cache->path.bare))
		g_usleep(is_manual ? 0 : 500);
	return error;
}

int wb_cache_close(struct wb_cache *cache, enum wb_close_mode mode)
{
	int error = 0;

	cache->is_stopping = true;
	if (cache->path.bare) {
		error = close_bare(cache, mode);
	} else if (mode == WB_CLOSE_CLEAN) {
		error = close_clean(cache);
	} else {
		/* Requests first: the news of the others would wake them. */
		atomic_store(&cache->path.is_abandoned, true);
		wb_flush_abandon(cache->path.flush);
		wb_writeback_abandon(cache->writeback);
		settle(cache);
		/* What they had at the disks still refers to them. */
		while (cache->config.worker_mode == WB_WORKER_MANUAL &&
		       (poll_store(cache->config.cache_store) ||
			poll_store(cache->config.backing_store)))
			;
	}
	wb_cache_free(cache);
	return error;
}

void wb_cache_free(struct wb_cache *cache)
{
	/* The executor runs what is queued, and that may kick the workers. */
	if (cache->executor)
		wb_executor_free(cache->executor);
	if (cache->flush_worker)
		wb_worker_free(cache->flush_worker);
	if (cache->writeback_worker)
		wb_worker_free(cache->writeback_worker);
	if (cache->path.log)
		wb_tail_clear(&cache->tail);
	wb_scrub_free(cache->scrub);
	wb_writeback_free(cache->writeback);
	wb_reclaim_free(cache->reclaim);
	wb_relocate_free(cache->relocate);
	wb_flush_free(cache->path.flush);
	wb_log_free(cache->path.log);
	wb_recorder_free(cache->recorder);
	wb_bare_free(cache->path.bare);
	wb_exclusion_free(cache->path.exclusion);
	wb_extent_table_free(cache->path.extents);
	wb_rambuf_free(cache->path.rambuf);
	wb_block_map_free(cache->path.map);
	wb_segment_table_free(cache->path.segments);
	if (cache->path.space) {
		wb_mark_gate_clear(&cache->mark_gate);
		wb_park_list_clear(&cache->space);
		wb_park_list_clear(&cache->extent_room);
	}
	if (cache->bounce_memory)
		munmap(cache->bounce_memory, cache->bounce_bytes);
	g_free(cache->requests);
	g_free(cache->opening_note);
	wb_lock_clear(&cache->lock);
	wb_lock_clear(&cache->pool_lock);
	wb_message_clear(&cache->message);
	g_free(cache);
}
