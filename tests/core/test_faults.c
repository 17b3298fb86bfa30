/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Disks that fail. The sweep lets the n-th I/O of one kind fail, n growing
 * until a run meets no fault: no wrong data, no false success, no hang, no
 * dirty block lost. Then disks that go on failing, and heal.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "support/volume_sim.h"

#define BLOCK 4096u
#define IMAGE (64 * BLOCK)

static struct wb_sim sim;
static uint8_t model[IMAGE];

static void stop(void)
{
	wb_sim_clear(&sim);
}

TestSuite(faults, .fini = stop);

static void start_with(const struct wb_sim_params *params)
{
	struct wb_sim_params p = params ? *params : (struct wb_sim_params){ 0 };

	p.image_bytes = IMAGE;
	p.backing_fill = 9;
	wb_sim_init(&sim, &p);
	memset(model, 9, IMAGE);
	cr_assert(wb_sim_open(&sim, NULL));
}

/* --- the sweep ------------------------------------------------------------------ */

struct sweep {
	const char *name;
	struct wb_fault fault;
	bool is_on_backing;
	bool switches_modes;		/* of the cache, in the middle of the work */
};

static struct wb_store *faulty_of(const struct sweep *sweep)
{
	return sweep->is_on_backing ? sim.backing_disk.faulty : sim.cache_disk.faulty;
}

/* Reads may say EIO while a disk fails to read, and so may writes that need
 * such a read; everything else is tried again inside. */
static void expect_result(const struct sweep *sweep, int error, const char *what)
{
	if (error == 0)
		return;
	cr_assert_eq(error, -EIO, "%s: %s ended with %d", sweep->name, what, error);
	cr_assert_eq(sweep->fault.op, WB_IO_READ, "%s: %s failed", sweep->name, what);
}

static void fill(const struct sweep *sweep, uint64_t at, uint8_t value, uint64_t bytes)
{
	/* What failed once goes well the second time: the fault is over. */
	for (int tries = 0; tries < 2; tries++) {
		int error = wb_sim_fill(&sim, at, value, bytes, 0);

		expect_result(sweep, error, "a write");
		if (!error)
			break;
		cr_assert_eq(tries, 0, "%s: a write failed twice", sweep->name);
	}
	memset(model + at, value, bytes);
}

static void zero(const struct sweep *sweep, uint64_t at, uint64_t bytes)
{
	for (int tries = 0; tries < 2; tries++) {
		int error = wb_sim_zero(&sim, at, bytes, 0);

		expect_result(sweep, error, "a discard");
		if (!error)
			break;
		cr_assert_eq(tries, 0, "%s: a discard failed twice", sweep->name);
	}
	memset(model + at, 0, bytes);
}

static void expect_model(const struct sweep *sweep, const char *when)
{
	static uint8_t data[IMAGE];

	for (uint64_t at = 0; at < IMAGE; at += 8 * BLOCK) {
		int error = wb_sim_read(&sim, at, data + at, 8 * BLOCK);

		expect_result(sweep, error, "a read");
		if (error)
			error = wb_sim_read(&sim, at, data + at, 8 * BLOCK);
		cr_assert_eq(error, 0, "%s: a read failed twice", sweep->name);
	}
	for (uint64_t i = 0; i < IMAGE; i++)
		cr_assert_eq(data[i], model[i], "%s %s: byte %lu is %u, not %u", sweep->name, when,
			     i, data[i], model[i]);
}

static void switch_mode(const struct sweep *sweep, enum wb_cache_mode mode)
{
	struct wb_tunables tunables;

	if (!sweep->switches_modes)
		return;
	wb_cache_get_tunables(sim.cache, &tunables);
	tunables.cache_mode = sim.cache_mode = mode;
	wb_cache_set_tunables(sim.cache, &tunables);
}

/* What went around the cache may be gone with a flush of the backing that failed.
 * Whoever hears of it writes again. */
