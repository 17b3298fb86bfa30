/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where this machine keeps what it must know of disks that cannot carry it themselves:
 * /var/lib/wbfs for root, $XDG_STATE_HOME/wbfs for others. */
#ifndef WB_CMD_STATE_DIRECTORY_H
#define WB_CMD_STATE_DIRECTORY_H

#include <glib.h>

/* The path of a file in it for the disk `name`; "/dev/mapper/a b" -> ".../dev-mapper-a b". A
 * name that is too long for a file ends in a checksum of all of it. */
char *wb_state_file(const char *name, const char *suffix);
/* "/dev/mapper/a b" -> "dev-mapper-a b". Pure. */
char *wb_state_file_name(const char *name);

#endif
