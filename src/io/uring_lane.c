/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "io/uring_lane.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/lock.h"

/* With memory locked, the default of 8 MiB would be held for nothing; but a
 * sanitizer keeps data of its own there. */
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define REAPER_STACK_BYTES (1024u << 10)
#else
#define REAPER_STACK_BYTES (256u << 10)
#endif
#define REAPER_TOUCH_BYTES (128u << 10)
#define BATCH_COUNT 64u
#define STALL_PAUSE_US 1000u

struct wb_uring_lane {
	/* constant after new */
	char thread_name[16];
	unsigned in_flight_max;
	int wake_fd;
	pthread_t reaper;
	struct wb_uring_disk disk;	/* zero_method is atomic */

	struct wb_lock lock;
	/* under lock */
	struct wb_io *pending_head, **pending_tail;
	bool is_wake_armed;		/* a read of wake_fd is in the ring */
	struct io_uring ring;		/* submission side */

	/* completion side of `ring`, reaper only */
	uint64_t wake_count;		/* where the read of wake_fd puts it */

	/*
	 * atomic. A submitter first counts its I/O into pending_count, then
	 * looks at in_flight_count; the reaper first lowers in_flight_count,
	 * then looks at pending_count. So at least one of them sees the other,
	 * and no I/O stays on the list with nothing in flight. in_flight_count
	 * also carries the I/O's contents from submitter to reaper (the kernel
	 * in between does not count in the C memory model).
	 */
	atomic_uint pending_count;
	atomic_uint in_flight_count;	/* handed to the ring, not yet reaped */
	atomic_bool is_stalled;		/* the kernel did not take an entry */
	atomic_bool is_stopping;
};

/* --- submission side ----------------------------------------------------- */

static void append_pending_locked(struct wb_uring_lane *lane, struct wb_io *io)
{
	io->next = NULL;
	*lane->pending_tail = io;
	lane->pending_tail = &io->next;
	atomic_fetch_add(&lane->pending_count, 1);
}

static struct wb_io *pop_pending_locked(struct wb_uring_lane *lane)
{
	struct wb_io *io = lane->pending_head;

	lane->pending_head = io->next;
	if (!lane->pending_head)
		lane->pending_tail = &lane->pending_head;
	atomic_fetch_sub(&lane->pending_count, 1);
	return io;
}

/* The read by which other threads wake the reaper: always in the ring. */
static void arm_wake_locked(struct wb_uring_lane *lane)
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

/* Moves what fits from the list to the ring and tells the kernel. */
static void drain_locked(struct wb_uring_lane *lane)
{
	struct io_uring_sqe *sqe;
	int ret;

	wb_lock_assert_held(&lane->lock);
	arm_wake_locked(lane);
	/* A completion must never find the completion queue full: what the
	 * kernel then keeps aside it may have to drop. */
	while (lane->pending_head &&
	       atomic_load(&lane->in_flight_count) < lane->in_flight_max) {
		sqe = io_uring_get_sqe(&lane->ring);
		if (!sqe)
			break;
		wb_uring_transfer_prepare(&lane->disk, pop_pending_locked(lane), sqe);
		atomic_fetch_add(&lane->in_flight_count, 1);
	}
	do {
		ret = io_uring_submit(&lane->ring);
	} while (ret == -EINTR);
	/* Left entries stay in the queue; the reaper comes back for them. */
	atomic_store(&lane->is_stalled, io_uring_sq_ready(&lane->ring) > 0);
}