static void write_again(const struct sweep *sweep, int error, const char *what)
{
	cr_assert_eq(error, -EIO, "%s: %s ended with %d", sweep->name, what, error);
	cr_assert(sweep->switches_modes && sweep->is_on_backing &&
		  sweep->fault.op == WB_IO_FLUSH, "%s: %s failed", sweep->name, what);
	cr_assert_neq(wb_sim_counter(&sim, WB_STAT_BYPASSED_BYTES), 0);
	for (uint64_t at = 0; at < IMAGE; at += 8 * BLOCK)
		cr_assert_eq(wb_sim_write(&sim, at, model + at, 8 * BLOCK, 0), 0);
}

static void sync_all(const struct sweep *sweep)
{
	int error = wb_sim_sync(&sim);

	if (!error)
		return;
	write_again(sweep, error, "a sync");
	cr_assert_eq(wb_sim_sync(&sim), 0);
}

/* A drain leaves it to the next sync to forget what was lost. */
static void drain(const struct sweep *sweep)
{
	int error = wb_sim_drain(&sim);

	if (error) {
		write_again(sweep, error, "a drain");
		cr_assert_eq(wb_sim_drain(&sim), -EIO);
		cr_assert_eq(wb_sim_sync(&sim), -EIO);
		cr_assert_eq(wb_sim_drain(&sim), 0, "%s: a drain failed", sweep->name);
	}
	cr_assert_eq(memcmp(wb_sim_backing_bytes(&sim), model, IMAGE), 0,
		     "%s: the backing is wrong after a drain", sweep->name);
}

/* What one mode leaves dirty, or pending, the other writes over. */
static void cross_modes(const struct sweep *sweep)
{
	for (unsigned i = 0; sweep->switches_modes && i < 9; i++) {
		uint64_t at = i * 6 * BLOCK;

		switch_mode(sweep, (enum wb_cache_mode)(i / 3));
		fill(sweep, at, (uint8_t)(40 + i), 3 * BLOCK);
		zero(sweep, at + 4 * BLOCK, 2 * BLOCK);
		switch_mode(sweep, (enum wb_cache_mode)(i % 3));
		fill(sweep, at + BLOCK, (uint8_t)(50 + i), 4 * BLOCK);
		if (i == 4)
			sync_all(sweep);
	}
}

/* When all is written back, so that no batch flushes for it. */
static void sync_around(const struct sweep *sweep)
{
	switch_mode(sweep, WB_MODE_WRITEAROUND);
	if (sweep->switches_modes)
		fill(sweep, 61 * BLOCK, 77, 2 * BLOCK);
	sync_all(sweep);
}

static void work(const struct sweep *sweep)
{
	for (unsigned i = 0; i < 6; i++) {
		switch_mode(sweep, (enum wb_cache_mode)((i + 2) % 3));
		fill(sweep, i * 9 * BLOCK, (uint8_t)(i + 1), 7 * BLOCK);
		fill(sweep, i * 5 * BLOCK + 300, (uint8_t)(i + 11), 2 * BLOCK);
		if (i % 2)
			sync_all(sweep);
	}
	zero(sweep, 10 * BLOCK + 100, 12 * BLOCK);
	fill(sweep, 15 * BLOCK + 512, 33, 1024);
	cross_modes(sweep);
	expect_model(sweep, "in the middle");
}

static void open_after_faults(const struct sweep *sweep)
{
	g_autoptr(GError) error = NULL;

	for (unsigned tries = 0; !wb_sim_open(&sim, &error); tries++) {
		cr_assert_lt(tries, 2, "%s: %s", sweep->name, error->message);
		g_clear_error(&error);
	}
}

