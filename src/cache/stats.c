/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/stats.h"

#include <glib.h>

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
	[WB_STAT_RECORDS] = "records",
	[WB_STAT_MERGED_BLOCKS] = "merged_blocks",
	[WB_STAT_PARKED_REQUESTS] = "parked_requests",
	[WB_STAT_WRITEBACK_BATCHES] = "writeback_batches",
	[WB_STAT_WRITEBACK_BLOCKS] = "writeback_blocks",
	[WB_STAT_CARRIED_BLOCKS] = "carried_blocks",
	[WB_STAT_CHECKSUM_ERRORS] = "checksum_errors",
	[WB_STAT_CHECKSUM_REPAIRED] = "checksum_repaired",
	[WB_STAT_CACHE_ERRORS] = "cache_errors",
	[WB_STAT_BACKING_ERRORS] = "backing_errors",
	[WB_STAT_RELOCATIONS] = "relocations",
};

const char *wb_stat_name(enum wb_stat which)
{
	g_assert((unsigned)which < WB_STAT_COUNT);
	return stat_names[which];
}

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
