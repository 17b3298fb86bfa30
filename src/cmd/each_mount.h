/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The same done to every mounted volume, for --all. */
#ifndef WB_CMD_EACH_MOUNT_H
#define WB_CMD_EACH_MOUNT_H

#include "cmd/options.h"

/* In place of an exit status: there was nothing to do here, and that was said. */
#define WB_EACH_LEFT_OUT (-1)

/* Does it to one, and prints what went wrong; an exit status. */
typedef int wb_mount_action(const char *mount_point, const struct wb_options *options);

/* What was mounted last comes first: it may lie on the others. A failure is no
 * reason to leave the rest out. Prints "MOUNTPOINT: DONE" for each. Root does it to
 * all, others to their own mounts. WB_EXIT_FAILED if one failed. */
int wb_each_mount(wb_mount_action *action, const struct wb_options *options,
		  const char *done);

#endif
