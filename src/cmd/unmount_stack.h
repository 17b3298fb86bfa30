/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What stands on a volume through loop devices, taken down from the top. */
#ifndef WB_CMD_UNMOUNT_STACK_H
#define WB_CMD_UNMOUNT_STACK_H

#include <glib.h>

/* The loop devices that are attached to files below a mount point: "loop3". Looks
 * at /sys only, so that a hanging mount cannot hang it. */
GPtrArray *wb_unmount_stack_loops(const char *mount_point);
/* The file a loop device is attached to, or NULL; to be freed. */
char *wb_unmount_stack_loop_file(const char *loop);

/* Unmounts the filesystems on those loop devices and their partitions, what was
 * mounted last first, and detaches the devices; one that is still in use is detached
 * when its last user closes it. What is busy stays as it is: whoever unmounts the
 * volume then hears of it. */
void wb_unmount_stack(const char *mount_point);

#endif
