/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/commands.h"
#include "cmd/verb.h"

int wb_cmd_drain(const struct wb_options *options)
{
	return wb_verb_run(options->argument, &(struct wb_verb){
		.name = "drain",
		.asked_key = "drains_asked",
		.done_key = "drains_done",
		.failed_key = "drains_failed",
		.left_key = "dirty_blocks",
	});
}
