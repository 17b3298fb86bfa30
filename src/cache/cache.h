/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cache: the public door of the core. A front end opens one over two
 * stores, submits requests, and closes it. Nothing here knows FUSE, files or
 * the command line; the whole outside world is in the configuration.
 *
 * Threads: wb_cache_open() and wb_cache_close() from one thread, with no
 * request under way; everything else from any thread. done() runs on any
 * thread, with no lock held; of a SYNC, or with WB_REQUEST_FUA, also from inside
 * wb_cache_submit(), when that thread has waited for the disk itself.
 */
#ifndef WB_CACHE_CACHE_H
#define WB_CACHE_CACHE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/worker.h"
#include "cache/events.h"
#include "cache/stats.h"
#include "cache/tunables.h"
#include "io/store.h"

struct wb_cache;
struct wb_request;

/* The backing as its file system shows it; 0: not known. */
struct wb_backing_facts {
	uint64_t size_bytes;
	uint64_t mtime_ns;		/* last change, since 1970 */
};

/*
 * For noticing that the backing is another one or was changed by somebody else.
 * The mark is what the owner of the cache keeps on the backing: an epoch, and
 * whether the backing is complete without the cache. All NULL and 0: nothing is
 * checked and there is no mark.
 */
struct wb_backing_watch {
	/* FALSE: cannot say. Durable: a crash must not bring back an older time. */
	bool (*describe)(void *arg, struct wb_backing_facts *facts);
	/* wb_cache_mark_wish() has something new to say; any thread, no lock held. */
	void (*mark_wanted)(void *arg);
	/* wb_cache_close() has stopped the cache cleanly. */
	void (*stopped)(void *arg, bool is_complete);
	void *arg;

	/* the mark as it was found */
	uint64_t mark_epoch;		/* 0: not known */
	bool mark_is_complete;		/* of that epoch */
	int64_t mark_time_s;		/* when that was written */
	/* A rescue has written to the backing since the cache was stopped: what it
	 * looked like then is no evidence. */
	bool is_rescued;
	/* Attach in spite of all that is found, and trust nothing clean. */
	bool is_forced;
};

/*
 * Who can make the backing larger, and who shows the image. All NULL: nobody, and
 * the image stays as it is. Any thread, no lock held; nothing in them waits.
 */
struct wb_growth {
	/* The backing is to have that many bytes, durably: the owner sees to it and
	 * calls wb_cache_backing_grown(). */
	void (*wanted)(void *arg, uint64_t bytes);
	/* The image has them now. May be NULL. */
	void (*shown)(void *arg, uint64_t bytes);
	void *arg;
};

/*
 * Memory that outlives the process: RAM buffers with their record headers, and how
 * far each request has come (P4). Somebody else holds it (as a memfd, say) and gives
 * it to the next process when this one has died. The cache lays it out itself; in it
 * are no pointers and no locks, so it may lie at another address next time.
 *
 * Whoever opens a cache with memory that was left has waited before until all I/O of
 * the dead process has landed: it takes its data from this memory as it is THEN.
 *
 * The content says what it is worth; an opening that fails, or dies, leaves it as it
 * was, for another try. What it holds of another volume or by a version of the layout
 * that is not known is refused (WB_CACHE_ERROR_MISMATCH). After a clean stop that
 * succeeded nothing is in it, and whoever comes next may lay it out anew.
 */
struct wb_cache_memory {
	void *base;		/* aligned to 4096, all of it writable; NULL: the cache
				 * gets its own, which is gone with the process */
	size_t bytes;		/* at least wb_cache_memory_bytes(), or as it was left */
	bool is_left;		/* FALSE: whatever is there is worth nothing */
};

/* Part of what is said when two versions do not fit: see wb_cache_memory_look(). */
#define WB_CACHE_MEMORY_VERSION 2u

size_t wb_cache_memory_bytes(uint64_t ram_buffer_bytes, uint32_t segment_bytes,
			     unsigned request_count);

enum wb_cache_memory_state {
	WB_CACHE_MEMORY_EMPTY,		/* never used, or stopped cleanly */
	WB_CACHE_MEMORY_HOLDS,		/* the head of a log, in a layout that we know */
	WB_CACHE_MEMORY_UNKNOWN,	/* ... in one that we do not */
};
/* `version`: that of the layout, where it is not EMPTY. May be NULL. */
enum wb_cache_memory_state wb_cache_memory_look(const struct wb_cache_memory *memory,
						uint32_t *version);
