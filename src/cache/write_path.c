/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes. A piece lies in one chunk and becomes entries of one record:
 *
 *   ENTER         mark the blocks busy; look up partially written ones
 *   BASE_READ     their other dirty sectors come from the SSD (mark and pin
 *                 stay: nobody else has to release anything for this)
 *   BACKING_READ  the rest of a sector that is written in part comes from the
 *                 backing: holding nothing but a private copy, which is used
 *                 only if nothing in the stripe was published meanwhile
 *   RESERVE       slots and log order; copy; publish; leave
 *
 * Parking happens at ENTER and at RESERVE and gives up mark and pins; the piece
 * then begins anew, because everything may have changed.
 */
#include "cache/request.h"

#include <errno.h>
#include <string.h>

#include "base/checksum.h"
#include "base/death.h"
#include "base/mutant.h"
#include "cache/read_policy.h"

#define SECTOR WB_SECTOR_BYTES
#define BLOCK WB_BLOCK_BYTES
#define BACKING_READS_MAX 4u	/* without the mark, for one piece */

void wb_write_path_begin(struct wb_request *request)
{
	request->cursor_bytes = request->pub.offset_bytes;
	request->write.stage = WB_WRITE_ENTER;
	request->write.backing_was_read = false;
	request->write.backing_reads = 0;
	memset(request->write.base_failures, 0, sizeof request->write.base_failures);
}

/* The end of the current piece in bytes: request, chunk. */
static uint64_t piece_end_bytes(const struct wb_request *request, uint64_t end_bytes)
{
	uint64_t chunk_bytes = (uint64_t)WB_CHUNK_BLOCKS * BLOCK;
	uint64_t chunk_end = (request->cursor_bytes / chunk_bytes + 1) * chunk_bytes;

	return MIN(end_bytes, chunk_end);
}

/* --- partially written blocks --------------------------------------------- */

/* Which sectors of block `address` the bytes [from, to) write wholly and which
 * only in part. TRUE if the block is not written as a whole. */
static bool describe_edge(struct wb_edge *edge, const struct wb_image *image,
			  uint64_t address, uint64_t from, uint64_t to)
{
	uint64_t start = address * BLOCK;
	uint8_t all = wb_image_block_mask(image, address);

	edge->is_used = false;
	edge->address = address;
	edge->covered = edge->cut = 0;
	for (unsigned i = 0; i < WB_SECTORS_PER_BLOCK; i++) {
		uint64_t sector = start + (uint64_t)i * SECTOR;

		if (from <= sector && to >= sector + SECTOR)
			edge->covered |= (uint8_t)(1u << i);
		else if (from < sector + SECTOR && to > sector)
			edge->cut |= (uint8_t)(1u << i);
	}
	edge->is_used = edge->covered != all;
	return edge->is_used;
}

/* Decides where the other sectors of the new version come from. Under the
 * stripe lock, with the block marked. Returns -EIO if it cannot be known. */
static int plan_edge_locked(struct wb_request *request, struct wb_edge *edge)
{
	struct wb_data_path *path = request->path;
	struct wb_mapping now;
	uint64_t until;
	uint8_t old = 0;

	edge->base_mask = 0;
	edge->segment = NULL;
	edge->slot = WB_NO_SLOT;
	edge->base_is_dirty = false;
	edge->missing = 0;
	edge->error = 0;
	edge->mask = edge->covered | edge->cut;
	wb_block_map_lookup_locked(path->map, edge->address, &now);
	if (now.slot != WB_NO_SLOT) {
		edge->slot = now.slot;
		edge->base_is_dirty = wb_slot_state_is_dirty(now.state);
		/* All dirty sectors move to the new slot, as the map names only
		 * one; clean ones only where a cut sector needs them. */
		old = edge->base_is_dirty ? now.mask : (uint8_t)(now.mask & edge->cut);
		if (WB_MUTANT(dirty_sectors_not_merged))
			old &= edge->cut;
		edge->base_mask = old & (uint8_t)~edge->covered;
		edge->mask |= old;
		edge->missing = edge->cut & (uint8_t)~now.mask;
		if (edge->base_mask) {
			edge->segment = wb_segment_of_slot(path->segments, now.slot);
			wb_segment_pin(edge->segment);
		}
		return 0;
	}
	switch (wb_extent_table_lookup(path->extents, edge->address, &until)) {
	case WB_EXTENT_NONE:
		edge->missing = edge->cut;
		return 0;
	case WB_EXTENT_ZERO:
		if (WB_MUTANT(pending_zeros_not_merged))
			return 0;
		/* Pending zeros are dirty sectors too: the version holds the
		 * whole block, or the backing's old data would show through. */
		edge->mask = wb_image_block_mask(&path->image, edge->address);
		return 0;
	case WB_EXTENT_BAD:
		return -EIO;
	}
	g_assert_not_reached();
}

