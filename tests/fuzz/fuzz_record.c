/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Byte 0: flags; then the header from its first byte on. */
#include <glib.h>
#include <string.h>

#include "format/block.h"
#include "format/endian.h"
#include "format/record_codec.h"
#include "fuzz/fuzz.h"

enum {
	FIX_CRC = 1u << 0,
	PLACE_AS_SAID = 1u << 1,	/* it is found where it says that it lies */
	LARGE_SEGMENTS = 1u << 2,
	ODD_IMAGE = 1u << 3,		/* the last block has 3 sectors */
};

static const uint8_t uuid[16] = "uuid of a test";

static void walk(const struct wb_record_disk *disk, const struct wb_record_fields *f,
		 const struct wb_geometry *g)
{
	unsigned blocks = 0;

	g_assert(f->entry_count <= WB_RECORD_ENTRIES_MAX);
	g_assert(f->sequence > 0 && f->durable < f->sequence && f->epoch_start <= f->sequence &&
		 f->tail_sequence <= f->sequence);
	for (unsigned i = 0; i < f->entry_count; i++) {
		struct wb_entry entry;

		wb_record_get_entry(disk, i, &entry);
		blocks += wb_entry_has_block(entry.type);
		if (entry.type == WB_ENTRY_DATA || entry.type == WB_ENTRY_CLEAN)
			g_assert(entry.mask && entry.address < g->backing_blocks);
		if (!wb_entry_has_block(entry.type))
			g_assert(entry.crc_or_length > 0 &&
				 entry.address + entry.crc_or_length <= g->backing_blocks);
	}
	g_assert(blocks == f->block_count);
	g_assert(f->block_offset + 1u + blocks <= g->segment_blocks);
}

static void write_again(const struct wb_record_disk *disk, const struct wb_record_fields *f)
{
	struct wb_record_disk again;

	wb_record_begin(&again, uuid, f->epoch, f->epoch_start, f->sequence, f->segment_id,
			f->block_offset);
	for (unsigned i = 0; i < f->entry_count; i++) {
		struct wb_entry entry;

		wb_record_get_entry(disk, i, &entry);
		wb_record_set_entry(&again, i, &entry);
	}
	wb_record_set_counts(&again, f->entry_count, f->block_count);
	wb_record_seal(&again, f->prev, f->durable, f->tail_segment, f->tail_sequence);
	g_assert(!memcmp(&again, disk, sizeof again));
}

int WB_FUZZ_TARGET(record)(const uint8_t *data, size_t size)
{
	struct wb_record_disk disk = { 0 };
	struct wb_record_fields fields;
	struct wb_geometry g;
	uint64_t place = 0;
	uint32_t block = 0;
	enum wb_record_verdict verdict;

	if (size == 0)
		return 0;
	g_assert(wb_geometry_compute(&g, 64u << 20,
			data[0] & LARGE_SEGMENTS ? 4u << 20 : WB_SEGMENT_BYTES_MIN,
			(1u << 20) + (data[0] & ODD_IMAGE ? 3 * WB_SECTOR_BYTES : 0)) ==
		 WB_GEOMETRY_OK);
	memcpy(&disk, data + 1, MIN(size - 1, sizeof disk));
	if (data[0] & FIX_CRC)
		disk.crc = wb_put_le32(wb_block_compute_crc(&disk));
	if (data[0] & PLACE_AS_SAID) {
		place = wb_geometry_place(&g, wb_get_le64(disk.segment_id));
		block = wb_get_le16(disk.block_offset);
	}
	verdict = wb_record_decode(&disk, uuid, &g, place, block, &fields);
	g_assert(*wb_record_verdict_text(verdict));
	if (verdict == WB_RECORD_VALID) {
		walk(&disk, &fields, &g);
		write_again(&disk, &fields);
	}
	return 0;
}
