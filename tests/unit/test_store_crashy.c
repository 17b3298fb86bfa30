/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The disk that loses power: what must, may and may not be left. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "support/store_crashy.h"
#include "support/store_memory.h"

#define SIZE_BYTES (256u << 10)
#define SEED_COUNT 200u

static _Alignas(4096) uint8_t buffer[16][4096];

struct recorded {
	struct wb_io io;
	int error;
	bool is_answered;
};

static void record(struct wb_io *io, int error)
{
	struct recorded *own = (struct recorded *)io;

	own->error = error;
	own->is_answered = true;
}

static struct wb_store *disk_with(struct wb_crash_clock *clock)
{
	return wb_store_crashy_new(wb_store_memory_new(SIZE_BYTES, 512, 512), clock);
}

static struct wb_store *disk(void)
{
	return disk_with(NULL);
}

static void start(struct wb_store *store, struct recorded *own, enum wb_io_op op,
		  unsigned flags, uint64_t block, int fill)
{
	uint8_t *memory = buffer[fill % 16];

	memset(memory, fill, 4096);
	*own = (struct recorded){ .error = 1 };
	wb_io_prepare(&own->io, op, WB_IO_CLASS_LOG, block * 4096, memory,
		      op == WB_IO_FLUSH ? 0 : 4096, record);
	own->io.flags = flags;
	wb_store_submit(store, &own->io);
}

static void write_now(struct wb_store *store, uint64_t block, int fill)
{
	memset(buffer[0], fill, 4096);
	cr_assert_eq(wb_store_write_sync(store, block * 4096, buffer[0], 4096), 0);
}

static void write_fua(struct wb_store *store, uint64_t block, int fill)
{
	struct recorded own;

	start(store, &own, WB_IO_WRITE, WB_IO_FUA, block, fill);
	wb_store_poll_all(store);
	cr_assert_eq(own.error, 0);
}

/* How often each value was found in each sector of a block, over many cuts. */
struct census {
	unsigned of_value[8][256];
	unsigned whole;			/* cuts that left one value in all sectors */
};

static void take_census(struct wb_store *store, uint64_t block, struct census *census)
{
	memset(census, 0, sizeof(*census));
	for (uint64_t seed = 0; seed < SEED_COUNT; seed++) {
		struct wb_store *image;
		struct wb_prng prng;
		const uint8_t *at;

		wb_prng_init(&prng, seed);
		image = wb_store_crashy_crash(store, &prng);
		at = wb_store_memory_bytes(image) + block * 4096;
		for (unsigned i = 0; i < 8; i++) {
			for (unsigned k = 1; k < 512; k++)
				cr_assert_eq(at[i * 512 + k], at[i * 512]);
			census->of_value[i][at[i * 512]]++;
		}
		census->whole += memcmp(at, at + 512, 4096 - 512) == 0;
		wb_store_close(image);
	}
}

static void assert_always(struct wb_store *store, uint64_t block, int value)
{
	struct census census;

	take_census(store, block, &census);
	for (unsigned i = 0; i < 8; i++)
		cr_assert_eq(census.of_value[i][value], SEED_COUNT);
}

/* Every sector of the block was either, in some cut; and nothing else. */
static void assert_either(struct wb_store *store, uint64_t block, int one, int other)
{
	struct census census;

	take_census(store, block, &census);
	for (unsigned i = 0; i < 8; i++) {
		cr_assert_gt(census.of_value[i][one], 0u);
		cr_assert_gt(census.of_value[i][other], 0u);
		cr_assert_eq(census.of_value[i][one] + census.of_value[i][other],
			     SEED_COUNT);
	}
	cr_assert_lt(census.whole, SEED_COUNT, "never torn");
}

Test(store_crashy, a_write_without_flush_is_kept_lost_or_torn)
{
	struct wb_store *store = disk();

	write_now(store, 3, 'n');
	cr_assert_eq(wb_store_crashy_volatile_count(store), 1);
	assert_either(store, 3, 'n', 0);
	wb_store_close(store);
}

Test(store_crashy, a_flush_makes_durable_what_was_done_before_it_was_submitted)
{
	struct wb_store *store = disk();

	write_now(store, 3, 'n');
	cr_assert_eq(wb_store_flush_sync(store), 0);
	cr_assert_eq(wb_store_crashy_volatile_count(store), 0);
	assert_always(store, 3, 'n');
	wb_store_close(store);
}

Test(store_crashy, a_flush_does_not_cover_a_write_that_was_done_after_its_submission)
{
	struct wb_store *store = disk();
	struct recorded own, flush;

	start(store, &own, WB_IO_WRITE, 0, 3, 'n');
	start(store, &flush, WB_IO_FLUSH, 0, 0, 0);
	wb_store_poll_all(store);
	cr_assert(own.is_answered && flush.is_answered && flush.error == 0);
	assert_either(store, 3, 'n', 0);
	wb_store_close(store);
}

