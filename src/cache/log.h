/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The head of the log: the open record, the order of entries, and which
 * segments may be opened. Everything that gives an entry its place in the
 * log's order happens under the log lock, here.
 *
 * A record:   OPEN      entries are reserved, copied, published
 *             SEALED    no new entries; copies may still be under way
 *             READY     header final (CRCs, chain), by the flush engine
 *             WRITING   at the SSD
 *             WRITTEN   its write has completed; not durable yet
 *             (then the object is free: durable >= sequence)
 *
 * A data entry is reserved as VOID and becomes DATA only after its block is in
 * the RAM buffer; a death in between leaves nothing half true. `copies` counts
 * reservations whose copying AND publishing are not finished; a record becomes
 * READY only at zero, so a durable record is always published.
 */
#ifndef WB_CACHE_LOG_H
#define WB_CACHE_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "cache/executed.h"
#include "cache/rambuf.h"
#include "cache/segment_table.h"
#include "format/record_codec.h"
#include "io/store.h"

enum wb_record_state {
	WB_RECORD_FREE, WB_RECORD_OPEN, WB_RECORD_SEALED, WB_RECORD_READY,
	WB_RECORD_WRITING, WB_RECORD_WRITTEN,
};

struct wb_record {
	/* the line of two who write at once */
	/* constant from open to free */
	uint64_t sequence;
	uint64_t segment_id;
	uint32_t ram_index;
	uint32_t block_offset;		/* of the header in the segment */
	struct wb_record_disk *header;	/* in the RAM buffer */
	/* under the log lock while OPEN, then constant */
	uint32_t entry_count, block_count;
	/* atomic */
	_Atomic uint32_t copies;
	_Atomic enum wb_record_state state;	/* after SEALED: by the flush engine */

	/* of the flush engine */
	uint32_t crc;
	uint64_t tail_segment, tail_sequence;	/* as its header says */
	void *owner;
	struct wb_io io;
} __attribute__((aligned(WB_CACHE_LINE_BYTES)));

struct wb_log_start {		/* what opening found */
	uint8_t uuid[16];
	uint64_t epoch, epoch_start;
	uint64_t last_sequence;		/* the cut */
	uint32_t last_crc;
	uint64_t last_segment;
	uint64_t tail_segment, tail_sequence;
};

/* What the entry is for decides how deep into the reserve it may go. */
enum wb_log_use {
	WB_LOG_DATA, WB_LOG_EXTENT, WB_LOG_CARRY,
	/* copies of what the backing has: only while there is room to spare */
	WB_LOG_FILL,		/* of what a read brought */
	WB_LOG_AGAIN,		/* of what lies in a place that is to be used again */
};

struct wb_log;

struct wb_log *wb_log_new(const struct wb_geometry *geometry,
			  struct wb_segment_table *segments, struct wb_rambuf *rambuf,
			  const struct wb_log_start *start);
void wb_log_free(struct wb_log *log);
/* Called, with no lock held: a record was sealed, or its last copy has ended; */
void wb_log_set_sealed(struct wb_log *log, void (*sealed)(void *arg), void *arg);
/* the log has gone on to another segment. */
void wb_log_set_opened(struct wb_log *log, void (*opened)(void *arg), void *arg);

/* What a request has to know of the record is here: that one's own line belongs to
 * whoever reserves next. */
struct wb_reservation {
	struct wb_record *record;
	struct wb_record_disk *header;	/* of the record */
	uint64_t sequence;
	uint32_t ram_index;
	uint32_t first_slot;
	uint32_t first_entry;		/* index of the first entry */
	uint32_t first_block;		/* block in the segment */
	uint32_t count;			/* 1..wanted */
};

/* Up to `wanted` consecutive data blocks of one record. FALSE: no free
 * segment, no RAM buffer, or too many records in flight: park. */
bool wb_log_reserve(struct wb_log *log, enum wb_log_use use, uint32_t wanted,
		    struct wb_reservation *reservation);
/* Block i of the reservation: its memory, its slot. */
void *wb_log_reserved_block(struct wb_log *log, const struct wb_reservation *reservation,
			    uint32_t i);
