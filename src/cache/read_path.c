/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads. A piece is as many blocks as fit WB_READ_RUNS_MAX runs: contiguous
 * blocks from one source become one I/O straight into the caller's buffer. A
 * block of which the log has only some of the wanted sectors is read from the
 * backing as part of such a run, and its sectors are laid over it from a block
 * of the request's own when all I/O of the piece has ended.
 *
 * What the log holds is pinned under the stripe lock that said so; nothing is
 * locked while data moves. Every block from the SSD is checked.
 */
#include "cache/request.h"

#include <errno.h>
#include <string.h>

#include "base/checksum.h"
#include "base/mutant.h"
#include "cache/read_policy.h"

#define SECTOR WB_SECTOR_BYTES
#define BLOCK WB_BLOCK_BYTES
#define SSD_TRIES 2u
#define BACKING_TRIES 3u

void wb_read_path_begin(struct wb_request *request)
{
	request->read.next_block = request->pub.offset_bytes / BLOCK;
	request->read.attempts = 0;
	request->read.is_moving = false;
	request->read.slowest = WB_LATENCY_READ_RAM;
	request->read.image_bytes = wb_image_bytes(&request->path->image);
	request->read.miss_count = 0;
}

static uint64_t first_block(const struct wb_request *request)
{
	return request->pub.offset_bytes / BLOCK;
}

static uint64_t end_block(const struct wb_request *request)
{
	return (request->pub.offset_bytes + request->pub.length_bytes + BLOCK - 1) / BLOCK;
}

static char *block_memory(const struct wb_request *request, uint32_t index)
{
	return (char *)request->pub.buffer + (size_t)index * BLOCK;
}

/* The sectors of a block that the request touches. */
static uint8_t wanted_sectors(const struct wb_request *request, uint64_t address)
{
	uint64_t start = address * BLOCK;
	uint64_t from = MAX(request->pub.offset_bytes, start) - start;
	uint64_t to = MIN(request->pub.offset_bytes + request->pub.length_bytes,
			  start + BLOCK) - start;
	unsigned first = (unsigned)(from / SECTOR);
	unsigned end = (unsigned)((to + SECTOR - 1) / SECTOR);

	return (uint8_t)((0xffu << first) & (0xffu >> (8 - end)));
}

/* --- building the runs of a piece ------------------------------------------ */

static bool extends(const struct wb_request *request, const struct wb_read_run *run,
		    enum wb_read_source source, uint32_t index, uint32_t slot)
{
	if (run->source != source || run->overlay >= 0 ||
	    run->first_index + run->count != index)
		return false;
	/* After a failure blocks are read one by one, so that one bad block is not
	 * taken for more; those without I/O too, which keeps the piece that short. */
	if (request->read.attempts > 0)
		return false;
	if (source == WB_SOURCE_ZERO)
		return true;
	return source == WB_SOURCE_BACKING || (run->slot + run->count == slot &&
	       slot % request->path->geometry.segment_blocks != 0);
}

/* FALSE: no run left. */
static bool add_block(struct wb_request *request, enum wb_read_source source,
		      uint32_t index, uint32_t slot, uint8_t mask, bool is_overlay)
{
	struct wb_read_work *work = &request->read;
	struct wb_read_run *run = &work->runs[work->run_count];

	if (!is_overlay && work->run_count > 0 &&
	    extends(request, run - 1, source, index, slot)) {
		run[-1].count++;
		return true;
	}
	if (work->run_count == WB_READ_RUNS_MAX ||
	    (is_overlay && work->overlay_count == WB_BOUNCE_COUNT))
		return false;
	run->source = source;
	run->first_index = index;
	run->count = 1;
	run->slot = slot;
	run->mask = mask;
	run->overlay = is_overlay ? (int8_t)work->overlay_count++ : -1;
	run->error = 0;
	run->request = request;
	run->segment = NULL;
	work->run_count++;
	return true;
}

/* The slot's data, from RAM while there is a buffer. A run that was extended
 * holds its pin already: at most one segment to a run. */
