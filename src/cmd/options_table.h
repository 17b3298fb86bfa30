/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of the options of all commands, for parsing and for the help. The
 * one of what -o takes is in mount_options. Pure. */
#ifndef WB_CMD_OPTIONS_TABLE_H
#define WB_CMD_OPTIONS_TABLE_H

#include <stddef.h>

#include "cmd/options.h"

enum wb_option_type {
	WB_OPTION_FLAG,
	WB_OPTION_STRING,
	WB_OPTION_SIZE,
	WB_OPTION_NEW_SIZE,	/* also +SIZE, in `resize`: how much larger */
	WB_OPTION_MOUNT_OPTIONS,
	WB_OPTION_INTERVAL,	/* --NAME or --NAME=SECONDS: never in a word of its own */
};

struct wb_option {
	const char *name;
	char short_name;	/* 0 = none */
	enum wb_option_type type;
	size_t offset;		/* in struct wb_options */
	const char *argument;
	unsigned commands;	/* bits 1 << enum wb_command_id */
	unsigned needed_by;	/* the same */
	const char *summary;
};

extern const struct wb_option wb_option_table[];
extern const unsigned wb_option_count;

/* By the first `length` characters of `name`, or by `short_name` if that is not 0;
 * NULL if there is none. */
const struct wb_option *wb_options_find(const char *name, size_t length, char short_name);

#endif