uint32_t wb_log_reserved_slot(const struct wb_reservation *reservation, uint32_t i);
/* Everything of the reservation is copied and published; its entries are set. */
void wb_log_reservation_done(struct wb_log *log, const struct wb_reservation *reservation);

struct wb_log_extent {
	uint8_t type;
	uint64_t first;
	uint32_t count;
	/* The request that is executed up to `end_bytes` with it, or NULL. */
	struct wb_executed *executed;
	uint64_t end_bytes;
};

/* An entry without data. Unless it is BYPASS it is counted as dirty in its segment
 * at once (the extent table takes that count over). The record is held open for publishing
 * as if it were copied: end with wb_log_extent_done(). FALSE: park. */
bool wb_log_append_extent(struct wb_log *log, enum wb_log_use use,
			  const struct wb_log_extent *extent, struct wb_record **record);
void wb_log_extent_done(struct wb_log *log, struct wb_record *record);

/* Seals the open record if there is one with sequence <= `up_to`. */
void wb_log_seal(struct wb_log *log, uint64_t up_to);
/* Sequence of the last record that has an entry, open or not. */
uint64_t wb_log_last_sequence(struct wb_log *log);
/* The last one that has anything else than copies of what the backing has: what a sync is
 * about. */
uint64_t wb_log_last_change(struct wb_log *log);
/* All records <= this are sealed. */
uint64_t wb_log_sealed_sequence(struct wb_log *log);
struct wb_record *wb_log_record(struct wb_log *log, uint64_t sequence);
/* Slot of block `block` of the record's segment. */
uint32_t wb_log_record_slot(struct wb_log *log, const struct wb_record *record, uint32_t block);

uint64_t wb_log_record_offset(struct wb_log *log, const struct wb_record *record);

/* A consistent look at the head, for judging the tail. */
struct wb_log_head {
	uint64_t segment_id;		/* newest opened; 0 = none ever */
	uint64_t last_sequence;		/* last record that exists, open included */
	uint32_t next_block;		/* of that segment: where its records end */
	bool has_open_record;
};
void wb_log_get_head(struct wb_log *log, struct wb_log_head *head);
uint64_t wb_log_head_segment(struct wb_log *log);	/* of it, without the lock */
/* How many blocks of the newest segment, if that is `segment_id`, lie in records
 * <= `sequence`, which is durable. */
uint32_t wb_log_head_blocks(struct wb_log *log, uint64_t segment_id, uint64_t sequence);

/*
 * For the relocation alone. While the log is held, nobody gets a place in it:
 * what asks for one parks. The open record is sealed.
 */
void wb_log_hold(struct wb_log *log);
/* Held, and nothing of the records behind `sequence` is being copied or
 * published any more: whoever did has left them for good. */
bool wb_log_is_still(struct wb_log *log, uint64_t sequence);
/* The id of the next segment, which is no longer for the log to open; the head
 * stays where it is. 0: none is ready. */
uint64_t wb_log_take_segment(struct wb_log *log);
/* The records of the head lie in a segment of its own choice now, and new ones
 * are of that epoch. */
struct wb_log_move {
	uint64_t segment_id;
	uint32_t ram_index;
	uint32_t next_block;
	uint64_t epoch, epoch_start;
};
void wb_log_move_head(struct wb_log *log, const struct wb_log_move *to);
void wb_log_resume(struct wb_log *log);
uint64_t wb_log_epoch(struct wb_log *log);

/* The highest segment id that may be opened (all places up to it are empty, or
 * bad: those are stepped over). */
void wb_log_set_limit(struct wb_log *log, uint64_t limit_id);
uint64_t wb_log_limit(struct wb_log *log);
/* Segments that could be opened now, the reserve included; no bad places. */
uint64_t wb_log_ready_count(struct wb_log *log);

/* The durable prefix of the log; set by the flush engine only, with the CRC of the
 * header of its last record. */
uint64_t wb_log_durable(struct wb_log *log);
void wb_log_set_durable(struct wb_log *log, uint64_t sequence, uint32_t crc);

#endif
