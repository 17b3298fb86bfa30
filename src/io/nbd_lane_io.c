/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "io/nbd_lane_private.h"

#include <errno.h>

/* Of one session: enough for a line of 1 ms x 10 Gbit/s, and no more than a user's read
 * may have to wait behind. */
#define SENT_MAX 128u
#define BACKGROUND_BYTES_MAX (UINT64_C(4) << 20)

static inline void remove_at(struct wb_nbd_io_list *list, struct wb_io **at)
{
	struct wb_io *io = *at;

	*at = io->next;
	if (!*at)
		list->last = at;
}

static enum wb_nbd_queue queue_of(const struct wb_io *io)
{
	return io->io_class == WB_IO_CLASS_WRITEBACK || io->io_class == WB_IO_CLASS_FILL ||
			       io->io_class == WB_IO_CLASS_SCRUB ? WB_NBD_BACKGROUND : WB_NBD_USERS;
}

/* --- the end of an I/O -------------------------------------------------------------------- */

/* A flush that was submitted after the last failure was told is good for all that was
 * answered before it was sent; one submitted before has to fail as well. */
static void call_done(struct wb_nbd_lane *lane, struct wb_io *io)
{
	struct wb_nbd_transfer *transfer = wb_nbd_transfer_of(io);
	uint32_t doubts = atomic_load(&lane->doubts);
	/* (what the lane asks for by itself tells nobody) */
	bool is_flush = io->op == WB_IO_FLUSH &&
			!wb_nbd_witnesses_is_own(&lane->witnesses, io);
	int error = transfer->error;

	if (is_flush && !error && transfer->doubts != doubts)
		error = -EIO;
	if (io->op == WB_IO_DISCARD && error && !lane->traits.can_trim)
		error = -EOPNOTSUPP;
	if (!wb_nbd_io_is_lazy(io))
		lane->urgent_count--;
	io->done(io, error);
	/* After done(): whoever submits a flush when this is seen has been told. */
	if (is_flush && error)
		atomic_store(&lane->told_doubts, doubts);
}

static void finish(struct wb_nbd_lane *lane, struct wb_io *io)
{
	struct wb_nbd_transfer *transfer = wb_nbd_transfer_of(io);

	if (transfer->piece_count > 0 || !transfer->is_cut)
		return;
	if (transfer->held_until_us == 0) {
		call_done(lane, io);
		return;
	}
	/* At the break the server may have been stuck: that it answers is the first sign
	 * that the ghost moves as well. */
	transfer->held_until_us = g_get_monotonic_time() + WB_NBD_HOLD_US;
	lane->has_ghosts |= transfer->error != 0;
	wb_nbd_io_list_append(&lane->held, io);
}

void wb_nbd_lane_let_go_held(struct wb_nbd_lane *lane)
{
	gint64 now = g_get_monotonic_time();
	struct wb_io **at = &lane->held.first;

	while (*at) {
		struct wb_io *io = *at;

		if (wb_nbd_transfer_of(io)->held_until_us > now) {
			at = &io->next;
			continue;
		}
		remove_at(&lane->held, at);
		call_done(lane, io);
	}
}

/* --- answers --------------------------------------------------------------------------------- */

static void free_piece(struct wb_nbd_lane *lane, struct wb_nbd_piece *piece)
{
	wb_nbd_piece_end(piece, lane->pool);
	piece->next = lane->free_pieces;
	lane->free_pieces = piece;
}

static void queue(struct wb_nbd_lane *lane, struct wb_io *io)
{
	wb_nbd_io_list_append(&lane->queues[queue_of(io)], io);
}

void wb_nbd_lane_accept(struct wb_nbd_lane *lane, struct wb_io *io)
{
	if (!wb_nbd_io_is_lazy(io))
		lane->urgent_count++;
	queue(lane, io);
}

static void again_from_start(struct wb_nbd_lane *lane, struct wb_io *io)
{
	wb_nbd_transfer_rewind(io);
	queue(lane, io);
}

