/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Loading one. It is read in pieces while what came before is put into the map, so
 * its CRC is known last: until then nothing that was loaded counts. A CRC keeps
 * nobody from making one up, so all that the rest of the cache relies on is
 * checked, too: it may be wrong in any way, but the program must not abort, and
 * no state may come of it that a log could not have led to.
 */
#include "cache/checkpoint.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include "base/checksum.h"
#include "base/mutant.h"

#define PIECE_BYTES (UINT64_C(1) << 20)
#define DEPTH 4u		/* pieces: one in use, the others at the disk */

struct piece {
	struct wb_store_read read;
	uint8_t *data;
	uint64_t bytes;
	bool is_at_disk;
};

struct loader {
	const struct wb_checkpoint_deps *deps;
	const struct wb_checkpoint *checkpoint;

	/* the stream */
	uint8_t *memory;
	struct piece pieces[DEPTH];
	uint64_t next_offset, end_offset;	/* of what is not yet read */
	unsigned now;				/* the piece in use */
	uint64_t taken;				/* of it */
	uint32_t crc;				/* of all pieces so far */

	/* room for one segment */
	struct wb_entry_disk *entries;
	struct wb_map_version *versions;
};

/* --- the stream --------------------------------------------------------------------- */

static void begin_read(struct loader *loader, struct piece *piece)
{
	piece->bytes = MIN(PIECE_BYTES, loader->end_offset - loader->next_offset);
	if (!piece->bytes)
		return;
	wb_store_read_begin(loader->deps->store, &piece->read, loader->next_offset, piece->data,
			    piece->bytes);
	piece->is_at_disk = true;
	loader->next_offset += piece->bytes;
}

/* FALSE: an error, or the end. */
static bool arrives(struct loader *loader, struct piece *piece)
{
	if (!piece->is_at_disk)
		return false;
	piece->is_at_disk = false;
	if (wb_store_read_wait(loader->deps->store, &piece->read))
		return false;
	loader->crc = wb_crc32c_extend(loader->crc, piece->data, piece->bytes);
	return true;
}

static bool take(struct loader *loader, void *to, size_t bytes)
{
	uint8_t *at = to;

	while (bytes > 0) {
		struct piece *piece = &loader->pieces[loader->now];
		size_t part = MIN(bytes, piece->bytes - loader->taken);

		if (part == 0) {
			begin_read(loader, piece);
			loader->now = (loader->now + 1) % DEPTH;
			loader->taken = 0;
			if (!arrives(loader, &loader->pieces[loader->now]))
				return false;
			continue;
		}
		memcpy(at, piece->data + loader->taken, part);
		loader->taken += part;
		at += part;
		bytes -= part;
	}
	return true;
}

static bool begin(struct loader *loader)
{
	loader->memory = aligned_alloc(WB_BLOCK_BYTES, DEPTH * PIECE_BYTES);
	loader->entries = g_try_new(struct wb_entry_disk, loader->deps->geometry->segment_blocks);
	loader->versions = g_try_new(struct wb_map_version,
				     loader->deps->geometry->segment_blocks);
	if (!loader->memory || !loader->entries || !loader->versions)
		return false;
	for (unsigned i = 0; i < DEPTH; i++) {
		loader->pieces[i].data = loader->memory + i * PIECE_BYTES;
		begin_read(loader, &loader->pieces[i]);
	}
	return arrives(loader, &loader->pieces[0]);
}

static void end(struct loader *loader)
{
	for (unsigned i = 0; i < DEPTH; i++)
		arrives(loader, &loader->pieces[i]);
	free(loader->memory);
	g_free(loader->entries);
	g_free(loader->versions);
}

/* What is left is padding. */
static bool is_at_end(struct loader *loader)
{
	const struct piece *piece = &loader->pieces[loader->now];

	for (uint64_t i = loader->taken; i < piece->bytes; i++) {
		if (piece->data[i] != 0)
			return false;
	}
	return !loader->pieces[(loader->now + 1) % DEPTH].is_at_disk &&
	       loader->next_offset == loader->end_offset &&
	       piece->bytes - loader->taken < WB_BLOCK_BYTES;
}

