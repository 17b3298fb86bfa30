/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A cache stepped by hand, and the end of one. */
#include "cache/cache_private.h"

#include <errno.h>

#include "base/memory.h"
#include "cache/backing_check.h"

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
	return wb_grow_is_settled(cache->grow) &&
	       wb_writeback_is_settled(cache->writeback) && wb_scrub_is_settled(cache->scrub) &&
	       wb_place_discard_is_settled(cache->place_discard) &&
	       wb_second_chance_is_settled(cache->second_chance) &&
	       wb_recorder_is_idle(cache->recorder) && wb_flush_is_idle(cache->path.flush) &&
	       wb_backing_flush_is_idle(cache->path.backing_flush);
}

/* Ends the batch under way and begins nothing new. The worker is stopped: only this
 * thread steps, so "settled" stays true. Completions still come on the stores' threads. */
static void step_settling(struct wb_cache *cache)
{
	bool is_manual = cache->config.worker_mode == WB_WORKER_MANUAL;
	bool any = wb_writeback_step(cache->writeback, WB_WRITEBACK_OFF);

	any |= wb_scrub_step(cache->scrub);
	any |= wb_second_chance_step(cache->second_chance);
	any |= wb_grow_step(cache->grow);
	any |= wb_place_discard_step(cache->place_discard);

	/* A superblock may wait for its flush, which may be in a pause. */
	wb_flush_run(cache->path.flush);
	if (is_manual)
		any = wb_executor_run_one(cache->executor) ||
		      poll_store(cache->config.cache_store) ||
		      poll_store(cache->config.backing_store) || any;
	if (!any)
		g_usleep(is_manual ? 0 : 500);
}

static void settle(struct wb_cache *cache)
{
	wb_worker_stop(cache->writeback_worker);
	wb_scrub_abandon(cache->scrub);
	wb_grow_abandon(cache->grow);
	wb_second_chance_abandon(cache->second_chance);
	wb_place_discard_abandon(cache->place_discard);
	while (!is_settled(cache))
		step_settling(cache);
	wb_worker_stop(cache->flush_worker);
}

static bool is_all_durable(struct wb_cache *cache)
{
	return wb_log_durable(cache->path.log) == wb_log_last_sequence(cache->path.log);
}

/* What was appended beside the stop's own sync, which waits for what there was when it
 * began: second chances, and what was carried. Nobody was promised any of it. But while
 * a record is open or not durable there is no checkpoint, and the tail stays before what
 * is written back already: the next opening would find that dirty, and refuse a backing
 * that was changed alone, as it may be once its mark says "complete". An SSD that fails
 * gets the tries of a sync, and then the stop is as good, but for that mark. */
static void sync_late_entries(struct wb_cache *cache)
{
	while (!is_all_durable(cache) && !wb_flush_has_failed(cache->path.flush)) {
		wb_flush_want(cache->path.flush, wb_log_last_sequence(cache->path.log));
		wb_relocate_step(cache->relocate);
		step_settling(cache);
	}
	while (!is_settled(cache))
		step_settling(cache);
}

struct close_sync {
	struct wb_request request;
	struct wb_lock lock;
	struct wb_cond cond;
	/* under lock */
	bool is_done;
	int error;
};

static void close_sync_done(struct wb_request *request, int error)
{
	struct close_sync *sync = request->pub.user;

	wb_lock_acquire(&sync->lock);
	sync->error = error;
	sync->is_done = true;
	wb_cond_signal(&sync->cond);
	wb_lock_release(&sync->lock);
}

/* Pauses after errors end by the clock, and nobody else calls any more. */
static void step_sync(struct wb_cache *cache)
{
	if (cache->config.worker_mode == WB_WORKER_MANUAL)
		wb_cache_run_one(cache, 0);
	if (cache->path.bare)
		return;
	wb_flush_run(cache->path.flush);
	wb_cache_kick_writeback(cache);
}

/* Everything acknowledged durable, as the mode promises it; the kernel does not ask
 * for it. */
