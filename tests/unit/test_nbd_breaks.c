/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Connections to an NBD server that break, one by one: what tests of the whole store would
 * have to be lucky to meet. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdatomic.h>

#include "io/nbd_lane_private.h"
#include "io/nbd_library.h"
#include "support/nbd_server.h"

#define IMAGE_BYTES (UINT64_C(1) << 20)

static struct nbd_server server;

static void start(struct wb_nbd_peer *peer)
{
	GError *error = NULL;

	if (!nbd_server_is_there())
		cr_skip_test("no nbdkit here");
	nbd_server_start(&server, IMAGE_BYTES, "");
	if (!wb_nbd_connect(server.uri, 10000, peer, &error)) {
		nbd_server_end(&server);
		cr_assert(strstr(error->message, "built without NBD"), "%s", error->message);
		cr_skip_test("no NBD in this build");
	}
}

static void nobody_asks(struct wb_io *io, int error)
{
	(void)io;
	(void)error;
	cr_assert_fail("done() is the lane's");
}

/* libnbd takes the request, and closes the socket while it sends it. */
Test(nbd_breaks, a_request_that_finds_the_server_dead_is_not_sent, .timeout = 60)
{
	struct wb_nbd_session session;
	struct wb_nbd_peer peer;
	struct wb_io io = { 0 };
	struct wb_nbd_piece piece = { .io = &io, .op = WB_IO_FLUSH };

	start(&peer);
	wb_io_prepare(&io, WB_IO_FLUSH, WB_IO_CLASS_WRITEBACK, 0, NULL, 0, nobody_asks);
	wb_nbd_session_begin(&session, &peer);
	nbd_server_kill(&server);
	cr_expect_not(wb_nbd_session_send(&session, &piece));
	cr_expect_not(piece.is_answered);
	cr_expect_null(wb_nbd_session_break(&session));
	nbd_server_end(&server);
}

struct line {
	_Atomic(struct wb_nbd_redial *) redial;
	atomic_uint count;
};

static char *is_right(void *arg, const struct wb_nbd_peer *peer)
{
	(void)arg;
	(void)peer;
	return NULL;
}

static void breaks_at_once(void *arg, const struct wb_nbd_peer *peer)
{
	struct line *line = arg;
	struct wb_nbd_peer own = *peer;

	wb_nbd_disconnect(&own);
	atomic_fetch_add(&line->count, 1);
	wb_nbd_redial_want(line->redial, WB_NBD_URGENT, 0);
}

/* A server that dies of what it is asked first would be asked hundreds of times a second. */
Test(nbd_breaks, after_short_lives_the_pauses_grow, .timeout = 60)
{
	struct line line = { 0 };
	struct wb_nbd_redial_deps deps = {
		.judge = is_right, .connected = breaks_at_once, .arg = &line,
	};
	struct wb_nbd_peer peer;

	start(&peer);
	wb_nbd_disconnect(&peer);
	deps.uri = server.uri;
	line.redial = wb_nbd_redial_new(&deps, NULL);
	cr_assert(line.redial);
	wb_nbd_redial_want(line.redial, WB_NBD_URGENT, G_MAXINT64);
	/* At once, and after 0.1, 0.3, 0.7, 1.5 seconds. */
	while (atomic_load(&line.count) < 2)
		g_usleep(1000);
	g_usleep(2 * G_USEC_PER_SEC);
	cr_expect_leq(atomic_load(&line.count), 7);
	wb_nbd_redial_free(line.redial);
	nbd_server_end(&server);
}

/* --- what goes over which connection: a lane without its thread, and no server ------------- */

#define CONNECTIONS 3u
#define ASKED_MAX 8u
#define BLOCK 4096u

/* Here it is what was asked over one connection. */
struct nbd_handle {
	enum wb_io_op ops[ASKED_MAX];
	nbd_completion_callback callbacks[ASKED_MAX];
	unsigned asked_count, answered_count;
	bool is_dead;
};

struct asked {
	struct wb_io io;	/* first: done() casts */
	bool is_done;
	int error;
};

static struct nbd_handle handles[CONNECTIONS];
static struct wb_nbd_lane lane;
static _Atomic uint64_t size_bytes = IMAGE_BYTES;
static char memory[BLOCK];

static int64_t ask(struct nbd_handle *handle, enum wb_io_op op, nbd_completion_callback callback)
{
	cr_assert_lt(handle->asked_count, ASKED_MAX);
	handle->ops[handle->asked_count] = op;
	handle->callbacks[handle->asked_count] = callback;
	return ++handle->asked_count;
}

static int64_t ask_read(struct nbd_handle *handle, void *data, size_t bytes, uint64_t offset,
			nbd_completion_callback callback, uint32_t flags)
{
	(void)data, (void)bytes, (void)offset, (void)flags;
	return ask(handle, WB_IO_READ, callback);
}

static int64_t ask_write(struct nbd_handle *handle, const void *data, size_t bytes,
			 uint64_t offset, nbd_completion_callback callback, uint32_t flags)
{
	(void)data, (void)bytes, (void)offset, (void)flags;
	return ask(handle, WB_IO_WRITE, callback);
}

static int64_t ask_flush(struct nbd_handle *handle, nbd_completion_callback callback,
			 uint32_t flags)
{
	(void)flags;
	return ask(handle, WB_IO_FLUSH, callback);
}

