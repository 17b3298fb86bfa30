/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/block_map.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "base/memory.h"
#include "base/mutant.h"
#include "cache/cache.h"
#include "cache/limits.h"

/* All of a slot in one cache line: a look-up of a random block misses the
 * processor's cache once for its bucket and once for each slot on the chain. */
struct slot_entry {
	_Atomic uint64_t word;		/* address | mask << 48 | state << 56 */
	uint32_t chain;			/* next slot + 1, under its stripe */
	_Atomic uint32_t crc;
};

struct wb_block_map {
	/* constant after new */
	struct wb_geometry geometry;
	struct wb_segment_table *segments;
	uint32_t buckets_per_stripe;
	void *memory;
	size_t memory_bytes;
	struct slot_entry *slots;
	struct wb_dirty_index *index;	/* NULL: none is kept */
	uint32_t *buckets;		/* first slot + 1, under the bucket's stripe */

	_Atomic uint64_t bad_count, found_bad_count;
	struct wb_stripe stripes[WB_STRIPE_COUNT];
};

static uint64_t word_of(uint64_t address, uint8_t mask, enum wb_slot_state state)
{
	return address | (uint64_t)mask << 48 | (uint64_t)state << 56;
}

static void mapping_of(uint32_t slot, uint64_t word, struct wb_mapping *mapping)
{
	mapping->address = word & WB_ADDRESS_MAX;
	mapping->slot = slot;
	mapping->mask = (uint8_t)(word >> 48);
	mapping->state = (uint8_t)(word >> 56);
}

/* Multiplicative hashing (Knuth, TAOCP 3, 6.4) with the golden ratio. */
static uint32_t hash(uint64_t x)
{
	return (uint32_t)((x * UINT64_C(0x9e3779b97f4a7c15)) >> 32);
}

static unsigned stripe_index(uint64_t address)
{
	return hash(address / WB_CHUNK_BLOCKS) % WB_STRIPE_COUNT;
}

static uint32_t *bucket_of(struct wb_block_map *map, uint64_t address)
{
	uint64_t within = ((uint64_t)hash(address ^ 0x5bd1e995) *
			   map->buckets_per_stripe) >> 32;

	return &map->buckets[(uint64_t)stripe_index(address) * map->buckets_per_stripe + within];
}

struct wb_block_map *wb_block_map_new(const struct wb_geometry *geometry,
				      struct wb_segment_table *segments, GError **error)
{
	struct wb_block_map *map = g_aligned_alloc0(1, sizeof *map, WB_CACHE_LINE_BYTES);
	size_t slots = geometry->slot_count;
	size_t buckets;

	map->geometry = *geometry;
	map->segments = segments;
	map->buckets_per_stripe = (uint32_t)(slots / (2 * WB_STRIPE_COUNT) + 1);
	buckets = (size_t)map->buckets_per_stripe * WB_STRIPE_COUNT;
	map->memory_bytes = slots * sizeof(struct slot_entry) + buckets * sizeof(uint32_t);
	/* Zeros mean: all free. Nearly every look-up is of another page. */
	map->memory = wb_memory_map(map->memory_bytes);
	if (!map->memory) {
		g_set_error(error, WB_CACHE_ERROR, WB_CACHE_ERROR_LIMIT,
			    "cannot get %zu MiB of memory for the block map: %s",
			    map->memory_bytes >> 20, g_strerror(errno));
		g_aligned_free(map);
		return NULL;
	}
	map->slots = map->memory;
	map->buckets = (uint32_t *)&map->slots[slots];
	for (unsigned i = 0; i < WB_STRIPE_COUNT; i++)
		wb_lock_init(&map->stripes[i].lock, WB_RANK_STRIPE);
	return map;
}

void wb_block_map_free(struct wb_block_map *map)
{
	if (!map)
		return;
	for (unsigned i = 0; i < WB_STRIPE_COUNT; i++)
		wb_lock_clear(&map->stripes[i].lock);
	wb_memory_unmap(map->memory, map->memory_bytes);
	wb_dirty_index_free(map->index);
	g_aligned_free(map);
}

