/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>
#include <string.h>

#include "format/geometry.h"
#include "format/ondisk.h"

#define KIB UINT64_C(1024)
#define MIB (KIB * 1024)
#define GIB (MIB * 1024)
#define TIB (GIB * 1024)

static uint64_t minimum(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Everything that a layout has to keep, whatever its numbers are. */
static void assert_sound(const struct wb_geometry *g, uint64_t cache_bytes,
			 uint32_t segment_bytes, uint64_t backing_bytes)
{
	uint64_t slots = g->segment_count * g->segment_blocks;

	cr_assert_eq(g->cache_bytes, cache_bytes);
	cr_assert_eq(g->backing_bytes, backing_bytes);
	cr_assert_eq(g->backing_blocks, (backing_bytes + 4095) / 4096);
	cr_assert_eq(g->segment_bytes, segment_bytes);
	cr_assert_eq(g->segment_blocks, segment_bytes / 4096);
	cr_assert_geq(g->segment_count, 8);
	cr_assert_eq(g->slot_count, slots);
	cr_assert_leq(slots, UINT64_C(0xfffffffe));
	cr_assert_eq(g->checkpoint_offset, MIB);
	cr_assert_eq(g->checkpoint_bytes, (12 * slots + 64 * KIB + 4095) / 4096 * 4096);
	cr_assert_geq(g->ring_offset, g->checkpoint_offset + g->checkpoint_bytes);
	cr_assert_eq(g->ring_offset % minimum(segment_bytes, MIB), 0);
	cr_assert_leq(g->ring_offset + g->segment_count * segment_bytes, cache_bytes);
}

Test(geometry, of_a_1_gib_cache_is_known_to_the_byte)
{
	struct wb_geometry g;

	cr_assert_eq(wb_geometry_compute(&g, GIB, MIB, 100 * GIB), WB_GEOMETRY_OK);
	assert_sound(&g, GIB, MIB, 100 * GIB);
	/* 1019 MiB of ring want 3.0 MiB of checkpoint region, and 1 + 3.05 are
	 * rounded up to 5 MiB: 1019 it is. */
	cr_assert_eq(g.segment_count, 1019);
	cr_assert_eq(g.checkpoint_bytes, 3198976);
	cr_assert_eq(g.ring_offset, 5 * MIB);
}

Test(geometry, is_sound_and_wastes_less_than_two_segments_at_every_size)
{
	uint64_t sizes[] = { 3 * MIB, 10 * MIB, 64 * MIB, 100 * MIB + 512, 256 * MIB - 4096,
			     GIB, 10 * GIB + 12345 * 512, TIB, 7 * TIB };

	for (uint32_t segment = 64 * KIB; segment <= 4 * MIB; segment *= 2) {
		for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
			struct wb_geometry g;
			uint64_t left;

			if (sizes[i] < 9 * segment + 3 * MIB)
				continue;
			cr_assert_eq(wb_geometry_compute(&g, sizes[i], segment, GIB),
				     WB_GEOMETRY_OK);
			assert_sound(&g, sizes[i], segment, GIB);
			left = sizes[i] - g.ring_offset - g.segment_count * segment;
			cr_assert_lt(left, 2 * segment + 8 * KIB);
		}
	}
}

Test(geometry, one_byte_less_than_8_segments_is_too_small)
{
	for (uint32_t segment = 64 * KIB; segment <= 4 * MIB; segment *= 2) {
		struct wb_geometry g;
		uint64_t slots = 8 * (uint64_t)(segment / 4096);
		uint64_t checkpoint = (12 * slots + 64 * KIB + 4095) / 4096 * 4096;
		uint64_t unit = minimum(segment, MIB);
		uint64_t least = (MIB + checkpoint + unit - 1) / unit * unit + 8 * segment;

		cr_assert_eq(wb_geometry_compute(&g, least, segment, GIB), WB_GEOMETRY_OK);
		cr_assert_eq(g.segment_count, 8);
		assert_sound(&g, least, segment, GIB);
		cr_assert_eq(wb_geometry_compute(&g, least - 1, segment, GIB),
			     WB_GEOMETRY_CACHE_TOO_SMALL);
	}
}

Test(geometry, of_next_to_nothing_is_too_small)
{
	struct wb_geometry g;

	for (uint64_t bytes = 0; bytes <= 2 * MIB; bytes += bytes / 3 + 1)
		cr_assert_eq(wb_geometry_compute(&g, bytes, MIB, GIB),
			     WB_GEOMETRY_CACHE_TOO_SMALL);
}

