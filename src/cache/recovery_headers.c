/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading headers: first headers in a deep queue, segments in long pieces. A
 * read that fails is tried once more, block by block, so that one bad sector
 * spoils one block and not a segment. */
#include <string.h>

#include "cache/cache.h"
#include "base/mutant.h"
#include "cache/recovery_scan.h"
#include "format/block.h"

#define PIECE_BYTES WB_SEGMENT_BYTES_MIN	/* of a segment, read side by side */
#define PIECE_BLOCKS (PIECE_BYTES / WB_BLOCK_BYTES)
#define PIECES_MAX (WB_SEGMENT_BYTES_MAX / PIECE_BYTES)

void wb_recovery_image_init(struct wb_recovery_image *image, uint64_t blocks)
{
	image->memory = g_aligned_alloc0(blocks, WB_BLOCK_BYTES, WB_BLOCK_BYTES);
	image->data = image->memory;
	image->errors = g_new0(int, blocks);
	image->first_id = 0;
}

void wb_recovery_image_clear(struct wb_recovery_image *image)
{
	g_aligned_free(image->memory);
	g_free(image->errors);
	image->data = image->memory = NULL;
	image->errors = NULL;
}

static uint64_t offset_of(const struct wb_recovery_scan *scan, uint64_t place)
{
	return wb_geometry_segment_offset(scan->geometry, place);
}

/* Second try of one block. */
static void read_again(const struct wb_recovery_scan *scan, uint64_t offset,
		       struct wb_recovery_image *image, uint64_t block)
{
	image->errors[block] = wb_store_read_sync(scan->store, offset,
						  image->data + block * WB_BLOCK_BYTES,
						  WB_BLOCK_BYTES);
}

static void read_segment(struct wb_recovery_scan *scan, uint64_t id)
{
	uint64_t offset = offset_of(scan, wb_geometry_place(scan->geometry, id));
	size_t pieces = scan->geometry->segment_bytes / PIECE_BYTES;
	uint64_t offsets[PIECES_MAX] = { 0 };
	int errors[PIECES_MAX] = { 0 };

	for (size_t i = 0; i < pieces; i++)
		offsets[i] = offset + i * PIECE_BYTES;
	wb_store_read_many_sync(scan->store, offsets, pieces, PIECE_BYTES,
				scan->segment.data, errors, WB_RECOVERY_DEPTH);
	for (uint64_t block = 0; block < pieces * PIECE_BLOCKS; block++) {
		if (errors[block / PIECE_BLOCKS])
			read_again(scan, offset + block * WB_BLOCK_BYTES, &scan->segment,
				   block);
	}
}

void wb_recovery_load_segment(struct wb_recovery_scan *scan, uint64_t id)
{
	uint8_t *ahead;

	if (scan->segment.first_id == id)
		return;
	wb_recovery_unload_segment(scan);
	memset(scan->segment.errors, 0,
	       scan->geometry->segment_blocks * sizeof *scan->segment.errors);
	ahead = wb_recovery_ahead_take(scan, id);
	if (ahead)
		scan->segment.data = ahead;
	else
		read_segment(scan, id);
	scan->segment.first_id = id;
}

void wb_recovery_unload_segment(struct wb_recovery_scan *scan)
{
	scan->segment.data = scan->segment.memory;
	scan->segment.first_id = 0;
}

const void *wb_recovery_block(const struct wb_recovery_scan *scan, uint32_t block)
{
	return scan->segment.errors[block] ? NULL :
	       scan->segment.data + (size_t)block * WB_BLOCK_BYTES;
}