/* TRUE: durable at done(), which takes one more piece. */
static bool flush_after(struct wb_nbd_lane *lane, struct wb_io *io)
{
	struct wb_nbd_transfer *transfer = wb_nbd_transfer_of(io);
	uint32_t doubts = atomic_load(&lane->doubts);

	if (transfer->flushes == WB_NBD_FLUSHES_NOT || transfer->error)
		return false;
	if (transfer->flushes == WB_NBD_FLUSHES_AFTER) {
		transfer->flushes = WB_NBD_FLUSHES_NOW;
		transfer->is_cut = false;
		queue(lane, io);
		return true;
	}
	if (transfer->doubts == doubts)
		return false;
	/* What was flushed may not be what was written. */
	transfer->flushes = WB_NBD_FLUSHES_AFTER;
	transfer->doubts = doubts;
	again_from_start(lane, io);
	return true;
}

/* Servers may offer to zero, or to read in one, and find out later that they cannot. */
static bool may_be_plain(const struct wb_io *io, int error)
{
	return (io->op == WB_IO_ZERO && error == -EOPNOTSUPP) ||
	       (io->op == WB_IO_READ && error == -EOVERFLOW);
}

static void end_io(struct wb_nbd_lane *lane, struct wb_io *io)
{
	struct wb_nbd_transfer *transfer = wb_nbd_transfer_of(io);

	if (transfer->piece_count > 0 || !transfer->is_cut)
		return;
	if (!transfer->is_plain && may_be_plain(io, transfer->error)) {
		transfer->is_plain = true;
		again_from_start(lane, io);
	} else if (!flush_after(lane, io)) {
		finish(lane, io);
	}
}

static void note_answer(struct wb_nbd_lane *lane, const struct wb_nbd_piece *piece)
{
	struct wb_nbd_transfer *transfer = wb_nbd_transfer_of(piece->io);

	if (piece->op == WB_IO_FLUSH && !piece->error && piece->io->op == WB_IO_FLUSH)
		lane->covered_changes = MAX(lane->covered_changes, piece->offset_bytes);
	if (wb_nbd_transfer_is_change(piece->op) && !piece->error && !transfer->sends_fua)
		lane->answered_changes++;
	if (wb_nbd_transfer_is_change(piece->op))
		wb_nbd_witnesses_end(&lane->witnesses, piece);
	if (piece->op == WB_IO_FLUSH && !piece->error)
		wb_nbd_witnesses_flushed(&lane->witnesses, piece->length_bytes);
	if (piece->error && !transfer->error)
		transfer->error = piece->error;
}

/* (of what never was sent, or is over with its connection, nothing is learned) */
static void note_latency(struct wb_nbd_lane *lane, const struct wb_nbd_piece *piece)
{
	if (piece->error || !piece->sent_us || !wb_nbd_io_is_lazy(piece->io))
		return;
	lane->latency_us += (g_get_monotonic_time() - piece->sent_us - lane->latency_us) / 8;
}

static void take_answers(struct wb_nbd_lane *lane, struct wb_nbd_piece *answered)
{
	struct wb_nbd_piece *piece;

	while ((piece = answered) != NULL) {
		struct wb_io *io = piece->io;

		answered = piece->next;
		note_answer(lane, piece);
		note_latency(lane, piece);
		wb_nbd_transfer_of(io)->piece_count--;
		free_piece(lane, piece);
		end_io(lane, io);
	}
}

/* --- a connection begins, or breaks ----------------------------------------------------------- */

static void count_connections(struct wb_nbd_lane *lane)
{
	atomic_store(&lane->connection_count, lane->open_count);
	if (lane->open_count > 0)
		atomic_store(&lane->away_since_us, 0);
	else if (!atomic_load(&lane->away_since_us))
		atomic_store(&lane->away_since_us, g_get_real_time());
}

/* From behind: so the youngest, which is left to users, is mostly served before the others. */
void wb_nbd_lane_begin_session(struct wb_nbd_lane *lane, const struct wb_nbd_peer *peer)
{
	for (unsigned i = WB_NBD_SESSIONS_MAX; i-- > 0;) {
		if (lane->sessions[i].is_open)
			continue;
		wb_nbd_session_begin(&lane->sessions[i], peer);
		lane->needs_size = false;
		lane->open_count++;
		count_connections(lane);
		return;
	}
	g_assert_not_reached();
}

