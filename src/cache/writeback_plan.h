/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How a batch is read and written: pure functions over an array of blocks. */
#ifndef WB_CACHE_WRITEBACK_PLAN_H
#define WB_CACHE_WRITEBACK_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wb_batch_block {
	uint64_t address;
	uint32_t slot;
	uint32_t buffer_block;	/* where its data is in the portion's memory */
	uint8_t mask;
	uint8_t full_mask;	/* of this block of the image */
	bool was_bad;		/* could not be read, when it was selected */
	bool is_left_out;	/* of this batch: bad, refused, or held by a discard */
	/* see gap_plan.h */
	bool is_gap;		/* not dirty: what the backing has; `slot` may be none */
	bool may_fill, has_cached_gap, fills_gap;	/* the gap before it */
};

/* What was written and waits for a flush of the backing; of those there are many. */
struct wb_written_block {
	uint64_t address;
	uint32_t slot;
} __attribute__((packed, aligned(4)));

/* By address; addresses are unique in a batch. */
void wb_writeback_plan_sort(struct wb_batch_block *blocks, size_t count);
/* By slot. */
void wb_writeback_plan_sort_written(struct wb_written_block *written, size_t count);

/*
 * From `blocks[from]`, in order of slots: how many blocks one read of the
 * cache covers, where blocks whose slots lie at most `gap_blocks` apart inside
 * one segment of `segment_blocks` share it. *span_blocks is the length of the
 * read, gaps included.
 */
size_t wb_writeback_plan_read(const struct wb_batch_block *blocks, size_t count, size_t from,
			      uint32_t gap_blocks, uint32_t segment_blocks,
			      uint32_t *span_blocks);

/* A stretch to write: whole blocks with adjacent addresses, or adjacent
 * sectors of one partial block. */
struct wb_write_extent {
	size_t first;			/* index of its first block */
	size_t count;
	unsigned first_sector;		/* of the first block */
	unsigned sector_count;		/* 0: whole blocks */
};

/* The next extent at or after block `*index`, sector `*sector`; advances both.
 * FALSE at the end. Blocks that are left out are skipped. */
bool wb_writeback_plan_write(const struct wb_batch_block *blocks, size_t count,
			     size_t *index, unsigned *sector, size_t join_blocks,
			     struct wb_write_extent *extent);

/*
 * A transfer of `count` units that failed is carried out in pieces, to find the
 * units that are to blame: halves, halves of the halves that fail, and so on,
 * one after the other in order of address (a walk through the tree of halves,
 * which needs no memory but where it stands).
 */
struct wb_isolation {
	uint64_t count, at, piece;	/* the piece [at, at + piece) is next */
};
/* The whole has failed. */
void wb_isolation_begin(struct wb_isolation *isolation, uint64_t count);
/* The piece is done with, good or bad. FALSE: it was the last. */
bool wb_isolation_next(struct wb_isolation *isolation);
/* The piece failed and is more than one: its first half is next. */
void wb_isolation_halve(struct wb_isolation *isolation);

#endif
