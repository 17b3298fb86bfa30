/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fills: what a read brought from the backing enters the log as CLEAN blocks, after the
 * reader has its answer and while the memory is still the request's.
 *
 * The data was read with nothing held. It is what the backing has now, and what the
 * image has, only if nothing of the block has changed since the read looked it up:
 *  - under the exclusion, so that nobody changes it from here to the publication;
 *  - the stripe's change counter is what it was at the look-up: no write, discard or
 *    bypass has been published, begun or ended since;
 *  - the map names no slot of it, no discard of it is pending: nobody else filled it;
 *  - the image ends where it ended when the read began: it may grow right after that was
 *    asked, so what is copied goes by the size that the read has seen. Behind that the
 *    memory holds anything, in the block in which the image ended;
 *  - nothing on the backing waits for a flush, or was lost with one that failed and can
 *    still be read: of what went around the cache and is gone after a power cut a copy
 *    would come back alone, and hide what the backing has until it falls out.
 * Else the fill is dropped. It waits for nothing and nobody: no room to spare in the
 * log, a block that somebody works on, or somebody waiting for room drop it as well. All
 * that is dropped is counted with the reason. The policy has heard of it in any case, and
 * what was worth to be kept has fallen out, as it were: the next time it is known.
 */
#include "cache/request.h"

#include <string.h>

#include "base/checksum.h"
#include "base/mutant.h"
#include "cache/read_policy.h"

#define BLOCK WB_BLOCK_BYTES

/* The blocks of one stretch that are to enter. */
struct fill {
	struct wb_data_path *path;
	const struct wb_read_miss *miss;
	const char *data;		/* of miss->first */
	uint64_t image_bytes;		/* as the read has seen it */
	struct wb_busy busy;
	uint32_t count;
	struct {
		uint8_t offset, mark;	/* from miss->first */
	} block[WB_CHUNK_BLOCKS];
};

G_STATIC_ASSERT(WB_CHUNK_BLOCKS <= 256);	/* an offset is a byte */

static struct wb_stripe *stripe_of(const struct fill *fill)
{
	return wb_block_map_stripe(fill->path->map, fill->miss->first);
}

static uint8_t mask_of(const struct fill *fill, uint64_t address)
{
	return wb_geometry_mask_of(fill->image_bytes, address);
}

/* By the policy: not everything that is missed is worth a write. */
static void choose(struct fill *fill, bool is_stream)
{
	for (uint32_t i = 0; i < fill->miss->count; i++) {
		uint64_t address = fill->miss->first + i;
		uint8_t mark = WB_READ_MARK_READ;

		if (!wb_fill_gate_is_pinned(&fill->path->fill_gate, address) &&
		    (is_stream ||
		     !wb_read_policy_missed(fill->path->read_policy, address, &mark)))
			continue;
		fill->block[fill->count].offset = (uint8_t)i;
		fill->block[fill->count++].mark = mark;
	}
}

/* Under the stripe lock, entered: those that are still what the backing has. */
static void keep_valid_locked(struct fill *fill)
{
	struct wb_data_path *path = fill->path;
	uint32_t kept = 0;

	if (stripe_of(fill)->change_count != fill->miss->change_count &&
	    !WB_MUTANT(fill_unchecked)) {
		fill->count = 0;
		return;
	}
	for (uint32_t i = 0; i < fill->count; i++) {
		uint64_t address = fill->miss->first + fill->block[i].offset, until;
		struct wb_mapping now;

		wb_block_map_lookup_locked(path->map, address, &now);
		if (now.slot == WB_NO_SLOT &&
		    wb_extent_table_lookup(path->extents, address, &until) == WB_EXTENT_NONE)
			fill->block[kept++] = fill->block[i];
	}
	fill->count = kept;
}

static void copy(struct fill *fill, const struct wb_reservation *reservation, uint32_t done)
{
	struct wb_data_path *path = fill->path;

	for (uint32_t i = 0; i < reservation->count; i++) {
		uint32_t offset = fill->block[done + i].offset;
		uint32_t slot = wb_log_reserved_slot(reservation, i);
		char *target = wb_log_reserved_block(path->log, reservation, i);
		struct wb_entry entry = {
			.address = fill->miss->first + offset, .type = WB_ENTRY_CLEAN,
		};
		uint64_t length = MIN(BLOCK, fill->image_bytes - entry.address * BLOCK);

		entry.mask = mask_of(fill, entry.address);
		memcpy(target, fill->data + (size_t)offset * BLOCK, length);
		memset(target + length, 0, BLOCK - length);
		entry.crc_or_length = wb_crc32c(target, BLOCK);
		wb_block_map_set_crc(path->map, slot, entry.crc_or_length);
		wb_read_policy_set_mark(path->read_policy, slot, fill->block[done + i].mark);
		wb_record_set_entry(reservation->header, reservation->first_entry + i,
				    &entry);
	}
}

