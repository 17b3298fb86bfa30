/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The threads that receive requests from the kernel. libfuse's own loop would
 * reuse a request's buffer as soon as the operation function returned; here a
 * request that waits may keep it (see fuse_disk.h).
 */
#ifndef WB_FRONTEND_FUSE_LOOP_H
#define WB_FRONTEND_FUSE_LOOP_H

#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>
#include <stdint.h>

#include "frontend/fuse_channel.h"
#include "frontend/receive_pool.h"

struct wb_fuse_loop;

struct wb_fuse_loop_config {
	struct fuse_session *session;
	struct wb_receive_pool *pool;
	struct wb_fuse_channel *channel;
	unsigned thread_count;
	/* Has each request. *received is the buffer that holds it; setting that to NULL, or
	 * to another one, takes the buffer over. */
	void (*take)(void *arg, const struct fuse_buf *request,
		     struct wb_receive_buffer **received);
	/* Runs on the last thread that leaves, when the session is over (unmounted, or the
	 * connection was aborted); once, or again after a stop that was called off. */
	void (*ended)(void *arg);
	void *arg;
};

struct wb_fuse_loop *wb_fuse_loop_start(const struct wb_fuse_loop_config *config);
/* Waits for the threads. */
void wb_fuse_loop_join(struct wb_fuse_loop *loop);
/*
 * Has the threads leave between two requests, without an end of the session, and joins
 * them. When it was over before, `ended` has run. FALSE when one of them did not come back
 * before g_get_monotonic_time() == deadline_us, from memory or contexts that it waits for:
 * then all of them go on. `meanwhile` is called all the time.
 */
bool wb_fuse_loop_stop(struct wb_fuse_loop *loop, int64_t deadline_us,
		       void (*meanwhile)(void *arg), void *arg);

#endif
