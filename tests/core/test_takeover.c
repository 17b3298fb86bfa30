/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Opening in place of a process that died, with the memory that outlives it: nothing
 * that was acknowledged is missing (P4), what was executed is not executed again, and
 * what does not fit is refused. crash_sim --deaths has the histories.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "cache/cache_private.h"
#include "format/endian.h"
#include "support/store_memory.h"
#include "support/volume_sim.h"

#define BLOCK 4096u
#define NUMBER UINT64_C(1) << 40	/* of requests that the simulation does not give */

static struct wb_sim sim;

static void stop(void)
{
	wb_sim_clear(&sim);
}

TestSuite(takeover, .fini = stop);

static void start(void)
{
	wb_sim_init(&sim, &(struct wb_sim_params){ .keeps_memory = true, .no_writeback = true,
						   .ram_segments = 6, .backing_fill = 9 });
	cr_assert(wb_sim_open(&sim, NULL));
}

/* Between two steps; what is at the disks lands, or does not. */
static void die(void)
{
	g_autofree char *memory = g_memdup2(sim.memory.base, sim.memory.bytes);

	sim.crash_clock.has_crashed = true;
	wb_sim_kill(&sim);
	wb_store_crashy_survive(sim.cache_disk.crashy, &sim.prng);
	wb_store_crashy_survive(sim.backing_disk.crashy, &sim.prng);
	sim.crash_clock.has_crashed = false;
	memcpy(sim.memory.base, memory, sim.memory.bytes);
	sim.memory.is_left = true;
}

static void open_again(void)
{
	g_autoptr(GError) error = NULL;

	cr_assert(wb_sim_open(&sim, &error), "%s", error->message);
}

static void die_and_open(void)
{
	die();
	open_again();
}

static void write_byte(unsigned block, uint8_t value)
{
	cr_assert_eq(wb_sim_fill(&sim, block * BLOCK, value, BLOCK, 0), 0);
}

static int byte_of(unsigned block)
{
	uint8_t data[BLOCK];
	int error = wb_sim_read(&sim, block * BLOCK, data, BLOCK);

	for (unsigned i = 1; !error && i < BLOCK; i++)
		cr_assert_eq(data[i], data[0]);
	return error ? error : data[0];
}

static void expect_refused(const char *words)
{
	g_autoptr(GError) error = NULL;

	cr_assert_not(wb_sim_open(&sim, &error));
	cr_expect(strstr(error->message, words) != NULL, "%s", error->message);
}

static uint64_t backing_ios(void)
{
	return wb_store_counting_ios(sim.backing_disk.counting, WB_IO_READ) +
	       wb_store_counting_ios(sim.backing_disk.counting, WB_IO_WRITE) +
	       wb_store_counting_ios(sim.backing_disk.counting, WB_IO_FLUSH);
}

static struct wb_region *region(void)
{
	return wb_rambuf_region(sim.cache->path.rambuf);
}

Test(takeover, what_was_acknowledged_and_not_synced_is_there_and_durable)
{
	struct wb_stats_snapshot stats;

	start();
	for (unsigned i = 0; i < 40; i++)
		write_byte(i, (uint8_t)(i + 1));
	cr_assert_eq(wb_sim_zero(&sim, 3 * BLOCK, BLOCK, 0), 0);
	die_and_open();
	wb_sim_stats(&sim, &stats);
	cr_expect_eq(stats.durable_sequence, stats.head_sequence);
	wb_sim_kill(&sim);
	sim.memory.is_left = false;
	wb_sim_cut_power(&sim);
	open_again();
	for (unsigned i = 0; i < 40; i++)
		cr_expect_eq(byte_of(i), i == 3 ? 0 : (int)i + 1);
}

Test(takeover, the_epoch_stays_and_nothing_but_the_log_is_written)
{
	struct wb_stats_snapshot stats;
	uint8_t superblock[2 * BLOCK], *cache;
	uint64_t epoch, backing_before;

	start();
	write_byte(1, 1);
	wb_sim_stats(&sim, &stats);
	epoch = stats.epoch;
	cache = wb_sim_cache_bytes(&sim);
	memcpy(superblock, cache, BLOCK);
	memcpy(superblock + BLOCK, cache + wb_superblock_offset(1), BLOCK);
	die();
	backing_before = backing_ios();
	open_again();
	cr_expect_eq(backing_ios(),
		     backing_before);
	wb_sim_stats(&sim, &stats);
	cr_expect_eq(stats.epoch, epoch);
	cr_expect_eq(memcmp(superblock, cache, BLOCK), 0);
	cr_expect_eq(memcmp(superblock + BLOCK, cache + wb_superblock_offset(1), BLOCK), 0);
	cr_expect_eq(byte_of(1), 1);
}

