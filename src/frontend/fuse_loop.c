/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "frontend/fuse_loop.h"

#include <errno.h>
#include <glib.h>
#include <linux/fuse.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "base/lock.h"
#include "frontend/lone_user.h"
#include "frontend/thread_spread.h"
#include "io/thread_ring.h"

/* So many requests are taken before the disks get the reads among them. */
#define BATCH_COUNT 8u

/* How long a thread rests that is not needed: another user who comes then waits for it at
 * most so long, should a disk hold up the others. */
#define REST_US 2000u

_Static_assert(sizeof(struct fuse_in_header) + sizeof(struct fuse_write_in) ==
	       WB_RECEIVE_HEADERS_BYTES, "data of a WRITE lies behind these");

struct wb_fuse_loop {
	/* constant after start */
	struct wb_fuse_loop_config config;
	struct thread {
		struct wb_fuse_loop *loop;
		GThread *thread;

		/* under lock */
		pthread_t id;
		bool is_running;	/* id is one */
		bool has_left;		/* on its way out, or gone */
	} *threads;

	struct wb_lock lock;

	/* atomic */
	atomic_uint running_count;
	atomic_uint resting_count;
	struct wb_lone_users users;
	atomic_bool is_stopping;
};

#define STOP_SIGNAL SIGUSR1
#define STOP_AGAIN_US 500

static __thread struct wb_receive_buffer *received;
static __thread struct wb_lone_user lone;

/* NULL: nobody is to wait for one now. */
static struct wb_receive_buffer *buffer_take(struct wb_fuse_loop *loop)
{
	struct wb_receive_buffer *buffer = wb_receive_pool_try_take(loop->config.pool);

	if (buffer)
		return buffer;
	wb_thread_ring_drain();
	return wb_receive_pool_take(loop->config.pool);
}

/* At the descriptor where this thread received last. */
static bool others_wait(void)
{
	struct pollfd others = { .fd = wb_fuse_channel_here(), .events = POLLIN };

	return poll(&others, 1, 0) != 0;
}

/* Of a request that was received just now. TRUE: the thread may rest after it. */
static bool note_request(struct wb_fuse_loop *loop, const struct fuse_in_header *header)
{
	wb_thread_spread_note(header->len);
	if (loop->config.thread_count < 2)
		return false;
	wb_lone_user_came(&loop->users, &lone, header->pid,
			  header->len >= WB_THREAD_SPREAD_LONG_BYTES);
	return header->opcode == FUSE_FSYNC &&
	       wb_lone_user_waits(&loop->users, &lone, WB_LONE_USER_SYNC, !others_wait());
}

/* Never all of them, nor one that has reads under way, or sees that it is needed. */
static void rest(struct wb_fuse_loop *loop)
{
	if (wb_thread_ring_in_flight() || others_wait())
		return;
	if (atomic_fetch_add(&loop->resting_count, 1) + 1 < loop->config.thread_count)
		g_usleep(REST_US);
	atomic_fetch_sub(&loop->resting_count, 1);
}

/* Until something has ended or come: no other request is there now. */
static void wait_for_reads(struct wb_fuse_loop *loop)
{
	bool may_rest = loop->config.thread_count > 1 &&
			wb_lone_user_waits(&loop->users, &lone, WB_LONE_USER_READ,
					   wb_thread_ring_in_flight() == 1);

	wb_thread_ring_run(WB_RING_WAIT_OR_FD, wb_fuse_channel_clone_fd(loop->config.channel));
	if (may_rest)
		rest(loop);
}

/*
 * FALSE when the session is over. `taken`: requests since the ring was last run.
 *
 * While reads are under way in this thread's ring, it comes back here soon: no request
 * waits for I/O inside of its operation, except for one write of its own (see
 * WB_IO_MAY_WAIT).
 */
static bool receive_one(struct wb_fuse_loop *loop, unsigned *taken)
{
	bool has_reads = wb_thread_ring_in_flight() > 0;
	struct fuse_buf buffer;
	bool may_rest;
	char *start;
	int result;

	if (!received)
		received = buffer_take(loop);
	if (!received)
		return !wb_fuse_channel_is_dead(loop->config.channel);
	start = (char *)received->memory + WB_RECEIVE_START;
	buffer = (struct fuse_buf){ .mem = start, .size = WB_RECEIVE_READ_BYTES };
	result = wb_fuse_channel_receive(loop->config.channel, &buffer,
					 has_reads ? WB_CHANNEL_LOOK : WB_CHANNEL_WAIT);
	if (result == -EAGAIN && has_reads) {
		*taken = 0;
		wait_for_reads(loop);
	}
	if (result == -EINTR || result == -EAGAIN)
		return true;
	if (result <= 0)
		return false;
	/* libfuse reads into what it is given; memory of its own would be
	 * unlocked and would leak. */
	g_assert(buffer.mem == start);
	may_rest = note_request(loop, buffer.mem);
	loop->config.take(loop->config.arg, &buffer, &received);
	if (may_rest)
		rest(loop);
	if (++*taken >= BATCH_COUNT && wb_thread_ring_in_flight()) {
		*taken = 0;
		wb_thread_ring_run(WB_RING_NO_WAIT, -1);
	}
	return true;
}

static void note_running(struct thread *thread)
{
	wb_lock_acquire(&thread->loop->lock);
	thread->id = pthread_self();
	thread->is_running = true;
	wb_lock_release(&thread->loop->lock);
}

