/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which blocks of the image are dirty, in the order of their addresses: a bit for
 * each block, and above that a bit for each 64 of those that may not be all zero, and
 * so on, so that the next dirty block is found in a few steps, however far it is.
 *
 * Memory: a bit for each block of the image and 1/63 more: 32 KiB for each GiB.
 * It is taken when the volume is opened, and more of it when the image grows; what
 * was taken stays where it is, because others read and write it meanwhile.
 *
 * Threads: set and clear under the stripe lock of that address, which the block map
 * holds anyway; a word of the lowest level belongs to one stripe. The levels above
 * are only written when 64 blocks had nothing dirty before. Whoever looks for the
 * next one (one thread, the writeback worker) needs no lock, and gets a hint.
 */
#ifndef WB_CACHE_DIRTY_INDEX_H
#define WB_CACHE_DIRTY_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WB_NO_ADDRESS UINT64_MAX

struct wb_dirty_index;

/* NULL and errno. */
struct wb_dirty_index *wb_dirty_index_new(uint64_t block_count);
void wb_dirty_index_free(struct wb_dirty_index *index);
/* For an image of that many blocks; before any of the new ones is dirty. One thread at
 * a time. FALSE: no memory, and all is as it was. */
bool wb_dirty_index_grow(struct wb_dirty_index *index, uint64_t block_count);

void wb_dirty_index_set(struct wb_dirty_index *index, uint64_t address);
void wb_dirty_index_clear(struct wb_dirty_index *index, uint64_t address);

/* The first dirty block at or behind `from`, or WB_NO_ADDRESS. */
uint64_t wb_dirty_index_next(struct wb_dirty_index *index, uint64_t from);

size_t wb_dirty_index_bytes(const struct wb_dirty_index *index);

#endif
