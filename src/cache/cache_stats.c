/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One snapshot of all that is counted and known. */
#include "cache/cache_private.h"

#include <string.h>

#define SECOND_NS UINT64_C(1000000000)

/* Data of an earlier mount has no time: it is as old as this one at least. */
static void look_at_oldest(struct wb_cache *cache, const struct wb_segment *oldest,
			   struct wb_stats_snapshot *snapshot)
{
	uint64_t now = wb_clock_now_ns(cache->config.clock);
	uint64_t since = MAX(atomic_load(&oldest->dirty_since_ns), cache->opened_ns);

	snapshot->oldest_dirty_s = (MAX(now, since) - since) / SECOND_NS;
}

static void count_segments(struct wb_cache *cache, struct wb_stats_snapshot *snapshot)
{
	const struct wb_segment *oldest = NULL;

	snapshot->segments_total = cache->path.geometry.segment_count;
	for (uint64_t place = 0; place < snapshot->segments_total; place++) {
		struct wb_segment *segment = wb_segment_at(cache->path.segments, place);
		bool is_bad = atomic_load(&segment->is_bad);	/* once: it counts as one thing */

		snapshot->bad_segments += is_bad;
		if (atomic_load(&segment->dirty_count) > 0) {
			snapshot->segments_dirty++;
			if (!oldest || atomic_load(&segment->id) < atomic_load(&oldest->id))
				oldest = segment;
		} else if (!is_bad) {
			snapshot->segments_free++;
		}
	}
	if (oldest)
		look_at_oldest(cache, oldest, snapshot);
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
	if (!path->is_read_only) {
		snapshot->ram_buffers_total = wb_rambuf_count(path->rambuf);
		snapshot->ram_buffers_free = wb_flush_available_buffers(path->flush);
		wb_scrub_get_progress(cache->scrub, &snapshot->scrub);
		snapshot->discard_state = wb_place_discard_state(cache->place_discard);
	}
	wb_cache_list_problems(cache, snapshot);
	wb_cache_describe_writeback(cache, snapshot);
}

static uint64_t kept_blocks(struct wb_cache *cache)
{
	return wb_stats_sum(&cache->stats, WB_STAT_FILLED_BLOCKS) +
	       wb_stats_sum(&cache->stats, WB_STAT_SECOND_CHANCE_BLOCKS);
}

static const char *state_of_keeping(struct wb_cache *cache)
{
	if (!wb_fill_gate_is_on(&cache->path.fill_gate))
		return "off";
	return wb_backing_flush_has_lost(cache->path.backing_flush) ? "stopped" : "on";
}

static void look_at_reads(struct wb_cache *cache, struct wb_read_keeping *reads)
{
	uint64_t now = wb_clock_now_ns(cache->config.clock);
	struct wb_read_forecast forecast = { 0 };

	*reads = (struct wb_read_keeping){ .state = "off", .plan = "none", .left_bytes = WB_STATS_UNKNOWN,
					   .at_half = -1, .at_same = -1, .at_double = -1,
					   .at_fourfold = -1 };
	if (!cache->path.read_policy)
		return;
	reads->is_on = wb_fill_gate_is_on(&cache->path.fill_gate);
	reads->state = state_of_keeping(cache);
	reads->left_bytes = wb_fill_gate_left_bytes(&cache->path.fill_gate);
	wb_lock_acquire(&cache->lock);
	reads->bytes_per_s = (uint64_t)(WB_BLOCK_BYTES *
		wb_rate_per_second(&cache->fill_rate, now, kept_blocks(cache)));
	wb_lock_release(&cache->lock);
	wb_read_policy_forecast(cache->path.read_policy, &forecast);
	if (reads->is_on)
		reads->plan = wb_read_plan_name(forecast.plan);
	if (!reads->is_on || !forecast.is_known)
		return;
	reads->at_half = forecast.at_half;
	reads->at_same = forecast.at_same;
	reads->at_double = forecast.at_double;
	reads->at_fourfold = forecast.at_fourfold;
}

