/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Volumes that an earlier program left behind are recovered as they were meant,
 * and what is written today is the same format, byte by byte. */
#include <criterion/criterion.h>
#include <string.h>

#include "format/block.h"
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
