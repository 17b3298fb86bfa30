/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cache_mode: writes around the cache, syncs that promise the backing, and each
 * switch between the modes, with steps by hand.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "cache/cache_private.h"
#include "support/store_memory.h"
#include "support/volume_sim.h"

#define BLOCK 4096u
#define OLD 0x11

static struct wb_sim sim;

static void start(enum wb_cache_mode mode)
{
	struct wb_sim_params params = { .no_writeback = true, .backing_fill = OLD };

	wb_sim_init(&sim, &params);
	sim.cache_mode = mode;
	cr_assert(wb_sim_open(&sim, NULL));
}

static void stop(void)
{
	wb_sim_clear(&sim);
}

TestSuite(modes, .fini = stop);

static void switch_to(enum wb_cache_mode mode)
{
	struct wb_tunables tunables;

	wb_cache_get_tunables(sim.cache, &tunables);
	tunables.cache_mode = sim.cache_mode = mode;
	wb_cache_set_tunables(sim.cache, &tunables);
}

static void fill(uint64_t block, uint8_t value)
{
	cr_assert_eq(wb_sim_fill(&sim, block * BLOCK, value, BLOCK, 0), 0);
}

static uint8_t read_byte(uint64_t block)
{
	uint8_t data[BLOCK];

	cr_assert_eq(wb_sim_read(&sim, block * BLOCK, data, BLOCK), 0);
	return data[BLOCK - 1];
}

/* What the backing alone still has when all that is volatile there is lost. */
static uint8_t durable_byte(uint64_t block)
{
	struct wb_store *survives =
		wb_store_crashy_crash_losing_all(sim.backing_disk.crashy);
	uint8_t byte = wb_store_memory_bytes(survives)[block * BLOCK];

	wb_store_close(survives);
	return byte;
}

static void reopen_after_power_cut(void)
{
	wb_sim_kill(&sim);
	wb_sim_cut_power(&sim);
	cr_assert(wb_sim_open(&sim, NULL));
}

static uint64_t cached(void)
{
	struct wb_stats_snapshot stats;

	wb_sim_stats(&sim, &stats);
	return stats.cached_blocks;
}

/* Whole blocks written, in RAM or not. */
static uint64_t writes_counted(unsigned bits)
{
	bits |= WB_BLOCK_WRITE | WB_BLOCK_FULL;
	return wb_sim_counter(&sim, (enum wb_stat)(WB_STAT_BLOCKS + bits)) +
	       wb_sim_counter(&sim, (enum wb_stat)(WB_STAT_BLOCKS + (bits | WB_BLOCK_RAM)));
}

static uint64_t dirty(void)
{
	struct wb_stats_snapshot stats;

	wb_sim_stats(&sim, &stats);
	return stats.dirty_blocks + stats.pending_discards;
}

/* --- writearound ------------------------------------------------------------------ */

Test(modes, writearound_takes_no_room_in_the_cache_and_reads_still_hit_it)
{
	start(WB_MODE_WRITEBACK);
	fill(1, 1);
	fill(2, 2);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	switch_to(WB_MODE_WRITEAROUND);
	fill(1, 3);
	fill(7, 7);
	cr_expect_eq(cached(), 1, "the copy of block 1 has died");
	cr_expect_eq(dirty(), 0);
	cr_expect_eq(wb_sim_counter(&sim, WB_STAT_BYPASSED_BYTES), 2 * BLOCK);
	/* block 1; and the first of 1 and 2, and 7 */
	cr_expect_eq(writes_counted(WB_BLOCK_HIT), 1);
	cr_expect_eq(writes_counted(0), 3);
	cr_expect_eq(wb_sim_backing_bytes(&sim)[1 * BLOCK], 3);
	cr_expect_eq(read_byte(1), 3);
	cr_expect_eq(read_byte(7), 7);
	cr_expect_eq(wb_sim_counter(&sim, WB_STAT_READ_CACHE_BYTES) +
		     wb_sim_counter(&sim, WB_STAT_READ_RAM_BYTES), 0);
	cr_expect_eq(read_byte(2), 2);
	cr_expect_eq(wb_sim_counter(&sim, WB_STAT_READ_CACHE_BYTES) +
		     wb_sim_counter(&sim, WB_STAT_READ_RAM_BYTES), BLOCK);
}