/* The next one may not come for long, because of the backing, or never. */
Test(takeover, what_is_saved_before_the_opening_needs_no_memory_any_more)
{
	uint64_t backing_before;

	start();
	for (unsigned i = 0; i < 40; i++)
		write_byte(i, (uint8_t)(i + 1));
	cr_assert_eq(wb_sim_zero(&sim, 3 * BLOCK, BLOCK, 0), 0);
	die();
	backing_before = backing_ios();
	cr_assert(wb_sim_save_memory(&sim, NULL));
	cr_expect_eq(backing_ios(), backing_before);
	sim.memory.is_left = false;
	memset(sim.memory.base, 0xee, sim.memory.bytes);
	wb_sim_cut_power(&sim);
	open_again();
	for (unsigned i = 0; i < 40; i++)
		cr_expect_eq(byte_of(i), i == 3 ? 0 : (int)i + 1);
}

Test(takeover, what_is_saved_can_be_saved_again_and_be_taken_over)
{
	unsigned written = 0;

	start();
	for (unsigned round = 0; round < 6; round++) {
		for (unsigned i = 0; i < 13; i++, written++)
			write_byte(written, (uint8_t)(written + 1));
		die();
		for (unsigned saved = 0; saved < round; saved++)
			cr_assert(wb_sim_save_memory(&sim, NULL));
		open_again();
		for (unsigned i = 0; i < written; i++)
			cr_assert_eq(byte_of(i), (int)i + 1);
	}
}

Test(takeover, what_could_not_be_saved_is_still_there)
{
	start();
	write_byte(1, 1);
	die_and_open();
	write_byte(2, 2);
	die();
	wb_store_faulty_add(sim.cache_disk.faulty, &(struct wb_fault){
			.op = WB_IO_WRITE, .io_class = WB_FAULT_ANY, .count = 100 });
	cr_assert_not(wb_sim_save_memory(&sim, NULL));
	wb_store_faulty_clear(sim.cache_disk.faulty);
	open_again();
	cr_expect_eq(byte_of(1), 1);
	cr_expect_eq(byte_of(2), 2);
}

Test(takeover, after_a_clean_stop_there_is_nothing_to_save)
{
	start();
	write_byte(1, 1);
	cr_assert_eq(wb_sim_close(&sim), 0);
	sim.memory.is_left = true;
	cr_expect(wb_sim_save_memory(&sim, NULL));
	open_again();
	cr_expect_eq(byte_of(1), 1);
}

Test(takeover, deaths_upon_deaths)
{
	start();
	for (unsigned i = 0; i < 30; i++) {
		write_byte(i % 7, (uint8_t)(i + 1));
		die_and_open();
	}
	for (unsigned i = 0; i < 7; i++)
		cr_expect_eq(byte_of(i), i < 2 ? (int)i + 29 : (int)i + 22);
}

/* A request that is executed and waits for its flush. */
static struct wb_sim_op *begin(enum wb_request_op kind, unsigned block, uint8_t value)
{
	struct wb_sim_op *op = wb_sim_prepare(&sim, kind, WB_REQUEST_FUA, block * BLOCK, BLOCK);

	if (kind == WB_WRITE)
		memset(op->data, value, BLOCK);
	wb_sim_submit(op);
	return op;
}

static void resend(enum wb_request_op kind, uint64_t id, unsigned block, uint8_t value)
{
	struct wb_sim_op *op = wb_sim_prepare(&sim, kind, WB_REQUEST_FUA, block * BLOCK, BLOCK);

	if (kind == WB_WRITE)
		memset(op->data, value, BLOCK);
	op->id = id;
	op->is_resent = true;
	op->cursor_bytes = MAX(op->offset_bytes, wb_region_find_left(region(), id));
	wb_sim_submit(op);
	cr_expect_eq(wb_sim_wait(op), 0);
	wb_sim_release(op);
}