static void copy_sectors(char *to, const char *from, uint8_t mask)
{
	for (unsigned i = 0; i < WB_SECTORS_PER_BLOCK; i++) {
		if (mask & (1u << i))
			memcpy(to + i * SECTOR, from + i * SECTOR, SECTOR);
	}
}

/* The block as far as it does not come from the writer: zeros, the backing's
 * bytes in cut sectors, the base's sectors. */
static void begin_image(struct wb_edge *edge)
{
	memset(edge->image, 0, BLOCK);
	if (edge->has_backing)
		copy_sectors(edge->image, edge->raw, edge->missing);
}

static bool copy_base_from_ram(struct wb_request *request, struct wb_edge *edge)
{
	struct wb_data_path *path = request->path;
	struct wb_segment *segment = wb_segment_of_slot(path->segments, edge->slot);

	if (!wb_segment_try_ram_pin(segment))
		return false;
	copy_sectors(edge->image,
		     wb_rambuf_block(path->rambuf, segment->ram_index,
				     edge->slot % path->geometry.segment_blocks),
		     edge->base_mask);
	wb_segment_ram_unpin(path->segments, segment);
	return true;
}

static void unpin_edge(struct wb_request *request, struct wb_edge *edge)
{
	if (edge->segment)
		wb_segment_unpin(request->path->segments, edge->segment);
	edge->segment = NULL;
}

/* Gives up everything of the piece, which begins anew next time. */
static void leave(struct wb_request *request)
{
	for (unsigned i = 0; i < 2; i++)
		unpin_edge(request, &request->write.edges[i]);
	wb_exclusion_leave(request->path->exclusion, &request->write.busy);
	request->write.stage = WB_WRITE_ENTER;
	/* `raw` may hold a base by now. */
	request->write.backing_was_read = false;
}

static void base_read_done(struct wb_io *io, int error)
{
	struct wb_edge *edge = (struct wb_edge *)((char *)io - offsetof(struct wb_edge, io));
	struct wb_request *request = edge->request;
	struct wb_data_path *path = request->path;

	if (!error && wb_crc32c(edge->raw, BLOCK) != wb_block_map_crc(path->map, edge->slot))
		error = -EILSEQ;
	if (error)
		edge->error = error;
	else
		copy_sectors(edge->image, edge->raw, edge->base_mask);
	unpin_edge(request, edge);
	if (wb_request_io_ended(request))
		wb_request_resume(request);
}

static void backing_read_done(struct wb_io *io, int error)
{
	struct wb_edge *edge = (struct wb_edge *)((char *)io - offsetof(struct wb_edge, io));
	struct wb_request *request = edge->request;

	wb_request_left_backing(request, io);
	edge->error = error;
	edge->has_backing = !error;
	if (wb_request_io_ended(request))
		wb_request_resume(request);
}

static void submit_base_read(struct wb_request *request, struct wb_edge *edge)
{
	struct wb_data_path *path = request->path;

	wb_io_prepare(&edge->io, WB_IO_READ, WB_IO_CLASS_USER_WRITE,
		      wb_geometry_slot_offset(&path->geometry, edge->slot), edge->raw, BLOCK,
		      base_read_done);
	WB_STAT_ADD(path->stats, WB_STAT_SSD_READ_BYTES, BLOCK);
	wb_store_submit(path->cache_store, &edge->io);
}

