/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/stats.h"

#include <glib.h>
#include <string.h>

static const char *const stat_names[WB_STAT_COUNT] = {
	[WB_STAT_READ_REQUESTS] = "read_requests",
	[WB_STAT_WRITE_REQUESTS] = "write_requests",
	[WB_STAT_SYNC_REQUESTS] = "sync_requests",
	[WB_STAT_DISCARD_REQUESTS] = "discard_requests",
	[WB_STAT_READ_BYTES] = "read_bytes",
	[WB_STAT_WRITTEN_BYTES] = "written_bytes",
	[WB_STAT_DISCARDED_BYTES] = "discarded_bytes",
	[WB_STAT_READ_RAM_BYTES] = "read_ram_bytes",
	[WB_STAT_READ_CACHE_BYTES] = "read_cache_bytes",
	[WB_STAT_READ_BACKING_BYTES] = "read_backing_bytes",
	[WB_STAT_SSD_WRITTEN_BYTES] = "ssd_bytes_written",
	[WB_STAT_SSD_WRITES] = "ssd_writes",
	[WB_STAT_SSD_READ_BYTES] = "ssd_bytes_read",
	[WB_STAT_SSD_FLUSHES] = "flushes",
	[WB_STAT_BACKING_WRITTEN_BYTES] = "backing_bytes_written",
	[WB_STAT_BACKING_WRITES] = "backing_writes",
	[WB_STAT_BACKING_FLUSHES] = "backing_flushes",
	[WB_STAT_BACKING_ZEROED_BYTES] = "backing_bytes_zeroed",
	[WB_STAT_BYPASSED_BYTES] = "bypassed_bytes",
	[WB_STAT_BYPASSED_WRITES] = "bypassed_writes",
	[WB_STAT_BYPASSED_STREAMS] = "bypassed_streams",
	[WB_STAT_FILLED_BLOCKS] = "filled_blocks",
	[WB_STAT_FILL_DROPPED_BLOCKS] = "fill_dropped_blocks",
	[WB_STAT_FILL_NO_ROOM_BLOCKS] = "fill_no_room_blocks",
	[WB_STAT_FILL_BUSY_BLOCKS] = "fill_busy_blocks",
	[WB_STAT_FILL_CHANGED_BLOCKS] = "fill_changed_blocks",
	[WB_STAT_FILL_NO_BUDGET_BLOCKS] = "fill_no_budget_blocks",
	[WB_STAT_FILL_UNFLUSHED_BLOCKS] = "fill_unflushed_blocks",
	[WB_STAT_SECOND_CHANCE_BLOCKS] = "second_chance_blocks",
	[WB_STAT_SECOND_CHANCE_DROPPED_BLOCKS] = "second_chance_dropped_blocks",
	[WB_STAT_RECORDS] = "records",
	[WB_STAT_MERGED_BLOCKS] = "merged_blocks",
	[WB_STAT_PARKED_REQUESTS] = "parked_requests",
	[WB_STAT_SLOWED_REQUESTS] = "slowed_requests",
	[WB_STAT_SLOWED_NS] = "slowed_ns",
	[WB_STAT_LATE_READS] = "late_reads",
	[WB_STAT_WRITEBACK_BATCHES] = "writeback_batches",
	[WB_STAT_WRITEBACK_BLOCKS] = "writeback_blocks",
	[WB_STAT_WRITEBACK_RESTS] = "writeback_rests",
	[WB_STAT_GAP_BLOCKS] = "writeback_gap_blocks",
	[WB_STAT_CARRIED_BLOCKS] = "carried_blocks",
	[WB_STAT_CHECKSUM_ERRORS] = "checksum_errors",
	[WB_STAT_CHECKSUM_REPAIRED] = "checksum_repaired",
	[WB_STAT_CACHE_ERRORS] = "cache_errors",
	[WB_STAT_BACKING_ERRORS] = "backing_errors",
	[WB_STAT_RELOCATIONS] = "relocations",
	[WB_STAT_CACHE_DISCARDED_BYTES] = "cache_discarded_bytes",
	[WB_STAT_CACHE_DISCARDS] = "cache_discards",
	[WB_STAT_CACHE_DISCARD_FAILURES] = "cache_discard_failures",
	[WB_STAT_BLOCKS + 0] = "read_miss_hdd_partial",
	[WB_STAT_BLOCKS + 1] = "read_miss_hdd_full",
	[WB_STAT_BLOCKS + 2] = "read_miss_ram_partial",
	[WB_STAT_BLOCKS + 3] = "read_miss_ram_full",
	[WB_STAT_BLOCKS + 4] = "read_hit_ssd_partial",
	[WB_STAT_BLOCKS + 5] = "read_hit_ssd_full",
	[WB_STAT_BLOCKS + 6] = "read_hit_ram_partial",
	[WB_STAT_BLOCKS + 7] = "read_hit_ram_full",
	[WB_STAT_BLOCKS + 8] = "write_miss_hdd_partial",
	[WB_STAT_BLOCKS + 9] = "write_miss_hdd_full",
	[WB_STAT_BLOCKS + 10] = "write_miss_ram_partial",
	[WB_STAT_BLOCKS + 11] = "write_miss_ram_full",
	[WB_STAT_BLOCKS + 12] = "write_hit_ssd_partial",
	[WB_STAT_BLOCKS + 13] = "write_hit_ssd_full",
	[WB_STAT_BLOCKS + 14] = "write_hit_ram_partial",
	[WB_STAT_BLOCKS + 15] = "write_hit_ram_full",
};

