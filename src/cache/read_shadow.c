/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/read_shadow.h"

#include <glib.h>
#include <stdatomic.h>

#include "cache/limits.h"

#define NOTHING UINT32_MAX

struct wb_shadow {
	uint32_t slot_count;
	uint32_t head;			/* the next slot to be used */
	bool has_wrapped;
	uint32_t coin;
	uint32_t *keys;			/* of each slot; NOTHING: free, or written again */
	uint32_t *chains, *buckets;	/* slot, or NOTHING */
	uint32_t bucket_mask;
	uint8_t *marks;
	struct wb_ghost ghost;
};

/* --- ghosts ------------------------------------------------------------------------ */

static _Atomic uint64_t *bucket_of(struct wb_ghost *ghost, uint64_t hash)
{
	return &ghost->buckets[(uint64_t)(uint32_t)hash * ghost->count >> 32];
}

static uint8_t fingerprint(uint64_t hash)
{
	return (uint8_t)(1 + (hash >> 40) % 255);
}

bool wb_ghost_take(struct wb_ghost *ghost, uint64_t hash)
{
	_Atomic uint64_t *bucket = bucket_of(ghost, hash);
	uint64_t word = atomic_load_explicit(bucket, memory_order_relaxed);

	for (unsigned i = 0; i < 64; i += 8) {
		uint64_t below = (UINT64_C(1) << i) - 1;

		if ((uint8_t)(word >> i) != fingerprint(hash))
			continue;
		/* The older ones close up. */
		word = (word & below) | (i < 56 ? word >> (i + 8) << i : 0);
		atomic_store_explicit(bucket, word, memory_order_relaxed);
		return true;
	}
	return false;
}

void wb_ghost_put(struct wb_ghost *ghost, uint64_t hash)
{
	_Atomic uint64_t *bucket = bucket_of(ghost, hash);
	uint64_t word = atomic_load_explicit(bucket, memory_order_relaxed);

	atomic_store_explicit(bucket, word << 8 | fingerprint(hash), memory_order_relaxed);
}

/* --- the ring in miniature ----------------------------------------------------------- */

struct wb_shadow *wb_shadow_new(uint32_t slots)
{
	struct wb_shadow *shadow = g_new0(struct wb_shadow, 1);
	uint32_t buckets = 16;

	slots = MAX(slots, 16);
	while (buckets < slots)
		buckets *= 2;
	shadow->slot_count = slots;
	shadow->bucket_mask = buckets - 1;
	shadow->keys = g_new(uint32_t, slots);
	shadow->chains = g_new(uint32_t, slots);
	shadow->buckets = g_new(uint32_t, buckets);
	shadow->marks = g_new0(uint8_t, slots);
	for (uint32_t i = 0; i < slots; i++)
		shadow->keys[i] = NOTHING;
	for (uint32_t i = 0; i < buckets; i++)
		shadow->buckets[i] = NOTHING;
	shadow->ghost.count = MAX(slots / WB_GHOST_PART, 1);
	shadow->ghost.buckets = g_new0(_Atomic uint64_t, shadow->ghost.count);
	return shadow;
}

void wb_shadow_free(struct wb_shadow *shadow)
{
	if (!shadow)
		return;
	g_free(shadow->ghost.buckets);
	g_free(shadow->marks);
	g_free(shadow->buckets);
	g_free(shadow->chains);
	g_free(shadow->keys);
	g_free(shadow);
}

static uint32_t key_of(uint64_t hash)
{
	uint32_t key = (uint32_t)(hash >> 16);

	return key == NOTHING ? 0 : key;
}

static uint32_t *find_link(struct wb_shadow *shadow, uint32_t key)
{
	uint32_t *link = &shadow->buckets[key & shadow->bucket_mask];

	while (*link != NOTHING && shadow->keys[*link] != key)
		link = &shadow->chains[*link];
	return link;
}

static void forget(struct wb_shadow *shadow, uint32_t *link)
{
	uint32_t slot = *link;

	*link = shadow->chains[slot];
	shadow->keys[slot] = NOTHING;
}

static void set(struct wb_shadow *shadow, uint32_t key, uint8_t mark)
{
	uint32_t slot = shadow->head;
	uint32_t *bucket = &shadow->buckets[key & shadow->bucket_mask];

	shadow->keys[slot] = key;
	shadow->marks[slot] = mark;
	shadow->chains[slot] = *bucket;
	*bucket = slot;
	shadow->head = slot + 1 == shadow->slot_count ? 0 : slot + 1;
	shadow->has_wrapped |= shadow->head == 0;
}

/* Empties the next slot; what was read again is appended, up to the share that the log
 * gives to that. */
static void make_room(struct wb_shadow *shadow, enum wb_read_plan plan)
{
	for (unsigned moved = 0;; moved++) {
		uint32_t key = shadow->keys[shadow->head];
		uint8_t mark = shadow->marks[shadow->head];

		if (key == NOTHING)
			return;
		forget(shadow, find_link(shadow, key));
		if (mark == 0 || plan == WB_PLAN_FIFO || moved == WB_SECOND_CHANCE_RUN) {
			wb_ghost_put(&shadow->ghost, (uint64_t)key << 16 | (key * 0x9e3779b1u >> 16));
			return;
		}
		set(shadow, key, wb_plan_next_mark(plan, mark));
	}
}

bool wb_shadow_read(struct wb_shadow *shadow, uint64_t hash, enum wb_read_plan plan)
{
	uint32_t key = key_of(hash), slot = *find_link(shadow, key);
	uint64_t ghost_hash = (uint64_t)key << 16 | (key * 0x9e3779b1u >> 16);
	bool was_missed;

	if (slot != NOTHING) {
		if (shadow->marks[slot] < WB_READ_MARK_MAX)
			shadow->marks[slot]++;
		return true;
	}
	was_missed = wb_ghost_take(&shadow->ghost, ghost_hash);
	if (shadow->has_wrapped && !was_missed &&
	    (plan == WB_PLAN_SECOND ||
	     (plan == WB_PLAN_SOME && shadow->coin++ % WB_ADMIT_ONE_IN != 0))) {
		wb_ghost_put(&shadow->ghost, ghost_hash);
		return false;
	}
	make_room(shadow, plan);
	set(shadow, key, was_missed);
	return false;
}

void wb_shadow_write(struct wb_shadow *shadow, uint64_t hash, enum wb_read_plan plan)
{
	uint32_t key = key_of(hash), *link = find_link(shadow, key);

	if (*link != NOTHING)
		forget(shadow, link);
	make_room(shadow, plan);
	set(shadow, key, 0);
}
