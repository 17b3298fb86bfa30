/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/exclusion.h"

#include <stdatomic.h>

#include "base/mutant.h"
#include "cache/limits.h"

struct wb_exclusion {
	/* constant after new */
	struct wb_block_map *map;

	struct wb_lock lock;		/* rank EXTENTS: below the stripes */
	struct wb_busy *ranges;		/* under lock: discards under way */
	_Atomic uint32_t range_count;	/* written under lock */
	struct wb_park_list parked;	/* pieces and ranges that met a range */
};

struct wb_exclusion *wb_exclusion_new(struct wb_block_map *map, struct wb_executor *executor)
{
	struct wb_exclusion *exclusion = g_new0(struct wb_exclusion, 1);

	exclusion->map = map;
	wb_lock_init(&exclusion->lock, WB_RANK_EXTENTS);
	wb_park_list_init(&exclusion->parked, executor);
	for (unsigned i = 0; i < WB_STRIPE_COUNT; i++)
		wb_park_list_init(&wb_block_map_stripe_at(map, i)->parked, executor);
	return exclusion;
}

void wb_exclusion_free(struct wb_exclusion *exclusion)
{
	if (!exclusion)
		return;
	for (unsigned i = 0; i < WB_STRIPE_COUNT; i++)
		wb_park_list_clear(&wb_block_map_stripe_at(exclusion->map, i)->parked);
	wb_park_list_clear(&exclusion->parked);
	wb_lock_clear(&exclusion->lock);
	g_free(exclusion);
}

static bool overlaps(const struct wb_busy *list, const struct wb_busy *busy)
{
	for (; list; list = list->next) {
		if (list != busy && list->first <= busy->last && busy->first <= list->last)
			return true;
	}
	return false;
}

static void unlink_busy(struct wb_busy **list, struct wb_busy *busy)
{
	while (*list != busy) {
		g_assert(*list);
		list = &(*list)->next;
	}
	*list = busy->next;
}

static bool meets_range(struct wb_exclusion *exclusion, const struct wb_busy *busy)
{
	bool meets;

	if (atomic_load(&exclusion->range_count) == 0)
		return false;
	wb_lock_acquire(&exclusion->lock);
	meets = overlaps(exclusion->ranges, busy);
	wb_lock_release(&exclusion->lock);
	return meets;
}

enum wb_enter wb_exclusion_enter(struct wb_exclusion *exclusion, struct wb_busy *busy,
				 struct wb_parked *parked)
{
	struct wb_stripe *stripe = wb_block_map_stripe(exclusion->map, busy->first);

	for (;;) {
		uint64_t generation = wb_park_generation(&exclusion->parked);
		uint64_t stripe_generation = wb_park_generation(&stripe->parked);

		wb_lock_acquire(&stripe->lock);
		/* Asked under the stripe lock and before marking: a range puts
		 * itself in its list before it looks at the stripes, so one of
		 * the two sees the other. */
		if (meets_range(exclusion, busy)) {
			wb_lock_release(&stripe->lock);
			if (!parked || wb_park(&exclusion->parked, parked, generation))
				return WB_ENTER_PARKED;
		} else if (overlaps(stripe->busy, busy) && !WB_MUTANT(no_block_exclusion)) {
			wb_lock_release(&stripe->lock);
			if (!parked || wb_park(&stripe->parked, parked, stripe_generation))
				return WB_ENTER_PARKED;
		} else {
			busy->next = stripe->busy;
			stripe->busy = busy;
			return WB_ENTERED;
		}
	}
}

void wb_exclusion_leave_locked(struct wb_exclusion *exclusion, struct wb_busy *busy)
{
	struct wb_stripe *stripe = wb_block_map_stripe(exclusion->map, busy->first);

	wb_lock_assert_held(&stripe->lock);
	unlink_busy(&stripe->busy, busy);
	/* Unconditional, as the generation must move: somebody may be between
	 * meeting this mark and parking. */
	wb_park_wake_all(&stripe->parked);
}

void wb_exclusion_leave(struct wb_exclusion *exclusion, struct wb_busy *busy)
{
	struct wb_stripe *stripe = wb_block_map_stripe(exclusion->map, busy->first);

	wb_lock_acquire(&stripe->lock);
	wb_exclusion_leave_locked(exclusion, busy);
	wb_lock_release(&stripe->lock);
}

/* The park list of the first stripe with a piece in the range, with its
 * generation from before the look; NULL when there is none. */
static struct wb_park_list *find_piece(struct wb_exclusion *exclusion,
				       const struct wb_busy *busy, uint64_t *generation)
{
	uint64_t chunk = busy->first / WB_CHUNK_BLOCKS;
	uint64_t chunks = busy->last / WB_CHUNK_BLOCKS - chunk + 1;

	for (uint64_t i = 0; i < MIN(chunks, WB_STRIPE_COUNT); i++) {
		struct wb_stripe *stripe = chunks >= WB_STRIPE_COUNT ?
			wb_block_map_stripe_at(exclusion->map, (unsigned)i) :
			wb_block_map_stripe(exclusion->map, (chunk + i) * WB_CHUNK_BLOCKS);
		bool meets;

		*generation = wb_park_generation(&stripe->parked);
		wb_lock_acquire(&stripe->lock);
		meets = overlaps(stripe->busy, busy);
		wb_lock_release(&stripe->lock);
		if (meets)
			return &stripe->parked;
	}
	return NULL;
}

enum wb_enter wb_exclusion_enter_range(struct wb_exclusion *exclusion,
				       struct wb_busy *busy, struct wb_parked *parked)
{
	for (;;) {
		uint64_t generation = wb_park_generation(&exclusion->parked);
		struct wb_park_list *list = &exclusion->parked;

		wb_lock_acquire(&exclusion->lock);
		if (!overlaps(exclusion->ranges, busy)) {
			busy->next = exclusion->ranges;
			exclusion->ranges = busy;
			exclusion->range_count++;
			list = NULL;
		}
		wb_lock_release(&exclusion->lock);
		if (!list) {
			list = find_piece(exclusion, busy, &generation);
			if (!list)
				return WB_ENTERED;
			/* Parked means holding nothing: the mark goes too. */
			wb_exclusion_leave_range(exclusion, busy);
		}
		if (!parked || wb_park(list, parked, generation))
			return WB_ENTER_PARKED;
	}
}

void wb_exclusion_leave_range(struct wb_exclusion *exclusion, struct wb_busy *busy)
{
	wb_lock_acquire(&exclusion->lock);
	unlink_busy(&exclusion->ranges, busy);
	exclusion->range_count--;
	wb_lock_release(&exclusion->lock);
	wb_park_wake_all(&exclusion->parked);
}
