/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "io/nbd_lane_private.h"

#define STACK_BYTES (1024u << 10)	/* TLS runs on it */
#define TIMEOUT_DEFAULT_US (30 * G_USEC_PER_SEC)
#define NAP_US_MIN 100		/* a timer is not much better than that */
#define NAP_US_MAX 2000

static void wake(struct wb_nbd_lane *lane)
{
	uint64_t one = 1;

	while (write(lane->wake_fd, &one, sizeof one) < 0 && errno == EINTR)
		;
}

/* --- the thread ------------------------------------------------------------------------------------ */

static void take_incoming(struct wb_nbd_lane *lane)
{
	struct wb_nbd_peer peers[WB_NBD_SESSIONS_MAX];
	struct wb_nbd_io_list incoming;
	struct wb_io *io;
	unsigned count;

	wb_lock_acquire(&lane->lock);
	incoming = lane->incoming;
	wb_nbd_io_list_init(&lane->incoming);
	count = lane->arrived_count;
	memcpy(peers, lane->arrived, sizeof peers);
	lane->arrived_count = 0;
	lane->is_woken = false;
	lane->is_napping = false;
	wb_lock_release(&lane->lock);
	for (unsigned i = 0; i < count; i++) {
		if (lane->is_given_up)
			wb_nbd_disconnect(&peers[i]);
		else
			wb_nbd_lane_begin_session(lane, &peers[i]);
	}
	while ((io = incoming.first) != NULL) {
		incoming.first = io->next;
		wb_nbd_lane_accept(lane, io);
	}
}

/* --- naps ------------------------------------------------------------------------------------------ */

/* Where only lazy I/O is under way nobody waits for an answer. Each would wake this thread,
 * and its done() the one that submits the next, which wakes this one again: on few
 * processors that is felt by those whose writes go to the cache. So after answers it sleeps
 * for a part of what an answer takes, and does what has come up by then together. What is
 * not lazy wakes it. */
static gint64 nap_us(const struct wb_nbd_lane *lane)
{
	gint64 nap = lane->latency_us / 2;

	return nap < NAP_US_MIN ? 0 : MIN(nap, NAP_US_MAX);
}

/* Nothing is wanted but answers, and these of nobody who waits. */
static bool may_nap(const struct wb_nbd_lane *lane)
{
	unsigned sent = 0;

	if (lane->urgent_count > 0 || lane->again || lane->held.first || nap_us(lane) == 0)
		return false;
	for (unsigned i = 0; i < WB_NBD_SESSIONS_MAX; i++) {
		const struct wb_nbd_session *session = &lane->sessions[i];

		if (session->is_open && wb_nbd_session_events(session) & POLLOUT)
			return false;
		sent += session->sent_count;
	}
	return sent > 0;
}

/* Before the done() of what was answered: what they submit need not wake it. */
static void plan_nap(struct wb_nbd_lane *lane)
{
	bool naps = may_nap(lane);

	wb_lock_acquire(&lane->lock);
	lane->is_napping = naps && !lane->is_woken;
	wb_lock_release(&lane->lock);
}

static void nap(struct wb_nbd_lane *lane)
{
	struct pollfd fd = { .fd = lane->wake_fd, .events = POLLIN };
	struct timespec time = { .tv_nsec = nap_us(lane) * 1000 };

	if (lane->is_napping)
		ppoll(&fd, 1, &time, NULL);
}

/* --- waiting --------------------------------------------------------------------------------------- */

static bool is_idle(const struct wb_nbd_lane *lane)
{
	for (unsigned i = 0; i < WB_NBD_SESSIONS_MAX; i++)
		if (lane->sessions[i].sent_count > 0)
			return false;
	if (lane->open_count > 0 && wb_nbd_witnesses_waits(&lane->witnesses))
		return false;
	return !lane->again && !lane->held.first && !lane->queues[WB_NBD_USERS].first &&
	       !lane->queues[WB_NBD_BACKGROUND].first;
}

