/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cmd/client.h"
#include "cmd/commands.h"
#include "cmd/mount_table.h"
#include "cmd/report.h"
#include "cmd/size_parse.h"

#define BLOCK_BYTES 4096u

/* --- one volume -------------------------------------------------------------------- */

static void line(const char *label, const char *text)
{
	printf("%-18s %s\n", label, text);
}

static void size_line(const char *label, uint64_t bytes)
{
	char text[WB_SIZE_TEXT_BYTES];

	line(label, wb_size_format(bytes, text));
}

static void disk_line(const char *label, JsonNode *stats, const char *disk)
{
	char size[WB_SIZE_TEXT_BYTES];
	const char *reason = wb_client_text_in(stats, disk, "buffered_reason");

	printf("%-18s %s (%s, %s, %s%s%s)\n", label, wb_client_text_in(stats, disk, "path"),
	       wb_client_text_in(stats, disk, "kind"),
	       wb_size_format(wb_client_number_in(stats, disk, "size_bytes"), size),
	       wb_client_text_in(stats, disk, "io"), *reason ? ": " : "", reason);
}

static void dirty_line(JsonNode *stats)
{
	uint64_t dirty = wb_client_number(stats, "dirty_blocks");
	uint64_t blocks = wb_client_number(stats, "cache_blocks");
	char size[WB_SIZE_TEXT_BYTES];

	printf("%-18s %" PRIu64 " of %" PRIu64 " blocks (%s, %.1f %%)%s\n", "dirty", dirty, blocks,
	       wb_size_format(dirty * BLOCK_BYTES, size),
	       blocks ? 100.0 * (double)dirty / (double)blocks : 0.0,
	       wb_client_bool(stats, "draining") ? ", draining" : "");
}

static void segments_line(JsonNode *stats)
{
	char size[WB_SIZE_TEXT_BYTES];

	printf("%-18s %" PRIu64 " of %s: %" PRIu64 " free, %" PRIu64 " dirty\n", "segments",
	       wb_client_number_in(stats, "segments", "total"),
	       wb_size_format(wb_client_number(stats, "segment_bytes"), size),
	       wb_client_number_in(stats, "segments", "free"),
	       wb_client_number_in(stats, "segments", "dirty"));
}

static void read_line(JsonNode *stats)
{
	char total[WB_SIZE_TEXT_BYTES], ram[WB_SIZE_TEXT_BYTES], cache[WB_SIZE_TEXT_BYTES],
		backing[WB_SIZE_TEXT_BYTES];

	printf("%-18s %s: %s from RAM, %s from the cache, %s from the backing\n", "read",
	       wb_size_format(wb_client_number(stats, "read_bytes"), total),
	       wb_size_format(wb_client_number(stats, "read_ram_bytes"), ram),
	       wb_size_format(wb_client_number(stats, "read_cache_bytes"), cache),
	       wb_size_format(wb_client_number(stats, "read_backing_bytes"), backing));
}

static void written_lines(JsonNode *stats)
{
	char size[WB_SIZE_TEXT_BYTES];

	size_line("written", wb_client_number(stats, "written_bytes"));
	printf("%-18s %s written, %" PRIu64 " device flushes\n", "  to the cache",
	       wb_size_format(wb_client_number(stats, "ssd_bytes_written"), size),
	       wb_client_number(stats, "flushes"));
	printf("%-18s %s written in %" PRIu64 " writes\n", "  to the backing",
	       wb_size_format(wb_client_number(stats, "backing_bytes_written"), size),
	       wb_client_number(stats, "backing_writes"));
}

static void errors_line(JsonNode *stats)
{
	const char *last = wb_client_text(stats, "last_error");

	printf("%-18s %" PRIu64 " of the cache, %" PRIu64 " of the backing, %" PRIu64
	       " bad checksums (%" PRIu64 " repaired)\n", "errors",
	       wb_client_number(stats, "cache_errors"),
	       wb_client_number(stats, "backing_errors"),
	       wb_client_number(stats, "checksum_errors"),
	       wb_client_number(stats, "checksum_repaired"));
	if (wb_client_number(stats, "bad_segments") > 0)
		printf("%-18s %" PRIu64 " segments of the cache cannot be written; replace "
		       "the disk\n", "bad places", wb_client_number(stats, "bad_segments"));
	if (*last)
		line("last error", last);
}

