/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * When data becomes durable by the clock: the periodic sync, and how long a
 * write that has to be durable waits for company. No test sleeps: the clock is
 * moved by hand, and by a millisecond with each look at it.
 */
#include <criterion/criterion.h>

#include "cache/cache_private.h"
#include "cache/create.h"
#include "support/store_threaded.h"
#include "support/volume_sim.h"

#define BLOCK 4096u
#define MS_NS UINT64_C(1000000)
#define SECOND_NS (1000 * MS_NS)
#define TICK_NS (250 * MS_NS)	/* the daemon's */

static struct wb_sim sim;

static void start(uint64_t seed)
{
	struct wb_sim_params params = { .seed = seed, .no_writeback = true,
					.segment_bytes = 1 << 20, .image_bytes = 16 << 20 };

	wb_sim_init(&sim, &params);
	cr_assert(wb_sim_open(&sim, NULL));
}

static void stop(void)
{
	wb_sim_clear(&sim);
}

TestSuite(sync_timing, .fini = stop);

static uint64_t durable(void)
{
	return wb_log_durable(sim.cache->path.log);
}

static uint64_t newest(void)
{
	return wb_log_last_sequence(sim.cache->path.log);
}

static void tick(void)
{
	wb_sim_pass_time(&sim, TICK_NS);
	wb_sim_settle(&sim);
}

/* --- the periodic sync -------------------------------------------------------- */

/* Writes at all times; the age at which one becomes durable, at most. */
static uint64_t oldest_age_ns(uint64_t seed, uint64_t seconds)
{
	uint64_t written_ns[512] = { 0 };	/* by record: its first write */
	uint64_t checked = durable(), oldest_ns = 0, end_ns = sim.clock.now_ns +
		seconds * SECOND_NS;
	struct wb_prng prng;

	wb_prng_init(&prng, seed);
	while (sim.clock.now_ns < end_ns) {
		if (wb_prng_below(&prng, 3) == 0) {
			cr_assert_eq(wb_sim_fill(&sim, wb_prng_below(&prng, 4000) * BLOCK, 1,
						 BLOCK, 0), 0);
			cr_assert_lt(newest(), 512);
			if (!written_ns[newest()])
				written_ns[newest()] = sim.clock.now_ns;
		}
		tick();
		for (; checked < durable(); checked++)
			oldest_ns = MAX(oldest_ns, sim.clock.now_ns - written_ns[checked + 1]);
		/* What is not durable yet counts too. */
		if (checked < newest())
			oldest_ns = MAX(oldest_ns, sim.clock.now_ns - written_ns[checked + 1]);
	}
	return oldest_ns;
}

Test(sync_timing, unsynced_data_is_never_older_than_the_interval_and_a_tick)
{
	for (uint64_t seed = 1; seed <= 5; seed++) {
		uint64_t oldest_ns;

		start(seed);
		wb_sim_set(&sim, "sync_interval_s", "3");
		oldest_ns = oldest_age_ns(seed, 120);
		cr_expect_leq(oldest_ns, 3 * SECOND_NS + TICK_NS + 50 * MS_NS, "%lu ms",
			      oldest_ns / MS_NS);
		cr_expect_geq(oldest_ns, 2 * SECOND_NS, "%lu ms", oldest_ns / MS_NS);
		stop();
	}
}

Test(sync_timing, the_interval_can_be_made_shorter_and_longer_at_any_time)
{
	uint64_t began_ns;

	start(0);
	wb_sim_set(&sim, "sync_interval_s", "86400");
	cr_assert_eq(wb_sim_fill(&sim, 0, 1, BLOCK, 0), 0);
	for (unsigned i = 0; i < 400; i++)
		tick();
	cr_assert_lt(durable(), newest());
	/* What was set before is no appointment. */
	wb_sim_set(&sim, "sync_interval_s", "2");
	tick();
	cr_assert_eq(durable(), newest());
	cr_assert_eq(wb_sim_fill(&sim, 0, 2, BLOCK, 0), 0);
	began_ns = sim.clock.now_ns;
	while (durable() < newest())
		tick();
	cr_assert_leq(sim.clock.now_ns - began_ns, 2 * SECOND_NS + TICK_NS + 50 * MS_NS);
	wb_sim_set(&sim, "sync_interval_s", "100");
	cr_assert_eq(wb_sim_fill(&sim, 0, 3, BLOCK, 0), 0);
	for (unsigned i = 0; i < 40; i++)
		tick();
	cr_assert_lt(durable(), newest());
}

