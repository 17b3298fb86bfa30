/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>
#include <string.h>

#include "cmd/mount_options.h"
#include "cmd/options.h"

#define ARGS(...) (char *const[]){ "wbfs", __VA_ARGS__, NULL }

static struct wb_options options;
static enum wb_command_id command;
static GError *error;

static int count(char *const *argv)
{
	int n = 0;

	while (argv[n])
		n++;
	return n;
}

static void tear_down(void)
{
	wb_options_clear(&options);
	g_clear_error(&error);
}

TestSuite(options, .fini = tear_down);

static void take(char *const *argv)
{
	bool ok = wb_options_parse(&options, &command, count(argv), argv, &error);

	cr_assert(ok, "%s", ok ? "" : error->message);
}

/* Refused with all these words in the message. */
static void refuse(char *const *argv, const char *word, const char *other)
{
	cr_assert_not(wb_options_parse(&options, &command, count(argv), argv, &error));
	cr_assert(g_error_matches(error, WB_OPTIONS_ERROR, WB_OPTIONS_ERROR_USAGE));
	cr_assert(strstr(error->message, word), "no \"%s\" in: %s", word, error->message);
	cr_assert(strstr(error->message, other), "no \"%s\" in: %s", other, error->message);
}

Test(options, of_format_may_come_in_any_order_and_both_spellings)
{
	take(ARGS("format", "--size=1T", "--backing", "b", "--cache=c", "--cache-size", "2G",
		  "--segment-size", "64K", "--no-zero", "--force"));
	cr_assert_eq(command, WB_COMMAND_FORMAT);
	cr_assert_str_eq(options.cache_path, "c");
	cr_assert_str_eq(options.backing_path, "b");
	cr_assert_eq(options.size_bytes, UINT64_C(1) << 40);
	cr_assert_eq(options.cache_size_bytes, UINT64_C(2) << 30);
	cr_assert_eq(options.segment_size_bytes, 64 << 10);
	cr_assert(options.no_zero && options.force);
}

Test(options, of_mount_give_tunables_and_hand_kernel_words_on)
{
	take(ARGS("mount", "--cache", "c", "--backing", "b", "-f", "-o",
		  "ram_buffer=16M,noatime,allow_writeback=off", "-osync_interval_s=7,nodev,rw",
		  "/mnt"));
	cr_assert_eq(command, WB_COMMAND_MOUNT);
	cr_assert_eq(options.ram_buffer_bytes, 16 << 20);
	cr_assert_not(options.tunables.allow_writeback);
	cr_assert_eq(options.tunables.sync_interval_s, 7);
	cr_assert_str_eq(options.kernel_options->str, "noatime,nodev");
	cr_assert(options.foreground);
	cr_assert_not(options.allow_other);
	cr_assert_str_eq(options.argument, "/mnt");
}

Test(options, defaults_are_those_of_the_tunables)
{
	struct wb_tunables defaults = WB_TUNABLES_DEFAULT;

	take(ARGS("mount", "--cache", "c", "--backing", "b", "m"));
	cr_assert_eq(options.tunables.allow_writeback, defaults.allow_writeback);
	cr_assert_eq(options.tunables.sync_interval_s, defaults.sync_interval_s);
	cr_assert_eq(options.ram_buffer_bytes, 0);
}

Test(options, a_word_behind_two_dashes_is_an_argument)
{
	take(ARGS("umount", "--", "-f"));
	cr_assert_str_eq(options.argument, "-f");
}

Test(options, a_command_that_is_nearly_right_is_named)
{
	refuse(ARGS("moutn"), "'moutn'", "did you mean 'mount'?");
}

Test(options, a_command_that_is_far_off_gets_no_guess)
{
	cr_assert_not(wb_options_parse(&options, &command, 2, ARGS("frobnicate"), &error));
	cr_assert_not(strstr(error->message, "did you mean"));
}

