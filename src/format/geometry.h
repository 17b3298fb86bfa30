/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where things are on the cache: pure arithmetic, no I/O. */
#ifndef WB_FORMAT_GEOMETRY_H
#define WB_FORMAT_GEOMETRY_H

#include <stdbool.h>
#include <stdint.h>

#define WB_NO_SLOT UINT32_MAX
#define WB_SLOTS_MAX UINT64_C(0xfffffffe)
#define WB_SEGMENTS_MIN 8u	/* the reserve and a writeback batch must fit */

struct wb_geometry {
	uint64_t cache_bytes;		/* as formatted */
	uint64_t backing_bytes;		/* multiple of 512 */
	uint64_t backing_blocks;	/* rounded up */
	uint64_t checkpoint_offset;
	uint64_t checkpoint_bytes;
	uint64_t ring_offset;
	uint64_t segment_count;
	uint32_t segment_bytes;
	uint32_t segment_blocks;
	uint32_t slot_count;		/* segment_count * segment_blocks */
};

enum wb_geometry_verdict {
	WB_GEOMETRY_OK,
	WB_GEOMETRY_BAD_SEGMENT_SIZE,	/* not a power of two in 64K..4M */
	WB_GEOMETRY_CACHE_TOO_SMALL,	/* fewer than WB_SEGMENTS_MIN */
	WB_GEOMETRY_CACHE_TOO_LARGE,	/* more than WB_SLOTS_MAX slots */
	WB_GEOMETRY_BAD_BACKING_SIZE,	/* 0, no multiple of 512, > 2^60 */
};

/* The layout for a cache of `cache_bytes`: as many segments as fit behind the
 * superblocks and the checkpoint region that they need. */
enum wb_geometry_verdict wb_geometry_compute(struct wb_geometry *geometry,
		uint64_t cache_bytes, uint32_t segment_bytes,
		uint64_t backing_bytes);
/* A sentence without a full stop for a person, e.g. "the cache is too small:
 * at least 8 segments are needed". */
const char *wb_geometry_verdict_text(enum wb_geometry_verdict verdict);

/* Segment ids start at 1 and only grow. */
static inline uint64_t wb_geometry_place(const struct wb_geometry *g, uint64_t segment_id)
{
	return (segment_id - 1) % g->segment_count;
}

static inline uint64_t wb_geometry_segment_offset(const struct wb_geometry *g, uint64_t place)
{
	return g->ring_offset + place * g->segment_bytes;
}

static inline uint32_t wb_geometry_slot(const struct wb_geometry *g, uint64_t place,
					uint32_t block)
{
	return (uint32_t)(place * g->segment_blocks + block);
}

static inline uint64_t wb_geometry_slot_place(const struct wb_geometry *g, uint32_t slot)
{
	return slot / g->segment_blocks;
}

static inline uint64_t wb_geometry_slot_offset(const struct wb_geometry *g, uint32_t slot)
{
	return g->ring_offset + (uint64_t)slot * 4096u;
}

/* The sectors that block `address` of the image has: all, or fewer for the
 * last block of an image whose size is no multiple of 4096. */
uint8_t wb_geometry_block_mask(const struct wb_geometry *g, uint64_t address);
/* The same for an image of this size; blocks of it, rounded up. */
uint8_t wb_geometry_mask_of(uint64_t backing_bytes, uint64_t address);
uint64_t wb_geometry_blocks_of(uint64_t backing_bytes);
/* Can there be an image of this size? */
bool wb_geometry_is_backing_size(uint64_t backing_bytes);

/* To a multiple of `unit`. */
static inline uint64_t wb_round_down(uint64_t value, uint64_t unit)
{
	return value - value % unit;
}

static inline uint64_t wb_round_up(uint64_t value, uint64_t unit)
{
	return wb_round_down(value + unit - 1, unit);
}

#endif
