/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/each_mount.h"

#include <stdio.h>

#include "cmd/mount_table.h"

int wb_each_mount(wb_mount_action *action, const struct wb_options *options, const char *done)
{
	g_autoptr(GPtrArray) list = wb_mount_table_list_own();
	int status = WB_EXIT_DONE;

	for (unsigned i = list->len; i-- > 0;) {
		int one = action(list->pdata[i], options);

		if (one == WB_EXIT_DONE)
			printf("%s: %s\n", (const char *)list->pdata[i], done);
		else if (one != WB_EACH_LEFT_OUT)
			status = WB_EXIT_FAILED;
	}
	return status;
}
