/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keeps threads that receive requests on processors of their own while long writes come.
 *
 * One is hundreds of microseconds of copying. In a virtual machine Linux does not wake a
 * thread onto a processor that sleeps (the host may have taken it away, see
 * available_idle_cpu() of the kernel), but behind who runs where it ran last: then a short
 * request waits for a long one though a processor has nothing to do. Short ones alone are
 * better off where the scheduler puts them, mostly where their user runs.
 *
 * A thread begins, notes what it receives, and ends, all by itself. Where there are more
 * threads than processors nothing happens. What somebody else sets meanwhile stays, unless
 * it is just what the thread had chosen.
 */
#ifndef WB_FRONTEND_THREAD_SPREAD_H
#define WB_FRONTEND_THREAD_SPREAD_H

#include <stddef.h>

#define WB_THREAD_SPREAD_LONG_BYTES (128u << 10)	/* from here on a request is long */
#define WB_THREAD_SPREAD_SHORT_COUNT 256u	/* so many short ones, and it is over */

/* This thread is the index-th of count, from 0. */
void wb_thread_spread_begin(unsigned index, unsigned count);
/* It is about to serve a request of so many bytes. */
void wb_thread_spread_note(size_t request_bytes);
/* Where it may run is as before. Threads and processes inherit that: to be called before
 * any may be started. Harmless without begin(); it begins anew with the next long one. */
void wb_thread_spread_end(void);

#endif
