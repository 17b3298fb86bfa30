/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/options.h"

#include <string.h>

#include "cmd/mount_options.h"
#include "cmd/options_table.h"
#include "cmd/usage.h"

/* --- commands ------------------------------------------------------------------ */

bool wb_options_parse_command(const char *word, enum wb_command_id *id, GError **error)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new();

	if (wb_options_find_command(word, id))
		return true;
	if (word[0] == '-') {
		g_ptr_array_add(names, (char *)"--help");
		g_ptr_array_add(names, (char *)"--version");
		return wb_usage_unknown(error, "option", "", word, names);
	}
	for (unsigned i = 0; i < WB_COMMAND_COUNT; i++)
		g_ptr_array_add(names, (char *)wb_options_command(i)->name);
	return wb_usage_unknown(error, "command", "", word, names);
}

/* --- options --------------------------------------------------------------------- */

static bool unknown_option(enum wb_command_id command, const char *word, GError **error)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new();
	g_autofree char *name = NULL;

	if (strncmp(word, "--", 2))
		return wb_usage(error, "unknown option '%s' of 'wbfs %s'", word,
				wb_options_command(command)->name);
	name = g_strndup(word + 2, strcspn(word + 2, "="));
	for (unsigned i = 0; i < wb_option_count; i++)
		if (wb_option_table[i].commands & (1u << command))
			g_ptr_array_add(names, (char *)wb_option_table[i].name);
	return wb_usage_unknown(error, "option", "--", name, names);
}

#define INTERVAL_DEFAULT_S 2u
#define INTERVAL_MAX_S 86400u

static bool store_interval(const struct wb_option *option, const char *value, uint32_t *seconds,
			   GError **error)
{
	guint64 number = INTERVAL_DEFAULT_S;

	if (value && !g_ascii_string_to_unsigned(value, 10, 1, INTERVAL_MAX_S, &number, NULL))
		return wb_usage(error, "option '--%s' takes seconds from 1 to %u, not '%s'",
				option->name, INTERVAL_MAX_S, value);
	*seconds = (uint32_t)number;
	return true;
}

static bool store_option(struct wb_options *options, enum wb_command_id command,
			 const struct wb_option *option, const char *value, GError **error)
{
	void *field = (char *)options + option->offset;
	g_autofree char *name = NULL;

	switch (option->type) {
	case WB_OPTION_FLAG:
		*(bool *)field = true;
		return true;
	case WB_OPTION_STRING:
		if (!*value)
			return wb_usage(error, "option '--%s' needs a %s", option->name,
					option->argument);
		g_free(*(char **)field);
		*(char **)field = g_strdup(value);
		return true;
	case WB_OPTION_NEW_SIZE:
		if (command == WB_COMMAND_RESIZE) {
			options->size_is_added = *value == '+';
			value += options->size_is_added;
		}
		/* fall through */
	case WB_OPTION_SIZE:
		name = g_strdup_printf("option '--%s'", option->name);
		return wb_usage_parse_size(name, value, field, error);
	case WB_OPTION_INTERVAL:
		return store_interval(option, value, field, error);
	case WB_OPTION_MOUNT_OPTIONS:
		g_string_append_printf(options->mount_options, "%s%s",
				       options->mount_options->len ? "," : "", value);
		return wb_mount_options_parse(options, value, error);
	}
	g_assert_not_reached();
}

/* One option at argv[*i]; moves *i over a value in a word of its own. */
static bool parse_option(struct wb_options *options, enum wb_command_id command,
			 int argc, char *const *argv, int *i, GError **error)
{
	const char *word = argv[*i], *value = NULL;
	const struct wb_option *option;

	if (word[1] == '-') {
		size_t length = strcspn(word + 2, "=");

		option = wb_options_find(word + 2, length, 0);
		if (word[2 + length] == '=')
			value = word + 2 + length + 1;
	} else {
		option = wb_options_find(NULL, 0, word[1]);
		if (word[2])
			value = word + 2;
	}
	if (!option || !(option->commands & (1u << command)))
		return unknown_option(command, word, error);
	if (!option->argument && value && option->type != WB_OPTION_INTERVAL)
		return wb_usage(error, "option '--%s' takes no value", option->name);
	if (option->argument && !value) {
		if (*i + 1 >= argc)
			return wb_usage(error, "option '--%s' needs a %s", option->name,
					option->argument);
		value = argv[++*i];
	}
	return store_option(options, command, option, value, error);
}

