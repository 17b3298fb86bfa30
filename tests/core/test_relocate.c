/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Places of the log that cannot be written any more. What is acknowledged goes
 * elsewhere, whatever else happens meanwhile: the power goes at any point, a
 * second place fails, a superblock cannot be written, the ring is full.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "cache/cache_private.h"
#include "crash/oracle.h"
#include "support/store_memory.h"
#include "support/volume_sim.h"

#define BLOCK 4096u
#define PLACES_MAX 10u

struct spoilt {
	uint64_t place;
	uint32_t from_block;		/* the blocks before it can be written */
	enum wb_fault_effect effect;
};

static struct wb_sim sim;
static struct spoilt spoilt[PLACES_MAX];
static unsigned spoilt_count;

static void stop(void)
{
	wb_sim_clear(&sim);
}

TestSuite(relocate, .fini = stop);

static void start_with(const struct wb_sim_params *params)
{
	struct wb_sim_params p = params ? *params : (struct wb_sim_params){ 0 };

	p.backing_fill = 9;
	wb_sim_init(&sim, &p);
	spoilt_count = 0;
	cr_assert(wb_sim_open(&sim, NULL));
}

static uint64_t offset_of_place(uint64_t place)
{
	return wb_geometry_segment_offset(&sim.geometry, place);
}

static void add_fault(const struct spoilt *it)
{
	struct wb_fault fault = {
		.op = WB_IO_WRITE, .io_class = WB_FAULT_ANY, .effect = it->effect,
		.offset_bytes = offset_of_place(it->place) + (uint64_t)it->from_block * BLOCK,
		.length_bytes = sim.geometry.segment_bytes - (uint64_t)it->from_block * BLOCK,
		.count = WB_FAULT_FOR_EVER,
	};

	wb_store_faulty_add(sim.cache_disk.faulty, &fault);
}

/* For good: a power cut does not heal it. */
static void spoil(uint64_t place, uint32_t from_block, enum wb_fault_effect effect)
{
	spoilt[spoilt_count] = (struct spoilt){ place, from_block, effect };
	add_fault(&spoilt[spoilt_count++]);
}

static void cut_power(void)
{
	wb_sim_cut_power(&sim);
	for (unsigned i = 0; i < spoilt_count; i++)
		add_fault(&spoilt[i]);
}

static void crash(void)
{
	wb_sim_kill(&sim);
	cut_power();
}

static void reopen(void)
{
	g_autoptr(GError) error = NULL;

	cr_assert(wb_sim_open(&sim, &error), "%s", error->message);
}

static struct wb_stats_snapshot stats(void)
{
	struct wb_stats_snapshot snapshot;

	wb_sim_stats(&sim, &snapshot);
	return snapshot;
}

static void fill(uint64_t block, uint8_t value, uint64_t count)
{
	cr_assert_eq(wb_sim_fill(&sim, block * BLOCK, value, count * BLOCK, 0), 0);
}

static void expect(uint64_t block, uint8_t value, uint64_t count)
{
	g_autofree uint8_t *data = g_malloc(count * BLOCK);

	cr_assert_eq(wb_sim_read(&sim, block * BLOCK, data, count * BLOCK), 0);
	for (uint64_t i = 0; i < count * BLOCK; i++)
		cr_assert_eq(data[i], value, "block %lu is %u, not %u", block + i / BLOCK, data[i],
			     value);
}

static void pass_minutes(unsigned minutes)
{
	for (unsigned i = 0; i < minutes * 6; i++) {
		wb_sim_pass_time(&sim, UINT64_C(10000000000));
		wb_sim_settle(&sim);
	}
}

static void expect_relocations(uint64_t relocations, uint64_t bad)
{
	cr_assert_eq(stats().counter[WB_STAT_RELOCATIONS], relocations, "%lu relocations",
		     stats().counter[WB_STAT_RELOCATIONS]);
	cr_assert_eq(stats().bad_segments, bad, "%lu bad places", stats().bad_segments);
	cr_assert_eq(stats().state, WB_CACHE_RUNNING);
}

/* --- one place ------------------------------------------------------------------------ */

Test(relocate, a_place_that_cannot_be_written_is_given_up)
{
	start_with(NULL);
	spoil(0, 0, WB_FAULT_FAIL);
	fill(0, 1, 3);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	expect_relocations(1, 1);
	cr_expect(strstr(stats().last_error, "place 0"), "%s", stats().last_error);
	expect(0, 1, 3);
	crash();
	reopen();
	expect_relocations(0, 1);
	expect(0, 1, 3);
	fill(3, 2, 20);
	cr_assert_eq(wb_sim_close(&sim), 0);
	reopen();
	expect(0, 1, 3);
	expect(3, 2, 20);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	cr_expect_eq(wb_sim_backing_bytes(&sim)[22 * BLOCK], 2);
	expect_relocations(0, 1);
}

