/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What requests cost, and reads from every source and mixture of them. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "support/volume_sim.h"

#define BLOCK 4096u

static struct wb_sim sim;

static void open_or_fail(void)
{
	g_autoptr(GError) error = NULL;

	cr_assert(wb_sim_open(&sim, &error), "%s", error ? error->message : "");
}

static void start_with(const struct wb_sim_params *params)
{
	wb_sim_init(&sim, params);
	open_or_fail();
}

static void stop(void)
{
	wb_sim_clear(&sim);
}

TestSuite(cache, .fini = stop);

/* All bytes of [from, from + bytes) read as `value`. */
static void expect_bytes(uint64_t from, uint64_t bytes, uint8_t value)
{
	g_autofree uint8_t *data = g_malloc(bytes);

	cr_assert_eq(wb_sim_read(&sim, from, data, bytes), 0);
	for (uint64_t i = 0; i < bytes; i++)
		cr_assert_eq(data[i], value, "byte %lu is %u, not %u", from + i, data[i], value);
}

static void write_all_back(void)
{
	cr_assert_eq(wb_sim_drain(&sim), 0);
}

static void reopen(void)
{
	cr_assert_eq(wb_sim_close(&sim), 0);
	open_or_fail();
}

static uint64_t cache_writes(void)
{
	return wb_store_counting_bytes(sim.cache_disk.counting, WB_IO_WRITE);
}

static uint64_t cache_ios(void)
{
	uint64_t sum = 0;

	for (int op = 0; op < WB_IO_OP_COUNT; op++)
		sum += wb_store_counting_ios(sim.cache_disk.counting, (enum wb_io_op)op);
	return sum;
}

Test(cache, a_lone_block_and_its_sync_cost_8_KiB_of_cache_writes)
{
	start_with(NULL);
	for (unsigned i = 0; i < 5; i++) {
		uint64_t before = cache_writes();

		cr_assert_eq(wb_sim_fill(&sim, i * 8 * BLOCK, 1, BLOCK, 0), 0);
		cr_assert_eq(wb_sim_sync(&sim), 0);
		cr_assert_eq(cache_writes() - before, 2 * BLOCK);
	}
}

Test(cache, a_lone_FUA_block_costs_8_KiB_too)
{
	uint64_t before;

	start_with(NULL);
	before = cache_writes();
	cr_assert_eq(wb_sim_fill(&sim, 0, 1, BLOCK, WB_REQUEST_FUA), 0);
	cr_assert_eq(cache_writes() - before, 2 * BLOCK);
}

Test(cache, blocks_that_fill_a_segment_cost_exactly_the_segment)
{
	struct wb_sim_params params = { .segment_bytes = 1 << 20, .image_bytes = 4 << 20 };
	uint64_t before;

	start_with(&params);
	before = cache_writes();
	for (unsigned i = 0; i < 255; i++)
		cr_assert_eq(wb_sim_fill(&sim, i * BLOCK, 1, BLOCK, 0), 0);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	cr_assert_eq(cache_writes() - before, 1 << 20);
}

Test(cache, a_sync_with_nothing_new_does_no_io)
{
	uint64_t before;

	start_with(NULL);
	before = cache_ios();
	cr_assert_eq(wb_sim_sync(&sim), 0);
	cr_assert_eq(cache_ios(), before);
	cr_assert_eq(wb_sim_fill(&sim, 0, 1, BLOCK, 0), 0);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	wb_sim_settle(&sim);
	before = cache_ios();
	cr_assert_eq(wb_sim_sync(&sim), 0);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	cr_assert_eq(cache_ios(), before);
}

Test(cache, a_write_alone_does_no_io_at_all)
{
	uint64_t before;

	start_with(NULL);
	before = cache_ios();
	cr_assert_eq(wb_sim_fill(&sim, 0, 1, 3 * BLOCK, 0), 0);
	cr_assert_eq(cache_ios(), before);
}

Test(cache, what_lies_outside_the_image_is_refused)
{
	uint8_t data[BLOCK];

	start_with(NULL);
	cr_expect_eq(wb_sim_read(&sim, sim.params.image_bytes, data, 1), -EINVAL);
	cr_expect_eq(wb_sim_read(&sim, sim.params.image_bytes - 1, data, 2), -EINVAL);
	cr_expect_eq(wb_sim_fill(&sim, sim.params.image_bytes - 1, 1, 2, 0), -EINVAL);
	cr_expect_eq(wb_sim_zero(&sim, 0, sim.params.image_bytes + 1, 0), -EINVAL);
	cr_expect_eq(wb_sim_zero(&sim, 512, UINT64_MAX - 100, 0), -EINVAL);
	cr_expect_eq(wb_sim_read(&sim, UINT64_MAX - 10, data, 100), -EINVAL);
}

