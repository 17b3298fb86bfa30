/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RAM buffers: images of segments that are being filled or are not durable
 * yet, in one shared mapping (memfd) addressed by index and offset: no
 * pointers and no locks in it, so that another process can map it and go on.
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

#include "cache/segment_table.h"
#include "format/ondisk.h"

struct wb_rambuf;

/* `count` buffers of `segment_bytes` and the spare one, populated. */
struct wb_rambuf *wb_rambuf_new(uint32_t count, uint32_t segment_bytes, GError **error);
void wb_rambuf_free(struct wb_rambuf *rambuf);

/* An index, or WB_NO_RAM_BUFFER. Any thread. */
uint32_t wb_rambuf_take(struct wb_rambuf *rambuf);
/* The same down to the last one. Whatever is given back next takes its place. */
uint32_t wb_rambuf_take_spare(struct wb_rambuf *rambuf);
void wb_rambuf_give_back(struct wb_rambuf *rambuf, uint32_t index);
/* Both without the spare one. */
uint32_t wb_rambuf_free_count(struct wb_rambuf *rambuf);
uint32_t wb_rambuf_count(struct wb_rambuf *rambuf);

/* The block `block` of buffer `index`. */
void *wb_rambuf_block(struct wb_rambuf *rambuf, uint32_t index, uint32_t block);

#endif
