/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/log.h"

#include <glib.h>
#include <string.h>

#include "base/lines.h"
#include "base/lock.h"
#include "base/mutant.h"
#include "cache/limits.h"

struct wb_log {
	/* constant after new */
	struct wb_geometry geometry;
	struct wb_segment_table *segments;
	struct wb_rambuf *rambuf;
	struct wb_region *region;	/* of the RAM buffers; NULL without any */
	struct wb_log_start start;	/* but the epoch: under lock */
	void (*sealed)(void *arg), (*opened)(void *arg);
	void *sealed_arg, *opened_arg;

	struct wb_lock lock __attribute__((aligned(WB_CACHE_LINE_BYTES)));
	/* under lock; what each reservation needs lies in the lock's line */
	_Atomic uint64_t head_id;	/* newest segment; head_is_open: can take records */
	struct wb_record *open;
	uint64_t last_change;
	uint32_t head_reserve;		/* of the use that opened the head */
	uint32_t next_block;		/* in the head, where the next record begins */
	bool head_is_open, is_held;
	uint32_t head_ram_index;
	uint64_t next_sequence;

	/* atomic */
	_Atomic uint64_t ready_count;	/* written under lock */
	_Atomic uint64_t limit_id;	/* written under lock */
	_Atomic uint64_t sealed_sequence;	/* written under lock */
	_Atomic uint64_t durable	/* flush engine only */
		__attribute__((aligned(WB_CACHE_LINE_BYTES)));

	struct wb_record records[WB_RECORDS_IN_FLIGHT_MAX];
};

struct wb_log *wb_log_new(const struct wb_geometry *geometry,
			  struct wb_segment_table *segments, struct wb_rambuf *rambuf,
			  const struct wb_log_start *start)
{
	struct wb_log *log = g_aligned_alloc0(1, sizeof *log, WB_CACHE_LINE_BYTES);

	log->geometry = *geometry;
	log->segments = segments;
	log->rambuf = rambuf;
	log->region = rambuf ? wb_rambuf_region(rambuf) : NULL;
	log->start = *start;
	wb_lock_init(&log->lock, WB_RANK_LOG);
	/* A new session never adds to a segment of the one before: the first
	 * record goes to a fresh segment. */
	log->head_id = start->last_segment;
	log->head_reserve = WB_RESERVE_DATA;
	log->limit_id = log->head_id;
	log->next_sequence = start->last_sequence + 1;
	log->last_change = start->last_sequence;
	log->sealed_sequence = start->last_sequence;
	log->durable = start->last_sequence;
	return log;
}

void wb_log_free(struct wb_log *log)
{
	if (!log)
		return;
	wb_lock_clear(&log->lock);
	g_aligned_free(log);
}

void wb_log_set_sealed(struct wb_log *log, void (*sealed)(void *arg), void *arg)
{
	log->sealed = sealed;
	log->sealed_arg = arg;
}

void wb_log_set_opened(struct wb_log *log, void (*opened)(void *arg), void *arg)
{
	log->opened = opened;
	log->opened_arg = arg;
}

struct wb_record *wb_log_record(struct wb_log *log, uint64_t sequence)
{
	return &log->records[sequence % WB_RECORDS_IN_FLIGHT_MAX];
}

static uint32_t reserve_of(const struct wb_log *log, enum wb_log_use use)
{
	switch (use) {
	/* As many as reclaiming keeps, at most: else it cannot follow. */
	case WB_LOG_FILL: return (uint32_t)MIN(WB_RESERVE_FILL, log->geometry.segment_count / 2);
	case WB_LOG_AGAIN: return WB_RESERVE_AGAIN;
	case WB_LOG_DATA: return WB_RESERVE_DATA;
	case WB_LOG_EXTENT: return WB_RESERVE_EXTENT;
	case WB_LOG_CARRY: return 0;
	}
	g_assert_not_reached();
}

/* A segment that was opened out of the reserve stays for what the reserve is
 * for, as long as it is needed. */
static bool may_use_head_locked(const struct wb_log *log, enum wb_log_use use)
{
	return reserve_of(log, use) <= log->head_reserve ||
	       log->ready_count >= reserve_of(log, use);
}

/* Ids of bad places are consumed and stepped over. One that is not bad lies
 * before the limit. */
static uint64_t take_ready_locked(struct wb_log *log, uint64_t id)
{
	g_assert(log->ready_count > 0);
	log->ready_count--;
	do
		id++;
	while (wb_segment_of_id(log->segments, id)->is_bad);
	g_assert(id <= log->limit_id);
	return id;
}

