/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bench/pass_ring.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define FUSE_USE_VERSION 314
#include "bench/daemon.h"

/* As src/frontend does it: more batches than that make the disk wait. */
#define BATCH_COUNT 8u
#define SLOTS 256u		/* no less than what the kernel sends at once */
#define SLOT_BYTES 8192u
#define ALIGNMENT 4096u

struct slot {
	struct slot *next;
	uint64_t unique;
	char *memory;
	size_t size;
};

static int file = -1;
static uint64_t file_offset;

static __thread struct {
	struct io_uring ring;
	struct slot slots[SLOTS], *free;
	unsigned in_flight, begun;	/* begun: not handed over yet */
	bool is_watched;		/* a poll of the session is under way */
} own;

void wb_pass_open(const char *path, uint64_t offset)
{
	file = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (file < 0)
		wb_daemon_die("%s: %s", path, strerror(errno));
	file_offset = offset;
}

void wb_pass_begin(void)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
	};
	char *memory;

	if (io_uring_queue_init_params(2 * SLOTS, &own.ring, &params) < 0 ||
	    posix_memalign((void **)&memory, ALIGNMENT, (size_t)SLOTS * SLOT_BYTES))
		wb_daemon_die("no ring for a thread");
	memset(memory, 0, (size_t)SLOTS * SLOT_BYTES);
	for (unsigned i = 0; i < SLOTS; i++) {
		own.slots[i].memory = memory + (size_t)i * SLOT_BYTES;
		own.slots[i].next = own.free;
		own.free = &own.slots[i];
	}
}

void wb_pass_read(uint64_t unique, size_t size, off_t offset)
{
	struct slot *slot = own.free;
	struct io_uring_sqe *sqe;

	if (!slot || size > SLOT_BYTES || size % 512 || offset % 512) {
		wb_daemon_end(unique, EINVAL);	/* no measurement asks for it */
		return;
	}
	own.free = slot->next;
	slot->unique = unique;
	slot->size = size;
	sqe = io_uring_get_sqe(&own.ring);
	io_uring_prep_read(sqe, file, slot->memory, (unsigned)size, file_offset + (uint64_t)offset);
	io_uring_sqe_set_data(sqe, slot);
	own.in_flight++;
	own.begun++;
}

static void finish(struct slot *slot, int result)
{
	if (result == (int)slot->size)
		wb_daemon_give(slot->unique, slot->memory, slot->size);
	else
		wb_daemon_end(slot->unique, EIO);
	slot->next = own.free;
	own.free = slot;
	own.in_flight--;
}

static void reap(void)
{
	struct io_uring_cqe *cqe;

	while (io_uring_peek_cqe(&own.ring, &cqe) == 0) {
		struct slot *slot = io_uring_cqe_get_data(cqe);
		int result = cqe->res;

		io_uring_cqe_seen(&own.ring, cqe);
		if (slot)
			finish(slot, result);
		else
			own.is_watched = false;
	}
}

void wb_pass_received(void)
{
	if (own.begun < BATCH_COUNT)
		return;
	own.begun = 0;
	io_uring_submit_and_get_events(&own.ring);
	reap();
}

void wb_pass_idle(int session_fd)
{
	struct io_uring_sqe *sqe;

	if (!own.in_flight && !own.is_watched) {
		struct pollfd wait = { .fd = session_fd, .events = POLLIN };

		poll(&wait, 1, -1);
		return;
	}
	if (!own.is_watched) {
		sqe = io_uring_get_sqe(&own.ring);
		io_uring_prep_poll_add(sqe, session_fd, POLLIN);
		io_uring_sqe_set_data(sqe, NULL);
		own.is_watched = true;
	}
	own.begun = 0;
	io_uring_submit_and_wait(&own.ring, 1);
	reap();
}
