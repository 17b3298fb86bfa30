/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/histogram.h"

#include <glib.h>

#define SUB (1u << WB_HISTOGRAM_SUB_SHIFT)

/* Up to 2 * SUB units each has its bucket; above, the leading bits count: SUB for
 * each doubling, which the shift numbers. */
unsigned wb_histogram_index(uint64_t ns)
{
	uint64_t units = MIN(ns, (UINT64_C(1) << WB_HISTOGRAM_TOP_SHIFT) - 1) >>
			 WB_HISTOGRAM_UNIT_SHIFT;
	unsigned shift;

	if (units < 2 * SUB)
		return (unsigned)units;
	shift = 63u - (unsigned)__builtin_clzll(units) - WB_HISTOGRAM_SUB_SHIFT;
	return (shift << WB_HISTOGRAM_SUB_SHIFT) + (unsigned)(units >> shift);
}

uint64_t wb_histogram_upper_ns(unsigned index)
{
	unsigned shift = index < 2 * SUB ? 0 : (index >> WB_HISTOGRAM_SUB_SHIFT) - 1;
	uint64_t units = (uint64_t)(index - (shift << WB_HISTOGRAM_SUB_SHIFT)) + 1;

	return (units << (shift + WB_HISTOGRAM_UNIT_SHIFT)) - 1;
}

static void raise_max(struct wb_histogram *histogram, uint64_t ns)
{
	uint64_t max = atomic_load_explicit(&histogram->max_ns, memory_order_relaxed);

	while (ns > max &&
	       !atomic_compare_exchange_weak_explicit(&histogram->max_ns, &max, ns,
						      memory_order_relaxed,
						      memory_order_relaxed))
		;
}

void wb_histogram_add(struct wb_histogram *histogram, uint64_t ns)
{
	atomic_fetch_add_explicit(&histogram->bucket[wb_histogram_index(ns)], 1,
				  memory_order_relaxed);
	atomic_fetch_add_explicit(&histogram->sum_ns, ns, memory_order_relaxed);
	raise_max(histogram, ns);
}

void wb_histogram_clear(struct wb_histogram *histogram)
{
	atomic_store_explicit(&histogram->sum_ns, 0, memory_order_relaxed);
	atomic_store_explicit(&histogram->max_ns, 0, memory_order_relaxed);
	for (unsigned i = 0; i < WB_HISTOGRAM_BUCKETS; i++)
		atomic_store_explicit(&histogram->bucket[i], 0, memory_order_relaxed);
}

void wb_histogram_collect(const struct wb_histogram *histogram,
			  struct wb_histogram_copy *copy)
{
	uint64_t max = atomic_load_explicit(&histogram->max_ns, memory_order_relaxed);

	for (unsigned i = 0; i < WB_HISTOGRAM_BUCKETS; i++) {
		uint64_t count = atomic_load_explicit(&histogram->bucket[i],
						      memory_order_relaxed);

		copy->bucket[i] += count;
		copy->count += count;
	}
	copy->sum_ns += atomic_load_explicit(&histogram->sum_ns, memory_order_relaxed);
	copy->max_ns = MAX(copy->max_ns, max);
}

uint64_t wb_histogram_quantile_ns(const struct wb_histogram_copy *copy, unsigned per_mille)
{
	/* Rounded up: the median of two is the first. */
	uint64_t wanted = copy->count / 1000 * per_mille +
			  (copy->count % 1000 * per_mille + 999) / 1000, seen = 0;

	if (copy->count == 0)
		return 0;
	for (unsigned i = 0; i < WB_HISTOGRAM_BUCKETS; i++) {
		seen += copy->bucket[i];
		if (seen >= MAX(wanted, 1))
			return MIN(wb_histogram_upper_ns(i), copy->max_ns);
	}
	return copy->max_ns;
}

uint64_t wb_histogram_count_below(const struct wb_histogram_copy *copy, uint64_t bound_ns)
{
	uint64_t count = 0;

	for (unsigned i = 0; i < WB_HISTOGRAM_BUCKETS && wb_histogram_upper_ns(i) <= bound_ns; i++)
		count += copy->bucket[i];
	return count;
}
