/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The inside of a lane: nbd_lane.c is its thread and its doors, nbd_lane_io.c what
 * becomes of the I/O. Nobody else includes this.
 */
#ifndef WB_IO_NBD_LANE_PRIVATE_H
#define WB_IO_NBD_LANE_PRIVATE_H

#include "base/lock.h"
#include "io/nbd_lane.h"
#include "io/nbd_redial.h"
#include "io/nbd_session.h"
#include "io/nbd_transfer.h"
#include "io/nbd_witness.h"

#define WB_NBD_SESSIONS_MAX 4u
#define WB_NBD_PIECES_MAX 512u
#define WB_NBD_LOOK_MS 250

enum wb_nbd_queue { WB_NBD_USERS, WB_NBD_BACKGROUND, WB_NBD_QUEUE_COUNT };

struct wb_nbd_io_list {
	struct wb_io *first, **last;
};

struct wb_nbd_lane {
	/* constant after new */
	char *uri;
	struct wb_nbd_peer traits;	/* of the first connection; no handle */
	const _Atomic uint64_t *size_bytes;
	gint64 writes_from_us;
	bool *leaves_ghosts;
	int wake_fd;
	unsigned session_target;
	pthread_t thread;
	struct wb_nbd_redial *redial;
	struct wb_buffer_pool *pool;
	struct wb_nbd_limits limits;
	struct wb_nbd_witnesses witnesses;

	struct wb_lock lock;
	/* under lock */
	struct wb_nbd_io_list incoming;
	struct wb_nbd_peer arrived[WB_NBD_SESSIONS_MAX];
	unsigned arrived_count;
	bool is_stopping;
	bool is_woken;			/* the thread will look at `incoming` without more */
	bool is_napping;		/* soon, for what is lazy; written by its thread */

	/* its thread only */
	struct wb_nbd_io_list queues[WB_NBD_QUEUE_COUNT];
	struct wb_nbd_io_list held;
	struct wb_nbd_piece *again;
	struct wb_nbd_piece *free_pieces;
	struct wb_nbd_piece pieces[WB_NBD_PIECES_MAX];
	struct wb_nbd_session sessions[WB_NBD_SESSIONS_MAX];
	unsigned open_count;
	bool has_ghosts;		/* what may still land was given up */
	bool is_given_up;		/* no connection is made any more */
	bool needs_size;		/* something lies behind the end of all that were asked */
	unsigned urgent_count;		/* I/Os that are not lazy and have no done() yet */
	gint64 latency_us;		/* of lazy requests, about; 0: not known */
	uint64_t answered_changes, covered_changes;	/* without FUA, in pieces */
	gint64 looked_us;

	/* atomic */
	_Atomic uint32_t doubts;	/* breaks after which a flush has to fail */
	_Atomic uint32_t told_doubts;	/* of these, told */
	_Atomic int64_t timeout_us, hurry_us;	/* hurry: since when, or 0 */
	_Atomic int64_t away_since_us;
	_Atomic uint64_t break_count;
	_Atomic unsigned connection_count;
};

static inline void wb_nbd_io_list_init(struct wb_nbd_io_list *list)
{
	list->first = NULL;
	list->last = &list->first;
}

static inline void wb_nbd_io_list_append(struct wb_nbd_io_list *list, struct wb_io *io)
{
	io->next = NULL;
	*list->last = io;
	list->last = &io->next;
}

static inline bool wb_nbd_io_is_lazy(const struct wb_io *io)
{
	return io->flags & WB_IO_LAZY;
}

/* Any thread. */
void wb_nbd_lane_prepare(struct wb_nbd_lane *lane, struct wb_io *io);
/* All of these on its thread. */
void wb_nbd_lane_accept(struct wb_nbd_lane *lane, struct wb_io *io);
void wb_nbd_lane_begin_session(struct wb_nbd_lane *lane, const struct wb_nbd_peer *peer);
/* The socket is ready for `events`. */
void wb_nbd_lane_serve(struct wb_nbd_lane *lane, struct wb_nbd_session *session, short events);
/* What can be sent. */
void wb_nbd_lane_send_all(struct wb_nbd_lane *lane);
/* Now and then: who has waited too long? */
void wb_nbd_lane_look(struct wb_nbd_lane *lane);
/* done() of what was held back, if it is time. */
void wb_nbd_lane_let_go_held(struct wb_nbd_lane *lane);

#endif
