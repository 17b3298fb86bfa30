/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/status_text.h"

#include <inttypes.h>
#include <string.h>

#include "cmd/client.h"
#include "cmd/size_parse.h"

#define BLOCK_BYTES 4096u
#define RANGES_SHOWN 8u

enum colour { PLAIN, GOOD, WARNING, BAD };

struct output {
	GString *text;
	enum wb_status_style style;
};

static void G_GNUC_PRINTF(4, 5) row(struct output *out, enum colour colour, const char *label,
				    const char *format, ...)
{
	static const char *const codes[] = { "", "\033[32m", "\033[33m", "\033[31m" };
	bool is_coloured = colour != PLAIN && out->style == WB_STATUS_COLOURED;
	va_list args;

	g_string_append_printf(out->text, "%-18s %s", label, is_coloured ? codes[colour] : "");
	va_start(args, format);
	g_string_append_vprintf(out->text, format, args);
	va_end(args);
	g_string_append(out->text, is_coloured ? "\033[0m\n" : "\n");
}

static void size_row(struct output *out, const char *label, uint64_t bytes)
{
	char text[WB_SIZE_TEXT_BYTES];

	row(out, PLAIN, label, "%s", wb_size_format(bytes, text));
}

static bool has_cache(JsonNode *stats)
{
	return *wb_client_text_in(stats, "cache", "path");
}

/* --- the volume ------------------------------------------------------------------- */

static void state_row(struct output *out, JsonNode *stats)
{
	const char *state = wb_client_text(stats, "state");
	enum colour colour = !strcmp(state, "running") ? GOOD :
			     !strcmp(state, "cache-failed") ? BAD : WARNING;

	row(out, colour, "state", "%s%s", state,
	    wb_client_bool(stats, "read_only") ? ", read only" : "");
}

static void disk_row(struct output *out, JsonNode *stats, const char *disk)
{
	char size[WB_SIZE_TEXT_BYTES];
	const char *reason = wb_client_text_in(stats, disk, "buffered_reason");

	row(out, PLAIN, disk, "%s (%s, %s, %s%s%s)", wb_client_text_in(stats, disk, "path"),
	    wb_client_text_in(stats, disk, "kind"),
	    wb_size_format(wb_client_number_in(stats, disk, "size_bytes"), size),
	    wb_client_text_in(stats, disk, "io"), *reason ? ": " : "", reason);
}

static bool is_known(JsonNode *stats, const char *key)
{
	JsonObject *object = json_node_get_object(stats);

	return json_object_has_member(object, key) && !json_object_get_null_member(object, key);
}

static void age_row(struct output *out, JsonNode *stats)
{
	char rate[WB_SIZE_TEXT_BYTES];
	g_autofree char *clean = NULL;

	if (wb_client_number(stats, "dirty_blocks") == 0)
		return;
	if (is_known(stats, "clean_in_s"))
		clean = g_strdup_printf("; clean in %" PRIu64 " s at %s/s",
					wb_client_number(stats, "clean_in_s"),
					wb_size_format(wb_client_number(stats,
							"writeback_bytes_per_s"), rate));
	row(out, PLAIN, "  oldest", "%" PRIu64 " s%s",
	    wb_client_number(stats, "oldest_dirty_s"), clean ? clean : "");
}

static void dirty_rows(struct output *out, JsonNode *stats)
{
	uint64_t dirty = wb_client_number(stats, "dirty_blocks");
	uint64_t blocks = wb_client_number(stats, "cache_blocks");
	double percent = blocks ? 100.0 * (double)dirty / (double)blocks : 0.0;
	char size[WB_SIZE_TEXT_BYTES];

	row(out, percent >= 80 ? WARNING : PLAIN, "dirty",
	    "%" PRIu64 " of %" PRIu64 " blocks (%s, %.1f %%)%s", dirty, blocks,
	    wb_size_format(dirty * BLOCK_BYTES, size), percent,
	    wb_client_bool(stats, "draining") ? ", draining" : "");
	age_row(out, stats);
	row(out, PLAIN, "segments", "%" PRIu64 " of %s: %" PRIu64 " free, %" PRIu64 " dirty",
	    wb_client_number_in(stats, "segments", "total"),
	    wb_size_format(wb_client_number(stats, "segment_bytes"), size),
	    wb_client_number_in(stats, "segments", "free"),
	    wb_client_number_in(stats, "segments", "dirty"));
}

