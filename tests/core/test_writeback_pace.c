/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * When writeback runs and when it waits: what is allowed, how busy others keep the
 * backing's disk, and what comes before both. The disk's seconds are made up, and
 * the clock is moved by hand.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "cache/cache_private.h"
#include "support/volume_sim.h"

#define BLOCK 4096u
#define MS_NS UINT64_C(1000000)
#define SECOND_NS (1000 * MS_NS)
#define SEGMENT_BLOCKS (WB_SEGMENT_BYTES_MIN / BLOCK - 1)	/* data in one record */

static struct wb_sim sim;
static uint64_t sampled_ns;

static void start_with(struct wb_sim_params params)
{
	params.segment_count = params.segment_count ? params.segment_count : 40;
	params.image_bytes = params.image_bytes ? params.image_bytes : 8 << 20;
	wb_sim_init(&sim, &params);
	cr_assert(wb_sim_open(&sim, NULL));
	sampled_ns = sim.clock.now_ns;
}

static void start(void)
{
	start_with((struct wb_sim_params){ 0 });
}

static void stop(void)
{
	wb_sim_clear(&sim);
}

TestSuite(writeback_pace, .fini = stop);

/* The second is over, of which the disk was so busy. */
static void tell_second(unsigned busy_percent, unsigned reads_percent)
{
	struct wb_disk_sample sample = { .disk = "sdx" };

	sim.clock.now_ns = MAX(sim.clock.now_ns, sampled_ns + SECOND_NS);
	sample.interval_ns = sim.clock.now_ns - sampled_ns;
	sampled_ns = sim.clock.now_ns;
	sample.busy_ns = sample.interval_ns / 100 * busy_percent;
	sample.reads_ns = sample.interval_ns / 100 * reads_percent;
	wb_cache_add_disk_sample(sim.cache, &sample);
	wb_cache_tick(sim.cache);
}

/* Whole segments of synced data, which could be written back at once. */
static void write_segments(uint64_t from_block, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		cr_assert_eq(wb_sim_fill(&sim, (from_block + i * SEGMENT_BLOCKS) * BLOCK,
					 (uint8_t)(i + 1), SEGMENT_BLOCKS * BLOCK, 0), 0);
	cr_assert_eq(wb_sim_sync(&sim), 0);
}

static uint64_t backing_writes(void)
{
	return wb_store_counting_ios(sim.backing_disk.counting, WB_IO_WRITE);
}

static uint64_t dirty_blocks(void)
{
	return wb_block_map_dirty_count(sim.cache->path.map);
}

static void expect_state(const char *state, const char *reason)
{
	struct wb_stats_snapshot stats;

	wb_sim_stats(&sim, &stats);
	cr_assert_str_eq(wb_writeback_state_name(stats.writeback_state), state);
	cr_assert(strstr(stats.writeback_reason, reason), "'%s' is not '%s'",
		  stats.writeback_reason, reason);
}

static void expect_image(uint64_t from_block, unsigned segments)
{
	static uint8_t data[SEGMENT_BLOCKS * BLOCK];

	for (unsigned i = 0; i < segments; i++) {
		cr_assert_eq(wb_sim_read(&sim, (from_block + i * SEGMENT_BLOCKS) * BLOCK, data,
					 sizeof data), 0);
		for (size_t b = 0; b < sizeof data; b++)
			cr_assert_eq(data[b], (uint8_t)(i + 1));
	}
}

/* --- the modulator ------------------------------------------------------------------- */

Test(writeback_pace, it_stops_above_the_threshold_and_goes_on_below_it)
{
	start();
	for (unsigned round = 0; round < 3; round++) {
		uint64_t before;

		tell_second(83, 0);
		before = backing_writes();
		write_segments(round * 10 * SEGMENT_BLOCKS, 10);
		wb_sim_settle(&sim);
		tell_second(71, 0);
		wb_sim_settle(&sim);
		tell_second(83, 0);
		wb_sim_settle(&sim);
		cr_assert_eq(backing_writes(), before);
		expect_state("waiting", "disk 83 % busy, threshold 70 %");
		tell_second(70, 0);
		wb_sim_settle(&sim);
		cr_assert_gt(backing_writes(), before);
		cr_assert_leq(dirty_blocks(), SEGMENT_BLOCKS);	/* of the open segment */
		expect_state("idle", "");
	}
	expect_image(0, 10);
}

