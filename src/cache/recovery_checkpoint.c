/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Does the checkpoint of the last clean stop count? It does if the newest
 * superblock has the clean flag and everything agrees with it. That superblock is
 * the last that was written to this cache, so nothing came after the checkpoint; the
 * two looks at the ring are for disks on which that is not so: one that lost its
 * newest superblocks, or halves of a mirror that went separate ways. Whatever is
 * odd, the log is read, and that says what is wrong.
 */
#include <string.h>

#include "base/mutant.h"
#include "cache/recovery_scan.h"

static bool says_so(const struct wb_recovery_scan *scan)
{
	const struct wb_superblock *s = &scan->result->superblock;

	/* Features that this program does not know may have their own idea of it. */
	return (s->state_flags & WB_STATE_CLEAN) != 0 && s->checkpoint_used > 0 &&
	       s->compat == 0 && s->ro_compat == 0;
}

/* The other copy, too, knows no later session and no other tail. One that cannot be
 * read could: what is left would be of before it. */
static bool is_newest(struct wb_recovery_scan *scan)
{
	const struct wb_recovery *r = scan->result;
	const struct wb_superblock *s = &r->superblock;

	for (unsigned i = 0; i < WB_SUPERBLOCK_COUNT; i++) {
		if (r->copy_verdict[i] != WB_SUPERBLOCK_VALID)
			return false;
	}
	return wb_recovery_epochs_highest(&scan->epochs) == s->epoch &&
	       scan->tail_segment == s->tail_segment && scan->tail_sequence == s->tail_sequence;
}

static bool read_head(struct wb_recovery_scan *scan)
{
	struct wb_recovery *r = scan->result;
	struct wb_checkpoint_disk *disk = g_aligned_alloc(1, sizeof *disk, WB_BLOCK_BYTES);
	bool ok = !wb_store_read_sync(scan->store, scan->geometry->checkpoint_offset, disk,
				      sizeof *disk) &&
		  wb_checkpoint_decode(disk, &r->superblock, &r->checkpoint) ==
			  WB_CHECKPOINT_VALID;

	g_aligned_free(disk);
	return ok;
}

/* The last record lies where it should, and no other follows it there. */
static bool has_last_record(struct wb_recovery_scan *scan)
{
	const struct wb_checkpoint *c = &scan->result->checkpoint;
	struct wb_record_fields fields = { .sequence = 0 };
	uint32_t block = 0, next = 0;

	if (c->last_sequence == 0)
		return true;
	if (c->last_segment == 0)
		return false;
	wb_recovery_load_segment(scan, c->last_segment);
	while (next < scan->geometry->segment_blocks) {
		const void *data = wb_recovery_block(scan, next);
		struct wb_record_fields f;

		if (!data || wb_recovery_decode(scan, c->last_segment, next, data, &f) !=
				     WB_RECORD_VALID ||
		    f.segment_id != c->last_segment || f.epoch > c->epoch ||
		    (next > 0 && f.sequence != fields.sequence + 1))
			break;
		fields = f;
		block = next;
		next = block + 1u + f.block_count;
	}
	return fields.sequence == c->last_sequence && fields.crc == c->last_crc;
}

static bool is_bad_place(const struct wb_superblock *superblock, uint64_t place)
{
	for (uint32_t i = 0; i < superblock->bad_count; i++) {
		if (superblock->bad_places[i] == place)
			return true;
	}
	return false;
}

/* Where a later session would have begun; 0: there is no such place. */
static uint64_t next_segment(const struct wb_recovery_scan *scan)
{
	uint64_t id = scan->result->checkpoint.last_segment + 1;

	for (uint64_t tried = 0; tried < scan->geometry->segment_count; tried++, id++) {
		if (!is_bad_place(&scan->result->superblock,
				  wb_geometry_place(scan->geometry, id)))
			return id;
	}
	return 0;
}

/* What cannot be read there may be a later session's. */
static bool is_continued(struct wb_recovery_scan *scan)
{
	uint64_t id = next_segment(scan);
	struct wb_record_fields f;
	const void *data;

	if (WB_MUTANT(checkpoint_outlives_opening))
		return false;
	scan->head_id = id;
	data = id ? wb_recovery_load_first(scan, id) : NULL;
	if (!data)
		return true;
	return wb_recovery_has_fields(wb_recovery_decode(scan, id, 0, data, &f)) &&
	       f.epoch > scan->result->superblock.epoch;
}

bool wb_recovery_find_checkpoint(struct wb_recovery_scan *scan)
{
	struct wb_recovery *r = scan->result;
	const struct wb_checkpoint *c = &r->checkpoint;

	if (!says_so(scan) || !is_newest(scan) || !read_head(scan) || !has_last_record(scan) ||
	    is_continued(scan))
		return false;
	r->has_checkpoint = true;
	r->was_clean = true;
	r->highest_epoch = r->superblock.epoch;
	r->tail_segment = c->tail_segment;
	r->tail_sequence = c->tail_sequence;
	r->durable = r->cut_sequence = c->last_sequence;
	r->cut_crc = c->last_crc;
	r->last_segment = c->last_segment;
	r->oldest_warm_segment = c->tail_segment;
	return true;
}