Test(sync_timing, an_interval_of_0_syncs_nothing)
{
	start(0);
	wb_sim_set(&sim, "sync_interval_s", "0");
	cr_assert_eq(wb_sim_fill(&sim, 0, 1, BLOCK, 0), 0);
	wb_sim_pass_time(&sim, UINT64_C(1000000) * SECOND_NS);
	wb_sim_settle(&sim);
	cr_assert_lt(durable(), newest());
}

Test(sync_timing, a_periodic_sync_with_nothing_new_costs_no_io)
{
	struct wb_store_counts before, after;

	start(0);
	wb_sim_set(&sim, "sync_interval_s", "1");
	cr_assert_eq(wb_sim_fill(&sim, 0, 1, BLOCK, 0), 0);
	for (unsigned i = 0; i < 10; i++)
		tick();
	wb_store_counting_get(sim.cache_disk.counting, &before);
	for (unsigned i = 0; i < 40; i++)
		tick();
	wb_store_counting_get(sim.cache_disk.counting, &after);
	cr_assert_eq(after.answered, before.answered);
}

/* --- writes that wait for company ------------------------------------------------ */

static uint64_t records(void)
{
	return wb_sim_counter(&sim, WB_STAT_RECORDS);
}

static uint64_t device_flushes(void)
{
	struct wb_store_counts counts;

	wb_store_counting_get(sim.cache_disk.counting, &counts);
	return counts.fua_writes + counts.ios[WB_IO_CLASS_LOG][WB_IO_FLUSH];
}

static struct wb_sim_op *begin_fua(uint64_t block, uint64_t blocks)
{
	struct wb_sim_op *op = wb_sim_prepare(&sim, WB_WRITE, WB_REQUEST_FUA, block * BLOCK,
					      blocks * BLOCK);

	cr_assert(op);
	memset(op->data, 7, op->length_bytes);
	wb_sim_submit(op);
	return op;
}

static void expect_finished(struct wb_sim_op **ops, unsigned count, bool is_finished)
{
	for (unsigned i = 0; i < count; i++)
		cr_assert_eq(ops[i]->is_finished, is_finished, "%u", i);
}

static void release(struct wb_sim_op **ops, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		cr_assert_eq(ops[i]->error, 0);
		wb_sim_release(ops[i]);
	}
}

/* Four that come 10 ms after each other. */
static void begin_four(struct wb_sim_op *ops[4])
{
	for (unsigned i = 0; i < 4; i++) {
		ops[i] = begin_fua(i, 1);
		wb_sim_settle(&sim);
		sim.clock.now_ns += 10 * MS_NS;
	}
}

Test(sync_timing, without_a_deadline_each_synchronous_write_is_flushed_by_itself)
{
	struct wb_sim_op *ops[4];
	uint64_t records_before, flushes_before;

	start(0);
	records_before = records();
	flushes_before = device_flushes();
	begin_four(ops);
	expect_finished(ops, 4, true);
	cr_assert_eq(records() - records_before, 4);
	cr_assert_eq(device_flushes() - flushes_before, 4);
	release(ops, 4);
}

Test(sync_timing, synchronous_writes_that_wait_share_one_record_and_one_flush)
{
	struct wb_sim_op *ops[4];
	uint64_t records_before, flushes_before, began_ns;

	start(0);
	wb_sim_set(&sim, "barrier_deadline_ms", "500");
	records_before = records();
	flushes_before = device_flushes();
	began_ns = sim.clock.now_ns;
	begin_four(ops);
	expect_finished(ops, 4, false);
	cr_assert_eq(records(), records_before);
	/* Nobody is answered before the time, and everybody at it. */
	while (sim.clock.now_ns < began_ns + 480 * MS_NS) {
		sim.clock.now_ns += 5 * MS_NS;
		wb_sim_settle(&sim);
		cr_assert_lt(sim.clock.now_ns, began_ns + 500 * MS_NS);
		expect_finished(ops, 4, false);
	}
	sim.clock.now_ns = began_ns + 520 * MS_NS;
	wb_sim_settle(&sim);
	expect_finished(ops, 4, true);
	cr_assert_eq(records() - records_before, 1);
	cr_assert_eq(device_flushes() - flushes_before, 1);
	release(ops, 4);
}

