/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cache core without FUSE and without disks: what a request costs in it, how much
 * more two threads do than one, and which locks they wait for.
 *
 *	bench_core [--pairs N] [--percent N] [--json] [CASE]...
 *
 * Every case runs in turn with one client, with two, and with two that have a cache
 * each: what this machine lets two threads do that share nothing of the program. New
 * caches each time; the table shows medians. --percent shortens the runs; --json prints
 * the runs as the samples that bench.sh collects.
 */
#include <glib.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/lock.h"
#include "bench/store_bench.h"
#include "cache/cache.h"
#include "cache/create.h"
#include "support/prng.h"

#define MIB (UINT64_C(1) << 20)
#define BLOCK UINT64_C(4096)
#define IMAGE_BYTES (1024 * MIB)
#define CLIENTS_MAX 2u
#define DEPTH_MAX 16u
#define PAIRS_MAX 101u

enum fill { FILL_NOTHING, FILL_KEPT_IN_RAM, FILL_WRITTEN };

struct bench_case {
	const char *name, *title;
	enum wb_request_op op;
	unsigned flags;
	unsigned depth;			/* requests of each client that wait */
	uint64_t operations;		/* of all clients together */
	uint64_t ram_bytes, set_bytes;
	enum fill fill;			/* the set, before the clock runs */
	enum wb_store_bench_mode mode;	/* of the cache's disk, while it runs */
};

static const struct bench_case cases[] = {
	{ "write", "random 4k write into RAM, nothing reaches the log", WB_WRITE, 0, 1, 100000,
	  512 * MIB, IMAGE_BYTES, FILL_NOTHING, WB_STORE_BENCH_HOLD },
	{ "write_log", "random 4k write, the log written to a disk that takes all at once",
	  WB_WRITE, 0, DEPTH_MAX, 400000, 64 * MIB, IMAGE_BYTES / 2, FILL_NOTHING,
	  WB_STORE_BENCH_DROP },
	{ "write_durable", "random 4k write, each durable before its answer", WB_WRITE,
	  WB_REQUEST_FUA, 1, 60000, 64 * MIB, IMAGE_BYTES / 2, FILL_NOTHING,
	  WB_STORE_BENCH_DROP },
	{ "read_ram", "random 4k read from the RAM buffers", WB_READ, 0, 1, 400000, 64 * MIB,
	  24 * MIB, FILL_KEPT_IN_RAM, WB_STORE_BENCH_HOLD },
	/* little of it can still be in the RAM buffers */
	{ "read_log", "random 4k read from the log on the disk", WB_READ, 0, DEPTH_MAX, 150000,
	  4 * MIB, 256 * MIB, FILL_WRITTEN, WB_STORE_BENCH_KEEP },
	{ "read_miss", "random 4k read from the backing", WB_READ, 0, DEPTH_MAX, 150000, 64 * MIB,
	  256 * MIB, FILL_NOTHING, WB_STORE_BENCH_KEEP },
};

enum side { SIDE_ONE, SIDE_TWO, SIDE_APART, SIDE_COUNT };

static const char *const side_names[SIDE_COUNT] = { "threads1", "threads2", "apart" };

struct run {
	uint64_t ns, cpu_ns;
	double per_second, cpu_us;
	struct wb_lock_waits waits[WB_RANK_COUNT];
};

/* --- a client ------------------------------------------------------------------- */

struct client;

struct slot {
	struct slot *next;
	struct client *client;
	struct wb_request *request;
	uint8_t *buffer;
};

struct client {
	/* constant while it runs */
	struct wb_cache *cache;
	const struct bench_case *is;
	uint64_t operations;
	GThread *thread;
	struct slot slots[DEPTH_MAX];
	uint8_t *memory;

	/* the thread's own */
	struct wb_prng prng;
	struct slot *free;

	_Atomic(struct slot *) finished;
	sem_t free_count;		/* of both lists */
};

static void done(struct wb_request *request, int error)
{
	struct slot *slot = wb_request_public(request)->user;
	struct client *client = slot->client;
	struct slot *newest = atomic_load_explicit(&client->finished, memory_order_relaxed);

	g_assert(error == 0);
	do {
		slot->next = newest;
	} while (!atomic_compare_exchange_weak(&client->finished, &newest, slot));
	sem_post(&client->free_count);
}

static struct slot *take_slot(struct client *client)
{
	struct slot *slot;

	while (sem_wait(&client->free_count) != 0)
		;
	if (!client->free)
		client->free = atomic_exchange(&client->finished, NULL);
	slot = client->free;
	client->free = slot->next;
	return slot;
}

static void give_back(struct client *client, struct slot *slot)
{
	slot->next = client->free;
	client->free = slot;
	sem_post(&client->free_count);
}

