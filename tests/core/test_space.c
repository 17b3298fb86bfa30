/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A ring that is full: writers wait and go on, nobody deadlocks or overtakes. */
#include <criterion/criterion.h>
#include <string.h>

#include "support/volume_sim.h"

#define BLOCK 4096u

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

TestSuite(space, .fini = stop);

static void backing_fails(int error)
{
	struct wb_fault fault = { .op = WB_IO_WRITE, .io_class = WB_FAULT_ANY,
				  .count = WB_FAULT_FOR_EVER, .error = error };

	wb_store_faulty_add(sim.backing_disk.faulty, &fault);
}

static void backing_is_sound(void)
{
	wb_store_faulty_clear(sim.backing_disk.faulty);
}

static void expect_block(uint64_t address, uint8_t value)
{
	uint8_t data[BLOCK], wanted[BLOCK];

	memset(wanted, value, BLOCK);
	cr_assert_eq(wb_sim_read(&sim, address * BLOCK, data, BLOCK), 0);
	cr_assert_arr_eq(data, wanted, BLOCK, "block %lu", address);
}

/* Several times what the ring holds, 16 blocks at once. */
static void write_far_too_much(unsigned rounds)
{
	for (unsigned i = 0; i < rounds * 16; i++)
		cr_assert_eq(wb_sim_fill(&sim, (i % 16) * 16 * BLOCK, (uint8_t)(i / 16 + 1),
					 16 * BLOCK, 0), 0);
	for (unsigned i = 0; i < 256; i++)
		expect_block(i, (uint8_t)rounds);
}

Test(space, a_ring_much_smaller_than_what_is_written_is_enough)
{
	start_with(NULL);
	write_far_too_much(6);
}

Test(space, it_is_enough_without_writeback_of_its_own_accord)
{
	struct wb_sim_params params = { .no_writeback = true };

	start_with(&params);
	write_far_too_much(6);
}

Test(space, it_is_enough_in_any_order_of_events)
{
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct wb_sim_params params = { .seed = seed, .no_writeback = seed % 2 };

		start_with(&params);
		write_far_too_much(3);
		wb_sim_clear(&sim);
	}
	start_with(NULL);
}

/* 16 requests that are all in flight, each for more than is left. */
static void submit_all(struct wb_sim_op **ops, unsigned count, unsigned flags)
{
	for (unsigned i = 0; i < count; i++) {
		ops[i] = wb_sim_prepare(&sim, WB_WRITE, flags, i * 16 * BLOCK, 16 * BLOCK);
		memset(ops[i]->data, (int)i + 1, 16 * BLOCK);
		wb_sim_submit(ops[i]);
	}
}

Test(space, many_writers_at_once_all_get_through)
{
	for (uint64_t seed = 0; seed <= 20; seed++) {
		struct wb_sim_params params = { .seed = seed, .no_writeback = seed % 2 };
		struct wb_sim_op *ops[16];

		start_with(&params);
		submit_all(ops, 16, seed % 3 == 0 ? WB_REQUEST_FUA : 0);
		for (unsigned i = 0; i < 16; i++) {
			cr_assert_eq(wb_sim_wait(ops[i]), 0);
			wb_sim_release(ops[i]);
		}
		cr_expect_gt(wb_sim_counter(&sim, WB_STAT_PARKED_REQUESTS), 0);
		for (unsigned i = 0; i < 256; i++)
			expect_block(i, (uint8_t)(i / 16 + 1));
		wb_sim_clear(&sim);
	}
	start_with(NULL);
}

static void note_finish(void *arg, struct wb_sim_op *op)
{
	g_array_append_val((GArray *)arg, op->id);
}