Test(sync_timing, a_sync_ends_the_wait_at_once)
{
	struct wb_sim_op *ops[4];
	uint64_t flushes_before, before_ns;

	start(0);
	wb_sim_set(&sim, "barrier_deadline_ms", "1000");
	begin_four(ops);
	flushes_before = device_flushes();
	before_ns = sim.clock.now_ns;
	cr_assert_eq(wb_sim_sync(&sim), 0);
	expect_finished(ops, 4, true);
	cr_assert_leq(sim.clock.now_ns - before_ns, 100 * MS_NS);
	cr_assert_eq(device_flushes() - flushes_before, 1);
	release(ops, 4);
}

Test(sync_timing, a_full_record_ends_the_wait_at_once)
{
	struct wb_sim_op *first, *second;
	uint64_t before_ns;

	start(0);
	wb_sim_set(&sim, "barrier_deadline_ms", "1000");
	first = begin_fua(0, 1);
	wb_sim_settle(&sim);
	before_ns = sim.clock.now_ns;
	/* Of which the last block opens the next record, and waits in it. */
	second = begin_fua(100, 255);
	wb_sim_settle(&sim);
	cr_assert(first->is_finished);
	cr_assert_not(second->is_finished);
	cr_assert_leq(sim.clock.now_ns - before_ns, 100 * MS_NS);
	sim.clock.now_ns += 900 * MS_NS;
	wb_sim_settle(&sim);
	cr_assert_not(second->is_finished, "its wait began with the first record's");
	sim.clock.now_ns += 100 * MS_NS;
	wb_sim_settle(&sim);
	cr_assert(second->is_finished);
	release((struct wb_sim_op *[]){ first, second }, 2);
}

Test(sync_timing, a_shorter_deadline_counts_for_those_that_wait_already)
{
	struct wb_sim_op *ops[4];

	start(0);
	wb_sim_set(&sim, "barrier_deadline_ms", "1000");
	begin_four(ops);
	wb_sim_set(&sim, "barrier_deadline_ms", "100");
	wb_sim_settle(&sim);
	expect_finished(ops, 4, false);
	sim.clock.now_ns += 100 * MS_NS;
	wb_sim_settle(&sim);
	expect_finished(ops, 4, true);
	release(ops, 4);
	begin_four(ops);
	expect_finished(ops, 4, false);
	wb_sim_set(&sim, "barrier_deadline_ms", "0");
	wb_sim_settle(&sim);
	expect_finished(ops, 4, true);
	release(ops, 4);
}

Test(sync_timing, a_clean_stop_does_not_wait_for_company)
{
	struct wb_sim_op *op;
	uint64_t before_ns;

	start(0);
	wb_sim_set(&sim, "barrier_deadline_ms", "1000");
	op = begin_fua(3, 1);
	wb_sim_settle(&sim);
	before_ns = sim.clock.now_ns;
	cr_assert_eq(wb_sim_sync(&sim), 0);
	release(&op, 1);
	cr_assert_eq(wb_sim_close(&sim), 0);
	cr_assert_leq(sim.clock.now_ns - before_ns, 200 * MS_NS);
	cr_assert(wb_sim_open(&sim, NULL));
}

/* --- with threads, and nobody who moves the clock or ticks ------------------------- */

struct answer {
	struct wb_lock lock;
	struct wb_cond cond;
	unsigned count;			/* under lock */
	int error;
};

static void answered(struct wb_request *request, int error)
{
	struct answer *answer = wb_request_public(request)->user;

	wb_lock_acquire(&answer->lock);
	answer->count++;
	answer->error = MIN(answer->error, error);
	wb_cond_signal(&answer->cond);
	wb_lock_release(&answer->lock);
}

static void submit_real(struct wb_cache *cache, struct wb_request *request, uint64_t block,
			struct answer *answer)
{
	static uint8_t data[BLOCK];
	int error;

	*wb_request_public(request) = (struct wb_request_public){
		.op = WB_WRITE, .flags = WB_REQUEST_FUA, .offset_bytes = block * BLOCK,
		.length_bytes = BLOCK, .buffer = data, .done = answered, .user = answer,
	};
	cr_assert_eq(wb_cache_submit(cache, request, &error), WB_SUBMIT_PENDING);
}

static void await(struct answer *answer, unsigned count)
{
	gint64 end_us = g_get_monotonic_time() + 60 * G_USEC_PER_SEC;

	wb_lock_acquire(&answer->lock);
	while (answer->count < count)
		cr_assert(wb_cond_wait_until(&answer->cond, &answer->lock, end_us),
			  "nobody wakes the flush worker");
	wb_lock_release(&answer->lock);
}