/* Waits for it, if it has to wait, only when all slots are taken. */
static void request(struct client *client, enum wb_request_op op, unsigned flags,
		    uint64_t offset, uint64_t length)
{
	struct slot *slot = take_slot(client);
	int error = 0;

	wb_cache_expect(client->cache, offset, length);
	*wb_request_public(slot->request) = (struct wb_request_public){
		.op = op, .flags = flags, .offset_bytes = offset, .length_bytes = length,
		.buffer = slot->buffer, .done = done, .user = slot,
	};
	if (wb_cache_submit(client->cache, slot->request, &error) == WB_SUBMIT_PENDING)
		return;
	g_assert(error == 0);
	give_back(client, slot);
}

static void wait_for_all(struct client *client)
{
	struct slot *slots[DEPTH_MAX];

	for (unsigned i = 0; i < client->is->depth; i++)
		slots[i] = take_slot(client);
	for (unsigned i = 0; i < client->is->depth; i++)
		give_back(client, slots[i]);
}

static gpointer client_main(gpointer data)
{
	struct client *client = data;
	uint64_t blocks = client->is->set_bytes / BLOCK;

	for (uint64_t i = 0; i < client->operations; i++)
		request(client, client->is->op, client->is->flags,
			wb_prng_below(&client->prng, blocks) * BLOCK, BLOCK);
	wait_for_all(client);
	return NULL;
}

static void client_init(struct client *client, struct wb_cache *cache,
			const struct bench_case *is, uint64_t seed)
{
	memset(client, 0, sizeof *client);
	client->cache = cache;
	client->is = is;
	wb_prng_init(&client->prng, seed);
	client->memory = aligned_alloc(BLOCK, is->depth * MIB);
	g_assert(client->memory);
	memset(client->memory, 0x5a, is->depth * MIB);
	sem_init(&client->free_count, 0, 0);
	for (unsigned i = 0; i < is->depth; i++) {
		client->slots[i].client = client;
		client->slots[i].buffer = client->memory + i * MIB;
		client->slots[i].request = wb_request_get(cache);
		give_back(client, &client->slots[i]);
	}
}

static void client_clear(struct client *client)
{
	for (unsigned i = 0; i < client->is->depth; i++)
		wb_request_put(client->cache, client->slots[i].request);
	sem_destroy(&client->free_count);
	free(client->memory);
}

/* --- a cache ------------------------------------------------------------------------ */

static struct wb_cache *open_cache(const struct bench_case *is, struct wb_store *cache_store,
				   struct wb_store *backing_store)
{
	struct wb_create_params create = { .uuid = "a benchmark", .backing_path = "/image",
					   .segment_bytes = MIB, .backing_bytes = IMAGE_BYTES,
					   .zero_mode = WB_ZERO_HEADERS };
	struct wb_cache_config config = {
		.cache_store = cache_store,
		.backing_store = backing_store,
		.clock = wb_clock_real(),
		.worker_mode = WB_WORKER_THREAD,
		.ram_buffer_bytes = is->ram_bytes,
		.request_count = CLIENTS_MAX * DEPTH_MAX,
		.tunables = WB_TUNABLES_DEFAULT,
	};
	g_autoptr(GError) error = NULL;
	struct wb_cache *cache = NULL;

	config.tunables.allow_writeback = false;
	if (wb_create(cache_store, &create, &error))
		cache = wb_cache_open(&config, &error);
	if (!cache)
		g_error("%s", error->message);
	return cache;
}

/* In order, in long writes. */
static void fill(struct client *client)
{
	const struct bench_case *is = client->is;

	if (is->fill == FILL_NOTHING)
		return;
	for (uint64_t offset = 0; offset < is->set_bytes; offset += MIB)
		request(client, WB_WRITE, 0, offset, MIB);
	wait_for_all(client);
	if (is->fill == FILL_KEPT_IN_RAM)
		return;
	request(client, WB_SYNC, 0, 0, 0);
	wait_for_all(client);
}

/* The last segment stays in RAM until the head has left it, and not all that was
 * filled need be where it is meant to be: the share is to be seen. */
static void check_source(const struct bench_case *is, struct wb_cache *cache,
			 const struct wb_stats_snapshot *before)
{
	struct wb_stats_snapshot after;
	enum wb_stat source = is->fill == FILL_KEPT_IN_RAM ? WB_STAT_READ_RAM_BYTES :
			      is->fill == FILL_WRITTEN ? WB_STAT_READ_CACHE_BYTES :
							 WB_STAT_READ_BACKING_BYTES;
	uint64_t all, part;

	wb_cache_get_stats(cache, &after);
	all = after.counter[WB_STAT_READ_BYTES] - before->counter[WB_STAT_READ_BYTES];
	part = after.counter[source] - before->counter[source];
	if (part < all * 98 / 100)
		g_error("%s: only %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT
			" bytes came from there", is->name, part, all);
}

