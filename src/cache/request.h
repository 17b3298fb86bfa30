/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A request inside the core, and what the request paths work on. A path runs a
 * request piece by piece; a step that cannot go on parks it or waits for its
 * own I/O and returns; wb_request_resume() runs it again.
 *
 * Only one thread works on a request at a time: the submitter until the first
 * wait, then whoever brings what it waited for (an executor thread or the
 * completion of its last I/O).
 */
#ifndef WB_CACHE_REQUEST_H
#define WB_CACHE_REQUEST_H

#include <stdatomic.h>
#include <stdbool.h>

#include "cache/backing_flush.h"
#include "cache/bare.h"
#include "cache/busy_meter.h"
#include "cache/cache.h"
#include "cache/exclusion.h"
#include "cache/executed.h"
#include "cache/extent_table.h"
#include "cache/fill_gate.h"
#include "cache/flush.h"
#include "cache/forget.h"
#include "cache/gap_range.h"
#include "cache/image.h"
#include "cache/limits.h"
#include "cache/mark_gate.h"
#include "cache/park.h"
#include "cache/read_first.h"
#include "cache/streams.h"
#include "cache/pressure.h"
#include "cache/sync_guess.h"
#include "cache/through.h"

/* What all paths share; constant after open. */
struct wb_data_path {
	struct wb_geometry geometry;	/* of the cache; its backing_bytes are 0 */
	struct wb_image image;
	struct wb_gap_range gap_range;
	struct wb_block_map *map;
	struct wb_segment_table *segments;
	struct wb_rambuf *rambuf;
	struct wb_extent_table *extents;
	struct wb_exclusion *exclusion;
	struct wb_forget forget;	/* bad copies of what the backing has */
	struct wb_log *log;
	struct wb_flush *flush;
	struct wb_backing_flush *backing_flush;
	struct wb_through *through;
	bool is_read_only;		/* no RAM buffers, and nothing runs: see cache_read_only.c */
	struct wb_bare *bare;		/* without a cache: of the above only backing_flush */
	struct wb_store *cache_store, *backing_store;
	struct wb_busy_meter *backing_meter;	/* users' I/O there; NULL: not wanted */
	struct wb_clock *clock;
	struct wb_stats *stats;
	struct wb_message *message;
	struct wb_executor *executor;
	struct wb_park_list *space;	/* requests that wait for room in the log */
	struct wb_park_list *extent_room;	/* discards: in the extent table */
	struct wb_mark_gate *mark_gate;	/* before all that changes data */
	struct wb_pressure *pressure;	/* before writes to the log */
	struct wb_read_policy *read_policy;	/* NULL: nothing is kept, ever */
	struct wb_fill_gate fill_gate;
	/* atomic: how often those who wait for room were told that there is none */
	_Atomic uint32_t room_refusals;
	/* wb_cache_end_waits(): whoever waits for what may never come gives up */
	atomic_bool has_no_patience;
	/* Somebody waits for room: flush, write back, reclaim. */
	void (*need_space)(void *arg);
	/* A sync waits for what is dirty to be written back. */
	void (*need_through)(void *arg);
	void *arg;

	/* atomic */
	struct wb_sync_guess sync_guess;
	struct wb_reads reads;		/* of users, at the backing */
	_Atomic uint32_t cache_mode;	/* enum wb_cache_mode; for requests that begin */
	_Atomic uint64_t bypass_threshold_bytes;	/* 0: streams go through the log too */

	struct wb_lock streams_lock;
	struct wb_streams streams;	/* under streams_lock */

	/* WB_CLOSE_ABANDON: requests under way stand still, as after a death. */
	atomic_bool is_abandoned;
};

/* Everything that was acknowledged, as the target of a sync. */
uint64_t wb_data_path_last(struct wb_data_path *path);
/* Up to waiter->target durable in the log; like wb_flush_sync(), if there is one. */
int wb_data_path_sync(struct wb_data_path *path, struct wb_sync_waiter *waiter);

/* What a step says. */
enum wb_progress {
	WB_PROGRESS_DONE,	/* request->error is the result */
	WB_PROGRESS_WAITS,	/* parked or waiting for its own I/O */
};

enum wb_read_source { WB_SOURCE_RAM, WB_SOURCE_CACHE, WB_SOURCE_BACKING, WB_SOURCE_ZERO };

/* Contiguous blocks of a read from one place. */
struct wb_read_run {
	enum wb_read_source source;
	uint32_t first_index;		/* block of the request's span */
	uint32_t count;
	uint32_t slot;			/* RAM, CACHE: of the first block */
	uint8_t mask;			/* of a run of one partial block, else full */
	int8_t overlay;			/* index of the bounce block, or -1 */
	int error;
	struct wb_segment *segment;	/* pinned */
	struct wb_request *request;
	struct wb_io io;
};

