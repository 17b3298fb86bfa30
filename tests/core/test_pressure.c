/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writers before a ring that is nearly full, of a whole cache: who is slowed, in which
 * order they go on, and what becomes of them when writeback does not get on. The
 * arithmetic is in unit/test_write_pace.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "cache/cache_private.h"
#include "support/volume_sim.h"

#define BLOCK 4096u
#define MS_NS UINT64_C(1000000)
#define SECOND_NS (1000 * MS_NS)
#define STEP_NS (4 * MS_NS)
#define SEGMENTS 64u
#define SEGMENT_BLOCKS (WB_SEGMENT_BYTES_MIN / BLOCK)
#define IMAGE_BLOCKS 20000u
#define WRITERS 8u

static struct wb_sim sim;
static struct wb_prng prng;

/* It moves only here, and when a wait moves it. */
static uint64_t still_ns(struct wb_clock *clock)
{
	(void)clock;
	return sim.clock.now_ns;
}

static void start_at(unsigned percent, unsigned segments)
{
	struct wb_sim_params params = { .segment_count = segments, .ram_segments = SEGMENTS,
					.request_count = 40,
					.image_bytes = IMAGE_BLOCKS * BLOCK };

	wb_sim_init(&sim, &params);
	wb_prng_init(&prng, 7);
	sim.clock.clock.now_ns = still_ns;
	sim.clock.now_ns = SECOND_NS;
	sim.slow_writes_percent = percent;
	cr_assert(wb_sim_open(&sim, NULL));
}

static void start(void)
{
	start_at(75, SEGMENTS);
}

static void stop(void)
{
	wb_sim_clear(&sim);
}

TestSuite(pressure, .fini = stop);

#define STEPS 20u			/* in STEP_NS */

/* A write takes so many polls of the disk. */
static void backing_is_slow(unsigned polls)
{
	struct wb_fault slow = { .op = WB_IO_WRITE, .io_class = WB_IO_CLASS_WRITEBACK,
				 .count = WB_FAULT_FOR_EVER, .effect = WB_FAULT_DELAY,
				 .delay_polls = polls };

	wb_store_faulty_add(sim.backing_disk.faulty, &slow);
}

static void backing_fails(void)
{
	struct wb_fault fault = { .op = WB_IO_WRITE, .io_class = WB_FAULT_ANY,
				  .count = WB_FAULT_FOR_EVER, .error = -EIO };

	wb_store_faulty_add(sim.backing_disk.faulty, &fault);
}

static void backing_is_sound(void)
{
	wb_store_faulty_clear(sim.backing_disk.faulty);
}

static uint64_t count_of(enum wb_stat which)
{
	return wb_sim_counter(&sim, which);
}

static bool is_slow(void)
{
	return wb_pressure_is_on(&sim.cache->pressure);
}

static uint32_t waiting(void)
{
	struct wb_stats_snapshot stats;

	wb_sim_stats(&sim, &stats);
	return (uint32_t)stats.slowed_writers;
}

static void step(void)
{
	static unsigned count;

	sim.clock.now_ns += STEP_NS;
	for (unsigned i = 0; i < STEPS; i++)
		wb_sim_step(&sim);
	if (++count % 64 == 0)
		wb_cache_tick(sim.cache);
}

static struct wb_sim_op *begin_write(uint64_t block, unsigned flags)
{
	struct wb_sim_op *op = wb_sim_prepare(&sim, WB_WRITE, flags, block * BLOCK, BLOCK);

	cr_assert(op);
	memset(op->data, (int)(block % 251 + 1), BLOCK);
	wb_sim_submit(op);
	return op;
}

static uint64_t any_block(void)
{
	return wb_prng_below(&prng, IMAGE_BLOCKS);
}

