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
	uint64_t good = wb_segment_table_count(segments) - wb_segment_table_bad_count(segments);
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
	if (cache->allow_writeback && verdict == WB_MODULATOR_GO)
		return WB_GROUND_FREE;
	if (used_percent(cache) > WB_DIRTY_HIGH_PERCENT)
		return WB_GROUND_HIGH;
	if (wb_pressure_is_on(&cache->pressure))	/* a very small ring */
		return WB_GROUND_SLOW;
	if (!cache->allow_writeback)
		return WB_GROUND_NOT_ALLOWED;
	return verdict == WB_MODULATOR_BUSY ? WB_GROUND_BUSY : WB_GROUND_LOOK;
}

static enum wb_writeback_wish wish_of(enum wb_writeback_ground ground)
{
	switch (ground) {
	case WB_GROUND_STOPPING:
	case WB_GROUND_MARK:
	case WB_GROUND_NOT_ALLOWED:
	case WB_GROUND_BUSY:
	case WB_GROUND_LOOK:
		return WB_WRITEBACK_OFF;
	case WB_GROUND_NEED:
	case WB_GROUND_DRAIN:
	case WB_GROUND_SYNC:
		return WB_WRITEBACK_ALL;
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
			 used_percent(cache), WB_DIRTY_HIGH_PERCENT);
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

	wb_lock_acquire(&cache->lock);
	snapshot->backing_load = cache->backing_load;
	wb_lock_release(&cache->lock);
	if (snapshot->writeback_state == WB_WRITEBACK_IDLE && has_work && is_held)
		snapshot->writeback_state = WB_WRITEBACK_WAITING;
	if (cache->path.is_read_only)
		g_strlcpy(snapshot->writeback_reason, "the volume is mounted read-only",
			  sizeof snapshot->writeback_reason);
	else if (snapshot->writeback_state == WB_WRITEBACK_PAUSED)
		g_strlcpy(snapshot->writeback_reason, "errors of the backing or the cache",
			  sizeof snapshot->writeback_reason);
	else
		describe_ground(cache, ground, snapshot);
}