static bool add_slot(struct wb_request *request, uint32_t index,
		     const struct wb_mapping *mapping, bool is_overlay)
{
	struct wb_read_work *work = &request->read;
	struct wb_segment *segment = wb_segment_of_slot(request->path->segments, mapping->slot);
	bool in_ram = wb_segment_try_ram_pin(segment);
	unsigned runs_before = work->run_count;
	bool ok = add_block(request, in_ram ? WB_SOURCE_RAM : WB_SOURCE_CACHE, index,
			    mapping->slot, mapping->mask, is_overlay);

	if (ok && work->run_count > runs_before) {
		work->runs[runs_before].segment = segment;
		if (!in_ram)
			wb_segment_pin(segment);
	} else if (in_ram) {
		wb_segment_ram_unpin(request->path->segments, segment);
	}
	return ok;
}

/* What holds where the map has nothing. -EIO for lost data. */
static int add_unmapped(struct wb_request *request, uint64_t address, uint32_t index,
			bool *fits)
{
	uint64_t until;

	switch (wb_extent_table_lookup(request->path->extents, address, &until)) {
	case WB_EXTENT_NONE:
		*fits = add_block(request, WB_SOURCE_BACKING, index, 0, 0, false);
		return 0;
	case WB_EXTENT_ZERO:
		*fits = add_block(request, WB_SOURCE_ZERO, index, 0, 0, false);
		return 0;
	case WB_EXTENT_BAD:
		return -EIO;
	}
	g_assert_not_reached();
}

/* The backing alone has it: a candidate for the cache. */
static void note_miss_locked(struct wb_request *request, uint64_t address)
{
	struct wb_read_work *work = &request->read;
	struct wb_read_miss *last = &work->misses[MAX(work->miss_count, 1) - 1];
	uint64_t change_count;

	if (!wb_data_path_keeps_reads(request->path))
		return;
	change_count = wb_block_map_stripe(request->path->map, address)->change_count;
	if (work->miss_count > 0 && last->first + last->count == address &&
	    address % WB_CHUNK_BLOCKS != 0 && last->change_count == change_count)
		last->count++;
	else if (work->miss_count < WB_READ_MISSES_MAX)
		work->misses[work->miss_count++] = (struct wb_read_miss){
			.first = address, .change_count = change_count, .count = 1,
		};
}

static int add_address_locked(struct wb_request *request, uint64_t address, bool *fits)
{
	struct wb_read_work *work = &request->read;
	uint32_t index = (uint32_t)(address - first_block(request));
	struct wb_mapping mapping;
	int error;

	wb_block_map_lookup_locked(request->path->map, address, &mapping);
	if (mapping.slot == WB_NO_SLOT) {
		error = add_unmapped(request, address, index, fits);
		if (!error && *fits &&
		    work->runs[work->run_count - 1].source == WB_SOURCE_BACKING)
			note_miss_locked(request, address);
		return error;
	}
	if ((wanted_sectors(request, address) & ~mapping.mask) == 0) {
		*fits = add_slot(request, index, &mapping, false);
		return 0;
	}
	/* Base and overlay, or neither. */
	if (work->run_count + 2 > WB_READ_RUNS_MAX || work->overlay_count == WB_BOUNCE_COUNT) {
		*fits = false;
		return 0;
	}
	error = add_unmapped(request, address, index, fits);
	if (!error)
		*fits = add_slot(request, index, &mapping, true);
	return error;
}

/* Runs for as many blocks as fit, from next_block on; returns the block behind
 * them; request->error is set when data of the piece is lost. */
static uint64_t build_runs(struct wb_request *request)
{
	struct wb_read_work *work = &request->read;
	uint64_t address = work->next_block, end = end_block(request);
	bool fits = true;

	work->run_count = 0;
	work->overlay_count = 0;
	if (work->attempts > 0)		/* the piece once more */
		work->miss_count = work->misses_before;
	work->misses_before = work->miss_count;
	while (address < end && fits && !request->error) {
		struct wb_stripe *stripe = wb_block_map_stripe(request->path->map, address);
		uint64_t stop = MIN(end, (address / WB_CHUNK_BLOCKS + 1) * WB_CHUNK_BLOCKS);

		wb_lock_acquire(&stripe->lock);
		while (address < stop && fits && !request->error) {
			request->error = add_address_locked(request, address, &fits);
			if (fits)
				address++;
		}
		wb_lock_release(&stripe->lock);
	}
	return address;
}