static void submit_backing_read(struct wb_request *request, struct wb_edge *edge)
{
	struct wb_data_path *path = request->path;
	uint64_t offset = edge->address * BLOCK;
	uint64_t length = MIN(BLOCK, wb_image_bytes(&path->image) - offset);

	edge->raw_mask = edge->missing;
	wb_io_prepare(&edge->io, WB_IO_READ, WB_IO_CLASS_USER_WRITE, offset, edge->raw, length,
		      backing_read_done);
	wb_request_submit_to_backing(request, &edge->io);
}

/* Submits a read for each edge that `wants` one. WAITS, or DONE when there was
 * none or all have come already. */
static enum wb_progress read_edges(struct wb_request *request,
				   bool (*wants)(struct wb_request *, struct wb_edge *),
				   void (*submit)(struct wb_request *, struct wb_edge *))
{

	atomic_store(&request->io_count, 1);
	for (unsigned i = 0; i < 2; i++) {
		struct wb_edge *edge = &request->write.edges[i];

		if (!edge->is_used || !wants(request, edge))
			continue;
		atomic_fetch_add(&request->io_count, 1);
		submit(request, edge);
	}
	if (!wb_request_io_ended(request))
		return WB_PROGRESS_WAITS;
	return WB_PROGRESS_DONE;
}

static bool wants_base(struct wb_request *request, struct wb_edge *edge)
{
	begin_image(edge);
	if (!edge->base_mask)
		return false;
	if (!copy_base_from_ram(request, edge))
		return true;
	unpin_edge(request, edge);
	return false;
}

static bool wants_backing(struct wb_request *request, struct wb_edge *edge)
{
	(void)request;
	return edge->is_used && edge->missing && !edge->has_backing;
}

/* --- stages: TRUE to go on, FALSE when the request waits ------------------- */

static bool enter(struct wb_request *request, uint64_t end_bytes)
{
	struct wb_write_work *work = &request->write;
	struct wb_data_path *path = request->path;
	uint64_t end = piece_end_bytes(request, end_bytes);
	struct wb_stripe *stripe;
	int error = 0;

	if (wb_flush_has_failed(path->flush)) {
		request->error = -EIO;
		return true;
	}
	if (wb_request_queues_for_space(request))
		return false;
	work->first = request->cursor_bytes / BLOCK;
	work->last = (end - 1) / BLOCK;
	work->busy.first = work->first;
	work->busy.last = work->last;
	if (request->cursor_bytes > request->pub.offset_bytes)	/* wb_cache_expect() had the first */
		wb_block_map_fetch_buckets(path->map, work->first, work->last - work->first + 1);
	if (wb_exclusion_enter(path->exclusion, &work->busy, &request->parked) != WB_ENTERED)
		return false;
	stripe = wb_block_map_stripe(path->map, work->first);
	wb_block_map_fetch_slots_locked(path->map, work->first, work->last - work->first + 1);
	if (!work->backing_was_read || (stripe->change_count != work->change_count &&
					!WB_MUTANT(edge_copy_unchecked)))
		work->edges[0].has_backing = work->edges[1].has_backing = false;
	work->change_count = stripe->change_count;
	for (unsigned i = 0; i < 2; i++) {
		struct wb_edge *edge = &work->edges[i];
		uint64_t address = i == 0 ? work->first : work->last;

		edge->request = request;
		edge->image = request->bounce + (2 * i) * BLOCK;
		edge->raw = request->bounce + (2 * i + 1) * BLOCK;
		edge->segment = NULL;
		edge->is_used = false;
		if (i == 1 && work->last == work->first)
			break;
		if (describe_edge(edge, &path->image, address, request->cursor_bytes, end) &&
		    !error)
			error = plan_edge_locked(request, edge);
		/* A sector that a slot had when the copy was read is older in
		 * the copy: writeback and eviction, which are no change for the
		 * counter, may have taken the slot away since. */
		if (edge->is_used && edge->missing & ~edge->raw_mask)
			edge->has_backing = false;
	}
	wb_lock_release(&stripe->lock);
	if (error) {
		leave(request);
		request->error = error;
	} else if (wants_backing(request, &work->edges[0]) ||
		   wants_backing(request, &work->edges[1])) {
		/* The mark is kept only after several copies came to nothing
		 * because of other writers in the stripe: then those of this
		 * very block wait for the disk. */
		work->keeps_mark = ++work->backing_reads > BACKING_READS_MAX;
		if (!work->keeps_mark)
			leave(request);
		work->stage = WB_WRITE_BACKING_READ;
		work->backing_was_read = true;
		return read_edges(request, wants_backing, submit_backing_read) ==
		       WB_PROGRESS_DONE;
	} else {
		work->stage = WB_WRITE_BASE_READ;
		return read_edges(request, wants_base, submit_base_read) == WB_PROGRESS_DONE;
	}
	return true;
}

