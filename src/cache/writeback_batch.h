/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The inside of the writeback engine: one batch and the stages that it passes.
 * Only the writeback*.c files include it; what each stage does is said in
 * writeback.h. On the writeback worker, but for completions.
 */
#ifndef WB_CACHE_WRITEBACK_BATCH_H
#define WB_CACHE_WRITEBACK_BATCH_H

#include <stdatomic.h>
#include <stdbool.h>

#include "cache/busy_meter.h"
#include "cache/disk_model.h"
#include "cache/limits.h"
#include "cache/refused.h"
#include "cache/writeback.h"
#include "cache/writeback_plan.h"

enum wb_batch_stage {
	WB_BATCH_IDLE, WB_BATCH_ZERO, WB_BATCH_READ, WB_BATCH_GAPS, WB_BATCH_MERGE, WB_BATCH_WRITE,
	WB_BATCH_FLUSH, WB_BATCH_COMMIT, WB_BATCH_CARRY,
};

struct wb_batch_io {
	struct wb_writeback *writeback;
	bool is_used;			/* worker only */
	bool is_at_backing;		/* constant from submit to done */
	atomic_bool has_ended;
	int error;
	size_t first_block, block_count;	/* of the batch */
	uint64_t first_address;		/* of a punch */
	unsigned first_sector, sector_count;	/* of a write; see wb_write_extent */
	struct wb_isolation isolation;	/* of a write or punch; blocks */
	uint64_t begun_ns, ended_ns;	/* of a write or punch */
	char *scratch;			/* one block, for MERGE */
	struct iovec *iov;		/* WB_WRITEBACK_JOIN_BLOCKS entries */
	struct wb_io io;
	struct wb_backing_waiter flush_waiter;
};

/* The memory of a batch; another one is taken between batches. */
struct wb_batch_room {
	size_t bytes;
	uint32_t block_count, written_count;
	char *data;			/* block_count blocks */
	struct wb_batch_block *blocks;
	/* written_count of them: of the batch, and what the flush under way is for */
	struct wb_written_block *written, *flushed;
};

/* How a portion is selected. */
enum wb_batch_pick {
	WB_PICK_SWEEP,			/* what comes next in the image */
	WB_PICK_OLDEST,			/* the oldest segments */
};

/* The batch's selection: what all of its portions have in common. */
struct wb_batch_pass {
	enum wb_writeback_wish wish;
	enum wb_batch_pick pick;
	uint64_t durable;		/* only records up to that */
	uint64_t head_id;		/* the open segment, then, */
	uint32_t head_blocks;		/* and how far it was durable */
	uint32_t block_limit;		/* of a portion */
	uint32_t segment_limit;		/* of it, when it is of the oldest */
	uint64_t sweep_begin;		/* the lap is over there */
	bool has_wrapped;
	bool is_complete;		/* all that is dirty was looked at */
};

/* What was measured of the batch, for the model of the disk. */
struct wb_batch_tally {
	uint64_t begun_ns;		/* of the stage; 0: no I/O of it yet */
	uint64_t write_ns, write_count, write_bytes, span_bytes;
	uint64_t last_address;		/* written in the portion */
	uint64_t read_count, read_bytes;	/* of gaps, in the stage */
	bool has_filled;
	bool is_blurred;		/* the reads were behind a flush */
};

/* The flush under way, and what it is for; see writeback_flush.c. */
struct wb_batch_flush {
	atomic_bool is_under_way;	/* worker; read by others as a hint */
	bool is_behind;			/* the next batch may begin meanwhile, */
	uint64_t least_dirty;		/* when so many blocks are dirty */
	int error;			/* when it has ended */
	uint64_t begun_ns;
	uint64_t failures;		/* of the backing, before the first write */
	size_t count;			/* of room->flushed, by slot; each is pinned */
	struct wb_batch_tally tally;
	struct wb_batch_io io;
};

#define WB_BAD_GAPS 16u

struct wb_writeback {
	/* constant after new */
	struct wb_writeback_deps deps;
	void (*kick)(void *arg);
	void (*zeros_done)(void *arg);
	void *arg;
	char *scratch;			/* a block for each I/O */
	struct iovec *iovs;
	struct wb_carry_block *carry_blocks;	/* of one segment */
	struct wb_refused *refused;
	struct wb_busy_meter meter;	/* of the backing, by this engine's I/O */
	struct wb_busy_meter reads_meter;	/* of it, reads */

