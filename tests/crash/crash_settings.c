/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "crash_settings.h"

#include "cache/cache_private.h"
#include "cache/writeback_batch.h"
#include "support/store_memory.h"

#define SECOND_NS UINT64_C(1000000000)

static uint64_t below(struct crash_settings *settings, uint64_t limit)
{
	return wb_prng_below(&settings->prng, limit);
}

static bool one_in(struct crash_settings *settings, uint64_t n)
{
	return below(settings, n) == 0;
}

static uint32_t one_of(struct crash_settings *settings, const uint32_t *values, unsigned count)
{
	return values[below(settings, count)];
}

#define ONE_OF(settings, ...) \
	one_of(settings, (const uint32_t[]){ __VA_ARGS__ }, \
	       sizeof((const uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t))

void crash_settings_init(struct crash_settings *settings, const struct crash_options *options,
			 struct wb_sim *sim)
{
	*settings = (struct crash_settings){ .sim = sim };
	wb_prng_init(&settings->prng, options->seed * 15485863);
	/* At every point of a short history: half of the seeds. */
	settings->uses_modes = options->point ? options->seed % 2 == 0 : one_in(settings, 3);
	settings->is_paced = one_in(settings, 3);
	wb_prng_init(&settings->discard_prng, options->seed * 32452843);
	settings->discards = wb_prng_below(&settings->discard_prng, 3) == 0;
	wb_prng_init(&settings->read_prng, options->seed * 122949829);
	settings->keeps_reads = wb_prng_below(&settings->read_prng, 2) == 0;
	wb_prng_init(&settings->plan_prng, options->seed * 49979687);
	settings->has_holes = wb_prng_below(&settings->plan_prng, 4) == 0;
	wb_prng_init(&settings->stream_prng, options->seed * 67867967);
	settings->streams = options->point ? options->seed % 3 == 0 :
					     wb_prng_below(&settings->stream_prng, 4) == 0;
	wb_prng_init(&settings->slow_prng, options->seed * 86028121);
	settings->slows_writes = wb_prng_below(&settings->slow_prng, 2) == 0;
	wb_prng_init(&settings->rest_prng, options->seed * 104395301);
	settings->rests = wb_prng_below(&settings->rest_prng, 4) == 0;
}

/* --- streams ------------------------------------------------------------------------- */

static uint64_t stream_below(struct crash_settings *settings, uint64_t limit)
{
	return wb_prng_below(&settings->stream_prng, limit);
}

static void choose_threshold(struct crash_settings *settings)
{
	static const uint32_t kib[] = { 0, 4, 4, 8, 16, 32 };

	settings->sim->bypass_threshold = kib[stream_below(settings, G_N_ELEMENTS(kib))];
}

static void switch_bypass(struct crash_settings *settings)
{
	struct wb_tunables tunables;

	choose_threshold(settings);
	wb_cache_get_tunables(settings->sim->cache, &tunables);
	tunables.bypass_threshold = settings->sim->bypass_threshold;
	wb_cache_set_tunables(settings->sim->cache, &tunables);
	settings->count++;
}

/* Mostly whole blocks; one that ends elsewhere leaves a block of which a part is in
 * the log, for the next one to meet. */
bool crash_settings_stream(struct crash_settings *settings, uint64_t image_bytes,
			   uint64_t *offset_bytes, uint64_t *length_bytes)
{
	uint64_t *at;

	if (!settings->streams || stream_below(settings, 2))
		return false;
	at = &settings->stream_at[stream_below(settings, 2)];
	if (*at >= image_bytes || stream_below(settings, 30) == 0)
		*at = stream_below(settings, (image_bytes + 4095) / 4096) * 4096;
	*offset_bytes = *at;
	*length_bytes = 4096 * (1 + stream_below(settings, 8));
	if (stream_below(settings, 10) == 0)
		*length_bytes += 1 + stream_below(settings, 4000);
	*length_bytes = MIN(*length_bytes, image_bytes - *offset_bytes);
	*at += *length_bytes;
	return true;
}

bool crash_settings_watches_stream(struct crash_settings *settings)
{
	return settings->streams && stream_below(settings, 3) == 0;
}

/* --- modes, discards ---------------------------------------------------------------- */

static void choose_mode(struct crash_settings *settings)
{
	settings->sim->cache_mode = (enum wb_cache_mode)below(settings, 3);
}

/* From so much of a ring of a few segments on that it happens. */
static uint32_t choose_slowness(struct crash_settings *settings)
{
	static const uint32_t percents[] = { 0, 1, 30, 50, 85 };

	return percents[wb_prng_below(&settings->slow_prng, 5)];
}

void crash_settings_before_open(struct crash_settings *settings)
{
	if (settings->uses_modes)
		choose_mode(settings);
	settings->is_unplanned = wb_prng_below(&settings->plan_prng, 4) > 0;
	if (settings->has_holes)
		wb_store_memory_set_sparse(settings->sim->backing_disk.memory);
	settings->sim->keeps_reads = settings->keeps_reads &&
				     wb_prng_below(&settings->read_prng, 5) > 0;
	settings->sim->discards_cache = settings->discards &&
					wb_prng_below(&settings->discard_prng, 5) > 0;
	if (settings->streams)
		choose_threshold(settings);
	if (settings->slows_writes) {
		settings->sim->slow_writes_percent = choose_slowness(settings);
		settings->sim->read_latency_target_ms =
			(unsigned)wb_prng_below(&settings->slow_prng, 3) * 20;
	}
}

static void switch_discards(struct crash_settings *settings)
{
	struct wb_tunables tunables;

	wb_cache_get_tunables(settings->sim->cache, &tunables);
	tunables.discard_cache = !tunables.discard_cache;
	wb_cache_set_tunables(settings->sim->cache, &tunables);
	settings->count++;
}

/* A disk that has no time of its own teaches nothing: one on which every gap is worth
 * filling, or some. */
static void choose_model(struct crash_settings *settings)
{
	struct wb_disk_model *model = &settings->sim->cache->writeback->model;

	*model = (struct wb_disk_model){ .is_fixed = true, .bytes_per_ns = 0.15 };
	model->turn_ns = wb_prng_below(&settings->plan_prng, 2) ? 1e5 : 2e7;
	for (unsigned i = 0; i < WB_HOP_CLASSES; i++)
		model->hop_ns[i] = wb_prng_below(&settings->plan_prng, 4) ? 1e9 : 1e5;
}

static void change_reads(struct crash_settings *settings)
{
	struct wb_tunables tunables;

	wb_cache_get_tunables(settings->sim->cache, &tunables);
	switch (wb_prng_below(&settings->read_prng, 4)) {
	case 0:
		tunables.read_cache = !tunables.read_cache;
		break;
	case 1:
		tunables.read_bypass_threshold = 64 * (uint32_t)wb_prng_below(&settings->read_prng, 3);
		break;
	case 2:
		tunables.fill_budget = (uint32_t)wb_prng_below(&settings->read_prng, 3);
		break;
	case 3:
		tunables.pin.start_bytes = 4096 * wb_prng_below(&settings->read_prng, 8);
		tunables.pin.end_bytes = tunables.pin.start_bytes +
					 4096 * (1 + wb_prng_below(&settings->read_prng, 16));
		break;
	}
	wb_cache_set_tunables(settings->sim->cache, &tunables);
	settings->count++;
}

/* Which blocks go together, and in which order. */
static void change_plan(struct crash_settings *settings)
{
	struct wb_tunables tunables;

	settings->is_unplanned = false;
	wb_cache_get_tunables(settings->sim->cache, &tunables);
	tunables.writeback_order = wb_prng_below(&settings->plan_prng, 5) == 0 ?
				   WB_ORDER_SEGMENTS : WB_ORDER_SWEEP;
	tunables.backing_rotational = WB_ROTATIONAL_ON;
	tunables.writeback_gap = (uint32_t)wb_prng_below(&settings->plan_prng, 5) * 32;
	choose_model(settings);
	wb_cache_set_tunables(settings->sim->cache, &tunables);
	settings->count++;
}

static void change_slowness(struct crash_settings *settings)
{
	struct wb_tunables tunables;

	wb_cache_get_tunables(settings->sim->cache, &tunables);
	tunables.slow_writes_percent = choose_slowness(settings);
	tunables.read_latency_target_ms =
		(uint32_t)wb_prng_below(&settings->slow_prng, 3) * 20;
	wb_cache_set_tunables(settings->sim->cache, &tunables);
	settings->count++;
}

static void switch_mode(struct crash_settings *settings)
{
	struct wb_tunables tunables;

	choose_mode(settings);
	wb_cache_get_tunables(settings->sim->cache, &tunables);
	tunables.cache_mode = settings->sim->cache_mode;
	wb_cache_set_tunables(settings->sim->cache, &tunables);
	settings->count++;
}

/* --- pace ---------------------------------------------------------------------------- */

/* The clock goes some seconds or minutes in a history, and stands in the night. */
static void change_rest(struct crash_settings *settings)
{
	static const char *const schedules[] = { "always", "never", "every 1m", "01:00-02:00",
						 "01:00-01:30 01:47-01:48 every 2m" };
	static const uint32_t idle_s[] = { 0, 0, 1, 10 }, percent[] = { 1, 30, 60, 80, 90 };
	struct wb_prng *prng = &settings->rest_prng;
	struct wb_tunables tunables;

	wb_cache_get_tunables(settings->sim->cache, &tunables);
	g_assert(wb_schedule_parse(schedules[wb_prng_below(prng, G_N_ELEMENTS(schedules))],
				   &tunables.writeback_schedule));
	tunables.writeback_idle_s = idle_s[wb_prng_below(prng, G_N_ELEMENTS(idle_s))];
	tunables.writeback_high_water = percent[wb_prng_below(prng, G_N_ELEMENTS(percent))];
	wb_cache_set_tunables(settings->sim->cache, &tunables);
	settings->count++;
}

static void change_pace(struct crash_settings *settings)
{
	struct wb_tunables tunables;

	wb_cache_get_tunables(settings->sim->cache, &tunables);
	switch (below(settings, 5)) {
	case 0:
		tunables.barrier_deadline_ms = ONE_OF(settings, 0, 1, 20, 200, 2000);
		break;
	case 1:
		tunables.writeback_modulator = !tunables.writeback_modulator;
		break;
	case 2:
		tunables.writeback_threshold = ONE_OF(settings, 0, 40, 70, 100);
		break;
	case 3:
		/* The ring is mostly smaller than the least of it. */
		tunables.writeback_batch = ONE_OF(settings, 1, 2, 8);
		break;
	case 4:
		tunables.sync_interval_s = ONE_OF(settings, 0, 1, 5);
		tunables.superblock_interval_s = ONE_OF(settings, 0, 1, 60);
		break;
	}
	wb_cache_set_tunables(settings->sim->cache, &tunables);
	settings->count++;
}

/* As the owner does once a second: idle, half busy, or busy with others. */
static void sample_disk(struct crash_settings *settings)
{
	struct wb_disk_sample sample = {
		.disk = "sdx", .interval_ns = SECOND_NS,
		.busy_ns = SECOND_NS / 2 * below(settings, 3),
	};

	sample.reads_ns = sample.busy_ns * below(settings, 4);
	wb_cache_add_disk_sample(settings->sim->cache, &sample);
}

void crash_settings_step(struct crash_settings *settings)
{
	if (settings->uses_modes && one_in(settings, 60))
		switch_mode(settings);
	if (settings->discards && wb_prng_below(&settings->discard_prng, 60) == 0)
		switch_discards(settings);
	if (settings->keeps_reads && wb_prng_below(&settings->read_prng, 60) == 0)
		change_reads(settings);
	if (settings->is_unplanned || wb_prng_below(&settings->plan_prng, 40) == 0)
		change_plan(settings);
	if (settings->streams && stream_below(settings, 40) == 0)
		switch_bypass(settings);
	if (settings->slows_writes && wb_prng_below(&settings->slow_prng, 60) == 0)
		change_slowness(settings);
	if (settings->rests && wb_prng_below(&settings->rest_prng, 40) == 0)
		change_rest(settings);
	if (!settings->is_paced)
		return;
	if (one_in(settings, 60))
		change_pace(settings);
	if (one_in(settings, 30))
		sample_disk(settings);
}
