/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether a thread that receives requests is of no use for a while: when one user alone
 * writes and syncs by turns, and waits for each answer. Another thread that waits for
 * requests is woken for each sync, mostly on a processor that sleeps, and that costs as
 * much as a fifth of the sync, while the thread that has the write ends just then and
 * would have taken it.
 *
 * Each thread has one of its own.
 */
#ifndef WB_FRONTEND_LONE_SYNC_H
#define WB_FRONTEND_LONE_SYNC_H

#include <stdbool.h>

#define WB_LONE_SYNC_REGULAR 32u	/* so many syncs in a row */
#define WB_LONE_SYNC_REQUESTS_MAX 4u	/* with no more between two of them */

struct wb_lone_sync {
	unsigned requests;		/* since the last sync, and no sync */
	unsigned regular;
};

/* A request came that is no sync. */
void wb_lone_sync_note_other(struct wb_lone_sync *lone);
/* A sync came; `is_alone`: no other request waits. TRUE: the thread may rest. */
bool wb_lone_sync_note(struct wb_lone_sync *lone, bool is_alone);

#endif
