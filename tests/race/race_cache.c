/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A whole cache with all its threads, over disks with threads of their own and
 * so small that it wraps, is full and writes back all the time: clients that
 * check what they read, while others ask for flushes, drains and statistics,
 * change tunables, and tick. A plain program, for ThreadSanitizer and without.
 *
 *   race_cache [OPERATIONS [SEED [CASE]]]
 *
 * OPERATIONS (or RACE_OPERATIONS) of each client in each life of a volume. The
 * seed chooses what the clients do; what happens when, the machine does.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/create.h"
#include "race/race_client.h"
#include "support/store_threaded.h"

#define SEGMENT_BYTES WB_SEGMENT_BYTES_MIN
#define SHARED_BYTES (256u << 10)
#define CLIENT_BYTES (700u << 10)
/* Neither whole blocks nor the same offset in each: neighbours share. */
#define CLIENT_SHIFT 1234u
#define CLIENTS_END (SHARED_BYTES + RACE_CLIENTS * (CLIENT_BYTES + CLIENT_SHIFT))

#define ALL_CLASSES (~0u)
#define NO_WRITEBACK (~(1u << WB_IO_CLASS_WRITEBACK))
#define READS (1u << WB_IO_READ)
#define CHANGES (1u << WB_IO_WRITE | 1u << WB_IO_FLUSH | 1u << WB_IO_ZERO | 1u << WB_IO_DISCARD)

/* How a life of the volume ends. */
enum ending { END_CLOSE, END_POWER };

struct race_case {
	const char *name;
	unsigned segments, ram_segments, lives;
	uint32_t backing_alignment;
	bool fails_cache, fails_backing, has_bad_spot;
	enum ending ending;
	unsigned modes;			/* of enum wb_cache_mode, the first so many */
};

#define ONE_MODE 1u
/* Around the cache nothing promises a prefix, which is what is looked for after a
 * power cut, and after a stop that failed. */
#define WITHOUT_AROUND 2u
#define ALL_MODES 3u

static const struct race_case cases[] = {
	{ "everything is where it was written", 24, 6, 2, 512, false, false, false, END_CLOSE,
	  ONE_MODE },
	{ "the least of everything", 8, 4, 2, 4096, false, false, false, END_CLOSE, ONE_MODE },
	{ "a cache that fails at times", 16, 5, 2, 512, true, false, false, END_CLOSE, ONE_MODE },
	{ "a backing that fails at times", 16, 5, 2, 512, false, true, false, END_CLOSE,
	  ONE_MODE },
	{ "data that becomes unreadable", 12, 4, 2, 512, false, false, true, END_CLOSE,
	  ONE_MODE },
	{ "power cuts", 16, 5, 5, 512, false, false, false, END_POWER, ONE_MODE },
	{ "power cuts of disks that fail at times", 12, 5, 4, 4096, true, true, false,
	  END_POWER, ONE_MODE },
	{ "the mode is switched all the time", 16, 5, 3, 512, false, false, false, END_CLOSE,
	  ALL_MODES },
	{ "the mode is switched while the backing fails at times", 12, 5, 3, 4096, false, true,
	  false, END_CLOSE, ALL_MODES },
	{ "power cuts while the mode is switched and disks fail", 16, 5, 4, 512, true, true,
	  false, END_POWER, WITHOUT_AROUND },
};

struct race {
	const struct race_case *is;
	struct race_world world;
	struct race_client clients[RACE_CLIENTS];
	struct wb_power power;
	struct wb_store *cache_disk, *backing_disk;
	struct wb_geometry geometry;
	struct wb_prng prng;		/* of the main thread */
	unsigned operations;
	/* what all lives had to do with, for the line about it */
	uint64_t segments_used, parked, batches, failed, lost, bypassed;
	uint64_t filled, second_chances, changed, busy;	/* of reads that are kept */
	uint64_t next_fault;		/* of the control thread */
	atomic_bool is_over;		/* the clients have ended */
	atomic_bool timer_is_over;
	char problem[512];
};

static int test_count, failed_count;

static void report(const struct race *race, uint64_t seed)
{
	bool is_right = race->problem[0] == '\0';

	printf("%sok %d - %s\n", is_right ? "" : "not ", ++test_count, race->is->name);
	printf("# %u operations of each client: %" G_GUINT64_FORMAT " segments, %" G_GUINT64_FORMAT
	       " waits for room, %" G_GUINT64_FORMAT " batches, %" G_GUINT64_FORMAT " faults, %"
	       G_GUINT64_FORMAT " requests failed, %" G_GUINT64_FORMAT " pieces lost, %"
	       G_GUINT64_FORMAT " KiB around the cache\n# %" G_GUINT64_FORMAT " blocks of reads "
	       "kept, %" G_GUINT64_FORMAT " second chances; dropped %" G_GUINT64_FORMAT " that had "
	       "changed, %" G_GUINT64_FORMAT " that were being changed\n",
	       race->operations, race->segments_used, race->parked, race->batches,
	       wb_store_threaded_fault_count(race->cache_disk) +
	       wb_store_threaded_fault_count(race->backing_disk), race->failed, race->lost,
	       race->bypassed >> 10, race->filled, race->second_chances, race->changed, race->busy);
	if (!is_right) {
		failed_count++;
		printf("# %s\n# race_cache %u %" G_GUINT64_FORMAT " %td\n", race->problem,
		       race->operations, seed, race->is - cases + 1);
	}
	fflush(stdout);
}

