/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>
#include <string.h>

#include "cmd/top_model.h"

#define SECOND_US 1000000

static struct wb_top_model model;

static void look(int second, int pid, unsigned read, unsigned from_backing, unsigned written)
{
	g_autofree char *text = g_strdup_printf(
		"{\"worker_pid\": %d, \"read_bytes\": %u, \"read_backing_bytes\": %u, "
		"\"written_bytes\": %u, \"write_requests\": %u}", pid, read, from_backing, written,
		written / 4096);
	JsonNode *stats = json_from_string(text, NULL);

	wb_top_model_add(&model, stats, (int64_t)(second + 1) * SECOND_US);
	json_node_unref(stats);
}

Test(top_model, rates_are_differences_by_the_time_between)
{
	look(0, 1, 0, 0, 1 << 20);
	cr_assert_eq(model.history_count, 0, "the first look knows no rate");
	look(2, 1, 0, 0, 3 << 20);
	cr_assert_eq(model.history_count, 1);
	cr_assert_float_eq(model.rate[WB_TOP_WRITE][0], 1 << 20, 1);
	cr_assert_float_eq(model.requests_per_s[WB_TOP_WRITE], 256, 0.01);
}

Test(top_model, hits_are_what_did_not_come_from_the_backing)
{
	look(0, 1, 1000, 1000, 0);
	cr_assert_lt(model.hit_percent, 0);
	look(1, 1, 2000, 1250, 0);
	cr_assert_float_eq(model.hit_percent, 75, 0.01);
	look(2, 1, 2000, 1250, 0);
	cr_assert_lt(model.hit_percent, 0, "nothing was read");
}

Test(top_model, another_daemon_begins_a_new_history)
{
	look(0, 1, 0, 0, 0);
	look(1, 1, 0, 0, 4096);
	look(2, 2, 0, 0, 4096);
	cr_assert_eq(model.history_count, 0);
}

Test(top_model, cleared_counters_are_no_negative_rate)
{
	look(0, 1, 0, 0, 1 << 20);
	look(1, 1, 0, 0, 4096);
	cr_assert_float_eq(model.rate[WB_TOP_WRITE][0], 4096, 0.01);
}

Test(top_model, a_curve_has_the_newest_at_its_end_and_shows_all_that_is_not_nothing)
{
	int8_t levels[5];

	for (int i = 0; i <= 4; i++)
		look(i, 1, 0, 0, (unsigned)(i == 4 ? 100003 : i > 1 ? 3 : 0));
	/* The rates are 0, 3, 0, 100000. */
	cr_assert_float_eq(wb_top_model_spark(&model, WB_TOP_WRITE, levels, 5, 8), 100000, 1);
	cr_assert_eq(levels[0], -1);
	cr_assert_eq(levels[1], 0);
	cr_assert_eq(levels[2], 1);
	cr_assert_eq(levels[3], 0);
	cr_assert_eq(levels[4], 8);
}

Test(top_model, a_long_history_keeps_the_newest)
{
	for (int i = 0; i < 1000; i++)
		look(i, 1, 0, 0, (unsigned)(i * 7));
	cr_assert_eq(model.history_count, WB_TOP_HISTORY);
	cr_assert_float_eq(model.rate[WB_TOP_WRITE][WB_TOP_HISTORY - 1], 7, 0.01);
}

Test(top_model, a_folded_ring_keeps_what_is_remarkable)
{
	char folded[16];

	wb_top_ring_fold("ffcd", folded, 15);
	cr_assert_str_eq(folded, "ffcd");
	wb_top_ring_fold("fffffcddhbff", folded, 4);
	cr_assert_str_eq(folded, "fchb");
	wb_top_ring_fold("", folded, 4);
	cr_assert_str_eq(folded, "");
}

Test(top_model, times_have_three_digits_and_a_unit)
{
	char text[16];

	cr_assert_str_eq(wb_top_format_ns(0, text), "-");
	cr_assert_str_eq(wb_top_format_ns(850, text), "850 ns");
	cr_assert_str_eq(wb_top_format_ns(12345, text), "12.3 us");
	cr_assert_str_eq(wb_top_format_ns(4560000, text), "4.56 ms");
	cr_assert_str_eq(wb_top_format_ns(UINT64_C(1200000000), text), "1.2 s");
}