/* FALSE when the stop that it saw was called off. */
static bool leave(struct thread *thread)
{
	struct wb_fuse_loop *loop = thread->loop;

	wb_lock_acquire(&loop->lock);
	thread->has_left = fuse_session_exited(loop->config.session) ||
			   atomic_load(&loop->is_stopping);
	thread->is_running = !thread->has_left;
	wb_lock_release(&loop->lock);
	return thread->has_left;
}

/* Whoever is to stop has its reads end first, while it may still be called back: a disk
 * may take its time, and who has left is waited for. */
static void serve(struct wb_fuse_loop *loop)
{
	unsigned taken = 0;

	while (!fuse_session_exited(loop->config.session)) {
		if (atomic_load(&loop->is_stopping)) {
			if (!wb_thread_ring_in_flight())
				break;
			wb_thread_ring_run(WB_RING_NO_WAIT, -1);
			g_usleep(STOP_AGAIN_US);
		} else if (!receive_one(loop, &taken)) {
			fuse_session_exit(loop->config.session);
			break;
		}
	}
}

/* The last one to leave because of the end says so, though others were asked to stop. */
static gpointer run(gpointer arg)
{
	struct thread *thread = arg;
	struct wb_fuse_loop *loop = thread->loop;

	note_running(thread);
	wb_thread_spread_begin((unsigned)(thread - loop->threads), loop->config.thread_count);
	if (wb_fuse_channel_clone_fd(loop->config.channel) >= 0)
		wb_thread_ring_open();
	do
		serve(loop);
	while (!leave(thread));
	wb_thread_spread_end();
	wb_thread_ring_close();
	if (received)
		wb_receive_pool_put(loop->config.pool, received);
	received = NULL;
	if (atomic_fetch_sub(&loop->running_count, 1) == 1 &&
	    fuse_session_exited(loop->config.session))
		loop->config.ended(loop->config.arg);
	return NULL;
}

/* Only that a read which waits for a request returns. */
static void wake_reader(int signal)
{
	(void)signal;
}

static void start_thread(struct wb_fuse_loop *loop, struct thread *thread)
{
	thread->loop = loop;
	thread->has_left = false;
	thread->thread = g_thread_new("wb-fuse", run, thread);
}

struct wb_fuse_loop *wb_fuse_loop_start(const struct wb_fuse_loop_config *config)
{
	struct wb_fuse_loop *loop = g_new0(struct wb_fuse_loop, 1);

	loop->config = *config;
	loop->threads = g_new0(struct thread, config->thread_count);
	wb_lock_init(&loop->lock, WB_RANK_FRONTEND);
	sigaction(STOP_SIGNAL, &(struct sigaction){ .sa_handler = wake_reader }, NULL);
	atomic_init(&loop->running_count, config->thread_count);
	atomic_init(&loop->resting_count, 0);
	for (unsigned i = 0; i < config->thread_count; i++)
		start_thread(loop, &loop->threads[i]);
	return loop;
}

static void wake_all(struct wb_fuse_loop *loop)
{
	wb_lock_acquire(&loop->lock);
	for (unsigned i = 0; i < loop->config.thread_count; i++)
		if (loop->threads[i].is_running)
			pthread_kill(loop->threads[i].id, STOP_SIGNAL);
	wb_lock_release(&loop->lock);
}

static bool has_left(struct wb_fuse_loop *loop, const struct thread *thread)
{
	bool it_has;

	wb_lock_acquire(&loop->lock);
	it_has = thread->has_left;
	wb_lock_release(&loop->lock);
	return it_has;
}

/* Whoever has not left by now stays; for the others there is another one. */
static void call_off(struct wb_fuse_loop *loop)
{
	wb_lock_acquire(&loop->lock);
	atomic_store(&loop->is_stopping, false);
	wb_lock_release(&loop->lock);
	wb_receive_pool_allow_waits(loop->config.pool);
	for (unsigned i = 0; i < loop->config.thread_count; i++) {
		struct thread *thread = &loop->threads[i];

		if (!has_left(loop, thread))
			continue;
		g_thread_join(thread->thread);
		atomic_fetch_add(&loop->running_count, 1);
		start_thread(loop, thread);
	}
}

/* The signal may come between the look at is_stopping and the read, and is then lost:
 * so again until all have gone. */
bool wb_fuse_loop_stop(struct wb_fuse_loop *loop, int64_t deadline_us,
		       void (*meanwhile)(void *arg), void *arg)
{
	atomic_store(&loop->is_stopping, true);
	wb_receive_pool_end_waits(loop->config.pool);
	while (atomic_load(&loop->running_count)) {
		if (g_get_monotonic_time() >= deadline_us) {
			call_off(loop);
			return false;
		}
		wake_all(loop);
		meanwhile(arg);
		g_usleep(STOP_AGAIN_US);
	}
	wb_receive_pool_allow_waits(loop->config.pool);
	wb_fuse_loop_join(loop);
	return true;
}

void wb_fuse_loop_join(struct wb_fuse_loop *loop)
{
	for (unsigned i = 0; i < loop->config.thread_count; i++)
		g_thread_join(loop->threads[i].thread);
	wb_lock_clear(&loop->lock);
	g_free(loop->threads);
	g_free(loop);
}