/* Blocks of one chunk that only the backing had, as of that count of its stripe. */
struct wb_read_miss {
	uint64_t first, change_count;
	uint32_t count;
};

#define WB_BOUNCE_COUNT 4	/* 4 KiB blocks of a request's own */

struct wb_read_work {
	uint64_t next_block;		/* first block not read yet */
	uint64_t piece_end;		/* block behind the current piece */
	bool is_moving;			/* the piece has I/O in flight */
	unsigned run_count;
	unsigned overlay_count;
	unsigned attempts;		/* of the current piece */
	/* of its first blocks, at the SSD and at the backing; once attempts > 0 */
	uint8_t failures[WB_READ_RUNS_MAX][2];
	enum wb_latency slowest;	/* place that was touched */
	uint64_t image_bytes;		/* when it began */
	unsigned miss_count;		/* those that may be kept, of all pieces */
	unsigned misses_before;		/* of the pieces before */
	struct wb_read_miss misses[WB_READ_MISSES_MAX];
	struct wb_read_run runs[WB_READ_RUNS_MAX];
};

/* One partially written block of a piece (its first or last). */
struct wb_edge {
	bool is_used;
	uint64_t address;
	uint8_t covered, cut;		/* sectors written wholly, in part */
	uint8_t base_mask;		/* sectors taken from the slot */
	uint8_t mask;			/* of the new version */
	uint32_t slot;			/* where the base is, or WB_NO_SLOT */
	bool base_is_dirty;
	uint8_t missing;		/* cut sectors that only the backing has */
	uint8_t raw_mask;		/* those that were, when `raw` was read */
	bool has_backing;		/* they are in `raw` */
	struct wb_segment *segment;	/* pinned while reading */
	int error;
	char *image;			/* 4 KiB: the new version */
	char *raw;			/* 4 KiB: as read */
	struct wb_request *request;
	struct wb_io io;
};

struct wb_write_work {
	enum { WB_WRITE_ENTER, WB_WRITE_BASE_READ, WB_WRITE_BACKING_READ,
	       WB_WRITE_RESERVE } stage;
	uint64_t first, last;		/* blocks of the piece, inclusive */
	bool is_marked;
	bool backing_was_read;
	bool keeps_mark;		/* during a backing read */
	uint64_t change_count;		/* of the stripe, at the backing read */
	unsigned backing_reads;		/* of this piece; see enter() */
	unsigned base_failures[2];	/* of each edge */
	struct wb_busy busy;
	struct wb_edge edges[2];	/* of the first and the last block */
};

/* A write around the cache: the piece that begins at the cursor. */
struct wb_bypass_work {
	enum { WB_BYPASS_ENTER, WB_BYPASS_LOGGED, WB_BYPASS_WRITTEN, WB_BYPASS_IN_LOG } stage;
	uint64_t end_bytes;
	struct wb_busy busy;
	struct wb_block_counts counts;
	int error;			/* of the entry, of the write */
	uint64_t flush_failures;	/* of the backing, before the write */
	struct wb_io io;
};

enum wb_sync_stage { WB_SYNC_NONE, WB_SYNC_LOG, WB_SYNC_THROUGH, WB_SYNC_BACKING, WB_SYNC_END };

struct wb_zero_work {
	enum { WB_ZERO_HEAD, WB_ZERO_MIDDLE, WB_ZERO_TAIL, WB_ZERO_END } stage;
	uint64_t first_block, end_block;	/* whole blocks */
	uint64_t end_bytes;
	uint64_t image_bytes;		/* by which end_block was said */
	struct wb_busy busy;
};

/* A request without a cache: the piece that it is at. */
struct wb_bare_work {
	enum { WB_BARE_ENTER, WB_BARE_FILL, WB_BARE_READ, WB_BARE_CHANGED } stage;
	enum { WB_BARE_DIRECT, WB_BARE_BOUNCED, WB_BARE_ZEROED } kind;
	uint64_t end_bytes;		/* it begins at the cursor */
	struct wb_busy busy;
	int io_error;
	struct wb_request *request;
	struct wb_io io;
};

struct wb_request {
	struct wb_request_public pub;
	struct wb_data_path *path;
	struct wb_request *next_free;

