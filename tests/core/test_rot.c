/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rot on the cache disk: a clean block is taken from the backing, a dirty one is
 * an error for itself alone, is never written to the backing, and is told.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "base/checksum.h"
#include "cache/cache_private.h"
#include "support/store_faulty.h"
#include "support/volume_sim.h"

#define BLOCK 4096u
#define SECOND_NS UINT64_C(1000000000)

static struct wb_sim sim;

static void start(void)
{
	struct wb_sim_params params = { .backing_fill = 9 };

	wb_sim_init(&sim, &params);
	cr_assert(wb_sim_open(&sim, NULL));
}

static void stop(void)
{
	wb_sim_clear(&sim);
}

TestSuite(rot, .init = start, .fini = stop);

static void reopen(void)
{
	cr_assert_eq(wb_sim_close(&sim), 0);
	cr_assert(wb_sim_open(&sim, NULL));
}

/* Turns a bit of the newest version of a block on the cache disk. */
static void spoil(uint64_t address, bool wants_dirty)
{
	bool is_dirty;
	uint8_t *block = wb_sim_cached_block(&sim, address, &is_dirty);

	cr_assert(block);
	cr_assert_eq(is_dirty, wants_dirty);
	block[1000] ^= 4;
}

static int read_block(uint64_t address, uint8_t wanted)
{
	uint8_t data[BLOCK];
	int error = wb_sim_read(&sim, address * BLOCK, data, BLOCK);

	for (unsigned i = 0; !error && i < BLOCK; i++)
		cr_assert_eq(data[i], wanted, "block %lu byte %u is %u", address, i, data[i]);
	return error;
}

static void write_ten(uint8_t value)
{
	cr_assert_eq(wb_sim_fill(&sim, 0, value, 10 * BLOCK, 0), 0);
}

Test(rot, a_bad_clean_block_is_taken_from_the_backing_and_counted)
{
	uint8_t data[10 * BLOCK];

	write_ten(1);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	reopen();
	spoil(4, false);
	cr_assert_eq(wb_sim_read(&sim, 0, data, sizeof data), 0);
	for (unsigned i = 0; i < sizeof data; i++)
		cr_assert_eq(data[i], 1);
	cr_expect_geq(wb_sim_counter(&sim, WB_STAT_CHECKSUM_ERRORS), 1);
	cr_expect_eq(wb_sim_counter(&sim, WB_STAT_CHECKSUM_REPAIRED), 1);
	cr_expect_null(wb_sim_cached_block(&sim, 4, NULL));
	cr_expect_eq(read_block(4, 1), 0);
}

Test(rot, a_bad_dirty_block_is_an_error_and_its_neighbours_are_not)
{
	struct wb_stats_snapshot stats;

	write_ten(1);
	reopen();
	spoil(4, true);
	for (uint64_t i = 0; i < 10; i++)
		cr_expect_eq(read_block(i, 1), i == 4 ? -EIO : 0);
	wb_sim_stats(&sim, &stats);
	cr_expect_neq(stats.last_error[0], '\0');
}

Test(rot, a_read_over_a_bad_dirty_block_fails_as_a_whole)
{
	uint8_t data[10 * BLOCK];

	write_ten(1);
	reopen();
	spoil(4, true);
	cr_expect_eq(wb_sim_read(&sim, 0, data, sizeof data), -EIO);
}

Test(rot, a_bad_dirty_block_that_a_reader_finds_is_named)
{
	struct wb_stats_snapshot stats;

	write_ten(1);
	reopen();
	spoil(4, true);
	cr_expect_eq(read_block(4, 1), -EIO);
	wb_sim_stats(&sim, &stats);
	cr_expect_eq(stats.bad_ranges.count, 1);
	cr_expect_eq(stats.bad_ranges.range[0].start_bytes, 4 * BLOCK);
}

