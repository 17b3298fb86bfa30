/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bench/hdd_write_cache.h"

#include <assert.h>
#include <stdlib.h>

#define BITS 64u

/* --- a set of blocks --------------------------------------------------------------- */

static bool set_init(struct wb_hdd_block_set *set, uint64_t blocks)
{
	uint64_t words = blocks / BITS + 1;

	*set = (struct wb_hdd_block_set){
		.words = calloc(words, sizeof(uint64_t)),
		.summary = calloc(words / BITS + 1, sizeof(uint64_t)),
	};
	return set->words && set->summary;
}

static void set_clear(struct wb_hdd_block_set *set)
{
	free(set->words);
	free(set->summary);
}

static bool set_has(const struct wb_hdd_block_set *set, uint64_t block)
{
	return set->words[block / BITS] >> (block % BITS) & 1;
}

static void set_add(struct wb_hdd_block_set *set, uint64_t block)
{
	uint64_t word = block / BITS;

	if (set_has(set, block))
		return;
	set->words[word] |= UINT64_C(1) << (block % BITS);
	set->summary[word / BITS] |= UINT64_C(1) << (word % BITS);
	set->count++;
}

static void set_remove(struct wb_hdd_block_set *set, uint64_t block)
{
	uint64_t word = block / BITS;

	if (!set_has(set, block))
		return;
	set->words[word] &= ~(UINT64_C(1) << (block % BITS));
	if (!set->words[word])
		set->summary[word / BITS] &= ~(UINT64_C(1) << (word % BITS));
	set->count--;
}

/* The first member at or behind `block`, among `limit` blocks; `limit`: none. */
static uint64_t set_next(const struct wb_hdd_block_set *set, uint64_t block, uint64_t limit)
{
	uint64_t word = block / BITS, last = limit / BITS, bits, at;

	if (!set->count || block >= limit)
		return limit;
	bits = set->words[word] & (~UINT64_C(0) << (block % BITS));
	if (bits)
		return word * BITS + (uint64_t)__builtin_ctzll(bits);
	word++;
	for (at = word / BITS; at <= last / BITS; at++) {
		bits = set->summary[at];
		if (at == word / BITS)
			bits &= ~UINT64_C(0) << (word % BITS);
		if (bits) {
			word = at * BITS + (uint64_t)__builtin_ctzll(bits);
			return word * BITS + (uint64_t)__builtin_ctzll(set->words[word]);
		}
	}
	return limit;
}

/* --- the cache ---------------------------------------------------------------------- */

bool wb_hdd_write_cache_init(struct wb_hdd_write_cache *cache, uint64_t disk_bytes,
			     uint64_t capacity_bytes)
{
	*cache = (struct wb_hdd_write_cache){
		.disk_blocks = (disk_bytes + WB_HDD_BLOCK - 1) / WB_HDD_BLOCK,
		.capacity_blocks = capacity_bytes / WB_HDD_BLOCK,
	};
	return set_init(&cache->newer, cache->disk_blocks) &&
	       set_init(&cache->older, cache->disk_blocks);
}

void wb_hdd_write_cache_clear(struct wb_hdd_write_cache *cache)
{
	set_clear(&cache->newer);
	set_clear(&cache->older);
}

uint64_t wb_hdd_write_cache_used(const struct wb_hdd_write_cache *cache)
{
	return cache->newer.count + cache->older.count + cache->moving_count;
}

static bool holds_block(const struct wb_hdd_write_cache *cache, uint64_t block)
{
	return set_has(&cache->newer, block) || set_has(&cache->older, block);
}

bool wb_hdd_write_cache_has_room(const struct wb_hdd_write_cache *cache, uint64_t first,
				 uint64_t count)
{
	uint64_t room = cache->capacity_blocks - wb_hdd_write_cache_used(cache), wanted = 0;

	if (count <= room)
		return true;
	for (uint64_t i = 0; i < count; i++)
		wanted += !holds_block(cache, first + i);
	return wanted <= room;
}

void wb_hdd_write_cache_add(struct wb_hdd_write_cache *cache, uint64_t first, uint64_t count)
{
	for (uint64_t i = first; i < first + count; i++) {
		if (!set_has(&cache->older, i))
			set_add(&cache->newer, i);
	}
}

void wb_hdd_write_cache_drop(struct wb_hdd_write_cache *cache, uint64_t first, uint64_t count)
{
	for (uint64_t i = first; i < first + count; i++) {
		set_remove(&cache->older, i);
		set_remove(&cache->newer, i);
	}
}

bool wb_hdd_write_cache_holds(const struct wb_hdd_write_cache *cache, uint64_t first,
			      uint64_t count)
{
	for (uint64_t i = first; i < first + count; i++) {
		if (!holds_block(cache, i))
			return false;
	}
	return true;
}

static const struct wb_hdd_block_set *set_to_move(const struct wb_hdd_write_cache *cache)
{
	return cache->older.count ? &cache->older : &cache->newer;
}

struct wb_hdd_run wb_hdd_write_cache_next(const struct wb_hdd_write_cache *cache,
					  uint64_t from)
{
	const struct wb_hdd_block_set *set = set_to_move(cache);
	struct wb_hdd_run run = { set_next(set, from, cache->disk_blocks), 0 };

	while (run.count < WB_HDD_RUN_BLOCKS && run.first + run.count < cache->disk_blocks &&
	       set_has(set, run.first + run.count))
		run.count++;
	return run;
}

void wb_hdd_write_cache_move(struct wb_hdd_write_cache *cache, struct wb_hdd_run run)
{
	assert(!cache->moving_count);
	cache->is_moving_old = cache->older.count > 0;
	wb_hdd_write_cache_drop(cache, run.first, run.count);
	cache->moving_count = run.count;
}

void wb_hdd_write_cache_moved(struct wb_hdd_write_cache *cache)
{
	cache->moving_count = 0;
	cache->is_moving_old = false;
}

void wb_hdd_write_cache_flush(struct wb_hdd_write_cache *cache)
{
	struct wb_hdd_block_set newer = cache->newer;

	assert(!cache->is_flushing && !cache->older.count);
	cache->newer = cache->older;
	cache->older = newer;
	cache->is_moving_old = cache->moving_count > 0;
	cache->is_flushing = true;
}

bool wb_hdd_write_cache_has_flushed(struct wb_hdd_write_cache *cache)
{
	if (!cache->is_flushing || cache->older.count || cache->is_moving_old)
		return false;
	cache->is_flushing = false;
	return true;
}