Test(takeover, a_write_that_was_executed_is_not_executed_again)
{
	struct wb_sim_op *op;
	uint64_t id;

	start();
	op = begin(WB_WRITE, 5, 1);
	id = op->id;
	cr_assert_not(op->is_finished);
	write_byte(5, 2);
	die_and_open();
	resend(WB_WRITE, id, 5, 1);
	cr_expect_eq(byte_of(5), 2);
}

Test(takeover, a_discard_that_was_executed_is_not_executed_again)
{
	struct wb_sim_op *op;
	uint64_t id;

	start();
	op = begin(WB_ZERO, 5, 0);
	id = op->id;
	cr_assert_not(op->is_finished);
	write_byte(5, 2);
	die_and_open();
	resend(WB_ZERO, id, 5, 0);
	cr_expect_eq(byte_of(5), 2);
}

Test(takeover, a_write_around_the_cache_that_was_executed_is_not_executed_again)
{
	struct wb_sim_op *op;
	uint64_t id;

	start();
	wb_sim_set(&sim, "cache_mode", "writearound");
	op = begin(WB_WRITE, 5, 1);
	id = op->id;
	while (op->request->cursor_bytes < 6 * BLOCK)
		cr_assert(wb_sim_step(&sim));
	cr_assert_not(op->is_finished);
	wb_sim_set(&sim, "cache_mode", "writeback");
	write_byte(5, 2);
	die_and_open();
	resend(WB_WRITE, id, 5, 1);
	cr_expect_eq(byte_of(5), 2);
}

Test(takeover, what_was_executed_is_known_after_several_deaths_and_a_clean_stop)
{
	struct wb_sim_op *op;
	uint64_t id;

	start();
	op = begin(WB_WRITE, 5, 1);
	id = op->id;
	write_byte(5, 2);
	die_and_open();
	die_and_open();
	cr_assert_eq(wb_sim_close(&sim), 0);
	open_again();
	die_and_open();
	resend(WB_WRITE, id, 5, 1);
	cr_expect_eq(byte_of(5), 2);
	/* Once: then it is a request like any other. */
	cr_expect_eq(wb_region_find_left(region(), id), 0);
}

Test(takeover, a_request_that_nobody_knows_is_executed)
{
	start();
	write_byte(5, 2);
	die_and_open();
	resend(WB_WRITE, NUMBER, 5, 1);
	cr_expect_eq(byte_of(5), 1);
}

Test(takeover, requests_that_were_answered_make_room_in_the_end)
{
	start();
	for (unsigned i = 0; i < 200; i++) {
		struct wb_sim_op *op = begin(WB_WRITE, i % 3, (uint8_t)i);

		/* answered, and the place still says so */
		cr_expect_eq(wb_sim_wait(op), 0);
		die_and_open();
	}
	resend(WB_WRITE, NUMBER, 5, 1);
	cr_expect_eq(byte_of(5), 1);
}

Test(takeover, a_flush_of_the_backing_that_is_owed_stays_owed)
{
	uint8_t *backing;

	start();
	wb_sim_set(&sim, "cache_mode", "writearound");
	write_byte(5, 1);
	die();
	cr_expect(wb_cache_memory_owes_flush(&sim.memory));
	open_again();
	cr_assert_eq(wb_sim_sync(&sim), 0);
	die();
	cr_expect_not(wb_cache_memory_owes_flush(&sim.memory));
	sim.memory.is_left = false;
	wb_sim_cut_power(&sim);
	backing = wb_sim_backing_bytes(&sim);
	cr_expect_eq(backing[5 * BLOCK], 1);
}

/* What an upgrade makes durable before it hands over; and a stop that was refused. */
Test(takeover, an_error_that_only_the_flush_before_it_was_told_of_is_told_to_a_sync)
{
	start();
	wb_sim_set(&sim, "cache_mode", "writearound");
	write_byte(5, 1);
	wb_store_crashy_fail_flush(sim.backing_disk.crashy, 1);
	wb_cache_start_flush(sim.cache);
	wb_sim_settle(&sim);
	die_and_open();
	cr_expect_eq(wb_sim_sync(&sim), -EIO);
	cr_expect_eq(wb_sim_sync(&sim), 0);
}

