/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An unmounted cache: for check, dump and umount. */
#ifndef WB_CMD_CACHE_FILE_H
#define WB_CMD_CACHE_FILE_H

#include <glib.h>

#include "cmd/disk.h"
#include "io/store.h"

/* Locked (shared) as long as the store is open. NULL and an error, also when
 * it is mounted. */
struct wb_store *wb_cache_file_open(const char *path, GError **error);
/* The same; for writing nobody else may even read it. */
struct wb_store *wb_cache_file_open_as(const char *path, enum wb_disk_access access,
				       GError **error);

#endif
