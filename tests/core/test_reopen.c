/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Opening after the death of the process alone: what recovery reads may still
 * be volatile. Nothing may rest on it before it is durable.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "support/volume_sim.h"

#define BLOCK 4096u

static struct wb_sim sim;

/* A volume whose log holds records that were written and never flushed. */
static void make_volatile_log(uint64_t seed, bool has_failed_flush)
{
	struct wb_sim_params params = { .seed = seed, .segment_count = 32,
					.ram_segments = 24, .no_writeback = true };

	wb_sim_init(&sim, &params);
	cr_assert(wb_sim_open(&sim, NULL));
	cr_assert_eq(wb_sim_fill(&sim, 0, 1, 3 * BLOCK, WB_REQUEST_FUA), 0);
	if (has_failed_flush)
		wb_store_crashy_fail_flush(sim.cache_disk.crashy, 1);
	/* Full segments go out by themselves; a flush is not due yet. */
	for (unsigned i = 1; i <= 3; i++)
		cr_assert_eq(wb_sim_fill(&sim, i * 16 * BLOCK, (uint8_t)(i + 1), 15 * BLOCK, 0),
			     0);
	if (has_failed_flush) {
		struct wb_sim_op *sync = wb_sim_prepare(&sim, WB_SYNC, 0, 0, 0);

		wb_sim_submit(sync);
		while (wb_store_counting_ios(sim.cache_disk.counting, WB_IO_FLUSH) == 0 ||
		       wb_sim_step(&sim))
			;
		cr_assert_not(sync->is_finished, "it waits for the next try");
	}
	wb_sim_settle(&sim);
	cr_assert_gt(wb_store_crashy_volatile_count(sim.cache_disk.crashy), 0);
	wb_sim_kill(&sim);
}

static uint8_t first_byte(uint64_t address)
{
	uint8_t byte;

	cr_assert_eq(wb_sim_read(&sim, address * BLOCK, &byte, 1), 0);
	return byte;
}

/* What was promised is there, and a prefix of the rest. */
static unsigned count_recovered(void)
{
	unsigned count = 0;

	cr_assert_eq(first_byte(0), 1);
	for (unsigned i = 1; i <= 3; i++) {
		uint8_t byte = first_byte(i * 16);

		cr_assert(byte == 0 || byte == i + 1);
		cr_assert(byte == 0 || count == i - 1, "%u is there, but not %u", i, count + 1);
		count += byte != 0;
	}
	return count;
}

static void open_or_fail(const char *when, uint64_t point)
{
	g_autoptr(GError) error = NULL;

	cr_assert(wb_sim_open(&sim, &error), "%s, point %lu, seed %lu: %s", when, point,
		  sim.params.seed, error ? error->message : "");
}

Test(reopen, the_power_may_go_at_any_point_of_opening_after_a_kill)
{
	bool was_open = false;

	for (uint64_t point = 1; !was_open; point++) {
		for (uint64_t seed = 1; seed <= 5; seed++) {
			make_volatile_log(seed, false);
			sim.crash_clock.crash_at = sim.crash_clock.point_count + point;
			was_open = wb_sim_open(&sim, NULL) && !sim.crash_clock.has_crashed;
			if (sim.cache)
				wb_sim_kill(&sim);
			wb_sim_cut_power(&sim);
			sim.crash_clock.crash_at = 0;
			open_or_fail("opening again", point);
			count_recovered();
			wb_sim_clear(&sim);
		}
		cr_assert_lt(point, 1000);
	}
}

static void expect_no_way_back(bool has_failed_flush)
{
	for (uint64_t seed = 1; seed <= 12; seed++) {
		unsigned seen;

		make_volatile_log(seed, has_failed_flush);
		open_or_fail("opening", 0);
		seen = count_recovered();
		cr_assert_eq(seen, 3);
		wb_sim_kill(&sim);
		wb_sim_cut_power(&sim);
		open_or_fail("opening after the power cut", 0);
		cr_assert_eq(count_recovered(), seen);
		wb_sim_clear(&sim);
	}
}

Test(reopen, what_an_opening_found_survives_the_next_power_cut)
{
	expect_no_way_back(false);
}

Test(reopen, it_does_after_a_failed_flush_too_which_the_disk_forgot)
{
	expect_no_way_back(true);
}