static bool open_segment_locked(struct wb_log *log, enum wb_log_use use)
{
	struct wb_segment *segment;
	uint32_t ram_index;

	if (log->ready_count <= reserve_of(log, use))
		return false;
	ram_index = wb_rambuf_take(log->rambuf);
	if (ram_index == WB_NO_RAM_BUFFER)
		return false;
	log->head_id = take_ready_locked(log, log->head_id);
	log->head_is_open = true;
	log->head_reserve = reserve_of(log, use);
	log->head_ram_index = ram_index;
	log->next_block = 0;
	wb_region_set_run(log->region, ram_index, &(struct wb_region_run){
			log->head_id, log->next_sequence, log->next_sequence - 1 });
	segment = wb_segment_of_id(log->segments, log->head_id);
	g_assert(segment->dirty_count == 0 && segment->ram_index == WB_NO_RAM_BUFFER);
	segment->first_sequence = log->next_sequence;
	segment->last_sequence = log->next_sequence;
	segment->ram_index = ram_index;
	segment->superseded_by = 0;
	atomic_store(&segment->id, log->head_id);
	/* Last: from now on readers find the buffer. */
	atomic_store(&segment->ram_pins, 0);
	return true;
}

static bool open_record_locked(struct wb_log *log, enum wb_log_use use)
{
	uint32_t need = use == WB_LOG_EXTENT ? 1 : 2;
	struct wb_record *record = wb_log_record(log, log->next_sequence);

	g_assert(!log->open);
	if (log->next_sequence - log->durable >= WB_RECORDS_IN_FLIGHT_MAX)
		return false;
	if (!log->head_is_open || log->next_block + need > log->geometry.segment_blocks) {
		if (!open_segment_locked(log, use))
			return false;
	}
	record->sequence = log->next_sequence++;
	record->segment_id = log->head_id;
	record->ram_index = log->head_ram_index;
	record->block_offset = log->next_block;
	record->header = wb_rambuf_block(log->rambuf, log->head_ram_index, log->next_block);
	record->entry_count = 0;
	record->block_count = 0;
	record->copies = 0;
	if (WB_MUTANT(record_counts_early))
		wb_region_set_last(log->region, record->ram_index, record->sequence);
	wb_record_begin(record->header, log->start.uuid, log->start.epoch,
			log->start.epoch_start, record->sequence, log->head_id,
			(uint16_t)log->next_block);
	/* From here on a death leaves a record, with no entries. */
	wb_region_set_last(log->region, record->ram_index, record->sequence);
	atomic_store(&record->state, WB_RECORD_OPEN);
	wb_segment_of_id(log->segments, log->head_id)->last_sequence = record->sequence;
	log->next_block++;
	log->open = record;
	return true;
}

static uint32_t block_room(const struct wb_log *log)
{
	uint32_t in_record = WB_RECORD_BLOCKS_MAX - log->open->block_count;
	uint32_t in_segment = log->geometry.segment_blocks - log->next_block;

	return MIN(in_record, in_segment);
}

static uint32_t entry_room(const struct wb_log *log)
{
	return WB_RECORD_ENTRIES_MAX - log->open->entry_count;
}

static void seal_locked(struct wb_log *log)
{
	struct wb_record *record = log->open;

	log->open = NULL;
	atomic_store(&record->state, WB_RECORD_SEALED);
	atomic_store(&log->sealed_sequence, record->sequence);
}

/* Returns TRUE when a record was sealed. */
static bool seal_if_full_locked(struct wb_log *log)
{
	if (entry_room(log) > 0 && block_room(log) > 0)
		return false;
	seal_locked(log);
	return true;
}

static void tell_sealed(struct wb_log *log)
{
	if (log->sealed)
		log->sealed(log->sealed_arg);
}

static void tell_opened(struct wb_log *log)
{
	if (log->opened)
		log->opened(log->opened_arg);
}

bool wb_log_reserve(struct wb_log *log, enum wb_log_use use, uint32_t wanted,
		    struct wb_reservation *reservation)
{
	bool ok = false, did_seal = false, did_open;
	struct wb_record *record;
	uint64_t head_before;

