/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How far something is, in words: rate, time left, a bar that fits a line, and
 * when it is time to show it again. Pure: time and width are given. */
#ifndef WB_CMD_PROGRESS_TEXT_H
#define WB_CMD_PROGRESS_TEXT_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

enum wb_progress_form {
	WB_PROGRESS_BAR,	/* one line of a terminal, drawn over and over */
	WB_PROGRESS_LINES,	/* a log, a file: seldom a line */
};

struct wb_progress_state {
	const char *label;
	enum wb_progress_form form;
	uint64_t done_bytes, total_bytes;
	double rate;			/* bytes a second, of the last seconds */
	int64_t begun_us, shown_us, measured_us;
	uint64_t measured_bytes;	/* done at measured_us */
	unsigned shown;			/* how often */
	size_t widest;			/* of all words behind the bar so far */
};

void wb_progress_state_begin(struct wb_progress_state *state, const char *label,
			     enum wb_progress_form form, int64_t now_us);
/* Takes in how far it is. TRUE when that is to be shown now, and counts it as
 * shown. */
bool wb_progress_state_take(struct wb_progress_state *state, uint64_t done_bytes,
			    uint64_t total_bytes, int64_t now_us);

/* "LABEL [####....]  42 %  1.2 GiB of 3 GiB, 120 MiB/s, 0:23 left", in less than
 * `columns` columns: the bar shrinks first, then the least useful words go. To be
 * freed. */
char *wb_progress_state_bar(struct wb_progress_state *state, unsigned columns);
/* "LABEL: 42 %, 1.2 GiB of 3 GiB, 120 MiB/s, 0:23 left". To be freed. */
char *wb_progress_state_line(const struct wb_progress_state *state);
/* "LABEL: 3 GiB in 0:25, 120 MiB/s", or, when not all was done,
 * "LABEL: ended at 42 %, 1.2 GiB of 3 GiB, in 0:25". To be freed. */
char *wb_progress_state_end_line(const struct wb_progress_state *state, int64_t now_us);

#endif
