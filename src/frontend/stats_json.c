/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "frontend/stats_json.h"

#include <json-glib/json-glib.h>

#include "base/lock.h"

void wb_uuid_format(const uint8_t uuid[16], char text[WB_UUID_TEXT_BYTES])
{
	static const char digits[] = "0123456789abcdef";
	char *p = text;

	for (unsigned i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		*p++ = digits[uuid[i] >> 4];
		*p++ = digits[uuid[i] & 15];
	}
	*p = '\0';
}

static void set_number(JsonObject *object, const char *key, uint64_t value)
{
	json_object_set_int_member(object, key, (gint64)value);
}

/* A message may quote a path, and a path may be any bytes; JSON may not. */
static void set_text(JsonObject *object, const char *key, const char *text)
{
	g_autofree char *valid = g_utf8_make_valid(text, -1);

	json_object_set_string_member(object, key, valid);
}

static JsonObject *disk_object(const struct wb_disk_facts *disk, uint64_t size_bytes)
{
	JsonObject *object = json_object_new();
	const char *kind = disk->is_remote ? "nbd" : disk->is_block_device ? "device" : "file";
	const char *io = disk->is_direct ? "direct" : "buffered";
	bool is_there = *disk->path;

	set_text(object, "path", disk->path);
	json_object_set_string_member(object, "kind", is_there ? kind : "none");
	json_object_set_string_member(object, "io", is_there ? io : "none");
	set_text(object, "buffered_reason", disk->buffered_reason ? disk->buffered_reason : "");
	set_number(object, "size_bytes", size_bytes);
	set_number(object, "alignment_bytes", disk->alignment_bytes);
	return object;
}

static void add_mount(JsonObject *root, const struct wb_stats_view *view)
{
	const struct wb_mount_facts *facts = view->facts;
	char text[WB_UUID_TEXT_BYTES];

	wb_uuid_format(view->uuid, text);
	json_object_set_string_member(root, "version", facts->version);
	set_number(root, "worker_pid", (uint64_t)facts->worker_pid);
	json_object_set_string_member(root, "uuid", text);
	set_text(root, "mount_point", facts->mount_point);
	json_object_set_object_member(root, "cache", disk_object(&facts->cache,
								 facts->cache.size_bytes));
	/* It may have grown since. */
	json_object_set_object_member(root, "backing",
				      disk_object(&facts->backing, view->snapshot.backing_bytes));
	set_text(root, "transport", facts->transport ? facts->transport : "");
	set_text(root, "transport_reason",
		 facts->transport_reason ? facts->transport_reason : "");
	json_object_set_boolean_member(root, "read_only", facts->is_read_only);
	json_object_set_boolean_member(root, "memory_locked", facts->memory_locked);
	json_object_set_boolean_member(root, "io_flusher", facts->io_flusher);
	json_object_set_boolean_member(root, "oom_protected", facts->oom_protected);
	set_number(root, "ram_buffer_bytes", facts->ram_buffer_bytes);
}

static void set_ms(JsonObject *object, const char *key, int64_t ns)
{
	json_object_set_double_member(object, key, (double)(ns / 1000) / 1000.0);
}

static void add_keeper(JsonObject *root, const struct wb_keeper_facts *keeper)
{
	JsonObject *object = json_object_new();

	set_number(object, "pid", (uint64_t)keeper->pid);
	set_number(object, "version", keeper->version);
	set_text(object, "refusal", keeper->refusal ? keeper->refusal : "");
	set_number(object, "worker_restarts", keeper->restarts);
	set_text(object, "last_cause", keeper->last_cause);
	set_ms(object, "last_pause_ms", keeper->last_pause_ns);
	set_ms(object, "longest_pause_ms", keeper->longest_pause_ns);
	set_ms(object, "all_pauses_ms", keeper->all_pauses_ns);
	set_number(object, "upgrades_asked", keeper->upgrades_asked);
	set_number(object, "upgrades_done", keeper->upgrades_done);
	set_number(object, "upgrades_failed", keeper->upgrades_failed);
	set_text(object, "upgrade_problem", keeper->upgrade_problem);
	json_object_set_object_member(root, "keeper", object);
}

