/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The part of the image in which writeback fills gaps just now: what it has read there,
 * from the cache or the backing, it will write to the backing. Whoever writes to the
 * backing around the cache would have its data overwritten with that, and goes through
 * the log there.
 *
 * Set by the writeback worker before it looks, stripe by stripe under their locks,
 * whether somebody is under way in the gaps already; asked under the stripe lock, after
 * the blocks were marked busy. So one of the two sees the other.
 */
#ifndef WB_CACHE_GAP_RANGE_H
#define WB_CACHE_GAP_RANGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct wb_gap_range {
	_Atomic uint64_t first, end;	/* blocks; end 0: nothing */
};

static inline void wb_gap_range_set(struct wb_gap_range *range, uint64_t first, uint64_t end)
{
	atomic_store(&range->first, first);
	atomic_store(&range->end, end);
}

static inline bool wb_gap_range_has(const struct wb_gap_range *range, uint64_t address)
{
	return address < atomic_load(&range->end) && address >= atomic_load(&range->first);
}

#endif
