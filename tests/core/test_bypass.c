/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bypass_threshold: long sequential streams around the cache, by steps. What holds for
 * each single write around it is shown by test_modes.c too, for writearound.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "cache/cache_private.h"
#include "support/store_memory.h"
#include "support/volume_sim.h"

#define BLOCK 4096u
#define WRITE (64u << 10)		/* the least that goes around */
#define OLD 0x11
#define BEFORE 0x22
#define NEW 0x33

static struct wb_sim sim;

static void start_with(const struct wb_sim_params *params)
{
	wb_sim_init(&sim, params);
	cr_assert(wb_sim_open(&sim, NULL));
	wb_sim_set(&sim, "bypass_threshold", "128");
}

static void start(void)
{
	start_with(&(struct wb_sim_params){ .image_bytes = 4 << 20, .backing_fill = OLD,
					    .no_writeback = true, .segment_count = 16 });
}

static void stop(void)
{
	wb_sim_clear(&sim);
}

TestSuite(bypass, .init = start, .fini = stop);
TestSuite(bypass_moments, .fini = stop);	/* many volumes, each with a seed */

static uint64_t bypassed(void)
{
	return wb_sim_counter(&sim, WB_STAT_BYPASSED_BYTES);
}

static void fill(uint64_t offset, uint8_t value, uint64_t length)
{
	cr_assert_eq(wb_sim_fill(&sim, offset, value, length, 0), 0);
}

/* [from, to) in one stream. */
static void stream(uint64_t from, uint64_t to, uint8_t value)
{
	for (; from < to; from += WRITE)
		fill(from, value, WRITE);
}

static void expect(uint64_t offset, uint8_t value, uint64_t length)
{
	g_autofree uint8_t *data = g_malloc(length);

	cr_assert_eq(wb_sim_read(&sim, offset, data, length), 0);
	for (uint64_t i = 0; i < length; i++)
		cr_assert_eq(data[i], value, "byte %lu is 0x%x", offset + i, data[i]);
}

static uint8_t durable_byte(uint64_t offset)
{
	struct wb_store *survives = wb_store_crashy_crash_losing_all(sim.backing_disk.crashy);
	uint8_t byte = wb_store_memory_bytes(survives)[offset];

	wb_store_close(survives);
	return byte;
}

static void cut_power(void)
{
	wb_sim_kill(&sim);
	wb_sim_cut_power(&sim);
	cr_assert(wb_sim_open(&sim, NULL));
}

/* --- what goes around --------------------------------------------------------------- */

Test(bypass, is_off_until_it_is_asked_for)
{
	wb_sim_set(&sim, "bypass_threshold", "0");
	stream(0, 8 * WRITE, NEW);
	cr_expect_eq(bypassed(), 0);
	cr_expect_eq(wb_sim_counter(&sim, WB_STAT_BYPASSED_STREAMS), 0);
}

Test(bypass, a_stream_goes_around_from_the_threshold_on_in_the_pieces_in_which_it_comes)
{
	stream(0, 10 * WRITE, NEW);
	cr_expect_eq(bypassed(), 8 * WRITE);
	cr_expect_eq(wb_sim_counter(&sim, WB_STAT_BYPASSED_WRITES), 8);
	cr_expect_eq(wb_sim_counter(&sim, WB_STAT_BYPASSED_STREAMS), 1);
	cr_expect_eq(wb_sim_backing_bytes(&sim)[2 * WRITE - 1], OLD, "in the log");
	cr_expect_eq(wb_sim_backing_bytes(&sim)[2 * WRITE], NEW);
	expect(0, NEW, 10 * WRITE);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	for (uint64_t at = 0; at < 10 * WRITE; at += BLOCK)
		cr_assert_eq(durable_byte(at), NEW);
}

Test(bypass, three_writers_at_once_are_known_and_a_random_one_is_not)
{
	for (unsigned i = 0; i < 12; i++) {
		for (unsigned w = 0; w < 3; w++)
			fill(w * (1u << 20) + i * WRITE, (uint8_t)(w + 1), WRITE);
		fill((3u << 20) + (i * 7 % 13) * BLOCK, 0x44, BLOCK);
	}
	cr_expect_eq(wb_sim_counter(&sim, WB_STAT_BYPASSED_STREAMS), 3);
	cr_expect_eq(bypassed(), 3 * 10 * WRITE);
	for (unsigned w = 0; w < 3; w++)
		expect(w * (1u << 20), (uint8_t)(w + 1), 12 * WRITE);
}

Test(bypass, what_is_durable_when_it_returns_stays_in_the_log)
{
	stream(0, 3 * WRITE, NEW);
	cr_assert_eq(wb_sim_fill(&sim, 3 * WRITE, NEW, WRITE, WB_REQUEST_FUA), 0);
	cr_expect_eq(bypassed(), WRITE);
}

