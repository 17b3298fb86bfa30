/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * read_cache: what is read enters the log, stays as long as it is read, and is never
 * anything else than what the image holds.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "cache/cache_private.h"
#include "support/store_faulty.h"
#include "support/volume_sim.h"

#define BLOCK 4096u
#define SECOND_NS UINT64_C(1000000000)
#define DAY_S UINT64_C(86400)
#define SEGMENT_BLOCKS (WB_SEGMENT_BYTES_MIN / BLOCK - 1)	/* data in one record */
#define SEGMENTS 32u
/* From one visit of a place to the next, as so many are kept ready. */
#define ROUND_SEGMENTS (SEGMENTS - WB_READY_SEGMENTS - WB_RESERVE_DATA)
#define OLD 0x11

static struct wb_sim sim;

static void start_with(bool no_writeback, unsigned ram_segments)
{
	struct wb_sim_params params = { .segment_count = SEGMENTS, .image_bytes = 16 << 20,
					.ram_segments = ram_segments, .backing_fill = OLD,
					.no_writeback = no_writeback };

	wb_sim_init(&sim, &params);
	sim.keeps_reads = true;
	cr_assert(wb_sim_open(&sim, NULL));
}

static void start(void)
{
	start_with(false, 8);
}

static void stop(void)
{
	if (sim.ops)
		wb_sim_clear(&sim);
	sim.ops = NULL;
}

TestSuite(read_cache, .init = start, .fini = stop);

static void set(const char *name, const char *value)
{
	cr_assert(wb_cache_set_tunable(sim.cache, wb_tunable_find(name), value, NULL), "%s", name);
}

static uint64_t count(enum wb_stat which)
{
	return wb_sim_counter(&sim, which);
}

static void expect_blocks(uint64_t first, unsigned blocks, uint8_t value)
{
	g_autofree uint8_t *data = g_malloc(blocks * BLOCK);

	cr_assert_eq(wb_sim_read(&sim, first * BLOCK, data, blocks * BLOCK), 0);
	for (size_t b = 0; b < blocks * BLOCK; b++)
		cr_assert_eq(data[b], value, "block %zu", first + b / BLOCK);
}

/* How many of these blocks come from the backing. */
static unsigned misses(uint64_t first, unsigned blocks, uint8_t value)
{
	uint64_t before = count(WB_STAT_READ_BACKING_BYTES);

	expect_blocks(first, blocks, value);
	return (unsigned)((count(WB_STAT_READ_BACKING_BYTES) - before) / BLOCK);
}

static void write_blocks(uint64_t first, unsigned blocks, uint8_t value)
{
	cr_assert_eq(wb_sim_fill(&sim, first * BLOCK, value, blocks * BLOCK, 0), 0);
}

/* Until all of it is on the backing. */
static void drain(void)
{
	wb_cache_start_drain(sim.cache);
	wb_sim_pass_time(&sim, SECOND_NS);
	wb_sim_settle(&sim);
}

static const char *state(void)
{
	static struct wb_stats_snapshot snapshot;

	wb_cache_get_stats(sim.cache, &snapshot);
	return snapshot.reads.state;
}

/* Once through the ring with other blocks, written back at once. */
static void push(unsigned segments)
{
	for (unsigned i = 0; i < segments; i++) {
		write_blocks(2048 + i % 64 * SEGMENT_BLOCKS, SEGMENT_BLOCKS, 0x77);
		drain();
	}
}

Test(read_cache, a_miss_is_kept_and_hit_the_next_time)
{
	cr_expect_eq(misses(10, 20, OLD), 20);
	cr_expect_eq(count(WB_STAT_FILLED_BLOCKS), 20);
	cr_expect_eq(misses(10, 20, OLD), 0);
	write_blocks(12, 1, 5);
	expect_blocks(12, 1, 5);
	cr_expect_eq(misses(13, 5, OLD), 0);
}

