/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The index of dirty blocks: against a plain array, and as the block map keeps it. */
#include <criterion/criterion.h>
#include <glib.h>

#include "cache/cache_private.h"
#include "cache/dirty_index.h"
#include "support/prng.h"
#include "support/volume_sim.h"

#define BLOCKS (UINT64_C(1) << 19)

static uint64_t next_of(const bool *is_dirty, uint64_t count, uint64_t from)
{
	while (from < count && !is_dirty[from])
		from++;
	return from < count ? from : WB_NO_ADDRESS;
}

static void flip(struct wb_dirty_index *index, bool *is_dirty, uint64_t address)
{
	is_dirty[address] = !is_dirty[address];
	if (is_dirty[address])
		wb_dirty_index_set(index, address);
	else
		wb_dirty_index_clear(index, address);
}

/* Sparse, then full, then sparse again; neighbours and far ones. */
Test(dirty_index, finds_the_next_dirty_block_from_anywhere_after_any_changes)
{
	struct wb_dirty_index *index = wb_dirty_index_new(BLOCKS);
	g_autofree bool *is_dirty = g_new0(bool, BLOCKS);
	struct wb_prng prng;

	wb_prng_init(&prng, 7);
	for (unsigned round = 0; round < 60; round++) {
		uint64_t reach = round % 3 == 0 ? BLOCKS : UINT64_C(1) << wb_prng_below(&prng, 19);
		uint64_t from = wb_prng_below(&prng, BLOCKS - reach + 1);

		for (unsigned i = 0; i < 500; i++)
			flip(index, is_dirty, from + wb_prng_below(&prng, reach));
		for (unsigned i = 0; i < 300; i++) {
			uint64_t at = wb_prng_below(&prng, BLOCKS + 100);

			cr_assert_eq(wb_dirty_index_next(index, at),
				     next_of(is_dirty, BLOCKS, at));
		}
		if (round % 5 == 4)
			for (uint64_t at = from; at < from + reach; at++)
				if (is_dirty[at])
					flip(index, is_dirty, at);
	}
	wb_dirty_index_free(index);
}

Test(dirty_index, takes_a_bit_for_each_block_and_little_more)
{
	struct wb_dirty_index *index = wb_dirty_index_new(UINT64_C(1) << 32);
	size_t least = (UINT64_C(1) << 32) / 8;

	cr_assert_leq(wb_dirty_index_bytes(index), least + least / 60 + (64 << 10));
	wb_dirty_index_set(index, (UINT64_C(1) << 32) - 1);
	cr_assert_eq(wb_dirty_index_next(index, 0), (UINT64_C(1) << 32) - 1);
	wb_dirty_index_free(index);
}

Test(dirty_index, grows_in_steps_of_any_size)
{
	struct wb_dirty_index *index = wb_dirty_index_new(1);
	uint64_t blocks = 1;

	for (unsigned i = 0; i < 3000; i++) {
		wb_dirty_index_set(index, blocks - 1);
		blocks += 1 + i * 13;
		cr_assert(wb_dirty_index_grow(index, blocks));
		cr_assert_eq(wb_dirty_index_next(index, 1), i == 0 ? WB_NO_ADDRESS : 1);
	}
	blocks = 1;
	for (unsigned i = 0; i < 3000; i++) {
		cr_assert_eq(wb_dirty_index_next(index, i == 0 ? 0 : blocks - 1), blocks - 1);
		blocks += 1 + i * 13;
	}
	wb_dirty_index_free(index);
}

/* --- threads --------------------------------------------------------------------------- */

#define THREADS 1u
#define ROUNDS 500u

struct setter {
	struct wb_dirty_index *index;
	uint64_t address;
	gint *has_begun, *running;
};

/* It has a word of its own, as a stripe has, beside those of others, and is the last
 * to say what is in it. */
static gpointer set_and_clear(gpointer arg)
{
	struct setter *setter = arg;

	while (!g_atomic_int_get(setter->has_begun))
		;
	for (unsigned i = 0; i < 300; i++) {
		wb_dirty_index_clear(setter->index, setter->address);
		wb_dirty_index_set(setter->index, setter->address);
	}
	g_atomic_int_dec_and_test(setter->running);
	return NULL;
}

/* Whoever looks takes away what is out of date on the levels above, and must not take
 * what was set just then. */
