/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The assembled cache: shared by the files cache*.c only. */
#ifndef WB_CACHE_CACHE_PRIVATE_H
#define WB_CACHE_CACHE_PRIVATE_H

#include "cache/carry.h"
#include "cache/checkpoint.h"
#include "cache/grow.h"
#include "cache/modulator.h"
#include "cache/place_discard.h"
#include "cache/pressure.h"
#include "cache/rate.h"
#include "cache/read_policy.h"
#include "cache/reclaim.h"
#include "cache/relocate.h"
#include "cache/request.h"
#include "cache/rest.h"
#include "cache/scrub.h"
#include "cache/second_chance.h"
#include "cache/writeback.h"

/* A verb of the control file, asked for any number of times. */
struct wb_verb {
	uint64_t asked, answered_from;	/* answered_from..asked: under way */
	uint64_t done, failed;
	bool is_running;
};

/* What the gate of slow writers was told of last. */
struct wb_room_look {
	uint64_t at_ns, tail_segment;
	bool is_working;
};

struct wb_cache {
	/* constant after open */
	struct wb_cache_config config;
	uint8_t uuid[16];
	uint64_t opened_epoch;		/* relocations go beyond it */
	uint64_t recovered_records, recovered_dirty_blocks, recovered_short_bytes;
	bool is_from_checkpoint;
	bool is_taken_over;		/* from a process that died, with its memory: */
	uint64_t left_records, left_wrong_blocks;
	uint64_t found_lifetime[WB_LIFETIME_COUNT];	/* of the superblocks */
	uint64_t opened_ns;
	struct wb_data_path path;
	struct wb_tail tail;
	struct wb_stats stats;
	struct wb_message message;
	struct wb_park_list space, extent_room;
	struct wb_mark_gate mark_gate;
	struct wb_pressure pressure;
	char *opening_note;
	struct wb_recorder *recorder;
	struct wb_reclaim *reclaim;
	struct wb_relocate *relocate;
	struct wb_second_chance *second_chance;
	struct wb_grow *grow;
	struct wb_writeback *writeback;
	struct wb_carry carry;
	struct wb_busy_meter backing_meter;
	uint64_t carried_segment;	/* writeback worker only; see wb_carry */
	struct wb_room_look last_look;	/* writeback worker only */
	struct wb_read_first read_first;	/* likewise */
	struct wb_scrub *scrub;
	struct wb_place_discard *place_discard;
	struct wb_executor *executor;
	struct wb_worker *flush_worker, *writeback_worker;
	struct wb_request *requests;
	char *bounce_memory;
	size_t bounce_bytes;

	struct wb_lock pool_lock;
	struct wb_request *free_requests;	/* under pool_lock */

	struct wb_lock setting_lock;	/* one at a time sets tunables */

	struct wb_lock lock;
	/* under lock */
	struct wb_verb drain, flush_verb;
	uint64_t drain_segment;		/* done when the tail is beyond it */
	unsigned drain_failures;	/* of writeback, when it began */
	uint64_t drain_flushes;		/* of the backing, then */
	struct wb_request flush_request;	/* of flush_verb */
	struct wb_verb scrub_verb;
	uint64_t scrub_answers;		/* asked, when the pass began */
	struct wb_verb resize;
	uint64_t last_sync_ns;		/* asked for by the clock */
	uint64_t last_recording_ns;	/* likewise */
	struct wb_backing_space backing_space;
	struct wb_backing_line backing_line;
	uint64_t cleared[WB_STAT_COUNT];	/* counters when they were cleared */
	struct wb_modulator modulator;
	struct wb_backing_load backing_load;	/* of its last sample */
	struct wb_busy_times own_busy, own_reads, user_busy;	/* up to that */
	struct wb_rate writeback_rate;		/* in blocks */
	struct wb_rest rest;
	uint64_t seen_requests, last_request_ns;	/* of users */
	struct wb_rate fill_rate;		/* likewise, second chances too */
	struct wb_tunables tunables;	/* what the atomic ones below come from */

	/* the timer: what the events know of */
	enum wb_cache_state noted_state;
	bool noted_writeback_failure;

	/* the owner of the mark; closing */
	uint64_t marked_epoch;		/* in the mark, as far as is known */

	/* atomic */
	atomic_bool allow_writeback, uses_modulator;
	_Atomic uint32_t writeback_threshold, slow_writes_percent, batch_mib;
	_Atomic uint32_t writeback_depth, writeback_io_blocks;	/* as read_first last said */
	_Atomic uint64_t looked_head;	/* the log's, of which the gate was told */
	_Atomic enum wb_modulator_verdict modulator_verdict;	/* a copy */
	_Atomic enum wb_rest_verdict rest_verdict;		/* likewise */
	_Atomic uint32_t high_water;	/* percent */
	_Atomic uint32_t sync_interval_s, superblock_interval_s;
	atomic_bool is_stopping;	/* no new batch */
	atomic_bool is_draining;	/* a copy of drain.is_running */
};

/* Somebody waits for what only writeback and reclaiming can give. */
bool wb_cache_needs_room(struct wb_cache *cache);