Test(space, those_who_wait_go_on_in_the_order_in_which_they_came)
{
	g_autoptr(GArray) order = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	struct wb_sim_op *ops[16];

	start_with(NULL);
	backing_fails(-EIO);
	submit_all(ops, 16, 0);
	wb_sim_settle(&sim);
	cr_assert_not(ops[15]->is_finished);
	cr_assert(wb_cache_is_short_of_space(sim.cache));
	sim.on_finish = note_finish;
	sim.arg = order;
	backing_is_sound();
	for (unsigned i = 0; i < 16; i++)
		cr_assert_eq(wb_sim_wait(ops[i]), 0);
	cr_assert_gt(order->len, 3);
	for (guint i = 1; i < order->len; i++)
		cr_expect_lt(g_array_index(order, uint64_t, i - 1),
			     g_array_index(order, uint64_t, i));
	for (unsigned i = 0; i < 16; i++)
		wb_sim_release(ops[i]);
}

Test(space, reads_and_syncs_get_through_while_writers_wait)
{
	struct wb_sim_op *ops[12];

	start_with(NULL);
	backing_fails(-EIO);
	submit_all(ops, 12, 0);
	wb_sim_settle(&sim);
	cr_assert_not(ops[11]->is_finished);
	expect_block(0, 1);
	cr_expect_eq(wb_sim_sync(&sim), 0);
	cr_expect_not(ops[11]->is_finished);
	backing_is_sound();
	for (unsigned i = 0; i < 12; i++) {
		cr_assert_eq(wb_sim_wait(ops[i]), 0);
		wb_sim_release(ops[i]);
	}
}

Test(space, a_discard_gets_through_while_writers_wait)
{
	struct wb_sim_op *ops[12];

	start_with(NULL);
	backing_fails(-EIO);
	submit_all(ops, 12, 0);
	wb_sim_settle(&sim);
	cr_assert_not(ops[11]->is_finished);
	backing_is_sound();
	cr_expect_eq(wb_sim_zero(&sim, 200 * BLOCK, 8 * BLOCK, WB_REQUEST_FUA), 0);
	for (unsigned i = 0; i < 12; i++) {
		cr_assert_eq(wb_sim_wait(ops[i]), 0);
		wb_sim_release(ops[i]);
	}
}

Test(space, a_full_ring_opens_again_after_a_crash_and_takes_new_data)
{
	struct wb_sim_op *ops[12];

	for (uint64_t seed = 1; seed <= 10; seed++) {
		struct wb_sim_params params = { .seed = seed };

		start_with(&params);
		backing_fails(-EIO);
		for (unsigned life = 0; life < 4; life++) {
			submit_all(ops, 12, 0);
			wb_sim_settle(&sim);
			cr_expect_eq(wb_sim_sync(&sim), 0);
			wb_sim_kill(&sim);
			wb_sim_cut_power(&sim);
			cr_assert(wb_sim_open(&sim, NULL));
			backing_fails(-EIO);
		}
		backing_is_sound();
		write_far_too_much(2);
		wb_sim_clear(&sim);
	}
	start_with(NULL);
}

Test(space, a_place_is_not_reused_while_somebody_reads_from_it)
{
	struct wb_sim_params params = { .seed = 7 };
	struct wb_sim_op *read;
	struct wb_fault slow = { .op = WB_IO_READ, .io_class = WB_IO_CLASS_USER_READ,
				 .effect = WB_FAULT_DELAY, .delay_polls = 3000 };

	start_with(&params);
	cr_assert_eq(wb_sim_fill(&sim, 0, 77, 4 * BLOCK, 0), 0);
	cr_assert_eq(wb_sim_close(&sim), 0);
	cr_assert(wb_sim_open(&sim, NULL));
	wb_store_faulty_add(sim.cache_disk.faulty, &slow);
	read = wb_sim_prepare(&sim, WB_READ, 0, 0, 4 * BLOCK);
	wb_sim_submit(read);
	wb_store_faulty_clear(sim.cache_disk.faulty);
	for (unsigned i = 16; i < 64 && !read->is_finished; i++)
		cr_assert_eq(wb_sim_fill(&sim, (i % 250) * BLOCK, 1, 5 * BLOCK, 0), 0);
	cr_assert_eq(wb_sim_wait(read), 0);
	for (unsigned i = 0; i < 4 * BLOCK; i++)
		cr_assert_eq(read->data[i], 77);
	cr_expect_eq(wb_sim_counter(&sim, WB_STAT_CHECKSUM_ERRORS), 0);
	wb_sim_release(read);
}
