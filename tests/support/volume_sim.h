/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A whole volume in one thread: two disks in memory that can fail, lose power
 * and keep book, a clock that is moved by hand, and a cache whose workers are
 * stepped one by one. The seed chooses what happens next, so a run repeats
 * exactly. Requests are either waited for, or left in flight and stepped.
 */
#ifndef WB_TESTS_VOLUME_SIM_H
#define WB_TESTS_VOLUME_SIM_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "cache/cache.h"
#include "format/geometry.h"
#include "format/ondisk.h"
#include "support/prng.h"
#include "support/store_counting.h"
#include "support/store_crashy.h"
#include "support/store_faulty.h"

/* The wall clock when all begins: in 2001. */
#define WB_SIM_WALL_NS UINT64_C(1000000000000000000)

struct wb_sim_params {
	uint64_t seed;			/* 0: oldest first, everywhere */
	uint64_t image_bytes;		/* 0: 1 MiB */
	uint64_t backing_bytes;		/* more than the image; 0: the same */
	unsigned segment_count;		/* 0: 8 */
	uint32_t segment_bytes;		/* 0: 64 KiB */
	uint32_t cache_alignment_bytes, backing_alignment_bytes;	/* 0: 512 */
	unsigned ram_segments;		/* 0: 4, the least */
	unsigned request_count;		/* 0: 16 */
	uint8_t backing_fill;		/* what the backing holds at first, */
	uint8_t behind_fill;		/* and behind the image */
	bool no_writeback;
	bool meters_backing;		/* as in struct wb_cache_config */
	bool keeps_memory;		/* of a process that died; requests have numbers */
	bool is_uncounted;		/* the disks keep no book (below): faster */
};

/* From the outside in: counting(faulty(crashy(memory))); the same ones for all
 * the volume's life. */
struct wb_sim_disk {
	struct wb_store *counting, *faulty, *crashy, *memory;
};

/* A request and its memory. */
struct wb_sim_op {
	struct wb_request *request;	/* NULL: not in use */
	enum wb_request_op op;
	unsigned flags;
	uint64_t offset_bytes, length_bytes;
	uint8_t *data;			/* of a WRITE, READ: first byte of the range */
	bool is_finished;
	int error;
	uint64_t submit_step, finish_step;
	uint64_t id;			/* never used twice; what is sent again has its old one */
	bool is_resent;			/* from cursor_bytes on, if the cache knows that */
	uint64_t sure_bytes;		/* up to here it had come before any crash */
	/* inside */
	struct wb_sim *sim;
	uint8_t *memory;
	uint64_t memory_bytes;
	uint64_t cursor_bytes;
	uint64_t around_from, around_to;	/* under way around the cache; 0: none */
};

/* What became of a stretch of a WRITE or ZERO. */
struct wb_sim_progress {
	enum {
		/* It has its place in the log now: in records of which the first has a
		 * sequence >= `low`, the last <= `high`. */
		WB_SIM_IN_LOG,
		/* It is on its way to the backing, around the cache: it may be there in
		 * part or whole from now on, */
		WB_SIM_AROUND_BEGINS,
		/* and is there now. */
		WB_SIM_AROUND_ENDS,
	} kind;
	uint64_t from_bytes, to_bytes;
	uint64_t low, high;
};

struct wb_sim {
	struct wb_sim_params params;
	struct wb_geometry geometry;
	struct wb_sim_disk cache_disk, backing_disk;
	struct wb_crash_clock crash_clock;
	struct { struct wb_clock clock; uint64_t now_ns; } clock;
	uint64_t wall_offset_ns;	/* may be set: how far people's clock is ahead */
	int32_t utc_offset_s;		/* likewise: of where they are */
	struct wb_prng prng;
	struct wb_cache *cache;		/* NULL: closed */
	struct wb_cache_memory memory;	/* with keeps_memory; is_left: after a death */
	struct wb_sim_op *ops;		/* request_count of them */
	uint64_t step_count;
	uint64_t last_id;

	/* may be set: called from inside a step */
	void (*on_progress)(void *arg, struct wb_sim_op *op,
			    const struct wb_sim_progress *progress);
	void (*on_finish)(void *arg, struct wb_sim_op *op);
	void *arg;
	struct wb_backing_watch watch;	/* of the backing, for the next opening */
	/* likewise; all zeros: the backing is as large as is wanted, at once */
	struct wb_growth growth;
	enum wb_cache_access access;	/* likewise */
	enum wb_cache_mode cache_mode;	/* likewise */
	bool discards_cache;		/* likewise, as fast as it can */
	uint32_t bypass_threshold;	/* likewise */
	unsigned slow_writes_percent;	/* likewise; 0: writers are not slowed */
	unsigned read_latency_target_ms;	/* likewise; 0: writeback does not care */
	const char *schedule;		/* likewise, of writeback; NULL: always */
	bool keeps_reads;		/* likewise: read_cache, without limits */
	bool only_looks;		/* reads of now leave no trace in the cache */
};