Test(bypass, dirty_blocks_go_through_the_log_and_few_between_them_too)
{
	static const unsigned clear[] = { 0, 1, 3 };	/* of writes 4 to 7 */

	/* the sixth write has a dirty block at its end and in its middle */
	fill(6 * WRITE + 8 * BLOCK, BEFORE, BLOCK);
	fill(6 * WRITE + 15 * BLOCK, BEFORE, BLOCK);
	stream(0, 8 * WRITE, NEW);
	cr_expect_eq(bypassed(), 5 * WRITE, "%lu", bypassed());
	for (unsigned i = 0; i < 3; i++)
		cr_expect_eq(wb_sim_backing_bytes(&sim)[(4 + clear[i]) * WRITE], NEW);
	cr_expect_eq(wb_sim_backing_bytes(&sim)[6 * WRITE], OLD);
	cr_expect_eq(wb_sim_backing_bytes(&sim)[6 * WRITE + 8 * BLOCK], OLD);
	expect(0, NEW, 8 * WRITE);
	/* What was dirty is older than what lies there: it never lands on it. */
	cr_assert_eq(wb_sim_drain(&sim), 0);
	expect(0, NEW, 8 * WRITE);
	cr_expect_eq(durable_byte(6 * WRITE + 8 * BLOCK), NEW);
}

Test(bypass, a_discard_that_is_not_punched_goes_through_the_log)
{
	cr_assert_eq(wb_sim_zero(&sim, 3 * WRITE, WRITE, 0), 0);
	stream(0, 5 * WRITE, NEW);
	cr_expect_eq(bypassed(), 2 * WRITE);
	expect(0, NEW, 5 * WRITE);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	expect(0, NEW, 5 * WRITE);
	cr_expect_eq(durable_byte(3 * WRITE), NEW);
}

Test(bypass, cached_copies_die_and_recovery_does_not_bring_them_back)
{
	fill(4 * WRITE, BEFORE, WRITE);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	expect(4 * WRITE, BEFORE, WRITE);
	stream(0, 8 * WRITE, NEW);
	expect(4 * WRITE, NEW, WRITE);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	cut_power();
	expect(0, NEW, 8 * WRITE);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	cr_expect_eq(durable_byte(4 * WRITE), NEW);
}

/* --- durability ------------------------------------------------------------------------ */

/* At the moment when the backing is written the entry is durable on the cache. */
static void expect_entry(void *arg, const struct wb_store *store, const struct wb_io *io)
{
	unsigned *count = arg;
	struct wb_data_path *path = &sim.cache->path;

	if (store != sim.backing_disk.crashy || io->op != WB_IO_WRITE)
		return;
	++*count;
	cr_assert_eq(wb_log_durable(path->log), wb_log_last_sequence(path->log));
}

Test(bypass, the_entry_is_durable_before_the_backing_is_written)
{
	unsigned count = 0;

	sim.crash_clock.on_submit = expect_entry;
	sim.crash_clock.arg = &count;
	stream(0, 8 * WRITE, NEW);
	cr_expect_eq(count, 6);
	sim.crash_clock.on_submit = NULL;
}

Test(bypass, a_sync_flushes_the_backing_after_it_and_only_then)
{
	uint64_t flushes = wb_sim_counter(&sim, WB_STAT_BACKING_FLUSHES);

	stream(0, 8 * WRITE, NEW);
	cr_expect_eq(durable_byte(4 * WRITE), OLD);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	cr_expect_eq(durable_byte(4 * WRITE), NEW);
	cr_expect_eq(wb_sim_counter(&sim, WB_STAT_BACKING_FLUSHES), flushes + 1);
	fill(3 << 20, NEW, BLOCK);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	cr_expect_eq(wb_sim_counter(&sim, WB_STAT_BACKING_FLUSHES), flushes + 1);
}

Test(bypass, a_write_that_is_durable_when_it_returns_makes_the_stream_durable_too)
{
	stream(0, 8 * WRITE, NEW);
	cr_assert_eq(wb_sim_fill(&sim, 3 << 20, NEW, BLOCK, WB_REQUEST_FUA), 0);
	cr_expect_eq(durable_byte(4 * WRITE), NEW);
}

/* The power goes when `moment` of them have passed since the write around the cache
 * was submitted: at its entry, at the flush of that, at the backing's write, behind
 * it. All the rest was synced. FALSE: the write had ended before. */
