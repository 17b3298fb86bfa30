/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The backing alone: requests of any offset, length and memory against a plain
 * copy of the image; writers that share sectors; disks that fail and that lose
 * power.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "cache/cache.h"
#include "support/prng.h"
#include "support/store_counting.h"
#include "support/store_crashy.h"
#include "support/store_faulty.h"
#include "support/store_memory.h"

#define SECTOR 512u
#define BLOCK 4096u
#define IMAGE (96u * BLOCK + 3 * SECTOR)
#define OPS 12u
#define OP_BYTES_MAX (3u << 18)
#define FILL 9

static struct wb_store *memory, *crashy, *faulty, *disk;
static struct wb_crash_clock crash_clock;
static struct wb_prng prng;
static struct wb_cache *cache;
static uint8_t *model;
static uint64_t image_bytes;
static struct wb_clock_manual hand_clock;

/* --- a backing, and requests that are stepped by hand ---------------------------- */

struct op {
	struct wb_request *request;
	uint8_t *memory, *data;		/* of the first byte */
	bool is_finished;
	int error;
};

static struct op ops[OPS];

static void open_as(enum wb_bare_access access)
{
	static const uint8_t uuid[16] = { 1, 2, 3 };
	struct wb_cache_config config = {
		.backing_store = disk, .clock = &hand_clock.clock,
		.worker_mode = WB_WORKER_MANUAL, .request_count = OPS,
		.tunables = WB_TUNABLES_DEFAULT,
	};
	GError *error = NULL;

	cache = wb_cache_open_bare(&config, access, uuid, &error);
	cr_assert(cache, "%s", error ? error->message : "");
}

static void make_disk(uint64_t bytes, uint32_t alignment, uint64_t seed)
{
	image_bytes = bytes;
	wb_prng_init(&prng, seed);
	wb_clock_manual_init(&hand_clock);
	memory = wb_store_memory_new(bytes, alignment, alignment);
	wb_store_memory_check_buffers(memory);
	if (seed)
		wb_store_memory_set_order(memory, WB_STORE_MEMORY_RANDOM, seed);
	memset(wb_store_memory_bytes(memory), FILL, bytes);
	model = g_malloc(bytes);
	memset(model, FILL, bytes);
	crash_clock = (struct wb_crash_clock){ 0 };
	crashy = wb_store_crashy_new(memory, &crash_clock);
	faulty = wb_store_faulty_new(crashy);
	disk = wb_store_counting_new(faulty);
}

static void start(uint32_t alignment, uint64_t seed)
{
	make_disk(alignment == SECTOR ? IMAGE : 96 * BLOCK, alignment, seed);
	open_as(WB_BARE_READ_WRITE);
}

static void stop(void)
{
	if (cache)
		wb_cache_close(cache, WB_CLOSE_ABANDON);
	cache = NULL;
	for (unsigned i = 0; i < OPS; i++) {
		g_aligned_free(ops[i].memory);
		ops[i] = (struct op){ 0 };
	}
	g_clear_pointer(&model, g_free);
	wb_store_close(disk);
	disk = NULL;
}

TestSuite(bare, .fini = stop);

static void done(struct wb_request *request, int error)
{
	struct op *op = wb_request_public(request)->user;

	cr_assert(!op->is_finished);
	op->is_finished = true;
	op->error = error;
}

/* READ: `skew` is 0. WRITE: how far its memory is from an aligned place. */
static struct op *prepare(enum wb_request_op kind, unsigned flags, uint64_t offset,
			  uint64_t length, unsigned skew)
{
	struct op *op = ops;

	while (op->request)
		op++;
	cr_assert(op < ops + OPS);
	if (!op->memory)
		op->memory = g_aligned_alloc(1, OP_BYTES_MAX + 4 * BLOCK, BLOCK);
	op->is_finished = false;
	op->request = wb_request_get(cache);
	cr_assert(op->request);
	op->data = op->memory + skew + (kind == WB_READ ? offset % BLOCK : 0);
	*wb_request_public(op->request) = (struct wb_request_public){
		.op = kind, .flags = flags, .offset_bytes = offset, .length_bytes = length,
		.buffer = op->memory + skew, .done = done, .user = op,
	};
	return op;
}

