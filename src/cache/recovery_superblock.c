/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "cache/cache.h"
#include "cache/recovery_scan.h"
#include "format/endian.h"

struct copies {
	struct wb_superblock_disk *disk[WB_SUPERBLOCK_COUNT];
	struct wb_superblock decoded[WB_SUPERBLOCK_COUNT];
};

static int read_copy(struct wb_store *store, unsigned copy, void *buffer)
{
	uint64_t offset = wb_superblock_offset(copy);
	int error = wb_store_read_sync(store, offset, buffer, WB_BLOCK_BYTES);

	/* A disk that is just waking up fails once. */
	if (error)
		error = wb_store_read_sync(store, offset, buffer, WB_BLOCK_BYTES);
	return error;
}

static void read_copies(struct wb_recovery_scan *scan, struct copies *copies)
{
	struct wb_recovery *r = scan->result;

	for (unsigned i = 0; i < WB_SUPERBLOCK_COUNT; i++) {
		r->copy_error[i] = read_copy(scan->store, i, copies->disk[i]);
		if (r->copy_error[i]) {
			r->copy_verdict[i] = WB_SUPERBLOCK_BAD_CRC;
			continue;
		}
		r->copy_verdict[i] = wb_superblock_decode(copies->disk[i],
				scan->store->size_bytes, &copies->decoded[i],
				&r->copy_field[i]);
	}
}

static bool has_verdict(const struct wb_recovery *r, enum wb_superblock_verdict verdict)
{
	return r->copy_verdict[0] == verdict || r->copy_verdict[1] == verdict;
}

static void describe_copy(const struct wb_recovery *r, unsigned i, GString *text)
{
	g_string_append_printf(text, "copy %u at byte %" PRIu64 ": ", i,
			       wb_superblock_offset(i));
	if (r->copy_error[i])
		g_string_append_printf(text, "cannot be read: %s",
				       g_strerror(-r->copy_error[i]));
	else
		g_string_append(text, wb_superblock_verdict_text(r->copy_verdict[i]));
	if (r->copy_field[i])
		g_string_append_printf(text, ", field %s", r->copy_field[i]);
}

static gboolean refuse(struct wb_recovery_scan *scan, enum wb_cache_error code,
		       const char *what, GError **error)
{
	g_autoptr(GString) text = g_string_new(NULL);

	describe_copy(scan->result, 0, text);
	g_string_append(text, "; ");
	describe_copy(scan->result, 1, text);
	g_set_error(error, WB_CACHE_ERROR, code, "%s: %s (superblock %s); nothing was changed",
		    scan->store->label, what, text->str);
	return FALSE;
}

/* A copy whose CRC is right names the size that the cache was made with. */
static gboolean refuse_truncated(struct wb_recovery_scan *scan, uint64_t cache_bytes,
				 GError **error)
{
	g_set_error(error, WB_CACHE_ERROR, WB_CACHE_ERROR_DAMAGED,
		    "%s: the cache is truncated: it has %" PRIu64 " bytes, but was formatted "
		    "with %" PRIu64 "; nothing was changed", scan->store->label,
		    scan->store->size_bytes, cache_bytes);
	return FALSE;
}

static gboolean refuse_without_valid(struct wb_recovery_scan *scan,
				     const struct copies *copies, GError **error)
{
	struct wb_recovery *r = scan->result;

	for (unsigned i = 0; i < WB_SUPERBLOCK_COUNT; i++) {
		uint64_t cache_bytes = wb_get_le64(copies->disk[i]->cache_bytes);

		if (r->copy_verdict[i] == WB_SUPERBLOCK_BAD_FIELD &&
		    cache_bytes > scan->store->size_bytes)
			return refuse_truncated(scan, cache_bytes, error);
	}
	if (r->copy_error[0] && r->copy_error[1])
		return refuse(scan, WB_CACHE_ERROR_IO, "the superblocks cannot be read", error);
	if (r->copy_error[0] || r->copy_error[1])
		return refuse(scan, WB_CACHE_ERROR_IO,
			      "one superblock cannot be read and the other is no good", error);
	if (has_verdict(r, WB_SUPERBLOCK_BAD_CRC) || has_verdict(r, WB_SUPERBLOCK_BAD_FIELD))
		return refuse(scan, WB_CACHE_ERROR_DAMAGED,
			      "no superblock is whole; if `wbfs format` was cut off here, "
			      "run it again; if not, `wbfs check --backing PATH` finds the "
			      "layout again", error);
	return refuse(scan, WB_CACHE_ERROR_NOT_A_CACHE,
		      "this is not a wbfs cache; `wbfs format` makes one", error);
}

/*
 * A copy that is not valid but whole (CRC right) was written by somebody who
 * knew more than we do. Where it is not certainly the older one, mounting the
 * other would undo what was written since.
 */
static gboolean check_other_copy(struct wb_recovery_scan *scan, const struct copies *copies,
				 unsigned other, GError **error)
{
	struct wb_recovery *r = scan->result;
	uint64_t valid = copies->decoded[1 - other].generation;

	if (r->copy_verdict[other] != WB_SUPERBLOCK_BAD_FIELD)
		return TRUE;
	if (wb_get_le64(copies->disk[other]->generation) < valid)
		return TRUE;
	return refuse(scan, WB_CACHE_ERROR_DAMAGED,
		      "the newer superblock has a field that cannot be", error);
}

