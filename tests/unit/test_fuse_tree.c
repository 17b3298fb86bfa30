/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>
#include <string.h>
#include <sys/stat.h>

#include "frontend/control_files.h"
#include "frontend/fuse_tree.h"

static const struct wb_fuse_tree tree = { .uid = 7, .gid = 8, .image_bytes = 10240 };

/* Every entry of a directory is found by its name, under the number that the
 * listing gave, and has attributes. Returns how many there are. */
static unsigned walk(fuse_ino_t directory)
{
	const char *name;
	fuse_ino_t ino;
	struct stat st;
	unsigned i;

	for (i = 0; wb_fuse_tree_entry(directory, i, &name, &ino); i++) {
		cr_assert(wb_fuse_tree_stat(&tree, ino, &st), "%s", name);
		cr_assert_eq(st.st_uid, 7);
		cr_assert_eq(st.st_gid, 8);
		if (i >= 2)
			cr_assert_eq(wb_fuse_tree_lookup(directory, name), ino, "%s", name);
	}
	return i;
}

Test(fuse_tree, lists_what_can_be_looked_up)
{
	cr_assert_eq(walk(WB_INO_ROOT), 4);
	cr_assert_eq(walk(WB_INO_CONTROL_DIRECTORY), 3 + wb_control_file_count);
	cr_assert_eq(walk(WB_INO_TUNABLES_DIRECTORY), 2 + wb_tunables_count);
	/* "." and ".." are no inodes of their own, the root is in no list. */
	cr_assert_eq(wb_fuse_tree_count(), 4 + 3 + wb_control_file_count +
		     2 + wb_tunables_count - 6 + 1);
	cr_assert_lt(WB_INO_CONTROL_FIRST + wb_control_file_count, WB_INO_TUNABLE_FIRST);
}

Test(fuse_tree, directories_know_where_they_are)
{
	fuse_ino_t directory = wb_fuse_tree_lookup(WB_INO_CONTROL_DIRECTORY, "tunables");
	const char *name;
	fuse_ino_t ino;

	cr_assert_eq(directory, WB_INO_TUNABLES_DIRECTORY);
	cr_assert(wb_fuse_tree_entry(directory, 0, &name, &ino));
	cr_assert_eq(ino, directory);
	cr_assert(wb_fuse_tree_entry(directory, 1, &name, &ino));
	cr_assert_eq(ino, WB_INO_CONTROL_DIRECTORY);
}

Test(fuse_tree, tunables_are_for_their_owner_to_write_and_all_to_read)
{
	for (unsigned i = 0; i < wb_tunables_count; i++) {
		fuse_ino_t ino = wb_fuse_tree_lookup(WB_INO_TUNABLES_DIRECTORY,
						     wb_tunables_table[i].name);
		struct wb_control_node node;
		struct stat st;

		cr_assert(wb_fuse_tree_control(ino, &node));
		cr_assert_eq(node.tunable, &wb_tunables_table[i]);
		cr_assert_null(node.file);
		cr_assert(wb_fuse_tree_stat(&tree, ino, &st));
		cr_assert_eq(st.st_mode, S_IFREG | 0644);
	}
}

Test(fuse_tree, disk_is_the_image_for_its_owner_alone)
{
	struct stat st;

	cr_assert_eq(wb_fuse_tree_lookup(WB_INO_ROOT, "disk"), WB_INO_DISK);
	cr_assert(wb_fuse_tree_stat(&tree, WB_INO_DISK, &st));
	cr_assert_eq(st.st_mode, S_IFREG | 0600);
	cr_assert_eq(st.st_size, 10240);
	cr_assert_eq(st.st_blocks, 20);
}

Test(fuse_tree, control_files_have_the_modes_of_their_table)
{
	fuse_ino_t directory = wb_fuse_tree_lookup(WB_INO_ROOT, ".wbfs");
	struct wb_control_node node;
	struct stat st;

	cr_assert(wb_fuse_tree_is_directory(directory));
	for (unsigned i = 0; i < wb_control_file_count; i++) {
		fuse_ino_t ino = wb_fuse_tree_lookup(directory, wb_control_files[i].name);

		cr_assert(wb_fuse_tree_control(ino, &node));
		cr_assert_eq(node.file, &wb_control_files[i]);
		cr_assert_null(node.tunable);
		cr_assert(wb_fuse_tree_stat(&tree, ino, &st));
		cr_assert_eq(st.st_mode, S_IFREG | wb_control_files[i].mode);
	}
}

Test(fuse_tree, knows_nothing_else)
{
	struct wb_control_node node;
	struct stat st;

	cr_assert_eq(wb_fuse_tree_lookup(WB_INO_ROOT, "stats.json"), 0);
	cr_assert_eq(wb_fuse_tree_lookup(WB_INO_CONTROL_DIRECTORY, "disk"), 0);
	cr_assert_eq(wb_fuse_tree_lookup(WB_INO_DISK, "x"), 0);
	cr_assert_not(wb_fuse_tree_stat(&tree, 0, &st));
	cr_assert_not(wb_fuse_tree_stat(&tree, WB_INO_CONTROL_FIRST + wb_control_file_count,
					&st));
	cr_assert_not(wb_fuse_tree_control(WB_INO_CONTROL_FIRST + wb_control_file_count,
					   &node));
	cr_assert_not(wb_fuse_tree_control(WB_INO_TUNABLE_FIRST + wb_tunables_count, &node));
	cr_assert_not(wb_fuse_tree_control(WB_INO_TUNABLES_DIRECTORY, &node));
	cr_assert_eq(wb_fuse_tree_lookup(WB_INO_TUNABLES_DIRECTORY, "stats.json"), 0);
}

Test(fuse_tree, disk_that_is_read_only_says_so_by_its_mode)
{
	struct wb_fuse_tree read_only = tree;
	struct stat st;

	read_only.is_read_only = true;
	cr_assert(wb_fuse_tree_stat(&read_only, WB_INO_DISK, &st));
	cr_assert_eq(st.st_mode, S_IFREG | 0400);
}