Test(geometry, has_never_more_slots_than_32_bits_can_name)
{
	struct wb_geometry g;
	uint64_t segments = UINT64_C(0xfffffffe) / 256;
	uint64_t most = segments * MIB + 40000 * MIB;	/* past the checkpoint region */
	uint64_t ring_end;

	cr_assert_eq(wb_geometry_compute(&g, 64 * TIB, MIB, GIB), WB_GEOMETRY_CACHE_TOO_LARGE);
	cr_assert_eq(wb_geometry_compute(&g, UINT64_MAX, 64 * KIB, GIB),
		     WB_GEOMETRY_CACHE_TOO_LARGE);
	cr_assert_eq(wb_geometry_compute(&g, UINT64_MAX, 4 * MIB, GIB),
		     WB_GEOMETRY_CACHE_TOO_LARGE);
	cr_assert_eq(wb_geometry_compute(&g, 16 * TIB, MIB, GIB), WB_GEOMETRY_OK);
	assert_sound(&g, 16 * TIB, MIB, GIB);
	/* the largest that is possible */
	ring_end = MIB + (12 * segments * 256 + 64 * KIB) + segments * MIB;
	ring_end = (ring_end / MIB + 1) * MIB;
	cr_assert_lt(ring_end, most + 20000 * MIB);
	cr_assert_eq(wb_geometry_compute(&g, ring_end, MIB, GIB), WB_GEOMETRY_OK);
	assert_sound(&g, ring_end, MIB, GIB);
	cr_assert_eq(g.segment_count, segments);
	cr_assert_eq(wb_geometry_compute(&g, ring_end + 3 * MIB, MIB, GIB),
		     WB_GEOMETRY_CACHE_TOO_LARGE);
}

Test(geometry, refuses_segment_sizes_that_are_no_power_of_two_in_the_range)
{
	uint32_t bad[] = { 0, 1, 4096, 32 * KIB, 64 * KIB - 1, 64 * KIB + 1, 96 * KIB, 3 * MIB,
			   4 * MIB + 1, 8 * MIB, UINT32_MAX, 1u << 31 };
	struct wb_geometry g;

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		cr_assert_eq(wb_geometry_compute(&g, GIB, bad[i], GIB),
			     WB_GEOMETRY_BAD_SEGMENT_SIZE);
}

Test(geometry, refuses_impossible_backings_and_takes_the_largest)
{
	uint64_t bad[] = { 0, 1, 511, 513, GIB + 1, (UINT64_C(1) << 60) + 512, UINT64_MAX,
			   UINT64_MAX - 511 };
	struct wb_geometry g;

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		cr_assert_eq(wb_geometry_compute(&g, GIB, MIB, bad[i]),
			     WB_GEOMETRY_BAD_BACKING_SIZE);
	cr_assert_eq(wb_geometry_compute(&g, GIB, MIB, UINT64_C(1) << 60), WB_GEOMETRY_OK);
	cr_assert_eq(g.backing_blocks - 1, WB_ADDRESS_MAX);
	cr_assert_eq(wb_geometry_compute(&g, GIB, MIB, 512), WB_GEOMETRY_OK);
	cr_assert_eq(g.backing_blocks, 1);
}

Test(geometry, block_mask_is_full_but_for_the_last_block)
{
	struct wb_geometry g;

	for (unsigned sectors = 0; sectors < 8; sectors++) {
		uint8_t last = sectors == 0 ? 0xff : (uint8_t)((1u << sectors) - 1);

		cr_assert_eq(wb_geometry_compute(&g, GIB, MIB, 10 * 4096 + sectors * 512),
			     WB_GEOMETRY_OK);
		for (uint64_t i = 0; i + 1 < g.backing_blocks; i++)
			cr_assert_eq(wb_geometry_block_mask(&g, i), 0xff);
		cr_assert_eq(wb_geometry_block_mask(&g, g.backing_blocks - 1), last);
		cr_assert_eq(wb_geometry_block_mask(&g, g.backing_blocks), 0);
		cr_assert_eq(wb_geometry_block_mask(&g, UINT64_MAX), 0);
	}
}

Test(geometry, places_slots_and_offsets_agree)
{
	struct wb_geometry g;

	cr_assert_eq(wb_geometry_compute(&g, 100 * MIB, 256 * KIB, GIB), WB_GEOMETRY_OK);
	cr_assert_eq(wb_geometry_place(&g, 1), 0);
	cr_assert_eq(wb_geometry_place(&g, g.segment_count), g.segment_count - 1);
	cr_assert_eq(wb_geometry_place(&g, g.segment_count + 1), 0);
	for (uint64_t place = 0; place < g.segment_count; place++) {
		for (uint32_t block = 0; block < g.segment_blocks; block += 9) {
			uint32_t slot = wb_geometry_slot(&g, place, block);

			cr_assert_lt(slot, g.slot_count);
			cr_assert_eq(wb_geometry_slot_place(&g, slot), place);
			cr_assert_eq(wb_geometry_slot_offset(&g, slot),
				     wb_geometry_segment_offset(&g, place) + block * 4096);
		}
	}
}

Test(geometry, every_verdict_has_a_text_of_its_own)
{
	for (int a = WB_GEOMETRY_OK; a <= WB_GEOMETRY_BAD_BACKING_SIZE; a++) {
		const char *text = wb_geometry_verdict_text((enum wb_geometry_verdict)a);

		cr_assert_neq(text[0], '\0');
		cr_assert_neq(text[strlen(text) - 1], '.');
		for (int b = WB_GEOMETRY_OK; b < a; b++)
			cr_assert_str_neq(text,
				wb_geometry_verdict_text((enum wb_geometry_verdict)b));
	}
}
