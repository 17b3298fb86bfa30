/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Discarding places of the ring on the cache's disk: which ones, when, how fast;
 * and that nothing which anybody could want is ever among them. What was discarded
 * reads as garbage here.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "cache/cache_private.h"
#include "cache/recovery.h"
#include "support/store_faulty.h"
#include "support/volume_sim.h"

#define BLOCK 4096u
#define SECOND_NS UINT64_C(1000000000)
#define SEGMENT_BLOCKS (WB_SEGMENT_BYTES_MIN / BLOCK - 1)	/* data in one record */
#define SEGMENTS 64u

static struct wb_sim sim;

static void start_with(bool discards)
{
	struct wb_sim_params params = { .segment_count = SEGMENTS, .image_bytes = 8 << 20,
					.no_writeback = true };

	wb_sim_init(&sim, &params);
	sim.discards_cache = discards;
	cr_assert(wb_sim_open(&sim, NULL));
}

static void start(void)
{
	start_with(true);
}

static void stop(void)
{
	if (sim.ops)
		wb_sim_clear(&sim);
	sim.ops = NULL;
}

TestSuite(place_discard, .fini = stop);

static void set(const char *name, const char *value)
{
	cr_assert(wb_cache_set_tunable(sim.cache, wb_tunable_find(name), value, NULL));
}

static void wait(unsigned seconds)
{
	for (unsigned i = 0; i < 4 * seconds; i++) {
		wb_sim_pass_time(&sim, SECOND_NS / 4);
		wb_sim_settle(&sim);
	}
}

static void write_segments(unsigned from, unsigned count, uint8_t value)
{
	for (unsigned i = from; i < from + count; i++)
		cr_assert_eq(wb_sim_fill(&sim, i * SEGMENT_BLOCKS * BLOCK, (uint8_t)(value + i),
					 SEGMENT_BLOCKS * BLOCK, 0), 0);
	cr_assert_eq(wb_sim_sync(&sim), 0);
}

static void expect_segments(unsigned from, unsigned count, uint8_t value)
{
	static uint8_t data[SEGMENT_BLOCKS * BLOCK];

	for (unsigned i = from; i < from + count; i++) {
		cr_assert_eq(wb_sim_read(&sim, i * sizeof data, data, sizeof data), 0);
		for (size_t b = 0; b < sizeof data; b++)
			cr_assert_eq(data[b], (uint8_t)(value + i), "segment %u byte %zu", i, b);
	}
}

static uint64_t discards(void)
{
	return wb_store_counting_ios(sim.cache_disk.counting, WB_IO_DISCARD);
}

static struct wb_stats_snapshot stats(void)
{
	struct wb_stats_snapshot snapshot;

	wb_sim_stats(&sim, &snapshot);
	return snapshot;
}

/* The power goes, and what was volatile is lost or torn by chance. */
static void cut_power(void)
{
	sim.crash_clock.has_crashed = true;
	wb_sim_kill(&sim);
	wb_sim_cut_power(&sim);
	cr_assert(wb_sim_open(&sim, NULL));
}

/* --- which places --------------------------------------------------------------------- */

Test(place_discard, it_is_off_unless_asked_for)
{
	struct wb_tunables tunables = WB_TUNABLES_DEFAULT;

	cr_expect(!tunables.discard_cache);
	start_with(false);
	write_segments(0, 10, 1);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	wait(5);
	cr_expect_eq(discards(), 0);
	cr_expect_eq(wb_store_counting_ios(sim.cache_disk.counting, WB_IO_ZERO), 0);
	cr_expect_eq(stats().discard_state, WB_DISCARD_OFF);
	set("discard_cache", "on");
	wait(5);
	cr_expect_gt(discards(), 0);
	cr_expect_eq(stats().discard_state, WB_DISCARD_ON);
}

