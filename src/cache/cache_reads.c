/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reads of the backing go before writeback: what read_first.h knows, and obeys. */
#include "cache/cache_private.h"

static enum wb_read_first_need need_of(struct wb_cache *cache)
{
	if (wb_cache_needs_room(cache))
		return WB_NEED_MOST;
	return wb_pressure_is_on(&cache->pressure) ||
	       wb_through_has_waiters(cache->path.through) ? WB_NEED_SOME : WB_NEED_NOTHING;
}

void wb_cache_look_at_reads(struct wb_cache *cache)
{
	struct wb_read_first *first = &cache->read_first;
	struct wb_read_first_limit limit;
	uint64_t now;

	/* The clock is not asked for each transfer while nobody reads. */
	if (wb_read_first_is_quiet(first, &cache->path.reads))
		return;
	now = wb_clock_now_ns(cache->config.clock);
	wb_read_first_look(first, &cache->path.reads, now, need_of(cache));
	limit = wb_read_first_limit(first, now);
	atomic_store(&cache->writeback_depth, MAX(limit.depth, 1));
	atomic_store(&cache->writeback_io_blocks, limit.blocks);
}

/* What writeback waits for is the end of a pause, of which nobody else tells. */
void wb_cache_wait_for_reads(struct wb_cache *cache)
{
	uint64_t wait_ns;

	if (cache->read_first.level == 0 || wb_writeback_is_idle(cache->writeback))
		return;
	wait_ns = wb_read_first_limit(&cache->read_first,
				      wb_clock_now_ns(cache->config.clock)).wait_ns;
	if (wait_ns > 0)
		wb_worker_wake_in(cache->writeback_worker, wait_ns);
}