	g_assert(wanted > 0 && use != WB_LOG_EXTENT);
	wb_lock_acquire(&log->lock);
	head_before = log->head_id;
	/* Opened for an extent in the last block of a segment. */
	if (log->open && block_room(log) == 0) {
		seal_locked(log);
		did_seal = true;
	}
	if (!log->is_held && may_use_head_locked(log, use) && (log->open || open_record_locked(log, use))) {
		record = log->open;
		reservation->record = record;
		reservation->first_entry = record->entry_count;
		reservation->header = record->header;
		reservation->sequence = record->sequence;
		reservation->ram_index = record->ram_index;
		reservation->first_block = log->next_block;
		reservation->first_slot = wb_log_record_slot(log, record, log->next_block);
		reservation->count = MIN(wanted, MIN(block_room(log), entry_room(log)));
		record->entry_count += reservation->count;
		record->block_count += reservation->count;
		log->next_block += reservation->count;
		atomic_fetch_add(&record->copies, 1);
		wb_record_set_counts(record->header, record->entry_count, record->block_count);
		if (use != WB_LOG_FILL && use != WB_LOG_AGAIN)
			log->last_change = record->sequence;
		did_seal |= seal_if_full_locked(log);
		ok = true;
	}
	did_open = log->head_id != head_before;
	wb_lock_release(&log->lock);
	if (did_seal)
		tell_sealed(log);
	if (did_open)
		tell_opened(log);
	return ok;
}

void *wb_log_reserved_block(struct wb_log *log, const struct wb_reservation *reservation,
			    uint32_t i)
{
	return wb_rambuf_block(log->rambuf, reservation->ram_index, reservation->first_block + i);
}

uint32_t wb_log_reserved_slot(const struct wb_reservation *reservation, uint32_t i)
{
	return reservation->first_slot + i;
}

uint32_t wb_log_record_slot(struct wb_log *log, const struct wb_record *record, uint32_t block)
{
	return wb_geometry_slot(&log->geometry,
				wb_geometry_place(&log->geometry, record->segment_id), block);
}

static void end_copy(struct wb_log *log, struct wb_record *record)
{
	/* The state is read first: after the last copy has ended the record may
	 * be written, become durable and be used again at any moment. */
	bool is_sealed = atomic_load(&record->state) == WB_RECORD_SEALED;

	if (atomic_fetch_sub(&record->copies, 1) == 1) {
		/* Sealed in between: then the sealer saw copies > 0 or will
		 * look after us; telling once too often is harmless. */
		if (is_sealed || atomic_load(&record->state) == WB_RECORD_SEALED)
			tell_sealed(log);
	}
}

void wb_log_reservation_done(struct wb_log *log, const struct wb_reservation *reservation)
{
	end_copy(log, reservation->record);
}

bool wb_log_append_extent(struct wb_log *log, enum wb_log_use use,
			  const struct wb_log_extent *extent, struct wb_record **record)
{
	struct wb_entry entry = { .address = extent->first, .mask = WB_MASK_FULL,
				  .type = extent->type, .crc_or_length = extent->count };
	bool ok = false, did_seal = false;

	wb_lock_acquire(&log->lock);
	if (!log->is_held && may_use_head_locked(log, use) &&
	    (log->open || open_record_locked(log, use))) {
		*record = log->open;
		if (extent->executed)
			wb_executed_intend(extent->executed, log->open->sequence,
					   log->open->entry_count, 1, extent->end_bytes);
		/* Whole before it counts: as VOID it would claim a block. */
		wb_record_set_entry(log->open->header, log->open->entry_count, &entry);
		log->open->entry_count++;
		wb_record_set_counts(log->open->header, log->open->entry_count,
				     log->open->block_count);
		/* A bypass needs none: what it supersedes is clean and older. */
		if (extent->type != WB_ENTRY_BYPASS && !WB_MUTANT(extents_uncounted))
			wb_segment_add_dirty(log->segments,
				     wb_segment_of_id(log->segments, log->open->segment_id), 1);
		atomic_fetch_add(&log->open->copies, 1);
		log->last_change = log->open->sequence;
		if (entry_room(log) == 0) {
			seal_locked(log);
			did_seal = true;
		}
		ok = true;
	}
	wb_lock_release(&log->lock);
	if (did_seal)
		tell_sealed(log);
	return ok;
}

void wb_log_extent_done(struct wb_log *log, struct wb_record *record)
{
	end_copy(log, record);
}

uint64_t wb_log_record_offset(struct wb_log *log, const struct wb_record *record)
{
	return wb_geometry_slot_offset(&log->geometry,
				       wb_log_record_slot(log, record, record->block_offset));
}

void wb_log_seal(struct wb_log *log, uint64_t up_to)
{
	bool did_seal = false;

	wb_lock_acquire(&log->lock);
	if (log->open && log->open->sequence <= up_to) {
		seal_locked(log);
		did_seal = true;
	}
	wb_lock_release(&log->lock);
	if (did_seal)
		tell_sealed(log);
}

uint64_t wb_log_last_sequence(struct wb_log *log)
{
	uint64_t sequence;

	wb_lock_acquire(&log->lock);
	sequence = log->next_sequence - 1;
	wb_lock_release(&log->lock);
	return sequence;
}