/* All places but those that are ready for the log, and the ones with data. */
Test(place_discard, of_a_new_cache_all_that_is_behind_the_ready_places_goes_once)
{
	uint64_t ready;

	start();
	wait(2);
	ready = wb_log_limit(sim.cache->path.log);
	cr_expect_eq(discards(), SEGMENTS - ready);
	cr_expect_eq(stats().counter[WB_STAT_CACHE_DISCARDS], SEGMENTS - ready);
	cr_expect_eq(stats().counter[WB_STAT_CACHE_DISCARDED_BYTES],
		     (SEGMENTS - ready) * (uint64_t)SEGMENT_BLOCKS * BLOCK);
	wait(10);
	cr_expect_eq(discards(), SEGMENTS - ready);
}

/* A cached block is worth more than a free place, but for a little room ahead. */
Test(place_discard, clean_blocks_stay_but_for_a_stretch_in_front_of_the_head)
{
	uint64_t cached, limit, before;

	start_with(false);
	write_segments(0, 50, 1);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	write_segments(50, 10, 1);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	wait(2);
	cached = stats().cached_blocks;
	limit = wb_log_limit(sim.cache->path.log);
	cr_assert_gt(limit, SEGMENTS, "the ring has not come round");
	before = limit - SEGMENTS;	/* of the oldest that are forgotten already */
	set("discard_cache", "on");
	wait(5);
	cr_expect_eq(discards(), SEGMENTS / WB_DISCARD_NEAR_PART);
	cr_expect_eq(stats().cached_blocks,
		     cached - SEGMENTS / WB_DISCARD_NEAR_PART * SEGMENT_BLOCKS);
	wait(100);
	cr_expect_eq(discards(), SEGMENTS / WB_DISCARD_NEAR_PART);
	expect_segments(0, 60, 1);
	cr_expect_leq(stats().counter[WB_STAT_READ_BACKING_BYTES],
		      (before + SEGMENTS / WB_DISCARD_NEAR_PART) * SEGMENT_BLOCKS * BLOCK);
	cr_expect_eq(stats().counter[WB_STAT_CHECKSUM_ERRORS], 0);
}

Test(place_discard, what_was_written_over_is_discarded_up_to_the_first_that_is_not)
{
	uint64_t cached;

	start_with(false);
	write_segments(0, 20, 1);
	write_segments(30, 1, 1);	/* ... and this one is not written over */
	write_segments(0, 20, 2);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	wait(2);
	cached = stats().cached_blocks;
	set("discard_cache", "on");
	wait(5);
	/* Round the ring to the places of the first 20. */
	cr_expect_eq(discards(), SEGMENTS - wb_log_limit(sim.cache->path.log) + 20);
	cr_expect_eq(stats().cached_blocks, cached);
	expect_segments(0, 20, 2);
	expect_segments(30, 1, 1);
	cr_expect_eq(stats().counter[WB_STAT_READ_BACKING_BYTES], 0);
}

/* Recovery finds clean blocks by a chain, which must not get a hole. */
Test(place_discard, what_is_cached_is_found_again_by_the_next_mount)
{
	uint64_t cached;

	start();
	write_segments(0, 20, 1);
	write_segments(0, 20, 2);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	wait(5);
	cached = stats().cached_blocks;
	cr_assert_gt(discards(), 0);
	cr_assert_eq(cached, 20 * SEGMENT_BLOCKS);
	wb_sim_kill(&sim);
	sim.discards_cache = false;
	cr_assert(wb_sim_open(&sim, NULL));
	cr_expect_eq(stats().cached_blocks, cached);
	expect_segments(0, 20, 2);
	cr_expect_eq(stats().counter[WB_STAT_READ_BACKING_BYTES], 0);
}

/* --- never too early ------------------------------------------------------------------ */