/* Only where it is something special. */
static void transport_row(struct output *out, JsonNode *stats)
{
	const char *transport = wb_client_text(stats, "transport");
	const char *reason = wb_client_text(stats, "transport_reason");

	if (*reason)
		row(out, WARNING, "transport", "%s; not over io_uring: %s", transport, reason);
	else if (!strcmp(transport, "io_uring"))
		row(out, PLAIN, "transport", "FUSE over io_uring");
}

/* Of one that nobody keeps there is nothing to say. */
static void keeper_row(struct output *out, JsonNode *stats)
{
	const char *refusal = wb_client_text_in(stats, "keeper", "refusal");
	uint64_t pid = wb_client_number_in(stats, "keeper", "pid");
	uint64_t restarts = wb_client_number_in(stats, "keeper", "worker_restarts");

	if (pid && *refusal)
		row(out, WARNING, "keeper", "pid %" PRIu64 ", but should the daemon die, users get "
		    "errors: %s", pid, refusal);
	else if (pid)
		row(out, PLAIN, "keeper", "pid %" PRIu64, pid);
	if (restarts)
		row(out, WARNING, "restarts", "%" PRIu64 ", the last after the daemon %s; away for "
		    "%.0f ms, at most %.0f ms", restarts,
		    wb_client_text_in(stats, "keeper", "last_cause"),
		    wb_client_double_in(stats, "keeper", "last_pause_ms"),
		    wb_client_double_in(stats, "keeper", "longest_pause_ms"));
}

/* --- what was done ------------------------------------------------------------------ */

/* Of "read" or "write": all blocks, those found in RAM, and on the SSD. */
static void count_hits(JsonNode *stats, const char *op, uint64_t *all, uint64_t *ram,
		       uint64_t *ssd)
{
	static const char *const parts[] = { "full", "partial" };

	*all = *ram = *ssd = 0;
	for (unsigned i = 0; i < G_N_ELEMENTS(parts); i++) {
		g_autofree char *in_ram = g_strdup_printf("%s_hit_ram_%s", op, parts[i]);
		g_autofree char *on_ssd = g_strdup_printf("%s_hit_ssd_%s", op, parts[i]);
		g_autofree char *missed = g_strdup_printf("%s_miss_hdd_%s", op, parts[i]);

		*ram += wb_client_number(stats, in_ram);
		*ssd += wb_client_number(stats, on_ssd);
		*all += wb_client_number(stats, missed);
	}
	*all += *ram + *ssd;
}

static void hits_row(struct output *out, JsonNode *stats, const char *op)
{
	uint64_t all, ram, ssd;

	count_hits(stats, op, &all, &ram, &ssd);
	if (all > 0)
		row(out, PLAIN, "  hits", "%.1f %% of %" PRIu64 " blocks (%.1f %% in RAM)",
		    100.0 * (double)(ram + ssd) / (double)all, all,
		    100.0 * (double)ram / (double)all);
}

/* What read_cache does, and what a cache of another size would do. */
static void keeping_rows(struct output *out, JsonNode *stats)
{
	char kept[WB_SIZE_TEXT_BYTES], rate[WB_SIZE_TEXT_BYTES], left[WB_SIZE_TEXT_BYTES];
	g_autofree char *budget = NULL;

	if (!strcmp(wb_client_text_in(stats, "read_cache", "plan"), "none") ||
	    !is_known(stats, "read_cache"))
		return;
	if (wb_client_percent_in(stats, "read_cache", "budget_left") >= 0)
		budget = g_strdup_printf(", %s of the day's budget left",
			wb_size_format(wb_client_number_in(stats, "read_cache", "budget_left"),
				       left));
	row(out, PLAIN, "  kept", "%s, %s a second now%s",
	    wb_size_format((wb_client_number(stats, "filled_blocks") +
			    wb_client_number(stats, "second_chance_blocks")) * 4096, kept),
	    wb_size_format(wb_client_number_in(stats, "read_cache", "bytes_per_s"), rate),
	    budget ? budget : "");
	if (!strcmp(wb_client_text_in(stats, "read_cache", "state"), "stopped"))
		row(out, WARNING, "  keeping", "stopped until the next mount: a flush of the backing "
		    "failed, and what can be read of it may not be there after a power cut");
	if (wb_client_percent_in(stats, "read_cache", "hit_percent_half") >= 0)
		row(out, PLAIN, "  what if", "%.0f %% hits with half the cache, %.0f %% with this "
		    "one, %.0f %% with twice, %.0f %% with four times as much",
		    wb_client_percent_in(stats, "read_cache", "hit_percent_half"),
		    wb_client_percent_in(stats, "read_cache", "hit_percent_same"),
		    wb_client_percent_in(stats, "read_cache", "hit_percent_double"),
		    wb_client_percent_in(stats, "read_cache", "hit_percent_fourfold"));
}

