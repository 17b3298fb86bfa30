/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Discards: what they hide, what hides them, and that nothing undoes them. */
#include <criterion/criterion.h>
#include <string.h>

#include "support/volume_sim.h"

#define BLOCK 4096u

static struct wb_sim sim;
static uint8_t model[4 << 20];

static void start_with(const struct wb_sim_params *params)
{
	struct wb_sim_params p = params ? *params : (struct wb_sim_params){ 0 };

	/* Old data everywhere, which nobody may see again once it is discarded. */
	p.backing_fill = 9;
	wb_sim_init(&sim, &p);
	cr_assert(wb_sim_open(&sim, NULL));
	memset(model, 9, sim.params.image_bytes);
}

static void stop(void)
{
	wb_sim_clear(&sim);
}

TestSuite(discard, .fini = stop);

static void zero(uint64_t at, uint64_t bytes)
{
	cr_assert_eq(wb_sim_zero(&sim, at, bytes, 0), 0);
	memset(model + at, 0, bytes);
}

static void fill(uint64_t at, uint8_t value, uint64_t bytes)
{
	cr_assert_eq(wb_sim_fill(&sim, at, value, bytes, 0), 0);
	memset(model + at, value, bytes);
}

static void expect_model(const char *when)
{
	static uint8_t data[1 << 20];

	for (uint64_t at = 0; at < sim.params.image_bytes; at += sizeof data) {
		uint64_t bytes = MIN(sizeof data, sim.params.image_bytes - at);

		cr_assert_eq(wb_sim_read(&sim, at, data, bytes), 0);
		for (uint64_t i = 0; i < bytes; i++)
			cr_assert_eq(data[i], model[at + i], "%s: byte %lu is %u, not %u", when,
				     at + i, data[i], model[at + i]);
	}
}

/* What stands in RAM, after a crash, and on the backing alone is the same. */
static void expect_model_everywhere(void)
{
	expect_model("at once");
	cr_assert_eq(wb_sim_sync(&sim), 0);
	wb_sim_kill(&sim);
	wb_sim_cut_power(&sim);
	cr_assert(wb_sim_open(&sim, NULL));
	expect_model("after a crash");
	cr_assert_eq(wb_sim_drain(&sim), 0);
	expect_model("after a drain");
	cr_assert_eq(memcmp(wb_sim_backing_bytes(&sim), model, sim.params.image_bytes), 0);
}

Test(discard, pending_zeros_win_over_what_the_backing_still_has)
{
	struct wb_sim_params params = { .no_writeback = true };

	start_with(&params);
	zero(4 * BLOCK, 10 * BLOCK);
	cr_expect_eq(wb_sim_backing_bytes(&sim)[4 * BLOCK], 9);
	expect_model_everywhere();
}

Test(discard, a_discard_hides_what_was_written_before_it)
{
	start_with(NULL);
	fill(0, 1, 20 * BLOCK);
	zero(4 * BLOCK, 10 * BLOCK);
	expect_model_everywhere();
}

Test(discard, what_is_written_after_it_is_there)
{
	start_with(NULL);
	zero(4 * BLOCK, 10 * BLOCK);
	fill(6 * BLOCK, 1, 3 * BLOCK);
	zero(7 * BLOCK, BLOCK);
	fill(7 * BLOCK + 512, 2, 512);
	expect_model_everywhere();
}

Test(discard, a_part_of_a_block_over_pending_zeros_shows_zeros_beside_it)
{
	start_with(NULL);
	zero(0, 8 * BLOCK);
	fill(BLOCK + 1024, 1, 512);
	fill(3 * BLOCK + 100, 2, 50);
	expect_model_everywhere();
}

Test(discard, cut_blocks_at_its_ends_keep_their_other_bytes)
{
	start_with(NULL);
	zero(1000, 5 * BLOCK);
	zero(10 * BLOCK + 512, 1024);
	zero(12 * BLOCK + 100, 50);
	zero(20 * BLOCK, BLOCK + 1);
	expect_model_everywhere();
}

Test(discard, the_whole_image_may_go_at_once)
{
	struct wb_sim_params params = { .image_bytes = (1 << 20) - 1536 };

	start_with(&params);
	fill(0, 1, 40 * BLOCK);
	zero(0, params.image_bytes);
	fill(30 * BLOCK, 2, BLOCK);
	expect_model_everywhere();
}

Test(discard, the_short_last_block_counts_as_whole)
{
	struct wb_sim_params params = { .image_bytes = 20 * BLOCK + 512 };

	start_with(&params);
	zero(20 * BLOCK, 512);
	expect_model_everywhere();
}

/* The block is written back after the punch, then partly written anew; the log
 * still holds the discard. To punch again would destroy what is only on the
 * backing now. */
Test(discard, a_recovered_discard_does_not_undo_what_was_written_back_since)
{
	bool is_dirty = true;

	start_with(NULL);
	fill(100 * BLOCK, 5, BLOCK);
	zero(0, 8 * BLOCK);
	fill(2 * BLOCK, 1, BLOCK);
	wb_cache_start_drain(sim.cache);
	/* Something newer in the same segment is dirty at every moment. */
	for (unsigned i = 0; is_dirty && i < 100000; i++) {
		if (i % 3 == 0)
			fill(100 * BLOCK, (uint8_t)i, BLOCK);
		wb_sim_step(&sim);
		cr_assert(wb_sim_cached_block(&sim, 2, &is_dirty));
	}
	cr_assert_not(is_dirty);
	fill(2 * BLOCK, 3, 512);
	expect_model_everywhere();
}

Test(discard, a_full_table_parks_the_request_until_the_punch)
{
	struct wb_sim_params params = { .image_bytes = 128 << 20, .segment_count = 16,
					.no_writeback = true };
	struct wb_stats_snapshot stats;
	uint8_t byte;

	wb_sim_init(&sim, &params);
	cr_assert(wb_sim_open(&sim, NULL));
	for (unsigned i = 0; i < 15000; i++)
		cr_assert_eq(wb_sim_zero(&sim, (uint64_t)i * 2 * BLOCK, BLOCK, 0), 0);
	wb_sim_stats(&sim, &stats);
	cr_expect_gt(stats.counter[WB_STAT_PARKED_REQUESTS], 0);
	cr_expect_lt(stats.pending_discards, 15000);
	cr_assert_eq(wb_sim_read(&sim, 14999ull * 2 * BLOCK, &byte, 1), 0);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	wb_sim_stats(&sim, &stats);
	cr_expect_eq(stats.pending_discards, 0);
}

Test(discard, any_mixture_in_any_order_ends_right)
{
	for (uint64_t seed = 1; seed <= 30; seed++) {
		struct wb_sim_params params = { .seed = seed, .no_writeback = seed % 2,
						.image_bytes = 512 << 10 };

		start_with(&params);
		for (unsigned i = 0; i < 150; i++) {
			uint64_t at = wb_prng_below(&sim.prng, params.image_bytes);
			uint64_t most = MIN(params.image_bytes - at, 40000);
			uint64_t bytes = 1 + wb_prng_below(&sim.prng, most);

			if (wb_prng_below(&sim.prng, 2))
				zero(at, bytes);
			else
				fill(at, (uint8_t)(i + 1), bytes);
			for (uint64_t n = wb_prng_below(&sim.prng, 20); n > 0; n--)
				wb_sim_step(&sim);
			if (wb_prng_below(&sim.prng, 30) == 0)
				cr_assert_eq(wb_sim_drain(&sim), 0);
		}
		expect_model_everywhere();
		wb_sim_clear(&sim);
	}
	start_with(NULL);
}
