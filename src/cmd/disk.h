/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One disk of a volume: a regular file or block device, opened and locked by
 * flock on the very description that its I/O will use. After a SIGKILL the
 * kernel keeps that lock until the last I/O of the dead process has landed;
 * waiting for it is the only way to know (see wb_disk_open()).
 *
 * Or, for a backing, the export of an NBD server, by its URI (disk_remote.h). Who
 * knows which of them it is asks for no more than it needs: whether there is a file
 * that can carry a mark and a time, or a disk of this machine.
 */
#ifndef WB_CMD_DISK_H
#define WB_CMD_DISK_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "io/store.h"

enum wb_disk_access {
	WB_DISK_READ_ONLY,	/* shared lock: others may read, nobody may mount */
	WB_DISK_READ_WRITE,	/* exclusive */
};

struct wb_disk {
	char *path;		/* absolute, links resolved */
	int fd;			/* -1 after its store took it over; of a remote disk a
				 * file that stands for it, and stays */
	enum wb_disk_access access;
	bool is_block_device;
	uint64_t size_bytes;
	struct stat st;

	/* of a remote disk */
	bool is_remote;
	char *remote_name;		/* the export's one name */
	struct wb_nbd_export *peer;	/* NULL after its store took it over */
	bool was_killed;		/* whoever used it last */
	bool is_noted;			/* that we use it */
	gint64 noted_us;		/* since when */
	bool leaves_ghosts;		/* its store has given up what it had sent */
};

#define WB_DISK_NONE { .fd = -1 }

/*
 * `role` ("cache", "backing") is for messages. A living process that holds
 * the lock: an error at once that names it (WB_COMMAND_ERROR_IN_USE). Nobody
 * alive: I/O of a killed one is still landing, and this waits up to 10 s.
 */
bool wb_disk_open(struct wb_disk *disk, const char *role, const char *path,
		  enum wb_disk_access access, GError **error);
/* A worker whose keeper guards the disks: the guard that is in others' way is ours. Before
 * any disk is opened. */
enum wb_disk_trust {
	WB_DISK_NOBODY,		/* the normal case */
	WB_DISK_IS_KEPT,
	WB_DISK_TAKES_OVER,	/* and what locks a disk now will let go of it */
};
void wb_disk_trust_keeper(enum wb_disk_trust how);
/* Takes over an open descriptor (not yet locked) of a file just created. */
bool wb_disk_adopt(struct wb_disk *disk, const char *role, const char *path, int fd,
		   GError **error);
void wb_disk_close(struct wb_disk *disk);
/* Another descriptor of the same lock. It does not stand for the user of the disk. */
bool wb_disk_duplicate(const struct wb_disk *disk, struct wb_disk *copy, GError **error);

/* A regular file of this machine: it has attributes, a time of its last change, and a
 * filesystem that it may fill. */
static inline bool wb_disk_is_file(const struct wb_disk *disk)
{
	return !disk->is_block_device && !disk->is_remote;
}
/* For who looks at the kernel's disks below it; NULL: there are none here. */
static inline const struct stat *wb_disk_local_stat(const struct wb_disk *disk)
{
	return disk->is_remote ? NULL : &disk->st;
}
enum wb_disk_space { WB_DISK_SPARSE, WB_DISK_ALLOCATED };
/* Of a new file. Blocks that are allocated now do not show as an I/O error later, when
 * the file system is full. */
bool wb_disk_set_size(struct wb_disk *disk, uint64_t bytes, enum wb_disk_space space,
		      GError **error);
/* Reads the size again, after it was changed. */
bool wb_disk_refresh(struct wb_disk *disk, GError **error);

/* A store over the disk, which owns the descriptor (and so the lock) from then
 * on; the lock of a remote disk stays with the disk, which is to be closed after the
 * store. Starts threads. */
struct wb_store *wb_disk_open_store(struct wb_disk *disk, GError **error);

bool wb_disk_is_same(const struct wb_disk *a, const struct wb_disk *b);

#endif
