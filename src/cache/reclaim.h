/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reclaiming: moves the tail and makes places ready for new segments.
 *
 *   judged    no block of these segments is needed, as of log position h
 *   tail      judged, and durable covers h (else a power cut could lose the
 *             newer version together with the older one that it replaced)
 *   durable   that tail is on the SSD, in a flushed header or superblock
 *   empty     before the durable tail, evicted from the map, not pinned
 *   ready     empty, and the log may go there
 *
 * One thread at a time: the writeback worker's.
 */
#ifndef WB_CACHE_RECLAIM_H
#define WB_CACHE_RECLAIM_H

#include <stdbool.h>

#include "cache/block_map.h"
#include "cache/flush.h"
#include "cache/recorder.h"
#include "cache/second_chance.h"

struct wb_reclaim_deps {
	struct wb_log *log;
	struct wb_segment_table *segments;
	struct wb_block_map *map;
	struct wb_tail *tail;
	struct wb_flush *flush;
	struct wb_recorder *recorder;
	const struct wb_geometry *geometry;
	struct wb_clock *clock;
	struct wb_second_chance *second_chance;
	struct wb_read_policy *policy;
};

struct wb_reclaim;

struct wb_reclaim *wb_reclaim_new(const struct wb_reclaim_deps *deps);
void wb_reclaim_free(struct wb_reclaim *reclaim);
/* `ready` is called, with no lock held, when places became ready; `kick` when
 * step should run again (a superblock was written); `no_room` at each failure of
 * writing superblocks but the first ones (any thread). */
void wb_reclaim_set_callbacks(struct wb_reclaim *reclaim, void (*ready)(void *arg),
			      void (*kick)(void *arg), void (*no_room)(void *arg), void *arg);
/* Superblocks cannot be written, again and again. Any thread. */
bool wb_reclaim_has_failed(struct wb_reclaim *reclaim);
/* What places are worth: only what comes of itself; syncs and superblocks, in time, for
 * that is all that copies of reads may ask for; or whatever it takes, because somebody
 * waits, or will soon. TRUE when something moved. */
enum wb_urgency { WB_CALM, WB_EARLY, WB_URGENT };
bool wb_reclaim_step(struct wb_reclaim *reclaim, enum wb_urgency urgency);
/*
 * For who discards places before they are ready. Empties the place of the future
 * segment `id`, which is beyond the log's limit: FALSE when somebody still needs
 * what lies there, or some of it is being saved. Whoever pins the segment then, before
 * the step ends, keeps the log from going there. Stepping thread.
 */
enum wb_emptying {
	WB_EMPTY_UNNAMED,	/* only if the map names nothing there */
	WB_EMPTY_CLEAN,		/* clean blocks are forgotten, after their second chance */
};
bool wb_reclaim_empty_place(struct wb_reclaim *reclaim, uint64_t id, enum wb_emptying how);
/*
 * Recording the tail: after a crash, recovery replays from the newest tail
 * that is on the SSD. While records are written, they carry it; when writeback
 * goes on after the last one, only the superblocks can.
 */
/* Once, as soon as the recorder is free, if no record has carried it until then.
 * Any thread; the step (not for closing) does it, and repeats it after an error. */
void wb_reclaim_want_recording(struct wb_reclaim *reclaim);
bool wb_reclaim_record_step(struct wb_reclaim *reclaim);
/* Now, as far as the tail can be moved; for the end of a drain. FALSE: it is under
 * way, `kick` tells when to ask again. TRUE: it is on the SSD, or that has failed,
 * which costs the next recovery some work and nobody any data. */
bool wb_reclaim_record_last(struct wb_reclaim *reclaim);

/* For a clean stop, when nothing else runs: what the superblocks should say now
 * (tail, durable) plus `flags`; and writing them: 0 or -errno. */
void wb_reclaim_fill_superblock(struct wb_reclaim *reclaim, uint32_t state_flags);
int wb_reclaim_record_sync(struct wb_reclaim *reclaim);

#endif
