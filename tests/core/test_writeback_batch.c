/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How much one batch of writeback takes, and the memory for it. */
#include <criterion/criterion.h>
#include <string.h>
#include <sys/resource.h>

#include "cache/cache_private.h"
#include "cache/writeback_batch.h"
#include "support/volume_sim.h"

#define BLOCK 4096u
#define MIB_BLOCKS 256u
#define WRITTEN_BYTES (2 * WB_BATCH_WRITTEN_BLOCKS * sizeof(struct wb_written_block))

static struct wb_sim sim;

static void start(uint32_t segment_bytes)
{
	struct wb_sim_params params = { .segment_count = (32u << 20) / segment_bytes,
					.segment_bytes = segment_bytes, .no_writeback = true,
					.image_bytes = 64 << 20 };

	wb_sim_init(&sim, &params);
	cr_assert(wb_sim_open(&sim, NULL));
	/* A portion is a batch. */
	wb_sim_set(&sim, "writeback_order", "segments");
}

static void stop(void)
{
	wb_sim_clear(&sim);
}

TestSuite(writeback_batch, .fini = stop);

static bool set_batch(const char *mib, GError **error)
{
	return wb_cache_set_tunable(sim.cache, wb_tunable_find("writeback_batch"), mib, error);
}

static void fill_blocks(unsigned count, uint8_t value)
{
	for (unsigned i = 0; i < count; i++)
		cr_assert_eq(wb_sim_fill(&sim, i * 3 * BLOCK, value, BLOCK, 0), 0);
}

static void expect_backing(unsigned count, uint8_t value)
{
	for (unsigned i = 0; i < count; i++)
		cr_assert_eq(wb_sim_backing_bytes(&sim)[i * 3 * BLOCK + i % BLOCK], value);
}

/* Of a drain of that many blocks: each batch ends with one flush of the backing. */
static uint64_t batches_for(unsigned blocks, uint8_t value)
{
	uint64_t before, flushes;

	fill_blocks(blocks, value);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	before = wb_sim_counter(&sim, WB_STAT_WRITEBACK_BATCHES);
	flushes = wb_sim_counter(&sim, WB_STAT_BACKING_FLUSHES);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	expect_backing(blocks, value);
	cr_assert_eq(wb_sim_counter(&sim, WB_STAT_BACKING_FLUSHES) - flushes,
		     wb_sim_counter(&sim, WB_STAT_WRITEBACK_BATCHES) - before);
	return wb_sim_counter(&sim, WB_STAT_WRITEBACK_BATCHES) - before;
}

Test(writeback_batch, takes_as_much_as_was_set_from_the_next_one_on)
{
	start(1 << 20);
	cr_assert(set_batch("1", NULL));
	cr_assert_eq(batches_for(6 * MIB_BLOCKS, 1), 6);
	cr_assert(set_batch("2", NULL));
	cr_assert_eq(batches_for(6 * MIB_BLOCKS, 2), 3);
	cr_assert(set_batch("6", NULL));
	cr_assert_eq(batches_for(6 * MIB_BLOCKS, 3), 1);
}

Test(writeback_batch, can_be_set_at_any_moment)
{
	struct wb_prng prng;

	start(1 << 20);
	wb_prng_init(&prng, 1);
	for (unsigned round = 1; round <= 5; round++) {
		fill_blocks(4 * MIB_BLOCKS, (uint8_t)round);
		wb_cache_start_drain(sim.cache);
		while (sim.cache->is_draining) {
			if (wb_prng_below(&prng, 20) == 0)
				cr_assert(set_batch((const char *[]){ "1", "2", "3", "7" }
						    [wb_prng_below(&prng, 4)], NULL));
			if (!wb_sim_step(&sim))
				wb_sim_pass_time(&sim, 1000000000);
		}
		expect_backing(4 * MIB_BLOCKS, (uint8_t)round);
	}
}

Test(writeback_batch, its_memory_is_what_was_set_and_little_more)
{
	struct wb_batch_room *room;

	start(1 << 20);
	room = sim.cache->writeback->room;
	cr_assert_eq(room->block_count, 8 * MIB_BLOCKS, "the default");
	cr_assert_leq(room->bytes, (8 << 20) + (8 << 20) * 12 / 1000 + WRITTEN_BYTES);
	cr_assert(set_batch("20", NULL));
	cr_assert_eq(batches_for(MIB_BLOCKS, 1), 1);
	room = sim.cache->writeback->room;
	cr_assert_eq(room->block_count, 20 * MIB_BLOCKS);
	cr_assert_leq(room->bytes, (20 << 20) + (20 << 20) * 12 / 1000 + WRITTEN_BYTES);
	/* No more than there can be. */
	cr_assert(set_batch("256", NULL));
	cr_assert_eq(batches_for(MIB_BLOCKS, 2), 1);
	cr_assert_eq(sim.cache->writeback->room->block_count, sim.geometry.slot_count);
	/* A mount with it takes it at once, and only once. */
	cr_assert_eq(wb_sim_close(&sim), 0);
	cr_assert(wb_sim_open(&sim, NULL));
	cr_assert_eq(sim.cache->writeback->next_room, NULL);
}

#if !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__
static rlim_t memory_in_use(void)
{
	g_autofree char *text = NULL;

	cr_assert(g_file_get_contents("/proc/self/statm", &text, NULL, NULL));
	return g_ascii_strtoull(text, NULL, 10) * BLOCK;
}

Test(writeback_batch, that_there_is_no_memory_for_is_refused_and_the_old_size_stays)
{
	struct wb_tunables tunables;
	GError *error = NULL;
	struct rlimit limit;

	start(1 << 20);
	cr_assert(set_batch("1", NULL));
	fill_blocks(2 * MIB_BLOCKS, 1);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	limit.rlim_cur = limit.rlim_max = memory_in_use() + (10 << 20);
	cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
	cr_assert_not(set_batch("20", &error));
	cr_assert(strstr(error->message, "MiB of memory for writeback: Cannot allocate"), "%s",
		  error->message);
	wb_cache_get_tunables(sim.cache, &tunables);
	cr_assert_eq(tunables.writeback_batch, 1);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	cr_assert_eq(wb_sim_counter(&sim, WB_STAT_WRITEBACK_BATCHES), 2);
	expect_backing(2 * MIB_BLOCKS, 1);
	g_error_free(error);
}
#endif
