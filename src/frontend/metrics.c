/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "frontend/metrics.h"

#include <inttypes.h>
#include <string.h>

#include "frontend/stats_json.h"

#define BLOCK_BYTES 4096u

struct output {
	GString *text;
	enum wb_metrics_format format;
	char *mount_point;	/* a label of every sample, escaped */
};

/* --- the parts of the format ------------------------------------------------------- */

/* A label may hold any UTF-8, but these three are written with a backslash. */
static char *escape_label(const char *value)
{
	g_autofree char *valid = g_utf8_make_valid(value, -1);
	GString *text = g_string_new(NULL);

	for (const char *c = valid; *c; c++) {
		if (*c == '\n')
			g_string_append(text, "\\n");
		else if (*c == '"' || *c == '\\')
			g_string_append_printf(text, "\\%c", *c);
		else
			g_string_append_c(text, *c);
	}
	return g_string_free(text, FALSE);
}

/* `unit` NULL, or the last word of the name. */
static void begin(struct output *output, const char *name, const char *type,
		  const char *unit, const char *help)
{
	bool is_counter = !strcmp(type, "counter");
	const char *suffix = is_counter && output->format == WB_METRICS_PROMETHEUS ? "_total" : "";

	g_string_append_printf(output->text, "# HELP wbfs_%s%s %s\n# TYPE wbfs_%s%s %s\n",
			       name, suffix, help, name, suffix, type);
	if (unit && output->format == WB_METRICS_OPENMETRICS)
		g_string_append_printf(output->text, "# UNIT wbfs_%s %s\n", name, unit);
}

/* `labels`: "kind=\"write\"" or "". */
static void begin_sample(struct output *output, const char *name, const char *suffix,
			 const char *labels)
{
	g_string_append_printf(output->text, "wbfs_%s%s{mount_point=\"%s\"%s%s} ", name, suffix,
			       output->mount_point, *labels ? "," : "", labels);
}

static void sample(struct output *output, const char *name, const char *suffix,
		   const char *labels, uint64_t value)
{
	begin_sample(output, name, suffix, labels);
	g_string_append_printf(output->text, "%" PRIu64 "\n", value);
}

static void sample_double(struct output *output, const char *name, const char *suffix,
			  const char *labels, double value)
{
	char number[G_ASCII_DTOSTR_BUF_SIZE];

	begin_sample(output, name, suffix, labels);
	g_string_append_printf(output->text, "%s\n",
			       g_ascii_formatd(number, sizeof number, "%.9g", value));
}

/* --- counters ------------------------------------------------------------------------ */

struct counter {
	enum wb_stat which;
	const char *name, *unit, *help;
};

