/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The process of a mounted volume: a daemon that was begun, or this one. */
#ifndef WB_CMD_LAUNCH_H
#define WB_CMD_LAUNCH_H

#include <glib.h>
#include <stdbool.h>

#include "cmd/options.h"

/* `options` are complete; the argument is the mount point, absolute. Before any
 * thread exists: it forks. Returns when the image can be used. */
bool wb_launch_in_background(const struct wb_options *options, GError **error);

/* Returns when it has been unmounted; or, with a keeper, ends the process then. */
bool wb_launch_in_foreground(const struct wb_options *options, GError **error);

/* Pieces of it, for a worker that has a keeper. */
void wb_launch_ignore_signals(void);
void wb_launch_let_go_of_terminal(void);
/* Closes `fd`, where somebody waits for the outcome; `error` is NULL when all is well. */
void wb_launch_tell_parent(int fd, const GError *error);

#endif
