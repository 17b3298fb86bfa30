/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/scrub.h"

#include <glib.h>
#include <stdatomic.h>
#include <string.h>

#include "base/checksum.h"
#include "cache/limits.h"
#include "format/record_codec.h"

#define BLOCK WB_BLOCK_BYTES
#define SECOND_NS UINT64_C(1000000000)

G_STATIC_ASSERT(WB_SCRUB_BLOCKS <= 64);	/* they are bits of one word */

enum scrub_state {
	SCRUB_IDLE,
	SCRUB_LOOK,		/* for the next chunk with something live in it */
	SCRUB_READ,		/* the chunk, or one suspect of it */
	SCRUB_CHECK,
};

struct wb_scrub {
	struct wb_scrub_deps deps;	/* constant */
	char *buffer;

	/* stepping thread only */
	uint64_t place;
	uint32_t first_block, block_count;	/* the chunk */
	uint64_t segment_id, first_sequence;
	struct wb_segment *pinned;	/* of the chunk under way */
	uint64_t last_sequence;		/* of the segment, durable */
	/* bits of the chunk */
	uint64_t live, suspects, unreadable;
	uint64_t read_alone;		/* a second time; then it is judged */
	uint64_t addresses[WB_SCRUB_BLOCKS];
	uint64_t reading;		/* bits of the read under way */
	bool walks_headers;
	uint32_t next_header;		/* block in the segment */
	uint64_t next_sequence;
	uint64_t budget_bytes, budget_at_ns;
	struct wb_io io;

	/* atomic */
	_Atomic enum scrub_state state;
	_Atomic uint64_t rate_bytes;
	atomic_bool is_abandoned, has_ended;
	_Atomic int error;		/* of the read that ended */
	_Atomic unsigned completions;
	_Atomic uint64_t done_segments, checked_blocks, repaired_blocks, lost_blocks,
			 bad_headers;
};

struct wb_scrub *wb_scrub_new(const struct wb_scrub_deps *deps)
{
	struct wb_scrub *scrub = g_new0(struct wb_scrub, 1);

	scrub->deps = *deps;
	scrub->buffer = g_aligned_alloc(WB_SCRUB_BLOCKS, BLOCK, BLOCK);
	return scrub;
}

void wb_scrub_free(struct wb_scrub *scrub)
{
	if (!scrub)
		return;
	g_assert(!scrub->pinned);
	g_aligned_free(scrub->buffer);
	g_free(scrub);
}

void wb_scrub_set_rate(struct wb_scrub *scrub, uint64_t bytes_per_s)
{
	atomic_store(&scrub->rate_bytes, bytes_per_s);
}

bool wb_scrub_is_running(struct wb_scrub *scrub)
{
	return atomic_load(&scrub->state) != SCRUB_IDLE;
}

void wb_scrub_abandon(struct wb_scrub *scrub)
{
	atomic_store(&scrub->is_abandoned, true);
}

bool wb_scrub_is_settled(struct wb_scrub *scrub)
{
	return atomic_load(&scrub->state) == SCRUB_IDLE &&
	       atomic_load(&scrub->completions) == 0;
}

void wb_scrub_get_progress(struct wb_scrub *scrub, struct wb_scrub_progress *progress)
{
	*progress = (struct wb_scrub_progress){
		.is_running = wb_scrub_is_running(scrub),
		.done_segments = scrub->done_segments,
		.checked_blocks = scrub->checked_blocks,
		.repaired_blocks = scrub->repaired_blocks,
		.lost_blocks = scrub->lost_blocks,
		.bad_headers = scrub->bad_headers,
	};
}

/* --- where to go next ------------------------------------------------------------ */

/* Headers count where recovery would want them: from the tail on. */
static void enter_segment(struct wb_scrub *scrub)
{
	struct wb_segment *segment = wb_segment_at(scrub->deps.segments, scrub->place);

	scrub->first_block = 0;
	scrub->block_count = 0;
	scrub->segment_id = atomic_load(&segment->id);
	scrub->walks_headers = segment->last_sequence >=
			       wb_tail_current(scrub->deps.tail).sequence;
	scrub->next_header = 0;
	scrub->first_sequence = scrub->next_sequence = segment->first_sequence;
}

