/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/cache_file.h"

struct wb_store *wb_cache_file_open_as(const char *path, enum wb_disk_access access,
				       GError **error)
{
	struct wb_disk disk = WB_DISK_NONE;
	struct wb_store *store = NULL;

	if (wb_disk_open(&disk, "cache", path, access, error))
		store = wb_disk_open_store(&disk, error);
	wb_disk_close(&disk);
	return store;
}

struct wb_store *wb_cache_file_open(const char *path, GError **error)
{
	return wb_cache_file_open_as(path, WB_DISK_READ_ONLY, error);
}
