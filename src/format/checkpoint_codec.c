/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "format/checkpoint_codec.h"

#include <glib.h>
#include <string.h>

#include "format/block.h"
#include "format/endian.h"

static_assert(offsetof(struct wb_checkpoint_disk, crc) == WB_BLOCK_CRC_OFFSET, "");

uint64_t wb_checkpoint_bytes(const struct wb_geometry *geometry,
			     const struct wb_checkpoint *checkpoint)
{
	/* 32-bit counts: no sum below can wrap. */
	uint64_t bytes = sizeof(struct wb_checkpoint_disk) +
		checkpoint->run_count * (uint64_t)sizeof(struct wb_checkpoint_run_disk) +
		checkpoint->segment_count * (uint64_t)geometry->segment_blocks *
			sizeof(struct wb_entry_disk) +
		checkpoint->extent_count * (uint64_t)sizeof(struct wb_checkpoint_extent_disk);

	return (bytes + WB_BLOCK_BYTES - 1) / WB_BLOCK_BYTES * WB_BLOCK_BYTES;
}

/* --- the head ---------------------------------------------------------------- */

void wb_checkpoint_encode(const struct wb_checkpoint *checkpoint,
			  struct wb_checkpoint_disk *disk)
{
	memset(disk, 0, sizeof *disk);
	memcpy(disk->magic, WB_CHECKPOINT_MAGIC, sizeof disk->magic);
	memcpy(disk->uuid, checkpoint->uuid, sizeof disk->uuid);
	disk->epoch = wb_put_le64(checkpoint->epoch);
	disk->last_sequence = wb_put_le64(checkpoint->last_sequence);
	disk->last_segment = wb_put_le64(checkpoint->last_segment);
	disk->last_crc = wb_put_le32(checkpoint->last_crc);
	disk->run_count = wb_put_le32(checkpoint->run_count);
	disk->tail_segment = wb_put_le64(checkpoint->tail_segment);
	disk->tail_sequence = wb_put_le64(checkpoint->tail_sequence);
	disk->segment_count = wb_put_le32(checkpoint->segment_count);
	disk->extent_count = wb_put_le32(checkpoint->extent_count);
	disk->dirty_blocks = wb_put_le64(checkpoint->dirty_blocks);
	disk->crc = wb_put_le32(wb_block_compute_crc(disk));
}

static void get_fields(const struct wb_checkpoint_disk *disk, struct wb_checkpoint *c)
{
	memcpy(c->uuid, disk->uuid, sizeof c->uuid);
	c->epoch = wb_get_le64(disk->epoch);
	c->last_sequence = wb_get_le64(disk->last_sequence);
	c->last_segment = wb_get_le64(disk->last_segment);
	c->last_crc = wb_get_le32(disk->last_crc);
	c->run_count = wb_get_le32(disk->run_count);
	c->tail_segment = wb_get_le64(disk->tail_segment);
	c->tail_sequence = wb_get_le64(disk->tail_sequence);
	c->segment_count = wb_get_le32(disk->segment_count);
	c->extent_count = wb_get_le32(disk->extent_count);
	c->dirty_blocks = wb_get_le64(disk->dirty_blocks);
}

static bool are_fields_possible(const struct wb_checkpoint_disk *disk,
				const struct wb_checkpoint *c, const struct wb_superblock *s)
{
	const struct wb_geometry *g = &s->geometry;

	if (c->last_sequence > WB_NUMBER_MAX || c->last_segment > WB_NUMBER_MAX ||
	    c->tail_sequence > c->last_sequence + 1 || c->epoch > WB_NUMBER_MAX)
		return false;
	/* At a clean stop all of the log is durable. */
	if (c->last_sequence != s->durable || c->last_sequence < s->cut_sequence)
		return false;
	if (c->segment_count > g->segment_count || c->run_count > c->segment_count ||
	    c->dirty_blocks > g->slot_count)
		return false;
	if (wb_checkpoint_bytes(g, c) != s->checkpoint_used ||
	    s->checkpoint_used > g->checkpoint_bytes)
		return false;
	return wb_block_is_zero(disk->zero_12, sizeof disk->zero_12) &&
	       wb_block_is_zero(disk->zero_96, sizeof disk->zero_96);
}

enum wb_checkpoint_verdict wb_checkpoint_decode(const struct wb_checkpoint_disk *disk,
		const struct wb_superblock *superblock, struct wb_checkpoint *checkpoint)
{
	const struct wb_superblock *s = superblock;
	struct wb_checkpoint c;

	if (memcmp(disk->magic, WB_CHECKPOINT_MAGIC, sizeof disk->magic) != 0)
		return WB_CHECKPOINT_NO_MAGIC;
	if (wb_get_le32(disk->crc) != wb_block_compute_crc(disk))
		return WB_CHECKPOINT_BAD_CRC;
	get_fields(disk, &c);
	if (memcmp(c.uuid, s->uuid, sizeof c.uuid) != 0 || c.epoch != s->epoch ||
	    c.tail_segment != s->tail_segment || c.tail_sequence != s->tail_sequence)
		return WB_CHECKPOINT_FOREIGN;
	if (!are_fields_possible(disk, &c, s))
		return WB_CHECKPOINT_BAD_FIELD;
	*checkpoint = c;
	return WB_CHECKPOINT_VALID;
}

