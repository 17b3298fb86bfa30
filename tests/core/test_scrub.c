/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Scrubbing: wrong copies of what the backing has are dropped, wrong dirty blocks
 * and headers are told, and nobody is disturbed by it.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "support/store_faulty.h"
#include "support/volume_sim.h"

#define BLOCK 4096u
#define SECOND_NS UINT64_C(1000000000)

static struct wb_sim sim;

static void start(void)
{
	struct wb_sim_params params = { .backing_fill = 9, .no_writeback = true };

	wb_sim_init(&sim, &params);
	cr_assert(wb_sim_open(&sim, NULL));
}

static void stop(void)
{
	wb_sim_clear(&sim);
}

TestSuite(scrub, .init = start, .fini = stop);

static void reopen(void)
{
	cr_assert_eq(wb_sim_close(&sim), 0);
	cr_assert(wb_sim_open(&sim, NULL));
}

static void wait(uint64_t ns)
{
	wb_sim_pass_time(&sim, ns);
	wb_sim_settle(&sim);
}

static struct wb_stats_snapshot scrub(void)
{
	struct wb_stats_snapshot stats;
	unsigned turns = 0;

	wb_cache_start_scrub(sim.cache);
	do {
		wait(SECOND_NS / 4);
		wb_sim_stats(&sim, &stats);
		cr_assert_lt(++turns, 1000, "the scrub does not end");
	} while (stats.scrubs_done + stats.scrubs_failed < stats.scrubs_asked);
	cr_expect(!stats.scrub.is_running);
	return stats;
}

static uint8_t *cached(uint64_t address, bool wants_dirty)
{
	bool is_dirty;
	uint8_t *block = wb_sim_cached_block(&sim, address, &is_dirty);

	cr_assert(block);
	cr_assert_eq(is_dirty, wants_dirty);
	return block;
}

static void read_is(uint64_t address, uint8_t wanted)
{
	uint8_t data[BLOCK];

	cr_assert_eq(wb_sim_read(&sim, address * BLOCK, data, BLOCK), 0);
	for (unsigned i = 0; i < BLOCK; i++)
		cr_assert_eq(data[i], wanted, "block %lu byte %u", address, i);
}

static void write_blocks(unsigned count, uint8_t value)
{
	cr_assert_eq(wb_sim_fill(&sim, 0, value, count * BLOCK, 0), 0);
}

Test(scrub, of_sound_data_checks_every_live_block_once)
{
	struct wb_stats_snapshot stats;

	write_blocks(40, 1);
	write_blocks(10, 2);
	reopen();
	stats = scrub();
	cr_expect_eq(stats.scrubs_done, 1);
	cr_expect_eq(stats.scrub.checked_blocks, 40, "what was overwritten is not live");
	cr_expect_eq(stats.scrub.done_segments, stats.segments_total);
	cr_expect_eq(stats.scrub.repaired_blocks + stats.scrub.lost_blocks +
		     stats.scrub.bad_headers, 0);
	cr_expect_eq(wb_sim_counter(&sim, WB_STAT_CHECKSUM_ERRORS), 0);
}

Test(scrub, of_an_empty_cache_ends_at_once)
{
	struct wb_stats_snapshot stats = scrub();

	cr_expect_eq(stats.scrubs_done, 1);
	cr_expect_eq(stats.scrub.checked_blocks, 0);
}

Test(scrub, drops_a_wrong_clean_copy_and_the_backing_counts)
{
	struct wb_stats_snapshot stats;

	write_blocks(20, 1);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	reopen();
	cached(4, false)[77] ^= 1;
	stats = scrub();
	cr_expect_eq(stats.scrubs_done, 1);
	cr_expect_eq(stats.scrub.repaired_blocks, 1);
	cr_expect_eq(stats.scrub.lost_blocks, 0);
	cr_expect_eq(wb_sim_counter(&sim, WB_STAT_CHECKSUM_REPAIRED), 1);
	cr_expect_null(wb_sim_cached_block(&sim, 4, NULL));
	read_is(4, 1);
	cr_expect_eq(scrub().scrub.repaired_blocks, 0);
}

Test(scrub, tells_of_a_wrong_dirty_block_and_loses_nothing_else)
{
	struct wb_stats_snapshot stats;
	uint8_t data[BLOCK];

	write_blocks(20, 1);
	reopen();
	cached(4, true)[77] ^= 1;
	stats = scrub();
	cr_expect_eq(stats.scrubs_failed, 1);
	cr_expect_eq(stats.scrubs_done, 0);
	cr_expect_eq(stats.scrub.lost_blocks, 1);
	cr_expect(strstr(stats.last_error, "image block 4 "), "%s", stats.last_error);
	cr_expect_eq(wb_sim_read(&sim, 4 * BLOCK, data, BLOCK), -EIO);
	read_is(3, 1);
	read_is(5, 1);
	cr_assert_eq(wb_sim_fill(&sim, 4 * BLOCK, 2, BLOCK, 0), 0);
	cr_expect_eq(wb_sim_drain(&sim), 0);
	cr_expect_eq(wb_sim_backing_bytes(&sim)[4 * BLOCK], 2);
}