bool wb_block_map_make_index(struct wb_block_map *map, uint64_t block_count, GError **error)
{
	map->index = wb_dirty_index_new(block_count);
	if (!map->index)
		g_set_error(error, WB_CACHE_ERROR, WB_CACHE_ERROR_LIMIT,
			    "cannot get %" G_GUINT64_FORMAT " KiB of memory for the index of "
			    "dirty blocks: %s", block_count >> 13, g_strerror(errno));
	return map->index != NULL;
}

bool wb_block_map_grow_index(struct wb_block_map *map, uint64_t block_count)
{
	return !map->index || wb_dirty_index_grow(map->index, block_count);
}

struct wb_stripe *wb_block_map_stripe(struct wb_block_map *map, uint64_t address)
{
	return &map->stripes[stripe_index(address)];
}

struct wb_stripe *wb_block_map_stripe_at(struct wb_block_map *map, unsigned index)
{
	g_assert(index < WB_STRIPE_COUNT);
	return &map->stripes[index];
}

/* More at once than the processor can wait for is of no use. */
#define FETCH_MAX 16u

void wb_block_map_fetch_buckets(struct wb_block_map *map, uint64_t first, uint64_t count)
{
	__builtin_prefetch(wb_block_map_stripe(map, first), 1);
	for (uint64_t i = 0; i < MIN(count, FETCH_MAX); i++)
		__builtin_prefetch(bucket_of(map, first + i), 1);
}

void wb_block_map_fetch_slots_locked(struct wb_block_map *map, uint64_t first, uint64_t count)
{
	for (uint64_t i = 0; i < MIN(count, FETCH_MAX); i++) {
		uint32_t link = *bucket_of(map, first + i);

		if (link)
			__builtin_prefetch(&map->slots[link - 1], 1);
	}
}

/* The link that names the slot of `address`, or the end of the chain. */
static uint32_t *find_link(struct wb_block_map *map, uint64_t address)
{
	uint32_t *link = bucket_of(map, address);

	while (*link) {
		uint64_t word = atomic_load_explicit(&map->slots[*link - 1].word,
						     memory_order_relaxed);

		if ((word & WB_ADDRESS_MAX) == address)
			break;
		link = &map->slots[*link - 1].chain;
	}
	return link;
}

void wb_block_map_lookup_locked(struct wb_block_map *map, uint64_t address,
				struct wb_mapping *mapping)
{
	uint32_t link;

	wb_lock_assert_held(&wb_block_map_stripe(map, address)->lock);
	link = *find_link(map, address);
	if (link)
		mapping_of(link - 1, atomic_load_explicit(&map->slots[link - 1].word,
							  memory_order_relaxed), mapping);
	else
		*mapping = (struct wb_mapping){ .address = address, .slot = WB_NO_SLOT };
}

static void add_locked(_Atomic uint64_t *count, int64_t n)
{
	uint64_t old = atomic_load_explicit(count, memory_order_relaxed);

	atomic_store_explicit(count, old + (uint64_t)n, memory_order_relaxed);
}

/* What the index says of a block that was, or is now, dirty in some slot. */
static void index_state(struct wb_block_map *map, uint64_t address, bool was_dirty,
			bool is_dirty)
{
	if (!map->index || was_dirty == is_dirty)
		return;
	if (is_dirty)
		wb_dirty_index_set(map->index, address);
	else
		wb_dirty_index_clear(map->index, address);
}

/* Counts follow the states here and nowhere else. Under the lock of `stripe`. */
static void count_state(struct wb_block_map *map, struct wb_stripe *stripe, uint32_t slot,
			enum wb_slot_state from, enum wb_slot_state to)
{
	struct wb_segment *segment = wb_segment_of_slot(map->segments, slot);

	if (!wb_slot_state_is_dirty(from) && wb_slot_state_is_dirty(to)) {
		wb_segment_add_dirty(map->segments, segment, 1);
		add_locked(&stripe->dirty_count, 1);
	}
	if (wb_slot_state_is_dirty(from) && !wb_slot_state_is_dirty(to)) {
		add_locked(&stripe->dirty_count, -1);
		wb_segment_sub_dirty(map->segments, segment);
	}
	if (from != to && to == WB_SLOT_BAD)
		atomic_fetch_add(&map->bad_count, 1);
	if (from != to && from == WB_SLOT_BAD)
		atomic_fetch_sub(&map->bad_count, 1);
	if (from == WB_SLOT_FREE && to != WB_SLOT_FREE)
		add_locked(&stripe->cached_count, 1);
	if (from != WB_SLOT_FREE && to == WB_SLOT_FREE)
		add_locked(&stripe->cached_count, -1);
}