const char *wb_stat_name(enum wb_stat which)
{
	g_assert((unsigned)which < WB_STAT_COUNT);
	return stat_names[which];
}

static const char *const latency_names[WB_LATENCY_COUNT] = {
	[WB_LATENCY_WRITE] = "write",
	[WB_LATENCY_SYNC] = "sync",
	[WB_LATENCY_DISCARD] = "discard",
	[WB_LATENCY_READ_RAM] = "read_ram",
	[WB_LATENCY_READ_CACHE] = "read_cache",
	[WB_LATENCY_READ_BACKING] = "read_backing",
	[WB_LATENCY_WRITEBACK] = "writeback",
};

const char *wb_latency_name(enum wb_latency which)
{
	return latency_names[which];
}

const char *wb_lifetime_name(enum wb_lifetime which)
{
	switch (which) {
	case WB_LIFETIME_SSD_WRITTEN_BYTES: return "ssd_bytes_written";
	case WB_LIFETIME_WRITTEN_BYTES: return "written_bytes";
	case WB_LIFETIME_READ_BYTES: return "read_bytes";
	case WB_LIFETIME_BACKING_WRITTEN_BYTES: return "backing_bytes_written";
	case WB_LIFETIME_MOUNTS: return "mounts";
	case WB_LIFETIME_COUNT: break;
	}
	g_assert_not_reached();
}

/* --- stripes ---------------------------------------------------------------------- */

void wb_stats_add_blocks(struct wb_stats *stats, unsigned op,
			 const struct wb_block_counts *counts)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(counts->count); i++)
		if (counts->count[i])
			WB_STAT_ADD(stats, WB_STAT_BLOCKS + (op | i), counts->count[i]);
}

uint64_t wb_stats_sum(const struct wb_stats *stats, enum wb_stat which)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < WB_THREAD_STRIPES; i++)
		sum += atomic_load_explicit(&stats->stripe[i].counter[which],
					    memory_order_relaxed);
	return sum;
}

/* --- latencies -------------------------------------------------------------------- */

#define US UINT64_C(1000)
#define MS (1000 * US)
#define S (1000 * MS)

const uint64_t wb_latency_bounds_ns[WB_LATENCY_BOUNDS] = {
	1 * US, 2 * US, 5 * US, 10 * US, 20 * US, 50 * US, 100 * US, 200 * US, 500 * US,
	1 * MS, 2 * MS, 5 * MS, 10 * MS, 20 * MS, 50 * MS, 100 * MS, 200 * MS, 500 * MS,
	1 * S, 2 * S, 5 * S, 10 * S,
};