/* Tries are counted for all bad blocks together, and this one had none. */
Test(rot, what_a_reader_could_not_read_is_not_given_up_untried)
{
	struct wb_fault fault = { .op = WB_IO_READ, .io_class = WB_FAULT_ANY,
				  .length_bytes = BLOCK, .count = WB_FAULT_FOR_EVER };
	struct wb_fault refusal = { .op = WB_IO_WRITE, .io_class = WB_FAULT_ANY,
				    .offset_bytes = 8 * BLOCK, .length_bytes = BLOCK,
				    .count = WB_FAULT_FOR_EVER };

	write_ten(1);
	reopen();
	spoil(4, true);
	/* so that it is still dirty when the other has had its tries */
	wb_store_faulty_add(sim.backing_disk.faulty, &refusal);
	for (unsigned i = 0; i < 8; i++)
		cr_expect_eq(wb_sim_drain(&sim), -EIO);
	fault.offset_bytes = (uint64_t)(wb_sim_cached_block(&sim, 8, NULL) -
					wb_sim_cache_bytes(&sim));
	wb_store_faulty_add(sim.cache_disk.faulty, &fault);
	cr_expect_eq(read_block(8, 1), -EIO);
	wb_store_faulty_clear(sim.cache_disk.faulty);
	for (unsigned i = 0; i < 100; i++)
		cr_assert_eq(wb_sim_fill(&sim, (16 + i % 14 * 16) * BLOCK, (uint8_t)i,
					 16 * BLOCK, 0), 0);
	cr_expect_eq(read_block(8, 1), 0);
	cr_expect_eq(read_block(4, 1), -EIO);
}

/* The tries are over when the disk gives it back, and nobody has asked since. */
Test(rot, what_can_be_read_again_is_not_given_up_when_its_place_is_wanted)
{
	struct wb_fault fault = { .op = WB_IO_READ, .io_class = WB_FAULT_ANY,
				  .length_bytes = BLOCK, .count = WB_FAULT_FOR_EVER };

	write_ten(1);
	reopen();
	fault.offset_bytes = (uint64_t)(wb_sim_cached_block(&sim, 4, NULL) -
					wb_sim_cache_bytes(&sim));
	wb_store_faulty_add(sim.cache_disk.faulty, &fault);
	cr_assert_eq(wb_sim_fill(&sim, 16 * BLOCK, 2, BLOCK, WB_REQUEST_FUA), 0);
	while (wb_writeback_bad_tries(sim.cache->writeback) < WB_BAD_TRIES_MAX + 5) {
		wb_sim_pass_time(&sim, SECOND_NS);
		wb_sim_settle(&sim);
	}
	wb_store_faulty_clear(sim.cache_disk.faulty);
	for (unsigned i = 0; i < 100; i++)
		cr_assert_eq(wb_sim_fill(&sim, (16 + i % 14 * 16) * BLOCK, (uint8_t)i,
					 16 * BLOCK, 0), 0);
	cr_expect_eq(read_block(4, 1), 0);
	cr_expect_eq(wb_sim_drain(&sim), 0);
	cr_expect_eq(wb_sim_backing_bytes(&sim)[4 * BLOCK], 1);
}

Test(rot, writeback_leaves_the_bad_block_out_and_the_drain_says_so)
{
	write_ten(1);
	reopen();
	spoil(4, true);
	cr_expect_eq(wb_sim_drain(&sim), -EIO);
	for (unsigned i = 0; i < 10; i++)
		cr_expect_eq(wb_sim_backing_bytes(&sim)[i * BLOCK], i == 4 ? 9 : 1,
			     "block %u of the backing", i);
	cr_expect_eq(read_block(4, 1), -EIO);
}

Test(rot, writing_the_whole_bad_block_heals_it)
{
	write_ten(1);
	reopen();
	spoil(4, true);
	cr_expect_eq(wb_sim_drain(&sim), -EIO);
	cr_assert_eq(wb_sim_fill(&sim, 4 * BLOCK, 2, BLOCK, 0), 0);
	cr_expect_eq(read_block(4, 2), 0);
	cr_expect_eq(wb_sim_drain(&sim), 0);
	cr_expect_eq(wb_sim_backing_bytes(&sim)[4 * BLOCK], 2);
}

Test(rot, discarding_the_bad_block_heals_it_too)
{
	write_ten(1);
	reopen();
	spoil(4, true);
	cr_expect_eq(wb_sim_drain(&sim), -EIO);
	cr_assert_eq(wb_sim_zero(&sim, 4 * BLOCK, BLOCK, 0), 0);
	cr_expect_eq(read_block(4, 0), 0);
	cr_expect_eq(wb_sim_drain(&sim), 0);
	cr_expect_eq(wb_sim_backing_bytes(&sim)[4 * BLOCK], 0);
}

