/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 *	socket_log FILE ADDRESS		appends every datagram to FILE, and a line "--"
 *	socket_log --stream ADDRESS	takes connections, and reads nothing
 *	socket_log --connect ADDRESS COMMAND...	runs it with that as standard error
 *
 * ADDRESS is a path, or @NAME of the abstract name space. Prints "ready" when it
 * listens, and goes on until it is killed.
 */
#include <err.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static socklen_t parse(const char *text, struct sockaddr_un *address)
{
	size_t bytes = strlen(text);

	memset(address, 0, sizeof *address);
	address->sun_family = AF_UNIX;
	if (bytes >= sizeof address->sun_path)
		errx(2, "%s: too long", text);
	memcpy(address->sun_path, text, bytes);
	if (text[0] == '@')
		address->sun_path[0] = '\0';
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + bytes + (text[0] != '@'));
}

static void say_ready(void)
{
	if (puts("ready") < 0 || fflush(stdout))
		err(1, "standard output");
}

static void log_datagrams(const char *path, int fd)
{
	static char buffer[1 << 20];
	int log = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
	ssize_t bytes;

	if (log < 0)
		err(1, "%s", path);
	while ((bytes = recv(fd, buffer, sizeof buffer - 4, 0)) >= 0) {
		memcpy(buffer + bytes, "\n--\n", 4);
		if (write(log, buffer, (size_t)bytes + 4) < 0)
			err(1, "%s", path);
	}
	err(1, "recv");
}

int main(int argc, char **argv)
{
	struct sockaddr_un address;
	int is_stream, is_client, fd;
	socklen_t length;

	if (argc < 3)
		return 2;
	is_client = !strcmp(argv[1], "--connect");
	is_stream = is_client || !strcmp(argv[1], "--stream");
	length = parse(argv[2], &address);
	fd = socket(AF_UNIX, is_stream ? SOCK_STREAM : SOCK_DGRAM, 0);
	if (fd < 0)
		err(1, "socket");
	if (is_client) {
		if (connect(fd, (struct sockaddr *)&address, length) || dup2(fd, 2) < 0)
			err(1, "%s", argv[2]);
		close(fd);
		execvp(argv[3], argv + 3);
		return 127;
	}
	if (bind(fd, (struct sockaddr *)&address, length) || (is_stream && listen(fd, 8)))
		err(1, "%s", argv[2]);
	say_ready();
	if (!is_stream)
		log_datagrams(argv[1], fd);
	for (;;)
		pause();
}
