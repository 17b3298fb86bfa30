/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The superblock recorder: what the tail on the SSD spares a recovery, counted
 * in records that it replays, and what the recording itself costs. The clock is
 * moved by hand.
 */
#include <criterion/criterion.h>

#include "cache/cache_private.h"
#include "cache/recovery.h"
#include "support/volume_sim.h"

#define BLOCK 4096u
#define SECOND_NS UINT64_C(1000000000)
#define RECORDS 12u
#define BLOCKS 7u	/* of each record: two fill a segment */

static struct wb_sim sim;
static uint64_t superblock_writes;
static uint64_t first_superblock, last_superblock;	/* where they were written */

static void count_superblocks(void *arg, const struct wb_store *store, const struct wb_io *io)
{
	(void)arg;
	if (store != sim.cache_disk.crashy || io->op != WB_IO_WRITE ||
	    io->offset_bytes >= WB_SUPERBLOCK_AREA_BYTES)
		return;
	if (superblock_writes++ == 0)
		first_superblock = io->offset_bytes;
	last_superblock = io->offset_bytes;
}

static void start(struct wb_sim_params params)
{
	params.segment_count = 16;
	wb_sim_init(&sim, &params);
	sim.crash_clock.on_submit = count_superblocks;
	cr_assert(wb_sim_open(&sim, NULL));
}

static void stop(void)
{
	wb_sim_clear(&sim);
}

TestSuite(recorder, .fini = stop);

/* Nothing else is at the disks when it returns. */
static void write_records(void)
{
	for (unsigned i = 0; i < RECORDS; i++)
		cr_assert_eq(wb_sim_fill(&sim, i * BLOCKS * BLOCK, (uint8_t)(1 + i), BLOCKS * BLOCK,
					 WB_REQUEST_FUA), 0);
	wb_sim_settle(&sim);
	superblock_writes = 0;
}

static void pass(uint64_t seconds)
{
	for (uint64_t i = 0; i < 4 * seconds; i++) {
		wb_sim_pass_time(&sim, SECOND_NS / 4);
		wb_sim_settle(&sim);
	}
}

/* The machine loses power now; how much of the log does recovery replay? */
static struct wb_stats_snapshot crash(void)
{
	struct wb_stats_snapshot stats;

	wb_sim_kill(&sim);
	wb_sim_cut_power(&sim);
	cr_assert(wb_sim_open(&sim, NULL));
	wb_sim_stats(&sim, &stats);
	return stats;
}

static uint64_t segments_replayed(const struct wb_stats_snapshot *stats)
{
	return stats->recovered_records ? stats->head_segment - stats->tail_segment + 1 : 0;
}

/* --- by the clock ------------------------------------------------------------- */

/* Everything closed is written back; only the head's records have to stay. */
static struct wb_stats_snapshot crash_after(const char *interval, uint64_t seconds)
{
	start((struct wb_sim_params){ .no_writeback = true });
	wb_sim_set(&sim, "superblock_interval_s", interval);
	write_records();
	wb_sim_set(&sim, "allow_writeback", "on");
	wb_sim_settle(&sim);
	pass(seconds);
	return crash();
}

Test(recorder, a_tail_that_was_recorded_spares_recovery_what_was_written_back)
{
	struct wb_stats_snapshot without = crash_after("0", 1000), with;

	stop();
	with = crash_after("30", 31);
	cr_expect_eq(without.recovered_records, RECORDS, "%lu", without.recovered_records);
	cr_expect_eq(segments_replayed(&without), RECORDS / 2);
	cr_expect_leq(with.recovered_records, 2, "%lu", with.recovered_records);
	cr_expect_leq(segments_replayed(&with), 1, "%lu", segments_replayed(&with));
	cr_expect_eq(without.recovered_dirty_blocks, RECORDS * BLOCKS);
	cr_expect_leq(with.recovered_dirty_blocks, 2 * BLOCKS);
}

Test(recorder, nothing_is_recorded_before_its_time)
{
	start((struct wb_sim_params){ .no_writeback = true });
	wb_sim_set(&sim, "superblock_interval_s", "30");
	write_records();
	wb_sim_set(&sim, "allow_writeback", "on");
	wb_sim_settle(&sim);
	pass(28);
	cr_expect_eq(superblock_writes, 0);
	pass(3);
	cr_expect_eq(superblock_writes, WB_SUPERBLOCK_COUNT);
}

Test(recorder, the_same_tail_is_recorded_once)
{
	start((struct wb_sim_params){ .no_writeback = true });
	wb_sim_set(&sim, "superblock_interval_s", "2");
	write_records();
	pass(100);
	cr_expect_eq(superblock_writes, 0, "it has not moved");
	wb_sim_set(&sim, "allow_writeback", "on");
	pass(100);
	cr_expect_eq(superblock_writes, WB_SUPERBLOCK_COUNT, "%lu", superblock_writes);
}

Test(recorder, a_record_that_carries_the_tail_saves_the_superblocks)
{
	start((struct wb_sim_params){ .no_writeback = true });
	wb_sim_set(&sim, "superblock_interval_s", "10");
	write_records();
	wb_sim_set(&sim, "allow_writeback", "on");
	wb_sim_settle(&sim);
	/* Closes the segment, and is sealed when its tail is known. */
	wb_sim_set(&sim, "allow_writeback", "off");
	cr_assert_eq(wb_sim_fill(&sim, 0, 0xaa, BLOCK, WB_REQUEST_FUA), 0);
	pass(60);
	cr_expect_eq(superblock_writes, 0, "%lu", superblock_writes);
	cr_expect_leq(crash().recovered_records, 3);
}

