/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "keeper/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int wb_spawn_lift(int fd)
{
	int lifted = fcntl(fd, F_DUPFD_CLOEXEC, 2 * WB_KEPT_FD_END);

	if (lifted < 0)
		return fd;
	close(fd);
	return lifted;
}

static void be_worker(const struct wb_spawn *spawn, const char *role)
{
	char *const *envp = spawn->envp;
	sigset_t blocked;

	sigemptyset(&blocked);
	if (strcmp(role, WB_KEPT_ROLE_FIRST)) {
		sigaddset(&blocked, SIGTERM);
		sigaddset(&blocked, SIGINT);
	}
	sigprocmask(SIG_SETMASK, &blocked, NULL);
	for (int i = WB_KEPT_FD_LINK; i < WB_KEPT_FD_END; i++)
		if (spawn->fds[i] >= 0 ? dup2(spawn->fds[i], i) < 0 : close(i) && 0)
			_exit(126);
	snprintf(envp[0], WB_SPAWN_ROLE_BYTES, "%s=%u %s", WB_KEPT_VARIABLE,
		 WB_KEEPER_VERSION, role);
	wb_program_run(spawn->program, spawn->argv, envp);
	_exit(127);
}

pid_t wb_spawn_worker(const struct wb_spawn *spawn, const char *role)
{
	pid_t pid = fork();

	if (!pid)
		be_worker(spawn, role);
	return pid;
}
