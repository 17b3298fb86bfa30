/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/launch.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/daemon.h"
#include "cmd/disk_remote.h"
#include "cmd/kept.h"
#include "cmd/report.h"
#include "keeper/keeper.h"
#include "keeper/say.h"

/* --- the daemon's side ----------------------------------------------------------------- */

/* One byte '+', or '-' and a message; then the end of the pipe. */
void wb_launch_tell_parent(int fd, const GError *error)
{
	const char *text = error ? error->message : "";
	FILE *pipe = fdopen(fd, "w");

	if (!pipe)
		return;
	fprintf(pipe, "%c%s", error ? '-' : '+', text);
	fclose(pipe);
}

void wb_launch_let_go_of_terminal(void)
{
	if (!wb_say_leave_terminal())
		g_message("cannot leave the current directory: %s", g_strerror(errno));
}

/* A closed terminal or reader must not end a disk. */
void wb_launch_ignore_signals(void)
{
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
}

static int be_daemon(const struct wb_options *options, int report_fd)
{
	g_autoptr(GError) error = NULL;
	struct wb_daemon *daemon;

	setsid();
	wb_launch_ignore_signals();
	daemon = wb_daemon_start(options, options->argument, NULL, &error);
	if (daemon) {
		wb_report_to_log();
		wb_launch_let_go_of_terminal();
	}
	wb_launch_tell_parent(report_fd, error);
	if (!daemon)
		return WB_EXIT_FAILED;
	if (wb_daemon_run(daemon, &error) == WB_DAEMON_STOPPED)
		return WB_EXIT_DONE;
	g_critical("%s", error->message);
	return WB_EXIT_FAILED;
}

/* --- a keeper's side --------------------------------------------------------------------- */

/* Without a cache there is no log that a next worker could go on with. */
static bool wants_keeper(const struct wb_options *options)
{
	return options->keeper && !options->without_cache;
}

static struct wb_keeper_state *make_state(const struct wb_options *options, int *fd,
					  GError **error)
{
	struct wb_keeper_state *state = MAP_FAILED;

	*fd = memfd_create("wbfs-keeper", MFD_CLOEXEC);
	if (*fd >= 0 && !ftruncate(*fd, sizeof *state))
		state = mmap(NULL, sizeof *state, PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_POPULATE, *fd, 0);
	if (state == MAP_FAILED) {
		wb_fail_errno(error, "the keeper of %s has no memory", options->argument);
		return NULL;
	}
	return wb_kept_area_fill((struct wb_kept_area *)state->area, options, error) ? state :
										       NULL;
}

/* This process becomes the keeper. It has no threads, and from here on it calls nothing
 * of any library but the C library. */
static int be_keeper(const struct wb_options *options, int report_fd, GError **error)
{
	g_autofree char *cache = wb_kept_absolute(options->cache_path);
	g_autofree char *backing = wb_kept_absolute(options->backing_path);
	g_autofree char *lock_file = wb_disk_remote_lock_file(options->backing_path);
	char *argv[] = { "wbfs", "mount", "--cache", cache, "--backing", backing,
			 options->argument, NULL };
	struct wb_keeper_config config = {
		.argv = argv,
		.environment = environ,
		.mount_point = options->argument,
		.disk_paths = { cache, lock_file ? lock_file : backing },
		.is_read_only = options->read_only,
		.report_fd = report_fd,
		.is_in_background = !options->foreground,
	};

	config.state = make_state(options, &config.state_fd, error);
	return config.state ? wb_keeper_run(&config) : WB_EXIT_FAILED;
}

static int be_keeper_in_background(const struct wb_options *options, int report_fd)
{
	g_autoptr(GError) error = NULL;
	int status;

	setsid();
	status = be_keeper(options, report_fd, &error);
	if (error)
		wb_launch_tell_parent(report_fd, error);
	return status;
}

/* --- the parent's side -------------------------------------------------------------------- */

static GString *read_all(int fd)
{
	GString *text = g_string_new(NULL);
	char piece[1024];
	ssize_t n;

	while ((n = read(fd, piece, sizeof piece)) > 0 || (n < 0 && errno == EINTR))
		if (n > 0)
			g_string_append_len(text, piece, n);
	return text;
}

static bool report_death(pid_t pid, GError **error)
{
	int status = 0;

	waitpid(pid, &status, 0);
	if (WIFSIGNALED(status))
		return wb_fail(error, "the daemon was killed by signal %d (%s) while it started",
			       WTERMSIG(status), strsignal(WTERMSIG(status)));
	return wb_fail(error, "the daemon ended with status %d while it started",
		       WEXITSTATUS(status));
}

static bool wait_for_daemon(pid_t pid, int report_fd, GError **error)
{
	g_autoptr(GString) text = read_all(report_fd);

	if (!text->len)
		return report_death(pid, error);
	if (text->str[0] == '+')
		return true;
	/* When we return, the locks are free. */
	waitpid(pid, NULL, 0);
	return wb_fail(error, "%s", text->str + 1);
}

bool wb_launch_in_background(const struct wb_options *options, GError **error)
{
	int fds[2];
	pid_t pid;
	bool ok;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return wb_fail_errno(error, "pipe");
	fflush(NULL);
	pid = fork();
	if (!pid) {
		close(fds[0]);
		exit(wants_keeper(options) ? be_keeper_in_background(options, fds[1]) :
					     be_daemon(options, fds[1]));
	}
	close(fds[1]);
	ok = pid < 0 ? wb_fail_errno(error, "fork") : wait_for_daemon(pid, fds[0], error);
	close(fds[0]);
	return ok;
}

bool wb_launch_in_foreground(const struct wb_options *options, GError **error)
{
	struct wb_daemon *daemon;
	int status;

	if (wants_keeper(options)) {
		status = be_keeper(options, -1, error);
		if (*error)
			return false;
		exit(status);
	}
	wb_launch_ignore_signals();
	daemon = wb_daemon_start(options, options->argument, NULL, error);
	return daemon && wb_daemon_run(daemon, error) == WB_DAEMON_STOPPED;
}