Test(scrub, believes_the_second_read)
{
	struct wb_stats_snapshot stats;

	write_blocks(20, 1);
	reopen();
	wb_store_faulty_add(sim.cache_disk.faulty, &(struct wb_fault){
		.op = WB_IO_READ, .io_class = WB_IO_CLASS_SCRUB });
	stats = scrub();
	cr_expect_eq(stats.scrubs_done, 1);
	cr_expect_eq(stats.scrub.checked_blocks, 20);
	cr_expect_eq(stats.scrub.lost_blocks + stats.scrub.bad_headers, 0);
}

Test(scrub, finds_a_damaged_header_while_a_drain_still_helps)
{
	struct wb_stats_snapshot stats;
	uint8_t *block;

	write_blocks(3, 1);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	write_blocks(6, 2);
	reopen();
	/* The header lies before the first block of its record. */
	block = cached(0, true);
	block[-(ptrdiff_t)BLOCK + 200] ^= 1;
	stats = scrub();
	cr_expect_eq(stats.scrubs_failed, 1);
	cr_expect_eq(stats.scrub.bad_headers, 1);
	cr_expect_eq(stats.scrub.checked_blocks, 6, "the data is right");
	cr_expect(strstr(stats.last_error, "drain now"), "%s", stats.last_error);
	cr_expect_eq(wb_sim_drain(&sim), 0);
	cr_expect_eq(scrub().scrub.bad_headers, 0, "nobody needs it any more");
	reopen();
	read_is(0, 2);
	read_is(5, 2);
}

Test(scrub, keeps_to_its_rate)
{
	struct wb_tunables tunables = WB_TUNABLES_DEFAULT;
	struct wb_stats_snapshot stats;

	write_blocks(60, 1);	/* in four segments of 64 KiB */
	reopen();
	tunables.allow_writeback = false;
	tunables.scrub_rate_mib_s = 1;
	wb_cache_set_tunables(sim.cache, &tunables);
	wb_cache_start_scrub(sim.cache);
	wb_sim_settle(&sim);
	wb_sim_stats(&sim, &stats);
	cr_expect(stats.scrub.is_running);
	cr_expect_lt(stats.scrub.checked_blocks, 60);
	for (unsigned i = 0; i < 40; i++)
		wait(SECOND_NS / 4);
	wb_sim_stats(&sim, &stats);
	cr_expect_eq(stats.scrubs_done, 1);
	cr_expect_eq(stats.scrub.checked_blocks, 60);
}

Test(scrub, asked_for_twice_is_answered_twice)
{
	struct wb_stats_snapshot stats;

	write_blocks(20, 1);
	reopen();
	wb_cache_start_scrub(sim.cache);
	wb_cache_start_scrub(sim.cache);
	for (unsigned i = 0; i < 8; i++)
		wait(SECOND_NS);
	wb_sim_stats(&sim, &stats);
	cr_expect_eq(stats.scrubs_asked, 2);
	cr_expect_eq(stats.scrubs_done, 2);
}

Test(scrub, in_the_middle_does_not_hold_up_a_stop)
{
	write_blocks(80, 1);
	reopen();
	wb_cache_start_scrub(sim.cache);
	for (unsigned i = 0; i < 7; i++)
		wb_sim_step(&sim);
	reopen();
	read_is(79, 1);
}

/* Places are emptied, opened and written under it; what it reads is pinned. */
static void scrub_under_load(uint64_t seed)
{
	struct wb_sim_params params = { .seed = seed, .image_bytes = 2 << 20 };
	struct wb_stats_snapshot stats;
	uint8_t model[512] = { 0 };
	struct wb_prng prng;

	wb_sim_clear(&sim);
	wb_sim_init(&sim, &params);
	cr_assert(wb_sim_open(&sim, NULL));
	wb_prng_init(&prng, seed);
	for (unsigned i = 0; i < 300; i++) {
		uint64_t address = wb_prng_below(&prng, 512);
		uint64_t count = 1 + wb_prng_below(&prng, MIN(20, 512 - address));

		if (i % 20 == 0)
			wb_cache_start_scrub(sim.cache);
		cr_assert_eq(wb_sim_fill(&sim, address * BLOCK, (uint8_t)i, count * BLOCK,
					 i % 7 == 0 ? WB_REQUEST_FUA : 0), 0);
		memset(model + address, (uint8_t)i, count);
		for (uint64_t s = wb_prng_below(&prng, 30); s > 0; s--)
			wb_sim_step(&sim);
	}
	for (uint64_t i = 0; i < 512; i++)
		read_is(i, model[i]);
	stats = scrub();
	cr_expect_eq(stats.scrubs_failed, 0, "seed %lu: %s", seed, stats.last_error);
	cr_expect_eq(wb_sim_counter(&sim, WB_STAT_CHECKSUM_ERRORS), 0, "seed %lu", seed);
}

Test(scrub, under_load_finds_nothing_wrong)
{
	for (uint64_t seed = 1; seed <= 30; seed++)
		scrub_under_load(seed);
}
