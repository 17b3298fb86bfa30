/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A backing with bad places, without room, or that fails to punch, flush or
 * read: what can be written back is, the rest stays in the cache, and neither
 * stops the ring nor is lost.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "cache/cache_private.h"
#include "support/volume_sim.h"

#define BLOCK 4096u
#define BLOCKS 256u
#define IMAGE (BLOCKS * BLOCK)

static struct wb_sim sim;
static uint8_t model[IMAGE];
static uint64_t seed_now;	/* of a random run */

static void start_with(const struct wb_sim_params *params)
{
	struct wb_sim_params p = params ? *params : (struct wb_sim_params){ 0 };

	p.image_bytes = IMAGE;
	p.backing_fill = 9;
	wb_sim_init(&sim, &p);
	memset(model, 9, IMAGE);
	cr_assert(wb_sim_open(&sim, NULL));
}

static void stop(void)
{
	wb_sim_clear(&sim);
}

TestSuite(backing_errors, .fini = stop);

/* Blocks [first, first + count) fail from now on. */
static void break_blocks(int op, uint64_t first, uint64_t count, int error)
{
	struct wb_fault fault = { .op = op, .io_class = WB_FAULT_ANY, .error = error,
				  .offset_bytes = first * BLOCK, .length_bytes = count * BLOCK,
				  .count = WB_FAULT_FOR_EVER };

	wb_store_faulty_add(sim.backing_disk.faulty, &fault);
}

static void heal(void)
{
	wb_store_faulty_clear(sim.backing_disk.faulty);
}

static void fill(uint64_t address, uint64_t count, uint8_t value)
{
	cr_assert_eq(wb_sim_fill(&sim, address * BLOCK, value, count * BLOCK, 0), 0);
	memset(model + address * BLOCK, value, count * BLOCK);
}

static void discard(uint64_t address, uint64_t count)
{
	cr_assert_eq(wb_sim_zero(&sim, address * BLOCK, count * BLOCK, 0), 0);
	memset(model + address * BLOCK, 0, count * BLOCK);
}

static void expect_model(void)
{
	static uint8_t data[IMAGE];

	for (uint64_t at = 0; at < IMAGE; at += 16 * BLOCK)
		cr_assert_eq(wb_sim_read(&sim, at, data + at, 16 * BLOCK), 0);
	for (uint64_t i = 0; i < IMAGE; i++)
		cr_assert_eq(data[i], model[i], "seed %lu: block %lu byte %lu is %u, not %u", seed_now, i / BLOCK,
			     i % BLOCK, data[i], model[i]);
}

static void expect_backing_is_the_image(void)
{
	for (uint64_t i = 0; i < IMAGE; i++)
		cr_assert_eq(wb_sim_backing_bytes(&sim)[i], model[i], "backing, block %lu",
			     i / BLOCK);
}

static struct wb_stats_snapshot stats(void)
{
	static struct wb_stats_snapshot snapshot;

	wb_sim_stats(&sim, &snapshot);
	return snapshot;
}

static void pass_minutes(unsigned minutes)
{
	for (unsigned i = 0; i < minutes * 6; i++) {
		wb_sim_pass_time(&sim, UINT64_C(10000000000));
		wb_sim_settle(&sim);
	}
}

static void expect_everything_heals(void)
{
	heal();
	cr_assert_eq(wb_sim_drain(&sim), 0);
	cr_expect_eq(stats().dirty_blocks, 0);
	cr_expect_eq(stats().pending_discards, 0);
	expect_backing_is_the_image();
	expect_model();
}

Test(backing_errors, all_blocks_but_the_unwritable_ones_become_clean)
{
	start_with(NULL);
	break_blocks(WB_IO_WRITE, 17, 1, -EIO);
	break_blocks(WB_IO_WRITE, 22, 2, -EIO);
	fill(0, 60, 1);
	cr_expect_eq(wb_sim_drain(&sim), -EIO);
	cr_expect_eq(stats().dirty_blocks, 3);
	for (unsigned i = 0; i < 60; i++)
		cr_expect_eq(wb_sim_backing_bytes(&sim)[i * BLOCK],
			     i == 17 || i == 22 || i == 23 ? 9 : 1, "block %u", i);
	expect_model();
	expect_everything_heals();
}