static const struct counter counters[] = {
	{ WB_STAT_READ_REQUESTS, "read_requests", NULL, "Reads of users." },
	{ WB_STAT_WRITE_REQUESTS, "write_requests", NULL, "Writes of users." },
	{ WB_STAT_SYNC_REQUESTS, "sync_requests", NULL, "Syncs of users." },
	{ WB_STAT_DISCARD_REQUESTS, "discard_requests", NULL,
	  "Discards and zeroed ranges of users." },
	{ WB_STAT_READ_BYTES, "read_bytes", "bytes", "Read by users." },
	{ WB_STAT_WRITTEN_BYTES, "written_bytes", "bytes", "Written by users." },
	{ WB_STAT_DISCARDED_BYTES, "discarded_bytes", "bytes", "Discarded by users." },
	{ WB_STAT_READ_RAM_BYTES, "read_ram_bytes", "bytes", "Read by users from RAM buffers." },
	{ WB_STAT_READ_CACHE_BYTES, "read_cache_bytes", "bytes", "Read by users from the SSD." },
	{ WB_STAT_READ_BACKING_BYTES, "read_backing_bytes", "bytes",
	  "Read by users from the backing." },
	{ WB_STAT_SSD_WRITTEN_BYTES, "ssd_written_bytes", "bytes", "Written to the cache." },
	{ WB_STAT_SSD_WRITES, "ssd_writes", NULL, "Writes to the cache." },
	{ WB_STAT_SSD_READ_BYTES, "ssd_read_bytes", "bytes", "Read from the cache." },
	{ WB_STAT_SSD_FLUSHES, "ssd_flushes", NULL, "Device flushes of the cache." },
	{ WB_STAT_BACKING_WRITTEN_BYTES, "backing_written_bytes", "bytes",
	  "Written to the backing." },
	{ WB_STAT_BACKING_WRITES, "backing_writes", NULL, "Writes to the backing." },
	{ WB_STAT_BYPASSED_BYTES, "bypassed_bytes", "bytes",
	  "Bytes written to the backing around the cache." },
	{ WB_STAT_BYPASSED_WRITES, "bypassed_writes", NULL,
	  "Writes to the backing around the cache." },
	{ WB_STAT_BYPASSED_STREAMS, "bypassed_streams", NULL,
	  "Sequential streams recognised, to go around the cache." },
	{ WB_STAT_FILLED_BLOCKS, "filled_blocks", "blocks",
	  "Blocks that were read from the backing and kept." },
	{ WB_STAT_FILL_DROPPED_BLOCKS, "fill_dropped_blocks", "blocks",
	  "Blocks that were to be kept, and could not be." },
	{ WB_STAT_FILL_NO_ROOM_BLOCKS, "fill_no_room_blocks", "blocks",
	  "Of these, for want of room." },
	{ WB_STAT_FILL_BUSY_BLOCKS, "fill_busy_blocks", "blocks",
	  "Of these, because somebody worked on them." },
	{ WB_STAT_FILL_CHANGED_BLOCKS, "fill_changed_blocks", "blocks",
	  "Of these, because they had changed, or were kept already." },
	{ WB_STAT_FILL_NO_BUDGET_BLOCKS, "fill_no_budget_blocks", "blocks",
	  "Of these, because fill_budget was used up." },
	{ WB_STAT_FILL_UNFLUSHED_BLOCKS, "fill_unflushed_blocks", "blocks",
	  "Of these, because the backing had something that was not flushed." },
	{ WB_STAT_SECOND_CHANCE_BLOCKS, "second_chance_blocks", "blocks",
	  "Blocks written to the cache once more, because they were read." },
	{ WB_STAT_SECOND_CHANCE_DROPPED_BLOCKS, "second_chance_dropped_blocks", "blocks",
	  "Blocks that were to be, and fell out." },
	{ WB_STAT_BACKING_FLUSHES, "backing_flushes", NULL, "Device flushes of the backing." },
	{ WB_STAT_BACKING_ZEROED_BYTES, "backing_zeroed_bytes", "bytes",
	  "Zeroed or punched out of the backing." },
	{ WB_STAT_RECORDS, "records", NULL, "Records written to the log." },
	{ WB_STAT_MERGED_BLOCKS, "merged_blocks", "blocks",
	  "Blocks of which a write gave only a part." },
	{ WB_STAT_PARKED_REQUESTS, "parked_requests", NULL,
	  "Requests that had to wait for space." },
	{ WB_STAT_SLOWED_REQUESTS, "slowed_requests", NULL,
	  "Writes that had to wait for their turn, because the ring was nearly full." },
	{ WB_STAT_SLOWED_NS, "slowed_seconds", "seconds", "How long they waited, all together." },
	{ WB_STAT_LATE_READS, "late_reads", NULL,
	  "Reads of the backing that took longer than read_latency_target_ms." },
	{ WB_STAT_WRITEBACK_BATCHES, "writeback_batches", NULL, "Batches written back." },
	{ WB_STAT_WRITEBACK_BLOCKS, "writeback_blocks", "blocks", "Blocks written back." },
	{ WB_STAT_WRITEBACK_RESTS, "writeback_rests", NULL,
	  "How often writeback began to rest." },
	{ WB_STAT_GAP_BLOCKS, "writeback_gap_blocks", "blocks",
	  "Blocks between those that were written over with what was there." },
	{ WB_STAT_CARRIED_BLOCKS, "carried_blocks", "blocks",
	  "Blocks that the backing refused and that went to the cache once more." },
	{ WB_STAT_CHECKSUM_ERRORS, "checksum_errors", NULL,
	  "Blocks of the cache that did not match their checksum." },
	{ WB_STAT_CHECKSUM_REPAIRED, "checksum_repaired", NULL,
	  "Those of them that were taken from the backing." },
	{ WB_STAT_CACHE_ERRORS, "cache_errors", NULL, "I/O errors of the cache." },
	{ WB_STAT_BACKING_ERRORS, "backing_errors", NULL, "I/O errors of the backing." },
	{ WB_STAT_RELOCATIONS, "relocations", NULL,
	  "Places of the log that could not be written and were given up." },
	{ WB_STAT_CACHE_DISCARDED_BYTES, "cache_discarded_bytes", "bytes",
	  "Discarded on the disk of the cache." },
	{ WB_STAT_CACHE_DISCARDS, "cache_discards", NULL,
	  "Discards on the disk of the cache." },
	{ WB_STAT_CACHE_DISCARD_FAILURES, "cache_discard_failures", NULL,
	  "Discards on the disk of the cache that failed." },
};

