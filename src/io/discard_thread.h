/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Discards on a block device: a thread that makes the system call, because no
 * kernel before 6.12 does it through a ring, and a hole punched into a device
 * promises zeros, which some disks write one by one. One discard at a time, in
 * the order of submission; that is also what disks like best.
 *
 * submit(): any thread; waits for no disk, allocates nothing. done() is called on
 * the thread.
 */
#ifndef WB_IO_DISCARD_THREAD_H
#define WB_IO_DISCARD_THREAD_H

#include <glib.h>

#include "io/store.h"

struct wb_discard_thread;

/* `fd` stays the caller's and must outlive the thread. NULL and an error
 * (G_FILE_ERROR) when there can be no thread. */
struct wb_discard_thread *wb_discard_thread_new(int fd, const char *label, GError **error);
void wb_discard_thread_submit(struct wb_discard_thread *self, struct wb_io *io);
/* Everything has been answered before; ends the thread. NULL is fine. */
void wb_discard_thread_free(struct wb_discard_thread *self);

#endif
