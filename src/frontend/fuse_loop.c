/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "frontend/fuse_loop.h"

#include <errno.h>
#include <glib.h>
#include <linux/fuse.h>
#include <stdatomic.h>

#include "io/thread_ring.h"

/* So many requests are taken before the disks get the reads among them. */
#define BATCH_COUNT 8u

_Static_assert(sizeof(struct fuse_in_header) + sizeof(struct fuse_write_in) ==
	       WB_RECEIVE_HEADERS_BYTES, "data of a WRITE lies behind these");

struct wb_fuse_loop {
	/* constant after start */
	struct wb_fuse_loop_config config;
	GThread **threads;

	/* atomic */
	atomic_uint running_count;
};

static __thread struct wb_receive_buffer *received;

struct wb_receive_buffer **wb_fuse_loop_received(void)
{
	g_assert(received);
	return &received;
}

static struct wb_receive_buffer *buffer_take(struct wb_fuse_loop *loop)
{
	struct wb_receive_buffer *buffer = wb_receive_pool_try_take(loop->config.pool);

	if (buffer)
		return buffer;
	wb_thread_ring_drain();
	return wb_receive_pool_take(loop->config.pool);
}

/*
 * FALSE when the session is over. `taken`: requests since the ring was last run.
 *
 * While reads are under way in this thread's ring, it comes back here soon: no request
 * waits for I/O inside of its operation, except for one write of its own (see
 * WB_IO_MAY_WAIT).
 */
static bool receive_one(struct wb_fuse_loop *loop, unsigned *taken)
{
	bool has_reads = wb_thread_ring_in_flight() > 0;
	struct fuse_buf buffer;
	char *start;
	int result;

	if (!received)
		received = buffer_take(loop);
	start = (char *)received->memory + WB_RECEIVE_START;
	buffer = (struct fuse_buf){ .mem = start, .size = WB_RECEIVE_READ_BYTES };
	result = wb_fuse_channel_receive(loop->config.channel, &buffer,
					 has_reads ? WB_CHANNEL_LOOK : WB_CHANNEL_WAIT);
	if (result == -EAGAIN && has_reads) {
		*taken = 0;
		wb_thread_ring_run(WB_RING_WAIT_OR_FD,
				   wb_fuse_channel_clone_fd(loop->config.channel));
	}
	if (result == -EINTR || result == -EAGAIN)
		return true;
	if (result <= 0)
		return false;
	/* libfuse reads into what it is given; memory of its own would be
	 * unlocked and would leak. */
	g_assert(buffer.mem == start);
	if (loop->config.take)
		loop->config.take(loop->config.arg, &buffer);
	else
		fuse_session_process_buf(loop->config.session, &buffer);
	if (++*taken >= BATCH_COUNT && wb_thread_ring_in_flight()) {
		*taken = 0;
		wb_thread_ring_run(WB_RING_NO_WAIT, -1);
	}
	return true;
}

static gpointer run(gpointer arg)
{
	struct wb_fuse_loop *loop = arg;
	unsigned taken = 0;

	if (wb_fuse_channel_clone_fd(loop->config.channel) >= 0)
		wb_thread_ring_open();
	while (!fuse_session_exited(loop->config.session))
		if (!receive_one(loop, &taken))
			break;
	wb_thread_ring_close();
	fuse_session_exit(loop->config.session);
	if (received)
		wb_receive_pool_put(loop->config.pool, received);
	received = NULL;
	if (atomic_fetch_sub(&loop->running_count, 1) == 1)
		loop->config.ended(loop->config.arg);
	return NULL;
}

struct wb_fuse_loop *wb_fuse_loop_start(const struct wb_fuse_loop_config *config)
{
	struct wb_fuse_loop *loop = g_new0(struct wb_fuse_loop, 1);

	loop->config = *config;
	loop->threads = g_new0(GThread *, config->thread_count);
	atomic_init(&loop->running_count, config->thread_count);
	for (unsigned i = 0; i < config->thread_count; i++)
		loop->threads[i] = g_thread_new("wb-fuse", run, loop);
	return loop;
}

void wb_fuse_loop_join(struct wb_fuse_loop *loop)
{
	for (unsigned i = 0; i < loop->config.thread_count; i++)
		g_thread_join(loop->threads[i]);
	g_free(loop->threads);
	g_free(loop);
}