Test(read_cache, off_nothing_is_kept)
{
	set("read_cache", "off");
	cr_expect_eq(misses(10, 20, OLD), 20);
	cr_expect_eq(misses(10, 20, OLD), 20);
	set("read_cache", "on");
	cr_expect_eq(misses(10, 20, OLD), 20);
	cr_expect_eq(misses(10, 20, OLD), 0);
}

Test(read_cache, it_is_warm_after_a_clean_stop_and_after_a_crash)
{
	misses(0, 40, OLD);
	cr_assert_eq(wb_sim_close(&sim), 0);
	cr_assert(wb_sim_open(&sim, NULL));
	cr_expect_eq(misses(0, 40, OLD), 0, "after a clean stop");
	misses(200, 40, OLD);
	write_blocks(210, 1, 7);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	wb_sim_kill(&sim);
	wb_sim_cut_power(&sim);
	cr_assert(wb_sim_open(&sim, NULL));
	cr_expect_eq(misses(0, 40, OLD), 0, "after a power cut");
	cr_expect_eq(misses(200, 10, OLD) + misses(211, 29, OLD), 0, "what was read since");
	expect_blocks(210, 1, 7);
}

Test(read_cache, the_last_block_of_an_image_that_ends_inside_it)
{
	struct wb_sim_params params = { .segment_count = SEGMENTS, .backing_fill = OLD,
					.image_bytes = (1 << 20) + 1536 };
	uint8_t data[1536], byte = 0;

	stop();
	wb_sim_init(&sim, &params);
	sim.keeps_reads = true;
	cr_assert(wb_sim_open(&sim, NULL));
	cr_assert_eq(wb_sim_read(&sim, 1 << 20, data, sizeof data), 0);
	cr_expect_eq(count(WB_STAT_FILLED_BLOCKS), 1);
	cr_assert_eq(wb_sim_close(&sim), 0);
	cr_assert(wb_sim_open(&sim, NULL));
	cr_assert_eq(wb_sim_read(&sim, 1 << 20, data, sizeof data), 0);
	for (size_t i = 0; i < sizeof data; i++)
		byte |= data[i] ^ OLD;
	cr_expect_eq(byte, 0);
	cr_expect_eq(count(WB_STAT_READ_BACKING_BYTES), 0);
}

/* --- what changes between the look-up and the fill ---------------------------------- */

static struct wb_sim_op *begin_read(uint64_t block)
{
	struct wb_sim_op *op = wb_sim_prepare(&sim, WB_READ, 0, block * BLOCK, BLOCK);

	wb_sim_submit(op);
	cr_assert_eq(wb_sim_wait(op), 0);
	return op;
}

/* The first one, with the reason. */
static void release_and_expect(struct wb_sim_op *op, enum wb_stat reason)
{
	wb_sim_release(op);
	cr_expect_eq(count(WB_STAT_FILLED_BLOCKS), 0);
	cr_expect_eq(count(WB_STAT_FILL_DROPPED_BLOCKS), 1);
	cr_expect_eq(count(reason), 1);
}

static void expect_dropped(struct wb_sim_op *op, uint8_t value)
{
	release_and_expect(op, WB_STAT_FILL_CHANGED_BLOCKS);
	expect_blocks(10, 1, value);
}

Test(read_cache, a_fill_that_races_a_write_is_dropped)
{
	struct wb_sim_op *op = begin_read(10);

	write_blocks(10, 1, 3);
	expect_dropped(op, 3);
}

/* Everything is as it was when the read looked, but for the data. */
Test(read_cache, a_fill_that_races_a_discard_which_is_punched_already_is_dropped)
{
	struct wb_sim_op *op = begin_read(10);

	cr_assert_eq(wb_sim_zero(&sim, 10 * BLOCK, BLOCK, 0), 0);
	drain();
	cr_assert_eq(wb_extent_table_count(sim.cache->path.extents), 0);
	expect_dropped(op, 0);
}

