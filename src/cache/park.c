/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/park.h"

#include <stdatomic.h>

void wb_park_list_init(struct wb_park_list *list, struct wb_executor *executor)
{
	wb_lock_init(&list->lock, WB_RANK_PARK);
	list->executor = executor;
	list->first = NULL;
	list->last = &list->first;
	list->generation = 0;
	list->count = 0;
}

void wb_park_list_clear(struct wb_park_list *list)
{
	wb_lock_clear(&list->lock);
}

uint64_t wb_park_generation(struct wb_park_list *list)
{
	return atomic_load(&list->generation);
}

bool wb_park(struct wb_park_list *list, struct wb_parked *parked, uint64_t generation)
{
	bool is_parked = false;

	wb_lock_acquire(&list->lock);
	/* The count first, then the generation; a wake does it the other way
	 * round. So either we see the wake or it sees us. */
	atomic_fetch_add(&list->count, 1);
	if (atomic_load(&list->generation) == generation) {
		parked->next = NULL;
		*list->last = parked;
		list->last = &parked->next;
		is_parked = true;
	} else {
		atomic_fetch_sub(&list->count, 1);
	}
	wb_lock_release(&list->lock);
	return is_parked;
}

void wb_park_wake_all(struct wb_park_list *list)
{
	struct wb_parked *parked, *next;

	atomic_fetch_add(&list->generation, 1);
	if (atomic_load(&list->count) == 0)
		return;
	wb_lock_acquire(&list->lock);
	parked = list->first;
	list->first = NULL;
	list->last = &list->first;
	for (next = parked; next; next = next->next)
		atomic_fetch_sub(&list->count, 1);
	wb_lock_release(&list->lock);
	for (; parked; parked = next) {
		next = parked->next;	/* posting gives it away */
		wb_executor_post(list->executor, parked->task);
	}
}

uint32_t wb_park_count(struct wb_park_list *list)
{
	return atomic_load(&list->count);
}
