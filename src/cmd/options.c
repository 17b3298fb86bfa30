/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/options.h"

#include <stddef.h>
#include <string.h>

#include "cmd/size_parse.h"

/* --- the tables ------------------------------------------------------------ */

static const struct wb_command commands[WB_COMMAND_COUNT] = {
	[WB_COMMAND_FORMAT] = { "format", NULL, false,
		"make a new volume of a cache and a backing",
		"Without --cache-size and --size both must exist and are used at their size.\n"
		"Never overwrites a cache with dirty data, a backing whose other cache is\n"
		"still dirty, or a file that is something else, without --force." },
	[WB_COMMAND_MOUNT] = { "mount", "MOUNTPOINT", true,
		"mount a volume; the image is MOUNTPOINT/disk",
		"Recovers the cache when it was not stopped cleanly. Returns when the image\n"
		"can be used. Either --cache or, when the cache is lost, --without-cache; that\n"
		"with --force may be written to, and the cache is refused from then on." },
	[WB_COMMAND_UMOUNT] = { "umount", "MOUNTPOINT", true,
		"stop a mounted volume",
		"Everything acknowledged is made durable on the cache; dirty data stays there.\n"
		"Returns when the daemon is gone and both files are free." },
	[WB_COMMAND_STATUS] = { "status", "MOUNTPOINT", false,
		"show one mounted volume, or list all", NULL },
	[WB_COMMAND_FLUSH] = { "flush", "MOUNTPOINT", true,
		"make all acknowledged data durable", NULL },
	[WB_COMMAND_DRAIN] = { "drain", "MOUNTPOINT", true,
		"write back until nothing is dirty", NULL },
	[WB_COMMAND_SCRUB] = { "scrub", "MOUNTPOINT", true,
		"read back and verify all that lies in the cache",
		"Wrong copies of what the backing has too are dropped. The exit status is 1\n"
		"when the only copy of something is wrong." },
	[WB_COMMAND_CHECK] = { "check", "CACHE", true,
		"verify an unmounted cache; --repair makes it usable again",
		"Without --repair nothing is changed. Damage in the middle of the log is repaired\n"
		"by keeping what lies before it; what is given up is listed first, and has to be\n"
		"confirmed. `wbfs rescue --output IMAGE CACHE` saves it before. The exit status\n"
		"is 1 when something is wrong, or was lost." },
	[WB_COMMAND_DUMP] = { "dump", "CACHE", true,
		"print superblocks and records of an unmounted cache", NULL },
	[WB_COMMAND_RESCUE] = { "rescue", "CACHE", true,
		"apply the dirty data of an unmounted cache, without mounting",
		"To a copy of the backing (--output) or to the backing itself (--in-place).\n"
		"The cache is not changed. What cannot be read is listed as ranges of the\n"
		"image; the exit status is 1 then." },
	[WB_COMMAND_HELP] = { "help", "COMMAND", false,
		"explain all commands, or one", NULL },
};

enum option_type { FLAG, STRING, SIZE, MOUNT_OPTIONS };

#define FOR(command) (1u << WB_COMMAND_##command)

struct option {
	const char *name;
	char short_name;	/* 0 = none */
	enum option_type type;
	size_t offset;		/* in struct wb_options */
	const char *argument;
	unsigned commands;
	unsigned needed_by;
	const char *summary;
};

