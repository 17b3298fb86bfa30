/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <syslog.h>
#include <unistd.h>

#include "cmd/progress.h"

GQuark wb_command_error_quark(void)
{
	return g_quark_from_static_string("wb-command-error");
}

bool wb_fail(GError **error, const char *format, ...)
{
	va_list args;
	g_autofree char *text = NULL;

	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	g_set_error_literal(error, WB_COMMAND_ERROR, WB_COMMAND_ERROR_FAILED, text);
	return false;
}

bool wb_fail_errno(GError **error, const char *format, ...)
{
	int saved_errno = errno;
	va_list args;
	g_autofree char *text = NULL;

	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	g_set_error(error, WB_COMMAND_ERROR, WB_COMMAND_ERROR_FAILED, "%s: %s", text,
		    g_strerror(saved_errno));
	return false;
}

int wb_report(const GError *error)
{
	wb_progress_make_room();
	fprintf(stderr, "wbfs: %s\n", error->message);
	return WB_EXIT_FAILED;
}

void wb_report_note(const char *format, ...)
{
	va_list args;
	g_autofree char *text = NULL;

	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	wb_progress_make_room();
	fprintf(stderr, "wbfs: %s\n", text);
}

static void to_stderr(const char *domain, GLogLevelFlags level, const char *text, gpointer arg)
{
	(void)domain;
	(void)arg;
	if (level & (G_LOG_LEVEL_DEBUG | G_LOG_LEVEL_INFO))
		return;
	wb_progress_make_room();
	fprintf(stderr, "wbfs: %s\n", text);
}

static int syslog_priority(GLogLevelFlags level)
{
	if (level & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL))
		return LOG_CRIT;
	if (level & G_LOG_LEVEL_WARNING)
		return LOG_WARNING;
	return LOG_NOTICE;
}

static void to_syslog(const char *domain, GLogLevelFlags level, const char *text, gpointer arg)
{
	(void)domain;
	(void)arg;
	if (!(level & (G_LOG_LEVEL_DEBUG | G_LOG_LEVEL_INFO)))
		syslog(syslog_priority(level), "%s", text);
}

/* Whoever started us may have closed them. The next file opened would then be
 * descriptor 2, and a message would be written over a disk. */
static void occupy_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

void wb_report_to_stderr(void)
{
	occupy_standard_descriptors();
	g_log_set_default_handler(to_stderr, NULL);
}

void wb_report_to_syslog(void)
{
	openlog("wbfs", LOG_PID, LOG_DAEMON);
	g_log_set_default_handler(to_syslog, NULL);
}