/* --- moving the data -------------------------------------------------------- */

static char *run_target(const struct wb_request *request, const struct wb_read_run *run)
{
	return run->overlay >= 0 ? request->bounce + run->overlay * BLOCK :
				   block_memory(request, run->first_index);
}

static void copy_from_ram(struct wb_request *request, struct wb_read_run *run)
{
	struct wb_data_path *path = request->path;

	memcpy(run_target(request, run),
	       wb_rambuf_block(path->rambuf, run->segment->ram_index,
			       run->slot % path->geometry.segment_blocks),
	       (size_t)run->count * BLOCK);
	wb_segment_ram_unpin(path->segments, run->segment);
	run->segment = NULL;
	WB_STAT_ADD(path->stats, WB_STAT_READ_RAM_BYTES, (uint64_t)run->count * BLOCK);
}

static bool crcs_are_right(struct wb_request *request, const struct wb_read_run *run)
{
	const char *data = run_target(request, run);

	for (uint32_t i = 0; i < run->count; i++) {
		if (!WB_MUTANT(read_unchecked) && wb_crc32c(data + (size_t)i * BLOCK, BLOCK) !=
		    wb_block_map_crc(request->path->map, run->slot + i))
			return false;
	}
	return true;
}

static void run_done(struct wb_io *io, int error)
{
	struct wb_read_run *run =
		(struct wb_read_run *)((char *)io - offsetof(struct wb_read_run, io));
	struct wb_request *request = run->request;

	if (run->source == WB_SOURCE_BACKING)
		wb_request_left_backing(request, io);
	if (!error && run->source == WB_SOURCE_CACHE && !crcs_are_right(request, run))
		error = -EILSEQ;
	run->error = error;
	if (run->segment)
		wb_segment_unpin(request->path->segments, run->segment);
	run->segment = NULL;
	if (wb_request_io_ended(request))
		wb_request_run(request);
}

static void submit_run(struct wb_request *request, struct wb_read_run *run)
{
	struct wb_data_path *path = request->path;
	uint64_t length = (uint64_t)run->count * BLOCK, offset;

	atomic_fetch_add(&request->io_count, 1);
	if (run->source == WB_SOURCE_CACHE) {
		wb_io_prepare(&run->io, WB_IO_READ, WB_IO_CLASS_USER_READ,
			      wb_geometry_slot_offset(&path->geometry, run->slot),
			      run_target(request, run), length, run_done);
		/* The first piece, still in the thread that brought the request;
		 * the SSD is fast, and nothing else of it is under way. */
		if (request->read.run_count == 1 && request->read.attempts == 0 &&
		    request->read.next_block == first_block(request))
			run->io.flags |= WB_IO_MAY_WAIT;
		WB_STAT_ADD(path->stats, WB_STAT_READ_CACHE_BYTES, length);
		request->read.slowest = MAX(request->read.slowest, WB_LATENCY_READ_CACHE);
		WB_STAT_ADD(path->stats, WB_STAT_SSD_READ_BYTES, length);
		wb_store_submit(path->cache_store, &run->io);
		return;
	}
	offset = (first_block(request) + run->first_index) * BLOCK;
	length = MIN(length, wb_image_bytes(&path->image) - offset);
	wb_io_prepare(&run->io, WB_IO_READ, WB_IO_CLASS_USER_READ, offset,
		      run_target(request, run), length, run_done);
	WB_STAT_ADD(path->stats, WB_STAT_READ_BACKING_BYTES, length);
	request->read.slowest = WB_LATENCY_READ_BACKING;
	wb_request_submit_to_backing(request, &run->io);
}

static void release_pins(struct wb_request *request)
{
	struct wb_read_work *work = &request->read;

	for (unsigned i = 0; i < work->run_count; i++) {
		struct wb_read_run *run = &work->runs[i];

		if (!run->segment)
			continue;
		if (run->source == WB_SOURCE_RAM)
			wb_segment_ram_unpin(request->path->segments, run->segment);
		else
			wb_segment_unpin(request->path->segments, run->segment);
		run->segment = NULL;
	}
}