/* A few writers that never stop, for so long; the longest that one of them waited. */
static uint64_t write_endlessly(uint64_t ns)
{
	struct wb_sim_op *ops[WRITERS] = { NULL };
	uint64_t since[WRITERS] = { 0 }, longest = 0, until = sim.clock.now_ns + ns;
	unsigned left = WRITERS;

	while (left > 0) {
		for (unsigned i = 0; i < WRITERS; i++) {
			if (ops[i] && ops[i]->is_finished) {
				cr_assert_eq(ops[i]->error, 0);
				longest = MAX(longest, sim.clock.now_ns - since[i]);
				wb_sim_release(ops[i]);
				ops[i] = NULL;
				left--;
			}
			if (sim.clock.now_ns < until && (!ops[i] || !since[i])) {
				left += since[i] != 0;
				since[i] = sim.clock.now_ns;
				ops[i] = begin_write(any_block(), 0);
			}
		}
		step();
	}
	return longest;
}

/* Full as far as writers get at once: that many wait for their turn. What the backing
 * was asked to write meanwhile it has not. */
static void fill_until(unsigned slowed, struct wb_sim_op **ops)
{
	unsigned count = 0;

	backing_is_slow(100000);
	for (unsigned i = 0; i < 100000 && count < slowed; i++) {
		struct wb_sim_op *op = begin_write(i * 3 % 3000, 0);

		for (unsigned steps = 0; steps < STEPS; steps++)
			wb_sim_step(&sim);
		if (op->is_finished)
			wb_sim_release(op);
		else
			ops[count++] = op;
	}
	backing_is_sound();
	cr_assert_eq(count, slowed);
	cr_assert_eq(waiting(), slowed);
	cr_assert(is_slow());
}

static void wait_for_all(struct wb_sim_op **ops, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		cr_assert_eq(wb_sim_wait(ops[i]), 0);
		wb_sim_release(ops[i]);
	}
}

/* --- the steady state --------------------------------------------------------------------- */

Test(pressure, endless_writes_get_the_rate_of_writeback_and_the_ring_is_never_full)
{
	uint64_t written, cleaned, longest, seconds = 60;
	double mean_ms;

	start_at(85, 256);
	wb_sim_set(&sim, "writeback_batch", "1");
	backing_is_slow(400);
	write_endlessly(60 * SECOND_NS);
	written = count_of(WB_STAT_WRITE_REQUESTS);
	cleaned = count_of(WB_STAT_WRITEBACK_BLOCKS);
	longest = write_endlessly(seconds * SECOND_NS);
	written = count_of(WB_STAT_WRITE_REQUESTS) - written;
	cleaned = count_of(WB_STAT_WRITEBACK_BLOCKS) - cleaned;
	mean_ms = (double)seconds * 1000 * WRITERS / (double)written;
	cr_log_info("%lu written, %lu cleaned, %.0f ms each, longest %lu ms", written, cleaned,
		    mean_ms, longest / MS_NS);
	cr_expect_gt(count_of(WB_STAT_SLOWED_REQUESTS), written);
	cr_expect_eq(count_of(WB_STAT_PARKED_REQUESTS), 0);
	/* What was written over needs no writeback: a few of a hundred. */
	cr_expect_geq(written * 100, cleaned * 95);
	cr_expect_leq(written * 100, cleaned * 125);
	cr_expect_lt((double)longest / MS_NS, 4 * mean_ms);
}

Test(pressure, nobody_is_slowed_while_there_is_room)
{
	start();
	for (unsigned i = 0; i < 4 * SEGMENTS; i++) {
		cr_assert_eq(wb_sim_fill(&sim, any_block() * BLOCK, 1, BLOCK, 0), 0);
		wb_sim_settle(&sim);
	}
	cr_expect_eq(count_of(WB_STAT_SLOWED_REQUESTS), 0);
	cr_expect_not(is_slow());
}

Test(pressure, it_ends_when_there_is_room_again)
{
	struct wb_sim_op *ops[4];
	struct wb_stats_snapshot stats;

	start();
	wb_sim_set(&sim, "allow_writeback", "off");
	fill_until(4, ops);
	wb_sim_stats(&sim, &stats);
	cr_expect_gt(stats.write_limit_bytes_per_s, 0);
	sim.clock.now_ns += MS_NS;
	wait_for_all(ops, 4);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	wb_sim_settle(&sim);
	wb_sim_stats(&sim, &stats);
	cr_expect_not(is_slow());
	cr_expect_eq(stats.write_limit_bytes_per_s, 0);
	cr_expect_gt(count_of(WB_STAT_SLOWED_NS), 0);
}

