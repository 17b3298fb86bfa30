/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/mount_options.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "cmd/usage.h"

enum mount_option_type {
	MOUNT_FLAG, MOUNT_FLAG_OFF, MOUNT_SIZE, MOUNT_TEXT,
	MOUNT_KERNEL,		/* handed on to the kernel */
	MOUNT_ATIME,		/* takes back noatime: newer libfuse refuses the word */
	MOUNT_IGNORED,		/* words of /etc/fstab that say nothing here */
};

struct mount_option {
	const char *name;
	enum mount_option_type type;
	size_t offset;
	const char *argument;
	const char *summary;	/* NULL = no line of its own in the help */
};

/* Besides the tunables, which are mount options too. */
static const struct mount_option table[] = {
	{ "cache", MOUNT_TEXT, offsetof(struct wb_options, cache_path), "PATH",
	  "the cache, as --cache: for fstab and the configuration" },
	{ "backing", MOUNT_TEXT, offsetof(struct wb_options, backing_path), "PATH",
	  "the backing, likewise" },
	{ "ram_buffer", MOUNT_SIZE, offsetof(struct wb_options, ram_buffer_bytes), "SIZE",
	  "memory for data on its way to the cache (64M)" },
	{ "allow_other", MOUNT_FLAG, offsetof(struct wb_options, allow_other), NULL,
	  "let other users in, as far as the file modes allow" },
	{ "io_uring", MOUNT_FLAG, offsetof(struct wb_options, io_uring), NULL,
	  "FUSE over io_uring, where the kernel offers it" },
	{ "keeper", MOUNT_FLAG, offsetof(struct wb_options, keeper), NULL,
	  "a process beside the daemon, that starts it again should it die" },
	{ "ro", MOUNT_FLAG, offsetof(struct wb_options, read_only), NULL,
	  "change nothing on either disk; the image can be read only" },
	{ "rw", MOUNT_FLAG_OFF, offsetof(struct wb_options, read_only), NULL, NULL },
	{ "fsname", MOUNT_TEXT, offsetof(struct wb_options, fsname), "NAME",
	  "source shown in the mount table (the backing)" },
	{ "nodev", MOUNT_KERNEL, 0, NULL, NULL },
	{ "nosuid", MOUNT_KERNEL, 0, NULL, NULL },
	{ "noexec", MOUNT_KERNEL, 0, NULL, NULL },
	{ "noatime", MOUNT_KERNEL, 0, NULL, NULL },
	{ "dev", MOUNT_KERNEL, 0, NULL, NULL },
	{ "suid", MOUNT_KERNEL, 0, NULL, NULL },
	{ "exec", MOUNT_KERNEL, 0, NULL, NULL },
	{ "atime", MOUNT_ATIME, 0, NULL, NULL },
	{ "defaults", MOUNT_IGNORED, 0, NULL, NULL },
	{ "_netdev", MOUNT_IGNORED, 0, NULL, NULL },
	{ "nofail", MOUNT_IGNORED, 0, NULL, NULL },
	{ "auto", MOUNT_FLAG_OFF, offsetof(struct wb_options, no_auto), NULL, NULL },
	{ "noauto", MOUNT_FLAG, offsetof(struct wb_options, no_auto), NULL, NULL },
	{ "user", MOUNT_IGNORED, 0, NULL, NULL },
	{ "nouser", MOUNT_IGNORED, 0, NULL, NULL },
	{ "users", MOUNT_IGNORED, 0, NULL, NULL },
	{ "owner", MOUNT_IGNORED, 0, NULL, NULL },
	{ "group", MOUNT_IGNORED, 0, NULL, NULL },
	{ "relatime", MOUNT_IGNORED, 0, NULL, NULL },
	{ "async", MOUNT_IGNORED, 0, NULL, NULL },
};

/* For others who read the same line, such as systemd: fstab(5). */
static bool is_comment(const char *name)
{
	return g_str_has_prefix(name, "x-") || g_str_has_prefix(name, "X-");
}

