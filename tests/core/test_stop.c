/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What goes on beside the last sync of a clean stop, which waits for what there was when
 * it began: whatever is appended to the log meanwhile, the next opening finds the end of
 * it as a stop leaves it.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "cache/cache_private.h"
#include "support/volume_sim.h"

#define BLOCK 4096u
#define SECOND_NS UINT64_C(1000000000)
#define SEGMENT_BLOCKS (WB_SEGMENT_BYTES_MIN / BLOCK - 1)	/* data in one record */
#define SEGMENTS 32u
#define IMAGE_BYTES (16u << 20)
#define WRITTEN 2000u		/* the first block that is */
#define REFUSED 17u
#define OLD 0x11
#define NEW 0x22
#define CHANGED 0x77

static struct wb_sim sim;

/* The backing's file and what its mark says. */
static struct owner {
	uint64_t mtime_ns, marked_ns;
	bool is_complete;
} owner;

static bool describe(void *arg, struct wb_backing_facts *facts)
{
	(void)arg;
	*facts = (struct wb_backing_facts){ IMAGE_BYTES, owner.mtime_ns };
	return true;
}

static void stopped(void *arg, bool is_complete)
{
	(void)arg;
	owner.is_complete = is_complete;
	owner.marked_ns = owner.mtime_ns;
}

static void stop(void)
{
	wb_sim_clear(&sim);
}

TestSuite(stop, .fini = stop);

static struct wb_stats_snapshot stats(void)
{
	struct wb_stats_snapshot snapshot;

	wb_sim_stats(&sim, &snapshot);
	return snapshot;
}

static void open_again(const char *when)
{
	g_autoptr(GError) error = NULL;

	sim.watch = (struct wb_backing_watch){
		.describe = describe, .stopped = stopped,
		.mark_is_complete = owner.is_complete,
		.mark_time_s = (int64_t)(owner.marked_ns / SECOND_NS),
	};
	cr_assert(wb_sim_open(&sim, &error), "%s: %s", when,
		  error ? error->message : "");
	owner.is_complete = false;
}

static void write_blocks(uint64_t first, unsigned blocks, uint8_t value)
{
	cr_assert_eq(wb_sim_fill(&sim, first * BLOCK, value, blocks * BLOCK, 0), 0);
}

static void read_blocks(uint64_t first, unsigned blocks, uint8_t value)
{
	uint8_t data[SEGMENT_BLOCKS * BLOCK];

	cr_assert_eq(wb_sim_read(&sim, first * BLOCK, data, blocks * BLOCK), 0);
	for (size_t b = 0; b < blocks * BLOCK; b++)
		cr_assert_eq(data[b], value, "block %zu", first + b / BLOCK);
}

/* --- copies of reads ------------------------------------------------------------------- */

static void start(void)
{
	struct wb_sim_params params = { .segment_count = SEGMENTS, .image_bytes = IMAGE_BYTES,
					.ram_segments = 8, .backing_fill = OLD };

	wb_sim_clear(&sim);
	wb_sim_init(&sim, &params);
	sim.keeps_reads = true;
	owner = (struct owner){ .mtime_ns = 1000 * SECOND_NS };
	open_again("new");
}

/* All is written back, and the ring is full of copies that are to stay. The log goes on
 * behind what was written with a copy that is not on the SSD yet, and those of the next
 * place are being read, to be appended once more. */
