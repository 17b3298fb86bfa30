/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/configuration.h"
#include "cmd/configuration_save.h"
#include "cmd/mount_request.h"
#include "cmd/report.h"

static struct wb_configuration *configuration;
static struct wb_options options, command_line;
static enum wb_command_id command;
static GError *error;

static void set_up(void)
{
	wb_options_init(&options);
	wb_options_init(&command_line);
}

static void tear_down(void)
{
	wb_configuration_free(configuration);
	wb_options_clear(&options);
	wb_options_clear(&command_line);
	g_clear_error(&error);
}

TestSuite(configuration, .init = set_up, .fini = tear_down);

static void parse(const char *text)
{
	wb_configuration_free(configuration);
	configuration = wb_configuration_parse("file", text, strlen(text), &error);
	cr_assert(configuration, "%s", error ? error->message : "");
}

static void apply(const char *mount_point)
{
	cr_assert(wb_configuration_apply(configuration, mount_point, &options, &error), "%s",
		  error->message);
}

/* The entry of /mnt/wb is refused, and the message says all of this. */
static void refuse(const char *line, const char *word, const char *other)
{
	g_autofree char *text = g_strconcat("[/mnt/wb]\n", line, "\n", NULL);

	parse(text);
	cr_assert_not(wb_configuration_apply(configuration, "/mnt/wb", &options, &error));
	cr_assert(g_str_has_prefix(error->message, "file, [/mnt/wb], "), "%s", error->message);
	cr_assert(strstr(error->message, word), "no \"%s\" in: %s", word, error->message);
	cr_assert(strstr(error->message, other), "no \"%s\" in: %s", other, error->message);
	g_clear_error(&error);
	wb_options_clear(&options);
	wb_options_init(&options);
}

/* --- what is read -------------------------------------------------------------------- */

Test(configuration, an_entry_gives_cache_backing_and_any_mount_option)
{
	parse("# ours\n[/mnt/wb]\ncache = /ssd/cache\nbacking=/hdd/a b\nram_buffer=16M\n"
	      "allow_other=on\nallow_writeback = off\nsync_interval_s=7\nnoatime=on\n"
	      "nodev=off\nauto=off\nfsname=x,y\nx-note=any thing\n");
	apply("/mnt/wb");
	cr_assert_str_eq(options.cache_path, "/ssd/cache");
	cr_assert_str_eq(options.backing_path, "/hdd/a b");
	cr_assert_eq(options.ram_buffer_bytes, 16 << 20);
	cr_assert(options.allow_other && options.no_auto);
	cr_assert_not(options.tunables.allow_writeback);
	cr_assert_eq(options.tunables.sync_interval_s, 7);
	cr_assert_str_eq(options.kernel_options->str, "noatime");
	cr_assert_str_eq(options.fsname, "x,y");
}

Test(configuration, every_tunable_is_a_key)
{
	const struct wb_tunables defaults = WB_TUNABLES_DEFAULT;

	for (unsigned i = 0; i < wb_tunables_count; i++) {
		const struct wb_tunable *tunable = &wb_tunables_table[i];
		GString *text = g_string_new("[/mnt/wb]\n");

		g_string_append_printf(text, "%s=", tunable->name);
		wb_tunable_append(tunable, &defaults, text);
		parse(text->str);
		apply("/mnt/wb");
		g_string_free(text, TRUE);
	}
}

Test(configuration, keys_of_their_own_win_over_options)
{
	parse("[/mnt/wb]\nsync_interval_s=7\noptions=sync_interval_s=9,noatime,noauto\n");
	apply("/mnt/wb");
	cr_assert_eq(options.tunables.sync_interval_s, 7);
	cr_assert_str_eq(options.kernel_options->str, "noatime");
	cr_assert(options.no_auto);
}

Test(configuration, a_mount_point_without_an_entry_changes_nothing)
{
	parse("[/mnt/wb]\ncache=/c\n[/mnt/other]\nnonsense=1\n");
	apply("/mnt/none");
	cr_assert_null(options.cache_path);
	/* and the mistake in another entry is no matter */
	apply("/mnt/wb");
	cr_assert_str_eq(options.cache_path, "/c");
}

Test(configuration, a_group_may_be_written_in_more_than_one_way)
{
	parse("[/mnt//./wb/]\ncache=/c\n[/mnt/x/../wb]\nbacking=/b\n[/mnt/wb]\nfsname=n\n");
	apply("/mnt/wb");
	cr_assert_str_eq(options.cache_path, "/c");
	cr_assert_str_eq(options.backing_path, "/b");
	cr_assert_str_eq(options.fsname, "n");
}