/* --- its parts ------------------------------------------------------------------ */

struct wb_checkpoint_run_disk wb_checkpoint_encode_run(const struct wb_checkpoint_run *run)
{
	return (struct wb_checkpoint_run_disk){
		.first_place = wb_put_le32((uint32_t)run->first_place),
		.place_count = wb_put_le32((uint32_t)run->place_count),
	};
}

bool wb_checkpoint_decode_run(const struct wb_checkpoint_run_disk *disk,
			      const struct wb_geometry *geometry,
			      struct wb_checkpoint_run *run)
{
	struct wb_checkpoint_run r = {
		.first_place = wb_get_le32(disk->first_place),
		.place_count = wb_get_le32(disk->place_count),
	};

	if (r.place_count == 0 || r.first_place + r.place_count > geometry->segment_count)
		return false;
	*run = r;
	return true;
}

struct wb_checkpoint_segment_disk
wb_checkpoint_encode_segment(const struct wb_checkpoint_segment *segment)
{
	return (struct wb_checkpoint_segment_disk){
		.first_sequence = wb_put_le64(segment->first_sequence),
		.record_count = wb_put_le16((uint16_t)segment->record_count),
	};
}

bool wb_checkpoint_decode_segment(const struct wb_checkpoint_segment_disk *disk,
				  const struct wb_geometry *geometry,
				  const struct wb_checkpoint *checkpoint,
				  struct wb_checkpoint_segment *segment)
{
	struct wb_checkpoint_segment s = {
		.first_sequence = wb_get_le64(disk->first_sequence),
		.record_count = wb_get_le16(disk->record_count),
	};

	if (s.first_sequence == 0 || s.first_sequence > checkpoint->last_sequence)
		return false;
	/* A header for each. */
	if (s.record_count == 0 || s.record_count > geometry->segment_blocks ||
	    s.record_count - 1 > checkpoint->last_sequence - s.first_sequence)
		return false;
	if (!wb_block_is_zero(disk->zero_10, sizeof disk->zero_10))
		return false;
	*segment = s;
	return true;
}

struct wb_checkpoint_extent_disk
wb_checkpoint_encode_extent(const struct wb_checkpoint_extent *extent)
{
	return (struct wb_checkpoint_extent_disk){
		.first = wb_put_le48(extent->first),
		.type = extent->type,
		.count = wb_put_le48(extent->count),
		.record = wb_put_le16((uint16_t)extent->record),
		.place = wb_put_le32((uint32_t)extent->place),
	};
}

bool wb_checkpoint_decode_extent(const struct wb_checkpoint_extent_disk *disk,
				 const struct wb_geometry *geometry,
				 struct wb_checkpoint_extent *extent)
{
	struct wb_checkpoint_extent e = {
		.first = wb_get_le48(disk->first),
		.count = wb_get_le48(disk->count),
		.type = disk->type,
		.record = wb_get_le16(disk->record),
		.place = wb_get_le32(disk->place),
	};

	if (e.type != WB_ENTRY_DISCARD && e.type != WB_ENTRY_BAD)
		return false;
	if (e.count == 0 || e.first >= geometry->backing_blocks ||
	    e.count > geometry->backing_blocks - e.first)
		return false;
	/* A stop names each lost block alone: a write that cuts one out of many would need
	 * room for what is left of them. */
	if (e.type == WB_ENTRY_BAD && e.count != 1)
		return false;
	if (e.place >= geometry->segment_count ||
	    !wb_block_is_zero(disk->zero_7, sizeof disk->zero_7))
		return false;
	*extent = e;
	return true;
}

struct wb_entry_disk wb_checkpoint_encode_entry(const struct wb_entry *entry)
{
	return (struct wb_entry_disk){
		.address = wb_put_le48(entry->address),
		.mask = entry->mask,
		.type = entry->type,
		.crc_or_length = wb_put_le32(entry->crc_or_length),
	};
}

bool wb_checkpoint_decode_entry(const struct wb_entry_disk *disk,
				const struct wb_geometry *geometry, struct wb_entry *entry)
{
	struct wb_entry e = {
		.address = wb_get_le48(disk->address), .mask = disk->mask, .type = disk->type,
		.crc_or_length = wb_get_le32(disk->crc_or_length),
	};

	switch (e.type) {
	case WB_ENTRY_VOID:
		if (e.address != 0 || e.mask != 0 || e.crc_or_length != 0)
			return false;
		break;
	case WB_ENTRY_DATA:
	case WB_ENTRY_CLEAN:
		if (e.mask == 0 || (e.mask & ~wb_geometry_block_mask(geometry, e.address)) != 0)
			return false;
		break;
	default:
		return false;
	}
	*entry = e;
	return true;
}