static bool has_cache(JsonNode *stats)
{
	return *wb_client_text_in(stats, "cache", "path");
}

#define RANGES_SHOWN 8u

static void range_line(const char *what, JsonObject *range)
{
	uint64_t start = (uint64_t)json_object_get_int_member(range, "start");
	uint64_t length = (uint64_t)json_object_get_int_member(range, "length");

	printf("%-18s bytes %" PRIu64 " to %" PRIu64, "  image", start, start + length - 1);
	if (json_object_has_member(range, "error"))
		printf(": %s, %" PRIu64 " s ago for the first time",
		       json_object_get_string_member(range, "error"),
		       (uint64_t)json_object_get_int_member(range, "since_s"));
	else
		printf(": %s", what);
	putchar('\n');
}

/* A daemon of another version may not have the key. */
static void range_lines(JsonNode *stats, const char *key, const char *what)
{
	JsonObject *object = json_node_get_object(stats);
	JsonArray *array = json_object_has_member(object, key) ?
		json_object_get_array_member(object, key) : NULL;
	unsigned count = array ? json_array_get_length(array) : 0;

	for (unsigned i = 0; i < MIN(count, RANGES_SHOWN); i++)
		range_line(what, json_array_get_object_element(array, i));
	if (count > RANGES_SHOWN)
		printf("%-18s and more: 'wbfs status --json' lists them\n", "");
}

static void problem_lines(JsonNode *stats)
{
	uint64_t bad = wb_client_number(stats, "bad_blocks");
	uint64_t refused = wb_client_number(stats, "writeback_error_blocks");

	if (bad)
		printf("%-18s %" PRIu64 " blocks of the newest data cannot be read from the cache; "
		       "write or discard them as a whole\n", "lost", bad);
	range_lines(stats, "bad_ranges", "cannot be read");
	if (refused)
		printf("%-18s the backing does not take %" PRIu64 " blocks; they stay in the cache\n",
		       "refused", refused);
	range_lines(stats, "writeback_error_ranges", "refused");
	if (!strcmp(wb_client_text(stats, "writeback_state"), "paused"))
		printf("%-18s paused after errors, next try in %.1f s%s\n", "writeback",
		       (double)wb_client_number(stats, "writeback_retry_ms") / 1000.0,
		       wb_client_number(stats, "waiting_requests") ?
		       "; writers wait for room in the cache" : "");
	else if (has_cache(stats))
		printf("%-18s %s: %s\n", "writeback", wb_client_text(stats, "writeback_state"),
		       wb_client_text(stats, "writeback_reason"));
}

static void space_line(JsonNode *stats)
{
	const char *state = wb_client_text_in(stats, "backing_space", "state");
	char free_text[WB_SIZE_TEXT_BYTES], needed[WB_SIZE_TEXT_BYTES];

	if (strcmp(state, "low") && strcmp(state, "full"))
		return;
	printf("%-18s %s: %s free on its filesystem, dirty data may need %s; free some space\n",
	       "backing space", state,
	       wb_size_format(wb_client_number_in(stats, "backing_space", "free_bytes"),
			      free_text),
	       wb_size_format(wb_client_number_in(stats, "backing_space", "needed_bytes"),
			      needed));
}