static void drain_wakes(struct wb_nbd_lane *lane, short events)
{
	uint64_t count;

	while (events && read(lane->wake_fd, &count, sizeof count) < 0 && errno == EINTR)
		;
}

/* FALSE: nothing came in that time. One call may bring one answer of each connection only. */
static bool serve(struct wb_nbd_lane *lane, int timeout_ms)
{
	struct pollfd fds[1 + WB_NBD_SESSIONS_MAX] = { { .fd = lane->wake_fd, .events = POLLIN } };

	for (unsigned i = 0; i < WB_NBD_SESSIONS_MAX; i++) {
		struct wb_nbd_session *session = &lane->sessions[i];

		fds[1 + i].fd = session->is_open ? wb_nbd_session_fd(session) : -1;
		fds[1 + i].events = session->is_open ? wb_nbd_session_events(session) : 0;
	}
	if (poll(fds, G_N_ELEMENTS(fds), timeout_ms) <= 0)
		return false;
	drain_wakes(lane, fds[0].revents);
	plan_nap(lane);
	for (unsigned i = 0; i < WB_NBD_SESSIONS_MAX; i++)
		if (fds[1 + i].revents && lane->sessions[i].is_open)
			wb_nbd_lane_serve(lane, &lane->sessions[i], fds[1 + i].revents);
	return true;
}

static void wait_and_serve(struct wb_nbd_lane *lane)
{
	bool goes_on = serve(lane, is_idle(lane) ? -1 : WB_NBD_LOOK_MS);

	/* What is here already is not for after the nap. */
	while (goes_on && lane->is_napping)
		goes_on = serve(lane, 0);
}

static bool is_stopping(struct wb_nbd_lane *lane)
{
	bool stops;

	wb_lock_acquire(&lane->lock);
	stops = lane->is_stopping;
	wb_lock_release(&lane->lock);
	return stops;
}

static void *run(void *arg)
{
	struct wb_nbd_lane *lane = arg;

	pthread_setname_np(pthread_self(), "wb-io-nbd");
	while (!is_stopping(lane)) {
		nap(lane);
		take_incoming(lane);
		wb_nbd_lane_send_all(lane);
		wb_nbd_lane_look(lane);
		wb_nbd_lane_let_go_held(lane);
		wait_and_serve(lane);
	}
	return NULL;
}

/* --- connecting again -------------------------------------------------------------------------------- */

static char *judge(void *arg, const struct wb_nbd_peer *peer)
{
	struct wb_nbd_lane *lane = arg;
	const struct wb_nbd_peer *was = &lane->traits;
	uint64_t size = atomic_load(lane->size_bytes);

	if (peer->size_bytes < size)
		return g_strdup_printf("%s: the export has shrunk from %" PRIu64 " to %" PRIu64
				       " bytes, or is another one", lane->uri, size,
				       peer->size_bytes);
	if (peer->alignment_bytes > was->alignment_bytes ||
	    peer->transfer_bytes < lane->limits.transfer_bytes ||
	    (peer->is_read_only && !was->is_read_only) || (!peer->can_flush && was->can_flush) ||
	    (!peer->can_fua && was->can_fua) || (!peer->can_zero && was->can_zero) ||
	    (!peer->can_trim && was->can_trim) ||
	    (!peer->can_multi_conn && lane->session_target > 1))
		return g_strdup_printf("%s: the server offers less than it did when the volume was "
				       "mounted; mount it again", lane->uri);
	return wb_nbd_witnesses_judge(&lane->witnesses, lane->uri, peer);
}

static void connected(void *arg, const struct wb_nbd_peer *peer)
{
	struct wb_nbd_lane *lane = arg;

	wb_lock_acquire(&lane->lock);
	g_assert(lane->arrived_count < WB_NBD_SESSIONS_MAX);
	lane->arrived[lane->arrived_count++] = *peer;
	wb_lock_release(&lane->lock);
	wake(lane);
}