/* While nothing is written, only a superblock can record the tail. */
Test(place_discard, nothing_is_discarded_before_the_tail_beyond_it_is_on_the_ssd)
{
	struct wb_tunables tunables = WB_TUNABLES_DEFAULT;
	uint64_t before;

	start();
	wait(2);
	tunables.superblock_interval_s = 0;
	tunables.discard_cache = true;
	tunables.discard_rate_mib_s = 0;
	tunables.writeback_modulator = false;
	tunables.allow_writeback = false;
	wb_cache_set_tunables(sim.cache, &tunables);
	tunables.sync_interval_s = 0;
	wb_cache_set_tunables(sim.cache, &tunables);
	write_segments(0, 21, 1);
	wait(5);
	before = discards();
	tunables.allow_writeback = true;
	wb_cache_set_tunables(sim.cache, &tunables);
	wait(5);
	/* Nobody wants them any more, but if the power went now, recovery would. */
	cr_assert_eq(wb_sim_zero(&sim, 0, 20 * SEGMENT_BLOCKS * BLOCK, 0), 0);
	wait(50);
	cr_assert_gt(wb_tail_current(&sim.cache->tail).segment, 20);
	cr_assert_eq(wb_tail_durable(&sim.cache->tail).segment, 1);
	cr_expect_eq(discards(), before);
	/* A record carries it. */
	cr_assert_eq(wb_sim_sync(&sim), 0);
	cr_assert_gt(wb_tail_durable(&sim.cache->tail).segment, 20);
	wait(2);
	/* But for the newest, which still have RAM buffers. */
	cr_expect_geq(discards(), before + 20 - sim.params.ram_segments);
	cr_expect_leq(discards(), before + 20);
	expect_segments(20, 1, 1);
}

static unsigned seen_discards;

static void on_submit(void *arg, const struct wb_store *store, const struct wb_io *io)
{
	static const uint8_t zeros[BLOCK];
	uint64_t offset = io->offset_bytes - BLOCK;

	(void)arg;
	if (store != sim.cache_disk.crashy || io->op != WB_IO_DISCARD)
		return;
	seen_discards++;
	cr_assert_eq((offset - sim.geometry.ring_offset) % sim.geometry.segment_bytes, 0);
	cr_assert_eq(io->length_bytes, sim.geometry.segment_bytes - BLOCK);
	cr_assert(wb_store_counting_is_covered(sim.cache_disk.counting, offset, BLOCK));
	cr_assert_arr_eq(wb_sim_cache_bytes(&sim) + offset, zeros, BLOCK);
}

Test(place_discard, its_first_block_is_zeros_for_good_before_the_rest_goes)
{
	start();
	sim.crash_clock.on_submit = on_submit;
	write_segments(0, 30, 1);
	write_segments(0, 30, 2);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	wait(5);
	cr_expect_geq(seen_discards, 30);
}

static void bad_block(void *arg, const struct wb_recovery_record *record, unsigned entry_index,
		      const struct wb_entry *entry, uint32_t slot)
{
	(void)record;
	(void)entry_index;
	(void)entry;
	(void)slot;
	++*(unsigned *)arg;
}

/* As `wbfs check` looks at it. */
static unsigned count_bad_blocks(void)
{
	unsigned count = 0;
	struct wb_recovery_options options = { .bad_block = bad_block, .arg = &count };
	g_autoptr(GError) error = NULL;
	struct wb_recovery *recovery = wb_recovery_scan(sim.cache_disk.memory, &options, &error);

	cr_assert(recovery, "%s", error ? error->message : "");
	wb_recovery_free(recovery);
	return count;
}

/* Half a discard must not leave clean blocks that the next mount believes, and
 * then finds rotten. */
Test(place_discard, at_whatever_moment_the_power_goes_nothing_looks_rotten)
{
	for (unsigned steps = 0; steps < 120; steps++) {
		struct wb_sim_params params = { .segment_count = 20, .image_bytes = 8 << 20,
						.seed = 1 + steps };

		wb_sim_init(&sim, &params);
		cr_assert(wb_sim_open(&sim, NULL));
		write_segments(0, 14, 1);
		cr_assert_eq(wb_sim_drain(&sim), 0);
		write_segments(0, 10, 2);
		cr_assert_eq(wb_sim_drain(&sim), 0);
		sim.discards_cache = true;
		set("discard_rate_mib_s", "0");
		set("discard_cache", "on");
		for (unsigned i = 0; i < steps; i++)
			wb_sim_step(&sim);
		cut_power();
		cr_assert_eq(count_bad_blocks(), 0, "after %u steps", steps);
		expect_segments(0, 10, 2);
		expect_segments(10, 4, 1);
		cr_assert_eq(stats().counter[WB_STAT_CHECKSUM_ERRORS], 0);
		wb_sim_clear(&sim);
	}
	sim.ops = NULL;
}

