/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The texts of metrics, openmetrics and stats. */
#include <criterion/criterion.h>
#include <string.h>

#include "frontend/metrics.h"
#include "frontend/stats_text.h"

static struct wb_mount_facts facts = {
	.version = "1", .mount_point = "/mnt/w\"b\\\n", .cache.path = "/c", .backing.path = "/b",
};
static struct wb_stats_view view;

static void start(void)
{
	view = (struct wb_stats_view){ .facts = &facts, .tunables = WB_TUNABLES_DEFAULT };
	for (unsigned i = 0; i < WB_STAT_COUNT; i++)
		view.snapshot.counter[i] = 1000 + i;
	strcpy(view.ring, "hdcf");
	view.snapshot.clean_in_s = WB_STATS_UNKNOWN;
	view.snapshot.image_bytes = 3 << 20;
	view.latency[WB_LATENCY_SYNC] = (struct wb_latency_summary){
		.count = 7, .sum_ns = 7500000000, .p50_ns = 2500000 };
	for (unsigned i = 10; i < WB_LATENCY_BOUNDS; i++)
		view.latency[WB_LATENCY_SYNC].below[i] = 6;
}

TestSuite(metrics, .init = start);

static char *metrics(enum wb_metrics_format format)
{
	GString *text = g_string_new(NULL);

	wb_metrics_append(text, &view, format);
	return g_string_free(text, FALSE);
}

static void expect(const char *text, const char *words)
{
	cr_expect(strstr(text, words), "no \"%s\" in:\n%s", words, text);
}

/* The family that a sample belongs to, as OpenMetrics says for its type. */
static bool is_of_family(const char *sample, const char *family, const char *type)
{
	static const char *const histogram[] = { "_bucket", "_sum", "_count", NULL };
	size_t length = strlen(family);
	const char *suffix = sample + length;

	if (strncmp(sample, family, length))
		return false;
	if (!strcmp(type, "counter"))
		return !strcmp(suffix, "_total");
	if (!strcmp(type, "histogram"))
		return g_strv_contains(histogram, suffix);
	return !*suffix;
}

Test(metrics, openmetrics_has_its_families_whole_and_named_by_type_and_unit)
{
	g_autofree char *text = metrics(WB_METRICS_OPENMETRICS);
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autofree char *family = NULL, *type = NULL;
	unsigned last = g_strv_length(lines) - 1;

	cr_assert_str_eq(lines[last], "");
	cr_assert_str_eq(lines[last - 1], "# EOF");
	for (unsigned i = 0; i < last - 1; i++) {
		g_auto(GStrv) words = g_strsplit(lines[i], " ", 4);
		g_autofree char *name = NULL;

		if (g_str_has_prefix(lines[i], "# HELP ")) {
			g_free(family);
			family = g_strdup(words[2]);
			cr_assert(g_hash_table_add(seen, g_strdup(family)), "twice: %s", family);
			cr_assert(*words[3]);
			continue;
		}
		if (g_str_has_prefix(lines[i], "# TYPE ")) {
			g_free(type);
			type = g_strdup(words[3]);
			cr_assert_str_eq(words[2], family);
			continue;
		}
		if (g_str_has_prefix(lines[i], "# UNIT ")) {
			g_autofree char *suffix = g_strconcat("_", words[3], NULL);

			cr_assert_str_eq(words[2], family);
			cr_assert(g_str_has_suffix(family, suffix), "%s", lines[i]);
			continue;
		}
		name = g_strndup(lines[i], strcspn(lines[i], "{"));
		cr_assert(is_of_family(name, family, type), "%s of %s", lines[i], family);
		cr_assert(strstr(lines[i], "{mount_point=\"/mnt/w\\\"b\\\\\\n\""), "%s", lines[i]);
	}
}

Test(metrics, every_counter_is_there_with_its_value)
{
	g_autofree char *text = metrics(WB_METRICS_PROMETHEUS);

	for (unsigned i = 0; i < WB_STAT_COUNT; i++) {
		g_autofree char *end = g_strdup_printf("} %u\n", 1000 + i);
		bool is_ram_miss = i >= WB_STAT_BLOCKS &&
			((i - WB_STAT_BLOCKS) & WB_BLOCK_RAM) &&
			!((i - WB_STAT_BLOCKS) & WB_BLOCK_HIT);

		if (i == WB_STAT_SLOWED_NS) {	/* the only one in seconds */
			g_free(end);
			end = g_strdup_printf("} %g\n", (1000 + i) / 1e9);
		}
		cr_expect(is_ram_miss || strstr(text, end), "%s is in no metric",
			  wb_stat_name(i));
	}
}

Test(metrics, the_older_format_differs_in_the_names_of_counters_alone)
{
	g_autofree char *old = metrics(WB_METRICS_PROMETHEUS);
	g_autofree char *new = metrics(WB_METRICS_OPENMETRICS);

	expect(old, "# TYPE wbfs_read_bytes_total counter\nwbfs_read_bytes_total{");
	expect(new, "# TYPE wbfs_read_bytes counter\n# UNIT wbfs_read_bytes bytes\n"
		    "wbfs_read_bytes_total{");
	cr_expect_null(strstr(old, "# UNIT"));
	expect(old, "\n# EOF\n");
}

Test(metrics, latencies_are_histograms_in_seconds)
{
	g_autofree char *text = metrics(WB_METRICS_PROMETHEUS);

	expect(text, ",kind=\"sync\",le=\"1e-06\"} 0\n");
	expect(text, ",kind=\"sync\",le=\"0.002\"} 6\n");
	expect(text, ",kind=\"sync\",le=\"10\"} 6\n");
	expect(text, ",kind=\"sync\",le=\"+Inf\"} 7\n");
	expect(text, "_sum{mount_point=\"/mnt/w\\\"b\\\\\\n\",kind=\"sync\"} 7.5\n");
	expect(text, ",kind=\"sync\"} 7\n");
}

Test(metrics, one_state_is_one_and_the_others_are_zero)
{
	g_autofree char *text = NULL;

	view.snapshot.state = WB_CACHE_FAILED;
	text = metrics(WB_METRICS_PROMETHEUS);
	expect(text, "state=\"cache-failed\"} 1\n");
	expect(text, "state=\"running\"} 0\n");
}

Test(metrics, stats_is_a_line_for_each_key)
{
	g_autoptr(GString) text = g_string_new(NULL);
	g_auto(GStrv) lines = NULL;

	view.snapshot.bad_ranges = (struct wb_stats_ranges){
		.blocks = 1, .count = 1, .range = { { 8192, 4096, 0, 0 } } };
	strcpy(view.snapshot.last_error, "a\nb");
	wb_stats_text_append(text, &view);
	lines = g_strsplit(text->str, "\n", -1);
	for (unsigned i = 0; lines[i + 1]; i++)
		cr_assert(strlen(lines[i]) > 20 && lines[i][0] != ' ', "\"%s\"", lines[i]);
	expect(text->str, "\nimage_bytes                      3145728 (3.0 MiB)\n");
	expect(text->str, "\nsegments.total                   0\n");
	expect(text->str, "\nclean_in_s                       unknown\n");
	expect(text->str, "\nring                             hdcf\n");
	expect(text->str, "\nlast_error                       a?b\n");
	expect(text->str, "\nbad_ranges.0.start               8192\n");
	expect(text->str, "\nlatency.sync.p50_ns              2500000 (2.5 ms)\n");
	expect(text->str, "\ntunables.allow_writeback         yes\n");
}