Test(recorder, an_interval_of_0_records_nothing_and_can_be_changed)
{
	start((struct wb_sim_params){ .no_writeback = true });
	wb_sim_set(&sim, "superblock_interval_s", "0");
	write_records();
	wb_sim_set(&sim, "allow_writeback", "on");
	pass(1000);
	cr_expect_eq(superblock_writes, 0);
	wb_sim_set(&sim, "superblock_interval_s", "5");
	pass(1);
	cr_expect_eq(superblock_writes, WB_SUPERBLOCK_COUNT, "%lu", superblock_writes);
}

Test(recorder, a_failed_recording_is_repeated)
{
	struct wb_fault fault = { .op = WB_IO_WRITE, .io_class = WB_FAULT_ANY,
				  .length_bytes = WB_SUPERBLOCK_AREA_BYTES, .count = 3 };

	start((struct wb_sim_params){ .no_writeback = true });
	wb_sim_set(&sim, "superblock_interval_s", "5");
	write_records();
	wb_store_faulty_add(sim.cache_disk.faulty, &fault);
	wb_sim_set(&sim, "allow_writeback", "on");
	pass(60);
	cr_expect_eq(wb_store_faulty_hit_count(sim.cache_disk.faulty), 3);
	cr_expect_leq(crash().recovered_records, 2);
}

/* --- at the end ------------------------------------------------------------------ */

Test(recorder, after_a_drain_there_is_nothing_to_replay)
{
	for (uint64_t seed = 0; seed < 20; seed++) {
		struct wb_stats_snapshot stats;

		start((struct wb_sim_params){ .no_writeback = true, .seed = seed });
		wb_sim_set(&sim, "superblock_interval_s", "0");
		write_records();
		cr_assert_eq(wb_sim_drain(&sim), 0);
		stats = crash();
		cr_expect_eq(stats.recovered_records, 0, "seed %lu: %lu", seed,
			     stats.recovered_records);
		cr_expect_eq(stats.cached_blocks, RECORDS * BLOCKS, "clean copies stay");
		stop();
	}
}

Test(recorder, a_drain_of_what_was_drained_writes_nothing)
{
	start((struct wb_sim_params){ .no_writeback = true });
	write_records();
	cr_assert_eq(wb_sim_drain(&sim), 0);
	superblock_writes = 0;
	cr_assert_eq(wb_sim_drain(&sim), 0);
	cr_expect_eq(superblock_writes, 0);
}

Test(recorder, superblocks_that_cannot_be_written_are_no_failure_of_a_drain)
{
	struct wb_fault fault = { .op = WB_IO_WRITE, .io_class = WB_FAULT_ANY,
				  .length_bytes = WB_SUPERBLOCK_AREA_BYTES,
				  .count = WB_FAULT_FOR_EVER };

	start((struct wb_sim_params){ .no_writeback = true });
	write_records();
	wb_store_faulty_add(sim.cache_disk.faulty, &fault);
	cr_expect_eq(wb_sim_drain(&sim), 0);
	cr_expect_gt(wb_store_faulty_hit_count(sim.cache_disk.faulty), 0);
	wb_store_faulty_clear(sim.cache_disk.faulty);
	cr_expect_eq(crash().recovered_records, RECORDS, "only the superblocks knew");
}

Test(recorder, a_clean_stop_records_the_tail)
{
	struct wb_stats_snapshot stats;

	start((struct wb_sim_params){ .no_writeback = true });
	wb_sim_set(&sim, "superblock_interval_s", "0");
	write_records();
	wb_sim_set(&sim, "allow_writeback", "on");
	wb_sim_settle(&sim);
	cr_assert_eq(wb_sim_close(&sim), 0);
	cr_assert(wb_sim_open(&sim, NULL));
	wb_sim_stats(&sim, &stats);
	cr_expect_leq(stats.recovered_records, 2);
	/* and after a crash of the next session, too */
	cr_expect_leq(crash().recovered_records, 2);
}

/* It can be read, until the power goes; a later flush that succeeds says nothing about
 * it. */
Test(recorder, a_copy_whose_flush_failed_is_written_again_before_the_other_is_touched)
{
	for (unsigned which = 1; which <= 2; which++) {
		uint64_t newest;

		start((struct wb_sim_params){ .no_writeback = true });
		write_records();
		wb_sim_set(&sim, "superblock_interval_s", "1");
		wb_sim_set(&sim, "allow_writeback", "on");
		wb_sim_settle(&sim);
		superblock_writes = 0;
		wb_store_crashy_fail_flush(sim.cache_disk.crashy, which);
		while (wb_sim_counter(&sim, WB_STAT_CACHE_ERRORS) == 0) {
			if (!wb_sim_step(&sim))
				wb_sim_pass_time(&sim, SECOND_NS);
		}
		cr_assert_eq(superblock_writes, which, "it goes on in spite of that");
		wb_sim_kill(&sim);
		superblock_writes = 0;
		newest = last_superblock;
		cr_assert(wb_sim_open(&sim, NULL));
		cr_expect_eq(first_superblock, newest, "flush %u", which);
		stop();
	}
}