static int answer_all(struct nbd_handle *handle)
{
	int error = 0;

	for (; !handle->is_dead && handle->answered_count < handle->asked_count;
	     handle->answered_count++)
		handle->callbacks[handle->answered_count].callback(
			handle->callbacks[handle->answered_count].user_data, &error);
	return 0;
}

static int is_dead(struct nbd_handle *handle)
{
	return handle->is_dead;
}

static int is_closed(struct nbd_handle *handle)
{
	(void)handle;
	return 0;
}

static unsigned reads_only(struct nbd_handle *handle)
{
	(void)handle;
	return LIBNBD_AIO_DIRECTION_READ;
}

static void forget(struct nbd_handle *handle)
{
	(void)handle;
}

static void start_lane(void)
{
	struct wb_nbd_peer peer = { .size_bytes = IMAGE_BYTES, .can_flush = true };

	wb_nbd_library = (struct wb_nbd_library){
		.nbd_aio_pread = ask_read, .nbd_aio_pwrite = ask_write,
		.nbd_aio_flush = ask_flush, .nbd_aio_notify_read = answer_all,
		.nbd_aio_is_dead = is_dead, .nbd_aio_is_closed = is_closed,
		.nbd_aio_get_direction = reads_only, .nbd_close = forget,
	};
	lane.traits = peer;
	lane.size_bytes = &size_bytes;
	lane.limits.transfer_bytes = 1 << 20;
	lane.is_given_up = true;	/* nobody connects again */
	wb_nbd_io_list_init(&lane.held);
	for (unsigned q = 0; q < WB_NBD_QUEUE_COUNT; q++)
		wb_nbd_io_list_init(&lane.queues[q]);
	for (unsigned i = 0; i < WB_NBD_PIECES_MAX; i++) {
		lane.pieces[i].next = lane.free_pieces;
		lane.free_pieces = &lane.pieces[i];
	}
	for (unsigned i = 0; i < CONNECTIONS; i++) {
		peer.handle = &handles[i];
		wb_nbd_lane_begin_session(&lane, &peer);
	}
}

static void note_done(struct wb_io *io, int error)
{
	struct asked *asked = (struct asked *)io;

	asked->is_done = true;
	asked->error = error;
}

static void begin(struct asked *asked, enum wb_io_op op, enum wb_io_class io_class)
{
	bool has_data = op != WB_IO_FLUSH;

	wb_io_prepare(&asked->io, op, io_class, 0, has_data ? memory : NULL, has_data ? BLOCK : 0,
		      note_done);
	wb_nbd_lane_prepare(&lane, &asked->io);
	wb_nbd_lane_accept(&lane, &asked->io);
	wb_nbd_lane_send_all(&lane);
}

static void serve(unsigned connection)
{
	for (unsigned i = 0; i < WB_NBD_SESSIONS_MAX; i++)
		if (lane.sessions[i].peer.handle == &handles[connection])
			wb_nbd_lane_serve(&lane, &lane.sessions[i], POLLIN);
}

static unsigned count_of(unsigned connection, enum wb_io_op op)
{
	unsigned count = 0;

	for (unsigned i = 0; i < handles[connection].asked_count; i++)
		count += handles[connection].ops[i] == op;
	return count;
}

/* The first two are with a server that is dead before the flush is, the last one with its
 * successor. What the second one answered in time is not flushed there. */
Test(nbd_breaks, a_flush_that_is_sent_again_goes_over_the_oldest_that_is_left)
{
	struct asked flush = { 0 }, writes[2] = { 0 };

	start_lane();
	begin(&flush, WB_IO_FLUSH, WB_IO_CLASS_WRITEBACK);
	for (unsigned i = 0; i < 2; i++)
		begin(&writes[i], WB_IO_WRITE, WB_IO_CLASS_WRITEBACK);
	cr_assert_eq(count_of(0, WB_IO_FLUSH), 1);
	cr_assert_eq(count_of(0, WB_IO_WRITE), 1);
	cr_assert_eq(count_of(1, WB_IO_WRITE), 1);
	handles[0].is_dead = true;
	serve(0);
	serve(1);
	cr_assert_neq(writes[0].is_done, writes[1].is_done);
	wb_nbd_lane_send_all(&lane);
	cr_assert_eq(count_of(1, WB_IO_FLUSH), 1);
	cr_assert_eq(count_of(2, WB_IO_FLUSH), 0);
	handles[1].is_dead = true;
	serve(1);
	wb_nbd_lane_send_all(&lane);
	cr_assert_eq(count_of(2, WB_IO_FLUSH), 1);
	serve(2);
	cr_assert(flush.is_done);
	cr_assert_eq(flush.error, -EIO);
}

/* Some servers do one thing after the other for each connection. */
Test(nbd_breaks, users_wait_neither_for_flushes_nor_for_writeback)
{
	struct asked flush = { 0 }, writes[4] = { 0 }, read = { 0 };

	start_lane();
	begin(&flush, WB_IO_FLUSH, WB_IO_CLASS_WRITEBACK);
	for (unsigned i = 0; i < 4; i++)
		begin(&writes[i], WB_IO_WRITE, WB_IO_CLASS_WRITEBACK);
	begin(&read, WB_IO_READ, WB_IO_CLASS_USER_READ);
	cr_assert_eq(handles[2].asked_count, 1);
	cr_assert_eq(count_of(2, WB_IO_READ), 1);
	serve(2);
	cr_assert(read.is_done);
	cr_assert_not(flush.is_done);
}