Test(relocate, what_is_durable_in_a_bad_place_is_still_read_and_written_back)
{
	struct wb_sim_params params = { .no_writeback = true };

	start_with(&params);
	fill(0, 1, 3);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	fill(10, 2, 2);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	spoil(0, 0, WB_FAULT_FAIL);
	fill(1, 3, 1);
	fill(20, 4, 2);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	expect_relocations(1, 1);
	expect(0, 1, 1);
	expect(1, 3, 1);
	expect(10, 2, 2);
	crash();
	reopen();
	expect(0, 1, 1);
	expect(1, 3, 1);
	expect(2, 1, 1);
	expect(10, 2, 2);
	expect(20, 4, 2);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	cr_expect_eq(wb_sim_backing_bytes(&sim)[0], 1);
	cr_expect_eq(wb_sim_backing_bytes(&sim)[BLOCK], 3);
	cr_expect_eq(wb_sim_backing_bytes(&sim)[11 * BLOCK], 2);
	cr_expect_eq(wb_sim_backing_bytes(&sim)[21 * BLOCK], 4);
}

Test(relocate, all_that_waits_behind_the_bad_place_goes_along)
{
	struct wb_sim_params params = { .no_writeback = true, .image_bytes = 200 * BLOCK };

	start_with(&params);
	spoil(0, 0, WB_FAULT_FAIL);
	/* nearly all that there are RAM buffers for */
	fill(0, 1, 40);
	cr_assert_eq(wb_sim_zero(&sim, 20 * BLOCK, 4 * BLOCK, 0), 0);
	fill(30, 2, 5);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	expect_relocations(1, 1);
	crash();
	reopen();
	expect(0, 1, 20);
	expect(20, 0, 4);
	expect(24, 1, 6);
	expect(30, 2, 5);
	expect(35, 1, 5);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	cr_expect_eq(wb_sim_backing_bytes(&sim)[20 * BLOCK], 0);
	cr_expect_eq(wb_sim_backing_bytes(&sim)[34 * BLOCK], 2);
}

Test(relocate, more_than_one_place_may_fail)
{
	start_with(NULL);
	spoil(0, 0, WB_FAULT_FAIL);
	spoil(1, 3, WB_FAULT_FAIL_SHORT);
	fill(0, 1, 40);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	expect_relocations(2, 2);
	expect(0, 1, 40);
	crash();
	reopen();
	expect(0, 1, 40);
	expect_relocations(0, 2);
}

static struct wb_superblock read_superblock(unsigned copy)
{
	struct wb_superblock superblock;
	const char *field;

	cr_assert_eq(wb_superblock_decode((const void *)(wb_sim_cache_bytes(&sim) +
							 wb_superblock_offset(copy)),
					  sim.geometry.cache_bytes, &superblock, &field),
		     WB_SUPERBLOCK_VALID);
	return superblock;
}

static void fail_superblocks(uint64_t first, uint64_t count, enum wb_fault_effect effect)
{
	struct wb_fault fault = {
		.op = WB_IO_WRITE, .io_class = WB_FAULT_ANY, .length_bytes = 1 << 20,
		.first = first, .count = count, .effect = effect,
	};

	wb_store_faulty_add(sim.cache_disk.faulty, &fault);
}

Test(relocate, superblocks_may_fail_in_the_middle)
{
	/* 1 and 2 are of the probe: then the record is tried again where it was. */
	for (uint64_t nth = 1; nth <= 5; nth++) {
		start_with(NULL);
		spoil(0, 0, WB_FAULT_FAIL);
		fail_superblocks(nth, 2, nth % 2 ? WB_FAULT_FAIL : WB_FAULT_FAIL_LATE);
		fill(0, 1, 20);
		cr_assert_eq(wb_sim_sync(&sim), 0);
		expect_relocations(1, 1);
		crash();
		reopen();
		expect(0, 1, 20);
		wb_sim_clear(&sim);
	}
	start_with(NULL);
}

Test(relocate, a_new_epoch_that_cannot_be_written_is_said_and_heals)
{
	start_with(NULL);
	spoil(0, 0, WB_FAULT_FAIL);
	fail_superblocks(4, WB_FAULT_FOR_EVER, WB_FAULT_FAIL);
	fill(0, 1, 20);
	cr_expect_eq(wb_sim_sync(&sim), -EIO);
	cr_expect_eq(stats().state, WB_CACHE_FAILED);
	cr_expect_eq(wb_sim_fill(&sim, 0, 2, BLOCK, 0), -EIO);
	expect(0, 1, 20);
	wb_store_faulty_clear(sim.cache_disk.faulty);
	pass_minutes(2);
	expect_relocations(1, 1);
	cr_expect_eq(read_superblock(0).bad_count, 1);
	cr_expect_eq(read_superblock(1).bad_count, 1);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	crash();
	reopen();
	expect(0, 1, 20);
}

