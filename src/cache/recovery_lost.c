/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What lies behind damage. A mount is refused there; whoever has to decide what
 * to do about it is told where the log ends for certain, and which later records
 * can still be read.
 */
#include "cache/recovery_scan.h"

void wb_recovery_forget_lost(struct wb_recovery_scan *scan)
{
	struct wb_recovery *r = scan->result;

	g_array_set_size(r->lost_records, 0);
	g_array_set_size(r->lost_entries, 0);
	g_clear_pointer(&r->damage, g_free);
}

void wb_recovery_add_lost(struct wb_recovery_scan *scan, const struct wb_record_disk *disk,
			  const struct wb_record_fields *f)
{
	struct wb_recovery *r = scan->result;
	struct wb_recovery_record record = {
		.sequence = f->sequence,
		.segment_id = f->segment_id,
		.block_offset = f->block_offset,
		.entry_count = f->entry_count,
		.first_entry = r->lost_entries->len,
	};

	if (wb_recovery_is_too_many(scan, r->lost_entries))
		return;
	g_array_append_val(r->lost_records, record);
	if (f->entry_count)
		g_array_append_vals(r->lost_entries, disk->entries, f->entry_count);
}

void wb_recovery_lose_from(struct wb_recovery_scan *scan, guint index)
{
	struct wb_recovery *r = scan->result;

	for (guint i = index; i < r->records->len; i++) {
		struct wb_recovery_record record =
			g_array_index(r->records, struct wb_recovery_record, i);
		size_t first = record.first_entry;

		record.first_entry = r->lost_entries->len;
		record.is_live = false;
		g_array_append_val(r->lost_records, record);
		if (record.entry_count)
			g_array_append_vals(r->lost_entries, &g_array_index(r->entries,
					    struct wb_entry_disk, first), record.entry_count);
	}
}

static gint compare_records(gconstpointer a, gconstpointer b)
{
	const struct wb_recovery_record *x = a, *y = b;

	return x->sequence < y->sequence ? -1 : x->sequence > y->sequence;
}

void wb_recovery_sort_lost(struct wb_recovery_scan *scan)
{
	struct wb_recovery *r = scan->result;
	GArray *lost = r->lost_records;

	g_array_sort(lost, compare_records);
	if (lost->len > 0)
		r->claimed = MAX(r->claimed, g_array_index(lost, struct wb_recovery_record,
							   lost->len - 1).sequence);
}

gboolean wb_recovery_refuse(struct wb_recovery_scan *scan, enum wb_cache_error code,
			    const char *damage, GError **error)
{
	if (scan->options->goes_past_damage) {
		g_free(scan->result->damage);
		scan->result->damage = g_strdup(damage);
		return TRUE;
	}
	g_set_error(error, WB_CACHE_ERROR, code,
		    "%s: %s; nothing was changed. `wbfs check` says what can be kept",
		    scan->store->label, damage);
	return FALSE;
}
