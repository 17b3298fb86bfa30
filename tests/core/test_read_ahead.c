/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Opening after a crash: a log of small records is read once and in long pieces, side
 * by side; of full segments only the headers are; and a read that fails on the way
 * costs a second one, no data.
 */
#include <criterion/criterion.h>

#include "support/store_memory.h"
#include "support/volume_sim.h"

#define BLOCK 4096u
#define SEGMENT 65536u
#define SEGMENTS 64u
#define IMAGE_BLOCKS 1024u

static struct wb_sim sim;

static void stop(void)
{
	wb_sim_clear(&sim);
}

TestSuite(read_ahead, .fini = stop);

static void start_with(uint32_t segment_count)
{
	wb_sim_init(&sim, &(struct wb_sim_params){ .segment_count = segment_count, .ram_segments = 16,
						   .image_bytes = IMAGE_BLOCKS * BLOCK,
						   .no_writeback = true });
	cr_assert(wb_sim_open(&sim, NULL));
}

static void start(void)
{
	start_with(SEGMENTS);
}

/* Each in a record of its own: 7 in a segment. */
static void write_alone(unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		cr_assert_eq(wb_sim_fill(&sim, (uint64_t)i * BLOCK, (uint8_t)(i + 1), BLOCK,
					 WB_REQUEST_FUA), 0);
}

static void expect_written(unsigned count, const char *when)
{
	for (unsigned i = 0; i < count; i++) {
		uint8_t byte = 0;

		cr_assert_eq(wb_sim_read(&sim, (uint64_t)i * BLOCK, &byte, 1), 0, "%s", when);
		cr_assert_eq(byte, (uint8_t)(i + 1), "%s: block %u", when, i);
	}
}

struct cost {
	uint64_t bytes, at_once, live_segments, short_bytes;
};

static struct cost open_again(void)
{
	struct wb_store *disk = sim.cache_disk.counting;
	struct wb_stats_snapshot stats;
	struct cost cost;

	wb_store_counting_take_most_read(disk);
	cost.bytes = wb_store_counting_bytes(disk, WB_IO_READ);
	cr_assert(wb_sim_open(&sim, NULL));
	cost.bytes = wb_store_counting_bytes(disk, WB_IO_READ) - cost.bytes;
	cost.at_once = wb_store_counting_take_most_read(disk);
	wb_sim_stats(&sim, &stats);
	cost.live_segments = stats.head_segment - stats.tail_segment + 1;
	cost.short_bytes = stats.recovered_short_bytes;
	return cost;
}

/* Superblocks, for a checkpoint too; a first header for each place; the end of the log. */
static uint64_t fixed_cost(void)
{
	return 4 * BLOCK + SEGMENTS * BLOCK + 5 * SEGMENT;
}

Test(read_ahead, a_log_of_small_records_is_read_once_and_in_long_pieces)
{
	struct cost cost;

	start();
	write_alone(440);
	wb_sim_kill(&sim);
	cost = open_again();
	cr_assert_gt(cost.live_segments, 50);
	cr_expect_leq(cost.bytes, cost.live_segments * SEGMENT + fixed_cost());
	cr_expect_geq(cost.at_once, 16 * SEGMENT, "%lu bytes at once", cost.at_once);
	cr_expect_geq(cost.short_bytes, (cost.live_segments - 2) * SEGMENT, "%lu", cost.short_bytes);
	cr_expect_leq(cost.short_bytes, (cost.live_segments + 1) * SEGMENT, "%lu", cost.short_bytes);
	expect_written(440, "after a kill");
}

Test(read_ahead, full_segments_are_not_read)
{
	struct cost cost;

	start();
	for (unsigned i = 0; i < 50; i++)
		cr_assert_eq(wb_sim_fill(&sim, (uint64_t)i * 15 * BLOCK, (uint8_t)i, 15 * BLOCK,
					 WB_REQUEST_FUA), 0);
	wb_sim_kill(&sim);
	cost = open_again();
	cr_assert_geq(cost.live_segments, 50);
	/* Of so small a ring no header is looked at twice. */
	cr_expect_leq(cost.bytes, fixed_cost(), "%lu", cost.bytes);
	cr_expect_leq(cost.short_bytes, SEGMENT, "%lu", cost.short_bytes);
	cr_expect_leq(cost.at_once, 64 * BLOCK, "%lu bytes at once", cost.at_once);
}

