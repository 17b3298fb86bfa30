/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/configuration_save.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/configuration.h"
#include "cmd/file_replace.h"
#include "cmd/report.h"

#define NEW_FILE_MODE 0644

char *wb_configuration_save_path(const char *path, GError **error)
{
	g_autoptr(GPtrArray) paths = wb_configuration_paths(path, WB_CONFIGURATION_OWN);

	if (paths->len)
		return g_strdup(paths->pdata[0]);
	wb_fail(error, "there is no configuration file to write: $" WB_CONFIGURATION_VARIABLE
		" is empty");
	return NULL;
}

/* --- text ------------------------------------------------------------------------------ */

static bool check_same_volume(const char *name, GKeyFile *keys, const char *group,
			      const struct wb_configuration_entry *entry, GError **error)
{
	g_autofree char *cache = g_key_file_get_string(keys, group, "cache", NULL);
	g_autofree char *backing = g_key_file_get_string(keys, group, "backing", NULL);

	if (entry->is_forced || ((!cache || !strcmp(cache, entry->cache_path)) &&
				 (!backing || !strcmp(backing, entry->backing_path))))
		return true;
	return wb_fail(error, "%s has an entry [%s] of another volume already: cache %s, "
		       "backing %s. Give another mount point, or --force", name, group,
		       cache ? cache : "none", backing ? backing : "none");
}

/* Not every name can stand in such a file, and GLib does not say so: what it wrote
 * is read again. */
static bool check_readable(const char *name, const char *text,
			   const struct wb_configuration_entry *entry, GError **error)
{
	struct wb_configuration *again =
		wb_configuration_parse(name, text, strlen(text), NULL);
	struct wb_options options;
	g_autoptr(GError) problem = NULL;
	bool ok;

	wb_options_init(&options);
	ok = again && wb_configuration_apply(again, entry->mount_point, &options, &problem) &&
	     !g_strcmp0(options.cache_path, entry->cache_path) &&
	     !g_strcmp0(options.backing_path, entry->backing_path);
	if (problem)
		g_propagate_error(error, g_steal_pointer(&problem));
	else if (!ok)
		wb_fail(error, "an entry [%s] with cache %s and backing %s cannot be written to "
			"%s so that it is read again: one of these names cannot stand in a "
			"configuration file", entry->mount_point, entry->cache_path,
			entry->backing_path, name);
	wb_options_clear(&options);
	wb_configuration_free(again);
	return ok;
}

static void set_volume(GKeyFile *keys, const char *group,
		       const struct wb_configuration_entry *entry)
{
	g_key_file_set_string(keys, group, "cache", entry->cache_path);
	g_key_file_set_string(keys, group, "backing", entry->backing_path);
}

/* Behind the text as it is, to the letter. */
static char *append_group(const char *text, const struct wb_configuration_entry *entry)
{
	g_autoptr(GKeyFile) keys = g_key_file_new();
	g_autofree char *group = NULL;

	set_volume(keys, entry->mount_point, entry);
	group = g_key_file_to_data(keys, NULL, NULL);
	return g_strconcat(text, !*text || g_str_has_suffix(text, "\n") ? "" : "\n",
			   *text ? "\n" : "", group, NULL);
}

char *wb_configuration_with_entry(const char *name, const char *text, gsize length,
				  const struct wb_configuration_entry *entry,
				  GError **error)
{
	g_autoptr(GKeyFile) keys = wb_configuration_load_keys(name, text, length, error);
	g_auto(GStrv) groups = NULL;
	g_autofree char *before = g_strndup(text, length), *result = NULL;
	const char *group;

	if (!keys)
		return NULL;
	groups = g_key_file_get_groups(keys, NULL);
	group = wb_configuration_find_group(groups, entry->mount_point);
	if (!group) {
		result = append_group(before, entry);
	} else {
		if (!check_same_volume(name, keys, group, entry, error))
			return NULL;
		set_volume(keys, group, entry);
		result = g_key_file_to_data(keys, NULL, NULL);
	}
	return check_readable(name, result, entry, error) ? g_steal_pointer(&result) : NULL;
}

/* --- file ------------------------------------------------------------------------------ */

/* The file itself, where it is a link: it would be replaced by a file else. */
static char *resolve(const char *path)
{
	char *resolved = realpath(path, NULL);

	return resolved ? resolved : g_strdup(path);
}

static char *new_text(const char *path, const struct wb_configuration_entry *entry,
		      GError **error)
{
	g_autofree char *text = NULL;
	g_autoptr(GError) problem = NULL;
	gsize length = 0;

	if (!g_file_get_contents(path, &text, &length, &problem) &&
	    !g_error_matches(problem, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
		wb_fail(error, "cannot read the configuration: %s", problem->message);
		return NULL;
	}
	return wb_configuration_with_entry(path, text ? text : "", length, entry, error);
}

static bool is_replaceable(const char *path, GError **error)
{
	struct stat st;

	if (stat(path, &st) || S_ISREG(st.st_mode))
		return true;
	return wb_fail(error, "configuration %s is not a regular file, and cannot be replaced",
		       path);
}

static int open_directory(const char *path, GError **error)
{
	g_autofree char *directory = g_path_get_dirname(path);
	int fd = -1;

	if (g_mkdir_with_parents(directory, 0755) ||
	    (fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0 ||
	    faccessat(fd, ".", W_OK, AT_EACCESS)) {
		wb_fail_errno(error, "cannot write the configuration %s", path);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}

bool wb_configuration_may_save(const char *path, const struct wb_configuration_entry *entry,
			       GError **error)
{
	g_autofree char *file = resolve(path);
	g_autofree char *text = NULL;
	int directory;

	if (!is_replaceable(file, error))
		return false;
	directory = open_directory(file, error);
	if (directory < 0)
		return false;
	close(directory);
	text = new_text(file, entry, error);
	return text != NULL;
}

/* A file of somebody else that root writes goes on being his. */
static bool replace(const char *path, const char *text, GError **error)
{
	struct stat st;
	bool is_old = !stat(path, &st);

	if (!wb_file_replace(path, text, is_old ? st.st_mode & 0777 : NEW_FILE_MODE, error))
		return false;
	return !is_old || geteuid() || !chown(path, st.st_uid, st.st_gid) ||
	       wb_fail_errno(error, "cannot give %s back to its owner", path);
}

/* Two that save at once would both begin with the text of before, and one entry
 * would be lost: one at a time, by a lock on the directory. */
bool wb_configuration_save(const char *path, const struct wb_configuration_entry *entry,
			   GError **error)
{
	g_autofree char *file = resolve(path);
	g_autofree char *text = NULL;
	int directory = open_directory(file, error);
	bool ok = false;

	if (directory < 0)
		return false;
	while (flock(directory, LOCK_EX) && errno == EINTR)
		;
	if (is_replaceable(file, error)) {
		text = new_text(file, entry, error);
		ok = text && replace(file, text, error);
	}
	close(directory);
	return ok;
}