Test(rot, a_part_of_a_bad_dirty_block_cannot_be_written)
{
	write_ten(1);
	reopen();
	spoil(4, true);
	cr_expect_eq(wb_sim_fill(&sim, 4 * BLOCK + 512, 2, 512, 0), -EIO);
	cr_expect_eq(wb_sim_fill(&sim, 5 * BLOCK + 512, 2, 512, 0), 0);
	cr_expect_eq(read_block(4, 1), -EIO);
}

/* Of the reads on the SSD that touch this block, the n-th. */
static void fail_once(uint64_t address, uint64_t n)
{
	wb_store_faulty_add(sim.cache_disk.faulty, &(struct wb_fault){
		.op = WB_IO_READ, .io_class = WB_FAULT_ANY, .first = n,
		.offset_bytes = (uint64_t)(wb_sim_cached_block(&sim, address, NULL) -
					   wb_sim_cache_bytes(&sim)),
		.length_bytes = BLOCK });
}

/* One hiccup of the SSD, at both ends of a write that is cut at both. */
Test(rot, a_write_with_two_cut_ends_is_tried_again_for_each)
{
	const uint64_t ends[] = { 4, 5 };

	write_ten(1);
	reopen();
	for (unsigned i = 0; i < 2; i++)
		fail_once(ends[i], 1);
	cr_expect_eq(wb_sim_fill(&sim, 4 * BLOCK + BLOCK / 2, 2, BLOCK, 0), 0);
	cr_expect_eq(read_block(3, 1), 0);
	cr_expect_eq(read_block(6, 1), 0);
}

/* It meets them together first, then each alone. */
Test(rot, each_block_of_a_read_is_tried_again)
{
	uint8_t data[10 * BLOCK];

	write_ten(1);
	reopen();
	fail_once(4, 1);
	fail_once(5, 2);
	cr_expect_eq(wb_sim_read(&sim, 0, data, sizeof data), 0);
	cr_expect_eq(wb_block_map_bad_count(sim.cache->path.map), 0);
}

/* The read goes from block 9, which is dirty, on to what only the backing has. */
Test(rot, a_try_of_the_backing_is_none_of_the_ssd)
{
	struct wb_fault fault = { .op = WB_IO_READ, .io_class = WB_FAULT_ANY,
				  .offset_bytes = 12 * BLOCK, .length_bytes = BLOCK };
	uint8_t data[4 * BLOCK];

	write_ten(1);
	reopen();
	wb_store_faulty_add(sim.backing_disk.faulty, &fault);
	fail_once(9, 2);
	cr_expect_eq(wb_sim_read(&sim, 9 * BLOCK, data, sizeof data), 0);
	cr_expect_eq(wb_block_map_bad_count(sim.cache->path.map), 0);
}

Test(rot, nor_is_one_of_the_ssd_one_of_the_backing)
{
	struct wb_fault fault = { .op = WB_IO_READ, .io_class = WB_FAULT_ANY,
				  .offset_bytes = 4 * BLOCK, .length_bytes = BLOCK };

	for (fault.count = 1; fault.count <= 3; fault.count++) {
		write_ten(1);
		cr_assert_eq(wb_sim_drain(&sim), 0);
		reopen();
		spoil(4, false);
		wb_store_faulty_add(sim.backing_disk.faulty, &fault);
		cr_expect_eq(read_block(4, 1), fault.count < 3 ? 0 : -EIO, "%lu failures",
			     fault.count);
	}
}

Test(rot, a_part_of_a_bad_clean_block_can_be_written)
{
	uint8_t data[BLOCK];

	write_ten(1);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	reopen();
	spoil(4, false);
	cr_expect_eq(wb_sim_fill(&sim, 4 * BLOCK + 100, 2, 100, 0), 0);
	cr_assert_eq(wb_sim_read(&sim, 4 * BLOCK, data, BLOCK), 0);
	for (unsigned i = 0; i < BLOCK; i++)
		cr_assert_eq(data[i], i >= 100 && i < 200 ? 2 : 1, "at %u", i);
}

