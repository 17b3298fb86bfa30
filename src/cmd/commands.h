/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The commands: one file each, called by main with what was parsed. Each
 * prints what there is to say and returns the exit status (enum wb_exit). */
#ifndef WB_CMD_COMMANDS_H
#define WB_CMD_COMMANDS_H

#include "cmd/options.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unknown"
#endif

int wb_cmd_format(const struct wb_options *options);
int wb_cmd_mount(const struct wb_options *options);
int wb_cmd_umount(const struct wb_options *options);
int wb_cmd_status(const struct wb_options *options);
int wb_cmd_top(const struct wb_options *options);
int wb_cmd_set(const struct wb_options *options);
int wb_cmd_flush(const struct wb_options *options);
int wb_cmd_drain(const struct wb_options *options);
int wb_cmd_scrub(const struct wb_options *options);
int wb_cmd_check(const struct wb_options *options);
int wb_cmd_dump(const struct wb_options *options);
int wb_cmd_rescue(const struct wb_options *options);
int wb_cmd_detach(const struct wb_options *options);
int wb_cmd_resize(const struct wb_options *options);
int wb_cmd_upgrade(const struct wb_options *options);
/* `wbfs umount` of one mount, as umount(8) asks for it too. */
int wb_umount_one(const char *mount_point, const struct wb_options *options);
/* `wbfs flush` of one mount: a stop without a cache needs it too. */
int wb_flush_one(const char *mount_point);
int wb_cmd_help(const struct wb_options *options);

#endif
