/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <stdio.h>

#include "cmd/client.h"
#include "cmd/commands.h"
#include "cmd/mount_table.h"
#include "cmd/verb.h"

static void measure(JsonNode *stats, struct wb_verb_work *work)
{
	uint64_t segment_bytes = wb_client_number(stats, "segment_bytes");

	work->total_bytes = wb_client_number_in(stats, "segments", "total") * segment_bytes;
	work->done_bytes = wb_client_number_in(stats, "scrub", "done_segments") * segment_bytes;
}

/* What the pass found; also when it found what cannot be repaired. */
static void print_findings(const char *mount_point)
{
	g_autofree char *resolved = wb_mount_table_resolve(mount_point, NULL);
	g_autoptr(JsonNode) stats = resolved ? wb_client_get_stats(resolved, NULL) : NULL;

	if (!stats)
		return;
	printf("%" PRIu64 " blocks verified, %" PRIu64 " wrong copies dropped, %" PRIu64
	       " blocks lost, %" PRIu64 " damaged headers\n",
	       wb_client_number_in(stats, "scrub", "checked_blocks"),
	       wb_client_number_in(stats, "scrub", "repaired_blocks"),
	       wb_client_number_in(stats, "scrub", "lost_blocks"),
	       wb_client_number_in(stats, "scrub", "bad_headers"));
}

int wb_cmd_scrub(const struct wb_options *options)
{
	int status = wb_verb_run(options->argument, &(struct wb_verb){
		.name = "scrub",
		.asked_key = "scrubs_asked",
		.done_key = "scrubs_done",
		.failed_key = "scrubs_failed",
		.measure = measure,
	});

	if (status != WB_EXIT_INTERRUPTED)
		print_findings(options->argument);
	return status;
}
