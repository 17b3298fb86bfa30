/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/client.h"
#include "cmd/commands.h"
#include "cmd/each_mount.h"
#include "cmd/mount_table.h"
#include "cmd/report.h"
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

/* One that is read only has nothing to flush. One of another user, which the kernel
 * closes to root, is that user's to flush: it must not make a sleep hook fail. */
static int flush_any(const char *mount_point, const struct wb_options *options)
{
	g_autoptr(JsonNode) stats = NULL;

	(void)options;
	if (!wb_mount_table_may_look(mount_point)) {
		wb_report_note("%s is left out: it belongs to another user, and is mounted "
			       "without allow_other", mount_point);
		return WB_EACH_LEFT_OUT;
	}
	stats = wb_client_get_stats(mount_point, NULL);
	return stats && wb_client_bool(stats, "read_only") ? WB_EXIT_DONE :
							     wb_flush_one(mount_point);
}

int wb_cmd_flush(const struct wb_options *options)
{
	return options->all ? wb_each_mount(flush_any, options, "flushed") :
			      wb_flush_one(options->argument);
}
