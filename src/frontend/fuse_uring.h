/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * FUSE over io_uring: the transport beside libfuse's own one. INIT, and what the
 * kernel sends without waiting for an answer, still comes over /dev/fuse; everything
 * else comes in entries of the rings, and goes to fuse_disk or through the parser.
 *
 * libfuse has the same transport since 3.18, but not for us: Debian builds it without,
 * 3.18 loses answers that come from another thread than that which brought the
 * request (libfuse issue 1443), and its queues are freed under requests that still
 * run.
 *
 * new, join and free from the thread of the front end; take on that of /dev/fuse.
 */
#ifndef WB_FRONTEND_FUSE_URING_H
#define WB_FRONTEND_FUSE_URING_H

#include <glib.h>

#include "frontend/fuse_operations.h"
#include "frontend/ring_plan.h"

struct wb_fuse_uring;

/* NULL, and an error that says why it cannot be had here and what would help. Sets
 * service->request_bytes and max_background. */
struct wb_fuse_uring *wb_fuse_uring_new(struct wb_fuse_service *service, GError **error);
/* Every request that /dev/fuse brings; `session` is what has it open. */
void wb_fuse_uring_take(struct wb_fuse_uring *uring, struct fuse_session *session,
			const struct fuse_buf *request);
/* The kernel is to ask for the attributes of an inode again: what libfuse would tell
 * it, had its session seen INIT. 0 or -errno. Any thread. */
int wb_fuse_uring_invalidate(struct fuse_session *session, fuse_ino_t ino);
/* The connection is gone. Any thread. */
void wb_fuse_uring_stop(struct wb_fuse_uring *uring);
/* Stopped: no request comes after it. */
void wb_fuse_uring_join(struct wb_fuse_uring *uring);
/* Stopped, and the disk is idle. */
void wb_fuse_uring_free(struct wb_fuse_uring *uring);

/* What the file says, of which `text` is the content, NULL when it is not there: NULL
 * when the kernel offers it, else why not. Pure. */
const char *wb_fuse_uring_refusal(const char *text);

#endif