/* Does what is in it owe a sync a flush of the backing, for what went around the cache? */
bool wb_cache_memory_owes_flush(const struct wb_cache_memory *memory);

enum wb_cache_access {
	WB_CACHE_READ_WRITE,
	/* Nothing on either disk is changed, nor flushed: the log is replayed in
	 * memory only, and reads are answered from there, from the log and from the
	 * backing. What would need a repair is refused as ever. WRITE and ZERO get
	 * -EROFS; of the watch only `describe` is called, and nobody keeps a mark. */
	WB_CACHE_READ_ONLY,
};

struct wb_cache_config {
	enum wb_cache_access access;
	struct wb_store *cache_store;
	struct wb_store *backing_store;
	struct wb_clock *clock;
	enum wb_worker_mode worker_mode;
	uint64_t ram_buffer_bytes;	/* 0 = 64 MiB; at least 4 segments */
	unsigned request_count;		/* requests that can be open at once */
	/* Nobody can say how busy the backing's disk is: our own I/O is counted. */
	bool meters_backing;
	/* The backing's disk turns, as far as the system knows. */
	bool backing_turns;
	struct wb_tunables tunables;
	struct wb_backing_watch watch;
	struct wb_growth growth;
	struct wb_cache_memory memory;	/* not for READ_ONLY, nor without a cache */
};

/*
 * Recovers the volume and makes it ready: superblocks of the new epoch are
 * durable afterwards (but for READ_ONLY). NULL and an error (domain WB_CACHE_ERROR) that says
 * which store, what was found and what to do; a refused volume is unchanged.
 * The stores stay the caller's.
 */
struct wb_cache *wb_cache_open(const struct wb_cache_config *config, GError **error);
/*
 * For who cannot open it yet, because of the backing: what only the memory has is made
 * durable in the log, so that nothing is lost if that never comes. Of the config,
 * cache_store and memory are used. The memory stays as it is, for wb_cache_open() or
 * another call of this. TRUE, or FALSE and an error as above.
 */
gboolean wb_cache_save_memory(const struct wb_cache_config *config, GError **error);

/*
 * The backing alone, when the cache is lost: requests, statistics and verbs as
 * above, but everything is read from and written to the backing at once, and
 * durable after a sync that flushes it. Of the config, cache_store and
 * ram_buffer_bytes are not used. `uuid` is only shown.
 */
enum wb_bare_access {
	WB_BARE_READ_ONLY,	/* writes get -EROFS; nothing at all is changed */
	WB_BARE_READ_WRITE,
};
struct wb_cache *wb_cache_open_bare(const struct wb_cache_config *config,
				    enum wb_bare_access access, const uint8_t uuid[16],
				    GError **error);

enum wb_close_mode {
	WB_CLOSE_CLEAN,		/* everything durable on the cache, marked clean */
	WB_CLOSE_DETACH,	/* and, when nothing is dirty, marked as detached: it is
				 * never opened again, so that the backing may be used
				 * alone; -EBUSY: closed cleanly, but something is */
	WB_CLOSE_ABANDON,	/* tests: stop as a crash would, write nothing more;
				 * I/O in flight has been answered by the store */
};
/* 0 or -errno: a clean close whose last flush failed (the log then recovers
 * as after a crash). Frees everything in any case. */
int wb_cache_close(struct wb_cache *cache, enum wb_close_mode mode);

/* What opening did about the backing that a person should know, or NULL. */
const char *wb_cache_opening_note(const struct wb_cache *cache);

/* FALSE and an error (WB_CACHE_ERROR_NOT_A_CACHE) for the superblock of a cache that
 * was detached. wb_cache_open() asks too; this is for who asks before. */
struct wb_superblock;
gboolean wb_cache_is_attached(const char *cache_label, const struct wb_superblock *superblock,
			      GError **error);

#define WB_CACHE_ERROR (wb_cache_error_quark())
GQuark wb_cache_error_quark(void);
enum wb_cache_error {
	WB_CACHE_ERROR_NOT_A_CACHE,	/* foreign, empty, too new */
	WB_CACHE_ERROR_DAMAGED,		/* superblocks or the middle of the log */
	WB_CACHE_ERROR_IO,
	WB_CACHE_ERROR_MISMATCH,	/* backing size, geometry */
	WB_CACHE_ERROR_CHANGED,		/* another backing or cache, or changed behind us */
	WB_CACHE_ERROR_LIMIT,		/* memory, sizes */
	WB_CACHE_ERROR_STOPPED,		/* by whoever had asked for it */
};

