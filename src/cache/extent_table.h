/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Extents of the log that still stand between the map and the backing: ZERO,
 * a discard that the backing has not been punched for, and BAD, data that was
 * lost and reads as EIO until it is written again. A block that the map names
 * is newer than any extent over it; a block that it does not name is what the
 * extent says.
 *
 * A bounded array sorted by address, without overlaps: an insertion cuts away
 * what older extents say of its range. Every fragment counts as one dirty
 * thing in the segment of its entry, so that the entry outlives it.
 *
 * Any thread. The lock is of rank EXTENTS, below the stripes.
 */
#ifndef WB_CACHE_EXTENT_TABLE_H
#define WB_CACHE_EXTENT_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/segment_table.h"

enum wb_extent_kind { WB_EXTENT_NONE, WB_EXTENT_ZERO, WB_EXTENT_BAD };

struct wb_extent {
	uint64_t first, count;		/* blocks */
	uint64_t sequence;		/* of the record with its entry */
	uint64_t segment_id;
	enum wb_extent_kind kind;
};

struct wb_extent_table;

/* Of one insertion: itself, and the half that it cuts off another one. */
#define WB_EXTENT_FRAGMENTS 2u

struct wb_extent_table *wb_extent_table_new(struct wb_segment_table *segments,
					    size_t capacity);
void wb_extent_table_free(struct wb_extent_table *table);
/* Opening only, before any other thread: room for so many more than there are. FALSE: there
 * is no memory for it, and the table is as it was. */
bool wb_extent_table_make_room(struct wb_extent_table *table, size_t fragments);

/* Room for one later insertion; FALSE when the table is full. Each success is
 * given back by one insert or one unreserve. */
bool wb_extent_table_reserve(struct wb_extent_table *table);
void wb_extent_table_unreserve(struct wb_extent_table *table);
/* Uses one reservation. The entry was counted in its segment already by the
 * log; that count becomes the fragment's. */
void wb_extent_table_insert(struct wb_extent_table *table, const struct wb_extent *extent);

/* What holds for `address`, and up to which block (exclusive) it does. */
enum wb_extent_kind wb_extent_table_lookup(struct wb_extent_table *table,
					   uint64_t address, uint64_t *until);
/* Cheap: nothing is in the table (the common case). */
bool wb_extent_table_is_empty(struct wb_extent_table *table);
size_t wb_extent_table_count(struct wb_extent_table *table);

/* Takes [first, first + count) out of all extents of `kind`
 * (WB_EXTENT_NONE: of every kind). May need one fragment more: uses a spare
 * that is kept for it. */
void wb_extent_table_carve(struct wb_extent_table *table, uint64_t first,
			   uint64_t count, enum wb_extent_kind kind);

/* The first ZERO fragment that ends behind `from`, with sequence <= `durable`. */
bool wb_extent_table_next_zero(struct wb_extent_table *table, uint64_t from,
			       uint64_t durable, struct wb_extent *extent);
/* The first fragment of `kind` that ends behind `from`. */
bool wb_extent_table_next(struct wb_extent_table *table, uint64_t from,
			  enum wb_extent_kind kind, struct wb_extent *extent);
/* Extent i in order of address; FALSE: there are not so many. */
bool wb_extent_table_get(struct wb_extent_table *table, size_t i, struct wb_extent *extent);
size_t wb_extent_table_bad_count(struct wb_extent_table *table);
/* The first BAD fragment that ends behind `from` and whose entry is in segment
 * `segment_id`. */
bool wb_extent_table_next_bad(struct wb_extent_table *table, uint64_t from,
			      uint64_t segment_id, struct wb_extent *extent);
/* The same of ZERO fragments, whatever their sequence. */
bool wb_extent_table_next_zero_of(struct wb_extent_table *table, uint64_t from,
				  uint64_t segment_id, struct wb_extent *extent);
/* The entries of these records (sequence > `above`) lie in segment `to` now;
 * the counts go along. */
void wb_extent_table_move(struct wb_extent_table *table, uint64_t from_segment,
			  uint64_t above, uint64_t to_segment);
/* The backing reads as zeros, durably, in all ZERO extents with sequence <=
 * `durable` as far as they lie in blocks [from, end): that is done. What would
 * leave two halves while the table is full stays whole. Returns how many went
 * entirely. */
size_t wb_extent_table_finish_zeros(struct wb_extent_table *table, uint64_t from,
				    uint64_t end, uint64_t durable);

#endif
