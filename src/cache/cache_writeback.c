/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether to write back, and why, as people are told. Who needs room, or asked for
 * it, comes before who does not want the backing's disk to be disturbed.
 */
#include "cache/cache_private.h"

#include <stdio.h>

/* Of the places that can be used, how many percent hold what is not written back,
 * or something newer: the log cannot go on there. */
static unsigned used_percent(struct wb_cache *cache)
{
	struct wb_segment_table *segments = cache->path.segments;
	uint64_t tail = wb_tail_current(&cache->tail).segment;
	uint64_t good = wb_segment_table_good_count(segments);
	struct wb_log_head head;

	wb_log_get_head(cache->path.log, &head);
	return (unsigned)MIN((MAX(head.segment_id, tail) - tail) * 100 / MAX(good, 1), 100);
}

bool wb_cache_is_eager(struct wb_cache *cache)
{
	return cache->path.cache_mode != WB_MODE_WRITEBACK &&
	       wb_segment_table_dirty(cache->path.segments) > 0;
}

/* A mark that still says "complete", of a log that looks dirty: were the backing
 * changed now, a death before the mark is written would make that look like
 * somebody else's. */
enum wb_writeback_ground wb_cache_writeback_ground(struct wb_cache *cache)
{
	enum wb_modulator_verdict verdict = WB_MODULATOR_GO;
	enum wb_rest_verdict rest = cache->rest_verdict;

	if (cache->is_stopping)
		return WB_GROUND_STOPPING;
	if (wb_mark_gate_is_shut(&cache->mark_gate))
		return WB_GROUND_MARK;
	if (wb_cache_needs_room(cache))
		return WB_GROUND_NEED;
	if (cache->is_draining)
		return WB_GROUND_DRAIN;
	/* (none in a cache that is read only) */
	if (cache->path.through && wb_through_has_waiters(cache->path.through))
		return WB_GROUND_SYNC;
	if (cache->uses_modulator)
		verdict = cache->modulator_verdict;
	if (rest == WB_REST_PASS_FULL)
		return WB_GROUND_FULL;
	if (cache->allow_writeback && !wb_rest_is_resting(rest) && verdict == WB_MODULATOR_GO)
		return rest == WB_REST_PASS_DUE ? WB_GROUND_DUE : WB_GROUND_FREE;
	if (used_percent(cache) > cache->high_water)
		return WB_GROUND_HIGH;
	if (wb_pressure_is_on(&cache->pressure))	/* a very small ring */
		return WB_GROUND_SLOW;
	if (!cache->allow_writeback)
		return WB_GROUND_NOT_ALLOWED;
	if (wb_rest_is_resting(rest))
		return WB_GROUND_RESTING;
	return verdict == WB_MODULATOR_BUSY ? WB_GROUND_BUSY : WB_GROUND_LOOK;
}

static enum wb_writeback_wish wish_of(enum wb_writeback_ground ground)
{
	switch (ground) {
	case WB_GROUND_STOPPING:
	case WB_GROUND_MARK:
	case WB_GROUND_NOT_ALLOWED:
	case WB_GROUND_RESTING:
	case WB_GROUND_BUSY:
	case WB_GROUND_LOOK:
		return WB_WRITEBACK_OFF;
	case WB_GROUND_NEED:
	case WB_GROUND_DRAIN:
	case WB_GROUND_SYNC:
		return WB_WRITEBACK_ALL;
	case WB_GROUND_FULL:
	case WB_GROUND_DUE:
		return WB_WRITEBACK_DURABLE;
	case WB_GROUND_HIGH:
	case WB_GROUND_SLOW:
	case WB_GROUND_FREE:
		return WB_WRITEBACK_CLOSED;
	}
	g_assert_not_reached();
}

enum wb_writeback_wish wb_cache_writeback_wish(struct wb_cache *cache)
{
	enum wb_writeback_wish wish = wish_of(wb_cache_writeback_ground(cache));

	return wish == WB_WRITEBACK_CLOSED && wb_cache_is_eager(cache) ? WB_WRITEBACK_DURABLE :
									 wish;
}

/* --- samples of the disk ------------------------------------------------------------ */

static uint64_t since(uint64_t *before, uint64_t now)
{
	uint64_t grown = now - *before;

	*before = now;
	return grown;
}

/* Of one interval, from meters that only grow. */
static void take_own_locked(struct wb_cache *cache, struct wb_modulator_sample *sample)
{
	struct wb_busy_times reads, own = wb_writeback_busy(cache->writeback, &reads);

	sample->own_ns = since(&cache->own_busy.busy_ns, own.busy_ns);
	sample->own_reads_ns = since(&cache->own_reads.sum_ns, reads.sum_ns);
	if (!cache->config.meters_backing)
		return;
	/* Then others are the users of the mount, and known apart from us. */
	sample->busy_ns = since(&cache->user_busy.busy_ns,
				wb_busy_meter_read(&cache->backing_meter).busy_ns);
	sample->reads_ns = sample->own_ns = sample->own_reads_ns = 0;
}

