/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ctrl-C, SIGTERM and SIGHUP for commands that take long. The first one asks the
 * command to stop where that leaves something whole; it then says what is left,
 * and the process ends by that signal. A second one ends it at once, which is no
 * worse than SIGKILL or a power cut, at any moment.
 */
#ifndef WB_CMD_INTERRUPT_H
#define WB_CMD_INTERRUPT_H

#include <glib.h>
#include <stdbool.h>

/* From now on. A signal that is ignored already stays ignored. */
void wb_interrupt_listen(void);
/* Any thread. */
bool wb_interrupt_is_asked(void);

/* "wbfs: interrupted: TEXT"; returns WB_EXIT_INTERRUPTED. */
int wb_interrupt_report(const char *format, ...) G_GNUC_PRINTF(1, 2);
/* The end of main() after that status. Returns what is left to exit with. */
int wb_interrupt_end(void);

#endif