/* --- segments ------------------------------------------------------------------------ */

/* The one id of this place among the last segment_count; 0: there is none yet. */
static uint64_t id_at(const struct loader *loader, uint64_t place)
{
	uint64_t n = loader->deps->geometry->segment_count, last = loader->checkpoint->last_segment;
	uint64_t back = (wb_geometry_place(loader->deps->geometry, last) + n - place) % n;

	return last > back ? last - back : 0;
}

/* What is dirty lies in a record behind the tail: places before it are used again.
 * `sequence` is that of the record, or the last that it can be. */
static bool may_be_dirty(const struct loader *loader, uint64_t id, uint64_t sequence)
{
	return id >= loader->checkpoint->tail_segment &&
	       sequence >= loader->checkpoint->tail_sequence;
}

/* entries[0] is the segment itself. */
static bool decode_entries(struct loader *loader, uint64_t place,
			   const struct wb_segment *segment, size_t *count)
{
	const struct wb_geometry *g = loader->deps->geometry;

	*count = 0;
	for (uint32_t block = 1; block < g->segment_blocks; block++) {
		struct wb_entry entry;

		if (!wb_checkpoint_decode_entry(&loader->entries[block], g, &entry))
			return false;
		if (entry.type == WB_ENTRY_VOID)
			continue;
		if (entry.type == WB_ENTRY_DATA &&
		    !may_be_dirty(loader, segment->id, segment->last_sequence))
			return false;
		loader->versions[(*count)++] = (struct wb_map_version){
			.address = entry.address, .mask = entry.mask,
			.crc = entry.crc_or_length,
			.slot = wb_geometry_slot(g, place, block),
			.state = entry.type == WB_ENTRY_DATA ? WB_SLOT_DIRTY : WB_SLOT_CLEAN,
		};
	}
	return true;
}

static bool load_segment(struct loader *loader, uint64_t place)
{
	const struct wb_geometry *g = loader->deps->geometry;
	struct wb_segment *segment = wb_segment_at(loader->deps->segments, place);
	struct wb_checkpoint_segment said;
	uint64_t id = id_at(loader, place);
	size_t count;

	if (id == 0 || !take(loader, loader->entries, g->segment_blocks * sizeof *loader->entries) ||
	    !wb_checkpoint_decode_segment((const void *)loader->entries, g, loader->checkpoint,
					  &said))
		return false;
	segment->id = id;
	segment->first_sequence = said.first_sequence;
	segment->last_sequence = said.first_sequence + said.record_count - 1;
	return decode_entries(loader, place, segment, &count) &&
	       wb_block_map_load(loader->deps->map, place, loader->versions, count);
}

static bool load_segments(struct loader *loader)
{
	uint32_t run_count = loader->checkpoint->run_count;
	g_autofree struct wb_checkpoint_run_disk *disks =
		g_try_new(struct wb_checkpoint_run_disk, MAX(run_count, 1));
	uint64_t next = 0, segments = 0;

	if (!disks || !take(loader, disks, run_count * sizeof *disks))
		return false;
	for (uint32_t i = 0; i < run_count; i++) {
		struct wb_checkpoint_run run;

		if (!wb_checkpoint_decode_run(&disks[i], loader->deps->geometry, &run) ||
		    run.first_place < next)
			return false;
		next = run.first_place + run.place_count;
		segments += run.place_count;
		if (segments > loader->checkpoint->segment_count)
			return false;
		for (uint64_t place = run.first_place; place < next; place++) {
			if (!load_segment(loader, place))
				return false;
		}
	}
	return segments == loader->checkpoint->segment_count;
}

/* Sequences grow with the ids, behind the tail's segment from the tail's on, and the
 * last record is in the last segment. */