Test(modes, a_sync_makes_what_went_around_durable_and_needs_nothing_more)
{
	start(WB_MODE_WRITEAROUND);
	fill(3, 3);
	cr_expect_eq(durable_byte(3), OLD);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	cr_expect_eq(durable_byte(3), 3);
	cr_assert_eq(wb_sim_fill(&sim, 4 * BLOCK, 4, BLOCK, WB_REQUEST_FUA), 0);
	cr_expect_eq(durable_byte(4), 4);
}

Test(modes, what_is_dirty_goes_through_the_log_and_so_does_what_is_discarded)
{
	start(WB_MODE_WRITEBACK);
	fill(1, 1);
	cr_assert_eq(wb_sim_zero(&sim, 8 * BLOCK, 2 * BLOCK, 0), 0);
	switch_to(WB_MODE_WRITEAROUND);
	/* 0: around, 1: dirty, 2: around; 8: discarded */
	cr_assert_eq(wb_sim_fill(&sim, 0, 5, 3 * BLOCK, 0), 0);
	fill(8, 6);
	cr_expect_eq(wb_sim_counter(&sim, WB_STAT_BYPASSED_BYTES), 2 * BLOCK);
	cr_expect_eq(wb_sim_backing_bytes(&sim)[1 * BLOCK], OLD);
	cr_expect_eq(wb_sim_backing_bytes(&sim)[8 * BLOCK], OLD);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	for (unsigned block = 0; block < 3; block++)
		cr_expect_eq(durable_byte(block), 5);
	cr_expect_eq(durable_byte(8), 6);
	cr_expect_eq(durable_byte(9), 0);
}

Test(modes, what_is_no_whole_sector_goes_through_the_log)
{
	uint8_t data[3 * BLOCK];

	start(WB_MODE_WRITEAROUND);
	/* ends inside sectors on both sides; the memory is not aligned either */
	cr_assert_eq(wb_sim_fill(&sim, 100, 9, 2 * BLOCK, 0), 0);
	cr_expect_gt(wb_sim_counter(&sim, WB_STAT_BYPASSED_BYTES), 0);
	cr_assert_eq(wb_sim_read(&sim, 0, data, sizeof data), 0);
	for (unsigned i = 0; i < sizeof data; i++)
		cr_assert_eq(data[i], i >= 100 && i < 100 + 2 * BLOCK ? 9 : OLD, "byte %u", i);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	cr_expect_eq(durable_byte(1), 9);
	cr_expect_eq(dirty(), 0);
}

Test(modes, recovery_does_not_bring_back_what_went_around_replaced)
{
	start(WB_MODE_WRITEBACK);
	fill(1, 1);
	cr_assert_eq(wb_sim_zero(&sim, 8 * BLOCK, BLOCK, 0), 0);
	/* Written back; but the log still holds both, and its tail is not recorded. */
	cr_assert_eq(wb_sim_drain(&sim), 0);
	switch_to(WB_MODE_WRITEAROUND);
	fill(1, 5);
	fill(8, 6);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	reopen_after_power_cut();
	cr_expect_eq(read_byte(1), 5);
	cr_expect_eq(read_byte(8), 6);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	cr_expect_eq(durable_byte(1), 5);
	cr_expect_eq(durable_byte(8), 6);
}

