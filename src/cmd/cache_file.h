/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An unmounted cache, opened only for reading: for check, dump and umount. */
#ifndef WB_CMD_CACHE_FILE_H
#define WB_CMD_CACHE_FILE_H

#include <glib.h>

#include "io/store.h"

/* Locked (shared) as long as the store is open. NULL and an error, also when
 * it is mounted. */
struct wb_store *wb_cache_file_open(const char *path, GError **error);

#endif