	uint64_t started_ns;
	bool was_parked;		/* has its turn before newcomers */
	bool is_through_pressure;
	uint32_t room_refusals;		/* when it began */
	bool is_through_gate;		/* of the mark; a change is under way */
	unsigned gate_pass;
	bool is_own;			/* of the cache: counted nowhere */
	bool goes_around;		/* a WRITE, the cache, as far as it can */
	uint64_t around_min_bytes;	/* in pieces that are no shorter between others */
	bool has_bypassed;		/* some of it is on the backing alone */
	enum wb_cache_mode mode;	/* when it began */
	enum wb_sync_stage sync_stage;
	int error;
	uint64_t cursor_bytes;		/* absolute offset up to which it is done */
	uint64_t sync_target;		/* highest record of its entries */
	_Atomic uint32_t io_count;	/* own I/Os in flight, + 1 while starting */
	struct wb_task task;
	struct wb_parked parked;
	struct wb_slowed slowed;
	struct wb_sync_waiter waiter;
	struct wb_through_waiter through;
	struct wb_backing_waiter backing_waiter;
	struct wb_executed *executed;	/* its place in the memory that outlives us; NULL
					 * where nothing is changed through a log */
	char *bounce;			/* WB_BOUNCE_COUNT aligned blocks, or
					 * WB_BARE_BOUNCE_BYTES */
	/* a write's piece, also used by the edges of a zero request */
	struct wb_write_work write;
	union {
		struct wb_read_work read;
		struct wb_zero_work zero;
		struct wb_bypass_work bypass;
		struct wb_bare_work bare;
	};
};

/* The paths: run from where the request stands. */
enum wb_progress wb_read_path_run(struct wb_request *request);
enum wb_progress wb_write_path_run(struct wb_request *request);
enum wb_progress wb_zero_path_run(struct wb_request *request);
/* A WRITE, around the cache as far as that is possible. */
enum wb_progress wb_bypass_path_run(struct wb_request *request);
/* Every kind, once it has to be durable. */
enum wb_progress wb_sync_path_run(struct wb_request *request);
/* Without a cache: READ, WRITE and ZERO. */
enum wb_progress wb_bare_path_run(struct wb_request *request);

/* Writes [cursor, end) piece by piece; data NULL writes zeros. DONE when the
 * cursor is at the end or request->error is set. */
enum wb_progress wb_write_path_range(struct wb_request *request, uint64_t end_bytes,
				     const char *data);

/* A READ has been answered, and its memory is still what it was: what is worth it enters
 * the cache. */
void wb_fill_path_after(struct wb_request *request);

/* Start of an operation in each path. */
void wb_read_path_begin(struct wb_request *request);
void wb_write_path_begin(struct wb_request *request);
void wb_zero_path_begin(struct wb_request *request);
void wb_bypass_path_begin(struct wb_request *request);
void wb_sync_path_begin(struct wb_request *request);
void wb_bare_path_begin(struct wb_request *request);

/* A request fresh from its submitter; like wb_cache_submit(). */
enum wb_submit_result wb_request_start(struct wb_request *request, int *error);
/* A SYNC of the cache's own, whose path is set and which nobody counts; its done()
 * may run before this returns. */
void wb_request_sync(struct wb_request *request,
		     void (*done)(struct wb_request *request, int error), void *user);

/* Runs the request from any thread that brings what it waited for. */
void wb_request_run(struct wb_request *request);
/* The same, later, on an executor thread (data is copied there). */
void wb_request_resume(struct wb_request *request);
/* Parks for room in the log; FALSE: try again at once. */
bool wb_request_park_for_space(struct wb_request *request, uint64_t generation);
bool wb_request_park_for_extent(struct wb_request *request, uint64_t generation);
/* A newcomer goes behind those that wait for room already: TRUE when parked. */
bool wb_request_queues_for_space(struct wb_request *request);

/* WB_BLOCK_HIT and WB_BLOCK_RAM, for a block that had its version in `segment`; NULL:
 * none. */
unsigned wb_request_hit_bits(const struct wb_segment *segment);

/* Reads are watched, to know what to keep. */
static inline bool wb_data_path_keeps_reads(struct wb_data_path *path)
{
	return path->read_policy && wb_fill_gate_is_on(&path->fill_gate);
}

/* I/O of users at the backing: its submit, and first thing in its done(). */
void wb_request_submit_to_backing(struct wb_request *request, struct wb_io *io);
void wb_request_left_backing(struct wb_request *request, const struct wb_io *io);

/* Own I/O: begin with 1 in io_count, add one per I/O; each completion and the
 * starter call this; the last one continues. TRUE for the last one. */
bool wb_request_io_ended(struct wb_request *request);

static inline uint64_t wb_request_end_bytes(const struct wb_request *request)
{
	return request->pub.offset_bytes + request->pub.length_bytes;
}

/* What the backing is written and read in multiples of. */
static inline uint32_t wb_request_backing_unit(const struct wb_request *request)
{
	return request->path->backing_store->alignment_bytes;
}

#endif
