/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads and writeback at a disk that is made up here, by a clock that is moved here: an
 * arm that does one thing after another, a write cache or none, and one reader.
 */
#include <criterion/criterion.h>
#include <glib.h>
#include <string.h>

#include "cache/limits.h"
#include "cache/read_first.h"

#define MS_NS UINT64_C(1000000)
#define SECOND_NS (1000 * MS_NS)
#define TARGET_MS 50u

static struct wb_reads reads;
static struct wb_read_first first;

static void reset(void)
{
	memset(&reads, 0, sizeof reads);
	first = (struct wb_read_first){ 0 };
	reads.target_ns = TARGET_MS * MS_NS;
}

TestSuite(read_first, .init = reset);

static void look(uint64_t now, enum wb_read_first_need need)
{
	wb_read_first_look(&first, &reads, now, need);
}

static void read_of(uint64_t ms)
{
	wb_reads_begin(&reads);
	wb_reads_end(&reads, ms * MS_NS);
}

/* --- a disk ----------------------------------------------------------------------------- */

/* Everything that is there when the arm is free waits for all that was there before. */
struct disk {
	uint64_t now_ns, free_ns;	/* the arm */
	uint64_t read_ns, block_ns, seek_ns;
	unsigned writing;		/* of writeback, under way */
	uint64_t ends[WB_WRITEBACK_DEPTH], begun[WB_WRITEBACK_DEPTH];
	uint64_t written_blocks;
	/* of the reader */
	uint64_t reader_done_ns, reader_begun_ns, think_ns;
	bool is_reading;
	unsigned read_count, late_count;
	uint64_t slowest_ns;
};

static uint64_t serve(struct disk *disk, uint64_t ns)
{
	disk->free_ns = MAX(disk->free_ns, disk->now_ns) + ns;
	return disk->free_ns;
}

static void end_writes(struct disk *disk)
{
	for (unsigned i = 0; i < disk->writing;)
		if (disk->ends[i] <= disk->now_ns) {
			wb_read_first_moved(&first, disk->now_ns,
					    disk->now_ns - disk->begun[i]);
			disk->writing--;
			disk->ends[i] = disk->ends[disk->writing];
			disk->begun[i] = disk->begun[disk->writing];
		} else {
			i++;
		}
}

static void write_on(struct disk *disk)
{
	for (;;) {
		struct wb_read_first_limit limit = wb_read_first_limit(&first, disk->now_ns);

		if (disk->writing >= limit.depth)
			return;
		disk->begun[disk->writing] = disk->now_ns;
		disk->ends[disk->writing++] =
			serve(disk, disk->seek_ns + limit.blocks * disk->block_ns);
		disk->written_blocks += limit.blocks;
	}
}

static void read_on(struct disk *disk, bool goes_on)
{
	if (disk->is_reading && disk->reader_done_ns <= disk->now_ns) {
		uint64_t took = disk->now_ns - disk->reader_begun_ns;

		wb_reads_end(&reads, took);
		disk->is_reading = false;
		disk->read_count++;
		disk->late_count += took > reads.target_ns;
		disk->slowest_ns = MAX(disk->slowest_ns, took);
	}
	if (goes_on && !disk->is_reading &&
	    disk->now_ns >= disk->reader_done_ns + disk->think_ns) {
		wb_reads_begin(&reads);
		disk->is_reading = true;
		disk->reader_begun_ns = disk->now_ns;
		disk->reader_done_ns = serve(disk, disk->read_ns);
	}
}

static void run(struct disk *disk, double seconds, bool has_reader, enum wb_read_first_need need)
{
	uint64_t until = disk->now_ns + (uint64_t)(seconds * SECOND_NS);

	disk->read_count = disk->late_count = 0;
	disk->slowest_ns = disk->written_blocks = 0;
	for (; disk->now_ns < until; disk->now_ns += MS_NS / 4) {
		end_writes(disk);
		read_on(disk, has_reader);
		look(disk->now_ns, need);
		write_on(disk);
	}
}

static struct disk a_hard_disk(void)	/* 4 KiB of a stream in 23 us, 13 ms for a random read */
{
	return (struct disk){ .now_ns = SECOND_NS, .read_ns = 13 * MS_NS, .seek_ns = 6 * MS_NS,
			      .block_ns = 23000 };
}

Test(read_first, a_reader_gets_its_latency_and_writeback_goes_on)
{
	struct disk disk = a_hard_disk();

	run(&disk, 20, true, WB_NEED_NOTHING);
	run(&disk, 100, true, WB_NEED_NOTHING);
	cr_expect_gt(disk.read_count, 2000, "%u", disk.read_count);
	cr_expect_leq(disk.late_count * 40, disk.read_count, "%u of %u", disk.late_count,
		      disk.read_count);
	cr_expect_gt(disk.written_blocks, 0);
}

