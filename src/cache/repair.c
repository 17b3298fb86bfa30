/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The log ends at b - 1. Superblocks with epoch e = 1 + the highest seen anywhere
 * and epoch_start b make every record >= b DEAD, and cap every durable claim of
 * an older epoch below b. They say cut and durable = b - 1 themselves, so all up
 * to there has to be durable first, as at opening.
 */
#include "cache/repair.h"

#include <string.h>

#include "cache/cache.h"
#include "cache/flush.h"
#include "cache/range_set.h"
#include "format/endian.h"

static bool is_whole(const struct wb_recovery *recovery, unsigned copy)
{
	return recovery->copy_error[copy] == 0 &&
	       recovery->copy_verdict[copy] == WB_SUPERBLOCK_VALID;
}

enum wb_repair_need wb_repair_need(const struct wb_recovery *recovery)
{
	if (recovery->damage)
		return WB_REPAIR_LOG;
	if (recovery->is_guessed || (!is_whole(recovery, 0) && !is_whole(recovery, 1)))
		return WB_REPAIR_SUPERBLOCKS;
	for (unsigned copy = 0; copy < WB_SUPERBLOCK_COUNT; copy++)
		if (!is_whole(recovery, copy))
			return WB_REPAIR_SUPERBLOCK;
	return WB_REPAIR_NOTHING;
}

/* --- the log ---------------------------------------------------------------------- */

static uint64_t offset_of(const struct wb_recovery *recovery,
			  const struct wb_recovery_record *record)
{
	const struct wb_geometry *g = &recovery->superblock.geometry;
	uint64_t place = wb_geometry_place(g, record->segment_id);

	return wb_geometry_slot_offset(g, wb_geometry_slot(g, place, record->block_offset));
}

/* As opening does: records that no claim covers may have been dropped by a flush
 * that failed, and be there only for readers. The same bytes, written again, are
 * covered by the next flush. One whose place cannot be written any more is no
 * worse off than all the others there. */
static int rewrite_unproven(struct wb_store *store, const struct wb_recovery *recovery)
{
	const struct wb_geometry *g = &recovery->superblock.geometry;
	void *buffer = g_aligned_alloc(g->segment_blocks, WB_BLOCK_BYTES, WB_BLOCK_BYTES);
	int error = 0;

	for (guint i = 0; i < recovery->records->len && !error; i++) {
		const struct wb_recovery_record *record =
			&g_array_index(recovery->records, struct wb_recovery_record, i);
		uint64_t offset = offset_of(recovery, record);
		uint64_t length = wb_recovery_count_blocks(recovery, record) *
				  (uint64_t)WB_BLOCK_BYTES;

		if (!record->is_live || record->sequence <= recovery->durable)
			continue;
		error = wb_store_read_sync(store, offset, buffer, length);
		if (!error)
			error = wb_store_write_sync(store, offset, buffer, length);
		else
			break;
		if (error && wb_flush_is_place_error(error))
			error = 0;
	}
	g_aligned_free(buffer);
	return error;
}

static void end_log(struct wb_superblock *s, const struct wb_recovery *recovery)
{
	s->epoch = recovery->highest_epoch + 1;
	s->epoch_start = recovery->cut_sequence + 1;
	s->cut_sequence = recovery->cut_sequence;
	s->cut_segment = recovery->last_segment;
	s->cut_crc = recovery->cut_crc;
	s->durable = recovery->cut_sequence;
	s->tail_segment = recovery->tail_segment;
	s->tail_sequence = recovery->tail_sequence;
	s->state_flags = 0;
	s->checkpoint_used = 0;
	s->checkpoint_crc = 0;
	/* The backing may have something newer than a clean copy, from a record that
	 * is given up now: a reader would get one or the other. And copies that were
	 * dropped once, when another superblock was there, stay dropped. */
	s->warm_sequence = recovery->cut_sequence + 1;
}

/* --- the superblocks ----------------------------------------------------------------- */

static int write_copy(struct wb_store *store, struct wb_superblock *s, unsigned copy)
{
	void *block = g_aligned_alloc(1, WB_BLOCK_BYTES, WB_BLOCK_BYTES);
	int error;

	s->generation++;
	wb_superblock_encode(s, block);
	error = wb_store_write_sync(store, wb_superblock_offset(copy), block, WB_BLOCK_BYTES);
	g_aligned_free(block);
	return error ? error : wb_store_flush_sync(store);
}

/* The other one only when the first is durable: one of them is whole at any moment. A copy that is to be given its twin again is
 * all that a log without damage needs. */
static int write_copies(struct wb_store *store, struct wb_superblock *s,
			const struct wb_recovery *recovery)
{
	unsigned first = wb_recovery_first_copy(recovery);
	int error = write_copy(store, s, first);

	if (!error && wb_repair_need(recovery) != WB_REPAIR_SUPERBLOCK)
		error = write_copy(store, s, first ^ 1);
	return error;
}

static gboolean check_numbers(const struct wb_store *store, const struct wb_superblock *s,
			      GError **error)
{
	if (s->epoch <= WB_NUMBER_MAX && s->generation < WB_NUMBER_MAX - 2 &&
	    s->epoch_start <= WB_NUMBER_MAX)
		return TRUE;
	g_set_error(error, WB_CACHE_ERROR, WB_CACHE_ERROR_DAMAGED,
		    "%s: cannot be repaired: the numbers in its superblocks and headers are at "
		    "their end, so that no new epoch can follow; nothing was changed. `wbfs "
		    "rescue` saves what can be read", store->label);
	return FALSE;
}

