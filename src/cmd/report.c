/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <syslog.h>
#include <unistd.h>

#include "cmd/journal.h"
#include "cmd/progress.h"
#include "keeper/say.h"

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

/* --- where it goes ------------------------------------------------------------------- */

/* What the journal is told with each message: atomic, as these come from all threads;
 * what was set is never freed, because one of them may be reading it. */
static _Atomic(const char *) volume_mount_point, volume_uuid;

void wb_report_set_volume(const char *mount_point, const char *uuid)
{
	atomic_store(&volume_mount_point, g_intern_string(mount_point));
	atomic_store(&volume_uuid, g_intern_string(uuid));
}

static enum wb_journal_answer to_journal(int priority, const char *text)
{
	char priority_text[16];
	const struct wb_journal_field fields[] = {
		{ "MESSAGE", text },
		{ "PRIORITY", priority_text },
		{ "SYSLOG_IDENTIFIER", "wbfs" },
		{ "WBFS_MOUNT_POINT", atomic_load(&volume_mount_point) },
		{ "WBFS_UUID", atomic_load(&volume_uuid) },
	};

	g_snprintf(priority_text, sizeof priority_text, "%d", priority);
	return wb_journal_send(fields, G_N_ELEMENTS(fields));
}

/* Standard error may be the journal's stream, as that of a unit is: there the message
 * goes as fields, of which the stream has none. What the journal does not take now its
 * stream might not take either, and would make us wait for it. */
static void print(int priority, const char *text)
{
	if (!g_log_writer_is_journald(STDERR_FILENO) ||
	    to_journal(priority, text) == WB_JOURNAL_NONE)
		fprintf(stderr, "wbfs: %s\n", text);
}

int wb_report(const GError *error)
{
	print(LOG_ERR, error->message);
	return WB_EXIT_FAILED;
}

void wb_report_note(const char *format, ...)
{
	va_list args;
	g_autofree char *text = NULL;

	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	print(LOG_NOTICE, text);
}

static int syslog_priority(GLogLevelFlags level)
{
	if (level & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL))
		return LOG_CRIT;
	if (level & G_LOG_LEVEL_WARNING)
		return LOG_WARNING;
	return LOG_NOTICE;
}

static void to_stderr(const char *domain, GLogLevelFlags level, const char *text, gpointer arg)
{
	(void)domain;
	(void)arg;
	if (!(level & (G_LOG_LEVEL_DEBUG | G_LOG_LEVEL_INFO)))
		print(syslog_priority(level), text);
}

static void to_log(const char *domain, GLogLevelFlags level, const char *text, gpointer arg)
{
	(void)domain;
	(void)arg;
	if (!(level & (G_LOG_LEVEL_DEBUG | G_LOG_LEVEL_INFO)) &&
	    to_journal(syslog_priority(level), text) == WB_JOURNAL_NONE)
		wb_say_to_syslog(syslog_priority(level), text);
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

void wb_report_to_log(void)
{
	g_log_set_default_handler(to_log, NULL);
}
