/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/unmount_stack.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <mntent.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cmd/unmount.h"

#define DETACH_TRIES 100u	/* of 50 ms each */

char *wb_unmount_stack_loop_file(const char *loop)
{
	g_autofree char *path = g_build_filename("/sys/block", loop, "loop/backing_file", NULL);
	char *file = NULL;

	if (!g_file_get_contents(path, &file, NULL, NULL))
		return NULL;
	return g_strchomp(file);
}

GPtrArray *wb_unmount_stack_loops(const char *mount_point)
{
	GPtrArray *loops = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GDir) dir = g_dir_open("/sys/block", 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *file =
			g_str_has_prefix(name, "loop") ? wb_unmount_stack_loop_file(name) : NULL;

		if (file && wb_unmount_is_below(file, mount_point))
			g_ptr_array_add(loops, g_strdup(name));
	}
	return loops;
}

/* "/dev/loop3" or a partition of it, "/dev/loop3p1". */
static bool is_on(const char *source, const char *loop)
{
	const char *name = g_str_has_prefix(source, "/dev/") ? source + strlen("/dev/") : "";
	size_t length = strlen(loop);

	return !strncmp(name, loop, length) && (!name[length] || name[length] == 'p');
}

static void unmount_filesystems(const char *loop)
{
	g_autoptr(GPtrArray) directories = g_ptr_array_new_with_free_func(g_free);
	FILE *table = setmntent("/proc/self/mounts", "re");
	struct mntent *entry;

	while (table && (entry = getmntent(table)))
		if (is_on(entry->mnt_fsname, loop))
			g_ptr_array_add(directories, g_strdup(entry->mnt_dir));
	if (table)
		endmntent(table);
	for (unsigned i = directories->len; i-- > 0;) {
		g_autofree char *reason = NULL;

		wb_unmount(directories->pdata[i], &reason);
	}
}

/* The kernel lets go of the file a moment after the last one closed the device. */
static void detach(const char *loop)
{
	g_autofree char *path = g_build_filename("/dev", loop, NULL);
	g_autofree char *before = wb_unmount_stack_loop_file(loop);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct loop_info64 info = { 0 };
	bool is_busy = true;

	if (fd < 0)
		return;
	if (!ioctl(fd, LOOP_CLR_FD))
		is_busy = !ioctl(fd, LOOP_GET_STATUS64, &info);
	close(fd);
	for (unsigned i = 0; !is_busy && before && i < DETACH_TRIES; i++) {
		g_autofree char *now = wb_unmount_stack_loop_file(loop);

		if (g_strcmp0(before, now))
			return;
		g_usleep(50 * 1000);
	}
}

void wb_unmount_stack(const char *mount_point)
{
	g_autoptr(GPtrArray) loops = wb_unmount_stack_loops(mount_point);

	for (unsigned i = 0; i < loops->len; i++) {
		unmount_filesystems(loops->pdata[i]);
		detach(loops->pdata[i]);
	}
}
