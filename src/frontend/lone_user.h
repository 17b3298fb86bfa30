/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether a thread that receives requests is of no use for a while: when one user alone
 * waits for a disk, with one request at a time. Another thread that waits for requests is
 * woken for each, mostly on a processor that sleeps, which costs as much as a tenth of a
 * disk's answer; the one that has waited for the disk is just through, and would have taken
 * it.
 *
 * Not for users whose requests wait for no disk: which processor such a thread is woken on
 * matters more to them, and two threads are there mostly where the user is.
 *
 * All threads share a wb_lone_users, which each reads for every request and none writes
 * while there is no such user or he alone; each has a wb_lone_user of its own.
 */
#ifndef WB_FRONTEND_LONE_USER_H
#define WB_FRONTEND_LONE_USER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define WB_LONE_USER_REGULAR 32u	/* so many waits in a row, as one thread sees them */

/* So many requests at most since the last wait. */
enum wb_lone_user_wait {
	WB_LONE_USER_READ = 1,		/* itself */
	WB_LONE_USER_SYNC = 5,		/* and what was written before it */
};

struct wb_lone_users {
	_Atomic uint32_t pid;		/* of the one that there is, or 0 */
};

struct wb_lone_user {
	uint32_t pid;			/* whose request came last */
	unsigned requests;
	unsigned regular;
};

/* A request of the thread `pid`, 0 where that is not known. One that keeps its thread busy
 * for long is company for whatever comes meanwhile. */
void wb_lone_user_came(struct wb_lone_users *users, struct wb_lone_user *lone, uint32_t pid,
		       bool is_long);
/* It waits for a disk; `is_alone`: no other request is there. TRUE: the thread may rest
 * after it. */
bool wb_lone_user_waits(struct wb_lone_users *users, struct wb_lone_user *lone,
			enum wb_lone_user_wait kind, bool is_alone);

#endif
