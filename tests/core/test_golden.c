/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Volumes that an earlier program left behind are recovered as they were meant,
 * and what is written today is the same format, byte by byte. */
#include <criterion/criterion.h>
#include <string.h>

#include "format/block.h"
#include "format/checkpoint_codec.h"
#include "format/record_codec.h"
#include "format/superblock_codec.h"
#include "support/golden.h"

static struct wb_sim sim;

static void start(void)
{
	wb_golden_init(&sim);
}

static void stop(void)
{
	wb_sim_clear(&sim);
}

TestSuite(golden, .init = start, .fini = stop);

static char *directory(void)
{
	const char *top = g_getenv("top_srcdir");

	return g_build_filename(top ? top : ".", "tests", "golden", NULL);
}

Test(golden, images_are_recovered_as_they_were_meant)
{
	g_autofree char *in = directory();

	for (unsigned i = 0; wb_golden_names[i]; i++) {
		size_t bytes;
		g_autofree uint8_t *data = wb_golden_read_file(in, wb_golden_names[i],
							       ".expected", &bytes);
		g_autofree char *expected = g_strndup((char *)data, bytes);
		g_autofree char *found = NULL;

		wb_golden_load(&sim, in, wb_golden_names[i]);
		found = wb_golden_describe(&sim);
		cr_expect_str_eq(found, expected, "%s: found\n%s\nexpected\n%s",
				 wb_golden_names[i], found, expected);
	}
}

Test(golden, superblocks_are_encoded_as_they_were)
{
	g_autofree char *in = directory();

	for (unsigned i = 0; wb_golden_names[i]; i++) {
		wb_golden_load(&sim, in, wb_golden_names[i]);
		for (unsigned copy = 0; copy < WB_SUPERBLOCK_COUNT; copy++) {
			const struct wb_superblock_disk *disk =
				(const void *)(wb_sim_cache_bytes(&sim) + wb_superblock_offset(copy));
			struct wb_superblock_disk again;
			struct wb_superblock superblock;
			const char *field;

			cr_assert_eq(wb_superblock_decode(disk, sim.cache_disk.memory->size_bytes,
							  &superblock, &field),
				     WB_SUPERBLOCK_VALID, "%s: copy %u: field %s",
				     wb_golden_names[i], copy, field ? field : "-");
			wb_superblock_encode(&superblock, &again);
			cr_expect_arr_eq(&again, disk, sizeof again, "%s: copy %u",
					 wb_golden_names[i], copy);
		}
	}
}

/* TRUE when a header lies there; it is then compared. */
static bool check_header(const uint8_t *uuid, uint64_t place, uint32_t block, const char *name)
{
	const struct wb_record_disk *disk =
		(const void *)(wb_sim_cache_bytes(&sim) +
			       wb_geometry_segment_offset(&sim.geometry, place) +
			       (uint64_t)block * WB_BLOCK_BYTES);
	struct wb_record_fields f;
	struct wb_record_disk again;

	if (wb_record_decode(disk, uuid, &sim.geometry, place, block, &f) != WB_RECORD_VALID)
		return false;
	wb_record_begin(&again, uuid, f.epoch, f.epoch_start, f.sequence, f.segment_id,
			f.block_offset);
	for (unsigned i = 0; i < f.entry_count; i++) {
		struct wb_entry entry;

		wb_record_get_entry(disk, i, &entry);
		wb_record_set_entry(&again, i, &entry);
	}
	wb_record_set_counts(&again, f.entry_count, f.block_count);
	cr_expect_eq(wb_record_seal(&again, f.prev, f.durable, f.tail_segment, f.tail_sequence),
		     f.crc, "%s: record %lu", name, f.sequence);
	cr_expect_arr_eq(&again, disk, sizeof again, "%s: record %lu", name, f.sequence);
	return true;
}

Test(golden, record_headers_are_encoded_as_they_were)
{
	g_autofree char *in = directory();

	for (unsigned i = 0; wb_golden_names[i]; i++) {
		unsigned count = 0;

		wb_golden_load(&sim, in, wb_golden_names[i]);
		for (uint64_t place = 0; place < sim.geometry.segment_count; place++)
			for (uint32_t block = 0; block < sim.geometry.segment_blocks; block++)
				count += check_header((const uint8_t *)"uuid of a test\0", place,
						      block, wb_golden_names[i]);
		cr_expect_gt(count, 0, "%s holds no record", wb_golden_names[i]);
	}
}