static int sync_all(struct wb_cache *cache, enum wb_cache_mode mode)
{
	struct close_sync *sync = g_new0(struct close_sync, 1);
	bool is_manual = cache->config.worker_mode == WB_WORKER_MANUAL;
	int result;

	atomic_store(&cache->path.cache_mode, mode);
	wb_lock_init(&sync->lock, WB_RANK_CACHE);
	wb_cond_init(&sync->cond);
	sync->request.path = &cache->path;
	wb_request_sync(&sync->request, close_sync_done, sync);
	wb_lock_acquire(&sync->lock);
	while (!sync->is_done) {
		if (!is_manual)
			wb_cond_wait_until(&sync->cond, &sync->lock,
					   g_get_monotonic_time() + 50000);
		if (sync->is_done)
			break;
		wb_lock_release(&sync->lock);
		step_sync(cache);
		wb_lock_acquire(&sync->lock);
	}
	result = sync->error;
	wb_lock_release(&sync->lock);
	wb_lock_clear(&sync->lock);
	wb_cond_clear(&sync->cond);
	g_free(sync);
	return result;
}

/* For the next opening, now that nothing of ours is under way any more. */
static void describe_backing(struct wb_cache *cache, uint64_t dirty_left)
{
	struct wb_superblock *superblock = wb_recorder_superblock(cache->recorder);

	superblock->backing_look = wb_backing_describe(&cache->config, superblock, dirty_left);
	superblock->mark_epoch = MAX(superblock->mark_epoch, cache->marked_epoch);
}

/* In a mode that promises the backing it is to have everything afterwards. If that
 * cannot be, the cache keeps the rest, as in the other one; but what went around the
 * cache is nowhere else, and an error of that is the stop's. */
static int sync_before_stop(struct wb_cache *cache)
{
	enum wb_cache_mode mode = cache->path.cache_mode;
	int error;

	cache->is_stopping = mode == WB_MODE_WRITEBACK;
	error = sync_all(cache, WB_MODE_WRITEBACK);
	if (!error && mode != WB_MODE_WRITEBACK) {
		sync_all(cache, mode);
		error = sync_all(cache, WB_MODE_WRITEBACK);
	}
	cache->is_stopping = true;
	return error;
}

/* So that the next opening need not read the log. All of it is durable. Without
 * one, the stop is as good. */
static void write_checkpoint(struct wb_cache *cache)
{
	struct wb_superblock *superblock = wb_recorder_superblock(cache->recorder);
	struct wb_checkpoint_deps deps;
	struct wb_flush_cut last;

	wb_cache_fill_checkpoint_deps(cache, &deps);
	wb_flush_get_last(cache->path.flush, &last);
	wb_checkpoint_write(&deps, &(struct wb_checkpoint_last){
			    last.sequence, last.segment_id, last.crc }, superblock);
}

static int close_clean(struct wb_cache *cache, enum wb_close_mode mode)
{
	uint64_t dirty_left;
	bool is_detached, is_complete;
	int error;

	/* The disk may have healed, and there will be no later try. */
	if (wb_flush_has_failed(cache->path.flush))
		wb_flush_try_again(cache->path.flush);
	error = sync_before_stop(cache);

	/* Then there is no way left, and nothing to wait for. */
	if (error)
		wb_flush_abandon(cache->path.flush);
	settle(cache);
	if (error)
		return error;
	sync_late_entries(cache);
	/* The newest tail is known only now that everything is durable. */
	while (wb_reclaim_step(cache->reclaim, WB_CALM))
		wb_flush_try_again(cache->path.flush);
	dirty_left = wb_segment_table_dirty(cache->path.segments);
	describe_backing(cache, dirty_left);
	is_detached = mode == WB_CLOSE_DETACH && dirty_left == 0;
	is_complete = dirty_left == 0 && (is_detached || is_all_durable(cache));
	if (is_detached)
		wb_recorder_superblock(cache->recorder)->incompat |= WB_INCOMPAT_DETACHED;
	wb_reclaim_fill_superblock(cache->reclaim, WB_STATE_CLEAN);
	if (!is_detached)
		write_checkpoint(cache);
	error = wb_reclaim_record_sync(cache->reclaim);
	if (!error && cache->config.watch.stopped)
		cache->config.watch.stopped(cache->config.watch.arg, is_complete);
	return !error && mode == WB_CLOSE_DETACH && !is_detached ? -EBUSY : error;
}