static void note_problem(struct race *race, const char *what, const char *why)
{
	if (race->problem[0] == '\0')
		g_snprintf(race->problem, sizeof race->problem, "%s: %s", what, why);
}

/* Pauses after errors and intervals are short here. */
static uint64_t fast_now_ns(struct wb_clock *clock)
{
	(void)clock;
	return wb_clock_now_ns(wb_clock_real()) * 1000;
}

static struct wb_clock fast_clock = { .now_ns = fast_now_ns };

/* --- the other threads -------------------------------------------------------------- */

static gpointer timer_main(gpointer data)
{
	struct race *race = data;

	while (!race->timer_is_over) {
		wb_cache_tick(race->world.cache);
		g_usleep(1000);
	}
	return NULL;
}

static void look_at_stats(struct race *race)
{
	struct wb_stats_snapshot stats;

	wb_cache_get_stats(race->world.cache, &stats);
	/* A bad place counts where it is dirty. */
	g_assert(stats.segments_free + stats.segments_dirty <= stats.segments_total);
	g_assert(stats.segments_free + stats.segments_dirty + stats.bad_segments >=
		 stats.segments_total);
	g_assert(stats.cached_blocks <= stats.cache_blocks);
	g_assert(stats.drains_done + stats.drains_failed <= stats.drains_asked);
	g_assert(stats.flushes_done + stats.flushes_failed <= stats.flushes_asked);
	g_assert(memchr(stats.last_error, '\0', sizeof stats.last_error));
	g_assert(wb_cache_image_bytes(race->world.cache) == stats.image_bytes);
	wb_cache_is_short_of_space(race->world.cache);
}

/* Reads of the log by writeback are spared: a block that stays unreadable over
 * some tries is given up, and that is another case. */
static void make_faults(struct race *race, struct wb_prng *prng)
{
	static const unsigned one_in[] = { 1, 2, 5, 20 };
	struct wb_threaded_faults faults = {
		.one_in = one_in[wb_prng_below(prng, G_N_ELEMENTS(one_in))],
		.count = 1 + (int)wb_prng_below(prng, 12),
	};

	/* So many for what the clients do, or they would never get done. */
	if (race->world.progress < race->next_fault)
		return;
	race->next_fault = race->world.progress + 50;
	faults.ops = wb_prng_below(prng, 2) ? CHANGES : READS | CHANGES;
	if (race->is->fails_cache) {
		faults.classes = NO_WRITEBACK;
		wb_store_threaded_fail(race->cache_disk, &faults);
	}
	if (race->is->fails_backing) {
		faults.classes = ALL_CLASSES;
		wb_store_threaded_fail(race->backing_disk, &faults);
	}
	if (race->is->has_bad_spot)
		wb_store_threaded_set_unreadable(race->cache_disk, race->geometry.ring_offset +
			SEGMENT_BYTES * wb_prng_below(prng, race->is->segments) +
			WB_BLOCK_BYTES * wb_prng_below(prng, 12), 3 * WB_BLOCK_BYTES);
}

static gpointer control_main(gpointer data)
{
	struct race *race = data;
	struct wb_cache *cache = race->world.cache;
	struct wb_tunables tunables;
	struct wb_prng prng;

	wb_cache_get_tunables(cache, &tunables);
	wb_prng_init(&prng, (uintptr_t)race->operations + 17);
	while (!race->is_over && !race->power.is_off) {
		switch (wb_prng_below(&prng, 8)) {
		case 0: wb_cache_start_flush(cache); break;
		case 1: wb_cache_start_drain(cache); break;
		case 2:
			tunables.allow_writeback = wb_prng_below(&prng, 3) != 0;
			tunables.sync_interval_s = (uint32_t)wb_prng_below(&prng, 3);
			tunables.barrier_deadline_ms = (uint32_t)wb_prng_below(&prng, 3);
			tunables.slow_writes_percent =
				(uint32_t)wb_prng_below(&prng, 3) * 30;
			tunables.read_latency_target_ms =
				(uint32_t)wb_prng_below(&prng, 3) * 5;
			tunables.discard_cache = wb_prng_below(&prng, 3) != 0;
			tunables.read_cache = wb_prng_below(&prng, 3) != 0;
			tunables.fill_budget = 0;
			tunables.discard_rate_mib_s = (uint32_t)wb_prng_below(&prng, 3);
			wb_cache_set_tunables(cache, &tunables);
			break;
		case 3: make_faults(race, &prng); break;
		case 4:
			tunables.cache_mode = (uint32_t)wb_prng_below(&prng, race->is->modes);
			wb_cache_set_tunables(cache, &tunables);
			break;
		default: look_at_stats(race); break;
		}
		g_usleep(wb_prng_below(&prng, 3000));
	}
	return NULL;
}

