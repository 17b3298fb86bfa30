/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Messages to people: what went wrong, where, what to do. */
#ifndef WB_CMD_REPORT_H
#define WB_CMD_REPORT_H

#include <glib.h>
#include <stdbool.h>

#include "cmd/options.h"

#define WB_COMMAND_ERROR (wb_command_error_quark())
GQuark wb_command_error_quark(void);
enum wb_command_error {
	WB_COMMAND_ERROR_FAILED,
	WB_COMMAND_ERROR_IN_USE,	/* locked by a living process */
	WB_COMMAND_ERROR_DEAD_MOUNT,	/* its daemon is gone */
};

/* Sets the error and returns FALSE. */
bool wb_fail(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* The same with ": " and the text of errno behind it. */
bool wb_fail_errno(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* "wbfs: TEXT" on standard error, or, where that is the journal, the text with its
 * fields; returns WB_EXIT_FAILED. */
int wb_report(const GError *error);
void wb_report_note(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* g_message() and the like of all modules go to standard error in the same way, or,
 * after wb_report_to_log(), to the journal, and to syslog's socket where there is none;
 * neither is waited for: what they do not take at once is lost. */
void wb_report_to_stderr(void);
void wb_report_to_log(void);

/* The fields WBFS_MOUNT_POINT and WBFS_UUID of what the journal gets from now on; NULL
 * for none. */
void wb_report_set_volume(const char *mount_point, const char *uuid);

#endif
