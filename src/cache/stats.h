/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counters of one open cache, and how long what takes. The engines add to
 * `struct wb_stats` with relaxed atomics (WB_STAT_ADD), each thread to one of a few
 * stripes, so that two that work at the same time do not fight for a line of the
 * processors' caches; a snapshot adds up the stripes and tells the state of the
 * ring. What is counted only grows; clearing is done by whoever shows it.
 */
#ifndef WB_CACHE_STATS_H
#define WB_CACHE_STATS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/lines.h"
#include "cache/histogram.h"

/*
 * Blocks that users read and wrote, in 16 classes as in dm-writeboost: hit (the cache
 * had the block) or miss, its newest version in a RAM buffer or not, all of the block
 * or a part. A miss is never in a RAM buffer; zeros of a discard are hits in RAM.
 */
enum {
	WB_BLOCK_FULL = 1u << 0,
	WB_BLOCK_RAM = 1u << 1,
	WB_BLOCK_HIT = 1u << 2,
	WB_BLOCK_WRITE = 1u << 3,
	WB_BLOCK_CLASSES = 16,
};

enum wb_stat {
	WB_STAT_READ_REQUESTS, WB_STAT_WRITE_REQUESTS,
	WB_STAT_SYNC_REQUESTS, WB_STAT_DISCARD_REQUESTS,
	WB_STAT_READ_BYTES, WB_STAT_WRITTEN_BYTES, WB_STAT_DISCARDED_BYTES,
	WB_STAT_READ_RAM_BYTES,		/* by source; zeros of a discard: ram */
	WB_STAT_READ_CACHE_BYTES, WB_STAT_READ_BACKING_BYTES,
	WB_STAT_SSD_WRITTEN_BYTES, WB_STAT_SSD_WRITES, WB_STAT_SSD_READ_BYTES,
	WB_STAT_SSD_FLUSHES,
	WB_STAT_BACKING_WRITTEN_BYTES, WB_STAT_BACKING_WRITES,
	WB_STAT_BACKING_FLUSHES, WB_STAT_BACKING_ZEROED_BYTES,
	WB_STAT_BYPASSED_BYTES,		/* written to the backing, around the cache, */
	WB_STAT_BYPASSED_WRITES,	/* in so many of the writes to it */
	WB_STAT_BYPASSED_STREAMS,	/* recognised, for bypass_threshold */
	WB_STAT_FILLED_BLOCKS,		/* that a read brought, and the cache keeps */
	WB_STAT_FILL_DROPPED_BLOCKS,	/* wanted, but not kept; the reasons are: */
	WB_STAT_FILL_NO_ROOM_BLOCKS,	/* places or RAM buffers were short */
	WB_STAT_FILL_BUSY_BLOCKS,	/* somebody worked on them */
	WB_STAT_FILL_CHANGED_BLOCKS,	/* since they were read, or another has kept them */
	WB_STAT_FILL_NO_BUDGET_BLOCKS,
	WB_STAT_FILL_UNFLUSHED_BLOCKS,	/* the backing has what a power cut may take back */
	WB_STAT_SECOND_CHANCE_BLOCKS,	/* appended again, because they were read */
	WB_STAT_SECOND_CHANCE_DROPPED_BLOCKS,	/* chosen for that, but fell out */
	WB_STAT_RECORDS, WB_STAT_MERGED_BLOCKS, WB_STAT_PARKED_REQUESTS,
	WB_STAT_SLOWED_REQUESTS, WB_STAT_SLOWED_NS,	/* ... and how long, in all */
	WB_STAT_LATE_READS,		/* of the backing, by read_latency_target_ms */
	WB_STAT_WRITEBACK_BATCHES, WB_STAT_WRITEBACK_BLOCKS, WB_STAT_GAP_BLOCKS,
	WB_STAT_CARRIED_BLOCKS,
	WB_STAT_WRITEBACK_RESTS,	/* how often it began to rest */
	WB_STAT_CHECKSUM_ERRORS, WB_STAT_CHECKSUM_REPAIRED,
	WB_STAT_CACHE_ERRORS, WB_STAT_BACKING_ERRORS, WB_STAT_RELOCATIONS,
	WB_STAT_CACHE_DISCARDED_BYTES, WB_STAT_CACHE_DISCARDS, WB_STAT_CACHE_DISCARD_FAILURES,
	WB_STAT_BLOCKS,			/* + bits WB_BLOCK_... */
	WB_STAT_BLOCKS_LAST = WB_STAT_BLOCKS + WB_BLOCK_CLASSES - 1,
	WB_STAT_COUNT
};

