/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A shadow: a cache in miniature, without data, that is told of a fixed sample of all
 * blocks and has the same part of the slots (Waldspurger et al., "Cache Modeling and
 * Optimization using Miniature Simulations", 2017). Its hit ratio is about that of a
 * whole cache that behaves like it.
 *
 * It behaves as the log does: a ring of small segments in which a write takes a new slot,
 * and in which a block that was used again is appended once more when its slot comes up.
 * Pure; whoever calls it excludes others.
 */
#ifndef WB_CACHE_READ_SHADOW_H
#define WB_CACHE_READ_SHADOW_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* What is done with misses, and with blocks whose slot comes up. */
enum wb_read_plan {
	WB_PLAN_CLOCK,		/* all enter; one more round for what was read again */
	WB_PLAN_COUNT,		/* all enter; a round for each read, up to three */
	WB_PLAN_SECOND,		/* those that were missed, or fell out, not long ago */
	WB_PLAN_KEEP,		/* as COUNT, but half of what nobody read stays too, and
				 * goes on staying: of a loop that does not fit, a part
				 * is always there */
	WB_PLANS
};

/*
 * The mark of a slot: how often its block was used since it came there, and how it came.
 * 0: a write that nobody has read, nor the version before it; that is not worth another
 * write of it.
 */
#define WB_READ_MARK_MAX 3u	/* uses that are counted */
#define WB_READ_MARK_MOVED 4u	/* from a segment that was used again */
#define WB_READ_MARK_READ 8u	/* by a read, or in place of what was read */

/* The mark with which a block is appended once more. */
static inline uint8_t wb_plan_next_mark(enum wb_read_plan plan, unsigned mark)
{
	unsigned uses = mark & WB_READ_MARK_MAX;

	return (uint8_t)(WB_READ_MARK_READ | WB_READ_MARK_MOVED |
			 (plan == WB_PLAN_CLOCK || uses == 0 ? 0 : uses - 1));
}

/* That of a write in place of an older version: of what is read it is a use. */
static inline uint8_t wb_plan_written_mark(unsigned old_mark)
{
	unsigned uses = MIN((old_mark & WB_READ_MARK_MAX) + 1, WB_READ_MARK_MAX);

	return (uint8_t)(old_mark == 0 ? 0 : WB_READ_MARK_READ | uses);
}

/* That of what is read and was missed; `again`: not for the first time. */
static inline uint8_t wb_plan_fill_mark(enum wb_read_plan plan, bool again)
{
	return (uint8_t)(WB_READ_MARK_READ |
			 (again && (plan == WB_PLAN_CLOCK || plan == WB_PLAN_SECOND)));
}

/*
 * The slots of a segment are to be used again; `live[i]`: marks[i] is that of a block that
 * may stay. Those that do are left in `live`, the others get false; returns how many stay.
 *
 * Overwritten blocks leave dead slots, for which others would fall out too early: where
 * there are such slots, blocks that nobody has used yet stay for one more round.
 */
uint32_t wb_plan_choose(enum wb_read_plan plan, _Atomic uint8_t *marks, bool *live,
			uint32_t count);

/*
 * What was missed lately: buckets of eight fingerprints of a byte, first in, first
 * out. A bucket is one word, so that a race loses a fingerprint at worst.
 */
struct wb_ghost {
	_Atomic uint64_t *buckets;
	uint32_t count;
};
/* TRUE, and forgotten, when it was there. */
bool wb_ghost_take(struct wb_ghost *ghost, uint64_t hash);
void wb_ghost_put(struct wb_ghost *ghost, uint64_t hash);

struct wb_shadow;

struct wb_shadow *wb_shadow_new(uint32_t slots);
void wb_shadow_free(struct wb_shadow *shadow);
/* `hash`: of the address, all bits mixed. TRUE: a hit. */
bool wb_shadow_read(struct wb_shadow *shadow, uint64_t hash, enum wb_read_plan plan);
void wb_shadow_write(struct wb_shadow *shadow, uint64_t hash, enum wb_read_plan plan);

#endif
