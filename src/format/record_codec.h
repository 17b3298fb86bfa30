/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Record headers. The header of a record that is being filled lies in its RAM
 * buffer in the on-disk form from the start, so that whoever maps the buffers
 * can go on with it. Pure: no I/O, no allocation, no threads.
 */
#ifndef WB_FORMAT_RECORD_CODEC_H
#define WB_FORMAT_RECORD_CODEC_H

#include <stdbool.h>

#include "format/geometry.h"
#include "format/ondisk.h"

struct wb_record_fields {
	uint32_t crc, prev;
	uint64_t sequence, segment_id;
	uint64_t epoch, epoch_start;
	uint64_t durable;
	uint64_t tail_segment, tail_sequence;
	uint16_t block_offset;		/* of the header in its segment */
	uint16_t block_count;		/* data blocks */
	uint16_t entry_count;
	uint32_t flags;
};

struct wb_entry {
	uint64_t address;		/* block address */
	uint8_t mask;
	uint8_t type;			/* enum wb_entry_type */
	uint32_t crc_or_length;
};

static inline bool wb_entry_has_block(uint8_t type)
{
	return type < WB_ENTRY_EXTENT;
}

enum wb_record_verdict {
	WB_RECORD_VALID,
	WB_RECORD_NO_MAGIC,
	WB_RECORD_BAD_CRC,
	WB_RECORD_FOREIGN,		/* of another volume */
	WB_RECORD_MISPLACED,		/* valid, but not written for this place */
	WB_RECORD_BAD_FIELD,		/* CRC right, contents impossible */
	WB_RECORD_UNKNOWN_TYPE,		/* an entry type of a later version */
};

/* Zeroes the header and writes everything but counts, durable, tail, prev and
 * crc, which wb_record_seal() adds. */
void wb_record_begin(struct wb_record_disk *disk, const uint8_t uuid[16],
		     uint64_t epoch, uint64_t epoch_start, uint64_t sequence,
		     uint64_t segment_id, uint16_t block_offset);
/* Entry i, the type byte stored last (release). */
void wb_record_set_entry(struct wb_record_disk *disk, unsigned i,
			 const struct wb_entry *entry);
void wb_record_get_entry(const struct wb_record_disk *disk, unsigned i,
			 struct wb_entry *entry);
/* entry_count and block_count as they are now (a keeper reads them). */
void wb_record_set_counts(struct wb_record_disk *disk, unsigned entry_count,
			  unsigned block_count);
/* The last fields, then the CRC over all; returns the CRC. */
uint32_t wb_record_seal(struct wb_record_disk *disk, uint32_t prev, uint64_t durable,
			uint64_t tail_segment, uint64_t tail_sequence);

/*
 * A header that was being filled when its owner died: what it holds is what the rules
 * of region.h leave. Its entries count; all else is made anew.
 */
/* Is it the one of this record, and possible? */
bool wb_record_is_begun(const struct wb_record_disk *disk, const uint8_t uuid[16],
			uint64_t sequence, uint32_t segment_blocks);
unsigned wb_record_entry_count(const struct wb_record_disk *disk);
/* Data blocks, by its entries. */
unsigned wb_record_count_blocks(const struct wb_record_disk *disk);
/* It was sealed, behind the record with this CRC, and is as it was then. */
bool wb_record_is_sealed(const struct wb_record_disk *disk, uint32_t prev);
/* What did not come to count goes; it can be sealed then. */
void wb_record_mend(struct wb_record_disk *disk);
/* It belongs elsewhere. */
void wb_record_move(struct wb_record_disk *disk, uint64_t epoch, uint64_t epoch_start,
		    uint64_t segment_id, uint16_t block_offset);

/*
 * Checks a header found at `place`, `block_offset` of the ring. `fields` is
 * filled when VALID or UNKNOWN_TYPE. A valid one has: 1..330 entries or fewer,
 * block_count = number of entries below 0x80 (0..255), header and data inside
 * the segment, addresses and extents inside the image, no mask 0 for DATA and
 * CLEAN, mask within the image's last block, VOID all zero, extents of mask
 * 0xff and length > 0, tail_sequence <= sequence, durable < sequence,
 * epoch_start <= sequence.
 */
enum wb_record_verdict wb_record_decode(const struct wb_record_disk *disk,
		const uint8_t uuid[16], const struct wb_geometry *geometry,
		uint64_t place, uint32_t block_offset,
		struct wb_record_fields *fields);
const char *wb_record_verdict_text(enum wb_record_verdict verdict);

#endif