Test(configuration, a_group_may_be_a_link_to_the_mount_point)
{
	g_autofree char *directory = g_dir_make_tmp("wbfs-XXXXXX", NULL);
	g_autofree char *resolved = realpath(directory, NULL);
	g_autofree char *link = g_strconcat(directory, "-link", NULL);
	g_autofree char *text = g_strdup_printf("[%s]\ncache=/c\n", link);

	cr_assert_eq(symlink(directory, link), 0);
	parse(text);
	apply(resolved);
	unlink(link);
	rmdir(directory);
	cr_assert_str_eq(options.cache_path, "/c");
}

Test(configuration, the_list_has_each_mount_point_once_in_order)
{
	g_autoptr(GPtrArray) list = NULL;

	parse("[/mnt/b]\n[/mnt/a]\n[/mnt/b/]\n[odd]\n");
	list = wb_configuration_list(configuration);
	cr_assert_eq(list->len, 3);
	cr_assert_str_eq(list->pdata[0], "/mnt/b");
	cr_assert_str_eq(list->pdata[1], "/mnt/a");
	cr_assert_str_eq(list->pdata[2], "odd");
}

/* --- what is refused ------------------------------------------------------------------ */

Test(configuration, a_wrong_key_or_value_is_named_with_its_place)
{
	refuse("cahce=/c", "cahce: unknown key 'cahce'", "did you mean 'cache'?");
	refuse("sync_intervals=3", "sync_intervals", "'sync_interval_s'");
	refuse("cache=ssd/c", "cache: an absolute path is needed", "'ssd/c'");
	refuse("options=noatime,backing=b", "options: an absolute path", "not 'b'");
	refuse("backing=", "backing: mount option 'backing' needs a value", "backing=PATH");
	refuse("allow_writeback=maybe", "'on' or 'off'", "'maybe'");
	refuse("allow_other=1", "takes 'on' or 'off'", "'1'");
	refuse("sync_interval_s=soon", "a whole number", "'soon'");
	refuse("ram_buffer=much", "a size such as", "'much'");
	refuse("ram_buffer=", "needs a value", "ram_buffer=SIZE");
	refuse("options=noatime,ram_bufer=1M", "options: unknown mount option 'ram_bufer'",
	       "'ram_buffer'");
	refuse("cache[de]=/c", "unknown key 'cache[de]'", "cache");
	refuse("fsname=\\q", "fsname", "cannot be interpreted");
}

Test(configuration, what_is_no_key_file_is_refused_with_its_name)
{
	static const char text[] = "cache=/c\n";

	cr_assert_null(wb_configuration_parse("file", text, strlen(text), &error));
	cr_assert(strstr(error->message, "file is no configuration file: "), "%s",
		  error->message);
	g_clear_error(&error);
	cr_assert_null(wb_configuration_parse("file", "[/a]\n\0", 6, &error));
	cr_assert(strstr(error->message, "it holds a zero byte"), "%s", error->message);
}

/* --- files ------------------------------------------------------------------------------ */

static char *write_file(const char *directory, const char *name, const char *text)
{
	char *path = g_build_filename(directory, name, NULL);

	cr_assert(g_file_set_contents(path, text, -1, NULL));
	return path;
}

Test(configuration, the_users_file_follows_the_systems_and_a_variable_replaces_both)
{
	g_autoptr(GPtrArray) paths = NULL;

	g_unsetenv(WB_CONFIGURATION_VARIABLE);
	g_setenv("XDG_CONFIG_HOME", "/nowhere/config", TRUE);
	paths = wb_configuration_paths(NULL, WB_CONFIGURATION_ALL);
	cr_assert_eq(paths->len, 2);
	cr_assert_str_eq(paths->pdata[0], "/etc/wbfs.conf");
	cr_assert_str_eq(paths->pdata[1], "/nowhere/config/wbfs.conf");
	g_ptr_array_unref(paths);
	g_setenv(WB_CONFIGURATION_VARIABLE, "/a/file", TRUE);
	paths = wb_configuration_paths(NULL, WB_CONFIGURATION_ALL);
	cr_assert_eq(paths->len, 1);
	cr_assert_str_eq(paths->pdata[0], "/a/file");
	g_ptr_array_unref(paths);
	paths = wb_configuration_paths("/of/option", WB_CONFIGURATION_ALL);
	cr_assert_eq(paths->len, 1);
	cr_assert_str_eq(paths->pdata[0], "/of/option");
	g_ptr_array_unref(paths);
	g_setenv(WB_CONFIGURATION_VARIABLE, "", TRUE);
	paths = wb_configuration_paths(NULL, WB_CONFIGURATION_ALL);
	cr_assert_eq(paths->len, 0);
}