static enum wb_cache_state state_of(struct wb_cache *cache)
{
	if (cache->is_stopping)
		return WB_CACHE_STOPPING;
	if (cache->path.bare)
		return WB_CACHE_WITHOUT;
	if (cache->path.is_read_only)
		return WB_CACHE_RUNNING;
	return wb_flush_has_failed(cache->path.flush) || wb_reclaim_has_failed(cache->reclaim) ?
		       WB_CACHE_FAILED : WB_CACHE_RUNNING;
}

/* Read under the lock, in which the samples are taken: neither is below them. */
static double rate_locked(struct wb_cache *cache)
{
	uint64_t now = wb_clock_now_ns(cache->config.clock);

	return wb_rate_per_second(&cache->writeback_rate, now,
				  wb_stats_sum(&cache->stats, WB_STAT_WRITEBACK_BLOCKS));
}

static void look_at_rate(struct wb_cache *cache, struct wb_stats_snapshot *snapshot)
{
	double rate;

	wb_lock_acquire(&cache->lock);
	rate = rate_locked(cache);
	wb_lock_release(&cache->lock);
	snapshot->writeback_bytes_per_s = (uint64_t)(rate * WB_BLOCK_BYTES);
	if (snapshot->dirty_blocks == 0)
		snapshot->clean_in_s = 0;
	else if (rate > 0)
		snapshot->clean_in_s = (uint64_t)((double)snapshot->dirty_blocks / rate) + 1;
	else
		snapshot->clean_in_s = WB_STATS_UNKNOWN;
}

static void note_rate(struct wb_cache *cache)
{
	wb_lock_acquire(&cache->lock);
	wb_rate_note(&cache->writeback_rate, wb_clock_now_ns(cache->config.clock),
		     wb_stats_sum(&cache->stats, WB_STAT_WRITEBACK_BLOCKS));
	wb_rate_note(&cache->fill_rate, wb_clock_now_ns(cache->config.clock),
		     kept_blocks(cache));
	wb_lock_release(&cache->lock);
}

/* The counters themselves only grow: they are counted into the superblocks. */
void wb_cache_clear_stats(struct wb_cache *cache)
{
	wb_lock_acquire(&cache->lock);
	for (int i = 0; i < WB_STAT_COUNT; i++)
		cache->cleared[i] = wb_stats_sum(&cache->stats, i);
	wb_lock_release(&cache->lock);
	wb_stats_clear_latencies(&cache->stats);
	wb_message_note(&cache->message, "statistics cleared");
}

static void look_at_counters(struct wb_cache *cache, struct wb_stats_snapshot *snapshot)
{
	wb_lock_acquire(&cache->lock);
	memcpy(snapshot->counter, cache->cleared, sizeof snapshot->counter);
	wb_lock_release(&cache->lock);
	/* Read after what they were: none is below. */
	for (int i = 0; i < WB_STAT_COUNT; i++)
		snapshot->counter[i] = wb_stats_sum(&cache->stats, i) - snapshot->counter[i];
}

void wb_cache_get_stats(struct wb_cache *cache, struct wb_stats_snapshot *snapshot)
{
	memset(snapshot, 0, sizeof *snapshot);
	snapshot->writeback_resumes_in_s = WB_STATS_UNKNOWN;
	look_at_counters(cache, snapshot);
	snapshot->state = state_of(cache);
	snapshot->image_bytes = wb_image_bytes(&cache->path.image);
	snapshot->backing_bytes = cache->config.backing_store->size_bytes;
	snapshot->cache_mode = wb_tunable_find("cache_mode")->choices[cache->path.cache_mode];
	if (!cache->path.bare)
		look_at_log(cache, snapshot);
	look_at_rate(cache, snapshot);
	look_at_reads(cache, &snapshot->reads);
	if (cache->recorder)
		wb_recorder_get_lifetime(cache->recorder, snapshot->lifetime);
	else
		memcpy(snapshot->lifetime, cache->found_lifetime, sizeof snapshot->lifetime);
	snapshot->recovered_records = cache->recovered_records;
	snapshot->recovered_dirty_blocks = cache->recovered_dirty_blocks;
	snapshot->recovered_short_bytes = cache->recovered_short_bytes;
	snapshot->is_from_checkpoint = cache->is_from_checkpoint;
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
	snapshot->resizes_asked = cache->resize.asked;
	snapshot->resizes_done = cache->resize.done;
	snapshot->resizes_failed = cache->resize.failed;
	snapshot->backing_space = cache->backing_space;
	snapshot->backing_line = cache->backing_line;
	wb_lock_release(&cache->lock);
}

