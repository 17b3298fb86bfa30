/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The wbfs mounts of this process's mount table. */
#ifndef WB_CMD_MOUNT_TABLE_H
#define WB_CMD_MOUNT_TABLE_H

#include <glib.h>
#include <stdbool.h>

#define WB_MOUNT_TYPE "fuse.wbfs"

/* Mount points (char *) of all wbfs mounts, in the order of mounting. */
GPtrArray *wb_mount_table_list(void);
/* Those that the caller may stop: his own, for root all. */
GPtrArray *wb_mount_table_list_own(void);
/* Whether the kernel lets the caller look into it: a mount of another user without
 * allow_other is closed to root too. */
bool wb_mount_table_may_look(const char *mount_point);
bool wb_mount_table_has(const char *mount_point);

/* The mount point as the mount table has it: absolute, links resolved, even
 * when the daemon is dead. NULL and an error when it is no wbfs mount. */
char *wb_mount_table_resolve(const char *path, GError **error);

#endif
