/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Writing one: the head, runs of places, their segments, extents; see
 * wbfs-format(5). */
#include "cache/checkpoint.h"

#include <errno.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include "base/checksum.h"
#include "base/mutant.h"

#define PIECE_BYTES (UINT64_C(1) << 20)	/* a multiple of any disk's sectors */

struct writer {
	const struct wb_checkpoint_deps *deps;
	uint8_t *piece;			/* aligned */
	size_t filled;
	uint64_t offset_bytes;		/* of the piece, on the cache */
	uint32_t crc;			/* of the pieces before it */
	int error;			/* the first */
};

/* --- the stream -------------------------------------------------------------- */

static void write_piece(struct writer *writer)
{
	if (!writer->filled || writer->error)
		return;
	writer->error = wb_store_write_sync(writer->deps->store, writer->offset_bytes,
					    writer->piece, writer->filled);
	WB_STAT_ADD(writer->deps->stats, WB_STAT_SSD_WRITES, 1);
	WB_STAT_ADD(writer->deps->stats, WB_STAT_SSD_WRITTEN_BYTES, writer->filled);
	writer->crc = wb_crc32c_extend(writer->crc, writer->piece, writer->filled);
	writer->offset_bytes += writer->filled;
	writer->filled = 0;
}

static void put(struct writer *writer, const void *data, size_t bytes)
{
	const uint8_t *from = data;

	while (bytes > 0) {
		size_t part = MIN(bytes, PIECE_BYTES - writer->filled);

		memcpy(writer->piece + writer->filled, from, part);
		writer->filled += part;
		from += part;
		bytes -= part;
		if (writer->filled == PIECE_BYTES)
			write_piece(writer);
	}
}

static void pad(struct writer *writer)
{
	size_t over = writer->filled % WB_BLOCK_BYTES;

	if (!over)
		return;
	memset(writer->piece + writer->filled, 0, WB_BLOCK_BYTES - over);
	writer->filled += WB_BLOCK_BYTES - over;
}

/* --- what there is to say --------------------------------------------------------- */

/* Not what a relocation has left without a record: all that was written to it moved. */
static bool is_listed(const struct wb_checkpoint_deps *deps, uint64_t place)
{
	const struct wb_segment *segment = wb_segment_at(deps->segments, place);

	return segment->id != 0 && segment->last_sequence + 1 != segment->first_sequence;
}

/* The id follows from the place and the newest id; see wb_checkpoint_load(). */
static bool fits(const struct wb_checkpoint_deps *deps, const struct wb_checkpoint *checkpoint,
		 const struct wb_segment *segment)
{
	uint64_t n = deps->geometry->segment_count;

	return segment->id <= checkpoint->last_segment &&
	       checkpoint->last_segment - segment->id < n &&
	       segment->first_sequence > 0 &&
	       segment->last_sequence >= segment->first_sequence &&
	       segment->last_sequence <= checkpoint->last_sequence &&
	       segment->last_sequence - segment->first_sequence < deps->geometry->segment_blocks;
}

static bool count_segments(const struct wb_checkpoint_deps *deps,
			   struct wb_checkpoint *checkpoint)
{
	bool was_listed = false;

	for (uint64_t place = 0; place < deps->geometry->segment_count; place++) {
		bool is_now = is_listed(deps, place);

		if (is_now && !fits(deps, checkpoint, wb_segment_at(deps->segments, place)))
			return false;
		checkpoint->segment_count += is_now;
		checkpoint->run_count += is_now && !was_listed;
		was_listed = is_now;
	}
	return true;
}

static bool has_last_record(const struct wb_checkpoint_deps *deps,
			    const struct wb_checkpoint *checkpoint)
{
	const struct wb_segment *segment;

	if (checkpoint->last_sequence == 0)
		return checkpoint->segment_count == 0;
	if (checkpoint->last_segment == 0)
		return false;
	segment = wb_segment_of_id(deps->segments, checkpoint->last_segment);
	return segment->id == checkpoint->last_segment &&
	       segment->last_sequence == checkpoint->last_sequence;
}

/* FALSE: this is not the usual end of a log, or it is too much. */
static bool describe(const struct wb_checkpoint_deps *deps,
		     const struct wb_checkpoint_last *last,
		     const struct wb_superblock *superblock, struct wb_checkpoint *checkpoint)
{
	*checkpoint = (struct wb_checkpoint){
		.epoch = superblock->epoch,
		.last_sequence = last->sequence, .last_segment = last->segment,
		.last_crc = last->crc,
		.tail_segment = superblock->tail_segment,
		.tail_sequence = superblock->tail_sequence,
		.extent_count = (uint32_t)wb_extent_table_count(deps->extents),
		.dirty_blocks = wb_block_map_dirty_count(deps->map),
	};
	memcpy(checkpoint->uuid, superblock->uuid, sizeof checkpoint->uuid);
	if (WB_MUTANT(checkpoint_without_extents))
		checkpoint->extent_count = 0;
	return count_segments(deps, checkpoint) && has_last_record(deps, checkpoint) &&
	       wb_checkpoint_bytes(deps->geometry, checkpoint) <=
		       deps->geometry->checkpoint_bytes;
}