/* The backing's sectors have come: look everything up again. */
static bool after_backing_read(struct wb_request *request)
{
	for (unsigned i = 0; i < 2; i++) {
		if (request->write.edges[i].is_used && request->write.edges[i].error) {
			WB_STAT_ADD(request->path->stats, WB_STAT_BACKING_ERRORS, 1);
			request->error = -EIO;
		}
	}
	if (request->write.keeps_mark && request->error) {
		leave(request);
	} else if (request->write.keeps_mark) {
		/* Nobody else could change these blocks. */
		request->write.stage = WB_WRITE_BASE_READ;
		return read_edges(request, wants_base, submit_base_read) ==
		       WB_PROGRESS_DONE;
	}
	request->write.stage = WB_WRITE_ENTER;
	return true;
}

/* A base that cannot be read: once more, then a clean one is forgotten (the
 * backing has it), and a dirty one is an error for this write. */
static void base_failed(struct wb_request *request, unsigned i)
{
	struct wb_data_path *path = request->path;
	const struct wb_edge *edge = &request->write.edges[i];
	struct wb_stripe *stripe = wb_block_map_stripe(path->map, edge->address);
	struct wb_mapping now;

	WB_STAT_ADD(path->stats, WB_STAT_CHECKSUM_ERRORS, 1);
	if (request->write.base_failures[i]++ == 0)
		return;
	if (wb_forget_clean_entered(&path->forget, edge->address, edge->slot))
		return;
	wb_lock_acquire(&stripe->lock);
	wb_block_map_lookup_locked(path->map, edge->address, &now);
	/* It may have become clean just now: then the next try forgets it. */
	if (now.slot == edge->slot && wb_slot_state_is_dirty(now.state))
		request->error = -EIO;
	wb_lock_release(&stripe->lock);
	if (request->error)
		wb_message_set(path->message,
			       "cache %s: the newest data of image block %" G_GUINT64_FORMAT
			       " cannot be read back", path->cache_store->label,
			       edge->address);
}

static bool after_base_read(struct wb_request *request)
{
	bool failed = false;

	for (unsigned i = 0; i < 2; i++) {
		const struct wb_edge *edge = &request->write.edges[i];

		if (edge->is_used && edge->error) {
			base_failed(request, i);
			failed = true;
		}
	}
	if (failed)
		leave(request);
	else
		request->write.stage = WB_WRITE_RESERVE;
	return true;
}

static struct wb_edge *edge_of(struct wb_write_work *work, uint64_t address)
{
	for (unsigned i = 0; i < 2; i++) {
		if (work->edges[i].is_used && work->edges[i].address == address)
			return &work->edges[i];
	}
	return NULL;
}

/* Bytes [from, to) of the request over `target`, which begins at `start`. */
static void copy_user(const struct wb_request *request, const char *data, char *target,
		      uint64_t start, uint64_t from, uint64_t to)
{
	if (data)
		memcpy(target + (from - start), data + (from - request->pub.offset_bytes),
		       to - from);
	else
		memset(target + (from - start), 0, to - from);
}