Test(read_cache, a_fill_that_races_a_bypass_is_dropped)
{
	struct wb_sim_op *op = begin_read(10);

	set("cache_mode", "writearound");
	write_blocks(10, 1, 4);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	expect_dropped(op, 4);
}

Test(read_cache, a_fill_that_meets_a_bypass_under_way_is_dropped)
{
	struct wb_sim_op *op = begin_read(10), *write;

	set("cache_mode", "writearound");
	write = wb_sim_prepare(&sim, WB_WRITE, 0, 10 * BLOCK, BLOCK);
	memset(write->data, 4, BLOCK);
	wb_sim_submit(write);
	cr_assert_not(write->is_finished);
	release_and_expect(op, WB_STAT_FILL_BUSY_BLOCKS);
	cr_assert_eq(wb_sim_wait(write), 0);
	wb_sim_release(write);
	expect_blocks(10, 1, 4);
}

Test(read_cache, nothing_is_kept_while_the_backing_has_something_that_was_not_flushed)
{
	set("cache_mode", "writearound");
	write_blocks(10, 1, 4);
	misses(10, 1, 4);
	misses(20, 1, OLD);
	cr_expect_eq(count(WB_STAT_FILLED_BLOCKS), 0);
	cr_expect_eq(count(WB_STAT_FILL_UNFLUSHED_BLOCKS), 2);
	cr_expect_str_eq(state(), "on");
	cr_assert_eq(wb_sim_sync(&sim), 0);
	misses(10, 1, 4);
	misses(20, 1, OLD);
	cr_expect_eq(count(WB_STAT_FILLED_BLOCKS), 2);
	cr_expect_eq(misses(10, 1, 4) + misses(20, 1, OLD), 0);
}

/* As the kernel does it: the pages are clean afterwards, and the next flush says nothing. */
Test(read_cache, what_a_failed_flush_may_have_lost_is_not_kept_though_it_can_be_read)
{
	set("cache_mode", "writearound");
	write_blocks(10, 1, 4);
	wb_store_crashy_fail_flush(sim.backing_disk.crashy, 1);
	cr_assert_eq(wb_sim_sync(&sim), -EIO);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	misses(10, 1, 4);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	misses(10, 1, 4);
	cr_expect_eq(count(WB_STAT_FILLED_BLOCKS), 0);
	cr_expect_eq(count(WB_STAT_FILL_UNFLUSHED_BLOCKS), 2);
	cr_expect_str_eq(state(), "stopped");
	set("read_cache", "off");
	cr_expect_str_eq(state(), "off");
	cr_assert_eq(wb_sim_close(&sim), 0);
	cr_assert(wb_sim_open(&sim, NULL));
	cr_expect_str_eq(state(), "on");
	misses(10, 1, 4);
	cr_expect_eq(count(WB_STAT_FILLED_BLOCKS), 1);
}

Test(read_cache, a_second_reader_of_the_same_block_is_too_late)
{
	struct wb_sim_op *one = begin_read(10), *other = begin_read(10);

	wb_sim_release(one);
	wb_sim_release(other);
	cr_expect_eq(count(WB_STAT_FILLED_BLOCKS), 1);
	cr_expect_eq(misses(10, 1, OLD), 0);
}

/* --- what it costs others --------------------------------------------------------------- */

Test(read_cache, a_sync_with_nothing_new_but_fills_costs_no_io)
{
	uint64_t flushes, writes;

	write_blocks(300, 1, 1);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	flushes = count(WB_STAT_SSD_FLUSHES);
	writes = count(WB_STAT_SSD_WRITES);
	misses(10, 3, OLD);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	cr_expect_eq(count(WB_STAT_SSD_FLUSHES), flushes);
	cr_expect_eq(count(WB_STAT_SSD_WRITES), writes);
}