static bool are_in_order(const struct loader *loader)
{
	uint64_t n = loader->deps->geometry->segment_count, last = loader->checkpoint->last_segment;
	uint64_t sequence = 0;

	for (uint64_t id = last >= n ? last - n + 1 : 1; id <= last; id++) {
		const struct wb_segment *segment = wb_segment_of_id(loader->deps->segments, id);

		if (segment->id != id)
			continue;
		if (segment->first_sequence <= sequence ||
		    (id > loader->checkpoint->tail_segment &&
		     segment->first_sequence < loader->checkpoint->tail_sequence))
			return false;
		sequence = segment->last_sequence;
	}
	return sequence == loader->checkpoint->last_sequence &&
	       (last == 0 || wb_segment_of_id(loader->deps->segments, last)->id == last);
}

/* --- extents --------------------------------------------------------------------------- */

/* Room is made for what has been read: the count in the head may be anything. */
static bool reserve(struct wb_extent_table *extents)
{
	return wb_extent_table_make_room(extents, WB_EXTENT_FRAGMENTS) &&
	       wb_extent_table_reserve(extents);
}

static bool load_extent(struct loader *loader, uint64_t *next_block)
{
	struct wb_checkpoint_extent_disk disk;
	struct wb_checkpoint_extent said;
	struct wb_segment *segment;
	struct wb_extent extent;

	if (!take(loader, &disk, sizeof disk) ||
	    !wb_checkpoint_decode_extent(&disk, loader->deps->geometry, &said) ||
	    said.first < *next_block)
		return false;
	*next_block = said.first + said.count;
	segment = wb_segment_at(loader->deps->segments, said.place);
	extent = (struct wb_extent){
		.first = said.first, .count = said.count,
		.segment_id = segment->id, .sequence = segment->first_sequence + said.record,
		.kind = said.type == WB_ENTRY_BAD ? WB_EXTENT_BAD : WB_EXTENT_ZERO,
	};
	if (segment->id == 0 || extent.sequence > segment->last_sequence ||
	    !may_be_dirty(loader, segment->id, extent.sequence) ||
	    !reserve(loader->deps->extents))
		return false;
	wb_segment_add_dirty(loader->deps->segments, segment, 1);
	wb_extent_table_insert(loader->deps->extents, &extent);
	return true;
}

static bool load_extents(struct loader *loader)
{
	uint64_t next_block = 0;

	for (uint32_t i = 0; i < loader->checkpoint->extent_count; i++) {
		if (!load_extent(loader, &next_block))
			return false;
	}
	return true;
}

/* --- all of it ----------------------------------------------------------------------------- */

/* It was looked at before; it must still be the same. */
static bool is_head_the_same(struct loader *loader)
{
	g_autofree struct wb_checkpoint_disk *now = g_try_new(struct wb_checkpoint_disk, 2);

	if (!now || !take(loader, &now[0], sizeof now[0]))
		return false;
	wb_checkpoint_encode(loader->checkpoint, &now[1]);
	return memcmp(&now[0], &now[1], sizeof now[0]) == 0;
}

bool wb_checkpoint_load(const struct wb_checkpoint_deps *deps,
			const struct wb_checkpoint *checkpoint,
			const struct wb_superblock *superblock)
{
	struct loader loader = {
		.deps = deps, .checkpoint = checkpoint,
		.next_offset = deps->geometry->checkpoint_offset,
		.end_offset = deps->geometry->checkpoint_offset + superblock->checkpoint_used,
	};
	bool ok = begin(&loader) && is_head_the_same(&loader) && load_segments(&loader) &&
		  are_in_order(&loader) && load_extents(&loader) && is_at_end(&loader) &&
		  wb_block_map_dirty_count(deps->map) == checkpoint->dirty_blocks &&
		  (loader.crc == superblock->checkpoint_crc || WB_MUTANT(checkpoint_crc_unchecked));

	end(&loader);
	return ok;
}
