/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life of a mounted volume in one process: open, recover, mount or take over, serve
 * until it is unmounted or to be handed over, stop cleanly.
 */
#ifndef WB_CMD_DAEMON_H
#define WB_CMD_DAEMON_H

#include <glib.h>
#include <stdbool.h>

#include "cmd/options.h"

struct wb_daemon;
struct wb_kept;

/* Opens the volume, mounts it, starts to serve. NULL and an error, with nothing
 * left behind. `mount_point` is absolute. Before any thread exists. `kept`: NULL, or
 * what this process has of its keeper; a later worker takes over the mount that there
 * is. */
struct wb_daemon *wb_daemon_start(const struct wb_options *options, const char *mount_point,
				  struct wb_kept *kept, GError **error);

enum wb_daemon_outcome {
	WB_DAEMON_STOPPED,
	WB_DAEMON_HANDED_OVER,	/* the mount is still there, and the keeper has it */
	/* The last data could not be made durable, and an error says so; the log then
	 * recovers as after a crash. */
	WB_DAEMON_FAILED,
};

/* Returns when it has been unmounted and all is closed. SIGTERM and SIGINT
 * unmount it, if nobody uses it. */
enum wb_daemon_outcome wb_daemon_run(struct wb_daemon *daemon, GError **error);

#endif
