/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who asked for data, and so where the answer goes: into the entry of a ring that the
 * request came in, or to the descriptor that it was read from. One answer to each, from
 * any thread.
 */
#ifndef WB_FRONTEND_FUSE_CALLER_H
#define WB_FRONTEND_FUSE_CALLER_H

#include <stddef.h>
#include <stdint.h>

struct wb_ring_entry;

struct wb_fuse_caller {
	struct wb_ring_entry *entry;	/* or NULL: */
	int fd;				/* of the session, or its clone */
	uint64_t unique;		/* the kernel's number of what was read there */
};

/* 0 = done, or an errno. */
void wb_fuse_caller_end(struct wb_fuse_caller caller, int error);
/* The data of a READ; may lie in the payload of the entry. */
void wb_fuse_caller_give(struct wb_fuse_caller caller, const void *data, size_t bytes);
void wb_fuse_caller_wrote(struct wb_fuse_caller caller, size_t bytes);

#endif