Test(takeover, an_error_that_a_sync_has_to_be_told_is_told)
{
	start();
	wb_sim_set(&sim, "cache_mode", "writearound");
	write_byte(5, 1);
	wb_store_crashy_fail_flush(sim.backing_disk.crashy, 1);
	wb_backing_flush_want(sim.cache->path.backing_flush);
	wb_sim_settle(&sim);
	die_and_open();
	cr_expect_eq(wb_sim_sync(&sim), -EIO);
	cr_expect_eq(wb_sim_sync(&sim), 0);
	die_and_open();
	cr_expect_eq(wb_sim_sync(&sim), 0);
}

/* Three blocks in the first record, of which the second one is wrong in the memory. */
static void die_with_a_wrong_block(void)
{
	struct wb_region_run run;

	start();
	write_byte(1, 1);
	write_byte(2, 2);
	write_byte(3, 3);
	die();
	for (uint32_t i = 0; i < 7; i++) {
		struct wb_region *left = wb_region_adopt(sim.memory.base, sim.memory.bytes);

		wb_region_get_run(left, i, &run);
		if (run.segment_id == 1)
			wb_region_buffer(left, i)[2 * BLOCK + 17] ^= 1;
		wb_region_free(left);
	}
}

static void expect_only_that_one_is_wrong(void)
{
	sim.memory.is_left = false;
	wb_sim_cut_power(&sim);
	open_again();
	cr_expect_eq(byte_of(1), 1);
	cr_expect_eq(byte_of(2), -EIO);
	cr_expect_eq(byte_of(3), 3);
}

Test(takeover, a_block_that_is_not_what_was_written_is_an_error_and_no_other)
{
	struct wb_stats_snapshot stats;

	die_with_a_wrong_block();
	open_again();
	wb_sim_stats(&sim, &stats);
	cr_expect(strstr(stats.last_error, "1 blocks in the memory that a former process left "
			 "are not what was written") != NULL, "%s", stats.last_error);
	/* Also when the power goes at once. */
	wb_sim_kill(&sim);
	expect_only_that_one_is_wrong();
}

Test(takeover, one_that_is_saved_before_the_opening_neither)
{
	die_with_a_wrong_block();
	cr_assert(wb_sim_save_memory(&sim, NULL));
	expect_only_that_one_is_wrong();
}

/* Nobody would look at the memory again. */
Test(takeover, what_cannot_be_claimed_is_not_saved_yet)
{
	struct wb_fault fault = { .op = WB_IO_WRITE, .io_class = WB_FAULT_ANY,
				  .length_bytes = WB_SUPERBLOCK_AREA_BYTES };

	for (fault.first = 1; fault.first <= 2; fault.first++) {
		die_with_a_wrong_block();
		wb_store_faulty_add(sim.cache_disk.faulty, &fault);
		cr_expect_not(wb_sim_save_memory(&sim, NULL));
		wb_store_faulty_clear(sim.cache_disk.faulty);
		cr_assert(wb_sim_save_memory(&sim, NULL));
		expect_only_that_one_is_wrong();
		stop();
	}
}

Test(takeover, a_place_that_cannot_be_written_is_given_up)
{
	struct wb_fault fault = { .op = WB_IO_WRITE, .io_class = WB_FAULT_ANY,
				  .count = WB_FAULT_FOR_EVER };
	struct wb_stats_snapshot stats;

	start();
	for (unsigned i = 0; i < 30; i++)
		write_byte(i, (uint8_t)(i + 1));
	fault.offset_bytes = wb_geometry_segment_offset(&sim.geometry, 0);
	fault.length_bytes = sim.geometry.segment_bytes;
	wb_store_faulty_add(sim.cache_disk.faulty, &fault);
	die_and_open();
	wb_sim_stats(&sim, &stats);
	cr_expect_eq(stats.epoch, 2);
	for (unsigned i = 0; i < 30; i++)
		cr_expect_eq(byte_of(i), (int)i + 1);
	/* and again, from what is on the disk alone */
	write_byte(40, 7);
	die_and_open();
	wb_sim_kill(&sim);
	sim.memory.is_left = false;
	open_again();
	for (unsigned i = 0; i < 30; i++)
		cr_expect_eq(byte_of(i), (int)i + 1);
	cr_expect_eq(byte_of(40), 7);
}