/* The change counter stays: no data of a block has changed. */
static void publish(struct fill *fill, const struct wb_reservation *reservation, uint32_t done)
{
	struct wb_data_path *path = fill->path;
	struct wb_stripe *stripe = stripe_of(fill);

	wb_lock_acquire(&stripe->lock);
	for (uint32_t i = 0; i < reservation->count; i++) {
		uint64_t address = fill->miss->first + fill->block[done + i].offset;

		wb_block_map_put_locked(path->map, address,
					wb_log_reserved_slot(reservation, i),
					mask_of(fill, address), WB_SLOT_CLEAN);
	}
	wb_lock_release(&stripe->lock);
}

static uint32_t append(struct fill *fill)
{
	struct wb_data_path *path = fill->path;
	struct wb_reservation reservation;
	uint32_t done = 0;

	while (done < fill->count &&
	       wb_log_reserve(path->log, WB_LOG_FILL, fill->count - done, &reservation)) {
		copy(fill, &reservation, done);
		publish(fill, &reservation, done);
		wb_log_reservation_done(path->log, &reservation);
		done += reservation.count;
	}
	return done;
}

/* Those from `first` on, and why. */
static void drop(struct fill *fill, uint32_t first, enum wb_stat reason)
{
	for (uint32_t i = first; i < fill->count; i++)
		wb_read_policy_fell_out(fill->path->read_policy,
					fill->miss->first + fill->block[i].offset);
	WB_STAT_ADD(fill->path->stats, reason, fill->count - first);
	WB_STAT_ADD(fill->path->stats, WB_STAT_FILL_DROPPED_BLOCKS, fill->count - first);
	fill->count = first;
}

/* Within the budget; those that have changed are no loss. */
static uint32_t enter(struct fill *fill)
{
	struct wb_data_path *path = fill->path;
	uint32_t before = fill->count, done;

	if (wb_exclusion_enter(path->exclusion, &fill->busy, NULL) != WB_ENTERED) {
		drop(fill, 0, WB_STAT_FILL_BUSY_BLOCKS);
		return 0;
	}
	keep_valid_locked(fill);
	wb_lock_release(&stripe_of(fill)->lock);
	WB_STAT_ADD(path->stats, WB_STAT_FILL_CHANGED_BLOCKS, before - fill->count);
	WB_STAT_ADD(path->stats, WB_STAT_FILL_DROPPED_BLOCKS, before - fill->count);
	done = append(fill);
	wb_exclusion_leave(path->exclusion, &fill->busy);
	drop(fill, done, WB_STAT_FILL_NO_ROOM_BLOCKS);
	return done;
}

/* `objection`: why nothing can be kept now, or WB_STAT_COUNT. */
static void fill_miss(struct wb_request *request, const struct wb_read_miss *miss,
		      bool is_stream, enum wb_stat objection)
{
	struct wb_data_path *path = request->path;
	uint64_t first = request->pub.offset_bytes / BLOCK;
	struct fill fill = {
		.path = path, .miss = miss, .image_bytes = request->read.image_bytes,
		.data = (const char *)request->pub.buffer + (miss->first - first) * BLOCK,
		.busy = { .first = miss->first, .last = miss->first + miss->count - 1 },
	};
	uint32_t taken, done;

	choose(&fill, is_stream);
	if (objection != WB_STAT_COUNT)
		drop(&fill, 0, objection);
	taken = wb_fill_gate_take(&path->fill_gate, fill.count);
	drop(&fill, taken, WB_STAT_FILL_NO_BUDGET_BLOCKS);
	if (taken == 0)
		return;
	done = enter(&fill);
	wb_fill_gate_give_back(&path->fill_gate, taken - done);
	WB_STAT_ADD(path->stats, WB_STAT_FILLED_BLOCKS, done);
}

/* Before anything is begun; whoever needs it after this goes first all the same. */
static bool has_room(struct wb_data_path *path)
{
	return wb_park_count(path->space) == 0 && !wb_flush_has_failed(path->flush) &&
	       wb_flush_available_buffers(path->flush) > wb_rambuf_count(path->rambuf) / 2;
}

static enum wb_stat objection_to(struct wb_request *request)
{
	struct wb_data_path *path = request->path;

	if (request->read.image_bytes != wb_image_bytes(&path->image))
		return WB_STAT_FILL_CHANGED_BLOCKS;
	if (!wb_backing_flush_shows_what_stays(path->backing_flush) &&
	    !WB_MUTANT(fill_of_unflushed))
		return WB_STAT_FILL_UNFLUSHED_BLOCKS;
	return has_room(path) ? WB_STAT_COUNT : WB_STAT_FILL_NO_ROOM_BLOCKS;
}

void wb_fill_path_after(struct wb_request *request)
{
	struct wb_data_path *path = request->path;
	struct wb_read_work *work = &request->read;
	enum wb_stat objection;
	bool is_stream;

	if (work->miss_count == 0 || request->error || atomic_load(&path->is_abandoned))
		return;
	is_stream = wb_fill_gate_is_stream(&path->fill_gate, request->pub.offset_bytes / BLOCK,
					   wb_request_span_bytes(request->pub.offset_bytes,
								 request->pub.length_bytes) / BLOCK);
	objection = objection_to(request);
	for (unsigned i = 0; i < work->miss_count; i++)
		fill_miss(request, &work->misses[i], is_stream, objection);
	work->miss_count = 0;
}
