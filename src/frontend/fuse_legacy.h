/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A FUSE session that outlives its worker. The kernel knows only the open /dev/fuse;
 * what libfuse knows of it comes from INIT, which the kernel sends once. So the first
 * worker keeps that request, in memory that is left to the next one, which gives it to
 * a libfuse of its own, and swallows the answer. Then the kernel is asked to send again
 * all that nobody has answered (Linux 6.9).
 *
 * All at start, on one thread, but for the I/O of the session itself.
 */
#ifndef WB_FRONTEND_FUSE_LEGACY_H
#define WB_FRONTEND_FUSE_LEGACY_H

#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>
#include <time.h>

#define WB_FUSE_INIT_BYTES_MAX 512u

/* In the shared memory; zeros for the first worker. Members are never moved or taken
 * away: the next worker may be another program. */
struct wb_fuse_legacy {
	/* stored last: what follows is valid when it is not 0 */
	_Atomic uint32_t init_bytes;
	uint32_t worker_count;		/* which of them this is; by its start only */
	int64_t started_s, started_ns;	/* the times of all files */
	uint8_t init[WB_FUSE_INIT_BYTES_MAX];
};

/* Of one session; zeros, but for `legacy`. */
struct wb_fuse_heritage {
	struct wb_fuse_legacy *legacy;	/* NULL: the session ends with this process */
	bool swallows_init;		/* its answer is not for the kernel */
	_Atomic uint64_t init_unique;	/* until INIT is answered */
};

/* The heritage of a session's userdata. */
struct wb_fuse_heritage *wb_fuse_heritage_of(void *userdata);

/* For the session's I/O: what was read with what result; INIT is kept. */
void wb_fuse_legacy_received(struct wb_fuse_heritage *heritage, const void *request,
			     ssize_t result);
/* And what is about to be written: 0, or so many bytes that the kernel is not to get. */
ssize_t wb_fuse_legacy_answers(struct wb_fuse_heritage *heritage, struct iovec *parts,
			       int count);

/* A session, whose I/O goes through these, goes on with what another left. FALSE: it left
 * nothing that could be understood. */
bool wb_fuse_legacy_adopt(struct fuse_session *session, struct wb_fuse_heritage *heritage);
/* Can the kernel send again what was not answered? After INIT. */
bool wb_fuse_legacy_can_resend(const struct wb_fuse_legacy *legacy);
/* Before anything is read from `fd`. 0 or -errno: the session is over. */
int wb_fuse_legacy_resend(int fd);

/* Nonzero bits that the kernel adds to the number of a request that is sent again. */
#define WB_FUSE_UNIQUE_RESEND (UINT64_C(1) << 63)

#endif
