/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The thread that talks to an NBD server, over as many connections as the server
 * allows, and what happens when one breaks.
 *
 *   queued      not cut into pieces yet (two queues: users go first)
 *   sent        each piece on a session, until its answer
 *   again       pieces whose session broke: sent again, before anything else
 *   held        answered, but done() comes later
 *
 * Older data must never land on newer data (P5). What was in flight when a
 * connection broke is done again; but the first sending of it may still be on its way:
 * in the server's queue, or with a thread of the server that has not written it yet.
 * Nobody can call it back, and NBD cannot ask for it. So:
 *  - It is sent again with the same data, from the same memory: the ghost and its
 *    repetition are the same, whichever lands last.
 *  - done() of a repeated change comes no sooner than HOLD after its answer: when the
 *    connection broke the server may have been stuck, and the ghost with it. Until then
 *    whoever wrote it submits nothing newer of its range, because in flight nothing is
 *    ordered (store.h): the range lock of writeback, the busy marks of bypass and bare
 *    writes. So all that is newer comes when the ghost is over. The same holds for one that
 *    is given up with an error.
 *  - The socket is closed so that the kernel throws away what it had not sent, instead
 *    of delivering it minutes later, when the network is back.
 *  - What was in flight when this program was killed: the next one holds back all changes
 *    for as long (`writes_from_us`), if the last one did not say goodbye; and it does not say
 *    so if it gave up a change that may still land (`leaves_ghosts`).
 * HOLD is what a server that answers may take from the end of a connection to the end of the
 * requests that it had received. It cannot be known, only chosen.
 *
 * A flush covers what was answered before. If a connection broke after an answer, the
 * server may have died with its cache: a flush that succeeds afterwards proves
 * nothing about that. So the next flush fails, and all that were submitted before its
 * failure was told; who has written since the last good one writes it again, as after
 * a flush that failed on a disk (cache/backing_flush.h: whoever wrote before a failure,
 * and be it in flight, hears of it). What was sent with FUA is in no doubt. Of a program
 * that was killed nobody knows which connections broke, or what for: what it was answered
 * without FUA and had not flushed is in doubt from the start (wb_nbd_lane_doubt()).
 *
 * A server that died may have its successor before its connections are known to be broken,
 * and a younger one reaches that: a flush would succeed there, raise no doubt, and cover
 * nothing of what the dead one had. So flushes go over the oldest connection. What was
 * answered and is in no doubt was answered while that was there: by its server, which then
 * is asked, or by one that came after it, and then the flush waits until this connection
 * breaks, which puts all of it in doubt. (Several connections there are only to servers
 * for which a flush over one covers all.)
 */
#ifndef WB_IO_NBD_LANE_H
#define WB_IO_NBD_LANE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "io/nbd_connect.h"
#include "io/store.h"

#define WB_NBD_HOLD_US (2 * G_USEC_PER_SEC)

struct wb_nbd_lane;

struct wb_nbd_lane_options {
	const char *uri;
	struct wb_nbd_peer first;	/* connected; the lane's if new() succeeds */
	gint64 writes_from_us;		/* no change is sent before */
	bool *leaves_ghosts;		/* set by free() if so; or NULL */
};

/* The state of the line, for people. */
struct wb_nbd_line {
	bool is_away;			/* no connection */
	gint64 away_since_us;		/* since 1970; 0: it is there */
	uint64_t break_count;		/* connections that broke */
	unsigned connection_count;
};

/* Starts two threads. `size_bytes`: of the store, for those who connect again. */
struct wb_nbd_lane *wb_nbd_lane_new(const struct wb_nbd_lane_options *options,
				    const _Atomic uint64_t *size_bytes, GError **error);
void wb_nbd_lane_submit(struct wb_nbd_lane *lane, struct wb_io *io);
/* Everything has been answered before. NULL is fine. */
void wb_nbd_lane_free(struct wb_nbd_lane *lane);

/* Any thread, from here on. How long users wait for a server that is away. */
void wb_nbd_lane_set_timeout(struct wb_nbd_lane *lane, uint64_t timeout_us);
/* A flush that has to cover what was answered to somebody else fails, see above. */
void wb_nbd_lane_doubt(struct wb_nbd_lane *lane);
/* From now on nothing waits longer than that, writeback neither. */
void wb_nbd_lane_hurry(struct wb_nbd_lane *lane);
void wb_nbd_lane_get_line(struct wb_nbd_lane *lane, struct wb_nbd_line *line);
/* Why it cannot be reached, to be freed; or NULL. */
char *wb_nbd_lane_problem(struct wb_nbd_lane *lane);

#endif
