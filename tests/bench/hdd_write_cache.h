/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which blocks a simulated hard disk has taken and not yet written: its volatile
 * write cache, without the data. In two sets, so that a flush knows what it waits
 * for: those that were there when the flush began are old, and go first.
 */
#ifndef WB_TESTS_HDD_WRITE_CACHE_H
#define WB_TESTS_HDD_WRITE_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#define WB_HDD_BLOCK UINT64_C(4096)
#define WB_HDD_RUN_BLOCKS 256u	/* the longest write to the platters: 1 MiB */

/* A bit for each block, and one for each word of those. */
struct wb_hdd_block_set {
	uint64_t *words, *summary;
	uint64_t count;
};

struct wb_hdd_write_cache {
	uint64_t disk_blocks, capacity_blocks;
	struct wb_hdd_block_set newer, older;
	uint64_t moving_count;		/* on their way to the platters: they take room */
	bool is_moving_old, is_flushing;
};

struct wb_hdd_run {
	uint64_t first;
	uint32_t count;			/* 0: there is none */
};

/* FALSE: no memory. */
bool wb_hdd_write_cache_init(struct wb_hdd_write_cache *cache, uint64_t disk_bytes,
			     uint64_t capacity_bytes);
void wb_hdd_write_cache_clear(struct wb_hdd_write_cache *cache);

uint64_t wb_hdd_write_cache_used(const struct wb_hdd_write_cache *cache);
bool wb_hdd_write_cache_has_room(const struct wb_hdd_write_cache *cache, uint64_t first,
				 uint64_t count);
void wb_hdd_write_cache_add(struct wb_hdd_write_cache *cache, uint64_t first, uint64_t count);
/* What is written is newer. */
void wb_hdd_write_cache_drop(struct wb_hdd_write_cache *cache, uint64_t first, uint64_t count);
bool wb_hdd_write_cache_holds(const struct wb_hdd_write_cache *cache, uint64_t first,
			      uint64_t count);

/* The first run at or behind that block that may go now; none wraps round. */
struct wb_hdd_run wb_hdd_write_cache_next(const struct wb_hdd_write_cache *cache,
					  uint64_t from);
/* It is on its way, and has arrived. */
void wb_hdd_write_cache_move(struct wb_hdd_write_cache *cache, struct wb_hdd_run run);
void wb_hdd_write_cache_moved(struct wb_hdd_write_cache *cache);

/* One at a time. */
void wb_hdd_write_cache_flush(struct wb_hdd_write_cache *cache);
/* TRUE once, when what was there when the flush began has arrived. */
bool wb_hdd_write_cache_has_flushed(struct wb_hdd_write_cache *cache);

#endif