/* The high-water mark of writeback, 80 %, may be beyond it. */
Test(pressure, while_writers_are_slowed_there_is_writeback_in_any_case)
{
	struct wb_stats_snapshot stats;
	struct wb_sim_op *op;

	start_at(50, SEGMENTS);
	wb_sim_set(&sim, "allow_writeback", "off");
	fill_until(1, &op);
	wb_sim_stats(&sim, &stats);
	cr_expect(strstr(stats.writeback_reason, "writers are slowed down"), "%s",
		  stats.writeback_reason);
	wait_for_all(&op, 1);
	wb_sim_pass_time(&sim, SECOND_NS);
	wb_sim_settle(&sim);
	cr_expect_gt(count_of(WB_STAT_WRITEBACK_BLOCKS), 0);
}

/* In so small a ring two batches would be half of it. */
Test(pressure, where_writeback_is_not_allowed_a_small_ring_is_kept_up_to_the_high_water)
{
	struct wb_stats_snapshot stats;
	struct wb_sim_op *op;
	unsigned writes = 0;

	start_at(85, SEGMENTS);
	wb_sim_set(&sim, "allow_writeback", "off");
	do {
		cr_assert_eq(wb_sim_fill(&sim, any_block() * BLOCK, 1, BLOCK, 0), 0);
		wb_sim_settle(&sim);
		wb_sim_stats(&sim, &stats);
		cr_assert_lt(writes++, SEGMENTS * SEGMENT_BLOCKS);
	} while (stats.segments_dirty < SEGMENTS * 7 / 10);
	wb_sim_pass_time(&sim, SECOND_NS);
	wb_sim_settle(&sim);
	cr_expect_not(is_slow());
	cr_expect_eq(count_of(WB_STAT_WRITEBACK_BLOCKS), 0);
	fill_until(1, &op);
	wait_for_all(&op, 1);
}

/* --- who waits ------------------------------------------------------------------------------ */

static void note_finish(void *arg, struct wb_sim_op *op)
{
	g_array_append_val((GArray *)arg, op->id);
}

Test(pressure, they_go_on_in_the_order_in_which_they_came)
{
	g_autoptr(GArray) order = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	struct wb_sim_op *ops[20];

	start();
	fill_until(20, ops);
	sim.on_finish = note_finish;
	sim.arg = order;
	wait_for_all(ops, 20);
	cr_assert_eq(order->len, 20);
	for (guint i = 1; i < order->len; i++)
		cr_expect_lt(g_array_index(order, uint64_t, i - 1),
			     g_array_index(order, uint64_t, i));
}

Test(pressure, reads_syncs_and_discards_do_not_wait_and_durable_writes_do)
{
	static uint8_t data[BLOCK];
	struct wb_sim_op *ops[8], *durable;
	uint64_t now;

	start();
	fill_until(8, ops);
	now = sim.clock.now_ns;
	cr_expect_eq(wb_sim_read(&sim, 5 * BLOCK, data, BLOCK), 0);
	cr_expect_eq(wb_sim_sync(&sim), 0);
	cr_expect_eq(wb_sim_zero(&sim, 100 * BLOCK, 8 * BLOCK, WB_REQUEST_FUA), 0);
	cr_expect_eq(sim.clock.now_ns, now);
	durable = begin_write(200, WB_REQUEST_FUA);
	cr_expect_eq(waiting(), 9);
	wait_for_all(ops, 8);
	wait_for_all(&durable, 1);
}

Test(pressure, a_write_that_waits_is_not_there_before_it_goes_on)
{
	static uint8_t data[BLOCK];
	struct wb_sim_op *ops[9];

	start();
	cr_assert_eq(wb_sim_fill(&sim, 19000 * BLOCK, 9, BLOCK, 0), 0);
	fill_until(8, ops);
	ops[8] = begin_write(19000, 0);
	cr_assert_eq(wb_sim_read(&sim, 19000 * BLOCK, data, BLOCK), 0);
	cr_expect_eq(data[0], 9);
	wait_for_all(ops, 9);
	cr_assert_eq(wb_sim_read(&sim, 19000 * BLOCK, data, BLOCK), 0);
	cr_expect_eq(data[0], 19000 % 251 + 1);
}