Test(relocate, a_disk_that_cannot_be_written_at_all_has_no_bad_place)
{
	struct wb_fault fault = { .op = WB_IO_WRITE, .io_class = WB_FAULT_ANY,
				  .count = WB_FAULT_FOR_EVER };

	start_with(NULL);
	wb_store_faulty_add(sim.cache_disk.faulty, &fault);
	fill(0, 1, 20);
	cr_expect_eq(wb_sim_sync(&sim), -EIO);
	pass_minutes(2);
	wb_store_faulty_clear(sim.cache_disk.faulty);
	pass_minutes(2);
	expect_relocations(0, 0);
	cr_assert_eq(wb_sim_sync(&sim), 0);
}

Test(relocate, a_disk_without_room_has_no_bad_place)
{
	struct wb_fault fault = { .op = WB_IO_WRITE, .io_class = WB_FAULT_ANY,
				  .count = 20, .error = -ENOSPC };

	start_with(NULL);
	fault.offset_bytes = offset_of_place(0);
	fault.length_bytes = sim.geometry.segment_bytes;
	wb_store_faulty_add(sim.cache_disk.faulty, &fault);
	fill(0, 1, 3);
	cr_expect_eq(wb_sim_sync(&sim), -EIO);
	pass_minutes(20);
	expect_relocations(0, 0);
	cr_assert_eq(wb_sim_sync(&sim), 0);
}

Test(relocate, one_failure_is_no_reason)
{
	struct wb_fault fault = { .op = WB_IO_WRITE, .io_class = WB_IO_CLASS_LOG, .count = 1 };

	start_with(NULL);
	wb_store_faulty_add(sim.cache_disk.faulty, &fault);
	fill(0, 1, 40);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	expect_relocations(0, 0);
}

Test(relocate, too_many_bad_places_are_a_cache_that_has_failed)
{
	start_with(NULL);
	fill(0, 1, 5);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	for (uint64_t place = 0; place < 8; place++)
		spoil(place, 0, WB_FAULT_FAIL);
	fill(5, 2, 5);
	cr_expect_eq(wb_sim_sync(&sim), -EIO);
	cr_expect_eq(stats().state, WB_CACHE_FAILED);
	cr_expect_eq(stats().bad_segments, 2);
	cr_expect_eq(wb_sim_fill(&sim, 0, 3, BLOCK, 0), -EIO);
	cr_expect_eq(wb_sim_zero(&sim, 0, BLOCK, 0), -EIO);
	expect(0, 1, 5);
	expect(5, 2, 5);
	/* It takes data again as soon as the place does. */
	wb_store_faulty_clear(sim.cache_disk.faulty);
	pass_minutes(2);
	cr_expect_eq(stats().state, WB_CACHE_RUNNING);
	fill(10, 3, 5);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	wb_sim_kill(&sim);
	wb_sim_cut_power(&sim);
	reopen();
	cr_expect_eq(stats().bad_segments, 2);
	expect(0, 1, 5);
	expect(5, 2, 5);
	expect(10, 3, 5);
}

Test(relocate, writeback_goes_on_when_the_cache_has_failed)
{
	start_with(NULL);
	fill(0, 1, 5);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	for (uint64_t place = 0; place < 8; place++)
		spoil(place, 0, WB_FAULT_FAIL);
	fill(5, 2, 5);
	cr_expect_eq(wb_sim_sync(&sim), -EIO);
	cr_expect_eq(stats().state, WB_CACHE_FAILED);
	cr_expect_eq(wb_sim_drain(&sim), -EIO);
	pass_minutes(1);
	cr_expect_eq(wb_sim_backing_bytes(&sim)[4 * BLOCK], 1);
	cr_expect_eq(stats().dirty_blocks, 5);
	expect(5, 2, 5);
}

static void write_superblocks(const uint32_t *places, unsigned count)
{
	for (unsigned copy = 0; copy < 2; copy++) {
		struct wb_superblock superblock = read_superblock(copy);

		memcpy(superblock.bad_places, places, count * sizeof *places);
		superblock.bad_count = count;
		wb_superblock_encode(&superblock, (void *)(wb_sim_cache_bytes(&sim) +
							   wb_superblock_offset(copy)));
	}
}

Test(relocate, a_volume_with_too_few_good_places_is_refused)
{
	uint32_t places[] = { 1, 4, 6 };
	g_autoptr(GError) error = NULL;

	start_with(NULL);
	cr_assert_eq(wb_sim_close(&sim), 0);
	write_superblocks(places, 3);
	cr_assert_not(wb_sim_open(&sim, &error));
	cr_expect(strstr(error->message, "3 of its 8 segments cannot be written"), "%s",
		  error->message);
	write_superblocks(places, 2);
	cr_assert(wb_sim_open(&sim, NULL));
}