static void add_ring(JsonObject *root, const struct wb_stats_snapshot *s)
{
	JsonObject *segments = json_object_new();

	set_number(segments, "total", s->segments_total);
	set_number(segments, "free", s->segments_free);
	set_number(segments, "dirty", s->segments_dirty);
	json_object_set_object_member(root, "segments", segments);
	set_number(root, "bad_segments", s->bad_segments);

	set_number(root, "image_bytes", s->image_bytes);
	set_number(root, "cache_blocks", s->cache_blocks);
	set_number(root, "dirty_blocks", s->dirty_blocks);
	set_number(root, "cached_blocks", s->cached_blocks);
	set_number(root, "pending_discards", s->pending_discards);
	set_number(root, "segment_bytes", s->segment_bytes);
	set_number(root, "head_segment", s->head_segment);
	set_number(root, "tail_segment", s->tail_segment);
	set_number(root, "head_sequence", s->head_sequence);
	set_number(root, "durable_sequence", s->durable_sequence);
	set_number(root, "tail_sequence", s->tail_sequence);
	set_number(root, "epoch", s->epoch);
	set_number(root, "ram_buffers_total", s->ram_buffers_total);
	set_number(root, "ram_buffers_free", s->ram_buffers_free);
	set_number(root, "recovered_records", s->recovered_records);
	set_number(root, "recovered_dirty_blocks", s->recovered_dirty_blocks);
	set_number(root, "recovered_short_bytes", s->recovered_short_bytes);
	json_object_set_boolean_member(root, "from_checkpoint", s->is_from_checkpoint);
}

static void add_verbs(JsonObject *root, const struct wb_stats_snapshot *s)
{
	set_number(root, "flushes_asked", s->flushes_asked);
	set_number(root, "flushes_done", s->flushes_done);
	set_number(root, "flushes_failed", s->flushes_failed);
	json_object_set_boolean_member(root, "draining", s->draining);
	set_number(root, "drains_asked", s->drains_asked);
	set_number(root, "drains_done", s->drains_done);
	set_number(root, "drains_failed", s->drains_failed);
	set_number(root, "resizes_asked", s->resizes_asked);
	set_number(root, "resizes_done", s->resizes_done);
	set_number(root, "resizes_failed", s->resizes_failed);
}

static void add_scrub(JsonObject *root, const struct wb_stats_snapshot *s)
{
	JsonObject *scrub = json_object_new();

	json_object_set_boolean_member(scrub, "running", s->scrub.is_running);
	set_number(scrub, "done_segments", s->scrub.done_segments);
	set_number(scrub, "checked_blocks", s->scrub.checked_blocks);
	set_number(scrub, "repaired_blocks", s->scrub.repaired_blocks);
	set_number(scrub, "lost_blocks", s->scrub.lost_blocks);
	set_number(scrub, "bad_headers", s->scrub.bad_headers);
	json_object_set_object_member(root, "scrub", scrub);
	set_number(root, "scrubs_asked", s->scrubs_asked);
	set_number(root, "scrubs_done", s->scrubs_done);
	set_number(root, "scrubs_failed", s->scrubs_failed);
}

static JsonArray *ranges_array(const struct wb_stats_ranges *ranges)
{
	JsonArray *array = json_array_new();

	for (unsigned i = 0; i < ranges->count; i++) {
		const struct wb_stats_range *range = &ranges->range[i];
		JsonObject *object = json_object_new();

		set_number(object, "start", range->start_bytes);
		set_number(object, "length", range->length_bytes);
		if (range->error) {
			set_text(object, "error", g_strerror(-range->error));
			set_number(object, "since_s", range->age_s);
		}
		json_array_add_object_element(array, object);
	}
	return array;
}

static JsonObject *load_object(const struct wb_backing_load *load)
{
	JsonObject *object = json_object_new();

	json_object_set_string_member(object, "source", wb_backing_load_source_name(load));
	set_text(object, "disk", load->disk);
	set_number(object, "busy_percent", load->busy_percent);
	set_number(object, "others_percent", load->others_percent);
	return object;
}

static JsonObject *line_object(const struct wb_backing_line *line)
{
	JsonObject *object = json_object_new();

	json_object_set_string_member(object, "state", wb_backing_line_name(line));
	set_number(object, "unreachable_since", line->away_since_s);
	set_number(object, "breaks", line->breaks);
	set_number(object, "connections", line->connections);
	set_text(object, "problem", line->problem);
	return object;
}