static void submit(struct op *op)
{
	int error = 0;

	if (wb_cache_submit(cache, op->request, &error) == WB_SUBMIT_FINISHED) {
		cr_assert(!op->is_finished);
		op->is_finished = true;
		op->error = error;
	}
}

static bool step(void)
{
	return wb_cache_run_one(cache, (unsigned)wb_prng_below(&prng, 5));
}

static int finish(struct op *op)
{
	while (!op->is_finished)
		cr_assert(step(), "a request hangs");
	wb_request_put(cache, op->request);
	op->request = NULL;
	return op->error;
}

static int run(enum wb_request_op kind, unsigned flags, uint64_t offset, uint64_t length)
{
	struct op *op = prepare(kind, flags, offset, length, 0);

	submit(op);
	return finish(op);
}

static int sync_all(void)
{
	return run(WB_SYNC, 0, 0, 0);
}

static int write_value(uint64_t offset, uint8_t value, uint64_t length, unsigned flags,
		       unsigned skew)
{
	struct op *op = prepare(WB_WRITE, flags, offset, length, skew);

	memset(op->data, value, length);
	submit(op);
	return finish(op);
}

static uint64_t counter(enum wb_stat which)
{
	struct wb_stats_snapshot snapshot;

	wb_cache_get_stats(cache, &snapshot);
	return snapshot.counter[which];
}

static void expect_disk_is_model(void)
{
	cr_assert_arr_eq(wb_store_memory_bytes(memory), model, image_bytes);
}

static void expect_read(uint64_t offset, uint64_t length)
{
	struct op *op = prepare(WB_READ, 0, offset, length, 0);

	submit(op);
	cr_assert_eq(finish(op), 0);
	cr_assert_arr_eq(op->data, model + offset, length, "at %lu, %lu bytes",
			 (unsigned long)offset, (unsigned long)length);
}

/* --- any request against a plain copy ------------------------------------------------ */

static void random_range(uint64_t *offset, uint64_t *length)
{
	uint64_t unit = (uint64_t[]){ 1, SECTOR, BLOCK }[wb_prng_below(&prng, 3)];
	uint64_t limit = wb_prng_below(&prng, 4) ? 3 * BLOCK : image_bytes;

	*offset = wb_prng_below(&prng, image_bytes) / unit * unit;
	*length = 1 + wb_prng_below(&prng, limit);
	*length = (*length + unit - 1) / unit * unit;
	*length = MIN(*length, image_bytes - *offset);
	if (wb_prng_below(&prng, 8) == 0)
		*length = image_bytes - *offset;
}

static void random_change(void)
{
	unsigned flags = wb_prng_below(&prng, 6) ? 0 : WB_REQUEST_FUA;
	unsigned skew = wb_prng_below(&prng, 2) ? (unsigned)wb_prng_below(&prng, BLOCK) : 0;
	uint64_t offset, length;
	struct op *op;

	random_range(&offset, &length);
	if (wb_prng_below(&prng, 3) == 0) {
		cr_assert_eq(run(WB_ZERO, flags, offset, length), 0);
		memset(model + offset, 0, length);
		return;
	}
	op = prepare(WB_WRITE, flags, offset, length, skew);
	for (uint64_t i = 0; i < length; i++)
		op->data[i] = (uint8_t)wb_prng_next(&prng);
	memcpy(model + offset, op->data, length);
	submit(op);
	cr_assert_eq(finish(op), 0);
}

static void run_history(uint32_t alignment, uint64_t seed)
{
	uint64_t offset, length;

	start(alignment, seed);
	for (int i = 0; i < 150; i++) {
		random_change();
		random_range(&offset, &length);
		expect_read(offset, length);
		if (wb_prng_below(&prng, 5) == 0)
			cr_assert_eq(sync_all(), 0);
	}
	expect_disk_is_model();
	cr_assert_eq(wb_cache_close(cache, WB_CLOSE_CLEAN), 0);
	cache = NULL;
	cr_assert(wb_store_counting_is_covered(disk, 0, image_bytes));
	stop();
}

Test(bare, any_requests_leave_what_a_plain_copy_holds)
{
	for (uint64_t seed = 1; seed <= 25; seed++) {
		run_history(SECTOR, seed);
		run_history(BLOCK, seed);
	}
}