static const struct option options_table[] = {
	{ "cache", 0, STRING, offsetof(struct wb_options, cache_path), "PATH",
	  FOR(FORMAT) | FOR(MOUNT), FOR(FORMAT),
	  "the cache: a file or device on the SSD" },
	{ "backing", 0, STRING, offsetof(struct wb_options, backing_path), "PATH",
	  FOR(FORMAT) | FOR(MOUNT) | FOR(CHECK) | FOR(RESCUE), FOR(FORMAT) | FOR(MOUNT),
	  "the backing: an image file or device on the HDD" },
	{ "cache-size", 0, SIZE, offsetof(struct wb_options, cache_size_bytes), "SIZE",
	  FOR(FORMAT), 0, "create the cache file with this size" },
	{ "size", 0, SIZE, offsetof(struct wb_options, size_bytes), "SIZE",
	  FOR(FORMAT), 0, "create the backing file with this size (sparse)" },
	{ "segment-size", 0, SIZE, offsetof(struct wb_options, segment_size_bytes), "SIZE",
	  FOR(FORMAT) | FOR(CHECK) | FOR(RESCUE), 0,
	  "unit of the log, a power of two from 64K to 4M (1M)" },
	{ "no-zero", 0, FLAG, offsetof(struct wb_options, no_zero), NULL,
	  FOR(FORMAT), 0, "do not write zeros over the whole cache" },
	{ "force", 0, FLAG, offsetof(struct wb_options, force), NULL,
	  FOR(FORMAT) | FOR(RESCUE) | FOR(MOUNT), 0,
	  "do what would be refused; what is overwritten is LOST" },
	{ "output", 0, STRING, offsetof(struct wb_options, output_path), "IMAGE",
	  FOR(RESCUE), 0, "write a copy of the backing with all dirty data" },
	{ "in-place", 0, FLAG, offsetof(struct wb_options, in_place), NULL,
	  FOR(RESCUE), 0, "write all dirty data to the backing itself" },
	{ "repair", 0, FLAG, offsetof(struct wb_options, repair), NULL,
	  FOR(CHECK), 0, "make the cache usable again; asks when that costs data" },
	{ "yes", 0, FLAG, offsetof(struct wb_options, yes), NULL,
	  FOR(CHECK), 0, "do not ask" },
	{ "without-cache", 0, FLAG, offsetof(struct wb_options, without_cache), NULL,
	  FOR(MOUNT), 0, "the cache is lost: show the backing alone, to be read only" },
	{ "foreground", 'f', FLAG, offsetof(struct wb_options, foreground), NULL,
	  FOR(MOUNT), 0, "stay in the foreground, messages to standard error" },
	{ "options", 'o', MOUNT_OPTIONS, 0, "OPTIONS",
	  FOR(MOUNT), 0, "mount options, separated by commas:" },
	{ "json", 0, FLAG, offsetof(struct wb_options, json), NULL,
	  FOR(STATUS), 0, "print it as JSON" },
	{ "help", 'h', FLAG, offsetof(struct wb_options, help), NULL,
	  (1u << WB_COMMAND_COUNT) - 1, 0, "explain the command" },
};

enum mount_option_type {
	MOUNT_FLAG, MOUNT_SIZE, MOUNT_TEXT,
	MOUNT_KERNEL,		/* handed on to the kernel */
	MOUNT_IGNORED,		/* words of /etc/fstab that say nothing here */
	MOUNT_UNSUPPORTED,
};

struct mount_option {
	const char *name;
	enum mount_option_type type;
	size_t offset;
	const char *argument;
	const char *summary;	/* NULL = no line of its own in the help */
};

/* Besides the tunables, which are mount options too. */
static const struct mount_option mount_options_table[] = {
	{ "ram_buffer", MOUNT_SIZE, offsetof(struct wb_options, ram_buffer_bytes), "SIZE",
	  "memory for data on its way to the cache (64M)" },
	{ "allow_other", MOUNT_FLAG, offsetof(struct wb_options, allow_other), NULL,
	  "let other users in, as far as the file modes allow" },
	{ "fsname", MOUNT_TEXT, offsetof(struct wb_options, fsname), "NAME",
	  "source shown in the mount table (the backing)" },
	{ "nodev", MOUNT_KERNEL, 0, NULL, NULL },
	{ "nosuid", MOUNT_KERNEL, 0, NULL, NULL },
	{ "noexec", MOUNT_KERNEL, 0, NULL, NULL },
	{ "noatime", MOUNT_KERNEL, 0, NULL, NULL },
	{ "dev", MOUNT_KERNEL, 0, NULL, NULL },
	{ "suid", MOUNT_KERNEL, 0, NULL, NULL },
	{ "exec", MOUNT_KERNEL, 0, NULL, NULL },
	{ "atime", MOUNT_KERNEL, 0, NULL, NULL },
	{ "rw", MOUNT_IGNORED, 0, NULL, NULL },
	{ "defaults", MOUNT_IGNORED, 0, NULL, NULL },
	{ "_netdev", MOUNT_IGNORED, 0, NULL, NULL },
	{ "nofail", MOUNT_IGNORED, 0, NULL, NULL },
	{ "auto", MOUNT_IGNORED, 0, NULL, NULL },
	{ "noauto", MOUNT_IGNORED, 0, NULL, NULL },
	{ "user", MOUNT_IGNORED, 0, NULL, NULL },
	{ "nouser", MOUNT_IGNORED, 0, NULL, NULL },
	{ "ro", MOUNT_UNSUPPORTED, 0, NULL, NULL },
};