static void add_problems(JsonObject *root, const struct wb_stats_snapshot *s)
{
	JsonObject *space = json_object_new();

	set_number(root, "bad_blocks", s->bad_ranges.blocks);
	json_object_set_array_member(root, "bad_ranges", ranges_array(&s->bad_ranges));
	json_object_set_string_member(root, "writeback_state",
				      wb_writeback_state_name(s->writeback_state));
	set_text(root, "writeback_reason", s->writeback_reason);
	if (s->writeback_resumes_in_s == WB_STATS_UNKNOWN)
		json_object_set_null_member(root, "writeback_resumes_in_s");
	else
		set_number(root, "writeback_resumes_in_s", s->writeback_resumes_in_s);
	set_number(root, "writeback_retry_ms", s->retry_in_ms);
	set_number(root, "writeback_error_blocks", s->refused_ranges.blocks);
	json_object_set_array_member(root, "writeback_error_ranges",
				     ranges_array(&s->refused_ranges));
	set_number(root, "waiting_requests", s->waiting_requests);
	json_object_set_boolean_member(root, "reads_go_first", s->reads_go_first);
	set_number(root, "writeback_depth", s->writeback_depth);
	set_number(root, "writeback_io_bytes", s->writeback_io_bytes);
	set_number(root, "slowed_writers", s->slowed_writers);
	set_number(root, "write_limit_bytes_per_s", s->write_limit_bytes_per_s);
	json_object_set_string_member(space, "state", wb_backing_space_name(&s->backing_space));
	set_number(space, "free_bytes", s->backing_space.free_bytes);
	set_number(space, "needed_bytes", s->backing_space.needed_bytes);
	json_object_set_object_member(root, "backing_space", space);
	json_object_set_object_member(root, "backing_line", line_object(&s->backing_line));
	json_object_set_object_member(root, "backing_load", load_object(&s->backing_load));
	json_object_set_string_member(root, "discard_cache_state",
				      wb_discard_state_name(s->discard_state));
}

static void add_counters(JsonObject *root, const struct wb_stats_snapshot *s)
{
	for (unsigned i = 0; i < WB_STAT_COUNT; i++)
		set_number(root, wb_stat_name(i), s->counter[i]);
}

/* Of the whole process, also of locks that no cache knows. */
static void add_lock_waits(JsonObject *root)
{
	JsonArray *array = json_array_new();

	for (unsigned rank = 0; rank < WB_RANK_COUNT; rank++) {
		struct wb_lock_waits waits;
		JsonObject *object;

		wb_lock_get_waits(rank, &waits);
		if (waits.count == 0)
			continue;
		object = json_object_new();
		json_object_set_string_member(object, "lock", wb_lock_rank_name(rank));
		set_number(object, "count", waits.count);
		set_number(object, "ns", waits.ns);
		json_array_add_object_element(array, object);
	}
	json_object_set_array_member(root, "lock_waits", array);
}

/* --- reads ------------------------------------------------------------------------ */

static void set_percent(JsonObject *object, const char *name, double percent)
{
	if (percent < 0)
		json_object_set_null_member(object, name);
	else
		json_object_set_double_member(object, name, percent);
}

static void add_reads(JsonObject *root, const struct wb_read_keeping *reads)
{
	JsonObject *object = json_object_new();

	json_object_set_boolean_member(object, "on", reads->is_on);
	json_object_set_string_member(object, "state", reads->state);
	json_object_set_string_member(object, "plan", reads->plan);
	set_number(object, "bytes_per_s", reads->bytes_per_s);
	if (reads->left_bytes == WB_STATS_UNKNOWN)
		json_object_set_null_member(object, "budget_left");
	else
		set_number(object, "budget_left", reads->left_bytes);
	set_percent(object, "hit_percent_half", reads->at_half);
	set_percent(object, "hit_percent_same", reads->at_same);
	set_percent(object, "hit_percent_double", reads->at_double);
	set_percent(object, "hit_percent_fourfold", reads->at_fourfold);
	json_object_set_object_member(root, "read_cache", object);
}

/* --- rates and times -------------------------------------------------------------- */

/* Without an answer null, not a number that somebody would believe. */
static void add_rates(JsonObject *root, const struct wb_stats_snapshot *s)
{
	double amplification = wb_stats_amplification(s);

	set_number(root, "oldest_dirty_s", s->oldest_dirty_s);
	set_number(root, "writeback_bytes_per_s", s->writeback_bytes_per_s);
	if (s->clean_in_s == WB_STATS_UNKNOWN)
		json_object_set_null_member(root, "clean_in_s");
	else
		set_number(root, "clean_in_s", s->clean_in_s);
	if (amplification < 0)
		json_object_set_null_member(root, "ssd_write_amplification");
	else
		json_object_set_double_member(root, "ssd_write_amplification", amplification);
}

