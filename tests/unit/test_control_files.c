/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>
#include <json-glib/json-glib.h>
#include <string.h>

#include "base/lock.h"
#include "frontend/control_files.h"
#include "frontend/stats_json.h"

static const uint8_t uuid[16] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0xff };

Test(control_files, take_a_verb_with_blanks_round_it)
{
	uint64_t bytes = 1;
	const struct wb_control_verb *flush = wb_control_find_verb("flush\n", 6, &bytes);

	cr_assert(flush);
	cr_assert_str_eq(flush->name, "flush");
	cr_assert_eq(wb_control_find_verb("  flush ", 8, &bytes), flush);
	cr_assert_str_eq(wb_control_find_verb("drain", 5, &bytes)->name, "drain");
	cr_assert_eq(bytes, 1);
}

Test(control_files, take_a_verb_with_a_number_of_bytes)
{
	uint64_t bytes = 0;

	cr_assert_str_eq(wb_control_find_verb("resize 1099511627776\n", 21, &bytes)->name,
			 "resize");
	cr_assert_eq(bytes, UINT64_C(1) << 40);
	cr_assert(wb_control_find_verb(" resize\t 5 ", 11, &bytes));
	cr_assert_eq(bytes, 5);
}

Test(control_files, take_nothing_else_for_a_verb)
{
	static const char *const bad[] = {
		"", "\n", "flu", "flushh", "flush drain", "FLUSH", "flush 1",
		"resize", "resize ", "resize5", "resize +5", "resize -5", "resize 5G", "resize 5 5",
		"resize 18446744073709551616",
	};
	uint64_t bytes = 1;

	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++)
		cr_assert_null(wb_control_find_verb(bad[i], strlen(bad[i]), &bytes), "\"%s\"",
			       bad[i]);
	cr_assert_null(wb_control_find_verb("flush\0", 6, &bytes), "a NUL is no blank");
	cr_assert_null(wb_control_find_verb("resize 5\0", 9, &bytes), "nor a digit");
	cr_assert_eq(bytes, 1);
}

/* What is in it beside a snapshot is set by the test. */
static struct wb_stats_view view = { .tunables = WB_TUNABLES_DEFAULT };

static JsonObject *stats_of(const struct wb_stats_snapshot *snapshot,
			    const struct wb_mount_facts *facts)
{
	GString *text = g_string_new(NULL);
	GError *error = NULL;
	JsonObject *object;
	JsonNode *node;

	view.facts = facts;
	view.snapshot = *snapshot;
	memcpy(view.uuid, uuid, sizeof uuid);
	wb_stats_json_append(text, &view);
	cr_assert_eq(text->str[text->len - 1], '\n');
	node = json_from_string(text->str, &error);
	cr_assert(node, "%s", error ? error->message : "");
	g_string_free(text, TRUE);
	object = json_node_dup_object(node);
	json_node_unref(node);
	return object;
}

static struct wb_mount_facts facts = {
	.version = "1", .mount_point = "/mnt/wb", .worker_pid = 42,
	.cache = { .path = "/c", .is_direct = true, .size_bytes = 100 },
	.backing = { .path = "/b", .buffered_reason = "tmpfs", .is_block_device = true },
	.transport = "classic", .transport_reason = "it is switched off",
	.memory_locked = true,
};

Test(control_files, stats_json_has_the_state_and_every_counter_under_its_name)
{
	struct wb_stats_snapshot snapshot = {
		.dirty_blocks = 5, .cache_blocks = 6, .segments_total = 7, .segments_free = 8,
		.segments_dirty = 9, .last_error = "cache /c: flush: EIO",
	};
	JsonObject *stats, *segments;

	for (unsigned i = 0; i < WB_STAT_COUNT; i++)
		snapshot.counter[i] = 1000 + i;
	stats = stats_of(&snapshot, &facts);
	cr_assert_str_eq(json_object_get_string_member(stats, "state"), "running");
	cr_assert_eq(json_object_get_int_member(stats, "worker_pid"), 42);
	cr_assert_str_eq(json_object_get_string_member(stats, "transport"), "classic");
	cr_assert_str_eq(json_object_get_string_member(stats, "transport_reason"),
			 "it is switched off");
	cr_assert_eq(json_object_get_int_member(stats, "dirty_blocks"), 5);
	cr_assert_eq(json_object_get_int_member(stats, "cache_blocks"), 6);
	segments = json_object_get_object_member(stats, "segments");
	cr_assert_eq(json_object_get_int_member(segments, "total"), 7);
	cr_assert_eq(json_object_get_int_member(segments, "free"), 8);
	cr_assert_eq(json_object_get_int_member(segments, "dirty"), 9);
	cr_assert_str_eq(json_object_get_string_member(stats, "last_error"),
			 "cache /c: flush: EIO");
	for (unsigned i = 0; i < WB_STAT_COUNT; i++)
		cr_assert_eq(json_object_get_int_member(stats, wb_stat_name(i)), 1000 + i, "%s",
			     wb_stat_name(i));
	json_object_unref(stats);
}

static gpointer acquire_main(gpointer lock)
{
	wb_lock_acquire(lock);
	wb_lock_release(lock);
	return NULL;
}

