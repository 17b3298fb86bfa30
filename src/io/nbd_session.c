/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "io/nbd_session.h"

#include <errno.h>

#include "io/nbd_library.h"

void wb_nbd_session_begin(struct wb_nbd_session *session, const struct wb_nbd_peer *peer)
{
	gint64 now = g_get_monotonic_time();

	*session = (struct wb_nbd_session){
		.is_open = true, .peer = *peer, .begun_us = now, .heard_us = now,
	};
}

/* Inside of libnbd, which must not be called from here. */
static int answered(void *arg, int *error)
{
	struct wb_nbd_piece *piece = arg;

	piece->is_answered = true;
	piece->error = -*error;
	return 1;
}

static int chunk(void *arg, const void *part, size_t bytes, uint64_t offset, unsigned status,
		 int *error)
{
	(void)arg, (void)part, (void)bytes, (void)offset, (void)status, (void)error;
	return 0;	/* it lies where it belongs */
}

/* In one, if that can be: QEMU answers in parts otherwise, and when it cannot read one of
 * them it hangs up in place of saying so. */
static int64_t ask_read(struct wb_nbd_session *session, struct wb_nbd_piece *piece,
			nbd_completion_callback callback)
{
	struct nbd_handle *handle = session->peer.handle;

	if (!session->peer.can_df || wb_nbd_transfer_of(piece->io)->is_plain)
		return wb_nbd_library.nbd_aio_pread(handle, piece->data, piece->length_bytes,
						    piece->offset_bytes, callback, 0);
	return wb_nbd_library.nbd_aio_pread_structured(
		handle, piece->data, piece->length_bytes, piece->offset_bytes,
		(nbd_chunk_callback){ .callback = chunk }, callback, LIBNBD_CMD_FLAG_DF);
}

static int64_t ask(struct wb_nbd_session *session, struct wb_nbd_piece *piece)
{
	nbd_completion_callback callback = { .callback = answered, .user_data = piece };
	struct nbd_handle *handle = session->peer.handle;
	uint32_t flags = 0;

	if (wb_nbd_transfer_of(piece->io)->sends_fua)
		flags = LIBNBD_CMD_FLAG_FUA;
	switch (piece->op) {
	case WB_IO_READ:
		return ask_read(session, piece, callback);
	case WB_IO_WRITE:
		return wb_nbd_library.nbd_aio_pwrite(handle, piece->data, piece->length_bytes,
				      piece->offset_bytes, callback, flags);
	case WB_IO_ZERO:
		return wb_nbd_library.nbd_aio_zero(handle, piece->length_bytes, piece->offset_bytes, callback,
				    flags);
	case WB_IO_DISCARD:
		return wb_nbd_library.nbd_aio_trim(handle, piece->length_bytes, piece->offset_bytes, callback,
				    flags);
	case WB_IO_FLUSH:
		return wb_nbd_library.nbd_aio_flush(handle, callback, 0);
	}
	g_assert_not_reached();
}

static bool is_broken(struct wb_nbd_session *session)
{
	return wb_nbd_library.nbd_aio_is_dead(session->peer.handle) > 0 ||
	       wb_nbd_library.nbd_aio_is_closed(session->peer.handle) > 0;
}

static uint64_t weight(const struct wb_nbd_piece *piece)
{
	return piece->op == WB_IO_READ || piece->op == WB_IO_WRITE ? piece->length_bytes : 0;
}

bool wb_nbd_session_send(struct wb_nbd_session *session, struct wb_nbd_piece *piece)
{
	piece->is_answered = false;
	if (session->sent_count == 0)
		session->heard_us = g_get_monotonic_time();
	if (ask(session, piece) < 0) {
		int errnum = wb_nbd_library.nbd_get_errno();

		piece->is_answered = !is_broken(session);
		piece->error = errnum ? -errnum : -EIO;
		return false;
	}
	/* libnbd takes a request also when sending it finds the connection dead. Its socket
	 * is closed then, and nothing would ever be heard of it. */
	if (is_broken(session)) {
		piece->is_answered = false;
		return false;
	}
	piece->next = session->sent;
	session->sent = piece;
	session->sent_count++;
	piece->sent_us = g_get_monotonic_time();
	session->sent_bytes += weight(piece);
	return true;
}

int wb_nbd_session_fd(const struct wb_nbd_session *session)
{
	return wb_nbd_library.nbd_aio_get_fd(session->peer.handle);
}

short wb_nbd_session_events(const struct wb_nbd_session *session)
{
	unsigned direction = wb_nbd_library.nbd_aio_get_direction(session->peer.handle);

	return (short)((direction & LIBNBD_AIO_DIRECTION_READ ? POLLIN : 0) |
		       (direction & LIBNBD_AIO_DIRECTION_WRITE ? POLLOUT : 0));
}

bool wb_nbd_session_move(struct wb_nbd_session *session, short events)
{
	struct nbd_handle *handle = session->peer.handle;
	unsigned direction = wb_nbd_library.nbd_aio_get_direction(handle);

	/* An error is found by who reads, or else by who writes. */
	if (events & (POLLIN | POLLHUP | POLLERR) && direction & LIBNBD_AIO_DIRECTION_READ)
		wb_nbd_library.nbd_aio_notify_read(handle);
	else if (events & (POLLOUT | POLLHUP | POLLERR) &&
		 direction & LIBNBD_AIO_DIRECTION_WRITE)
		wb_nbd_library.nbd_aio_notify_write(handle);
	return !is_broken(session);
}

struct wb_nbd_piece *wb_nbd_session_take_answered(struct wb_nbd_session *session,
						  bool is_over)
{
	struct wb_nbd_piece *taken = NULL, **at = &session->sent, *piece;

	while ((piece = *at) != NULL) {
		if (!piece->is_answered || (is_over && piece->error)) {
			at = &piece->next;
			continue;
		}
		*at = piece->next;
		piece->next = taken;
		taken = piece;
		session->sent_count--;
		session->sent_bytes -= weight(piece);
		session->heard_us = g_get_monotonic_time();
	}
	return taken;
}

struct wb_nbd_piece *wb_nbd_session_break(struct wb_nbd_session *session)
{
	struct wb_nbd_piece *first = NULL, *piece;

	wb_nbd_cut(&session->peer);
	while ((piece = session->sent) != NULL) {
		session->sent = piece->next;
		piece->next = first;
		first = piece;
	}
	*session = (struct wb_nbd_session){ .is_open = false };
	return first;
}
