/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A volume is drained and detached, in memory. Wherever the power goes on the way,
 * there is either a volume that opens with all its data, or a cache that says that
 * it was detached and a backing that has everything.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "cache/create.h"
#include "cache/recovery.h"
#include "support/volume_sim.h"

#define BLOCK 4096u
#define COUNT 40u

static struct wb_sim sim;

/* Blocks of different bytes, one in two discarded again, on a backing of 9s. */
static void start(uint64_t seed)
{
	struct wb_sim_params params = { .seed = seed, .segment_count = 16, .backing_fill = 9,
					.no_writeback = true };

	wb_sim_init(&sim, &params);
	cr_assert(wb_sim_open(&sim, NULL));
	for (unsigned i = 0; i < COUNT; i++)
		cr_assert_eq(wb_sim_fill(&sim, i * BLOCK, (uint8_t)(100 + i), BLOCK, 0), 0);
	for (unsigned i = 0; i < COUNT; i += 2)
		cr_assert_eq(wb_sim_zero(&sim, i * BLOCK, BLOCK, 0), 0);
	cr_assert_eq(wb_sim_sync(&sim), 0);
}

static uint8_t expected(unsigned i)
{
	return i % 2 ? (uint8_t)(100 + i) : 0;
}

static void expect_image(void)
{
	uint8_t byte;

	for (unsigned i = 0; i < COUNT; i++) {
		cr_assert_eq(wb_sim_read(&sim, i * BLOCK + 17, &byte, 1), 0);
		cr_assert_eq(byte, expected(i), "block %u", i);
	}
}

static void expect_backing(void)
{
	for (unsigned i = 0; i < COUNT; i++)
		cr_assert_eq(wb_sim_backing_bytes(&sim)[i * BLOCK + 17], expected(i), "block %u", i);
	cr_assert_eq(wb_sim_backing_bytes(&sim)[COUNT * BLOCK], 9);
}

static int detach(void)
{
	int error = wb_cache_close(sim.cache, WB_CLOSE_DETACH);

	sim.cache = NULL;
	return error;
}

static bool is_refused_as_detached(void)
{
	g_autoptr(GError) error = NULL;

	if (wb_sim_open(&sim, &error))
		return false;
	cr_expect(g_error_matches(error, WB_CACHE_ERROR, WB_CACHE_ERROR_NOT_A_CACHE));
	return g_str_has_suffix(error->message, "which is complete alone and may have been "
						"changed since; `wbfs format` makes a new volume. "
						"Nothing was changed");
}

Test(detach, the_backing_has_everything_and_the_cache_is_refused)
{
	start(0);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	cr_assert_eq(detach(), 0);
	expect_backing();
	cr_expect(is_refused_as_detached());
	wb_sim_clear(&sim);
}

Test(detach, while_something_is_dirty_it_is_only_a_clean_stop)
{
	struct wb_recovery *recovery;

	start(0);
	cr_assert_eq(detach(), -EBUSY);
	recovery = wb_recovery_scan(sim.cache_disk.counting, NULL, NULL);
	cr_assert(recovery);
	cr_expect(recovery->was_clean);
	cr_expect_eq(recovery->superblock.incompat, 0);
	wb_recovery_free(recovery);
	cr_assert(wb_sim_open(&sim, NULL));
	expect_image();
	wb_sim_clear(&sim);
}

Test(detach, a_scan_still_tells_what_it_was_and_a_format_makes_a_new_volume_of_it)
{
	struct wb_create_params params = { .segment_bytes = WB_SEGMENT_BYTES_MIN };
	struct wb_recovery *recovery;
	struct wb_recovery_dirty dirty;

	start(0);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	cr_assert_eq(detach(), 0);
	recovery = wb_recovery_scan(sim.cache_disk.counting, NULL, NULL);
	cr_assert(recovery);
	cr_expect_eq(recovery->superblock.incompat, WB_INCOMPAT_DETACHED);
	wb_recovery_count_dirty(recovery, &dirty);
	cr_expect_eq(dirty.dirty_blocks + dirty.extents, 0);
	wb_recovery_free(recovery);
	params.backing_bytes = sim.geometry.backing_bytes;
	cr_assert(wb_create(sim.cache_disk.counting, &params, NULL));
	cr_assert(wb_sim_open(&sim, NULL));
	expect_image();
	wb_sim_clear(&sim);
}

/* One superblock says it already, and then the other is not written. */
Test(detach, one_superblock_that_says_so_is_enough)
{
	struct wb_fault fault = {
		.op = WB_IO_WRITE, .io_class = WB_FAULT_ANY, .length_bytes = BLOCK,
		.offset_bytes = 0, .count = WB_FAULT_FOR_EVER,
	};

	for (unsigned copy = 0; copy < 2; copy++) {
		unsigned seen = 0;

		start(0);
		cr_assert_eq(wb_sim_drain(&sim), 0);
		fault.offset_bytes = wb_superblock_offset(copy);
		wb_store_faulty_add(sim.cache_disk.faulty, &fault);
		cr_assert_eq(detach(), -EIO);
		wb_store_faulty_clear(sim.cache_disk.faulty);
		/* Which copy was the first to be written does not matter. */
		if (is_refused_as_detached()) {
			expect_backing();
			seen++;
		} else {
			cr_assert(sim.cache);
			expect_image();
		}
		wb_sim_clear(&sim);
		cr_assert_leq(seen, 1);
	}
}

Test(detach, the_power_may_go_at_any_point_of_it)
{
	unsigned volumes = 0, detached = 0;
	bool is_over = false;

	for (uint64_t point = 1; !is_over; point++) {
		for (uint64_t seed = 1; seed <= 4; seed++) {
			start(seed);
			sim.crash_clock.crash_at = sim.crash_clock.point_count + point;
			if (!wb_sim_drain(&sim) && !sim.crash_clock.has_crashed)
				is_over = !detach() && !sim.crash_clock.has_crashed;
			if (sim.cache)
				wb_sim_kill(&sim);
			wb_sim_cut_power(&sim);
			sim.crash_clock.crash_at = 0;
			if (is_refused_as_detached()) {
				expect_backing();
				detached++;
			} else {
				cr_assert(sim.cache, "point %lu, seed %lu", point, seed);
				expect_image();
				volumes++;
			}
			wb_sim_clear(&sim);
		}
		cr_assert_lt(point, 1000);
	}
	cr_expect_gt(volumes, 50);
	cr_expect_gt(detached, 3);
}