Test(relocate, a_full_list_is_a_cache_that_has_failed)
{
	struct wb_sim_params params = { .segment_count = 460 };
	uint32_t places[448];

	start_with(&params);
	cr_assert_eq(wb_sim_close(&sim), 0);
	for (unsigned i = 0; i < 447; i++)
		places[i] = i + 6;
	write_superblocks(places, 447);
	reopen();
	spoil(0, 0, WB_FAULT_FAIL);
	fill(0, 1, 5);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	expect_relocations(1, 448);
	spoil(1, 0, WB_FAULT_FAIL);
	fill(5, 2, 14);
	cr_expect_eq(wb_sim_sync(&sim), -EIO);
	cr_expect_eq(stats().state, WB_CACHE_FAILED);
	cr_expect(strstr(stats().last_error, "too many") ||
		  strstr(stats().last_error, "writing the log"), "%s", stats().last_error);
	expect(0, 1, 5);
	expect(5, 2, 14);
}

/* What a crash between the superblocks and the record would go on from. */
Test(relocate, the_cut_is_the_last_record_before_the_one_that_failed)
{
	struct wb_sim_params params = { .no_writeback = true };
	struct wb_record_fields fields;
	struct wb_superblock superblock;

	start_with(&params);
	for (uint8_t i = 0; i < 3; i++) {
		fill(i, 1, 1);
		cr_assert_eq(wb_sim_sync(&sim), 0);
	}
	spoil(0, 0, WB_FAULT_FAIL);
	fill(5, 2, 30);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	superblock = read_superblock(0);
	cr_expect_eq(superblock.epoch, 2);
	cr_expect_eq(superblock.epoch_start, 4);
	cr_expect_eq(superblock.cut_sequence, 3);
	cr_expect_eq(superblock.cut_segment, 1);
	cr_expect_eq(superblock.durable, 3);
	cr_expect_eq(superblock.bad_places[0], 0);
	cr_assert_eq(wb_record_decode((const void *)(wb_sim_cache_bytes(&sim) +
						     offset_of_place(0) + 4 * BLOCK),
				      superblock.uuid, &sim.geometry, 0, 4, &fields),
		     WB_RECORD_VALID);
	cr_expect_eq(fields.sequence, 3);
	cr_expect_eq(fields.crc, superblock.cut_crc);
	cr_expect_eq(stats().epoch, 2);
}

/* Nothing durable is in the bad place, or something is; and the ring may have come
 * past it since. */
Test(relocate, a_clean_stop_after_it_has_its_checkpoint)
{
	for (unsigned i = 0; i < 4; i++) {
		bool is_empty = i % 2 == 0, is_passed = i >= 2;

		start_with(NULL);
		fill(0, 1, 3);
		if (!is_empty)
			cr_assert_eq(wb_sim_sync(&sim), 0);
		spoil(0, 0, WB_FAULT_FAIL);
		fill(3, 2, 3);
		cr_assert_eq(wb_sim_sync(&sim), 0);
		expect_relocations(1, 1);
		for (unsigned n = 0; is_passed && n < 20; n++)
			fill(20, (uint8_t)n, 15);
		if (is_passed) {
			cr_assert_eq(wb_sim_sync(&sim), 0);
			cr_assert_gt(stats().head_segment, sim.geometry.segment_count + 1);
		}
		cr_assert_eq(wb_sim_close(&sim), 0);
		reopen();
		cr_expect(stats().is_from_checkpoint, "empty %d, passed %d", is_empty, is_passed);
		expect_relocations(0, 1);
		expect(0, 1, 3);
		expect(3, 2, 3);
		cr_assert_eq(wb_sim_drain(&sim), 0);
		cr_expect_eq(wb_sim_backing_bytes(&sim)[2 * BLOCK], 1);
		cr_expect_eq(wb_sim_backing_bytes(&sim)[5 * BLOCK], 2);
		stop();
	}
}

static bool is_flushing;

static void flushed(struct wb_device_waiter *waiter, int error)
{
	(void)waiter;
	(void)error;
	is_flushing = false;
}

Test(relocate, flushes_that_succeed_do_not_hide_a_record_that_cannot_be_written)
{
	struct wb_device_waiter waiter;

	start_with(NULL);
	for (uint64_t place = 0; place < 8; place++)
		spoil(place, 0, WB_FAULT_FAIL);
	fill(0, 1, 5);
	wb_cache_start_flush(sim.cache);
	for (unsigned i = 0; i < 200 && stats().state == WB_CACHE_RUNNING; i++) {
		waiter.done = flushed;
		if (!is_flushing) {
			is_flushing = true;
			wb_flush_device(sim.cache->path.flush, &waiter);
		}
		wb_sim_pass_time(&sim, UINT64_C(1000000000));
		wb_sim_settle(&sim);
	}
	cr_expect_eq(stats().state, WB_CACHE_FAILED);
	cr_expect_eq(stats().flushes_failed, 1);
}