Test(modes, a_write_that_the_backing_refuses_is_taken_by_the_cache)
{
	struct wb_stats_snapshot stats;

	start(WB_MODE_WRITEAROUND);
	wb_store_faulty_add(sim.backing_disk.faulty, &(struct wb_fault){
		.op = WB_IO_WRITE, .io_class = WB_IO_CLASS_USER_WRITE, .count = 1,
		.effect = WB_FAULT_FAIL, .error = -ENOSPC });
	fill(2, 2);
	cr_expect_eq(dirty(), 1);
	cr_expect_eq(read_byte(2), 2);
	wb_sim_stats(&sim, &stats);
	cr_expect(strstr(stats.last_error, "bytes around the cache at 8192 failed"), "%s",
		  stats.last_error);
	cr_expect(strstr(stats.last_error, "; the cache takes them"));
	cr_assert_eq(wb_sim_sync(&sim), 0);
	cr_expect_eq(durable_byte(2), 2);
}

Test(modes, a_failed_flush_is_told_to_a_sync_in_any_mode)
{
	start(WB_MODE_WRITEAROUND);
	fill(2, 2);
	switch_to(WB_MODE_WRITEBACK);
	wb_store_faulty_add(sim.backing_disk.faulty, &(struct wb_fault){
		.op = WB_IO_FLUSH, .io_class = WB_FAULT_ANY, .count = 1,
		.effect = WB_FAULT_FAIL, .error = -EIO });
	cr_expect_eq(wb_sim_sync(&sim), -EIO);
	cr_expect_eq(wb_sim_sync(&sim), 0);
}

/* --- writethrough ------------------------------------------------------------------- */

Test(modes, after_a_sync_in_writethrough_the_backing_alone_has_everything)
{
	start(WB_MODE_WRITETHROUGH);
	fill(1, 1);
	cr_assert_eq(wb_sim_zero(&sim, 8 * BLOCK, 2 * BLOCK, 0), 0);
	cr_expect_eq(dirty(), 2);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	cr_expect_eq(durable_byte(1), 1);
	cr_expect_eq(durable_byte(8), 0);
	cr_expect_eq(durable_byte(9), 0);
	cr_expect_eq(cached(), 1, "and is read from the cache");
	cr_assert_eq(wb_sim_fill(&sim, 2 * BLOCK, 2, BLOCK, WB_REQUEST_FUA), 0);
	cr_expect_eq(durable_byte(2), 2);
}

Test(modes, a_block_that_is_overwritten_while_a_sync_waits_is_on_the_backing_too)
{
	struct wb_sim_op *sync;
	uint8_t value = 1;

	start(WB_MODE_WRITETHROUGH);
	fill(1, value);
	sync = wb_sim_prepare(&sim, WB_SYNC, 0, 0, 0);
	wb_sim_submit(sync);
	/* Again and again before the newest version is durable. */
	while (!sync->is_finished) {
		struct wb_sim_op *op = wb_sim_prepare(&sim, WB_WRITE, 0, BLOCK, BLOCK);

		if (op) {
			memset(op->data, ++value, BLOCK);
			wb_sim_submit(op);
		}
		for (unsigned i = 0; i < 3; i++)
			wb_sim_step(&sim);
		for (unsigned i = 0; i < sim.params.request_count; i++) {
			if (sim.ops[i].op == WB_WRITE && sim.ops[i].request &&
			    sim.ops[i].is_finished)
				wb_sim_release(&sim.ops[i]);
		}
	}
	cr_expect_eq(sync->error, 0);
	cr_expect_neq(durable_byte(1), OLD);
	wb_sim_release(sync);
}

Test(modes, a_sync_in_writethrough_fails_when_the_backing_takes_nothing)
{
	start(WB_MODE_WRITETHROUGH);
	wb_store_faulty_add(sim.backing_disk.faulty, &(struct wb_fault){
		.op = WB_IO_WRITE, .io_class = WB_FAULT_ANY, .count = WB_FAULT_FOR_EVER,
		.effect = WB_FAULT_FAIL, .error = -EIO });
	fill(1, 1);
	cr_expect_eq(wb_sim_sync(&sim), -EIO);
	cr_expect_eq(read_byte(1), 1, "it is still in the cache");
	wb_store_faulty_clear(sim.backing_disk.faulty);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	cr_expect_eq(wb_sim_sync(&sim), 0);
	cr_expect_eq(durable_byte(1), 1);
}

