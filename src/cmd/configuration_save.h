/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The entry of a volume written into a configuration file, for `wbfs format --save`.
 * Comments, other groups and other keys stay as they are. */
#ifndef WB_CMD_CONFIGURATION_SAVE_H
#define WB_CMD_CONFIGURATION_SAVE_H

#include <glib.h>
#include <stdbool.h>

struct wb_configuration_entry {
	const char *mount_point, *cache_path, *backing_path;	/* absolute */
	bool is_forced;		/* an entry of another volume is replaced */
};

/* The file that is written: `path` if not NULL, else that of $WBFS_CONFIG, else the
 * system's for root and the user's for others. NULL and an error if there is none.
 * To be freed. */
char *wb_configuration_save_path(const char *path, GError **error);

/* The whole text of the file with the entry in it, to be freed. `text` is what was
 * there before, `name` stands in messages. NULL and an error when it is no
 * configuration file, when the entry cannot stand in one, or when there is an entry
 * of another volume. */
char *wb_configuration_with_entry(const char *name, const char *text, gsize length,
				  const struct wb_configuration_entry *entry,
				  GError **error);

/* Would it be saved? To be asked before a volume is made for the entry. */
bool wb_configuration_may_save(const char *path, const struct wb_configuration_entry *entry,
			       GError **error);
/* Durable when it returns, and never half of it. */
bool wb_configuration_save(const char *path, const struct wb_configuration_entry *entry,
			   GError **error);

#endif
