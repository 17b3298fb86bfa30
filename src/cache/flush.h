/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The flush engine: writes sealed records to the SSD, several at once, and
 * moves `durable`, the prefix of the log that a completed device flush covers.
 * RAM buffers are kept until then, because a retried flush may lie: after a
 * failed one, everything above `durable` is written again.
 *
 * It is run by its own thread for the stream of full records, and by whoever
 * asks for a sync or brings the news of a completion, so that an fsync does not
 * wait for a thread to wake up. One runs at a time; the others leave a note.
 */
#ifndef WB_CACHE_FLUSH_H
#define WB_CACHE_FLUSH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "cache/log.h"
#include "cache/message.h"
#include "cache/stats.h"
#include "cache/tail.h"

struct wb_flush_deps {
	struct wb_log *log;
	struct wb_segment_table *segments;
	struct wb_rambuf *rambuf;
	struct wb_tail *tail;
	struct wb_store *store;
	struct wb_clock *clock;
	struct wb_stats *stats;
	struct wb_message *message;
};

struct wb_sync_waiter {
	struct wb_sync_waiter *next;
	uint64_t target;		/* record sequence */
	bool may_wait;			/* for company: see wb_flush_set_company() */
	/* 0, or -EIO when the cache has failed. Any thread, no lock held. */
	void (*done)(struct wb_sync_waiter *waiter, int error);
};

struct wb_flush;

/* `first_segment`: from here on ids are of this session; `last_crc`: the header
 * CRC of the record that the chain goes on from. */
struct wb_flush *wb_flush_new(const struct wb_flush_deps *deps, uint64_t first_segment,
			      uint32_t last_crc);
void wb_flush_free(struct wb_flush *flush);
/* Called with no lock held when durable moved or RAM buffers came free. */
void wb_flush_set_advanced(struct wb_flush *flush, void (*advanced)(void *arg), void *arg);

/*
 * How long a waiter that may wait is kept before its record is sealed, so that
 * others that come meanwhile share the record and its flush; 0: not at all. The
 * wait begins with the first one for a record and ends before its time when the
 * record is full, when somebody asks who may not wait, and at a change to 0 (at
 * the next run). `began` is called, with no lock held, when such a wait begins:
 * wb_flush_run() is to be called after wb_flush_wait_ns() of it.
 */
void wb_flush_set_company(struct wb_flush *flush, uint64_t wait_ns);
void wb_flush_set_wait_began(struct wb_flush *flush, void (*began)(void *arg), void *arg);
uint64_t wb_flush_wait_ns(struct wb_flush *flush);	/* 0: nobody waits so */

/* Everything up to waiter->target durable. Returns 1 when waiter->done will be
 * called (or was: the caller's thread may have waited for the one write that
 * makes it so), else the result at once: 0, or -EIO. */
int wb_flush_sync(struct wb_flush *flush, struct wb_sync_waiter *waiter);
/* The same without anybody waiting. */
void wb_flush_want(struct wb_flush *flush, uint64_t target);
/* The same, by the caller's thread if one write is enough; nothing where all that
 * is not durable is on its way already. */
void wb_flush_write_early(struct wb_flush *flush);
/*
 * One flush of the device, for writes to it that are not records (superblocks).
 * All flushes go through here, one at a time: the kernel tells an error of a
 * file only to the first flush that asks, and two askers would each believe
 * that what the other was told does not concern them.
 */
struct wb_device_waiter {
	struct wb_device_waiter *next;
	void (*done)(struct wb_device_waiter *waiter, int error);
};
/* The writes to cover have completed. done() is always called, later. */
void wb_flush_device(struct wb_flush *flush, struct wb_device_waiter *waiter);

/*
 * Relocation. After some failures of its place's making, a record's place is
 * given up: the engine writes nothing more of the log and waits for one of the
 * last two calls below, which the relocation makes on its thread. `advanced` is
 * called when what was at the SSD has come back.
 */
/* An error of writing that another place may not have. */
bool wb_flush_is_place_error(int error);
bool wb_flush_wants_relocation(struct wb_flush *flush);
/* Nothing of the log is at the SSD. */
bool wb_flush_is_quiet(struct wb_flush *flush);
/* The last record before the one that failed, if that is durable. */
struct wb_flush_cut {
	uint64_t sequence;
	uint64_t segment_id;
	uint32_t crc;
};
bool wb_flush_get_cut(struct wb_flush *flush, struct wb_flush_cut *cut);
/* The last durable record. */
void wb_flush_get_last(struct wb_flush *flush, struct wb_flush_cut *last);
/* It cannot be done now: goes on where it was, after a pause. */
void wb_flush_retry_in_place(struct wb_flush *flush);
/* One try more that failed, of a write that is no record: for who waits. It was
 * told already. */
void wb_flush_count_failure(struct wb_flush *flush, int error);
/* All records behind the cut have new places and are written anew. The RAM
 * buffer of segment `source_id` may have readers that count on it: it goes when
 * nobody has the segment pinned. */
void wb_flush_relocated(struct wb_flush *flush, uint64_t source_id);
/* It still has it. */
bool wb_flush_keeps_source(struct wb_flush *flush);

/* Does all that can be done now. Any thread. */
void wb_flush_run(struct wb_flush *flush);
/* Gives back RAM buffers that became free of readers. */
void wb_flush_release_buffers(struct wb_flush *flush);
/* Those that are free, or could be at any moment. */
uint32_t wb_flush_available_buffers(struct wb_flush *flush);
/* There may be something to do: TRUE when somebody is running and will see to
 * it, else the caller must have wb_flush_run() called. */
bool wb_flush_note(struct wb_flush *flush);
bool wb_flush_has_failed(struct wb_flush *flush);
/* Tries at once, and as often as at first, before it gives up again. */
void wb_flush_try_again(struct wb_flush *flush);
/* Nothing at the SSD (for closing). */
bool wb_flush_is_idle(struct wb_flush *flush);
/* Starts no more I/O; waiters get -EIO (WB_CLOSE_ABANDON). */
void wb_flush_abandon(struct wb_flush *flush);

#endif