/* --- a life -------------------------------------------------------------------------- */

static bool open_cache(struct race *race)
{
	struct wb_cache_config config = {
		.cache_store = race->cache_disk,
		.backing_store = race->backing_disk,
		.clock = &fast_clock,
		.worker_mode = WB_WORKER_THREAD,
		.ram_buffer_bytes = (uint64_t)race->is->ram_segments * SEGMENT_BYTES,
		.request_count = RACE_CLIENTS - 1,	/* not one for each */
		.tunables = WB_TUNABLES_DEFAULT,
	};
	g_autoptr(GError) error = NULL;

	config.tunables.cache_mode = (uint32_t)wb_prng_below(&race->prng, race->is->modes);
	race->world.cache = wb_cache_open(&config, &error);
	if (!race->world.cache)
		note_problem(race, "opening", error->message);
	return race->world.cache != NULL;
}

/* Every verb that was asked for is answered, also when the disks fail. */
static void wait_for_verbs(struct race *race)
{
	struct wb_stats_snapshot stats;

	do {
		g_usleep(1000);
		wb_cache_get_stats(race->world.cache, &stats);
	} while (stats.drains_done + stats.drains_failed < stats.drains_asked ||
		 stats.flushes_done + stats.flushes_failed < stats.flushes_asked);
}

static void collect_problems(struct race *race)
{
	race->failed = race->lost = 0;
	for (unsigned i = 0; i < RACE_CLIENTS; i++) {
		if (race->clients[i].problem[0] != '\0')
			note_problem(race, "a client", race->clients[i].problem);
		race->failed += race->clients[i].failed_count;
		race->lost += race->clients[i].lost_count;
	}
}

static void count_work(struct race *race)
{
	struct wb_stats_snapshot stats;

	wb_cache_get_stats(race->world.cache, &stats);
	race->segments_used = stats.head_segment;
	race->parked += stats.counter[WB_STAT_PARKED_REQUESTS];
	race->batches += stats.counter[WB_STAT_WRITEBACK_BATCHES];
	race->bypassed += stats.counter[WB_STAT_BYPASSED_BYTES];
	race->filled += stats.counter[WB_STAT_FILLED_BLOCKS];
	race->second_chances += stats.counter[WB_STAT_SECOND_CHANCE_BLOCKS];
	race->changed += stats.counter[WB_STAT_FILL_CHANGED_BLOCKS];
	race->busy += stats.counter[WB_STAT_FILL_BUSY_BLOCKS];
}

static void load(struct race *race)
{
	bool ends_by_itself = wb_prng_below(&race->prng, 2) == 0;
	GThread *timer, *control;

	race->is_over = race->timer_is_over = false;
	race->world.progress = race->next_fault = 0;
	race->world.may_fail = race->is->fails_cache || race->is->fails_backing ||
			       race->is->has_bad_spot;
	timer = g_thread_new("timer", timer_main, race);
	control = g_thread_new("control", control_main, race);
	for (unsigned i = 0; i < RACE_CLIENTS; i++)
		race_client_start(&race->clients[i]);
	for (unsigned i = 0; i < RACE_CLIENTS; i++)
		race_client_join(&race->clients[i]);
	race->is_over = true;
	g_thread_join(control);
	/* Else the cache is closed with flushes and drains under way. */
	if (ends_by_itself)
		wait_for_verbs(race);
	race->timer_is_over = true;
	g_thread_join(timer);
	count_work(race);
	collect_problems(race);
}

/* FALSE when not all that was acknowledged needs to be there. */
static bool close_cache(struct race *race)
{
	bool is_whole;
	int error;

	if (wb_prng_below(&race->prng, 2) == 0) {
		wb_store_threaded_heal(race->cache_disk);
		wb_store_threaded_heal(race->backing_disk);
	}
	error = wb_cache_close(race->world.cache, WB_CLOSE_CLEAN);
	race->world.cache = NULL;
	/* (what went around the cache may be there, but nobody knows) */
	if (error && !race->is->fails_cache &&
	    !(race->is->fails_backing && race->is->modes == ALL_MODES))
		note_problem(race, "closing", g_strerror(-error));
	wb_store_threaded_heal(race->cache_disk);
	wb_store_threaded_heal(race->backing_disk);
	is_whole = !error && !race->power.is_off;
	wb_store_threaded_restart(race->cache_disk);
	wb_store_threaded_restart(race->backing_disk);
	race->power.is_off = false;
	race->power.ios_left = INT64_MAX;
	return is_whole;
}

