/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/takeover.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/checksum.h"
#include "base/mutant.h"
#include "cache/cache.h"
#include "cache/flush.h"
#include "cache/left_records.h"
#include "cache/limits.h"
#include "format/endian.h"

#define WRITE_TRIES 2u
#define FLUSH_TRIES 3u

struct work {
	struct wb_takeover *takeover;
	const struct wb_geometry *geometry;
	struct wb_region_head head;
	GArray *stretches;		/* of struct wb_left_stretch */
	char *image;			/* of one segment */
	uint32_t last_crc;		/* of the record before the next one */
	bool is_moving;			/* all headers are made anew */
};

static struct wb_left_stretch *stretch_at(const struct work *work, guint i)
{
	return &g_array_index(work->stretches, struct wb_left_stretch, i);
}

/* --- making records whole ----------------------------------------------------------- */

static void count_wrong_blocks(struct work *work, const struct wb_record_disk *disk)
{
	const char *block = (const char *)disk;

	for (unsigned i = 0; i < wb_record_entry_count(disk); i++) {
		struct wb_entry entry;

		wb_record_get_entry(disk, i, &entry);
		if (!wb_entry_has_block(entry.type))
			continue;
		block += WB_BLOCK_BYTES;
		if (entry.type != WB_ENTRY_VOID &&
		    wb_crc32c(block, WB_BLOCK_BYTES) != entry.crc_or_length)
			work->takeover->wrong_blocks++;
	}
}

static void check_blocks(struct work *work)
{
	const struct wb_record_disk *disk;

	for (guint i = 0; i < work->stretches->len; i++) {
		const struct wb_left_stretch *stretch = stretch_at(work, i);

		for (uint32_t block = stretch->block; block < stretch->end;
		     block += 1 + wb_record_count_blocks(disk)) {
			disk = wb_left_records_header(work->takeover->region, stretch->index, block);
			count_wrong_blocks(work, disk);
		}
	}
}

/* A record that was sealed stays as it may be on the SSD already. */
static void make_whole(struct work *work, struct wb_record_disk *disk, uint64_t segment_id,
		       uint32_t block)
{
	const struct wb_recovery *recovery = work->takeover->recovery;

	if (!work->is_moving && wb_record_is_sealed(disk, work->last_crc)) {
		work->last_crc = wb_get_le32(disk->crc);
		return;
	}
	if (!WB_MUTANT(headers_not_mended))
		wb_record_mend(disk);
	wb_record_move(disk, recovery->superblock.epoch, recovery->superblock.epoch_start,
		       segment_id, (uint16_t)block);
	work->last_crc = wb_record_seal(disk, work->last_crc, work->head.durable,
					recovery->tail_segment, recovery->tail_sequence);
}

static void add_to_recovery(struct wb_recovery *r, const struct wb_record_disk *disk,
			    uint64_t segment_id, uint32_t block)
{
	struct wb_recovery_record record = {
		.sequence = wb_get_le64(disk->sequence), .segment_id = segment_id,
		.block_offset = block, .entry_count = (uint16_t)wb_record_entry_count(disk),
		.is_live = true, .first_entry = r->entries->len,
	};

	g_array_append_val(r->records, record);
	if (record.entry_count)
		g_array_append_vals(r->entries, disk->entries, record.entry_count);
}

/* Into the image, which is a copy: the memory stays as it is. */
static void load(struct work *work, const struct wb_left_stretch *stretch)
{
	struct wb_record_disk *disk;
	uint32_t blocks = stretch->end - stretch->block;

	memcpy(work->image, wb_left_records_header(work->takeover->region, stretch->index, stretch->block),
	       (size_t)blocks * WB_BLOCK_BYTES);
	for (uint32_t at = 0; at < blocks; at += 1 + wb_record_count_blocks(disk)) {
		disk = (struct wb_record_disk *)(void *)(work->image +
							 (size_t)at * WB_BLOCK_BYTES);
		make_whole(work, disk, stretch->to_segment, stretch->to_block + at);
		add_to_recovery(work->takeover->recovery, disk, stretch->to_segment,
				stretch->to_block + at);
	}
}