static void read_rows(struct output *out, JsonNode *stats)
{
	char total[WB_SIZE_TEXT_BYTES], ram[WB_SIZE_TEXT_BYTES], cache[WB_SIZE_TEXT_BYTES],
		backing[WB_SIZE_TEXT_BYTES];

	row(out, PLAIN, "read", "%s: %s from RAM, %s from the cache, %s from the backing",
	    wb_size_format(wb_client_number(stats, "read_bytes"), total),
	    wb_size_format(wb_client_number(stats, "read_ram_bytes"), ram),
	    wb_size_format(wb_client_number(stats, "read_cache_bytes"), cache),
	    wb_size_format(wb_client_number(stats, "read_backing_bytes"), backing));
	hits_row(out, stats, "read");
	keeping_rows(out, stats);
}

static void written_rows(struct output *out, JsonNode *stats)
{
	char size[WB_SIZE_TEXT_BYTES], life[WB_SIZE_TEXT_BYTES];
	g_autofree char *around = NULL;

	size_row(out, "written", wb_client_number(stats, "written_bytes"));
	hits_row(out, stats, "write");
	row(out, PLAIN, "  to the cache", "%s written, %" PRIu64 " device flushes; %s in its life",
	    wb_size_format(wb_client_number(stats, "ssd_bytes_written"), size),
	    wb_client_number(stats, "flushes"),
	    wb_size_format(wb_client_number_in(stats, "lifetime", "ssd_bytes_written"), life));
	if (is_known(stats, "bypassed_bytes") && wb_client_number(stats, "bypassed_bytes") > 0)
		around = g_strdup_printf(", %s of it around the cache",
			wb_size_format(wb_client_number(stats, "bypassed_bytes"), size));
	row(out, PLAIN, "  to the backing", "%s written in %" PRIu64 " writes%s",
	    wb_size_format(wb_client_number(stats, "backing_bytes_written"), size),
	    wb_client_number(stats, "backing_writes"), around ? around : "");
}

/* Only where somebody asked for it. */
static void discard_row(struct output *out, JsonNode *stats)
{
	uint64_t failures = wb_client_number(stats, "cache_discard_failures");
	uint64_t bytes = wb_client_number(stats, "cache_discarded_bytes");
	const char *state = wb_client_text(stats, "discard_cache_state");
	g_autofree char *failed = NULL;
	char size[WB_SIZE_TEXT_BYTES];

	if (!strcmp(state, "unsupported"))
		row(out, WARNING, "  discards", "not supported by the cache's disk");
	if (strcmp(state, "on") && !bytes)
		return;
	if (failures)
		failed = g_strdup_printf(", %" PRIu64 " failed", failures);
	row(out, failures ? WARNING : PLAIN, "  discards", "%s on the cache's disk%s",
	    wb_size_format(bytes, size), failed ? failed : "");
}

static void append_time(GString *text, uint64_t ns)
{
	if (ns < 1000000)
		g_string_append_printf(text, " %6.1f us", (double)ns / 1e3);
	else if (ns < UINT64_C(1000000000))
		g_string_append_printf(text, " %6.1f ms", (double)ns / 1e6);
	else
		g_string_append_printf(text, " %6.1f s ", (double)ns / 1e9);
}

static void latency_row(struct output *out, const char *label, JsonObject *latency)
{
	static const char *const keys[] = { "p50_ns", "p90_ns", "p99_ns", "p999_ns", "max_ns" };

	if (json_object_get_int_member(latency, "count") == 0)
		return;
	g_string_append_printf(out->text, "  %-16s", label);
	for (unsigned i = 0; i < G_N_ELEMENTS(keys); i++)
		append_time(out->text, (uint64_t)json_object_get_int_member(latency, keys[i]));
	g_string_append_printf(out->text, " %12" G_GINT64_FORMAT "\n",
			       json_object_get_int_member(latency, "count"));
}

