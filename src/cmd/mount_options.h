/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What -o takes, and the configuration file: one table, for parsing and for the
 * help. Pure. */
#ifndef WB_CMD_MOUNT_OPTIONS_H
#define WB_CMD_MOUNT_OPTIONS_H

#include <glib.h>
#include <stdbool.h>

#include "cmd/options.h"

/* "NAME=VALUE,NAME" into `options`. FALSE and an error that names the word. What
 * takes no value may be switched by "=on" and "=off". */
bool wb_mount_options_parse(struct wb_options *options, const char *text, GError **error);

/* One of them; `value` is NULL when none was given. */
bool wb_mount_options_set(struct wb_options *options, const char *name, const char *value,
			  GError **error);
bool wb_mount_options_has(const char *name);
/* All names (char *), for suggestions. */
void wb_mount_options_add_names(GPtrArray *names);

/* All that is set of them but cache and backing: NAME=VALUE, each with its zero, for
 * wb_mount_options_set(). */
void wb_mount_options_save(const struct wb_options *options, GString *text);

/* The lines of `wbfs help mount`, and those of wb_options_list(). */
void wb_mount_options_append_help(GString *text);
void wb_mount_options_append_list(GString *text);

#endif
