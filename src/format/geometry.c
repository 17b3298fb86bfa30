/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "format/geometry.h"

#include <string.h>

#include "format/ondisk.h"

#define BACKING_BYTES_MAX (UINT64_C(1) << 60)	/* 2^48 blocks: an address has 48 bits */
#define RING_ALIGNMENT_MAX (1u << 20)

static int is_segment_size(uint32_t bytes)
{
	return bytes >= WB_SEGMENT_BYTES_MIN && bytes <= WB_SEGMENT_BYTES_MAX &&
	       (bytes & (bytes - 1)) == 0;
}

/* Sets everything that follows from the number of segments; returns the end
 * of the ring. */
static uint64_t lay_out(struct wb_geometry *g, uint64_t segment_count)
{
	uint64_t slots = segment_count * g->segment_blocks;
	/* Flash likes writes that begin where its own units begin: the ring is
	 * aligned to a segment, or to 1 MiB where segments are larger. */
	uint64_t unit = g->segment_bytes < RING_ALIGNMENT_MAX ?
			g->segment_bytes : RING_ALIGNMENT_MAX;

	g->segment_count = segment_count;
	g->slot_count = (uint32_t)slots;
	g->checkpoint_offset = WB_SUPERBLOCK_AREA_BYTES;
	g->checkpoint_bytes = wb_round_up(slots * WB_CHECKPOINT_SLOT_BYTES +
				       WB_CHECKPOINT_EXTRA_BYTES, WB_BLOCK_BYTES);
	g->ring_offset = wb_round_up(g->checkpoint_offset + g->checkpoint_bytes, unit);
	return g->ring_offset + segment_count * g->segment_bytes;
}

enum wb_geometry_verdict wb_geometry_compute(struct wb_geometry *geometry,
		uint64_t cache_bytes, uint32_t segment_bytes,
		uint64_t backing_bytes)
{
	struct wb_geometry *g = geometry;
	uint64_t fixed_bytes = WB_SUPERBLOCK_AREA_BYTES + WB_CHECKPOINT_EXTRA_BYTES;
	uint64_t count;

	memset(g, 0, sizeof *g);
	if (!is_segment_size(segment_bytes))
		return WB_GEOMETRY_BAD_SEGMENT_SIZE;
	if (!wb_geometry_is_backing_size(backing_bytes))
		return WB_GEOMETRY_BAD_BACKING_SIZE;
	if (cache_bytes <= fixed_bytes)
		return WB_GEOMETRY_CACHE_TOO_SMALL;
	g->cache_bytes = cache_bytes;
	g->backing_bytes = backing_bytes;
	g->backing_blocks = wb_geometry_blocks_of(backing_bytes);
	g->segment_bytes = segment_bytes;
	g->segment_blocks = segment_bytes / WB_BLOCK_BYTES;

	/* Without the alignments this many would fit; with them, a few less. */
	count = (cache_bytes - fixed_bytes) /
		(segment_bytes + g->segment_blocks * WB_CHECKPOINT_SLOT_BYTES);
	if (count > WB_SLOTS_MAX / g->segment_blocks)
		return WB_GEOMETRY_CACHE_TOO_LARGE;
	while (count >= WB_SEGMENTS_MIN && lay_out(g, count) > cache_bytes)
		count--;
	return count >= WB_SEGMENTS_MIN ? WB_GEOMETRY_OK : WB_GEOMETRY_CACHE_TOO_SMALL;
}

const char *wb_geometry_verdict_text(enum wb_geometry_verdict verdict)
{
	switch (verdict) {
	case WB_GEOMETRY_OK:
		return "the layout is possible";
	case WB_GEOMETRY_BAD_SEGMENT_SIZE:
		return "the segment size must be a power of two from 64 KiB to 4 MiB";
	case WB_GEOMETRY_CACHE_TOO_SMALL:
		return "the cache is too small: room for at least 8 segments is needed";
	case WB_GEOMETRY_CACHE_TOO_LARGE:
		return "the cache is too large: at most 2^32-2 blocks of 4 KiB can be used";
	case WB_GEOMETRY_BAD_BACKING_SIZE:
		return "the size of the backing must be a multiple of 512 bytes, "
		       "more than 0 and at most 1 EiB";
	}
	return "unknown";
}

uint64_t wb_geometry_blocks_of(uint64_t backing_bytes)
{
	return wb_round_up(backing_bytes, WB_BLOCK_BYTES) / WB_BLOCK_BYTES;
}

bool wb_geometry_is_backing_size(uint64_t backing_bytes)
{
	return backing_bytes > 0 && backing_bytes % WB_SECTOR_BYTES == 0 &&
	       backing_bytes <= BACKING_BYTES_MAX;
}

uint8_t wb_geometry_mask_of(uint64_t backing_bytes, uint64_t address)
{
	uint64_t blocks = wb_geometry_blocks_of(backing_bytes);
	unsigned sectors = (unsigned)(backing_bytes % WB_BLOCK_BYTES / WB_SECTOR_BYTES);

	if (address >= blocks)
		return 0;
	if (address < blocks - 1 || sectors == 0)
		return WB_MASK_FULL;
	return (uint8_t)((1u << sectors) - 1);
}

uint8_t wb_geometry_block_mask(const struct wb_geometry *g, uint64_t address)
{
	return wb_geometry_mask_of(g->backing_bytes, address);
}
