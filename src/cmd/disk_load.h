/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How busy the disks under a file or device are, from the kernel's statistics of
 * block devices: by anybody's I/O, ours included. The way down from a device:
 *
 *   partition            the whole disk: its neighbours move the same heads
 *   loop                 the disk under the file behind it, if that has one
 *   md, dm, ...          each of its slaves; the busiest counts
 *   file                 the device of its filesystem
 *
 * Filesystems without a device of their own (btrfs, overlayfs, tmpfs, network)
 * have none. Main thread only; nothing here fails, it only may not know.
 */
#ifndef WB_CMD_DISK_LOAD_H
#define WB_CMD_DISK_LOAD_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "cache/cache.h"

struct wb_disk_load {
	char *root;			/* /sys/dev/block, or a test's */
	GArray *disks;			/* of struct disk; empty: nobody knows */
	uint64_t sampled_ns;
};

#define WB_DISK_LOAD_NONE { NULL }

/* The disks under `backing`. None when the cache lies on one of them too: what the
 * log does there cannot be told from what others do. `root`: NULL = the kernel's;
 * `backing` NULL: it is on no disk of this machine. */
void wb_disk_load_find(struct wb_disk_load *load, const char *root,
		       const struct stat *backing, const struct stat *cache);
bool wb_disk_load_is_known(const struct wb_disk_load *load);
/* They are known, and one of them at least turns (queue/rotational). */
bool wb_disk_load_turns(const struct wb_disk_load *load);
void wb_disk_load_clear(struct wb_disk_load *load);

/* What the busiest one did since the last call, or since it was found. FALSE:
 * nobody knows, and only the time is right. */
bool wb_disk_load_sample(struct wb_disk_load *load, uint64_t now_ns,
			 struct wb_disk_sample *sample);

/* Call it some times a second; it tells the cache once a second. */
void wb_disk_load_tick(struct wb_disk_load *load, struct wb_cache *cache);

#endif
