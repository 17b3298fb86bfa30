/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A real unmount, not a lazy one but where it says so; and who stands in its way. */
#ifndef WB_CMD_UNMOUNT_H
#define WB_CMD_UNMOUNT_H

#include <stdbool.h>

/* 0 or -errno; -EBUSY while it is in use. By umount2(2), or fusermount3 where
 * that is not permitted. Otherwise *reason says why, in words, to be freed: those
 * of fusermount3, which asks more than the kernel does. */
int wb_unmount(const char *mount_point, char **reason);

/* Of a mount that is not to be: nobody finds it any more. Who uses it already gets errors, or
 * is served to their end where only fusermount3 may unmount. */
void wb_unmount_by_force(const char *mount_point);

/* Who uses files below a mount point: "/dev/loop3 (attached to /mnt/wb/disk),
 * bash (pid 4711)"; or a sentence that nobody was found. To be freed. Looks
 * at names only, so that a hanging mount cannot hang it. */
char *wb_unmount_describe_users(const char *mount_point);

/* The directory itself, or below it, by its name. */
bool wb_unmount_is_below(const char *path, const char *directory);

#endif
