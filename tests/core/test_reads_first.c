/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads that miss the cache, and writeback, of a whole cache over a slow backing: who
 * goes first. The arithmetic is in unit/test_read_first.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "cache/cache_private.h"
#include "support/volume_sim.h"

#define BLOCK 4096u
#define MS_NS UINT64_C(1000000)
#define SECOND_NS (1000 * MS_NS)
#define STEP_NS MS_NS
#define STEPS 10u			/* in STEP_NS */
#define DIRTY_BLOCKS 900u

static struct wb_sim sim;

static uint64_t still_ns(struct wb_clock *clock)
{
	(void)clock;
	return sim.clock.now_ns;
}

static void slow(enum wb_io_op op, enum wb_io_class io_class, unsigned polls)
{
	struct wb_fault fault = { .op = op, .io_class = io_class, .count = WB_FAULT_FOR_EVER,
				  .effect = WB_FAULT_DELAY, .delay_polls = polls };

	wb_store_faulty_add(sim.backing_disk.faulty, &fault);
}

/* Dirty blocks of which none is beside another, and a backing that takes its time. */
static void start(unsigned target_ms)
{
	struct wb_sim_params params = { .segment_count = 100, .ram_segments = 100,
					.image_bytes = 64 << 20, .no_writeback = true };

	wb_sim_init(&sim, &params);
	sim.clock.clock.now_ns = still_ns;
	sim.clock.now_ns = SECOND_NS;
	sim.read_latency_target_ms = target_ms;
	cr_assert(wb_sim_open(&sim, NULL));
	for (unsigned i = 0; i < DIRTY_BLOCKS; i++)
		cr_assert_eq(wb_sim_fill(&sim, i * 7 * BLOCK, 9, BLOCK, 0), 0);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	slow(WB_IO_WRITE, WB_IO_CLASS_WRITEBACK, 200);
}

static void stop(void)
{
	wb_sim_clear(&sim);
}

TestSuite(reads_first, .fini = stop);

static void step(void)
{
	static unsigned count;

	sim.clock.now_ns += STEP_NS;
	for (unsigned i = 0; i < STEPS; i++)
		wb_sim_step(&sim);
	if (++count % 250 == 0)
		wb_cache_tick(sim.cache);
}

static uint64_t dirty_blocks(void)
{
	return wb_block_map_dirty_count(sim.cache->path.map);
}

static struct wb_stats_snapshot stats(void)
{
	struct wb_stats_snapshot snapshot;

	wb_sim_stats(&sim, &snapshot);
	return snapshot;
}

static struct wb_sim_op *begin_read(unsigned index)
{
	struct wb_sim_op *op = wb_sim_prepare(&sim, WB_READ, 0,
					      (8000 + index * 3 % 8000) * (uint64_t)BLOCK, BLOCK);

	cr_assert(op);
	wb_sim_submit(op);
	return op;
}

/* A reader without a pause; TRUE: nothing was dirty in the end. */
static bool read_for(unsigned ms)
{
	struct wb_sim_op *op = begin_read(0);
	unsigned index = 0;

	for (; ms > 0 && dirty_blocks() > 0; ms--) {
		step();
		if (op->is_finished) {
			cr_assert_eq(op->error, 0);
			wb_sim_release(op);
			op = begin_read(++index);
		}
	}
	cr_assert_eq(wb_sim_wait(op), 0);
	wb_sim_release(op);
	return dirty_blocks() == 0;
}

Test(reads_first, writeback_gives_way_to_a_reader_and_goes_on_at_full_speed_afterwards)
{
	uint64_t full, slowed;

	start(20);
	slow(WB_IO_READ, WB_IO_CLASS_USER_READ, 100);
	wb_cache_start_drain(sim.cache);
	for (unsigned i = 0; i < 20; i++)
		step();
	full = wb_store_counting_ios(sim.backing_disk.counting, WB_IO_WRITE);
	cr_expect_geq(full, WB_WRITEBACK_DEPTH);
	cr_expect_not(stats().reads_go_first);
	cr_expect_eq(stats().writeback_depth, WB_WRITEBACK_DEPTH);

	cr_assert_not(read_for(500));
	cr_expect(stats().reads_go_first);
	cr_expect_leq(stats().writeback_depth, 4);
	cr_expect_leq(stats().writeback_io_bytes, 128 * BLOCK);
	slowed = wb_store_counting_ios(sim.backing_disk.counting, WB_IO_WRITE);
	cr_assert_not(read_for(200));
	slowed = wb_store_counting_ios(sim.backing_disk.counting, WB_IO_WRITE) - slowed;
	cr_expect_gt(slowed, 0);
	cr_expect_lt(slowed, 60, "%lu writes", slowed);

	for (unsigned i = 0; i < 1100; i++)
		step();
	cr_expect_not(stats().reads_go_first);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	for (unsigned i = 0; i < DIRTY_BLOCKS; i++)
		cr_assert_eq(wb_sim_backing_bytes(&sim)[i * 7 * BLOCK + 5], 9);
}

Test(reads_first, a_drain_ends_however_late_reads_are)
{
	start(1);
	slow(WB_IO_READ, WB_IO_CLASS_USER_READ, 300);
	wb_cache_start_drain(sim.cache);
	cr_expect(read_for(600 * 1000));
	cr_expect_gt(wb_sim_counter(&sim, WB_STAT_LATE_READS), 100);
}

Test(reads_first, with_a_target_of_0_writeback_does_not_care)
{
	start(0);
	slow(WB_IO_READ, WB_IO_CLASS_USER_READ, 300);
	wb_cache_start_drain(sim.cache);
	cr_assert_not(read_for(100));
	cr_expect_not(stats().reads_go_first);
	cr_expect_eq(stats().writeback_depth, WB_WRITEBACK_DEPTH);
	cr_expect_eq(wb_sim_counter(&sim, WB_STAT_LATE_READS), 0);
	/* set while it is at work */
	wb_sim_set(&sim, "read_latency_target_ms", "5");
	cr_assert_not(read_for(200));
	cr_expect(stats().reads_go_first);
	cr_expect_gt(wb_sim_counter(&sim, WB_STAT_LATE_READS), 0);
}

Test(reads_first, what_the_cache_has_is_nobodys_concern)
{
	static uint8_t data[BLOCK];

	start(20);
	wb_cache_start_drain(sim.cache);
	for (unsigned i = 0; i < 50; i++) {
		step();
		cr_assert_eq(wb_sim_read(&sim, (DIRTY_BLOCKS - 1) * 7 * BLOCK, data, BLOCK), 0);
	}
	cr_expect_not(stats().reads_go_first);
}