/* --- clean, and still in the log as what a recovery replays -------------------- */

/* What is older is dirty and stays so: the backing refuses it. So the tail does not
 * pass what was written back, and a recovery takes that for dirty. */
static void spoil_a_clean_block_above_the_tail(void)
{
	struct wb_fault refusal = { .op = WB_IO_WRITE, .io_class = WB_FAULT_ANY,
				    .offset_bytes = 20 * BLOCK, .length_bytes = BLOCK,
				    .count = WB_FAULT_FOR_EVER };

	cr_assert_eq(wb_sim_fill(&sim, 20 * BLOCK, 2, BLOCK, WB_REQUEST_FUA), 0);
	write_ten(1);
	wb_store_faulty_add(sim.backing_disk.faulty, &refusal);
	cr_assert_eq(wb_sim_drain(&sim), -EIO);
	reopen();
	spoil(4, false);
}

static void lose_power(void)
{
	wb_sim_kill(&sim);
	wb_sim_cut_power(&sim);
	cr_assert(wb_sim_open(&sim, NULL));
}

static void expect_that_nothing_is_lost(void)
{
	struct wb_stats_snapshot stats;

	for (uint64_t i = 0; i < 10; i++)
		cr_expect_eq(read_block(i, 1), 0, "block %lu", i);
	cr_expect_eq(read_block(20, 2), 0);
	wb_store_faulty_clear(sim.backing_disk.faulty);
	cr_expect_eq(wb_sim_drain(&sim), 0);
	wb_sim_stats(&sim, &stats);
	cr_expect_eq(stats.bad_ranges.count, 0);
	cr_expect_eq(read_block(4, 1), 0);
}

Test(rot, what_a_reader_took_from_the_backing_is_there_after_a_crash)
{
	spoil_a_clean_block_above_the_tail();
	cr_expect_eq(read_block(4, 1), 0);
	cr_expect_eq(wb_sim_counter(&sim, WB_STAT_CHECKSUM_REPAIRED), 1);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	lose_power();
	expect_that_nothing_is_lost();
}

Test(rot, and_after_a_clean_stop_and_a_crash)
{
	spoil_a_clean_block_above_the_tail();
	cr_expect_eq(read_block(4, 1), 0);
	reopen();
	cr_expect_eq(read_block(4, 1), 0);
	lose_power();
	expect_that_nothing_is_lost();
}

/* Nobody syncs: it is in the log, and that becomes durable in time. */
Test(rot, and_after_a_crash_some_seconds_later)
{
	spoil_a_clean_block_above_the_tail();
	cr_expect_eq(read_block(4, 1), 0);
	wb_sim_pass_time(&sim, 10 * SECOND_NS);
	wb_sim_settle(&sim);
	lose_power();
	expect_that_nothing_is_lost();
}

Test(rot, what_the_scrub_dropped_is_there_after_a_crash)
{
	struct wb_stats_snapshot stats;

	spoil_a_clean_block_above_the_tail();
	wb_cache_start_scrub(sim.cache);
	do {
		wb_sim_pass_time(&sim, SECOND_NS / 4);
		wb_sim_settle(&sim);
		wb_sim_stats(&sim, &stats);
	} while (stats.scrubs_done + stats.scrubs_failed < stats.scrubs_asked);
	cr_expect_eq(stats.scrub.repaired_blocks, 1);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	lose_power();
	expect_that_nothing_is_lost();
}

/* The version that would have replaced it does not come about. */
Test(rot, what_a_write_in_part_dropped_and_failed_is_there_after_a_crash)
{
	struct wb_fault unreadable = { .op = WB_IO_READ, .io_class = WB_FAULT_ANY,
				       .offset_bytes = 4 * BLOCK, .length_bytes = BLOCK,
				       .count = WB_FAULT_FOR_EVER };

	spoil_a_clean_block_above_the_tail();
	wb_store_faulty_add(sim.backing_disk.faulty, &unreadable);
	cr_expect_eq(wb_sim_fill(&sim, 4 * BLOCK + 100, 3, 100, 0), -EIO);
	cr_expect_eq(wb_sim_counter(&sim, WB_STAT_CHECKSUM_REPAIRED), 1);
	wb_store_faulty_clear(sim.backing_disk.faulty);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	lose_power();
	expect_that_nothing_is_lost();
}