Test(configuration, a_file_that_is_asked_for_must_be_there)
{
	g_setenv(WB_CONFIGURATION_VARIABLE, "/nowhere/file", TRUE);
	configuration = wb_configuration_load(NULL, WB_CONFIGURATION_ALL, &error);
	cr_assert(configuration);
	cr_assert_null(wb_configuration_load("/nowhere/file", WB_CONFIGURATION_ALL, &error));
	cr_assert(strstr(error->message, "cannot read the configuration"), "%s", error->message);
	cr_assert(strstr(error->message, "/nowhere/file"), "%s", error->message);
}

/* --- the command line over it --------------------------------------------------------------- */

static void parse_command_line(char *const *argv, int count)
{
	wb_options_clear(&command_line);
	cr_assert(wb_options_parse(&command_line, &command, count, argv, &error), "%s",
		  error ? error->message : "");
}

#define ARGS(...) (char *const[]){ "wbfs", __VA_ARGS__, NULL }, \
	G_N_ELEMENTS(((const char *[]){ "wbfs", __VA_ARGS__ }))

Test(configuration, the_command_line_wins_over_it)
{
	parse("[/mnt/wb]\ncache=/c\nbacking=/b\nsync_interval_s=7\nallow_other=on\nnoatime=on\n");
	parse_command_line(ARGS("mount", "--cache", "/other", "-o", "allow_other=off,nodev", "m"));
	wb_options_clear(&options);
	cr_assert(wb_mount_request_make(&options, &command_line, configuration, "/mnt/wb", &error));
	cr_assert_str_eq(options.argument, "/mnt/wb");
	cr_assert_str_eq(options.cache_path, "/other");
	cr_assert_str_eq(options.backing_path, "/b");
	cr_assert_eq(options.tunables.sync_interval_s, 7);
	cr_assert_not(options.allow_other);
	cr_assert_str_eq(options.kernel_options->str, "noatime,nodev");
}

Test(configuration, without_a_cache_its_cache_does_not_count)
{
	parse("[/mnt/wb]\ncache=/c\nbacking=/b\n");
	parse_command_line(ARGS("mount", "--without-cache", "--force", "m"));
	wb_options_clear(&options);
	cr_assert(wb_mount_request_make(&options, &command_line, configuration, "/mnt/wb", &error));
	cr_assert_null(options.cache_path);
	cr_assert(options.without_cache && options.force);
}

static void lack(const char *text, char *const *argv, int count, const char *words)
{
	parse(text);
	parse_command_line(argv, count);
	wb_options_clear(&options);
	cr_assert_not(wb_mount_request_make(&options, &command_line, configuration, "/mnt/wb",
					    &error));
	cr_assert(g_error_matches(error, WB_OPTIONS_ERROR, WB_OPTIONS_ERROR_USAGE));
	cr_assert(strstr(error->message, words), "no \"%s\" in: %s", words, error->message);
	g_clear_error(&error);
}

Test(configuration, what_is_named_nowhere_is_asked_for)
{
	lack("", ARGS("mount", "m"), "needs --cache PATH and --backing PATH, or an entry "
	     "[/mnt/wb] with 'cache' and 'backing' in the configuration (file)");
	lack("[/mnt/wb]\ncache=/c\n", ARGS("mount", "m"), "needs --backing PATH, or an entry "
	     "[/mnt/wb] with 'backing'");
	lack("", ARGS("mount", "--backing", "b", "m"), "needs --cache PATH, or an entry "
	     "[/mnt/wb] with 'cache'");
	lack("", ARGS("mount", "--without-cache", "m"), "needs --backing PATH, or");
}

/* --- what is saved ------------------------------------------------------------------------- */

static const struct wb_configuration_entry entry = { "/mnt/wb", "/ssd/c", "/hdd/b", false };
static const struct wb_configuration_entry forced = { "/mnt/wb", "/ssd/c", "/hdd/b", true };

static void save(const char *text, const struct wb_configuration_entry *saved,
		 const char *expected)
{
	g_autofree char *result =
		wb_configuration_with_entry("file", text, strlen(text), saved, &error);

	cr_assert(result, "%s", error ? error->message : "");
	cr_assert_str_eq(result, expected);
}

static void refuse_save(const char *text, const struct wb_configuration_entry *saved,
			const char *words)
{
	cr_assert_null(wb_configuration_with_entry("file", text, strlen(text), saved, &error));
	cr_assert(strstr(error->message, words), "no \"%s\" in: %s", words, error->message);
	g_clear_error(&error);
}