static enum wb_slot_state state_of(struct wb_block_map *map, uint32_t slot)
{
	return (enum wb_slot_state)(atomic_load_explicit(&map->slots[slot].word,
							 memory_order_relaxed) >> 56);
}

/* `sequence`: of what supersedes it, at most. The index is the caller's. */
static void unlink_slot(struct wb_block_map *map, struct wb_stripe *stripe, uint32_t *link,
			uint64_t sequence)
{
	uint32_t slot = *link - 1;
	struct wb_segment *segment = wb_segment_of_slot(map->segments, slot);
	enum wb_slot_state state = state_of(map, slot);

	if (wb_slot_state_is_dirty(state))
		wb_segment_is_superseded(map->segments, segment, sequence);
	*link = map->slots[slot].chain;
	map->slots[slot].chain = 0;
	atomic_store(&map->slots[slot].word, 0);
	count_state(map, stripe, slot, state, WB_SLOT_FREE);
}

uint32_t wb_block_map_put_locked(struct wb_block_map *map, uint64_t address, uint32_t slot,
				 uint8_t mask, enum wb_slot_state state)
{
	struct wb_stripe *stripe = wb_block_map_stripe(map, address);
	uint32_t replaced = WB_NO_SLOT;
	bool was_dirty = false;
	uint32_t *link;

	wb_lock_assert_held(&stripe->lock);
	g_assert(slot < map->geometry.slot_count && mask && state != WB_SLOT_FREE);
	g_assert(map->slots[slot].word >> 56 == WB_SLOT_FREE);
	/* The new version is counted before the old one is counted out: the
	 * sum over the ring never shows "nothing dirty" in between. */
	count_state(map, stripe, slot, WB_SLOT_FREE, state);
	link = find_link(map, address);
	if (*link) {
		was_dirty = wb_slot_state_is_dirty(state_of(map, *link - 1));
		replaced = *link - 1;
		unlink_slot(map, stripe, link,
			    wb_segment_of_slot(map->segments, slot)->last_sequence);
	}
	link = bucket_of(map, address);
	map->slots[slot].chain = *link;
	*link = slot + 1;
	atomic_store(&map->slots[slot].word, word_of(address, mask, state));
	/* One that stays dirty stays in the index: mostly there is nothing to do. */
	index_state(map, address, was_dirty, wb_slot_state_is_dirty(state));
	return replaced;
}

/* --- loading ------------------------------------------------------------------ */

/* So many misses of the processor's cache are waited for at once. */
#define LOAD_GROUP 32u

static void fetch(struct wb_block_map *map, const struct wb_map_version *versions, size_t count)
{
	for (size_t i = 0; i < count; i++)
		__builtin_prefetch(bucket_of(map, versions[i].address), 1);
	for (size_t i = 0; i < count; i++) {
		uint32_t first = *bucket_of(map, versions[i].address);

		if (first)
			__builtin_prefetch(&map->slots[first - 1]);
		__builtin_prefetch(&map->slots[versions[i].slot], 1);
	}
}

static bool load_one(struct wb_block_map *map, const struct wb_map_version *version)
{
	struct slot_entry *slot = &map->slots[version->slot];
	struct wb_stripe *stripe;
	uint32_t *bucket;

	g_assert(slot->word >> 56 == WB_SLOT_FREE && version->state != WB_SLOT_FREE);
	if (*find_link(map, version->address))
		return false;
	bucket = bucket_of(map, version->address);
	slot->chain = *bucket;
	slot->crc = version->crc;
	*bucket = version->slot + 1;
	stripe = wb_block_map_stripe(map, version->address);
	add_locked(&stripe->cached_count, 1);
	add_locked(&stripe->dirty_count,
		   wb_slot_state_is_dirty((enum wb_slot_state)version->state));
	atomic_store_explicit(&slot->word, word_of(version->address, version->mask,
						   (enum wb_slot_state)version->state),
			      memory_order_relaxed);
	index_state(map, version->address, false,
		    wb_slot_state_is_dirty((enum wb_slot_state)version->state));
	return true;
}

