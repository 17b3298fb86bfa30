/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The backing's disk at rest: by the book that the disk keeps, no I/O at all comes to it
 * between two times of the schedule, whatever the cache is asked for that it has itself.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "cache/cache_private.h"
#include "support/volume_sim.h"

#define BLOCK 4096u
#define MIB (1u << 20)
#define SECOND_NS UINT64_C(1000000000)
#define MINUTE_S 60u
#define HOUR_S 3600u

static struct wb_sim sim;
static struct wb_stats_snapshot stats;
static uint64_t noted;			/* I/Os of the backing */
static uint8_t value;

/* The clock on the wall stands at that hour, two hours ahead of universal time. */
static void start_at(unsigned hour, const char *schedule)
{
	const uint32_t offset_s = 2 * HOUR_S;
	uint32_t second = (uint32_t)(WB_SIM_WALL_NS / SECOND_NS % WB_DAY_S);

	wb_sim_init(&sim, &(struct wb_sim_params){ .image_bytes = MIB, .segment_count = 16 });
	sim.utc_offset_s = (int32_t)offset_s;
	sim.wall_offset_ns = ((uint64_t)hour * HOUR_S + 2 * WB_DAY_S - offset_s - second) *
			     SECOND_NS;
	sim.schedule = schedule;
	cr_assert(wb_sim_open(&sim, NULL));
	noted = 0;
}

static void stop(void)
{
	wb_sim_clear(&sim);
}

TestSuite(rest, .fini = stop);

static uint64_t backing_ios(void)
{
	uint64_t count = 0;

	for (unsigned op = 0; op < WB_IO_OP_COUNT; op++)
		count += wb_store_counting_ios(sim.backing_disk.counting, (enum wb_io_op)op);
	return count;
}

static void note(void)
{
	noted = backing_ios();
}

/* All that its owner does while it is mounted, once a second here. */
static void pass_s(uint64_t seconds)
{
	struct wb_disk_sample sample = { .disk = "sdx", .interval_ns = SECOND_NS };

	for (uint64_t i = 0; i < seconds; i++) {
		wb_sim_pass_time(&sim, SECOND_NS);
		wb_cache_add_disk_sample(sim.cache, &sample);
		wb_cache_mark_wish(sim.cache);
		wb_sim_settle(&sim);
	}
}

static void write_block(uint64_t block)
{
	cr_assert_eq(wb_sim_fill(&sim, block * BLOCK, ++value, BLOCK, 0), 0);
}

/* What users do with the data that the cache has. */
static void use_it(unsigned i)
{
	uint8_t data[BLOCK];

	write_block(i % 40);
	cr_assert_eq(wb_sim_read(&sim, i % 40 * BLOCK, data, BLOCK), 0);
	cr_assert_eq(data[7], value);
	/* whole sectors of a block that is there */
	cr_assert_eq(wb_sim_fill(&sim, i % 40 * BLOCK + 512, value, 1024, 0), 0);
	if (i % 3 == 0)
		cr_assert_eq(wb_sim_sync(&sim), 0);
	if (i % 5 == 0)
		cr_assert_eq(wb_sim_fill(&sim, 41 * BLOCK, value, BLOCK, WB_REQUEST_FUA), 0);
	if (i % 7 == 0)
		cr_assert_eq(wb_sim_zero(&sim, 50 * BLOCK, 4 * BLOCK, 0), 0);
	if (i % 11 == 0)
		wb_cache_start_flush(sim.cache);
}

static void expect_state(const char *state, const char *words)
{
	wb_sim_stats(&sim, &stats);
	cr_expect_str_eq(wb_writeback_state_name(stats.writeback_state), state, "%s",
			 stats.writeback_reason);
	cr_expect(strstr(stats.writeback_reason, words), "no \"%s\" in: %s", words,
		  stats.writeback_reason);
}

/* --- windows ------------------------------------------------------------------------- */

Test(rest, between_windows_nothing_comes_to_the_backing_and_in_them_all_that_is_dirty)
{
	start_at(12, "02:00-05:00");
	note();
	for (unsigned i = 0; i < 100; i++) {
		use_it(i);
		pass_s(8 * MINUTE_S);
	}
	/* 13 h 20 min later */
	cr_expect_eq(backing_ios(), noted);
	expect_state("resting", "until 02:00, or until 80 % of the cache is not written back");
	cr_expect_leq(stats.writeback_resumes_in_s, 40 * MINUTE_S);
	cr_expect_gt(stats.writeback_resumes_in_s, 30 * MINUTE_S);
	cr_expect_eq(stats.counter[WB_STAT_WRITEBACK_RESTS], 1);
	pass_s(HOUR_S);
	cr_expect_gt(backing_ios(), noted);
	wb_sim_stats(&sim, &stats);
	/* but for what lies in the segment that is being filled */
	cr_expect_leq(stats.segments_dirty, 1);
	cr_expect_eq(stats.writeback_state, WB_WRITEBACK_IDLE);
	cr_expect_eq(stats.writeback_resumes_in_s, WB_STATS_UNKNOWN);
	pass_s(3 * HOUR_S);
	note();
	for (unsigned i = 0; i < 50; i++) {
		use_it(i);
		pass_s(8 * MINUTE_S);
	}
	cr_expect_eq(backing_ios(), noted);
	expect_state("resting", "until 02:00");
	wb_sim_stats(&sim, &stats);
	cr_expect_eq(stats.counter[WB_STAT_WRITEBACK_RESTS], 2);
}

