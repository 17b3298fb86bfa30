/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>
#include <glib.h>
#include <string.h>

#include "cache/histogram.h"
#include "support/prng.h"

static struct wb_histogram *histogram;
static struct wb_histogram_copy *copy;

static void start(void)
{
	histogram = g_new0(struct wb_histogram, 1);
	copy = g_new0(struct wb_histogram_copy, 1);
}

static void stop(void)
{
	g_free(histogram);
	g_free(copy);
}

TestSuite(histogram, .init = start, .fini = stop);

static void collect(void)
{
	memset(copy, 0, sizeof *copy);
	wb_histogram_collect(histogram, copy);
}

Test(histogram, buckets_join_without_a_gap_and_none_is_wider_than_a_64th)
{
	uint64_t next = 0;

	for (unsigned i = 0; i < WB_HISTOGRAM_BUCKETS; i++) {
		uint64_t upper = wb_histogram_upper_ns(i);

		cr_assert_eq(wb_histogram_index(next), i, "%u", i);
		cr_assert_eq(wb_histogram_index(upper), i, "%u", i);
		cr_assert(upper - next < 16 || (upper - next) <= next / 64, "%u", i);
		next = upper + 1;
	}
	cr_assert_eq(next, UINT64_C(1) << WB_HISTOGRAM_TOP_SHIFT);
}

Test(histogram, what_is_longer_than_the_last_bucket_is_in_it_and_the_maximum_is_true)
{
	wb_histogram_add(histogram, UINT64_C(500000000000));
	cr_expect_eq(wb_histogram_index(UINT64_MAX), WB_HISTOGRAM_BUCKETS - 1);
	collect();
	cr_expect_eq(copy->count, 1);
	cr_expect_eq(copy->max_ns, UINT64_C(500000000000));
	cr_expect_eq(copy->sum_ns, UINT64_C(500000000000));
}

Test(histogram, nothing_has_no_quantile)
{
	collect();
	cr_expect_eq(wb_histogram_quantile_ns(copy, 500), 0);
	cr_expect_eq(wb_histogram_count_below(copy, UINT64_MAX), 0);
}

Test(histogram, a_single_value_is_every_quantile)
{
	wb_histogram_add(histogram, 12345);
	collect();
	cr_expect_eq(wb_histogram_quantile_ns(copy, 1), 12345);
	cr_expect_eq(wb_histogram_quantile_ns(copy, 500), 12345);
	cr_expect_eq(wb_histogram_quantile_ns(copy, 999), 12345);
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Against a sorted list of all values. */
Test(histogram, quantiles_are_right_to_two_digits)
{
	enum { COUNT = 20000 };
	static const unsigned per_mille[] = { 1, 500, 900, 990, 999 };
	uint64_t *values = g_new(uint64_t, COUNT);
	struct wb_prng prng;
	uint64_t sum = 0;

	wb_prng_init(&prng, 7);
	for (unsigned i = 0; i < COUNT; i++) {
		/* from 1 us to 1 s, as many in each octave */
		values[i] = (wb_prng_next(&prng) % 1000 + 1000) << (wb_prng_next(&prng) % 20);
		wb_histogram_add(histogram, values[i]);
		sum += values[i];
	}
	qsort(values, COUNT, sizeof values[0], compare);
	collect();
	cr_assert_eq(copy->count, COUNT);
	cr_assert_eq(copy->sum_ns, sum);
	cr_assert_eq(copy->max_ns, values[COUNT - 1]);
	for (unsigned i = 0; i < G_N_ELEMENTS(per_mille); i++) {
		uint64_t right = values[COUNT * per_mille[i] / 1000 - 1];
		uint64_t found = wb_histogram_quantile_ns(copy, per_mille[i]);

		cr_assert_geq(found, right);
		cr_assert_leq(found - right, right / 64, "%u", per_mille[i]);
	}
	g_free(values);
}

Test(histogram, counts_below_a_bound_and_everything_below_the_end)
{
	for (unsigned i = 1; i <= 100; i++)
		wb_histogram_add(histogram, i * UINT64_C(1000000));
	collect();
	/* One may stand on the bound, in a bucket that goes on behind it. */
	cr_expect(wb_histogram_count_below(copy, 50000000) == 49 ||
		  wb_histogram_count_below(copy, 50000000) == 50);
	cr_expect_eq(wb_histogram_count_below(copy, 999000), 0);
	cr_expect_eq(wb_histogram_count_below(copy, UINT64_MAX), 100);
}

Test(histogram, several_are_put_together)
{
	struct wb_histogram *other = g_new0(struct wb_histogram, 1);

	wb_histogram_add(histogram, 1000);
	wb_histogram_add(other, 3000);
	collect();
	wb_histogram_collect(other, copy);
	cr_expect_eq(copy->count, 2);
	cr_expect_eq(copy->sum_ns, 4000);
	cr_expect_eq(copy->max_ns, 3000);
	cr_expect_eq(wb_histogram_quantile_ns(copy, 1000), 3000);
	g_free(other);
}

Test(histogram, a_cleared_one_is_empty)
{
	wb_histogram_add(histogram, 1000);
	wb_histogram_clear(histogram);
	collect();
	cr_expect_eq(copy->count + copy->sum_ns + copy->max_ns, 0);
}