/* --- nearest word ------------------------------------------------------------ */

#define WORD_MAX 32

/* Edits (insert, delete, replace, swap neighbours) between two words:
 * Damerau 1964, in the form that never edits a place twice. */
static unsigned distance(const char *a, const char *b)
{
	unsigned rows[WORD_MAX + 1][WORD_MAX + 1];
	size_t a_length = strlen(a), b_length = strlen(b);

	if (a_length > WORD_MAX || b_length > WORD_MAX)
		return G_MAXUINT;
	for (size_t i = 0; i <= a_length; i++)
		rows[i][0] = (unsigned)i;
	for (size_t j = 0; j <= b_length; j++)
		rows[0][j] = (unsigned)j;
	for (size_t i = 1; i <= a_length; i++)
		for (size_t j = 1; j <= b_length; j++) {
			unsigned best = rows[i - 1][j - 1] + (a[i - 1] != b[j - 1]);

			best = MIN(best, rows[i - 1][j] + 1);
			best = MIN(best, rows[i][j - 1] + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				best = MIN(best, rows[i - 2][j - 2] + 1);
			rows[i][j] = best;
		}
	return rows[a_length][b_length];
}

const char *wb_options_nearest(const char *word, const char *const *list)
{
	const char *best = NULL;
	unsigned best_distance = G_MAXUINT;

	for (; *list; list++) {
		unsigned d = distance(word, *list);

		if (d < best_distance) {
			best_distance = d;
			best = *list;
		}
	}
	/* Beyond a third of the word it is a guess that annoys. */
	return best_distance <= MAX(1, strlen(word) / 3) ? best : NULL;
}

/* --- errors ------------------------------------------------------------------ */

GQuark wb_options_error_quark(void)
{
	return g_quark_from_static_string("wb-options-error");
}

static bool G_GNUC_PRINTF(2, 3) usage(GError **error, const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	g_set_error_literal(error, WB_OPTIONS_ERROR, WB_OPTIONS_ERROR_USAGE, text);
	g_free(text);
	return false;
}

/* "unknown option '--jsn' of 'wbfs status'; did you mean '--json'?" */
static bool unknown(GError **error, const char *what, const char *prefix, const char *word,
		    GPtrArray *candidates)
{
	const char *near;

	g_ptr_array_add(candidates, NULL);
	near = wb_options_nearest(word, (const char *const *)candidates->pdata);
	if (near)
		return usage(error, "unknown %s '%s%s'; did you mean '%s%s'?", what, prefix,
			     word, prefix, near);
	return usage(error, "unknown %s '%s%s'", what, prefix, word);
}

/* --- commands ------------------------------------------------------------------ */

const struct wb_command *wb_options_command(enum wb_command_id id)
{
	return &commands[id];
}

bool wb_options_find_command(const char *name, enum wb_command_id *id)
{
	for (unsigned i = 0; i < WB_COMMAND_COUNT; i++)
		if (!strcmp(commands[i].name, name)) {
			*id = i;
			return true;
		}
	return false;
}

static bool parse_command(const char *word, enum wb_command_id *id, GError **error)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new();

	if (wb_options_find_command(word, id))
		return true;
	for (unsigned i = 0; i < WB_COMMAND_COUNT; i++)
		g_ptr_array_add(names, (char *)commands[i].name);
	return unknown(error, word[0] == '-' ? "option" : "command", "", word, names);
}

