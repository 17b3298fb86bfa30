/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/configuration.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mount_options.h"
#include "cmd/report.h"
#include "cmd/usage.h"
#include "io/nbd_uri.h"

#define USER_FILE "wbfs.conf"

struct file {
	char *path;
	GKeyFile *keys;		/* without a group when it is not there */
	char **groups;
};

struct wb_configuration {
	GPtrArray *files;	/* struct file *, the later ones override */
};

/* --- files --------------------------------------------------------------------------- */

static void file_free(gpointer arg)
{
	struct file *file = arg;

	g_key_file_free(file->keys);
	g_strfreev(file->groups);
	g_free(file->path);
	g_free(file);
}

static struct wb_configuration *configuration_new(void)
{
	struct wb_configuration *configuration = g_new0(struct wb_configuration, 1);

	configuration->files = g_ptr_array_new_with_free_func(file_free);
	return configuration;
}

void wb_configuration_free(struct wb_configuration *configuration)
{
	if (!configuration)
		return;
	g_ptr_array_unref(configuration->files);
	g_free(configuration);
}

/* Translations are kept, or a key such as "cache[x]" would vanish unseen. GLib
 * takes a zero byte for the end of a line. */
GKeyFile *wb_configuration_load_keys(const char *name, const char *text, gsize length,
				     GError **error)
{
	g_autoptr(GKeyFile) keys = g_key_file_new();
	g_autoptr(GError) problem = NULL;

	if (memchr(text, 0, length))
		wb_fail(error, "%s is no configuration file: it holds a zero byte", name);
	else if (!g_key_file_load_from_data(keys, text, length, G_KEY_FILE_KEEP_COMMENTS |
					    G_KEY_FILE_KEEP_TRANSLATIONS, &problem))
		wb_fail(error, "%s is no configuration file: %s", name, problem->message);
	else
		return g_steal_pointer(&keys);
	return NULL;
}

static bool add_text(struct wb_configuration *configuration, const char *path,
		     const char *text, gsize length, GError **error)
{
	GKeyFile *keys = wb_configuration_load_keys(path, text, length, error);
	struct file *file;

	if (!keys)
		return false;
	file = g_new0(struct file, 1);
	file->path = g_strdup(path);
	file->keys = keys;
	file->groups = g_key_file_get_groups(keys, NULL);
	g_ptr_array_add(configuration->files, file);
	return true;
}

static bool add_file(struct wb_configuration *configuration, const char *path,
		     bool must_exist, GError **error)
{
	g_autoptr(GError) problem = NULL;
	g_autofree char *text = NULL;
	gsize length = 0;

	if (g_file_get_contents(path, &text, &length, &problem))
		return add_text(configuration, path, text, length, error);
	if (!must_exist && (g_error_matches(problem, G_FILE_ERROR, G_FILE_ERROR_NOENT) ||
			    g_error_matches(problem, G_FILE_ERROR, G_FILE_ERROR_NOTDIR)))
		return add_text(configuration, path, "", 0, error);
	return wb_fail(error, "cannot read the configuration: %s", problem->message);
}

GPtrArray *wb_configuration_paths(const char *path, enum wb_configuration_scope scope)
{
	GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);
	const char *variable = g_getenv(WB_CONFIGURATION_VARIABLE);

	if (path) {
		g_ptr_array_add(paths, g_strdup(path));
	} else if (variable) {
		if (*variable)
			g_ptr_array_add(paths, g_strdup(variable));
	} else {
		if (scope == WB_CONFIGURATION_ALL || !geteuid())
			g_ptr_array_add(paths, g_strdup(WB_CONFIGURATION_SYSTEM));
		g_ptr_array_add(paths, g_build_filename(g_get_user_config_dir(), USER_FILE,
							NULL));
	}
	return paths;
}

struct wb_configuration *wb_configuration_load(const char *path,
					       enum wb_configuration_scope scope,
					       GError **error)
{
	g_autoptr(GPtrArray) paths = wb_configuration_paths(path, scope);
	struct wb_configuration *configuration = configuration_new();

	for (unsigned i = 0; i < paths->len; i++)
		if (!add_file(configuration, paths->pdata[i], path != NULL, error)) {
			wb_configuration_free(configuration);
			return NULL;
		}
	return configuration;
}

struct wb_configuration *wb_configuration_parse(const char *name, const char *text,
						gsize length, GError **error)
{
	struct wb_configuration *configuration = configuration_new();

	if (add_text(configuration, name, text, length, error))
		return configuration;
	wb_configuration_free(configuration);
	return NULL;
}

/* --- what there is -------------------------------------------------------------------- */

static bool is_same_name(const char *group, const char *mount_point)
{
	g_autofree char *plain = NULL;

	if (!g_path_is_absolute(group))
		return !strcmp(group, mount_point);
	plain = g_canonicalize_filename(group, "/");
	return !strcmp(plain, mount_point);
}

