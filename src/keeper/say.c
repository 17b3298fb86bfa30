/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "keeper/say.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

static bool is_to_log;

void wb_say_to_log(void)
{
	is_to_log = true;
}

bool wb_say_leave_terminal(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		close(null);
	}
	return chdir("/") == 0;
}

/* By hand, because syslog(3) allocates, and waits. */
static void to_log(const char *text, size_t length)
{
	const struct sockaddr_un log = { .sun_family = AF_UNIX, .sun_path = "/dev/log" };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return;
	(void)!sendto(fd, text, length, MSG_NOSIGNAL, (const struct sockaddr *)&log,
		      sizeof log);
	close(fd);
}

void wb_say_to_syslog(int priority, const char *text)
{
	char line[1024];

	snprintf(line, sizeof line, "<%d>wbfs[%d]: %s", LOG_DAEMON | priority, (int)getpid(), text);
	to_log(line, strlen(line));
}

void wb_say(const char *format, ...)
{
	char text[900], line[sizeof text + sizeof "wbfs: \n"];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	if (is_to_log) {
		wb_say_to_syslog(LOG_CRIT, text);
		return;
	}
	snprintf(line, sizeof line, "wbfs: %s\n", text);
	(void)!write(STDERR_FILENO, line, strlen(line));
}

void wb_say_into(char *text, unsigned long bytes, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(text, bytes, format, args);
	va_end(args);
}

void wb_say_status(int status, char *text, unsigned long bytes)
{
	const char *name;

	if (!WIFSIGNALED(status)) {
		snprintf(text, bytes, "ended with status %d", WEXITSTATUS(status));
		return;
	}
	name = sigdescr_np(WTERMSIG(status));
	snprintf(text, bytes, "was killed by signal %d (%s)", WTERMSIG(status),
		 name ? name : "unknown");
}
