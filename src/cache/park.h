/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Parking: a request that cannot go on waits in a list, holding nothing, and
 * the event that may free it wakes the whole list; each woken request looks
 * everything up again. A wake between the failed attempt and the parking is
 * not lost: the attempt begins with wb_park_generation(), and parking fails
 * when there has been a wake since.
 */
#ifndef WB_CACHE_PARK_H
#define WB_CACHE_PARK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/lock.h"
#include "base/worker.h"

struct wb_parked {
	struct wb_parked *next;
	struct wb_task *task;		/* posted when woken */
};

struct wb_park_list {
	struct wb_lock lock;
	struct wb_executor *executor;
	/* under lock */
	struct wb_parked *first, **last;
	/* atomic; pair with each other (park.c) */
	_Atomic uint64_t generation;
	_Atomic uint32_t count;
};

void wb_park_list_init(struct wb_park_list *list, struct wb_executor *executor);
void wb_park_list_clear(struct wb_park_list *list);

uint64_t wb_park_generation(struct wb_park_list *list);
/* FALSE: something was freed since `generation`; try again instead. */
bool wb_park(struct wb_park_list *list, struct wb_parked *parked, uint64_t generation);
/* Any thread, with or without locks of smaller rank. */
void wb_park_wake_all(struct wb_park_list *list);
uint32_t wb_park_count(struct wb_park_list *list);

#endif