Test(pressure, writes_around_the_cache_are_not_slowed)
{
	struct wb_sim_op *ops[4];
	uint64_t now;

	start();
	fill_until(4, ops);
	wb_sim_set(&sim, "cache_mode", "writearound");
	now = sim.clock.now_ns;
	cr_expect_eq(wb_sim_fill(&sim, 19090 * BLOCK, 3, BLOCK, 0), 0);
	cr_expect_eq(sim.clock.now_ns, now);
	wait_for_all(ops, 4);
}

Test(pressure, switched_off_it_lets_all_go_on_at_once)
{
	struct wb_sim_op *ops[20];
	uint64_t now;

	start();
	fill_until(20, ops);
	now = sim.clock.now_ns;
	wb_sim_set(&sim, "slow_writes_percent", "0");
	wb_sim_pass_time(&sim, 0);
	wb_sim_settle(&sim);
	cr_expect_eq(sim.clock.now_ns, now);
	cr_expect_eq(waiting(), 0);
	wait_for_all(ops, 20);
}

/* --- trouble ---------------------------------------------------------------------------------- */

Test(pressure, after_errors_they_wait_for_room_as_ever_and_the_status_says_so)
{
	struct wb_stats_snapshot stats;
	struct wb_sim_op *ops[30];
	unsigned count = 0;

	start();
	fill_until(10, ops);
	backing_fails();
	wb_sim_pass_time(&sim, SECOND_NS);
	wb_sim_settle(&sim);
	/* They may use up what is left, and are not slow any more. */
	cr_expect_eq(waiting(), 0);
	wait_for_all(ops, 10);
	for (unsigned i = 0; i < 100000 && count < 30; i++) {
		struct wb_sim_op *op = begin_write(i % 100 * 3, 0);

		wb_sim_settle(&sim);
		if (op->is_finished)
			wb_sim_release(op);
		else
			ops[count++] = op;
	}
	wb_sim_stats(&sim, &stats);
	cr_expect_eq(stats.slowed_writers, 0);
	cr_expect_eq(stats.waiting_requests, 30);
	cr_expect_str_eq(wb_writeback_state_name(stats.writeback_state), "paused");
	backing_is_sound();
	wait_for_all(ops, 30);
}

Test(pressure, without_progress_they_are_held_no_longer_than_a_minute)
{
	struct wb_sim_op *ops[20];
	uint64_t begun;

	start();
	fill_until(20, ops);
	backing_is_slow(100000000);	/* it takes the writes, and does not answer */
	begun = sim.clock.now_ns;
	while (waiting() > 0) {
		wb_sim_pass_time(&sim, SECOND_NS / 4);
		for (unsigned i = 0; i < 100; i++)
			wb_sim_step(&sim);
		cr_assert_lt(sim.clock.now_ns - begun, 60 * SECOND_NS);
	}
	wb_store_faulty_clear(sim.backing_disk.faulty);
	wait_for_all(ops, 20);
}

Test(pressure, a_death_with_writers_that_wait_loses_nothing_that_was_durable)
{
	static uint8_t data[BLOCK];
	struct wb_sim_op *ops[20];

	for (uint64_t seed = 1; seed <= 10; seed++) {
		start();
		cr_assert_eq(wb_sim_fill(&sim, 19001 * BLOCK, 77, BLOCK, WB_REQUEST_FUA), 0);
		fill_until(20, ops);
		for (uint64_t i = 0; i < seed; i++)
			step();
		wb_sim_kill(&sim);
		wb_sim_cut_power(&sim);
		cr_assert(wb_sim_open(&sim, NULL));
		cr_assert_eq(wb_sim_read(&sim, 19001 * BLOCK, data, BLOCK), 0);
		cr_assert_eq(data[0], 77);
		write_endlessly(SECOND_NS);
		cr_assert_eq(wb_sim_drain(&sim), 0);
		wb_sim_clear(&sim);
	}
	start();
}