/* What a user, or writeback, waits for: from the submission of a request to its
 * answer. */
enum wb_latency {
	WB_LATENCY_WRITE,
	WB_LATENCY_SYNC,		/* syncs, and writes that are durable at once */
	WB_LATENCY_DISCARD,
	WB_LATENCY_READ_RAM,		/* reads by the slowest place that they touched */
	WB_LATENCY_READ_CACHE,
	WB_LATENCY_READ_BACKING,
	WB_LATENCY_WRITEBACK,		/* one write to the backing, or one punch */
	WB_LATENCY_COUNT
};
const char *wb_latency_name(enum wb_latency which);

struct wb_stats_stripe {
	_Atomic uint64_t counter[WB_STAT_COUNT];
	struct wb_histogram latency[WB_LATENCY_COUNT];
	char gap[128];			/* nobody's: to the next stripe */
};

struct wb_stats {
	struct wb_stats_stripe stripe[WB_THREAD_STRIPES];
};

static inline struct wb_stats_stripe *wb_stats_mine(struct wb_stats *stats)
{
	return &stats->stripe[wb_thread_stripe()];
}

#define WB_STAT_ADD(stats, which, n)                                                  \
	((void)atomic_fetch_add_explicit(&wb_stats_mine(stats)->counter[which],       \
					 (uint64_t)(n), memory_order_relaxed))

static inline void wb_stats_add_latency(struct wb_stats *stats, enum wb_latency which,
					uint64_t ns)
{
	wb_histogram_add(&wb_stats_mine(stats)->latency[which], ns);
}

/* The blocks of one piece, added up before they are counted: by bits WB_BLOCK_...
 * without WB_BLOCK_WRITE. */
struct wb_block_counts {
	uint32_t count[WB_BLOCK_CLASSES / 2];
};
/* `op`: WB_BLOCK_WRITE, or 0 for reads. */
void wb_stats_add_blocks(struct wb_stats *stats, unsigned op,
			 const struct wb_block_counts *counts);

uint64_t wb_stats_sum(const struct wb_stats *stats, enum wb_stat which);

/* As they are shown: of all stripes, since they were cleared. */
#define WB_LATENCY_BOUNDS 22u
extern const uint64_t wb_latency_bounds_ns[WB_LATENCY_BOUNDS];	/* 1 us, 2, 5 ... 10 s */

struct wb_latency_summary {
	uint64_t count, sum_ns, max_ns;
	uint64_t p50_ns, p90_ns, p99_ns, p999_ns;	/* to better than 2 % */
	uint64_t below[WB_LATENCY_BOUNDS];	/* not longer than each bound; as exact */
};
void wb_stats_summarise(const struct wb_stats *stats, enum wb_latency which,
			struct wb_latency_summary *summary);
void wb_stats_clear_latencies(struct wb_stats *stats);

/* lower_case_name as in stats.json, e.g. "read_cache_bytes". */
const char *wb_stat_name(enum wb_stat which);

enum wb_cache_state {
	WB_CACHE_RUNNING,
	WB_CACHE_FAILED,	/* the cache takes no new data; reads and writeback go on */
	WB_CACHE_STOPPING,
	WB_CACHE_WITHOUT,	/* the backing alone: wb_cache_open_bare() */
};
const char *wb_cache_state_name(enum wb_cache_state state);

