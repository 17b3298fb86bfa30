/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/commands.h"
#include "cmd/verb.h"

int wb_cmd_flush(const struct wb_options *options)
{
	return wb_verb_run(options->argument, &(struct wb_verb){
		.name = "flush",
		.asked_key = "flushes_asked",
		.done_key = "flushes_done",
		.failed_key = "flushes_failed",
	});
}