static void add_lifetime(JsonObject *root, const struct wb_stats_snapshot *s)
{
	JsonObject *object = json_object_new();

	for (unsigned i = 0; i < WB_LIFETIME_COUNT; i++)
		set_number(object, wb_lifetime_name(i), s->lifetime[i]);
	json_object_set_object_member(root, "lifetime", object);
}

static JsonArray *numbers_array(const uint64_t *numbers, unsigned count)
{
	JsonArray *array = json_array_new();

	for (unsigned i = 0; i < count; i++)
		json_array_add_int_element(array, (gint64)numbers[i]);
	return array;
}

static JsonObject *latency_object(const struct wb_latency_summary *latency)
{
	JsonObject *object = json_object_new();

	set_number(object, "count", latency->count);
	set_number(object, "sum_ns", latency->sum_ns);
	set_number(object, "p50_ns", latency->p50_ns);
	set_number(object, "p90_ns", latency->p90_ns);
	set_number(object, "p99_ns", latency->p99_ns);
	set_number(object, "p999_ns", latency->p999_ns);
	set_number(object, "max_ns", latency->max_ns);
	json_object_set_array_member(object, "below",
				     numbers_array(latency->below, WB_LATENCY_BOUNDS));
	return object;
}

static void add_latencies(JsonObject *root, const struct wb_stats_view *view)
{
	JsonObject *object = json_object_new();

	for (unsigned i = 0; i < WB_LATENCY_COUNT; i++)
		json_object_set_object_member(object, wb_latency_name(i),
					      latency_object(&view->latency[i]));
	json_object_set_object_member(root, "latency", object);
	json_object_set_array_member(root, "latency_bounds_ns",
				     numbers_array(wb_latency_bounds_ns, WB_LATENCY_BOUNDS));
}

static void set_tunable_text(JsonObject *object, const struct wb_tunable *tunable,
			     const struct wb_tunables *tunables)
{
	g_autoptr(GString) text = g_string_new(NULL);

	wb_tunable_append(tunable, tunables, text);
	set_text(object, tunable->name, text->str);
}

static void add_tunables(JsonObject *root, const struct wb_tunables *tunables)
{
	JsonObject *object = json_object_new();

	for (unsigned i = 0; i < wb_tunables_count; i++) {
		const struct wb_tunable *tunable = &wb_tunables_table[i];
		const void *field = (const char *)tunables + tunable->offset;

		switch (tunable->type) {
		case WB_TUNABLE_ON_OFF:
			json_object_set_boolean_member(object, tunable->name,
						       *(const bool *)field);
			break;
		case WB_TUNABLE_NUMBER:
			set_number(object, tunable->name, *(const uint32_t *)field);
			break;
		case WB_TUNABLE_CHOICE:
		case WB_TUNABLE_SCHEDULE:
			set_tunable_text(object, tunable, tunables);
			break;
		case WB_TUNABLE_RANGE: {
			g_autoptr(GString) text = g_string_new(NULL);

			wb_tunable_append(tunable, tunables, text);
			set_text(object, tunable->name, text->str);
			break;
		}
		}
	}
	json_object_set_object_member(root, "tunables", object);
}

static void append_object(GString *text, JsonObject *root)
{
	g_autoptr(JsonGenerator) generator = json_generator_new();
	JsonNode *node = json_node_init_object(json_node_alloc(), root);

	json_generator_set_root(generator, node);
	json_generator_set_pretty(generator, TRUE);
	json_generator_to_gstring(generator, text);
	g_string_append_c(text, '\n');
	json_node_unref(node);
}

JsonObject *wb_stats_json_object(const struct wb_stats_view *view)
{
	const struct wb_stats_snapshot *snapshot = &view->snapshot;
	JsonObject *root = json_object_new();

	json_object_set_string_member(root, "state", wb_cache_state_name(snapshot->state));
	json_object_set_string_member(root, "cache_mode", snapshot->cache_mode);
	set_text(root, "last_error", snapshot->last_error);
	add_mount(root, view);
	add_keeper(root, &view->keeper);
	add_tunables(root, &view->tunables);
	add_ring(root, snapshot);
	set_text(root, "ring", view->ring);
	add_problems(root, snapshot);
	add_verbs(root, snapshot);
	add_scrub(root, snapshot);
	add_counters(root, snapshot);
	add_lock_waits(root);
	add_rates(root, snapshot);
	add_reads(root, &snapshot->reads);
	add_latencies(root, view);
	add_lifetime(root, snapshot);
	return root;
}

void wb_stats_json_append(GString *text, const struct wb_stats_view *view)
{
	JsonObject *root = wb_stats_json_object(view);

	append_object(text, root);
	json_object_unref(root);
}