Test(takeover, a_disk_that_cannot_be_written_now_is_tried_again)
{
	struct wb_fault fault = { .op = WB_IO_WRITE, .io_class = WB_FAULT_ANY,
				  .count = WB_FAULT_FOR_EVER, .error = -ENOSPC };

	start();
	write_byte(1, 1);
	die();
	wb_store_faulty_add(sim.cache_disk.faulty, &fault);
	expect_refused("what a former process left in memory cannot be written to the log");
	wb_store_faulty_clear(sim.cache_disk.faulty);
	open_again();
	cr_expect_eq(byte_of(1), 1);
}

/* As a file on a server has it whose handle is not good any more. */
Test(takeover, a_disk_that_says_what_it_says_is_asked_a_few_times_and_no_more)
{
	struct wb_fault fault = { .op = WB_FAULT_ANY, .io_class = WB_FAULT_ANY, .count = 1000,
				  .error = -ESTALE };
	const int ops[] = { WB_IO_WRITE, WB_IO_FLUSH };

	for (unsigned i = 0; i < G_N_ELEMENTS(ops); i++) {
		start();
		write_byte(1, 1);
		die();
		fault.op = ops[i];
		wb_store_faulty_add(sim.cache_disk.faulty, &fault);
		expect_refused("cannot be written to the log: Stale file handle");
		cr_expect_leq(wb_store_faulty_hit_count(sim.cache_disk.faulty), 10);
		wb_store_faulty_clear(sim.cache_disk.faulty);
		open_again();
		cr_expect_eq(byte_of(1), 1);
		stop();
	}
}

/* --- what does not fit -------------------------------------------------------------- */

static void *head(void)
{
	return (char *)sim.memory.base + sim.memory.bytes - BLOCK;
}

Test(takeover, memory_of_another_version_is_refused)
{
	uint32_t version = 0;

	start();
	write_byte(1, 1);
	die();
	cr_expect_eq(wb_cache_memory_look(&sim.memory, &version), WB_CACHE_MEMORY_HOLDS);
	cr_expect_eq(version, WB_CACHE_MEMORY_VERSION);
	((uint32_t *)head())[2]++;
	cr_expect_eq(wb_cache_memory_look(&sim.memory, &version), WB_CACHE_MEMORY_UNKNOWN);
	cr_expect_eq(version, WB_CACHE_MEMORY_VERSION + 1);
	expect_refused("was laid out by another version of wbfs");
	((uint32_t *)head())[2]--;
	open_again();
	cr_expect_eq(byte_of(1), 1);
}

Test(takeover, memory_of_another_volume_is_refused)
{
	start();
	die();
	((char *)head())[24] ^= 1;
	expect_refused("it does not fit the memory of the process before, which is of "
		       "another volume");
}

Test(takeover, memory_with_other_buffers_is_refused)
{
	start();
	die();
	((uint32_t *)head())[4] *= 2;
	((uint32_t *)head())[3] /= 4;
	expect_refused("has buffers of another size");
}

Test(takeover, memory_for_too_few_requests_is_refused)
{
	start();
	write_byte(1, 1);
	die();
	sim.params.request_count++;
	expect_refused("the memory that a former process left is for 16 requests, not 17");
	sim.params.request_count--;
	open_again();
	cr_expect_eq(byte_of(1), 1);
}

Test(takeover, memory_that_is_too_small_is_refused)
{
	wb_sim_init(&sim, &(struct wb_sim_params){ .keeps_memory = true });
	sim.memory.bytes -= BLOCK;
	expect_refused("the memory for RAM buffers has");
}

Test(takeover, memory_whose_records_are_not_there_is_refused)
{
	struct wb_region *left;

	start();
	write_byte(1, 1);
	die();
	left = wb_region_adopt(sim.memory.base, sim.memory.bytes);
	for (uint32_t i = 0; i < wb_region_get_shape(left).buffer_count; i++)
		memset(wb_region_buffer(left, i), 0xee, BLOCK);
	wb_region_free(left);
	expect_refused("the memory that a former process left is damaged: record 1 of the log is "
		       "not where it should be");
}

