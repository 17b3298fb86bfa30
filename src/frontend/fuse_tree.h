/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What there is in the mount: the root, disk, .wbfs with the control files, and
 * .wbfs/tunables. Fixed inode numbers, nothing is ever created or removed. Any thread.
 */
#ifndef WB_FRONTEND_FUSE_TREE_H
#define WB_FRONTEND_FUSE_TREE_H

#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>
#include <glib.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "frontend/control_files.h"

#define WB_INO_ROOT FUSE_ROOT_ID
#define WB_INO_DISK 2
#define WB_INO_CONTROL_DIRECTORY 3
#define WB_INO_TUNABLES_DIRECTORY 4
#define WB_INO_CONTROL_FIRST 16	/* + index in wb_control_files */
#define WB_INO_TUNABLE_FIRST 1024	/* + index in wb_tunables_table */

struct wb_fuse_tree {
	/* constant */
	uid_t uid;
	gid_t gid;
	bool is_read_only;		/* the image */
	struct timespec started;	/* all times of all files */

	/* atomic */
	_Atomic uint64_t image_bytes;	/* may grow */
};

/* 0 when there is no such name. */
fuse_ino_t wb_fuse_tree_lookup(fuse_ino_t parent, const char *name);
/* FALSE when there is no such inode. */
bool wb_fuse_tree_stat(const struct wb_fuse_tree *tree, fuse_ino_t ino, struct stat *st);
bool wb_fuse_tree_is_directory(fuse_ino_t ino);
/* FALSE when the inode is no control file. */
bool wb_fuse_tree_control(fuse_ino_t ino, struct wb_control_node *node);
/* Of all inodes. */
unsigned wb_fuse_tree_count(void);
/* Entry i of a directory ("." and ".." first); FALSE behind the last. */
bool wb_fuse_tree_entry(fuse_ino_t directory, unsigned i, const char **name, fuse_ino_t *ino);

#endif
