/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a disk behind an NBD server needs and a file does not: there is nothing to lock
 * there, so a file in the state directory is locked in its place, which keeps the
 * programs of this machine apart. In it stands whether the last one ended as it should:
 * what a killed one sent may still be landing.
 */
#ifndef WB_CMD_DISK_REMOTE_H
#define WB_CMD_DISK_REMOTE_H

#include <glib.h>
#include <stdbool.h>

#include "cmd/disk.h"

enum wb_disk_haste {
	WB_DISK_NOW,
	/* A server that is away comes back: users wait for this process already. */
	WB_DISK_WHEN_IT_IS_BACK,
};

/* Connects, and opens the file to be locked: disk->fd. */
bool wb_disk_remote_open(struct wb_disk *disk, const char *role,
			 enum wb_disk_haste haste, GError **error);
/* The file that is locked in place of what the URI names, made if there is none, for who
 * guards it before the disk is opened; NULL for a disk of this machine. */
char *wb_disk_remote_lock_file(const char *path);
/* It is locked by us now. */
void wb_disk_remote_locked(struct wb_disk *disk);
struct wb_store *wb_disk_remote_open_store(struct wb_disk *disk, GError **error);
/* All I/O is over. */
void wb_disk_remote_close(struct wb_disk *disk);

#endif
