/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A lane: one io_uring with a thread of its own, which submits what other threads
 * bring, takes the completions and calls done(). Under load it moves many in one
 * system call, and the disk's driver rings its bell once for all of them.
 *
 * Submitting never waits and never allocates: what does not fit (completion
 * queue spoken for, kernel short of memory) stays on a list inside the I/Os
 * and follows as others complete. No lock is held over done().
 */
#ifndef WB_IO_URING_LANE_H
#define WB_IO_URING_LANE_H

#include <glib.h>

#include "io/store.h"
#include "io/uring_transfer.h"

struct wb_uring_lane;

/* `entries`: size of the submission queue; twice as many are in flight at
 * most. `fd` stays the caller's and must outlive the lane. NULL and an error
 * (G_FILE_ERROR) where io_uring is not available. */
struct wb_uring_lane *wb_uring_lane_new(const char *thread_name, int fd,
					uint32_t alignment_bytes, unsigned entries,
					const char *label, GError **error);
void wb_uring_lane_submit(struct wb_uring_lane *lane, struct wb_io *io);
/* Nothing is under way; by the time you look it may be otherwise. */
bool wb_uring_lane_is_idle(struct wb_uring_lane *lane);
/* Everything has been answered before; ends the thread. NULL is fine. */
void wb_uring_lane_free(struct wb_uring_lane *lane);

#endif