/* --- writing ------------------------------------------------------------------------ */

/* To where one can go back. */
struct point {
	uint32_t last_crc;
	guint records, entries;
};

static struct point point_of(const struct work *work)
{
	const struct wb_recovery *r = work->takeover->recovery;

	return (struct point){ work->last_crc, r->records->len, r->entries->len };
}

static void go_back(struct work *work, struct point point)
{
	work->last_crc = point.last_crc;
	g_array_set_size(work->takeover->recovery->records, point.records);
	g_array_set_size(work->takeover->recovery->entries, point.entries);
}

static int write_stretch(struct work *work, const struct wb_left_stretch *stretch)
{
	const struct wb_geometry *g = work->geometry;
	uint64_t offset = wb_geometry_slot_offset(g, wb_geometry_slot(g,
			wb_geometry_place(g, stretch->to_segment), stretch->to_block));
	struct point before = point_of(work);
	int error = 0;

	/* A disk that is just waking up fails once. */
	for (unsigned try = 0; try < WRITE_TRIES; try++) {
		go_back(work, before);
		load(work, stretch);
		error = wb_store_write_sync(work->takeover->store, offset, work->image,
				(uint64_t)(stretch->end - stretch->block) * WB_BLOCK_BYTES);
		if (!error)
			break;
	}
	return error;
}

/* 0, or the error; *failed: what could not be written, NULL if it was the flush. A
 * flush that failed may have dropped what it was to cover: all is written again. */
static int write_all(struct work *work, const struct wb_left_stretch **failed)
{
	struct point begin = point_of(work);
	int error = 0;

	for (unsigned try = 0; try < FLUSH_TRIES; try++) {
		go_back(work, begin);
		for (guint i = 0; i < work->stretches->len; i++) {
			*failed = stretch_at(work, i);
			error = write_stretch(work, *failed);
			if (error) {
				go_back(work, begin);
				return error;
			}
		}
		*failed = NULL;
		error = WB_MUTANT(takeover_not_flushed) ? 0 :
			wb_store_flush_sync(work->takeover->store);
		if (!error)
			return 0;
	}
	return error;
}

static void stay_in_place(struct work *work)
{
	for (guint i = 0; i < work->stretches->len; i++) {
		struct wb_left_stretch *stretch = stretch_at(work, i);

		stretch->to_segment = stretch->segment_id;
		stretch->to_block = stretch->block;
	}
}

/* --- elsewhere ---------------------------------------------------------------------- */

static bool is_bad_place(const struct wb_superblock *superblock, uint64_t place)
{
	for (uint32_t i = 0; i < superblock->bad_count; i++) {
		if (superblock->bad_places[i] == place)
			return true;
	}
	return false;
}

static bool give_up_place(struct work *work, uint64_t segment_id)
{
	struct wb_superblock *superblock = &work->takeover->recovery->superblock;
	uint64_t place = wb_geometry_place(work->geometry, segment_id);

	if (is_bad_place(superblock, place))
		return true;
	if (superblock->bad_count >= WB_SUPERBLOCK_BAD_PLACES ||
	    work->geometry->segment_count - superblock->bad_count <= WB_GOOD_SEGMENTS_MIN)
		return false;
	superblock->bad_places[superblock->bad_count++] = (uint32_t)place;
	return true;
}

/*
 * From the first one's segment on, as few places further as there are bad ones among
 * them: what lies in the others is only what is written here again, and dead as soon as
 * the superblocks are durable. Behind the newest one a place has to be free.
 */
