/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The order of a scan: superblocks; first headers; then, until nothing new is
 * learnt: the newest segment that is not dead, its headers, the walk; then the
 * judgement on the end of the walk, and the data that no claim covers.
 */
#include "cache/recovery.h"

#include <inttypes.h>

#include "cache/cache.h"
#include "cache/limits.h"
#include "cache/recovery_scan.h"

/* Headers that lie about epochs could make a scan go on for ever. A sound log
 * needs one round. */
#define ROUNDS_MAX 16u

static gboolean refuse_contradictions(struct wb_recovery_scan *scan, GError **error)
{
	g_set_error(error, WB_CACHE_ERROR, WB_CACHE_ERROR_DAMAGED,
		    "%s: the headers of the log contradict each other about its epochs; "
		    "nothing was changed", scan->store->label);
	return FALSE;
}

static gboolean refuse_unknown_type(struct wb_recovery_scan *scan, GError **error)
{
	g_set_error(error, WB_CACHE_ERROR, WB_CACHE_ERROR_NOT_A_CACHE,
		    "%s: record %" PRIu64 " of the log has an entry type of a later version of "
		    "wbfs, which is needed to use this cache; nothing was changed",
		    scan->store->label,
		    scan->has_last ? scan->last_sequence + 1 : scan->tail_sequence);
	return FALSE;
}

bool wb_recovery_is_stopped(struct wb_recovery_scan *scan, enum wb_recovery_stage stage,
			    uint64_t done, uint64_t total)
{
	uint64_t bytes = scan->geometry->segment_bytes;

	if (scan->options->progress &&
	    !scan->options->progress(scan->options->progress_arg, stage, done * bytes,
				     total * bytes))
		scan->is_stopped = true;
	return scan->is_stopped;
}

gboolean wb_recovery_refuse_stopped(struct wb_recovery_scan *scan, GError **error)
{
	g_set_error(error, WB_CACHE_ERROR, WB_CACHE_ERROR_STOPPED,
		    "%s: looking through the log was stopped before its end",
		    scan->store->label);
	return FALSE;
}

static gboolean refuse_size(struct wb_recovery_scan *scan, GError **error)
{
	g_set_error(error, WB_CACHE_ERROR, WB_CACHE_ERROR_LIMIT,
		    "%s: the log has more entries than a cache of this size can hold; "
		    "nothing was changed", scan->store->label);
	return FALSE;
}

static gboolean refuse_lost(struct wb_recovery_scan *scan, GError **error)
{
	g_set_error(error, WB_CACHE_ERROR, WB_CACHE_ERROR_LIMIT,
		    "%s: the log notes more blocks as lost than a cache of this size can have "
		    "held; nothing was changed. `wbfs rescue` saves the rest", scan->store->label);
	return FALSE;
}

/* Repeated until the walk tells nothing new about epochs and tail: a header
 * met late may declare dead what was taken early. */
static gboolean walk_until_stable(struct wb_recovery_scan *scan, GError **error)
{
	for (unsigned round = 0; round < ROUNDS_MAX; round++) {
		unsigned version;

		wb_recovery_find_head(scan);
		version = scan->epochs.version;
		wb_recovery_learn_head(scan);
		if (scan->epochs.version != version)
			continue;
		scan->tail_has_moved = false;
		wb_recovery_walk(scan);
		if (scan->is_stopped)
			return wb_recovery_refuse_stopped(scan, error);
		if (scan->epochs.version != version || scan->tail_has_moved)
			continue;
		if (scan->has_unknown_type)
			return refuse_unknown_type(scan, error);
		if (scan->has_too_many)
			return refuse_size(scan, error);
		return scan->has_too_many_lost ? refuse_lost(scan, error) : TRUE;
	}
	return refuse_contradictions(scan, error);
}

/*
 * A tail that only headers behind the damage know is true all the same: they
 * were written when what lies before it was not needed any more, and its places
 * may have been used again. To walk from an older one would end in such a place,
 * and undo what was written back since.
 */
static gboolean walk_and_judge(struct wb_recovery_scan *scan, GError **error)
{
	for (unsigned round = 0; round < ROUNDS_MAX; round++) {
		if (!walk_until_stable(scan, error) || !wb_recovery_judge_end(scan, error))
			return FALSE;
		if (!scan->result->damage || scan->tail_sequence_beyond <= scan->tail_sequence)
			return TRUE;
		wb_recovery_learn_tail(scan, scan->tail_segment_beyond,
				       scan->tail_sequence_beyond);
	}
	return refuse_contradictions(scan, error);
}

