/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "cache/cache.h"
#include "cmd/kept.h"
#include "support/store_memory.h"

#define IMAGE_BYTES (1u << 20)
#define ROUNDS 20000u
#define SETTERS 2u

static const char *const names[SETTERS] = { "writeback_threshold", "sync_interval_s" };

static struct wb_keeper_state state;
static struct wb_kept kept;
static struct wb_cache *cache;

/* The round that has begun, and who has come to its end. */
static atomic_uint round_begun, setters_done;

static void open_cache(struct wb_store *backing)
{
	static const uint8_t uuid[16] = { 1 };
	struct wb_cache_config config = {
		.backing_store = backing, .clock = wb_clock_real(),
		.worker_mode = WB_WORKER_THREAD, .request_count = 4,
		.tunables = WB_TUNABLES_DEFAULT,
	};
	GError *error = NULL;

	cache = wb_cache_open_bare(&config, WB_BARE_READ_ONLY, uuid, &error);
	cr_assert(cache, "%s", error ? error->message : "");
}

static unsigned value_of(unsigned round)
{
	return 1 + round % 90;
}

/* As a FUSE thread does it with what is written to the file of a tunable. */
static gpointer set_one(gpointer arg)
{
	const char *name = arg;

	for (unsigned round = 1; round <= ROUNDS; round++) {
		char text[16];

		snprintf(text, sizeof text, "%u", value_of(round));
		while (atomic_load(&round_begun) < round)
			g_thread_yield();
		if (!wb_cache_set_tunable(cache, wb_tunable_find(name), text, NULL))
			g_error("%s takes no %s", name, text);
		wb_kept_note_tunables(&kept, cache);
		atomic_fetch_add(&setters_done, 1);
	}
	return NULL;
}

/* What the next worker would find, or NULL. */
static const char *noted(const char *name)
{
	uint32_t half = atomic_load(&kept.area->tunables_half);
	const char *words = half ? kept.area->tunables[half - 1] : "";
	size_t length = strlen(name);

	for (; *words; words += strlen(words) + 1)
		if (!strncmp(words, name, length) && words[length] == '=')
			return words + length + 1;
	return NULL;
}

Test(kept, of_two_who_set_tunables_at_once_both_are_noted, .timeout = 120)
{
	struct wb_store *backing = wb_store_memory_new(IMAGE_BYTES, 512, 512);
	GThread *threads[SETTERS];

	kept.state = &state;
	kept.area = (struct wb_kept_area *)state.area;
	wb_lock_init(&kept.lock, WB_RANK_FRONTEND);
	open_cache(backing);
	for (unsigned i = 0; i < SETTERS; i++)
		threads[i] = g_thread_new(names[i], set_one, (gpointer)names[i]);
	for (unsigned round = 1; round <= ROUNDS; round++) {
		char wanted[16];

		snprintf(wanted, sizeof wanted, "%u", value_of(round));
		atomic_store(&round_begun, round);
		while (atomic_load(&setters_done) < round * SETTERS)
			g_thread_yield();
		for (unsigned i = 0; i < SETTERS; i++)
			cr_assert_str_eq(noted(names[i]), wanted, "%s in round %u", names[i],
					 round);
	}
	for (unsigned i = 0; i < SETTERS; i++)
		g_thread_join(threads[i]);
	cr_assert_eq(wb_cache_close(cache, WB_CLOSE_CLEAN), 0);
	wb_store_close(backing);
	wb_lock_clear(&kept.lock);
}
