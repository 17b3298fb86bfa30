/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A histogram of times: log-linear buckets as in HdrHistogram (Tene), 64 to each
 * doubling, so that every value is kept to better than two digits. Adding is two
 * relaxed atomic additions, from any thread; who reads may miss what is being
 * added. No allocation.
 */
#ifndef WB_CACHE_HISTOGRAM_H
#define WB_CACHE_HISTOGRAM_H

#include <stdatomic.h>
#include <stdint.h>

/* 16 ns is the finest step; longer than 68 s is only told by the maximum. */
#define WB_HISTOGRAM_UNIT_SHIFT 4u
#define WB_HISTOGRAM_SUB_SHIFT 6u
#define WB_HISTOGRAM_TOP_SHIFT 36u
#define WB_HISTOGRAM_BUCKETS                                                             \
	((WB_HISTOGRAM_TOP_SHIFT - WB_HISTOGRAM_UNIT_SHIFT - WB_HISTOGRAM_SUB_SHIFT + 1) \
	 << WB_HISTOGRAM_SUB_SHIFT)

struct wb_histogram {
	_Atomic uint64_t sum_ns, max_ns;
	_Atomic uint64_t bucket[WB_HISTOGRAM_BUCKETS];
};

/* The bucket of a time, and the longest time of a bucket. */
unsigned wb_histogram_index(uint64_t ns);
uint64_t wb_histogram_upper_ns(unsigned index);

void wb_histogram_add(struct wb_histogram *histogram, uint64_t ns);
/* What is being added meanwhile may be in it or not. */
void wb_histogram_clear(struct wb_histogram *histogram);

/* A copy to look at; several histograms can be put together in it. */
struct wb_histogram_copy {
	uint64_t count, sum_ns, max_ns;
	uint64_t bucket[WB_HISTOGRAM_BUCKETS];
};
void wb_histogram_collect(const struct wb_histogram *histogram,
			  struct wb_histogram_copy *copy);
/* The time that `per_mille` of a thousand do not exceed; 0 when there are none. */
uint64_t wb_histogram_quantile_ns(const struct wb_histogram_copy *copy, unsigned per_mille);
/* How many were not longer, to the step of the buckets. */
uint64_t wb_histogram_count_below(const struct wb_histogram_copy *copy, uint64_t bound_ns);

#endif