static void verify(struct race *race, bool was_clean)
{
	race->world.may_fail = race->is->has_bad_spot;
	for (unsigned i = 0; i < RACE_CLIENTS; i++) {
		if (was_clean)
			race_client_verify(&race->clients[i]);
		else
			race_client_verify_prefix(&race->clients[i]);
	}
	collect_problems(race);
}

/* After a drain the backing alone is the image. */
static void compare_backing(struct race *race)
{
	const uint8_t *bytes = wb_store_threaded_bytes(race->backing_disk);

	for (unsigned i = 0; i < RACE_CLIENTS; i++) {
		const struct race_client *client = &race->clients[i];

		if (memcmp(bytes + client->from, client->now, client->to - client->from) != 0)
			note_problem(race, "after the drain", "the backing differs");
	}
}

static void drain_and_close(struct race *race)
{
	bool has_all = !race->is->has_bad_spot;

	wb_cache_start_drain(race->world.cache);
	wait_for_verbs(race);
	close_cache(race);
	if (has_all && race->problem[0] == '\0')
		compare_backing(race);
}

static void live(struct race *race)
{
	bool was_clean = true;

	for (unsigned life = 0; race->problem[0] == '\0'; life++) {
		if (!open_cache(race))
			return;
		verify(race, was_clean);
		if (life == race->is->lives)
			break;
		if (race->is->ending == END_POWER)
			race->power.ios_left = 50 + (int64_t)wb_prng_below(&race->prng,
						8 * race->operations);
		load(race);
		was_clean = close_cache(race);
	}
	if (race->world.cache)
		drain_and_close(race);
}

/* --- a volume --------------------------------------------------------------------------- */

static void make_volume(struct race *race, uint64_t seed)
{
	uint64_t image = CLIENTS_END, bytes = WB_SUPERBLOCK_AREA_BYTES;
	struct wb_create_params create = { .uuid = "uuid of a race", .backing_path = "/image",
					   .segment_bytes = SEGMENT_BYTES,
					   .zero_mode = WB_ZERO_HEADERS };
	g_autoptr(GError) error = NULL;

	image += race->is->backing_alignment - image % race->is->backing_alignment;
	do
		bytes += WB_BLOCK_BYTES;
	while (wb_geometry_compute(&race->geometry, bytes, SEGMENT_BYTES, image) !=
	       WB_GEOMETRY_OK || race->geometry.segment_count < race->is->segments);
	race->power.ios_left = INT64_MAX;
	race->cache_disk = wb_store_threaded_new(bytes, 512, seed + 1, &race->power);
	race->backing_disk = wb_store_threaded_new(image, race->is->backing_alignment, seed + 2,
						   &race->power);
	create.backing_bytes = image;
	if (!wb_create(race->cache_disk, &create, &error))
		g_error("create: %s", error->message);
}

static void run_case(const struct race_case *is, unsigned operations, uint64_t seed)
{
	struct race *race = g_new0(struct race, 1);

	race->is = is;
	race->operations = operations;
	wb_prng_init(&race->prng, seed);
	race->world.shared_to = SHARED_BYTES;
	race->world.operations = operations;
	race->world.may_lose = is->has_bad_spot;
	race->world.is_cut = &race->power.is_off;
	make_volume(race, seed);
	for (unsigned i = 0; i < RACE_CLIENTS; i++) {
		uint64_t from = SHARED_BYTES + i * (CLIENT_BYTES + CLIENT_SHIFT);

		race_client_init(&race->clients[i], &race->world, i, from,
				 from + CLIENT_BYTES + CLIENT_SHIFT, seed * 100 + i);
	}
	live(race);
	report(race, seed);
	for (unsigned i = 0; i < RACE_CLIENTS; i++)
		race_client_clear(&race->clients[i]);
	wb_store_close(race->cache_disk);
	wb_store_close(race->backing_disk);
	g_free(race);
}

int main(int argc, char **argv)
{
	const char *from_environment = g_getenv("RACE_OPERATIONS");
	unsigned operations = from_environment ? (unsigned)atoi(from_environment) : 400;
	uint64_t seed = argc > 2 ? g_ascii_strtoull(argv[2], NULL, 10) : 1;
	unsigned only = argc > 3 ? (unsigned)atoi(argv[3]) : 0;

	if (argc > 1)
		operations = (unsigned)atoi(argv[1]);
	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		if (only == 0 || only == i + 1)
			run_case(&cases[i], operations, seed);
	}
	printf("1..%d\n", test_count);
	return failed_count > 0;
}
