/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An unmounted volume that a command works on through the cache core itself, so
 * that all rules of recovery, writeback and of the mark hold as under a mount.
 * Everything from one thread, which also runs the main context.
 */
#ifndef WB_CMD_OFFLINE_H
#define WB_CMD_OFFLINE_H

#include <glib.h>
#include <stdbool.h>

#include "cache/cache.h"
#include "cmd/mark_keeper.h"
#include "cmd/volume.h"

struct wb_offline {
	struct wb_volume volume;
	struct wb_store *cache_store, *backing_store;
	struct wb_mark_keeper keeper;
	struct wb_superblock *superblock;	/* as it was found */
	struct wb_cache *cache;			/* NULL: not open */
	guint tick;				/* source; 0 = none */
};

#define WB_OFFLINE_NONE { .volume = WB_VOLUME_NONE, .keeper = WB_MARK_KEEPER_NONE }

/* Step by step: the cache, opened, locked and its superblock read; the backing, at
 * `path` or, if NULL, where the superblock says; then the two as a volume, recovered
 * and marked. Whatever fails, wb_offline_clear() is to follow. */
bool wb_offline_open_cache(struct wb_offline *offline, const char *path, GError **error);
bool wb_offline_open_backing(struct wb_offline *offline, const char *path, GError **error);
bool wb_offline_start(struct wb_offline *offline, GError **error);

/* Does what is due; returns after a tenth of a second at the latest. */
void wb_offline_wait(struct wb_offline *offline);

/* wb_cache_close(), and the mark that follows from it. Both disks stay locked. */
int wb_offline_stop(struct wb_offline *offline, enum wb_close_mode mode);
/* Stops it cleanly if that was not done. */
void wb_offline_clear(struct wb_offline *offline);

#endif