/* A second look at each header, a thousand at a time, rather than memory for all of them. */
Test(read_ahead, the_headers_of_a_large_ring_are_read_in_batches)
{
	enum { RING = 1100, WRITES = 1150, PLACES = 64 };
	struct cost cost;

	start_with(RING);
	for (unsigned i = 0; i < WRITES; i++)
		cr_assert_eq(wb_sim_fill(&sim, (uint64_t)(i % PLACES) * 15 * BLOCK,
					 (uint8_t)(i / PLACES), 15 * BLOCK, WB_REQUEST_FUA), 0);
	wb_sim_kill(&sim);
	cost = open_again();
	cr_expect_gt(cost.bytes, 2 * (RING - 20) * BLOCK, "%lu", cost.bytes);
	cr_expect_lt(cost.bytes, 2 * RING * BLOCK + 8 * SEGMENT, "%lu", cost.bytes);
	for (unsigned i = WRITES - PLACES; i < WRITES; i++) {
		uint8_t byte = 0;

		cr_assert_eq(wb_sim_read(&sim, ((uint64_t)(i % PLACES) * 15 + 14) * BLOCK, &byte, 1), 0);
		cr_assert_eq(byte, i / PLACES, "%u", i);
	}
}

/* Nothing says that these are whole: their data is read, side by side, too. */
Test(read_ahead, data_that_no_flush_covers_is_read_in_long_pieces)
{
	struct wb_fault no_flush = { .op = WB_IO_FLUSH, .io_class = WB_FAULT_ANY,
				     .count = WB_FAULT_FOR_EVER };
	struct cost cost;

	start();
	wb_sim_settle(&sim);
	wb_store_faulty_add(sim.cache_disk.faulty, &no_flush);
	for (unsigned i = 0; i < 12; i++)
		cr_assert_eq(wb_sim_fill(&sim, (uint64_t)i * 15 * BLOCK, (uint8_t)(i + 1),
					 15 * BLOCK, 0), 0);
	for (unsigned i = 0; i < 1000 && wb_sim_step(&sim); i++)
		;
	wb_sim_kill(&sim);
	wb_store_faulty_clear(sim.cache_disk.faulty);
	cost = open_again();
	cr_expect_geq(cost.at_once, 8 * SEGMENT, "%lu bytes at once", cost.at_once);
	for (unsigned i = 0; i < 12; i++) {
		uint8_t byte;

		cr_assert_eq(wb_sim_read(&sim, (uint64_t)i * 15 * BLOCK, &byte, 1), 0);
		cr_expect_eq(byte, i + 1);
	}
}

Test(read_ahead, any_read_of_an_opening_may_fail_once)
{
	uint64_t hits = 0, before, n = 1;

	start();
	write_alone(150);
	wb_sim_kill(&sim);
	do {
		struct wb_fault fault = { .op = WB_IO_READ, .io_class = WB_FAULT_ANY, .first = n };
		g_autofree char *when = g_strdup_printf("read %lu failed", n);
		g_autoptr(GError) error = NULL;

		before = hits;
		wb_store_faulty_add(sim.cache_disk.faulty, &fault);
		cr_assert(wb_sim_open(&sim, &error), "%s: %s", when, error ? error->message : "");
		hits = wb_store_faulty_hit_count(sim.cache_disk.faulty);
		wb_store_faulty_clear(sim.cache_disk.faulty);
		expect_written(150, when);
		wb_sim_kill(&sim);
		cr_assert_lt(n++, 1000);
	} while (hits > before);
	cr_expect_gt(n, 80);
}

/* It spoils its block and no other, however much was to be read with it. */
Test(read_ahead, a_block_of_data_that_cannot_be_read_is_found_by_its_reader)
{
	struct wb_fault fault = { .op = WB_IO_READ, .io_class = WB_FAULT_ANY,
				  .length_bytes = BLOCK, .count = WB_FAULT_FOR_EVER };
	unsigned failed = 0;

	start();
	write_alone(150);
	wb_sim_kill(&sim);
	/* The second record of the tenth segment: its header, then its data. */
	fault.offset_bytes = wb_geometry_segment_offset(&sim.geometry, 9) + 3 * BLOCK;
	wb_store_faulty_add(sim.cache_disk.faulty, &fault);
	cr_assert(wb_sim_open(&sim, NULL));
	for (unsigned i = 0; i < 150; i++) {
		uint8_t byte = 0;

		if (wb_sim_read(&sim, (uint64_t)i * BLOCK, &byte, 1))
			failed++;
		else
			cr_expect_eq(byte, i + 1);
	}
	cr_expect_eq(failed, 1, "%u", failed);
	wb_store_faulty_clear(sim.cache_disk.faulty);
}
