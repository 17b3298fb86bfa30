/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The command line: one table of commands, one of options, one of what -o
 * takes. Parsing, help texts and suggestions come from these tables, and a
 * test compares them with wbfs(1). Pure: no files, no exit.
 */
#ifndef WB_CMD_OPTIONS_H
#define WB_CMD_OPTIONS_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "cache/tunables.h"

enum wb_exit {
	WB_EXIT_DONE = 0,
	WB_EXIT_FAILED = 1,
	WB_EXIT_USAGE = 2,
	WB_EXIT_INTERRUPTED = 3,	/* inside only: the process ends by the signal */
};

enum wb_command_id {
	WB_COMMAND_FORMAT,
	WB_COMMAND_MOUNT,
	WB_COMMAND_UMOUNT,
	WB_COMMAND_STATUS,
	WB_COMMAND_TOP,
	WB_COMMAND_SET,
	WB_COMMAND_FLUSH,
	WB_COMMAND_DRAIN,
	WB_COMMAND_SCRUB,
	WB_COMMAND_CHECK,
	WB_COMMAND_DUMP,
	WB_COMMAND_RESCUE,
	WB_COMMAND_DETACH,
	WB_COMMAND_RESIZE,
	WB_COMMAND_UPGRADE,
	WB_COMMAND_HELP,
	WB_COMMAND_COUNT
};

/* What was asked for; strings belong to it. */
struct wb_options {
	char *cache_path;
	char *backing_path;
	char *output_path;
	char *to_path;
	char *config_path;		/* the configuration file, or NULL for the usual ones */
	char *save_mount_point;		/* of `format --save`, or NULL */
	uint64_t cache_size_bytes;	/* 0 = not given */
	uint64_t size_bytes;		/* 0 = not given */
	bool size_is_added;		/* it was given as +SIZE */
	uint64_t segment_size_bytes;	/* 0 = not given */
	bool no_zero;
	bool force;
	bool in_place;
	bool repair;
	bool yes;
	bool foreground;
	bool without_cache;
	bool all;
	bool recursive;
	bool wait;
	bool json;
	bool table;
	uint32_t watch_s;		/* 0 = not given */
	bool list;
	bool help;
	char *argument;			/* mount point, cache, command; or NULL */
	GPtrArray *more;		/* of char *: the words behind it */

	GString *mount_options;		/* all of -o as it was given, separated by commas */

	/* from -o */
	uint64_t ram_buffer_bytes;	/* 0 = not given */
	bool allow_other;
	bool io_uring;
	bool keeper;
	bool read_only;
	struct wb_tunables tunables;
	GString *kernel_options;	/* "nodev,noatime", handed on as they are */
	char *fsname;			/* or NULL */
	bool no_auto;			/* not to be mounted by `mount --all` */
};

struct wb_command {
	const char *name;
	const char *argument;		/* NULL = takes none */
	bool argument_is_needed;
	const char *summary;		/* one line, no full stop */
	const char *details;		/* more for `wbfs help COMMAND` */
	const char *more;		/* any number of them behind the argument, or NULL */
};

#define WB_OPTIONS_ERROR (wb_options_error_quark())
GQuark wb_options_error_quark(void);
enum wb_options_error { WB_OPTIONS_ERROR_USAGE };

/*
 * argv[0] is the program, argv[1] the command. FALSE and an error that says
 * which word was not understood and what was probably meant. --version and
 * --help in place of a command give WB_COMMAND_HELP with argument "--version"
 * or NULL.
 */
bool wb_options_parse(struct wb_options *options, enum wb_command_id *command,
		      int argc, char *const *argv, GError **error);
/* The defaults; to be cleared. wb_options_parse() begins with them too. */
void wb_options_init(struct wb_options *options);
/* What is given for a mount does not contradict itself. */
bool wb_options_check_mount(const struct wb_options *options, GError **error);
void wb_options_clear(struct wb_options *options);

const struct wb_command *wb_options_command(enum wb_command_id id);
/* TRUE and *id when there is a command of that name. */
bool wb_options_find_command(const char *name, enum wb_command_id *id);
/* The same; FALSE and an error with the nearest one when there is none. */
bool wb_options_parse_command(const char *word, enum wb_command_id *id, GError **error);

/* To be freed. All commands, or one with its options. */
char *wb_options_help_all(void);
char *wb_options_help_command(enum wb_command_id id);

/* Every command, option, -o name and tunable, one per line, with what it takes:
 * "command set MOUNTPOINT NAME=VALUE" (the last as often as wanted), "option
 * --options -o OPTIONS mount" (all commands that have it), "mount-option
 * allow_other -", "tunable allow_writeback on|off". For shell completion, and for
 * the test of the man pages. */
char *wb_options_list(void);

#endif
