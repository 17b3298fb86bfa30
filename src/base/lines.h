/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counters that many threads raise all the time: one for each of a few stripes, each
 * in a line of the processors' caches of its own, so that two threads at work do not
 * fight for it. A thread keeps its stripe.
 */
#ifndef WB_BASE_LINES_H
#define WB_BASE_LINES_H

#define WB_CACHE_LINE_BYTES 64
#define WB_THREAD_STRIPES 4u

/* 1 + the stripe of this thread; 0: not chosen yet. */
extern _Thread_local unsigned wb_thread_stripe_chosen;
unsigned wb_thread_stripe_choose(void);

static inline unsigned wb_thread_stripe(void)
{
	unsigned mine = wb_thread_stripe_chosen;

	return (mine ? mine : wb_thread_stripe_choose()) - 1;
}

#endif
