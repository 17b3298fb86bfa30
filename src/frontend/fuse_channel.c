/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "frontend/fuse_channel.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "frontend/fuse_legacy.h"

#define NOWHERE (-1)

struct wb_fuse_channel {
	/* constant after new */
	struct fuse_session *session;
	int fd;
	int clone_fd;
};

/* Of this thread; NOWHERE: libfuse's own choice. */
static __thread int this_fd = NOWHERE;

static ssize_t read_request(int fd, void *buffer, size_t bytes, void *userdata)
{
	ssize_t n = read(this_fd == NOWHERE ? fd : this_fd, buffer, bytes);

	wb_fuse_legacy_received(wb_fuse_heritage_of(userdata), buffer, n);
	return n;
}

static ssize_t write_answer(int fd, struct iovec *pieces, int count, void *userdata)
{
	ssize_t swallowed = wb_fuse_legacy_answers(wb_fuse_heritage_of(userdata), pieces, count);

	return swallowed ? swallowed : writev(this_fd == NOWHERE ? fd : this_fd, pieces, count);
}

static int clone_of(int fd)
{
	uint32_t source = (uint32_t)fd;
	int clone = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (clone < 0 || ioctl(clone, FUSE_DEV_IOC_CLONE, &source) == 0)
		return clone;
	close(clone);
	return -1;
}

struct wb_fuse_channel *wb_fuse_channel_new(const struct wb_fuse_channel_config *config)
{
	static const struct fuse_custom_io io = { .read = read_request, .writev = write_answer };
	struct wb_fuse_channel *channel = g_new0(struct wb_fuse_channel, 1);

	channel->session = config->session;
	channel->fd = config->fd;
	channel->clone_fd = config->clone_fd;
	if (config->kind == WB_CHANNEL_CLONED &&
	    fuse_session_custom_io(config->session, &io, channel->fd) == 0 &&
	    channel->clone_fd < 0)
		channel->clone_fd = clone_of(channel->fd);
	return channel;
}

void wb_fuse_channel_free(struct wb_fuse_channel *channel)
{
	if (!channel)
		return;
	if (channel->clone_fd >= 0)
		close(channel->clone_fd);
	g_free(channel);
}

bool wb_fuse_channel_is_dead(const struct wb_fuse_channel *channel)
{
	struct pollfd look = { .fd = channel->fd };

	return poll(&look, 1, 0) > 0 && look.revents & POLLERR;
}

int wb_fuse_channel_clone_fd(const struct wb_fuse_channel *channel)
{
	return channel->clone_fd;
}

int wb_fuse_channel_receive(struct wb_fuse_channel *channel, struct fuse_buf *buffer,
			    enum wb_fuse_channel_wait wait)
{
	this_fd = wait == WB_CHANNEL_LOOK ? channel->clone_fd : channel->fd;
	return fuse_session_receive_buf(channel->session, buffer);
}

int wb_fuse_channel_here(void)
{
	return this_fd;
}