Test(read_cache, fills_take_no_room_that_writers_need)
{
	stop();
	start_with(true, 8);
	/* All dirty, but for what reclaiming keeps ready. */
	for (unsigned i = 0; i < SEGMENTS - WB_RESERVE_FILL; i++)
		write_blocks(i * SEGMENT_BLOCKS, SEGMENT_BLOCKS, 0x55);
	wb_sim_settle(&sim);
	cr_assert_leq(wb_log_ready_count(sim.cache->path.log), WB_RESERVE_FILL);
	misses(3000, 200, OLD);
	cr_expect_leq(count(WB_STAT_FILLED_BLOCKS), SEGMENT_BLOCKS);
	cr_expect_eq(count(WB_STAT_FILL_NO_ROOM_BLOCKS), 200 - count(WB_STAT_FILLED_BLOCKS));
	cr_expect_gt(wb_log_ready_count(sim.cache->path.log), WB_RESERVE_DATA);
}

/* Nothing has the log flushed but that places for what is read are wanted: there are as
 * many RAM buffers as places. */
Test(read_cache, without_syncs_reads_are_kept_all_round_the_ring)
{
	stop();
	start_with(false, 4 * SEGMENTS);
	for (unsigned i = 0; i < 3 * SEGMENTS; i++) {
		misses(i * SEGMENT_BLOCKS, SEGMENT_BLOCKS, OLD);
		wb_sim_settle(&sim);
	}
	cr_expect_eq(count(WB_STAT_FILLED_BLOCKS), 3 * SEGMENTS * SEGMENT_BLOCKS);
	cr_expect_eq(count(WB_STAT_FILL_DROPPED_BLOCKS), 0);
	cr_expect_leq(count(WB_STAT_SSD_FLUSHES), 3 * SEGMENTS / 4, "%lu flushes",
		      count(WB_STAT_SSD_FLUSHES));
	cr_expect_eq(misses(2 * SEGMENTS * SEGMENT_BLOCKS + 200, 200, OLD), 0);
}

/* What is dirty and not durable cannot be written back, and nobody else has it flushed. */
Test(read_cache, without_syncs_reads_are_kept_among_writes_too)
{
	stop();
	start_with(false, 4 * SEGMENTS);
	for (unsigned i = 0; i < 3 * SEGMENTS; i++) {
		write_blocks(3000 + i, 1, 6);
		misses(i * SEGMENT_BLOCKS, SEGMENT_BLOCKS, OLD);
		wb_sim_settle(&sim);
	}
	cr_expect_eq(count(WB_STAT_FILL_DROPPED_BLOCKS), 0);
	cr_expect_eq(count(WB_STAT_PARKED_REQUESTS), 0);
	expect_blocks(3000, 3 * SEGMENTS, 6);
}

Test(read_cache, a_long_sequential_read_is_not_kept)
{
	set("read_bypass_threshold", "64");
	for (unsigned i = 0; i < 32; i++)
		misses(100 + i * 4, 4, OLD);
	cr_expect_eq(count(WB_STAT_FILLED_BLOCKS), 16, "it became one after 64 KiB");
	for (unsigned i = 0; i < 32; i++)
		misses(1000 + i * 8, 4, OLD);
	cr_expect_eq(count(WB_STAT_FILLED_BLOCKS), 16 + 128);
}

Test(read_cache, what_is_pinned_is_kept_of_a_sequential_read_too)
{
	set("read_bypass_threshold", "64");
	set("pin", "512K-768K");
	for (unsigned i = 0; i < 64; i++)
		misses(i * 4, 4, OLD);
	cr_expect_eq(misses(128, 64, OLD), 0);
	set("pin", "none");
}

Test(read_cache, no_more_than_half_of_the_cache_can_be_pinned)
{
	g_autoptr(GError) error = NULL;

	cr_assert(!wb_cache_set_tunable(sim.cache, wb_tunable_find("pin"), "0-4M", &error));
	cr_expect(strstr(error->message, "'pin' may be as large as half of the cache, 1048576 "
			 "bytes, and not 4194304"), "%s", error->message);
}

