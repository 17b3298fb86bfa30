/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A set of block addresses, kept as ranges: which blocks newer extents of the
 * log cover, for whoever goes through it from its newest entry to the oldest.
 * One thread; grows with the log that is looked at. */
#ifndef WB_CACHE_RANGE_SET_H
#define WB_CACHE_RANGE_SET_H

#include <stdbool.h>
#include <stdint.h>

struct wb_range_set;

struct wb_range_set *wb_range_set_new(void);
void wb_range_set_free(struct wb_range_set *set);

bool wb_range_set_has(struct wb_range_set *set, uint64_t address);

/* Adds [start, end). `gap` (or NULL) is told, ascending, each part of it that
 * was not in the set before. */
void wb_range_set_cover(struct wb_range_set *set, uint64_t start, uint64_t end,
			void (*gap)(void *arg, uint64_t start, uint64_t end), void *arg);

#endif