static uint64_t cpu_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static void get_all_waits(struct wb_lock_waits waits[WB_RANK_COUNT])
{
	for (unsigned rank = 0; rank < WB_RANK_COUNT; rank++)
		wb_lock_get_waits(rank, &waits[rank]);
}

static void time_clients(struct client *clients, unsigned count, struct run *run)
{
	struct wb_lock_waits after[WB_RANK_COUNT];
	uint64_t operations = 0, cpu_before = cpu_now_ns();
	uint64_t before = wb_clock_now_ns(wb_clock_real());

	get_all_waits(run->waits);
	for (unsigned i = 0; i < count; i++)
		clients[i].thread = g_thread_new("client", client_main, &clients[i]);
	for (unsigned i = 0; i < count; i++) {
		g_thread_join(clients[i].thread);
		operations += clients[i].operations;
	}
	run->ns = wb_clock_now_ns(wb_clock_real()) - before;
	run->cpu_ns = cpu_now_ns() - cpu_before;
	run->per_second = (double)operations * 1e9 / (double)run->ns;
	run->cpu_us = (double)run->cpu_ns / 1e3 / (double)operations;
	get_all_waits(after);
	for (unsigned rank = 0; rank < WB_RANK_COUNT; rank++) {
		run->waits[rank].count = after[rank].count - run->waits[rank].count;
		run->waits[rank].ns = after[rank].ns - run->waits[rank].ns;
	}
}

/* A cache with its disks, and the clients that it has. */
struct volume {
	struct wb_store *cache_store, *backing_store;
	struct wb_cache *cache;
	struct wb_stats_snapshot before;
};

static void volume_make(struct volume *volume, const struct bench_case *is)
{
	volume->cache_store = wb_store_bench_new(2048 * MIB);
	volume->backing_store = wb_store_bench_new(IMAGE_BYTES);
	volume->cache = open_cache(is, volume->cache_store, volume->backing_store);
}

static void volume_fill(struct volume *volume, const struct bench_case *is,
			struct client *client)
{
	if (is->fill == FILL_KEPT_IN_RAM)
		wb_store_bench_set_mode(volume->cache_store, WB_STORE_BENCH_HOLD);
	fill(client);
	wb_store_bench_set_mode(volume->cache_store, is->mode);
	wb_cache_get_stats(volume->cache, &volume->before);
}

static void volume_clear(struct volume *volume)
{
	wb_store_bench_set_mode(volume->cache_store, WB_STORE_BENCH_DROP);
	g_assert(wb_cache_close(volume->cache, WB_CLOSE_CLEAN) == 0);
	wb_store_close(volume->cache_store);
	wb_store_close(volume->backing_store);
}

static struct run run_once(const struct bench_case *is, enum side side, uint64_t operations,
			   uint64_t seed)
{
	unsigned client_count = side == SIDE_ONE ? 1 : CLIENTS_MAX;
	unsigned volume_count = side == SIDE_APART ? CLIENTS_MAX : 1;
	struct volume volumes[CLIENTS_MAX];
	struct client *clients = g_new0(struct client, client_count);
	struct run run;

	for (unsigned i = 0; i < volume_count; i++)
		volume_make(&volumes[i], is);
	for (unsigned i = 0; i < client_count; i++) {
		client_init(&clients[i], volumes[i % volume_count].cache, is,
			    seed * CLIENTS_MAX + i);
		clients[i].operations = operations / client_count;
	}
	for (unsigned i = 0; i < volume_count; i++)
		volume_fill(&volumes[i], is, &clients[i]);
	time_clients(clients, client_count, &run);
	for (unsigned i = 0; i < volume_count && is->op == WB_READ; i++)
		check_source(is, volumes[i].cache, &volumes[i].before);
	for (unsigned i = 0; i < client_count; i++)
		client_clear(&clients[i]);
	g_free(clients);
	for (unsigned i = 0; i < volume_count; i++)
		volume_clear(&volumes[i]);
	return run;
}