/* First blocks of `count` places from `place` on, round the ring. */
static void read_first_blocks(struct wb_recovery_scan *scan, uint64_t place, uint64_t count)
{
	uint64_t offsets[WB_RECOVERY_BATCH_BLOCKS] = { 0 };

	for (uint64_t i = 0; i < count; i++)
		offsets[i] = offset_of(scan, (place + i) % scan->geometry->segment_count);
	wb_store_read_many_sync(scan->store, offsets, count, WB_BLOCK_BYTES,
				scan->headers.data, scan->headers.errors, WB_RECOVERY_DEPTH);
	for (uint64_t i = 0; i < count; i++) {
		if (scan->headers.errors[i])
			read_again(scan, offsets[i], &scan->headers, i);
	}
}

const void *wb_recovery_load_first(struct wb_recovery_scan *scan, uint64_t id)
{
	uint64_t first = scan->headers.first_id, place;

	if (scan->has_all_headers) {
		place = wb_geometry_place(scan->geometry, id);
		return scan->headers.errors[place] ? NULL :
		       scan->headers.data + place * WB_BLOCK_BYTES;
	}
	if (first == 0 || id < first || id >= first + scan->headers_count) {
		scan->headers_count = MIN(MIN(WB_RECOVERY_BATCH_BLOCKS,
					      scan->geometry->segment_count),
					  scan->head_id - id + 1);
		read_first_blocks(scan, wb_geometry_place(scan->geometry, id),
				  scan->headers_count);
		scan->headers.first_id = first = id;
	}
	if (scan->headers.errors[id - first])
		return NULL;
	return scan->headers.data + (id - first) * WB_BLOCK_BYTES;
}

/* --- judging ------------------------------------------------------------- */

bool wb_recovery_has_fields(enum wb_record_verdict verdict)
{
	return verdict == WB_RECORD_VALID || verdict == WB_RECORD_UNKNOWN_TYPE;
}

enum wb_record_verdict wb_recovery_decode(const struct wb_recovery_scan *scan, uint64_t id,
					  uint32_t block, const void *data,
					  struct wb_record_fields *fields)
{
	return wb_record_decode(data, scan->uuid, scan->geometry,
				wb_geometry_place(scan->geometry, id), block, fields);
}

/*
 * The tail is the highest that any header says, a dead one's too: it was true
 * when it was written (what lies before it had been written back, by records
 * that were durable), and places before it may have been used again on the
 * strength of it. A lower one would have the walk begin in such a place.
 */
void wb_recovery_learn_tail(struct wb_recovery_scan *scan, uint64_t segment,
			    uint64_t sequence)
{
	if (sequence < scan->tail_sequence ||
	    (sequence == scan->tail_sequence && segment <= scan->tail_segment))
		return;
	scan->tail_segment = segment;
	scan->tail_sequence = sequence;
	scan->tail_has_moved = true;
}

void wb_recovery_learn(struct wb_recovery_scan *scan, const struct wb_record_fields *fields)
{
	wb_recovery_epochs_add(&scan->epochs, fields->epoch, fields->epoch_start,
			       fields->durable);
	wb_recovery_learn_tail(scan, fields->tail_segment, fields->tail_sequence);
}

bool wb_recovery_is_dead(struct wb_recovery_scan *scan, const struct wb_record_fields *fields)
{
	return wb_recovery_epochs_is_dead(&scan->epochs, fields->epoch, fields->sequence);
}

/* --- first headers ------------------------------------------------------- */

static void judge_first(struct wb_recovery_scan *scan, uint64_t place, uint64_t i)
{
	struct wb_recovery_first *first = &scan->firsts[place];
	const uint8_t *data = scan->headers.data + i * WB_BLOCK_BYTES;
	struct wb_record_fields fields;

	first->error = scan->headers.errors[i];
	first->verdict = WB_RECORD_NO_MAGIC;
	if (first->error)
		return;
	first->verdict = wb_recovery_decode(scan, place + 1, 0, data, &fields);
	first->is_zeros = first->verdict == WB_RECORD_NO_MAGIC &&
			  wb_block_is_zero(data, WB_BLOCK_BYTES);
	if (!wb_recovery_has_fields(first->verdict))
		return;
	first->segment_id = fields.segment_id;
	first->sequence = fields.sequence;
	first->epoch = fields.epoch;
	first->fills = 1u + fields.block_count >= scan->geometry->segment_blocks;
	wb_recovery_learn(scan, &fields);
}

