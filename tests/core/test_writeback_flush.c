/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The flush at the end of a batch, and the next batch meanwhile: that the disk has
 * something to do, and that nothing is clean before a flush that began after its write
 * had ended.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "cache/cache_private.h"
#include "cache/writeback_batch.h"
#include "support/volume_sim.h"

#define BLOCK 4096u
#define MS_NS UINT64_C(1000000)
#define FLUSH_POLLS 40000u
#define FIRST 0u			/* where the first batch and the next one write */
#define NEXT 1000u
#define COUNT (WB_BEHIND_BLOCKS_MIN + 40)	/* blocks of each, every third */

static struct wb_sim sim;

/* It moves only here. */
static uint64_t still_ns(struct wb_clock *clock)
{
	(void)clock;
	return sim.clock.now_ns;
}

static void start(void)
{
	struct wb_sim_params params = { .segment_count = 1100, .ram_segments = 16,
					.image_bytes = 32 << 20 };

	wb_sim_init(&sim, &params);
	sim.clock.clock.now_ns = still_ns;
	cr_assert(wb_sim_open(&sim, NULL));
	wb_sim_set(&sim, "allow_writeback", "off");
}

static void stop(void)
{
	wb_sim_clear(&sim);
}

TestSuite(writeback_flush, .init = start, .fini = stop);

static void disk_meets(int op, enum wb_fault_effect effect, uint64_t count, uint64_t polls)
{
	struct wb_fault fault = { .op = op, .io_class = WB_FAULT_ANY, .count = count,
				  .effect = effect, .delay_polls = polls };

	wb_store_faulty_add(sim.backing_disk.faulty, &fault);
}

static void fill(uint64_t first, unsigned count, uint8_t value)
{
	for (unsigned i = 0; i < count; i++)
		cr_assert_eq(wb_sim_fill(&sim, (first + i * 3) * BLOCK, value, BLOCK, 0), 0);
	cr_assert_eq(wb_sim_sync(&sim), 0);
}

static uint64_t ios(enum wb_io_op op)
{
	return wb_store_counting_ios(sim.backing_disk.counting, op);
}

static uint64_t clean_blocks(void)
{
	return wb_sim_counter(&sim, WB_STAT_WRITEBACK_BLOCKS);
}

static unsigned count_dirty(uint64_t first, unsigned count)
{
	unsigned dirty = 0;

	for (unsigned i = 0; i < count; i++) {
		bool is_dirty = false;

		cr_assert(wb_sim_cached_block(&sim, first + i * 3, &is_dirty));
		dirty += is_dirty;
	}
	return dirty;
}

static void expect_backing(uint64_t first, unsigned count, uint8_t value)
{
	for (unsigned i = 0; i < count; i++)
		cr_assert_eq(wb_sim_backing_bytes(&sim)[(first + i * 3) * BLOCK + i % BLOCK],
			     value, "block %lu", first + i * 3);
}

static void step_until_flush(uint64_t flushes)
{
	while (ios(WB_IO_FLUSH) < flushes)
		cr_assert(wb_sim_step(&sim));
}

/* The first batch is written, and its flush is under way for long. */
static uint64_t begin_first_with(enum wb_fault_effect effect)
{
	uint64_t flushes = ios(WB_IO_FLUSH);

	fill(FIRST, COUNT, 1);
	disk_meets(WB_IO_FLUSH, effect, 1, FLUSH_POLLS);
	wb_cache_start_drain(sim.cache);
	step_until_flush(flushes + 1);
	cr_assert_eq(clean_blocks(), 0);
	return ios(WB_IO_WRITE);
}

static uint64_t begin_first(void)
{
	return begin_first_with(WB_FAULT_DELAY);
}

static bool is_flushing(void)
{
	return sim.cache->writeback->flush.is_under_way && clean_blocks() == 0;
}

/* All that can be done without the end of the flush. */
static void step_meanwhile(void)
{
	for (unsigned i = 0; i < FLUSH_POLLS / 4; i++)
		wb_sim_step(&sim);
	cr_assert(is_flushing());
}

/* Of as many as were durable when it began. */
static void expect_next_batch(uint64_t writes)
{
	cr_expect_geq(ios(WB_IO_WRITE), writes + WB_BEHIND_BLOCKS_MIN / 2);
	cr_expect_leq(ios(WB_IO_WRITE), writes + COUNT);
}

static void finish(void)
{
	wb_store_faulty_clear(sim.backing_disk.faulty);
	cr_assert_eq(wb_sim_drain(&sim), 0);
}

Test(writeback_flush, the_next_batch_is_written_while_it_is_under_way)
{
	uint64_t writes = begin_first();

	fill(NEXT, COUNT, 2);
	step_meanwhile();
	expect_next_batch(writes);
	finish();
	/* What waited for the flush was not written again. */
	cr_expect_eq(ios(WB_IO_WRITE), writes + COUNT);
	expect_backing(FIRST, COUNT, 1);
	expect_backing(NEXT, COUNT, 2);
	cr_expect_eq(wb_block_map_dirty_count(sim.cache->path.map), 0);
}

Test(writeback_flush, what_is_written_meanwhile_is_clean_only_after_a_flush_of_its_own)
{
	uint64_t flushes;

	begin_first();
	fill(NEXT, COUNT, 2);
	step_meanwhile();
	flushes = ios(WB_IO_FLUSH);
	disk_meets(WB_IO_FLUSH, WB_FAULT_DELAY, 1, FLUSH_POLLS);
	while (clean_blocks() == 0)
		wb_sim_step(&sim);
	cr_expect_eq(count_dirty(FIRST, COUNT), 0);
	cr_expect_eq(count_dirty(NEXT, COUNT), COUNT);
	step_until_flush(flushes + 1);
	cr_expect_eq(count_dirty(NEXT, COUNT), COUNT);
	finish();
	cr_expect_eq(count_dirty(NEXT, COUNT), 0);
}

