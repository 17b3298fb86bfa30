/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The simulated hard disk of the benchmarks against what is known of such disks, in the
 * time of the model: nothing here waits, and nothing depends on the machine.
 */
#include <criterion/criterion.h>
#include <criterion/logging.h>
#include <math.h>

#include "bench/hdd_model.h"
#include "support/prng.h"

#define DISK_BYTES (UINT64_C(2) << 30)
#define BLOCK UINT64_C(4096)
#define MIB (UINT64_C(1) << 20)
#define DEPTH_MAX 64

/* A host that keeps `depth` requests in the drive. */
struct load {
	enum wb_hdd_op op;
	unsigned depth;
	uint64_t count, length;
	uint64_t stride, from;			/* stride 0: anywhere */
};

struct outcome {
	double seconds, mean_ns, most_ns;
	struct wb_hdd_counts counts;
};

static struct load anywhere(enum wb_hdd_op op, unsigned depth, uint64_t count, uint64_t length)
{
	return (struct load){ op, depth, count, length, 0, 0 };
}

static struct load in_order(enum wb_hdd_op op, unsigned depth, uint64_t count, uint64_t length,
			    uint64_t stride, uint64_t from)
{
	return (struct load){ op, depth, count, length, stride, from };
}

static struct wb_hdd *hdd;
static double now_ns;
static struct wb_prng prng;

static void setup_with(uint64_t write_cache_bytes)
{
	struct wb_hdd_settings settings = WB_HDD_SETTINGS_DEFAULT(DISK_BYTES);

	settings.write_cache_bytes = write_cache_bytes;
	hdd = wb_hdd_new(&settings);
	cr_assert(hdd);
	now_ns = 0;
	wb_prng_init(&prng, 1);
}

static void setup(void)
{
	setup_with(4 * MIB);
}

static void teardown(void)
{
	wb_hdd_free(hdd);
}

static void submit_next(struct wb_hdd_request *request, struct load load, uint64_t index)
{
	uint64_t blocks = (DISK_BYTES - load.length) / BLOCK;

	request->op = load.op;
	request->length = load.op == WB_HDD_FLUSH ? 0 : load.length;
	request->offset = load.stride ? load.from + index * load.stride :
			  wb_prng_below(&prng, blocks) * BLOCK;
	wb_hdd_submit(hdd, request, now_ns);
}

static struct wb_hdd_request *wait_for_one(void)
{
	struct wb_hdd_request *request = wb_hdd_take(hdd, now_ns);

	while (!request) {
		now_ns = wb_hdd_next_ns(hdd);
		cr_assert(isfinite(now_ns), "nothing will ever happen");
		request = wb_hdd_take(hdd, now_ns);
	}
	return request;
}

static struct outcome run(struct load load)
{
	struct wb_hdd_request requests[DEPTH_MAX];
	double began_ns = now_ns, sum_ns = 0;
	struct outcome outcome = { 0 };
	uint64_t submitted = 0;

	wb_hdd_clear_counts(hdd);
	while (submitted < load.depth && submitted < load.count) {
		submit_next(&requests[submitted], load, submitted);
		submitted++;
	}
	for (uint64_t i = 0; i < load.count; i++) {
		struct wb_hdd_request *request = wait_for_one();
		double took_ns = request->answered_ns - request->arrived_ns;

		cr_assert_leq(request->answered_ns, now_ns);
		sum_ns += took_ns;
		outcome.most_ns = fmax(outcome.most_ns, took_ns);
		if (submitted < load.count)
			submit_next(request, load, submitted++);
	}
	outcome.seconds = (now_ns - began_ns) / 1e9;
	outcome.mean_ns = sum_ns / (double)load.count;
	wb_hdd_get_counts(hdd, &outcome.counts);
	return outcome;
}

static double flush_seconds(void)
{
	return run(anywhere(WB_HDD_FLUSH, 1, 1, 0)).seconds;
}

static double per_second(struct load load)
{
	return (double)load.count / run(load).seconds;
}

static double mb_per_second(struct load load)
{
	return per_second(load) * (double)load.length / 1e6;
}

