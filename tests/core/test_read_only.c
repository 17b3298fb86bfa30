/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A cache opened to be read only: both disks see reads and nothing else, whatever
 * state they are in, and the image is what the next mount finds.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "format/superblock_codec.h"
#include "support/golden.h"
#include "support/volume_sim.h"

#define BLOCK 4096u
#define IMAGE_BYTES (96u * BLOCK)
#define SECOND_NS UINT64_C(1000000000)

static struct wb_sim sim;
static unsigned watch_calls;

/* --- disks that must stay as they are ----------------------------------------------- */

struct state {
	uint8_t *cache, *backing;
	uint64_t changes;		/* asked for so far, flushes too */
};

static uint64_t changes_of(const struct wb_sim_disk *disk)
{
	return wb_store_counting_ios(disk->counting, WB_IO_WRITE) +
	       wb_store_counting_ios(disk->counting, WB_IO_ZERO) +
	       wb_store_counting_ios(disk->counting, WB_IO_FLUSH);
}

static struct state remember(void)
{
	return (struct state){
		.cache = g_memdup2(wb_sim_cache_bytes(&sim), sim.cache_disk.memory->size_bytes),
		.backing = g_memdup2(wb_sim_backing_bytes(&sim),
				     sim.backing_disk.memory->size_bytes),
		.changes = changes_of(&sim.cache_disk) + changes_of(&sim.backing_disk),
	};
}

/* Forgets `state`. */
static void expect_unchanged(struct state *state)
{
	cr_expect_eq(changes_of(&sim.cache_disk) + changes_of(&sim.backing_disk), state->changes,
		     "%lu writes, punches and flushes",
		     changes_of(&sim.cache_disk) + changes_of(&sim.backing_disk) - state->changes);
	cr_expect_arr_eq(wb_sim_cache_bytes(&sim), state->cache,
			 sim.cache_disk.memory->size_bytes);
	cr_expect_arr_eq(wb_sim_backing_bytes(&sim), state->backing,
			 sim.backing_disk.memory->size_bytes);
	g_free(state->cache);
	g_free(state->backing);
}

static void open_as(enum wb_cache_access access)
{
	g_autoptr(GError) error = NULL;

	sim.access = access;
	cr_assert(wb_sim_open(&sim, &error), "seed %lu: %s", sim.params.seed,
		  error ? error->message : "");
}

static void read_image(uint8_t *image)
{
	cr_assert_eq(wb_sim_read(&sim, 0, image, sim.params.image_bytes), 0);
}

/* --- a volume in the middle of its life ------------------------------------------------ */

static void work(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		uint64_t at = wb_prng_below(&sim.prng, IMAGE_BYTES / 512) * 512;
		uint64_t length = 512 * (1 + wb_prng_below(&sim.prng, 60));

		length = MIN(length, IMAGE_BYTES - at);
		switch (wb_prng_below(&sim.prng, 12)) {
		case 0:
			cr_assert_eq(wb_sim_zero(&sim, at, length, 0), 0);
			break;
		case 1:
			cr_assert_eq(wb_sim_sync(&sim), 0);
			break;
		case 2:
			wb_cache_start_drain(sim.cache);
			break;
		default:
			cr_assert_eq(wb_sim_fill(&sim, at, (uint8_t)(i + 1), length, 0), 0);
			break;
		}
		for (uint64_t n = wb_prng_below(&sim.prng, 20); n > 0; n--)
			wb_sim_step(&sim);
	}
}

/* Killed, or without power, or stopped. */
static void make_used(uint64_t seed)
{
	struct wb_sim_params params = { .seed = seed, .image_bytes = IMAGE_BYTES,
					.segment_count = 12, .backing_fill = 0x11,
					.no_writeback = seed % 2 == 0 };

	wb_sim_init(&sim, &params);
	open_as(WB_CACHE_READ_WRITE);
	work(80);
	if (seed % 3 == 0)
		cr_assert_eq(wb_sim_close(&sim), 0);
	else
		wb_sim_kill(&sim);
	if (seed % 3 == 1)
		wb_sim_cut_power(&sim);
}

static void stop(void)
{
	wb_sim_clear(&sim);
}

TestSuite(read_only, .fini = stop);