Test(bare, a_range_outside_the_image_is_refused)
{
	start(SECTOR, 0);
	cr_assert_eq(write_value(IMAGE - 1, 1, 2, 0, 0), -EINVAL);
	cr_assert_eq(run(WB_READ, 0, IMAGE, 1), -EINVAL);
	cr_assert_eq(run(WB_ZERO, 0, 0, IMAGE + 1), -EINVAL);
	expect_disk_is_model();
}

Test(bare, whole_sectors_in_aligned_memory_and_whole_blocks_of_zeros_take_one_io_each)
{
	start(SECTOR, 0);
	cr_assert_eq(write_value(5 * SECTOR, 7, 40 * BLOCK, 0, SECTOR), 0);
	cr_assert_eq(wb_store_counting_ios(disk, WB_IO_WRITE), 1);
	cr_assert_eq(wb_store_counting_ios(disk, WB_IO_READ), 0);
	memset(model + 5 * SECTOR, 7, 40 * BLOCK);
	expect_disk_is_model();
	cr_assert_eq(run(WB_ZERO, 0, BLOCK, IMAGE - BLOCK), 0);
	cr_assert_eq(wb_store_counting_ios(disk, WB_IO_WRITE), 1);
	memset(model + BLOCK, 0, IMAGE - BLOCK);
	expect_disk_is_model();
	/* Memory at an odd place is copied, but still nothing is read. */
	cr_assert_eq(write_value(5 * SECTOR, 8, 40 * BLOCK, 0, 80), 0);
	cr_assert_eq(wb_store_counting_ios(disk, WB_IO_READ), 0);
	memset(model + 5 * SECTOR, 8, 40 * BLOCK);
	expect_disk_is_model();
}

Test(bare, statistics_and_verbs_speak_of_the_backing_alone)
{
	static struct wb_event events[WB_EVENTS_MAX];
	struct wb_stats_snapshot s;
	uint8_t uuid[16];

	start(SECTOR, 0);
	cr_assert_eq(write_value(0, 1, BLOCK, 0, 0), 0);
	cr_assert_eq(run(WB_READ, 0, 100, 100), 0);
	cr_assert_eq(run(WB_ZERO, 0, BLOCK, 2 * BLOCK), 0);
	wb_cache_start_drain(cache);
	wb_cache_start_scrub(cache);
	wb_cache_start_flush(cache);
	while (step())
		;
	wb_cache_start_flush(cache);
	wb_cache_get_stats(cache, &s);
	cr_assert_eq(s.state, WB_CACHE_WITHOUT);
	cr_assert_str_eq(wb_cache_state_name(s.state), "without-cache");
	cr_assert_eq(s.image_bytes, IMAGE);
	cr_assert_eq(s.drains_asked, 1);
	cr_assert_eq(s.drains_done, 1);
	cr_assert_not(s.draining);
	cr_assert_eq(s.scrubs_done, 1);
	cr_assert_eq(s.flushes_asked, 2);
	cr_assert_eq(s.flushes_done, 2);
	cr_assert_eq(s.counter[WB_STAT_WRITE_REQUESTS], 1);
	cr_assert_eq(s.counter[WB_STAT_READ_REQUESTS], 1);
	cr_assert_eq(s.counter[WB_STAT_READ_BACKING_BYTES], BLOCK);
	cr_assert_eq(s.counter[WB_STAT_BACKING_WRITTEN_BYTES], BLOCK);
	cr_assert_eq(s.counter[WB_STAT_BACKING_ZEROED_BYTES], 2 * BLOCK);
	/* the second one had nothing to do */
	cr_assert_eq(s.counter[WB_STAT_BACKING_FLUSHES], 1);
	cr_assert(wb_store_counting_is_covered(disk, 0, IMAGE));
	cr_assert_eq(wb_cache_get_events(cache, events), 1);
	cr_assert_str_eq(events[0].text, "opened without a cache");
	cr_assert_eq(wb_cache_image_bytes(cache), IMAGE);
	cr_assert_not(wb_cache_is_short_of_space(cache));
	wb_cache_uuid(cache, uuid);
	cr_assert_eq(uuid[2], 3);
}

