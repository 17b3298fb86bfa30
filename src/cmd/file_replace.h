/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A small file written as a whole: after a crash at any moment it is the old one
 * or the new one, and once this has returned it is the new one. */
#ifndef WB_CMD_FILE_REPLACE_H
#define WB_CMD_FILE_REPLACE_H

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

/* A link in place of the file is replaced, not followed. */
bool wb_file_replace(const char *path, const char *text, mode_t mode, GError **error);

/* What happened to names in the directory of `path`, made durable. FALSE with
 * errno. */
bool wb_file_sync_directory(const char *path);

#endif
