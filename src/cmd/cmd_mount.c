/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/client.h"
#include "cmd/commands.h"
#include "cmd/daemon.h"
#include "cmd/mount_table.h"
#include "cmd/report.h"

/* --- the mount point --------------------------------------------------------------- */

/* Attributes of a dead mount may still be cached, so that only a read tells. */
static void refuse_mounted(const char *mount_point, GError **error)
{
	g_autofree char *stats = wb_client_read_stats(mount_point, error);

	if (stats)
		wb_fail(error, "%s is mounted already: 'wbfs status %s' shows it", mount_point,
			mount_point);
}

static char *check_mount_point(const char *path, GError **error)
{
	g_autofree char *plain = g_canonicalize_filename(path, NULL);
	g_autofree char *resolved = realpath(path, NULL);
	struct stat st;
	bool is_there = resolved && !stat(resolved, &st);

	if (!is_there && (errno == ENOTCONN || errno == ECONNABORTED)) {
		wb_fail(error, "%s is a mount whose daemon is gone: 'wbfs umount %s' (or "
			"fusermount3 -u) first, then mount it again", path, plain);
		return NULL;
	}
	if (!is_there)
		wb_fail(error, errno == ENOENT ? "mount point %s does not exist: create the directory" :
			"mount point %s cannot be looked at", path);
	else if (!S_ISDIR(st.st_mode))
		wb_fail(error, "mount point %s is not a directory", path);
	else if (wb_mount_table_has(resolved))
		refuse_mounted(resolved, error);
	else
		return g_steal_pointer(&resolved);
	return NULL;
}

/* --- the daemon's side ----------------------------------------------------------------- */

/* One byte '+', or '-' and a message; then the end of the pipe. */
static void tell_parent(int fd, const GError *error)
{
	const char *text = error ? error->message : "";
	FILE *pipe = fdopen(fd, "w");

	if (!pipe)
		return;
	fprintf(pipe, "%c%s", error ? '-' : '+', text);
	fclose(pipe);
}

static void let_go_of_terminal(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		close(null);
	}
	if (chdir("/") < 0)
		g_message("cannot leave the current directory: %s", g_strerror(errno));
}

/* A closed terminal or reader must not end a disk. */
static void ignore_signals(void)
{
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
}

static int be_daemon(const struct wb_options *options, const char *mount_point, int report_fd)
{
	g_autoptr(GError) error = NULL;
	struct wb_daemon *daemon;

	setsid();
	ignore_signals();
	daemon = wb_daemon_start(options, mount_point, &error);
	if (daemon) {
		wb_report_to_syslog();
		let_go_of_terminal();
	}
	tell_parent(report_fd, error);
	if (!daemon)
		return WB_EXIT_FAILED;
	if (wb_daemon_run(daemon, &error))
		return WB_EXIT_DONE;
	g_critical("%s", error->message);
	return WB_EXIT_FAILED;
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

static int report_death(pid_t pid)
{
	int status = 0;

	waitpid(pid, &status, 0);
	if (WIFSIGNALED(status))
		wb_report_note("the daemon was killed by signal %d (%s) while it started",
			       WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		wb_report_note("the daemon ended with status %d while it started",
			       WEXITSTATUS(status));
	return WB_EXIT_FAILED;
}

static int wait_for_daemon(pid_t pid, int report_fd)
{
	g_autoptr(GString) text = read_all(report_fd);

	if (!text->len)
		return report_death(pid);
	if (text->str[0] == '+')
		return WB_EXIT_DONE;
	wb_report_note("%s", text->str + 1);
	/* When we return, the locks are free. */
	waitpid(pid, NULL, 0);
	return WB_EXIT_FAILED;
}

static int in_background(const struct wb_options *options, const char *mount_point)
{
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return perror("wbfs: pipe"), WB_EXIT_FAILED;
	fflush(NULL);
	pid = fork();
	if (pid < 0)
		return perror("wbfs: fork"), WB_EXIT_FAILED;
	if (!pid) {
		close(fds[0]);
		exit(be_daemon(options, mount_point, fds[1]));
	}
	close(fds[1]);
	return wait_for_daemon(pid, fds[0]);
}

static int in_foreground(const struct wb_options *options, const char *mount_point)
{
	g_autoptr(GError) error = NULL;
	struct wb_daemon *daemon;

	ignore_signals();
	daemon = wb_daemon_start(options, mount_point, &error);
	if (!daemon || !wb_daemon_run(daemon, &error))
		return wb_report(error);
	return WB_EXIT_DONE;
}

int wb_cmd_mount(const struct wb_options *options)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *mount_point = check_mount_point(options->argument, &error);

	if (!mount_point)
		return wb_report(error);
	return options->foreground ? in_foreground(options, mount_point) :
				     in_background(options, mount_point);
}
