/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/client.h"
#include "cmd/commands.h"
#include "cmd/each_mount.h"
#include "cmd/verb.h"

int wb_flush_one(const char *mount_point)
{
	return wb_verb_run(mount_point, &(struct wb_verb){
		.name = "flush",
		.asked_key = "flushes_asked",
		.done_key = "flushes_done",
		.failed_key = "flushes_failed",
	});
}

/* One that is read only has nothing to flush. */
static int flush_any(const char *mount_point)
{
	g_autoptr(JsonNode) stats = wb_client_get_stats(mount_point, NULL);

	return stats && wb_client_bool(stats, "read_only") ? WB_EXIT_DONE :
							     wb_flush_one(mount_point);
}

int wb_cmd_flush(const struct wb_options *options)
{
	return options->all ? wb_each_mount(flush_any, "flushed") :
			      wb_flush_one(options->argument);
}
