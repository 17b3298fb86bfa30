/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/lock_holder.h"

#include <errno.h>
#include <glib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* "3: FLOCK  ADVISORY  WRITE 1234 fd:01:56789 0 EOF"; lines of waiters have
 * "->" behind the number and do not match. */
static bool parse(const char *line, const struct stat *file, pid_t *pid, dev_t *device)
{
	unsigned number, device_major, device_minor;
	char kind[16], mode[16], access[16];
	unsigned long long inode;
	int owner;

	if (sscanf(line, "%u: %15s %15s %15s %d %x:%x:%llu", &number, kind, mode, access,
		   &owner, &device_major, &device_minor, &inode) != 8 ||
	    strcmp(kind, "FLOCK") || inode != file->st_ino)
		return false;
	*pid = owner;
	*device = makedev(device_major, device_minor);
	return true;
}

bool wb_lock_holder_parse(const char *line, const struct stat *file, pid_t *pid)
{
	pid_t owner;
	dev_t device;

	if (!parse(line, file, &owner, &device) || device != file->st_dev)
		return false;
	*pid = owner;
	return true;
}

static char read_state(pid_t pid, struct wb_lock_holder *holder)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/stat", (int)pid);
	g_autofree char *text = NULL;
	char *open, *close;

	if (!g_file_get_contents(path, &text, NULL, NULL))
		return 0;
	open = strchr(text, '(');
	close = strrchr(text, ')');
	if (!open || !close || close < open || close[1] != ' ')
		return 0;
	*close = '\0';
	g_strlcpy(holder->program, open + 1, sizeof holder->program);
	return close[2];
}

/* Has it the file open? A process number may have been given to another
 * process since; -1 when we may not look. */
static int has_open(pid_t pid, const struct stat *file)
{
	g_autofree char *directory = g_strdup_printf("/proc/%d/fd", (int)pid);
	g_autoptr(GDir) dir = g_dir_open(directory, 0, NULL);
	const char *name;

	if (!dir)
		return -1;
	while ((name = g_dir_read_name(dir))) {
		g_autofree char *path = g_build_filename(directory, name, NULL);
		struct stat st;

		if (!stat(path, &st) && st.st_dev == file->st_dev && st.st_ino == file->st_ino)
			return 1;
	}
	return 0;
}

static bool is_living_holder(pid_t pid, const struct stat *file, struct wb_lock_holder *holder)
{
	char state;

	if (pid <= 0 || (kill(pid, 0) < 0 && errno == ESRCH))
		return false;
	state = read_state(pid, holder);
	holder->pid = pid;
	return state && state != 'Z' && state != 'X' && has_open(pid, file) != 0;
}

/* Filesystems without a device of their own, btrfs, have another number there than
 * stat(2) tells: whoever has the file open is meant. */
static bool names_holder(const char *line, const struct stat *file,
			 struct wb_lock_holder *holder)
{
	dev_t device;
	pid_t pid;

	return parse(line, file, &pid, &device) &&
	       (device == file->st_dev || (!major(device) && !major(file->st_dev) &&
					   has_open(pid, file) == 1)) &&
	       is_living_holder(pid, file, holder);
}

bool wb_lock_holder_find(const struct stat *file, struct wb_lock_holder *holder)
{
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;

	if (!g_file_get_contents("/proc/locks", &text, NULL, NULL))
		return false;
	lines = g_strsplit(text, "\n", -1);
	for (unsigned i = 0; lines[i]; i++)
		if (names_holder(lines[i], file, holder))
			return true;
	return false;
}

bool wb_lock_holder_find_open(const struct stat *file, struct wb_lock_holder *holder)
{
	g_autoptr(GDir) dir = g_dir_open("/proc", 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		pid_t pid = atoi(name);

		if (pid > 0 && pid != getpid() && read_state(pid, holder) &&
		    !strcmp(holder->program, "wbfs") && has_open(pid, file) == 1) {
			holder->pid = pid;
			return true;
		}
	}
	return false;
}