/* --- a cache that another version has changed since ------------------------------------------ */

static void expect_refused_unchanged(const char *words)
{
	uint64_t bytes = sim.cache_disk.memory->size_bytes, ios = backing_ios();
	g_autofree uint8_t *cache = g_memdup2(wb_sim_cache_bytes(&sim), bytes);
	g_autofree uint8_t *memory = g_memdup2(sim.memory.base, sim.memory.bytes);
	g_autoptr(GError) error = NULL;

	expect_refused(words);
	cr_assert_not(wb_sim_save_memory(&sim, &error));
	cr_expect(strstr(error->message, words) != NULL, "%s", error->message);
	cr_expect_arr_eq(wb_sim_cache_bytes(&sim), cache, bytes);
	cr_expect_arr_eq(sim.memory.base, memory, sim.memory.bytes);
	cr_expect_eq(backing_ios(), ios);
}

static void add_ro_compat(struct wb_superblock_disk *superblock)
{
	superblock->ro_compat = wb_put_le64(1);
	memset(superblock->zero_104, 0x11, sizeof superblock->zero_104);
}

static void detach(struct wb_superblock_disk *superblock)
{
	superblock->incompat = wb_put_le64(WB_INCOMPAT_DETACHED);
}

static void add_compat(struct wb_superblock_disk *superblock)
{
	superblock->compat = wb_put_le64(1);
	memset(superblock->zero_104, 0x11, sizeof superblock->zero_104);
}

Test(takeover, nothing_is_written_to_a_cache_that_only_a_later_version_may_write_to)
{
	start();
	write_byte(1, 1);
	die();
	wb_sim_change_superblocks(&sim, add_ro_compat);
	expect_refused_unchanged("uses features of a later version of wbfs (ro_compat 0x1)");
}

Test(takeover, nothing_is_written_to_a_cache_that_was_detached)
{
	start();
	write_byte(1, 1);
	die();
	wb_sim_change_superblocks(&sim, detach);
	expect_refused_unchanged("was detached from its backing");
}

/* It says that all is as a later version left it, and now there are new records. */
Test(takeover, an_unknown_bit_of_compat_goes_before_anything_else_is_written)
{
	start();
	write_byte(1, 1);
	die();
	wb_sim_change_superblocks(&sim, add_compat);
	wb_store_faulty_add(sim.cache_disk.faulty, &(struct wb_fault){
			.op = WB_IO_WRITE, .io_class = WB_FAULT_ANY, .first = 3, .count = 100 });
	cr_assert_not(wb_sim_open(&sim, NULL));
	wb_store_faulty_clear(sim.cache_disk.faulty);
	for (unsigned copy = 0; copy < WB_SUPERBLOCK_COUNT; copy++) {
		const struct wb_superblock_disk *disk =
			(const void *)(wb_sim_cache_bytes(&sim) + wb_superblock_offset(copy));

		cr_expect_eq(wb_get_le64(disk->compat), 0, "copy %u", copy);
	}
	open_again();
	cr_expect_eq(byte_of(1), 1);
}

Test(takeover, after_a_clean_stop_the_memory_is_empty)
{
	start();
	write_byte(1, 1);
	cr_assert_eq(wb_sim_close(&sim), 0);
	sim.memory.is_left = true;
	cr_expect_eq(wb_cache_memory_look(&sim.memory, NULL), WB_CACHE_MEMORY_EMPTY);
	/* ... for any number of buffers and requests */
	sim.params.request_count--;
	open_again();
	cr_expect_eq(byte_of(1), 1);
	sim.params.request_count++;
}

Test(takeover, a_death_before_the_first_opening_is_over_leaves_nothing)
{
	wb_sim_init(&sim, &(struct wb_sim_params){ .keeps_memory = true });
	memset(sim.memory.base, 0xee, sim.memory.bytes);
	wb_store_faulty_add(sim.cache_disk.faulty, &(struct wb_fault){
			.op = WB_IO_WRITE, .io_class = WB_FAULT_ANY, .count = 10 });
	cr_assert_not(wb_sim_open(&sim, NULL));
	wb_store_faulty_clear(sim.cache_disk.faulty);
	sim.memory.is_left = true;
	open_again();
}
