/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/mount_request.h"

#include "cmd/mount_options.h"
#include "cmd/usage.h"

static void override(char **field, const char *value)
{
	if (!value)
		return;
	g_free(*field);
	*field = g_strdup(value);
}

static bool apply_command_line(struct wb_options *request,
			       const struct wb_options *command_line, GError **error)
{
	if (!wb_mount_options_parse(request, command_line->mount_options->str, error))
		return false;
	/* Of options and the words of -o the last one counts, which is known there. */
	override(&request->cache_path, command_line->cache_path);
	override(&request->backing_path, command_line->backing_path);
	override(&request->fsname, command_line->fsname);
	if (command_line->without_cache && !command_line->cache_path)
		g_clear_pointer(&request->cache_path, g_free);
	request->without_cache = command_line->without_cache;
	request->force = command_line->force;
	request->foreground = command_line->foreground;
	return true;
}

static bool check_whole(const struct wb_options *request,
			   const struct wb_configuration *configuration, GError **error)
{
	bool has_cache = request->cache_path || request->without_cache;
	g_autofree char *files = NULL;

	if (has_cache && request->backing_path)
		return true;
	files = wb_configuration_describe(configuration);
	return wb_usage(error, "'wbfs mount' needs %s%s%s, or an entry [%s] with %s in the "
			"configuration (%s)%s", has_cache ? "" : "--cache PATH",
			has_cache || request->backing_path ? "" : " and ",
			request->backing_path ? "" : "--backing PATH", request->argument,
			has_cache ? "'backing'" : request->backing_path ? "'cache'" :
			"'cache' and 'backing'", files, has_cache ? "" :
			". When the cache is lost: --without-cache");
}

bool wb_mount_request_make(struct wb_options *request, const struct wb_options *command_line,
			   const struct wb_configuration *configuration,
			   const char *mount_point, GError **error)
{
	wb_options_init(request);
	request->argument = g_strdup(mount_point);
	return wb_configuration_apply(configuration, mount_point, request, error) &&
	       apply_command_line(request, command_line, error) &&
	       wb_options_check_mount(request, error) &&
	       check_whole(request, configuration, error);
}