static void next_segment(struct wb_scrub *scrub)
{
	scrub->place++;
	scrub->done_segments++;
	if (scrub->place < scrub->deps.geometry->segment_count)
		enter_segment(scrub);
}

void wb_scrub_begin(struct wb_scrub *scrub)
{
	g_assert(scrub->state == SCRUB_IDLE);
	scrub->place = 0;
	scrub->done_segments = scrub->checked_blocks = scrub->repaired_blocks = 0;
	scrub->lost_blocks = scrub->bad_headers = 0;
	scrub->budget_at_ns = wb_clock_now_ns(scrub->deps.clock);
	scrub->budget_bytes = WB_SCRUB_BLOCKS * BLOCK;
	enter_segment(scrub);
	scrub->state = SCRUB_LOOK;
}

/* The segment is the one that was entered, with what it held then (a relocation
 * gives an id other records), and on the SSD: what is not durable yet is in RAM
 * too. */
static bool is_still_there(struct wb_scrub *scrub, struct wb_segment *segment)
{
	return scrub->segment_id != 0 && atomic_load(&segment->id) == scrub->segment_id &&
	       segment->first_sequence == scrub->first_sequence &&
	       segment->last_sequence <= wb_log_durable(scrub->deps.log);
}

static bool has_header_in_chunk(const struct wb_scrub *scrub)
{
	return scrub->walks_headers && scrub->next_sequence <= scrub->last_sequence &&
	       scrub->next_header >= scrub->first_block &&
	       scrub->next_header < scrub->first_block + scrub->block_count;
}

static void find_live(struct wb_scrub *scrub)
{
	uint32_t slot = wb_geometry_slot(scrub->deps.geometry, scrub->place,
					 scrub->first_block);

	scrub->live = 0;
	for (uint32_t i = 0; i < scrub->block_count; i++) {
		struct wb_mapping mapping;

		wb_block_map_peek(scrub->deps.map, slot + i, &mapping);
		scrub->addresses[i] = mapping.address;
		if (mapping.state != WB_SLOT_FREE)
			scrub->live |= UINT64_C(1) << i;
	}
}

/* Up to the next chunk that is worth reading. FALSE: the pass is over. */
static bool find_chunk(struct wb_scrub *scrub)
{
	uint32_t segment_blocks = scrub->deps.geometry->segment_blocks;

	while (scrub->place < scrub->deps.geometry->segment_count) {
		struct wb_segment *segment = wb_segment_at(scrub->deps.segments,
							   scrub->place);

		scrub->first_block += scrub->block_count;
		if (scrub->first_block >= segment_blocks || !is_still_there(scrub, segment)) {
			next_segment(scrub);
			continue;
		}
		scrub->block_count = MIN(WB_SCRUB_BLOCKS,
					 segment_blocks - scrub->first_block);
		/* Once: a record that is added meanwhile is not there yet. */
		scrub->last_sequence = segment->last_sequence;
		find_live(scrub);
		/* What was opened and published meanwhile is live, and not on the SSD. */
		if (!is_still_there(scrub, segment)) {
			next_segment(scrub);
			continue;
		}
		if (scrub->live || has_header_in_chunk(scrub)) {
			wb_segment_pin(segment);
			scrub->pinned = segment;
			return true;
		}
	}
	return false;
}

/* A pause of the reader does not pile up into a burst of more than half a
 * second. */
static bool may_read(struct wb_scrub *scrub)
{
	uint64_t rate = atomic_load(&scrub->rate_bytes);
	uint64_t now = wb_clock_now_ns(scrub->deps.clock);
	uint64_t passed = MIN(now - scrub->budget_at_ns, SECOND_NS / 2);
	uint64_t chunk = WB_SCRUB_BLOCKS * BLOCK;

	if (rate == 0)
		return true;
	scrub->budget_bytes += rate * (passed / 1000) / 1000000;
	scrub->budget_bytes = MIN(scrub->budget_bytes, MAX(rate / 2, chunk));
	scrub->budget_at_ns = now;
	return scrub->budget_bytes >= chunk;
}