/* Of a pass over the ring that reads back what lies there. */
struct wb_scrub_progress {
	bool is_running;
	uint64_t done_segments;		/* of segments_total */
	uint64_t checked_blocks;	/* live ones */
	uint64_t repaired_blocks;	/* clean, and wrong: the backing's count now */
	uint64_t lost_blocks;		/* dirty, and wrong */
	uint64_t bad_headers;		/* of records that the next recovery needs */
};

/* A range of the image with which something is wrong. */
struct wb_stats_range {
	uint64_t start_bytes, length_bytes;
	int error;			/* -errno of the last try; 0: not known */
	uint64_t age_s;			/* since the first failure; 0: not known */
};

#define WB_STATS_RANGES_MAX 64u

/* The first of them, by address; `blocks` counts them all. */
struct wb_stats_ranges {
	uint64_t blocks;
	unsigned count;
	struct wb_stats_range range[WB_STATS_RANGES_MAX];
};

enum wb_writeback_state {
	WB_WRITEBACK_IDLE, WB_WRITEBACK_RUNNING,
	WB_WRITEBACK_PAUSED,		/* after an error, until the next try */
	WB_WRITEBACK_WAITING,		/* there is something, but it may not yet */
	WB_WRITEBACK_RESTING,		/* likewise, so that the backing's disk may rest */
};
const char *wb_writeback_state_name(enum wb_writeback_state state);

/* Whether places of the cache that nobody needs are discarded on its disk. */
enum wb_discard_state {
	WB_DISCARD_OFF, WB_DISCARD_ON,
	WB_DISCARD_UNSUPPORTED,		/* wanted, but the disk cannot */
};
const char *wb_discard_state_name(enum wb_discard_state state);

/* How read_cache does. */
struct wb_read_keeping {
	bool is_on;
	/* "off", "on", or "stopped": until the next mount nothing new is kept, because a
	 * flush of the backing has failed, see wb_backing_flush_has_lost() */
	const char *state;
	const char *plan;		/* what it keeps at present: "clock", "second" ... */
	uint64_t bytes_per_s;		/* written to keep reads, in the last minute */
	uint64_t left_bytes;		/* of fill_budget; WB_STATS_UNKNOWN: no limit */
	/* Blocks of reads, in percent, that a cache of that part of the size would have
	 * had lately; negative: not known. */
	double at_half, at_same, at_double, at_fourfold;
};

/* Of the disk under the backing, in the second before the last sample. */
struct wb_backing_load {
	enum { WB_LOAD_UNKNOWN,
	       WB_LOAD_OF_DISK,		/* all I/O on `disk` */
	       WB_LOAD_OWN,		/* only what goes through the mount is known */
	} source;
	char disk[32];
	unsigned busy_percent;		/* with anybody's I/O */
	unsigned others_percent;	/* with others' than writeback's, as far as known */
};
const char *wb_backing_load_source_name(const struct wb_backing_load *load);

/* Whether the filesystem of a sparse backing has room for what it does not have
 * yet; told by wb_cache_set_backing_space(). */
struct wb_backing_space {
	enum { WB_SPACE_UNKNOWN, WB_SPACE_OK, WB_SPACE_LOW, WB_SPACE_FULL } state;
	uint64_t free_bytes, needed_bytes;
};
const char *wb_backing_space_name(const struct wb_backing_space *space);

/* To the server of a remote backing; told by wb_cache_set_backing_line(). */
struct wb_backing_line {
	enum { WB_LINE_NONE,		/* a disk of this machine */
	       WB_LINE_UP, WB_LINE_AWAY } state;
	uint64_t away_since_s;		/* since 1970 */
	uint64_t breaks;		/* connections that broke */
	unsigned connections;
	char problem[160];		/* why it cannot be reached; "" */
};
const char *wb_backing_line_name(const struct wb_backing_line *line);

/* What the superblocks keep over all mounts: format/superblock_codec.h says where. */
enum wb_lifetime {
	WB_LIFETIME_SSD_WRITTEN_BYTES,	/* by formatting too */
	WB_LIFETIME_WRITTEN_BYTES, WB_LIFETIME_READ_BYTES,	/* by users */
	WB_LIFETIME_BACKING_WRITTEN_BYTES,
	WB_LIFETIME_MOUNTS,
	WB_LIFETIME_COUNT
};
const char *wb_lifetime_name(enum wb_lifetime which);

