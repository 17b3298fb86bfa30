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

#include "frontend/receive_pool.h"

struct wb_fuse_loop;

/* Starts the threads. `ended` runs once, on the last thread that leaves, when
 * the session is over (unmounted, or the connection was aborted). */
struct wb_fuse_loop *wb_fuse_loop_start(struct fuse_session *session,
					struct wb_receive_pool *pool,
					unsigned thread_count,
					void (*ended)(void *arg), void *arg);
/* Waits for the threads. */
void wb_fuse_loop_join(struct wb_fuse_loop *loop);

/* From inside an operation: where this thread keeps the buffer that holds the
 * request. Setting it to NULL takes the buffer over. */
struct wb_receive_buffer **wb_fuse_loop_received(void);

#endif