void wb_cache_add_disk_sample(struct wb_cache *cache, const struct wb_disk_sample *disk)
{
	struct wb_modulator_sample sample = {
		.interval_ns = disk->interval_ns, .busy_ns = disk->busy_ns,
		.reads_ns = disk->reads_ns,
	};
	struct wb_backing_load *load = &cache->backing_load;

	if (!cache->writeback)
		return;		/* the backing alone */
	wb_lock_acquire(&cache->lock);
	take_own_locked(cache, &sample);
	wb_modulator_add(&cache->modulator, &sample, cache->writeback_threshold);
	atomic_store(&cache->modulator_verdict, cache->modulator.verdict);
	load->source = cache->config.meters_backing ? WB_LOAD_OWN : WB_LOAD_OF_DISK;
	load->busy_percent = cache->modulator.busy_percent;
	load->others_percent = cache->modulator.others_percent;
	g_strlcpy(load->disk, disk->disk ? disk->disk : "", sizeof load->disk);
	wb_lock_release(&cache->lock);
	wb_cache_kick_writeback(cache);
}

/* --- rest ----------------------------------------------------------------------------- */

/* Of users, ever: who asks that some times a second need not be told of each. */
static uint64_t count_requests(struct wb_cache *cache)
{
	return wb_stats_sum(&cache->stats, WB_STAT_READ_REQUESTS) +
	       wb_stats_sum(&cache->stats, WB_STAT_WRITE_REQUESTS) +
	       wb_stats_sum(&cache->stats, WB_STAT_SYNC_REQUESTS) +
	       wb_stats_sum(&cache->stats, WB_STAT_DISCARD_REQUESTS);
}

static void take_look(struct wb_cache *cache, struct wb_rest_look *look)
{
	struct wb_refused *refused = wb_writeback_refused(cache->writeback);
	struct wb_log_head head;
	size_t refused_count;
	uint64_t refused_blocks;

	wb_refused_copy(refused, NULL, 0, &refused_count, &refused_blocks);
	wb_log_get_head(cache->path.log, &head);
	*look = (struct wb_rest_look){
		.now_ns = wb_clock_now_ns(cache->config.clock),
		.local_second = wb_clock_local_second(cache->config.clock),
		/* (writers are slowed: as good as full) */
		.used_percent = wb_pressure_is_on(&cache->pressure) ? 100 : used_percent(cache),
		.is_clean = wb_segment_table_dirty(cache->path.segments) == 0,
		.head_segment = head.segment_id,
		.tail_segment = wb_tail_current(&cache->tail).segment,
		.batches = wb_stats_sum(&cache->stats, WB_STAT_WRITEBACK_BATCHES),
		.blocks = wb_stats_sum(&cache->stats, WB_STAT_WRITEBACK_BLOCKS),
		.has_trouble = wb_writeback_is_stuck(cache->writeback) || refused_count > 0,
	};
}

static void update_rest_locked(struct wb_cache *cache, struct wb_rest_look *look)
{
	const struct wb_rest_policy policy = {
		.schedule = cache->tunables.writeback_schedule,
		.idle_s = cache->tunables.writeback_idle_s,
		.high_percent = cache->high_water,
	};
	bool was_resting = wb_rest_is_resting(cache->rest.verdict);
	uint64_t requests = count_requests(cache);

	if (requests != cache->seen_requests)
		cache->last_request_ns = look->now_ns;
	cache->seen_requests = requests;
	look->idle_ns = look->now_ns - MIN(cache->last_request_ns, look->now_ns);
	wb_rest_update(&cache->rest, &policy, look);
	atomic_store(&cache->rest_verdict, cache->rest.verdict);
	if (wb_rest_is_resting(cache->rest.verdict) && !was_resting)
		WB_STAT_ADD(&cache->stats, WB_STAT_WRITEBACK_RESTS, 1);
}

void wb_cache_update_rest(struct wb_cache *cache)
{
	struct wb_rest_look look;

	if (!cache->writeback)
		return;		/* nothing is written back */
	take_look(cache, &look);
	wb_lock_acquire(&cache->lock);
	update_rest_locked(cache, &look);
	wb_lock_release(&cache->lock);
}

/* --- for people ------------------------------------------------------------------------ */

static const char *idle_reason(const struct wb_stats_snapshot *snapshot)
{
	if (snapshot->dirty_blocks == 0 && snapshot->pending_discards == 0)
		return "nothing to write back";
	return "the newest data waits until its segment is full";
}

static void reason_of_free(struct wb_cache *cache, struct wb_stats_snapshot *snapshot)
{
	size_t room = sizeof snapshot->writeback_reason;

	if (snapshot->writeback_state == WB_WRITEBACK_IDLE)
		g_strlcpy(snapshot->writeback_reason, idle_reason(snapshot), room);
	else if (!cache->uses_modulator)
		g_strlcpy(snapshot->writeback_reason, "writeback_modulator is off", room);
	else if (snapshot->backing_load.source == WB_LOAD_UNKNOWN)
		g_strlcpy(snapshot->writeback_reason, "how busy the disk is, is not known yet",
			  room);
	else
		snprintf(snapshot->writeback_reason, room, "disk %u %% busy, threshold %u %%",
			 snapshot->backing_load.others_percent, cache->writeback_threshold);
}

