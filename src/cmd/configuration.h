/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wbfs.conf(5): which volume belongs to a mount point, and its options. One group
 * for each mount point; a key is `options` or the name of any mount option, `cache`
 * and `backing` among them, so that a new mount option is a key at once. Read as a whole;
 * nothing is kept open. Any thread. Writing is in configuration_save.
 */
#ifndef WB_CMD_CONFIGURATION_H
#define WB_CMD_CONFIGURATION_H

#include <glib.h>
#include <stdbool.h>

#include "cmd/options.h"

#define WB_CONFIGURATION_SYSTEM "/etc/wbfs.conf"
#define WB_CONFIGURATION_VARIABLE "WBFS_CONFIG"

struct wb_configuration;

/* Which files are read. */
enum wb_configuration_scope {
	WB_CONFIGURATION_ALL,	/* the system's, then the user's */
	WB_CONFIGURATION_OWN,	/* those that belong to the caller: both for root */
};

/* The paths that are read, in order (char *): `path` alone, if not NULL; else that
 * of $WBFS_CONFIG alone, none at all if it is empty; else those of the scope. */
GPtrArray *wb_configuration_paths(const char *path, enum wb_configuration_scope scope);

/* A file that is not there counts as empty, but not `path`. NULL and an error that
 * names the file. To be freed. */
struct wb_configuration *wb_configuration_load(const char *path,
					       enum wb_configuration_scope scope,
					       GError **error);
/* The same of one text; `name` stands in messages. */
struct wb_configuration *wb_configuration_parse(const char *name, const char *text,
						gsize length, GError **error);
void wb_configuration_free(struct wb_configuration *configuration);

/* The key file in this text, with what it takes to write it again, or NULL and an
 * error that names it. To be freed. */
GKeyFile *wb_configuration_load_keys(const char *name, const char *text, gsize length,
				     GError **error);

/* All groups as they are called (char *), each mount point once. */
GPtrArray *wb_configuration_list(const struct wb_configuration *configuration);

/* "/etc/wbfs.conf and /root/.config/wbfs.conf": what was looked at. To be freed. */
char *wb_configuration_describe(const struct wb_configuration *configuration);

/*
 * What the files say of a mount point (an absolute path), laid over what is in
 * `options`, later files over earlier ones. Without an entry nothing is changed. A
 * group means the mount point when the paths are the same without "//", "." and
 * "..", or else when they are the same directory.
 * FALSE and an error: file, group, key, what was found and expected.
 */
bool wb_configuration_apply(const struct wb_configuration *configuration,
			    const char *mount_point, struct wb_options *options,
			    GError **error);

/* The group of this key file that means the mount point by its name, or NULL. */
const char *wb_configuration_find_group(char *const *groups, const char *mount_point);

#endif