Test(backing_errors, a_partly_written_block_that_is_refused_keeps_its_sectors)
{
	start_with(NULL);
	break_blocks(WB_IO_WRITE, 5, 1, -EIO);
	cr_assert_eq(wb_sim_fill(&sim, 5 * BLOCK + 512, 3, 512, 0), 0);
	cr_assert_eq(wb_sim_fill(&sim, 5 * BLOCK + 2048, 4, 512, 0), 0);
	cr_assert_eq(wb_sim_fill(&sim, 6 * BLOCK + 512, 5, 512, 0), 0);
	memset(model + 5 * BLOCK + 512, 3, 512);
	memset(model + 5 * BLOCK + 2048, 4, 512);
	memset(model + 6 * BLOCK + 512, 5, 512);
	cr_expect_eq(wb_sim_drain(&sim), -EIO);
	cr_expect_eq(stats().dirty_blocks, 1);
	expect_model();
	expect_everything_heals();
}

/* The ring has room for 120 blocks; it is gone round some thirty times. */
Test(backing_errors, unwritable_blocks_do_not_stop_the_ring)
{
	start_with(NULL);
	break_blocks(WB_IO_WRITE, 17, 1, -EIO);
	break_blocks(WB_IO_WRITE, 40, 5, -EIO);
	fill(16, 30, 1);
	for (unsigned i = 0; i < 250; i++)
		fill(64 + i % 12 * 16, 16, (uint8_t)i);
	cr_expect_gt(stats().counter[WB_STAT_CARRIED_BLOCKS], 6);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	expect_model();
	wb_sim_kill(&sim);
	wb_sim_cut_power(&sim);
	cr_assert(wb_sim_open(&sim, NULL));
	expect_model();
	expect_everything_heals();
}

Test(backing_errors, carried_data_that_rots_is_not_passed_on)
{
	bool is_dirty;
	uint8_t data[BLOCK];

	start_with(NULL);
	break_blocks(WB_IO_WRITE, 17, 2, -EIO);
	fill(17, 2, 1);
	cr_expect_eq(wb_sim_drain(&sim), -EIO);
	cr_assert_eq(wb_sim_close(&sim), 0);
	cr_assert(wb_sim_open(&sim, NULL));
	wb_sim_cached_block(&sim, 17, &is_dirty)[77] ^= 1;
	cr_assert(is_dirty);
	for (unsigned i = 0; i < 100; i++)
		fill(64 + i % 12 * 16, 16, (uint8_t)i);
	cr_expect_eq(wb_sim_read(&sim, 17 * BLOCK, data, BLOCK), -EIO);
	cr_expect_eq(wb_sim_read(&sim, 18 * BLOCK, data, BLOCK), 0);
	cr_expect_eq(data[0], 1);
}

Test(backing_errors, a_refused_block_is_left_alone_for_growing_pauses)
{
	uint64_t writes[4];

	start_with(NULL);
	break_blocks(WB_IO_WRITE, 17, 1, -EIO);
	fill(17, 1, 1);
	fill(100, 16, 1);	/* so that the segment with block 17 is closed */
	cr_expect_eq(wb_sim_drain(&sim), -EIO);
	for (unsigned i = 0; i < 4; i++) {
		uint64_t before = stats().counter[WB_STAT_BACKING_WRITES];

		pass_minutes(1);
		writes[i] = stats().counter[WB_STAT_BACKING_WRITES] - before;
	}
	cr_expect_gt(writes[3], 0);
	cr_expect_leq(writes[3], 3);
	expect_everything_heals();
}

Test(backing_errors, an_overwritten_block_is_written_once_its_place_heals)
{
	start_with(NULL);
	break_blocks(WB_IO_WRITE, 17, 1, -EIO);
	fill(17, 1, 1);
	cr_expect_eq(wb_sim_drain(&sim), -EIO);
	fill(17, 1, 2);
	heal();
	pass_minutes(2);
	fill(100, 16, 3);	/* so that the segment with block 17 is closed */
	pass_minutes(1);
	cr_expect_eq(wb_sim_backing_bytes(&sim)[17 * BLOCK], 2);
	expect_everything_heals();
}