Test(bare, an_image_that_is_no_number_of_sectors_is_refused)
{
	struct wb_cache_config config = { .clock = wb_clock_real(),
					  .worker_mode = WB_WORKER_MANUAL };
	GError *error = NULL;

	make_disk(BLOCK + SECTOR, SECTOR, 0);
	disk->alignment_bytes = BLOCK;
	config.backing_store = disk;
	cr_assert_not(wb_cache_open_bare(&config, WB_BARE_READ_WRITE, (uint8_t[16]){ 0 },
					 &error));
	cr_assert(strstr(error->message, "a multiple of 4096"));
	g_error_free(error);
}

/* --- writers that share sectors ------------------------------------------------------ */

/* Each writer owns every OPS-th stretch of 100 bytes and writes one at a time: what
 * it wrote stays, whatever the others do in the same sectors. */
static void submit_strip(unsigned writer)
{
	uint64_t stride = 100, strips = image_bytes / stride / OPS;
	uint64_t offset = (wb_prng_below(&prng, MIN(strips, 8)) * OPS + writer) * stride;
	uint8_t value = (uint8_t)wb_prng_next(&prng);
	struct op *op;

	if (wb_prng_below(&prng, 5) == 0) {
		memset(model + offset, 0, stride);
		op = prepare(WB_ZERO, 0, offset, stride, 0);
	} else {
		memset(model + offset, value, stride);
		op = prepare(WB_WRITE, 0, offset, stride, (unsigned)wb_prng_below(&prng, 600));
		memset(op->data, value, stride);
	}
	cr_assert_eq(op, &ops[writer]);
	submit(op);
}

static void run_writers(uint32_t alignment, uint64_t seed)
{
	start(alignment, seed);
	for (unsigned writer = 0; writer < OPS; writer++)
		submit_strip(writer);
	for (int i = 0; i < 3000; i++) {
		unsigned writer = (unsigned)wb_prng_below(&prng, OPS);

		for (uint64_t steps = wb_prng_below(&prng, 4); steps > 0; steps--)
			step();
		if (!ops[writer].is_finished)
			continue;
		cr_assert_eq(finish(&ops[writer]), 0);
		submit_strip(writer);
	}
	for (unsigned writer = 0; writer < OPS; writer++)
		cr_assert_eq(finish(&ops[writer]), 0);
	expect_disk_is_model();
	cr_assert_gt(counter(WB_STAT_PARKED_REQUESTS), 100);
	stop();
}

Test(bare, concurrent_writes_of_one_sector_lose_nothing_of_each_other)
{
	for (uint64_t seed = 1; seed <= 10; seed++) {
		run_writers(SECTOR, seed);
		run_writers(BLOCK, seed);
	}
}

/* --- reading only ---------------------------------------------------------------------- */

Test(bare, a_read_only_image_is_read_and_nothing_else_reaches_the_disk)
{
	make_disk(IMAGE, SECTOR, 0);
	open_as(WB_BARE_READ_ONLY);
	cr_assert(wb_cache_is_read_only(cache));
	expect_read(0, IMAGE);
	cr_assert_eq(write_value(0, 1, BLOCK, 0, 0), -EROFS);
	cr_assert_eq(write_value(0, 1, 1, WB_REQUEST_FUA, 0), -EROFS);
	cr_assert_eq(run(WB_ZERO, 0, 0, BLOCK), -EROFS);
	cr_assert_eq(sync_all(), 0);
	wb_cache_start_flush(cache);
	wb_cache_start_drain(cache);
	for (int i = 0; i < 3; i++)
		wb_cache_tick(cache);
	cr_assert_eq(wb_cache_close(cache, WB_CLOSE_CLEAN), 0);
	cache = NULL;
	expect_disk_is_model();
	cr_assert_eq(wb_store_counting_ios(disk, WB_IO_WRITE), 0);
	cr_assert_eq(wb_store_counting_ios(disk, WB_IO_ZERO), 0);
	cr_assert_eq(wb_store_counting_ios(disk, WB_IO_FLUSH), 0);
}

/* --- flushes ----------------------------------------------------------------------------- */

