/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Histories that once never ended, or gave data up too early: blocks that the
 * cache disk lost, and a close while that disk fails.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "cache/cache_private.h"
#include "support/volume_sim.h"

#define BLOCK 4096u
#define SEGMENT_DATA (15 * BLOCK)	/* one record that fills a segment */

static struct wb_sim sim;

static void stop(void)
{
	wb_sim_clear(&sim);
}

TestSuite(regressions_2, .fini = stop);

static void fill(uint64_t at, uint8_t value, uint64_t bytes, unsigned flags)
{
	cr_assert_eq(wb_sim_fill(&sim, at, value, bytes, flags), 0);
}

static int read_block(uint64_t address, uint8_t wanted)
{
	uint8_t data[BLOCK];
	int error = wb_sim_read(&sim, address * BLOCK, data, BLOCK);

	for (unsigned i = 0; !error && i < BLOCK; i++)
		cr_assert_eq(data[i], wanted, "block %lu byte %u is %u", address, i, data[i]);
	return error;
}

static void allow_writeback(bool is_allowed)
{
	wb_cache_set_tunables(sim.cache,
			      &(struct wb_tunables){ .allow_writeback = is_allowed });
}

/* Other data, segment by segment; each write has to end. */
static void move_head(unsigned segments)
{
	for (unsigned i = 0; i < segments; i++)
		fill((16 + i % 14 * 16) * BLOCK, (uint8_t)i, SEGMENT_DATA, 0);
}

/* Durable; returns its place on the cache disk. */
static uint8_t *write_block(uint64_t address, uint8_t value)
{
	uint8_t *block;
	bool is_dirty;

	fill(address * BLOCK, value, BLOCK, WB_REQUEST_FUA);
	block = wb_sim_cached_block(&sim, address, &is_dirty);
	cr_assert(block);
	cr_assert(is_dirty);
	return block;
}

/* --- lost blocks ------------------------------------------------------------------ */

/* The ring went round once since block 0 rotted: all that is left of it is the
 * word that it is lost. */
static void start_with_a_lost_block(void)
{
	uint8_t *block;

	wb_sim_init(&sim, NULL);
	cr_assert(wb_sim_open(&sim, NULL));
	allow_writeback(false);
	block = write_block(0, 0xaa);
	/* until it is not in RAM any more */
	move_head(2);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	wb_sim_settle(&sim);
	block[17] ^= 1;
	move_head(20);
	cr_assert_eq(read_block(0, 0xaa), -EIO);
	cr_assert_eq(wb_extent_table_bad_count(sim.cache->path.extents), 1);
}

Test(regressions_2, a_drain_ends_with_failure_when_only_lost_data_is_left)
{
	start_with_a_lost_block();
	cr_expect_eq(wb_sim_drain(&sim), -EIO);
	cr_expect_eq(wb_sim_drain(&sim), -EIO);
	fill(0, 0xbb, BLOCK, 0);
	cr_expect_eq(wb_sim_drain(&sim), 0);
	cr_expect_eq(read_block(0, 0xbb), 0);
}

Test(regressions_2, a_lost_block_does_not_stop_the_ring_after_a_remount)
{
	start_with_a_lost_block();
	cr_assert_eq(wb_sim_close(&sim), 0);
	cr_assert(wb_sim_open(&sim, NULL));
	move_head(40);
	cr_expect_eq(read_block(0, 0xaa), -EIO);
	cr_expect_eq(wb_extent_table_bad_count(sim.cache->path.extents), 1);
}

static void fail_once_at(const uint8_t *block)
{
	struct wb_fault once = { .op = WB_IO_READ, .io_class = WB_IO_CLASS_WRITEBACK,
				 .length_bytes = BLOCK };

	once.offset_bytes = (uint64_t)(block - wb_sim_cache_bytes(&sim));
	wb_store_faulty_add(sim.cache_disk.faulty, &once);
}

Test(regressions_2, a_read_that_fails_once_after_a_loss_loses_nothing)
{
	start_with_a_lost_block();
	fill(0, 0xcc, BLOCK, 0);
	move_head(20);
	fail_once_at(write_block(1, 0xdd));
	move_head(20);
	cr_expect_eq(wb_store_faulty_hit_count(sim.cache_disk.faulty), 1);
	cr_expect_eq(read_block(0, 0xcc), 0);
	cr_expect_eq(read_block(1, 0xdd), 0);
}

Test(regressions_2, nor_does_it_beside_a_block_that_is_lost_still)
{
	start_with_a_lost_block();
	move_head(20);
	fail_once_at(write_block(1, 0xdd));
	move_head(20);
	cr_expect_eq(wb_store_faulty_hit_count(sim.cache_disk.faulty), 1);
	cr_expect_eq(read_block(0, 0xaa), -EIO);
	cr_expect_eq(read_block(1, 0xdd), 0);
}

/* --- closing ---------------------------------------------------------------------- */

/* The tail moves on, so a superblock is written and waits for a flush. Flushes
 * fail, and writes of records too: the sync of the close fails, and nobody
 * starts another flush. */
Test(regressions_2, a_close_ends_with_an_error_while_a_superblock_waits_for_its_flush)
{
	struct wb_fault flushes = { .op = WB_IO_FLUSH, .io_class = WB_IO_CLASS_LOG,
				    .count = WB_FAULT_FOR_EVER };
	struct wb_fault records = { .op = WB_IO_WRITE, .io_class = WB_IO_CLASS_LOG,
				    .offset_bytes = WB_SUPERBLOCK_AREA_BYTES,
				    .length_bytes = 1 << 30, .count = WB_FAULT_FOR_EVER };

	wb_sim_init(&sim, &(struct wb_sim_params){ .ram_segments = 8, .no_writeback = true });
	cr_assert(wb_sim_open(&sim, NULL));
	for (unsigned i = 0; i < 5; i++)
		fill(i * 16 * BLOCK, 1, SEGMENT_DATA, WB_REQUEST_FUA);
	wb_store_faulty_add(sim.cache_disk.faulty, &flushes);
	allow_writeback(true);
	while (wb_tail_current(&sim.cache->tail).segment < 5)
		cr_assert(wb_sim_step(&sim));
	wb_sim_settle(&sim);
	wb_store_faulty_add(sim.cache_disk.faulty, &records);
	fill(0, 1, BLOCK, 0);
	cr_assert_eq(wb_sim_sync(&sim), -EIO);
	for (unsigned i = 0; i < 1000 && !wb_recorder_is_busy(sim.cache->recorder); i++) {
		wb_sim_pass_time(&sim, 300000000);
		wb_sim_settle(&sim);
	}
	cr_assert(wb_recorder_is_busy(sim.cache->recorder));
	cr_expect_lt(wb_sim_close(&sim), 0);
}