/* What was sent is sent again, in its order, before all that is queued. */
static void put_back(struct wb_nbd_lane *lane, struct wb_nbd_piece *orphans)
{
	struct wb_nbd_piece **at = &lane->again;
	gint64 now = g_get_monotonic_time();

	while (*at)
		at = &(*at)->next;
	*at = orphans;
	for (struct wb_nbd_piece *piece = orphans; piece; piece = piece->next)
		if (wb_nbd_transfer_is_change(piece->op))
			wb_nbd_transfer_of(piece->io)->held_until_us = now;
}

static void break_session(struct wb_nbd_lane *lane, struct wb_nbd_session *session)
{
	gint64 begun_us = session->begun_us;

	take_answers(lane, wb_nbd_session_take_answered(session, true));
	put_back(lane, wb_nbd_session_break(session));
	wb_nbd_witnesses_haunted(&lane->witnesses, g_get_monotonic_time() + WB_NBD_HOLD_US);
	if (lane->answered_changes != lane->covered_changes)
		atomic_fetch_add(&lane->doubts, 1);
	/* They are told of it now; what follows is covered by what follows. */
	lane->covered_changes = lane->answered_changes;
	lane->open_count--;
	atomic_fetch_add(&lane->break_count, 1);
	count_connections(lane);
	if (!lane->is_given_up)
		wb_nbd_redial_want(lane->redial, lane->open_count ? WB_NBD_SPARE : WB_NBD_URGENT,
				   g_get_monotonic_time() - begun_us);
}

static bool is_going_down(const struct wb_nbd_session *session)
{
	for (const struct wb_nbd_piece *p = session->sent; p; p = p->next)
		if (p->is_answered && p->error == -ESHUTDOWN)
			return true;
	return false;
}

void wb_nbd_lane_serve(struct wb_nbd_lane *lane, struct wb_nbd_session *session, short events)
{
	if (!wb_nbd_session_move(session, events) || is_going_down(session))
		break_session(lane, session);
	else
		take_answers(lane, wb_nbd_session_take_answered(session, false));
}

/* --- sending ------------------------------------------------------------------------------------ */

/* The export has grown since; to the server this connection has the old size. */
static bool is_outgrown(const struct wb_nbd_lane *lane, const struct wb_nbd_session *session)
{
	return session->peer.size_bytes < atomic_load(lane->size_bytes);
}

/* Flushes go over it, whatever else it has to do and whatever size it knows: see nbd_lane.h.
 * Of those that are as old, the last, which began first. NULL: none is open. */
static struct wb_nbd_session *oldest(struct wb_nbd_lane *lane)
{
	struct wb_nbd_session *found = NULL;

	for (unsigned i = 0; i < WB_NBD_SESSIONS_MAX; i++) {
		struct wb_nbd_session *s = &lane->sessions[i];

		if (s->is_open && (!found || s->begun_us <= found->begun_us))
			found = s;
	}
	return found;
}

/* Of those that are as young, the first: never the oldest, unless there is one only. */
static struct wb_nbd_session *youngest(struct wb_nbd_lane *lane)
{
	struct wb_nbd_session *found = NULL;

	for (unsigned i = 0; i < WB_NBD_SESSIONS_MAX; i++) {
		struct wb_nbd_session *s = &lane->sessions[i];

		if (s->is_open && (!found || s->begun_us > found->begun_us))
			found = s;
	}
	return found;
}

static bool is_background_full(const struct wb_nbd_lane *lane,
			       const struct wb_nbd_session *session,
			       const struct wb_nbd_session *left_to_users)
{
	return session->sent_bytes >= BACKGROUND_BYTES_MAX ||
	       (session == left_to_users && lane->open_count > 1);
}

/* The one with the least to do. The youngest is left to users where there are others: over
 * the oldest go the flushes, behind which some servers let all else wait. The I/O ends at
 * `end_bytes`. */