/* --- counting ----------------------------------------------------------------- */

static bool is_whole(const struct wb_request *request, uint32_t index)
{
	uint64_t start = (first_block(request) + index) * BLOCK;
	uint64_t stop = MIN(start + BLOCK, wb_image_bytes(&request->path->image));

	return request->pub.offset_bytes <= start &&
	       request->pub.offset_bytes + request->pub.length_bytes >= stop;
}

/* Only the first and the last block of a request can be there in part. */
static uint32_t count_partial(const struct wb_request *request, uint32_t first, uint32_t count)
{
	uint32_t last = (uint32_t)(end_block(request) - first_block(request)) - 1;
	uint32_t partial = 0;

	if (count > 0 && first == 0 && !is_whole(request, 0))
		partial++;
	if (last > 0 && first <= last && first + count > last && !is_whole(request, last))
		partial++;
	return partial;
}

/* A piece, as it is read for the first time. A block of which the log has some
 * sectors is a hit, and what lies below is not counted: the last block of the run
 * before. */
static void count_blocks(struct wb_request *request)
{
	static const unsigned bits[] = {
		[WB_SOURCE_RAM] = WB_BLOCK_HIT | WB_BLOCK_RAM, [WB_SOURCE_CACHE] = WB_BLOCK_HIT,
		[WB_SOURCE_BACKING] = 0, [WB_SOURCE_ZERO] = WB_BLOCK_HIT | WB_BLOCK_RAM,
	};
	struct wb_read_work *work = &request->read;
	struct wb_block_counts counts = { { 0 } };

	for (unsigned i = 0; i < work->run_count; i++) {
		const struct wb_read_run *run = &work->runs[i];
		bool is_below = i + 1 < work->run_count && run[1].overlay >= 0;
		uint32_t count = run->count - is_below;
		uint32_t partial = count_partial(request, run->first_index, count);

		counts.count[bits[run->source]] += partial;
		counts.count[bits[run->source] | WB_BLOCK_FULL] += count - partial;
	}
	wb_stats_add_blocks(request->path->stats, 0, &counts);
}

/* For the policy, when a piece is read for the first time. */
static void tell_policy(struct wb_request *request)
{
	struct wb_read_policy *policy = request->path->read_policy;
	struct wb_read_work *work = &request->read;

	wb_read_policy_note_reads(policy, work->next_block,
				  (uint32_t)(work->piece_end - work->next_block));
	for (unsigned i = 0; i < work->run_count; i++) {
		const struct wb_read_run *run = &work->runs[i];

		if (run->source == WB_SOURCE_RAM || run->source == WB_SOURCE_CACHE)
			wb_read_policy_note_hits(policy, run->slot, run->count);
	}
}

/* Copies what is in memory, starts the rest. */
static void start_runs(struct wb_request *request)
{
	struct wb_read_work *work = &request->read;

	if (work->attempts == 0)
		count_blocks(request);
	if (work->attempts == 0 && wb_data_path_keeps_reads(request->path))
		tell_policy(request);
	for (unsigned i = 0; i < work->run_count; i++) {
		struct wb_read_run *run = &work->runs[i];

		switch (run->source) {
		case WB_SOURCE_RAM:
			copy_from_ram(request, run);
			break;
		case WB_SOURCE_ZERO:
			memset(run_target(request, run), 0, (size_t)run->count * BLOCK);
			WB_STAT_ADD(request->path->stats, WB_STAT_READ_RAM_BYTES,
				    (uint64_t)run->count * BLOCK);
			break;
		case WB_SOURCE_CACHE:
		case WB_SOURCE_BACKING:
			submit_run(request, run);
			break;
		}
	}
}

/* --- after the I/O ----------------------------------------------------------- */

/* A block that failed as often as it is tried: a clean one is forgotten, so
 * that the backing's is taken; a dirty one exists nowhere else. */