Test(cache, a_read_takes_from_ram_what_was_just_written)
{
	start_with(NULL);
	cr_assert_eq(wb_sim_fill(&sim, 0, 7, 4 * BLOCK, 0), 0);
	expect_bytes(0, 4 * BLOCK, 7);
	cr_expect_eq(wb_sim_counter(&sim, WB_STAT_READ_RAM_BYTES), 4 * BLOCK);
	cr_expect_eq(wb_sim_counter(&sim, WB_STAT_READ_CACHE_BYTES), 0);
	cr_expect_eq(wb_sim_counter(&sim, WB_STAT_READ_BACKING_BYTES), 0);
}

Test(cache, a_read_takes_from_the_cache_what_no_buffer_holds_any_more)
{
	start_with(NULL);
	cr_assert_eq(wb_sim_fill(&sim, 0, 7, 4 * BLOCK, 0), 0);
	reopen();
	expect_bytes(0, 4 * BLOCK, 7);
	cr_expect_eq(wb_sim_counter(&sim, WB_STAT_READ_CACHE_BYTES), 4 * BLOCK);
	cr_expect_eq(wb_sim_counter(&sim, WB_STAT_READ_BACKING_BYTES), 0);
}

Test(cache, contiguous_blocks_of_the_cache_are_one_io)
{
	uint64_t before;

	start_with(NULL);
	cr_assert_eq(wb_sim_fill(&sim, 0, 7, 12 * BLOCK, 0), 0);
	reopen();
	before = wb_store_counting_ios(sim.cache_disk.counting, WB_IO_READ);
	expect_bytes(0, 12 * BLOCK, 7);
	cr_expect_eq(wb_store_counting_ios(sim.cache_disk.counting, WB_IO_READ) - before, 1);
}

Test(cache, a_read_takes_from_the_backing_what_was_never_cached)
{
	start_with(NULL);
	memset(wb_sim_backing_bytes(&sim), 9, sim.params.image_bytes);
	expect_bytes(100, 5 * BLOCK, 9);
	cr_expect_eq(wb_sim_counter(&sim, WB_STAT_READ_CACHE_BYTES), 0);
	cr_expect_gt(wb_sim_counter(&sim, WB_STAT_READ_BACKING_BYTES), 0);
}

Test(cache, one_read_may_come_from_ram_and_cache_and_backing_and_a_discard)
{
	uint8_t data[5 * BLOCK];

	start_with(NULL);
	memset(wb_sim_backing_bytes(&sim), 9, sim.params.image_bytes);
	cr_assert_eq(wb_sim_fill(&sim, 1 * BLOCK, 1, BLOCK, 0), 0);
	reopen();
	cr_assert_eq(wb_sim_fill(&sim, 2 * BLOCK, 2, BLOCK, 0), 0);
	cr_assert_eq(wb_sim_zero(&sim, 3 * BLOCK, BLOCK, 0), 0);
	cr_assert_eq(wb_sim_read(&sim, 0, data, sizeof data), 0);
	for (unsigned i = 0; i < sizeof data; i++)
		cr_assert_eq(data[i], ((uint8_t[]){ 9, 1, 2, 0, 9 })[i / BLOCK], "at %u", i);
}

Test(cache, sectors_that_are_in_the_log_lie_over_those_of_the_backing)
{
	uint8_t data[BLOCK];

	start_with(NULL);
	memset(wb_sim_backing_bytes(&sim), 9, sim.params.image_bytes);
	cr_assert_eq(wb_sim_fill(&sim, 512, 1, 512, 0), 0);
	cr_assert_eq(wb_sim_fill(&sim, 2048, 2, 1024, 0), 0);
	for (unsigned round = 0; round < 3; round++) {
		cr_assert_eq(wb_sim_read(&sim, 0, data, sizeof data), 0);
		for (unsigned i = 0; i < sizeof data; i++) {
			uint8_t wanted = i / 512 == 1 ? 1 : i / 512 == 4 || i / 512 == 5 ? 2 : 9;

			cr_assert_eq(data[i], wanted, "round %u at %u", round, i);
		}
		if (round == 0)
			reopen();
		else
			write_all_back();
	}
	cr_expect_eq(memcmp(wb_sim_backing_bytes(&sim), data, sizeof data), 0);
}

Test(cache, whole_sectors_never_wait_for_the_backing)
{
	start_with(NULL);
	cr_assert_eq(wb_sim_fill(&sim, 512, 1, 512, 0), 0);
	cr_assert_eq(wb_sim_fill(&sim, 3 * BLOCK + 1024, 1, 2 * BLOCK, 0), 0);
	cr_expect_eq(wb_store_counting_ios(sim.backing_disk.counting, WB_IO_READ), 0);
}