/* --- requests ------------------------------------------------------------ */

enum wb_request_op { WB_READ, WB_WRITE, WB_SYNC, WB_ZERO };

enum {
	/* WRITE, ZERO: durable before done() (O_DSYNC) */
	WB_REQUEST_FUA = 1u << 0,
	/* WRITE, ZERO with a `unique`: a process that died may have worked on it
	 * already. What that has done is not done again: not even when it was all of
	 * it, and others have changed the same place since. */
	WB_REQUEST_RESENT = 1u << 1,
};

enum wb_submit_result {
	WB_SUBMIT_FINISHED,	/* *error is the result; done() is not called */
	WB_SUBMIT_PENDING,	/* done() will be called, once */
};

/*
 * The public part of a request; get one with wb_request_get(), fill it in,
 * submit it, put it back after it finished. The range must lie in the image.
 *
 * READ: `buffer` is aligned to 4096 and has room for all 4 KiB blocks that
 *   the range touches (wb_request_span_bytes()); the data of the range is
 *   then found at buffer + offset_bytes % 4096. What is outside the range is
 *   undefined.
 * WRITE: `buffer` holds length_bytes; any alignment; it must stay unchanged
 *   until the request finished.
 * SYNC: no range: everything that was finished before is durable.
 * ZERO: discard or zero-range: reads as zeros afterwards. No buffer.
 */
struct wb_request_public {
	enum wb_request_op op;
	unsigned flags;
	uint64_t offset_bytes;
	uint64_t length_bytes;
	void *buffer;
	/* WRITE and ZERO: a number that no other request of the volume ever has, and the
	 * same when it is sent again to the next process; 0, as wb_request_get() gives
	 * it: none. What is known of it is forgotten at wb_request_put() or when the
	 * object is submitted anew: not before the answer has gone out. */
	uint64_t unique;
	void (*done)(struct wb_request *request, int error);
	void *user;
};

/* A request of the pool, or NULL when request_count are in use. */
struct wb_request *wb_request_get(struct wb_cache *cache);
void wb_request_put(struct wb_cache *cache, struct wb_request *request);
struct wb_request_public *wb_request_public(struct wb_request *request);

static inline uint64_t wb_request_span_bytes(uint64_t offset_bytes, uint64_t length_bytes)
{
	return ((offset_bytes + length_bytes + 4095) & ~UINT64_C(4095)) -
	       (offset_bytes & ~UINT64_C(4095));
}

/* Longest READ or WRITE; a front end splits longer ones. ZERO has no limit. */
#define WB_REQUEST_BYTES_MAX (1u << 20)

/* error is 0 or -errno: EIO (data that cannot be read or made durable),
 * EINVAL (outside the image), EROFS. */
enum wb_submit_result wb_cache_submit(struct wb_cache *cache,
				      struct wb_request *request, int *error);

/* A READ or WRITE of these bytes will be submitted in a moment: what it has to look up is
 * fetched into the processor's cache meanwhile. Nothing depends on it. */
void wb_cache_expect(const struct wb_cache *cache, uint64_t offset_bytes, uint64_t length_bytes);

/* A READ that finished without an error has been answered, and its buffer is unchanged:
 * what it brought from the backing may enter the cache now. Once, and before the request
 * is used again. */
void wb_cache_read_answered(struct wb_cache *cache, struct wb_request *request);

/* A request that finished at once has been answered: the calling thread does now
 * what the next ones may be glad of. It may wait for the disk a little. */
void wb_cache_answered(struct wb_cache *cache);

/* --- the rest ------------------------------------------------------------ */

/* It may grow at any time. */
uint64_t wb_cache_image_bytes(const struct wb_cache *cache);
bool wb_cache_is_read_only(const struct wb_cache *cache);
void wb_cache_uuid(const struct wb_cache *cache, uint8_t uuid[16]);
void wb_cache_get_stats(struct wb_cache *cache, struct wb_stats_snapshot *snapshot);
/* What lies in the ring, from its first place to its last, NUL-terminated: a
 * character for each segment, or for some neighbours; "" without a cache. */