/* Block `address` of the piece, whole: from its edge's image, or from the user. */
static void copy_block(struct wb_request *request, const char *data, char *target,
		       uint64_t address, uint64_t end)
{
	struct wb_edge *edge = edge_of(&request->write, address);
	uint64_t start = address * BLOCK, from = MAX(start, request->cursor_bytes);
	uint64_t to = MIN(end, start + BLOCK);

	if (edge) {
		copy_user(request, data, edge->image, start, from, to);
		memcpy(target, edge->image, BLOCK);
		WB_STAT_ADD(request->path->stats, WB_STAT_MERGED_BLOCKS, 1);
	} else {
		copy_user(request, data, target, start, from, to);
		/* The last block of an image that ends inside it. */
		memset(target + (to - start), 0, start + BLOCK - to);
	}
}

static uint8_t mask_of(struct wb_request *request, uint64_t address)
{
	struct wb_edge *edge = edge_of(&request->write, address);

	return edge ? edge->mask : wb_image_block_mask(&request->path->image, address);
}

/* Fills the reserved blocks and their entries. The CRC is taken while the block
 * is still in the processor's cache, and covers all its time in memory. */
static void copy_blocks(struct wb_request *request, const char *data,
			const struct wb_reservation *reservation, uint64_t end)
{
	struct wb_data_path *path = request->path;

	for (uint32_t i = 0; i < reservation->count; i++) {
		uint64_t address = request->write.first + i;
		char *target = wb_log_reserved_block(path->log, reservation, i);
		struct wb_entry entry = {
			.address = address, .type = WB_ENTRY_DATA,
			.mask = mask_of(request, address),
		};

		if (WB_MUTANT(entry_before_data))
			wb_record_set_entry(reservation->header,
					    reservation->first_entry + i, &entry);
		WB_DEATH_POINT();
		copy_block(request, data, target, address, end);
		WB_DEATH_POINT();
		entry.crc_or_length = wb_crc32c(target, BLOCK);
		wb_block_map_set_crc(path->map, wb_log_reserved_slot(reservation, i),
				     entry.crc_or_length);
		wb_record_set_entry(reservation->header,
				    reservation->first_entry + i, &entry);
	}
}

/* `replaced`: the slot of the version before, or WB_NO_SLOT. */
static void count_block(struct wb_block_counts *counts, struct wb_request *request,
			uint64_t address, uint32_t replaced)
{
	unsigned full = edge_of(&request->write, address) ? 0 : WB_BLOCK_FULL;
	struct wb_segment *segment = replaced == WB_NO_SLOT ? NULL :
				     wb_segment_of_slot(request->path->segments, replaced);

	counts->count[wb_request_hit_bits(segment) | full]++;
}

static void publish(struct wb_request *request, const struct wb_reservation *reservation,
		    uint64_t end)
{
	struct wb_write_work *work = &request->write;
	struct wb_data_path *path = request->path;
	struct wb_stripe *stripe = wb_block_map_stripe(path->map, work->first);
	struct wb_block_counts counts = { { 0 } };
	bool is_watched = wb_data_path_keeps_reads(path);

	/* Nothing newer can be in the map: the mark kept everybody else out
	 * since before the log position was given. */
	wb_lock_acquire(&stripe->lock);
	for (uint32_t i = 0; i < reservation->count; i++) {
		uint32_t slot = wb_log_reserved_slot(reservation, i);
		uint32_t replaced = wb_block_map_put_locked(path->map, work->first + i, slot,
			mask_of(request, work->first + i), WB_SLOT_DIRTY);

		if (replaced != WB_NO_SLOT && is_watched)
			wb_read_policy_was_replaced(path->read_policy, replaced, slot);
		count_block(&counts, request, work->first + i, replaced);
	}
	wb_extent_table_carve(path->extents, work->first, reservation->count, WB_EXTENT_BAD);
	stripe->change_count++;
	wb_executed_done(request->executed, end);
	wb_exclusion_leave_locked(path->exclusion, &work->busy);
	wb_lock_release(&stripe->lock);
	if (is_watched)
		wb_read_policy_note_writes(path->read_policy, work->first, reservation->count);
	if (request->pub.op == WB_WRITE)	/* not the edges of a discard */
		wb_stats_add_blocks(path->stats, WB_BLOCK_WRITE, &counts);
}

