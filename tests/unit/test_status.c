/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>
#include <string.h>

#include "cmd/status_text.h"

#define VOLUME                                                                          \
	"\"state\":\"running\",\"cache\":{\"path\":\"/c\"},\"backing\":{\"path\":\"/b\"}," \
	"\"dirty_blocks\":90,\"cache_blocks\":100,\"oldest_dirty_s\":12,"                \
	"\"segments\":{\"total\":16,\"free\":1,\"dirty\":2},\"segment_bytes\":65536,"    \
	"\"head_segment\":18,\"tail_segment\":5,\"durable_sequence\":33,"                 \
	"\"read_hit_ram_full\":1,\"read_hit_ssd_partial\":2,\"read_miss_hdd_full\":1,"   \
	"\"tunables\":{\"allow_writeback\":true,\"sync_interval_s\":5,\"mode\":\"x\"},"  \
	"\"latency\":{\"sync\":{\"count\":7,\"p50_ns\":1500,\"p90_ns\":2500000,"         \
	"\"p99_ns\":3,\"p999_ns\":4,\"max_ns\":12000000000},\"write\":{\"count\":0}}"

static char *status(const char *members, enum wb_status_style style)
{
	g_autofree char *json = g_strdup_printf("{%s}", members);
	JsonNode *node = json_from_string(json, NULL);
	GString *text = g_string_new(NULL);

	cr_assert(node, "%s", json);
	wb_status_text_append(text, "/mnt/wb", node, style);
	json_node_unref(node);
	return g_string_free(text, FALSE);
}

static void expect(const char *text, const char *words)
{
	cr_expect(strstr(text, words), "no \"%s\" in:\n%s", words, text);
}

Test(status, a_volume_is_described_in_lines_with_labels)
{
	g_autofree char *text = status(VOLUME ",\"clean_in_s\":30,"
				       "\"writeback_bytes_per_s\":2097152", WB_STATUS_PLAIN);

	expect(text, "image              /mnt/wb/disk\n");
	expect(text, "\nstate              running\n");
	expect(text, "\ndirty              90 of 100 blocks (360 KiB, 90.0 %)\n");
	expect(text, "\n  oldest           12 s; clean in 30 s at 2 MiB/s\n");
	expect(text, "\n  hits             75.0 % of 4 blocks (25.0 % in RAM)\n");
	expect(text, "\n  sync                1.5 us    2.5 ms");
	expect(text, "  12.0 s             7\n");
	cr_expect_null(strstr(text, "\n  write  "), "there was none");
	cr_expect_null(strchr(text, '\033'));
}

Test(status, what_cannot_be_said_is_left_out)
{
	g_autofree char *text = status(VOLUME ",\"clean_in_s\":null", WB_STATUS_PLAIN);

	expect(text, "\n  oldest           12 s\n");
}

Test(status, the_mode_is_said_and_what_went_around_the_cache)
{
	g_autofree char *around = status(VOLUME ",\"cache_mode\":\"writearound\","
		"\"backing_bytes_written\":8192,\"backing_writes\":2,"
		"\"bypassed_bytes\":4096", WB_STATUS_PLAIN);
	g_autofree char *back = status(VOLUME ",\"cache_mode\":\"writeback\","
				       "\"bypassed_bytes\":0", WB_STATUS_PLAIN);

	expect(around, "\nmode               writearound: writes go around the cache");
	expect(around, "8 KiB written in 2 writes, 4 KiB of it around the cache\n");
	expect(back, "\nmode               writeback\n");
	cr_expect_null(strstr(back, "around"));
}

Test(status, what_is_kept_of_reads_and_what_another_size_would_give)
{
	g_autofree char *on = status(VOLUME ",\"filled_blocks\":256,\"second_chance_blocks\":256,"
		"\"read_cache\":{\"on\":true,\"plan\":\"clock\",\"bytes_per_s\":4096,"
		"\"budget_left\":1048576,\"hit_percent_half\":40.2,\"hit_percent_same\":60.0,"
		"\"hit_percent_double\":80.0,\"hit_percent_fourfold\":90.0}", WB_STATUS_PLAIN);
	g_autofree char *off = status(VOLUME ",\"read_cache\":{\"on\":false,\"plan\":\"none\"}",
				      WB_STATUS_PLAIN);
	g_autofree char *stopped = status(VOLUME ",\"read_cache\":{\"on\":true,"
		"\"state\":\"stopped\",\"plan\":\"clock\",\"budget_left\":null,"
		"\"hit_percent_half\":null}", WB_STATUS_PLAIN);

	expect(on, "\n  kept             2 MiB, 4 KiB a second now, 1 MiB of the day's budget left\n");
	expect(on, "\n  what if          40 % hits with half the cache, 60 % with this one, 80 % "
		   "with twice, 90 % with four times as much\n");
	cr_expect_null(strstr(off, "  kept "));
	cr_expect_null(strstr(on, "  keeping "));
	expect(stopped, "\n  keeping          stopped until the next mount: a flush of the backing "
	       "failed, and what can be read of it may not be there after a power cut\n");
}