#define WB_STATS_UNKNOWN UINT64_MAX

/* The ring as a string, see wb_cache_get_ring(). */
#define WB_RING_CELLS_MAX 1024u
#define WB_RING_FREE 'f'	/* nothing lies there */
#define WB_RING_CLEAN 'c'	/* what the backing has too */
#define WB_RING_DIRTY 'd'
#define WB_RING_HEAD 'h'	/* is being filled */
#define WB_RING_BAD 'b'		/* cannot be written */

struct wb_stats_snapshot {
	uint64_t counter[WB_STAT_COUNT];
	uint64_t lifetime[WB_LIFETIME_COUNT];	/* never cleared; this mount included */
	enum wb_cache_state state;
	const char *cache_mode;		/* as the tunable says it */
	uint64_t image_bytes, backing_bytes;	/* of the disk */
	uint64_t cache_blocks;		/* slots, headers included */
	uint64_t dirty_blocks, cached_blocks /* dirty + clean */;
	uint64_t pending_discards;	/* extents not punched yet */
	/* free: without dirty data, so that the log may go on there */
	uint64_t segments_total, segments_free, segments_dirty;
	/* Since the oldest segment with dirty data got the first of it, in this mount:
	 * data of an earlier one is as old as the mount. 0: nothing is dirty. */
	uint64_t oldest_dirty_s;
	uint64_t writeback_bytes_per_s;	/* in the last minute */
	uint64_t clean_in_s;		/* at that rate; WB_STATS_UNKNOWN when it is 0 */
	uint64_t bad_segments;		/* places that cannot be written */
	uint64_t segment_bytes;
	uint64_t head_segment, tail_segment;	/* ids */
	uint64_t head_sequence, durable_sequence, tail_sequence;
	uint64_t epoch;
	uint64_t ram_buffers_total, ram_buffers_free;
	uint64_t recovered_records, recovered_dirty_blocks;
	uint64_t recovered_short_bytes;	/* of the log, in segments with several records */
	bool is_from_checkpoint;	/* nothing had to be recovered */
	bool draining;			/* a drain was asked for and goes on */
	/* Verbs of `control` (not device flushes): each one asked for is answered,
	 * in order, by one more done or failed. */
	uint64_t drains_asked, drains_done, drains_failed;
	uint64_t flushes_asked, flushes_done, flushes_failed;
	uint64_t scrubs_asked, scrubs_done, scrubs_failed;
	uint64_t resizes_asked, resizes_done, resizes_failed;
	struct wb_scrub_progress scrub;	/* under way, or the last one */
	struct wb_stats_ranges bad_ranges;	/* newest data cannot be read */
	struct wb_stats_ranges refused_ranges;	/* the backing does not take it */
	enum wb_writeback_state writeback_state;
	char writeback_reason[128];	/* for people: why it runs, or waits */
	uint64_t writeback_resumes_in_s;	/* resting, by the clock; else WB_STATS_UNKNOWN */
	struct wb_backing_load backing_load;
	enum wb_discard_state discard_state;
	struct wb_read_keeping reads;
	uint64_t retry_in_ms;		/* of writeback, after errors */
	uint64_t waiting_requests;	/* for room, now */
	bool reads_go_first;		/* writeback may not do all it could */
	/* What it may have at the backing at a time, of so many bytes each at most. */
	uint64_t writeback_depth, writeback_io_bytes;
	uint64_t slowed_writers;	/* requests that wait for their turn, now */
	uint64_t write_limit_bytes_per_s;	/* what writers may write; 0: no limit */
	struct wb_backing_space backing_space;
	struct wb_backing_line backing_line;
	char last_error[256];		/* "" when there was none */
};

/* Bytes written to the SSD for each byte that users wrote; negative: none was. */
double wb_stats_amplification(const struct wb_stats_snapshot *snapshot);

#endif