Test(backing_errors, a_disk_that_refuses_everything_keeps_all_data_and_heals)
{
	start_with(NULL);
	break_blocks(WB_IO_WRITE, 0, BLOCKS, -EIO);
	fill(0, 60, 1);
	cr_expect_eq(wb_sim_drain(&sim), -EIO);
	cr_expect_eq(stats().dirty_blocks, 60);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	expect_model();
	wb_sim_kill(&sim);
	wb_sim_cut_power(&sim);
	cr_assert(wb_sim_open(&sim, NULL));
	expect_model();
	expect_everything_heals();
}

Test(backing_errors, without_room_one_try_stands_for_many_blocks)
{
	uint64_t before;

	start_with(NULL);
	break_blocks(WB_IO_WRITE, 0, 64, -ENOSPC);
	fill(0, 64, 1);
	fill(70, 10, 2);
	before = stats().counter[WB_STAT_BACKING_WRITES];
	cr_expect_eq(wb_sim_drain(&sim), -EIO);
	/* Some tries of a joined write and some of its parts, not of 64 blocks. */
	cr_expect_leq(stats().counter[WB_STAT_BACKING_WRITES] - before, 100);
	cr_expect_eq(wb_sim_backing_bytes(&sim)[70 * BLOCK], 2);
	expect_everything_heals();
}

Test(backing_errors, a_full_cache_without_room_on_the_backing_waits_and_goes_on)
{
	struct wb_sim_op *op;

	start_with(NULL);
	break_blocks(WB_IO_WRITE, 0, BLOCKS, -ENOSPC);
	for (unsigned i = 0; i < 6; i++)
		fill(i * 16, 15, (uint8_t)(i + 1));
	op = wb_sim_prepare(&sim, WB_WRITE, 0, 100 * BLOCK, 100 * BLOCK);
	memset(op->data, 77, 100 * BLOCK);
	wb_sim_submit(op);
	pass_minutes(5);
	cr_assert_not(op->is_finished);
	/* What was accepted can be made durable, and a drain says what it is. */
	cr_assert_eq(wb_sim_sync(&sim), 0);
	cr_expect_eq(wb_sim_drain(&sim), -EIO);
	cr_expect_lt(stats().counter[WB_STAT_CARRIED_BLOCKS], 500);
	heal();
	cr_assert_eq(wb_sim_wait(op), 0);
	wb_sim_release(op);
	memset(model + 100 * BLOCK, 77, 100 * BLOCK);
	expect_everything_heals();
}

Test(backing_errors, a_punch_that_fails_holds_up_only_its_place)
{
	start_with(NULL);
	break_blocks(WB_IO_ZERO, 30, 1, -EIO);
	fill(0, 60, 1);
	discard(20, 20);
	fill(25, 2, 4);
	cr_expect_eq(wb_sim_drain(&sim), -EIO);
	expect_model();
	for (unsigned i = 0; i < 60; i++)
		cr_expect_eq(wb_sim_backing_bytes(&sim)[i * BLOCK],
			     i == 30 ? 9 : model[i * BLOCK], "block %u", i);
	cr_expect_eq(stats().pending_discards, 1);
	expect_everything_heals();
}

Test(backing_errors, data_over_a_failed_punch_is_not_written_before_the_punch)
{
	start_with(NULL);
	break_blocks(WB_IO_ZERO, 30, 4, -EIO);
	discard(20, 20);
	fill(31, 1, 4);
	cr_expect_eq(wb_sim_drain(&sim), -EIO);
	expect_everything_heals();
	cr_assert_eq(wb_sim_close(&sim), 0);
	cr_assert(wb_sim_open(&sim, NULL));
	expect_model();
}

Test(backing_errors, data_over_a_discard_that_cannot_be_punched_is_right)
{
	start_with(NULL);
	break_blocks(WB_IO_ZERO, 30, 4, -EIO);
	discard(20, 20);
	fill(31, 1, 4);
	cr_expect_eq(wb_sim_drain(&sim), -EIO);
	expect_model();
	for (unsigned i = 0; i < 150; i++)
		fill(64 + i % 12 * 16, 16, (uint8_t)i);
	fill(33, 1, 5);
	for (unsigned i = 0; i < 150; i++)
		fill(64 + i % 12 * 16, 16, (uint8_t)i);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	expect_model();
	wb_sim_kill(&sim);
	wb_sim_cut_power(&sim);
	cr_assert(wb_sim_open(&sim, NULL));
	expect_model();
	expect_everything_heals();
}