	/* worker only */
	_Atomic enum wb_batch_stage stage;	/* read by others as a hint */
	struct wb_batch_room *room;
	enum wb_writeback_order order;	/* of the batch */
	struct wb_batch_pass pass;
	size_t block_count;		/* of the portion; each has its segment pinned */
	size_t written_count;		/* of the batch; likewise */
	uint64_t sweep_at;		/* the next block that a sweep looks at */
	uint32_t portion_blocks;	/* as many as can be written in good time */
	uint64_t written_until_ns;	/* no new write after this; 0: none yet */
	bool was_urgent;		/* the last batch was of the oldest segments */
	struct wb_batch_flush flush;
	struct wb_disk_model model;
	struct wb_batch_tally tally;
	unsigned gap_batches;		/* that could fill some */
	bool is_probe;			/* this one does not, and measures that */
	/* gaps that could not be read lately, which is tried no more: the oldest goes */
	uint64_t bad_gaps[WB_BAD_GAPS];
	unsigned bad_gap_count;
	size_t next;			/* next block of the stage */
	unsigned next_sector;
	uint64_t next_zero;		/* discards before this block are done */
	uint64_t unknown_zero;		/* the first that failed and is not remembered */
	uint64_t zeros_until_ns;	/* no new punch after this */
	uint64_t zero_piece_bytes;	/* of the next one */
	unsigned zeros_in_flight;
	bool has_zeros;
	bool takes_bad;			/* the pause of those is over */
	bool has_seen_bad;
	bool has_bad;			/* blocks that failed before are in it */
	bool found_bad;			/* and this time */
	bool found_new_bad;		/* and did not before */
	uint64_t bad_retry_at_ns;
	uint64_t found_bad_then;	/* the map's count, when the batch was selected */
	_Atomic uint64_t found_bad_known;	/* those that had their first try */
	bool may_split;			/* failed transfers; else they wait as a whole */
	unsigned splits;
	unsigned refusals;		/* transfers that failed in the end */
	bool was_refused_new;		/* blocks that had not failed before */
	bool was_refused_unknown;	/* and cannot be remembered */
	bool has_written;		/* something went well: to be flushed */
	bool is_cut_short;		/* writes no more; the rest stays dirty */
	bool is_carrying;		/* the blocks go to the head of the log, */
	bool is_last_try;		/* as lost, if they cannot be read */
	const struct wb_carry *carry;
	uint64_t carry_at_ns;		/* not before */
	int error;			/* of the batch: a flush failed */
	uint64_t flush_failures;	/* of the backing, before its first write */
	_Atomic(struct wb_batch_room *) next_room;	/* for the next batch, or NULL */
	_Atomic enum wb_writeback_order next_order;
	_Atomic uint32_t gap_blocks;	/* longer gaps are not filled; 0: none is */
	_Atomic uint64_t retry_at_ns;
	atomic_bool is_pause_over;
	bool is_lazy;			/* of its worker */
	atomic_bool is_abandoned;
	_Atomic unsigned failures;
	_Atomic unsigned bad_tries;	/* in a row that found bad blocks */
	atomic_bool is_stuck;
	atomic_bool retry_bad_now;
	_Atomic unsigned completions;	/* threads inside wb_batch_io_done() */
	struct wb_batch_io ios[WB_WRITEBACK_DEPTH];
};

/* writeback.c: I/O of a batch. A free one, or NULL. */
struct wb_batch_io *wb_batch_take_io(struct wb_writeback *writeback);
/* How many writes may be at the backing now, and how many blocks are joined to one. */
unsigned wb_batch_depth(const struct wb_writeback *writeback);
size_t wb_batch_join_blocks(const struct wb_writeback *writeback);
unsigned wb_batch_in_flight(const struct wb_writeback *writeback);
/* Something is in flight, or ended and not collected. */
bool wb_batch_has_io(const struct wb_writeback *writeback);
/* What is set in io->io, to the backing. */
void wb_batch_submit_to_backing(struct wb_writeback *writeback, struct wb_batch_io *io);
/* done() of all of it: counts down and kicks. */
void wb_batch_io_done(struct wb_io *io, int error);
/* Gives what has ended to `ended`; TRUE when there was any. */
bool wb_batch_collect(struct wb_writeback *writeback,
		      void (*ended)(struct wb_writeback *, struct wb_batch_io *));
/* An error of the backing is counted and told. */
void wb_batch_note_error(struct wb_writeback *writeback, const struct wb_batch_io *io);
char *wb_batch_memory(struct wb_writeback *writeback, uint32_t buffer_block);
void wb_batch_set_state(struct wb_writeback *writeback, uint64_t address, uint32_t slot,
			enum wb_slot_state state);

/* writeback_room.c: NULL and an error when there is no memory. */
struct wb_batch_room *wb_batch_room_new(const struct wb_geometry *geometry, uint64_t bytes,
					GError **error);
