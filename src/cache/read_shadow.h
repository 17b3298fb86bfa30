/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A shadow: a cache in miniature, without data, that is told of a fixed sample of all
 * blocks and has the same part of the slots (Waldspurger et al., "Cache Modeling and
 * Optimization using Miniature Simulations", 2017). Its hit ratio is about that of a
 * whole cache that behaves like it.
 *
 * It behaves as the log does: a ring of slots in which a write takes a new one, and in
 * which a block that was read again is appended once more when its slot comes up.
 * Pure; whoever calls it excludes others.
 */
#ifndef WB_CACHE_READ_SHADOW_H
#define WB_CACHE_READ_SHADOW_H

#include <stdbool.h>
#include <stdint.h>

/* What is done with misses, and with blocks whose slot comes up. */
enum wb_read_plan {
	WB_PLAN_FIFO,		/* all misses enter; nothing gets a second chance */
	WB_PLAN_CLOCK,		/* all enter; one more round for what was read again */
	WB_PLAN_COUNT,		/* all enter; a round for each read, up to three */
	WB_PLAN_SECOND,		/* those that were missed, or fell out, not long ago */
	WB_PLAN_SOME,		/* one in WB_ADMIT_ONE_IN: a loop that does not fit gets
				 * a part that stays */
	WB_PLANS
};
#define WB_ADMIT_ONE_IN 8u

/* Reads that a slot is remembered to have had, at most. */
#define WB_READ_MARK_MAX 3u

/* The mark with which a block is appended once more. */
static inline uint8_t wb_plan_next_mark(enum wb_read_plan plan, unsigned mark)
{
	return (uint8_t)(plan == WB_PLAN_CLOCK || mark == 0 ? 0 : mark - 1);
}

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