/* --- mount options ------------------------------------------------------------- */

static const struct mount_option *find_mount_option(const char *name)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(mount_options_table); i++)
		if (!strcmp(mount_options_table[i].name, name))
			return &mount_options_table[i];
	return NULL;
}

static bool unknown_mount_option(const char *name, GError **error)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new();

	for (unsigned i = 0; i < G_N_ELEMENTS(mount_options_table); i++)
		if (mount_options_table[i].type != MOUNT_UNSUPPORTED)
			g_ptr_array_add(names, (char *)mount_options_table[i].name);
	for (unsigned i = 0; i < wb_tunables_count; i++)
		g_ptr_array_add(names, (char *)wb_tunables_table[i].name);
	return unknown(error, "mount option", "", name, names);
}

static bool parse_size(const char *name, const char *value, uint64_t *result, GError **error)
{
	if (!wb_size_parse(value, result))
		return usage(error, "%s takes a size such as 512M or 20G (K, M, G, T; "
			     "or plain bytes), not '%s'", name, value);
	if (!*result || *result % 512)
		return usage(error, "%s takes a multiple of 512 bytes above zero, not '%s'",
			     name, value);
	return true;
}

static bool store_mount_option(struct wb_options *options, const struct mount_option *option,
			       const char *value, GError **error)
{
	void *field = (char *)options + option->offset;

	switch (option->type) {
	case MOUNT_FLAG:
		*(bool *)field = true;
		return true;
	case MOUNT_SIZE:
		return parse_size(option->name, value, field, error);
	case MOUNT_TEXT:
		g_free(*(char **)field);
		*(char **)field = g_strdup(value);
		return true;
	case MOUNT_KERNEL:
		g_string_append_printf(options->kernel_options, "%s%s",
				       options->kernel_options->len ? "," : "", option->name);
		return true;
	case MOUNT_IGNORED:
		return true;
	case MOUNT_UNSUPPORTED:
		return usage(error, "mount option '%s' is not supported yet", option->name);
	}
	g_assert_not_reached();
}

static bool store_tunable(struct wb_options *options, const struct wb_tunable *tunable,
			  const char *value, GError **error)
{
	g_autoptr(GError) reason = NULL;

	if (wb_tunable_parse(tunable, value, &options->tunables, &reason))
		return true;
	return usage(error, "mount option %s", reason->message);
}

static bool parse_mount_option(struct wb_options *options, char *word, GError **error)
{
	char *value = strchr(word, '=');
	const struct wb_tunable *tunable;
	const struct mount_option *option;
	const char *argument;

	if (value)
		*value++ = '\0';
	tunable = wb_tunable_find(word);
	option = find_mount_option(word);
	if (!tunable && !option)
		return unknown_mount_option(word, error);
	argument = tunable ? tunable->argument : option->argument;
	if (argument && (!value || !*value))
		return usage(error, "mount option '%s' needs a value: %s=%s", word, word,
			     argument);
	if (tunable)
		return store_tunable(options, tunable, value, error);
	if (!argument && value)
		return usage(error, "mount option '%s' takes no value", word);
	return store_mount_option(options, option, value, error);
}

static bool parse_mount_options(struct wb_options *options, const char *text, GError **error)
{
	g_auto(GStrv) words = g_strsplit(text, ",", -1);

	for (unsigned i = 0; words[i]; i++)
		if (*words[i] && !parse_mount_option(options, words[i], error))
			return false;
	return true;
}

/* --- options --------------------------------------------------------------------- */

static const struct option *find_option(const char *name, size_t length, char short_name)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(options_table); i++) {
		const struct option *option = &options_table[i];

		if (short_name ? option->short_name == short_name :
		    strlen(option->name) == length && !memcmp(option->name, name, length))
			return option;
	}
	return NULL;
}

