/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/usage.h"

#include <string.h>

#include "cmd/options.h"
#include "cmd/size_parse.h"

/* --- nearest word ------------------------------------------------------------ */

#define WORD_MAX 32

/* Edits (insert, delete, replace, swap neighbours) between two words:
 * Damerau 1964, in the form that never edits a place twice. */
static unsigned distance(const char *a, const char *b)
{
	unsigned rows[WORD_MAX + 1][WORD_MAX + 1];
	size_t a_length = strlen(a), b_length = strlen(b);

	if (a_length > WORD_MAX || b_length > WORD_MAX)
		return G_MAXUINT;
	for (size_t i = 0; i <= a_length; i++)
		rows[i][0] = (unsigned)i;
	for (size_t j = 0; j <= b_length; j++)
		rows[0][j] = (unsigned)j;
	for (size_t i = 1; i <= a_length; i++)
		for (size_t j = 1; j <= b_length; j++) {
			unsigned best = rows[i - 1][j - 1] + (a[i - 1] != b[j - 1]);

			best = MIN(best, rows[i - 1][j] + 1);
			best = MIN(best, rows[i][j - 1] + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				best = MIN(best, rows[i - 2][j - 2] + 1);
			rows[i][j] = best;
		}
	return rows[a_length][b_length];
}

const char *wb_usage_nearest(const char *word, const char *const *list)
{
	const char *best = NULL;
	unsigned best_distance = G_MAXUINT;

	for (; *list; list++) {
		unsigned d = distance(word, *list);

		if (d < best_distance) {
			best_distance = d;
			best = *list;
		}
	}
	/* Beyond a third of the word it is a guess that annoys. */
	return best_distance <= MAX(1, strlen(word) / 3) ? best : NULL;
}

/* --- errors ------------------------------------------------------------------ */

GQuark wb_options_error_quark(void)
{
	return g_quark_from_static_string("wb-options-error");
}

bool wb_usage(GError **error, const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	g_set_error_literal(error, WB_OPTIONS_ERROR, WB_OPTIONS_ERROR_USAGE, text);
	g_free(text);
	return false;
}

/* "unknown option '--jsn' of 'wbfs status'; did you mean '--json'?" */
bool wb_usage_unknown(GError **error, const char *what, const char *prefix, const char *word,
		      GPtrArray *candidates)
{
	const char *near;

	g_ptr_array_add(candidates, NULL);
	near = wb_usage_nearest(word, (const char *const *)candidates->pdata);
	if (near)
		return wb_usage(error, "unknown %s '%s%s'; did you mean '%s%s'?", what, prefix,
				word, prefix, near);
	return wb_usage(error, "unknown %s '%s%s'", what, prefix, word);
}

bool wb_usage_parse_size(const char *name, const char *value, uint64_t *result, GError **error)
{
	if (!wb_size_parse(value, result))
		return wb_usage(error, "%s takes a size such as 512M or 20G (K, M, G, T; "
				"or plain bytes), not '%s'", name, value);
	if (!*result || *result % 512)
		return wb_usage(error, "%s takes a multiple of 512 bytes above zero, not '%s'",
				name, value);
	return true;
}
