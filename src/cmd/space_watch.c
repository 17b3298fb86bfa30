/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/space_watch.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

#include "cmd/size_parse.h"

#define TICKS_BETWEEN_LOOKS 20u		/* 5 s */
#define BLOCK_BYTES 4096u

void wb_space_judge(struct wb_backing_space *space, uint64_t free_bytes,
		    uint64_t missing_bytes, uint64_t dirty_bytes, uint64_t cache_bytes)
{
	space->free_bytes = free_bytes;
	space->needed_bytes = MIN(dirty_bytes, missing_bytes);
	if (missing_bytes == 0)
		space->state = WB_SPACE_OK;
	else if (free_bytes < space->needed_bytes || free_bytes == 0)
		space->state = WB_SPACE_FULL;
	else if (free_bytes < MIN(cache_bytes, missing_bytes))
		space->state = WB_SPACE_LOW;
	else
		space->state = WB_SPACE_OK;
}

static void look(struct wb_space_watch *watch, struct wb_backing_space *space)
{
	struct wb_stats_snapshot *stats;
	struct statvfs fs;
	struct stat st;
	uint64_t allocated, size;

	*space = (struct wb_backing_space){ .state = WB_SPACE_UNKNOWN };
	if (fstat(watch->fd, &st) < 0 || !S_ISREG(st.st_mode) || fstatvfs(watch->fd, &fs) < 0)
		return;
	allocated = (uint64_t)st.st_blocks * 512;
	size = (uint64_t)st.st_size;
	stats = g_new(struct wb_stats_snapshot, 1);
	wb_cache_get_stats(watch->cache, stats);
	wb_space_judge(space, (uint64_t)fs.f_bavail * fs.f_frsize,
		       size > allocated ? size - allocated : 0,
		       stats->dirty_blocks * BLOCK_BYTES, stats->cache_blocks * BLOCK_BYTES);
	g_free(stats);
}

static void tell(const struct wb_space_watch *watch, const struct wb_backing_space *space)
{
	char free_text[WB_SIZE_TEXT_BYTES], needed_text[WB_SIZE_TEXT_BYTES];

	wb_size_format(space->free_bytes, free_text);
	wb_size_format(space->needed_bytes, needed_text);
	if (space->state == WB_SPACE_FULL)
		g_warning("the filesystem of backing %s has %s free, and up to %s of dirty data "
			  "may need room there: free some space. The data stays in the cache "
			  "until then", watch->path, free_text, needed_text);
	else if (space->state == WB_SPACE_LOW)
		g_warning("the filesystem of backing %s has %s free, less than the cache can "
			  "hold and the sparse backing may need: free some space",
			  watch->path, free_text);
	else if (watch->space.state > WB_SPACE_OK)
		g_message("the filesystem of backing %s has enough room again", watch->path);
}

void wb_space_watch_tick(struct wb_space_watch *watch)
{
	struct wb_backing_space space;

	/* (not set up: the backing alone, to which nothing is written back) */
	if (!watch->cache || watch->fd < 0 || watch->ticks++ % TICKS_BETWEEN_LOOKS != 0)
		return;
	look(watch, &space);
	if (space.state != watch->space.state)
		tell(watch, &space);
	watch->space = space;
	wb_cache_set_backing_space(watch->cache, &space);
}