static bool find_places(struct work *work)
{
	const struct wb_recovery *r = work->takeover->recovery;
	uint64_t id = stretch_at(work, 0)->segment_id;
	uint64_t newest = stretch_at(work, work->stretches->len - 1)->segment_id;

	for (guint i = 0; i < work->stretches->len; i++, id++) {
		struct wb_left_stretch *stretch = stretch_at(work, i);

		while (is_bad_place(&r->superblock, wb_geometry_place(work->geometry, id)))
			id++;
		if (id > newest && id >= r->tail_segment + work->geometry->segment_count)
			return false;
		stretch->to_segment = id;
		stretch->to_block = id == stretch->segment_id ? stretch->block : 0;
	}
	return true;
}

/* Both copies, one after the other, the older one first. */
static int write_superblocks(struct work *work)
{
	struct wb_takeover *takeover = work->takeover;
	struct wb_recovery *r = takeover->recovery;
	struct wb_superblock_disk *disk = (void *)work->image;
	unsigned copy = wb_recovery_first_copy(r);
	int error = 0;

	for (unsigned i = 0; i < WB_SUPERBLOCK_COUNT && !error; i++, copy ^= 1) {
		r->superblock.generation++;
		wb_superblock_encode(&r->superblock, disk);
		error = wb_store_write_sync(takeover->store, wb_superblock_offset(copy), disk,
					    WB_BLOCK_BYTES);
		if (!error)
			error = wb_store_flush_sync(takeover->store);
		if (error)
			return error;
		r->newest_copy = copy;
		r->copy_verdict[copy] = WB_SUPERBLOCK_VALID;
		r->copy_error[copy] = 0;
	}
	wb_region_set_generation(takeover->region, r->superblock.generation);
	return 0;
}

/* An update was under way, or its flush had failed: then the disk may give back what it
 * no longer means to keep, and another flush would not help. Or a later version has died,
 * whose bits of compat are not to outlive a write by this one. */
static int prove_superblocks(struct work *work)
{
	const struct wb_superblock *superblock = &work->takeover->recovery->superblock;

	if ((superblock->generation == wb_region_generation(work->takeover->region) &&
	     (superblock->compat & ~WB_COMPAT_KNOWN) == 0) ||
	    WB_MUTANT(superblocks_believed))
		return 0;
	return write_superblocks(work);
}

/*
 * A relocation was under way, or it becomes one: as in relocate.h, a new epoch that
 * begins behind the last durable record, and all records behind that written anew. The
 * memory does not change, so the next one who takes over can do it all again, in an epoch
 * of its own.
 */
static int write_elsewhere(struct work *work, const struct wb_left_stretch **failed)
{
	struct wb_recovery *r = work->takeover->recovery;
	struct wb_superblock *superblock = &r->superblock;
	int error;

	*failed = NULL;
	if (work->stretches->len > 0 && !find_places(work))
		return -ENOSPC;
	superblock->epoch = ++r->highest_epoch;
	superblock->epoch_start = work->head.durable + 1;
	superblock->cut_sequence = work->head.durable;
	superblock->cut_segment = r->last_segment;
	superblock->cut_crc = work->head.durable_crc;
	superblock->tail_segment = r->tail_segment;
	superblock->tail_sequence = r->tail_sequence;
	superblock->durable = work->head.durable;
	superblock->state_flags = 0;
	superblock->checkpoint_used = superblock->checkpoint_crc = 0;
	work->is_moving = true;
	error = write_superblocks(work);
	return error ? error : write_all(work, failed);
}

/* A flush of the place's making, and another place may take it. */
static int write_somewhere(struct work *work)
{
	const struct wb_recovery *r = work->takeover->recovery;
	const struct wb_left_stretch *failed = NULL;
	int error;

	if (WB_MUTANT(moved_records_in_place) ||
	    (r->superblock.epoch == work->head.epoch && r->highest_epoch == work->head.epoch)) {
		stay_in_place(work);
		error = prove_superblocks(work);
		if (!error)
			error = write_all(work, &failed);
	} else {
		error = write_elsewhere(work, &failed);
	}
	while (error && failed && wb_flush_is_place_error(error) &&
	       give_up_place(work, failed->to_segment))
		error = write_elsewhere(work, &failed);
	return error;
}

