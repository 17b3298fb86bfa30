/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Both superblocks are gone. Every record header says its volume, its segment id
 * and where in the segment it lies; with the size of the cache that leaves one
 * layout, and all else that a superblock says is in the newest headers too, or
 * can be given by whoever has the backing.
 */
#include <inttypes.h>
#include <string.h>

#include "cache/cache.h"
#include "cache/repair.h"
#include "format/block.h"
#include "format/endian.h"

#define BATCH 1024u
#define DEPTH 64u
#define SEGMENTS_TO_HOP 8u	/* enough to see where one ends */

struct candidate {
	struct wb_geometry geometry;
	uint64_t fits, misfits;		/* headers that lie where they say, or not */
};

struct guess {
	struct wb_store *store;
	const struct wb_repair_facts *facts;
	uint8_t *blocks;		/* BATCH of them, aligned */
};

/* Of this volume, and certainly meant to be a header. */
static bool is_header(const struct guess *guess, const uint8_t *block)
{
	const struct wb_record_disk *disk = (const void *)block;

	return memcmp(disk->magic, WB_RECORD_MAGIC, sizeof disk->magic) == 0 &&
	       memcmp(disk->uuid, guess->facts->uuid, sizeof disk->uuid) == 0 &&
	       wb_get_le32(disk->crc) == wb_block_compute_crc(disk);
}

static bool judge(const struct guess *guess, struct candidate *c, uint64_t place,
		  uint32_t block_offset, const uint8_t *block, struct wb_record_fields *fields)
{
	enum wb_record_verdict verdict;

	if (!is_header(guess, block))
		return false;
	verdict = wb_record_decode((const void *)block, guess->facts->uuid, &c->geometry, place,
				   block_offset, fields);
	if (verdict == WB_RECORD_VALID || verdict == WB_RECORD_UNKNOWN_TYPE) {
		c->fits++;
		return true;
	}
	c->misfits++;
	return false;
}

/* From header to header: a segment that is too large runs into the next one. */
static void hop(const struct guess *guess, struct candidate *c, uint64_t place)
{
	uint64_t offset = wb_geometry_segment_offset(&c->geometry, place);
	uint32_t blocks = MIN(c->geometry.segment_blocks, BATCH);
	struct wb_record_fields fields;
	uint32_t block = 0;

	if (wb_store_read_sync(guess->store, offset, guess->blocks,
			       (uint64_t)blocks * WB_BLOCK_BYTES))
		return;
	while (block < blocks && judge(guess, c, place, block,
				       guess->blocks + (size_t)block * WB_BLOCK_BYTES, &fields))
		block += 1u + fields.block_count;
}

/* First headers of `count` places; notes up to SEGMENTS_TO_HOP that fit. */
static unsigned judge_firsts(const struct guess *guess, struct candidate *c, uint64_t first,
			     uint64_t count, uint64_t *fitting, unsigned fitting_count)
{
	uint64_t offsets[BATCH];
	int errors[BATCH];
	struct wb_record_fields fields;

	for (uint64_t i = 0; i < count; i++)
		offsets[i] = wb_geometry_segment_offset(&c->geometry, first + i);
	wb_store_read_many_sync(guess->store, offsets, count, WB_BLOCK_BYTES, guess->blocks,
				errors, DEPTH);
	for (uint64_t i = 0; i < count; i++) {
		if (!errors[i] && judge(guess, c, first + i, 0,
					guess->blocks + i * WB_BLOCK_BYTES, &fields) &&
		    fitting_count < SEGMENTS_TO_HOP)
			fitting[fitting_count++] = first + i;
	}
	return fitting_count;
}

