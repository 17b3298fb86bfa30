/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Ways to lose data or to say "done" too early that were found in writeback by
 * looking for them. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "cache/cache_private.h"
#include "cache/limits.h"
#include "cache/refused.h"
#include "support/volume_sim.h"

#define BLOCK 4096u

static struct wb_sim sim;

static void start_with(const struct wb_sim_params *params)
{
	struct wb_sim_params p = *params;

	p.backing_fill = 9;
	wb_sim_init(&sim, &p);
	cr_assert(wb_sim_open(&sim, NULL));
}

static void stop(void)
{
	wb_sim_clear(&sim);
}

TestSuite(regressions_4, .fini = stop);

static void break_blocks(int op, uint64_t first, uint64_t count)
{
	struct wb_fault fault = { .op = op, .io_class = WB_FAULT_ANY,
				  .offset_bytes = first * BLOCK, .length_bytes = count * BLOCK,
				  .count = WB_FAULT_FOR_EVER };

	wb_store_faulty_add(sim.backing_disk.faulty, &fault);
}

static void fill(uint64_t address, uint64_t count, uint8_t value)
{
	cr_assert_eq(wb_sim_fill(&sim, address * BLOCK, value, count * BLOCK, 0), 0);
}

static void discard(uint64_t address, uint64_t count)
{
	cr_assert_eq(wb_sim_zero(&sim, address * BLOCK, count * BLOCK, 0), 0);
}

static uint8_t backing_byte(uint64_t address)
{
	return wb_sim_backing_bytes(&sim)[address * BLOCK];
}

static void expect_byte(uint64_t address, uint8_t value)
{
	uint8_t data[BLOCK];

	cr_assert_eq(wb_sim_read(&sim, address * BLOCK, data, BLOCK), 0, "block %lu", address);
	cr_expect_eq(data[0], value, "block %lu reads as %u, not %u", address, data[0], value);
}

static struct wb_stats_snapshot stats(void)
{
	static struct wb_stats_snapshot snapshot;

	wb_sim_stats(&sim, &snapshot);
	return snapshot;
}

/* As after more refused single blocks than are remembered. */
Test(regressions_4, a_punch_that_fails_is_not_done_when_no_more_refusals_can_be_remembered)
{
	struct wb_sim_params params = { .no_writeback = true };
	uint64_t now_ns;

	start_with(&params);
	now_ns = sim.clock.now_ns;
	break_blocks(WB_IO_ZERO, 30, 10);
	discard(20, 40);
	fill(25, 1, 4);
	fill(35, 1, 5);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	for (unsigned i = 0; wb_refused_add(wb_writeback_refused(sim.cache->writeback),
					    1000 + 2 * i, 1, -EIO, now_ns); i++)
		cr_assert_leq(i, WB_REFUSED_RANGES_MAX);
	cr_expect_eq(wb_sim_drain(&sim), -EIO);
	expect_byte(30, 0);
	expect_byte(35, 5);
	wb_store_faulty_clear(sim.backing_disk.faulty);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	for (unsigned i = 20; i < 60; i++)
		cr_expect_eq(backing_byte(i), i == 25 ? 4 : i == 35 ? 5 : 0, "block %u", i);
	cr_expect_eq(stats().pending_discards, 0);
}

/* A discard that is refused at two places cannot be cut in three while the table
 * has no room: what lies between them is punched once more. */
Test(regressions_4, data_over_a_discard_that_is_punched_again_stays_dirty)
{
	struct wb_sim_params params = { .no_writeback = true };
	unsigned reserved = 0;

	start_with(&params);
	discard(20, 40);
	fill(35, 1, 4);
	break_blocks(WB_IO_ZERO, 25, 1);
	break_blocks(WB_IO_ZERO, 50, 1);
	/* as by requests that come at the same time */
	while (wb_extent_table_reserve(sim.cache->path.extents))
		reserved++;
	wb_cache_start_drain(sim.cache);
	for (unsigned i = 0; i < 20; i++) {
		for (unsigned step = 0; step < 10000 && wb_sim_step(&sim); step++)
			;
		wb_sim_pass_time(&sim, UINT64_C(1000000000));
	}
	cr_expect_eq(stats().drains_failed, 1);
	for (; reserved > 0; reserved--)
		wb_extent_table_unreserve(sim.cache->path.extents);
	expect_byte(35, 4);
	wb_store_faulty_clear(sim.backing_disk.faulty);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	for (unsigned i = 20; i < 60; i++)
		cr_expect_eq(backing_byte(i), i == 35 ? 4 : 0, "block %u", i);
	cr_expect_eq(stats().pending_discards, 0);
}

