/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The descriptors of a session. A thread that has nothing else to do waits for a request
 * on the first; one whose reads are under way on a disk only looks whether there is one,
 * on the second, a clone that does not block. The kernel wants the answer where it gave
 * the request, so whoever answers later keeps the number of the descriptor.
 */
#ifndef WB_FRONTEND_FUSE_CHANNEL_H
#define WB_FRONTEND_FUSE_CHANNEL_H

#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>
#include <stdbool.h>

struct wb_fuse_channel;

enum wb_fuse_channel_kind { WB_CHANNEL_ALONE, WB_CHANNEL_CLONED };

struct wb_fuse_channel_config {
	struct fuse_session *session;
	int fd;				/* of the session, which owns it */
	enum wb_fuse_channel_kind kind;
	int clone_fd;			/* that of the worker before, or -1: a new one */
};

/* Of a session that is mounted or taken over, before its first request is read. Without a
 * clone, also where none can be had (no right to open /dev/fuse), the threads only wait.
 * The userdata of a CLONED session has a heritage (fuse_legacy.h). */
struct wb_fuse_channel *wb_fuse_channel_new(const struct wb_fuse_channel_config *config);
/* Its threads have ended. Closes the clone; the session closes its own. NULL is fine. */
void wb_fuse_channel_free(struct wb_fuse_channel *channel);

/* The session is over: unmounted, or aborted. */
bool wb_fuse_channel_is_dead(const struct wb_fuse_channel *channel);
/* -1: there is none. */
int wb_fuse_channel_clone_fd(const struct wb_fuse_channel *channel);

enum wb_fuse_channel_wait { WB_CHANNEL_WAIT, WB_CHANNEL_LOOK };
/* As fuse_session_receive_buf(); -EAGAIN when LOOK found nothing. What libfuse
 * answers on this thread from now on goes to where the request came from. */
int wb_fuse_channel_receive(struct wb_fuse_channel *channel, struct fuse_buf *buffer,
			    enum wb_fuse_channel_wait wait);

/* Where the request came from that this thread has received last. */
int wb_fuse_channel_here(void);

#endif
