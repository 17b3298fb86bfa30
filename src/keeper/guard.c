/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "keeper/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <unistd.h>

#define GUARD_OFFSET INT64_C(0x7762667300000000)	/* "wbfs" */

static struct flock guard_of(bool is_read_only)
{
	return (struct flock){
		.l_type = is_read_only ? F_RDLCK : F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = GUARD_OFFSET,
		.l_len = 1,
	};
}

int wb_guard_take(const char *path, bool is_read_only)
{
	struct flock guard = guard_of(is_read_only);
	int fd = open(path, (is_read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	int saved_errno;

	if (fd < 0 || !fcntl(fd, F_OFD_SETLK, &guard))
		return fd;
	saved_errno = errno;
	close(fd);
	errno = saved_errno;
	return -1;
}

bool wb_guard_is_held(int fd, bool is_read_only)
{
	struct flock guard = guard_of(is_read_only);

	return !fcntl(fd, F_OFD_GETLK, &guard) && guard.l_type != F_UNLCK;
}
