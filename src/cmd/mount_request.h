/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is to be mounted: the entry of the configuration, and the command line laid
 * over it. */
#ifndef WB_CMD_MOUNT_REQUEST_H
#define WB_CMD_MOUNT_REQUEST_H

#include "cmd/configuration.h"
#include "cmd/options.h"

/* `request` is set in any case, and to be cleared. FALSE and an error when the
 * entry is wrong, or when cache or backing are named nowhere
 * (WB_OPTIONS_ERROR_USAGE). `mount_point` is absolute. */
bool wb_mount_request_make(struct wb_options *request, const struct wb_options *command_line,
			   const struct wb_configuration *configuration,
			   const char *mount_point, GError **error);

#endif
