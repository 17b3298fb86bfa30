/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A log may call many blocks lost with one entry; this program never writes one of more
 * than one block. What is written over any part of them finds room all the same.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/resource.h>

#include "cache/cache.h"
#include "cache/recovery.h"
#include "format/record_codec.h"
#include "support/volume_sim.h"

#define BLOCK 4096u

static struct wb_sim sim;

static void stop(void)
{
	wb_sim_clear(&sim);
}

TestSuite(lost_ranges, .fini = stop);

static struct wb_recovery *look(const struct wb_recovery_options *options)
{
	g_autoptr(GError) error = NULL;
	struct wb_recovery *r = wb_recovery_scan(sim.cache_disk.counting, options, &error);

	cr_assert(r, "%s", error ? error->message : "");
	return r;
}

/* A volume that was opened once, and whose log has one more record, with these ranges. */
static void start(struct wb_sim_params params, const uint32_t (*ranges)[2], unsigned count)
{
	struct wb_record_disk *header;
	struct wb_recovery *r;
	uint64_t id;

	params.no_writeback = true;
	wb_sim_init(&sim, &params);
	cr_assert(wb_sim_open(&sim, NULL));
	cr_assert_eq(wb_sim_fill(&sim, params.image_bytes - BLOCK, 7, BLOCK, 0), 0);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	wb_sim_kill(&sim);
	r = look(NULL);
	id = r->last_segment + 1;
	header = (void *)(wb_sim_cache_bytes(&sim) + wb_geometry_segment_offset(&sim.geometry,
			  wb_geometry_place(&sim.geometry, id)));
	wb_record_begin(header, r->superblock.uuid, r->superblock.epoch,
			r->superblock.epoch_start, r->cut_sequence + 1, id, 0);
	for (unsigned i = 0; i < count; i++)
		wb_record_set_entry(header, i, &(struct wb_entry){
			.address = ranges[i][0], .mask = WB_MASK_FULL, .type = WB_ENTRY_BAD,
			.crc_or_length = ranges[i][1] });
	wb_record_set_counts(header, count, 0);
	wb_record_seal(header, r->cut_crc, r->cut_sequence, r->tail_segment, r->tail_sequence);
	wb_recovery_free(r);
}

static bool is_lost(uint64_t block)
{
	uint8_t byte = 0;
	int error = wb_sim_read(&sim, block * BLOCK, &byte, 1);

	cr_assert(error == 0 || error == -EIO);
	return error == -EIO;
}

/* --- of any length -------------------------------------------------------------------- */

#define MANY 26000u		/* more than twice the fragments that one range had room for */
#define IMAGE_BLOCKS 32768u

static void expect_every_second(void)
{
	for (uint64_t block = 0; block < MANY; block++)
		cr_assert_eq(is_lost(block), block % 2 == 1, "block %lu", block);
	cr_assert_not(is_lost(MANY));
}

Test(lost_ranges, every_second_block_is_written_anew_and_discards_still_find_room)
{
	static const uint32_t all[][2] = { { 0, MANY } };

	start((struct wb_sim_params){ .image_bytes = (uint64_t)IMAGE_BLOCKS * BLOCK,
				      .segment_count = 2200 }, all, 1);
	cr_assert_geq(sim.geometry.slot_count, MANY);
	cr_assert(wb_sim_open(&sim, NULL));
	cr_expect(is_lost(0) && is_lost(MANY - 1) && !is_lost(MANY));
	for (uint64_t block = 0; block < MANY; block += 2)
		cr_assert_eq(wb_sim_fill(&sim, block * BLOCK, 1, BLOCK, 0), 0);
	/* aborts when it parks for ever */
	cr_assert_eq(wb_sim_zero(&sim, (MANY + 10) * (uint64_t)BLOCK, 4 * BLOCK, 0), 0);
	expect_every_second();
	cr_assert_eq(wb_sim_close(&sim), 0);
	cr_assert(wb_sim_open(&sim, NULL));
	expect_every_second();
	for (uint64_t block = 0; block < 5000; block += 50)
		cr_assert_eq(wb_sim_fill(&sim, block * BLOCK, 2, 50 * BLOCK, 0), 0);
	cr_expect_not(is_lost(4999));
	cr_expect(is_lost(5001));
}

