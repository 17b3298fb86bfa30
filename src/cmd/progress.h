/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How far a command is, on standard error: a bar where that is a terminal that
 * shows us, else now and then a line. What is over within a second says nothing
 * but on a terminal. One at a time, on one thread.
 */
#ifndef WB_CMD_PROGRESS_H
#define WB_CMD_PROGRESS_H

#include "cmd/progress_text.h"

struct wb_progress {
	struct wb_progress_state state;
};

void wb_progress_begin(struct wb_progress *progress, const char *label);
/* Fits the `progress` of all that takes long; `arg` is the wb_progress. FALSE:
 * the user wants it to stop (cmd/interrupt.h). */
bool wb_progress_update(void *arg, uint64_t done_bytes, uint64_t total_bytes);
void wb_progress_end(struct wb_progress *progress);

/* Before a message: takes away the bar that may stand on the terminal. Safe in a
 * signal handler. */
void wb_progress_make_room(void);

#endif
