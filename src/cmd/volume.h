/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A cache and a backing, opened and locked as a pair; and whether they belong
 * together. */
#ifndef WB_CMD_VOLUME_H
#define WB_CMD_VOLUME_H

#include <glib.h>
#include <stdbool.h>

#include "cmd/disk.h"
#include "cmd/identity.h"

struct wb_volume {
	struct wb_disk cache, backing;
};

#define WB_VOLUME_NONE { WB_DISK_NONE, WB_DISK_NONE }

/* Opens both and locks them. The same file twice is refused. */
bool wb_volume_open(struct wb_volume *volume, const char *cache_path,
		    const char *backing_path, enum wb_disk_access access, GError **error);
void wb_volume_close(struct wb_volume *volume);
/* FALSE when both are the same. To be asked before either is locked: our own lock
 * would look like somebody else's. */
bool wb_volume_refuse_same(const char *cache_path, const char *backing_path, GError **error);

/* The newest valid superblock of a cache. FALSE without an error when there is
 * none: wb_recovery_scan() or wb_cache_open() say why. */
bool wb_volume_read_superblock(struct wb_store *cache_store,
			       struct wb_superblock *superblock);
/* A copy of the superblock is of a later version, which may know that the other one,
 * even when it is valid, says nothing any more. */
bool wb_volume_is_of_later_version(struct wb_store *cache_store);
/* The newest valid one, unless one is of a later version. When there is none, recovery
 * says why, or finds it after all, on a disk that is just waking up. */
bool wb_volume_find_superblock(struct wb_store *cache_store, struct wb_superblock *superblock,
			       GError **error);

enum wb_pair_trust {
	WB_PAIR_MARKED,		/* the backing must carry the mark */
	WB_PAIR_FORCED,		/* or none at all; never that of another volume */
};

/* May this superblock be used with this backing? The backing must carry its
 * mark and be at least as large. `mark`, if not NULL, gets what was found, with
 * the right UUID. */
bool wb_volume_check_pair(const struct wb_volume *volume,
			  const struct wb_superblock *superblock, enum wb_pair_trust trust,
			  struct wb_identity *mark, GError **error);

#endif