/* TRUE when the fault was met. */
static bool run(const struct sweep *sweep, uint64_t nth)
{
	struct wb_sim_params params = { .seed = nth };
	struct wb_fault fault = sweep->fault;
	uint64_t hits;

	start_with(&params);
	fault.first = nth;
	wb_store_faulty_add(faulty_of(sweep), &fault);
	work(sweep);
	drain(sweep);
	work(sweep);
	/* A stop may say that it failed; then the log recovers as after a crash. */
	wb_sim_close(&sim);
	open_after_faults(sweep);
	expect_model(sweep, "after a stop");
	work(sweep);
	sync_all(sweep);
	sync_around(sweep);
	hits = wb_store_faulty_hit_count(faulty_of(sweep));
	wb_sim_kill(&sim);
	wb_sim_cut_power(&sim);
	open_after_faults(sweep);
	expect_model(sweep, "after a power cut");
	wb_sim_clear(&sim);
	return hits > 0;
}

static void run_sweep(const struct sweep *sweep)
{
	uint64_t nth = 1;

	while (run(sweep, nth)) {
		nth++;
		cr_assert_lt(nth, 2000);
	}
	cr_expect_gt(nth, 1, "%s: never met", sweep->name);
	start_with(NULL);
}

#define SWEEP_IN(test_name, ...)                                        \
	Test(faults, test_name)                                         \
	{                                                               \
		const struct sweep sweep = { #test_name, __VA_ARGS__ }; \
		run_sweep(&sweep);                                      \
	}
#define SWEEP(test_name, ...) SWEEP_IN(test_name, __VA_ARGS__, false)
#define SWEEP_SWITCHING(test_name, ...) \
	SWEEP_IN(test_name##_while_the_mode_is_switched, __VA_ARGS__, true)

SWEEP(each_write_to_the_cache_may_fail_once,
      { .op = WB_IO_WRITE, .io_class = WB_FAULT_ANY }, false)
SWEEP(each_write_to_the_cache_may_be_done_and_yet_fail,
      { .op = WB_IO_WRITE, .io_class = WB_FAULT_ANY, .effect = WB_FAULT_FAIL_LATE }, false)
SWEEP(each_write_to_the_cache_may_fail_half_way,
      { .op = WB_IO_WRITE, .io_class = WB_FAULT_ANY, .effect = WB_FAULT_FAIL_SHORT }, false)
SWEEP(each_flush_of_the_cache_may_fail_once,
      { .op = WB_IO_FLUSH, .io_class = WB_FAULT_ANY }, false)
SWEEP(each_read_of_the_cache_may_fail_once,
      { .op = WB_IO_READ, .io_class = WB_FAULT_ANY }, false)
SWEEP(each_write_to_the_backing_may_fail_once,
      { .op = WB_IO_WRITE, .io_class = WB_FAULT_ANY }, true)
SWEEP(each_write_to_the_backing_may_fail_half_way,
      { .op = WB_IO_WRITE, .io_class = WB_FAULT_ANY, .effect = WB_FAULT_FAIL_SHORT }, true)
SWEEP(each_flush_of_the_backing_may_fail_once,
      { .op = WB_IO_FLUSH, .io_class = WB_FAULT_ANY }, true)
SWEEP(each_read_of_the_backing_may_fail_once,
      { .op = WB_IO_READ, .io_class = WB_FAULT_ANY }, true)
SWEEP(each_punch_of_the_backing_may_fail_once,
      { .op = WB_IO_ZERO, .io_class = WB_FAULT_ANY }, true)
SWEEP(each_write_to_the_backing_may_find_no_room_once,
      { .op = WB_IO_WRITE, .io_class = WB_FAULT_ANY, .error = -ENOSPC }, true)

SWEEP_SWITCHING(each_write_to_the_cache_may_fail_once,
      { .op = WB_IO_WRITE, .io_class = WB_FAULT_ANY }, false)
SWEEP_SWITCHING(each_flush_of_the_cache_may_fail_once,
      { .op = WB_IO_FLUSH, .io_class = WB_FAULT_ANY }, false)
SWEEP_SWITCHING(each_read_of_the_cache_may_fail_once,
      { .op = WB_IO_READ, .io_class = WB_FAULT_ANY }, false)
SWEEP_SWITCHING(each_write_to_the_backing_may_fail_once,
      { .op = WB_IO_WRITE, .io_class = WB_FAULT_ANY }, true)
SWEEP_SWITCHING(each_write_to_the_backing_may_fail_half_way,
      { .op = WB_IO_WRITE, .io_class = WB_FAULT_ANY, .effect = WB_FAULT_FAIL_SHORT }, true)
SWEEP_SWITCHING(each_flush_of_the_backing_may_fail_once,
      { .op = WB_IO_FLUSH, .io_class = WB_FAULT_ANY }, true)

/* --- disks that go on failing ------------------------------------------------------- */

static void fails_for_ever(struct wb_store *faulty, enum wb_io_op op, int error)
{
	struct wb_fault fault = { .op = (int)op, .io_class = WB_FAULT_ANY, .error = error,
				  .count = WB_FAULT_FOR_EVER };

	wb_store_faulty_add(faulty, &fault);
}

static void pass_minutes(unsigned minutes)
{
	for (unsigned i = 0; i < minutes * 6; i++) {
		wb_sim_pass_time(&sim, UINT64_C(10000000000));
		wb_sim_settle(&sim);
	}
}

static void expect_block(uint64_t address, uint8_t value)
{
	uint8_t data[BLOCK];

	cr_assert_eq(wb_sim_read(&sim, address * BLOCK, data, BLOCK), 0);
	for (unsigned i = 0; i < BLOCK; i++)
		cr_assert_eq(data[i], value);
}

static enum wb_cache_state state(void)
{
	struct wb_stats_snapshot stats;

	wb_sim_stats(&sim, &stats);
	return stats.state;
}

Test(faults, a_cache_disk_that_cannot_be_written_is_said_to_have_failed)
{
	struct wb_stats_snapshot stats;

	start_with(NULL);
	fails_for_ever(sim.cache_disk.faulty, WB_IO_WRITE, -EIO);
	cr_assert_eq(wb_sim_fill(&sim, 0, 1, BLOCK, 0), 0);
	cr_expect_eq(wb_sim_sync(&sim), -EIO);
	cr_expect_eq(state(), WB_CACHE_FAILED);
	cr_expect_eq(wb_sim_sync(&sim), -EIO);
	cr_expect_eq(wb_sim_fill(&sim, BLOCK, 2, BLOCK, 0), -EIO);
	cr_expect_eq(wb_sim_zero(&sim, BLOCK, BLOCK, 0), -EIO);
	expect_block(0, 1);
	expect_block(2, 9);
	wb_sim_stats(&sim, &stats);
	cr_expect_neq(stats.last_error[0], '\0');
}

Test(faults, a_cache_disk_that_heals_makes_everything_durable)
{
	start_with(NULL);
	fails_for_ever(sim.cache_disk.faulty, WB_IO_WRITE, -EIO);
	cr_assert_eq(wb_sim_fill(&sim, 0, 1, BLOCK, 0), 0);
	cr_expect_eq(wb_sim_sync(&sim), -EIO);
	wb_store_faulty_clear(sim.cache_disk.faulty);
	pass_minutes(2);
	cr_expect_eq(state(), WB_CACHE_RUNNING);
	cr_expect_eq(wb_sim_fill(&sim, BLOCK, 2, BLOCK, 0), 0);
	cr_expect_eq(wb_sim_sync(&sim), 0);
	wb_sim_kill(&sim);
	wb_sim_cut_power(&sim);
	cr_assert(wb_sim_open(&sim, NULL));
	expect_block(0, 1);
	expect_block(1, 2);
}

Test(faults, the_same_holds_for_flushes)
{
	start_with(NULL);
	fails_for_ever(sim.cache_disk.faulty, WB_IO_FLUSH, -EIO);
	cr_assert_eq(wb_sim_fill(&sim, 0, 1, BLOCK, 0), 0);
	cr_assert_eq(wb_sim_fill(&sim, 20 * BLOCK, 1, 20 * BLOCK, 0), 0);
	cr_expect_eq(wb_sim_sync(&sim), -EIO);
	cr_expect_eq(state(), WB_CACHE_FAILED);
	wb_store_faulty_clear(sim.cache_disk.faulty);
	pass_minutes(2);
	cr_expect_eq(state(), WB_CACHE_RUNNING);
	cr_expect_eq(wb_sim_sync(&sim), 0);
	wb_sim_kill(&sim);
	wb_sim_cut_power(&sim);
	cr_assert(wb_sim_open(&sim, NULL));
	expect_block(0, 1);
	expect_block(39, 1);
}

Test(faults, writers_that_wait_hear_that_the_cache_has_failed)
{
	struct wb_sim_op *op;

	start_with(NULL);
	fails_for_ever(sim.cache_disk.faulty, WB_IO_WRITE, -EIO);
	for (unsigned i = 0; i < 16; i++) {
		op = wb_sim_prepare(&sim, WB_WRITE, 0, 0, 16 * BLOCK);
		memset(op->data, 1, 16 * BLOCK);
		wb_sim_submit(op);
	}
	for (unsigned i = 0; i < 16; i++)
		cr_assert(wb_sim_finishes(&sim.ops[i]));
	cr_expect_eq(sim.ops[15].error, -EIO);
	for (unsigned i = 0; i < 16; i++)
		wb_sim_release(&sim.ops[i]);
}

Test(faults, a_clean_stop_tries_a_failed_cache_once_more)
{
	start_with(NULL);
	fails_for_ever(sim.cache_disk.faulty, WB_IO_WRITE, -EIO);
	cr_assert_eq(wb_sim_fill(&sim, 0, 1, BLOCK, 0), 0);
	cr_expect_eq(wb_sim_sync(&sim), -EIO);
	cr_expect_eq(state(), WB_CACHE_FAILED);
	wb_store_faulty_clear(sim.cache_disk.faulty);
	cr_expect_eq(wb_sim_close(&sim), 0);
	cr_assert(wb_sim_open(&sim, NULL));
	expect_block(0, 1);
}

/* Nothing is dirty any more, but no superblock says so: no place may be used. */
Test(faults, a_writer_in_a_full_ring_hears_that_no_superblock_can_be_written)
{
	struct wb_sim_params params = { .no_writeback = true };
	struct wb_stats_snapshot stats;
	struct wb_sim_op *op;

	wb_sim_init(&sim, &params);
	cr_assert(wb_sim_open(&sim, NULL));
	for (unsigned i = 0; i < 6; i++)
		cr_assert_eq(wb_sim_fill(&sim, i * 15 * BLOCK, (uint8_t)(i + 1), 15 * BLOCK,
					 WB_REQUEST_FUA), 0);
	wb_sim_stats(&sim, &stats);
	cr_assert_eq(stats.segments_free, 2, "what is left is the reserve");
	fails_for_ever(sim.cache_disk.faulty, WB_IO_WRITE, -EIO);
	op = wb_sim_prepare(&sim, WB_WRITE, 0, 0, 15 * BLOCK);
	memset(op->data, 99, 15 * BLOCK);
	wb_sim_submit(op);
	cr_assert(wb_sim_finishes(op), "it waits for ever");
	cr_expect_eq(op->error, -EIO);
	wb_sim_release(op);
	cr_expect_eq(state(), WB_CACHE_FAILED);
	wb_store_faulty_clear(sim.cache_disk.faulty);
	pass_minutes(2);
	cr_expect_eq(state(), WB_CACHE_RUNNING);
	cr_expect_eq(wb_sim_fill(&sim, 0, 98, 15 * BLOCK, WB_REQUEST_FUA), 0);
	expect_block(0, 98);
}

Test(faults, a_failing_superblock_does_not_keep_the_program_busy)
{
	struct wb_fault fault = { .op = WB_IO_WRITE, .io_class = WB_FAULT_ANY,
				  .length_bytes = 1 << 20, .count = WB_FAULT_FOR_EVER };
	struct wb_sim_op *ops[12];
	uint64_t before;

	start_with(NULL);
	wb_store_faulty_add(sim.cache_disk.faulty, &fault);
	for (unsigned i = 0; i < 12; i++) {
		ops[i] = wb_sim_prepare(&sim, WB_WRITE, 0, (i % 4) * 16 * BLOCK, 16 * BLOCK);
		memset(ops[i]->data, (int)i, 16 * BLOCK);
		wb_sim_submit(ops[i]);
	}
	before = sim.step_count;
	wb_sim_settle(&sim);
	cr_expect_lt(sim.step_count - before, 10000);
	wb_store_faulty_clear(sim.cache_disk.faulty);
	for (unsigned i = 0; i < 12; i++) {
		cr_assert_eq(wb_sim_wait(ops[i]), 0);
		wb_sim_release(ops[i]);
	}
}

Test(faults, a_backing_without_room_keeps_blocks_dirty_and_heals)
{
	struct wb_stats_snapshot stats;

	start_with(NULL);
	fails_for_ever(sim.backing_disk.faulty, WB_IO_WRITE, -ENOSPC);
	cr_assert_eq(wb_sim_fill(&sim, 0, 1, 20 * BLOCK, 0), 0);
	cr_expect_eq(wb_sim_drain(&sim), -EIO);
	wb_sim_stats(&sim, &stats);
	cr_expect_eq(stats.dirty_blocks, 20);
	cr_expect_eq(stats.state, WB_CACHE_RUNNING);
	expect_block(0, 1);
	wb_store_faulty_clear(sim.backing_disk.faulty);
	pass_minutes(2);
	cr_expect_eq(wb_sim_drain(&sim), 0);
	wb_sim_stats(&sim, &stats);
	cr_expect_eq(stats.dirty_blocks, 0);
	cr_expect_eq(wb_sim_backing_bytes(&sim)[19 * BLOCK], 1);
}

Test(faults, a_failed_backing_flush_leaves_the_batch_dirty_and_writes_it_again)
{
	uint64_t before;

	start_with(NULL);
	cr_assert_eq(wb_sim_fill(&sim, 0, 1, 4 * BLOCK, 0), 0);
	wb_store_crashy_fail_flush(sim.backing_disk.crashy, 1);
	before = wb_store_counting_ios(sim.backing_disk.counting, WB_IO_WRITE);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	cr_expect_geq(wb_store_counting_ios(sim.backing_disk.counting, WB_IO_WRITE) - before, 2);
	cr_assert_eq(wb_sim_close(&sim), 0);
	wb_sim_cut_power(&sim);
	cr_expect_eq(wb_sim_backing_bytes(&sim)[0], 1);
	cr_assert(wb_sim_open(&sim, NULL));
}

Test(faults, a_failed_log_flush_writes_everything_again)
{
	for (uint64_t nth = 1; nth <= 6; nth++) {
		start_with(NULL);
		wb_store_crashy_fail_flush(sim.cache_disk.crashy, nth);
		for (unsigned i = 0; i < 6; i++) {
			cr_assert_eq(wb_sim_fill(&sim, i * 8 * BLOCK, (uint8_t)i, 5 * BLOCK, 0), 0);
			cr_assert_eq(wb_sim_fill(&sim, i * 8 * BLOCK, (uint8_t)i, BLOCK, 0), 0);
			cr_assert_eq(wb_sim_sync(&sim), 0);
		}
		wb_sim_kill(&sim);
		wb_sim_cut_power(&sim);
		cr_assert(wb_sim_open(&sim, NULL));
		for (unsigned i = 0; i < 6; i++)
			expect_block(i * 8 + 4, (uint8_t)i);
		wb_sim_clear(&sim);
	}
	start_with(NULL);
}