Test(configuration, an_entry_is_added_behind_what_is_there)
{
	save("", &entry, "[/mnt/wb]\ncache=/ssd/c\nbacking=/hdd/b\n");
	save("# all volumes\n\n# the first\n[/mnt/a]\n# its cache\ncache=/ssd/a\n\nauto=off\n",
	     &entry,
	     "# all volumes\n\n# the first\n[/mnt/a]\n# its cache\ncache=/ssd/a\n\nauto=off\n\n"
	     "[/mnt/wb]\ncache=/ssd/c\nbacking=/hdd/b\n");
}

Test(configuration, an_entry_of_the_same_volume_keeps_its_other_keys)
{
	save("[/mnt/wb/]\n# fast\ncache=/ssd/c\nsync_interval_s=7\n[/mnt/z]\ncache=/z\n", &entry,
	     "[/mnt/wb/]\n# fast\ncache=/ssd/c\nsync_interval_s=7\nbacking=/hdd/b\n\n"
	     "[/mnt/z]\ncache=/z\n");
}

Test(configuration, an_entry_of_another_volume_is_replaced_only_if_forced)
{
	refuse_save("[/mnt/wb]\ncache=/ssd/other\nbacking=/hdd/b\n", &entry,
		    "file has an entry [/mnt/wb] of another volume already: cache /ssd/other, "
		    "backing /hdd/b");
	refuse_save("[/mnt/wb]\nbacking=/hdd/other\n", &entry, "cache none");
	save("[/mnt/wb]\ncache=/ssd/other\nauto=off\nbacking=/hdd/b\n", &forced,
	     "[/mnt/wb]\ncache=/ssd/c\nauto=off\nbacking=/hdd/b\n");
}

Test(configuration, a_name_that_cannot_be_read_again_is_not_saved)
{
	static const struct wb_configuration_entry brackets = { "/mnt/a[1]", "/c", "/b", false };
	static const struct wb_configuration_entry odd = { "/mnt/wb", "/c", "/b\xff", false };
	static const struct wb_configuration_entry blanks = { "/mnt/wb", " /c\n", "/b;\\", false };

	refuse_save("", &brackets, "cannot stand in a configuration file");
	refuse_save("", &odd, "file, [/mnt/wb], backing: ");
	refuse_save("[/mnt/wb]\nnonsense=1\n", &entry, "file, [/mnt/wb], nonsense: unknown key");
	refuse_save("[/mnt/wb\n", &entry, "file is no configuration file");
	refuse_save("", &blanks, "an absolute path is needed");
}

Test(configuration, a_file_is_replaced_as_a_whole_through_a_link_with_its_mode)
{
	g_autofree char *directory = g_dir_make_tmp("wbfs-XXXXXX", NULL);
	g_autofree char *real = write_file(directory, "real", "# mine\n[/mnt/a]\ncache=/a\n");
	g_autofree char *link = g_build_filename(directory, "link", NULL);
	g_autofree char *text = NULL;
	struct stat st;

	cr_assert_eq(symlink("real", link), 0);
	cr_assert_eq(chmod(real, 0640), 0);
	cr_assert(wb_configuration_may_save(link, &entry, &error));
	cr_assert(wb_configuration_save(link, &entry, &error), "%s", error ? error->message : "");
	cr_assert(!lstat(link, &st) && S_ISLNK(st.st_mode));
	cr_assert(!stat(real, &st) && (st.st_mode & 0777) == 0640);
	cr_assert(g_file_get_contents(real, &text, NULL, NULL));
	cr_assert_str_eq(text, "# mine\n[/mnt/a]\ncache=/a\n\n[/mnt/wb]\ncache=/ssd/c\n"
			 "backing=/hdd/b\n");
	unlink(link);
	unlink(real);
	cr_assert_eq(rmdir(directory), 0, "something is left there");
}

Test(configuration, what_cannot_be_written_is_said_before)
{
	cr_assert_not(wb_configuration_may_save("/dev/null", &entry, &error));
	cr_assert(strstr(error->message, "/dev/null is not a regular file"), "%s", error->message);
	g_clear_error(&error);
	cr_assert_not(wb_configuration_may_save("/proc/nowhere/file", &entry, &error));
	cr_assert(strstr(error->message, "cannot write the configuration /proc/nowhere/file"), "%s",
		  error->message);
	g_clear_error(&error);
	g_setenv(WB_CONFIGURATION_VARIABLE, "", TRUE);
	cr_assert_null(wb_configuration_save_path(NULL, &error));
	cr_assert(strstr(error->message, "no configuration file to write"), "%s", error->message);
}
