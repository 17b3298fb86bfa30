/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/mount_helper.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "cmd/commands.h"
#include "cmd/mount_options.h"
#include "cmd/mount_table.h"
#include "cmd/report.h"
#include "cmd/usage.h"

static int mount_exit(int status)
{
	switch ((enum wb_exit)status) {
	case WB_EXIT_DONE:
		return WB_MOUNT_EXIT_DONE;
	case WB_EXIT_USAGE:
		return WB_MOUNT_EXIT_USAGE;
	default:
		return WB_MOUNT_EXIT_FAILED;
	}
}

/* --- mount ------------------------------------------------------------------------------ */

struct words {
	GString *options;	/* of all -o */
	GPtrArray *arguments;
	bool is_fake, is_sloppy;
};

/* As getopt(3) does it, which cannot be called twice by a test: letters in one word,
 * the value behind its letter or in the next word. */
static bool parse_letters(struct words *words, int argc, char *const *argv, int *i,
			  GError **error)
{
	for (const char *letter = argv[*i] + 1; *letter; letter++) {
		const char *value = letter[1] ? letter + 1 : NULL;

		switch (*letter) {
		case 'f': words->is_fake = true; continue;
		case 's': words->is_sloppy = true; continue;
		case 'r': g_string_append(words->options, ",ro"); continue;
		case 'w': g_string_append(words->options, ",rw"); continue;
		case 'n': case 'v': continue;
		case 'o': case 't': break;
		default:
			return wb_usage(error, "mount.wbfs does not know the option -%c", *letter);
		}
		if (!value && *i + 1 >= argc)
			return wb_usage(error, "mount.wbfs: nothing stands behind -%c", *letter);
		if (!value)
			value = argv[++*i];
		if (*letter == 'o')
			g_string_append_printf(words->options, ",%s", value);
		return true;
	}
	return true;
}

static bool parse_words(struct words *words, int argc, char *const *argv, GError **error)
{
	for (int i = 1; i < argc; i++) {
		if (argv[i][0] != '-' || !argv[i][1])
			g_ptr_array_add(words->arguments, argv[i]);
		else if (!parse_letters(words, argc, argv, &i, error))
			return false;
	}
	return words->arguments->len == 2 ||
	       wb_usage(error, "mount.wbfs is called by mount(8), with a source and a directory");
}

/* mount -s: what is not known does not matter. */
static void drop_unknown(GString *options)
{
	g_auto(GStrv) all = g_strsplit(options->str, ",", -1);

	g_string_truncate(options, 0);
	for (unsigned i = 0; all[i]; i++) {
		g_autofree char *name = g_strndup(all[i], strcspn(all[i], "="));

		if (wb_mount_options_has(name))
			g_string_append_printf(options, ",%s", all[i]);
	}
}

static void take_source(struct wb_options *options, const char *source)
{
	bool is_name = !*source || !strcmp(source, "none") || !strcmp(source, "wbfs");

	/* The mount table shows it as it stands in fstab, or `mount -a` would not know
	 * it again and mount it twice. */
	if (*source && !options->fsname)
		options->fsname = g_strdup(source);
	if (is_name)
		return;
	if (!options->backing_path)
		options->backing_path = g_strdup(source);
	else if (!options->cache_path)
		options->cache_path = g_strdup(source);
}

/* mount(8) says "rw" whenever nobody said "ro", and would take back that of the
 * configuration: it counts against a "ro" of this line only. */
static void append_options(struct wb_options *options, const char *text)
{
	g_auto(GStrv) all = g_strsplit(text, ",", -1);

	for (unsigned i = 0; all[i]; i++)
		if (*all[i] && strcmp(all[i], "rw") && strcmp(all[i], "ro"))
			g_string_append_printf(options->mount_options, ",%s", all[i]);
	if (options->read_only)
		g_string_append(options->mount_options, ",ro");
}

static bool set_options(struct wb_options *options, struct words *words, GError **error)
{
	if (words->is_sloppy)
		drop_unknown(words->options);
	if (!wb_mount_options_parse(options, words->options->str, error))
		return false;
	append_options(options, words->options->str);
	take_source(options, words->arguments->pdata[0]);
	options->argument = g_strdup(words->arguments->pdata[1]);
	return true;
}

bool wb_mount_helper_parse(struct wb_options *options, bool *is_fake, int argc,
			   char *const *argv, GError **error)
{
	struct words words = { g_string_new(NULL), g_ptr_array_new(), false, false };
	bool ok;

	wb_options_init(options);
	ok = parse_words(&words, argc, argv, error) && set_options(options, &words, error);
	*is_fake = words.is_fake;
	g_string_free(words.options, TRUE);
	g_ptr_array_unref(words.arguments);
	return ok;
}

static int helper_mount(int argc, char **argv)
{
	g_autoptr(GError) error = NULL;
	int status = WB_EXIT_DONE;
	struct wb_options options;
	bool is_fake;

	/* The daemon is known by this name, however it was begun. */
	prctl(PR_SET_NAME, "wbfs");
	if (!wb_mount_helper_parse(&options, &is_fake, argc, argv, &error)) {
		wb_report(error);
		status = WB_EXIT_USAGE;
	} else if (!is_fake) {
		status = wb_cmd_mount(&options);
	}
	wb_options_clear(&options);
	return mount_exit(status);
}

/* --- umount ----------------------------------------------------------------------------- */

/* Lazily, or by force: what was asked for is done, without the care of a stop. */
static int detach(const char *directory, int flags)
{
	if (!umount2(directory, flags | UMOUNT_NOFOLLOW))
		return WB_MOUNT_EXIT_DONE;
	wb_report_note("cannot unmount %s: %s", directory, g_strerror(errno));
	return WB_MOUNT_EXIT_FAILED;
}

/* umount(8) returns when the volume is stopped: at a shutdown the disks below it are
 * unmounted next. */
static int helper_umount(int argc, char **argv)
{
	const char *directory = NULL;
	struct wb_options options;
	int flags = 0, status;

	for (int i = 1; i < argc; i++) {
		if (argv[i][0] != '-') {
			directory = argv[i];
			continue;
		}
		if (strchr(argv[i], 'l'))
			flags |= MNT_DETACH;
		if (strchr(argv[i], 'f'))
			flags |= MNT_FORCE;
		if (strchr(argv[i], 't'))
			i++;
	}
	if (!directory) {
		wb_report_note("umount.wbfs is called by umount(8), with a directory");
		return WB_MOUNT_EXIT_USAGE;
	}
	if (flags)
		return detach(directory, flags);
	wb_options_init(&options);
	status = wb_umount_one(directory, &options);
	wb_options_clear(&options);
	return mount_exit(status);
}

/* --- names -------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} helpers[] = {
	{ "mount.wbfs", helper_mount },
	{ "mount.fuse.wbfs", helper_mount },
	{ "umount.wbfs", helper_umount },
	{ "umount.fuse.wbfs", helper_umount },
};

bool wb_mount_helper_run(int argc, char **argv, int *status)
{
	g_autofree char *name = argc > 0 ? g_path_get_basename(argv[0]) : NULL;

	for (unsigned i = 0; name && i < G_N_ELEMENTS(helpers); i++)
		if (!strcmp(helpers[i].name, name)) {
			*status = helpers[i].run(argc, argv);
			return true;
		}
	return false;
}
