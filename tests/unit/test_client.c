/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A directory plays the mount; a file of /proc plays one that says EINVAL. */
#include <criterion/criterion.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/client.h"

static char *mount_point, *directory;
static GError *error;

static char *inside(const char *name)
{
	return g_build_filename(directory, name, NULL);
}

static void put(const char *name, const char *text)
{
	g_autofree char *path = inside(name);

	cr_assert(g_file_set_contents(path, text, -1, NULL));
}

static void start(void)
{
	g_autofree char *refusing = NULL;

	mount_point = g_dir_make_tmp("wbfs-client-XXXXXX", NULL);
	directory = g_build_filename(mount_point, ".wbfs", NULL);
	cr_assert_eq(g_mkdir(directory, 0700), 0);
	refusing = inside("refusing");
	cr_assert_eq(symlink("/proc/self/oom_score_adj", refusing), 0);
}

static void stop(void)
{
	static const char *const names[] = { "refusing", "events", "plain" };

	for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *path = inside(names[i]);

		g_remove(path);
	}
	g_rmdir(directory);
	g_rmdir(mount_point);
	g_free(directory);
	g_free(mount_point);
	g_clear_error(&error);
}

TestSuite(client, .init = start, .fini = stop);

static void refuse(const char *name, const char *words)
{
	cr_assert_not(wb_client_write(mount_point, name, "nonsense", &error));
	cr_assert(strstr(error->message, words), "no \"%s\" in: %s", words, error->message);
	g_clear_error(&error);
}

Test(client, reads_and_writes_files_of_a_mount)
{
	g_autofree char *text = NULL;

	put("plain", "");
	cr_assert(wb_client_write(mount_point, "plain", "7", &error));
	text = wb_client_read(mount_point, "plain", &error);
	cr_assert_str_eq(text, "7");
	cr_assert_null(wb_client_read(mount_point, "none", &error));
	cr_assert(strstr(error->message, "/.wbfs/none: No such file"), "%s", error->message);
}

Test(client, says_what_the_daemon_refused_last)
{
	put("events", "2026-09-21T14:13:20.007+00:00 refused the first\n"
		      "2026-09-21T14:13:21.007+00:00 refused 'x' takes y\n"
		      "2026-09-21T14:13:22.007+00:00 note    not refused that one\n");
	refuse("refusing", " does not take it: 'x' takes y");
}

Test(client, says_what_the_kernel_says_when_the_daemon_says_nothing)
{
	refuse("refusing", "/.wbfs/refusing: Invalid argument");
	put("events", "2026-09-21T14:13:22.007+00:00 note    all is well\n");
	refuse("refusing", "/.wbfs/refusing: Invalid argument");
	refuse("none", "/.wbfs/none: No such file");
}
