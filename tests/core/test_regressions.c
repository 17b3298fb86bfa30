/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Histories that once lost data: what a discard may undo, what a failed flush
 * of the log may forget, what an edge may take from an old copy.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "cache/cache_private.h"
#include "cache/limits.h"
#include "support/store_memory.h"
#include "support/volume_sim.h"

#define BLOCK 4096u
#define SECTOR 512u
#define SEGMENT_DATA (15 * BLOCK)	/* one record that fills a segment */

static struct wb_sim sim;

static void start_with(const struct wb_sim_params *params)
{
	wb_sim_init(&sim, params);
	cr_assert(wb_sim_open(&sim, NULL));
}

static void stop(void)
{
	wb_sim_clear(&sim);
}

TestSuite(regressions, .fini = stop);

static void fill(uint64_t at, uint8_t value, uint64_t bytes, unsigned flags)
{
	cr_assert_eq(wb_sim_fill(&sim, at, value, bytes, flags), 0);
}

static void expect_bytes(uint64_t at, uint8_t value, uint64_t bytes, const char *when)
{
	static uint8_t data[1 << 20];

	cr_assert_eq(wb_sim_read(&sim, at, data, bytes), 0);
	for (uint64_t i = 0; i < bytes; i++)
		cr_assert_eq(data[i], value, "%s: byte %lu is %u, not %u", when, at + i, data[i],
			     value);
}

static void crash_and_open(void)
{
	wb_sim_kill(&sim);
	wb_sim_cut_power(&sim);
	cr_assert(wb_sim_open(&sim, NULL));
}

static struct wb_sim_op *begin_fill(uint64_t at, uint8_t value, uint64_t bytes, unsigned flags)
{
	struct wb_sim_op *op = wb_sim_prepare(&sim, WB_WRITE, flags, at, bytes);

	cr_assert(op);
	memset(op->data, value, bytes);
	wb_sim_submit(op);
	return op;
}

/* --- discards ------------------------------------------------------------------- */

static void expect_two_sectors(const char *when)
{
	expect_bytes(2 * BLOCK, 1, SECTOR, when);
	expect_bytes(2 * BLOCK + SECTOR, 3, SECTOR, when);
	expect_bytes(2 * BLOCK + 2 * SECTOR, 0, BLOCK - 2 * SECTOR, when);
}

/* The first sector is written over pending zeros, so its version holds the
 * whole block; it is on the backing, with the punch, when the second sector is
 * written, whose version holds no more than itself. */
Test(regressions, sectors_written_before_and_after_the_punch_survive_a_crash)
{
	bool is_dirty = true;

	start_with(&(struct wb_sim_params){ .backing_fill = 9 });
	fill(100 * BLOCK, 5, BLOCK, 0);
	cr_assert_eq(wb_sim_zero(&sim, 0, 8 * BLOCK, 0), 0);
	fill(2 * BLOCK, 1, SECTOR, 0);
	wb_cache_start_drain(sim.cache);
	/* The log's tail stays before the discard: something is always dirty. */
	for (unsigned i = 0; is_dirty && i < 100000; i++) {
		if (i % 3 == 0)
			fill(100 * BLOCK, (uint8_t)i, BLOCK, 0);
		wb_sim_step(&sim);
		cr_assert(wb_sim_cached_block(&sim, 2, &is_dirty));
	}
	cr_assert_not(is_dirty);
	fill(2 * BLOCK + SECTOR, 3, SECTOR, WB_REQUEST_FUA);
	expect_two_sectors("at once");
	crash_and_open();
	expect_two_sectors("after a crash");
	cr_assert_eq(wb_sim_drain(&sim), 0);
	expect_two_sectors("after a drain");
	cr_expect_eq(wb_sim_backing_bytes(&sim)[2 * BLOCK], 1);
	cr_expect_eq(wb_sim_backing_bytes(&sim)[2 * BLOCK + SECTOR], 3);
}

/* The file goes on behind the image: what is there is not the cache's. */
static void put_a_larger_backing(uint64_t bytes, uint8_t value)
{
	struct wb_sim_disk *disk = &sim.backing_disk;

	wb_store_close(disk->counting);
	disk->memory = wb_store_memory_new(bytes, 512, 512);
	memset(wb_store_memory_bytes(disk->memory), value, bytes);
	disk->crashy = wb_store_crashy_new(disk->memory, &sim.crash_clock);
	disk->faulty = wb_store_faulty_new(disk->crashy);
	disk->counting = wb_store_counting_new(disk->faulty);
}

Test(regressions, a_discard_of_the_short_last_block_ends_with_the_image)
{
	const uint64_t image = 64 * BLOCK + SECTOR;
	uint8_t *backing;

	wb_sim_init(&sim, &(struct wb_sim_params){ .image_bytes = image });
	put_a_larger_backing(80 * BLOCK, 9);
	cr_assert(wb_sim_open(&sim, NULL));
	cr_assert_eq(wb_sim_zero(&sim, 63 * BLOCK, BLOCK + SECTOR, 0), 0);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	backing = wb_sim_backing_bytes(&sim);
	for (uint64_t i = 62 * BLOCK; i < 80 * BLOCK; i++)
		cr_assert_eq(backing[i], i >= 63 * BLOCK && i < image ? 0 : 9, "byte %lu is %u", i,
			     backing[i]);
}

