/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is wrong with the data of a running cache, as ranges of the image. Costs
 * nothing while nothing is wrong.
 */
#include "cache/cache_private.h"
#include "cache/refused.h"

#include <string.h>

#define BLOCK WB_BLOCK_BYTES
#define SECOND_NS UINT64_C(1000000000)
#define MS_NS UINT64_C(1000000)

static uint64_t end_of(const struct wb_stats_range *range)
{
	return range->start_bytes + range->length_bytes;
}

static void remove_at(struct wb_stats_ranges *list, unsigned i)
{
	memmove(&list->range[i], &list->range[i + 1],
		(--list->count - i) * sizeof list->range[0]);
}

/* Sorted and joined; when there are too many the last ones are left out. */
static void add(struct wb_stats_ranges *list, uint64_t start_bytes, uint64_t length_bytes)
{
	unsigned i = 0;

	while (i < list->count && end_of(&list->range[i]) < start_bytes)
		i++;
	if (i < list->count && list->range[i].start_bytes <= start_bytes + length_bytes) {
		struct wb_stats_range *range = &list->range[i];
		uint64_t end = MAX(end_of(range), start_bytes + length_bytes);

		range->start_bytes = MIN(range->start_bytes, start_bytes);
		range->length_bytes = end - range->start_bytes;
		if (i + 1 < list->count && range[1].start_bytes <= end) {
			range->length_bytes = MAX(end, end_of(&range[1])) - range->start_bytes;
			remove_at(list, i + 1);
		}
		return;
	}
	if (list->count == WB_STATS_RANGES_MAX) {
		if (i == list->count)
			return;
		list->count--;
	}
	memmove(&list->range[i + 1], &list->range[i], (list->count++ - i) * sizeof list->range[0]);
	list->range[i] = (struct wb_stats_range){ .start_bytes = start_bytes,
						  .length_bytes = length_bytes };
}

/* The image may end inside its last block. */
static uint64_t length_of(struct wb_cache *cache, uint64_t first, uint64_t count)
{
	return MIN((first + count) * BLOCK, wb_image_bytes(&cache->path.image)) - first * BLOCK;
}

static void list_bad_slots(struct wb_cache *cache, struct wb_stats_ranges *list)
{
	struct wb_data_path *path = &cache->path;
	struct wb_mapping mapping;

	if (wb_block_map_bad_count(path->map) == 0)
		return;
	for (uint32_t slot = 0; slot < path->geometry.slot_count; slot++) {
		wb_block_map_peek(path->map, slot, &mapping);
		if (mapping.state != WB_SLOT_BAD)
			continue;
		list->blocks++;
		add(list, mapping.address * BLOCK, length_of(cache, mapping.address, 1));
	}
}

static void list_bad_extents(struct wb_cache *cache, struct wb_stats_ranges *list)
{
	struct wb_extent extent;

	for (uint64_t from = 0; wb_extent_table_next(cache->path.extents, from, WB_EXTENT_BAD,
						     &extent);
	     from = extent.first + extent.count) {
		list->blocks += extent.count;
		add(list, extent.first * BLOCK, length_of(cache, extent.first, extent.count));
	}
}

/* The next try of any of them, or 0. */
static uint64_t list_refused(struct wb_cache *cache, struct wb_stats_ranges *list)
{
	struct wb_refused_range ranges[WB_STATS_RANGES_MAX];
	uint64_t now = wb_clock_now_ns(cache->config.clock), retry_at_ns = 0;
	size_t total;

	list->count = (unsigned)wb_refused_copy(wb_writeback_refused(cache->writeback), ranges,
						WB_STATS_RANGES_MAX, &total, &list->blocks);
	for (unsigned i = 0; i < list->count; i++) {
		list->range[i] = (struct wb_stats_range){
			.start_bytes = ranges[i].first * BLOCK,
			.length_bytes = length_of(cache, ranges[i].first, ranges[i].count),
			.error = ranges[i].error,
			.age_s = (MAX(now, ranges[i].since_ns) - ranges[i].since_ns) / SECOND_NS,
		};
		if (retry_at_ns == 0 || ranges[i].retry_at_ns < retry_at_ns)
			retry_at_ns = ranges[i].retry_at_ns;
	}
	return retry_at_ns;
}

static void look_at_pressure(struct wb_cache *cache, struct wb_stats_snapshot *snapshot)
{
	uint32_t waiting;
	double rate;

	wb_pressure_look(&cache->pressure, &waiting, &rate);
	snapshot->slowed_writers = waiting;
	snapshot->write_limit_bytes_per_s = (uint64_t)(rate * BLOCK);
}

void wb_cache_list_problems(struct wb_cache *cache, struct wb_stats_snapshot *snapshot)
{
	uint64_t now, pause_ns, retry_at_ns;

	list_bad_slots(cache, &snapshot->bad_ranges);
	list_bad_extents(cache, &snapshot->bad_ranges);
	if (cache->path.is_read_only)
		return;
	pause_ns = wb_writeback_paused_until_ns(cache->writeback);
	retry_at_ns = MAX(list_refused(cache, &snapshot->refused_ranges), pause_ns);
	now = wb_clock_now_ns(cache->config.clock);
	snapshot->waiting_requests = wb_park_count(&cache->space) +
				     wb_park_count(&cache->extent_room);
	look_at_pressure(cache, snapshot);
	snapshot->writeback_depth = cache->writeback_depth;
	snapshot->reads_go_first = cache->writeback_depth < WB_WRITEBACK_DEPTH;
	snapshot->writeback_io_bytes = (uint64_t)cache->writeback_io_blocks * BLOCK;
	snapshot->writeback_state = WB_WRITEBACK_IDLE;
	if (!wb_writeback_is_idle(cache->writeback))
		snapshot->writeback_state = WB_WRITEBACK_RUNNING;
	else if (retry_at_ns > 0)
		snapshot->writeback_state = WB_WRITEBACK_PAUSED;
	if (retry_at_ns > now)
		snapshot->retry_in_ms = (retry_at_ns - now) / MS_NS;
}
