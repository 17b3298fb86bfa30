/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ring of one thread: small reads that the thread itself begins, and whose
 * completions it takes itself while it waits for its next work. A lane (uring_lane.h)
 * needs two changes of threads for each read, which cost more than the read when the
 * processors are few; here there is none.
 *
 * A thread that has opened one gives every store_uring its small reads of class
 * USER_READ through it, without saying so. In return it must come back to
 * wb_thread_ring_run() soon: what it has begun is ended nowhere else, and done() is
 * called there. Before it waits for anything that another request may hold, it calls
 * wb_thread_ring_drain(): the other may wait for one of these reads.
 *
 * All functions: the thread that opened it.
 */
#ifndef WB_IO_THREAD_RING_H
#define WB_IO_THREAD_RING_H

#include <stdbool.h>

#include "io/store.h"

struct wb_uring_disk;

/* FALSE: this kernel has none that suits, and reads take the lanes. */
bool wb_thread_ring_open(void);
/* Ends what is in flight. Without a ring: nothing. */
void wb_thread_ring_close(void);

/* Begun and not ended; 0 without a ring. */
unsigned wb_thread_ring_in_flight(void);

enum wb_thread_ring_wait {
	WB_RING_NO_WAIT,	/* only what is there */
	WB_RING_WAIT,		/* until one has ended */
	WB_RING_WAIT_OR_FD,	/* or until something can be read from fd */
};
/* Hands over what was begun and calls done() of what has ended. Something is in
 * flight. `fd`: the same one each time. */
void wb_thread_ring_run(enum wb_thread_ring_wait wait, int fd);

/* Until nothing is in flight. */
void wb_thread_ring_drain(void);

/* For stores: TRUE when this thread's ring has taken it. */
bool wb_thread_ring_take(const struct wb_uring_disk *disk, struct wb_io *io);

#endif