void wb_batch_room_free(struct wb_batch_room *room);
/* Between batches: the size that was set meanwhile. */
void wb_batch_take_room(struct wb_writeback *writeback);

/* writeback_select.c: a batch and its first portion; FALSE when there is nothing to do. */
bool wb_batch_select(struct wb_writeback *writeback, enum wb_writeback_wish wish);
/* Another portion of the same batch; FALSE: that was all. */
bool wb_batch_select_more(struct wb_writeback *writeback);
/* The segment holds a block whose time has come, or may. */
bool wb_batch_is_wanted(struct wb_writeback *writeback, const struct wb_mapping *mapping);
/* The portion has one more; its segment is pinned. */
void wb_batch_add(struct wb_writeback *writeback, const struct wb_mapping *mapping);
/* How many blocks of that segment may be looked at. */
uint32_t wb_batch_blocks_of_segment(struct wb_writeback *writeback, uint64_t id);
bool wb_batch_take_segment(struct wb_writeback *writeback, uint64_t id, uint32_t limit,
			   bool (*is_wanted)(struct wb_writeback *,
					     const struct wb_mapping *));

/* writeback_sweep.c: the next portion of a sweep, ascending; it may be empty, and is
 * the last one when pass.is_complete is set. */
void wb_batch_sweep(struct wb_writeback *writeback);

/* writeback_gap.c: the portion's gaps become part of it, as far as that is worth while
 * and they are nobody else's. Before READ, and after all punches. */
void wb_batch_take_gaps(struct wb_writeback *writeback);
/* Reads those that are not in the cache. */
bool wb_batch_gaps_step(struct wb_writeback *writeback);
/* The gaps are others' again. */
void wb_batch_end_gaps(struct wb_writeback *writeback);
void wb_batch_note_bad_gap(struct wb_writeback *writeback, uint64_t address);

/* writeback_commit.c: what the portion has brought to the backing is on the list, and
 * the portion is empty. */
void wb_batch_end_portion(struct wb_writeback *writeback);
void wb_batch_unpin_all(struct wb_writeback *writeback);
/* WB_NO_SLOT, a gap that is not in the cache: nothing. */
void wb_batch_unpin(struct wb_writeback *writeback, uint32_t slot);
bool wb_batch_commit_step(struct wb_writeback *writeback);
/* All of writeback waits, longer with each time in a row. */
void wb_batch_pause(struct wb_writeback *writeback);

/* writeback_flush.c: everything is written: flushes the backing, once the flush before
 * has ended. */
bool wb_batch_flush_step(struct wb_writeback *writeback);
/* The flush under way has ended: TRUE. */
bool wb_batch_look_at_flush(struct wb_writeback *writeback);
/* Its blocks are clean now. */
size_t wb_batch_mark_clean(struct wb_writeback *writeback);
void wb_batch_unpin_flushed(struct wb_writeback *writeback);
/* A batch may begin: no flush is under way, or the blocks that wait for it can be told
 * from others. */
bool wb_batch_may_begin(const struct wb_writeback *writeback);
/* It was looked for, and there was nothing to do. */
void wb_batch_found_none(struct wb_writeback *writeback);
/* Written, and waits for the flush under way. */
bool wb_batch_is_flushed(const struct wb_writeback *writeback, uint32_t slot);

/* A new batch: nothing has happened to it yet. */
void wb_batch_reset(struct wb_writeback *writeback);

/* The stages: TRUE when something was done. */
bool wb_batch_zero_step(struct wb_writeback *writeback);	/* writeback_zero.c */
/* Blocks of the portion that a discard holds back. */
void wb_batch_leave_out_held(struct wb_writeback *writeback);
bool wb_batch_read_step(struct wb_writeback *writeback);	/* writeback_read.c */
bool wb_batch_merge_step(struct wb_writeback *writeback);
bool wb_batch_write_step(struct wb_writeback *writeback);	/* writeback_write.c */
bool wb_batch_carry_step(struct wb_writeback *writeback);	/* writeback_carry.c */

/* writeback_write.c: what to do about a transfer that failed. Whether its piece
 * is worth halving, or waits from now on: */
bool wb_batch_may_split(struct wb_writeback *writeback, const struct wb_batch_io *io);
bool wb_batch_refuse(struct wb_writeback *writeback, uint64_t first, uint64_t count,
		     int error);	/* FALSE: it cannot be remembered */
/* The same transfer again, with what is set in io->io. */
void wb_batch_submit_again(struct wb_writeback *writeback, struct wb_batch_io *io);

/* writeback_zero.c: the next stretch at or behind *from that is to be punched
 * and may be now. */
bool wb_batch_next_zero(struct wb_writeback *writeback, uint64_t from,
			struct wb_extent *extent);

#endif