static bool cut_at(uint64_t seed, uint64_t moment)
{
	struct wb_sim_op *op;
	uint8_t data[WRITE];
	bool has_crashed;

	start_with(&(struct wb_sim_params){ .image_bytes = 4 << 20, .backing_fill = OLD,
					    .segment_count = 16, .seed = seed });
	fill(4 * WRITE, BEFORE, WRITE);		/* what the log still has of it, written back */
	cr_assert_eq(wb_sim_drain(&sim), 0);
	stream(0, 4 * WRITE, NEW);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	sim.crash_clock.crash_at = sim.crash_clock.point_count + moment;
	op = wb_sim_prepare(&sim, WB_WRITE, 0, 4 * WRITE, WRITE);
	memset(op->data, NEW, WRITE);
	wb_sim_submit(op);
	while (!op->is_finished && !sim.crash_clock.has_crashed && wb_sim_step(&sim))
		;
	cr_assert(!op->is_finished || bypassed() >= WRITE);
	has_crashed = sim.crash_clock.has_crashed;
	sim.crash_clock.has_crashed = true;
	sim.crash_clock.crash_at = 0;
	cut_power();
	expect(0, NEW, 4 * WRITE);
	expect(5 * WRITE, OLD, WRITE);
	cr_assert_eq(wb_sim_read(&sim, 4 * WRITE, data, WRITE), 0);
	for (unsigned s = 0; s < WRITE; s += 512)
		cr_assert((data[s] == BEFORE || data[s] == NEW) &&
			  !memcmp(data + s, data + s + 1, 511), "seed %lu, moment %lu: 0x%x",
			  seed, moment, data[s]);
	/* and it stays what it was found to be */
	cr_assert_eq(wb_sim_drain(&sim), 0);
	cr_assert_eq(memcmp(wb_sim_backing_bytes(&sim) + 4 * WRITE, data, WRITE), 0);
	stop();
	return has_crashed;
}

Test(bypass_moments, a_power_cut_leaves_old_or_new_sectors_and_all_that_was_synced)
{
	for (uint64_t seed = 1; seed <= 20; seed++) {
		uint64_t moment = 1;

		while (cut_at(seed, moment))
			moment++;
		cr_assert_gt(moment, 4, "seed %lu: %lu", seed, moment);
	}
}

/* --- a read meanwhile -------------------------------------------------------------------- */

/* What bcache had wrong from 2021 to 2026: a read that misses is answered from the
 * backing before the write around the cache is there, and what it brought is kept in the
 * cache, for ever in front of the newer data. Here the read begins at any step of the
 * write, and ends at any step; the next read finds the new data, and so does one after
 * all of that has been thrown out of memory. */
static bool read_meanwhile(uint64_t seed, unsigned begin)
{
	struct wb_sim_op *write, *read;
	bool write_had_ended;
	unsigned steps = 0;

	start_with(&(struct wb_sim_params){ .image_bytes = 4 << 20, .backing_fill = OLD,
					    .segment_count = 16, .seed = seed });
	if (wb_tunable_find("read_cache"))
		wb_sim_set(&sim, "read_cache", "on");
	stream(0, 4 * WRITE, BEFORE);
	write = wb_sim_prepare(&sim, WB_WRITE, 0, 4 * WRITE, WRITE);
	memset(write->data, NEW, WRITE);
	read = wb_sim_prepare(&sim, WB_READ, 0, 4 * WRITE, WRITE);
	if (begin == 0)
		wb_sim_submit(read);
	wb_sim_submit(write);
	while (!write->is_finished && steps < begin && wb_sim_step(&sim))
		steps++;
	write_had_ended = write->is_finished;
	if (begin > 0)
		wb_sim_submit(read);
	cr_assert_eq(wb_sim_wait(read), 0);
	cr_assert_eq(wb_sim_wait(write), 0);
	if (write_had_ended && begin > 0)
		cr_assert_eq(read->data[0], NEW);
	for (unsigned i = 0; i < WRITE; i += 512)
		cr_assert(read->data[i] == OLD || read->data[i] == NEW);
	wb_sim_release(read);
	wb_sim_release(write);
	expect(4 * WRITE, NEW, WRITE);
	wb_sim_settle(&sim);
	expect(4 * WRITE, NEW, WRITE);
	cr_assert_eq(wb_sim_close(&sim), 0);
	cr_assert(wb_sim_open(&sim, NULL));
	expect(4 * WRITE, NEW, WRITE);
	stop();
	return !write_had_ended;
}

Test(bypass_moments, a_read_that_misses_meanwhile_never_leaves_the_old_data_in_the_cache)
{
	for (uint64_t seed = 1; seed <= 100; seed++) {
		for (unsigned begin = 0; read_meanwhile(seed, begin); begin++)
			cr_assert_lt(begin, 1000);
	}
}

/* What a fill, or the edge of a write, has to see: the count of the stripe is another
 * one before, during and after a write around the cache. */
Test(bypass, the_count_of_changes_rises_at_its_begin_and_at_its_end)
{
	struct wb_stripe *stripe = wb_block_map_stripe(sim.cache->path.map, 4 * WRITE / BLOCK);
	uint64_t before, meanwhile = 0;
	struct wb_sim_op *write;

	stream(0, 4 * WRITE, NEW);
	before = stripe->change_count;
	write = wb_sim_prepare(&sim, WB_WRITE, 0, 4 * WRITE, WRITE);
	memset(write->data, NEW, WRITE);
	wb_sim_submit(write);
	while (!write->is_finished) {
		/* written, and not answered */
		if (write->request->bypass.stage == WB_BYPASS_LOGGED)
			meanwhile = stripe->change_count;
		cr_assert(wb_sim_step(&sim));
	}
	cr_assert_gt(meanwhile, before);
	cr_assert_gt(stripe->change_count, meanwhile);
	wb_sim_release(write);
}