Test(writeback_pace, the_threshold_can_be_set_and_the_modulator_switched_off)
{
	uint64_t before;

	start();
	wb_sim_set(&sim, "writeback_threshold", "30");
	tell_second(50, 0);
	before = backing_writes();
	write_segments(0, 5);
	wb_sim_settle(&sim);
	cr_assert_eq(backing_writes(), before);
	expect_state("waiting", "disk 50 % busy, threshold 30 %");
	wb_sim_set(&sim, "writeback_threshold", "60");
	tell_second(50, 0);
	wb_sim_settle(&sim);
	cr_assert_gt(backing_writes(), before);
	tell_second(100, 0);
	before = backing_writes();
	write_segments(100 * SEGMENT_BLOCKS % 1000, 5);
	wb_sim_settle(&sim);
	cr_assert_eq(backing_writes(), before);
	wb_sim_set(&sim, "writeback_modulator", "off");
	wb_sim_settle(&sim);
	cr_assert_gt(backing_writes(), before);
}

Test(writeback_pace, a_busy_disk_cuts_a_batch_short)
{
	uint64_t before, in_the_end;

	start();
	tell_second(83, 0);
	for (unsigned i = 0; i < 200; i++)	/* nothing that could be joined */
		cr_assert_eq(wb_sim_fill(&sim, i * 7 * BLOCK, 9, BLOCK, 0), 0);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	before = backing_writes();
	tell_second(0, 0);
	while (backing_writes() == before)
		cr_assert(wb_sim_step(&sim));
	expect_state("running", "disk 0 % busy, threshold 70 %");
	tell_second(100, 90);
	wb_sim_settle(&sim);
	in_the_end = backing_writes();
	cr_assert_leq(in_the_end - before, 2 * WB_WRITEBACK_DEPTH);
	cr_assert_gt(dirty_blocks(), 100);
	expect_state("waiting", "disk 90 % busy, threshold 70 %");
	tell_second(10, 10);
	wb_sim_settle(&sim);
	cr_assert_leq(dirty_blocks(), SEGMENT_BLOCKS);
	/* What was written before the cut was clean, and is not written again. */
	cr_assert_leq(backing_writes() - before, 200);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	for (unsigned i = 0; i < 200; i++)
		cr_assert_eq(wb_sim_backing_bytes(&sim)[i * 7 * BLOCK + 5], 9);
}

/* The disk is busy with writeback all the time, and nobody else there. */
Test(writeback_pace, its_own_io_does_not_stop_it_but_for_a_look_now_and_then)
{
	unsigned looks = 0, goes = 0;
	struct wb_fault slow = { .op = WB_IO_WRITE, .io_class = WB_IO_CLASS_WRITEBACK,
				 .count = WB_FAULT_FOR_EVER, .effect = WB_FAULT_DELAY,
				 .delay_polls = 400 };

	start_with((struct wb_sim_params){ .segment_count = 200, .image_bytes = 32 << 20 });
	wb_store_faulty_add(sim.backing_disk.faulty, &slow);
	wb_sim_set(&sim, "allow_writeback", "off");
	for (unsigned i = 0; i < 1500; i++)
		cr_assert_eq(wb_sim_fill(&sim, i * 5 * BLOCK, 9, BLOCK, 0), 0);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	wb_sim_set(&sim, "allow_writeback", "on");
	tell_second(0, 0);
	while (dirty_blocks() > SEGMENT_BLOCKS && goes + looks < 1000) {
		struct wb_stats_snapshot stats;
		struct wb_busy_times own, reads;
		uint64_t own_ns;

		own = wb_writeback_busy(sim.cache->writeback, &reads);
		own_ns = own.busy_ns;
		while (sim.clock.now_ns < sampled_ns + SECOND_NS && wb_sim_step(&sim))
			sim.clock.now_ns += MS_NS;
		own = wb_writeback_busy(sim.cache->writeback, &reads);
		own_ns = own.busy_ns - own_ns;
		sim.clock.now_ns = MAX(sim.clock.now_ns, sampled_ns + SECOND_NS);
		tell_second((unsigned)(own_ns * 100 / (sim.clock.now_ns - sampled_ns)), 0);
		wb_sim_stats(&sim, &stats);
		looks += strstr(stats.writeback_reason, "looking how busy others") != NULL;
		goes += strstr(stats.writeback_reason, "threshold 70 %") != NULL;
		cr_assert_not(strstr(stats.writeback_reason, "disk 7"), "%s",
			      stats.writeback_reason);
	}
	cr_assert_leq(dirty_blocks(), SEGMENT_BLOCKS);
	cr_assert_geq(goes, 15);
	cr_assert_leq(looks * 10, goes + 10);
}

