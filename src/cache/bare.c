/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/bare.h"

#include <glib.h>

struct wb_bare {
	/* constant after new */
	struct wb_stats *stats;

	struct wb_lock lock;
	struct wb_busy *busy;		/* under lock */
	struct wb_park_list parked;	/* requests that met one */
};

struct wb_bare *wb_bare_new(struct wb_stats *stats, struct wb_executor *executor)
{
	struct wb_bare *bare = g_new0(struct wb_bare, 1);

	bare->stats = stats;
	wb_lock_init(&bare->lock, WB_RANK_EXTENTS);
	wb_park_list_init(&bare->parked, executor);
	return bare;
}

void wb_bare_free(struct wb_bare *bare)
{
	if (!bare)
		return;
	wb_park_list_clear(&bare->parked);
	wb_lock_clear(&bare->lock);
	g_free(bare);
}

static bool meets(const struct wb_busy *list, const struct wb_busy *busy)
{
	for (; list; list = list->next) {
		if (list->first <= busy->last && busy->first <= list->last)
			return true;
	}
	return false;
}

enum wb_enter wb_bare_enter(struct wb_bare *bare, struct wb_busy *busy,
			    struct wb_parked *parked)
{
	for (;;) {
		uint64_t generation = wb_park_generation(&bare->parked);
		bool is_free;

		wb_lock_acquire(&bare->lock);
		is_free = !meets(bare->busy, busy);
		if (is_free) {
			busy->next = bare->busy;
			bare->busy = busy;
		}
		wb_lock_release(&bare->lock);
		if (is_free)
			return WB_ENTERED;
		if (wb_park(&bare->parked, parked, generation)) {
			WB_STAT_ADD(bare->stats, WB_STAT_PARKED_REQUESTS, 1);
			return WB_ENTER_PARKED;
		}
	}
}

void wb_bare_leave(struct wb_bare *bare, struct wb_busy *busy)
{
	struct wb_busy **at = &bare->busy;

	wb_lock_acquire(&bare->lock);
	while (*at != busy) {
		g_assert(*at);
		at = &(*at)->next;
	}
	*at = busy->next;
	wb_lock_release(&bare->lock);
	wb_park_wake_all(&bare->parked);
}
