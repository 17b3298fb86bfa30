/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "keeper/program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "keeper/say.h"
#include "keeper/state.h"

#define PROBE_MS 5000
#define DELETED " (deleted)"

bool wb_program_open(struct wb_program *program, const char *path)
{
	snprintf(program->path, sizeof program->path, "%s", path);
	program->fd = open(path, O_PATH | O_CLOEXEC);
	return program->fd >= 0;
}

bool wb_program_open_own(struct wb_program *program)
{
	ssize_t length = readlink("/proc/self/exe", program->path, sizeof program->path - 1);
	size_t deleted = strlen(DELETED);

	program->path[length < 0 ? 0 : length] = '\0';
	/* Replaced already: an upgrade takes what stands there now. */
	if (length > (ssize_t)deleted &&
	    !strcmp(program->path + length - deleted, DELETED))
		program->path[length - (ssize_t)deleted] = '\0';
	program->fd = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	return program->fd >= 0;
}

void wb_program_close(struct wb_program *program)
{
	if (program->fd >= 0)
		close(program->fd);
	program->fd = -1;
}

void wb_program_run(const struct wb_program *program, char *const *argv, char *const *envp)
{
	execveat(program->fd, "", argv, envp, AT_EMPTY_PATH);
}

/* --- the probe ------------------------------------------------------------------------- */

static void be_probe(const struct wb_program *program, int out)
{
	char role[64];
	char *argv[] = { "wbfs", NULL };
	char *envp[] = { role, NULL };
	int null = open("/dev/null", O_RDWR);
	sigset_t none;

	snprintf(role, sizeof role, "%s=%u %s", WB_KEPT_VARIABLE, WB_KEEPER_VERSION,
		 WB_KEPT_ROLE_PROBE);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	dup2(null, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	wb_program_run(program, argv, envp);
	_exit(127);
}

static int left_ms(const struct timespec *since)
{
	struct timespec now;
	long passed;

	clock_gettime(CLOCK_MONOTONIC, &now);
	passed = (now.tv_sec - since->tv_sec) * 1000 + (now.tv_nsec - since->tv_nsec) / 1000000;
	return passed < PROBE_MS ? (int)(PROBE_MS - passed) : 0;
}

/* Until it closes its output, has said enough, or its time is over. */
static void listen_to(int fd, char *text, size_t bytes)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	struct timespec since;
	size_t used = 0;
	ssize_t n = 1;

	clock_gettime(CLOCK_MONOTONIC, &since);
	while (n > 0 && used + 1 < bytes && poll(&ready, 1, left_ms(&since)) > 0) {
		n = read(fd, text + used, bytes - 1 - used);
		used += n > 0 ? (size_t)n : 0;
	}
	text[used] = '\0';
}

bool wb_program_fits(const struct wb_program *program, char *problem, size_t bytes)
{
	char text[160] = "", version[64];
	unsigned keeper_version;
	int pipe_fds[2];
	pid_t pid;

	if (pipe2(pipe_fds, O_CLOEXEC)) {
		wb_say_into(problem, bytes, "%s cannot be tried: %s", program->path,
			 strerror(errno));
		return false;
	}
	pid = fork();
	if (!pid)
		be_probe(program, pipe_fds[1]);
	close(pipe_fds[1]);
	if (pid > 0) {
		listen_to(pipe_fds[0], text, sizeof text);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	close(pipe_fds[0]);
	if (sscanf(text, WB_PROGRAM_WORDS, &keeper_version, version) != 2) {
		wb_say_into(problem, bytes, "%s is no wbfs that can take over", program->path);
		return false;
	}
	if (keeper_version == WB_KEEPER_VERSION)
		return true;
	wb_say_into(problem, bytes, "%s (%s) takes over from a keeper of version %u, and this one "
		 "is of version %u: unmount and mount again", program->path, version,
		 keeper_version, WB_KEEPER_VERSION);
	return false;
}
