/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The keeper: the process that lives as long as a mount. It holds what must outlive
 * the worker that serves it (the session of /dev/fuse, the memory of the RAM buffers,
 * the state of state.h, a lock on both disks), starts the worker, and the next one
 * when that has died. It reads and writes no data, knows nothing of the volume, has
 * one thread, and allocates nothing after start: there is little that it could die of.
 *
 * Its own death leaves the worker serving, as one that nobody keeps.
 */
#ifndef WB_KEEPER_KEEPER_H
#define WB_KEEPER_KEEPER_H

#include <stdbool.h>

#include "keeper/state.h"

#define WB_KEEPER_DISKS 2u

struct wb_keeper_config {
	struct wb_keeper_state *state;	/* zeros, but for what `area` has for the worker */
	int state_fd;			/* the memfd that it is a mapping of */
	char *const *argv;		/* of workers: for people, who list processes */
	char *const *environment;
	const char *mount_point;	/* for messages */
	const char *disk_paths[WB_KEEPER_DISKS];
	bool is_read_only;
	int report_fd;			/* to who asked for it, for the first worker; or -1 */
	bool is_in_background;
};

/* Returns, when the mount has ended, the exit status of its last worker; ends by the
 * same signal as a worker that died before it ever served. */
int wb_keeper_run(const struct wb_keeper_config *config);

#endif
