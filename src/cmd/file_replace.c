/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/file_replace.h"

#include <fcntl.h>
#include <unistd.h>

#include "cmd/report.h"

bool wb_file_sync_directory(const char *path)
{
	g_autofree char *directory = g_path_get_dirname(path);
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool ok = fd >= 0 && !fsync(fd);

	if (fd >= 0)
		close(fd);
	return ok;
}

bool wb_file_replace(const char *path, const char *text, mode_t mode, GError **error)
{
	return g_file_set_contents_full(path, text, -1,
					G_FILE_SET_CONTENTS_CONSISTENT |
					G_FILE_SET_CONTENTS_DURABLE, (int)mode, error) &&
	       (wb_file_sync_directory(path) ||
		wb_fail_errno(error, "cannot sync the directory of %s", path));
}