static bool unknown_option(enum wb_command_id command, const char *word, GError **error)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new();
	g_autofree char *name = NULL;

	if (strncmp(word, "--", 2))
		return usage(error, "unknown option '%s' of 'wbfs %s'", word,
			     commands[command].name);
	name = g_strndup(word + 2, strcspn(word + 2, "="));
	for (unsigned i = 0; i < G_N_ELEMENTS(options_table); i++)
		if (options_table[i].commands & (1u << command))
			g_ptr_array_add(names, (char *)options_table[i].name);
	return unknown(error, "option", "--", name, names);
}

static bool store_option(struct wb_options *options, const struct option *option,
			 const char *value, GError **error)
{
	void *field = (char *)options + option->offset;
	g_autofree char *name = NULL;

	switch (option->type) {
	case FLAG:
		*(bool *)field = true;
		return true;
	case STRING:
		if (!*value)
			return usage(error, "option '--%s' needs a %s", option->name,
				     option->argument);
		g_free(*(char **)field);
		*(char **)field = g_strdup(value);
		return true;
	case SIZE:
		name = g_strdup_printf("option '--%s'", option->name);
		return parse_size(name, value, field, error);
	case MOUNT_OPTIONS:
		return parse_mount_options(options, value, error);
	}
	g_assert_not_reached();
}

/* One option at argv[*i]; moves *i over a value in a word of its own. */
static bool parse_option(struct wb_options *options, enum wb_command_id command,
			 int argc, char *const *argv, int *i, GError **error)
{
	const char *word = argv[*i], *value = NULL;
	const struct option *option;

	if (word[1] == '-') {
		size_t length = strcspn(word + 2, "=");

		option = find_option(word + 2, length, 0);
		if (word[2 + length] == '=')
			value = word + 2 + length + 1;
	} else {
		option = find_option(NULL, 0, word[1]);
		if (word[2])
			value = word + 2;
	}
	if (!option || !(option->commands & (1u << command)))
		return unknown_option(command, word, error);
	if (!option->argument && value)
		return usage(error, "option '--%s' takes no value", option->name);
	if (option->argument && !value) {
		if (*i + 1 >= argc)
			return usage(error, "option '--%s' needs a %s", option->name,
				     option->argument);
		value = argv[++*i];
	}
	return store_option(options, option, value, error);
}

static bool check_mount(const struct wb_options *options, GError **error)
{
	if (!options->cache_path && !options->without_cache)
		return usage(error, "'wbfs mount' needs --cache PATH, or --without-cache when "
			     "the cache is lost");
	if (options->cache_path && options->without_cache)
		return usage(error, "'wbfs mount' takes either --cache or --without-cache");
	return true;
}

static bool check_needed(const struct wb_options *options, enum wb_command_id command,
			 GError **error)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(options_table); i++) {
		const struct option *option = &options_table[i];

		if ((option->needed_by & (1u << command)) &&
		    !*(char *const *)((const char *)options + option->offset))
			return usage(error, "'wbfs %s' needs --%s %s", commands[command].name,
				     option->name, option->argument);
	}
	if (commands[command].argument_is_needed && !options->argument)
		return usage(error, "'wbfs %s' needs a %s", commands[command].name,
			     commands[command].argument);
	return true;
}

