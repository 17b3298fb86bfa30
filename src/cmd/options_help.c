/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "cmd/mount_options.h"
#include "cmd/options_table.h"

static void append_synopsis(GString *text, enum wb_command_id id)
{
	const struct wb_command *command = wb_options_command(id);
	const struct wb_option *all = wb_options_find("all", 3, 0);
	bool may_be_all = all->commands & (1u << id);

	g_string_append_printf(text, "wbfs %s", command->name);
	for (unsigned i = 0; i < wb_option_count; i++) {
		const struct wb_option *option = &wb_option_table[i];
		bool needed = option->needed_by & (1u << id);

		if (!(option->commands & (1u << id)) || !strcmp(option->name, "help") ||
		    option == all)
			continue;
		g_string_append(text, needed ? " " : " [");
		if (option->short_name)
			g_string_append_printf(text, "-%c", option->short_name);
		else
			g_string_append_printf(text, "--%s", option->name);
		if (option->argument)
			g_string_append_printf(text, " %s", option->argument);
		if (option->type == WB_OPTION_INTERVAL)
			g_string_append(text, "[=SECONDS]");
		if (!needed)
			g_string_append_c(text, ']');
	}
	if (may_be_all)
		g_string_append_printf(text, " %s|--all", command->argument);
	else if (command->argument)
		g_string_append_printf(text, command->argument_is_needed ? " %s" : " [%s]",
				       command->argument);
	if (command->more)
		g_string_append_printf(text, " [%s]...", command->more);
	g_string_append_c(text, '\n');
}

char *wb_options_help_all(void)
{
	GString *text = g_string_new("wbfs puts a small fast disk in front of a big slow one.\n\n");

	for (unsigned i = 0; i < WB_COMMAND_COUNT; i++)
		g_string_append_printf(text, "  wbfs %-8s %s\n", wb_options_command(i)->name,
				       wb_options_command(i)->summary);
	g_string_append(text, "  wbfs --version\n\n"
			"'wbfs help COMMAND' explains one; all of it is in wbfs(1).\n");
	return g_string_free(text, FALSE);
}

char *wb_options_help_command(enum wb_command_id id)
{
	GString *text = g_string_new(NULL);

	append_synopsis(text, id);
	g_string_append_printf(text, "\n%s.\n", wb_options_command(id)->summary);
	if (wb_options_command(id)->details)
		g_string_append_printf(text, "%s\n", wb_options_command(id)->details);
	g_string_append_c(text, '\n');
	for (unsigned i = 0; i < wb_option_count; i++) {
		const struct wb_option *option = &wb_option_table[i];
		char letter[8] = "    ";
		g_autofree char *left = NULL;

		if (!(option->commands & (1u << id)))
			continue;
		if (option->short_name)
			g_snprintf(letter, sizeof letter, "-%c, ", option->short_name);
		left = g_strconcat(letter, "--", option->name, option->argument ? " " : "",
				   option->argument ? option->argument :
				   option->type == WB_OPTION_INTERVAL ? "[=SECONDS]" : NULL,
				   NULL);
		g_string_append_printf(text, "  %-26s %s\n", left, option->summary);
		if (option->type == WB_OPTION_MOUNT_OPTIONS)
			wb_mount_options_append_help(text);
	}
	return g_string_free(text, FALSE);
}

/* "option --foreground -f - mount": the short name, the argument and the commands
 * of an option, "-" for none. */
static void append_option(GString *text, const struct wb_option *option)
{
	g_string_append_printf(text, "option --%s -%.1s %s", option->name, &option->short_name,
			       option->argument ? option->argument : "-");
	for (unsigned i = 0; i < WB_COMMAND_COUNT; i++)
		if (option->commands & (1u << i))
			g_string_append_printf(text, " %s", wb_options_command(i)->name);
	g_string_append_c(text, '\n');
}

char *wb_options_list(void)
{
	GString *text = g_string_new(NULL);

	for (unsigned i = 0; i < WB_COMMAND_COUNT; i++) {
		const struct wb_command *command = wb_options_command(i);

		g_string_append_printf(text, "command %s %s%s%s\n", command->name,
				       command->argument ? command->argument : "-",
				       command->more ? " " : "", command->more ? command->more : "");
	}
	for (unsigned i = 0; i < wb_option_count; i++)
		append_option(text, &wb_option_table[i]);
	wb_mount_options_append_list(text);
	return g_string_free(text, FALSE);
}