/* A server that is away: the backing neither takes anything nor fails. */
Test(modes, a_sync_in_writethrough_gives_up_when_nobody_hears_it)
{
	struct wb_sim_op *sync;

	start(WB_MODE_WRITETHROUGH);
	fill(1, 1);
	wb_store_faulty_add(sim.backing_disk.faulty, &(struct wb_fault){
		.op = WB_IO_WRITE, .io_class = WB_FAULT_ANY, .count = WB_FAULT_FOR_EVER,
		.effect = WB_FAULT_DELAY, .delay_polls = 1000000 });
	sync = wb_sim_prepare(&sim, WB_SYNC, 0, 0, 0);
	wb_sim_submit(sync);
	for (unsigned i = 0; i < 5000; i++)
		wb_sim_step(&sim);
	cr_assert_not(sync->is_finished);
	wb_cache_end_waits(sim.cache);
	for (unsigned i = 0; i < 5000; i++)
		wb_sim_step(&sim);
	cr_assert(sync->is_finished);
	cr_expect_eq(sync->error, -EIO);
	wb_sim_release(sync);
	wb_store_faulty_clear(sim.backing_disk.faulty);
	/* The stop itself promises the backing as ever. */
	cr_assert_eq(wb_sim_close(&sim), 0);
	cr_expect_eq(durable_byte(1), 1);
}

/* --- switches --------------------------------------------------------------------------- */

Test(modes, a_switch_to_any_other_mode_takes_what_is_dirty_along)
{
	static const enum wb_cache_mode modes[] = { WB_MODE_WRITETHROUGH, WB_MODE_WRITEAROUND };

	for (unsigned i = 0; i < G_N_ELEMENTS(modes); i++) {
		start(WB_MODE_WRITEBACK);
		fill(1, 1);
		cr_assert_eq(wb_sim_sync(&sim), 0);
		cr_expect_eq(durable_byte(1), OLD);
		switch_to(modes[i]);
		cr_assert_eq(wb_sim_sync(&sim), 0);
		cr_expect_eq(durable_byte(1), 1);
		stop();
	}
}

Test(modes, a_switch_to_writeback_forgets_nothing_that_went_around)
{
	start(WB_MODE_WRITEAROUND);
	fill(1, 1);
	switch_to(WB_MODE_WRITEBACK);
	fill(2, 2);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	cr_expect_eq(durable_byte(1), 1);
	cr_expect_eq(durable_byte(2), OLD, "in the log alone");
	reopen_after_power_cut();
	cr_expect_eq(read_byte(1), 1);
	cr_expect_eq(read_byte(2), 2);
}

Test(modes, writes_under_way_end_in_the_mode_in_which_they_began)
{
	struct wb_sim_op *op;

	start(WB_MODE_WRITEAROUND);
	op = wb_sim_prepare(&sim, WB_WRITE, 0, 5 * BLOCK, BLOCK);
	memset(op->data, 5, BLOCK);
	wb_sim_submit(op);
	cr_assert_not(op->is_finished);
	switch_to(WB_MODE_WRITEBACK);
	/* A newer write of the same block waits for it. */
	fill(5, 6);
	cr_assert(op->is_finished);
	wb_sim_release(op);
	cr_expect_eq(wb_sim_counter(&sim, WB_STAT_BYPASSED_BYTES), BLOCK);
	cr_expect_eq(read_byte(5), 6);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	cr_expect_eq(durable_byte(5), 6);
}

Test(modes, a_clean_stop_leaves_the_backing_complete_unless_in_writeback)
{
	start(WB_MODE_WRITEAROUND);
	fill(1, 1);
	switch_to(WB_MODE_WRITETHROUGH);
	fill(2, 2);
	cr_assert_eq(wb_sim_close(&sim), 0);
	cr_expect_eq(durable_byte(1), 1);
	cr_expect_eq(durable_byte(2), 2);
}