Test(rest, it_is_the_time_of_the_place_that_counts_and_it_may_be_set)
{
	start_at(1, "02:00-05:00");
	for (unsigned i = 0; i < 40; i++)
		write_block(i);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	note();
	pass_s(50 * MINUTE_S);
	cr_expect_eq(backing_ios(), noted);
	/* somebody takes it a zone to the west */
	sim.utc_offset_s -= (int32_t)HOUR_S;
	pass_s(HOUR_S);
	cr_expect_eq(backing_ios(), noted);
	/* and sets the clock */
	sim.wall_offset_ns += HOUR_S * SECOND_NS;
	pass_s(1);
	cr_expect_gt(backing_ios(), noted);
}

Test(rest, it_rests_from_the_first_moment_of_a_mount)
{
	start_at(12, NULL);
	for (unsigned i = 0; i < 10; i++)
		write_block(i);
	wb_sim_set(&sim, "allow_writeback", "off");
	cr_assert_eq(wb_sim_sync(&sim), 0);
	wb_sim_kill(&sim);
	sim.schedule = "02:00-05:00";
	cr_assert(wb_sim_open(&sim, NULL));
	note();
	wb_sim_settle(&sim);
	pass_s(HOUR_S);
	cr_expect_eq(backing_ios(), noted);
	expect_state("resting", "until 02:00");
	wb_sim_set(&sim, "writeback_schedule", "always");
	for (unsigned i = 0; i < 40; i++)
		write_block(i);
	pass_s(10);
	cr_expect_gt(backing_ios(), noted);
}

/* --- every -------------------------------------------------------------------------------- */

Test(rest, every_some_hours_all_that_is_dirty_comes_at_once_and_then_nothing)
{
	start_at(12, "every 4h");
	note();
	for (unsigned i = 0; i < 3 * 60; i++) {
		write_block(i % 30);
		pass_s(MINUTE_S);
	}
	cr_expect_eq(backing_ios(), noted);
	expect_state("resting", "until 16:00");
	/* while somebody goes on writing */
	for (unsigned i = 0; i < 70; i++) {
		write_block(i % 30);
		pass_s(MINUTE_S);
	}
	cr_expect_gt(backing_ios(), noted);
	note();
	for (unsigned i = 0; i < 3 * 60; i++) {
		write_block(i % 30);
		pass_s(MINUTE_S);
	}
	cr_expect_eq(backing_ios(), noted, "%lu more", backing_ios() - noted);
}

/* --- what does not wait ---------------------------------------------------------------------- */

Test(rest, above_the_high_water_all_is_written_back_and_it_rests_again)
{
	unsigned written = 0;

	start_at(12, "never");
	wb_sim_set(&sim, "writeback_high_water", "50");
	note();
	while (backing_ios() == noted) {
		write_block(written++ % 200);
		if (written % 10 == 0)
			pass_s(1);
		cr_assert_lt(written, 1000);
	}
	/* 16 segments of 15 blocks */
	cr_expect_geq(written, 16 * 15 / 2);
	pass_s(30);
	wb_sim_stats(&sim, &stats);
	cr_expect_eq(stats.dirty_blocks, 0, "%lu of %u", stats.dirty_blocks, written);
	note();
	for (unsigned i = 0; i < 60; i++) {
		write_block(i);
		pass_s(MINUTE_S);
	}
	cr_expect_eq(backing_ios(), noted);
	expect_state("resting", "until 50 % of the cache is not written back; now it is");
}

Test(rest, a_drain_and_writers_without_room_do_not_wait)
{
	start_at(12, "never");
	wb_sim_set(&sim, "writeback_high_water", "90");
	for (unsigned i = 0; i < 20; i++)
		write_block(i);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	wb_sim_stats(&sim, &stats);
	cr_expect_eq(stats.dirty_blocks, 0);
	/* three times what the ring holds, in one go */
	for (unsigned i = 0; i < 3 * 16 * 15; i++)
		write_block(i % 250);
	wb_sim_stats(&sim, &stats);
	cr_expect_gt(stats.counter[WB_STAT_WRITEBACK_BLOCKS], 300);
}

Test(rest, a_sync_that_promises_the_backing_does_not_wait)
{
	start_at(12, "never");
	wb_sim_set(&sim, "cache_mode", "writethrough");
	write_block(1);
	pass_s(60);
	note();
	cr_assert_eq(wb_sim_sync(&sim), 0);
	cr_expect_gt(backing_ios(), noted);
	cr_expect_eq(wb_sim_backing_bytes(&sim)[BLOCK], value);
}

/* --- idle ---------------------------------------------------------------------------------------- */

Test(rest, with_an_idle_time_the_backing_is_left_alone_while_anybody_uses_the_volume)
{
	uint8_t data[BLOCK];

	start_at(12, NULL);
	wb_sim_set(&sim, "writeback_idle_s", "300");
	note();
	for (unsigned i = 0; i < 60; i++) {
		write_block(i);
		pass_s(MINUTE_S);
	}
	/* readers are users too */
	for (unsigned i = 0; i < 60; i++) {
		cr_assert_eq(wb_sim_read(&sim, i * BLOCK, data, BLOCK), 0);
		pass_s(MINUTE_S);
	}
	cr_expect_eq(backing_ios(), noted);
	expect_state("resting", "until nobody has used it for 300 s, or until 80 % of the cache");
	cr_expect_eq(stats.writeback_resumes_in_s, WB_STATS_UNKNOWN);
	pass_s(3 * MINUTE_S);
	cr_expect_eq(backing_ios(), noted);
	pass_s(MINUTE_S + 2);
	cr_expect_gt(backing_ios(), noted);
}