/* --- doors -------------------------------------------------------------------------------------------- */

void wb_nbd_lane_prepare(struct wb_nbd_lane *lane, struct wb_io *io)
{
	struct wb_nbd_transfer *transfer = wb_nbd_transfer_of(io);
	/* Of a write from a user nobody has another copy: a break shall not put it in
	 * doubt. */
	bool is_users = io->io_class == WB_IO_CLASS_USER_WRITE && wb_nbd_transfer_is_change(io->op);

	*transfer = (struct wb_nbd_transfer){
		.since_us = g_get_monotonic_time(),
		.doubts = io->op == WB_IO_FLUSH ? atomic_load(&lane->told_doubts) :
						  atomic_load(&lane->doubts),
		.sends_fua = lane->traits.can_fua && (is_users || io->flags & WB_IO_FUA),
	};
	/* Such a server can make durable nothing else. */
	if (!lane->traits.can_flush && lane->traits.can_fua && wb_nbd_transfer_is_change(io->op))
		transfer->sends_fua = true;
	if (io->flags & WB_IO_FUA && !lane->traits.can_fua)
		transfer->flushes = WB_NBD_FLUSHES_AFTER;
}

void wb_nbd_lane_submit(struct wb_nbd_lane *lane, struct wb_io *io)
{
	bool wakes;

	wb_nbd_lane_prepare(lane, io);
	wb_lock_acquire(&lane->lock);
	wakes = !lane->is_woken && !(lane->is_napping && wb_nbd_io_is_lazy(io));
	lane->is_woken |= wakes;
	wb_nbd_io_list_append(&lane->incoming, io);
	wb_lock_release(&lane->lock);
	if (wakes)
		wake(lane);
}

void wb_nbd_lane_set_timeout(struct wb_nbd_lane *lane, uint64_t timeout_us)
{
	atomic_store(&lane->timeout_us, (int64_t)timeout_us);
}

void wb_nbd_lane_doubt(struct wb_nbd_lane *lane)
{
	if (!lane->traits.can_fua)
		atomic_fetch_add(&lane->doubts, 1);
}

void wb_nbd_lane_hurry(struct wb_nbd_lane *lane)
{
	int64_t never = 0;

	atomic_compare_exchange_strong(&lane->hurry_us, &never, g_get_monotonic_time());
}

void wb_nbd_lane_get_line(struct wb_nbd_lane *lane, struct wb_nbd_line *line)
{
	*line = (struct wb_nbd_line){
		.away_since_us = atomic_load(&lane->away_since_us),
		.break_count = atomic_load(&lane->break_count),
		.connection_count = atomic_load(&lane->connection_count),
	};
	line->is_away = line->away_since_us != 0;
}

char *wb_nbd_lane_problem(struct wb_nbd_lane *lane)
{
	return wb_nbd_redial_problem(lane->redial);
}

static void free_lane(struct wb_nbd_lane *lane)
{
	for (unsigned i = 0; i < lane->arrived_count; i++)
		wb_nbd_disconnect(&lane->arrived[i]);
	wb_buffer_pool_free(lane->pool);
	wb_nbd_witnesses_clear(&lane->witnesses);
	if (lane->wake_fd >= 0)
		close(lane->wake_fd);
	wb_lock_clear(&lane->lock);
	g_free(lane->uri);
	g_free(lane);
}

static bool start_thread(struct wb_nbd_lane *lane, GError **error)
{
	pthread_attr_t attr;
	int result;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	result = pthread_create(&lane->thread, &attr, run, lane);
	pthread_attr_destroy(&attr);
	if (result)
		g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(result),
			    "%s: cannot start a thread: %s", lane->uri, g_strerror(result));
	return !result;
}