/* A ring of few segments: they are carried along block by block. */
Test(lost_ranges, the_ring_goes_round_with_one)
{
	static const uint32_t some[][2] = { { 10, 40 } };

	start((struct wb_sim_params){ .image_bytes = 256 * BLOCK, .segment_count = 12 }, some, 1);
	cr_assert(wb_sim_open(&sim, NULL));
	for (unsigned i = 0; i < 40; i++) {
		cr_assert_eq(wb_sim_fill(&sim, 100 * BLOCK, (uint8_t)i, 60 * BLOCK, 0), 0);
		cr_assert_eq(wb_sim_sync(&sim), 0);
		cr_assert_eq(wb_sim_drain(&sim), -EIO, "what is lost stays");
	}
	for (uint64_t block = 0; block < 100; block++)
		cr_expect_eq(is_lost(block), block >= 10 && block < 50, "block %lu", block);
	cr_assert_eq(wb_sim_close(&sim), 0);
	cr_assert(wb_sim_open(&sim, NULL));
	for (uint64_t block = 0; block < 100; block++)
		cr_expect_eq(is_lost(block), block >= 10 && block < 50, "block %lu", block);
}

/* --- more than there can be ------------------------------------------------------------- */

static void refuse(enum wb_cache_access access)
{
	size_t bytes = sim.cache_disk.memory->size_bytes;
	g_autofree uint8_t *before = g_memdup2(wb_sim_cache_bytes(&sim), bytes);
	g_autoptr(GError) error = NULL;

	sim.access = access;
	cr_assert_not(wb_sim_open(&sim, &error));
	cr_expect(g_error_matches(error, WB_CACHE_ERROR, WB_CACHE_ERROR_LIMIT));
	cr_expect(strstr(error->message, "memory: the log notes more blocks as lost than a cache "
			 "of this size can have held; nothing was changed. `wbfs rescue` saves "
			 "the rest"), "%s", error->message);
	cr_expect_eq(memcmp(before, wb_sim_cache_bytes(&sim), bytes), 0);
	sim.access = WB_CACHE_READ_WRITE;
}

Test(lost_ranges, more_than_a_cache_can_have_held_are_refused)
{
	struct wb_sim_params params = { .image_bytes = 256 * BLOCK, .segment_count = 8 };
	const uint32_t one[][2] = { { 0, 130 } }, just[][2] = { { 0, 129 } };
	const uint32_t many[][2] = { { 0, 80 }, { 100, 51 } };
	const struct wb_recovery_options past = { .goes_past_damage = true };
	struct wb_recovery *r;

	start(params, one, 1);
	cr_assert_eq(sim.geometry.slot_count, 128);
	refuse(WB_CACHE_READ_WRITE);
	refuse(WB_CACHE_READ_ONLY);
	r = look(&past);
	cr_expect_eq(r->record_count, 2, "who rescues sees all of it");
	wb_recovery_free(r);
	wb_sim_clear(&sim);
	start(params, many, 2);
	refuse(WB_CACHE_READ_WRITE);
	wb_sim_clear(&sim);
	start(params, just, 1);
	cr_assert(wb_sim_open(&sim, NULL));
	cr_expect(is_lost(128) && !is_lost(129));
}

/* --- more than there is memory for ------------------------------------------------------ */

#if !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__
static rlim_t memory_in_use(void)
{
	g_autofree char *text = NULL;

	cr_assert(g_file_get_contents("/proc/self/statm", &text, NULL, NULL));
	return g_ascii_strtoull(text, NULL, 10) * BLOCK;
}

Test(lost_ranges, that_there_is_no_memory_for_are_refused)
{
	static const uint32_t all[][2] = { { 0, 1 << 20 } };
	struct rlimit limit;
	uint64_t written;
	g_autoptr(GError) error = NULL;

	/* Their table takes 40 MiB; all that comes before, 30. */
	start((struct wb_sim_params){ .image_bytes = (UINT64_C(1) << 20) * BLOCK,
				      .segment_bytes = 1 << 20, .segment_count = 4100 }, all, 1);
	written = wb_store_counting_bytes(sim.cache_disk.counting, WB_IO_WRITE);
	limit.rlim_cur = limit.rlim_max = memory_in_use() + (50 << 20);
	cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
	cr_assert_not(wb_sim_open(&sim, &error));
	cr_expect(g_error_matches(error, WB_CACHE_ERROR, WB_CACHE_ERROR_LIMIT));
	cr_expect(strstr(error->message, "memory: there is not the memory for the discards and "
			 "lost blocks that its log holds, but for the first "), "%s",
		  error->message);
	cr_expect(strstr(error->message, "; nothing was changed. `wbfs rescue` needs less"), "%s",
		  error->message);
	cr_expect_eq(wb_store_counting_bytes(sim.cache_disk.counting, WB_IO_WRITE), written);
}
#endif