Test(bare, a_sync_with_nothing_new_shares_the_flush_under_way_or_needs_none)
{
	struct op *sync[3];

	start(SECTOR, 0);
	cr_assert_eq(write_value(0, 1, BLOCK, 0, 0), 0);
	for (int i = 0; i < 3; i++) {
		sync[i] = prepare(WB_SYNC, 0, 0, 0, 0);
		submit(sync[i]);
	}
	for (int i = 0; i < 3; i++)
		cr_assert_eq(finish(sync[i]), 0);
	cr_assert(wb_store_counting_is_covered(disk, 0, IMAGE));
	cr_assert_eq(sync_all(), 0);
	cr_assert_eq(wb_store_counting_ios(disk, WB_IO_FLUSH), 1);
}

Test(bare, a_write_that_ends_during_a_flush_is_covered_by_the_next_one)
{
	bool has_waited = false;

	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct op *first, *second, *third;

		start(SECTOR, seed);
		first = prepare(WB_SYNC, 0, 0, 0, 0);
		submit(first);
		cr_assert_eq(write_value(0, 1, BLOCK, 0, 0), 0);
		has_waited |= !first->is_finished;
		second = prepare(WB_SYNC, 0, 0, 0, 0);
		submit(second);
		third = prepare(WB_SYNC, 0, 0, 0, 0);
		submit(third);
		cr_assert_eq(finish(second), 0);
		cr_assert(wb_store_counting_is_covered(disk, 0, BLOCK));
		cr_assert_eq(finish(first), 0);
		cr_assert_eq(finish(third), 0);
		cr_assert_eq(wb_store_counting_ios(disk, WB_IO_FLUSH), 2);
		stop();
	}
	cr_assert(has_waited);
}

Test(bare, a_synchronous_write_and_zero_are_covered_when_they_return)
{
	start(SECTOR, 0);
	cr_assert_eq(write_value(700, 1, 3 * BLOCK, WB_REQUEST_FUA, 80), 0);
	cr_assert(wb_store_counting_is_covered(disk, SECTOR, 3 * BLOCK));
	cr_assert_eq(run(WB_ZERO, WB_REQUEST_FUA, 100, 5 * BLOCK), 0);
	cr_assert(wb_store_counting_is_covered(disk, 0, 6 * BLOCK));
	cr_assert_eq(write_value(0, 1, 100, 0, 0), 0);
	cr_assert_not(wb_store_counting_is_covered(disk, 0, SECTOR));
}

Test(bare, what_nobody_synced_becomes_durable_with_time)
{
	start(SECTOR, 0);
	wb_cache_tick(cache);
	cr_assert_eq(write_value(0, 1, BLOCK, 0, 0), 0);
	wb_clock_manual_advance(&hand_clock, UINT64_C(4900000000));
	wb_cache_tick(cache);
	cr_assert_not(step());
	wb_clock_manual_advance(&hand_clock, UINT64_C(200000000));
	wb_cache_tick(cache);
	cr_assert(step());
	cr_assert(wb_store_counting_is_covered(disk, 0, BLOCK));
}

Test(bare, the_first_sync_flushes_what_a_killed_process_had_written)
{
	start(SECTOR, 0);
	cr_assert_eq(write_value(0, 1, BLOCK, 0, 0), 0);
	wb_cache_close(cache, WB_CLOSE_ABANDON);
	open_as(WB_BARE_READ_WRITE);
	cr_assert_not(wb_store_counting_is_covered(disk, 0, BLOCK));
	cr_assert_eq(sync_all(), 0);
	cr_assert(wb_store_counting_is_covered(disk, 0, BLOCK));
}

/* --- disks that fail ------------------------------------------------------------------------ */

static void fail_next(enum wb_io_op op)
{
	wb_store_faulty_add(faulty, &(struct wb_fault){ .op = (int)op,
							.io_class = WB_FAULT_ANY });
}

static void expect_last_error(const char *text)
{
	struct wb_stats_snapshot snapshot;

	wb_cache_get_stats(cache, &snapshot);
	cr_assert(strstr(snapshot.last_error, text), "\"%s\" is not in \"%s\"", text,
		  snapshot.last_error);
}