Test(options, an_option_that_is_nearly_right_is_named)
{
	refuse(ARGS("status", "--jsno"), "'--jsno'", "'--json'");
}

Test(options, an_option_of_another_command_is_refused)
{
	refuse(ARGS("mount", "--cache", "c", "--backing", "b", "--no-zero", "m"), "--no-zero",
	       "unknown");
}

Test(options, a_mount_option_that_is_nearly_right_is_named)
{
	refuse(ARGS("mount", "--cache", "c", "--backing", "b", "-o", "ram_bufer=1M", "m"),
	       "'ram_bufer'", "'ram_buffer'");
}

Test(options, of_ro_and_rw_the_last_one_counts)
{
	take(ARGS("mount", "--cache", "c", "--backing", "b", "-o", "rw,ro", "m"));
	cr_assert(options.read_only);
	wb_options_clear(&options);
	take(ARGS("mount", "--cache", "c", "--backing", "b", "-o", "ro,noatime,rw", "m"));
	cr_assert_not(options.read_only);
	cr_assert_str_eq(options.kernel_options->str, "noatime");
}

/* Newer versions of libfuse refuse "atime", which is what there is without noatime. */
Test(options, atime_takes_noatime_back)
{
	take(ARGS("mount", "--cache", "c", "--backing", "b", "-o", "nodev,noatime,nosuid,atime", "m"));
	cr_assert_str_eq(options.kernel_options->str, "nodev,nosuid");
	wb_options_clear(&options);
}

Test(options, ro_and_the_forced_way_to_write_without_a_cache_contradict_each_other)
{
	refuse(ARGS("mount", "--without-cache", "--force", "--backing", "b", "-o", "ro", "m"),
	       "for reading only", "--force");
}

Test(options, a_missing_value_is_asked_for)
{
	refuse(ARGS("format", "--backing", "b", "--cache"), "--cache", "PATH");
}

Test(options, a_missing_option_is_asked_for)
{
	refuse(ARGS("format", "--backing", "b"), "--cache", "needs");
}

Test(options, mount_takes_either_a_cache_or_none)
{
	take(ARGS("mount", "--without-cache", "--backing", "b", "m"));
	cr_assert(options.without_cache);
	cr_assert_not(options.force);
	wb_options_clear(&options);
	take(ARGS("mount", "--without-cache", "--force", "--backing", "b", "m"));
	cr_assert(options.force);
	wb_options_clear(&options);
}

Test(options, what_mount_lacks_may_stand_in_the_configuration)
{
	take(ARGS("mount", "/mnt/wb", "-o", "noatime", "-ofsname=a"));
	cr_assert_null(options.cache_path);
	cr_assert_str_eq(options.mount_options->str, "noatime,fsname=a");
}

Test(options, all_stands_in_place_of_a_mount_point)
{
	take(ARGS("mount", "--all", "-o", "noatime"));
	cr_assert(options.all);
	tear_down();
	take(ARGS("umount", "-a"));
	tear_down();
	refuse(ARGS("umount", "--all", "m"), "takes either a MOUNTPOINT or --all", "umount");
	tear_down();
	refuse(ARGS("mount", "--all", "--cache", "c"), "--all", "from the configuration");
	tear_down();
	refuse(ARGS("mount", "--all", "-f"), "--all", "background");
	tear_down();
	refuse(ARGS("drain", "--all"), "unknown option", "--all");
}

Test(options, mount_with_and_without_a_cache_at_once_is_refused)
{
	refuse(ARGS("mount", "--cache", "c", "--without-cache", "--backing", "b", "m"), "--cache",
	       "either");
}

Test(options, words_of_fstab_and_comments_are_taken)
{
	take(ARGS("mount", "m", "-o", "rw,_netdev,nofail,noauto,user,x-systemd.automount,"
		  "x-gvfs-name=a,X-mount.mkdir"));
	cr_assert_str_eq(options.kernel_options->str, "");
	cr_assert(options.no_auto);
	tear_down();
	take(ARGS("mount", "m", "-o", "noauto,auto"));
	cr_assert_not(options.no_auto);
}

