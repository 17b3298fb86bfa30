/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/mount_table.h"

#include <errno.h>
#include <mntent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/report.h"

/* FUSE mounts are the user's whose daemon serves them. */
static bool is_served_by_me(const struct mntent *entry)
{
	const char *option = hasmntopt(entry, "user_id");

	return option && strtoul(option + strlen("user_id="), NULL, 10) == geteuid();
}

static bool is_own(const struct mntent *entry)
{
	return !geteuid() || is_served_by_me(entry);
}

static bool is_open_to_me(const struct mntent *entry)
{
	return is_served_by_me(entry) || hasmntopt(entry, "allow_other");
}

static GPtrArray *list_mounts(bool (*is_wanted)(const struct mntent *entry))
{
	GPtrArray *list = g_ptr_array_new_with_free_func(g_free);
	FILE *table = setmntent("/proc/self/mounts", "re");
	struct mntent *entry;

	while (table && (entry = getmntent(table)))
		if (!strcmp(entry->mnt_type, WB_MOUNT_TYPE) && (!is_wanted || is_wanted(entry)))
			g_ptr_array_add(list, g_strdup(entry->mnt_dir));
	if (table)
		endmntent(table);
	return list;
}

GPtrArray *wb_mount_table_list(void)
{
	return list_mounts(NULL);
}

GPtrArray *wb_mount_table_list_own(void)
{
	return list_mounts(is_own);
}

bool wb_mount_table_may_look(const char *mount_point)
{
	g_autoptr(GPtrArray) list = list_mounts(is_open_to_me);

	return g_ptr_array_find_with_equal_func(list, mount_point, g_str_equal, NULL);
}

bool wb_mount_table_has(const char *mount_point)
{
	g_autoptr(GPtrArray) list = wb_mount_table_list();

	return g_ptr_array_find_with_equal_func(list, mount_point, g_str_equal, NULL);
}

char *wb_mount_table_resolve(const char *path, GError **error)
{
	g_autofree char *resolved = realpath(path, NULL);
	/* The root of a dead mount cannot be looked at; its name still can be
	 * put together. */
	g_autofree char *plain = g_canonicalize_filename(path, NULL);

	if (resolved && wb_mount_table_has(resolved))
		return g_steal_pointer(&resolved);
	if (wb_mount_table_has(plain))
		return g_steal_pointer(&plain);
	if (!resolved && errno == ENOENT)
		wb_fail(error, "%s does not exist", path);
	else
		wb_fail(error, "%s is not a mounted wbfs volume ('wbfs status' lists them)",
			path);
	return NULL;
}