Test(backing_errors, a_merge_read_that_fails_keeps_only_its_block)
{
	struct wb_sim_params params = { .backing_alignment_bytes = 4096 };

	start_with(&params);
	break_blocks(WB_IO_READ, 5, 1, -EIO);
	for (unsigned i = 3; i < 8; i++) {
		cr_assert_eq(wb_sim_fill(&sim, i * BLOCK + 512, 3, 512, 0), 0);
		memset(model + i * BLOCK + 512, 3, 512);
	}
	cr_expect_eq(wb_sim_drain(&sim), -EIO);
	cr_expect_eq(stats().dirty_blocks, 1);
	fill(5, 1, 8);
	cr_expect_eq(wb_sim_drain(&sim), 0);
	expect_everything_heals();
}

Test(backing_errors, a_flush_that_fails_among_refused_blocks_leaves_all_dirty)
{
	start_with(NULL);
	break_blocks(WB_IO_WRITE, 17, 1, -EIO);
	break_blocks(WB_IO_FLUSH, 0, 0, -EIO);
	fill(0, 40, 1);
	cr_expect_eq(wb_sim_drain(&sim), -EIO);
	cr_expect_eq(stats().dirty_blocks, 40);
	expect_everything_heals();
}

/* --- reads ------------------------------------------------------------------------- */

Test(backing_errors, a_read_that_fails_once_or_twice_is_tried_again)
{
	uint8_t data[8 * BLOCK];

	for (uint64_t count = 1; count <= 3; count++) {
		struct wb_fault fault = { .op = WB_IO_READ, .io_class = WB_FAULT_ANY,
					  .offset_bytes = 33 * BLOCK, .length_bytes = BLOCK,
					  .count = count };

		start_with(NULL);
		wb_store_faulty_add(sim.backing_disk.faulty, &fault);
		cr_expect_eq(wb_sim_read(&sim, 30 * BLOCK, data, sizeof data),
			     count < 3 ? 0 : -EIO, "%lu failures", count);
		cr_expect_eq(wb_sim_read(&sim, 30 * BLOCK, data, sizeof data), 0);
		cr_expect_eq(data[0], 9);
		wb_sim_clear(&sim);
	}
	start_with(NULL);
}

Test(backing_errors, a_read_beside_a_bad_place_is_right_and_one_over_it_fails)
{
	uint8_t data[64 * BLOCK];

	start_with(NULL);
	break_blocks(WB_IO_READ, 40, 1, -EIO);
	fill(60, 4, 3);
	cr_expect_eq(wb_sim_read(&sim, 0, data, 64 * BLOCK), -EIO);
	cr_expect(strstr(stats().last_error, "reading image block 40 failed: "));
	cr_expect_eq(wb_sim_read(&sim, 0, data, 40 * BLOCK), 0);
	cr_expect_eq(wb_sim_read(&sim, 41 * BLOCK, data, 23 * BLOCK), 0);
	cr_expect_eq(data[22 * BLOCK], 3);
	fill(40, 1, 4);
	cr_expect_eq(wb_sim_read(&sim, 0, data, 64 * BLOCK), 0);
	cr_expect_eq(data[40 * BLOCK], 4);
}

/* --- what is told -------------------------------------------------------------------- */