/* Every round of the ring, and of the rings after it. */
Test(relocate, the_log_never_comes_back_to_a_bad_place)
{
	uint64_t hits;

	start_with(NULL);
	spoil(2, 5, WB_FAULT_FAIL_SHORT);
	spoil(3, 0, WB_FAULT_FAIL);
	for (unsigned round = 0; round < 6; round++)
		for (unsigned i = 0; i < 10; i++) {
			fill(i * 20, (uint8_t)(round * 10 + i + 1), 20);
			if (i % 3 == 0)
				cr_assert_eq(wb_sim_sync(&sim), 0);
		}
	expect_relocations(2, 2);
	hits = wb_store_faulty_hit_count(sim.cache_disk.faulty);
	for (unsigned round = 0; round < 6; round++) {
		for (unsigned i = 0; i < 10; i++)
			fill(i * 20, (uint8_t)(100 + round * 10 + i), 20);
		if (round == 3) {
			cr_assert_eq(wb_sim_close(&sim), 0);
			reopen();
		}
		if (round == 4) {
			cr_assert_eq(wb_sim_sync(&sim), 0);
			crash();
			reopen();
		}
	}
	cr_assert_eq(wb_sim_drain(&sim), 0);
	cr_expect_eq(wb_store_faulty_hit_count(sim.cache_disk.faulty), hits);
	for (unsigned i = 0; i < 10; i++)
		expect(i * 20, (uint8_t)(150 + i), 20);
}

/* A merge that has looked a slot up, and has not asked for its data yet. */
Test(relocate, a_pinned_segment_keeps_its_buffer)
{
	struct wb_sim_params params = { .no_writeback = true };
	struct wb_segment *bad, *next;

	start_with(&params);
	spoil(0, 0, WB_FAULT_FAIL);
	fill(0, 1, 25);
	bad = wb_segment_at(sim.cache->path.segments, 0);
	next = wb_segment_at(sim.cache->path.segments, 1);
	wb_segment_pin(bad);
	wb_segment_pin(next);
	wb_cache_start_flush(sim.cache);
	pass_minutes(1);
	/* The next one is to be used again: not while it is pinned. */
	cr_expect_eq(stats().counter[WB_STAT_RELOCATIONS], 0);
	cr_expect_eq(next->ram_pins & WB_RAM_CLOSED, 0);
	expect(0, 1, 25);
	wb_segment_unpin(sim.cache->path.segments, next);
	wb_sim_settle(&sim);
	cr_expect_eq(stats().counter[WB_STAT_RELOCATIONS], 1);
	cr_expect_eq(bad->ram_pins & WB_RAM_CLOSED, 0);
	pass_minutes(1);
	cr_expect_eq(stats().flushes_done, 1);
	cr_expect_eq(bad->ram_pins & WB_RAM_CLOSED, 0);
	wb_segment_unpin(sim.cache->path.segments, bad);
	wb_sim_settle(&sim);
	cr_expect_eq(bad->ram_index, WB_NO_RAM_BUFFER);
	expect(0, 1, 25);
}

Test(relocate, a_record_that_cannot_be_written_again_at_opening_is_no_reason_to_refuse)
{
	struct wb_sim_params params = { .no_writeback = true };

	start_with(&params);
	fill(0, 1, 5);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	/* The process alone dies: no claim covers the record yet. */
	wb_sim_kill(&sim);
	spoil(0, 0, WB_FAULT_FAIL);
	reopen();
	expect_relocations(0, 1);
	expect(0, 1, 5);
	fill(5, 2, 20);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	crash();
	reopen();
	expect_relocations(0, 1);
	expect(0, 1, 5);
	expect(5, 2, 20);
}

/* --- histories ---------------------------------------------------------------------------- */

/* As in tests/crash, but with places that fail for good, some of them from the
 * beginning, some later, with or without torn garbage left in them. */
struct history {
	uint64_t seed;
	struct wb_prng prng;
	struct wb_oracle *oracle;
	uint64_t fill;
	uint64_t relocations, bad, cuts, errors, cuts_in_relocation;
};

static uint64_t below(struct history *h, uint64_t limit)
{
	return wb_prng_below(&h->prng, limit);
}

static bool one_in(struct history *h, uint64_t n)
{
	return below(h, n) == 0;
}

static void object(struct history *h, char *objection)
{
	cr_assert_null(objection, "seed %lu: %s", h->seed, objection);
}

static void on_progress(void *arg, struct wb_sim_op *op, const struct wb_sim_progress *progress)
{
	struct history *h = arg;

	wb_oracle_progress(h->oracle, op, progress);
}

static void on_finish(void *arg, struct wb_sim_op *op)
{
	struct history *h = arg;

	if (!op->error)
		wb_oracle_acknowledged(h->oracle, op);
	else if (!sim.crash_clock.has_crashed) {
		cr_assert_neq(op->op, WB_READ, "seed %lu: a read failed", h->seed);
		h->errors++;
	}
}

static void listen(struct history *h)
{
	sim.arg = h;
	sim.on_progress = on_progress;
	sim.on_finish = on_finish;
}