/* The figures are of interest when they are right, too: --verbose. */
#define within(value, least, most) do { \
	double found = (value); \
	cr_log_info("%s: %g\n", #value, found); \
	cr_assert(found >= (least) && found <= (most), "%s is %g", #value, found); \
} while (0)

TestSuite(hdd_model, .init = setup, .fini = teardown);

Test(hdd_model, seeks_are_those_of_a_disk_of_7200_rpm)
{
	struct wb_hdd_shape shape = WB_HDD_SHAPE_DEFAULT(DISK_BYTES);
	double sum_ns = 0;

	for (unsigned i = 0; i < 100000; i++)
		sum_ns += wb_hdd_seek_ns(&shape, wb_prng_below(&prng, DISK_BYTES),
					 wb_prng_below(&prng, DISK_BYTES));
	within(sum_ns / 100000 / 1e6, 8.3, 8.7);
	within(wb_hdd_seek_ns(&shape, 0, DISK_BYTES - 1) / 1e6, 17, 19);
	within(wb_hdd_seek_ns(&shape, 0, 1600000) / 1e6, 0.9, 1.2);
	cr_assert_eq(wb_hdd_seek_ns(&shape, 4096, 1400000), 0);
	within(wb_hdd_turn_ns(&shape) / 1e6, 8.33, 8.34);
}

Test(hdd_model, random_reads_one_at_a_time_are_75_to_85_a_second)
{
	within(per_second(anywhere(WB_HDD_READ, 1, 20000, BLOCK)), 75, 85);
}

Test(hdd_model, its_queue_makes_random_reads_faster_and_none_waits_for_ever)
{
	struct outcome outcome = run(anywhere(WB_HDD_READ, 32, 20000, BLOCK));

	within(20000 / outcome.seconds, 160, 260);
	within(outcome.most_ns / 1e9, 0.1, 1.2);
	/* what does not fit into the queue of the drive does not make it faster */
	within(per_second(anywhere(WB_HDD_READ, 64, 20000, BLOCK)) * outcome.seconds / 20000,
	       0.95, 1.05);
}

Test(hdd_model, reads_in_order_come_at_the_rate_of_the_media)
{
	within(mb_per_second(in_order(WB_HDD_READ, 8, 1000, MIB, MIB, 0)), 175, 181);
	/* one at a time: it has read on meanwhile */
	within(mb_per_second(in_order(WB_HDD_READ, 1, 1000, MIB, MIB, 0)), 165, 181);
	within(mb_per_second(in_order(WB_HDD_READ, 1, 20000, BLOCK, BLOCK, 0)), 50, 181);
}

Test(hdd_model, writes_in_order_go_at_the_rate_of_the_media)
{
	within(mb_per_second(in_order(WB_HDD_WRITE, 8, 1000, MIB, MIB, 0)), 175, 182);
	within(mb_per_second(in_order(WB_HDD_WRITE, 8, 100000, BLOCK, BLOCK, 512 * MIB)), 50, 182);
}

Test(hdd_model, writes_to_the_platters_wait_for_them)
{
	within(per_second(anywhere(WB_HDD_WRITE_FUA, 1, 5000, BLOCK)), 75, 85);
	/* the same place comes by once in a turn */
	within(per_second(in_order(WB_HDD_WRITE_FUA, 1, 1000, BLOCK, BLOCK, 0)), 115, 121);
	teardown();
	setup_with(0);
	within(per_second(anywhere(WB_HDD_WRITE, 1, 5000, BLOCK)), 75, 85);
	cr_assert_eq(wb_hdd_unwritten_bytes(hdd), 0);
	within(flush_seconds(), 0, 0.001);
}

Test(hdd_model, a_write_is_answered_from_the_cache_until_it_is_full)
{
	struct outcome outcome = run(anywhere(WB_HDD_WRITE, 1, 1000, BLOCK));

	within(outcome.most_ns / 1e6, 0.05, 0.1);
	cr_assert_gt(wb_hdd_unwritten_bytes(hdd), 900 * BLOCK);
	/* then at the rate at which they reach the platters */
	within(per_second(anywhere(WB_HDD_WRITE, 32, 10000, BLOCK)), 250, 600);
}

Test(hdd_model, a_larger_cache_puts_random_writes_into_a_better_order)
{
	double small = per_second(anywhere(WB_HDD_WRITE, 32, 50000, BLOCK));

	teardown();
	setup_with(64 * MIB);
	run(anywhere(WB_HDD_WRITE, 32, 16384, BLOCK));
	within(per_second(anywhere(WB_HDD_WRITE, 32, 50000, BLOCK)) / small, 1.5, 6);
}

Test(hdd_model, a_flush_is_answered_when_what_was_there_is_on_the_platters)
{
	struct wb_hdd_counts counts;
	double seconds;

	run(anywhere(WB_HDD_WRITE, 1, 500, BLOCK));
	seconds = flush_seconds();
	wb_hdd_get_counts(hdd, &counts);
	within(seconds, 0.5, 3);
	cr_assert_eq(wb_hdd_unwritten_bytes(hdd), 0);
	cr_assert_geq(counts.flush_most_ns, 0.5e9);
	within(flush_seconds(), 0, 0.001);
}

Test(hdd_model, a_flush_does_not_wait_for_what_comes_later)
{
	struct wb_hdd_request flush = { .op = WB_HDD_FLUSH }, writes[100];
	struct wb_hdd_request *request;

	run(anywhere(WB_HDD_WRITE, 1, 100, BLOCK));
	wb_hdd_submit(hdd, &flush, now_ns);
	for (unsigned i = 0; i < 100; i++) {
		submit_next(&writes[i], anywhere(WB_HDD_WRITE, 1, 1, BLOCK), 0);
		now_ns += 100e3;
	}
	do {
		request = wait_for_one();
	} while (request != &flush);
	cr_assert_geq(wb_hdd_unwritten_bytes(hdd), 90 * BLOCK);
}

Test(hdd_model, one_sweep_over_the_disk_takes_a_turn_for_each_track)
{
	double once = run(in_order(WB_HDD_WRITE, 8, DISK_BYTES / MIB, MIB, MIB, 0)).seconds;
	double every_fourth;

	flush_seconds();
	every_fourth = run(in_order(WB_HDD_WRITE, 32, DISK_BYTES / BLOCK / 4, BLOCK, 4 * BLOCK, 0)).seconds;
	within(once, 11, 13);
	within(every_fourth / once, 0.95, 1.2);
}

Test(hdd_model, reads_do_not_starve_behind_writes_nor_writes_behind_reads)
{
	struct wb_hdd_request writes[32], reads[4], *request;
	unsigned reads_done = 0, writes_done = 0;
	double began_ns;

	run(anywhere(WB_HDD_WRITE, 32, 5000, BLOCK));
	began_ns = now_ns;
	for (unsigned i = 0; i < 28; i++)
		submit_next(&writes[i], anywhere(WB_HDD_WRITE, 1, 1, BLOCK), 0);
	for (unsigned i = 0; i < 4; i++)
		submit_next(&reads[i], anywhere(WB_HDD_READ, 1, 1, BLOCK), 0);
	while (now_ns < began_ns + 20e9) {
		request = wait_for_one();
		if (request->op == WB_HDD_READ)
			reads_done++;
		else
			writes_done++;
		submit_next(request, anywhere(request->op, 1, 1, BLOCK), 0);
	}
	within(reads_done / 20.0, 50, 150);
	within(writes_done / 20.0, 50, 300);
}

Test(hdd_model, what_was_read_or_written_lately_is_answered_without_the_arm)
{
	struct outcome outcome;

	run(in_order(WB_HDD_READ, 1, 1, MIB, MIB, 0));
	outcome = run(in_order(WB_HDD_READ, 1, 100, BLOCK, BLOCK, 0));
	cr_assert_eq(outcome.counts.buffer_hits, 100);
	cr_assert_eq(outcome.counts.media_reads, 0);
	run(in_order(WB_HDD_WRITE, 1, 400, BLOCK, 2 * BLOCK, 1024 * MIB));
	outcome = run(in_order(WB_HDD_READ, 1, 50, BLOCK, 2 * BLOCK, 1024 * MIB + 600 * BLOCK));
	cr_assert_gt(outcome.counts.write_cache_hits, 40);
}

Test(hdd_model, the_answer_of_each_request_comes_once_whatever_is_asked)
{
	struct wb_hdd_request requests[64];
	unsigned in_flight = 0, answers = 0;
	bool is_free[64];

	for (unsigned i = 0; i < 64; i++)
		is_free[i] = true;
	for (unsigned n = 0; n < 20000 || in_flight; n++) {
		unsigned i = wb_prng_below(&prng, 64);
		struct wb_hdd_request *request;

		if (n < 20000 && is_free[i]) {
			static const enum wb_hdd_op ops[] = { WB_HDD_READ, WB_HDD_READ, WB_HDD_WRITE,
				WB_HDD_WRITE, WB_HDD_WRITE, WB_HDD_WRITE_FUA, WB_HDD_FLUSH };
			uint64_t length = (1 + wb_prng_below(&prng, 16) * wb_prng_below(&prng, 16)) * 512;
			struct load load = anywhere(ops[wb_prng_below(&prng, 7)], 1, 1, length);

			is_free[i] = false;
			in_flight++;
			submit_next(&requests[i], load, 0);
		}
		now_ns += (double)wb_prng_below(&prng, 4000000);
		while ((request = wb_hdd_take(hdd, now_ns))) {
			cr_assert_geq(request->answered_ns, request->arrived_ns + 50e3);
			cr_assert_not(is_free[request - requests]);
			is_free[request - requests] = true;
			in_flight--;
			answers++;
		}
		if (n >= 20000)
			now_ns += 10e6;
		cr_assert_lt(n, 1000000, "%u are never answered", in_flight);
	}
	cr_assert_gt(answers, 2000, "%u", answers);
	cr_assert(isinf(wb_hdd_next_ns(hdd)));
}