Test(backing_errors, refused_ranges_are_told_with_their_error_and_age_and_vanish)
{
	struct wb_stats_snapshot s;

	start_with(NULL);
	s = stats();
	cr_expect_eq(s.refused_ranges.count, 0);
	cr_expect_eq(s.writeback_state, WB_WRITEBACK_IDLE);
	break_blocks(WB_IO_WRITE, 17, 1, -EIO);
	break_blocks(WB_IO_WRITE, 22, 3, -EIO);
	fill(0, 60, 1);
	cr_expect_eq(wb_sim_drain(&sim), -EIO);
	wb_sim_pass_time(&sim, UINT64_C(60000000000));
	s = stats();
	cr_assert_eq(s.refused_ranges.count, 2);
	cr_expect_eq(s.refused_ranges.blocks, 4);
	cr_expect_eq(s.refused_ranges.range[0].start_bytes, 17 * BLOCK);
	cr_expect_eq(s.refused_ranges.range[0].length_bytes, BLOCK);
	cr_expect_eq(s.refused_ranges.range[0].error, -EIO);
	cr_expect_geq(s.refused_ranges.range[0].age_s, 59);
	cr_expect_eq(s.refused_ranges.range[1].start_bytes, 22 * BLOCK);
	cr_expect_eq(s.refused_ranges.range[1].length_bytes, 3 * BLOCK);
	cr_expect_eq(s.writeback_state, WB_WRITEBACK_PAUSED);
	expect_everything_heals();
	s = stats();
	cr_expect_eq(s.refused_ranges.count, 0);
	cr_expect_eq(s.writeback_state, WB_WRITEBACK_IDLE);
	cr_expect_eq(s.retry_in_ms, 0);
}

Test(backing_errors, a_range_that_is_discarded_is_no_longer_told)
{
	start_with(NULL);
	break_blocks(WB_IO_WRITE, 17, 2, -EIO);
	fill(0, 60, 1);
	cr_expect_eq(wb_sim_drain(&sim), -EIO);
	cr_expect_eq(stats().refused_ranges.blocks, 2);
	discard(17, 2);
	cr_expect_eq(wb_sim_drain(&sim), 0);
	cr_expect_eq(stats().refused_ranges.blocks, 0);
	expect_everything_heals();
}

Test(backing_errors, lost_blocks_are_told_as_ranges_until_they_are_written_again)
{
	struct wb_stats_snapshot s;

	start_with(NULL);
	fill(10, 8, 1);
	cr_assert_eq(wb_sim_close(&sim), 0);
	cr_assert(wb_sim_open(&sim, NULL));
	cr_expect_eq(stats().bad_ranges.count, 0);
	for (unsigned i = 11; i < 16; i += i == 12 ? 3 : 1)
		wb_sim_cached_block(&sim, i, NULL)[99] ^= 1;
	cr_expect_eq(wb_sim_drain(&sim), -EIO);
	s = stats();
	cr_assert_eq(s.bad_ranges.count, 2);
	cr_expect_eq(s.bad_ranges.blocks, 3);
	cr_expect_eq(s.bad_ranges.range[0].start_bytes, 11 * BLOCK);
	cr_expect_eq(s.bad_ranges.range[0].length_bytes, 2 * BLOCK);
	cr_expect_eq(s.bad_ranges.range[1].start_bytes, 15 * BLOCK);
	/* The ring goes on, and they become entries of the log. */
	for (unsigned i = 0; i < 100; i++)
		fill(64 + i % 12 * 16, 16, (uint8_t)i);
	cr_expect_eq(stats().bad_ranges.blocks, 3);
	cr_expect_eq(stats().bad_ranges.count, 2);
	fill(11, 5, 2);
	cr_expect_eq(stats().bad_ranges.blocks, 0);
	expect_everything_heals();
}

Test(backing_errors, writers_that_wait_are_counted)
{
	struct wb_sim_op *op;

	start_with(NULL);
	break_blocks(WB_IO_WRITE, 0, BLOCKS, -EIO);
	op = wb_sim_prepare(&sim, WB_WRITE, 0, 0, BLOCKS * BLOCK);
	memset(op->data, 5, IMAGE);
	memset(model, 5, IMAGE);
	wb_sim_submit(op);
	pass_minutes(1);
	cr_assert_not(op->is_finished);
	cr_expect_eq(stats().waiting_requests, 1);
	cr_expect_eq(stats().writeback_state, WB_WRITEBACK_PAUSED);
	heal();
	cr_assert_eq(wb_sim_wait(op), 0);
	wb_sim_release(op);
	cr_expect_eq(stats().waiting_requests, 0);
	expect_everything_heals();
}

