/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Byte 0: flags; then the head of a checkpoint, as long as it goes, and then bytes
 * that are taken for each of its parts. Loading a whole one is what the target
 * `image` does.
 */
#include <glib.h>
#include <string.h>

#include "format/block.h"
#include "format/checkpoint_codec.h"
#include "format/endian.h"
#include "fuzz/fuzz.h"

enum {
	FIX_CRC = 1u << 0,
	SUPERBLOCK_AS_SAID = 1u << 1,	/* it agrees with the head */
	LARGE_SEGMENTS = 1u << 2,
	ODD_IMAGE = 1u << 3,
};

static void agree(struct wb_superblock *s, const struct wb_checkpoint_disk *disk)
{
	struct wb_checkpoint c = {
		.run_count = wb_get_le32(disk->run_count),
		.segment_count = wb_get_le32(disk->segment_count),
		.extent_count = wb_get_le32(disk->extent_count),
	};

	memcpy(s->uuid, disk->uuid, sizeof s->uuid);
	s->epoch = wb_get_le64(disk->epoch);
	s->tail_segment = wb_get_le64(disk->tail_segment);
	s->tail_sequence = wb_get_le64(disk->tail_sequence);
	s->durable = wb_get_le64(disk->last_sequence);
	s->checkpoint_used = wb_checkpoint_bytes(&s->geometry, &c);
}

/* What was understood is written as it was. */
static void try_parts(const uint8_t *data, size_t size, const struct wb_geometry *g,
		      const struct wb_checkpoint *checkpoint)
{
	union {
		struct wb_checkpoint_run_disk run;
		struct wb_checkpoint_segment_disk segment;
		struct wb_checkpoint_extent_disk extent;
		struct wb_entry_disk entry;
	} part = { 0 }, again = { 0 };
	struct wb_checkpoint_run run;
	struct wb_checkpoint_segment segment;
	struct wb_checkpoint_extent extent;
	struct wb_entry entry;

	memcpy(&part, data, MIN(size, sizeof part));
	if (wb_checkpoint_decode_run(&part.run, g, &run)) {
		g_assert(run.first_place + run.place_count <= g->segment_count);
		again.run = wb_checkpoint_encode_run(&run);
		g_assert(!memcmp(&again.run, &part.run, sizeof part.run));
	}
	if (wb_checkpoint_decode_segment(&part.segment, g, checkpoint, &segment)) {
		g_assert(segment.first_sequence + segment.record_count - 1 <=
			 checkpoint->last_sequence);
		again.segment = wb_checkpoint_encode_segment(&segment);
		g_assert(!memcmp(&again.segment, &part.segment, sizeof part.segment));
	}
	if (wb_checkpoint_decode_extent(&part.extent, g, &extent)) {
		g_assert(extent.first + extent.count <= g->backing_blocks);
		again.extent = wb_checkpoint_encode_extent(&extent);
		g_assert(!memcmp(&again.extent, &part.extent, sizeof part.extent));
	}
	if (wb_checkpoint_decode_entry(&part.entry, g, &entry)) {
		g_assert(entry.type == WB_ENTRY_VOID || entry.address < g->backing_blocks);
		again.entry = wb_checkpoint_encode_entry(&entry);
		g_assert(!memcmp(&again.entry, &part.entry, sizeof part.entry));
	}
}

int WB_FUZZ_TARGET(checkpoint)(const uint8_t *data, size_t size)
{
	static struct wb_superblock s;
	struct wb_checkpoint_disk disk = { 0 }, again;
	struct wb_checkpoint checkpoint = { .last_sequence = WB_NUMBER_MAX };
	size_t head_bytes;

	if (size == 0)
		return 0;
	memset(&s, 0, sizeof s);
	g_assert(wb_geometry_compute(&s.geometry, 64u << 20,
			data[0] & LARGE_SEGMENTS ? 4u << 20 : WB_SEGMENT_BYTES_MIN,
			(1u << 20) + (data[0] & ODD_IMAGE ? 3 * WB_SECTOR_BYTES : 0)) ==
		 WB_GEOMETRY_OK);
	head_bytes = MIN(size - 1, sizeof disk);
	memcpy(&disk, data + 1, head_bytes);
	if (data[0] & FIX_CRC)
		disk.crc = wb_put_le32(wb_block_compute_crc(&disk));
	if (data[0] & SUPERBLOCK_AS_SAID)
		agree(&s, &disk);
	if (wb_checkpoint_decode(&disk, &s, &checkpoint) == WB_CHECKPOINT_VALID) {
		g_assert(wb_checkpoint_bytes(&s.geometry, &checkpoint) == s.checkpoint_used);
		g_assert(s.checkpoint_used <= s.geometry.checkpoint_bytes);
		wb_checkpoint_encode(&checkpoint, &again);
		g_assert(!memcmp(&again, &disk, sizeof disk));
	}
	for (size_t at = 1 + head_bytes; at < size; at += sizeof(struct wb_entry_disk))
		try_parts(data + at, size - at, &s.geometry, &checkpoint);
	return 0;
}
