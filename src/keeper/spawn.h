/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A new worker: a child with the descriptors that state.h numbers. */
#ifndef WB_KEEPER_SPAWN_H
#define WB_KEEPER_SPAWN_H

#include <sys/types.h>

#include "keeper/program.h"
#include "keeper/state.h"

#define WB_SPAWN_ROLE_BYTES 64u

struct wb_spawn {
	const struct wb_program *program;
	char *const *argv;
	char *const *envp;		/* its first entry has that much room, for the role */
	int fds[WB_KEPT_FD_END];	/* by their number in the worker; -1: none */
};

/* Somewhere above the numbers of a worker, so that none is in another's way; the old
 * one is closed. Close-on-exec. */
int wb_spawn_lift(int fd);

/* The child, or -1 and errno. Signals are blocked in the caller; a NEXT worker begins
 * with SIGTERM and SIGINT blocked: before it listens, they would end a disk. */
pid_t wb_spawn_worker(const struct wb_spawn *spawn, const char *role);

#endif