static void print_status(const char *mount_point, JsonNode *stats)
{
	printf("%-18s %s/disk\n", "image", mount_point);
	printf("%-18s %s%s\n", "state", wb_client_text(stats, "state"),
	       wb_client_bool(stats, "read_only") ? ", read only" : "");
	size_line("image size", wb_client_number(stats, "image_bytes"));
	if (has_cache(stats)) {
		disk_line("cache", stats, "cache");
		disk_line("backing", stats, "backing");
		dirty_line(stats);
		segments_line(stats);
	} else {
		line("cache", "none: what it held that the backing lacks is missing");
		disk_line("backing", stats, "backing");
	}
	read_line(stats);
	written_lines(stats);
	size_line("RAM buffer", wb_client_number(stats, "ram_buffer_bytes"));
	problem_lines(stats);
	space_line(stats);
	errors_line(stats);
	printf("%-18s pid %" PRIu64 ", memory %s\n", "daemon",
	       wb_client_number(stats, "worker_pid"),
	       wb_client_bool(stats, "memory_locked") ? "locked" : "not locked");
	line("uuid", wb_client_text(stats, "uuid"));
}

static int show_one(const struct wb_options *options)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *mount_point = wb_mount_table_resolve(options->argument, &error);
	g_autofree char *text = mount_point ? wb_client_read_stats(mount_point, &error) : NULL;
	g_autoptr(JsonNode) stats = NULL;

	if (!text)
		return wb_report(error);
	if (options->json) {
		fputs(text, stdout);
		return WB_EXIT_DONE;
	}
	stats = wb_client_get_stats(mount_point, &error);
	if (!stats)
		return wb_report(error);
	print_status(mount_point, stats);
	return WB_EXIT_DONE;
}

/* --- all volumes ----------------------------------------------------------------------- */

static void print_short(const char *mount_point)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(JsonNode) stats = wb_client_get_stats(mount_point, &error);
	char dirty[WB_SIZE_TEXT_BYTES];

	if (!stats) {
		bool is_dead = g_error_matches(error, WB_COMMAND_ERROR,
					       WB_COMMAND_ERROR_DEAD_MOUNT);

		printf("%s  %s\n", mount_point,
		       is_dead ? "dead ('wbfs umount' it, then mount it again)" :
				 error->message);
		return;
	}
	if (!has_cache(stats)) {
		printf("%s  %s, backing %s\n", mount_point, wb_client_text(stats, "state"),
		       wb_client_text_in(stats, "backing", "path"));
		return;
	}
	printf("%s  %s, %s dirty, cache %s, backing %s\n", mount_point,
	       wb_client_text(stats, "state"),
	       wb_size_format(wb_client_number(stats, "dirty_blocks") * BLOCK_BYTES, dirty),
	       wb_client_text_in(stats, "cache", "path"),
	       wb_client_text_in(stats, "backing", "path"));
}

/* A mount that gives no answer is an object with its place and state "dead". */
static JsonNode *stats_or_dead(const char *mount_point)
{
	JsonNode *stats = wb_client_get_stats(mount_point, NULL);
	JsonObject *object;

	if (stats)
		return stats;
	object = json_object_new();
	json_object_set_string_member(object, "state", "dead");
	json_object_set_string_member(object, "mount_point", mount_point);
	stats = json_node_init_object(json_node_alloc(), object);
	json_object_unref(object);
	return stats;
}

static void print_json_list(const GPtrArray *list)
{
	g_autoptr(JsonArray) array = json_array_new();
	g_autoptr(JsonNode) node = json_node_init_array(json_node_alloc(), array);
	g_autofree char *text = NULL;

	for (unsigned i = 0; i < list->len; i++)
		json_array_add_element(array, stats_or_dead(list->pdata[i]));
	text = json_to_string(node, TRUE);
	puts(text);
}

static int show_all(const struct wb_options *options)
{
	g_autoptr(GPtrArray) list = wb_mount_table_list();

	if (options->json)
		print_json_list(list);
	else if (!list->len)
		puts("no wbfs volume is mounted");
	else
		for (unsigned i = 0; i < list->len; i++)
			print_short(list->pdata[i]);
	return WB_EXIT_DONE;
}

int wb_cmd_status(const struct wb_options *options)
{
	return options->argument ? show_one(options) : show_all(options);
}
