/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who holds the flock on a file: from /proc/locks and /proc/PID. */
#ifndef WB_CMD_LOCK_HOLDER_H
#define WB_CMD_LOCK_HOLDER_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

struct wb_lock_holder {
	pid_t pid;
	char program[64];
};

/*
 * One line of /proc/locks: TRUE when it is an flock on that file; *pid is then
 * its owner. Pure.
 */
bool wb_lock_holder_parse(const char *line, const struct stat *file, pid_t *pid);

/*
 * TRUE when a LIVING process holds it. The kernel goes on naming the owner
 * when that was killed and its I/O is still under way; then, and when nobody
 * can be found, FALSE.
 */
bool wb_lock_holder_find(const struct stat *file, struct wb_lock_holder *holder);

/* Some other wbfs that has it open: for locks whose owner the kernel does not name. */
bool wb_lock_holder_find_open(const struct stat *file, struct wb_lock_holder *holder);

#endif