Test(read_first, without_readers_there_is_no_limit)
{
	struct disk disk = a_hard_disk();
	struct wb_read_first_limit limit;

	run(&disk, 10, true, WB_NEED_NOTHING);
	cr_expect_gt(first.level, 0);
	run(&disk, 2, false, WB_NEED_NOTHING);
	limit = wb_read_first_limit(&first, disk.now_ns);
	cr_expect_eq(limit.depth, WB_WRITEBACK_DEPTH);
	cr_expect_eq(limit.blocks, WB_WRITEBACK_JOIN_BLOCKS);
	run(&disk, 10, false, WB_NEED_NOTHING);
	cr_expect_gt((double)disk.written_blocks, 10 / 23e-6 * 0.7);
	cr_expect(wb_read_first_is_quiet(&first, &reads));
}

Test(read_first, a_disk_on_which_reads_are_never_in_time_leaves_writeback_its_share)
{
	static const double share[] = { [WB_NEED_NOTHING] = 0.04, [WB_NEED_SOME] = 0.15,
					[WB_NEED_MOST] = 0.3 };
	struct disk disk;

	for (unsigned need = 0; need < G_N_ELEMENTS(share); need++) {
		double blocks_ns;

		reset();
		reads.target_ns = MS_NS;
		disk = a_hard_disk();
		run(&disk, 20, true, need);
		run(&disk, 100, true, need);
		/* at least 16 blocks to a seek */
		blocks_ns = (double)disk.written_blocks * (6e6 / 16 + 23000);
		cr_expect_gt(blocks_ns, share[need] * 100e9, "%u: %.1f %%", need, blocks_ns / 1e9);
		cr_expect_gt(disk.read_count, 1000, "%u: %u", need, disk.read_count);
	}
}

Test(read_first, where_reads_are_in_time_anyway_writeback_gets_its_speed_back)
{
	struct disk disk = a_hard_disk();

	disk.block_ns = 100;		/* nobody is in anybody's way */
	disk.seek_ns = 10000;
	disk.read_ns = 100000;
	run(&disk, 60, true, WB_NEED_NOTHING);
	cr_expect_eq(first.level, 0);
}

Test(read_first, the_first_read_after_a_while_slows_it_at_once)
{
	struct wb_read_first_limit limit;

	look(SECOND_NS, WB_NEED_NOTHING);
	cr_expect_eq(wb_read_first_limit(&first, SECOND_NS).depth, WB_WRITEBACK_DEPTH);
	wb_reads_begin(&reads);
	cr_expect_not(wb_read_first_is_quiet(&first, &reads));
	look(100 * SECOND_NS, WB_NEED_NOTHING);
	limit = wb_read_first_limit(&first, 100 * SECOND_NS);
	cr_expect_leq(limit.depth, 2);
	cr_expect_leq(limit.blocks, 64);
}

Test(read_first, one_that_is_under_way_counts_however_long_it_takes)
{
	wb_reads_begin(&reads);
	for (unsigned s = 1; s < 20; s++) {
		look(s * SECOND_NS, WB_NEED_NOTHING);
		cr_expect_gt(first.level, 0, "%u", s);
	}
}

Test(read_first, late_reads_count_64_times_as_much_as_others)
{
	double before;

	read_of(1);
	look(SECOND_NS, WB_NEED_NOTHING);
	before = first.level;
	read_of(TARGET_MS + 1);
	look(SECOND_NS + 1, WB_NEED_NOTHING);
	cr_expect_gt(first.level, before + 0.4);
	for (unsigned i = 0; i < 63; i++)
		read_of(TARGET_MS);
	look(SECOND_NS + 2, WB_NEED_NOTHING);
	cr_expect_float_eq(first.level, before, 1e-3);
	cr_expect_eq(reads.late, 1);
}

Test(read_first, a_target_of_0_lets_writeback_do_as_it_likes)
{
	reads.target_ns = 0;
	for (unsigned i = 0; i < 100; i++) {
		read_of(1000);
		look(i * SECOND_NS, WB_NEED_NOTHING);
		cr_expect_eq(wb_read_first_limit(&first, i * SECOND_NS).depth,
			     WB_WRITEBACK_DEPTH);
	}
	cr_expect(wb_read_first_is_quiet(&first, &reads));
}

Test(read_first, pauses_are_in_proportion_and_end)
{
	first.level = 7;
	wb_read_first_moved(&first, SECOND_NS, 10 * MS_NS);
	cr_expect_eq(wb_read_first_limit(&first, SECOND_NS).depth, 0);
	cr_expect_eq(wb_read_first_limit(&first, SECOND_NS).wait_ns, 70 * MS_NS);
	cr_expect_eq(wb_read_first_limit(&first, SECOND_NS + 70 * MS_NS).depth, 1);
	/* not for ever, whatever one waited for */
	wb_read_first_moved(&first, SECOND_NS, 100 * SECOND_NS);
	cr_expect_leq(wb_read_first_limit(&first, SECOND_NS).wait_ns, SECOND_NS / 2);
}