static void submit_one(struct history *h)
{
	static const enum wb_request_op kinds[] = {
		WB_WRITE, WB_WRITE, WB_WRITE, WB_WRITE, WB_WRITE, WB_READ, WB_READ, WB_SYNC,
		WB_ZERO,
	};
	enum wb_request_op kind = kinds[below(h, G_N_ELEMENTS(kinds))];
	uint64_t image = sim.params.image_bytes, offset = below(h, image / 512) * 512;
	uint64_t length = one_in(h, 3) ? 1 + below(h, 9000) : 512 * (1 + below(h, 160));
	struct wb_sim_op *op;

	if (one_in(h, 2)) {
		offset &= ~UINT64_C(4095);
		length = (length + 4095) & ~UINT64_C(4095);
	}
	length = kind == WB_SYNC ? 0 : MIN(length, image - offset);
	op = wb_sim_prepare(&sim, kind, kind != WB_READ && kind != WB_SYNC && one_in(h, 8) ?
			    WB_REQUEST_FUA : 0, kind == WB_SYNC ? 0 : offset, length);
	if (!op)
		return;
	if (kind == WB_WRITE) {
		struct wb_prng prng;

		wb_prng_init(&prng, ++h->fill);
		for (uint64_t i = 0; i < length; i++)
			op->data[i] = (uint8_t)wb_prng_next(&prng);
	}
	wb_sim_submit(op);
}

static void harvest(struct history *h)
{
	for (unsigned i = 0; i < sim.params.request_count; i++) {
		struct wb_sim_op *op = &sim.ops[i];

		if (!op->request || !op->is_finished)
			continue;
		if (op->op == WB_READ && !op->error)
			object(h, wb_oracle_check_read(h->oracle, op));
		wb_sim_release(op);
	}
}

static void check_recovered(struct history *h)
{
	uint64_t image = sim.params.image_bytes;
	g_autofree uint8_t *data = g_malloc(image);

	for (uint64_t at = 0; at < image; at += WB_REQUEST_BYTES_MAX)
		cr_assert_eq(wb_sim_read(&sim, at, data + at, MIN(image - at,
				WB_REQUEST_BYTES_MAX)), 0, "seed %lu", h->seed);
	object(h, wb_oracle_check_recovered(h->oracle, data, stats().head_sequence));
	wb_oracle_rebase(h->oracle, data);
}

static void open_again(struct history *h)
{
	g_autoptr(GError) error = NULL;

	/* Superblocks may fail a few times more. */
	for (unsigned tries = 0; !wb_sim_open(&sim, &error); tries++) {
		cr_assert_lt(tries, 4, "seed %lu: refused: %s", h->seed, error->message);
		cr_assert(strstr(error->message, "superblocks failed"), "seed %lu: refused: %s",
			  h->seed, error->message);
		g_clear_error(&error);
	}
	check_recovered(h);
	listen(h);
}

/* No segment that may be needed is more than one round behind what may be
 * opened, and no sound place is given up. */
static void check_ring(struct history *h)
{
	uint64_t tail = wb_tail_durable(&sim.cache->tail).segment;
	uint64_t limit = wb_log_limit(sim.cache->path.log), n = sim.geometry.segment_count;

	for (uint64_t place = 0; place < n; place++) {
		const struct wb_segment *segment = wb_segment_at(sim.cache->path.segments, place);
		bool is_spoilt = false;

		cr_assert(segment->id < tail || segment->id + n > limit,
			  "seed %lu: segment %lu, limit %lu", h->seed, segment->id, limit);
		for (unsigned i = 0; i < spoilt_count; i++)
			is_spoilt |= spoilt[i].place == place;
		cr_assert(is_spoilt || !segment->is_bad, "seed %lu: place %lu is good", h->seed,
			  place);
	}
}

static bool is_relocating(void)
{
	return wb_flush_wants_relocation(sim.cache->path.flush);
}

static void spoil_some(struct history *h)
{
	static const enum wb_fault_effect effects[] = {
		WB_FAULT_FAIL, WB_FAULT_FAIL_SHORT, WB_FAULT_FAIL_LATE,
	};
	uint64_t place = below(h, sim.geometry.segment_count);

	for (unsigned i = 0; i < spoilt_count; i++)
		if (spoilt[i].place == place)
			return;
	if (spoilt_count + WB_GOOD_SEGMENTS_MIN < sim.geometry.segment_count &&
	    spoilt_count < PLACES_MAX)
		spoil(place, one_in(h, 2) ? 0 : (uint32_t)below(h, 16), effects[below(h, 3)]);
}

static void other_trouble(struct history *h)
{
	struct wb_fault superblocks = {
		.op = WB_IO_WRITE, .io_class = WB_FAULT_ANY, .length_bytes = 1 << 20,
		.first = 1 + below(h, 4), .count = 1 + below(h, 3),
		.effect = one_in(h, 2) ? WB_FAULT_FAIL : WB_FAULT_FAIL_LATE,
	};

	switch (below(h, 4)) {
	case 0:
		wb_store_faulty_add(sim.cache_disk.faulty, &superblocks);
		break;
	case 1:
		wb_store_crashy_fail_flush(sim.cache_disk.crashy, 1 + below(h, 4));
		break;
	case 2:
		wb_cache_start_drain(sim.cache);
		break;
	case 3:
		wb_sim_pass_time(&sim, 10000000000);
		break;
	}
}

