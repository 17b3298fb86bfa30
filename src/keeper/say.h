/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Messages of a process that allocates nothing: on standard error, or, after
 * wb_say_to_log(), to the socket of the system log. */
#ifndef WB_KEEPER_SAY_H
#define WB_KEEPER_SAY_H

#include <stdbool.h>

void wb_say_to_log(void);
/* Standard input, output and error are given up, and the current directory. FALSE, and
 * errno, when that cannot be left. */
bool wb_say_leave_terminal(void);
/* To that socket, of LOG_DAEMON; where it is full the message is lost. Any thread. */
void wb_say_to_syslog(int priority, const char *text);
void wb_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Cut off where there is no room. */
void wb_say_into(char *text, unsigned long bytes, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* "was killed by signal 9 (Killed)", "ended with status 1": of waitpid(). */
void wb_say_status(int status, char *text, unsigned long bytes);

#endif