bool wb_options_check_mount(const struct wb_options *options, GError **error)
{
	if (options->cache_path && options->without_cache)
		return wb_usage(error, "'wbfs mount' takes either --cache or --without-cache");
	if (options->without_cache && options->force && options->read_only)
		return wb_usage(error, "'--without-cache' with --force is for writing to the "
				"backing, and '-o ro' for reading only: give one of them");
	if (options->all && (options->cache_path || options->backing_path ||
			     options->without_cache || options->foreground))
		return wb_usage(error, "'wbfs mount --all' takes cache and backing from the "
				"configuration, and stays in the background");
	return true;
}

static bool check_resize(const struct wb_options *options, GError **error)
{
	bool is_of_cache = options->cache_size_bytes || options->to_path;

	if (options->size_bytes && (is_of_cache || options->force || options->no_zero))
		return wb_usage(error, "'wbfs resize' takes either --size, with a mount point, or "
				"what belongs to --cache-size, with a cache");
	if (options->size_is_added && options->to_path)
		return wb_usage(error, "'wbfs resize --to' takes the whole size, not +SIZE");
	if (options->size_bytes || is_of_cache)
		return true;
	return wb_usage(error, "'wbfs resize' needs --size SIZE, or --cache-size SIZE");
}

static bool check_needed(const struct wb_options *options, enum wb_command_id id,
			 GError **error)
{
	const struct wb_command *command = wb_options_command(id);

	for (unsigned i = 0; i < wb_option_count; i++) {
		const struct wb_option *option = &wb_option_table[i];

		if ((option->needed_by & (1u << id)) &&
		    !*(char *const *)((const char *)options + option->offset))
			return wb_usage(error, "'wbfs %s' needs --%s %s", command->name,
					option->name, option->argument);
	}
	if (options->all && options->argument)
		return wb_usage(error, "'wbfs %s' takes either a %s or --all", command->name,
				command->argument);
	if (command->argument_is_needed && !options->argument && !options->all)
		return wb_usage(error, "'wbfs %s' needs a %s", command->name,
				command->argument);
	return true;
}

static bool parse_argument(struct wb_options *options, enum wb_command_id id,
			   const char *word, GError **error)
{
	const struct wb_command *command = wb_options_command(id);

	if (options->argument && command->more) {
		g_ptr_array_add(options->more, g_strdup(word));
		return true;
	}
	if (!command->argument || options->argument)
		return wb_usage(error, "'wbfs %s' does not know what to do with '%s'",
				command->name, word);
	if (!*word)
		return wb_usage(error, "'wbfs %s' needs a %s that is not empty",
				command->name, command->argument);
	options->argument = g_strdup(word);
	return true;
}

static bool parse_words(struct wb_options *options, enum wb_command_id command,
			int argc, char *const *argv, GError **error)
{
	bool only_arguments = false;

	for (int i = 2; i < argc; i++) {
		const char *word = argv[i];
		bool ok;

		if (!only_arguments && !strcmp(word, "--")) {
			only_arguments = true;
			continue;
		}
		if (!only_arguments && word[0] == '-' && word[1])
			ok = parse_option(options, command, argc, argv, &i, error);
		else
			ok = parse_argument(options, command, word, error);
		if (!ok)
			return false;
	}
	return true;
}

void wb_options_init(struct wb_options *options)
{
	*options = (struct wb_options){
		.tunables = WB_TUNABLES_DEFAULT,
		.kernel_options = g_string_new(NULL),
		.more = g_ptr_array_new_with_free_func(g_free),
		.mount_options = g_string_new(NULL),
	};
}

bool wb_options_parse(struct wb_options *options, enum wb_command_id *command,
		      int argc, char *const *argv, GError **error)
{
	wb_options_init(options);
	if (argc < 2)
		return wb_usage(error, "no command was given");
	*command = WB_COMMAND_HELP;
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		options->argument = g_strdup("--version");
		return true;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		return true;
	if (!wb_options_parse_command(argv[1], command, error) ||
	    !parse_words(options, *command, argc, argv, error))
		return false;
	return options->help || (check_needed(options, *command, error) &&
				 (*command != WB_COMMAND_MOUNT ||
				  wb_options_check_mount(options, error)) &&
				 (*command != WB_COMMAND_RESIZE || check_resize(options, error)));
}

void wb_options_clear(struct wb_options *options)
{
	g_free(options->cache_path);
	g_free(options->backing_path);
	g_free(options->output_path);
	g_free(options->to_path);
	g_free(options->config_path);
	g_free(options->save_mount_point);
	g_free(options->argument);
	g_free(options->fsname);
	g_clear_pointer(&options->more, g_ptr_array_unref);
	if (options->kernel_options)
		g_string_free(options->kernel_options, TRUE);
	if (options->mount_options)
		g_string_free(options->mount_options, TRUE);
	*options = (struct wb_options){ 0 };
}