static bool is_same_directory(const char *group, const char *mount_point)
{
	g_autofree char *resolved = g_path_is_absolute(group) ? realpath(group, NULL) : NULL;

	return resolved && !strcmp(resolved, mount_point);
}

const char *wb_configuration_find_group(char *const *groups, const char *mount_point)
{
	for (; *groups; groups++)
		if (is_same_name(*groups, mount_point))
			return *groups;
	return NULL;
}

static bool list_has(const GPtrArray *list, const char *group)
{
	g_autofree char *plain = g_path_is_absolute(group) ?
		g_canonicalize_filename(group, "/") : g_strdup(group);

	for (unsigned i = 0; i < list->len; i++)
		if (is_same_name(list->pdata[i], plain))
			return true;
	return false;
}

GPtrArray *wb_configuration_list(const struct wb_configuration *configuration)
{
	GPtrArray *list = g_ptr_array_new_with_free_func(g_free);

	for (unsigned i = 0; i < configuration->files->len; i++) {
		const struct file *file = configuration->files->pdata[i];

		for (char **group = file->groups; *group; group++)
			if (!list_has(list, *group))
				g_ptr_array_add(list, g_strdup(*group));
	}
	return list;
}

char *wb_configuration_describe(const struct wb_configuration *configuration)
{
	GString *text = g_string_new(NULL);

	for (unsigned i = 0; i < configuration->files->len; i++) {
		const struct file *file = configuration->files->pdata[i];

		g_string_append_printf(text, "%s%s", i ? " and " : "", file->path);
	}
	if (!text->len)
		g_string_append(text, "no file ($" WB_CONFIGURATION_VARIABLE " is empty)");
	return g_string_free(text, FALSE);
}

/* --- an entry --------------------------------------------------------------------------- */

static bool unknown_key(const char *key, GError **error)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new();

	g_ptr_array_add(names, (char *)"options");
	wb_mount_options_add_names(names);
	return wb_usage_unknown(error, "key", "", key, names);
}

static bool set_key(struct wb_options *options, const char *key, const char *value,
		    GError **error)
{
	if (!strcmp(key, "options"))
		return wb_mount_options_parse(options, value, error);
	if (!wb_mount_options_has(key))
		return unknown_key(key, error);
	return wb_mount_options_set(options, key, value, error);
}

/* A relative path would mean another file for each directory that one is in. */
static bool check_absolute(const char *path, GError **error)
{
	return !path || g_path_is_absolute(path) ||
	       wb_usage(error, "an absolute path is needed, not '%s'", path);
}

static bool apply_key(struct wb_options *options, const char *key, const char *value,
		      GError **error)
{
	return set_key(options, key, value, error) &&
	       check_absolute(options->cache_path, error) &&
	       (!options->backing_path || wb_nbd_uri_is(options->backing_path) ||
		check_absolute(options->backing_path, error));
}

static bool apply_one(const struct file *file, const char *group, const char *key,
		      struct wb_options *options, GError **error)
{
	g_autoptr(GError) problem = NULL;
	g_autofree char *value = g_key_file_get_string(file->keys, group, key, &problem);

	/* A value with a wrong escape comes with an error. */
	if (!problem && apply_key(options, key, value, &problem))
		return true;
	return wb_fail(error, "%s, [%s], %s: %s", file->path, group, key, problem->message);
}

/* The keys of their own win over `options`, wherever that stands. */
static bool apply_group(const struct file *file, const char *group,
			struct wb_options *options, GError **error)
{
	g_auto(GStrv) keys = g_key_file_get_keys(file->keys, group, NULL, NULL);

	if (g_key_file_has_key(file->keys, group, "options", NULL) &&
	    !apply_one(file, group, "options", options, error))
		return false;
	for (char **key = keys; *key; key++)
		if (strcmp(*key, "options") && !apply_one(file, group, *key, options, error))
			return false;
	return true;
}

typedef bool group_test(const char *group, const char *mount_point);

static bool apply_matching(const struct wb_configuration *configuration,
			   const char *mount_point, group_test *is_same, bool *found,
			   struct wb_options *options, GError **error)
{
	for (unsigned i = 0; i < configuration->files->len; i++) {
		const struct file *file = configuration->files->pdata[i];

		for (char **group = file->groups; *group; group++) {
			if (!is_same(*group, mount_point))
				continue;
			*found = true;
			if (!apply_group(file, *group, options, error))
				return false;
		}
	}
	return true;
}

/* The names of other groups are looked at as files only when no name fits: one of
 * them may lie on something that hangs. */
bool wb_configuration_apply(const struct wb_configuration *configuration,
			    const char *mount_point, struct wb_options *options,
			    GError **error)
{
	bool found = false;

	return apply_matching(configuration, mount_point, is_same_name, &found, options,
			      error) &&
	       (found || apply_matching(configuration, mount_point, is_same_directory, &found,
					options, error));
}