Test(read_cache, the_budget_of_a_day_is_kept)
{
	set("fill_budget", "1");
	for (unsigned i = 0; i < 300; i++)
		misses(1000 + i * 2, 1, OLD);
	cr_expect_eq(count(WB_STAT_FILLED_BLOCKS), 256);
	cr_expect_eq(count(WB_STAT_FILL_DROPPED_BLOCKS), 44);
	cr_expect_eq(count(WB_STAT_FILL_NO_BUDGET_BLOCKS), 44);
	wb_sim_pass_time(&sim, DAY_S / 4 * SECOND_NS);
	for (unsigned i = 0; i < 100; i++)
		misses(2000 + i * 2, 1, OLD);
	cr_expect_eq(count(WB_STAT_FILLED_BLOCKS), 256 + 64, "a quarter of a day later");
}

/* --- second chances ------------------------------------------------------------------------ */

Test(read_cache, what_is_read_again_stays_and_the_rest_falls_out)
{
	misses(0, SEGMENT_BLOCKS, OLD);
	for (unsigned i = 0; i < 8; i++) {
		cr_expect_eq(misses(0, 4, OLD), 0, "round %u", i);
		push(ROUND_SEGMENTS - 4);
	}
	cr_expect_eq(misses(0, 4, OLD), 0);
	cr_expect_geq(count(WB_STAT_SECOND_CHANCE_BLOCKS), 4 * 5);
	cr_expect_eq(misses(8, 4, OLD), 4);
}

Test(read_cache, a_pinned_block_stays_without_being_read)
{
	set("pin", "0-16K");
	misses(0, SEGMENT_BLOCKS, OLD);
	push(3 * SEGMENTS);
	cr_expect_eq(misses(0, 4, OLD), 0);
	cr_expect_eq(misses(8, 4, OLD), 4);
}

/* Places are emptied for it a little before the log needs them. */
Test(read_cache, nor_does_a_discard_of_its_place_take_it_away)
{
	sim.discards_cache = true;
	cr_assert_eq(wb_sim_close(&sim), 0);
	cr_assert(wb_sim_open(&sim, NULL));
	set("pin", "0-16K");
	misses(0, SEGMENT_BLOCKS, OLD);
	for (unsigned i = 0; i < 8; i++) {
		cr_expect_eq(misses(0, 4, OLD), 0, "round %u", i);
		push(ROUND_SEGMENTS / 2);
	}
	cr_expect_eq(misses(0, 4, OLD), 0);
	cr_expect_gt(count(WB_STAT_CACHE_DISCARDS), 0);
}

Test(read_cache, a_rotten_block_gets_no_second_chance)
{
	misses(0, SEGMENT_BLOCKS, OLD);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	push(2);
	misses(0, 2, OLD);
	memset(wb_sim_cached_block(&sim, 0, NULL), 0xee, BLOCK);
	push(ROUND_SEGMENTS + 2);
	cr_expect_eq(misses(1, 1, OLD), 0);
	cr_expect_eq(misses(0, 1, OLD), 1, "the backing's counts");
}

Test(read_cache, when_the_ssd_cannot_be_read_they_fall_out_and_the_ring_goes_on)
{
	misses(0, SEGMENT_BLOCKS, OLD);
	push(2);
	misses(0, 4, OLD);
	wb_store_faulty_add(sim.cache_disk.faulty, &(struct wb_fault){
		.op = WB_IO_READ, .io_class = WB_IO_CLASS_FILL, .error = -EIO,
		.count = WB_FAULT_FOR_EVER });
	push(SEGMENTS);
	wb_store_faulty_clear(sim.cache_disk.faulty);
	cr_expect_eq(misses(0, 4, OLD), 4);
}
