/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The program as mount(8) and umount(8) call it: under the names mount.wbfs,
 * mount.fuse.wbfs, umount.wbfs and umount.fuse.wbfs, with their words and their exit
 * statuses. The volume of an fstab line:
 *
 *	BACKING  MOUNTPOINT  wbfs  cache=CACHE,OPTION...  0  0
 */
#ifndef WB_CMD_MOUNT_HELPER_H
#define WB_CMD_MOUNT_HELPER_H

#include <glib.h>
#include <stdbool.h>

#include "cmd/options.h"

/* mount(8), EXIT STATUS */
enum wb_mount_exit {
	WB_MOUNT_EXIT_DONE = 0,
	WB_MOUNT_EXIT_USAGE = 1,
	WB_MOUNT_EXIT_FAILED = 32,
};

/* FALSE when the program was called by another name. */
bool wb_mount_helper_run(int argc, char **argv, int *status);

/*
 * The command line of mount.wbfs: SOURCE DIRECTORY [-fnrsvw] [-o OPTIONS] [-t TYPE].
 * The source is whichever of backing and cache no option names, and only a name when
 * both are named, or when it is "none" or "wbfs". `options` is set in any case, and
 * to be cleared. Pure.
 */
bool wb_mount_helper_parse(struct wb_options *options, bool *is_fake, int argc,
			   char *const *argv, GError **error);

#endif
