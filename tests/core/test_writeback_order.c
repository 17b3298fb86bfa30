/* SPDX-License-Identifier: GPL-2.0-or-later */
/* writeback_order: which blocks one batch takes, and in how many writes. */
#include <criterion/criterion.h>

#include "cache/cache_private.h"
#include "cache/writeback_batch.h"
#include "support/volume_sim.h"

#define BLOCK 4096u
#define SEGMENT_BLOCKS (WB_SEGMENT_BYTES_MIN / BLOCK - 1)	/* data in one record */

static struct wb_sim sim;

static void start(const char *order, unsigned segments)
{
	struct wb_sim_params params = { .segment_count = segments, .image_bytes = 16 << 20 };

	wb_sim_init(&sim, &params);
	cr_assert(wb_sim_open(&sim, NULL));
	wb_sim_set(&sim, "allow_writeback", "off");
	wb_sim_set(&sim, "writeback_order", order);
}

static void stop(void)
{
	wb_sim_clear(&sim);
}

TestSuite(writeback_order, .fini = stop);

static void fill(uint64_t first, unsigned count)
{
	cr_assert_eq(wb_sim_fill(&sim, first * BLOCK, 7, count * BLOCK, 0), 0);
}

static uint64_t backing_writes(void)
{
	return wb_store_counting_ios(sim.backing_disk.counting, WB_IO_WRITE);
}

Test(writeback_order, segments_takes_32_of_them_and_writes_each_block_by_itself)
{
	start("segments", 80);
	for (unsigned i = 0; i < 60; i++)
		fill(i * SEGMENT_BLOCKS, SEGMENT_BLOCKS);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	cr_assert_eq(wb_sim_counter(&sim, WB_STAT_WRITEBACK_BATCHES), 2);
	cr_assert_eq(backing_writes(), 60 * SEGMENT_BLOCKS);
}

Test(writeback_order, sweep_joins_what_is_adjacent)
{
	start("sweep", 200);
	for (unsigned i = 0; i < 60; i++)
		fill(i * SEGMENT_BLOCKS, SEGMENT_BLOCKS);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	cr_assert_eq(backing_writes(), 1);
}

/* --- the sweep -------------------------------------------------------------------------- */

struct book {
	uint64_t last_offset;
	unsigned turns;			/* back to a lower address */
};

static struct book book;

static void note_write(void *arg, const struct wb_store *store, const struct wb_io *io)
{
	(void)arg;
	if (store != sim.backing_disk.crashy || io->op != WB_IO_WRITE)
		return;
	book.turns += io->offset_bytes < book.last_offset;
	book.last_offset = io->offset_bytes;
}

static void keep_book(void)
{
	book = (struct book){ 0 };
	sim.crash_clock.on_submit = note_write;
}

static void write_at_random(unsigned count)
{
	struct wb_prng prng;

	wb_prng_init(&prng, 11);
	for (unsigned i = 0; i < count; i++)
		fill(wb_prng_below(&prng, 512) * 8, 3);	/* three blocks */
	cr_assert_eq(wb_sim_sync(&sim), 0);
}

Test(writeback_order, a_sweep_goes_up_however_much_memory_it_has_and_flushes_once)
{
	start("sweep", 200);
	wb_sim_set(&sim, "writeback_batch", "1");
	write_at_random(110);
	keep_book();
	cr_assert_eq(wb_sim_drain(&sim), 0);
	cr_assert_eq(sim.cache->writeback->room->block_count, 256, "several portions");
	cr_assert_eq(book.turns, 0);
	cr_assert_eq(wb_sim_counter(&sim, WB_STAT_WRITEBACK_BATCHES), 1);
}

Test(writeback_order, a_sweep_goes_on_where_it_was_stopped_and_comes_round)
{
	uint64_t stopped_at;

	start("sweep", 200);
	write_at_random(180);
	keep_book();
	wb_sim_set(&sim, "allow_writeback", "on");
	while (wb_store_counting_ios(sim.backing_disk.counting, WB_IO_WRITE) < 50)
		cr_assert(wb_sim_step(&sim));
	wb_sim_set(&sim, "allow_writeback", "off");
	wb_sim_settle(&sim);
	stopped_at = book.last_offset;
	cr_assert_eq(book.turns, 0);
	fill(0, 1);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	book.last_offset = 0;
	cr_assert_gt(sim.cache->writeback->sweep_at, stopped_at / BLOCK);
	wb_sim_set(&sim, "allow_writeback", "on");
	cr_assert_eq(wb_sim_drain(&sim), 0);
	/* From there to the end, and then block 0. */
	cr_assert_eq(book.turns, 1);
	cr_assert_eq(book.last_offset, 0);
	cr_assert_eq(wb_sim_backing_bytes(&sim)[0], 7);
}

/* Segments are freed in the order of the ring, and a sweep has come round before the
 * oldest is clean: whoever writes without end must not wait for that. */
Test(writeback_order, when_space_is_short_every_other_batch_is_of_the_oldest_segments)
{
	unsigned picked[2] = { 0, 0 };
	struct wb_prng prng;

	start("sweep", 12);
	wb_prng_init(&prng, 17);
	wb_sim_set(&sim, "allow_writeback", "on");
	for (unsigned i = 0; i < 1500; i++) {
		uint64_t batches = wb_sim_counter(&sim, WB_STAT_WRITEBACK_BATCHES);

		fill(wb_prng_below(&prng, 2000) * 2, 1);
		if (wb_sim_counter(&sim, WB_STAT_WRITEBACK_BATCHES) != batches)
			picked[sim.cache->writeback->pass.pick]++;
	}
	cr_assert_gt(picked[WB_PICK_OLDEST], 3);
	cr_assert_geq(picked[WB_PICK_SWEEP], picked[WB_PICK_OLDEST] / 2);
	cr_assert_eq(wb_sim_drain(&sim), 0);
}