/* --- checkpoints ----------------------------------------------------------------- */

static const uint8_t *check_head(const uint8_t *region, const struct wb_superblock *superblock,
				 struct wb_checkpoint *checkpoint)
{
	struct wb_checkpoint_disk again;

	cr_assert_eq(wb_checkpoint_decode((const void *)region, superblock, checkpoint),
		     WB_CHECKPOINT_VALID);
	wb_checkpoint_encode(checkpoint, &again);
	cr_expect_arr_eq(&again, region, sizeof again);
	return region + sizeof again;
}

static const uint8_t *check_run(const uint8_t *at)
{
	struct wb_checkpoint_run run;
	struct wb_checkpoint_run_disk again;

	cr_assert(wb_checkpoint_decode_run((const void *)at, &sim.geometry, &run));
	again = wb_checkpoint_encode_run(&run);
	cr_expect_arr_eq(&again, at, sizeof again);
	return at + sizeof again;
}

static const uint8_t *check_segment(const uint8_t *at, const struct wb_checkpoint *checkpoint)
{
	struct wb_checkpoint_segment segment;
	struct wb_checkpoint_segment_disk again;

	cr_assert(wb_checkpoint_decode_segment((const void *)at, &sim.geometry, checkpoint,
					       &segment));
	again = wb_checkpoint_encode_segment(&segment);
	cr_expect_arr_eq(&again, at, sizeof again);
	at += sizeof again;
	for (uint32_t block = 1; block < sim.geometry.segment_blocks; block++) {
		struct wb_entry entry;
		struct wb_entry_disk entry_again;

		cr_assert(wb_checkpoint_decode_entry((const void *)at, &sim.geometry, &entry));
		entry_again = wb_checkpoint_encode_entry(&entry);
		cr_expect_arr_eq(&entry_again, at, sizeof entry_again);
		at += sizeof entry_again;
	}
	return at;
}

static const uint8_t *check_extent(const uint8_t *at)
{
	struct wb_checkpoint_extent extent;
	struct wb_checkpoint_extent_disk again;

	cr_assert(wb_checkpoint_decode_extent((const void *)at, &sim.geometry, &extent));
	again = wb_checkpoint_encode_extent(&extent);
	cr_expect_arr_eq(&again, at, sizeof again);
	return at + sizeof again;
}

Test(golden, a_checkpoint_is_encoded_as_it_was)
{
	g_autofree char *in = directory();
	struct wb_checkpoint checkpoint;
	struct wb_superblock superblock;
	const uint8_t *region, *at;
	const char *field;

	wb_golden_load(&sim, in, "checkpoint");
	region = wb_sim_cache_bytes(&sim) + sim.geometry.checkpoint_offset;
	cr_assert_eq(wb_superblock_decode((const void *)wb_sim_cache_bytes(&sim),
					  sim.cache_disk.memory->size_bytes, &superblock, &field),
		     WB_SUPERBLOCK_VALID);
	cr_expect_eq(wb_crc32c(region, superblock.checkpoint_used), superblock.checkpoint_crc);
	at = check_head(region, &superblock, &checkpoint);
	cr_expect_gt(checkpoint.segment_count, 3);
	cr_expect_gt(checkpoint.extent_count, 1);
	cr_expect_gt(checkpoint.dirty_blocks, 5);
	for (uint32_t i = 0; i < checkpoint.run_count; i++)
		at = check_run(at);
	for (uint32_t i = 0; i < checkpoint.segment_count; i++)
		at = check_segment(at, &checkpoint);
	for (uint32_t i = 0; i < checkpoint.extent_count; i++)
		at = check_extent(at);
	cr_expect_lt(region + superblock.checkpoint_used - at, WB_BLOCK_BYTES);
	for (; at < region + superblock.checkpoint_used; at++)
		cr_expect_eq(*at, 0);
}
