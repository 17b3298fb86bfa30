/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/progress.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cmd/interrupt.h"

#define COLUMNS_DEFAULT 80u
#define ERASE "\r\033[K"

static atomic_bool bar_is_shown;

/* In the background a bar would be drawn into what somebody else is doing there. */
static bool is_in_foreground(void)
{
	pid_t group = tcgetpgrp(STDERR_FILENO);

	return group < 0 || group == getpgrp();
}

static enum wb_progress_form choose_form(void)
{
	const char *terminal = g_getenv("TERM");

	if (!isatty(STDERR_FILENO) || !terminal || !*terminal || !strcmp(terminal, "dumb"))
		return WB_PROGRESS_LINES;
	return WB_PROGRESS_BAR;
}

/* Asked each time: the window may have got another size. */
static unsigned count_columns(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) || !size.ws_col)
		return COLUMNS_DEFAULT;
	return size.ws_col;
}

void wb_progress_make_room(void)
{
	if (atomic_exchange(&bar_is_shown, false) &&
	    write(STDERR_FILENO, ERASE, strlen(ERASE)) < 0)
		return;
}

static void show(struct wb_progress_state *state)
{
	g_autofree char *text = NULL;

	if (state->form == WB_PROGRESS_LINES) {
		text = wb_progress_state_line(state);
		fprintf(stderr, "wbfs: %s\n", text);
	} else if (is_in_foreground()) {
		text = wb_progress_state_bar(state, count_columns());
		atomic_store(&bar_is_shown, true);
		fprintf(stderr, "\r%s\033[K", text);
		fflush(stderr);
	}
}

void wb_progress_begin(struct wb_progress *progress, const char *label)
{
	wb_progress_state_begin(&progress->state, label, choose_form(), g_get_monotonic_time());
}

bool wb_progress_update(void *arg, uint64_t done_bytes, uint64_t total_bytes)
{
	struct wb_progress_state *state = &((struct wb_progress *)arg)->state;

	if (wb_progress_state_take(state, done_bytes, total_bytes, g_get_monotonic_time()))
		show(state);
	return !wb_interrupt_is_asked();
}

void wb_progress_end(struct wb_progress *progress)
{
	const struct wb_progress_state *state = &progress->state;
	g_autofree char *text = NULL;

	wb_progress_make_room();
	if (state->form == WB_PROGRESS_BAR || !state->shown)
		return;
	text = wb_progress_state_end_line(state, g_get_monotonic_time());
	fprintf(stderr, "wbfs: %s\n", text);
}
