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
bool wb_lock_holder_parse(const char *line, const struct stat *file, pid_t *pid)
{
	unsigned number, device_major, device_minor;
	char kind[16], mode[16], access[16];
	unsigned long long inode;
	int owner;

	if (sscanf(line, "%u: %15s %15s %15s %d %x:%x:%llu", &number, kind, mode, access,
		   &owner, &device_major, &device_minor, &inode) != 8)
		return false;
	if (strcmp(kind, "FLOCK") || inode != file->st_ino ||
	    device_major != major(file->st_dev) || device_minor != minor(file->st_dev))
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

bool wb_lock_holder_find(const struct stat *file, struct wb_lock_holder *holder)
{
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;
	pid_t pid;

	if (!g_file_get_contents("/proc/locks", &text, NULL, NULL))
		return false;
	lines = g_strsplit(text, "\n", -1);
	for (unsigned i = 0; lines[i]; i++)
		if (wb_lock_holder_parse(lines[i], file, &pid) &&
		    is_living_holder(pid, file, holder))
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
