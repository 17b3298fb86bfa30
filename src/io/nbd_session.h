/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A connection to an NBD server that carries pieces: what was sent and waits for its
 * answer. The thread of the store only; never waits.
 */
#ifndef WB_IO_NBD_SESSION_H
#define WB_IO_NBD_SESSION_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "io/nbd_connect.h"
#include "io/nbd_transfer.h"

struct wb_nbd_session {
	bool is_open;
	struct wb_nbd_peer peer;
	struct wb_nbd_piece *sent;	/* all of them, answered ones too */
	unsigned sent_count;
	uint64_t sent_bytes;		/* of reads and writes among them */
	int64_t begun_us;
	int64_t heard_us;		/* the last answer, or when it had nothing to answer */
};

void wb_nbd_session_begin(struct wb_nbd_session *session, const struct wb_nbd_peer *peer);
/* FALSE: the piece was not sent. Either the connection is broken, or the piece is
 * answered. */
bool wb_nbd_session_send(struct wb_nbd_session *session, struct wb_nbd_piece *piece);
int wb_nbd_session_fd(const struct wb_nbd_session *session);
short wb_nbd_session_events(const struct wb_nbd_session *session);
/* Lets it read and write what it can. FALSE: the connection is broken. */
bool wb_nbd_session_move(struct wb_nbd_session *session, short events);
/* Takes out the pieces that were answered, as a list. Of a broken one only those that
 * succeeded: the connection's end is no answer. */
struct wb_nbd_piece *wb_nbd_session_take_answered(struct wb_nbd_session *session,
						  bool is_broken);
/* What was not answered, as a list, in the order of sending; the memory is free
 * again, and what was not sent yet never will be. Closes it. */
struct wb_nbd_piece *wb_nbd_session_break(struct wb_nbd_session *session);

#endif
