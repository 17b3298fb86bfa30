/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The walk: one pass over the ring in the order of ids collects the records of
 * the chain. Below the tail it holds clean warm blocks: there a gap costs only
 * warmth, so what was collected before the gap is dropped. From the tail on it
 * ends at the first record that is not the next one.
 *
 * The next record is found by its sequence: behind the one before, or first in
 * a later segment. Not simply in the next segment: ids of bad places, of
 * segments whose write failed and of cut-off timelines were consumed and are
 * stepped over. It must not be dead, must have been written for this place
 * (the codec sees to that), with an id inside the window, and must carry the
 * CRC of the one before.
 */
#include "cache/recovery_scan.h"
#include "base/mutant.h"
#include "format/endian.h"

enum step { STEP_GO_ON, STEP_LEAVE_SEGMENT };

/* Data entries have a slot each; extents are bounded by the extent table, with
 * much to spare here. A crafted cache could ask for 330 per block. */
static uint64_t entries_max(const struct wb_recovery_scan *scan)
{
	return MIN((uint64_t)scan->geometry->slot_count + (UINT64_C(1) << 26),
		   (uint64_t)G_MAXUINT - WB_RECORD_ENTRIES_MAX);
}

bool wb_recovery_is_too_many(const struct wb_recovery_scan *scan, const GArray *entries)
{
	return entries->len > entries_max(scan);
}

/* Each lost block takes its own room in the table of extents. What was lost had a slot; this
 * program notes each in an entry of its own, which is none too many. */
static bool adds_too_many_lost(struct wb_recovery_scan *scan, const struct wb_record_disk *disk,
			       const struct wb_record_fields *f)
{
	for (unsigned i = 0; i < f->entry_count; i++) {
		if (disk->entries[i].type == WB_ENTRY_BAD)
			scan->lost_more += wb_get_le32(disk->entries[i].crc_or_length) - 1u;
	}
	return scan->lost_more > scan->geometry->slot_count && !scan->options->goes_past_damage;
}

static void forget_all(struct wb_recovery_scan *scan)
{
	g_array_set_size(scan->result->records, 0);
	g_array_set_size(scan->result->entries, 0);
	g_array_set_size(scan->crcs, 0);
	scan->has_last = false;
}

static void take(struct wb_recovery_scan *scan, const struct wb_record_disk *disk,
		 const struct wb_record_fields *f)
{
	struct wb_recovery *r = scan->result;
	struct wb_recovery_record record = {
		.sequence = f->sequence,
		.segment_id = f->segment_id,
		.block_offset = f->block_offset,
		.entry_count = f->entry_count,
		.is_live = f->sequence >= scan->tail_sequence,
		.first_entry = r->entries->len,
	};

	g_array_append_val(r->records, record);
	g_array_append_val(scan->crcs, f->crc);
	if (f->entry_count)
		g_array_append_vals(r->entries, disk->entries, f->entry_count);
	scan->has_last = true;
	scan->last_sequence = f->sequence;
	scan->last_crc = f->crc;
	scan->last_segment = f->segment_id;
	scan->last_end = f->block_offset + 1u + f->block_count;
}

static bool follows(const struct wb_recovery_scan *scan, const struct wb_record_fields *f)
{
	return scan->has_last && f->sequence == scan->last_sequence + 1 &&
	       (f->prev == scan->last_crc || WB_MUTANT(chain_unchecked));
}

static enum step step_warm(struct wb_recovery_scan *scan, const struct wb_record_disk *disk,
			   const struct wb_record_fields *f, bool is_known)
{
	/* Clean blocks may be dropped at will; the hop goes on in any case, for
	 * the first live record may lie behind. */
	if (!is_known || !follows(scan, f) || wb_recovery_is_too_many(scan, scan->result->entries))
		forget_all(scan);
	if (is_known)
		take(scan, disk, f);
	return STEP_GO_ON;
}

/*
 * The first live record. Its predecessor may be gone; where it was read, the
 * chain must hold across the tail. The one exception is the first record of an
 * epoch: the recovery before it may not have been able to read the predecessor, or
 * what was read here is of a timeline that had ended before. What said so lay in
 * headers that were not needed any more, and that may be gone while the older ones
 * are still there, with discard_cache.
 */
static bool may_begin(struct wb_recovery_scan *scan, const struct wb_record_fields *f)
{
	if (!scan->has_last || scan->last_sequence + 1 != f->sequence) {
		forget_all(scan);
		return true;
	}
	if (f->prev == scan->last_crc || WB_MUTANT(chain_unchecked))
		return true;
	if (f->sequence != f->epoch_start)
		return false;
	forget_all(scan);
	return true;
}

static enum step step_live(struct wb_recovery_scan *scan, const struct wb_record_disk *disk,
			   const struct wb_record_fields *f, bool is_known)
{
	if (scan->is_live ? !follows(scan, f) : !may_begin(scan, f))
		return STEP_LEAVE_SEGMENT;
	/* It is the next record, and we cannot read all of it: going on without
	 * would undo acknowledged writes. */
	if (!is_known) {
		scan->has_unknown_type = true;
		return STEP_LEAVE_SEGMENT;
	}
	if (wb_recovery_is_too_many(scan, scan->result->entries)) {
		scan->has_too_many = true;
		return STEP_LEAVE_SEGMENT;
	}
	if (adds_too_many_lost(scan, disk, f)) {
		scan->has_too_many_lost = true;
		return STEP_LEAVE_SEGMENT;
	}
	if (!scan->is_live)
		scan->first_live = scan->result->records->len;
	scan->is_live = true;
	take(scan, disk, f);
	return STEP_GO_ON;
}