/*
 * New records begin in a segment after `last_segment`; its place must not be
 * needed. With an empty log the tail's segment itself is free, unless records
 * from before the tail lie in it: then ids must not go back to it.
 */
static uint64_t find_last_segment(struct wb_recovery_scan *scan)
{
	const struct wb_recovery *r = scan->result;
	uint64_t last;

	if (r->record_count > 0)
		return g_array_index(r->records, struct wb_recovery_record,
				     r->records->len - 1).segment_id;
	last = scan->tail_segment - 1;
	if (wb_recovery_is_in_use(scan, scan->tail_segment) &&
	    wb_recovery_first_of(scan, scan->tail_segment)->sequence < scan->tail_sequence)
		last = scan->tail_segment;
	if (r->records->len > 0)
		last = MAX(last, g_array_index(r->records, struct wb_recovery_record,
					       r->records->len - 1).segment_id);
	return MAX(last, r->superblock.cut_segment);
}

static uint32_t find_cut_crc(const struct wb_recovery_scan *scan)
{
	const struct wb_recovery *r = scan->result;

	/* The last one collected, live or warm, is the cut: see the walk. */
	if (scan->crcs->len > 0)
		return g_array_index(scan->crcs, uint32_t, scan->crcs->len - 1);
	return r->superblock.cut_sequence == r->cut_sequence ? r->superblock.cut_crc : 0;
}

uint64_t wb_recovery_durable(struct wb_recovery_scan *scan)
{
	uint64_t claimed = wb_recovery_epochs_durable(&scan->epochs);
	uint64_t known = scan->options->ends_at ? *scan->options->ends_at : 0;

	return MAX(claimed, known);
}

static void conclude(struct wb_recovery_scan *scan)
{
	struct wb_recovery *r = scan->result;
	uint64_t epoch = wb_recovery_epochs_highest(&scan->epochs);

	/* A clean flag of an earlier stop says nothing when a later session is
	 * known, as when the newest copy of the superblock has rotted. */
	r->was_clean = (r->superblock.state_flags & WB_STATE_CLEAN) != 0 &&
		       epoch <= r->superblock.epoch;
	r->highest_epoch = MAX(epoch, scan->highest_epoch_beyond);
	r->tail_segment = scan->tail_segment;
	r->tail_sequence = scan->tail_sequence;
	r->record_count = scan->is_live ? r->records->len - scan->first_live : 0;
	r->cut_sequence = r->tail_sequence - 1 + r->record_count;
	r->durable = MIN(wb_recovery_durable(scan), r->cut_sequence);
	r->cut_crc = find_cut_crc(scan);
	r->last_segment = find_last_segment(scan);
	r->oldest_warm_segment = r->tail_segment;
	if (r->records->len > 0)
		r->oldest_warm_segment = MIN(r->tail_segment,
			g_array_index(r->records, struct wb_recovery_record, 0).segment_id);
}

static void begin(struct wb_recovery_scan *scan, struct wb_store *store,
		  const struct wb_recovery_options *options)
{
	static const struct wb_recovery_options none;

	*scan = (struct wb_recovery_scan){ .store = store };
	scan->options = options ? options : &none;
	scan->result = g_new0(struct wb_recovery, 1);
	scan->result->records = g_array_new(FALSE, FALSE, sizeof(struct wb_recovery_record));
	scan->result->entries = g_array_new(FALSE, FALSE, sizeof(struct wb_entry_disk));
	scan->result->lost_records = g_array_new(FALSE, FALSE,
						 sizeof(struct wb_recovery_record));
	scan->result->lost_entries = g_array_new(FALSE, FALSE, sizeof(struct wb_entry_disk));
	scan->crcs = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	scan->geometry = &scan->result->superblock.geometry;
	scan->uuid = scan->result->superblock.uuid;
	wb_recovery_epochs_init(&scan->epochs);
}

static void end(struct wb_recovery_scan *scan)
{
	wb_recovery_ahead_clear(scan);
	wb_recovery_image_clear(&scan->segment);
	wb_recovery_image_clear(&scan->headers);
	wb_recovery_epochs_clear(&scan->epochs);
	g_array_unref(scan->crcs);
	g_free(scan->firsts);
}