Test(sync_timing, the_flush_worker_wakes_by_itself_when_the_wait_is_over)
{
	struct wb_power power = { .ios_left = INT64_MAX };
	/* One segment takes all rounds: a full one is written at once, without a wait. */
	struct wb_create_params create = { .uuid = "uuid of a test", .backing_path = "/image",
		.segment_bytes = 1 << 20, .backing_bytes = 1 << 20 };
	struct wb_cache_config config = {
		.cache_store = wb_store_threaded_new(32 << 20, 4096, 1, &power),
		.backing_store = wb_store_threaded_new(1 << 20, 4096, 2, &power),
		.clock = wb_clock_real(), .worker_mode = WB_WORKER_THREAD,
		.ram_buffer_bytes = 4 << 20, .request_count = 2,
		.tunables = WB_TUNABLES_DEFAULT,
	};
	struct answer answer = { 0 };
	struct wb_request *requests[2];
	struct wb_cache *cache;

	wb_lock_init(&answer.lock, WB_RANK_CACHE);
	wb_cond_init(&answer.cond);
	cr_assert(wb_create(config.cache_store, &create, NULL));
	config.tunables.barrier_deadline_ms = 20;
	cache = wb_cache_open(&config, NULL);
	cr_assert(cache);
	for (unsigned round = 1; round <= 20; round++) {
		gint64 began_us = g_get_monotonic_time();

		for (unsigned i = 0; i < 2; i++) {
			requests[i] = wb_request_get(cache);
			submit_real(cache, requests[i], 2 * round + i, &answer);
		}
		await(&answer, 2 * round);
		cr_assert_eq(answer.error, 0);
		cr_assert_geq(g_get_monotonic_time() - began_us, 20000);
		for (unsigned i = 0; i < 2; i++)
			wb_request_put(cache, requests[i]);
	}
	cr_assert_eq(wb_cache_close(cache, WB_CLOSE_CLEAN), 0);
	wb_store_close(config.cache_store);
	wb_store_close(config.backing_store);
}

/* --- before it is asked for ------------------------------------------------------ */

static uint64_t ssd_writes(void)
{
	struct wb_store_counts counts;

	wb_store_counting_get(sim.cache_disk.counting, &counts);
	return counts.ios[WB_IO_CLASS_LOG][WB_IO_WRITE];
}

static void write_block(uint64_t block)
{
	cr_assert_eq(wb_sim_fill(&sim, block * BLOCK, 1, BLOCK, 0), 0);
}

Test(sync_timing, a_record_is_on_its_way_before_a_sync_that_comes_regularly)
{
	uint64_t before;

	start(21);
	for (unsigned i = 0; i < 11; i++) {
		write_block(i);
		cr_assert_eq(wb_sim_sync(&sim), 0);
	}
	before = ssd_writes();
	write_block(100);
	cr_assert_eq(ssd_writes(), before + 1, "not begun");
	wb_sim_settle(&sim);
	cr_assert_eq(durable(), newest());
	cr_assert_eq(wb_sim_sync(&sim), 0);
	cr_assert_eq(ssd_writes(), before + 1, "the sync had something left to write");
}

Test(sync_timing, writes_that_nobody_syncs_share_their_records)
{
	uint64_t before;

	start(22);
	for (unsigned i = 0; i < 11; i++) {
		write_block(i);
		cr_assert_eq(wb_sim_sync(&sim), 0);
	}
	before = ssd_writes();
	for (unsigned i = 0; i < 200; i++)
		write_block(200 + i);
	cr_assert_leq(ssd_writes(), before + 1, "more than one wrong guess");
}

Test(sync_timing, what_is_durable_is_read_from_memory_while_that_is_free)
{
	char data[BLOCK];

	start(23);
	write_block(7);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	/* The head goes on, so that nothing but readers needs the buffer. */
	for (unsigned i = 0; i < 300; i++)
		write_block(1000 + i);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	cr_assert_eq(wb_sim_read(&sim, 7 * BLOCK, data, BLOCK), 0);
	cr_assert_eq(wb_sim_counter(&sim, WB_STAT_READ_CACHE_BYTES), 0);
	/* And gives way: more data than there is memory never has to wait for it. */
	for (unsigned i = 0; i < 1200; i++) {
		write_block(1000 + i);
		wb_sim_settle(&sim);
	}
	cr_assert_eq(wb_sim_counter(&sim, WB_STAT_PARKED_REQUESTS), 0);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	cr_assert_eq(wb_sim_read(&sim, 7 * BLOCK, data, BLOCK), 0);
	cr_assert_eq(wb_sim_counter(&sim, WB_STAT_READ_CACHE_BYTES), BLOCK);
}
