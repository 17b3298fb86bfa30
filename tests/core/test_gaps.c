/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Gaps between dirty blocks that are filled: with what, when not, and who else is there. */
#include <criterion/criterion.h>
#include <string.h>

#include "cache/cache_private.h"
#include "cache/writeback_batch.h"
#include "support/store_memory.h"
#include "support/volume_sim.h"

#define BLOCK 4096u
#define OLD 0x11

static struct wb_sim sim;

/* A disk on which every write costs a turn: each gap is worth while. */
static void be_slow_at_hops(void)
{
	struct wb_disk_model *model = &sim.cache->writeback->model;

	*model = (struct wb_disk_model){ .is_fixed = true, .bytes_per_ns = 0.15, .turn_ns = 1e6 };
	for (unsigned i = 0; i < WB_HOP_CLASSES; i++)
		model->hop_ns[i] = 1e9;
}

static void start_with(struct wb_sim_params params)
{
	params.segment_count = 40;
	params.image_bytes = 4 << 20;
	params.backing_fill = OLD;
	wb_sim_init(&sim, &params);
	cr_assert(wb_sim_open(&sim, NULL));
	wb_sim_set(&sim, "allow_writeback", "off");
	wb_sim_set(&sim, "backing_rotational", "on");
	be_slow_at_hops();
}

static void start(void)
{
	start_with((struct wb_sim_params){ 0 });
}

static void stop(void)
{
	wb_sim_clear(&sim);
}

TestSuite(gaps, .fini = stop);

static void fill(uint64_t block, uint8_t value)
{
	cr_assert_eq(wb_sim_fill(&sim, block * BLOCK, value, BLOCK, 0), 0);
}

static void make_dirty(uint64_t first, unsigned count, unsigned step)
{
	for (unsigned i = 0; i < count; i++)
		fill(first + i * step, 7);
	cr_assert_eq(wb_sim_sync(&sim), 0);
}

static uint64_t ios(enum wb_io_op op)
{
	return wb_store_counting_ios(sim.backing_disk.counting, op);
}

static uint64_t filled(void)
{
	return wb_sim_counter(&sim, WB_STAT_GAP_BLOCKS);
}

static void expect_backing(uint64_t first, unsigned count, unsigned step)
{
	const uint8_t *bytes = wb_sim_backing_bytes(&sim);

	for (uint64_t b = 0; b < (4 << 20) / BLOCK; b++)
		cr_assert_eq(bytes[b * BLOCK + b % BLOCK],
			     b >= first && b < first + count * step && (b - first) % step == 0 ?
			     7 : OLD, "block %lu", b);
}

Test(gaps, what_is_not_in_the_cache_is_read_at_once_and_all_becomes_one_write)
{
	start();
	make_dirty(100, 20, 3);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	cr_assert_eq(ios(WB_IO_READ), 1);
	cr_assert_eq(ios(WB_IO_WRITE), 1);
	cr_assert_eq(filled(), 19 * 2);
	expect_backing(100, 20, 3);
}

/* As after a write, of whoever reads from the disk meanwhile. */
Test(gaps, a_read_of_one_is_in_readers_way_and_a_pause_follows)
{
	struct wb_read_first *first;

	start();
	make_dirty(100, 20, 3);
	first = &sim.cache->read_first;
	sim.cache->path.reads.target_ns = 1;
	wb_reads_begin(&sim.cache->path.reads);
	first->level = 7;
	first->is_reading = true;
	first->read_ns = sim.clock.now_ns;
	wb_cache_start_drain(sim.cache);
	while (!wb_writeback_is_idle(sim.cache->writeback) || ios(WB_IO_READ) == 0)
		if (!wb_sim_step(&sim) || first->not_before_ns > 0)
			break;
	cr_expect_gt(ios(WB_IO_READ), 0);
	cr_expect_gt(first->not_before_ns, sim.clock.now_ns);
	cr_expect_eq(ios(WB_IO_WRITE), 0);
	wb_reads_end(&sim.cache->path.reads, 0);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	expect_backing(100, 20, 3);
}

Test(gaps, what_is_clean_in_the_cache_is_not_read_from_the_backing)
{
	start();
	for (unsigned i = 0; i < 60; i++)
		fill(100 + i, i % 3 ? OLD : 5);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	make_dirty(100, 20, 3);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	cr_assert_eq(ios(WB_IO_READ), 0);
	cr_assert_eq(ios(WB_IO_WRITE), 2);
	cr_assert_eq(filled(), 19 * 2);
	expect_backing(100, 20, 3);
}

Test(gaps, rot_in_a_clean_copy_is_not_written_anywhere)
{
	bool is_dirty;

	start();
	for (unsigned i = 0; i < 60; i++)
		fill(100 + i, i % 3 ? OLD : 5);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	/* beyond the RAM buffers */
	for (unsigned i = 0; i < 100; i++)
		fill(500 + i, OLD);
	make_dirty(100, 20, 3);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	make_dirty(100, 20, 3);
	wb_sim_cached_block(&sim, 104, &is_dirty)[104] ^= 1;
	cr_assert_not(is_dirty);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	expect_backing(100, 20, 3);
}

Test(gaps, not_on_a_disk_that_does_not_turn_nor_when_they_are_too_long)
{
	start();
	wb_sim_set(&sim, "backing_rotational", "auto");
	make_dirty(100, 20, 3);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	wb_sim_set(&sim, "backing_rotational", "on");
	wb_sim_set(&sim, "writeback_gap", "0");
	make_dirty(100, 20, 3);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	wb_sim_set(&sim, "writeback_gap", "4");
	make_dirty(100, 20, 3);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	cr_assert_eq(filled(), 0);
	cr_assert_eq(ios(WB_IO_WRITE), 60);
	wb_sim_set(&sim, "writeback_gap", "8");
	make_dirty(100, 20, 3);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	cr_assert_eq(filled(), 38);
}

