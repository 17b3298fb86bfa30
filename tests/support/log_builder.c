/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "support/log_builder.h"

#include <string.h>

#include "base/checksum.h"
#include "cache/create.h"
#include "format/endian.h"
#include "support/store_memory.h"

#define SEGMENT_BYTES WB_SEGMENT_BYTES_MIN
#define IMAGE_BYTES (UINT64_C(1) << 30)

static uint64_t size_for(unsigned segment_count)
{
	struct wb_geometry g;
	uint64_t bytes = WB_SUPERBLOCK_AREA_BYTES;

	do {
		bytes += WB_BLOCK_BYTES;
	} while (wb_geometry_compute(&g, bytes, SEGMENT_BYTES, IMAGE_BYTES) != WB_GEOMETRY_OK ||
		 g.segment_count < segment_count);
	return bytes;
}

static void free_built(gpointer data)
{
	struct wb_log_built *built = data;

	g_free(built->before);
	g_free(built);
}

void wb_log_builder_init(struct wb_log_builder *b, unsigned segment_count)
{
	struct wb_create_params params = {
		.uuid = "uuid of a test", .segment_bytes = SEGMENT_BYTES,
		.backing_bytes = IMAGE_BYTES, .backing_path = "/image",
		.zero_mode = WB_ZERO_HEADERS,
	};
	const char *field;

	*b = (struct wb_log_builder){ .is_each_synced = true };
	b->store = wb_store_memory_new(size_for(segment_count), 512, 512);
	b->records = g_ptr_array_new_with_free_func(free_built);
	g_assert(wb_create(b->store, &params, NULL));
	g_assert(wb_superblock_decode((const void *)(wb_store_memory_bytes(b->store) +
						     wb_superblock_offset(1)),
				      b->store->size_bytes, &b->superblock, &field) ==
		 WB_SUPERBLOCK_VALID);
	b->geometry = &b->superblock.geometry;
	b->epoch = b->epoch_start = 1;
	b->sequence = b->segment_id = 1;
	b->tail_segment = b->tail_sequence = 1;
	b->superblock.epoch = b->superblock.epoch_start = 1;
	b->superblock.state_flags = 0;
	wb_log_builder_write_superblocks(b);
}

void wb_log_builder_clear(struct wb_log_builder *b)
{
	g_ptr_array_unref(b->records);
	wb_store_close(b->store);
}

void wb_log_builder_write_superblock(struct wb_log_builder *b, unsigned copy)
{
	b->superblock.generation++;
	wb_superblock_encode(&b->superblock,
		(void *)(wb_store_memory_bytes(b->store) + wb_superblock_offset(copy)));
}

void wb_log_builder_write_superblocks(struct wb_log_builder *b)
{
	wb_log_builder_write_superblock(b, 0);
	wb_log_builder_write_superblock(b, 1);
}

void wb_log_builder_next_segment(struct wb_log_builder *b)
{
	b->segment_id++;
	b->block = 0;
}

static struct wb_log_built *place_record(struct wb_log_builder *b, uint32_t block_count)
{
	struct wb_log_built *built = g_new0(struct wb_log_built, 1);
	uint64_t place;

	if (b->block + 1 + block_count > b->geometry->segment_blocks)
		wb_log_builder_next_segment(b);
	place = wb_geometry_place(b->geometry, b->segment_id);
	built->sequence = b->sequence;
	built->segment_id = b->segment_id;
	built->block_offset = b->block;
	built->block_count = block_count;
	built->length_bytes = (uint64_t)(1 + block_count) * WB_BLOCK_BYTES;
	built->offset_bytes = wb_geometry_segment_offset(b->geometry, place) +
			      (uint64_t)b->block * WB_BLOCK_BYTES;
	built->before = g_memdup2(wb_store_memory_bytes(b->store) + built->offset_bytes,
				  built->length_bytes);
	g_ptr_array_add(b->records, built);
	return built;
}

static uint32_t fill_block(const struct wb_log_builder *b, uint8_t *data, unsigned i)
{
	uint64_t words[4] = { b->epoch, b->sequence, i, b->records->len };

	for (unsigned at = 0; at < WB_BLOCK_BYTES; at += sizeof words)
		memcpy(data + at, words, sizeof words);
	return wb_crc32c(data, WB_BLOCK_BYTES);
}