#ifdef WB_MUTANTS
/* The older versions of the blocks get the new data as well. */
static void change_in_place(struct wb_request *request, const char *data,
			    const struct wb_reservation *reservation, uint64_t end)
{
	struct wb_data_path *path = request->path;
	struct wb_stripe *stripe = wb_block_map_stripe(path->map, request->write.first);

	for (uint32_t i = 0; i < reservation->count; i++) {
		uint64_t start = (request->write.first + i) * BLOCK;
		struct wb_segment *segment;
		struct wb_mapping now;

		wb_lock_acquire(&stripe->lock);
		wb_block_map_lookup_locked(path->map, request->write.first + i, &now);
		wb_lock_release(&stripe->lock);
		if (now.slot == WB_NO_SLOT)
			continue;
		segment = wb_segment_of_slot(path->segments, now.slot);
		if (!wb_segment_try_ram_pin(segment))
			continue;
		copy_user(request, data, wb_rambuf_block(path->rambuf, segment->ram_index,
							 now.slot % path->geometry.segment_blocks),
			  start, MAX(start, request->cursor_bytes), MIN(end, start + BLOCK));
		wb_segment_ram_unpin(path->segments, segment);
	}
}
#else
#define change_in_place(request, data, reservation, end) ((void)0)
#endif

static bool reserve_and_publish(struct wb_request *request, uint64_t end_bytes,
				const char *data)
{
	struct wb_write_work *work = &request->write;
	struct wb_data_path *path = request->path;
	uint64_t generation = wb_park_generation(path->space);
	uint64_t end = piece_end_bytes(request, end_bytes);
	struct wb_reservation reservation;

	if (!wb_log_reserve(path->log, WB_LOG_DATA, (uint32_t)(work->last - work->first + 1),
			    &reservation)) {
		leave(request);
		return !wb_request_park_for_space(request, generation);
	}
	end = MIN(end, (work->first + reservation.count) * BLOCK);
	if (WB_MUTANT(published_changed_in_place))
		change_in_place(request, data, &reservation, end);
	wb_executed_intend(request->executed, reservation.sequence,
			   reservation.first_entry, reservation.count, end);
	if (WB_MUTANT(done_before_executed))
		wb_executed_done(request->executed, end);
	copy_blocks(request, data, &reservation, end);
	publish(request, &reservation, end);
	/* Before the end of the copy: afterwards the record may be gone. */
	request->sync_target = MAX(request->sync_target, reservation.sequence);
	wb_log_reservation_done(path->log, &reservation);
	request->cursor_bytes = end;
	work->stage = WB_WRITE_ENTER;
	work->backing_was_read = false;
	work->backing_reads = 0;
	memset(work->base_failures, 0, sizeof work->base_failures);
	return true;
}

enum wb_progress wb_write_path_range(struct wb_request *request, uint64_t end_bytes,
				     const char *data)
{
	bool goes_on = true;

	while (goes_on && !request->error && request->cursor_bytes < end_bytes) {
		switch (request->write.stage) {
		case WB_WRITE_ENTER:
			goes_on = enter(request, end_bytes);
			break;
		case WB_WRITE_BACKING_READ:
			goes_on = after_backing_read(request);
			break;
		case WB_WRITE_BASE_READ:
			goes_on = after_base_read(request);
			break;
		case WB_WRITE_RESERVE:
			goes_on = reserve_and_publish(request, end_bytes, data);
			break;
		}
	}
	return goes_on ? WB_PROGRESS_DONE : WB_PROGRESS_WAITS;
}

enum wb_progress wb_write_path_run(struct wb_request *request)
{
	return wb_write_path_range(request, wb_request_end_bytes(request),
				   request->pub.buffer);
}