uint64_t wb_log_last_change(struct wb_log *log)
{
	uint64_t sequence;

	wb_lock_acquire(&log->lock);
	sequence = log->last_change;
	wb_lock_release(&log->lock);
	return sequence;
}

uint64_t wb_log_sealed_sequence(struct wb_log *log)
{
	return atomic_load(&log->sealed_sequence);
}

void wb_log_get_head(struct wb_log *log, struct wb_log_head *head)
{
	wb_lock_acquire(&log->lock);
	head->segment_id = log->head_id;
	head->last_sequence = log->next_sequence - 1;
	head->next_block = log->head_is_open ? log->next_block : log->geometry.segment_blocks;
	head->has_open_record = log->open != NULL;
	wb_lock_release(&log->lock);
}

uint64_t wb_log_head_segment(struct wb_log *log)
{
	return atomic_load_explicit(&log->head_id, memory_order_relaxed);
}

/* While the log is held its records may be moving elsewhere. An object that was
 * used again means that `sequence` is out of date: then none counts. */
uint32_t wb_log_head_blocks(struct wb_log *log, uint64_t segment_id, uint64_t sequence)
{
	const struct wb_record *next;
	uint32_t blocks = 0;

	wb_lock_acquire(&log->lock);
	next = wb_log_record(log, sequence + 1);
	if (segment_id == log->head_id &&
	    (sequence + 1 == log->next_sequence || WB_MUTANT(head_before_durable)))
		blocks = log->head_is_open ? log->next_block : log->geometry.segment_blocks;
	else if (segment_id == log->head_id && !log->is_held &&
		 next->sequence == sequence + 1 && next->segment_id == segment_id)
		blocks = next->block_offset;
	wb_lock_release(&log->lock);
	return blocks;
}

void wb_log_set_limit(struct wb_log *log, uint64_t limit_id)
{
	wb_lock_acquire(&log->lock);
	g_assert(limit_id >= log->limit_id);
	for (uint64_t id = log->limit_id + 1; id <= limit_id; id++)
		log->ready_count += !wb_segment_of_id(log->segments, id)->is_bad;
	atomic_store(&log->limit_id, limit_id);
	wb_lock_release(&log->lock);
}

uint64_t wb_log_limit(struct wb_log *log)
{
	return atomic_load(&log->limit_id);
}

uint64_t wb_log_ready_count(struct wb_log *log)
{
	return atomic_load(&log->ready_count);
}

uint64_t wb_log_durable(struct wb_log *log)
{
	return atomic_load(&log->durable);
}

void wb_log_set_durable(struct wb_log *log, uint64_t sequence, uint32_t crc)
{
	g_assert(sequence >= atomic_load(&log->durable));
	/* Before anybody can hear of it, or use the buffers again. */
	if (!WB_MUTANT(durable_not_kept))
		wb_region_set_durable(log->region, sequence, crc);
	atomic_store(&log->durable, sequence);
}

/* --- for the relocation -------------------------------------------------------- */

void wb_log_hold(struct wb_log *log)
{
	wb_lock_acquire(&log->lock);
	log->is_held = true;
	wb_lock_release(&log->lock);
	wb_log_seal(log, UINT64_MAX);
}

bool wb_log_is_still(struct wb_log *log, uint64_t sequence)
{
	bool is_still;

	wb_lock_acquire(&log->lock);
	is_still = log->is_held && !log->open;
	for (uint64_t s = sequence + 1; is_still && s < log->next_sequence; s++)
		is_still = atomic_load(&wb_log_record(log, s)->copies) == 0;
	wb_lock_release(&log->lock);
	return is_still;
}

uint64_t wb_log_take_segment(struct wb_log *log)
{
	uint64_t id = 0;

	wb_lock_acquire(&log->lock);
	g_assert(log->is_held);
	if (log->ready_count > 0)
		id = take_ready_locked(log, log->head_id);
	wb_lock_release(&log->lock);
	return id;
}

void wb_log_move_head(struct wb_log *log, const struct wb_log_move *to)
{
	wb_lock_acquire(&log->lock);
	g_assert(log->is_held && !log->open && to->segment_id > log->head_id);
	log->head_id = to->segment_id;
	log->head_ram_index = to->ram_index;
	log->next_block = to->next_block;
	log->start.epoch = to->epoch;
	log->start.epoch_start = to->epoch_start;
	wb_lock_release(&log->lock);
}

void wb_log_resume(struct wb_log *log)
{
	wb_lock_acquire(&log->lock);
	log->is_held = false;
	wb_lock_release(&log->lock);
}

uint64_t wb_log_epoch(struct wb_log *log)
{
	uint64_t epoch;

	wb_lock_acquire(&log->lock);
	epoch = log->start.epoch;
	wb_lock_release(&log->lock);
	return epoch;
}