static void write_record(struct wb_log_builder *b, struct wb_log_built *built,
			 const struct wb_entry *entries, unsigned count)
{
	uint8_t *at = wb_store_memory_bytes(b->store) + built->offset_bytes;
	struct wb_record_disk *header = (void *)at;

	wb_record_begin(header, b->superblock.uuid, b->epoch, b->epoch_start, b->sequence,
			b->segment_id, (uint16_t)b->block);
	for (unsigned i = 0; i < count; i++) {
		struct wb_entry entry = entries[i];

		if (wb_entry_has_block(entry.type))
			at += WB_BLOCK_BYTES;
		if (wb_entry_has_block(entry.type) && entry.type != WB_ENTRY_VOID)
			entry.crc_or_length = fill_block(b, at, i);
		wb_record_set_entry(header, i, &entry);
	}
	wb_record_set_counts(header, count, built->block_count);
	built->crc = wb_record_seal(header, b->prev, b->durable, b->tail_segment,
				    b->tail_sequence);
}

struct wb_log_built *wb_log_builder_add_entries(struct wb_log_builder *b,
						const struct wb_entry *entries, unsigned count)
{
	struct wb_log_built *built;
	uint32_t block_count = 0;

	for (unsigned i = 0; i < count; i++)
		block_count += wb_entry_has_block(entries[i].type);
	built = place_record(b, block_count);
	write_record(b, built, entries, count);
	b->prev = built->crc;
	b->block += 1 + block_count;
	if (b->is_each_synced)
		b->durable = b->sequence;
	b->sequence++;
	return built;
}

struct wb_log_built *wb_log_builder_add(struct wb_log_builder *b, unsigned count)
{
	struct wb_entry entries[WB_RECORD_BLOCKS_MAX] = { 0 };

	g_assert(count <= G_N_ELEMENTS(entries));
	for (unsigned i = 0; i < count; i++)
		entries[i] = (struct wb_entry){ .address = b->sequence * 16 + i,
						.mask = WB_MASK_FULL, .type = WB_ENTRY_DATA };
	return wb_log_builder_add_entries(b, entries, count);
}

void wb_log_builder_move_tail(struct wb_log_builder *b, uint64_t id)
{
	/* from the newest: cut-off timelines used the same ids before */
	for (guint i = b->records->len; i-- > 0;) {
		const struct wb_log_built *built = g_ptr_array_index(b->records, i);

		if (built->segment_id == id && built->block_offset == 0) {
			b->tail_segment = id;
			b->tail_sequence = built->sequence;
			return;
		}
	}
	g_assert_not_reached();
}

void wb_log_builder_tear(struct wb_log_builder *b, const struct wb_log_built *record,
			 uint64_t kept_bytes)
{
	memcpy(wb_store_memory_bytes(b->store) + record->offset_bytes + kept_bytes,
	       record->before + kept_bytes, record->length_bytes - kept_bytes);
}

void wb_log_builder_lose(struct wb_log_builder *b, const struct wb_log_built *record)
{
	wb_log_builder_tear(b, record, 0);
}

void wb_log_builder_lose_sector(struct wb_log_builder *b, const struct wb_log_built *record,
				unsigned sector)
{
	size_t at = (size_t)sector * WB_SECTOR_BYTES;

	memcpy(wb_store_memory_bytes(b->store) + record->offset_bytes + at,
	       record->before + at, WB_SECTOR_BYTES);
}

void wb_log_builder_flip(struct wb_log_builder *b, uint64_t offset_bytes, unsigned bit)
{
	wb_store_memory_bytes(b->store)[offset_bytes] ^= (uint8_t)(1u << bit);
}

void wb_log_builder_prepare(struct wb_log_builder *b, const struct wb_recovery *recovery)
{
	struct wb_superblock *s = &b->superblock;

	*s = recovery->superblock;
	b->epoch = recovery->highest_epoch + 1;
	b->epoch_start = b->sequence = recovery->cut_sequence + 1;
	b->prev = recovery->cut_crc;
	b->segment_id = recovery->last_segment + 1;
	b->block = 0;
	b->durable = recovery->cut_sequence;
	b->tail_segment = recovery->tail_segment;
	b->tail_sequence = recovery->tail_sequence;
	s->epoch = b->epoch;
	s->epoch_start = b->epoch_start;
	s->cut_sequence = s->durable = recovery->cut_sequence;
	s->cut_segment = recovery->last_segment;
	s->cut_crc = recovery->cut_crc;
	s->tail_segment = b->tail_segment;
	s->tail_sequence = b->tail_sequence;
	s->state_flags = 0;
}

void wb_log_builder_recover(struct wb_log_builder *b, const struct wb_recovery *recovery)
{
	wb_log_builder_prepare(b, recovery);
	/* the older copy first */
	wb_log_builder_write_superblock(b, 1 - recovery->newest_copy);
	wb_log_builder_write_superblock(b, recovery->newest_copy);
}