/* A counter that is in no list would be missed by nobody. */
static const struct counter *find_counter(enum wb_stat which)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(counters); i++)
		if (counters[i].which == which)
			return &counters[i];
	return NULL;
}

static void add_counters(struct output *output, const struct wb_stats_snapshot *s)
{
	for (unsigned i = 0; i < WB_STAT_COUNT; i++) {
		const struct counter *counter = find_counter(i);

		if (!counter)
			continue;
		begin(output, counter->name, "counter", counter->unit, counter->help);
		if (g_strcmp0(counter->unit, "seconds"))
			sample(output, counter->name, "_total", "", s->counter[i]);
		else
			sample_double(output, counter->name, "_total", "",
				      (double)s->counter[i] / 1e9);
	}
}

static void add_blocks(struct output *output, const struct wb_stats_snapshot *s)
{
	begin(output, "user_blocks", "counter", "blocks",
	      "Blocks that users read and wrote: found in the cache or not, in RAM or on a "
	      "disk, as a whole or in part.");
	for (unsigned i = 0; i < WB_BLOCK_CLASSES; i++) {
		bool is_hit = i & WB_BLOCK_HIT, is_ram = i & WB_BLOCK_RAM;
		g_autofree char *labels = NULL;

		if (is_ram && !is_hit)
			continue;	/* there are none */
		labels = g_strdup_printf("op=\"%s\",result=\"%s\",place=\"%s\",part=\"%s\"",
					 i & WB_BLOCK_WRITE ? "write" : "read",
					 is_hit ? "hit" : "miss",
					 is_ram ? "ram" : is_hit ? "ssd" : "hdd",
					 i & WB_BLOCK_FULL ? "full" : "partial");
		sample(output, "user_blocks", "_total", labels, s->counter[WB_STAT_BLOCKS + i]);
	}
}

static void add_lifetime(struct output *output, const struct wb_stats_snapshot *s)
{
	static const struct { const char *name, *unit, *help; } all[WB_LIFETIME_COUNT] = {
		[WB_LIFETIME_SSD_WRITTEN_BYTES] = { "lifetime_ssd_written_bytes", "bytes",
			"Written to the cache over the life of the volume." },
		[WB_LIFETIME_WRITTEN_BYTES] = { "lifetime_written_bytes", "bytes",
			"Written by users over the life of the volume." },
		[WB_LIFETIME_READ_BYTES] = { "lifetime_read_bytes", "bytes",
			"Read by users over the life of the volume." },
		[WB_LIFETIME_BACKING_WRITTEN_BYTES] = { "lifetime_backing_written_bytes", "bytes",
			"Written to the backing over the life of the volume." },
		[WB_LIFETIME_MOUNTS] = { "lifetime_mounts", NULL,
			"Mounts over the life of the volume." },
	};

	for (unsigned i = 0; i < WB_LIFETIME_COUNT; i++) {
		begin(output, all[i].name, "counter", all[i].unit, all[i].help);
		sample(output, all[i].name, "_total", "", s->lifetime[i]);
	}
}

/* --- gauges ---------------------------------------------------------------------------- */

static void gauge(struct output *output, const char *name, const char *unit, const char *help,
		  uint64_t value)
{
	begin(output, name, "gauge", unit, help);
	sample(output, name, "", "", value);
}