/* A discard that overtook a write would destroy it. */
Test(place_discard, the_log_does_not_go_where_a_discard_is_under_way)
{
	struct wb_sim_op *op;
	uint64_t limit;

	start_with(false);
	wb_store_faulty_add(sim.cache_disk.faulty, &(struct wb_fault){
		.op = WB_IO_DISCARD, .io_class = WB_FAULT_ANY, .effect = WB_FAULT_DELAY,
		.count = WB_FAULT_FOR_EVER, .delay_polls = 3000 });
	set("discard_rate_mib_s", "0");
	set("discard_cache", "on");
	for (unsigned i = 0; discards() == 0; i++) {
		cr_assert_lt(i, 200);
		wb_sim_step(&sim);
	}
	limit = wb_log_limit(sim.cache->path.log);
	for (unsigned i = 0; i < 20; i++) {
		op = wb_sim_prepare(&sim, WB_WRITE, 0, i * SEGMENT_BLOCKS * BLOCK,
				    SEGMENT_BLOCKS * BLOCK);
		if (!op)
			break;
		memset(op->data, (int)(1 + i), SEGMENT_BLOCKS * BLOCK);
		wb_sim_submit(op);
	}
	for (unsigned i = 0; i < 400; i++)
		wb_sim_step(&sim);
	cr_expect_eq(wb_log_limit(sim.cache->path.log), limit);
	wb_sim_settle(&sim);
	cr_expect_gt(wb_log_limit(sim.cache->path.log), limit);
	for (unsigned i = 0; i < sim.params.request_count; i++)
		if (sim.ops[i].request)
			cr_expect_eq(wb_sim_wait(&sim.ops[i]), 0);
}

/* --- how fast -------------------------------------------------------------------------- */

Test(place_discard, it_keeps_to_its_rate)
{
	const uint64_t rate = 1 << 20;
	uint64_t begun_ns, bytes;

	start_with(false);
	set("discard_rate_mib_s", "1");
	set("discard_cache", "on");
	begun_ns = sim.clock.now_ns;
	for (unsigned i = 0; i < 6; i++) {
		wait(i % 2);
		bytes = discards() * WB_SEGMENT_BYTES_MIN;
		cr_expect_leq(bytes, rate * (sim.clock.now_ns - begun_ns) / SECOND_NS +
			      WB_SEGMENT_BYTES_MIN);
		cr_expect_geq(bytes + WB_SEGMENT_BYTES_MIN,
			      rate * (sim.clock.now_ns - begun_ns) / SECOND_NS);
	}
	set("discard_rate_mib_s", "0");
	wait(1);
	cr_expect_eq(discards(), SEGMENTS - wb_log_limit(sim.cache->path.log));
}

/* --- disks that cannot ------------------------------------------------------------------- */

static void fail(enum wb_io_op op, int error, uint64_t count)
{
	wb_store_faulty_add(sim.cache_disk.faulty, &(struct wb_fault){
		.op = (int)op, .io_class = op == WB_IO_FLUSH ? WB_FAULT_ANY : WB_IO_CLASS_DISCARD,
		.error = error, .count = count });
}

static unsigned count_events(const char *words)
{
	static struct wb_event events[WB_EVENTS_MAX];
	unsigned count = wb_cache_get_events(sim.cache, events), found = 0;

	for (unsigned i = 0; i < count; i++)
		found += strstr(events[i].text, words) != NULL;
	return found;
}

