/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>

#include "cmd/client.h"
#include "cmd/commands.h"
#include "cmd/verb.h"

static char *progress(JsonNode *stats)
{
	return g_strdup_printf("%" PRIu64 " dirty blocks left",
			       wb_client_number(stats, "dirty_blocks"));
}

int wb_cmd_drain(const struct wb_options *options)
{
	return wb_verb_run(options->argument, &(struct wb_verb){
		.name = "drain",
		.asked_key = "drains_asked",
		.done_key = "drains_done",
		.failed_key = "drains_failed",
		.progress = progress,
	});
}
