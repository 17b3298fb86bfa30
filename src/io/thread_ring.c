/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "io/thread_ring.h"

#include <errno.h>
#include <glib.h>
#include <poll.h>

#include "io/uring_transfer.h"

#define READS_MAX 64u		/* more take the lane */
#define READ_BYTES_MAX (16u << 10)
#define STALL_PAUSE_US 1000u

struct reading {
	struct reading *next;		/* free list */
	struct wb_io *io;
	struct wb_uring_disk disk;
};

struct thread_ring {
	struct io_uring ring;
	struct reading readings[READS_MAX];
	struct reading *free;
	unsigned in_flight;
	bool is_poll_armed;
};

static __thread struct thread_ring *own;

bool wb_thread_ring_open(void)
{
	/* Completions stay with the kernel until this thread comes for them, and do not
	 * interrupt it elsewhere (Linux 6.1). */
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
	};

	g_assert(!own);
	own = g_new0(struct thread_ring, 1);
	if (io_uring_queue_init_params(2 * READS_MAX, &own->ring, &params) < 0) {
		g_clear_pointer(&own, g_free);
		return false;
	}
	for (unsigned i = 0; i < READS_MAX; i++) {
		own->readings[i].next = own->free;
		own->free = &own->readings[i];
	}
	return true;
}

void wb_thread_ring_close(void)
{
	if (!own)
		return;
	wb_thread_ring_drain();
	io_uring_queue_exit(&own->ring);
	g_clear_pointer(&own, g_free);
}

unsigned wb_thread_ring_in_flight(void)
{
	return own ? own->in_flight : 0;
}

/* --- submit ------------------------------------------------------------------- */

/* The submission queue has room for all of them, and more. */
static void prepare(struct reading *reading)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&own->ring);

	g_assert(sqe);
	wb_uring_transfer_prepare(&reading->disk, reading->io, sqe);
	io_uring_sqe_set_data(sqe, reading);
}

bool wb_thread_ring_take(const struct wb_uring_disk *disk, struct wb_io *io)
{
	struct reading *reading = own ? own->free : NULL;

	if (!reading || io->op != WB_IO_READ || io->io_class != WB_IO_CLASS_USER_READ ||
	    io->length_bytes > READ_BYTES_MAX)
		return false;
	own->free = reading->next;
	own->in_flight++;
	reading->io = io;
	reading->disk = *disk;
	wb_uring_transfer_start(io);
	prepare(reading);
	return true;
}

/* --- complete ------------------------------------------------------------------- */

static void arm_poll(int fd)
{
	struct io_uring_sqe *sqe;

	if (own->is_poll_armed)
		return;
	sqe = io_uring_get_sqe(&own->ring);
	g_assert(sqe);
	io_uring_prep_poll_add(sqe, fd, POLLIN);
	io_uring_sqe_set_data(sqe, NULL);
	own->is_poll_armed = true;
}

/* done() may begin further reads here. */
static void judge(struct reading *reading, int result)
{
	struct wb_io *io;
	int error;

	if (!reading) {
		own->is_poll_armed = false;
		return;
	}
	io = reading->io;
	if (wb_uring_transfer_advance(&reading->disk, io, result, &error) == WB_TRANSFER_AGAIN) {
		prepare(reading);
		return;
	}
	reading->next = own->free;
	own->free = reading;
	own->in_flight--;
	io->done(io, error);
}

void wb_thread_ring_run(enum wb_thread_ring_wait wait, int fd)
{
	struct io_uring_cqe *cqe;
	int ret;

	if (wait == WB_RING_WAIT_OR_FD)
		arm_poll(fd);
	ret = wait == WB_RING_NO_WAIT ? io_uring_submit_and_get_events(&own->ring) :
					io_uring_submit_and_wait(&own->ring, 1);
	/* The kernel is short of something, and left entries in the queue: no completion
	 * may be on its way that would wake us for them. */
	if (ret < 0 && ret != -EINTR && io_uring_cq_ready(&own->ring) == 0)
		g_usleep(STALL_PAUSE_US);
	while (io_uring_peek_cqe(&own->ring, &cqe) == 0) {
		struct reading *reading = io_uring_cqe_get_data(cqe);
		int result = cqe->res;

		io_uring_cqe_seen(&own->ring, cqe);
		judge(reading, result);
	}
}

void wb_thread_ring_drain(void)
{
	while (wb_thread_ring_in_flight())
		wb_thread_ring_run(WB_RING_WAIT, -1);
}
