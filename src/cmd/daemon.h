/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life of a mounted volume in one process: open, recover, mount, serve
 * until it is unmounted, stop cleanly.
 */
#ifndef WB_CMD_DAEMON_H
#define WB_CMD_DAEMON_H

#include <glib.h>
#include <stdbool.h>

#include "cmd/options.h"

struct wb_daemon;

/* Opens the volume, mounts it, starts to serve. NULL and an error, with nothing
 * left behind. `mount_point` is absolute. Before any thread exists. */
struct wb_daemon *wb_daemon_start(const struct wb_options *options, const char *mount_point,
				  GError **error);

/* Returns when it has been unmounted and all is closed. SIGTERM and SIGINT
 * unmount it, if nobody uses it. FALSE and an error when the last data could
 * not be made durable; the log then recovers as after a crash. */
bool wb_daemon_run(struct wb_daemon *daemon, GError **error);

#endif
