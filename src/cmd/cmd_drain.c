/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/client.h"
#include "cmd/commands.h"
#include "cmd/verb.h"
#include "format/ondisk.h"

/* What is dirty now of the most that was: writers may go on. */
static void measure(JsonNode *stats, struct wb_verb_work *work)
{
	uint64_t left = wb_client_number(stats, "dirty_blocks") * WB_BLOCK_BYTES;

	work->total_bytes = MAX(work->total_bytes, left);
	work->done_bytes = work->total_bytes - left;
}

int wb_cmd_drain(const struct wb_options *options)
{
	return wb_verb_run(options->argument, &(struct wb_verb){
		.name = "drain",
		.asked_key = "drains_asked",
		.done_key = "drains_done",
		.failed_key = "drains_failed",
		.measure = measure,
	});
}