gboolean wb_repair_apply(struct wb_store *store, const struct wb_recovery *recovery,
			 GError **error)
{
	struct wb_superblock s = recovery->superblock;
	enum wb_repair_need need = wb_repair_need(recovery);
	bool is_new_epoch = need == WB_REPAIR_LOG || need == WB_REPAIR_SUPERBLOCKS;
	const char *doing = "writing the end of the log again";
	int result = 0;

	if (need == WB_REPAIR_NOTHING)
		return TRUE;
	if (!wb_recovery_check_features(store->label, &s, error))
		return FALSE;
	if (is_new_epoch)
		end_log(&s, recovery);
	if (!check_numbers(store, &s, error))
		return FALSE;
	if (is_new_epoch)
		result = rewrite_unproven(store, recovery);
	if (!result) {
		doing = "flushing";
		result = wb_store_flush_sync(store);
	}
	if (!result) {
		doing = "writing the superblocks";
		result = write_copies(store, &s, recovery);
	}
	if (!result)
		return TRUE;
	g_set_error(error, WB_CACHE_ERROR, WB_CACHE_ERROR_IO,
		    "%s: cannot be repaired: %s failed: %s. `wbfs rescue` saves what can be read",
		    store->label, doing, g_strerror(-result));
	return FALSE;
}

/* --- what was lost --------------------------------------------------------------------- */

struct listing {
	GArray *ranges;
	struct wb_range_set *seen;
	enum wb_repair_loss loss;
};

static void add_range(void *arg, uint64_t start, uint64_t end)
{
	struct listing *listing = arg;
	struct wb_repair_range range = { .first = start, .count = end - start,
					 .loss = listing->loss };

	g_array_append_val(listing->ranges, range);
}

static void list_entry(struct listing *listing, const struct wb_entry_disk *e)
{
	uint64_t address = wb_get_le48(e->address);
	uint64_t count = wb_entry_has_block(e->type) ? 1 : wb_get_le32(e->crc_or_length);

	/* What a CLEAN entry holds, the backing has. */
	if (e->type == WB_ENTRY_VOID || e->type == WB_ENTRY_CLEAN)
		return;
	listing->loss = e->type == WB_ENTRY_DISCARD ? WB_REPAIR_LOST_DISCARD :
						      WB_REPAIR_LOST_WRITE;
	wb_range_set_cover(listing->seen, address, address + count, add_range, listing);
}

static gint compare_ranges(gconstpointer a, gconstpointer b)
{
	const struct wb_repair_range *x = a, *y = b;

	return x->first < y->first ? -1 : x->first > y->first;
}

static void merge_ranges(GArray *ranges)
{
	struct wb_repair_range *all = (struct wb_repair_range *)ranges->data;
	guint kept = 0;

	g_array_sort(ranges, compare_ranges);
	for (guint i = 0; i < ranges->len; i++) {
		struct wb_repair_range *last = kept ? &all[kept - 1] : NULL;

		if (last && last->loss == all[i].loss &&
		    last->first + last->count == all[i].first)
			last->count += all[i].count;
		else
			all[kept++] = all[i];
	}
	g_array_set_size(ranges, kept);
}

GArray *wb_repair_list_lost(const struct wb_recovery *recovery)
{
	struct listing listing = {
		.ranges = g_array_new(FALSE, FALSE, sizeof(struct wb_repair_range)),
		.seen = wb_range_set_new(),
	};

	for (guint i = recovery->lost_records->len; i-- > 0;) {
		const struct wb_recovery_record *record =
			&g_array_index(recovery->lost_records, struct wb_recovery_record, i);

		for (unsigned j = record->entry_count; j-- > 0;)
			list_entry(&listing, &g_array_index(recovery->lost_entries,
					struct wb_entry_disk, record->first_entry + j));
	}
	wb_range_set_free(listing.seen);
	merge_ranges(listing.ranges);
	return listing.ranges;
}

static void add_gap(GArray *gaps, uint64_t first, uint64_t last)
{
	struct wb_repair_gap gap = { .first = first, .last = last };

	if (first <= last)
		g_array_append_val(gaps, gap);
}

GArray *wb_repair_list_gaps(const struct wb_recovery *recovery)
{
	GArray *gaps = g_array_new(FALSE, FALSE, sizeof(struct wb_repair_gap));
	uint64_t next = recovery->cut_sequence + 1;

	for (guint i = 0; i < recovery->lost_records->len; i++) {
		uint64_t sequence = g_array_index(recovery->lost_records,
						  struct wb_recovery_record, i).sequence;

		add_gap(gaps, next, sequence - 1);
		next = MAX(next, sequence + 1);
	}
	add_gap(gaps, next, recovery->claimed);
	return gaps;
}

void wb_repair_take_lost(struct wb_recovery *recovery)
{
	for (guint i = 0; i < recovery->lost_records->len; i++) {
		struct wb_recovery_record record =
			g_array_index(recovery->lost_records, struct wb_recovery_record, i);

		record.first_entry += recovery->entries->len;
		record.is_live = true;
		g_array_append_val(recovery->records, record);
	}
	g_array_append_vals(recovery->entries, recovery->lost_entries->data,
			    recovery->lost_entries->len);
	g_array_set_size(recovery->lost_records, 0);
	g_array_set_size(recovery->lost_entries, 0);
}