static void work(struct history *h, unsigned steps)
{
	unsigned eagerness = 1 + (unsigned)below(h, 5);

	for (unsigned i = 0; i < steps && !sim.crash_clock.has_crashed; i++) {
		harvest(h);
		if (one_in(h, eagerness))
			submit_one(h);
		for (uint64_t n = below(h, 6); n > 0 && !sim.crash_clock.has_crashed; n--)
			wb_sim_step(&sim);
		if (one_in(h, 20))
			wb_sim_pass_time(&sim, 100000000);
		check_ring(h);
		if (one_in(h, 100))
			spoil_some(h);
		if (one_in(h, 200))
			other_trouble(h);
	}
	if (!sim.crash_clock.has_crashed)
		harvest(h);
}

static void finish_all(struct history *h)
{
	for (unsigned i = 0; i < sim.params.request_count; i++)
		if (sim.ops[i].request)
			cr_assert(wb_sim_finishes(&sim.ops[i]),
				  "seed %lu: request %lu, operation %d, never ends: %s", h->seed,
				  sim.ops[i].id, sim.ops[i].op, stats().last_error);
	harvest(h);
	sim.on_progress = NULL;
	sim.on_finish = NULL;
}

static void end_life(struct history *h)
{
	h->relocations += stats().counter[WB_STAT_RELOCATIONS];
	h->bad = stats().bad_segments;
	h->cuts_in_relocation += is_relocating();
	if (!sim.crash_clock.has_crashed && one_in(h, 3)) {
		bool ok;

		sim.crash_clock.crash_at = 0;
		finish_all(h);
		ok = wb_sim_close(&sim) == 0;
		if (ok)
			wb_oracle_promise_all(h->oracle, sim.step_count);
		if (!ok || one_in(h, 2))
			cut_power();
		return;
	}
	h->cuts++;
	sim.crash_clock.has_crashed = true;
	for (unsigned i = 0; i < 100 && wb_sim_step(&sim); i++)
		;
	wb_sim_kill(&sim);
	cut_power();
}

/* It says so when the cache has failed for a moment, with superblocks that fail. */
static void drain_and_compare(struct history *h)
{
	unsigned tries = 0;

	while (wb_sim_drain(&sim) != 0)
		cr_assert_lt(++tries, 4, "seed %lu: %s", h->seed, stats().last_error);
	object(h, wb_oracle_check_newest(h->oracle, wb_sim_backing_bytes(&sim)));
}

static void run_history(struct history *h, uint64_t seed, unsigned lives)
{
	struct wb_sim_params params = { .seed = seed, .is_uncounted = true };

	h->seed = seed;
	wb_prng_init(&h->prng, seed);
	params.segment_count = 8 + (unsigned)below(h, 5);
	params.ram_segments = 4 + (unsigned)below(h, 4);
	params.image_bytes = (24 + below(h, 300)) * BLOCK;
	params.cache_alignment_bytes = one_in(h, 2) ? 512 : 4096;
	params.no_writeback = one_in(h, 4);
	wb_sim_init(&sim, &params);
	spoilt_count = 0;
	cr_assert(wb_sim_open(&sim, NULL));
	h->oracle = wb_oracle_new(params.image_bytes);
	listen(h);
	for (unsigned life = 0; life < lives; life++) {
		if (one_in(h, 2))
			sim.crash_clock.crash_at = sim.crash_clock.point_count + 1 +
						   below(h, 600);
		work(h, (unsigned)below(h, one_in(h, 4) ? 2000 : 300));
		end_life(h);
		sim.crash_clock.crash_at = 0;
		wb_store_crashy_fail_flush(sim.cache_disk.crashy, 0);
		open_again(h);
	}
	sim.on_progress = NULL;
	sim.on_finish = NULL;
	drain_and_compare(h);
	wb_oracle_free(h->oracle);
	wb_sim_clear(&sim);
}

Test(relocate, random_histories_with_bad_places_lose_nothing)
{
	struct history sum = { 0 };
	const char *from = g_getenv("RELOCATE_SEED"), *count = g_getenv("RELOCATE_SEEDS");
	uint64_t first = from ? g_ascii_strtoull(from, NULL, 10) : 1;
	uint64_t seeds = count ? g_ascii_strtoull(count, NULL, 10) : 40;

	for (uint64_t seed = first; seed < first + seeds; seed++) {
		struct history h = { 0 };

		run_history(&h, seed, 6);
		sum.relocations += h.relocations;
		sum.cuts += h.cuts;
		sum.errors += h.errors;
		sum.cuts_in_relocation += h.cuts_in_relocation;
	}
	if (count)
		cr_log_warn("%lu relocations, %lu cuts, %lu in a relocation, %lu errors",
			    sum.relocations, sum.cuts, sum.cuts_in_relocation, sum.errors);
	cr_expect_gt(sum.relocations, 10);
	start_with(NULL);
}

/* A first life with a bad place in it that ends at this point; FALSE when it
 * ended before. */