void wb_stats_summarise(const struct wb_stats *stats, enum wb_latency which,
			struct wb_latency_summary *summary)
{
	struct wb_histogram_copy copy;

	memset(&copy, 0, sizeof copy);
	for (unsigned i = 0; i < WB_THREAD_STRIPES; i++)
		wb_histogram_collect(&stats->stripe[i].latency[which], &copy);
	summary->count = copy.count;
	summary->sum_ns = copy.sum_ns;
	summary->max_ns = copy.max_ns;
	summary->p50_ns = wb_histogram_quantile_ns(&copy, 500);
	summary->p90_ns = wb_histogram_quantile_ns(&copy, 900);
	summary->p99_ns = wb_histogram_quantile_ns(&copy, 990);
	summary->p999_ns = wb_histogram_quantile_ns(&copy, 999);
	for (unsigned i = 0; i < WB_LATENCY_BOUNDS; i++)
		summary->below[i] = wb_histogram_count_below(&copy, wb_latency_bounds_ns[i]);
}

void wb_stats_clear_latencies(struct wb_stats *stats)
{
	for (unsigned i = 0; i < WB_THREAD_STRIPES; i++)
		for (unsigned which = 0; which < WB_LATENCY_COUNT; which++)
			wb_histogram_clear(&stats->stripe[i].latency[which]);
}

double wb_stats_amplification(const struct wb_stats_snapshot *snapshot)
{
	uint64_t written = snapshot->counter[WB_STAT_WRITTEN_BYTES];

	return written ? (double)snapshot->counter[WB_STAT_SSD_WRITTEN_BYTES] / (double)written :
			 -1;
}

/* --- names of states -------------------------------------------------------------- */

const char *wb_cache_state_name(enum wb_cache_state state)
{
	switch (state) {
	case WB_CACHE_RUNNING: return "running";
	case WB_CACHE_FAILED: return "cache-failed";
	case WB_CACHE_STOPPING: return "stopping";
	case WB_CACHE_WITHOUT: return "without-cache";
	}
	g_assert_not_reached();
}

const char *wb_writeback_state_name(enum wb_writeback_state state)
{
	switch (state) {
	case WB_WRITEBACK_IDLE: return "idle";
	case WB_WRITEBACK_RUNNING: return "running";
	case WB_WRITEBACK_PAUSED: return "paused";
	case WB_WRITEBACK_WAITING: return "waiting";
	case WB_WRITEBACK_RESTING: return "resting";
	}
	g_assert_not_reached();
}

const char *wb_discard_state_name(enum wb_discard_state state)
{
	switch (state) {
	case WB_DISCARD_OFF: return "off";
	case WB_DISCARD_ON: return "on";
	case WB_DISCARD_UNSUPPORTED: return "unsupported";
	}
	g_assert_not_reached();
}

const char *wb_backing_load_source_name(const struct wb_backing_load *load)
{
	switch (load->source) {
	case WB_LOAD_UNKNOWN: return "unknown";
	case WB_LOAD_OF_DISK: return "disk";
	case WB_LOAD_OWN: return "own";
	}
	g_assert_not_reached();
}

const char *wb_backing_space_name(const struct wb_backing_space *space)
{
	switch (space->state) {
	case WB_SPACE_UNKNOWN: return "unknown";
	case WB_SPACE_OK: return "ok";
	case WB_SPACE_LOW: return "low";
	case WB_SPACE_FULL: return "full";
	}
	g_assert_not_reached();
}

const char *wb_backing_line_name(const struct wb_backing_line *line)
{
	switch (line->state) {
	case WB_LINE_NONE: return "none";
	case WB_LINE_UP: return "up";
	case WB_LINE_AWAY: return "unreachable";
	}
	g_assert_not_reached();
}
