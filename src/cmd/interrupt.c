/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/interrupt.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>

#include "cmd/options.h"
#include "cmd/progress.h"

/* 0: none */
static _Atomic int asked_by;

static void on_signal(int number)
{
	atomic_store(&asked_by, number);
}

/* Without SA_RESTART, so that a question on the terminal ends too. What nohup(1) or
 * a shell has set to be ignored is none of our business. */
static void listen_to(int number)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND };
	struct sigaction old;

	if (!sigaction(number, NULL, &old) && old.sa_handler != SIG_IGN)
		sigaction(number, &action, NULL);
}

void wb_interrupt_listen(void)
{
	listen_to(SIGINT);
	listen_to(SIGTERM);
	listen_to(SIGHUP);
}

bool wb_interrupt_is_asked(void)
{
	return atomic_load(&asked_by) != 0;
}

int wb_interrupt_report(const char *format, ...)
{
	va_list args;
	g_autofree char *text = NULL;

	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	wb_progress_make_room();
	fprintf(stderr, "wbfs: interrupted: %s\n", text);
	return WB_EXIT_INTERRUPTED;
}

/* By the signal itself, so that a shell script around us ends too. */
int wb_interrupt_end(void)
{
	int number = atomic_load(&asked_by);

	signal(number, SIG_DFL);
	raise(number);
	return WB_EXIT_FAILED;
}
