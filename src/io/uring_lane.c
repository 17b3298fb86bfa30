/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "io/uring_lane.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/lock.h"

/* With memory locked, the default of 8 MiB would be held for nothing; but a
 * sanitizer keeps data of its own there. */
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define THREAD_STACK_BYTES (1024u << 10)
#else
#define THREAD_STACK_BYTES (256u << 10)
#endif
#define THREAD_TOUCH_BYTES (128u << 10)
/* Few, so that what is submitted meanwhile does not wait long for its turn. */
#define BATCH_COUNT 8u
#define STALL_PAUSE_US 1000u

struct wb_uring_lane {
	/* constant after new */
	char thread_name[16];
	unsigned entries;
	int wake_fd;
	pthread_t thread;

	struct wb_lock lock;
	/* under lock */
	struct wb_io *pending_head, **pending_tail;
	bool is_asleep;			/* the thread waits, and nobody has woken it */
	bool has_started, is_stopping;
	int start_result;
	struct wb_cond started;

	/* atomic: a hint */
	atomic_uint busy_count;		/* submitted, and done() not called */

	/* the lane's thread only */
	struct io_uring ring;
	struct wb_uring_disk disk;
	unsigned in_flight_max;
	unsigned in_flight_count;
	bool is_wake_armed;		/* a read of wake_fd is in the ring */
	uint64_t wake_count;		/* where that puts it */
};

/* --- any thread ------------------------------------------------------------- */

static void append_pending_locked(struct wb_uring_lane *lane, struct wb_io *io)
{
	io->next = NULL;
	*lane->pending_tail = io;
	lane->pending_tail = &io->next;
}

/* TRUE when the caller is the one to wake the thread. */
static bool must_wake_locked(struct wb_uring_lane *lane)
{
	bool must_wake = lane->is_asleep;

	lane->is_asleep = false;
	return must_wake;
}