static void latency_rows(struct output *out, JsonNode *stats)
{
	static const struct { const char *key, *label; } kinds[] = {
		{ "write", "write" }, { "sync", "sync" }, { "discard", "discard" },
		{ "read_ram", "read from RAM" }, { "read_cache", "read from SSD" },
		{ "read_backing", "read from HDD" }, { "writeback", "writeback" },
	};
	JsonObject *root = json_node_get_object(stats), *all;

	/* A daemon of another version may not have it. */
	if (!json_object_has_member(root, "latency"))
		return;
	all = json_object_get_object_member(root, "latency");
	g_string_append_printf(out->text, "%-18s %9s %9s %9s %9s %9s %12s\n", "latencies", "p50",
			       "p90", "p99", "p99.9", "longest", "count");
	for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++)
		if (json_object_has_member(all, kinds[i].key))
			latency_row(out, kinds[i].label,
				    json_object_get_object_member(all, kinds[i].key));
}

/* --- what is wrong ------------------------------------------------------------------- */

static void error_rows(struct output *out, JsonNode *stats)
{
	const char *last = wb_client_text(stats, "last_error");
	uint64_t cache = wb_client_number(stats, "cache_errors");
	uint64_t backing = wb_client_number(stats, "backing_errors");
	uint64_t checksums = wb_client_number(stats, "checksum_errors");

	row(out, cache || backing || checksums ? BAD : PLAIN, "errors",
	    "%" PRIu64 " of the cache, %" PRIu64 " of the backing, %" PRIu64
	    " bad checksums (%" PRIu64 " repaired)", cache, backing, checksums,
	    wb_client_number(stats, "checksum_repaired"));
	if (wb_client_number(stats, "bad_segments") > 0)
		row(out, BAD, "bad places", "%" PRIu64 " segments of the cache cannot be written; "
		    "replace the disk", wb_client_number(stats, "bad_segments"));
	if (*last)
		row(out, BAD, "last error", "%s", last);
}

static void range_row(struct output *out, const char *what, JsonObject *range)
{
	uint64_t start = (uint64_t)json_object_get_int_member(range, "start");
	uint64_t length = (uint64_t)json_object_get_int_member(range, "length");

	if (json_object_has_member(range, "error"))
		row(out, BAD, "  image", "bytes %" PRIu64 " to %" PRIu64 ": %s, %" PRIu64
		    " s ago for the first time", start, start + length - 1,
		    json_object_get_string_member(range, "error"),
		    (uint64_t)json_object_get_int_member(range, "since_s"));
	else
		row(out, BAD, "  image", "bytes %" PRIu64 " to %" PRIu64 ": %s", start,
		    start + length - 1, what);
}

/* A daemon of another version may not have the key. */
static void range_rows(struct output *out, JsonNode *stats, const char *key, const char *what)
{
	JsonObject *object = json_node_get_object(stats);
	JsonArray *array = json_object_has_member(object, key) ?
		json_object_get_array_member(object, key) : NULL;
	unsigned count = array ? json_array_get_length(array) : 0;

	for (unsigned i = 0; i < MIN(count, RANGES_SHOWN); i++)
		range_row(out, what, json_array_get_object_element(array, i));
	if (count > RANGES_SHOWN)
		row(out, PLAIN, "", "and more: 'wbfs status --json' lists them");
}

static void problem_rows(struct output *out, JsonNode *stats)
{
	uint64_t bad = wb_client_number(stats, "bad_blocks");
	uint64_t refused = wb_client_number(stats, "writeback_error_blocks");

	if (bad)
		row(out, BAD, "lost", "%" PRIu64 " blocks of the newest data cannot be read from "
		    "the cache; write or discard them as a whole", bad);
	range_rows(out, stats, "bad_ranges", "cannot be read");
	if (refused)
		row(out, BAD, "refused", "the backing does not take %" PRIu64
		    " blocks; they stay in the cache", refused);
	range_rows(out, stats, "writeback_error_ranges", "refused");
}

/* A daemon of another version may not have it. */
static void mode_row(struct output *out, JsonNode *stats)
{
	const char *mode = is_known(stats, "cache_mode") ? wb_client_text(stats, "cache_mode") : "";

	if (!strcmp(mode, "writethrough"))
		row(out, PLAIN, "mode", "%s: what was synced is on the backing too", mode);
	else if (!strcmp(mode, "writearound"))
		row(out, PLAIN, "mode", "%s: writes go around the cache, to the backing", mode);
	else if (*mode)
		row(out, PLAIN, "mode", "%s", mode);
}

