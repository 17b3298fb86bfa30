/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "keeper/notify.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool wb_notify_parse_address(const char *text, struct sockaddr_un *address,
			     socklen_t *length)
{
	size_t bytes = strlen(text);

	if ((text[0] != '/' && text[0] != '@') || !text[1] ||
	    bytes >= sizeof address->sun_path)
		return false;
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(address->sun_path, text, bytes);
	if (text[0] == '@')
		address->sun_path[0] = '\0';
	/* An abstract name has no zero at its end. */
	*length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + bytes +
			      (text[0] == '/'));
	return true;
}

void wb_notify(const char *lines)
{
	const char *where = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address;
	socklen_t length;
	int fd;

	if (!where || !wb_notify_parse_address(where, &address, &length))
		return;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	(void)!sendto(fd, lines, strlen(lines), MSG_NOSIGNAL | MSG_DONTWAIT,
		      (struct sockaddr *)&address, length);
	close(fd);
}
