/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the mount answers to each kind of request, as libfuse calls it: the tree, the
 * control files, and of the image all but its data (fuse_data). Called on any thread
 * that brings requests; nothing here waits.
 */
#ifndef WB_FRONTEND_FUSE_OPERATIONS_H
#define WB_FRONTEND_FUSE_OPERATIONS_H

#include "frontend/control_files.h"
#include "frontend/fuse_disk.h"
#include "frontend/fuse_legacy.h"
#include "frontend/fuse_tree.h"
#include "frontend/snapshots.h"

/* The userdata of the session. Constant after start. */
struct wb_fuse_service {
	struct wb_control control;
	struct wb_fuse_tree tree;
	struct wb_fuse_disk *disk;
	struct wb_snapshots *snapshots;
	struct wb_fuse_heritage heritage;
	unsigned request_bytes;		/* longest READ or WRITE */
	unsigned max_background;	/* asynchronous requests that the kernel may have open */
	void (*ready)(void *arg);	/* INIT is being answered */
	void *arg;
};

extern const struct fuse_lowlevel_ops wb_fuse_operations;

#endif