/* The oldest segment is emptied by carrying its data to the head, not by writing
 * it back. */
Test(regressions_4, a_drain_is_not_done_when_its_data_was_carried_on)
{
	struct wb_sim_params params = { 0 };

	start_with(&params);
	break_blocks(WB_IO_WRITE, 17, 1);
	fill(17, 1, 1);
	wb_cache_start_drain(sim.cache);
	for (unsigned i = 0; i < 100; i++)
		fill(64 + i % 12 * 16, 16, (uint8_t)i);
	cr_expect_eq(backing_byte(17), 9);
	cr_expect_gt(stats().counter[WB_STAT_CARRIED_BLOCKS], 0);
	cr_expect_eq(stats().drains_done, 0);
	cr_expect_eq(stats().drains_failed, 1);
	wb_store_faulty_clear(sim.backing_disk.faulty);
	cr_expect_eq(wb_sim_drain(&sim), 0);
	cr_expect_eq(backing_byte(17), 1);
}

/* Another one has been bad for long, and the place of both is wanted. */
Test(regressions_4, a_block_that_fails_one_read_is_not_given_up)
{
	struct wb_sim_params params = { 0 };
	struct wb_fault once = { .op = WB_IO_READ, .io_class = WB_IO_CLASS_WRITEBACK,
				 .length_bytes = BLOCK, .count = 1 };
	bool is_dirty;

	start_with(&params);
	break_blocks(WB_IO_WRITE, 17, 1);
	fill(17, 1, 1);
	fill(40, 1, 2);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	wb_sim_kill(&sim);
	cr_assert(wb_sim_open(&sim, NULL));
	wb_sim_cached_block(&sim, 40, &is_dirty)[77] ^= 1;
	cr_assert(is_dirty);
	fill(100, 1, 3);	/* so that the segment of both is closed */
	for (unsigned i = 0; i < 30; i++) {
		wb_sim_pass_time(&sim, UINT64_C(10000000000));
		wb_sim_settle(&sim);
	}
	cr_assert_geq(wb_writeback_bad_tries(sim.cache->writeback), WB_BAD_TRIES_MAX);
	once.offset_bytes = (uint64_t)(wb_sim_cached_block(&sim, 17, &is_dirty) -
				       wb_sim_cache_bytes(&sim));
	cr_assert(is_dirty);
	/* So that it is carried, and not tried on the backing. */
	wb_store_faulty_add(sim.cache_disk.faulty, &once);
	for (unsigned i = 0; i < 100; i++)
		fill(64 + i % 12 * 16, 16, (uint8_t)i);
	cr_expect_gt(wb_store_faulty_hit_count(sim.cache_disk.faulty), 0);
	expect_byte(17, 1);
}

/* What a drain was asked for moves to a newer segment with its bad place. */
Test(regressions_4, a_drain_waits_for_what_a_relocation_moved)
{
	struct wb_sim_params params = { 0 };
	struct wb_fault bad_place = { .op = WB_IO_WRITE, .io_class = WB_FAULT_ANY,
				      .count = WB_FAULT_FOR_EVER };

	start_with(&params);
	bad_place.offset_bytes = wb_geometry_segment_offset(&sim.geometry, 0);
	bad_place.length_bytes = sim.geometry.segment_bytes;
	wb_store_faulty_add(sim.cache_disk.faulty, &bad_place);
	break_blocks(WB_IO_WRITE, 17, 1);
	fill(17, 1, 1);
	cr_expect_eq(wb_sim_drain(&sim), -EIO);
	cr_expect_eq(stats().counter[WB_STAT_RELOCATIONS], 1);
	wb_store_faulty_clear(sim.backing_disk.faulty);
	cr_expect_eq(wb_sim_drain(&sim), 0);
	cr_expect_eq(backing_byte(17), 1);
}