static const struct mount_option *find_mount_option(const char *name)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(table); i++)
		if (!strcmp(table[i].name, name))
			return &table[i];
	return NULL;
}

void wb_mount_options_add_names(GPtrArray *names)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(table); i++)
		g_ptr_array_add(names, (char *)table[i].name);
	for (unsigned i = 0; i < wb_tunables_count; i++)
		g_ptr_array_add(names, (char *)wb_tunables_table[i].name);
}

bool wb_mount_options_has(const char *name)
{
	return is_comment(name) || wb_tunable_find(name) || find_mount_option(name);
}

static bool unknown_mount_option(const char *name, GError **error)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new();

	wb_mount_options_add_names(names);
	return wb_usage_unknown(error, "mount option", "", name, names);
}

/* A word without a value, or with one of these two. */
static bool parse_switch(const char *name, const char *value, bool *is_on, GError **error)
{
	*is_on = !value || !strcmp(value, "on");
	return *is_on || !strcmp(value, "off") ||
	       wb_usage(error, "mount option '%s' takes 'on' or 'off', not '%s'", name, value);
}

static void take_back(GString *words, const char *word)
{
	g_auto(GStrv) given = g_strsplit(words->str, ",", -1);

	g_string_truncate(words, 0);
	for (unsigned i = 0; given[i]; i++)
		if (strcmp(given[i], word))
			g_string_append_printf(words, "%s%s", words->len ? "," : "", given[i]);
}

static bool store_mount_option(struct wb_options *options, const struct mount_option *option,
			       const char *value, GError **error)
{
	void *field = (char *)options + option->offset;
	bool is_on = true;

	if (!option->argument && !parse_switch(option->name, value, &is_on, error))
		return false;
	switch (option->type) {
	case MOUNT_FLAG:
	case MOUNT_FLAG_OFF:
		*(bool *)field = is_on == (option->type == MOUNT_FLAG);
		return true;
	case MOUNT_SIZE:
		return wb_usage_parse_size(option->name, value, field, error);
	case MOUNT_TEXT:
		g_free(*(char **)field);
		*(char **)field = g_strdup(value);
		return true;
	case MOUNT_KERNEL:
		if (is_on)
			g_string_append_printf(options->kernel_options, "%s%s",
					       options->kernel_options->len ? "," : "",
					       option->name);
		return true;
	case MOUNT_ATIME:
		take_back(options->kernel_options, "noatime");
		return true;
	case MOUNT_IGNORED:
		return true;
	}
	g_assert_not_reached();
}

static bool store_tunable(struct wb_options *options, const struct wb_tunable *tunable,
			  const char *value, GError **error)
{
	g_autoptr(GError) reason = NULL;

	if (wb_tunable_parse(tunable, value, &options->tunables, &reason))
		return true;
	return wb_usage(error, "mount option %s", reason->message);
}

bool wb_mount_options_set(struct wb_options *options, const char *name, const char *value,
			  GError **error)
{
	const struct wb_tunable *tunable = wb_tunable_find(name);
	const struct mount_option *option = find_mount_option(name);
	const char *argument;

	if (is_comment(name))
		return true;
	if (!tunable && !option)
		return unknown_mount_option(name, error);
	argument = tunable ? tunable->argument : option->argument;
	if (argument && (!value || !*value))
		return wb_usage(error, "mount option '%s' needs a value: %s=%s", name, name,
				argument);
	return tunable ? store_tunable(options, tunable, value, error) :
			 store_mount_option(options, option, value, error);
}

bool wb_mount_options_parse(struct wb_options *options, const char *text, GError **error)
{
	g_auto(GStrv) words = g_strsplit(text, ",", -1);

	for (unsigned i = 0; words[i]; i++) {
		char *value = strchr(words[i], '=');

		if (value)
			*value++ = '\0';
		if (*words[i] && !wb_mount_options_set(options, words[i], value, error))
			return false;
	}
	return true;
}