Test(control_files, stats_json_says_which_locks_were_waited_for)
{
	struct wb_stats_snapshot snapshot = { 0 };
	struct wb_lock_waits waits;
	JsonObject *stats, *object;
	struct wb_lock lock;
	JsonArray *array;
	GThread *other;

	wb_lock_init(&lock, WB_RANK_STORE);
	wb_lock_acquire(&lock);
	other = g_thread_new("acquire", acquire_main, &lock);
	do {
		g_thread_yield();
		wb_lock_get_waits(WB_RANK_STORE, &waits);
	} while (waits.count == 0);
	wb_lock_release(&lock);
	g_thread_join(other);
	wb_lock_clear(&lock);

	stats = stats_of(&snapshot, &facts);
	array = json_object_get_array_member(stats, "lock_waits");
	cr_assert_eq(json_array_get_length(array), 1);
	object = json_array_get_object_element(array, 0);
	cr_assert_str_eq(json_object_get_string_member(object, "lock"), "store");
	cr_assert_eq(json_object_get_int_member(object, "count"), 1);
	cr_assert_gt(json_object_get_int_member(object, "ns"), 0);
	json_object_unref(stats);
}

Test(control_files, stats_json_says_how_each_disk_is_used)
{
	struct wb_stats_snapshot snapshot = { 0 };
	JsonObject *stats = stats_of(&snapshot, &facts);
	JsonObject *cache = json_object_get_object_member(stats, "cache");
	JsonObject *backing = json_object_get_object_member(stats, "backing");

	cr_assert_str_eq(json_object_get_string_member(cache, "io"), "direct");
	cr_assert_str_eq(json_object_get_string_member(cache, "kind"), "file");
	cr_assert_str_eq(json_object_get_string_member(backing, "io"), "buffered");
	cr_assert_str_eq(json_object_get_string_member(backing, "buffered_reason"), "tmpfs");
	cr_assert_str_eq(json_object_get_string_member(backing, "kind"), "device");
	cr_assert(json_object_get_boolean_member(stats, "memory_locked"));
	cr_assert_str_eq(json_object_get_string_member(stats, "uuid"),
			 "01020304-0506-0708-090a-0b0c0d0e0fff");
	json_object_unref(stats);
}

Test(control_files, stats_json_is_json_whatever_bytes_a_path_has)
{
	struct wb_mount_facts odd = facts;
	struct wb_stats_snapshot snapshot = { .last_error = "\xff\"\\\n\x01" };

	odd.cache.path = "/a\"b\\c\n\xfe";
	json_object_unref(stats_of(&snapshot, &odd));
}

static JsonObject *element(JsonObject *object, const char *key, unsigned i)
{
	JsonArray *array = json_object_get_array_member(object, key);

	cr_assert_lt(i, json_array_get_length(array));
	return json_array_get_object_element(array, i);
}

Test(control_files, stats_json_names_bad_and_refused_ranges)
{
	struct wb_stats_snapshot snapshot = {
		.bad_ranges = { .blocks = 3, .count = 1,
				.range = { { .start_bytes = 8192, .length_bytes = 12288 } } },
		.refused_ranges = { .blocks = 2, .count = 2,
				    .range = { { 4096, 4096, -5, 7 }, { 40960, 4096, -28, 1 } } },
		.writeback_state = WB_WRITEBACK_PAUSED, .retry_in_ms = 1500,
		.waiting_requests = 4, .slowed_writers = 6, .write_limit_bytes_per_s = 4096000,
		.backing_space = { WB_SPACE_LOW, 1000, 500 },
	};
	JsonObject *stats = stats_of(&snapshot, &facts), *space;

	cr_expect_eq(json_object_get_int_member(stats, "bad_blocks"), 3);
	cr_expect_eq(json_object_get_int_member(element(stats, "bad_ranges", 0), "start"), 8192);
	cr_expect_eq(json_object_get_int_member(element(stats, "bad_ranges", 0), "length"), 12288);
	cr_expect_eq(json_object_get_int_member(stats, "writeback_error_blocks"), 2);
	cr_expect_eq(json_object_get_int_member(element(stats, "writeback_error_ranges", 1),
						"start"), 40960);
	cr_expect_str_eq(json_object_get_string_member(element(stats, "writeback_error_ranges", 1),
						       "error"), "No space left on device");
	cr_expect_eq(json_object_get_int_member(element(stats, "writeback_error_ranges", 0),
						"since_s"), 7);
	cr_expect_str_eq(json_object_get_string_member(stats, "writeback_state"), "paused");
	cr_expect_eq(json_object_get_int_member(stats, "writeback_retry_ms"), 1500);
	cr_expect_eq(json_object_get_int_member(stats, "waiting_requests"), 4);
	cr_expect_eq(json_object_get_int_member(stats, "slowed_writers"), 6);
	cr_expect_eq(json_object_get_int_member(stats, "write_limit_bytes_per_s"), 4096000);
	space = json_object_get_object_member(stats, "backing_space");
	cr_expect_str_eq(json_object_get_string_member(space, "state"), "low");
	cr_expect_eq(json_object_get_int_member(space, "free_bytes"), 1000);
	cr_expect_eq(json_object_get_int_member(space, "needed_bytes"), 500);
	json_object_unref(stats);
}

Test(control_files, stats_json_has_empty_lists_when_nothing_is_wrong)
{
	struct wb_stats_snapshot snapshot = { 0 };
	JsonObject *stats = stats_of(&snapshot, &facts);

	cr_expect_eq(json_array_get_length(json_object_get_array_member(stats, "bad_ranges")), 0);
	cr_expect_eq(json_array_get_length(json_object_get_array_member(stats,
					   "writeback_error_ranges")), 0);
	cr_expect_str_eq(json_object_get_string_member(stats, "writeback_state"), "idle");
	json_object_unref(stats);
}