Test(status, that_writers_are_slowed_is_said_while_they_are)
{
	g_autofree char *slow = status(VOLUME ",\"write_limit_bytes_per_s\":2097152,"
				       "\"slowed_writers\":12", WB_STATUS_PLAIN);
	g_autofree char *fast = status(VOLUME ",\"write_limit_bytes_per_s\":0,"
				       "\"slowed_writers\":0", WB_STATUS_PLAIN);

	expect(slow, "\nwriters            slowed down to 2 MiB/s, because the cache is nearly "
		     "full of what is not written back; 12 wait for their turn\n");
	cr_expect_null(strstr(fast, "\nwriters "));
}

Test(status, that_reads_go_before_writeback_is_said_while_they_do)
{
	g_autofree char *first = status(VOLUME ",\"reads_go_first\":true,\"writeback_depth\":2,"
					"\"writeback_io_bytes\":262144", WB_STATUS_PLAIN);
	g_autofree char *none = status(VOLUME ",\"reads_go_first\":false,"
				       "\"writeback_depth\":32", WB_STATUS_PLAIN);

	expect(first, "\nreads              go first: writeback has at most 2 writes of 256 KiB at "
		      "the disk\n");
	cr_expect_null(strstr(none, "go first"));
}

Test(status, discards_are_told_of_where_they_were_asked_for)
{
	g_autofree char *off = status(VOLUME ",\"discard_cache_state\":\"off\"",
				      WB_STATUS_PLAIN);
	g_autofree char *on = status(VOLUME ",\"discard_cache_state\":\"on\","
				     "\"cache_discarded_bytes\":3145728,"
				     "\"cache_discard_failures\":2", WB_STATUS_PLAIN);
	g_autofree char *cannot = status(VOLUME ",\"discard_cache_state\":\"unsupported\"",
					 WB_STATUS_PLAIN);

	cr_expect_null(strstr(off, "discards"));
	expect(on, "\n  discards         3 MiB on the cache's disk, 2 failed\n");
	expect(cannot, "\n  discards         not supported by the cache's disk\n");
}

Test(status, an_empty_answer_of_another_version_is_no_reason_to_crash)
{
	g_autofree char *text = status("", WB_STATUS_PLAIN);

	expect(text, "cache              none");
}

Test(status, what_is_wrong_is_red_and_only_where_colours_are_wanted)
{
	g_autofree char *well = status(VOLUME, WB_STATUS_COLOURED);
	g_autofree char *bad = status("\"state\":\"cache-failed\",\"cache_errors\":1,"
				      "\"last_error\":\"it broke\"", WB_STATUS_COLOURED);
	g_autofree char *plain = status("\"state\":\"cache-failed\",\"cache_errors\":1",
					WB_STATUS_PLAIN);

	expect(well, "\033[32mrunning\033[0m\n");
	expect(well, "\033[33m90 of 100");
	cr_expect_null(strstr(well, "\033[31m"));
	expect(bad, "\033[31mcache-failed\033[0m\n");
	expect(bad, "\033[31m1 of the cache");
	expect(bad, "\033[31mit broke\033[0m\n");
	cr_expect_null(strchr(plain, '\033'));
}

Test(status, the_table_has_the_columns_of_2013_in_their_order)
{
	JsonNode *node = json_from_string("{" VOLUME "}", NULL);
	GString *text = g_string_new(NULL);
	g_auto(GStrv) lines = NULL, names = NULL, values = NULL;

	wb_status_table_append_names(text);
	wb_status_table_append(text, "/mnt/w b", node);
	lines = g_strsplit(text->str, "\n", -1);
	names = g_strsplit(lines[0], " ", -1);
	values = g_strsplit(lines[1], " ", -1);
	/* Place, 7 numbers, 16 counters, the tunables, of which there are 3. */
	cr_assert_eq(g_strv_length(names), 1 + 7 + 16 + 1);
	cr_assert_eq(g_strv_length(values), 1 + 7 + 16 + 3);
	cr_expect_str_eq(values[0], "/mnt/w\\040b");
	cr_expect_str_eq(names[1], "cursor");
	/* The second place of 16, of 16 blocks. */
	cr_expect_str_eq(values[1], "16");
	cr_expect_str_eq(values[2], "100");
	cr_expect_str_eq(values[3], "16");
	cr_expect_str_eq(values[4], "18");
	cr_expect_str_eq(values[5], "33");
	cr_expect_str_eq(values[6], "4");
	cr_expect_str_eq(values[7], "90");
	cr_expect_str_eq(names[8], "read_miss_hdd_partial");
	cr_expect_str_eq(names[8 + 4], "read_hit_ssd_partial");
	cr_expect_str_eq(values[8 + 4], "2");
	cr_expect_str_eq(names[23], "write_hit_ram_full");
	cr_expect_str_eq(values[24], "allow_writeback=on");
	cr_expect_str_eq(values[25], "sync_interval_s=5");
	cr_expect_str_eq(values[26], "mode=x");
	json_node_unref(node);
	g_string_free(text, TRUE);
}