Test(writeback_flush, a_newer_version_is_written_after_the_older_one_and_stays_dirty)
{
	uint64_t writes = begin_first();

	fill(FIRST, COUNT / 2, 3);
	fill(NEXT, COUNT, 3);
	step_meanwhile();
	cr_expect_gt(ios(WB_IO_WRITE), writes + COUNT / 2);
	expect_backing(FIRST, COUNT / 2, 3);
	disk_meets(WB_IO_FLUSH, WB_FAULT_DELAY, 1, FLUSH_POLLS);
	while (clean_blocks() == 0)
		wb_sim_step(&sim);
	cr_expect_eq(count_dirty(FIRST, COUNT), COUNT / 2);
	finish();
	expect_backing(FIRST, COUNT / 2, 3);
	expect_backing(FIRST + COUNT / 2 * 3, COUNT / 2, 1);
}

/* And only one pause follows, as one flush has failed. */
Test(writeback_flush, when_it_fails_what_was_written_meanwhile_counts_as_little)
{
	uint64_t writes = begin_first_with(WB_FAULT_FAIL), flushes = ios(WB_IO_FLUSH);
	uint64_t meanwhile;

	fill(NEXT, COUNT, 2);
	step_meanwhile();
	expect_next_batch(writes);
	meanwhile = ios(WB_IO_WRITE);
	while (wb_writeback_failures(sim.cache->writeback) == 0)
		wb_sim_step(&sim);
	for (unsigned i = 0; i < FLUSH_POLLS; i++)
		wb_sim_step(&sim);
	cr_expect_eq(wb_writeback_failures(sim.cache->writeback), 1);
	cr_expect_eq(ios(WB_IO_FLUSH), flushes);
	cr_expect_eq(ios(WB_IO_WRITE), meanwhile);
	cr_expect_eq(count_dirty(FIRST, COUNT) + count_dirty(NEXT, COUNT), 2 * COUNT);
	finish();
	cr_expect_eq(ios(WB_IO_WRITE), meanwhile + 2 * COUNT, "all once more");
	expect_backing(FIRST, COUNT, 1);
	expect_backing(NEXT, COUNT, 2);
}

Test(writeback_flush, a_discard_is_punched_only_when_it_has_ended)
{
	begin_first();
	cr_assert_eq(wb_sim_zero(&sim, FIRST * BLOCK, 64 * BLOCK, 0), 0);
	fill(NEXT, COUNT, 2);
	step_meanwhile();
	cr_expect_eq(ios(WB_IO_ZERO), 0);
	finish();
	cr_expect_gt(ios(WB_IO_ZERO), 0);
	expect_backing(FIRST, 22, 0);
	expect_backing(66, COUNT - 22, 1);
}

/* What was taken apart, refused, or cannot be read is for the next batch to know. */
Test(writeback_flush, after_errors_nothing_is_written_meanwhile)
{
	struct wb_fault fault = { .op = WB_IO_WRITE, .io_class = WB_FAULT_ANY,
				  .offset_bytes = 3 * BLOCK, .length_bytes = BLOCK,
				  .count = WB_FAULT_FOR_EVER };
	uint64_t writes;

	wb_store_faulty_add(sim.backing_disk.faulty, &fault);
	writes = begin_first();
	fill(NEXT, COUNT, 2);
	step_meanwhile();
	cr_expect_eq(ios(WB_IO_WRITE), writes);
	wb_store_faulty_clear(sim.backing_disk.faulty);
	while (is_flushing())
		wb_sim_step(&sim);
	wb_writeback_retry_now(sim.cache->writeback);
	finish();
	expect_backing(FIRST, COUNT, 1);
	expect_backing(NEXT, COUNT, 2);
}

/* Else a disk that takes no writes during a flush would make batches of the next to
 * nothing that it had taken before. */
Test(writeback_flush, the_time_of_a_batch_begins_when_the_flush_before_it_has_ended)
{
	uint64_t writes = begin_first(), flushes = ios(WB_IO_FLUSH);

	disk_meets(WB_IO_WRITE, WB_FAULT_DELAY, WB_WRITEBACK_DEPTH, FLUSH_POLLS);
	fill(NEXT, COUNT, 2);
	step_meanwhile();
	cr_expect_eq(ios(WB_IO_WRITE), writes + WB_WRITEBACK_DEPTH);
	sim.clock.now_ns += 5000 * MS_NS;
	step_until_flush(flushes + 1);
	cr_expect_geq(ios(WB_IO_WRITE), writes + WB_BEHIND_BLOCKS_MIN / 2);
	finish();
	expect_backing(NEXT, COUNT, 2);
}

Test(writeback_flush, a_stop_waits_for_both)
{
	begin_first();
	fill(NEXT, COUNT, 2);
	step_meanwhile();
	cr_assert_eq(wb_sim_close(&sim), 0);
	cr_assert(wb_sim_open(&sim, NULL));
	finish();
	expect_backing(FIRST, COUNT, 1);
	expect_backing(NEXT, COUNT, 2);
}

Test(writeback_flush, so_does_a_process_that_gives_up)
{
	begin_first();
	fill(NEXT, COUNT, 2);
	step_meanwhile();
	wb_sim_kill(&sim);
	cr_assert(wb_sim_open(&sim, NULL));
	finish();
	expect_backing(FIRST, COUNT, 1);
	expect_backing(NEXT, COUNT, 2);
}
