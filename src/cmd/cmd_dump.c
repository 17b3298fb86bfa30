/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cache as it lies there, in order of place, whatever recovery would think
 * of it: a damaged one must be readable by a person. Nothing is judged but
 * whether a header is a header.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cache/stats.h"
#include "cmd/cache_file.h"
#include "cmd/commands.h"
#include "cmd/report.h"
#include "cmd/volume.h"
#include "format/record_codec.h"
#include "frontend/stats_json.h"

struct dump {
	struct wb_store *store;
	struct wb_superblock superblock;
	union {
		struct wb_superblock_disk superblock;
		struct wb_record_disk record;
	} *block;
};

/* --- superblocks --------------------------------------------------------------------- */

static void number(const char *name, uint64_t value)
{
	printf("  %-18s %" PRIu64 "\n", name, value);
}

/* The backing at the clean stop. */
static void print_look(const struct wb_backing_look *look)
{
	if (!look->bytes && !look->sample_kind)
		return;
	number("look_bytes", look->bytes);
	number("look_mtime_ns", look->mtime_ns);
	printf("  %-18s %08" PRIx32 " (kind %" PRIu32 ")\n", "look_sample", look->sample_crc,
	       look->sample_kind);
	number("look_dirty_left", look->dirty_left);
}

static void print_identity(const struct wb_superblock *s)
{
	char uuid[WB_UUID_TEXT_BYTES];

	wb_uuid_format(s->uuid, uuid);
	printf("  %-18s %s\n", "uuid", uuid);
	wb_uuid_format(s->backing_mark, uuid);
	printf("  %-18s %s (%s)\n", "backing_mark", uuid,
	       s->backing_mark_kind <= WB_MARK_STATE_DIRECTORY ?
		       wb_identity_kind_text(s->backing_mark_kind) : "kept in an unknown way");
	printf("  %-18s %s\n", "backing_path", s->backing_path);
	print_look(&s->backing_look);
	number("mark_epoch", s->mark_epoch);
	number("warm_sequence", s->warm_sequence);
	number("backing_bytes", s->geometry.backing_bytes);
	printf("  %-18s compat %#" PRIx64 ", ro_compat %#" PRIx64 ", incompat %#" PRIx64 "%s\n",
	       "features", s->compat, s->ro_compat, s->incompat,
	       s->incompat & WB_INCOMPAT_DETACHED ? " (detached)" : "");
}

static void print_superblock(const struct wb_superblock *s)
{
	print_identity(s);
	number("cache_bytes", s->geometry.cache_bytes);
	number("segment_size", s->geometry.segment_bytes);
	number("segment_count", s->geometry.segment_count);
	number("ring_offset", s->geometry.ring_offset);
	number("checkpoint_offset", s->geometry.checkpoint_offset);
	number("checkpoint_bytes", s->geometry.checkpoint_bytes);
	number("generation", s->generation);
	number("epoch", s->epoch);
	number("epoch_start", s->epoch_start);
	number("cut_sequence", s->cut_sequence);
	number("cut_segment", s->cut_segment);
	printf("  %-18s %08" PRIx32 "\n", "cut_crc", s->cut_crc);
	printf("  %-18s %#" PRIx32 "%s\n", "state_flags", s->state_flags,
	       s->state_flags & WB_STATE_CLEAN ? " (clean)" : "");
	number("tail_segment", s->tail_segment);
	number("tail_sequence", s->tail_sequence);
	number("durable", s->durable);
	number("checkpoint_used", s->checkpoint_used);
	printf("  %-18s %08" PRIx32 "\n", "checkpoint_crc", s->checkpoint_crc);
	number("bad_count", s->bad_count);
	for (unsigned i = 0; i < WB_LIFETIME_COUNT; i++)
		printf("  lifetime %-20s %" PRIu64 "\n", wb_lifetime_name(i), s->counters[i]);
}

static int read_superblock(struct dump *dump, unsigned copy)
{
	uint64_t offset = wb_superblock_offset(copy);

	if (offset + WB_BLOCK_BYTES > dump->store->size_bytes)
		return -ENODATA;
	return wb_store_read_sync(dump->store, offset, dump->block, WB_BLOCK_BYTES);
}

static void dump_superblock(struct dump *dump, unsigned copy)
{
	g_autofree struct wb_superblock *s = g_new0(struct wb_superblock, 1);
	const char *field = NULL;
	enum wb_superblock_verdict verdict;
	int error = read_superblock(dump, copy);

	printf("superblock %u at %" PRIu64 ": ", copy, wb_superblock_offset(copy));
	if (error) {
		puts(error == -ENODATA ? "behind the end of the file" : g_strerror(-error));
		return;
	}
	verdict = wb_superblock_decode(&dump->block->superblock, dump->store->size_bytes, s,
				       &field);
	printf("%s%s%s\n", wb_superblock_verdict_text(verdict), field ? ", field " : "",
	       field ? field : "");
	if (verdict == WB_SUPERBLOCK_VALID)
		print_superblock(s);
}