static struct wb_nbd_session *choose(struct wb_nbd_lane *lane, enum wb_nbd_queue queue,
				     uint64_t end_bytes)
{
	struct wb_nbd_session *left_to_users = youngest(lane), *best = NULL;
	bool is_short = false;

	for (unsigned i = 0; i < WB_NBD_SESSIONS_MAX; i++) {
		struct wb_nbd_session *s = &lane->sessions[i];

		if (!s->is_open || s->sent_count >= SENT_MAX)
			continue;
		if (lane->needs_size ? is_outgrown(lane, s) : s->peer.size_bytes < end_bytes) {
			is_short = true;
			continue;
		}
		if (queue == WB_NBD_BACKGROUND && is_background_full(lane, s, left_to_users))
			continue;
		if (!best || s->sent_bytes < best->sent_bytes ||
		    (s->sent_bytes == best->sent_bytes && s == left_to_users))
			best = s;
	}
	lane->needs_size |= !best && is_short;
	return best;
}

/* A flush answers for what was answered when it was sent; it is kept where other pieces
 * have their offset, and what that means for the witnesses where they have their length. */
static void send_piece(struct wb_nbd_lane *lane, struct wb_nbd_session *session,
		       struct wb_nbd_piece *piece)
{
	if (piece->op == WB_IO_FLUSH)
		piece->offset_bytes = lane->answered_changes;
	if (piece->op == WB_IO_FLUSH)
		piece->length_bytes = wb_nbd_witnesses_flush_is_sent(&lane->witnesses);
	if (piece->op == WB_IO_FLUSH && !lane->traits.can_flush) {
		piece->is_answered = true;	/* then there is nothing to be flushed */
		piece->error = 0;
	} else if (wb_nbd_session_send(session, piece)) {
		return;
	}
	piece->next = NULL;
	if (piece->is_answered) {
		take_answers(lane, piece);
	} else {
		put_back(lane, piece);
		break_session(lane, session);
	}
}

static bool may_send(const struct wb_nbd_lane *lane, enum wb_io_op op)
{
	return !wb_nbd_transfer_is_change(op) || lane->writes_from_us == 0 ||
	       g_get_monotonic_time() >= lane->writes_from_us;
}

static void send_again(struct wb_nbd_lane *lane)
{
	struct wb_nbd_piece *piece;

	while ((piece = lane->again) != NULL) {
		struct wb_nbd_session *session =
			piece->op == WB_IO_FLUSH ? oldest(lane) :
			choose(lane, WB_NBD_USERS, piece->offset_bytes + piece->length_bytes);

		if (!session)
			return;
		lane->again = piece->next;
		send_piece(lane, session, piece);
	}
}

static void send_queue(struct wb_nbd_lane *lane, enum wb_nbd_queue queue)
{
	struct wb_nbd_io_list *list = &lane->queues[queue];

	while (list->first && lane->free_pieces && !lane->again) {
		struct wb_io *io = list->first;
		struct wb_nbd_session *session =
			wb_nbd_transfer_next_is_flush(io) ? oldest(lane) :
			choose(lane, queue, io->offset_bytes + io->length_bytes);
		struct wb_nbd_piece *piece = lane->free_pieces;

		if (!session || !may_send(lane, io->op))
			return;
		lane->free_pieces = piece->next;
		wb_nbd_transfer_cut(io, &lane->limits, lane->pool, piece);
		if (wb_nbd_transfer_is_change(piece->op))
			wb_nbd_witnesses_begin(&lane->witnesses, piece);
		if (wb_nbd_transfer_of(io)->is_cut)
			remove_at(list, &list->first);
		send_piece(lane, session, piece);
	}
}

static void ask_witness(struct wb_nbd_lane *lane)
{
	struct wb_io *io = lane->open_count > 0 ? wb_nbd_witnesses_next(&lane->witnesses) : NULL;

	if (!io)
		return;
	wb_nbd_lane_prepare(lane, io);
	wb_nbd_lane_accept(lane, io);
}

/* Connections that have the old size, when they have nothing to do. What was answered over
 * them and not flushed would be in doubt then: they stay until a flush has come, unless
 * something needs the new size; then they get nothing more to do, but flushes. */
static void retire_outgrown(struct wb_nbd_lane *lane)
{
	bool may_retire = lane->needs_size || lane->answered_changes == lane->covered_changes;

	for (unsigned i = 0; i < WB_NBD_SESSIONS_MAX && may_retire; i++) {
		struct wb_nbd_session *session = &lane->sessions[i];

		if (session->is_open && session->sent_count == 0 && is_outgrown(lane, session))
			break_session(lane, session);
	}
}