Test(writeback_pace, where_nobody_knows_the_disk_the_reads_of_the_mount_count)
{
	static uint8_t data[BLOCK];
	struct wb_fault slow = { .op = WB_IO_READ, .io_class = WB_IO_CLASS_USER_READ,
				 .count = WB_FAULT_FOR_EVER, .effect = WB_FAULT_DELAY,
				 .delay_polls = 100 };
	struct wb_stats_snapshot stats;
	uint64_t before;

	start_with((struct wb_sim_params){ .meters_backing = true });
	wb_store_faulty_add(sim.backing_disk.faulty, &slow);
	sampled_ns = sim.clock.now_ns;
	/* made-up numbers are not asked for, our own are */
	while (sim.clock.now_ns < sampled_ns + SECOND_NS)
		cr_assert_eq(wb_sim_read(&sim, 1000 * BLOCK, data, BLOCK), 0);
	tell_second(0, 0);
	wb_sim_stats(&sim, &stats);
	cr_assert_str_eq(wb_backing_load_source_name(&stats.backing_load), "own");
	cr_assert_gt(stats.backing_load.others_percent, 80);
	before = backing_writes();
	write_segments(0, 5);
	wb_sim_settle(&sim);
	cr_assert_eq(backing_writes(), before);
	tell_second(100, 100);
	wb_sim_settle(&sim);
	cr_assert_gt(backing_writes(), before);
	/* Its own writes are none of others. */
	tell_second(100, 100);
	wb_sim_stats(&sim, &stats);
	cr_assert_eq(stats.backing_load.others_percent, 0);
}

/* --- what comes before it --------------------------------------------------------------- */

Test(writeback_pace, a_drain_does_not_ask_how_busy_the_disk_is)
{
	start();
	wb_sim_set(&sim, "allow_writeback", "off");
	tell_second(100, 100);
	write_segments(0, 5);
	wb_sim_settle(&sim);
	expect_state("waiting", "allow_writeback is off");
	wb_cache_start_drain(sim.cache);
	expect_state("idle", "a drain was asked for");
	cr_assert_eq(wb_sim_drain(&sim), 0);
	cr_assert_eq(dirty_blocks(), 0);
	expect_state("idle", "allow_writeback is off");
}

Test(writeback_pace, above_the_high_water_mark_it_runs_in_any_case)
{
	uint64_t before = 0;
	unsigned written = 0;

	start();
	wb_sim_set(&sim, "allow_writeback", "off");
	tell_second(100, 100);
	before = backing_writes();
	while (backing_writes() == before) {
		cr_assert_lt(written, 38);
		write_segments(written++ * SEGMENT_BLOCKS, 1);
		/* nobody waits for room, nor has to */
		cr_assert_eq(wb_sim_counter(&sim, WB_STAT_PARKED_REQUESTS), 0);
		wb_sim_settle(&sim);
	}
	cr_assert_geq(written, 40 * WB_DIRTY_HIGH_PERCENT / 100);
	cr_assert_leq(written, 40 * WB_DIRTY_HIGH_PERCENT / 100 + 2);
	wb_sim_settle(&sim);
	expect_state("waiting", "allow_writeback is off");
}

Test(writeback_pace, who_waits_for_room_gets_it_however_busy_the_disk_is)
{
	start_with((struct wb_sim_params){ .segment_count = 8 });
	wb_sim_set(&sim, "allow_writeback", "off");
	for (unsigned i = 0; i < 40; i++) {
		tell_second(100, 100);
		write_segments(i * SEGMENT_BLOCKS, 1);
	}
	cr_assert_gt(backing_writes(), 0);
}

Test(writeback_pace, a_stop_waits_for_the_writes_under_way_and_begins_none)
{
	uint64_t before;

	start();
	tell_second(83, 0);
	for (unsigned i = 0; i < 200; i++)
		cr_assert_eq(wb_sim_fill(&sim, i * 7 * BLOCK, 9, BLOCK, 0), 0);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	before = backing_writes();
	tell_second(0, 0);
	while (backing_writes() == before)
		cr_assert(wb_sim_step(&sim));
	cr_assert_eq(wb_sim_close(&sim), 0);
	cr_assert_leq(backing_writes() - before, 2 * WB_WRITEBACK_DEPTH);
	cr_assert(wb_sim_open(&sim, NULL));
	for (unsigned i = 0; i < 200; i++) {
		uint8_t data[BLOCK];

		cr_assert_eq(wb_sim_read(&sim, i * 7 * BLOCK, data, BLOCK), 0);
		cr_assert_eq(data[77], 9);
	}
}