Test(dirty_index, loses_nothing_that_is_set_while_somebody_looks, .timeout = 120)
{
	struct wb_dirty_index *index = wb_dirty_index_new(UINT64_C(1) << 20);

	for (unsigned round = 0; round < ROUNDS; round++) {
		uint64_t first = round * 256 + 64;
		struct setter setters[THREADS];
		GThread *threads[THREADS];
		gint has_begun = 0, running = THREADS;

		for (unsigned i = 0; i < THREADS; i++) {
			setters[i] = (struct setter){ index, first + i * 64, &has_begun, &running };
			threads[i] = g_thread_new("setter", set_and_clear, &setters[i]);
		}
		g_atomic_int_set(&has_begun, 1);
		while (g_atomic_int_get(&running) > 0)
			wb_dirty_index_next(index, first - 64);
		for (unsigned i = 0; i < THREADS; i++) {
			g_thread_join(threads[i]);
			cr_assert_eq(wb_dirty_index_next(index, first + i * 64), first + i * 64);
		}
	}
	wb_dirty_index_free(index);
}

/* --- in the block map --------------------------------------------------------------------- */

static struct wb_sim sim;

static void stop(void)
{
	wb_sim_clear(&sim);
}

/* Block by block the same as what the map says. */
static void expect_the_same(void)
{
	struct wb_block_map *map = sim.cache->path.map;
	uint64_t next = wb_block_map_next_dirty(map, 0);

	for (uint64_t a = 0; a < sim.params.image_bytes / 4096; a++) {
		struct wb_stripe *stripe = wb_block_map_stripe(map, a);
		struct wb_mapping now;

		wb_lock_acquire(&stripe->lock);
		wb_block_map_lookup_locked(map, a, &now);
		wb_lock_release(&stripe->lock);
		if (now.slot != WB_NO_SLOT && wb_slot_state_is_dirty(now.state)) {
			cr_assert_eq(next, a);
			next = wb_block_map_next_dirty(map, a + 1);
		}
	}
	cr_assert_eq(next, WB_NO_ADDRESS);
}

Test(dirty_index, says_what_the_map_says_whatever_happens, .fini = stop)
{
	struct wb_sim_params params = { .seed = 3, .segment_count = 20, .image_bytes = 4 << 20 };
	struct wb_prng prng;

	wb_sim_init(&sim, &params);
	cr_assert(wb_sim_open(&sim, NULL));
	wb_prng_init(&prng, 5);
	for (unsigned i = 0; i < 400; i++) {
		uint64_t first = wb_prng_below(&prng, 1000), count = 1 + wb_prng_below(&prng, 20);

		switch (wb_prng_below(&prng, 12)) {
		case 0:
			cr_assert_eq(wb_sim_zero(&sim, first * 4096, count * 4096, 0), 0);
			break;
		case 1:
			cr_assert_eq(wb_sim_drain(&sim), 0);
			cr_assert_eq(wb_block_map_next_dirty(sim.cache->path.map, 0),
				     WB_NO_ADDRESS);
			break;
		case 2:
			cr_assert_eq(wb_sim_sync(&sim), 0);
			wb_sim_settle(&sim);
			break;
		case 3:
			cr_assert_eq(wb_sim_sync(&sim), 0);
			wb_sim_kill(&sim);
			wb_sim_cut_power(&sim);
			cr_assert(wb_sim_open(&sim, NULL));
			break;
		default:
			cr_assert_eq(wb_sim_fill(&sim, first * 4096 + wb_prng_below(&prng, 2) * 512,
						 (uint8_t)i, count * 4096, 0), 0);
		}
		expect_the_same();
	}
}

Test(dirty_index, covers_the_new_part_of_an_image_that_has_grown, .fini = stop)
{
	struct wb_sim_params params = { .image_bytes = 1 << 20, .backing_bytes = 300 << 20 };

	wb_sim_init(&sim, &params);
	cr_assert(wb_sim_open(&sim, NULL));
	cr_assert_eq(wb_sim_resize(&sim, 300 << 20), 0);
	cr_assert_eq(wb_sim_fill(&sim, (300 << 20) - 4096, 9, 4096, 0), 0);
	cr_assert_eq(wb_block_map_next_dirty(sim.cache->path.map, 0), (300 << 8) - 1);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	cr_assert_eq(wb_sim_backing_bytes(&sim)[(300 << 20) - 1], 9);
}
