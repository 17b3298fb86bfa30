/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>

#include "cmd/commands.h"
#include "cmd/mount_helper.h"
#include "cmd/interrupt.h"
#include "cmd/kept.h"
#include "cmd/report.h"

static int (*const runs[WB_COMMAND_COUNT])(const struct wb_options *options) = {
	[WB_COMMAND_FORMAT] = wb_cmd_format,
	[WB_COMMAND_MOUNT] = wb_cmd_mount,
	[WB_COMMAND_UMOUNT] = wb_cmd_umount,
	[WB_COMMAND_STATUS] = wb_cmd_status,
	[WB_COMMAND_TOP] = wb_cmd_top,
	[WB_COMMAND_SET] = wb_cmd_set,
	[WB_COMMAND_FLUSH] = wb_cmd_flush,
	[WB_COMMAND_DRAIN] = wb_cmd_drain,
	[WB_COMMAND_SCRUB] = wb_cmd_scrub,
	[WB_COMMAND_CHECK] = wb_cmd_check,
	[WB_COMMAND_DUMP] = wb_cmd_dump,
	[WB_COMMAND_RESCUE] = wb_cmd_rescue,
	[WB_COMMAND_DETACH] = wb_cmd_detach,
	[WB_COMMAND_RESIZE] = wb_cmd_resize,
	[WB_COMMAND_UPGRADE] = wb_cmd_upgrade,
	[WB_COMMAND_HELP] = wb_cmd_help,
};

static int run(const struct wb_options *options, enum wb_command_id command)
{
	g_autofree char *help = NULL;

	if (!options->help)
		return runs[command](options);
	help = wb_options_help_command(command);
	fputs(help, stdout);
	return WB_EXIT_DONE;
}

int main(int argc, char **argv)
{
	g_autoptr(GError) error = NULL;
	enum wb_command_id command;
	struct wb_options options;
	int status;

	wb_report_to_stderr();
	if (wb_kept_is_called())
		return wb_kept_main();
	if (wb_mount_helper_run(argc, argv, &status))
		return status;
	if (wb_options_parse(&options, &command, argc, argv, &error)) {
		status = run(&options, command);
	} else {
		wb_report(error);
		fputs("Try 'wbfs help' or 'wbfs help COMMAND'.\n", stderr);
		status = WB_EXIT_USAGE;
	}
	wb_options_clear(&options);
	if (fflush(stdout) && status == WB_EXIT_DONE) {
		perror("wbfs: standard output");
		status = WB_EXIT_FAILED;
	}
	/* Of a long text nothing is left to flush when it could not be written. */
	if (ferror(stdout) && status == WB_EXIT_DONE) {
		fputs("wbfs: standard output: not all of it could be written\n", stderr);
		status = WB_EXIT_FAILED;
	}
	return status == WB_EXIT_INTERRUPTED ? wb_interrupt_end() : status;
}