static bool make_witnesses(struct wb_nbd_lane *lane, const struct wb_nbd_lane_options *options,
			   GError **error)
{
	bool ok = wb_nbd_witnesses_init(&lane->witnesses, options->first.size_bytes,
					options->writes_from_us);

	/* Nothing is ever known to be durable there. */
	if (!options->first.can_flush && !options->first.can_fua)
		lane->witnesses.count = 0;
	if (!ok)
		g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno),
			    "%s: no memory to remember the image by: %s", lane->uri,
			    g_strerror(errno));
	return ok;
}

static bool make_parts(struct wb_nbd_lane *lane, GError **error)
{
	static const struct wb_buffer_class classes[] = {
		{ 64u << 10, 32 }, { 1u << 20, 16 },
	};
	struct wb_nbd_redial_deps deps = {
		.uri = lane->uri, .judge = judge, .connected = connected, .arg = lane,
	};

	lane->wake_fd = eventfd(0, EFD_CLOEXEC);
	if (lane->wake_fd < 0) {
		g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno),
			    "%s: cannot make an event descriptor: %s", lane->uri,
			    g_strerror(errno));
		return false;
	}
	lane->pool = wb_buffer_pool_new(classes, G_N_ELEMENTS(classes), error);
	lane->redial = lane->pool ? wb_nbd_redial_new(&deps, error) : NULL;
	return lane->redial != NULL;
}

static void set_up(struct wb_nbd_lane *lane, const struct wb_nbd_lane_options *options)
{
	lane->uri = g_strdup(options->uri);
	lane->wake_fd = -1;
	lane->traits = options->first;
	lane->traits.handle = NULL;
	lane->writes_from_us = options->writes_from_us;
	lane->leaves_ghosts = options->leaves_ghosts;
	lane->limits = (struct wb_nbd_limits){ .transfer_bytes = options->first.transfer_bytes,
					       .can_zero = options->first.can_zero };
	lane->session_target = options->first.can_multi_conn ? WB_NBD_SESSIONS_MAX : 1;
	lane->timeout_us = TIMEOUT_DEFAULT_US;
	wb_lock_init(&lane->lock, WB_RANK_STORE);
	wb_nbd_io_list_init(&lane->incoming);
	wb_nbd_io_list_init(&lane->held);
	for (unsigned q = 0; q < WB_NBD_QUEUE_COUNT; q++)
		wb_nbd_io_list_init(&lane->queues[q]);
	for (unsigned i = 0; i < WB_NBD_PIECES_MAX; i++) {
		lane->pieces[i].next = lane->free_pieces;
		lane->free_pieces = &lane->pieces[i];
	}
}

struct wb_nbd_lane *wb_nbd_lane_new(const struct wb_nbd_lane_options *options,
				    const _Atomic uint64_t *size_bytes, GError **error)
{
	struct wb_nbd_lane *lane = g_new0(struct wb_nbd_lane, 1);

	set_up(lane, options);
	lane->size_bytes = size_bytes;
	if (make_witnesses(lane, options, error) && make_parts(lane, error)) {
		wb_nbd_lane_begin_session(lane, &options->first);
		if (start_thread(lane, error)) {
			for (unsigned i = 1; i < lane->session_target; i++)
				wb_nbd_redial_want(lane->redial, WB_NBD_SPARE, G_MAXINT64);
			return lane;
		}
	}
	wb_nbd_redial_free(lane->redial);
	free_lane(lane);
	return NULL;
}

void wb_nbd_lane_free(struct wb_nbd_lane *lane)
{
	if (!lane)
		return;
	wb_lock_acquire(&lane->lock);
	g_assert(!lane->incoming.first);
	lane->is_stopping = true;
	wb_lock_release(&lane->lock);
	wake(lane);
	pthread_join(lane->thread, NULL);
	if (lane->has_ghosts && lane->leaves_ghosts)
		*lane->leaves_ghosts = true;
	wb_nbd_redial_free(lane->redial);
	for (unsigned i = 0; i < WB_NBD_SESSIONS_MAX; i++)
		if (lane->sessions[i].is_open)
			wb_nbd_disconnect(&lane->sessions[i].peer);
	free_lane(lane);
}