/* --- the table ------------------------------------------------------------------------ */

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, unsigned count)
{
	qsort(values, count, sizeof *values, compare);
	return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

static void print_sample(const struct bench_case *is, unsigned pair, enum side side,
			 const struct run *run)
{
	printf("{\"group\":\"core_%s\",\"pair\":%u,\"side\":\"wbfs:%s\","
	       "\"iops\":%.0f,\"cpu_us\":%.3f}\n", is->name, pair, side_names[side],
	       run->per_second, run->cpu_us);
}

static void print_waits(const struct run *runs, unsigned pairs, uint64_t operations)
{
	for (unsigned rank = 0; rank < WB_RANK_COUNT; rank++) {
		struct wb_lock_waits sum = { 0 };

		for (unsigned i = 0; i < pairs; i++) {
			sum.count += runs[i].waits[rank].count;
			sum.ns += runs[i].waits[rank].ns;
		}
		if (sum.count == 0)
			continue;
		printf("  %-10s waited for %8.2f times in 1000 requests, %8.2f us each\n",
		       wb_lock_rank_name(rank),
		       (double)sum.count * 1e3 / (double)(operations * pairs),
		       (double)sum.ns / 1e3 / (double)sum.count);
	}
}

static void print_ratio(const char *what, const struct run *over, const struct run *under,
			unsigned pairs)
{
	double ratios[PAIRS_MAX], middle;

	for (unsigned i = 0; i < pairs; i++)
		ratios[i] = over[i].per_second / under[i].per_second;
	middle = median(ratios, pairs);		/* they are sorted now */
	printf("  %s: x %.2f (half of the pairs %.2f .. %.2f)\n", what, middle,
	       ratios[(pairs - 1) / 4], ratios[pairs - 1 - (pairs - 1) / 4]);
}

static void print_case(const struct bench_case *is, const struct run runs[SIDE_COUNT][PAIRS_MAX],
		       unsigned pairs, uint64_t operations)
{
	printf("%s: %s\n", is->name, is->title);
	for (enum side side = 0; side < SIDE_COUNT; side++) {
		double rates[PAIRS_MAX], cpu[PAIRS_MAX];

		for (unsigned i = 0; i < pairs; i++) {
			rates[i] = runs[side][i].per_second;
			cpu[i] = runs[side][i].cpu_us;
		}
		printf("  %-8s %9.0f/s, CPU %.2f us for each request\n", side_names[side],
		       median(rates, pairs), median(cpu, pairs));
	}
	print_ratio("two clients against one", runs[SIDE_TWO], runs[SIDE_ONE], pairs);
	print_ratio("two clients against two apart", runs[SIDE_TWO], runs[SIDE_APART], pairs);
	print_waits(runs[SIDE_TWO], pairs, operations);
	fflush(stdout);
}

static void run_case(const struct bench_case *is, unsigned pairs, unsigned percent, bool is_json)
{
	static struct run runs[SIDE_COUNT][PAIRS_MAX];
	uint64_t operations = is->operations * percent / 100 / CLIENTS_MAX * CLIENTS_MAX;

	for (unsigned pair = 0; pair < pairs; pair++) {
		for (unsigned i = 0; i < SIDE_COUNT; i++) {
			enum side side = (pair + i) % SIDE_COUNT;

			runs[side][pair] = run_once(is, side, operations, pair);
			if (is_json)
				print_sample(is, pair + 1, side, &runs[side][pair]);
		}
	}
	if (!is_json)
		print_case(is, (const struct run (*)[PAIRS_MAX])runs, pairs, operations);
}

static bool is_wanted(const struct bench_case *is, char **names)
{
	return !names || !*names || g_strv_contains((const char *const *)names, is->name);
}

static bool has_case(const char *name)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++)
		if (!strcmp(cases[i].name, name))
			return true;
	return false;
}

int main(int argc, char **argv)
{
	int pairs = 11, percent = 100;
	gboolean is_json = FALSE;
	g_auto(GStrv) names = NULL;
	const GOptionEntry options[] = {
		{ "pairs", 0, 0, G_OPTION_ARG_INT, &pairs, "runs of each kind", "N" },
		{ "percent", 0, 0, G_OPTION_ARG_INT, &percent, "length of a run", "N" },
		{ "json", 0, 0, G_OPTION_ARG_NONE, &is_json, "print samples", NULL },
		{ G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_STRING_ARRAY, &names, NULL, "[CASE]..." },
		G_OPTION_ENTRY_NULL
	};
	g_autoptr(GOptionContext) context = g_option_context_new(NULL);
	g_autoptr(GError) error = NULL;

	g_option_context_add_main_entries(context, options, NULL);
	if (!g_option_context_parse(context, &argc, &argv, &error)) {
		fprintf(stderr, "bench_core: %s\n", error->message);
		return 2;
	}
	for (char **name = names; name && *name; name++) {
		if (has_case(*name))
			continue;
		fprintf(stderr, "bench_core: there is no case %s\n", *name);
		return 2;
	}
	pairs = CLAMP(pairs, 1, (int)PAIRS_MAX);
	percent = CLAMP(percent, 1, 100);
	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++)
		if (is_wanted(&cases[i], names))
			run_case(&cases[i], (unsigned)pairs, (unsigned)percent, is_json);
	return 0;
}