Test(read_only, whatever_state_a_volume_is_in_it_stays_as_it_is_and_reads_as_the_next_mount)
{
	g_autofree uint8_t *image = g_malloc(IMAGE_BYTES), *later = g_malloc(IMAGE_BYTES);
	uint64_t dirty = 0;

	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct wb_stats_snapshot stats;
		struct state before;

		make_used(seed);
		before = remember();
		open_as(WB_CACHE_READ_ONLY);
		read_image(image);
		wb_sim_stats(&sim, &stats);
		dirty += stats.dirty_blocks;
		cr_expect_eq(stats.state, WB_CACHE_RUNNING);
		wb_sim_pass_time(&sim, 100 * SECOND_NS);
		wb_sim_settle(&sim);
		if (seed % 2)
			cr_assert_eq(wb_sim_close(&sim), 0);
		else
			wb_sim_kill(&sim);
		expect_unchanged(&before);

		open_as(WB_CACHE_READ_WRITE);
		read_image(later);
		cr_expect_arr_eq(image, later, IMAGE_BYTES, "seed %lu", seed);
		wb_sim_clear(&sim);
	}
	cr_assert_gt(dirty, 0);
}

Test(read_only, volumes_of_earlier_programs_are_read_as_they_were_meant)
{
	const char *top = g_getenv("top_srcdir");
	g_autofree char *in = g_build_filename(top ? top : ".", "tests", "golden", NULL);

	wb_golden_init(&sim);
	sim.access = WB_CACHE_READ_ONLY;
	for (unsigned i = 0; wb_golden_names[i]; i++) {
		size_t bytes;
		g_autofree uint8_t *data = wb_golden_read_file(in, wb_golden_names[i],
							       ".expected", &bytes);
		g_autofree char *expected = g_strndup((char *)data, bytes), *found = NULL;
		struct state before;

		wb_golden_load(&sim, in, wb_golden_names[i]);
		before = remember();
		found = wb_golden_describe(&sim);
		cr_expect_str_eq(found, expected, "%s", wb_golden_names[i]);
		expect_unchanged(&before);
	}
}

/* --- what is asked of it ------------------------------------------------------------------ */

static void start_dirty(void)
{
	struct wb_sim_params params = { .no_writeback = true, .backing_fill = 0x11 };

	wb_sim_init(&sim, &params);
	open_as(WB_CACHE_READ_WRITE);
	for (unsigned i = 0; i < 4; i++)
		cr_assert_eq(wb_sim_fill(&sim, i * BLOCK, (uint8_t)(i + 1), BLOCK, 0), 0);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	cr_assert_eq(wb_sim_fill(&sim, 8 * BLOCK, 9, BLOCK, 0), 0);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	wb_sim_kill(&sim);
}

Test(read_only, what_would_change_data_is_refused_and_a_sync_has_nothing_to_do)
{
	struct state before;

	start_dirty();
	before = remember();
	open_as(WB_CACHE_READ_ONLY);
	cr_assert(wb_cache_is_read_only(sim.cache));
	cr_expect_eq(wb_sim_fill(&sim, 0, 7, BLOCK, 0), -EROFS);
	cr_expect_eq(wb_sim_fill(&sim, 100, 7, 300, WB_REQUEST_FUA), -EROFS);
	cr_expect_eq(wb_sim_zero(&sim, 0, 8 * BLOCK, 0), -EROFS);
	cr_expect_eq(wb_sim_sync(&sim), 0);
	cr_expect_eq(wb_sim_fill(&sim, 1 << 20, 7, BLOCK, 0), -EINVAL, "outside the image");
	wb_sim_kill(&sim);
	expect_unchanged(&before);
}

Test(read_only, verbs_are_answered_and_say_why_they_cannot)
{
	struct wb_stats_snapshot stats;
	struct state before;

	start_dirty();
	before = remember();
	open_as(WB_CACHE_READ_ONLY);
	wb_cache_start_flush(sim.cache);
	wb_cache_start_scrub(sim.cache);
	wb_sim_stats(&sim, &stats);
	cr_expect_eq(stats.flushes_done, 1);
	cr_expect_eq(stats.scrubs_failed, 1);
	cr_expect(strstr(stats.last_error,
			 "the volume is mounted read-only: `wbfs check` verifies its cache"));
	cr_expect_eq(wb_sim_drain(&sim), -EIO);
	wb_sim_stats(&sim, &stats);
	cr_expect(strstr(stats.last_error, "read-only: nothing is written back"));
	wb_sim_kill(&sim);
	expect_unchanged(&before);

	open_as(WB_CACHE_READ_WRITE);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	cr_assert_eq(wb_sim_close(&sim), 0);
	open_as(WB_CACHE_READ_ONLY);
	cr_expect_eq(wb_sim_drain(&sim), 0, "nothing is dirty");
}

