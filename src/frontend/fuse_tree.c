/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "frontend/fuse_tree.h"

#include <string.h>
#include <sys/stat.h>

bool wb_fuse_tree_control(fuse_ino_t ino, struct wb_control_node *node)
{
	*node = (struct wb_control_node){ NULL, NULL };
	if (ino >= WB_INO_TUNABLE_FIRST && ino - WB_INO_TUNABLE_FIRST < wb_tunables_count)
		node->tunable = &wb_tunables_table[ino - WB_INO_TUNABLE_FIRST];
	else if (ino >= WB_INO_CONTROL_FIRST && ino - WB_INO_CONTROL_FIRST < wb_control_file_count)
		node->file = &wb_control_files[ino - WB_INO_CONTROL_FIRST];
	return node->tunable || node->file;
}

bool wb_fuse_tree_is_directory(fuse_ino_t ino)
{
	return ino == WB_INO_ROOT || ino == WB_INO_CONTROL_DIRECTORY ||
	       ino == WB_INO_TUNABLES_DIRECTORY;
}

unsigned wb_fuse_tree_count(void)
{
	return 4 + wb_control_file_count + wb_tunables_count;
}

/* Entry i behind "." and "..". */
static bool child(fuse_ino_t directory, unsigned i, const char **name, fuse_ino_t *ino)
{
	static const struct { const char *name; fuse_ino_t ino; } root[] = {
		{ "disk", WB_INO_DISK },
		{ ".wbfs", WB_INO_CONTROL_DIRECTORY },
	};

	if (directory == WB_INO_ROOT && i < G_N_ELEMENTS(root)) {
		*name = root[i].name;
		*ino = root[i].ino;
		return true;
	}
	if (directory == WB_INO_CONTROL_DIRECTORY && i < wb_control_file_count) {
		*name = wb_control_files[i].name;
		*ino = WB_INO_CONTROL_FIRST + i;
		return true;
	}
	if (directory == WB_INO_CONTROL_DIRECTORY && i == wb_control_file_count) {
		*name = "tunables";
		*ino = WB_INO_TUNABLES_DIRECTORY;
		return true;
	}
	if (directory == WB_INO_TUNABLES_DIRECTORY && i < wb_tunables_count) {
		*name = wb_tunables_table[i].name;
		*ino = WB_INO_TUNABLE_FIRST + i;
		return true;
	}
	return false;
}

bool wb_fuse_tree_entry(fuse_ino_t directory, unsigned i, const char **name, fuse_ino_t *ino)
{
	if (i >= 2)
		return child(directory, i - 2, name, ino);
	*name = i ? ".." : ".";
	*ino = !i ? directory : directory == WB_INO_TUNABLES_DIRECTORY ?
	       WB_INO_CONTROL_DIRECTORY : WB_INO_ROOT;
	return true;
}

fuse_ino_t wb_fuse_tree_lookup(fuse_ino_t parent, const char *name)
{
	const char *entry;
	fuse_ino_t ino;

	for (unsigned i = 0; child(parent, i, &entry, &ino); i++)
		if (!strcmp(entry, name))
			return ino;
	return 0;
}

bool wb_fuse_tree_stat(const struct wb_fuse_tree *tree, fuse_ino_t ino, struct stat *st)
{
	struct wb_control_node node;

	*st = (struct stat){
		.st_ino = ino,
		.st_nlink = 1,
		.st_uid = tree->uid,
		.st_gid = tree->gid,
		.st_blksize = 128 << 10,	/* what tools read and write at once */
		.st_atim = tree->started,
		.st_mtim = tree->started,
		.st_ctim = tree->started,
	};
	if (wb_fuse_tree_is_directory(ino)) {
		st->st_mode = S_IFDIR | 0755;
		st->st_nlink = ino == WB_INO_TUNABLES_DIRECTORY ? 2 : 3;
	} else if (ino == WB_INO_DISK) {
		st->st_mode = S_IFREG | (tree->is_read_only ? 0400 : 0600);
		st->st_size = (off_t)tree->image_bytes;
		st->st_blocks = (blkcnt_t)(st->st_size / 512);
	} else if (wb_fuse_tree_control(ino, &node)) {
		st->st_mode = S_IFREG | wb_control_node_mode(&node);
	} else {
		return false;
	}
	return true;
}
