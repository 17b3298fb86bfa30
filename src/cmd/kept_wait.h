/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A worker that is to take over, and cannot yet, because a disk is not free or not there:
 * what it does meanwhile. What only the memory has goes to the log as soon as that can be,
 * so that nothing is lost however the waiting ends; and a stop ends it. Its thread alone.
 */
#ifndef WB_CMD_KEPT_WAIT_H
#define WB_CMD_KEPT_WAIT_H

#include <glib.h>
#include <stdbool.h>

#include "cmd/disk.h"
#include "cmd/kept.h"

/* Before any disk is opened, of which the cache is the first. `cache_store` may be opened
 * by this, and is the caller's. All of it has to last. */
void wb_kept_wait_begin(struct wb_kept *kept, const char *mount_point, struct wb_disk *cache,
			struct wb_store **cache_store);
/* They are open, or cannot be: nothing is waited for any more. */
void wb_kept_wait_end(void);
/* It is not to be opened any more, as the mount is gone: what that means for people. Or
 * NULL. */
const char *wb_kept_wait_outcome(void);

/* The cache's disk is locked: what only the memory has is made durable there. FALSE: that
 * was said to be impossible now. */
bool wb_kept_wait_save(void);

#endif