Test(options, a_new_size_may_be_so_much_more_but_only_of_what_there_is)
{
	take(ARGS("resize", "m", "--size", "20G"));
	cr_assert_eq(options.size_bytes, UINT64_C(20) << 30);
	cr_assert_not(options.size_is_added);
	tear_down();
	take(ARGS("resize", "--size=+512", "m"));
	cr_assert_eq(options.size_bytes, 512);
	cr_assert(options.size_is_added);
	tear_down();
	refuse(ARGS("resize", "m", "--size", "++1G"), "--size", "'+1G'");
	tear_down();
	refuse(ARGS("resize", "m", "--size", "+"), "--size", "takes a size");
	tear_down();
	refuse(ARGS("format", "--cache", "c", "--backing", "b", "--size", "+1G"), "--size",
	       "'+1G'");
	tear_down();
	refuse(ARGS("resize", "m"), "needs --size SIZE", "resize");
	tear_down();
	take(ARGS("resize", "c", "--cache-size", "+1G"));
	cr_assert(options.size_is_added);
	cr_assert_eq(options.cache_size_bytes, 1 << 30);
	tear_down();
	take(ARGS("resize", "c", "--to", "d", "--force", "--no-zero"));
	cr_assert_str_eq(options.to_path, "d");
	tear_down();
	refuse(ARGS("resize", "c", "--to", "d", "--cache-size", "+1G"), "the whole size", "--to");
	tear_down();
	refuse(ARGS("resize", "c", "--size", "1G", "--to", "d"), "either --size", "--cache-size");
}

Test(options, a_missing_argument_is_asked_for)
{
	refuse(ARGS("drain"), "drain", "MOUNTPOINT");
}

Test(options, an_argument_too_many_is_refused)
{
	refuse(ARGS("check", "a", "b"), "'b'", "check");
}

Test(options, a_flag_takes_no_value)
{
	refuse(ARGS("status", "--json=yes"), "--json", "no value");
}

Test(options, a_size_that_is_no_multiple_of_512_is_refused)
{
	refuse(ARGS("format", "--cache", "c", "--backing", "b", "--size", "1000"), "--size",
	       "512");
}

Test(options, numbers_and_switches_of_mount_are_checked)
{
	refuse(ARGS("mount", "-o", "allow_writeback=maybe", "m"), "allow_writeback", "'off'");
	tear_down();
	refuse(ARGS("mount", "-o", "sync_interval_s=-1", "m"), "sync_interval_s", "'-1'");
	tear_down();
	refuse(ARGS("mount", "-o", "sync_interval_s", "m"), "sync_interval_s", "SECONDS");
	tear_down();
	refuse(ARGS("mount", "-o", "allow_other=1", "m"), "allow_other", "takes 'on' or 'off'");
}

Test(options, a_word_of_mount_can_be_taken_back)
{
	take(ARGS("mount", "m", "-o", "allow_other,noatime=off,nodev=on,allow_other=off"));
	cr_assert_not(options.allow_other);
	cr_assert_str_eq(options.kernel_options->str, "nodev");
}

