/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/journal.h"

#include <errno.h>
#include <glib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A value of several lines is preceded by its length; others end with their line. */
static void append(GString *message, const struct wb_journal_field *field)
{
	guint64 length = GUINT64_TO_LE(strlen(field->value));

	g_string_append(message, field->key);
	if (strchr(field->value, '\n')) {
		g_string_append_c(message, '\n');
		g_string_append_len(message, (const char *)&length, sizeof length);
	} else {
		g_string_append_c(message, '=');
	}
	g_string_append(message, field->value);
	g_string_append_c(message, '\n');
}

enum wb_journal_answer wb_journal_send(const struct wb_journal_field *fields, size_t count)
{
	static const struct sockaddr_un journal = { .sun_family = AF_UNIX,
						    .sun_path = "/run/systemd/journal/socket" };
	g_autoptr(GString) message = g_string_new(NULL);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	enum wb_journal_answer answer = WB_JOURNAL_TAKEN;

	if (fd < 0)
		return WB_JOURNAL_NONE;
	for (size_t i = 0; i < count; i++)
		if (fields[i].value)
			append(message, &fields[i]);
	if (sendto(fd, message->str, message->len, MSG_NOSIGNAL,
		   (const struct sockaddr *)&journal, sizeof journal) < 0)
		answer = errno == EAGAIN ? WB_JOURNAL_FULL : WB_JOURNAL_NONE;
	close(fd);
	return answer;
}