/* A ring full of dirty data, and one more that waits. */
Test(backing_errors, writers_that_wait_give_up_when_nobody_hears_them)
{
	struct wb_sim_op *op;
	uint64_t block = 0;

	start_with(NULL);
	break_blocks(WB_IO_WRITE, 0, BLOCKS, -EIO);
	for (;; block++) {
		op = wb_sim_prepare(&sim, WB_WRITE, 0, block % BLOCKS * BLOCK, BLOCK);
		memset(op->data, (int)(block % 250), BLOCK);
		wb_sim_submit(op);
		wb_sim_settle(&sim);
		if (!op->is_finished)
			break;
		cr_assert_eq(op->error, 0);
		memset(model + block % BLOCKS * BLOCK, (int)(block % 250), BLOCK);
		wb_sim_release(op);
	}
	pass_minutes(1);
	cr_assert_not(op->is_finished);
	wb_cache_end_waits(sim.cache);
	wb_sim_settle(&sim);
	cr_assert(op->is_finished);
	cr_expect_eq(op->error, -EIO);
	wb_sim_release(op);
	/* One that was under way elsewhere, and comes to wait only now. */
	op = wb_sim_prepare(&sim, WB_WRITE, 0, block % BLOCKS * BLOCK, BLOCK);
	memset(op->data, 251, BLOCK);
	wb_sim_submit(op);
	wb_sim_settle(&sim);
	cr_assert(op->is_finished);
	cr_expect_eq(op->error, -EIO);
	wb_sim_release(op);
	/* What was acknowledged is there. */
	expect_model();
	cr_assert_eq(wb_sim_close(&sim), 0);
	cr_assert(wb_sim_open(&sim, NULL));
	expect_model();
	expect_everything_heals();
}

/* --- anything ----------------------------------------------------------------------- */

static void break_something(struct wb_prng *prng)
{
	static const int ops[] = { WB_IO_WRITE, WB_IO_WRITE, WB_IO_ZERO, WB_FAULT_ANY };
	static const int errors[] = { -EIO, -EIO, -ENOSPC };
	uint64_t first = wb_prng_below(prng, BLOCKS - 8);
	int op = ops[wb_prng_below(prng, 4)];

	break_blocks(op, first, 1 + wb_prng_below(prng, 8), errors[wb_prng_below(prng, 3)]);
}

static void write_sectors(struct wb_prng *prng, uint8_t value)
{
	uint64_t count = 1 + wb_prng_below(prng, 30);
	uint64_t first = wb_prng_below(prng, IMAGE / 512 - count);

	cr_assert_eq(wb_sim_fill(&sim, first * 512, value, count * 512, 0), 0);
	memset(model + first * 512, value, count * 512);
}

/* Nothing here needs to read what the backing may not give. */
static void act(struct wb_prng *prng, uint8_t value)
{
	uint64_t count = 1 + wb_prng_below(prng, 20);
	uint64_t first = wb_prng_below(prng, BLOCKS - count);

	switch (wb_prng_below(prng, 10)) {
	case 0:
		discard(first, count);
		break;
	case 1:
		cr_assert_eq(wb_sim_sync(&sim), 0);
		break;
	case 2:
		wb_sim_drain(&sim);
		break;
	case 3:
		wb_sim_pass_time(&sim, UINT64_C(1000000000));
		break;
	case 4:
	case 5:
		write_sectors(prng, value);
		break;
	default:
		fill(first, count, value);
	}
}

static void crash(void)
{
	cr_assert_eq(wb_sim_sync(&sim), 0);
	wb_sim_kill(&sim);
	wb_sim_cut_power(&sim);
	cr_assert(wb_sim_open(&sim, NULL));
}

static void run_random(uint64_t seed)
{
	struct wb_sim_params params = { .seed = seed };
	struct wb_prng prng;

	seed_now = seed;
	wb_prng_init(&prng, seed * 7919);
	start_with(&params);
	for (unsigned round = 0; round < 4; round++) {
		for (unsigned i = 0; i < 3; i++)
			break_something(&prng);
		for (unsigned i = 0; i < 40; i++)
			act(&prng, (uint8_t)(10 + wb_prng_below(&prng, 200)));
		if (round == 1)
			crash();
		heal();
		expect_model();
		if (round == 2)
			crash();
		expect_model();
		cr_assert_eq(wb_sim_drain(&sim), 0, "seed %lu", seed);
		expect_backing_is_the_image();
	}
	wb_sim_clear(&sim);
}

Test(backing_errors, random_writes_over_random_bad_places_lose_nothing)
{
	for (uint64_t seed = 1; seed <= 40; seed++)
		run_random(seed);
	start_with(NULL);
}