static bool was_written[(4 << 20) / BLOCK];

static void note_write(void *arg, const struct wb_store *store, const struct wb_io *io)
{
	(void)arg;
	if (store != sim.backing_disk.crashy || io->op != WB_IO_WRITE)
		return;
	for (uint64_t at = 0; at < io->length_bytes; at += BLOCK)
		was_written[(io->offset_bytes + at) / BLOCK] = true;
}

Test(gaps, holes_of_the_backing_stay_holes)
{
	uint8_t *bytes;

	start();
	wb_store_memory_set_sparse(sim.backing_disk.memory);
	sim.crash_clock.on_submit = note_write;
	bytes = wb_sim_backing_bytes(&sim);
	memset(bytes + 110 * BLOCK, 0, 10 * BLOCK);
	make_dirty(100, 20, 3);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	for (uint64_t b = 110; b < 120; b++)
		if ((b - 100) % 3)
			cr_assert_not(was_written[b], "block %lu", b);
	cr_assert_gt(filled(), 20);
	cr_assert_lt(filled(), 38);
}

Test(gaps, one_that_cannot_be_read_is_left_out_and_not_tried_again)
{
	struct wb_fault fault = { .op = WB_IO_READ, .io_class = WB_FAULT_ANY,
				  .count = WB_FAULT_FOR_EVER };
	uint64_t reads;

	start();
	wb_store_faulty_add(sim.backing_disk.faulty, &fault);
	make_dirty(100, 20, 3);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	expect_backing(100, 20, 3);
	cr_assert_eq(filled(), 0);
	cr_assert_eq(ios(WB_IO_WRITE), 20);
	reads = ios(WB_IO_READ);
	make_dirty(100, 2, 3);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	cr_assert_eq(ios(WB_IO_READ), reads);
}

/* --- others there ------------------------------------------------------------------------ */

static void be_slow(enum wb_io_op op, enum wb_io_class io_class)
{
	struct wb_fault slow = { .op = op, .io_class = io_class, .count = 1,
				 .effect = WB_FAULT_DELAY, .delay_polls = 300 };

	wb_store_faulty_add(sim.backing_disk.faulty, &slow);
}

static void expect_byte(uint64_t block, uint8_t value)
{
	static uint8_t data[BLOCK];

	cr_assert_eq(wb_sim_read(&sim, block * BLOCK, data, BLOCK), 0);
	cr_assert_eq(data[9], value);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	cr_assert_eq(wb_sim_backing_bytes(&sim)[block * BLOCK + 9], value);
}

Test(gaps, who_writes_around_the_cache_into_one_that_is_being_filled_is_not_overwritten)
{
	start();
	make_dirty(100, 20, 3);
	wb_sim_set(&sim, "cache_mode", "writearound");
	be_slow(WB_IO_WRITE, WB_IO_CLASS_WRITEBACK);
	wb_cache_start_drain(sim.cache);
	while (sim.cache->writeback->stage != WB_BATCH_WRITE || !ios(WB_IO_WRITE))
		cr_assert(wb_sim_step(&sim));
	fill(104, 9);
	cr_assert_eq(sim.cache->writeback->stage, WB_BATCH_WRITE, "the user's was faster");
	expect_byte(104, 9);
	cr_assert_gt(filled(), 0);
}

Test(gaps, one_that_somebody_is_writing_to_around_the_cache_is_left_out)
{
	struct wb_sim_op *op;

	start();
	make_dirty(100, 20, 3);
	wb_sim_set(&sim, "cache_mode", "writearound");
	be_slow(WB_IO_WRITE, WB_IO_CLASS_USER_WRITE);
	op = wb_sim_prepare(&sim, WB_WRITE, 0, 104 * BLOCK, BLOCK);
	memset(op->data, 9, BLOCK);
	wb_sim_submit(op);
	while (op->request->bypass.stage != WB_BYPASS_LOGGED || !ios(WB_IO_WRITE))
		cr_assert(wb_sim_step(&sim));
	wb_cache_start_drain(sim.cache);
	cr_assert_eq(wb_sim_wait(op), 0);
	wb_sim_release(op);
	expect_byte(104, 9);
	cr_assert_eq(filled(), 19 * 2 - 2);
}

Test(gaps, what_is_written_there_meanwhile_stays_dirty_and_comes_later)
{
	start();
	make_dirty(100, 20, 3);
	be_slow(WB_IO_READ, WB_IO_CLASS_WRITEBACK);
	wb_cache_start_drain(sim.cache);
	while (sim.cache->writeback->stage != WB_BATCH_GAPS || !ios(WB_IO_READ))
		cr_assert(wb_sim_step(&sim));
	fill(104, 9);
	cr_assert_eq(sim.cache->writeback->stage, WB_BATCH_GAPS, "nobody waits for a gap");
	expect_byte(104, 9);
}

Test(gaps, after_some_batches_one_is_written_without_to_see_what_that_costs)
{
	unsigned with = 0, without = 0;

	start();
	for (unsigned i = 0; i < 40; i++) {
		uint64_t before = filled();

		make_dirty(100, 20, 3);
		cr_assert_eq(wb_sim_drain(&sim), 0);
		if (filled() > before)
			with++;
		else
			without++;
	}
	cr_assert_geq(without, 2);
	cr_assert_gt(with, 35);
}
