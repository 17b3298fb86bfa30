/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>

#include "cmd/commands.h"

int wb_cmd_help(const struct wb_options *options)
{
	g_autofree char *text = NULL;
	enum wb_command_id id;

	if (options->argument && !strcmp(options->argument, "--version")) {
		puts("wbfs " PACKAGE_VERSION);
		return WB_EXIT_DONE;
	}
	if (!options->argument) {
		text = wb_options_help_all();
	} else if (wb_options_find_command(options->argument, &id)) {
		text = wb_options_help_command(id);
	} else {
		fprintf(stderr, "wbfs: there is no command '%s'; 'wbfs help' lists them\n",
			options->argument);
		return WB_EXIT_USAGE;
	}
	fputs(text, stdout);
	return WB_EXIT_DONE;
}