Test(store_crashy, a_durable_write_says_nothing_about_others)
{
	struct wb_store *store = disk();

	write_now(store, 3, 'n');
	write_fua(store, 4, 'f');
	assert_always(store, 4, 'f');
	assert_either(store, 3, 'n', 0);
	wb_store_close(store);
}

Test(store_crashy, an_older_version_never_comes_back_over_a_durable_one)
{
	struct wb_store *store = disk();
	struct recorded flush, own;

	write_now(store, 3, 'a');
	write_fua(store, 3, 'b');
	assert_always(store, 3, 'b');

	/* also when a flush that covers only the old one ends after the new */
	write_now(store, 5, 'a');
	start(store, &own, WB_IO_WRITE, WB_IO_FUA, 5, 'b');
	start(store, &flush, WB_IO_FLUSH, 0, 0, 0);
	wb_store_poll_all(store);
	cr_assert_eq(flush.error, 0);
	assert_always(store, 5, 'b');
	wb_store_close(store);
}

Test(store_crashy, only_the_overwritten_part_is_replaced)
{
	struct wb_store *store = disk();
	struct recorded own = { .error = 1 };

	write_now(store, 3, 'a');
	memset(buffer[1], 'b', 512);
	wb_io_prepare(&own.io, WB_IO_WRITE, WB_IO_CLASS_LOG, 3 * 4096 + 512, buffer[1], 512,
		      record);
	own.io.flags = WB_IO_FUA;
	wb_store_submit(store, &own.io);
	wb_store_poll_all(store);
	for (uint64_t seed = 0; seed < SEED_COUNT; seed++) {
		struct wb_prng prng = { .state = seed };
		struct wb_store *image = wb_store_crashy_crash(store, &prng);
		const uint8_t *at = wb_store_memory_bytes(image) + 3 * 4096;

		cr_assert(at[0] == 'a' || at[0] == 0);
		cr_assert_eq(at[512], 'b');
		cr_assert(at[1024] == 'a' || at[1024] == 0);
		wb_store_close(image);
	}
	wb_store_close(store);
}

Test(store_crashy, any_version_since_the_durable_one_may_be_left)
{
	struct wb_store *store = disk();
	struct census census;

	write_now(store, 3, 'd');
	cr_assert_eq(wb_store_flush_sync(store), 0);
	write_now(store, 3, 'a');
	write_now(store, 3, 'b');
	take_census(store, 3, &census);
	for (unsigned i = 0; i < 8; i++) {
		cr_assert_gt(census.of_value[i]['d'], 0u);
		cr_assert_gt(census.of_value[i]['a'], 0u);
		cr_assert_gt(census.of_value[i]['b'], 0u);
		cr_assert_eq(census.of_value[i][0], 0u);
	}
	wb_store_close(store);
}

Test(store_crashy, zeroing_is_as_volatile_as_writing)
{
	struct wb_store *store = disk();

	write_fua(store, 3, 'd');
	cr_assert_eq(wb_store_zero_sync(store, 3 * 4096, 4096), 0);
	assert_either(store, 3, 'd', 0);
	cr_assert_eq(wb_store_flush_sync(store), 0);
	assert_always(store, 3, 0);
	wb_store_close(store);
}

Test(store_crashy, sectors_of_one_atomic_unit_stand_and_fall_together)
{
	struct wb_store *store = wb_store_crashy_new(
		wb_store_memory_new(SIZE_BYTES, 512, 4096), NULL);
	struct census census;

	write_now(store, 3, 'n');
	take_census(store, 3, &census);
	cr_assert_eq(census.whole, SEED_COUNT);
	cr_assert_gt(census.of_value[0]['n'], 0u);
	cr_assert_gt(census.of_value[0][0], 0u);
	wb_store_close(store);
}

Test(store_crashy, a_lost_disk_answers_everything_with_eio_and_stands_still)
{
	struct wb_crash_clock clock = { .crash_at = 3 };
	struct wb_store *store = disk_with(&clock);
	struct recorded own[4];

	write_now(store, 1, 'a');	/* points 1 and 2 */
	cr_assert_not(clock.has_crashed);
	start(store, &own[0], WB_IO_WRITE, WB_IO_FUA, 2, 'b');
	cr_assert(clock.has_crashed);
	cr_assert_not(own[0].is_answered);
	start(store, &own[1], WB_IO_WRITE, WB_IO_FUA, 3, 'c');
	start(store, &own[2], WB_IO_FLUSH, 0, 0, 0);
	wb_store_poll_all(store);
	for (unsigned i = 0; i < 3; i++)
		cr_assert(own[i].is_answered && own[i].error == -EIO);
	cr_assert_eq(wb_store_flush_sync(store), -EIO);
	assert_either(store, 1, 'a', 0);
	assert_either(store, 2, 'b', 0);	/* it was in flight */
	assert_always(store, 3, 0);		/* it came too late */
	cr_assert_eq(clock.point_count, 3);
	wb_store_close(store);
}

