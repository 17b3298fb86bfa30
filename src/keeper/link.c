/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "keeper/link.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

union descriptor_space {
	char bytes[CMSG_SPACE(sizeof(int))];
	struct cmsghdr aligned;
};

bool wb_link_make(int ends[2])
{
	return !socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends);
}

static void pass(struct msghdr *header, union descriptor_space *space, int fd)
{
	struct cmsghdr *control;

	*space = (union descriptor_space){ .bytes = "" };
	header->msg_control = space->bytes;
	header->msg_controllen = sizeof space->bytes;
	control = CMSG_FIRSTHDR(header);
	control->cmsg_level = SOL_SOCKET;
	control->cmsg_type = SCM_RIGHTS;
	control->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(control), &fd, sizeof fd);
}

bool wb_link_send(int fd, enum wb_link_kind kind, const char *text, int passed_fd)
{
	char kind_byte = (char)kind;
	size_t length = strnlen(text, WB_LINK_TEXT_BYTES - 1);
	struct iovec parts[2] = { { &kind_byte, 1 }, { (char *)text, length } };
	struct msghdr header = { .msg_iov = parts, .msg_iovlen = 2 };
	union descriptor_space space;
	ssize_t sent;

	if (passed_fd >= 0)
		pass(&header, &space, passed_fd);
	do
		sent = sendmsg(fd, &header, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent >= 0;
}

bool wb_link_receive(int fd, struct wb_link_message *message, int *passed_fd)
{
	struct iovec part = { message, sizeof *message - 1 };
	union descriptor_space space;
	struct msghdr header = {
		.msg_iov = &part, .msg_iovlen = 1,
		.msg_control = space.bytes, .msg_controllen = sizeof space.bytes,
	};
	struct cmsghdr *control;
	ssize_t received;

	*passed_fd = -1;
	do
		received = recvmsg(fd, &header, MSG_CMSG_CLOEXEC);
	while (received < 0 && errno == EINTR);
	if (received <= 0)
		return false;
	((char *)message)[received] = '\0';
	control = CMSG_FIRSTHDR(&header);
	if (control && control->cmsg_level == SOL_SOCKET && control->cmsg_type == SCM_RIGHTS)
		memcpy(passed_fd, CMSG_DATA(control), sizeof *passed_fd);
	return true;
}
