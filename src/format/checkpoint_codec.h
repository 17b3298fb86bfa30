/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The checkpoint of a clean stop between disk and host form. Pure: no I/O, no
 * allocation. Entries are those of records (wb_entry_disk): type VOID and all
 * zero for a block that means nothing, DATA what the backing lacks, CLEAN a copy.
 */
#ifndef WB_FORMAT_CHECKPOINT_CODEC_H
#define WB_FORMAT_CHECKPOINT_CODEC_H

#include <stdbool.h>

#include "format/record_codec.h"
#include "format/superblock_codec.h"

struct wb_checkpoint {
	uint8_t uuid[16];
	uint64_t epoch;
	uint64_t last_sequence;		/* of the log; 0: it has no record */
	uint64_t last_segment;		/* the id that holds it */
	uint32_t last_crc;
	uint64_t tail_segment, tail_sequence;
	uint32_t run_count, segment_count, extent_count;
	uint64_t dirty_blocks;
};

struct wb_checkpoint_run {
	uint64_t first_place, place_count;
};

struct wb_checkpoint_segment {
	uint64_t first_sequence;
	uint32_t record_count;
};

struct wb_checkpoint_extent {
	uint64_t first, count;		/* blocks */
	uint8_t type;			/* WB_ENTRY_DISCARD or WB_ENTRY_BAD */
	uint32_t record;		/* of its segment, from 0 */
	uint64_t place;
};

enum wb_checkpoint_verdict {
	WB_CHECKPOINT_VALID,
	WB_CHECKPOINT_NO_MAGIC,
	WB_CHECKPOINT_BAD_CRC,
	WB_CHECKPOINT_FOREIGN,		/* of another volume, session or tail */
	WB_CHECKPOINT_BAD_FIELD,
};

/* What a checkpoint with these counts takes: checkpoint_used. */
uint64_t wb_checkpoint_bytes(const struct wb_geometry *geometry,
			     const struct wb_checkpoint *checkpoint);

void wb_checkpoint_encode(const struct wb_checkpoint *checkpoint,
			  struct wb_checkpoint_disk *disk);
/* VALID: it belongs to this superblock, and takes as many bytes as that says. */
enum wb_checkpoint_verdict wb_checkpoint_decode(const struct wb_checkpoint_disk *disk,
		const struct wb_superblock *superblock, struct wb_checkpoint *checkpoint);

/* The decoders of the parts: FALSE, and nothing is stored, when it cannot be. */
struct wb_checkpoint_run_disk wb_checkpoint_encode_run(const struct wb_checkpoint_run *run);
bool wb_checkpoint_decode_run(const struct wb_checkpoint_run_disk *disk,
			      const struct wb_geometry *geometry,
			      struct wb_checkpoint_run *run);
struct wb_checkpoint_segment_disk
wb_checkpoint_encode_segment(const struct wb_checkpoint_segment *segment);
bool wb_checkpoint_decode_segment(const struct wb_checkpoint_segment_disk *disk,
				  const struct wb_geometry *geometry,
				  const struct wb_checkpoint *checkpoint,
				  struct wb_checkpoint_segment *segment);
struct wb_checkpoint_extent_disk
wb_checkpoint_encode_extent(const struct wb_checkpoint_extent *extent);
bool wb_checkpoint_decode_extent(const struct wb_checkpoint_extent_disk *disk,
				 const struct wb_geometry *geometry,
				 struct wb_checkpoint_extent *extent);
struct wb_entry_disk wb_checkpoint_encode_entry(const struct wb_entry *entry);
bool wb_checkpoint_decode_entry(const struct wb_entry_disk *disk,
				const struct wb_geometry *geometry, struct wb_entry *entry);

#endif