static int close_bare(struct wb_cache *cache, enum wb_close_mode mode)
{
	bool is_manual = cache->config.worker_mode == WB_WORKER_MANUAL;
	int error = 0;

	if (mode != WB_CLOSE_ABANDON) {
		error = sync_all(cache, WB_MODE_WRITEBACK);
	} else {
		atomic_store(&cache->path.is_abandoned, true);
		wb_backing_flush_abandon(cache->path.backing_flush);
	}
	/* A flush that nobody waits for, and what abandoned requests have there. */
	while (poll_store(cache->config.backing_store) ||
	       !wb_backing_flush_is_idle(cache->path.backing_flush))
		g_usleep(is_manual ? 0 : 500);
	return error;
}

/* Nothing runs but reads, and they have ended, or nobody wants them any more. */
static void close_read_only(struct wb_cache *cache, enum wb_close_mode mode)
{
	if (mode != WB_CLOSE_ABANDON)
		return;
	atomic_store(&cache->path.is_abandoned, true);
	while (cache->config.worker_mode == WB_WORKER_MANUAL &&
	       (poll_store(cache->config.cache_store) ||
		poll_store(cache->config.backing_store)))
		;
}

int wb_cache_close(struct wb_cache *cache, enum wb_close_mode mode)
{
	int error = 0;

	/* All requests have ended; what the stop itself waits for has limits of its own. */
	atomic_store(&cache->path.has_no_patience, false);
	cache->is_stopping = mode == WB_CLOSE_ABANDON;
	if (cache->path.bare) {
		error = close_bare(cache, mode);
	} else if (cache->path.is_read_only) {
		close_read_only(cache, mode);
	} else if (mode != WB_CLOSE_ABANDON) {
		error = close_clean(cache, mode);
	} else {
		/* Requests first: the news of the others would wake them. */
		atomic_store(&cache->path.is_abandoned, true);
		wb_flush_abandon(cache->path.flush);
		wb_backing_flush_abandon(cache->path.backing_flush);
		wb_writeback_abandon(cache->writeback);
		settle(cache);
		/* What they had at the disks still refers to them. */
		while (cache->config.worker_mode == WB_WORKER_MANUAL &&
		       (poll_store(cache->config.cache_store) ||
			poll_store(cache->config.backing_store)))
			;
	}
	/* The superblocks say so already; a death before this is none that matters. */
	if (mode != WB_CLOSE_ABANDON && (!error || error == -EBUSY) && cache->path.rambuf)
		wb_region_end(wb_rambuf_region(cache->path.rambuf));
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
	wb_place_discard_free(cache->place_discard);
	wb_writeback_free(cache->writeback);
	wb_second_chance_free(cache->second_chance);
	wb_reclaim_free(cache->reclaim);
	wb_relocate_free(cache->relocate);
	wb_grow_free(cache->grow);
	wb_flush_free(cache->path.flush);
	wb_backing_flush_free(cache->path.backing_flush);
	wb_through_free(cache->path.through);
	wb_log_free(cache->path.log);
	wb_recorder_free(cache->recorder);
	wb_bare_free(cache->path.bare);
	wb_exclusion_free(cache->path.exclusion);
	wb_extent_table_free(cache->path.extents);
	wb_rambuf_free(cache->path.rambuf);
	wb_block_map_free(cache->path.map);
	wb_segment_table_free(cache->path.segments);
	wb_read_policy_free(cache->path.read_policy);
	if (cache->path.space) {
		wb_fill_gate_clear(&cache->path.fill_gate);
		wb_mark_gate_clear(&cache->mark_gate);
		wb_pressure_clear(&cache->pressure);
		wb_park_list_clear(&cache->space);
		wb_park_list_clear(&cache->extent_room);
	}
	if (cache->bounce_memory)
		wb_memory_unmap(cache->bounce_memory, cache->bounce_bytes);
	g_free(cache->requests);
	g_free(cache->opening_note);
	wb_lock_clear(&cache->setting_lock);
	wb_lock_clear(&cache->lock);
	wb_lock_clear(&cache->pool_lock);
	wb_lock_clear(&cache->path.streams_lock);
	wb_busy_meter_clear(&cache->backing_meter);
	wb_message_clear(&cache->message);
	g_aligned_free(cache);
}
