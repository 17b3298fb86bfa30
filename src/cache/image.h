/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How large the image is, in one place. It may grow while requests run, and never
 * shrinks: whoever looks twice may get two answers, the second one larger. What has
 * to fit together (an end and the number of blocks up to it) comes from one look.
 *
 * Growth and a last block that was cut off (see grow.c): the sectors of that block
 * behind the old end hold zeros on the backing when the new size is shown. So a
 * version, a discard or a batch that was made by the old size and is published or
 * carried out by the new one changes nothing there, as long as nobody else can
 * have written to that block in between: its exclusion sees to that.
 */
#ifndef WB_CACHE_IMAGE_H
#define WB_CACHE_IMAGE_H

#include <stdatomic.h>
#include <stdint.h>

#include "format/geometry.h"

struct wb_image {
	_Atomic uint64_t bytes;		/* multiple of 512 */
};

static inline uint64_t wb_image_bytes(const struct wb_image *image)
{
	/* Pairs with the store in grow.c: who sees the new size sees a backing that
	 * has it. */
	return atomic_load(&image->bytes);
}

/* For what was written when the image was of this size, or smaller. */
static inline struct wb_geometry wb_image_geometry(const struct wb_image *image,
						   const struct wb_geometry *of_cache)
{
	struct wb_geometry g = *of_cache;

	g.backing_bytes = wb_image_bytes(image);
	g.backing_blocks = wb_geometry_blocks_of(g.backing_bytes);
	return g;
}

/* The sectors that the image has of a block; see wb_geometry_block_mask(). */
static inline uint8_t wb_image_block_mask(const struct wb_image *image, uint64_t address)
{
	return wb_geometry_mask_of(wb_image_bytes(image), address);
}

#endif