Test(bare, a_failed_io_fails_its_request_alone_and_says_where)
{
	start(SECTOR, 0);
	fail_next(WB_IO_READ);
	cr_assert_eq(run(WB_READ, 0, 0, BLOCK), -EIO);
	expect_last_error("a read at byte 0 failed");
	expect_read(0, BLOCK);
	fail_next(WB_IO_WRITE);
	cr_assert_eq(write_value(BLOCK, 1, BLOCK, 0, 0), -EIO);
	expect_last_error("a write at byte 4096 failed");
	expect_read(BLOCK, BLOCK);
	fail_next(WB_IO_READ);
	cr_assert_eq(write_value(BLOCK + 5, 1, 7, 0, 0), -EIO);
	expect_last_error("a part of a sector");
	fail_next(WB_IO_ZERO);
	cr_assert_eq(run(WB_ZERO, 0, 0, BLOCK), -EIO);
	expect_last_error("zeroing at byte 0 failed");
	cr_assert_eq(counter(WB_STAT_BACKING_ERRORS), 4);
	expect_disk_is_model();
	/* No mark was left behind. */
	cr_assert_eq(run(WB_ZERO, WB_REQUEST_FUA, 0, IMAGE), 0);
}

Test(bare, after_a_failed_flush_no_sync_and_no_write_succeeds_but_reads_do)
{
	start(SECTOR, 0);
	cr_assert_eq(write_value(0, 1, BLOCK, 0, 0), 0);
	memset(model, 1, BLOCK);
	fail_next(WB_IO_FLUSH);
	cr_assert_eq(sync_all(), -EIO);
	cr_assert_eq(sync_all(), -EIO);
	cr_assert_eq(write_value(0, 2, BLOCK, 0, 0), -EIO);
	cr_assert_eq(run(WB_ZERO, 0, 0, BLOCK), -EIO);
	expect_read(0, IMAGE);
	expect_last_error("a flush failed");
	wb_cache_start_flush(cache);
	cr_assert_eq(wb_store_counting_ios(disk, WB_IO_FLUSH), 1);
	cr_assert_eq(wb_cache_close(cache, WB_CLOSE_CLEAN), -EIO);
	cache = NULL;
}

/* One that came later and waits for the next flush is not given one: a retried
 * flush may lie. */
Test(bare, a_failed_flush_fails_those_too_that_wait_for_the_next)
{
	bool has_waited = false;

	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct op *first, *second;

		start(SECTOR, seed);
		cr_assert_eq(write_value(0, 1, BLOCK, 0, 0), 0);
		wb_store_crashy_fail_flush(crashy, 1);
		first = prepare(WB_SYNC, 0, 0, 0, 0);
		submit(first);
		write_value(BLOCK, 1, BLOCK, 0, 0);
		has_waited |= !first->is_finished;
		second = prepare(WB_SYNC, 0, 0, 0, 0);
		submit(second);
		cr_assert_eq(finish(first), -EIO);
		cr_assert_eq(finish(second), -EIO);
		cr_assert_eq(wb_store_counting_ios(disk, WB_IO_FLUSH), 1);
		stop();
	}
	cr_assert(has_waited);
}

/* The n-th I/O fails, n growing until a run meets no fault. */
Test(bare, any_single_fault_is_told_to_whom_it_concerns_and_leaves_the_rest_right)
{
	uint64_t hits = 1;

	for (uint64_t n = 1; hits > 0; n++) {
		uint64_t bad_from = 0, bad_to = 0;
		bool has_failed = false;

		start(SECTOR, 0);
		wb_store_faulty_add(faulty, &(struct wb_fault){ .op = WB_FAULT_ANY,
			.io_class = WB_FAULT_ANY, .first = n,
			.effect = n % 2 ? WB_FAULT_FAIL : WB_FAULT_FAIL_SHORT });
		for (uint64_t i = 0; i < 12 && !has_failed; i++) {
			uint64_t offset = i * 7000 + 300, length = 6000 + i * 300;

			if (i % 3 == 2 ? run(WB_ZERO, WB_REQUEST_FUA, offset, length) :
					 write_value(offset, 20 + (uint8_t)i, length,
						     i % 2 ? WB_REQUEST_FUA : 0, 80)) {
				has_failed = true;
				bad_from = offset;
				bad_to = offset + length;
			}
			memset(model + offset, i % 3 == 2 ? 0 : 20 + (int)i, length);
		}
		hits = wb_store_faulty_hit_count(faulty);
		cr_assert_eq(has_failed, hits > 0, "fault %lu", (unsigned long)n);
		cr_assert_arr_eq(wb_store_memory_bytes(memory), model, bad_from);
		cr_assert_arr_eq(wb_store_memory_bytes(memory) + bad_to, model + bad_to,
				 IMAGE - bad_to);
		stop();
		cr_assert_lt(n, 1000);
	}
}