static void begin_second_chance(void)
{
	struct wb_segment_table *segments;
	struct wb_segment *next;

	start();
	wb_sim_set(&sim, "pin", "0-256K");
	for (unsigned i = 0; i < SEGMENTS; i++) {
		read_blocks(i * 2, 2, OLD);
		read_blocks(1000 + i * SEGMENT_BLOCKS, SEGMENT_BLOCKS - 2, OLD);
		wb_sim_settle(&sim);
	}
	/* As by somebody who reads there: so it is not ready, nor one behind it. */
	segments = sim.cache->path.segments;
	next = wb_segment_of_id(segments, wb_log_limit(sim.cache->path.log) + 1);
	wb_segment_pin(next);
	write_blocks(WRITTEN, 2 * SEGMENT_BLOCKS + 4, NEW);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	write_blocks(WRITTEN, 2, NEW);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	read_blocks(WRITTEN - 1, 1, OLD);
	wb_sim_set(&sim, "cache_mode", "writethrough");
	wb_sim_settle(&sim);
	wb_sim_set(&sim, "cache_mode", "writeback");
	cr_assert_eq(wb_segment_table_dirty(segments), 0);
	cr_assert_gt(wb_log_last_sequence(sim.cache->path.log),
		     wb_log_durable(sim.cache->path.log));
	/* What was written back last is seen by who reads the log from the tail on. */
	cr_assert_eq(wb_tail_current(&sim.cache->tail).segment,
		     wb_log_head_segment(sim.cache->path.log));
	cr_assert_leq(wb_tail_current(&sim.cache->tail).sequence,
		      wb_log_durable(sim.cache->path.log));
	cr_assert(wb_second_chance_is_settled(sim.cache->second_chance));
	wb_segment_unpin(segments, next);
	while (wb_second_chance_is_settled(sim.cache->second_chance))
		cr_assert(wb_sim_step(&sim));
}

/* As one may when the mark says that the backing is complete. */
static void change_backing(void)
{
	memset(wb_sim_backing_bytes(&sim), CHANGED, IMAGE_BYTES);
	owner.mtime_ns += 5 * SECOND_NS;
}

static void expect_image(uint8_t written, uint8_t rest)
{
	read_blocks(WRITTEN, 2, written);
	for (unsigned i = 0; i < SEGMENTS; i++)
		read_blocks(i * 2, 2, rest);
}

Test(stop, a_second_chance_beside_the_last_sync_leaves_nothing_that_looks_dirty)
{
	begin_second_chance();
	cr_assert_eq(wb_sim_close(&sim), 0);
	cr_assert(owner.is_complete);
	change_backing();
	open_again("changed alone");
	cr_expect(stats().is_from_checkpoint);
	cr_expect_eq(stats().recovered_dirty_blocks, 0);
	cr_expect(strstr(wb_cache_opening_note(sim.cache), "all clean copies"));
	expect_image(CHANGED, CHANGED);
}

/* Whatever of the stop fails, and however often: it ends, and what it says of the backing
 * is what the next opening believes. */
static uint64_t stop_with_fault(const struct wb_fault *fault)
{
	uint64_t hits;

	begin_second_chance();
	wb_store_faulty_add(sim.cache_disk.faulty, fault);
	wb_sim_close(&sim);
	hits = wb_store_faulty_hit_count(sim.cache_disk.faulty);
	wb_sim_cut_power(&sim);
	if (owner.is_complete) {
		change_backing();
		open_again("changed alone");
		cr_expect_eq(stats().recovered_dirty_blocks, 0, "fault %lu", fault->first);
		expect_image(CHANGED, CHANGED);
	} else {
		open_again("as it was");
		expect_image(NEW, OLD);
	}
	return hits;
}

static void expect_good_stops_with(struct wb_fault fault)
{
	fault.first = 1;
	while (stop_with_fault(&fault) > 0)
		cr_assert_lt(++fault.first, 100);
}

Test(stop, whatever_fails_then_the_mark_says_what_the_log_says)
{
	struct wb_fault fault = { .op = WB_FAULT_ANY, .io_class = WB_FAULT_ANY };

	expect_good_stops_with(fault);
	fault.count = WB_FAULT_FOR_EVER;
	expect_good_stops_with(fault);
	fault.effect = WB_FAULT_FAIL_LATE;
	expect_good_stops_with(fault);
}