static void wake(struct wb_uring_lane *lane)
{
	uint64_t one = 1;

	while (write(lane->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

void wb_uring_lane_submit(struct wb_uring_lane *lane, struct wb_io *io)
{
	bool must_wake;

	wb_uring_transfer_start(io);
	atomic_fetch_add_explicit(&lane->busy_count, 1, memory_order_relaxed);
	wb_lock_acquire(&lane->lock);
	append_pending_locked(lane, io);
	must_wake = must_wake_locked(lane);
	wb_lock_release(&lane->lock);
	if (must_wake)
		wake(lane);
}

bool wb_uring_lane_is_idle(struct wb_uring_lane *lane)
{
	return atomic_load_explicit(&lane->busy_count, memory_order_relaxed) == 0;
}

/* --- the lane's thread -------------------------------------------------------- */

struct batch {
	struct { struct wb_io *io; int error; } finished[BATCH_COUNT];
	unsigned finished_count;
	struct wb_io *again[BATCH_COUNT];
	unsigned again_count;
};

/* The read by which other threads wake this one: always in the ring. */
static void arm_wake(struct wb_uring_lane *lane)
{
	struct io_uring_sqe *sqe;

	if (lane->is_wake_armed)
		return;
	sqe = io_uring_get_sqe(&lane->ring);
	if (!sqe)
		return;
	io_uring_prep_read(sqe, lane->wake_fd, &lane->wake_count,
			   sizeof(lane->wake_count), 0);
	io_uring_sqe_set_data(sqe, NULL);
	lane->is_wake_armed = true;
}

/* A completion must never find the completion queue full: what the kernel then
 * keeps aside it may have to drop. */
static struct io_uring_sqe *get_sqe(struct wb_uring_lane *lane)
{
	return lane->in_flight_count < lane->in_flight_max ? io_uring_get_sqe(&lane->ring) :
							     NULL;
}

/* Moves what fits from the list into the submission queue. TRUE when the thread is
 * to stop. `sleeps`: the caller is about to wait, whoever submits wakes it. */
static bool feed(struct wb_uring_lane *lane, struct batch *batch, bool sleeps)
{
	struct io_uring_sqe *sqe;
	bool is_stopping;

	arm_wake(lane);
	wb_lock_acquire(&lane->lock);
	for (unsigned i = 0; i < batch->again_count; i++)
		append_pending_locked(lane, batch->again[i]);
	batch->again_count = 0;
	while (lane->pending_head && (sqe = get_sqe(lane))) {
		struct wb_io *io = lane->pending_head;

		lane->pending_head = io->next;
		if (!lane->pending_head)
			lane->pending_tail = &lane->pending_head;
		wb_uring_transfer_prepare(&lane->disk, io, sqe);
		lane->in_flight_count++;
	}
	lane->is_asleep = sleeps;
	is_stopping = lane->is_stopping;
	wb_lock_release(&lane->lock);
	return is_stopping;
}

/* Hands over the submission queue, and waits for a completion if `waits`. */
static void enter(struct wb_uring_lane *lane, bool waits)
{
	int ret = io_uring_submit_and_wait(&lane->ring, waits);

	if (ret == -EINTR)
		return;
	/* The kernel is short of something, and left entries in the queue: no
	 * completion may be on its way that would wake us for them. */
	if (ret < 0 && io_uring_cq_ready(&lane->ring) == 0)
		g_usleep(STALL_PAUSE_US);
}

static void judge_completion(struct wb_uring_lane *lane, struct batch *batch,
			     const struct io_uring_cqe *cqe)
{
	struct wb_io *io = io_uring_cqe_get_data(cqe);
	int error;

	if (!io) {
		lane->is_wake_armed = false;
		return;
	}
	lane->in_flight_count--;
	if (wb_uring_transfer_advance(&lane->disk, io, cqe->res, &error) ==
	    WB_TRANSFER_AGAIN) {
		batch->again[batch->again_count++] = io;
		return;
	}
	batch->finished[batch->finished_count].io = io;
	batch->finished[batch->finished_count++].error = error;
}

static void collect(struct wb_uring_lane *lane, struct batch *batch)
{
	struct io_uring_cqe *cqes[BATCH_COUNT];
	unsigned count = io_uring_peek_batch_cqe(&lane->ring, cqes, BATCH_COUNT);

	for (unsigned i = 0; i < count; i++)
		judge_completion(lane, batch, cqes[i]);
	io_uring_cq_advance(&lane->ring, count);
}

static void tell(struct wb_uring_lane *lane, struct batch *batch)
{
	atomic_fetch_sub_explicit(&lane->busy_count, batch->finished_count,
				  memory_order_relaxed);
	for (unsigned i = 0; i < batch->finished_count; i++)
		batch->finished[i].io->done(batch->finished[i].io, batch->finished[i].error);
	batch->finished_count = 0;
}

/* The thread must run when no memory can be had: no page fault later. */
static void touch_stack(void)
{
	volatile char room[THREAD_TOUCH_BYTES];

	for (size_t i = 0; i < sizeof(room); i += 4096)
		room[i] = 0;
}

/*
 * One thread submits and takes the completions: then the kernel can keep them until
 * it comes for them (DEFER_TASKRUN, Linux 6.1). Without that it interrupts whoever
 * submitted, a FUSE thread asleep in its read, only to have it pass the completion on.
 */
static int make_ring(struct wb_uring_lane *lane)
{
	static const unsigned flags[] = {
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN, 0,
	};
	struct io_uring_params params;
	int ret = -EINVAL;

	for (unsigned i = 0; i < G_N_ELEMENTS(flags) && ret == -EINVAL; i++) {
		params = (struct io_uring_params){ .flags = flags[i] | IORING_SETUP_CLAMP };
		ret = io_uring_queue_init_params(lane->entries, &lane->ring, &params);
	}
	if (ret < 0)
		return ret;
	/* One for the wake-up read. */
	lane->in_flight_max = params.cq_entries - 1;
	if (io_uring_register_files(&lane->ring, &lane->disk.file, 1) == 0) {
		lane->disk.file = 0;
		lane->disk.sqe_flags = IOSQE_FIXED_FILE;
	}
	return 0;
}

static void take_ring_apart(struct wb_uring_lane *lane)
{
	/* The kernel does it in the background; the file must not stay open (and
	 * locked) by it for that long. */
	if (lane->disk.sqe_flags & IOSQE_FIXED_FILE)
		io_uring_unregister_files(&lane->ring);
	io_uring_queue_exit(&lane->ring);
}

static void tell_start(struct wb_uring_lane *lane, int ret)
{
	wb_lock_acquire(&lane->lock);
	lane->start_result = ret;
	lane->has_started = true;
	wb_cond_signal(&lane->started);
	wb_lock_release(&lane->lock);
}

static void *run(void *arg)
{
	struct wb_uring_lane *lane = arg;
	struct batch batch = { .finished_count = 0 };
	int ret = make_ring(lane);

	tell_start(lane, ret);
	if (ret < 0)
		return NULL;
	pthread_setname_np(pthread_self(), lane->thread_name);
	touch_stack();
	while (!feed(lane, &batch, true)) {
		enter(lane, io_uring_cq_ready(&lane->ring) == 0);
		collect(lane, &batch);
		/* The disk gets its next work before anybody is told about the
		 * last. */
		feed(lane, &batch, false);
		if (io_uring_sq_ready(&lane->ring) > 0)
			enter(lane, false);
		tell(lane, &batch);
	}
	take_ring_apart(lane);
	return NULL;
}

/* --- life ---------------------------------------------------------------- */

static int start_thread(struct wb_uring_lane *lane)
{
	pthread_attr_t attr;
	int ret;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, THREAD_STACK_BYTES);
	ret = pthread_create(&lane->thread, &attr, run, lane);
	pthread_attr_destroy(&attr);
	return -ret;
}

/* The ring belongs to the thread that makes it. */
static int start(struct wb_uring_lane *lane)
{
	int ret = start_thread(lane);

	if (ret < 0)
		return ret;
	wb_lock_acquire(&lane->lock);
	while (!lane->has_started)
		wb_cond_wait(&lane->started, &lane->lock);
	ret = lane->start_result;
	wb_lock_release(&lane->lock);
	if (ret < 0)
		pthread_join(lane->thread, NULL);
	return ret;
}

static void set_error(GError **error, const char *label, int ret)
{
	const char *hint = "";

	if (ret == -ENOSYS || ret == -EPERM)
		hint = " (this kernel has no io_uring, or the sysctl "
		       "kernel.io_uring_disabled or a seccomp filter forbids it)";
	g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(-ret),
		    "%s: cannot set up io_uring: %s%s", label, g_strerror(-ret), hint);
}

static void free_lane(struct wb_uring_lane *lane)
{
	if (lane->wake_fd >= 0)
		close(lane->wake_fd);
	wb_cond_clear(&lane->started);
	wb_lock_clear(&lane->lock);
	g_free(lane);
}

struct wb_uring_lane *wb_uring_lane_new(const char *thread_name, int fd,
					uint32_t alignment_bytes, unsigned entries,
					const char *label, GError **error)
{
	struct wb_uring_lane *lane = g_new0(struct wb_uring_lane, 1);
	int ret;

	g_strlcpy(lane->thread_name, thread_name, sizeof(lane->thread_name));
	lane->entries = entries;
	lane->disk.file = fd;
	lane->disk.alignment_bytes = alignment_bytes;
	lane->pending_tail = &lane->pending_head;
	wb_lock_init(&lane->lock, WB_RANK_STORE);
	wb_cond_init(&lane->started);
	lane->wake_fd = eventfd(0, EFD_CLOEXEC);
	ret = lane->wake_fd < 0 ? -errno : start(lane);
	if (ret == 0)
		return lane;
	set_error(error, label, ret);
	free_lane(lane);
	return NULL;
}

void wb_uring_lane_free(struct wb_uring_lane *lane)
{
	if (!lane)
		return;
	wb_lock_acquire(&lane->lock);
	lane->is_stopping = true;
	wb_lock_release(&lane->lock);
	wake(lane);
	pthread_join(lane->thread, NULL);
	g_assert(lane->in_flight_count == 0 && !lane->pending_head);
	free_lane(lane);
}