static void save(GString *text, const char *name, const char *value)
{
	g_string_append_printf(text, "%s=%s", name, value);
	g_string_append_c(text, '\0');
}

static void save_mount_option(const struct wb_options *options,
			      const struct mount_option *option, GString *text)
{
	const void *field = (const char *)options + option->offset;
	g_autofree char *number = NULL;

	switch (option->type) {
	case MOUNT_FLAG:
		save(text, option->name, *(const bool *)field ? "on" : "off");
		return;
	case MOUNT_SIZE:
		number = g_strdup_printf("%" PRIu64, *(const uint64_t *)field);
		if (*(const uint64_t *)field)
			save(text, option->name, number);
		return;
	case MOUNT_TEXT:
		if (*(char *const *)field && field != (const void *)&options->cache_path &&
		    field != (const void *)&options->backing_path)
			save(text, option->name, *(char *const *)field);
		return;
	case MOUNT_FLAG_OFF:
	case MOUNT_KERNEL:
	case MOUNT_ATIME:
	case MOUNT_IGNORED:
		return;
	}
	g_assert_not_reached();
}

void wb_mount_options_save(const struct wb_options *options, GString *text)
{
	g_auto(GStrv) kernel = g_strsplit(options->kernel_options->str, ",", -1);
	g_autoptr(GString) value = g_string_new(NULL);

	for (unsigned i = 0; i < G_N_ELEMENTS(table); i++)
		save_mount_option(options, &table[i], text);
	for (unsigned i = 0; kernel[i]; i++)
		if (*kernel[i])
			save(text, kernel[i], "on");
	for (unsigned i = 0; i < wb_tunables_count; i++) {
		g_string_truncate(value, 0);
		wb_tunable_append(&wb_tunables_table[i], &options->tunables, value);
		save(text, wb_tunables_table[i].name, value->str);
	}
}

static void append_tunables(GString *text)
{
	const struct wb_tunables defaults = WB_TUNABLES_DEFAULT;

	for (unsigned i = 0; i < wb_tunables_count; i++) {
		const struct wb_tunable *tunable = &wb_tunables_table[i];
		g_autofree char *left = g_strconcat(tunable->name, "=", tunable->argument, NULL);

		g_string_append_printf(text, "      %-24s %s (", left, tunable->summary);
		wb_tunable_append(tunable, &defaults, text);
		g_string_append(text, ")\n");
	}
}

void wb_mount_options_append_help(GString *text)
{
	g_autoptr(GPtrArray) kernel = g_ptr_array_new();
	g_autofree char *kernel_names = NULL;

	for (unsigned i = 0; i < G_N_ELEMENTS(table); i++) {
		const struct mount_option *option = &table[i];
		g_autofree char *left = NULL;

		if (option->type == MOUNT_KERNEL || option->type == MOUNT_ATIME)
			g_ptr_array_add(kernel, (char *)option->name);
		if (!option->summary)
			continue;
		left = g_strconcat(option->name, option->argument ? "=" : "",
				   option->argument, NULL);
		g_string_append_printf(text, "      %-24s %s\n", left, option->summary);
	}
	append_tunables(text);
	g_ptr_array_add(kernel, NULL);
	kernel_names = g_strjoinv(", ", (char **)kernel->pdata);
	g_string_append_printf(text, "      and as in mount(8): %s\n", kernel_names);
}

void wb_mount_options_append_list(GString *text)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(table); i++)
		g_string_append_printf(text, "mount-option %s %s\n", table[i].name,
				       table[i].argument ? table[i].argument : "-");
	for (unsigned i = 0; i < wb_tunables_count; i++) {
		const struct wb_tunable *tunable = &wb_tunables_table[i];
		g_autofree char *choices = NULL;

		if (tunable->type == WB_TUNABLE_CHOICE)
			choices = g_strjoinv("|", (char **)tunable->choices);
		g_string_append_printf(text, "tunable %s %s\n", tunable->name,
				       choices ? choices : tunable->argument);
	}
}
