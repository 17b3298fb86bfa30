/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The layout of the memory that outlives a process (struct wb_cache_memory), and the
 * rules by which it is written. With it, and with the records up to `durable` on the
 * SSD, the next process has every entry of the log that was ever acknowledged.
 *
 *   RAM buffers   images of segments, with record headers in the on-disk form
 *   requests      how far each one has come (executed.h)
 *   left          the same of requests that a former process had, until they come again
 *   buffers       which segment and which records lie in each RAM buffer
 *   head          the last 4096 bytes: whose it is, epoch, `durable`
 *
 * (Buffers first: in huge pages a segment does not lie across two of them.)
 *
 * Numbers and offsets only, each of them stored by one instruction. What a death may
 * leave, and why each of it is a state that can be gone on from:
 *
 *  - A record counts when the `last` of its buffer says so: stored after its header is
 *    whole. A buffer's old records do not count any more when its new ones are written
 *    over them: they are <= `durable`, which is stored before the buffer is given back.
 *  - An entry counts when it is below its record's entry_count and its type is not VOID;
 *    the type is stored last, after block, address, mask and CRC (write_path.c); of an
 *    extent, which has no block, the count is stored last.
 *  - What a header says beyond that (block_count, prev, crc, tail) can be made anew.
 *  - `durable` with its CRC is stored before anybody is told that something is durable
 *    and before any buffer is given back: records above it are all in the memory.
 *  - While the epoch in the head is that of the newest superblock, each record belongs
 *    where its buffer says. It is not during a relocation, from before its superblocks are
 *    written until all has moved: then the data is taken elsewhere as a whole, again.
 *
 * Under the log lock: buffers, epoch. By the flush engine: `durable`. By who works on
 * a request: its place.
 */
#ifndef WB_CACHE_REGION_H
#define WB_CACHE_REGION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/cache.h"
#include "cache/executed.h"

struct wb_region;

struct wb_region_shape {
	uint32_t buffer_count;
	uint32_t segment_bytes;
	uint32_t request_count;
};

size_t wb_region_bytes(const struct wb_region_shape *shape);

/* What is in the memory now; `version` may be NULL. */
enum wb_cache_memory_state wb_region_look(const void *base, size_t bytes, uint32_t *version);
/* Whatever is there is worth nothing. */
void wb_region_clear(void *base, size_t bytes);
/* Lays it out anew: no log is in it until wb_region_begin(). What is known of requests
 * is kept if that came to a clean stop, in the same shape: they may have been sent to the
 * process that stopped, and not have come to it yet. */
struct wb_region *wb_region_new(void *base, size_t bytes, const struct wb_region_shape *shape);
/* As a former process left it: wb_region_look() says HOLDS. */
struct wb_region *wb_region_adopt(void *base, size_t bytes);
void wb_region_free(struct wb_region *region);

struct wb_region_shape wb_region_get_shape(const struct wb_region *region);
char *wb_region_buffer(const struct wb_region *region, uint32_t index);

/* --- the head -------------------------------------------------------------------- */

struct wb_region_head {
	uint8_t uuid[16];
	uint64_t epoch, epoch_start;
	uint64_t durable;
	uint32_t durable_crc;		/* of that record's header; 0: of none */
};

/* From now on it holds the head of a log. */
void wb_region_begin(struct wb_region *region, const struct wb_region_head *head);
/* A clean stop: no log is in it any more. */
void wb_region_end(struct wb_region *region);
void wb_region_get_head(const struct wb_region *region, struct wb_region_head *head);
void wb_region_set_durable(struct wb_region *region, uint64_t sequence, uint32_t crc);
void wb_region_set_epoch(struct wb_region *region, uint64_t epoch, uint64_t epoch_start);
/* Both superblocks are durable with this generation: what is found beyond it may not be,
 * though it can be read. */
void wb_region_set_generation(struct wb_region *region, uint64_t generation);
uint64_t wb_region_generation(const struct wb_region *region);
/* What is owed to the next sync, by backing_flush.h: to flush the backing, and to tell
 * that a flush has failed. And for good, as the kernel may still show what is not on the
 * disk: that one has failed which something hung on. */
enum wb_region_debt { WB_OWES_FLUSH, WB_OWES_ERROR, WB_HAS_LOST, WB_REGION_DEBTS };
void wb_region_set_debt(struct wb_region *region, enum wb_region_debt debt, bool owes);
bool wb_region_has_debt(const struct wb_region *region, enum wb_region_debt debt);

/* --- buffers ---------------------------------------------------------------------- */

/* Records first..last (none: last = first - 1), from block 0 of the buffer on. */
struct wb_region_run {
	uint64_t segment_id;		/* 0: nothing */
	uint64_t first, last;
};
void wb_region_set_run(struct wb_region *region, uint32_t index,
		       const struct wb_region_run *run);
void wb_region_get_run(const struct wb_region *region, uint32_t index,
		       struct wb_region_run *run);
/* It has one record more, or less. */
void wb_region_set_last(struct wb_region *region, uint32_t index, uint64_t last);
/* It belongs to another place. */
void wb_region_set_segment(struct wb_region *region, uint32_t index, uint64_t segment_id);

/* --- requests ----------------------------------------------------------------------- */

struct wb_executed *wb_region_request(const struct wb_region *region, uint32_t index);
/*
 * Opening, after a death, when it is settled what every piece has come to: what is known
 * of all requests goes where only wb_region_take_left() finds it, and the places are free.
 */
void wb_region_leave_requests(struct wb_region *region);
/* Up to which offset of the image the request with this number is executed; 0: nothing
 * is known of it. Any thread. */
uint64_t wb_region_find_left(const struct wb_region *region, uint64_t unique);
/* It has come again, and has a place that says as much. */
void wb_region_forget_left(struct wb_region *region, uint64_t unique);

#endif
