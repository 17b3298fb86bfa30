/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Connections to an NBD server that break, one by one: what tests of the whole store would
 * have to be lucky to meet. */
#include <criterion/criterion.h>
#include <stdatomic.h>

#include "io/nbd_redial.h"
#include "io/nbd_session.h"
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
