/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The data behind the headers. A header and its data are one write, but a power
 * cut may keep the header and lose the data: the records that no durable claim
 * covers are checked, and the first bad one ends the log. Below the claim a bad
 * block is rot of one block, which its reader will see (P6), no end of a log.
 */
#include <inttypes.h>

#include "base/checksum.h"
#include "base/mutant.h"
#include "cache/cache.h"
#include "cache/recovery_scan.h"
#include "format/endian.h"

enum data_verdict { DATA_GOOD, DATA_BAD, DATA_UNREADABLE };

static struct wb_recovery_record *record_at(const struct wb_recovery_scan *scan, guint i)
{
	return &g_array_index(scan->result->records, struct wb_recovery_record, i);
}

static struct wb_entry entry_of(const struct wb_recovery_scan *scan,
				const struct wb_recovery_record *record, unsigned i)
{
	const struct wb_entry_disk *e = &g_array_index(scan->result->entries,
			struct wb_entry_disk, record->first_entry + i);

	return (struct wb_entry){ .address = wb_get_le48(e->address), .mask = e->mask,
				  .type = e->type,
				  .crc_or_length = wb_get_le32(e->crc_or_length) };
}

static enum data_verdict judge_block(const struct wb_recovery_scan *scan, uint32_t block,
				     uint32_t crc)
{
	const void *data = wb_recovery_block(scan, block);

	if (!data)
		return DATA_UNREADABLE;
	return wb_crc32c(data, WB_BLOCK_BYTES) == crc ? DATA_GOOD : DATA_BAD;
}

static void report(const struct wb_recovery_scan *scan,
		   const struct wb_recovery_record *record, unsigned i,
		   const struct wb_entry *entry, uint32_t block)
{
	uint64_t place = wb_geometry_place(scan->geometry, record->segment_id);

	if (scan->options->bad_block)
		scan->options->bad_block(scan->options->arg, record, i, entry,
					 wb_geometry_slot(scan->geometry, place, block));
}

/* The first fault of the record's data. With `report_all` each one is told,
 * and the answer does not matter. */
static enum data_verdict judge_record(struct wb_recovery_scan *scan,
				      const struct wb_recovery_record *record, bool report_all,
				      uint32_t *bad_block)
{
	enum data_verdict first = DATA_GOOD;
	uint32_t block = record->block_offset;

	for (unsigned i = 0; i < record->entry_count; i++) {
		struct wb_entry entry = entry_of(scan, record, i);
		enum data_verdict verdict;

		if (!wb_entry_has_block(entry.type))
			continue;
		block++;
		if (entry.type == WB_ENTRY_VOID)
			continue;
		wb_recovery_load_segment(scan, record->segment_id);
		verdict = judge_block(scan, block, entry.crc_or_length);
		if (verdict == DATA_GOOD)
			continue;
		if (report_all)
			report(scan, record, i, &entry, block);
		if (first == DATA_GOOD) {
			first = verdict;
			*bad_block = block;
		}
	}
	return first;
}

static gboolean refuse(struct wb_recovery_scan *scan, const struct wb_recovery_record *record,
		       uint32_t block, GError **error)
{
	g_autofree char *text = g_strdup_printf(
		"segment %" PRIu64 ", block %u, data of record %" PRIu64 ", cannot be read: %s; "
		"later records exist", record->segment_id, block, record->sequence,
		g_strerror(-scan->segment.errors[block]));

	return wb_recovery_refuse(scan, WB_CACHE_ERROR_IO, text, error);
}

static void cut_before(struct wb_recovery_scan *scan, guint i)
{
	struct wb_recovery *r = scan->result;

	if (r->damage) {
		wb_recovery_lose_from(scan, i);
		wb_recovery_sort_lost(scan);
	} else {
		r->torn_records = r->records->len - i;
	}
	g_array_set_size(r->entries, (guint)record_at(scan, i)->first_entry);
	g_array_set_size(scan->crcs, i);
	g_array_set_size(r->records, i);
}

/* Once for each segment, and at the end. */
static bool is_stopped(struct wb_recovery_scan *scan, guint i)
{
	const GArray *records = scan->result->records;
	uint64_t first = record_at(scan, 0)->segment_id, total, done;

	total = record_at(scan, records->len - 1)->segment_id - first + 1;
	done = i < records->len ? record_at(scan, i)->segment_id - first : total;
	return (i == 0 || i == records->len ||
		record_at(scan, i - 1)->segment_id != record_at(scan, i)->segment_id) &&
	       wb_recovery_is_stopped(scan, WB_RECOVERY_VERIFYING, done, total);
}

/* The segments of record `i` and of those behind it, up to `*end`. */
static void read_ahead(struct wb_recovery_scan *scan, guint i, guint *end)
{
	const GArray *records = scan->result->records;

	wb_recovery_ahead_drop_before(scan, record_at(scan, i)->segment_id);
	for (*end = MAX(*end, i); *end < records->len; ++*end) {
		if (!wb_recovery_ahead_begin(scan, record_at(scan, *end)->segment_id))
			return;
	}
}

gboolean wb_recovery_check_data(struct wb_recovery_scan *scan, GError **error)
{
	GArray *records = scan->result->records;
	uint64_t durable = MAX(wb_recovery_durable(scan), scan->durable_beyond);
	guint ahead = 0;

	for (guint i = 0; i < records->len; i++) {
		const struct wb_recovery_record *record = record_at(scan, i);
		bool is_safe = !record->is_live || record->sequence <= durable;
		enum data_verdict verdict;
		uint32_t block = 0;

		if ((is_safe || WB_MUTANT(unproven_data_unchecked)) && !scan->options->bad_block)
			continue;
		if (is_stopped(scan, i))
			return wb_recovery_refuse_stopped(scan, error);
		read_ahead(scan, i, &ahead);
		verdict = judge_record(scan, record, is_safe, &block);
		if (is_safe || verdict == DATA_GOOD)
			continue;
		/* Lost by the disk, perhaps not for ever, and not the last: no
		 * power cut looks like that for certain. */
		if (verdict == DATA_UNREADABLE && i + 1 < records->len &&
		    !refuse(scan, record, block, error))
			return FALSE;
		cut_before(scan, i);
		return TRUE;
	}
	if (records->len > 0 && is_stopped(scan, records->len))
		return wb_recovery_refuse_stopped(scan, error);
	return TRUE;
}
