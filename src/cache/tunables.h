/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What may be set at the mount and while mounted, as one table: mount options,
 * MOUNTPOINT/.wbfs/tunables, `wbfs set`, the configuration file, their help and
 * their man pages all come from it. Plain data; any thread.
 *
 * To add one: a field, its default, a row in tunables.c, a line in
 * wbfs-control(7); then wb_cache_set_tunables() hands it to who obeys it.
 */
#ifndef WB_CACHE_TUNABLES_H
#define WB_CACHE_TUNABLES_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/schedule.h"

/* What the cache does with writes; in the order of the choices of cache_mode. */
enum wb_cache_mode {
	/* into the log; a sync makes them durable there */
	WB_MODE_WRITEBACK,
	/* into the log, and a sync does not return before the backing has them too */
	WB_MODE_WRITETHROUGH,
	/* to the backing, as far as the log does not hold what is newer; a sync as in
	 * writethrough */
	WB_MODE_WRITEAROUND,
};

/* Which dirty blocks are written back next; in the order of the choices of
 * writeback_order. */
enum wb_writeback_order {
	/* those that come next in the image, and then all over again */
	WB_ORDER_SWEEP,
	/* those of the oldest segments, as dm-writeboost did it: up to 32 of them,
	 * sorted, each block by itself */
	WB_ORDER_SEGMENTS,
};

/* Whether the backing's disk turns; in the order of the choices of
 * backing_rotational. */
enum wb_rotational {
	WB_ROTATIONAL_AUTO,		/* as the system says */
	WB_ROTATIONAL_ON,
	WB_ROTATIONAL_OFF,
};

/* Of the image; both 0: none. */
struct wb_tunable_range {
	uint64_t start_bytes, end_bytes;
};

struct wb_tunables {
	uint32_t cache_mode;		/* enum wb_cache_mode */
	bool allow_writeback;
	bool writeback_modulator;
	uint32_t writeback_threshold;	/* percent that others may use the disk */
	struct wb_schedule writeback_schedule;	/* when it may go on */
	uint32_t writeback_idle_s;	/* only after so long without users; 0 = no matter */
	uint32_t writeback_high_water;	/* percent of the ring; above it in any case */
	uint32_t writeback_batch;	/* MiB, in RAM */
	uint32_t writeback_order;	/* enum wb_writeback_order */
	uint32_t writeback_gap;		/* KiB that are filled at most; 0 = never */
	uint32_t backing_rotational;	/* enum wb_rotational */
	uint32_t bypass_threshold;	/* KiB, of a stream; 0 = none goes around the cache */
	uint32_t read_latency_target_ms;	/* of the backing; 0 = writeback does not care */
	uint32_t slow_writes_percent;	/* of the cache not written back; 0 = never */
	uint32_t sync_interval_s;	/* age of unsynced data; 0 = no limit */
	uint32_t barrier_deadline_ms;	/* of a write that has to be durable; 0 = none */
	uint32_t superblock_interval_s;	/* the tail on the SSD; 0 = never */
	uint32_t scrub_rate_mib_s;	/* MiB a second; 0 = no limit */
	bool read_cache;
	uint32_t read_bypass_threshold;	/* KiB of a sequential read; 0 = no limit */
	uint32_t fill_budget;		/* MiB a day; 0 = no limit */
	struct wb_tunable_range pin;
	bool discard_cache;
	uint32_t discard_rate_mib_s;	/* MiB a second; 0 = no limit */
	uint32_t backing_timeout_s;	/* for a remote backing that is away */
};

#define WB_TUNABLES_DEFAULT \
	{ .allow_writeback = true, .writeback_modulator = true, .writeback_threshold = 70, \
	  .writeback_high_water = 80, .writeback_batch = 8, .writeback_gap = 1024, \
	  .slow_writes_percent = 85, \
	  .read_latency_target_ms = 50, \
	  .sync_interval_s = 5, .superblock_interval_s = 60, .scrub_rate_mib_s = 64, \
	  .read_bypass_threshold = 4096, .fill_budget = 102400, \
	  .discard_rate_mib_s = 64, .backing_timeout_s = 30 }

enum wb_tunable_type {
	WB_TUNABLE_ON_OFF,		/* bool */
	WB_TUNABLE_NUMBER,		/* uint32_t */
	WB_TUNABLE_CHOICE,		/* uint32_t: an index of `choices` */
	WB_TUNABLE_SCHEDULE,		/* struct wb_schedule */
	WB_TUNABLE_RANGE,		/* struct wb_tunable_range: START-END, or "none" */
};

struct wb_tunable {
	const char *name;
	enum wb_tunable_type type;
	size_t offset;			/* in struct wb_tunables */
	const char *argument;		/* for the help: "SECONDS" */
	const char *unit;		/* of a number, in messages: "seconds"; or NULL */
	uint32_t minimum, maximum;	/* of a number */
	const char *const *choices;	/* of a choice, NULL-terminated */
	const char *summary;		/* without the default, which is shown behind it */
};

extern const struct wb_tunable wb_tunables_table[];
extern const unsigned wb_tunables_count;

/* NULL when there is no such name. */
const struct wb_tunable *wb_tunable_find(const char *name);

/* The value as a person writes it: "on", "5", "writeback". FALSE and an error
 * (G_OPTION_ERROR_BAD_VALUE) that names the tunable, what it takes and what was
 * found; nothing is changed then. */
bool wb_tunable_parse(const struct wb_tunable *tunable, const char *text,
		      struct wb_tunables *tunables, GError **error);
/* The other way round, appended. */
void wb_tunable_append(const struct wb_tunable *tunable, const struct wb_tunables *tunables,
		       GString *text);

#endif