Test(place_discard, a_disk_that_cannot_is_told_of_once_and_left_alone)
{
	uint64_t tries;

	start_with(false);
	fail(WB_IO_DISCARD, -EOPNOTSUPP, WB_FAULT_FOR_EVER);
	set("discard_rate_mib_s", "0");
	set("discard_cache", "on");
	wait(100);
	tries = discards();
	cr_expect_leq(tries, WB_DISCARD_PLACES_MAX);
	cr_expect_eq(count_events("does not discard; discard_cache has no effect"), 1);
	cr_expect_eq(stats().discard_state, WB_DISCARD_UNSUPPORTED);
	cr_expect_eq(stats().counter[WB_STAT_CACHE_DISCARD_FAILURES], 0);
	cr_expect_eq(stats().counter[WB_STAT_CACHE_ERRORS], 0);
	cr_expect_eq(stats().state, WB_CACHE_RUNNING);
	cr_expect_str_empty(stats().last_error);
	/* Another disk may lie under it now. */
	wb_store_faulty_clear(sim.cache_disk.faulty);
	set("discard_cache", "off");
	set("discard_cache", "on");
	wait(2);
	cr_expect_eq(stats().discard_state, WB_DISCARD_ON);
	cr_expect_gt(stats().counter[WB_STAT_CACHE_DISCARDS], 0);
}

static void expect_it_goes_on_after(enum wb_io_op op)
{
	uint64_t tries;

	start_with(false);
	fail(op, -EIO, op == WB_IO_FLUSH ? 1 : WB_DISCARD_PLACES_MAX);
	set("discard_rate_mib_s", "0");
	set("discard_cache", "on");
	wb_sim_settle(&sim);
	tries = discards();
	cr_expect_leq(tries, op == WB_IO_DISCARD ? WB_DISCARD_PLACES_MAX : 0, "without a pause");
	cr_expect_eq(stats().counter[WB_STAT_CACHE_DISCARD_FAILURES], WB_DISCARD_PLACES_MAX);
	cr_expect_eq(stats().counter[WB_STAT_CACHE_DISCARDS], 0);
	cr_expect_eq(count_events("discarding a segment failed: Input/output error"), 1);
	wait(2);
	cr_expect_eq(stats().counter[WB_STAT_CACHE_DISCARD_FAILURES], WB_DISCARD_PLACES_MAX);
	cr_expect_eq(stats().counter[WB_STAT_CACHE_DISCARDS],
		     SEGMENTS - wb_log_limit(sim.cache->path.log) - WB_DISCARD_PLACES_MAX);
	write_segments(0, 30, 1);
	expect_segments(0, 30, 1);
}

Test(place_discard, after_a_discard_that_failed_it_goes_on_behind_it)
{
	expect_it_goes_on_after(WB_IO_DISCARD);
}

Test(place_discard, without_the_zeros_nothing_is_discarded)
{
	expect_it_goes_on_after(WB_IO_ZERO);
}

Test(place_discard, without_the_flush_nothing_is_discarded)
{
	expect_it_goes_on_after(WB_IO_FLUSH);
}

/* --- the end ------------------------------------------------------------------------------- */

Test(place_discard, a_stop_ends_it_at_any_moment)
{
	start();
	for (unsigned steps = 0; steps < 40; steps++) {
		for (unsigned i = 0; i < steps; i++)
			wb_sim_step(&sim);
		if (steps % 2)
			cr_assert_eq(wb_sim_close(&sim), 0);
		else
			wb_sim_kill(&sim);
		cr_assert(wb_sim_open(&sim, NULL));
		cr_assert_eq(wb_sim_fill(&sim, steps * BLOCK, (uint8_t)steps, BLOCK,
					 WB_REQUEST_FUA), 0);
	}
	for (unsigned i = 0; i < 40; i++) {
		uint8_t data[BLOCK];

		cr_assert_eq(wb_sim_read(&sim, i * BLOCK, data, BLOCK), 0);
		cr_assert_eq(data[77], i);
	}
}
