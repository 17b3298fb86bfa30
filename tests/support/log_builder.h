/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Builds the log of a cache on a memory store, record by record, as the flush
 * engine would leave it, and then spoils any part of it. The fields that the
 * next record gets lie open, so that a test can make any history.
 */
#ifndef WB_TESTS_LOG_BUILDER_H
#define WB_TESTS_LOG_BUILDER_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "cache/recovery.h"
#include "format/record_codec.h"
#include "format/superblock_codec.h"
#include "io/store.h"

struct wb_log_built {
	uint64_t sequence, segment_id;
	uint32_t block_offset, block_count;
	uint32_t crc;
	uint64_t offset_bytes, length_bytes;	/* header and data on the store */
	uint8_t *before;			/* what lay there */
};

struct wb_log_builder {
	struct wb_store *store;			/* the builder's */
	struct wb_superblock superblock;	/* as written last */
	const struct wb_geometry *geometry;	/* of it */
	GPtrArray *records;			/* of struct wb_log_built, all ever made */

	/* of the next record */
	uint64_t epoch, epoch_start;
	uint64_t sequence, segment_id;
	uint32_t block;				/* in the segment; moves on when full */
	uint32_t prev;
	uint64_t durable;
	uint64_t tail_segment, tail_sequence;
	bool is_each_synced;			/* durable follows every record */
};

/* A new volume with segments of 64 KiB (16 blocks) for an image of 1 GiB, opened
 * once: epoch 1 begins with record 1 in segment 1. */
void wb_log_builder_init(struct wb_log_builder *b, unsigned segment_count);
void wb_log_builder_clear(struct wb_log_builder *b);

/* The next generation into one copy, or into both. */
void wb_log_builder_write_superblock(struct wb_log_builder *b, unsigned copy);
void wb_log_builder_write_superblocks(struct wb_log_builder *b);

/* A record of `count` full blocks at addresses sequence * 16 + i, with data that
 * only this record has; a fresh segment is begun when it does not fit. */
struct wb_log_built *wb_log_builder_add(struct wb_log_builder *b, unsigned count);
/* The same with given entries; CRCs are set for those with a block. */
struct wb_log_built *wb_log_builder_add_entries(struct wb_log_builder *b,
						const struct wb_entry *entries, unsigned count);
/* The next record begins a segment. */
void wb_log_builder_next_segment(struct wb_log_builder *b);
/* What lies before the first record of segment `id` is not needed any more. */
void wb_log_builder_move_tail(struct wb_log_builder *b, uint64_t id);

/* What a power cut does to a record: all of it lost, or only the first bytes
 * kept. What lay there before is there again. */
void wb_log_builder_lose(struct wb_log_builder *b, const struct wb_log_built *record);
void wb_log_builder_tear(struct wb_log_builder *b, const struct wb_log_built *record,
			 uint64_t kept_bytes);
/* One 512-byte sector of it as it was before. */
void wb_log_builder_lose_sector(struct wb_log_builder *b, const struct wb_log_built *record,
				unsigned sector);
/* Rot: turns one bit. */
void wb_log_builder_flip(struct wb_log_builder *b, uint64_t offset_bytes, unsigned bit);

/* Goes on as opening does after this scan: new epoch, superblocks, next segment. */
void wb_log_builder_recover(struct wb_log_builder *b, const struct wb_recovery *recovery);
/* The same in memory only: nothing is on the store yet. */
void wb_log_builder_prepare(struct wb_log_builder *b, const struct wb_recovery *recovery);

#endif
