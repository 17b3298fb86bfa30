/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/read_shadow.h"

#include <glib.h>
#include <stdatomic.h>

#include "cache/limits.h"

#define NOTHING UINT32_MAX
#define SEGMENT 16u

struct wb_shadow {
	uint32_t slot_count;		/* a multiple of SEGMENT */
	uint32_t head;			/* the next slot to be used */
	bool has_wrapped;
	uint32_t *keys;			/* of each slot; NOTHING: free, or written again */
	uint32_t *chains, *buckets;	/* slot, or NOTHING */
	uint32_t bucket_mask;
	_Atomic uint8_t *marks;
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

/* --- who stays ------------------------------------------------------------------------ */

/* In the order in which they go. */
enum rank { RANK_WRITTEN, RANK_NEW, RANK_MOVED, RANK_USED, RANKS = RANK_USED + WB_READ_MARK_MAX };

static unsigned rank_of(_Atomic uint8_t *mark_of_slot)
{
	unsigned mark = atomic_load_explicit(mark_of_slot, memory_order_relaxed);
	unsigned uses = mark & WB_READ_MARK_MAX;

	if (uses > 0)
		return RANK_USED + uses - 1;
	if (mark & WB_READ_MARK_MOVED)
		return RANK_MOVED;
	return mark & WB_READ_MARK_READ ? RANK_NEW : RANK_WRITTEN;
}

/* `places`: how many of each rank there are; and then, how many of them stay. */
static void share_out(enum wb_read_plan plan, uint32_t count, uint32_t *places)
{
	uint32_t room = count * WB_SECOND_CHANCE_RUN / (WB_SECOND_CHANCE_RUN + 1);
	uint32_t dead = count - 1, most[RANKS];	/* one is a header */

	for (unsigned rank = 0; rank < RANKS; rank++)
		dead -= MIN(places[rank], dead);
	for (unsigned rank = RANKS; rank-- > 0;) {
		most[rank] = room;
		if (rank == RANK_MOVED)
			most[rank] = plan == WB_PLAN_KEEP ? count / 2 : 0;
		else if (rank == RANK_NEW)
			most[rank] = plan == WB_PLAN_KEEP ? count / 2 - places[RANK_MOVED] :
				     dead * WB_SECOND_CHANCE_RUN;
		else if (rank == RANK_WRITTEN)
			most[rank] = 0;
		places[rank] = MIN(places[rank], MIN(most[rank], room));
		room -= places[rank];
	}
}

uint32_t wb_plan_choose(enum wb_read_plan plan, _Atomic uint8_t *marks, bool *live,
			uint32_t count)
{
	uint32_t places[RANKS] = { 0 }, stay = 0;

	for (uint32_t i = 0; i < count; i++)
		if (live[i])
			places[rank_of(&marks[i])]++;
	share_out(plan, count, places);
	/* A mark that is raised meanwhile takes the place of another. */
	for (uint32_t i = 0; i < count; i++) {
		uint32_t *left = &places[rank_of(&marks[i])];

		live[i] = live[i] && *left > 0;
		*left -= live[i];
		stay += live[i];
	}
	return stay;
}

/* --- the ring in miniature ----------------------------------------------------------- */

struct wb_shadow *wb_shadow_new(uint32_t slots)
{
	struct wb_shadow *shadow = g_new0(struct wb_shadow, 1);
	uint32_t buckets = 16;

	slots = MAX(slots / SEGMENT, 2) * SEGMENT;
	while (buckets < slots)
		buckets *= 2;
	shadow->slot_count = slots;
	shadow->bucket_mask = buckets - 1;
	shadow->keys = g_new(uint32_t, slots);
	shadow->chains = g_new(uint32_t, slots);
	shadow->buckets = g_new(uint32_t, buckets);
	shadow->marks = g_new0(_Atomic uint8_t, slots);
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

static void append(struct wb_shadow *shadow, uint32_t key, uint8_t mark, enum wb_read_plan plan);

static uint64_t ghost_hash(uint32_t key)
{
	return (uint64_t)key << 16 | (key * 0x9e3779b1u >> 16);
}

/* The segment at the head is to be used again. */
static void empty_segment(struct wb_shadow *shadow, enum wb_read_plan plan)
{
	uint32_t keys[SEGMENT], first = shadow->head, count = 0;
	uint8_t marks[SEGMENT];
	bool live[SEGMENT];

	for (uint32_t i = 0; i < SEGMENT; i++)
		live[i] = shadow->keys[first + i] != NOTHING;
	wb_plan_choose(plan, &shadow->marks[first], live, SEGMENT);
	for (uint32_t i = 0; i < SEGMENT; i++) {
		uint32_t key = shadow->keys[first + i];

		if (key == NOTHING)
			continue;
		forget(shadow, find_link(shadow, key));
		if (live[i]) {
			marks[count] = wb_plan_next_mark(plan, shadow->marks[first + i]);
			keys[count++] = key;
		} else {
			wb_ghost_put(&shadow->ghost, ghost_hash(key));
		}
	}
	/* Not a whole segment, so that it does not come here again. */
	for (uint32_t i = 0; i < count; i++)
		append(shadow, keys[i], marks[i], plan);
}

static void append(struct wb_shadow *shadow, uint32_t key, uint8_t mark, enum wb_read_plan plan)
{
	uint32_t slot = shadow->head;
	uint32_t *bucket = &shadow->buckets[key & shadow->bucket_mask];

	shadow->keys[slot] = key;
	shadow->marks[slot] = mark;
	shadow->chains[slot] = *bucket;
	*bucket = slot;
	shadow->head = slot + 1 == shadow->slot_count ? 0 : slot + 1;
	shadow->has_wrapped |= shadow->head == 0;
	if (shadow->head % SEGMENT == 0)
		empty_segment(shadow, plan);
}

bool wb_shadow_read(struct wb_shadow *shadow, uint64_t hash, enum wb_read_plan plan)
{
	uint32_t key = key_of(hash), slot = *find_link(shadow, key);
	bool was_missed;

	if (slot != NOTHING) {
		if ((shadow->marks[slot] & WB_READ_MARK_MAX) < WB_READ_MARK_MAX)
			shadow->marks[slot]++;
		return true;
	}
	was_missed = wb_ghost_take(&shadow->ghost, ghost_hash(key));
	if (shadow->has_wrapped && !was_missed && plan == WB_PLAN_SECOND)
		wb_ghost_put(&shadow->ghost, ghost_hash(key));
	else
		append(shadow, key, wb_plan_fill_mark(plan, was_missed), plan);
	return false;
}

void wb_shadow_write(struct wb_shadow *shadow, uint64_t hash, enum wb_read_plan plan)
{
	uint32_t key = key_of(hash), *link = find_link(shadow, key);
	uint8_t mark = 0;

	if (*link != NOTHING) {
		mark = wb_plan_written_mark(shadow->marks[*link]);
		forget(shadow, link);
	}
	append(shadow, key, mark, plan);
}