static void judge_candidate(const struct guess *guess, struct candidate *c, uint32_t segment_bytes)
{
	uint64_t fitting[SEGMENTS_TO_HOP] = { 0 };
	unsigned fitting_count = 0;

	*c = (struct candidate){ 0 };
	if (wb_geometry_compute(&c->geometry, guess->store->size_bytes, segment_bytes,
				guess->facts->backing_bytes) != WB_GEOMETRY_OK)
		return;
	for (uint64_t place = 0; place < c->geometry.segment_count; place += BATCH)
		fitting_count = judge_firsts(guess, c, place,
					     MIN(BATCH, c->geometry.segment_count - place),
					     fitting, fitting_count);
	for (unsigned i = 0; i < fitting_count; i++)
		hop(guess, c, fitting[i]);
}

/* With little in the log several layouts explain all there is; then one is as
 * good as the other, and the usual one is taken. */
static void choose(const struct guess *guess, struct candidate *best)
{
	static const uint32_t sizes[] = { WB_SEGMENT_BYTES_DEFAULT, 2u << 20, 4u << 20,
					  512u << 10, 256u << 10, 128u << 10, 64u << 10 };

	*best = (struct candidate){ 0 };
	for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
		struct candidate c;

		if (guess->facts->segment_bytes && guess->facts->segment_bytes != sizes[i])
			continue;
		judge_candidate(guess, &c, sizes[i]);
		if (c.fits > c.misfits && c.fits - c.misfits > best->fits - best->misfits)
			*best = c;
	}
}

gboolean wb_repair_guess_superblock(struct wb_store *cache_store,
				    const struct wb_repair_facts *facts,
				    struct wb_superblock *superblock, GError **error)
{
	struct guess guess = { .store = cache_store, .facts = facts };
	struct candidate best;

	guess.blocks = g_aligned_alloc(BATCH, WB_BLOCK_BYTES, WB_BLOCK_BYTES);
	choose(&guess, &best);
	g_aligned_free(guess.blocks);
	if (best.fits == 0) {
		g_set_error(error, WB_CACHE_ERROR, WB_CACHE_ERROR_DAMAGED,
			    "%s: both superblocks are lost, and no layout of a cache of %" PRIu64
			    " bytes fits the records found. Is it whole, and the cache of this "
			    "backing? If it is new, nothing was ever written to it. Nothing was "
			    "changed", cache_store->label, cache_store->size_bytes);
		return FALSE;
	}
	/* An epoch may have begun without a record: one that kills none stands for
	 * it. The tail is learnt from the headers. */
	*superblock = (struct wb_superblock){
		.geometry = best.geometry, .generation = 1,
		.epoch = MIN(facts->epoch, WB_NUMBER_MAX - 1), .epoch_start = WB_NUMBER_MAX,
		.tail_segment = 1, .tail_sequence = 1,
		.backing_mark_kind = facts->mark_kind,
		/* an older copy of this backing is not to be taken for it */
		.mark_epoch = MIN(facts->epoch, WB_NUMBER_MAX - 1),
	};
	memcpy(superblock->uuid, facts->uuid, sizeof superblock->uuid);
	memcpy(superblock->backing_mark, facts->uuid, sizeof superblock->backing_mark);
	g_strlcpy(superblock->backing_path, facts->backing_path,
		  sizeof superblock->backing_path);
	return TRUE;
}

/* The tail in the newest headers is often older than that in the lost superblocks:
 * what was drained would look dirty, and be laid over newer data of the backing.
 * A mark of an older epoch than the log's is that of an older backing. */
bool wb_repair_is_all_written(const struct wb_repair_facts *facts,
			      const struct wb_recovery *recovery,
			      struct wb_superblock *superblock)
{
	if (!facts->is_complete || facts->epoch < recovery->highest_epoch ||
	    recovery->damage || recovery->record_count == 0)
		return false;
	superblock->tail_segment = recovery->last_segment + 1;
	superblock->tail_sequence = recovery->cut_sequence + 1;
	superblock->cut_sequence = superblock->durable = recovery->cut_sequence;
	superblock->cut_segment = recovery->last_segment;
	superblock->cut_crc = recovery->cut_crc;
	return true;
}