static bool have_same_layout(const struct wb_superblock *a, const struct wb_superblock *b)
{
	/* Not the backing's size: growing the image changes one copy first. */
	return memcmp(a->uuid, b->uuid, sizeof a->uuid) == 0 &&
	       a->geometry.cache_bytes == b->geometry.cache_bytes &&
	       a->geometry.segment_bytes == b->geometry.segment_bytes &&
	       a->geometry.segment_count == b->geometry.segment_count &&
	       a->geometry.ring_offset == b->geometry.ring_offset &&
	       a->geometry.checkpoint_offset == b->geometry.checkpoint_offset &&
	       a->geometry.checkpoint_bytes == b->geometry.checkpoint_bytes;
}

static gboolean choose_of_two(struct wb_recovery_scan *scan, const struct copies *copies,
			      GError **error)
{
	const struct wb_superblock *s = copies->decoded;

	if (!have_same_layout(&s[0], &s[1]))
		return refuse(scan, WB_CACHE_ERROR_DAMAGED,
			      "the two superblocks are of different volumes or layouts", error);
	if (s[0].generation == s[1].generation &&
	    memcmp(copies->disk[0], copies->disk[1], WB_BLOCK_BYTES) != 0)
		return refuse(scan, WB_CACHE_ERROR_DAMAGED,
			      "the two superblocks differ and none is the newer", error);
	scan->result->newest_copy = s[1].generation > s[0].generation;
	return TRUE;
}

static gboolean choose(struct wb_recovery_scan *scan, const struct copies *copies,
		       GError **error)
{
	struct wb_recovery *r = scan->result;
	bool is_valid[2] = { r->copy_verdict[0] == WB_SUPERBLOCK_VALID,
			     r->copy_verdict[1] == WB_SUPERBLOCK_VALID };

	if (has_verdict(r, WB_SUPERBLOCK_TOO_NEW))
		return refuse(scan, WB_CACHE_ERROR_NOT_A_CACHE,
			      "the cache was written by a later version of wbfs, "
			      "which is needed to use it", error);
	if (!is_valid[0] && !is_valid[1])
		return refuse_without_valid(scan, copies, error);
	if (is_valid[0] && is_valid[1])
		return choose_of_two(scan, copies, error);
	r->newest_copy = is_valid[1];
	return check_other_copy(scan, copies, 1 - r->newest_copy, error);
}

static void learn(struct wb_recovery_scan *scan, const struct wb_superblock *s)
{
	/* The cut is a claim too: when the superblock was written, the log had
	 * been flushed up to it. */
	wb_recovery_epochs_add(&scan->epochs, s->epoch, s->epoch_start,
			       MAX(s->durable, s->cut_sequence));
	wb_recovery_learn_tail(scan, s->tail_segment, s->tail_sequence);
}

gboolean wb_recovery_read_superblocks(struct wb_recovery_scan *scan, GError **error)
{
	struct wb_recovery *r = scan->result;
	struct wb_recovery_image image;
	struct copies copies;
	gboolean ok = FALSE;

	if (scan->store->size_bytes < WB_SUPERBLOCK_AREA_BYTES) {
		g_set_error(error, WB_CACHE_ERROR, WB_CACHE_ERROR_NOT_A_CACHE,
			    "%s: this is not a wbfs cache: it has only %" PRIu64 " bytes; "
			    "nothing was changed", scan->store->label, scan->store->size_bytes);
		return FALSE;
	}
	wb_recovery_image_init(&image, WB_SUPERBLOCK_COUNT);
	for (unsigned i = 0; i < WB_SUPERBLOCK_COUNT; i++)
		copies.disk[i] = (void *)(image.data + i * WB_BLOCK_BYTES);
	read_copies(scan, &copies);
	if (scan->options->superblock) {
		r->superblock = *scan->options->superblock;
		r->newest_copy = 1;
		r->is_guessed = true;
		learn(scan, &r->superblock);
		ok = TRUE;
	} else if (choose(scan, &copies, error)) {
		r->superblock = copies.decoded[r->newest_copy];
		for (unsigned i = 0; i < WB_SUPERBLOCK_COUNT; i++) {
			if (r->copy_verdict[i] == WB_SUPERBLOCK_VALID)
				learn(scan, &copies.decoded[i]);
		}
		ok = TRUE;
	}
	wb_recovery_image_clear(&image);
	return ok;
}

/*
 * The newest, if the other one is whole as well. It may not be durable, though it was
 * read and the cache flushed since: the flush for it may have failed, and whoever wrote
 * it have ended then; a disk that has dropped what it could not write says that the
 * next flush went well. Were the other one overwritten, both could be lost. Nobody has
 * built on what the newest alone says, for an update is done with both copies; so it
 * can be given up for the other.
 *
 * Else the broken one. It was not touched before the flush for the other went well.
 */
unsigned wb_recovery_first_copy(const struct wb_recovery *recovery)
{
	bool are_whole = recovery->copy_verdict[0] == WB_SUPERBLOCK_VALID &&
			 recovery->copy_verdict[1] == WB_SUPERBLOCK_VALID;

	return are_whole ? recovery->newest_copy : recovery->newest_copy ^ 1;
}