bool wb_block_map_load(struct wb_block_map *map, uint64_t place,
		       const struct wb_map_version *versions, size_t count)
{
	uint32_t dirty = 0;

	for (size_t i = 0; i < count; i++) {
		if (i % LOAD_GROUP == 0)
			fetch(map, versions + i, MIN(LOAD_GROUP, count - i));
		if (!load_one(map, &versions[i]))
			return false;
		dirty += wb_slot_state_is_dirty((enum wb_slot_state)versions[i].state);
	}
	wb_segment_add_dirty(map->segments, wb_segment_at(map->segments, place), dirty);
	return true;
}

/* --- changes ------------------------------------------------------------------- */

bool wb_block_map_remove_locked(struct wb_block_map *map, uint64_t address)
{
	struct wb_stripe *stripe = wb_block_map_stripe(map, address);
	uint32_t *link;

	wb_lock_assert_held(&stripe->lock);
	link = find_link(map, address);
	if (!*link)
		return false;
	index_state(map, address, wb_slot_state_is_dirty(state_of(map, *link - 1)), false);
	unlink_slot(map, stripe, link, UINT64_MAX);
	return true;
}

bool wb_block_map_set_state_locked(struct wb_block_map *map, uint64_t address,
				   uint32_t slot, enum wb_slot_state state)
{
	struct wb_mapping now;

	wb_block_map_lookup_locked(map, address, &now);
	if (WB_MUTANT(clean_without_comparing) && now.slot != WB_NO_SLOT)
		slot = now.slot;
	if (now.slot != slot)
		return false;
	atomic_store(&map->slots[slot].word, word_of(address, now.mask, state));
	count_state(map, wb_block_map_stripe(map, address), slot, now.state, state);
	index_state(map, address, wb_slot_state_is_dirty(now.state),
		    wb_slot_state_is_dirty(state));
	return true;
}

bool wb_block_map_found_bad_locked(struct wb_block_map *map, uint64_t address, uint32_t slot)
{
	struct wb_mapping now;

	wb_block_map_lookup_locked(map, address, &now);
	if (now.slot != slot || !wb_slot_state_is_dirty(now.state))
		return false;
	if (now.state != WB_SLOT_BAD) {
		/* First, so that writeback never takes it for one that it knows. */
		atomic_fetch_add(&map->found_bad_count, 1);
		wb_block_map_set_state_locked(map, address, slot, WB_SLOT_BAD);
	}
	return true;
}

uint64_t wb_block_map_found_bad_count(struct wb_block_map *map)
{
	return atomic_load(&map->found_bad_count);
}

void wb_block_map_peek(struct wb_block_map *map, uint32_t slot, struct wb_mapping *mapping)
{
	mapping_of(slot, atomic_load(&map->slots[slot].word), mapping);
}

uint64_t wb_block_map_next_dirty(struct wb_block_map *map, uint64_t from)
{
	return wb_dirty_index_next(map->index, from);
}

size_t wb_block_map_pin_dirty(struct wb_block_map *map, uint64_t first, uint64_t end,
			      struct wb_mapping *found, size_t room)
{
	struct wb_stripe *stripe = wb_block_map_stripe(map, first);
	size_t count = 0;

	wb_lock_acquire(&stripe->lock);
	for (uint64_t at = wb_dirty_index_next(map->index, first); at < end && count < room;
	     at = wb_dirty_index_next(map->index, at + 1)) {
		wb_block_map_lookup_locked(map, at, &found[count]);
		wb_segment_pin(wb_segment_of_slot(map->segments, found[count].slot));
		count++;
	}
	wb_lock_release(&stripe->lock);
	return count;
}

static bool is_busy_locked(const struct wb_stripe *stripe, uint64_t first, uint64_t end)
{
	for (const struct wb_busy *busy = stripe->busy; busy; busy = busy->next)
		if (busy->first < end && busy->last >= first)
			return true;
	return false;
}

