/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Discard and zero-range: whole blocks become one extent entry of the log and a
 * pending-zero extent in memory; the cut blocks at both ends are written as
 * zeros like any data.
 *
 * Order in MIDDLE, each step for the one after it: the range is held
 * exclusively (no write can be between look-up and publication); the entry
 * has its place in the log; the extent stands in the table; only then do the
 * map's versions go. The other way round a reader could see the backing's old
 * data, which is older than both.
 */
#include "cache/request.h"

#define BLOCK WB_BLOCK_BYTES

/* The image's last block counts as whole when all that it has is in. */
static void find_end(struct wb_request *request)
{
	struct wb_zero_work *work = &request->zero;

	work->image_bytes = wb_image_bytes(&request->path->image);
	work->end_block = work->end_bytes == work->image_bytes ?
		wb_geometry_blocks_of(work->image_bytes) : work->end_bytes / BLOCK;
}

void wb_zero_path_begin(struct wb_request *request)
{
	struct wb_zero_work *work = &request->zero;
	uint64_t start = request->pub.offset_bytes;
	uint64_t end = start + request->pub.length_bytes;

	wb_write_path_begin(request);
	work->end_bytes = end;
	work->first_block = (start + BLOCK - 1) / BLOCK;
	find_end(request);
	work->stage = WB_ZERO_HEAD;
}

/* With the range held: TRUE when the image has grown since its end was found, and
 * its last block may hold what was written behind the end of this request. */
static bool has_moved_end(struct wb_request *request)
{
	struct wb_zero_work *work = &request->zero;
	uint64_t end_block = work->end_block;

	if (work->image_bytes == wb_image_bytes(&request->path->image))
		return false;
	find_end(request);
	return work->end_block != end_block;
}

static uint64_t middle_start(const struct wb_zero_work *work)
{
	return MIN(work->first_block * BLOCK, work->end_bytes);
}

static uint64_t middle_end(const struct wb_zero_work *work)
{
	return work->end_block > work->first_block ?
		MIN(work->end_block * BLOCK, work->end_bytes) : middle_start(work);
}

/* With a place in the extent table reserved, which it uses or gives back. */
static bool publish_extent(struct wb_request *request, uint32_t count)
{
	struct wb_data_path *path = request->path;
	uint64_t first = request->zero.busy.first;
	struct wb_record *record;
	struct wb_extent extent = { .first = first, .count = count, .kind = WB_EXTENT_ZERO };
	uint64_t end_bytes = MIN((first + count) * BLOCK, request->zero.end_bytes);

	if (!wb_log_append_extent(path->log, WB_LOG_EXTENT, &(struct wb_log_extent){
			.type = WB_ENTRY_DISCARD, .first = first, .count = count,
			.executed = request->executed, .end_bytes = end_bytes }, &record)) {
		wb_extent_table_unreserve(path->extents);
		return false;
	}
	extent.sequence = record->sequence;
	extent.segment_id = record->segment_id;
	wb_extent_table_insert(path->extents, &extent);
	wb_block_map_remove_range(path->map, first, count);
	wb_block_map_touch_range(path->map, first, count);
	request->sync_target = MAX(request->sync_target, record->sequence);
	wb_executed_done(request->executed, end_bytes);
	wb_log_extent_done(path->log, record);
	return true;
}

/* TRUE to go on, FALSE when the request waits. */
static bool middle(struct wb_request *request)
{
	struct wb_zero_work *work = &request->zero;
	struct wb_data_path *path = request->path;
	uint64_t first = request->cursor_bytes / BLOCK;
	uint32_t count = (uint32_t)MIN(work->end_block - first, UINT32_MAX);
	uint64_t generation;
	bool ok;

	if (wb_flush_has_failed(path->flush)) {
		request->error = -EIO;
		return true;
	}
	if (wb_request_queues_for_space(request))
		return false;
	work->busy.first = first;
	work->busy.last = first + count - 1;
	if (wb_exclusion_enter_range(path->exclusion, &work->busy,
				     &request->parked) != WB_ENTERED)
		return false;
	if (has_moved_end(request)) {
		wb_exclusion_leave_range(path->exclusion, &work->busy);
		return true;	/* the next round, if there is one, is shorter */
	}
	generation = wb_park_generation(path->extent_room);
	if (!wb_extent_table_reserve(path->extents)) {
		wb_exclusion_leave_range(path->exclusion, &work->busy);
		return !wb_request_park_for_extent(request, generation);
	}
	generation = wb_park_generation(path->space);
	ok = publish_extent(request, count);
	wb_exclusion_leave_range(path->exclusion, &work->busy);
	if (!ok)
		return !wb_request_park_for_space(request, generation);
	request->cursor_bytes = MIN((first + count) * BLOCK, work->end_bytes);
	return true;
}

enum wb_progress wb_zero_path_run(struct wb_request *request)
{
	struct wb_zero_work *work = &request->zero;
	enum wb_progress progress = WB_PROGRESS_DONE;

	while (!request->error && work->stage != WB_ZERO_END) {
		switch (work->stage) {
		case WB_ZERO_HEAD:
			progress = wb_write_path_range(request, middle_start(work), NULL);
			break;
		case WB_ZERO_MIDDLE:
			while (!request->error && request->cursor_bytes < middle_end(work)) {
				if (!middle(request))
					return WB_PROGRESS_WAITS;
			}
			break;
		case WB_ZERO_TAIL:
			progress = wb_write_path_range(request, work->end_bytes, NULL);
			break;
		case WB_ZERO_END:
			break;
		}
		if (progress == WB_PROGRESS_WAITS)
			return progress;
		if (!request->error)
			work->stage++;
	}
	return WB_PROGRESS_DONE;
}
