/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What -o takes: one table, for parsing and for the help. Pure. */
#ifndef WB_CMD_MOUNT_OPTIONS_H
#define WB_CMD_MOUNT_OPTIONS_H

#include <glib.h>
#include <stdbool.h>

#include "cmd/options.h"

/* "NAME=VALUE,NAME" into `options`. FALSE and an error that names the word. */
bool wb_mount_options_parse(struct wb_options *options, const char *text, GError **error);

/* The lines of `wbfs help mount`, and those of wb_options_list(). */
void wb_mount_options_append_help(GString *text);
void wb_mount_options_append_list(GString *text);

#endif