bool wb_block_map_are_clean(struct wb_block_map *map, uint64_t first, uint64_t end,
			    uint32_t *slots, bool *is_busy)
{
	struct wb_stripe *stripe = wb_block_map_stripe(map, first);
	bool are_clean = true;

	wb_lock_acquire(&stripe->lock);
	for (uint64_t at = first; at < end && are_clean; at++) {
		struct wb_mapping now;

		wb_block_map_lookup_locked(map, at, &now);
		are_clean = now.slot != WB_NO_SLOT && now.mask == 0xff &&
			    (now.state == WB_SLOT_CLEAN || WB_MUTANT(gap_takes_dirty));
		if (slots)
			slots[at - first] = now.slot;
	}
	for (uint64_t at = first; slots && are_clean && at < end; at++)
		wb_segment_pin(wb_segment_of_slot(map->segments, slots[at - first]));
	if (is_busy)
		*is_busy = is_busy_locked(stripe, first, end);
	wb_lock_release(&stripe->lock);
	return are_clean;
}

void wb_block_map_set_crc(struct wb_block_map *map, uint32_t slot, uint32_t crc)
{
	atomic_store_explicit(&map->slots[slot].crc, crc, memory_order_relaxed);
}

uint32_t wb_block_map_crc(struct wb_block_map *map, uint32_t slot)
{
	return atomic_load_explicit(&map->slots[slot].crc, memory_order_relaxed);
}

static void remove_one(struct wb_block_map *map, uint64_t address)
{
	struct wb_stripe *stripe = wb_block_map_stripe(map, address);

	wb_lock_acquire(&stripe->lock);
	wb_block_map_remove_locked(map, address);
	wb_lock_release(&stripe->lock);
}

static void remove_chunk_part(struct wb_block_map *map, uint64_t first, uint64_t end)
{
	struct wb_stripe *stripe = wb_block_map_stripe(map, first);

	wb_lock_acquire(&stripe->lock);
	for (uint64_t address = first; address < end; address++)
		wb_block_map_remove_locked(map, address);
	wb_lock_release(&stripe->lock);
}

void wb_block_map_remove_range(struct wb_block_map *map, uint64_t first, uint64_t count)
{
	uint64_t end = first + count;

	/* Whichever is shorter: asking for every block of the range, or going
	 * through the slots (a discard of a whole large image). */
	if (count <= map->geometry.slot_count) {
		while (first < end) {
			uint64_t stop = (first / WB_CHUNK_BLOCKS + 1) * WB_CHUNK_BLOCKS;

			stop = MIN(stop, end);
			remove_chunk_part(map, first, stop);
			first = stop;
		}
		return;
	}
	for (uint32_t slot = 0; slot < map->geometry.slot_count; slot++) {
		struct wb_mapping mapping;

		wb_block_map_peek(map, slot, &mapping);
		/* The range is held exclusively: no version enters it now, so
		 * the address is the only thing that can be out of date, and
		 * then it is gone already. */
		if (mapping.state != WB_SLOT_FREE && mapping.address >= first &&
		    mapping.address < end)
			remove_one(map, mapping.address);
	}
}

void wb_block_map_touch_range(struct wb_block_map *map, uint64_t first, uint64_t count)
{
	uint64_t chunk = first / WB_CHUNK_BLOCKS;
	uint64_t chunks = (first + count - 1) / WB_CHUNK_BLOCKS - chunk + 1;

	for (uint64_t i = 0; i < MIN(chunks, WB_STRIPE_COUNT); i++) {
		struct wb_stripe *stripe = chunks >= WB_STRIPE_COUNT ? &map->stripes[i] :
			wb_block_map_stripe(map, (chunk + i) * WB_CHUNK_BLOCKS);

		wb_lock_acquire(&stripe->lock);
		stripe->change_count++;
		wb_lock_release(&stripe->lock);
	}
}

uint64_t wb_block_map_cached_count(struct wb_block_map *map)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < WB_STRIPE_COUNT; i++)
		sum += atomic_load(&map->stripes[i].cached_count);
	return MIN(sum, map->geometry.slot_count);
}

uint64_t wb_block_map_dirty_count(struct wb_block_map *map)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < WB_STRIPE_COUNT; i++)
		sum += atomic_load(&map->stripes[i].dirty_count);
	return MIN(sum, map->geometry.slot_count);
}

uint64_t wb_block_map_bad_count(struct wb_block_map *map)
{
	return atomic_load(&map->bad_count);
}
