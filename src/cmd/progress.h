/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A progress bar on standard error, when that is a terminal. */
#ifndef WB_CMD_PROGRESS_H
#define WB_CMD_PROGRESS_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct wb_progress {
	const char *label;
	gint64 started_us;
	gint64 shown_us;
	bool is_shown;
};

void wb_progress_begin(struct wb_progress *progress, const char *label);
/* Fits wb_create_params.progress; `arg` is the wb_progress. */
void wb_progress_update(void *arg, uint64_t done_bytes, uint64_t total_bytes);
void wb_progress_end(struct wb_progress *progress);

#endif