/* --- reading ----------------------------------------------------------------------- */

static void read_done(struct wb_io *io, int error)
{
	struct wb_scrub *scrub =
		(struct wb_scrub *)((char *)io - offsetof(struct wb_scrub, io));

	atomic_fetch_add(&scrub->completions, 1);
	scrub->error = error;
	atomic_store(&scrub->has_ended, true);
	/* From here on the worker may use it again. */
	if (scrub->deps.kick)
		scrub->deps.kick(scrub->deps.arg);
	atomic_fetch_sub(&scrub->completions, 1);
}

/* `count` blocks of the chunk from `first` on. */
static void start_read(struct wb_scrub *scrub, uint32_t first, uint32_t count)
{
	uint32_t slot = wb_geometry_slot(scrub->deps.geometry, scrub->place,
					 scrub->first_block + first);
	uint64_t length = (uint64_t)count * BLOCK;

	scrub->reading = (UINT64_MAX >> (64 - count)) << first;
	scrub->has_ended = false;
	scrub->state = SCRUB_READ;
	scrub->budget_bytes -= MIN(scrub->budget_bytes, length);
	WB_STAT_ADD(scrub->deps.stats, WB_STAT_SSD_READ_BYTES, length);
	wb_io_prepare(&scrub->io, WB_IO_READ, WB_IO_CLASS_SCRUB,
		      wb_geometry_slot_offset(scrub->deps.geometry, slot),
		      scrub->buffer + (size_t)first * BLOCK, length, read_done);
	wb_store_submit(scrub->deps.store, &scrub->io);
}

/* --- judging ----------------------------------------------------------------------- */

static void judge_block(struct wb_scrub *scrub, uint32_t i)
{
	uint32_t slot = wb_geometry_slot(scrub->deps.geometry, scrub->place,
					 scrub->first_block + i);
	uint64_t address = scrub->addresses[i];
	struct wb_stripe *stripe = wb_block_map_stripe(scrub->deps.map, address);
	bool is_lost;

	WB_STAT_ADD(scrub->deps.stats, WB_STAT_CHECKSUM_ERRORS, 1);
	if (wb_forget_clean(scrub->deps.forget, address, slot)) {
		scrub->repaired_blocks++;
		return;
	}
	wb_lock_acquire(&stripe->lock);
	is_lost = wb_block_map_found_bad_locked(scrub->deps.map, address, slot);
	wb_lock_release(&stripe->lock);
	scrub->lost_blocks += is_lost;
	if (is_lost)
		wb_message_set(scrub->deps.message,
			       "cache %s: scrub: the newest data of image block %"
			       G_GUINT64_FORMAT " cannot be read back; it stays in the cache",
			       scrub->deps.store->label, address);
}

static void judge_header(struct wb_scrub *scrub)
{
	uint32_t slot = wb_geometry_slot(scrub->deps.geometry, scrub->place,
					 scrub->next_header);

	scrub->walks_headers = false;	/* where the next one is, nobody knows */
	scrub->bad_headers++;
	WB_STAT_ADD(scrub->deps.stats, WB_STAT_CHECKSUM_ERRORS, 1);
	wb_message_set(scrub->deps.message,
		       "cache %s: scrub: the header of record %" G_GUINT64_FORMAT " at byte %"
		       G_GUINT64_FORMAT " is damaged; this mount does not need it, but the "
		       "next one would refuse the cache: drain now",
		       scrub->deps.store->label, scrub->next_sequence,
		       wb_geometry_slot_offset(scrub->deps.geometry, slot));
}

static bool header_is_right(struct wb_scrub *scrub, uint32_t i,
			    struct wb_record_fields *fields)
{
	struct wb_geometry geometry = wb_image_geometry(scrub->deps.image,
							scrub->deps.geometry);

	return !(scrub->unreadable & (UINT64_C(1) << i)) &&
	       wb_record_decode((const void *)(scrub->buffer + (size_t)i * BLOCK),
				scrub->deps.uuid, &geometry, scrub->place,
				scrub->next_header, fields) == WB_RECORD_VALID &&
	       fields->segment_id == scrub->segment_id &&
	       fields->sequence == scrub->next_sequence;
}