static void wake_reaper(struct wb_uring_lane *lane)
{
	uint64_t one = 1;

	while (write(lane->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

void wb_uring_lane_submit(struct wb_uring_lane *lane, struct wb_io *io)
{
	bool is_stalled;

	wb_uring_transfer_start(io);
	wb_lock_acquire(&lane->lock);
	append_pending_locked(lane, io);
	drain_locked(lane);
	is_stalled = atomic_load(&lane->is_stalled);
	wb_lock_release(&lane->lock);
	if (is_stalled)
		wake_reaper(lane);
}

/* --- completion side ----------------------------------------------------- */

struct finished {
	struct wb_io *io;
	int error;
};

struct batch {
	struct finished finished[BATCH_COUNT];
	unsigned finished_count;
	struct wb_io *again[BATCH_COUNT];
	unsigned again_count;
	unsigned io_count;
	bool is_woken;
	bool is_last;			/* woken to end */
};

static void judge_completion(struct wb_uring_lane *lane, struct batch *batch,
			     const struct io_uring_cqe *cqe)
{
	struct wb_io *io = io_uring_cqe_get_data(cqe);
	int error;

	if (!io) {
		batch->is_woken = true;
		return;
	}
	batch->io_count++;
	if (wb_uring_transfer_advance(&lane->disk, io, cqe->res, &error) ==
	    WB_TRANSFER_AGAIN)
		batch->again[batch->again_count++] = io;
	else
		batch->finished[batch->finished_count++] =
			(struct finished){ .io = io, .error = error };
}

static void collect_batch(struct wb_uring_lane *lane, struct batch *batch)
{
	struct io_uring_cqe *cqes[BATCH_COUNT];
	unsigned count = io_uring_peek_batch_cqe(&lane->ring, cqes, BATCH_COUNT);

	batch->finished_count = batch->again_count = batch->io_count = 0;
	batch->is_woken = false;
	/* Pairs with the submitters' additions: see struct wb_uring_lane. */
	atomic_load(&lane->in_flight_count);
	for (unsigned i = 0; i < count; i++)
		judge_completion(lane, batch, cqes[i]);
	batch->is_last = batch->is_woken && atomic_load(&lane->is_stopping);
	io_uring_cq_advance(&lane->ring, count);
	/* Only now, when their places in the completion queue are free. */
	atomic_fetch_sub(&lane->in_flight_count, batch->io_count);
}

/* The disk gets its next work before anybody is told about the last. */
static void feed_disk(struct wb_uring_lane *lane, const struct batch *batch)
{
	if (batch->again_count == 0 && !batch->is_woken &&
	    !atomic_load(&lane->is_stalled) && atomic_load(&lane->pending_count) == 0)
		return;
	wb_lock_acquire(&lane->lock);
	if (batch->is_woken && !batch->is_last)
		lane->is_wake_armed = false;
	for (unsigned i = 0; i < batch->again_count; i++)
		append_pending_locked(lane, batch->again[i]);
	drain_locked(lane);
	wb_lock_release(&lane->lock);
}

static void wait_for_completion(struct wb_uring_lane *lane)
{
	struct io_uring_cqe *cqe;
	int ret;

	if (atomic_load(&lane->is_stalled)) {
		/* Nothing may be in the kernel: no completion would wake us. */
		if (io_uring_cq_ready(&lane->ring) == 0)
			g_usleep(STALL_PAUSE_US);
		return;
	}
	ret = io_uring_wait_cqe(&lane->ring, &cqe);
	if (ret < 0 && ret != -EINTR)
		g_usleep(STALL_PAUSE_US);
}

/* The thread must run when no memory can be had: no page fault later. */
static void touch_stack(void)
{
	volatile char room[REAPER_TOUCH_BYTES];

	for (size_t i = 0; i < sizeof(room); i += 4096)
		room[i] = 0;
}

static void *reap(void *arg)
{
	struct wb_uring_lane *lane = arg;
	struct batch batch;

	pthread_setname_np(pthread_self(), lane->thread_name);
	touch_stack();
	do {
		wait_for_completion(lane);
		collect_batch(lane, &batch);
		feed_disk(lane, &batch);
		for (unsigned i = 0; i < batch.finished_count; i++)
			batch.finished[i].io->done(batch.finished[i].io,
						   batch.finished[i].error);
	} while (!batch.is_last);
	return NULL;
}

/* --- life ---------------------------------------------------------------- */

static int start_reaper(struct wb_uring_lane *lane)
{
	pthread_attr_t attr;
	int ret;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, REAPER_STACK_BYTES);
	ret = pthread_create(&lane->reaper, &attr, reap, lane);
	pthread_attr_destroy(&attr);
	return -ret;
}

static int start_ring(struct wb_uring_lane *lane, int fd, unsigned entries)
{
	struct io_uring_params params = { .flags = IORING_SETUP_CLAMP };
	int ret = io_uring_queue_init_params(entries, &lane->ring, &params);

	if (ret < 0)
		return ret;
	/* One for the wake-up read. */
	lane->in_flight_max = params.cq_entries - 1;
	lane->disk.file = fd;
	if (io_uring_register_files(&lane->ring, &fd, 1) == 0) {
		lane->disk.file = 0;
		lane->disk.sqe_flags = IOSQE_FIXED_FILE;
	}
	wb_lock_acquire(&lane->lock);
	drain_locked(lane);
	wb_lock_release(&lane->lock);
	ret = start_reaper(lane);
	if (ret < 0)
		io_uring_queue_exit(&lane->ring);
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

struct wb_uring_lane *wb_uring_lane_new(const char *thread_name, int fd,
					uint32_t alignment_bytes, unsigned entries,
					const char *label, GError **error)
{
	struct wb_uring_lane *lane = g_new0(struct wb_uring_lane, 1);
	int ret;

	g_strlcpy(lane->thread_name, thread_name, sizeof(lane->thread_name));
	lane->disk.alignment_bytes = alignment_bytes;
	lane->pending_tail = &lane->pending_head;
	wb_lock_init(&lane->lock, WB_RANK_STORE);
	lane->wake_fd = eventfd(0, EFD_CLOEXEC);
	ret = lane->wake_fd < 0 ? -errno : start_ring(lane, fd, entries);
	if (ret == 0)
		return lane;
	set_error(error, label, ret);
	if (lane->wake_fd >= 0)
		close(lane->wake_fd);
	wb_lock_clear(&lane->lock);
	g_free(lane);
	return NULL;
}

void wb_uring_lane_free(struct wb_uring_lane *lane)
{
	if (!lane)
		return;
	atomic_store(&lane->is_stopping, true);
	wake_reaper(lane);
	pthread_join(lane->reaper, NULL);
	g_assert(atomic_load(&lane->in_flight_count) == 0);
	g_assert(atomic_load(&lane->pending_count) == 0);
	/* The kernel takes a ring apart in the background; the file must not
	 * stay open (and locked) by it for that long. */
	if (lane->disk.sqe_flags & IOSQE_FIXED_FILE)
		io_uring_unregister_files(&lane->ring);
	io_uring_queue_exit(&lane->ring);
	close(lane->wake_fd);
	wb_lock_clear(&lane->lock);
	g_free(lane);
}
