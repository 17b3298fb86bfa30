/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A worker that has a keeper (see keeper/keeper.h): what it finds when it begins, what
 * it leaves to the next one, and what the two say to each other. The main thread, but
 * where it says otherwise.
 */
#ifndef WB_CMD_KEPT_H
#define WB_CMD_KEPT_H

#include <glib.h>
#include <stdbool.h>

#include "base/lock.h"
#include "cmd/options.h"
#include "frontend/fuse_frontend.h"
#include "keeper/state.h"

#define WB_KEPT_OPTIONS_BYTES (12u << 10)
#define WB_KEPT_TUNABLES_BYTES 4096u

/* state->area: of workers alone. Members are never moved or taken away while
 * WB_KEEPER_VERSION stays. */
struct wb_kept_area {
	struct wb_fuse_legacy fuse;
	/* What was asked for: NAME=VALUE, each with its zero; an empty one ends them. */
	uint32_t is_in_background, is_forced;
	char mount_point[4096];
	char options[WB_KEPT_OPTIONS_BYTES];
	/* The tunables as they were set since: the half that counts is chosen last. */
	_Atomic uint32_t tunables_half;	/* 0: none, 1, 2 */
	char tunables[2][WB_KEPT_TUNABLES_BYTES];
	_Atomic uint32_t tries;		/* workers that began since one served */
};

/* How far a worker has come that takes over: what a pause consists of. */
enum wb_kept_step {
	WB_KEPT_BEGUN,			/* the program runs */
	WB_KEPT_ALONE,			/* nobody's I/O is at the disks any more: they are locked */
	WB_KEPT_RECOVERED,		/* the volume is open */
	WB_KEPT_STEPS
};

struct wb_kept {
	struct wb_keeper_state *state;
	struct wb_kept_area *area;
	bool is_first;
	int link_fd;			/* -1: the keeper has died */
	int memory_fd;			/* of the RAM buffers */
	int session_fd;			/* -1: it is to be mounted; goes to libfuse */
	int clone_fd;			/* or -1; likewise */
	int report_fd;			/* or -1 */
	int64_t reached_ns[WB_KEPT_STEPS];
	struct wb_lock lock;		/* who notes tunables; held while the cache is asked for them */
};

/* Was this process begun by a keeper? */
bool wb_kept_is_called(void);
/* Then this instead of all that main() does: the exit status. */
int wb_kept_main(void);

/* As workers are to be given it, which have another current directory. To be freed. */
char *wb_kept_absolute(const char *path);
/* For the keeper that is to begin: what its workers find. FALSE: too long. */
bool wb_kept_area_fill(struct wb_kept_area *area, const struct wb_options *options,
		       GError **error);
/* FALSE and an error: it was left by a program that knew more. */
bool wb_kept_area_read(struct wb_kept_area *area, struct wb_options *options, GError **error);

/* For the RAM buffers: that which the worker before left, or new. Before the cache is
 * opened, with both disks locked. */
bool wb_kept_map_memory(struct wb_kept *kept, uint64_t ram_buffer_bytes, uint32_t segment_bytes,
			struct wb_cache_memory *memory, GError **error);
/* Is there anything in it that a volume may lack? */
bool wb_kept_has_memory(const struct wb_kept *kept);
/* Of a volume that cannot be opened now: what is in it goes to the log. */
bool wb_kept_save_memory(struct wb_kept *kept, struct wb_store *cache_store, GError **error);

/* The session is mounted: the keeper gets it. Before it is served. */
bool wb_kept_tell_mounted(struct wb_kept *kept, const struct wb_fuse *fuse, GError **error);
void wb_kept_note_step(struct wb_kept *kept, enum wb_kept_step step);
/* It is served; for how long it was not, of what that consists, and what became of the
 * worker before, or NULL. `short_bytes`: of the log, that had to be read. To be freed. */
char *wb_kept_tell_serving(struct wb_kept *kept, enum wb_kept_refusal refusal,
			   uint64_t short_bytes);
void wb_kept_notify(struct wb_kept *kept, const char *lines);
/* Any thread: another program is to take over. 0 or -errno. */
int wb_kept_ask_upgrade(struct wb_kept *kept, const char *program);
void wb_kept_tell_busy(struct wb_kept *kept, const char *reason);
/* Any thread: as they are in the cache now they count for later workers too. */
void wb_kept_note_tunables(struct wb_kept *kept, struct wb_cache *cache);
/* For the statistics. Any thread. */
void wb_kept_describe(void *kept, struct wb_keeper_facts *facts);

#endif