/* What is written to it after that has the last word. */
Test(rot, what_is_written_over_a_dropped_copy_is_there_after_a_crash)
{
	uint8_t data[BLOCK];

	spoil_a_clean_block_above_the_tail();
	cr_expect_eq(wb_sim_fill(&sim, 4 * BLOCK + 100, 3, 100, 0), 0);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	lose_power();
	cr_assert_eq(wb_sim_read(&sim, 4 * BLOCK, data, BLOCK), 0);
	for (unsigned i = 0; i < BLOCK; i++)
		cr_assert_eq(data[i], i >= 100 && i < 200 ? 3 : 1, "at %u", i);
}

/* Below the tail no recovery asks for it, and the log is left alone. */
Test(rot, what_no_recovery_replays_costs_no_entry)
{
	uint64_t records;

	write_ten(1);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	reopen();
	spoil(4, false);
	records = wb_sim_counter(&sim, WB_STAT_RECORDS);
	cr_expect_eq(read_block(4, 1), 0);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	cr_expect_eq(wb_sim_counter(&sim, WB_STAT_RECORDS), records);
	lose_power();
	cr_expect_eq(read_block(4, 1), 0);
}

Test(rot, without_a_place_in_the_log_it_is_taken_from_the_backing_all_the_same)
{
	spoil_a_clean_block_above_the_tail();
	wb_log_hold(sim.cache->path.log);
	cr_expect_eq(read_block(4, 1), 0);
	wb_log_resume(sim.cache->path.log);
	cr_expect_eq(wb_sim_counter(&sim, WB_STAT_CHECKSUM_REPAIRED), 1);
	cr_expect_eq(read_block(4, 1), 0);
}

Test(rot, and_where_nothing_may_be_changed)
{
	spoil_a_clean_block_above_the_tail();
	cr_assert_eq(wb_sim_close(&sim), 0);
	sim.access = WB_CACHE_READ_ONLY;
	cr_assert(wb_sim_open(&sim, NULL));
	cr_expect_eq(read_block(4, 1), 0);
	cr_expect_eq(wb_sim_counter(&sim, WB_STAT_CHECKSUM_REPAIRED), 1);
}

/* As the write path does it, between its place in the log and the map. */
static void finish_write(const struct wb_reservation *reservation, struct wb_busy *busy,
			 uint8_t value)
{
	struct wb_data_path *path = &sim.cache->path;
	uint32_t slot = wb_log_reserved_slot(reservation, 0);
	char *target = wb_log_reserved_block(path->log, reservation, 0);
	struct wb_entry entry = { .address = busy->first, .type = WB_ENTRY_DATA,
				  .mask = WB_MASK_FULL };
	struct wb_stripe *stripe = wb_block_map_stripe(path->map, busy->first);

	memset(target, value, BLOCK);
	entry.crc_or_length = wb_crc32c(target, BLOCK);
	wb_block_map_set_crc(path->map, slot, entry.crc_or_length);
	wb_record_set_entry(reservation->header, reservation->first_entry, &entry);
	wb_lock_acquire(&stripe->lock);
	wb_block_map_put_locked(path->map, busy->first, slot, WB_MASK_FULL, WB_SLOT_DIRTY);
	wb_exclusion_leave_locked(path->exclusion, busy);
	wb_lock_release(&stripe->lock);
	wb_log_reservation_done(path->log, reservation);
}

/* An entry behind it would have a recovery take it for older than the backing's. */
Test(rot, a_write_that_has_its_place_and_is_not_published_yet_is_not_undone)
{
	struct wb_data_path *path;
	struct wb_busy busy = { .first = 4, .last = 4 };
	struct wb_reservation reservation;

	spoil_a_clean_block_above_the_tail();
	path = &sim.cache->path;
	cr_assert_eq(wb_exclusion_enter(path->exclusion, &busy, NULL), WB_ENTERED);
	wb_lock_release(&wb_block_map_stripe(path->map, 4)->lock);
	cr_assert(wb_log_reserve(path->log, WB_LOG_DATA, 1, &reservation));
	cr_expect_eq(read_block(4, 1), 0);
	cr_expect_eq(wb_sim_counter(&sim, WB_STAT_CHECKSUM_REPAIRED), 1);
	finish_write(&reservation, &busy, 3);
	cr_expect_eq(read_block(4, 3), 0);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	lose_power();
	cr_expect_eq(read_block(4, 3), 0);
}