static enum step step(struct wb_recovery_scan *scan, const struct wb_record_disk *disk,
		      const struct wb_record_fields *f, bool is_known)
{
	if (scan->options->ends_at && f->sequence > *scan->options->ends_at)
		return STEP_LEAVE_SEGMENT;
	if (scan->is_live)
		return step_live(scan, disk, f, is_known);
	if (f->sequence < scan->tail_sequence)
		return step_warm(scan, disk, f, is_known);
	if (f->sequence == scan->tail_sequence && f->segment_id >= scan->tail_segment)
		return step_live(scan, disk, f, is_known);
	return STEP_LEAVE_SEGMENT;
}

/* Could the chain go on with the first record of this segment? */
static bool is_candidate(struct wb_recovery_scan *scan, uint64_t id)
{
	const struct wb_recovery_first *first = wb_recovery_first_of(scan, id);

	if (!wb_recovery_is_in_use(scan, id))
		return false;
	if (scan->is_live)
		return first->sequence == scan->last_sequence + 1;
	if (id < scan->tail_segment)
		return first->sequence < scan->tail_sequence;
	return first->sequence <= scan->tail_sequence;
}

/* As far as it can be known before those between are read. */
static bool will_be_loaded(struct wb_recovery_scan *scan, uint64_t id)
{
	const struct wb_recovery_first *first = wb_recovery_first_of(scan, id);

	return wb_recovery_is_in_use(scan, id) && !first->fills &&
	       (id >= scan->tail_segment || first->sequence < scan->tail_sequence);
}

/* From segment `id` on, which is to be loaded now. */
static void read_ahead(struct wb_recovery_scan *scan, uint64_t id)
{
	wb_recovery_ahead_drop_before(scan, id);
	for (scan->ahead_id = MAX(scan->ahead_id, id); scan->ahead_id <= scan->head_id;
	     scan->ahead_id++) {
		if (will_be_loaded(scan, scan->ahead_id) &&
		    !wb_recovery_ahead_begin(scan, scan->ahead_id))
			return;
	}
}

/* Hops from header to header. */
static void walk_segment(struct wb_recovery_scan *scan, uint64_t id)
{
	bool fills = wb_recovery_first_of(scan, id)->fills;
	struct wb_record_fields f;
	enum wb_record_verdict verdict;
	uint32_t block = 0;

	/* A record that fills its segment costs one block; anything else costs
	 * one long read rather than a seek for each header. */
	if (!fills) {
		read_ahead(scan, id);
		wb_recovery_load_segment(scan, id);
		scan->result->short_bytes += scan->geometry->segment_bytes;
	}
	while (block < scan->geometry->segment_blocks) {
		const void *data = fills ? wb_recovery_load_first(scan, id) :
				   wb_recovery_block(scan, block);

		if (!data)
			return;
		verdict = wb_recovery_decode(scan, id, block, data, &f);
		if (!wb_recovery_has_fields(verdict) || f.segment_id != id)
			return;
		wb_recovery_learn(scan, &f);
		if (wb_recovery_is_dead(scan, &f) ||
		    step(scan, data, &f, verdict == WB_RECORD_VALID) != STEP_GO_ON)
			return;
		block += 1u + f.block_count;
		/* the disk gave something else the second time */
		if (fills && block < scan->geometry->segment_blocks)
			return;
	}
}

/* Nothing is live: what was collected is warm only if it ends at the tail. */
static void end_without_live(struct wb_recovery_scan *scan)
{
	const struct wb_superblock *s = &scan->result->superblock;

	if (!scan->has_last)
		return;
	if (scan->last_sequence + 1 != scan->tail_sequence ||
	    (s->cut_sequence == scan->last_sequence && s->cut_crc != 0 &&
	     s->cut_crc != scan->last_crc))
		forget_all(scan);
}

void wb_recovery_walk(struct wb_recovery_scan *scan)
{
	uint64_t n = scan->geometry->segment_count;
	uint64_t first = scan->head_id > n ? scan->head_id - n + 1 : 1, id = first;

	forget_all(scan);
	wb_recovery_ahead_drop_before(scan, UINT64_MAX);
	scan->ahead_id = 0;
	scan->is_live = false;
	scan->has_unknown_type = false;
	scan->has_too_many = scan->has_too_many_lost = false;
	scan->lost_more = 0;
	scan->result->short_bytes = 0;
	for (; id <= scan->head_id; id++) {
		if (WB_MUTANT(first_gap_ends_walk) && !wb_recovery_is_in_use(scan, id))
			break;
		if (is_candidate(scan, id))
			walk_segment(scan, id);
		if (scan->has_unknown_type || scan->has_too_many || scan->has_too_many_lost ||
		    wb_recovery_is_stopped(scan, WB_RECOVERY_READING, id - first + 1,
					   scan->head_id - first + 1))
			return;
	}
	if (!scan->is_live)
		end_without_live(scan);
}