static void writeback_row(struct output *out, JsonNode *stats)
{
	if (!strcmp(wb_client_text(stats, "writeback_state"), "paused"))
		row(out, WARNING, "writeback", "paused after errors, next try in %.1f s%s",
		    (double)wb_client_number(stats, "writeback_retry_ms") / 1000.0,
		    wb_client_number(stats, "waiting_requests") ?
		    "; writers wait for room in the cache" : "");
	else if (has_cache(stats))
		row(out, PLAIN, "writeback", "%s: %s", wb_client_text(stats, "writeback_state"),
		    wb_client_text(stats, "writeback_reason"));
}

static void reads_row(struct output *out, JsonNode *stats)
{
	char size[WB_SIZE_TEXT_BYTES];

	if (is_known(stats, "reads_go_first") && wb_client_bool(stats, "reads_go_first"))
		row(out, PLAIN, "reads", "go first: writeback has at most %" PRIu64
		    " writes of %s at the disk", wb_client_number(stats, "writeback_depth"),
		    wb_size_format(wb_client_number(stats, "writeback_io_bytes"), size));
}

/* While there is room enough there is nothing to say. */
static void writers_row(struct output *out, JsonNode *stats)
{
	uint64_t limit = is_known(stats, "write_limit_bytes_per_s") ?
			 wb_client_number(stats, "write_limit_bytes_per_s") : 0;
	uint64_t waiting = wb_client_number(stats, "slowed_writers");
	char size[WB_SIZE_TEXT_BYTES];

	if (limit)
		row(out, WARNING, "writers", "slowed down to %s/s, because the cache is nearly "
		    "full of what is not written back; %" PRIu64 " wait for their turn",
		    wb_size_format(limit, size), waiting);
}

static void space_row(struct output *out, JsonNode *stats)
{
	const char *state = wb_client_text_in(stats, "backing_space", "state");
	char free_text[WB_SIZE_TEXT_BYTES], needed[WB_SIZE_TEXT_BYTES];

	if (strcmp(state, "low") && strcmp(state, "full"))
		return;
	row(out, !strcmp(state, "full") ? BAD : WARNING, "backing space",
	    "%s: %s free on its filesystem, dirty data may need %s; free some space", state,
	    wb_size_format(wb_client_number_in(stats, "backing_space", "free_bytes"), free_text),
	    wb_size_format(wb_client_number_in(stats, "backing_space", "needed_bytes"), needed));
}

static void line_row(struct output *out, JsonNode *stats)
{
	const char *problem = wb_client_text_in(stats, "backing_line", "problem");
	uint64_t since = wb_client_number_in(stats, "backing_line", "unreachable_since");
	g_autoptr(GDateTime) time = NULL;
	g_autofree char *text = NULL;

	if (strcmp(wb_client_text_in(stats, "backing_line", "state"), "unreachable"))
		return;
	time = g_date_time_new_from_unix_local((gint64)since);
	text = time ? g_date_time_format(time, "%F %T") : NULL;
	row(out, BAD, "backing", "unreachable since %s%s%s", text ? text : "?",
	    *problem ? ": " : "", problem);
}

void wb_status_text_append(GString *text, const char *mount_point, JsonNode *stats,
			   enum wb_status_style style)
{
	struct output out = { text, style };

	row(&out, PLAIN, "image", "%s/disk", mount_point);
	state_row(&out, stats);
	size_row(&out, "image size", wb_client_number(stats, "image_bytes"));
	if (has_cache(stats))
		disk_row(&out, stats, "cache");
	else
		row(&out, WARNING, "cache", "none: what it held that the backing lacks is missing");
	disk_row(&out, stats, "backing");
	line_row(&out, stats);
	if (has_cache(stats)) {
		mode_row(&out, stats);
		dirty_rows(&out, stats);
	}
	writeback_row(&out, stats);
	reads_row(&out, stats);
	writers_row(&out, stats);
	read_rows(&out, stats);
	written_rows(&out, stats);
	discard_row(&out, stats);
	latency_rows(&out, stats);
	size_row(&out, "RAM buffer", wb_client_number(stats, "ram_buffer_bytes"));
	problem_rows(&out, stats);
	space_row(&out, stats);
	error_rows(&out, stats);
	transport_row(&out, stats);
	row(&out, PLAIN, "daemon", "pid %" PRIu64 ", memory %s",
	    wb_client_number(stats, "worker_pid"),
	    wb_client_bool(stats, "memory_locked") ? "locked" : "not locked");
	keeper_row(&out, stats);
	row(&out, PLAIN, "uuid", "%s", wb_client_text(stats, "uuid"));
}