Test(rot, one_bad_block_never_stops_the_ring)
{
	write_ten(1);
	reopen();
	spoil(4, true);
	for (unsigned i = 0; i < 100; i++)
		cr_assert_eq(wb_sim_fill(&sim, (16 + i % 14 * 16) * BLOCK, (uint8_t)i,
					 16 * BLOCK, 0), 0);
	cr_expect_eq(read_block(4, 1), -EIO);
	cr_expect_eq(read_block(5, 1), 0);
	reopen();
	cr_expect_eq(read_block(4, 1), -EIO);
	cr_expect_eq(wb_sim_fill(&sim, 4 * BLOCK, 3, BLOCK, WB_REQUEST_FUA), 0);
	cr_expect_eq(read_block(4, 3), 0);
}

/* A stretch of the SSD is gone, and the ring comes round to it. */
Test(rot, more_lost_blocks_than_can_be_noted_are_an_error_and_no_wait_for_ever)
{
	const struct wb_sim_params params = {
		.image_bytes = 64 << 20, .segment_bytes = 1 << 20, .segment_count = 60,
		.backing_fill = 9, .is_uncounted = true };
	const unsigned lost = 9000;
	struct wb_stats_snapshot stats;
	int error = 0;

	wb_sim_clear(&sim);
	wb_sim_init(&sim, &params);
	cr_assert(wb_sim_open(&sim, NULL));
	wb_sim_set(&sim, "allow_writeback", "off");
	for (unsigned i = 0; i < lost; i += 250)
		cr_assert_eq(wb_sim_fill(&sim, (uint64_t)i * BLOCK, 1, 250 * BLOCK, 0), 0);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	reopen();
	for (unsigned i = 0; i < lost; i++)
		spoil(i, true);
	wb_sim_set(&sim, "allow_writeback", "on");
	for (unsigned i = 0; !error && i < 80; i++)
		error = wb_sim_fill(&sim, ((48 + i % 8) << 20), (uint8_t)i, 1 << 20, 0);
	cr_expect_eq(error, -EIO);
	wb_sim_stats(&sim, &stats);
	cr_expect(strstr(stats.last_error, "too many of its blocks are lost to be noted elsewhere"));
	reopen();
	cr_expect_eq(read_block(0, 1), -EIO);
	cr_expect_eq(wb_sim_zero(&sim, 0, lost * BLOCK, 0), 0);
	for (unsigned i = 0; i < 80; i++)
		cr_assert_eq(wb_sim_fill(&sim, ((48 + i % 8) << 20), (uint8_t)i, 1 << 20, 0), 0);
}

/* The drain leaves the tail at the end of a full segment: the next segment begins
 * with the same sequence, and is the one that holds the bad block. */
Test(rot, nor_does_one_right_behind_a_drained_segment)
{
	cr_assert_eq(wb_sim_fill(&sim, 0, 1, 15 * BLOCK, 0), 0);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	wb_sim_set(&sim, "allow_writeback", "off");
	cr_assert_eq(wb_sim_fill(&sim, 0, 2, 15 * BLOCK, WB_REQUEST_FUA), 0);
	/* The head far enough ahead, so that it is not in memory any more. */
	cr_assert_eq(wb_sim_fill(&sim, 32 * BLOCK, 2, 15 * BLOCK, WB_REQUEST_FUA), 0);
	cr_assert_eq(wb_sim_fill(&sim, 48 * BLOCK, 2, 15 * BLOCK, WB_REQUEST_FUA), 0);
	spoil(4, true);
	wb_sim_set(&sim, "allow_writeback", "on");
	for (unsigned i = 0; i < 100; i++)
		cr_assert_eq(wb_sim_fill(&sim, (16 + i % 14 * 16) * BLOCK, (uint8_t)i,
					 16 * BLOCK, 0), 0);
	cr_expect_eq(read_block(4, 2), -EIO);
	cr_expect_eq(read_block(5, 2), 0);
}