/* A new, formatted volume; not opened. */
void wb_sim_init(struct wb_sim *sim, const struct wb_sim_params *params);
/* A cache that is open is abandoned. Zeros, and what is cleared already, are fine. */
void wb_sim_clear(struct wb_sim *sim);

/* FALSE: refused or failed, with the reason. */
bool wb_sim_open(struct wb_sim *sim, GError **error);
/* Instead of it, or before: of a process that died. */
bool wb_sim_save_memory(struct wb_sim *sim, GError **error);
/* Everything in flight has to be finished before. */
int wb_sim_close(struct wb_sim *sim);
/* The process dies: nothing more is submitted; what the disks have goes on. */
void wb_sim_kill(struct wb_sim *sim);
/* The power of both disks goes (the cache is closed or killed already): what
 * was volatile is kept, lost or torn. They are sound afterwards. */
void wb_sim_cut_power(struct wb_sim *sim);

/* Another disk for the cache, a memory store, which goes with the simulation; the
 * old one is gone. For the next opening. */
void wb_sim_replace_cache(struct wb_sim *sim, struct wb_store *memory);

/* --- steps ------------------------------------------------------------------ */

/* One thing happens, chosen by the seed; FALSE: there was nothing to do. */
bool wb_sim_step(struct wb_sim *sim);
/* Until there is nothing to do (at most a million steps: a bug otherwise).
 * With `ns` time passes, and all that becomes due is done too. */
void wb_sim_settle(struct wb_sim *sim);
void wb_sim_pass_time(struct wb_sim *sim, uint64_t ns);

/* --- requests ----------------------------------------------------------------- */

/* NULL when all are in flight. WRITE: `data` of the op is to be filled between
 * prepare and submit. */
struct wb_sim_op *wb_sim_prepare(struct wb_sim *sim, enum wb_request_op op, unsigned flags,
				 uint64_t offset_bytes, uint64_t length_bytes);
void wb_sim_submit(struct wb_sim_op *op);
/* Steps until it is finished, moving time when nothing else goes on; aborts
 * when it never ends. */
int wb_sim_wait(struct wb_sim_op *op);
void wb_sim_release(struct wb_sim_op *op);
/* Steps and passes time; FALSE when it is not finished after all that. */
bool wb_sim_finishes(struct wb_sim_op *op);

/* The whole of it: 0 or -errno. */
int wb_sim_write(struct wb_sim *sim, uint64_t offset_bytes, const void *data,
		 uint64_t length_bytes, unsigned flags);
int wb_sim_fill(struct wb_sim *sim, uint64_t offset_bytes, uint8_t value,
		uint64_t length_bytes, unsigned flags);
int wb_sim_read(struct wb_sim *sim, uint64_t offset_bytes, void *data,
		uint64_t length_bytes);
int wb_sim_zero(struct wb_sim *sim, uint64_t offset_bytes, uint64_t length_bytes,
		unsigned flags);
int wb_sim_sync(struct wb_sim *sim);
/* Starts a drain and steps until it has ended: 0 or -EIO. */
int wb_sim_drain(struct wb_sim *sim);

/* Sets a tunable, as `wbfs set` would. */
void wb_sim_set(struct wb_sim *sim, const char *name, const char *value);
/* Makes the image that large, stepping until that has ended: 0 or -EIO. */
int wb_sim_resize(struct wb_sim *sim, uint64_t bytes);

/* --- looking ------------------------------------------------------------------- */

void wb_sim_stats(struct wb_sim *sim, struct wb_stats_snapshot *snapshot);
uint64_t wb_sim_counter(struct wb_sim *sim, enum wb_stat which);
/* The disks' memory, for looking and damaging. */
uint8_t *wb_sim_cache_bytes(struct wb_sim *sim);
uint8_t *wb_sim_backing_bytes(struct wb_sim *sim);
/* Both copies of the superblock as another version may have left them, with the right
 * CRC. */
void wb_sim_change_superblocks(struct wb_sim *sim,
			       void (*change)(struct wb_superblock_disk *superblock));
/* Where the newest version of a block lies on the cache disk, or NULL. */
uint8_t *wb_sim_cached_block(struct wb_sim *sim, uint64_t address, bool *is_dirty);

#endif