/* The superblocks can be: else there would be no stop. */
static void expect_incomplete_after(int error)
{
	struct wb_fault fault = { .op = WB_IO_WRITE, .io_class = WB_FAULT_ANY, .error = error,
				  .count = WB_FAULT_FOR_EVER };

	begin_second_chance();
	fault.offset_bytes = sim.geometry.ring_offset;
	fault.length_bytes = (uint64_t)SEGMENTS * sim.geometry.segment_bytes;
	fault.first = 2;	/* the first one is what the sync waits for */
	wb_store_faulty_add(sim.cache_disk.faulty, &fault);
	cr_assert_eq(wb_sim_close(&sim), 0);
	cr_expect_not(owner.is_complete);
	wb_store_faulty_clear(sim.cache_disk.faulty);
	open_again("as it was");
	cr_expect_not(stats().is_from_checkpoint);
	expect_image(NEW, OLD);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	cr_assert_eq(wb_sim_close(&sim), 0);
	cr_expect(owner.is_complete);
}

Test(stop, a_log_that_cannot_be_written_to_its_end_is_not_called_complete)
{
	expect_incomplete_after(-ENOSPC);
	expect_incomplete_after(-EIO);	/* which other places are tried for */
}

/* One place alone: then the stop is as good as any. */
Test(stop, what_comes_late_has_another_place_when_its_own_cannot_be_written)
{
	struct wb_fault fault = { .op = WB_IO_WRITE, .io_class = WB_FAULT_ANY,
				  .count = WB_FAULT_FOR_EVER, .first = 2 };
	uint64_t id;

	begin_second_chance();
	id = wb_log_head_segment(sim.cache->path.log);
	fault.offset_bytes = wb_geometry_segment_offset(&sim.geometry,
							wb_geometry_place(&sim.geometry, id));
	fault.length_bytes = sim.geometry.segment_bytes;
	wb_store_faulty_add(sim.cache_disk.faulty, &fault);
	cr_assert_eq(wb_sim_close(&sim), 0);
	cr_expect(owner.is_complete);
	wb_store_faulty_clear(sim.cache_disk.faulty);
	open_again("as it was");
	cr_expect(stats().is_from_checkpoint);
	cr_expect_eq(stats().recovered_dirty_blocks, 0);
	cr_expect_eq(wb_segment_table_bad_count(sim.cache->path.segments), 1);
	expect_image(NEW, OLD);
}

/* --- what is carried -------------------------------------------------------------------- */

/* A block that the backing refuses is all that is dirty in the oldest segment, and is
 * being read, to be appended again: somebody waited for room, who has got some since. */
static void begin_carry(void)
{
	struct wb_fault refusal = { .op = WB_IO_WRITE, .io_class = WB_FAULT_ANY,
				    .offset_bytes = REFUSED * BLOCK, .length_bytes = BLOCK,
				    .count = WB_FAULT_FOR_EVER };

	start();
	wb_store_faulty_add(sim.backing_disk.faulty, &refusal);
	write_blocks(REFUSED, 1, NEW);
	write_blocks(WRITTEN, 2 * SEGMENT_BLOCKS, NEW);
	cr_assert_eq(wb_sim_drain(&sim), -EIO);
	/* so that the last sync has to wait for the disk */
	write_blocks(WRITTEN, 1, NEW + 1);
	while (!wb_writeback_begin_carry(sim.cache->writeback, &sim.cache->carry))
		wb_sim_pass_time(&sim, SECOND_NS);
}

Test(stop, nor_does_what_is_carried_cost_the_checkpoint)
{
	begin_carry();
	cr_assert_eq(wb_sim_close(&sim), 0);
	cr_assert_not(owner.is_complete);
	open_again("with a block that was carried");
	cr_expect(stats().is_from_checkpoint);
	cr_expect_eq(stats().recovered_dirty_blocks, 2);
	read_blocks(REFUSED, 1, NEW);
	read_blocks(WRITTEN, 1, NEW + 1);
	wb_store_faulty_clear(sim.backing_disk.faulty);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	cr_expect_eq(wb_sim_backing_bytes(&sim)[REFUSED * BLOCK], NEW);
}
