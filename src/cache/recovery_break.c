/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The walk has come to a record that is not there. Is that the end of the log,
 * as a power cut leaves it, or a hole in its middle?
 *
 * Damage, and refused:
 *  - any durable claim (of a header, of a superblock, a superblock's cut) covers
 *    the missing record: somebody was told that it is safe;
 *  - the record, or one behind it, could not be read and later live headers
 *    exist: the disk may give it back another day;
 *  - the missing record lies whole behind a header that cannot be hopped over.
 * Everything else is the end. What is found by looking beyond is never
 * replayed: these blocks may be user data that looks like a header.
 */
#include <errno.h>
#include <inttypes.h>

#include "cache/cache.h"
#include "cache/limits.h"
#include "cache/recovery_scan.h"

struct view {
	uint64_t missing;		/* sequence */
	uint64_t segment_id;		/* where the walk stopped */
	uint32_t block;			/* first block that was not taken */
	/* found */
	uint64_t claim, claim_segment;	/* highest durable and where it stands */
	bool has_later;			/* a live header with a higher sequence */
	bool has_missing;		/* the missing record, out of reach */
	int error;			/* of reading where the record could be */
	uint64_t error_segment;
	uint32_t error_block;
	uint32_t data_end;		/* blocks below it are data of a record found */
};

/* Data of a record that was found is no header, whatever it looks like. */
static void collect(struct wb_recovery_scan *scan, struct view *view, uint32_t block,
		    const void *data, const struct wb_record_fields *f)
{
	if (!scan->options->goes_past_damage || block < view->data_end)
		return;
	view->data_end = block + 1u + f->block_count;
	wb_recovery_add_lost(scan, data, f);
	if (f->tail_sequence > scan->tail_sequence_beyond) {
		scan->tail_sequence_beyond = f->tail_sequence;
		scan->tail_segment_beyond = f->tail_segment;
	}
}

static void look_at_block(struct wb_recovery_scan *scan, struct view *view, uint64_t id,
			  uint32_t block)
{
	const void *data = wb_recovery_block(scan, block);
	struct wb_record_fields f;

	if (!data || !wb_recovery_has_fields(wb_recovery_decode(scan, id, block, data, &f)))
		return;
	if (f.epoch <= WB_NUMBER_BELIEVED_MAX)
		scan->highest_epoch_beyond = MAX(scan->highest_epoch_beyond, f.epoch);
	if (f.segment_id < id || wb_recovery_is_dead(scan, &f))
		return;
	/* (of a later round too: the place may have been used again) */
	if (f.sequence >= view->missing)
		collect(scan, view, block, data, &f);
	if (f.segment_id != id)
		return;
	if (f.sequence == view->missing && block > 0 &&
	    !(id == view->segment_id && block == view->block))
		view->has_missing = true;
	if (f.sequence <= view->missing)
		return;
	view->has_later = true;
	if (f.durable > view->claim) {
		view->claim = f.durable;
		view->claim_segment = id;
	}
}

/* A place in the list of bad ones was given up: that it cannot be read is no
 * news, and nothing that counts was put there since. */
static void note_error(struct wb_recovery_scan *scan, struct view *view, uint64_t id,
		       uint32_t block)
{
	int error = scan->segment.errors[block];

	if (!error || view->error || wb_recovery_first_of(scan, id)->is_bad_place)
		return;
	view->error = error;
	view->error_segment = id;
	view->error_block = block;
}

static void look_at_segment(struct wb_recovery_scan *scan, struct view *view, uint64_t id,
			    uint32_t from)
{
	if (from >= scan->geometry->segment_blocks)
		return;
	wb_recovery_load_segment(scan, id);
	note_error(scan, view, id, from);
	view->data_end = 0;
	for (uint32_t block = from; block < scan->geometry->segment_blocks; block++)
		look_at_block(scan, view, id, block);
}

/*
 * Must the segment after the head be looked at? Its first header may be the one
 * that rotted, and then only the records behind it know that it was durable. A
 * place that was never begun shows zeros or a whole header of an earlier round
 * or timeline; rot shows neither. The very next one is looked at in any case.
 */
static bool is_worth_a_look(const struct wb_recovery_scan *scan, uint64_t id)
{
	const struct wb_recovery_first *first = wb_recovery_first_of(scan, id);

	if (first->error)
		return true;
	return !wb_recovery_has_fields(first->verdict) && !first->is_zeros;
}

static void look_beyond(struct wb_recovery_scan *scan, struct view *view)
{
	uint64_t last = view->segment_id + scan->geometry->segment_count - 1;
	bool is_next = true;

	look_at_segment(scan, view, view->segment_id, view->block);
	for (uint64_t id = view->segment_id + 1; id <= last; id++) {
		if (id > scan->head_id) {
			bool is_bad = wb_recovery_first_of(scan, id)->is_bad_place;

			/* A bad place shows what it will; the log went on behind it. */
			if (!is_next && !is_bad && !is_worth_a_look(scan, id))
				break;
			is_next = is_next && is_bad;
		}
		look_at_segment(scan, view, id, 0);
	}
}

/* Where the missing record should begin: behind the last one, unless nothing
 * was spoilt there and the next segment looks spoilt. */
static void find_spot(struct wb_recovery_scan *scan, const struct view *view, uint64_t *id,
		      uint32_t *block)
{
	struct wb_record_fields f;
	enum wb_record_verdict verdict;

	*id = view->segment_id;
	*block = view->block;
	if (view->block < scan->geometry->segment_blocks) {
		wb_recovery_load_segment(scan, *id);
		if (!wb_recovery_block(scan, *block))
			return;
		verdict = wb_recovery_decode(scan, *id, *block, wb_recovery_block(scan, *block),
					     &f);
		if (verdict == WB_RECORD_BAD_CRC || verdict == WB_RECORD_BAD_FIELD ||
		    !is_worth_a_look(scan, *id + 1))
			return;
	}
	*id += 1;
	*block = 0;
}

static void describe(struct wb_recovery_scan *scan, const struct view *view, GString *text)
{
	struct wb_record_fields f;
	enum wb_record_verdict verdict;
	uint64_t id;
	uint32_t block;

	find_spot(scan, view, &id, &block);
	wb_recovery_load_segment(scan, id);
	g_string_append_printf(text, "record %" PRIu64 " is missing; segment %" PRIu64
			       " (place %" PRIu64 "), block %u, where it should be, ",
			       view->missing, id, wb_geometry_place(scan->geometry, id), block);
	if (!wb_recovery_block(scan, block)) {
		g_string_append_printf(text, "cannot be read: %s",
				       g_strerror(-scan->segment.errors[block]));
		return;
	}
	verdict = wb_recovery_decode(scan, id, block, wb_recovery_block(scan, block), &f);
	if (wb_recovery_has_fields(verdict))
		g_string_append_printf(text, "holds record %" PRIu64 " of segment %" PRIu64
				       " and epoch %" PRIu64, f.sequence, f.segment_id, f.epoch);
	else
		g_string_append_printf(text, "is %s", wb_record_verdict_text(verdict));
}

static gboolean refuse_damage(struct wb_recovery_scan *scan, const struct view *view,
			      uint64_t durable, GError **error)
{
	g_autoptr(GString) text = g_string_new("the log is damaged in its middle: ");

	describe(scan, view, text);
	if (durable >= view->missing)
		g_string_append_printf(text, "; but all records up to %" PRIu64 " were durable",
				       durable);
	else
		g_string_append(text, "; but the record lies whole behind it");
	return wb_recovery_refuse(scan, WB_CACHE_ERROR_DAMAGED, text->str, error);
}

static gboolean refuse_unreadable(struct wb_recovery_scan *scan, const struct view *view,
				  GError **error)
{
	g_autofree char *text = g_strdup_printf(
		"segment %" PRIu64 " (place %" PRIu64 "), block %u cannot be read: %s; record %"
		PRIu64 " may be there, and later records exist", view->error_segment,
		wb_geometry_place(scan->geometry, view->error_segment), view->error_block,
		g_strerror(-view->error), view->missing);

	return wb_recovery_refuse(scan, WB_CACHE_ERROR_IO, text, error);
}

/* The end that is known, and nothing missing before it. */
static bool is_known_end(const struct wb_recovery_scan *scan)
{
	const uint64_t *end = scan->options->ends_at;

	return end && (scan->is_live ? scan->last_sequence == *end :
				       scan->tail_sequence == *end + 1);
}

gboolean wb_recovery_judge_end(struct wb_recovery_scan *scan, GError **error)
{
	uint64_t durable = wb_recovery_durable(scan);
	struct view view = { .segment_id = scan->tail_segment,
			     .missing = scan->tail_sequence };

	/* Warm records may end before the segment that the tail names. */
	if (scan->has_last) {
		view.segment_id = scan->last_segment;
		view.block = scan->last_end;
		view.missing = scan->last_sequence + 1;
	}
	wb_recovery_forget_lost(scan);
	if (is_known_end(scan))
		return TRUE;
	look_beyond(scan, &view);
	wb_recovery_sort_lost(scan);
	durable = MAX(durable, view.claim);
	scan->result->claimed = MAX(scan->result->claimed, durable);
	scan->durable_beyond = durable;
	if (durable >= view.missing || view.has_missing)
		return refuse_damage(scan, &view, durable, error);
	if (view.error && view.has_later)
		return refuse_unreadable(scan, &view, error);
	/* Nobody was promised what lies behind the end of the log. */
	wb_recovery_forget_lost(scan);
	return TRUE;
}
