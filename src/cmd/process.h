/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What makes the daemon's process fit to serve a disk under memory pressure. */
#ifndef WB_CMD_PROCESS_H
#define WB_CMD_PROCESS_H

#include <stdbool.h>

struct wb_process_protection {
	bool memory_locked;
	bool io_flusher;
	bool oom_protected;
};

/*
 * Before any thread is started (they inherit it). Each is tried and may be
 * missing: locked memory, because the kernel may want a page back that only we
 * can write out; PR_SET_IO_FLUSHER, so that our own allocations do not wait for
 * writeback through us; the OOM killer's mercy.
 */
void wb_process_protect(struct wb_process_protection *protection);

/* After everything is set up, where memory is locked: all of it resident from
 * now on. FALSE when the system refuses. */
bool wb_process_bring_memory_in(void);

#endif