/* When that is, as the clock on the wall will show it; or how long, if it is not today
 * or tomorrow. */
static void describe_time(struct wb_cache *cache, uint32_t in_s, char *text, size_t room)
{
	uint32_t at = (wb_clock_local_second(cache->config.clock) + in_s) % WB_DAY_S / 60;

	if (in_s < WB_DAY_S)
		snprintf(text, room, "until %02u:%02u", at / 60, at % 60);
	else
		snprintf(text, room, "for %u days", in_s / WB_DAY_S);
}

static void describe_rest(struct wb_cache *cache, struct wb_stats_snapshot *snapshot)
{
	char *reason = snapshot->writeback_reason, when[64] = "";
	size_t room = sizeof snapshot->writeback_reason;
	struct wb_rest rest;
	uint32_t idle_s;

	wb_lock_acquire(&cache->lock);
	rest = cache->rest;
	idle_s = cache->tunables.writeback_idle_s;
	wb_lock_release(&cache->lock);
	if (rest.verdict == WB_REST_UNTIL_TIME) {
		describe_time(cache, rest.resumes_in_s, when, sizeof when);
		snapshot->writeback_resumes_in_s = rest.resumes_in_s;
	} else if (rest.verdict == WB_REST_UNTIL_IDLE) {
		snprintf(when, sizeof when, "until nobody has used it for %u s", idle_s);
	}
	snprintf(reason, room, "%s%suntil %u %% of the cache is not written back; now it is %u %%",
		 when, *when ? ", or " : "", cache->high_water, used_percent(cache));
}

static void describe_ground(struct wb_cache *cache, enum wb_writeback_ground ground,
			    struct wb_stats_snapshot *snapshot)
{
	char *reason = snapshot->writeback_reason;
	size_t room = sizeof snapshot->writeback_reason;

	switch (ground) {
	case WB_GROUND_STOPPING:
		g_strlcpy(reason, "the volume is being stopped", room);
		break;
	case WB_GROUND_MARK:
		g_strlcpy(reason, "the mark on the backing is written first", room);
		break;
	case WB_GROUND_NEED:
		g_strlcpy(reason, "writers wait for room in the cache", room);
		break;
	case WB_GROUND_DRAIN:
		g_strlcpy(reason, "a drain was asked for", room);
		break;
	case WB_GROUND_SYNC:
		g_strlcpy(reason, "a sync waits until the backing has everything", room);
		break;
	case WB_GROUND_HIGH:
		snprintf(reason, room, "%u %% of the cache is not written back, more than %u %%",
			 used_percent(cache), cache->high_water);
		break;
	case WB_GROUND_FULL:
		snprintf(reason, room, "more than %u %% of the cache was not written back; all of "
			 "it is, before it rests", cache->high_water);
		break;
	case WB_GROUND_DUE:
		g_strlcpy(reason, "all that is dirty, as writeback_schedule says", room);
		break;
	case WB_GROUND_RESTING:
		describe_rest(cache, snapshot);
		break;
	case WB_GROUND_SLOW:
		g_strlcpy(reason, "writers are slowed down: there is little room in the cache",
			  room);
		break;
	case WB_GROUND_NOT_ALLOWED:
		g_strlcpy(reason, "allow_writeback is off", room);
		break;
	case WB_GROUND_BUSY:
		snprintf(reason, room, "disk %u %% busy, threshold %u %%",
			 snapshot->backing_load.others_percent, cache->writeback_threshold);
		break;
	case WB_GROUND_LOOK:
		g_strlcpy(reason, "looking how busy others keep the disk", room);
		break;
	case WB_GROUND_FREE:
		reason_of_free(cache, snapshot);
		break;
	}
}

void wb_cache_describe_writeback(struct wb_cache *cache, struct wb_stats_snapshot *snapshot)
{
	enum wb_writeback_ground ground = wb_cache_writeback_ground(cache);
	bool has_work = snapshot->dirty_blocks > 0 || snapshot->pending_discards > 0;
	bool is_held = wish_of(ground) == WB_WRITEBACK_OFF || cache->path.is_read_only;
	enum wb_writeback_state held = ground == WB_GROUND_RESTING ? WB_WRITEBACK_RESTING :
								     WB_WRITEBACK_WAITING;

	wb_lock_acquire(&cache->lock);
	snapshot->backing_load = cache->backing_load;
	wb_lock_release(&cache->lock);
	if (snapshot->writeback_state == WB_WRITEBACK_IDLE && has_work && is_held)
		snapshot->writeback_state = held;
	if (cache->path.is_read_only)
		g_strlcpy(snapshot->writeback_reason, "the volume is mounted read-only",
			  sizeof snapshot->writeback_reason);
	else if (snapshot->writeback_state == WB_WRITEBACK_PAUSED)
		g_strlcpy(snapshot->writeback_reason, "errors of the backing or the cache",
			  sizeof snapshot->writeback_reason);
	else
		describe_ground(cache, ground, snapshot);
}
