/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/each_mount.h"

#include <stdio.h>

#include "cmd/mount_table.h"
#include "cmd/options.h"

int wb_each_mount(wb_mount_action *action, const char *done)
{
	g_autoptr(GPtrArray) list = wb_mount_table_list_own();
	int status = WB_EXIT_DONE;

	for (unsigned i = list->len; i-- > 0;) {
		if (action(list->pdata[i]) == WB_EXIT_DONE)
			printf("%s: %s\n", (const char *)list->pdata[i], done);
		else
			status = WB_EXIT_FAILED;
	}
	return status;
}
