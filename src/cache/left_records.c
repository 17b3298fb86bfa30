/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/left_records.h"

#include "base/mutant.h"

static struct wb_left_stretch *stretch_at(const GArray *stretches, guint i)
{
	return &g_array_index(stretches, struct wb_left_stretch, i);
}

static uint32_t segment_blocks(const struct wb_region *region)
{
	return wb_region_get_shape(region).segment_bytes / WB_BLOCK_BYTES;
}

struct wb_record_disk *wb_left_records_header(const struct wb_region *region, uint32_t index,
					      uint32_t block)
{
	return (struct wb_record_disk *)(void *)(wb_region_buffer(region, index) +
						 (size_t)block * WB_BLOCK_BYTES);
}

/* --- finding ---------------------------------------------------------------------- */

/*
 * The header of record `sequence` in the buffer, and its block; NULL: it is not there.
 * From the first one on, header by header: only blocks where a header was put are taken
 * for one, not what users wrote.
 */
static struct wb_record_disk *find_record(const struct wb_region *region, uint32_t index,
					  const struct wb_region_run *run, uint64_t sequence,
					  uint32_t *block)
{
	struct wb_region_head head;
	struct wb_record_disk *disk;

	wb_region_get_head(region, &head);
	*block = 0;
	for (uint64_t s = run->first;; s++) {
		if (*block >= segment_blocks(region))
			return NULL;
		disk = wb_left_records_header(region, index, *block);
		if (!wb_record_is_begun(disk, head.uuid, s, segment_blocks(region)))
			return NULL;
		if (s == sequence)
			return disk;
		*block += 1 + wb_record_count_blocks(disk);
	}
}

/* FALSE: what the buffer says is not true. */
static bool find_stretch(const struct wb_region *region, uint32_t index, uint64_t durable,
			 struct wb_left_stretch *stretch)
{
	const struct wb_record_disk *disk;
	struct wb_region_run run;

	wb_region_get_run(region, index, &run);
	*stretch = (struct wb_left_stretch){ .index = index, .segment_id = run.segment_id,
					     .first = MAX(run.first, durable + 1),
					     .last = run.last };
	if (!find_record(region, index, &run, stretch->first, &stretch->block))
		return false;
	disk = find_record(region, index, &run, stretch->last, &stretch->end);
	if (!disk)
		return false;
	stretch->end += 1 + wb_record_count_blocks(disk);
	return stretch->end <= segment_blocks(region);
}

static gint compare(gconstpointer a, gconstpointer b)
{
	const struct wb_left_stretch *x = a, *y = b;

	if (x->first != y->first)
		return x->first < y->first ? -1 : 1;
	/* While a segment moves, two buffers may have the same records: the newer one
	 * comes first, and counts. */
	return x->segment_id > y->segment_id ? -1 : 1;
}

static bool has_records_behind(const struct wb_region *region, uint32_t index, uint64_t durable)
{
	struct wb_region_run run;

	wb_region_get_run(region, index, &run);
	return run.segment_id != 0 && run.last >= run.first && run.last > durable;
}

/* Whether there is a gap; without those that another one has, too. */
static bool is_complete(GArray *stretches, uint64_t *next)
{
	for (guint i = 0; i < stretches->len;) {
		if (stretch_at(stretches, i)->last < *next) {
			g_array_remove_index(stretches, i);
			continue;
		}
		if (stretch_at(stretches, i)->first != *next)
			return false;
		*next = stretch_at(stretches, i++)->last + 1;
	}
	return true;
}

GArray *wb_left_records_find(const struct wb_region *region, uint64_t *missing)
{
	GArray *stretches = g_array_new(FALSE, FALSE, sizeof(struct wb_left_stretch));
	struct wb_left_stretch stretch;
	struct wb_region_head head;

	wb_region_get_head(region, &head);
	for (uint32_t i = 0; i < wb_region_get_shape(region).buffer_count; i++) {
		if (!has_records_behind(region, i, head.durable))
			continue;
		if (!find_stretch(region, i, head.durable, &stretch)) {
			*missing = stretch.first;
			g_array_unref(stretches);
			return NULL;
		}
		g_array_append_val(stretches, stretch);
	}
	g_array_sort(stretches, compare);
	*missing = head.durable + 1;
	if (is_complete(stretches, missing))
		return stretches;
	g_array_unref(stretches);
	return NULL;
}

/* --- requests that were under way --------------------------------------------------- */

static struct wb_record_disk *find_in_any(const struct wb_region *region, uint64_t sequence)
{
	struct wb_region_run run;
	uint32_t block;

	for (uint32_t i = 0; i < wb_region_get_shape(region).buffer_count; i++) {
		wb_region_get_run(region, i, &run);
		if (run.segment_id == 0 || sequence < run.first || sequence > run.last)
			continue;
		return find_record(region, i, &run, sequence, &block);
	}
	return NULL;
}

static bool is_valid(const struct wb_record_disk *disk, uint32_t i)
{
	return i < wb_record_entry_count(disk) && disk->entries[i].type != WB_ENTRY_VOID;
}

/*
 * See executed.h. Voiding changes the memory, but nothing that anybody has seen, and it
 * does the same each time: until the piece is struck out, which comes last.
 */
static void settle_piece(const struct wb_region *region, uint64_t durable,
			 struct wb_executed *executed)
{
	uint64_t sequence = executed->piece_sequence;
	uint32_t first = executed->piece_entry, end = first + executed->piece_count;
	struct wb_record_disk *disk;
	bool is_whole = true;

	if (sequence == 0 || executed->done_bytes >= executed->piece_end_bytes)
		return;
	/* A record is not written before all of its pieces are done. */
	disk = sequence <= durable ? NULL : find_in_any(region, sequence);
	if (!disk || end > WB_RECORD_ENTRIES_MAX || end < first)
		return;
	for (uint32_t i = first; i < end; i++)
		is_whole = is_whole && is_valid(disk, i);
	for (uint32_t i = first; i < end && !is_whole && !WB_MUTANT(half_piece_kept); i++) {
		if (is_valid(disk, i))
			__atomic_store_n(&disk->entries[i].type, WB_ENTRY_VOID,
					 __ATOMIC_RELEASE);
	}
	if (is_whole && !WB_MUTANT(whole_piece_forgotten))
		wb_executed_done(executed, executed->piece_end_bytes);
}

void wb_left_records_settle(const struct wb_region *region)
{
	struct wb_region_head head;

	wb_region_get_head(region, &head);
	for (uint32_t i = 0; i < wb_region_get_shape(region).request_count; i++) {
		struct wb_executed *executed = wb_region_request(region, i);

		settle_piece(region, head.durable, executed);
		wb_executed_store(&executed->piece_sequence, 0);
	}
}
