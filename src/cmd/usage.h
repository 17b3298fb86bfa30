/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What was not understood, and what was probably meant: shared by all that reads
 * words of people. Pure. */
#ifndef WB_CMD_USAGE_H
#define WB_CMD_USAGE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* Sets WB_OPTIONS_ERROR_USAGE and returns FALSE. */
bool wb_usage(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* "unknown option '--jsn'; did you mean '--json'?": `what` is "option", `prefix`
 * "--". `candidates` are the words (char *) that would do; it gets a NULL at its
 * end. Returns FALSE. */
bool wb_usage_unknown(GError **error, const char *what, const char *prefix, const char *word,
		      GPtrArray *candidates);

/* The nearest word of the list, or NULL when none is near. */
const char *wb_usage_nearest(const char *word, const char *const *list);

/* A size above zero in whole sectors; the error begins with `name`. */
bool wb_usage_parse_size(const char *name, const char *value, uint64_t *result,
			 GError **error);

#endif