void wb_cache_get_ring(struct wb_cache *cache, char cells[WB_RING_CELLS_MAX + 1]);
/* How long requests took. */
void wb_cache_get_latencies(struct wb_cache *cache,
			    struct wb_latency_summary summaries[WB_LATENCY_COUNT]);
/* Counters and latencies begin at zero again, for whoever reads them. */
void wb_cache_clear_stats(struct wb_cache *cache);
/* What happened, oldest first; returns how many there are. */
unsigned wb_cache_get_events(struct wb_cache *cache, struct wb_event events[WB_EVENTS_MAX]);
/* Something that the core cannot know. */
void wb_cache_add_event(struct wb_cache *cache, enum wb_event_kind kind,
			const char *format, ...) G_GNUC_PRINTF(3, 4);
/* For the statistics only: whoever knows the backing's filesystem tells. */
void wb_cache_set_backing_space(struct wb_cache *cache, const struct wb_backing_space *space);
/* Likewise, for a backing behind a line. */
void wb_cache_set_backing_line(struct wb_cache *cache, const struct wb_backing_line *line);

/*
 * For the modulator: what the disk under the backing did since the last call, to
 * be told once a second by whoever can see it. With meters_backing only the time
 * is asked for. Any one thread.
 */
struct wb_disk_sample {
	const char *disk;		/* its name, for people */
	uint64_t interval_ns;
	uint64_t busy_ns;		/* with any I/O at it */
	uint64_t reads_ns;		/* the times of all reads together */
};
void wb_cache_add_disk_sample(struct wb_cache *cache, const struct wb_disk_sample *sample);

/* Start making all acknowledged data durable, or writing back until nothing
 * is dirty. They return at once; progress and results are in the statistics
 * (flushes_done/failed; draining, drains_done/failed). */
void wb_cache_start_flush(struct wb_cache *cache);
void wb_cache_start_drain(struct wb_cache *cache);
/* Starts reading back all that lies in the log (scrub, scrubs_done/failed). One
 * asked for during a pass gets a pass of its own afterwards. */
void wb_cache_start_scrub(struct wb_cache *cache);
/* Starts to make the image that large (resizes_asked, resizes_done/failed; why not is
 * the last error). It never becomes smaller. */
void wb_cache_start_resize(struct wb_cache *cache, uint64_t bytes);
/* The owner's answer to wb_growth.wanted: NULL, or why the backing is not so large.
 * The store of the backing knows the new size already. */
void wb_cache_backing_grown(struct wb_cache *cache, const char *problem);

/*
 * The mark. After opening, and whenever `mark_wanted` was called, the owner asks
 * what to write, makes it durable together with the epoch (statistics), and says so;
 * after an error it tries again later. Requests that change data wait while the
 * mark does not say "dirty". One thread.
 */
enum wb_mark_wish { WB_MARK_WISH_NONE, WB_MARK_WISH_COMPLETE, WB_MARK_WISH_DIRTY };
enum wb_mark_wish wb_cache_mark_wish(struct wb_cache *cache);
void wb_cache_mark_written(struct wb_cache *cache, enum wb_mark_wish what, int error);
/* The owner is going away: requests that would wait for the mark fail (EIO). */
void wb_cache_end_marking(struct wb_cache *cache);

void wb_cache_set_tunables(struct wb_cache *cache, const struct wb_tunables *tunables);
void wb_cache_get_tunables(struct wb_cache *cache, struct wb_tunables *tunables);
/* One of them, as a person writes it; FALSE like wb_tunable_parse(), and an event. */
bool wb_cache_set_tunable(struct wb_cache *cache, const struct wb_tunable *tunable,
			  const char *text, GError **error);

/* Housekeeping by the clock (periodic sync, retries); call it a few times a
 * second from a timer. */
void wb_cache_tick(struct wb_cache *cache);

/* MANUAL worker mode only: one step or task chosen by `choice` (any number);
 * FALSE when nothing at all could be done. */
bool wb_cache_run_one(struct wb_cache *cache, unsigned choice);

/* Nobody hears the answers any more: requests that wait for room, or for the backing
 * to have everything, end with EIO instead, those under way and later ones. What was
 * acknowledged stays. Until wb_cache_close(). Any thread. */
void wb_cache_end_waits(struct wb_cache *cache);

/* TRUE while writers have to wait for space: a front end may then prefer to
 * move waiting data into smaller buffers. */
bool wb_cache_is_short_of_space(struct wb_cache *cache);

#endif
