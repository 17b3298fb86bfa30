/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who asked, and so where the answer goes: a request of libfuse, or one that came in
 * an entry of a ring. One answer to each, from any thread.
 */
#ifndef WB_FRONTEND_FUSE_CALLER_H
#define WB_FRONTEND_FUSE_CALLER_H

#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>

struct wb_ring_entry;

struct wb_fuse_caller {
	/* one of them */
	fuse_req_t req;
	struct wb_ring_entry *entry;

	int fd;				/* of the session, where the answer to req goes */
	uint64_t unique;		/* the kernel's number of req; 0: it is not needed */
};

/* 0 = done, or an errno. */
void wb_fuse_caller_end(struct wb_fuse_caller caller, int error);
/* The data of a READ; may lie in the payload of the entry. */
void wb_fuse_caller_give(struct wb_fuse_caller caller, const void *data, size_t bytes);
void wb_fuse_caller_wrote(struct wb_fuse_caller caller, size_t bytes);

#endif