/* One sample for each state, 1 for the one that is. */
static void states(struct output *output, const char *name, const char *help,
		   const char *const *all, const char *now)
{
	begin(output, name, "gauge", NULL, help);
	for (unsigned i = 0; all[i]; i++) {
		g_autofree char *labels = g_strdup_printf("state=\"%s\"", all[i]);

		sample(output, name, "", labels, !strcmp(all[i], now));
	}
}

static void add_states(struct output *output, const struct wb_stats_view *view)
{
	const char *const volume[] = {
		wb_cache_state_name(WB_CACHE_RUNNING), wb_cache_state_name(WB_CACHE_FAILED),
		wb_cache_state_name(WB_CACHE_STOPPING), wb_cache_state_name(WB_CACHE_WITHOUT),
		NULL,
	};
	const char *const writeback[] = {
		wb_writeback_state_name(WB_WRITEBACK_IDLE),
		wb_writeback_state_name(WB_WRITEBACK_RUNNING),
		wb_writeback_state_name(WB_WRITEBACK_PAUSED),
		wb_writeback_state_name(WB_WRITEBACK_WAITING),
		wb_writeback_state_name(WB_WRITEBACK_RESTING), NULL,
	};
	const char *const discard[] = {
		wb_discard_state_name(WB_DISCARD_OFF), wb_discard_state_name(WB_DISCARD_ON),
		wb_discard_state_name(WB_DISCARD_UNSUPPORTED), NULL,
	};
	const struct wb_stats_snapshot *s = &view->snapshot;
	g_autofree char *cache = escape_label(view->facts->cache.path);
	g_autofree char *backing = escape_label(view->facts->backing.path);
	g_autofree char *labels = NULL;
	char uuid[WB_UUID_TEXT_BYTES];

	wb_uuid_format(view->uuid, uuid);
	labels = g_strdup_printf("uuid=\"%s\",cache=\"%s\",backing=\"%s\",version=\"%s\"", uuid,
				 cache, backing, view->facts->version);
	begin(output, "volume_info", "gauge", NULL, "What is mounted; always 1.");
	sample(output, "volume_info", "", labels, 1);
	states(output, "state", "State of the volume.", volume, wb_cache_state_name(s->state));
	states(output, "writeback_state", "What writeback does.", writeback,
	       wb_writeback_state_name(s->writeback_state));
	states(output, "discard_cache_state", "Whether places of the cache are discarded.",
	       discard, wb_discard_state_name(s->discard_state));
}

static void add_line(struct output *output, const struct wb_backing_line *line)
{
	gauge(output, "backing_unreachable", NULL,
	      "1 while the server of a remote backing cannot be reached.",
	      line->state == WB_LINE_AWAY);
	begin(output, "backing_connection_breaks", "counter", NULL,
	      "Connections to the server of a remote backing that broke.");
	sample(output, "backing_connection_breaks", "_total", "", line->breaks);
}

