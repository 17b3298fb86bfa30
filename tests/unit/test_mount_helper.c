/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>
#include <string.h>

#include "cmd/configuration.h"
#include "cmd/mount_helper.h"
#include "cmd/mount_request.h"

static struct wb_options options;
static bool is_fake;
static GError *error;

static void tear_down(void)
{
	wb_options_clear(&options);
	g_clear_error(&error);
}

TestSuite(mount_helper, .fini = tear_down);

#define ARGS(...) G_N_ELEMENTS(((const char *[]){ "mount.wbfs", __VA_ARGS__ })), \
	(char *const[]){ "mount.wbfs", __VA_ARGS__, NULL }

static void take(int argc, char *const *argv)
{
	cr_assert(wb_mount_helper_parse(&options, &is_fake, argc, argv, &error), "%s",
		  error ? error->message : "");
}

static void refuse(int argc, char *const *argv, const char *words)
{
	cr_assert_not(wb_mount_helper_parse(&options, &is_fake, argc, argv, &error));
	cr_assert(g_error_matches(error, WB_OPTIONS_ERROR, WB_OPTIONS_ERROR_USAGE));
	cr_assert(strstr(error->message, words), "no \"%s\" in: %s", words, error->message);
	tear_down();
}

Test(mount_helper, the_source_of_an_fstab_line_is_the_backing)
{
	take(ARGS("/hdd/image", "/mnt/wb", "-o", "rw,cache=/ssd/cache,noatime,_netdev"));
	cr_assert_str_eq(options.backing_path, "/hdd/image");
	cr_assert_str_eq(options.cache_path, "/ssd/cache");
	cr_assert_str_eq(options.argument, "/mnt/wb");
	cr_assert_str_eq(options.fsname, "/hdd/image");
	cr_assert_str_eq(options.kernel_options->str, "noatime");
	cr_assert_not(options.read_only || is_fake);
}

Test(mount_helper, the_source_is_the_cache_when_the_backing_is_an_option)
{
	take(ARGS("/ssd/cache", "/mnt/wb", "-o", "backing=/hdd/image"));
	cr_assert_str_eq(options.cache_path, "/ssd/cache");
	cr_assert_str_eq(options.backing_path, "/hdd/image");
}

Test(mount_helper, the_source_is_a_name_when_both_are_options_or_neither_is_to_be_given)
{
	take(ARGS("vm", "/mnt/wb", "-ocache=/c", "-o", "backing=/b"));
	cr_assert_str_eq(options.cache_path, "/c");
	cr_assert_str_eq(options.backing_path, "/b");
	cr_assert_str_eq(options.fsname, "vm");
	tear_down();
	take(ARGS("none", "/mnt/wb"));
	cr_assert_null(options.cache_path);
	cr_assert_null(options.backing_path);
	cr_assert_str_eq(options.fsname, "none");
	tear_down();
	take(ARGS("wbfs", "/mnt/wb", "-o", "fsname=x"));
	cr_assert_null(options.backing_path);
	cr_assert_str_eq(options.fsname, "x");
}

Test(mount_helper, letters_may_stand_together_and_behind_the_arguments)
{
	take(ARGS("-nvf", "b", "-r", "m", "-t", "wbfs", "-ofsname=x"));
	cr_assert(is_fake && options.read_only);
	cr_assert_str_eq(options.argument, "m");
	tear_down();
	take(ARGS("b", "m", "-rw"));
	cr_assert_not(options.read_only);
}

static bool is_read_only_with(const char *entry)
{
	struct wb_configuration *configuration =
		wb_configuration_parse("conf", entry, strlen(entry), &error);
	struct wb_options request;
	bool is_read_only;

	cr_assert(configuration && wb_mount_request_make(&request, &options, configuration, "/m",
							 &error), "%s", error ? error->message : "");
	is_read_only = request.read_only;
	wb_options_clear(&request);
	wb_configuration_free(configuration);
	tear_down();
	return is_read_only;
}

Test(mount_helper, the_rw_that_mount_always_says_leaves_the_ro_of_the_configuration)
{
	static const char plain[] = "[/m]\ncache=/c\nbacking=/b\n";
	static const char ro[] = "[/m]\ncache=/c\nbacking=/b\nro=on\n";

	take(ARGS("none", "/m", "-o", "rw"));
	cr_assert(is_read_only_with(ro));
	take(ARGS("none", "/m", "-o", "rw,noatime"));
	cr_assert_not(is_read_only_with(plain));
	take(ARGS("none", "/m", "-o", "rw,ro"));
	cr_assert(is_read_only_with(plain));
	take(ARGS("none", "/m", "-o", "ro,rw"));
	cr_assert_not(is_read_only_with(plain));
	take(ARGS("none", "/m", "-o", "rw,ro=off"));
	cr_assert_not(is_read_only_with(ro));
}

Test(mount_helper, a_sloppy_mount_drops_what_it_does_not_know)
{
	refuse(ARGS("b", "m", "-o", "cache=/c,nonsense=1,ro"), "unknown mount option 'nonsense'");
	take(ARGS("b", "m", "-s", "-o", "cache=/c,nonsense=1,ro"));
	cr_assert_str_eq(options.cache_path, "/c");
	cr_assert(options.read_only);
	cr_assert_null(strstr(options.mount_options->str, "nonsense"));
}

Test(mount_helper, what_mount_does_not_say_is_refused)
{
	refuse(ARGS("b"), "with a source and a directory");
	refuse(ARGS("b", "m", "x"), "with a source and a directory");
	refuse(ARGS("b", "m", "-o"), "nothing stands behind -o");
	refuse(ARGS("b", "m", "-Z"), "does not know the option -Z");
}