/* --- the door ------------------------------------------------------------------------- */

/* Clean blocks of segments whose places were in use again, which the SSD did not say. */
static void drop_overwritten(struct work *work)
{
	struct wb_recovery *r = work->takeover->recovery;
	const struct wb_recovery_record *record;
	guint count = 0;

	for (; count < r->records->len; count++) {
		record = &g_array_index(r->records, struct wb_recovery_record, count);
		if (record->segment_id + work->geometry->segment_count > r->last_segment)
			break;
		g_assert(!record->is_live);
	}
	if (count > 0)
		g_array_remove_range(r->records, 0, count);
}

static uint64_t last_sequence(const struct work *work)
{
	guint count = work->stretches->len;

	return count > 0 ? stretch_at(work, count - 1)->last : work->head.durable;
}

/* A block that is not what its entry says is rot, not the end of the log: that its record
 * was durable must not depend on what comes next, nor on whether anything does. */
static int claim_wrong_blocks(struct work *work)
{
	struct wb_superblock *superblock = &work->takeover->recovery->superblock;

	if (work->takeover->wrong_blocks == 0)
		return 0;
	superblock->durable = last_sequence(work);
	return write_superblocks(work);
}

/* `durable` first: with the new epoch alone the records would seem to belong to where
 * they are in the memory. Without it there are none, and one epoch more is begun. */
static void conclude(struct work *work)
{
	struct wb_recovery *r = work->takeover->recovery;
	uint64_t last = last_sequence(work);

	if (work->stretches->len > 0)
		r->last_segment = stretch_at(work, work->stretches->len - 1)->to_segment;
	if (!WB_MUTANT(overwritten_replayed))
		drop_overwritten(work);
	work->takeover->record_count = last - work->head.durable;
	r->record_count += work->takeover->record_count;
	r->cut_sequence = r->durable = last;
	r->cut_crc = work->last_crc;
	wb_region_set_durable(work->takeover->region, last, work->last_crc);
	wb_region_set_epoch(work->takeover->region, r->superblock.epoch,
			    r->superblock.epoch_start);
}

static gboolean refuse_memory(const struct work *work, uint64_t sequence, GError **error)
{
	g_set_error(error, WB_CACHE_ERROR, WB_CACHE_ERROR_DAMAGED,
		    "cache %s: the memory that a former process left is damaged: record %" PRIu64
		    " of the log is not where it should be; mounted without that memory, the "
		    "volume has all that was synced. Nothing was changed",
		    work->takeover->store->label, sequence);
	return FALSE;
}

static gboolean write_log(struct work *work, GError **error)
{
	int result;

	check_blocks(work);
	result = write_somewhere(work);
	if (!result)
		result = claim_wrong_blocks(work);
	if (!result) {
		conclude(work);
		return TRUE;
	}
	g_set_error(error, WB_CACHE_ERROR, WB_CACHE_ERROR_IO,
		    "cache %s: what a former process left in memory cannot be written to the "
		    "log: %s; it is still there, for another try", work->takeover->store->label,
		    g_strerror(-result));
	return FALSE;
}

gboolean wb_takeover_write_log(struct wb_takeover *takeover, GError **error)
{
	struct work work = {
		.takeover = takeover, .geometry = &takeover->recovery->superblock.geometry,
	};
	uint64_t missing;
	gboolean ok;

	work.stretches = wb_left_records_find(takeover->region, &missing);
	if (!work.stretches)
		return refuse_memory(&work, missing, error);
	wb_region_get_head(takeover->region, &work.head);
	work.last_crc = work.head.durable_crc;
	work.image = g_aligned_alloc(work.geometry->segment_blocks, WB_BLOCK_BYTES,
				     WB_BLOCK_BYTES);
	ok = write_log(&work, error);
	g_aligned_free(work.image);
	g_array_unref(work.stretches);
	return ok;
}