Test(cache, a_cut_sector_keeps_the_bytes_that_the_backing_has)
{
	uint8_t data[3 * BLOCK];

	start_with(NULL);
	memset(wb_sim_backing_bytes(&sim), 9, sim.params.image_bytes);
	cr_assert_eq(wb_sim_fill(&sim, 100, 1, 2 * BLOCK, 0), 0);
	cr_assert_eq(wb_sim_read(&sim, 0, data, sizeof data), 0);
	for (unsigned i = 0; i < sizeof data; i++)
		cr_assert_eq(data[i], i >= 100 && i < 100 + 2 * BLOCK ? 1 : 9, "at %u", i);
	write_all_back();
	cr_expect_eq(memcmp(wb_sim_backing_bytes(&sim), data, sizeof data), 0);
}

Test(cache, the_short_last_block_of_an_image_is_written_and_read_like_any_other)
{
	struct wb_sim_params params = { .image_bytes = 10 * BLOCK + 1536 };

	start_with(&params);
	cr_assert_eq(wb_sim_fill(&sim, 9 * BLOCK, 3, BLOCK + 1536, 0), 0);
	expect_bytes(9 * BLOCK, BLOCK + 1536, 3);
	write_all_back();
	reopen();
	expect_bytes(9 * BLOCK, BLOCK + 1536, 3);
	cr_expect_eq(wb_sim_backing_bytes(&sim)[params.image_bytes - 1], 3);
}

Test(cache, a_backing_with_4_KiB_sectors_gets_whole_blocks)
{
	struct wb_sim_params params = { .backing_alignment_bytes = 4096,
					.cache_alignment_bytes = 4096 };
	uint8_t data[BLOCK];

	start_with(&params);
	memset(wb_sim_backing_bytes(&sim), 9, sim.params.image_bytes);
	cr_assert_eq(wb_sim_fill(&sim, 700, 1, 100, 0), 0);
	write_all_back();
	memcpy(data, wb_sim_backing_bytes(&sim), BLOCK);
	for (unsigned i = 0; i < BLOCK; i++)
		cr_assert_eq(data[i], i >= 700 && i < 800 ? 1 : 9, "at %u", i);
}

Test(cache, clean_blocks_are_warm_after_a_clean_stop)
{
	start_with(NULL);
	cr_assert_eq(wb_sim_fill(&sim, 0, 7, 4 * BLOCK, 0), 0);
	write_all_back();
	reopen();
	expect_bytes(0, 4 * BLOCK, 7);
	cr_expect_eq(wb_sim_counter(&sim, WB_STAT_READ_CACHE_BYTES), 4 * BLOCK);
}

Test(cache, a_drain_leaves_nothing_dirty_and_the_backing_alone_is_the_image)
{
	struct wb_stats_snapshot stats;

	start_with(NULL);
	for (unsigned i = 0; i < 100; i++)
		cr_assert_eq(wb_sim_fill(&sim, (i * 37 % 200) * BLOCK + 512, (uint8_t)i, 3000, 0),
			     0);
	write_all_back();
	wb_sim_stats(&sim, &stats);
	cr_expect_eq(stats.dirty_blocks, 0);
	cr_expect_eq(stats.segments_dirty, 0);
	for (uint64_t at = 0; at < sim.params.image_bytes; at += 65536) {
		uint8_t data[65536];

		cr_assert_eq(wb_sim_read(&sim, at, data, sizeof data), 0);
		cr_assert_eq(memcmp(wb_sim_backing_bytes(&sim) + at, data, sizeof data), 0);
	}
}

Test(cache, verbs_are_answered_once_each)
{
	struct wb_stats_snapshot stats;

	start_with(NULL);
	cr_assert_eq(wb_sim_fill(&sim, 0, 1, BLOCK, 0), 0);
	wb_cache_start_flush(sim.cache);
	wb_cache_start_flush(sim.cache);
	wb_cache_start_drain(sim.cache);
	wb_cache_start_drain(sim.cache);
	for (unsigned i = 0; i < 10; i++) {
		wb_sim_settle(&sim);
		wb_sim_pass_time(&sim, 1000000000);
	}
	wb_sim_stats(&sim, &stats);
	cr_expect_eq(stats.flushes_done, 2);
	cr_expect_eq(stats.drains_done, 2);
	cr_expect_eq(stats.flushes_failed + stats.drains_failed, 0);
	cr_expect_not(stats.draining);
}

Test(cache, data_nobody_syncs_becomes_durable_by_the_clock)
{
	struct wb_stats_snapshot stats;

	start_with(NULL);
	cr_assert_eq(wb_sim_fill(&sim, 0, 1, BLOCK, 0), 0);
	for (unsigned i = 0; i < 12; i++) {
		wb_sim_pass_time(&sim, 1000000000);
		wb_sim_settle(&sim);
	}
	wb_sim_stats(&sim, &stats);
	cr_expect_eq(stats.durable_sequence, stats.head_sequence);
}