/* --- its parts ------------------------------------------------------------------------- */

static void put_head(struct writer *writer, const struct wb_checkpoint *checkpoint)
{
	struct wb_checkpoint_disk disk;

	wb_checkpoint_encode(checkpoint, &disk);
	put(writer, &disk, sizeof disk);
}

static void put_runs(struct writer *writer)
{
	uint64_t n = writer->deps->geometry->segment_count, place = 0;

	while (place < n) {
		struct wb_checkpoint_run run = { .first_place = place };
		struct wb_checkpoint_run_disk disk;

		while (place < n && is_listed(writer->deps, place))
			place++;
		run.place_count = place - run.first_place;
		if (!run.place_count) {
			place++;
			continue;
		}
		disk = wb_checkpoint_encode_run(&run);
		put(writer, &disk, sizeof disk);
	}
}

/* A block that could not be read at its last try is dirty like any other: the next
 * session tries again. */
static void put_entry(struct writer *writer, uint32_t slot)
{
	struct wb_entry entry = { .type = WB_ENTRY_VOID };
	struct wb_entry_disk disk;
	struct wb_mapping now;

	wb_block_map_peek(writer->deps->map, slot, &now);
	if (now.state != WB_SLOT_FREE)
		entry = (struct wb_entry){
			.address = now.address, .mask = now.mask,
			.type = wb_slot_state_is_dirty(now.state) ? WB_ENTRY_DATA :
								    WB_ENTRY_CLEAN,
			.crc_or_length = wb_block_map_crc(writer->deps->map, slot),
		};
	disk = wb_checkpoint_encode_entry(&entry);
	put(writer, &disk, sizeof disk);
}

static void put_segment(struct writer *writer, uint64_t place)
{
	const struct wb_geometry *g = writer->deps->geometry;
	const struct wb_segment *segment = wb_segment_at(writer->deps->segments, place);
	struct wb_checkpoint_segment_disk disk =
		wb_checkpoint_encode_segment(&(struct wb_checkpoint_segment){
			.first_sequence = segment->first_sequence,
			.record_count = (uint32_t)(segment->last_sequence -
						   segment->first_sequence + 1),
		});

	put(writer, &disk, sizeof disk);
	for (uint32_t block = 1; block < g->segment_blocks; block++)
		put_entry(writer, wb_geometry_slot(g, place, block));
}

static void put_extent(struct writer *writer, const struct wb_extent *extent)
{
	const struct wb_segment *segment =
		wb_segment_of_id(writer->deps->segments, extent->segment_id);
	struct wb_checkpoint_extent_disk disk =
		wb_checkpoint_encode_extent(&(struct wb_checkpoint_extent){
			.first = extent->first, .count = extent->count,
			.type = extent->kind == WB_EXTENT_BAD ? WB_ENTRY_BAD : WB_ENTRY_DISCARD,
			.record = (uint32_t)(extent->sequence - segment->first_sequence),
			.place = wb_geometry_place(writer->deps->geometry, extent->segment_id),
		});

	/* Its entry lies in a record of that segment, which is dirty for it. */
	g_assert(segment->id == extent->segment_id &&
		 extent->sequence >= segment->first_sequence &&
		 extent->sequence <= segment->last_sequence);
	put(writer, &disk, sizeof disk);
}

static void put_all(struct writer *writer, const struct wb_checkpoint *checkpoint)
{
	struct wb_extent extent;

	put_head(writer, checkpoint);
	put_runs(writer);
	for (uint64_t place = 0; place < writer->deps->geometry->segment_count; place++) {
		if (is_listed(writer->deps, place))
			put_segment(writer, place);
	}
	for (uint32_t i = 0; i < checkpoint->extent_count; i++) {
		g_assert(wb_extent_table_get(writer->deps->extents, i, &extent));
		put_extent(writer, &extent);
	}
	pad(writer);
	write_piece(writer);
}

int wb_checkpoint_write(const struct wb_checkpoint_deps *deps,
			const struct wb_checkpoint_last *last,
			struct wb_superblock *superblock)
{
	struct writer writer = { .deps = deps,
				 .offset_bytes = deps->geometry->checkpoint_offset };
	struct wb_checkpoint checkpoint;

	superblock->checkpoint_used = 0;
	superblock->checkpoint_crc = 0;
	if (!describe(deps, last, superblock, &checkpoint))
		return -ENOSPC;
	/* No g_malloc: a stop must not fail for want of it. */
	writer.piece = aligned_alloc(WB_BLOCK_BYTES, PIECE_BYTES);
	if (!writer.piece)
		return -ENOMEM;
	put_all(&writer, &checkpoint);
	free(writer.piece);
	if (!writer.error)
		writer.error = wb_store_flush_sync(deps->store);
	if (writer.error) {
		WB_STAT_ADD(deps->stats, WB_STAT_CACHE_ERRORS, 1);
		return writer.error;
	}
	superblock->checkpoint_used = wb_checkpoint_bytes(deps->geometry, &checkpoint);
	superblock->checkpoint_crc = writer.crc;
	return 0;
}
