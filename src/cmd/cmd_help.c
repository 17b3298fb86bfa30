/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>

#include "cmd/commands.h"
#include "cmd/report.h"

int wb_cmd_help(const struct wb_options *options)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *text = NULL;
	enum wb_command_id id;

	if (options->argument && !strcmp(options->argument, "--version")) {
		puts("wbfs " PACKAGE_VERSION);
		return WB_EXIT_DONE;
	}
	if (options->list) {
		text = wb_options_list();
	} else if (!options->argument) {
		text = wb_options_help_all();
	} else if (wb_options_parse_command(options->argument, &id, &error)) {
		text = wb_options_help_command(id);
	} else {
		wb_report(error);
		fputs("'wbfs help' lists all commands.\n", stderr);
		return WB_EXIT_USAGE;
	}
	fputs(text, stdout);
	return WB_EXIT_DONE;
}
