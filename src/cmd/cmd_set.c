/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>

#include "cmd/client.h"
#include "cmd/commands.h"
#include "cmd/mount_table.h"
#include "cmd/report.h"
#include "cmd/usage.h"

static bool unknown_tunable(const char *name, GError **error)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new();

	for (unsigned i = 0; i < wb_tunables_count; i++)
		g_ptr_array_add(names, (char *)wb_tunables_table[i].name);
	return wb_usage_unknown(error, "tunable", "", name, names);
}

/* The value of "NAME=VALUE", which becomes NAME. */
static const char *split(char *word)
{
	char *value = strchr(word, '=');

	if (!value)
		return NULL;
	*value = '\0';
	return value + 1;
}

/* By the daemon's own table, so that the first value is not set when the second one
 * is wrong. */
static bool check(const char *assignment, GError **error)
{
	g_autofree char *name = g_strdup(assignment);
	const char *value = split(name);
	struct wb_tunables scratch = WB_TUNABLES_DEFAULT;
	const struct wb_tunable *tunable;

	if (!value)
		return wb_usage(error, "'wbfs set' takes NAME=VALUE, not '%s'", assignment);
	tunable = wb_tunable_find(name);
	return tunable ? wb_tunable_parse(tunable, value, &scratch, error) :
			 unknown_tunable(name, error);
}

static bool set(const char *mount_point, const char *assignment, GError **error)
{
	g_autofree char *name = g_strdup(assignment);
	const char *value = split(name);
	g_autofree char *file = g_build_filename("tunables", name, NULL);

	return wb_client_write(mount_point, file, value, error);
}

static bool show(const char *mount_point, const struct wb_tunable *tunable, GError **error)
{
	g_autofree char *file = g_build_filename("tunables", tunable->name, NULL);
	g_autofree char *text = wb_client_read(mount_point, file, error);

	if (text)
		printf("%s=%s", tunable->name, text);
	return text;
}

int wb_cmd_set(const struct wb_options *options)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *mount_point = NULL;
	bool ok;

	for (unsigned i = 0; i < options->more->len; i++)
		if (!check(options->more->pdata[i], &error)) {
			wb_report(error);
			return WB_EXIT_USAGE;
		}
	mount_point = wb_mount_table_resolve(options->argument, &error);
	ok = mount_point;
	for (unsigned i = 0; ok && i < options->more->len; i++)
		ok = set(mount_point, options->more->pdata[i], &error);
	for (unsigned i = 0; ok && !options->more->len && i < wb_tunables_count; i++)
		ok = show(mount_point, &wb_tunables_table[i], &error);
	return ok ? WB_EXIT_DONE : wb_report(error);
}