static bool run_to_point(uint64_t seed, uint64_t point, uint64_t *in_relocation)
{
	struct wb_sim_params params = { .seed = seed, .is_uncounted = true,
					.image_bytes = 60 * BLOCK, .request_count = 6 };
	struct history h = { .seed = seed };
	bool has_crashed;

	wb_prng_init(&h.prng, seed);
	wb_sim_init(&sim, &params);
	spoilt_count = 0;
	cr_assert(wb_sim_open(&sim, NULL));
	h.oracle = wb_oracle_new(params.image_bytes);
	listen(&h);
	sim.crash_clock.crash_at = sim.crash_clock.point_count + point;
	spoil(below(&h, 2), (uint32_t)below(&h, 12), seed % 2 ? WB_FAULT_FAIL_SHORT :
								WB_FAULT_FAIL);
	spoil(2, (uint32_t)below(&h, 12), WB_FAULT_FAIL_LATE);
	work(&h, 60);
	for (unsigned i = 0; i < 20 && !sim.crash_clock.has_crashed; i++) {
		wb_sim_pass_time(&sim, 100000000);
		while (!sim.crash_clock.has_crashed && wb_sim_step(&sim))
			;
	}
	has_crashed = sim.crash_clock.has_crashed;
	*in_relocation += has_crashed && is_relocating();
	sim.crash_clock.crash_at = 0;
	sim.crash_clock.has_crashed = true;
	for (unsigned i = 0; i < 50 && wb_sim_step(&sim); i++)
		;
	crash();
	wb_store_crashy_fail_flush(sim.cache_disk.crashy, 0);
	open_again(&h);
	work(&h, 30);
	finish_all(&h);
	drain_and_compare(&h);
	wb_oracle_free(h.oracle);
	wb_sim_clear(&sim);
	return has_crashed;
}

Test(relocate, the_power_may_go_at_every_point)
{
	uint64_t in_relocation = 0, points = 0;

	for (uint64_t seed = 1; seed <= 6; seed++)
		for (uint64_t point = 1; run_to_point(seed, point, &in_relocation); point++)
			points++;
	cr_expect_gt(points, 600, "%lu points", points);
	cr_expect_gt(in_relocation, 60, "%lu in a relocation", in_relocation);
	start_with(NULL);
}

/* What is synced, and replaced only by a record that is not durable, is needed wherever
 * its segment has moved: a tail beyond it has recovery take it for written back. The
 * first segment moves, the second goes along with the synced version of all its blocks,
 * and the third, with the newer one, finds no place for a while. */
Test(relocate, what_only_a_record_that_is_not_durable_has_replaced_stays_dirty)
{
	struct wb_sim_params params = { .segment_count = 16, .ram_segments = 8,
					.image_bytes = 200 * BLOCK, .no_writeback = true };
	struct wb_sim_op *op;

	start_with(&params);
	spoil(0, 0, WB_FAULT_FAIL);
	for (uint64_t place = 3; place < 9; place++)
		spoil(place, 0, WB_FAULT_FAIL);
	fill(0, 1, 15);
	fill(15, 1, 14);
	op = wb_sim_prepare(&sim, WB_WRITE, WB_REQUEST_FUA, 29 * BLOCK, BLOCK);
	memset(op->data, 1, BLOCK);
	wb_sim_submit(op);
	cr_assert(!op->is_finished);
	fill(15, 2, 15);
	cr_assert_eq(wb_sim_wait(op), 0);
	wb_sim_release(op);
	wb_cache_start_drain(sim.cache);
	for (unsigned i = 0; i < 2; i++) {
		wb_sim_pass_time(&sim, UINT64_C(100000000));
		wb_sim_settle(&sim);
	}
	cr_assert_lt(wb_log_durable(sim.cache->path.log),
		     wb_log_last_sequence(sim.cache->path.log));
	cr_expect_eq(stats().tail_segment, 3);
	crash();
	reopen();
	cr_assert_eq(wb_sim_drain(&sim), 0);
	for (uint64_t block = 0; block < 30; block++)
		cr_expect_eq(wb_sim_backing_bytes(&sim)[block * BLOCK], 1, "block %lu", block);
}

/* What was kept for reads in their buffers is in the way of the log there. */
Test(relocate, the_log_goes_on_round_the_six_places_that_are_left)
{
	struct wb_sim_params params = { .segment_count = 16, .ram_segments = 8,
					.image_bytes = 64 * BLOCK };
	uint8_t round = 0;

	start_with(&params);
	for (uint64_t bad = 0; bad < 10; bad++) {
		spoil(bad < 5 ? bad : bad + 4, 0, WB_FAULT_FAIL);
		for (unsigned i = 0; i < 16; i++)
			fill(0, ++round, 15);
		cr_assert_eq(wb_sim_sync(&sim), 0);
	}
	cr_expect_eq(stats().bad_segments, 10);
	for (unsigned i = 0; i < 16; i++)
		fill(0, ++round, 15);
	expect(0, round, 15);
}