/* As a keeper's next worker gets them. */
Test(options, what_was_given_for_a_mount_can_be_saved_and_read_again)
{
	g_autoptr(GString) text = g_string_new(NULL), again = g_string_new(NULL);
	struct wb_options copy;

	take(ARGS("mount", "--cache", "/c", "--backing", "/b", "-o",
	      "ro,nodev,noexec,allow_other,ram_buffer=8M,fsname=a name,writeback_threshold=33,"
	      "cache_mode=writethrough,allow_writeback=off,keeper", "/mnt/a"));
	wb_mount_options_save(&options, text);
	wb_options_init(&copy);
	for (const char *word = text->str; word < text->str + text->len; word += strlen(word) + 1) {
		g_autofree char *name = g_strdup(word);
		char *value = strchr(name, '=');

		*value++ = '\0';
		cr_assert(wb_mount_options_set(&copy, name, value, NULL), "%s", word);
	}
	cr_expect(copy.read_only && copy.allow_other && copy.keeper && !copy.io_uring);
	cr_expect_eq(copy.ram_buffer_bytes, 8u << 20);
	cr_expect_str_eq(copy.fsname, "a name");
	cr_expect_str_eq(copy.kernel_options->str, "nodev,noexec");
	cr_expect_eq(copy.tunables.writeback_threshold, 33);
	wb_mount_options_save(&copy, again);
	cr_expect_eq(again->len, text->len);
	cr_expect_not(memcmp(again->str, text->str, text->len));
	wb_options_clear(&copy);
}

Test(options, version_and_help_stand_in_place_of_a_command)
{
	take(ARGS("--version"));
	cr_assert_eq(command, WB_COMMAND_HELP);
	cr_assert_str_eq(options.argument, "--version");
	tear_down();
	take(ARGS("--help"));
	cr_assert_eq(command, WB_COMMAND_HELP);
	cr_assert_null(options.argument);
	tear_down();
	take(ARGS("mount", "--help"));
	cr_assert_eq(command, WB_COMMAND_MOUNT);
	cr_assert(options.help);
}

Test(options, help_names_every_command_and_every_option_of_it)
{
	char *text = wb_options_help_all();

	for (unsigned i = 0; i < WB_COMMAND_COUNT; i++)
		cr_assert(strstr(text, wb_options_command(i)->name));
	g_free(text);
	text = wb_options_help_command(WB_COMMAND_FORMAT);
	cr_assert(strstr(text, "--cache PATH --backing PATH [--cache-size SIZE]"), "%s", text);
	cr_assert(strstr(text, "[--segment-size SIZE] [--no-zero] [--force]"), "%s", text);
	g_free(text);
	text = wb_options_help_command(WB_COMMAND_MOUNT);
	cr_assert(strstr(text, "[-f] [-o OPTIONS] MOUNTPOINT|--all"), "%s", text);
	cr_assert(strstr(text, "ram_buffer=SIZE"), "%s", text);
	g_free(text);
}

Test(options, of_set_may_be_any_number_of_values)
{
	take(ARGS("set", "/mnt/wb", "a=1", "b=2"));
	cr_assert_eq(command, WB_COMMAND_SET);
	cr_assert_str_eq(options.argument, "/mnt/wb");
	cr_assert_eq(options.more->len, 2);
	cr_assert_str_eq(options.more->pdata[0], "a=1");
	cr_assert_str_eq(options.more->pdata[1], "b=2");
}

Test(options, of_set_may_name_no_value_but_a_mount_point)
{
	take(ARGS("set", "/mnt/wb"));
	cr_assert_eq(options.more->len, 0);
	wb_options_clear(&options);
	refuse(ARGS("set"), "'wbfs set' needs a", "MOUNTPOINT");
}

Test(options, only_set_takes_more_than_one_word)
{
	refuse(ARGS("flush", "/mnt/wb", "a=1"), "does not know what to do with", "'a=1'");
}

Test(options, an_interval_may_stand_behind_the_option_or_not_at_all)
{
	take(ARGS("status", "--watch", "/mnt/wb"));
	cr_assert_eq(options.watch_s, 2);
	cr_assert_str_eq(options.argument, "/mnt/wb", "the next word is none of it");
	wb_options_clear(&options);
	take(ARGS("status", "--watch=7", "--table"));
	cr_assert_eq(options.watch_s, 7);
	cr_assert(options.table);
	wb_options_clear(&options);
	refuse(ARGS("status", "--watch=0"), "option '--watch' takes seconds from 1 to", "'0'");
	wb_options_clear(&options);
	g_clear_error(&error);
	refuse(ARGS("status", "--watch="), "takes seconds", "''");
}
