/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which reads are kept in the cache, and for how long. Knows nothing of the cache but
 * its geometry: it is told what is read, missed and written, and asked; the simulator
 * of `make bench-read` asks it the same.
 *
 *  - A slot has a mark: how often it was used since it was written, up to 3. When its
 *    segment is used again, marked blocks are appended once more with a lower mark (a
 *    second chance), the most used first, and no more than a part of the segment.
 *  - What enters, and how long marks count, is a plan. There are four (read_shadow.h), and
 *    each suits a load that is bad for another. Each is tried on a sample of all blocks
 *    by a cache in miniature, and the one with most hits lately is obeyed (set
 *    duelling: Qureshi et al., "Adaptive Insertion Policies", 2007).
 *  - Three more miniatures tell what a cache of half, twice and four times the size
 *    would give.
 *
 * Memory: a byte for each slot, half a byte for each for what was missed lately, and
 * some 200 KiB. Any thread; the marks are hints, and a race of two reads may lose one.
 */
#ifndef WB_CACHE_READ_POLICY_H
#define WB_CACHE_READ_POLICY_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "cache/read_shadow.h"
#include "format/geometry.h"

struct wb_read_policy;

/* Of the geometry: slots, blocks of a segment. */
struct wb_read_policy *wb_read_policy_new(const struct wb_geometry *geometry, GError **error);
void wb_read_policy_free(struct wb_read_policy *policy);

/* Users' reads and writes of blocks, once each. */
void wb_read_policy_note_reads(struct wb_read_policy *policy, uint64_t first, uint32_t count);
void wb_read_policy_note_writes(struct wb_read_policy *policy, uint64_t first, uint32_t count);

/* A block in these slots was read. */
void wb_read_policy_note_hits(struct wb_read_policy *policy, uint32_t slot, uint32_t count);
/* A slot has a new block; `mark`: that it begins with. */
void wb_read_policy_set_mark(struct wb_read_policy *policy, uint32_t slot, unsigned mark);
/* A write took a new slot for a block that was in an old one. */
void wb_read_policy_was_replaced(struct wb_read_policy *policy, uint32_t old_slot,
				 uint32_t new_slot);
void wb_read_policy_clear(struct wb_read_policy *policy, uint32_t slot, uint32_t count);
unsigned wb_read_policy_mark(struct wb_read_policy *policy, uint32_t slot);

/* A block was missed: does it enter, and with which mark? As long as nothing is pushed out
 * by it, everything enters. */
bool wb_read_policy_missed(struct wb_read_policy *policy, uint64_t address, uint8_t *mark);
/* The ring has used all its places once: from now on what enters pushes others out. */
void wb_read_policy_is_full(struct wb_read_policy *policy);

/*
 * A segment is to be used again. `live[i]`: slot first_slot + i holds a block that may
 * stay. Those that do are left in `live`, the others get false; returns how many stay.
 */
uint32_t wb_read_policy_choose(struct wb_read_policy *policy, uint32_t first_slot,
			       bool *live, uint32_t count);
/* The mark with which one that stays is appended. */
unsigned wb_read_policy_next_mark(struct wb_read_policy *policy, uint32_t slot);
/* It fell out. */
void wb_read_policy_fell_out(struct wb_read_policy *policy, uint64_t address);

/* In percent of the blocks read lately, 0 when there were none. */
struct wb_read_forecast {
	enum wb_read_plan plan;		/* obeyed now */
	bool is_known;			/* something was read */
	double at_half, at_same, at_double, at_fourfold;
};
const char *wb_read_plan_name(enum wb_read_plan plan);
void wb_read_policy_forecast(struct wb_read_policy *policy, struct wb_read_forecast *forecast);

#endif