void wb_nbd_lane_send_all(struct wb_nbd_lane *lane)
{
	retire_outgrown(lane);
	ask_witness(lane);
	send_again(lane);
	for (enum wb_nbd_queue queue = WB_NBD_USERS; queue < WB_NBD_QUEUE_COUNT; queue++)
		send_queue(lane, queue);
}

/* --- patience ------------------------------------------------------------------------------------ */

/* Writeback waits as long as it takes: what it has is safe where it is. Who is in a hurry
 * has one time for everything, also for what fails and is followed by another try. */
static bool has_waited_too_long(struct wb_nbd_lane *lane, const struct wb_io *io, gint64 now)
{
	gint64 since = ((const struct wb_nbd_transfer *)(const void *)io->store_word)->since_us;
	gint64 hurry = atomic_load(&lane->hurry_us);

	if (io->io_class == WB_IO_CLASS_WRITEBACK && !hurry)
		return false;
	if (hurry)
		since = io->io_class == WB_IO_CLASS_WRITEBACK ? hurry : MIN(since, hurry);
	return now - since >= atomic_load(&lane->timeout_us);
}

/* Takes what waited too long out of `again`. */
static void expire_again(struct wb_nbd_lane *lane, gint64 now)
{
	struct wb_nbd_piece **at = &lane->again, *piece, *expired = NULL;

	while ((piece = *at) != NULL) {
		if (!has_waited_too_long(lane, piece->io, now)) {
			at = &piece->next;
			continue;
		}
		*at = piece->next;
		piece->error = -EIO;
		piece->next = expired;
		expired = piece;
	}
	take_answers(lane, expired);
}

static void expire_queue(struct wb_nbd_lane *lane, struct wb_nbd_io_list *list, gint64 now)
{
	struct wb_io **at = &list->first;

	while (*at) {
		struct wb_io *io = *at;
		struct wb_nbd_transfer *transfer = wb_nbd_transfer_of(io);

		if (!has_waited_too_long(lane, io, now)) {
			at = &io->next;
			continue;
		}
		remove_at(list, at);
		transfer->is_cut = true;
		transfer->error = -EIO;
		finish(lane, io);
	}
}

/* A server that is there, but has not said a word for so long, while users wait for it:
 * the line may be dead, and if not, memory that they lent it has to come back. */
static bool is_mute(struct wb_nbd_lane *lane, const struct wb_nbd_session *session, gint64 now)
{
	if (!session->is_open || now - session->heard_us < atomic_load(&lane->timeout_us))
		return false;
	for (const struct wb_nbd_piece *p = session->sent; p; p = p->next)
		if (has_waited_too_long(lane, p->io, now))
			return true;
	return false;
}

/* Then whatever still comes fails at once: writeback cuts what has failed into pieces, and
 * tries each of them. */
static bool is_too_late(struct wb_nbd_lane *lane, gint64 now)
{
	gint64 hurry = atomic_load(&lane->hurry_us);

	return hurry && now - hurry >= atomic_load(&lane->timeout_us);
}

void wb_nbd_lane_look(struct wb_nbd_lane *lane)
{
	gint64 now = g_get_monotonic_time();

	if (now - lane->looked_us < WB_NBD_LOOK_MS * 1000 && !is_too_late(lane, now))
		return;
	lane->looked_us = now;
	for (unsigned i = 0; i < WB_NBD_SESSIONS_MAX; i++) {
		if (!is_mute(lane, &lane->sessions[i], now))
			continue;
		/* Who is in a hurry does not try the same server again. */
		lane->is_given_up |= is_too_late(lane, now);
		break_session(lane, &lane->sessions[i]);
	}
	for (unsigned i = 0; i < WB_NBD_SESSIONS_MAX && lane->is_given_up; i++)
		if (lane->sessions[i].is_open)
			break_session(lane, &lane->sessions[i]);
	/* Not once more with the next connection, which may be as mute. */
	expire_again(lane, now);
	for (unsigned q = 0; q < WB_NBD_QUEUE_COUNT && lane->open_count == 0; q++)
		expire_queue(lane, &lane->queues[q], now);
}