Test(read_only, what_has_rotted_is_found_and_left_as_it_is)
{
	struct wb_stats_snapshot stats;
	uint8_t data[BLOCK];
	struct state before;
	bool is_dirty;

	start_dirty();
	open_as(WB_CACHE_READ_ONLY);
	wb_sim_cached_block(&sim, 1, &is_dirty)[77] ^= 1;
	cr_assert_not(is_dirty);
	wb_sim_cached_block(&sim, 8, &is_dirty)[77] ^= 1;
	cr_assert(is_dirty);
	before = remember();
	cr_expect_eq(wb_sim_read(&sim, BLOCK, data, BLOCK), 0);
	cr_expect_eq(data[77], 2, "the backing's");
	cr_expect_eq(wb_sim_read(&sim, 8 * BLOCK, data, BLOCK), -EIO);
	wb_sim_stats(&sim, &stats);
	cr_expect_eq(stats.bad_ranges.blocks, 1);
	cr_expect_eq(stats.bad_ranges.range[0].start_bytes, 8 * BLOCK);
	wb_sim_kill(&sim);
	expect_unchanged(&before);
}

/* --- the owner of the backing --------------------------------------------------------------- */

static bool describe(void *arg, struct wb_backing_facts *facts)
{
	(void)arg;
	*facts = (struct wb_backing_facts){ .size_bytes = 1 << 20 };
	return true;
}

static void count_call(void *arg)
{
	(void)arg;
	watch_calls++;
}

static void count_stop(void *arg, bool is_complete)
{
	(void)is_complete;
	count_call(arg);
}

Test(read_only, no_mark_is_asked_for)
{
	start_dirty();
	sim.watch = (struct wb_backing_watch){ .describe = describe, .mark_wanted = count_call,
					       .stopped = count_stop };
	open_as(WB_CACHE_READ_ONLY);
	cr_expect_eq(wb_cache_mark_wish(sim.cache), WB_MARK_WISH_NONE);
	wb_sim_pass_time(&sim, SECOND_NS);
	wb_cache_end_marking(sim.cache);
	cr_expect_eq(wb_sim_close(&sim), 0);
	cr_expect_eq(watch_calls, 0);
}

Test(read_only, a_backing_that_was_changed_is_refused_and_with_force_read)
{
	g_autoptr(GError) error = NULL;
	struct state before;
	uint8_t byte;

	start_dirty();
	/* under a clean copy */
	memset(wb_sim_backing_bytes(&sim), 0x55, 4 * BLOCK);
	before = remember();
	sim.watch = (struct wb_backing_watch){ .describe = describe };
	sim.access = WB_CACHE_READ_ONLY;
	cr_assert_not(wb_sim_open(&sim, &error));
	cr_expect(g_error_matches(error, WB_CACHE_ERROR, WB_CACHE_ERROR_CHANGED), "%s",
		  error->message);
	sim.watch.is_forced = true;
	open_as(WB_CACHE_READ_ONLY);
	cr_expect_eq(wb_sim_read(&sim, 0, &byte, 1), 0);
	cr_expect_eq(byte, 0x55, "no clean copy is believed");
	cr_expect_eq(wb_sim_read(&sim, 8 * BLOCK, &byte, 1), 0);
	cr_expect_eq(byte, 9);
	wb_sim_kill(&sim);
	expect_unchanged(&before);
}

/* --- what keeps it from being written, but not from being read ------------------------------- */

static void change_superblocks(void (*change)(struct wb_superblock *superblock))
{
	for (unsigned copy = 0; copy < WB_SUPERBLOCK_COUNT; copy++) {
		struct wb_superblock_disk *disk =
			(void *)(wb_sim_cache_bytes(&sim) + wb_superblock_offset(copy));
		struct wb_superblock superblock;
		const char *field;

		cr_assert_eq(wb_superblock_decode(disk, sim.cache_disk.memory->size_bytes,
						  &superblock, &field), WB_SUPERBLOCK_VALID);
		change(&superblock);
		wb_superblock_encode(&superblock, disk);
	}
}

static void add_feature(struct wb_superblock *superblock)
{
	superblock->ro_compat |= 1;
}

static void spoil_places(struct wb_superblock *superblock)
{
	superblock->bad_count = 4;
	for (uint32_t i = 0; i < 4; i++)
		superblock->bad_places[i] = i + 2;
}

static void expect_only_readable(const char *why)
{
	g_autoptr(GError) error = NULL;
	struct state before = remember();
	uint8_t byte;

	sim.access = WB_CACHE_READ_WRITE;
	cr_assert_not(wb_sim_open(&sim, &error));
	cr_expect(strstr(error->message, why), "%s", error->message);
	open_as(WB_CACHE_READ_ONLY);
	cr_expect_eq(wb_sim_read(&sim, 8 * BLOCK, &byte, 1), 0);
	cr_expect_eq(byte, 9);
	wb_sim_kill(&sim);
	expect_unchanged(&before);
}

Test(read_only, a_cache_that_a_later_program_allows_to_be_read_is_read)
{
	start_dirty();
	change_superblocks(add_feature);
	expect_only_readable("uses features of a later version of wbfs");
}

Test(read_only, a_cache_with_too_many_bad_places_is_read)
{
	start_dirty();
	change_superblocks(spoil_places);
	expect_only_readable("cannot be written, and at least");
}