void wb_cache_set_backing_space(struct wb_cache *cache, const struct wb_backing_space *space)
{
	struct wb_backing_space before;

	wb_lock_acquire(&cache->lock);
	before = cache->backing_space;
	cache->backing_space = *space;
	wb_lock_release(&cache->lock);
	if (space->state != before.state && MAX(space->state, before.state) > WB_SPACE_OK)
		wb_message_note(&cache->message, "space for the backing is %s now: %"
				G_GUINT64_FORMAT " bytes free, dirty data may need %"
				G_GUINT64_FORMAT, wb_backing_space_name(space),
				space->free_bytes, space->needed_bytes);
}

void wb_cache_set_backing_line(struct wb_cache *cache, const struct wb_backing_line *line)
{
	int before;

	wb_lock_acquire(&cache->lock);
	before = (int)cache->backing_line.state;
	cache->backing_line = *line;
	wb_lock_release(&cache->lock);
	if (line->state == WB_LINE_AWAY && before != WB_LINE_AWAY)
		wb_message_note(&cache->message, "the backing is unreachable; writeback waits");
	else if (line->state == WB_LINE_UP && before == WB_LINE_AWAY)
		wb_message_note(&cache->message, "the backing can be reached again");
}

static bool is_filling(const struct wb_segment *segment, const struct wb_log_head *head)
{
	return atomic_load(&segment->id) == head->segment_id && head->segment_id > 0 &&
	       atomic_load(&segment->ram_index) != WB_NO_RAM_BUFFER;
}

static char cell_of(struct wb_segment *segment, const struct wb_log_head *head)
{
	if (is_filling(segment, head))
		return WB_RING_HEAD;
	if (segment->is_bad)
		return WB_RING_BAD;
	if (atomic_load(&segment->dirty_count) > 0)
		return WB_RING_DIRTY;
	return atomic_load(&segment->id) ? WB_RING_CLEAN : WB_RING_FREE;
}

void wb_cache_get_ring(struct wb_cache *cache, char cells[WB_RING_CELLS_MAX + 1])
{
	/* What a cell of several segments shows: the first that one of them is. */
	static const char order[] = { WB_RING_HEAD, WB_RING_BAD, WB_RING_DIRTY, WB_RING_CLEAN,
				      WB_RING_FREE };
	uint64_t total = cache->path.geometry.segment_count;
	uint64_t count = cache->path.segments ? MIN(total, WB_RING_CELLS_MAX) : 0;
	struct wb_log_head head = { 0 };

	if (cache->path.log)
		wb_log_get_head(cache->path.log, &head);
	for (uint64_t i = 0; i < count; i++) {
		unsigned best = sizeof order - 1;

		for (uint64_t place = i * total / count; place < (i + 1) * total / count; place++) {
			char cell = cell_of(wb_segment_at(cache->path.segments, place), &head);

			while (memchr(order, cell, best))
				best--;
		}
		cells[i] = order[best];
	}
	cells[count] = '\0';
}

void wb_cache_get_latencies(struct wb_cache *cache,
			    struct wb_latency_summary summaries[WB_LATENCY_COUNT])
{
	for (unsigned i = 0; i < WB_LATENCY_COUNT; i++)
		wb_stats_summarise(&cache->stats, i, &summaries[i]);
}

void wb_cache_note_changes(struct wb_cache *cache)
{
	enum wb_cache_state state = state_of(cache);
	bool is_failing = cache->writeback && wb_writeback_failures(cache->writeback) > 0;

	if (state != cache->noted_state && !cache->path.bare)
		wb_message_note(&cache->message, "state is %s now", wb_cache_state_name(state));
	if (is_failing != cache->noted_writeback_failure)
		wb_message_note(&cache->message, is_failing ?
				"writeback pauses after errors" : "writeback goes on");
	cache->noted_state = state;
	cache->noted_writeback_failure = is_failing;
	note_rate(cache);
}
