/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is known of each place of the ring: which segment lies there, how much
 * of it is dirty, who reads it, and where its RAM buffer is.
 *
 *   free     id 0, or evicted: nothing in the map names it
 *   open     the head: records are added; has a RAM buffer
 *   closed   the head went on; RAM buffer until durable covers its last record
 *   clean    dirty_count 0; reused once the tail beyond it is durable
 *
 * A place may be bad besides: it is never written again, but what lies there
 * stays readable until the tail is beyond it.
 *
 * Any thread; all fields are atomic. Writers: id, sequences by the log under
 * its lock (and by opening, alone); dirty_count and superseded_by by the block
 * map and the extent table; pins by readers.
 */
#ifndef WB_CACHE_SEGMENT_TABLE_H
#define WB_CACHE_SEGMENT_TABLE_H

#include <glib.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/lines.h"
#include "format/geometry.h"
#include "format/ondisk.h"

#define WB_NO_RAM_BUFFER UINT32_MAX
#define WB_RAM_CLOSED (1u << 31)	/* in ram_pins: no new readers */

struct wb_segment {
	_Atomic uint64_t id;
	_Atomic uint64_t first_sequence;
	_Atomic uint64_t last_sequence;
	_Atomic uint32_t dirty_count;	/* dirty blocks + pending extents */
	_Atomic uint32_t pins;		/* readers of the place on the SSD */
	_Atomic uint32_t ram_pins;	/* readers of the RAM buffer | WB_RAM_CLOSED */
	_Atomic uint32_t ram_index;	/* RAM buffer, or WB_NO_RAM_BUFFER */
	_Atomic uint64_t superseded_by;	/* see wb_segment_is_superseded() */
	_Atomic uint64_t dirty_since_ns;	/* of dirty data; 0: before there was a clock */
	atomic_bool is_bad;		/* the place, whatever lies there */
} __attribute__((aligned(WB_CACHE_LINE_BYTES)));

struct wb_segment_table;

/* NULL and an error when there is no memory for it. */
struct wb_segment_table *wb_segment_table_new(const struct wb_geometry *geometry, GError **error);
void wb_segment_table_free(struct wb_segment_table *table);
/* Called with `arg` by whoever drops the last pin that somebody waits for. */
void wb_segment_table_set_unpinned(struct wb_segment_table *table,
				   void (*unpinned)(void *arg), void *arg);

/* For dirty_since_ns. */
void wb_segment_table_set_clock(struct wb_segment_table *table, struct wb_clock *clock);

uint64_t wb_segment_table_count(const struct wb_segment_table *table);
struct wb_segment *wb_segment_at(struct wb_segment_table *table, uint64_t place);
struct wb_segment *wb_segment_of_slot(struct wb_segment_table *table, uint32_t slot);
struct wb_segment *wb_segment_of_id(struct wb_segment_table *table, uint64_t id);

/* For good, by opening and by the relocation. TRUE when it was not bad before. */
bool wb_segment_table_mark_bad(struct wb_segment_table *table, uint64_t place);
uint64_t wb_segment_table_bad_count(const struct wb_segment_table *table);
uint64_t wb_segment_table_good_count(const struct wb_segment_table *table);

void wb_segment_add_dirty(struct wb_segment_table *table, struct wb_segment *segment,
			  uint32_t count);
void wb_segment_sub_dirty(struct wb_segment_table *table, struct wb_segment *segment);
/*
 * Before that, unless the backing has it: what was dirty is superseded by a record
 * <= `sequence`. Until that is durable, the segment is still needed: a power cut
 * would lose both. UINT64_MAX: by some record that exists.
 */
void wb_segment_is_superseded(struct wb_segment_table *table, struct wb_segment *segment,
			      uint64_t sequence);
/* Whoever wants to know that nothing was superseded meanwhile: while there is
 * anybody watching, each time counts, before it can be seen that the dirty one is
 * gone. */
void wb_segment_table_watch(struct wb_segment_table *table);
void wb_segment_table_unwatch(struct wb_segment_table *table);
uint64_t wb_segment_table_superseded(struct wb_segment_table *table);
/* Dirty blocks and extents of the whole ring. */
uint64_t wb_segment_table_dirty(struct wb_segment_table *table);

/* A pin keeps the place from being reused. Take it while the map names a slot
 * of the segment (under that stripe's lock) or on a segment with dirty data
 * that only the caller can clean. */
void wb_segment_pin(struct wb_segment *segment);
void wb_segment_unpin(struct wb_segment_table *table, struct wb_segment *segment);

/* A RAM pin keeps the RAM buffer; FALSE when there is none any more (then the
 * data is durable on the SSD). */
bool wb_segment_try_ram_pin(struct wb_segment *segment);
void wb_segment_ram_unpin(struct wb_segment_table *table, struct wb_segment *segment);
/* No new RAM readers; TRUE when none is left, so that the buffer can go. */
bool wb_segment_ram_close(struct wb_segment *segment);

/* Somebody waits for pins to go: the next last unpin calls `unpinned`. */
void wb_segment_table_want_unpinned(struct wb_segment_table *table);

#endif