static bool parse_argument(struct wb_options *options, enum wb_command_id command,
			   const char *word, GError **error)
{
	if (!commands[command].argument || options->argument)
		return usage(error, "'wbfs %s' does not know what to do with '%s'",
			     commands[command].name, word);
	if (!*word)
		return usage(error, "'wbfs %s' needs a %s that is not empty",
			     commands[command].name, commands[command].argument);
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

bool wb_options_parse(struct wb_options *options, enum wb_command_id *command,
		      int argc, char *const *argv, GError **error)
{
	*options = (struct wb_options){
		.tunables = WB_TUNABLES_DEFAULT,
		.kernel_options = g_string_new(NULL),
	};
	if (argc < 2)
		return usage(error, "no command was given");
	*command = WB_COMMAND_HELP;
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		options->argument = g_strdup("--version");
		return true;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		return true;
	if (!parse_command(argv[1], command, error) ||
	    !parse_words(options, *command, argc, argv, error))
		return false;
	return options->help || (check_needed(options, *command, error) &&
				 (*command != WB_COMMAND_MOUNT || check_mount(options, error)));
}

void wb_options_clear(struct wb_options *options)
{
	g_free(options->cache_path);
	g_free(options->backing_path);
	g_free(options->output_path);
	g_free(options->argument);
	g_free(options->fsname);
	if (options->kernel_options)
		g_string_free(options->kernel_options, TRUE);
	*options = (struct wb_options){ 0 };
}

/* --- help -------------------------------------------------------------------------- */

static void append_synopsis(GString *text, enum wb_command_id id)
{
	const struct wb_command *command = &commands[id];

	g_string_append_printf(text, "wbfs %s", command->name);
	for (unsigned i = 0; i < G_N_ELEMENTS(options_table); i++) {
		const struct option *option = &options_table[i];
		bool needed = option->needed_by & (1u << id);

		if (!(option->commands & (1u << id)) || !strcmp(option->name, "help"))
			continue;
		g_string_append(text, needed ? " " : " [");
		if (option->short_name)
			g_string_append_printf(text, "-%c", option->short_name);
		else
			g_string_append_printf(text, "--%s", option->name);
		if (option->argument)
			g_string_append_printf(text, " %s", option->argument);
		if (!needed)
			g_string_append_c(text, ']');
	}
	if (command->argument)
		g_string_append_printf(text, command->argument_is_needed ? " %s" : " [%s]",
				       command->argument);
	g_string_append_c(text, '\n');
}

char *wb_options_help_all(void)
{
	GString *text = g_string_new("wbfs puts a small fast disk in front of a big slow one.\n\n");

	for (unsigned i = 0; i < WB_COMMAND_COUNT; i++)
		g_string_append_printf(text, "  wbfs %-8s %s\n", commands[i].name,
				       commands[i].summary);
	g_string_append(text, "  wbfs --version\n\n"
			"'wbfs help COMMAND' explains one; all of it is in wbfs(1).\n");
	return g_string_free(text, FALSE);
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

static void append_mount_options(GString *text)
{
	g_autoptr(GPtrArray) kernel = g_ptr_array_new();
	g_autofree char *kernel_names = NULL;

	for (unsigned i = 0; i < G_N_ELEMENTS(mount_options_table); i++) {
		const struct mount_option *option = &mount_options_table[i];
		g_autofree char *left = NULL;

		if (option->type == MOUNT_KERNEL)
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

char *wb_options_help_command(enum wb_command_id id)
{
	GString *text = g_string_new(NULL);

	append_synopsis(text, id);
	g_string_append_printf(text, "\n%s.\n", commands[id].summary);
	if (commands[id].details)
		g_string_append_printf(text, "%s\n", commands[id].details);
	g_string_append_c(text, '\n');
	for (unsigned i = 0; i < G_N_ELEMENTS(options_table); i++) {
		const struct option *option = &options_table[i];
		char letter[8] = "    ";
		g_autofree char *left = NULL;

		if (!(option->commands & (1u << id)))
			continue;
		if (option->short_name)
			g_snprintf(letter, sizeof letter, "-%c, ", option->short_name);
		left = g_strconcat(letter, "--", option->name, option->argument ? " " : "",
				   option->argument, NULL);
		g_string_append_printf(text, "  %-26s %s\n", left, option->summary);
		if (option->type == MOUNT_OPTIONS)
			append_mount_options(text);
	}
	return g_string_free(text, FALSE);
}

char *wb_options_list(void)
{
	GString *text = g_string_new(NULL);

	for (unsigned i = 0; i < WB_COMMAND_COUNT; i++)
		g_string_append_printf(text, "command %s\n", commands[i].name);
	for (unsigned i = 0; i < G_N_ELEMENTS(options_table); i++)
		g_string_append_printf(text, "option --%s\n", options_table[i].name);
	for (unsigned i = 0; i < G_N_ELEMENTS(mount_options_table); i++)
		g_string_append_printf(text, "mount-option %s\n", mount_options_table[i].name);
	for (unsigned i = 0; i < wb_tunables_count; i++)
		g_string_append_printf(text, "mount-option %s\n", wb_tunables_table[i].name);
	return g_string_free(text, FALSE);
}