static void mark_bad_places(struct wb_recovery_scan *scan)
{
	const struct wb_superblock *s = &scan->result->superblock;

	for (uint32_t i = 0; i < s->bad_count; i++)
		scan->firsts[s->bad_places[i]].is_bad_place = true;
}

gboolean wb_recovery_read_firsts(struct wb_recovery_scan *scan, GError **error)
{
	uint64_t n = scan->geometry->segment_count;

	scan->firsts = g_try_new0(struct wb_recovery_first, n);
	if (!scan->firsts) {
		g_set_error(error, WB_CACHE_ERROR, WB_CACHE_ERROR_LIMIT,
			    "%s: not enough memory to look at a cache of this size",
			    scan->store->label);
		return FALSE;
	}
	mark_bad_places(scan);
	for (uint64_t place = 0; place < n; place += WB_RECOVERY_BATCH_BLOCKS) {
		uint64_t count = MIN(WB_RECOVERY_BATCH_BLOCKS, n - place);

		read_first_blocks(scan, place, count);
		for (uint64_t i = 0; i < count; i++)
			judge_first(scan, place + i, i);
		if (wb_recovery_is_stopped(scan, WB_RECOVERY_READING, 0, n))
			return wb_recovery_refuse_stopped(scan, error);
	}
	/* Who waits for a takeover would wait for each of them once more. */
	scan->has_all_headers = n <= WB_RECOVERY_BATCH_BLOCKS;
	return TRUE;
}

struct wb_recovery_first *wb_recovery_first_of(const struct wb_recovery_scan *scan,
					       uint64_t id)
{
	return &scan->firsts[wb_geometry_place(scan->geometry, id)];
}

/* The id decides, not the place: what lies in a place from an earlier round of
 * the ring was freed long ago, however whole it looks. */
bool wb_recovery_is_in_use(struct wb_recovery_scan *scan, uint64_t id)
{
	const struct wb_recovery_first *first = wb_recovery_first_of(scan, id);

	return wb_recovery_has_fields(first->verdict) && first->segment_id == id &&
	       !wb_recovery_epochs_is_dead(&scan->epochs, first->epoch, first->sequence);
}

/* Ids of the log lie in (head - n, head]; dead headers may have higher ones,
 * which the timeline that won gives out once more. */
void wb_recovery_find_head(struct wb_recovery_scan *scan)
{
	scan->head_id = scan->result->superblock.cut_segment;
	for (uint64_t place = 0; place < scan->geometry->segment_count; place++) {
		const struct wb_recovery_first *first = &scan->firsts[place];

		if (first->segment_id > scan->head_id &&
		    wb_recovery_is_in_use(scan, first->segment_id))
			scan->head_id = first->segment_id;
	}
}

/*
 * The newest headers say the newest tail and the highest claim, and they are
 * seldom the first of their segment: a tail that only they know may already
 * have let older places be used again.
 */
void wb_recovery_learn_head(struct wb_recovery_scan *scan)
{
	struct wb_record_fields fields;
	uint64_t id = scan->head_id;
	uint32_t block = 0;

	if (id == 0 || !wb_recovery_is_in_use(scan, id) || WB_MUTANT(head_not_learnt))
		return;
	wb_recovery_load_segment(scan, id);
	while (block < scan->geometry->segment_blocks) {
		const void *data = wb_recovery_block(scan, block);

		if (!data || !wb_recovery_has_fields(
				wb_recovery_decode(scan, id, block, data, &fields)) ||
		    fields.segment_id != id)
			return;
		wb_recovery_learn(scan, &fields);
		block += 1u + fields.block_count;
	}
}
