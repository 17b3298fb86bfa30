/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "cmd/client.h"
#include "cmd/commands.h"
#include "cmd/configuration.h"
#include "cmd/launch.h"
#include "cmd/mount_request.h"
#include "cmd/mount_table.h"
#include "cmd/report.h"
#include "cmd/unmount.h"
#include "io/nbd_uri.h"

/* --- the mount point --------------------------------------------------------------- */

/* Attributes of a dead mount may still be cached, so that only a read tells. */
static void refuse_mounted(const char *mount_point, GError **error)
{
	g_autofree char *stats = wb_client_read_stats(mount_point, error);

	if (stats)
		wb_fail(error, "%s is mounted already: 'wbfs status %s' shows it", mount_point,
			mount_point);
}

/* The absolute path of the directory, or NULL and an error. */
static char *check_mount_point(const char *path, GError **error)
{
	g_autofree char *plain = g_canonicalize_filename(path, NULL);
	g_autofree char *resolved = realpath(path, NULL);
	struct stat st;
	bool is_there = resolved && !stat(resolved, &st);

	if (!is_there && (errno == ENOTCONN || errno == ECONNABORTED)) {
		wb_fail(error, "%s is a mount whose daemon is gone: 'wbfs umount %s' (or "
			"fusermount3 -u) first, then mount it again", path, plain);
		return NULL;
	}
	if (!is_there)
		wb_fail(error, errno == ENOENT ? "mount point %s does not exist: create the directory" :
			"mount point %s cannot be looked at", path);
	else if (!S_ISDIR(st.st_mode))
		wb_fail(error, "mount point %s is not a directory", path);
	else if (wb_mount_table_has(resolved))
		refuse_mounted(resolved, error);
	else
		return g_steal_pointer(&resolved);
	return NULL;
}

/* What the mount hides cannot be opened by another worker, who would ask the mount for
 * it, and wait for itself. */
static bool check_visible(const struct wb_options *request, const char *role, const char *path,
			  GError **error)
{
	g_autofree char *resolved = path && !wb_nbd_uri_is(path) ? realpath(path, NULL) : NULL;

	return !resolved || !wb_unmount_is_below(resolved, request->argument) ||
	       wb_fail(error, "%s %s lies below the mount point %s, which would hide it: mount "
		       "elsewhere", role, resolved, request->argument);
}

static bool launch(const struct wb_options *request, GError **error)
{
	return check_visible(request, "cache", request->cache_path, error) &&
	       check_visible(request, "backing", request->backing_path, error) &&
	       (request->foreground ? wb_launch_in_foreground(request, error) :
				      wb_launch_in_background(request, error));
}

/* --- one --------------------------------------------------------------------------------- */

static bool mount_one(const struct wb_options *options, const char *mount_point,
		      GError **error)
{
	struct wb_configuration *configuration =
		wb_configuration_load(options->config_path, WB_CONFIGURATION_ALL, error);
	struct wb_options request;
	bool ok;

	if (!configuration)
		return false;
	ok = wb_mount_request_make(&request, options, configuration, mount_point, error) &&
	     launch(&request, error);
	wb_options_clear(&request);
	wb_configuration_free(configuration);
	return ok;
}

/* --- all of the configuration --------------------------------------------------------------- */

static bool is_running(const char *path)
{
	g_autofree char *mount_point = wb_mount_table_resolve(path, NULL);
	g_autofree char *stats = mount_point ? wb_client_read_stats(mount_point, NULL) : NULL;

	return stats != NULL;
}

enum outcome { MOUNTED, MOUNTED_BEFORE, NOT_WANTED, FAILED };

static enum outcome mount_entry(const struct wb_options *options,
				const struct wb_configuration *configuration,
				const char *group, GError **error)
{
	g_autofree char *plain = NULL, *mount_point = NULL, *files = NULL;
	enum outcome outcome = FAILED;
	struct wb_options request;

	if (!g_path_is_absolute(group)) {
		files = wb_configuration_describe(configuration);
		wb_fail(error, "the group [%s] of the configuration (%s) should be a mount point: "
			"an absolute path", group, files);
		return FAILED;
	}
	plain = g_canonicalize_filename(group, NULL);
	if (!wb_mount_request_make(&request, options, configuration, plain, error))
		;
	else if (request.no_auto)
		outcome = NOT_WANTED;
	else if (is_running(plain))
		outcome = MOUNTED_BEFORE;
	else if ((mount_point = check_mount_point(plain, error)) != NULL) {
		g_free(request.argument);
		request.argument = g_steal_pointer(&mount_point);
		if (launch(&request, error))
			outcome = MOUNTED;
	}
	wb_options_clear(&request);
	return outcome;
}

static bool mount_and_tell(const struct wb_options *options,
			   const struct wb_configuration *configuration, const char *group)
{
	static const char *const texts[] = {
		[MOUNTED] = "mounted",
		[MOUNTED_BEFORE] = "mounted already",
		[NOT_WANTED] = "not mounted (noauto)",
	};
	g_autoptr(GError) error = NULL;
	enum outcome outcome = mount_entry(options, configuration, group, &error);

	if (outcome == FAILED)
		wb_report_note("%s: %s", group, error->message);
	else
		printf("%s: %s\n", group, texts[outcome]);
	return outcome != FAILED;
}

static int mount_all(const struct wb_options *options)
{
	g_autoptr(GError) error = NULL;
	struct wb_configuration *configuration =
		wb_configuration_load(options->config_path, WB_CONFIGURATION_OWN, &error);
	g_autoptr(GPtrArray) groups = NULL;
	int status = WB_EXIT_DONE;

	if (!configuration)
		return wb_report(error);
	groups = wb_configuration_list(configuration);
	for (unsigned i = 0; i < groups->len; i++)
		if (!mount_and_tell(options, configuration, groups->pdata[i]))
			status = WB_EXIT_FAILED;
	wb_configuration_free(configuration);
	return status;
}

int wb_cmd_mount(const struct wb_options *options)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *mount_point = NULL;

	if (options->all)
		return mount_all(options);
	mount_point = check_mount_point(options->argument, &error);
	if (mount_point && mount_one(options, mount_point, &error))
		return WB_EXIT_DONE;
	wb_report(error);
	return error->domain == WB_OPTIONS_ERROR ? WB_EXIT_USAGE : WB_EXIT_FAILED;
}
