/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A program of which workers are made: an open file, so that workers are the same
 * program also when another has been installed in its place.
 */
#ifndef WB_KEEPER_PROGRAM_H
#define WB_KEEPER_PROGRAM_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct wb_program {
	int fd;			/* -1: none */
	char path[PATH_MAX];
};

/* The one that runs. FALSE and errno. */
bool wb_program_open_own(struct wb_program *program);
bool wb_program_open(struct wb_program *program, const char *path);
void wb_program_close(struct wb_program *program);

/* In a child: returns only with errno. */
void wb_program_run(const struct wb_program *program, char *const *argv, char *const *envp);

/*
 * Starts it as PROBE and reads what it says: does it understand this keeper? FALSE,
 * and why not in `problem`. Waits some seconds at most. SIGCHLD has to be blocked.
 */
bool wb_program_fits(const struct wb_program *program, char *problem, size_t bytes);
/* What a PROBE says on its standard output. */
#define WB_PROGRAM_WORDS "wbfs keeper %u version %63s\n"

#endif
