/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How much room the ring has, and that writers are slowed while it is little: what
 * becomes known of both is told to the gate, and those who wait there are let go on.
 */
#include "cache/cache_private.h"

#define LOOK_NS UINT64_C(10000000)

/* Then it does not help that writers are slow: whoever waits for room is what all that
 * looks after trouble goes by. */
static bool is_in_trouble(struct wb_cache *cache)
{
	return cache->is_stopping || atomic_load(&cache->path.has_no_patience) ||
	       wb_writeback_failures(cache->writeback) > 0 ||
	       wb_writeback_is_stuck(cache->writeback) ||
	       wb_flush_has_failed(cache->path.flush) || wb_reclaim_has_failed(cache->reclaim);
}

/* Nothing is to be written back for a while, as long as there is room. */
static bool is_held(struct wb_cache *cache)
{
	return !cache->allow_writeback || wb_rest_is_resting(cache->rest_verdict);
}

/* Room comes batch by batch: with less than two of them left it would come too late. In
 * a ring that is not much larger than that, from the middle on; but to slow writers is
 * to write back, and where that is not wanted yet the high water comes first. */
static uint64_t mark_of(struct wb_cache *cache, uint64_t usable)
{
	uint32_t percent = cache->slow_writes_percent;
	uint64_t batch = ((uint64_t)cache->batch_mib << 20) / cache->path.geometry.segment_bytes;
	uint64_t mark = usable * (100 - MIN(percent, 100)) / 100;
	uint64_t most = usable / 2;

	if (percent == 0 || is_in_trouble(cache))
		return 0;
	if (is_held(cache))
		most = MIN(most, usable * (100 - MIN(cache->high_water, 100)) / 100);
	return MAX(mark, MIN(MAX(2 * batch, WB_SLOW_SEGMENTS_MIN), most));
}

/* For data: neither the reserve nor a segment that holds something that the next
 * recovery needs. */
static void count_room(struct wb_cache *cache, struct wb_write_pace_news *news)
{
	const struct wb_geometry *g = &cache->path.geometry;
	uint64_t good = wb_segment_table_good_count(cache->path.segments);
	uint64_t usable = good - MIN(good, WB_RESERVE_DATA);
	uint64_t tail = wb_tail_current(&cache->tail).segment, used;
	struct wb_log_head head;

	wb_log_get_head(cache->path.log, &head);
	used = head.segment_id >= tail ? head.segment_id - tail + 1 : 0;
	news->free_blocks = (usable - MIN(used, usable)) * g->segment_blocks;
	if (used > 0 && used <= usable)
		news->free_blocks += g->segment_blocks - head.next_block;
	news->mark_blocks = mark_of(cache, usable) * g->segment_blocks;
	news->ring_blocks = usable * g->segment_blocks;
}

/* It is switched off, and was before. */
static bool is_idle(struct wb_cache *cache)
{
	return cache->slow_writes_percent == 0 && !wb_pressure_is_on(&cache->pressure);
}

static bool look(struct wb_cache *cache)
{
	struct wb_write_pace_news news = {
		.cleaned_blocks = wb_stats_sum(&cache->stats, WB_STAT_WRITEBACK_BLOCKS),
		.write_count = wb_stats_sum(&cache->stats, WB_STAT_BACKING_WRITES),
		.dirty_blocks = wb_segment_table_dirty(cache->path.segments),
		.is_working = !wb_writeback_is_idle(cache->writeback),
		.is_held = is_held(cache),
	};
	bool was_on = wb_pressure_is_on(&cache->pressure), some_wait;

	count_room(cache, &news);
	some_wait = wb_pressure_add(&cache->pressure, &news);
	if (!was_on && wb_pressure_is_on(&cache->pressure))
		wb_cache_kick_writeback(cache);		/* whatever else it waits for */
	return some_wait;
}

void wb_cache_look_at_room(struct wb_cache *cache)
{
	if (!is_idle(cache) && look(cache))
		wb_worker_kick(cache->flush_worker);
}

/* Only a new segment takes room. */
void wb_cache_look_at_head(struct wb_cache *cache)
{
	uint64_t head = wb_log_head_segment(cache->path.log);

	if (atomic_exchange_explicit(&cache->looked_head, head, memory_order_relaxed) != head)
		wb_cache_look_at_room(cache);
}

void wb_cache_look_at_progress(struct wb_cache *cache)
{
	struct wb_room_look *last = &cache->last_look;
	struct wb_room_look now = {
		.at_ns = last->at_ns,
		.tail_segment = wb_tail_current(&cache->tail).segment,
		.is_working = !wb_writeback_is_idle(cache->writeback),
	};
	bool is_news = now.tail_segment != last->tail_segment ||
		       now.is_working != last->is_working;

	if (is_idle(cache) || (!is_news && !wb_pressure_is_on(&cache->pressure)))
		return;
	now.at_ns = wb_clock_now_ns(cache->config.clock);
	if (!is_news && now.at_ns - last->at_ns < LOOK_NS)
		return;
	*last = now;
	if (look(cache) && is_news)
		wb_worker_kick(cache->flush_worker);
}

/* The flush worker, because it does nothing that takes long. */
bool wb_cache_release_writers(struct wb_cache *cache, uint64_t *wait_ns)
{
	bool any;

	if (wb_pressure_is_on(&cache->pressure))
		look(cache);
	*wait_ns = wb_pressure_release(&cache->pressure, &any);
	return any;
}

void wb_cache_on_slowed(void *arg)
{
	struct wb_cache *cache = arg;

	wb_worker_kick(cache->flush_worker);
}
