/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RAM buffers: images of segments that are being filled or are not durable
 * yet, in memory laid out by region.h, so that another process can go on with
 * it. Which of them are free is known to this process alone: the next one finds
 * out what counts, and has all of them to itself once that is on the SSD.
 *
 * A buffer is not cleared when it is taken: every data block is written as a
 * whole (zeros where its mask has no sector) and a header is cleared when its
 * record begins, so nothing of the last use can reach a record that counts.
 *
 * One buffer more than asked for is kept back: the relocation can rely on it.
 */
#ifndef WB_CACHE_RAMBUF_H
#define WB_CACHE_RAMBUF_H

#include <glib.h>
#include <stdint.h>

#include "cache/region.h"
#include "cache/segment_table.h"
#include "format/ondisk.h"

struct wb_rambuf;

#define WB_RAMBUF_SPARE_COUNT 1u

/* In the memory that is given, laid out anew, or in some of its own. The shape's
 * buffers are with the spare one. */
struct wb_rambuf *wb_rambuf_new(const struct wb_cache_memory *memory,
				const struct wb_region_shape *shape, GError **error);
/* In memory as it was left: all that counts in it is on the SSD by now. */
struct wb_rambuf *wb_rambuf_adopt(const struct wb_cache_memory *memory);
void wb_rambuf_free(struct wb_rambuf *rambuf);

/* An index, or WB_NO_RAM_BUFFER. Any thread. */
uint32_t wb_rambuf_take(struct wb_rambuf *rambuf);
/* The same down to the last one. Whatever is given back next takes its place. */
uint32_t wb_rambuf_take_spare(struct wb_rambuf *rambuf);
void wb_rambuf_give_back(struct wb_rambuf *rambuf, uint32_t index);
/* Both without the spare one. */
uint32_t wb_rambuf_free_count(struct wb_rambuf *rambuf);
uint32_t wb_rambuf_count(struct wb_rambuf *rambuf);

struct wb_region *wb_rambuf_region(struct wb_rambuf *rambuf);
/* The block `block` of buffer `index`. */
void *wb_rambuf_block(struct wb_rambuf *rambuf, uint32_t index, uint32_t block);

#endif
