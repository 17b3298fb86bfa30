/* SPDX-License-Identifier: GPL-2.0-or-later */
/* writeback_order: which blocks one batch takes, and in how many writes. */
#include <criterion/criterion.h>

#include "cache/cache_private.h"
#include "support/volume_sim.h"

#define BLOCK 4096u
#define SEGMENT_BLOCKS (WB_SEGMENT_BYTES_MIN / BLOCK - 1)	/* data in one record */

static struct wb_sim sim;

static void start(const char *order)
{
	struct wb_sim_params params = { .segment_count = 80, .image_bytes = 16 << 20 };

	wb_sim_init(&sim, &params);
	cr_assert(wb_sim_open(&sim, NULL));
	wb_sim_set(&sim, "allow_writeback", "off");
	wb_sim_set(&sim, "writeback_order", order);
}

static void stop(void)
{
	wb_sim_clear(&sim);
}

TestSuite(writeback_order, .fini = stop);

static void fill(uint64_t first, unsigned count)
{
	cr_assert_eq(wb_sim_fill(&sim, first * BLOCK, 7, count * BLOCK, 0), 0);
}

static uint64_t backing_writes(void)
{
	return wb_store_counting_ios(sim.backing_disk.counting, WB_IO_WRITE);
}

Test(writeback_order, segments_takes_32_of_them_and_writes_each_block_by_itself)
{
	start("segments");
	for (unsigned i = 0; i < 60; i++)
		fill(i * SEGMENT_BLOCKS, SEGMENT_BLOCKS);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	cr_assert_eq(wb_sim_counter(&sim, WB_STAT_WRITEBACK_BATCHES), 2);
	cr_assert_eq(backing_writes(), 60 * SEGMENT_BLOCKS);
}

Test(writeback_order, sweep_joins_what_is_adjacent)
{
	start("sweep");
	for (unsigned i = 0; i < 60; i++)
		fill(i * SEGMENT_BLOCKS, SEGMENT_BLOCKS);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	cr_assert_eq(backing_writes(), 1);
}
