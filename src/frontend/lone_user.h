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
 * Each thread has one of its own.
 */
#ifndef WB_FRONTEND_LONE_USER_H
#define WB_FRONTEND_LONE_USER_H

#include <stdbool.h>

#define WB_LONE_USER_REGULAR 32u	/* so many waits in a row */

/* Requests that came since the last wait. */
enum wb_lone_user_wait {
	WB_LONE_USER_READ = 1,		/* itself */
	WB_LONE_USER_SYNC = 4,		/* what was written before it */
};

struct wb_lone_user {
	unsigned requests;
	unsigned regular;
};

/* A request came that is no sync. */
void wb_lone_user_came(struct wb_lone_user *lone);
/* It, or a sync, waits for a disk; `is_alone`: nothing else does, and no other request is
 * there. TRUE: the thread may rest after it. */
bool wb_lone_user_waits(struct wb_lone_user *lone, enum wb_lone_user_wait kind,
			bool is_alone);

#endif