/* --- records ----------------------------------------------------------------------------- */

static const char *type_name(uint8_t type)
{
	switch (type) {
	case WB_ENTRY_VOID: return "void";
	case WB_ENTRY_DATA: return "data";
	case WB_ENTRY_CLEAN: return "clean";
	case WB_ENTRY_DISCARD: return "discard";
	case WB_ENTRY_BYPASS: return "bypass";
	case WB_ENTRY_BAD: return "bad";
	default: return "unknown type";
	}
}

static uint64_t entry_blocks(const struct wb_entry *entry)
{
	return wb_entry_has_block(entry->type) ? 1 : entry->crc_or_length;
}

/* Neighbours of one kind in one line: "data 4096+16", partly written blocks
 * with their sectors. */
static void print_entries(const struct wb_record_disk *record, unsigned count)
{
	struct wb_entry first, next;

	for (unsigned i = 0; i < count;) {
		uint64_t blocks;

		wb_record_get_entry(record, i, &first);
		blocks = entry_blocks(&first);
		for (i++; i < count; i++) {
			wb_record_get_entry(record, i, &next);
			if (next.type != first.type || next.mask != first.mask ||
			    (next.type != WB_ENTRY_VOID &&
			     next.address != first.address + blocks))
				break;
			blocks += entry_blocks(&next);
		}
		printf("    %s %" PRIu64 "+%" PRIu64, type_name(first.type), first.address, blocks);
		if (first.type != WB_ENTRY_VOID && first.mask != WB_MASK_FULL)
			printf(" sectors %#04x", first.mask);
		putchar('\n');
	}
}

static void print_record(const struct wb_record_disk *record,
			 const struct wb_record_fields *f)
{
	printf("  record %" PRIu64 " at block %u: %u blocks, %u entries, epoch %" PRIu64 " from %"
	       PRIu64 ", durable %" PRIu64 ", tail %" PRIu64 "/%" PRIu64 ", prev %08" PRIx32
	       ", crc %08" PRIx32 "\n", f->sequence, f->block_offset, f->block_count,
	       f->entry_count, f->epoch, f->epoch_start, f->durable, f->tail_segment,
	       f->tail_sequence, f->prev, f->crc);
	print_entries(record, f->entry_count);
}

static bool is_zeros(const void *block)
{
	const uint8_t *bytes = block;

	return !bytes[0] && !memcmp(bytes, bytes + 1, WB_BLOCK_BYTES - 1);
}

/* Records of one writing of the segment follow each other; the first block
 * that is no header of the same id ends it. */
static void dump_segment(struct dump *dump, uint64_t place)
{
	const struct wb_geometry *g = &dump->superblock.geometry;
	uint64_t offset = wb_geometry_segment_offset(g, place), id = 0;
	struct wb_record_fields fields;

	for (uint32_t block = 0; block < g->segment_blocks; block += 1 + fields.block_count) {
		enum wb_record_verdict verdict;
		int error = wb_store_read_sync(dump->store, offset + (uint64_t)block * 4096,
					       dump->block, WB_BLOCK_BYTES);

		if (error) {
			printf("place %" PRIu64 ", block %u: cannot be read: %s\n", place, block,
			       g_strerror(-error));
			return;
		}
		verdict = wb_record_decode(&dump->block->record, dump->superblock.uuid, g, place,
					   block, &fields);
		if (verdict != WB_RECORD_VALID && verdict != WB_RECORD_UNKNOWN_TYPE) {
			if (!block && !is_zeros(dump->block))
				printf("place %" PRIu64 ": %s\n", place,
				       wb_record_verdict_text(verdict));
			return;
		}
		if (block && fields.segment_id != id)
			return;
		if (!block)
			printf("place %" PRIu64 ": segment %" PRIu64 "\n", place, fields.segment_id);
		id = fields.segment_id;
		print_record(&dump->block->record, &fields);
	}
}

int wb_cmd_dump(const struct wb_options *options)
{
	g_autoptr(GError) error = NULL;
	struct dump dump = { .store = wb_cache_file_open(options->argument, &error) };
	bool ok;

	if (!dump.store)
		return wb_report(error);
	dump.block = g_aligned_alloc0(1, sizeof *dump.block, 4096);
	for (unsigned i = 0; i < WB_SUPERBLOCK_COUNT; i++)
		dump_superblock(&dump, i);
	ok = wb_volume_read_superblock(dump.store, &dump.superblock);
	if (ok)
		for (uint64_t place = 0; place < dump.superblock.geometry.segment_count; place++)
			dump_segment(&dump, place);
	else
		wb_report_note("%s has no valid superblock, so where its records lie is not known",
			       options->argument);
	g_aligned_free(dump.block);
	wb_store_close(dump.store);
	return ok ? WB_EXIT_DONE : WB_EXIT_FAILED;
}