static void make_images(struct wb_recovery_scan *scan)
{
	wb_recovery_image_init(&scan->segment, scan->geometry->segment_blocks);
	wb_recovery_image_init(&scan->headers, MIN(WB_RECOVERY_BATCH_BLOCKS,
						   scan->geometry->segment_count));
}

static gboolean run(struct wb_recovery_scan *scan, GError **error)
{
	if (!wb_recovery_read_superblocks(scan, error))
		return FALSE;
	make_images(scan);
	return wb_recovery_read_firsts(scan, error) && walk_and_judge(scan, error) &&
	       wb_recovery_check_data(scan, error);
}

struct wb_recovery *wb_recovery_scan(struct wb_store *cache_store,
				     const struct wb_recovery_options *options,
				     GError **error)
{
	struct wb_recovery_scan scan;
	struct wb_recovery *result;
	gboolean ok;

	begin(&scan, cache_store, options);
	result = scan.result;
	ok = run(&scan, error);
	if (ok)
		conclude(&scan);
	/* What it frees is as large as the geometry says, which lies in the result. */
	end(&scan);
	if (ok)
		return result;
	wb_recovery_free(result);
	return NULL;
}

struct wb_recovery *wb_recovery_from_checkpoint(struct wb_store *cache_store)
{
	struct wb_recovery_scan scan;
	struct wb_recovery *result;
	bool ok;

	begin(&scan, cache_store, NULL);
	result = scan.result;
	ok = wb_recovery_read_superblocks(&scan, NULL);
	if (ok) {
		make_images(&scan);
		ok = wb_recovery_find_checkpoint(&scan);
	}
	end(&scan);
	if (ok)
		return result;
	wb_recovery_free(result);
	return NULL;
}

/* All that comes after counts on from these. What the codecs still take is valid and may be
 * the last of its kind: both superblocks would then be written with numbers that no later
 * opening takes. */
gboolean wb_recovery_check_numbers(const struct wb_recovery *recovery,
				   const struct wb_store *store, uint64_t mark_epoch,
				   GError **error)
{
	uint64_t epoch = MAX(recovery->highest_epoch, mark_epoch);
	uint64_t sequence = MAX(recovery->cut_sequence, recovery->tail_sequence);
	uint64_t segment = MAX(recovery->last_segment, recovery->tail_segment);
	uint64_t highest = MAX(recovery->superblock.generation,
			       MAX(epoch, MAX(sequence, segment)));

	if (highest <= WB_NUMBER_LIVING_MAX)
		return TRUE;
	g_set_error(error, WB_CACHE_ERROR, WB_CACHE_ERROR_DAMAGED,
		    "%s: the numbers in its superblocks and headers, or in the mark of its backing, "
		    "are at their end (%" PRIu64 "), so that nothing new can follow; nothing was "
		    "changed. `wbfs rescue` saves what can be read", store->label, highest);
	return FALSE;
}

gboolean wb_recovery_check_features(const char *label, const struct wb_superblock *superblock,
				    GError **error)
{
	if ((superblock->ro_compat & ~WB_RO_COMPAT_KNOWN) == 0)
		return TRUE;
	g_set_error(error, WB_CACHE_ERROR, WB_CACHE_ERROR_NOT_A_CACHE,
		    "cache %s: uses features of a later version of wbfs (ro_compat %#" PRIx64
		    "), which is needed to write to its volume; nothing was changed. This one can "
		    "only read it: `wbfs mount -o ro`, `wbfs rescue --output IMAGE`", label,
		    superblock->ro_compat);
	return FALSE;
}

uint32_t wb_recovery_count_blocks(const struct wb_recovery *recovery,
				  const struct wb_recovery_record *record)
{
	uint32_t blocks = 1;

	for (size_t i = 0; i < record->entry_count; i++)
		blocks += wb_entry_has_block(g_array_index(recovery->entries,
				struct wb_entry_disk, record->first_entry + i).type);
	return blocks;
}

void wb_recovery_free(struct wb_recovery *recovery)
{
	if (!recovery)
		return;
	g_array_unref(recovery->records);
	g_array_unref(recovery->entries);
	g_array_unref(recovery->lost_records);
	g_array_unref(recovery->lost_entries);
	g_free(recovery->damage);
	g_free(recovery);
}