/* TRUE when what is wrong was read alone already; else that is to come. */
static bool is_certain(struct wb_scrub *scrub, uint32_t i)
{
	uint64_t bit = UINT64_C(1) << i;

	if (!(scrub->read_alone & bit))
		scrub->suspects |= bit;
	return scrub->read_alone & bit;
}

/* Follows the headers through the chunk, up to a wrong one. */
static void check_headers(struct wb_scrub *scrub)
{
	struct wb_record_fields fields;

	while (has_header_in_chunk(scrub)) {
		uint32_t i = scrub->next_header - scrub->first_block;

		if (!header_is_right(scrub, i, &fields)) {
			if (is_certain(scrub, i))
				judge_header(scrub);
			return;
		}
		scrub->next_header += 1u + fields.block_count;
		scrub->next_sequence++;
	}
}

static bool block_is_right(struct wb_scrub *scrub, uint32_t i)
{
	uint32_t slot = wb_geometry_slot(scrub->deps.geometry, scrub->place,
					 scrub->first_block + i);

	return !(scrub->unreadable & (UINT64_C(1) << i)) &&
	       wb_crc32c(scrub->buffer + (size_t)i * BLOCK, BLOCK) ==
	       wb_block_map_crc(scrub->deps.map, slot);
}

static void check_blocks(struct wb_scrub *scrub)
{
	for (uint32_t i = 0; i < scrub->block_count; i++) {
		uint64_t bit = UINT64_C(1) << i;

		if (!(scrub->live & bit))
			continue;
		if (!block_is_right(scrub, i)) {
			if (!is_certain(scrub, i))
				continue;
			judge_block(scrub, i);
		}
		scrub->live &= ~bit;
		scrub->checked_blocks++;
	}
}

/* Until nothing is left that has to be read again. */
static void check_chunk(struct wb_scrub *scrub)
{
	if (scrub->suspects == 0) {
		check_headers(scrub);
		check_blocks(scrub);
	}
	if (scrub->suspects != 0) {
		start_read(scrub, (uint32_t)__builtin_ctzll(scrub->suspects), 1);
		return;
	}
	wb_segment_unpin(scrub->deps.segments, scrub->pinned);
	scrub->pinned = NULL;
	scrub->state = SCRUB_LOOK;
}

static void take_in_read(struct wb_scrub *scrub)
{
	if (scrub->error) {
		scrub->unreadable |= scrub->reading;
		WB_STAT_ADD(scrub->deps.stats, WB_STAT_CACHE_ERRORS, 1);
	} else {
		scrub->unreadable &= ~scrub->reading;
	}
	scrub->read_alone |= scrub->suspects & scrub->reading;
	scrub->suspects &= ~scrub->reading;
	scrub->state = SCRUB_CHECK;
}

/* --- steps ------------------------------------------------------------------------- */

static bool look_step(struct wb_scrub *scrub)
{
	if (!may_read(scrub))
		return false;
	if (!find_chunk(scrub)) {
		scrub->state = SCRUB_IDLE;
		return true;
	}
	scrub->suspects = scrub->unreadable = scrub->read_alone = 0;
	start_read(scrub, 0, scrub->block_count);
	return true;
}

static bool end_step(struct wb_scrub *scrub)
{
	if (scrub->state == SCRUB_READ && !scrub->has_ended)
		return false;
	if (scrub->pinned)
		wb_segment_unpin(scrub->deps.segments, scrub->pinned);
	scrub->pinned = NULL;
	scrub->state = SCRUB_IDLE;
	return true;
}

bool wb_scrub_step(struct wb_scrub *scrub)
{
	enum scrub_state state = scrub->state;

	if (state == SCRUB_IDLE)
		return false;
	if (scrub->is_abandoned)
		return end_step(scrub);
	switch (state) {
	case SCRUB_LOOK:
		return look_step(scrub);
	case SCRUB_READ:
		if (!scrub->has_ended)
			return false;
		take_in_read(scrub);
		return true;
	case SCRUB_CHECK:
		check_chunk(scrub);
		return true;
	case SCRUB_IDLE:
		break;
	}
	g_assert_not_reached();
}
