/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Words behind "wbfs", one per line. Nothing is run: only parsed. */
#include <glib.h>
#include <string.h>

#include "cmd/options.h"
#include "cmd/size_parse.h"
#include "fuzz/fuzz.h"

#define WORDS_MAX 64

static void check_size(const char *word)
{
	char text[WB_SIZE_TEXT_BYTES];
	uint64_t bytes = 0;

	if (!wb_size_parse(word, &bytes))
		return;
	g_assert(bytes <= INT64_MAX);
	g_assert(wb_size_format(bytes, text) == text && strlen(text) < sizeof text);
}

static void check_parsed(const struct wb_options *options, enum wb_command_id command)
{
	g_autofree char *help = NULL;

	g_assert(command < WB_COMMAND_COUNT);
	help = wb_options_help_command(command);
	g_assert(strstr(help, wb_options_command(command)->name));
	if (options->help || command == WB_COMMAND_HELP)
		return;
	if (command == WB_COMMAND_FORMAT)
		g_assert(options->cache_path && options->backing_path);
	if (wb_options_command(command)->argument_is_needed)
		g_assert(options->all || (options->argument && *options->argument));
	g_assert(!options->all || !options->argument);
}

int WB_FUZZ_TARGET(command_line)(const uint8_t *data, size_t size)
{
	g_autofree char *text = g_strndup((const char *)data, size);
	g_auto(GStrv) words = g_strsplit(text, "\n", WORDS_MAX);
	g_autoptr(GPtrArray) argv = g_ptr_array_new();
	struct wb_options options;
	enum wb_command_id command = WB_COMMAND_COUNT;
	g_autoptr(GError) error = NULL;

	g_ptr_array_add(argv, (char *)"wbfs");
	for (unsigned i = 0; words[i]; i++) {
		g_ptr_array_add(argv, words[i]);
		check_size(words[i]);
	}
	g_ptr_array_add(argv, NULL);
	if (wb_options_parse(&options, &command, (int)argv->len - 1, (char **)argv->pdata,
			     &error)) {
		g_assert(!error);
		check_parsed(&options, command);
	} else {
		g_assert(g_error_matches(error, WB_OPTIONS_ERROR, WB_OPTIONS_ERROR_USAGE));
		g_assert(*error->message);
	}
	wb_options_clear(&options);
	return 0;
}
