/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/size_parse.h"

#define BAR_WIDTH 30u
#define SHOW_EVERY_US (G_USEC_PER_SEC / 10)

void wb_progress_begin(struct wb_progress *progress, const char *label)
{
	*progress = (struct wb_progress){
		.label = label,
		.started_us = g_get_monotonic_time(),
	};
}

void wb_progress_update(void *arg, uint64_t done_bytes, uint64_t total_bytes)
{
	struct wb_progress *progress = arg;
	gint64 now = g_get_monotonic_time();
	char bar[BAR_WIDTH + 1], done[WB_SIZE_TEXT_BYTES], total[WB_SIZE_TEXT_BYTES],
		speed[WB_SIZE_TEXT_BYTES];
	double part, seconds;

	if (!isatty(STDERR_FILENO) || !total_bytes ||
	    (progress->is_shown && now - progress->shown_us < SHOW_EVERY_US))
		return;
	part = (double)done_bytes / (double)total_bytes;
	seconds = (double)MAX(now - progress->started_us, 1) / G_USEC_PER_SEC;
	memset(bar, '.', BAR_WIDTH);
	memset(bar, '#', (size_t)(part * BAR_WIDTH));
	bar[BAR_WIDTH] = '\0';
	fprintf(stderr, "\r%s [%s] %3.0f %%  %s of %s, %s/s\033[K", progress->label, bar,
		part * 100, wb_size_format(done_bytes, done),
		wb_size_format(total_bytes, total),
		wb_size_format((uint64_t)((double)done_bytes / seconds), speed));
	progress->is_shown = true;
	progress->shown_us = now;
}

void wb_progress_end(struct wb_progress *progress)
{
	if (progress->is_shown)
		fputs("\r\033[K", stderr);
}