/* --- disks that lose power --------------------------------------------------------------------- */

#define CRASH_SECTORS 24u
#define VERSIONS_MAX 64u

/* What each sector may hold after a crash: what the last sync covered, or anything
 * written since. */
static struct {
	uint8_t bytes[VERSIONS_MAX][SECTOR];
	unsigned count;
} legal[CRASH_SECTORS];

static void note_version(unsigned sector)
{
	cr_assert_lt(legal[sector].count, VERSIONS_MAX);
	memcpy(legal[sector].bytes[legal[sector].count++], model + sector * SECTOR, SECTOR);
}

static void note_sync(void)
{
	for (unsigned i = 0; i < CRASH_SECTORS; i++) {
		legal[i].count = 0;
		note_version(i);
	}
}

/* FALSE when the power went. */
static bool crash_step(void)
{
	uint64_t what = wb_prng_below(&prng, 8), length, offset;
	unsigned flags = what == 1 ? WB_REQUEST_FUA : 0;
	bool is_zero = what >= 6;
	struct op *op;
	int error;

	if (what == 0) {
		error = sync_all();
		if (!error)
			note_sync();
		return !error;
	}
	offset = wb_prng_below(&prng, image_bytes);
	length = 1 + wb_prng_below(&prng, image_bytes - offset);
	op = prepare(is_zero ? WB_ZERO : WB_WRITE, flags, offset, length,
		     (unsigned)wb_prng_below(&prng, 3) * 256);
	memset(op->data, (int)wb_prng_next(&prng), length);
	if (is_zero)
		memset(model + offset, 0, length);
	else
		memcpy(model + offset, op->data, length);
	for (uint64_t i = offset / SECTOR; i * SECTOR < offset + length; i++)
		note_version((unsigned)i);
	submit(op);
	error = finish(op);
	if (!error && flags)
		note_sync();
	return !error;
}

/* Sectors that hold what they must not. */
static unsigned count_illegal(struct wb_store *image)
{
	unsigned count = 0;

	for (unsigned i = 0; i < CRASH_SECTORS; i++) {
		const uint8_t *found = wb_store_memory_bytes(image) + i * SECTOR;
		bool is_legal = false;

		for (unsigned v = 0; v < legal[i].count; v++)
			is_legal |= memcmp(found, legal[i].bytes[v], SECTOR) == 0;
		count += !is_legal;
	}
	return count;
}

static unsigned crash_once(uint64_t seed, uint64_t point, unsigned lies)
{
	struct wb_store *image;
	unsigned count;
	int steps = 0;

	make_disk(CRASH_SECTORS * SECTOR, SECTOR, seed);
	crash_clock.crash_at = point;
	wb_store_crashy_set_lies(crashy, lies);
	open_as(WB_BARE_READ_WRITE);
	note_sync();
	while (steps++ < 40 && crash_step())
		;
	image = seed % 4 ? wb_store_crashy_crash(crashy, &prng) :
			   wb_store_crashy_crash_losing_all(crashy);
	count = count_illegal(image);
	wb_store_close(image);
	stop();
	return count;
}

Test(bare, what_was_synced_survives_a_power_cut_at_any_point)
{
	for (uint64_t seed = 1; seed <= 60; seed++) {
		for (uint64_t point = seed % 3 + 1; point < 120; point += 3)
			cr_assert_eq(crash_once(seed, point, 0), 0, "seed %lu, point %lu",
				     (unsigned long)seed, (unsigned long)point);
	}
}

Test(bare, this_test_objects_to_a_disk_that_swallows_flushes)
{
	unsigned count = 0;

	for (uint64_t seed = 1; seed <= 60 && !count; seed++)
		count = crash_once(seed, 60, WB_CRASHY_SWALLOWS_FLUSH);
	cr_assert_gt(count, 0);
}
