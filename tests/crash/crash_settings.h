/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tunables of a simulated volume, changed while it is worked on: the mode of the
 * cache, and in other histories (or the same) all that decides when something is
 * written, and how much at a time. Decided by a seed of its own, so that the histories
 * without them stay what they were.
 */
#ifndef WB_TESTS_CRASH_SETTINGS_H
#define WB_TESTS_CRASH_SETTINGS_H

#include "crash_run.h"
#include "support/volume_sim.h"

struct crash_settings {
	struct wb_sim *sim;
	struct wb_prng prng;
	bool uses_modes;
	bool is_paced;			/* ... by the other tunables, and by a busy disk */
	bool discards;			/* places of the cache, in most lives */
	struct wb_prng discard_prng;	/* as the others: of its own */
	bool keeps_reads;		/* in most lives */
	struct wb_prng read_prng;	/* of that */
	struct wb_prng plan_prng;	/* what is written back next; likewise */
	bool is_unplanned;		/* since the opening */
	bool has_holes;			/* of the backing, where it has only zeros */
	bool streams;			/* some writes are sequential, and go around the cache */
	struct wb_prng stream_prng;	/* of its own again */
	uint64_t stream_at[2];		/* where each of two goes on */
	bool slows_writes;		/* while the ring is nearly full, in most lives */
	struct wb_prng slow_prng;
	bool rests;			/* by a schedule, an idle time, a high water */
	struct wb_prng rest_prng;
	uint64_t count;			/* of changes */
};

void crash_settings_init(struct crash_settings *settings, const struct crash_options *options,
			 struct wb_sim *sim);
/* What the next opening begins with. */
void crash_settings_before_open(struct crash_settings *settings);
/* With an open volume: perhaps something changes. */
void crash_settings_step(struct crash_settings *settings);
/* TRUE when the next request is a part of a stream, a WRITE of that range. */
bool crash_settings_stream(struct crash_settings *settings, uint64_t image_bytes,
			   uint64_t *offset_bytes, uint64_t *length_bytes);
/* Whether the power is to go at a write around the cache. */
bool crash_settings_watches_stream(struct crash_settings *settings);

/* Something may be on the backing alone. */
static inline bool crash_settings_bypass(const struct crash_settings *settings)
{
	return settings->uses_modes || settings->streams;
}

#endif