static void repair(struct wb_request *request, struct wb_read_run *run)
{
	struct wb_data_path *path = request->path;
	uint64_t address = first_block(request) + run->first_index;
	struct wb_stripe *stripe = wb_block_map_stripe(path->map, address);

	if (wb_forget_clean(&path->forget, address, run->slot))
		return;
	wb_lock_acquire(&stripe->lock);
	if (wb_block_map_found_bad_locked(path->map, address, run->slot))
		request->error = -EIO;
	wb_lock_release(&stripe->lock);
	if (request->error)
		wb_message_set(path->message,
			       "cache %s: the newest data of image block %" G_GUINT64_FORMAT
			       " cannot be read back", path->cache_store->label, address);
}

/* How often the last block of the run has failed at this disk. A run of several does
 * not say which of them it was. At the backing, where a try may take seconds, that is
 * one of each; at the SSD, where the last one makes a block lost, of none. */
static unsigned count_failure(struct wb_request *request, const struct wb_read_run *run)
{
	struct wb_read_work *work = &request->read;
	bool is_backing = run->source == WB_SOURCE_BACKING;
	uint64_t i = first_block(request) + run->first_index - work->next_block;
	uint64_t end = MIN(i + run->count, WB_READ_RUNS_MAX);	/* all of them, when alone */
	unsigned failures = 0;

	for (; i < end && (is_backing || run->count == 1); i++)
		failures = ++work->failures[i][is_backing];
	return failures;
}

/* In the end the whole request fails, as on any disk: what comes back short would
 * be taken for the end of the image. */
static void backing_failed(struct wb_request *request, const struct wb_read_run *run)
{
	struct wb_data_path *path = request->path;

	request->error = -EIO;
	wb_message_set(path->message, "backing %s: reading image block %" G_GUINT64_FORMAT
		       " failed: %s", path->backing_store->label,
		       first_block(request) + run->first_index, g_strerror(-run->error));
}

static void run_failed(struct wb_request *request, struct wb_read_run *run)
{
	bool is_backing = run->source == WB_SOURCE_BACKING;
	unsigned failures = count_failure(request, run);

	WB_STAT_ADD(request->path->stats,
		    is_backing ? WB_STAT_BACKING_ERRORS : WB_STAT_CHECKSUM_ERRORS, 1);
	if (is_backing && failures >= BACKING_TRIES)
		backing_failed(request, run);
	else if (!is_backing && failures >= SSD_TRIES)
		repair(request, run);
}

/* TRUE when something failed: the piece is read again, unless the request failed. */
static bool handle_failures(struct wb_request *request)
{
	struct wb_read_work *work = &request->read;
	bool has_failed = false;

	for (unsigned i = 0; i < work->run_count; i++) {
		if (!work->runs[i].error)
			continue;
		if (!has_failed && work->attempts == 0)
			memset(work->failures, 0, sizeof work->failures);
		has_failed = true;
		run_failed(request, &work->runs[i]);
	}
	if (has_failed)
		work->attempts++;
	return has_failed;
}

static void lay_over(struct wb_request *request)
{
	struct wb_read_work *work = &request->read;

	for (unsigned i = 0; i < work->run_count; i++) {
		struct wb_read_run *run = &work->runs[i];
		char *to = block_memory(request, run->first_index);
		const char *from = run_target(request, run);

		for (unsigned s = 0; run->overlay >= 0 && s < WB_SECTORS_PER_BLOCK; s++) {
			if (run->mask & (1u << s))
				memcpy(to + s * SECTOR, from + s * SECTOR, SECTOR);
		}
	}
}

static void finish_piece(struct wb_request *request)
{
	struct wb_read_work *work = &request->read;

	work->is_moving = false;
	if (handle_failures(request))
		return;
	lay_over(request);
	work->attempts = 0;
	work->next_block = work->piece_end;
}

enum wb_progress wb_read_path_run(struct wb_request *request)
{
	struct wb_read_work *work = &request->read;

	if (work->is_moving)	/* the last I/O of the piece has ended */
		finish_piece(request);
	while (!request->error && work->next_block < end_block(request)) {
		work->piece_end = build_runs(request);
		if (request->error) {
			release_pins(request);
			break;
		}
		work->is_moving = true;
		atomic_store(&request->io_count, 1);
		start_runs(request);
		if (!wb_request_io_ended(request))
			return WB_PROGRESS_WAITS;
		finish_piece(request);
	}
	return WB_PROGRESS_DONE;
}