Test(store_crashy, power_may_go_before_a_completion_is_known)
{
	struct wb_crash_clock clock = { .crash_at = 2 };
	struct wb_store *store = disk_with(&clock);
	struct recorded own;

	start(store, &own, WB_IO_WRITE, WB_IO_FUA, 2, 'b');
	wb_store_poll_all(store);
	cr_assert_eq(own.error, -EIO);
	assert_either(store, 2, 'b', 0);
	wb_store_close(store);
}

Test(store_crashy, two_disks_on_one_clock_lose_power_together)
{
	struct wb_crash_clock clock = { .crash_at = 4 };
	struct wb_store *one = disk_with(&clock), *two = disk_with(&clock);

	write_now(one, 1, 'a');
	cr_assert_eq(wb_store_write_sync(two, 0, buffer[0], 4096), -EIO);
	cr_assert(clock.has_crashed);
	cr_assert_eq(wb_store_flush_sync(one), -EIO);
	cr_assert_eq(wb_store_flush_sync(two), -EIO);
	wb_store_close(one);
	wb_store_close(two);
}

Test(store_crashy, the_same_seed_leaves_the_same_image)
{
	struct wb_store *store = disk(), *one, *two;
	struct wb_prng prng;

	for (unsigned i = 0; i < 20; i++)
		write_now(store, i, 'a' + (int)i);
	wb_prng_init(&prng, 5);
	one = wb_store_crashy_crash(store, &prng);
	wb_prng_init(&prng, 5);
	two = wb_store_crashy_crash(store, &prng);
	cr_assert_arr_eq(wb_store_memory_bytes(one), wb_store_memory_bytes(two), SIZE_BYTES);
	wb_store_close(one);
	wb_store_close(two);
	wb_store_close(store);
}

Test(store_crashy, after_a_failed_flush_only_writing_again_helps)
{
	struct wb_store *store = disk();

	write_now(store, 3, 'n');
	wb_store_crashy_fail_flush(store, 1);
	cr_assert_eq(wb_store_flush_sync(store), -EIO);
	cr_assert_eq(wb_store_flush_sync(store), 0);
	assert_either(store, 3, 'n', 0);
	write_now(store, 3, 'n');
	cr_assert_eq(wb_store_flush_sync(store), 0);
	assert_always(store, 3, 'n');
	wb_store_close(store);
}

Test(store_crashy, lies_about_durability_show_at_the_power_cut)
{
	struct wb_store *store = disk();

	wb_store_crashy_set_lies(store, WB_CRASHY_SWALLOWS_FLUSH | WB_CRASHY_IGNORES_FUA);
	write_now(store, 3, 'n');
	cr_assert_eq(wb_store_flush_sync(store), 0);
	write_fua(store, 4, 'f');
	assert_either(store, 3, 'n', 0);
	assert_either(store, 4, 'f', 0);
	wb_store_close(store);
}

Test(store_crashy, losing_all_leaves_what_was_durable)
{
	struct wb_store *store = disk(), *image;

	write_fua(store, 1, 'd');
	write_now(store, 1, 'n');
	image = wb_store_crashy_crash_losing_all(store);
	cr_assert_eq(wb_store_memory_bytes(image)[4096], 'd');
	wb_store_close(image);
	wb_store_close(store);
}

/* Only by chance what it was: who counts on either is found out. */
Test(store_crashy, what_was_discarded_reads_as_garbage_and_may_be_what_it_was_after_a_cut)
{
	struct wb_store *store = disk(), *image;
	static uint8_t data[4096], old[4096];
	unsigned kept = 0, gone = 0;

	write_now(store, 3, 'n');
	cr_assert_eq(wb_store_flush_sync(store), 0);
	memset(old, 'n', sizeof old);
	cr_assert_eq(wb_store_discard_sync(store, 3 * 4096, 4096), 0);
	cr_assert_eq(wb_store_read_sync(store, 3 * 4096, data, 4096), 0);
	cr_assert_arr_neq(data, old, sizeof data);
	for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
		struct wb_prng prng;

		wb_prng_init(&prng, seed);
		image = wb_store_crashy_crash(store, &prng);
		if (memcmp(wb_store_memory_bytes(image) + 3 * 4096, old, 4096) == 0)
			kept++;
		if (memcmp(wb_store_memory_bytes(image) + 3 * 4096, data, 4096) == 0)
			gone++;
		wb_store_close(image);
	}
	cr_expect_gt(kept, 10);
	cr_expect_gt(gone, 10);
	cr_expect_lt(kept + gone, SEED_COUNT - 10, "none is half of it");
	/* What is written then counts. */
	write_now(store, 3, 'o');
	cr_assert_eq(wb_store_flush_sync(store), 0);
	assert_always(store, 3, 'o');
	wb_store_close(store);
}
