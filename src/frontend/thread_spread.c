/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "frontend/thread_spread.h"

#include <sched.h>
#include <string.h>

static __thread struct {
	unsigned index, count;
	unsigned short_left;		/* 0: it may run where it could before */
	cpu_set_t back, apart;
} spread;

void wb_thread_spread_begin(unsigned index, unsigned count)
{
	wb_thread_spread_end();
	spread.index = index;
	spread.count = count;
}

/* Linux (6.2) keeps what a thread has asked for: one that was nowhere kept off asks for all
 * there will ever be, or processors that come later, to its cpuset or to the machine, would
 * not be its own. Who was told to use all that there are now counts as such a one; who was
 * kept off some may be put there for this moment. */
static void find_way_back(const cpu_set_t *before)
{
	cpu_set_t everywhere, widest;

	memset(&everywhere, 0xff, sizeof everywhere);
	spread.back = *before;
	if (!sched_setaffinity(0, sizeof everywhere, &everywhere) &&
	    !sched_getaffinity(0, sizeof widest, &widest) && CPU_EQUAL(&widest, before))
		spread.back = everywhere;
}

/* Neighbours stay together: they share caches. */
static void go_apart(void)
{
	unsigned all, nth = 0;
	cpu_set_t before;

	if (spread.count < 2 || sched_getaffinity(0, sizeof before, &before))
		return;
	all = (unsigned)CPU_COUNT(&before);
	if (all < spread.count)
		return;
	find_way_back(&before);
	CPU_ZERO(&spread.apart);
	for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &before))
			continue;
		if (nth * spread.count / all == spread.index)
			CPU_SET(cpu, &spread.apart);
		nth++;
	}
	if (sched_setaffinity(0, sizeof spread.apart, &spread.apart))
		sched_setaffinity(0, sizeof spread.back, &spread.back);
	else
		spread.short_left = WB_THREAD_SPREAD_SHORT_COUNT;
}

void wb_thread_spread_note(size_t request_bytes)
{
	if (request_bytes >= WB_THREAD_SPREAD_LONG_BYTES) {
		if (spread.short_left)
			spread.short_left = WB_THREAD_SPREAD_SHORT_COUNT;
		else
			go_apart();
	} else if (spread.short_left == 1) {
		wb_thread_spread_end();
	} else if (spread.short_left) {
		spread.short_left--;
	}
}

void wb_thread_spread_end(void)
{
	cpu_set_t now;

	if (!spread.short_left)
		return;
	spread.short_left = 0;
	if (!sched_getaffinity(0, sizeof now, &now) && CPU_EQUAL(&now, &spread.apart))
		sched_setaffinity(0, sizeof spread.back, &spread.back);
}
