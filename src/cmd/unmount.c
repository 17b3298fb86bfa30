/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/unmount.h"

#include <errno.h>
#include <glib.h>
#include <mntent.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "cmd/unmount_stack.h"

#define USERS_MAX 8u

static int by_fusermount(const char *how, const char *mount_point, char **reason)
{
	const char *argv[] = { "fusermount3", how, "--", mount_point, NULL };
	g_autoptr(GError) error = NULL;
	g_autofree char *errors = NULL;
	int status;

	if (!g_spawn_sync(NULL, (char **)argv, NULL,
			  G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, NULL,
			  &errors, &status, &error)) {
		*reason = g_strdup(error->message);
		return -ENOENT;
	}
	if (g_spawn_check_wait_status(status, NULL))
		return 0;
	*reason = g_strdup(g_strstrip(errors));
	/* (its end: a mount point may have that word in its name) */
	if (g_str_has_suffix(*reason, "busy"))
		return -EBUSY;
	return -EPERM;
}

int wb_unmount(const char *mount_point, char **reason)
{
	*reason = NULL;
	if (!umount2(mount_point, UMOUNT_NOFOLLOW))
		return 0;
	if (errno == EPERM)
		return by_fusermount("-u", mount_point, reason);
	*reason = g_strdup(g_strerror(errno));
	return -errno;
}

void wb_unmount_by_force(const char *mount_point)
{
	g_autofree char *reason = NULL;

	if (umount2(mount_point, MNT_FORCE | MNT_DETACH | UMOUNT_NOFOLLOW) && errno == EPERM)
		(void)by_fusermount("-uz", mount_point, &reason);
}

/* --- who is in the way ----------------------------------------------------------- */

bool wb_unmount_is_below(const char *path, const char *directory)
{
	size_t length = strlen(directory);

	return !strncmp(path, directory, length) && (!path[length] || path[length] == '/');
}

static void add_loops(GPtrArray *users, const char *mount_point)
{
	g_autoptr(GPtrArray) loops = wb_unmount_stack_loops(mount_point);

	for (unsigned i = 0; i < loops->len; i++) {
		g_autofree char *file = wb_unmount_stack_loop_file(loops->pdata[i]);

		g_ptr_array_add(users, g_strdup_printf("/dev/%s (attached to %s)",
						       (char *)loops->pdata[i],
						       file ? file : mount_point));
	}
}

static void add_mounts(GPtrArray *users, const char *mount_point)
{
	FILE *table = setmntent("/proc/self/mounts", "re");
	struct mntent *entry;

	while (table && (entry = getmntent(table)))
		if (strcmp(entry->mnt_dir, mount_point) && wb_unmount_is_below(entry->mnt_dir, mount_point))
			g_ptr_array_add(users, g_strdup_printf("a mount at %s", entry->mnt_dir));
	if (table)
		endmntent(table);
}

static bool link_is_below(const char *link, const char *mount_point)
{
	char target[PATH_MAX + 1];
	ssize_t length = readlink(link, target, sizeof target - 1);

	if (length < 0)
		return false;
	target[length] = '\0';
	return wb_unmount_is_below(target, mount_point);
}

static bool process_uses(const char *proc, const char *mount_point)
{
	g_autofree char *cwd = g_build_filename(proc, "cwd", NULL);
	g_autofree char *fds = g_build_filename(proc, "fd", NULL);
	g_autoptr(GDir) dir = NULL;
	const char *name;

	if (link_is_below(cwd, mount_point))
		return true;
	dir = g_dir_open(fds, 0, NULL);
	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *link = g_build_filename(fds, name, NULL);

		if (link_is_below(link, mount_point))
			return true;
	}
	return false;
}

static void add_processes(GPtrArray *users, const char *mount_point)
{
	g_autoptr(GDir) dir = g_dir_open("/proc", 0, NULL);
	const char *name;

	while (dir && users->len < USERS_MAX && (name = g_dir_read_name(dir))) {
		g_autofree char *proc = g_build_filename("/proc", name, NULL);
		g_autofree char *comm_path = g_build_filename(proc, "comm", NULL);
		g_autofree char *comm = NULL;

		if (!g_ascii_isdigit(*name) || atoi(name) == getpid() ||
		    !process_uses(proc, mount_point) ||
		    !g_file_get_contents(comm_path, &comm, NULL, NULL))
			continue;
		g_ptr_array_add(users, g_strdup_printf("%s (pid %s)", g_strchomp(comm), name));
	}
}

char *wb_unmount_describe_users(const char *mount_point)
{
	g_autoptr(GPtrArray) users = g_ptr_array_new_with_free_func(g_free);

	add_loops(users, mount_point);
	add_mounts(users, mount_point);
	add_processes(users, mount_point);
	if (!users->len)
		return g_strdup("a process that could not be found");
	g_ptr_array_add(users, NULL);
	return g_strjoinv(", ", (char **)users->pdata);
}