static void add_levels(struct output *output, const struct wb_stats_snapshot *s)
{
	gauge(output, "image_bytes", "bytes", "Size of the image.", s->image_bytes);
	gauge(output, "cache_bytes", "bytes", "Blocks of the cache, in use or not.",
	      s->cache_blocks * BLOCK_BYTES);
	gauge(output, "cached_bytes", "bytes", "Data in the cache, dirty or clean.",
	      s->cached_blocks * BLOCK_BYTES);
	gauge(output, "dirty_bytes", "bytes", "Data that the backing does not have yet.",
	      s->dirty_blocks * BLOCK_BYTES);
	gauge(output, "pending_discards", NULL,
	      "Discarded ranges that are not yet punched out of the backing.",
	      s->pending_discards);
	gauge(output, "segments", "segments", "Segments of the log.", s->segments_total);
	gauge(output, "free_segments", "segments", "Segments without dirty data.",
	      s->segments_free);
	gauge(output, "dirty_segments", "segments", "Segments with dirty data.",
	      s->segments_dirty);
	gauge(output, "bad_segments", "segments", "Segments that cannot be written.",
	      s->bad_segments);
	gauge(output, "ram_buffers", "buffers", "RAM buffers.", s->ram_buffers_total);
	gauge(output, "free_ram_buffers", "buffers", "Free RAM buffers.", s->ram_buffers_free);
	gauge(output, "waiting_requests", "requests", "Requests that wait for room in the cache.",
	      s->waiting_requests);
	gauge(output, "writeback_depth", NULL,
	      "Transfers that writeback may have at the backing at a time.",
	      s->writeback_depth);
	gauge(output, "writeback_io_bytes", "bytes",
	      "The longest transfer that writeback may have there.", s->writeback_io_bytes);
	gauge(output, "slowed_writers", NULL,
	      "Writes that wait for their turn, because the ring is nearly full.",
	      s->slowed_writers);
	gauge(output, "write_limit_bytes", "bytes",
	      "What writers may write in each second now; 0: there is no limit.",
	      s->write_limit_bytes_per_s);
	gauge(output, "lost_blocks", "blocks",
	      "Blocks whose newest data cannot be read from the cache.", s->bad_ranges.blocks);
	gauge(output, "refused_blocks", "blocks",
	      "Dirty blocks that the backing refuses to take.", s->refused_ranges.blocks);
	gauge(output, "oldest_dirty_seconds", "seconds",
	      "For how long the oldest segment with dirty data has had some.",
	      s->oldest_dirty_s);
	gauge(output, "writeback_rate_bytes", "bytes",
	      "Written back in each second of the last minute.", s->writeback_bytes_per_s);
}

static void add_keeper(struct output *output, const struct wb_keeper_facts *keeper)
{
	begin(output, "worker_restarts", "counter", NULL,
	      "Daemons that took over from one that had died.");
	sample(output, "worker_restarts", "_total", "", keeper->restarts);
	begin(output, "worker_pause_seconds", "counter", "seconds",
	      "For how long in all no daemon served the volume.");
	sample_double(output, "worker_pause_seconds", "_total", "",
		      (double)keeper->all_pauses_ns / 1e9);
	begin(output, "worker_longest_pause_seconds", "gauge", "seconds",
	      "The longest of these pauses.");
	sample_double(output, "worker_longest_pause_seconds", "", "",
		      (double)keeper->longest_pause_ns / 1e9);
	begin(output, "upgrades", "counter", NULL,
	      "Programs that took over from another one.");
	sample(output, "upgrades", "_total", "", keeper->upgrades_done);
}

/* --- latencies --------------------------------------------------------------------------- */

static void add_latency(struct output *output, const char *kind,
			const struct wb_latency_summary *latency)
{
	g_autofree char *labels = g_strdup_printf("kind=\"%s\"", kind);
	g_autofree char *last = g_strdup_printf("%s,le=\"+Inf\"", labels);

	for (unsigned i = 0; i < WB_LATENCY_BOUNDS; i++) {
		char number[G_ASCII_DTOSTR_BUF_SIZE];
		g_autofree char *bucket = g_strdup_printf("%s,le=\"%s\"", labels,
			g_ascii_formatd(number, sizeof number, "%g",
					(double)wb_latency_bounds_ns[i] / 1e9));

		sample(output, "latency_seconds", "_bucket", bucket, latency->below[i]);
	}
	sample(output, "latency_seconds", "_bucket", last, latency->count);
	sample_double(output, "latency_seconds", "_sum", labels, (double)latency->sum_ns / 1e9);
	sample(output, "latency_seconds", "_count", labels, latency->count);
}

void wb_metrics_append(GString *text, const struct wb_stats_view *view,
		       enum wb_metrics_format format)
{
	g_autofree char *mount_point = escape_label(view->facts->mount_point);
	struct output output = { text, format, mount_point };
	const struct wb_stats_snapshot *s = &view->snapshot;

	add_states(&output, view);
	add_levels(&output, s);
	add_line(&output, &s->backing_line);
	add_counters(&output, s);
	add_blocks(&output, s);
	add_lifetime(&output, s);
	add_keeper(&output, &view->keeper);
	begin(&output, "latency_seconds", "histogram", "seconds",
	      "From the arrival of a request in the daemon to its answer.");
	for (unsigned i = 0; i < WB_LATENCY_COUNT; i++)
		add_latency(&output, wb_latency_name(i), &view->latency[i]);
	g_string_append(text, "# EOF\n");
}
