/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/tail.h"

void wb_tail_init(struct wb_tail *tail, struct wb_tail_position start)
{
	wb_lock_init(&tail->lock, WB_RANK_POOL);
	tail->current = start;
	tail->durable = start;
}

void wb_tail_clear(struct wb_tail *tail)
{
	wb_lock_clear(&tail->lock);
}

void wb_tail_advance(struct wb_tail *tail, struct wb_tail_position to)
{
	wb_lock_acquire(&tail->lock);
	g_assert(to.sequence >= tail->current.sequence && to.segment >= tail->current.segment);
	tail->current = to;
	wb_lock_release(&tail->lock);
}

void wb_tail_is_durable(struct wb_tail *tail, struct wb_tail_position position)
{
	wb_lock_acquire(&tail->lock);
	g_assert(position.sequence <= tail->current.sequence);
	if (position.sequence > tail->durable.sequence ||
	    (position.sequence == tail->durable.sequence &&
	     position.segment > tail->durable.segment))
		tail->durable = position;
	wb_lock_release(&tail->lock);
}

struct wb_tail_position wb_tail_current(struct wb_tail *tail)
{
	struct wb_tail_position position;

	wb_lock_acquire(&tail->lock);
	position = tail->current;
	wb_lock_release(&tail->lock);
	return position;
}

struct wb_tail_position wb_tail_durable(struct wb_tail *tail)
{
	struct wb_tail_position position;

	wb_lock_acquire(&tail->lock);
	position = tail->durable;
	wb_lock_release(&tail->lock);
	return position;
}
