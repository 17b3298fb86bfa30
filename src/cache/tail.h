/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tail: the oldest segment that may hold dirty data. Two of them: `current`,
 * which goes into record headers and superblocks, and `durable`, the newest of
 * those that certainly is on the SSD. A place may be used again only when its
 * old segment lies before the durable one: until then recovery could still ask
 * for it. Both only grow. Any thread.
 */
#ifndef WB_CACHE_TAIL_H
#define WB_CACHE_TAIL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/lock.h"

struct wb_tail_position {
	uint64_t segment;
	uint64_t sequence;	/* first of that segment, or the next of all */
};

struct wb_tail {
	struct wb_lock lock;
	/* under lock */
	struct wb_tail_position current, durable;
};

void wb_tail_init(struct wb_tail *tail, struct wb_tail_position start);
void wb_tail_clear(struct wb_tail *tail);
void wb_tail_advance(struct wb_tail *tail, struct wb_tail_position to);
/* `position` was read from wb_tail_current() earlier and is on the SSD now. */
void wb_tail_is_durable(struct wb_tail *tail, struct wb_tail_position position);
struct wb_tail_position wb_tail_current(struct wb_tail *tail);
struct wb_tail_position wb_tail_durable(struct wb_tail *tail);

#endif