/* cache_writeback.c: whether to write back, and why. */
enum wb_writeback_ground {
	WB_GROUND_STOPPING, WB_GROUND_MARK,	/* no */
	WB_GROUND_NEED, WB_GROUND_DRAIN, WB_GROUND_SYNC,	/* all there is, now */
	WB_GROUND_HIGH, WB_GROUND_SLOW,		/* in any case */
	WB_GROUND_FULL,				/* likewise, all of it */
	WB_GROUND_NOT_ALLOWED, WB_GROUND_RESTING, WB_GROUND_BUSY, WB_GROUND_LOOK, /* not now */
	WB_GROUND_DUE,				/* yes, and all of it */
	WB_GROUND_FREE,				/* yes */
};
enum wb_writeback_ground wb_cache_writeback_ground(struct wb_cache *cache);
enum wb_writeback_wish wb_cache_writeback_wish(struct wb_cache *cache);
/* From the clock, and when what it goes by was set: does it rest? */
void wb_cache_update_rest(struct wb_cache *cache);
/* Something is dirty, and it is not to stay so for longer than it has to. */
bool wb_cache_is_eager(struct wb_cache *cache);
/* State, reason and load into the snapshot, of which the rest is there. */
void wb_cache_describe_writeback(struct wb_cache *cache, struct wb_stats_snapshot *snapshot);

/* cache_pressure.c: the gate of slow writers is told of the ring and of writeback: by
 * whoever likes, when a record was sealed, by the writeback worker. */
void wb_cache_look_at_room(struct wb_cache *cache);
void wb_cache_look_at_head(struct wb_cache *cache);
void wb_cache_look_at_progress(struct wb_cache *cache);
/* Lets those go on whose turn it is; TRUE when there were some. `wait_ns`: until the
 * next one's; 0: nobody waits. */
bool wb_cache_release_writers(struct wb_cache *cache, uint64_t *wait_ns);

/* cache_reads.c: how much writeback may do for the sake of reads, before a step of it,
 * and when it may go on, after. Its worker. */
void wb_cache_look_at_reads(struct wb_cache *cache);
void wb_cache_wait_for_reads(struct wb_cache *cache);

/* cache_problems.c: what is wrong with the data, into the snapshot. */
void wb_cache_list_problems(struct wb_cache *cache, struct wb_stats_snapshot *snapshot);

/* cache_stats.c: changes of state that nobody announces become events, and rates
 * are measured. Timer. */
void wb_cache_note_changes(struct wb_cache *cache);

/* Steps of the two workers (arg: the cache). */
bool wb_cache_flush_step(void *arg);
bool wb_cache_writeback_step(void *arg);
/* Callbacks between the engines, wired by wb_cache_open(). */
void wb_cache_on_sealed(void *arg);
void wb_cache_on_opened(void *arg);
void wb_cache_on_advanced(void *arg);
void wb_cache_on_wait_began(void *arg);
void wb_cache_on_ready(void *arg);
void wb_cache_on_no_room(void *arg);
void wb_cache_on_zeros_done(void *arg);
void wb_cache_kick_writeback(void *arg);
void wb_cache_on_need_space(void *arg);
void wb_cache_on_slowed(void *arg);
void wb_cache_on_growth_wanted(void *arg, uint64_t bytes);
void wb_cache_on_growth_shown(void *arg, uint64_t bytes);
void wb_cache_on_growth_ended(void *arg, int error);
void wb_cache_on_backing_flushed(void *arg);
/* cache_open.c: the log and its tail, and who forgets copies by them. */
void wb_cache_make_log(struct wb_cache *cache, const struct wb_log_start *start);
/* cache_read_only.c: a log that stands where recovery found its end. */
void wb_cache_make_read_only(struct wb_cache *cache, const struct wb_log_start *start);
/* The answer to a verb that cannot be done there: -EROFS, and `what` for people. */
int wb_cache_refuse_verb(struct wb_cache *cache, const char *what);
/* cache_replay.c: what recovery found, into map and tables, which are new. FALSE and an
 * error, or without one: *is_odd, the checkpoint that it names is no good. */
struct wb_recovery;
gboolean wb_cache_replay(struct wb_cache *cache, const struct wb_recovery *recovery,
			 bool *is_odd, GError **error);
void wb_cache_fill_checkpoint_deps(struct wb_cache *cache, struct wb_checkpoint_deps *deps);
/* cache_open.c: without memory that was left; and with a recovery, which it takes (NULL
 * and an error, or the checkpoint is odd). `takeover`: NULL, or where it comes from. */
struct wb_takeover;
struct wb_cache *wb_cache_open_alone(const struct wb_cache_config *config, GError **error);
struct wb_cache *wb_cache_open_from(const struct wb_cache_config *config,
				    const struct wb_takeover *takeover,
				    struct wb_recovery *recovery, bool *is_odd, GError **error);
/* cache_memory.c: with it, if there is any. */
struct wb_cache *wb_cache_open_memory(const struct wb_cache_config *config, GError **error);
/* cache_epoch.c */
void wb_cache_make_recorder(struct wb_cache *cache, const struct wb_recovery *recovery,
			    const struct wb_log_start *start);
gboolean wb_cache_begin_epoch(struct wb_cache *cache, const struct wb_recovery *recovery,
			      GError **error);
gboolean wb_cache_begin_memory(struct wb_cache *cache, const struct wb_log_start *start);
gboolean wb_cache_go_on(struct wb_cache *cache);
/* Empty, for wb_cache_free() at any point of opening. */
struct wb_cache *wb_cache_new(const struct wb_cache_config *config);
/* As many as the config says, each with aligned memory of its own. */
gboolean wb_cache_make_requests(struct wb_cache *cache, size_t bounce_bytes, GError **error);
void wb_cache_free(struct wb_cache *cache);

#endif