/* Without the clock: nothing else than the punch wakes it. */
Test(regressions, a_discard_that_waits_for_room_is_woken_by_the_punch)
{
	struct wb_sim_op *op = NULL;
	uint64_t at = 0;

	start_with(&(struct wb_sim_params){ .image_bytes = 128 << 20, .segment_count = 64,
					    .no_writeback = true });
	while (at < 128 << 20) {
		op = wb_sim_prepare(&sim, WB_ZERO, 0, at, BLOCK);
		wb_sim_submit(op);
		at += 2 * BLOCK;
		if (wb_park_count(&sim.cache->extent_room) > 0)
			break;
		cr_assert_eq(wb_sim_wait(op), 0);
		wb_sim_release(op);
		if (at % (1 << 20) == 0)
			cr_assert_eq(wb_sim_sync(&sim), 0);
	}
	cr_assert_gt(wb_park_count(&sim.cache->extent_room), 0);
	cr_assert_not(op->is_finished);
	wb_sim_settle(&sim);
	cr_assert(op->is_finished);
	cr_expect_eq(op->error, 0);
	wb_sim_release(op);
}

/* --- flushes of the log --------------------------------------------------------- */

#define RECORDS 5

/* All five are at the disk together. 2, 4 and 5 are written; 1 is, which begins
 * the flush of 1 and 2; 3 fails, and then the flush, which had 4 and 5 in it. */
static void fail_write_and_flush(uint64_t delay_polls)
{
	struct wb_fault slow = { .op = WB_IO_WRITE, .io_class = WB_IO_CLASS_LOG, .first = 1,
				 .effect = WB_FAULT_DELAY, .delay_polls = 10 };
	struct wb_fault fail = { .op = WB_IO_WRITE, .io_class = WB_IO_CLASS_LOG, .first = 3,
				 .delay_polls = delay_polls };
	struct wb_sim_op *ops[RECORDS];

	wb_store_faulty_add(sim.cache_disk.faulty, &slow);
	wb_store_faulty_add(sim.cache_disk.faulty, &fail);
	wb_store_crashy_fail_flush(sim.cache_disk.crashy, 1);
	for (unsigned i = 0; i < RECORDS; i++) {
		ops[i] = begin_fill(i * SEGMENT_DATA, (uint8_t)(i + 1), SEGMENT_DATA,
				    i == 1 ? WB_REQUEST_FUA : 0);
		/* the first is under way before anybody asks for a flush */
		if (i == 0)
			wb_sim_step(&sim);
	}
	for (unsigned i = 0; i < RECORDS; i++) {
		cr_assert_eq(wb_sim_wait(ops[i]), 0);
		wb_sim_release(ops[i]);
	}
}

Test(regressions, a_failed_flush_writes_again_what_lies_beyond_a_failed_write)
{
	for (uint64_t delay = 0; delay < 40; delay++) {
		start_with(&(struct wb_sim_params){ .ram_segments = 8, .no_writeback = true });
		fail_write_and_flush(delay);
		cr_assert_eq(wb_sim_sync(&sim), 0);
		crash_and_open();
		for (unsigned i = 0; i < RECORDS; i++)
			expect_bytes(i * SEGMENT_DATA, (uint8_t)(i + 1), SEGMENT_DATA,
				     "after a crash");
		wb_sim_clear(&sim);
	}
	start_with(NULL);
}

/* --- edges ---------------------------------------------------------------------- */

/* Every segment that ordinary data may have is full, and durable: what comes
 * next waits, and nothing but an eviction wakes it. */
static void fill_the_ring(void)
{
	fill(1 << 20, 1, 13 * BLOCK, WB_REQUEST_FUA);
	for (uint64_t at = 2 << 20; wb_log_ready_count(sim.cache->path.log) > WB_RESERVE_DATA;
	     at += 1 << 20) {
		fill(at, 1, SEGMENT_DATA, WB_REQUEST_FUA);
		wb_sim_settle(&sim);
	}
}

/* Sector 0 is dirty while the rest of sector 2 is read from the backing: that
 * copy has sector 0 as it was before. Then the write waits for room, while
 * sector 0 is written back and its place is taken. */
Test(regressions, an_edge_does_not_bring_back_what_its_copy_has_from_before)
{
	struct wb_sim_op *unaligned, *waiting;

	start_with(&(struct wb_sim_params){ .image_bytes = 16 << 20, .backing_fill = 0x11,
					    .no_writeback = true });
	fill(0, 0xaa, SECTOR, WB_REQUEST_FUA);
	fill_the_ring();
	unaligned = begin_fill(100, 0xbb, 1000, 0);
	cr_assert_not(unaligned->is_finished);
	waiting = begin_fill(15 << 20, 1, BLOCK, 0);
	cr_assert_eq(wb_park_count(&sim.cache->space), 1);
	while (wb_park_count(&sim.cache->space) == 1)
		cr_assert(wb_sim_step(&sim));
	cr_assert_eq(wb_park_count(&sim.cache->space), 2);
	cr_assert_eq(wb_sim_backing_bytes(&sim)[0], 0x11);
	wb_sim_settle(&sim);
	cr_assert_eq(wb_sim_wait(waiting), 0);
	cr_assert_eq(wb_sim_wait(unaligned), 0);
	wb_sim_release(waiting);
	wb_sim_release(unaligned);
	expect_bytes(0, 0xaa, 100, "before the edge");
	expect_bytes(100, 0xbb, 1000, "what was written");
	expect_bytes(1100, 0x11, BLOCK - 1100, "behind the edge");
}
