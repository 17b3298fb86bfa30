/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "frontend/fuse_rings.h"

#include <errno.h>
#include <glib.h>
#include <liburing.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/lock.h"
#include "base/memory.h"
#include "frontend/uring_abi.h"

#define HEADER_STRIDE_BYTES ((size_t)512)

struct wb_ring_entry {
	/* constant after new */
	struct ring *ring;
	uint16_t queue_id;
	struct wb_uring_header *header;
	uint8_t *payload;
	struct iovec memory[2];		/* as the kernel wants it */

	/* from request to answer whoever works on it, else the ring's thread */
	enum wb_uring_command command;	/* the last one */
	uint64_t unique;
	struct wb_ring_entry *next;	/* of the list of answers */
};

struct ring {
	/* constant after new */
	struct wb_fuse_rings *rings;
	unsigned index;
	struct wb_ring_entry *entries;
	unsigned entry_count;
	int wake_fd;
	GThread *thread;

	/* its thread only */
	struct io_uring uring;
	uint64_t wake_count;		/* where the read of wake_fd puts it */
	bool has_written;
	bool has_complained;

	/* under lock */
	struct wb_lock lock;
	struct wb_ring_entry *answers;	/* of other threads */
};

enum phase { STARTING, SERVING, STOPPING };

struct wb_fuse_rings {
	/* constant after new */
	struct wb_fuse_rings_config config;
	struct wb_ring_plan plan;
	uint8_t *headers, *payloads;
	size_t headers_bytes, payloads_bytes;
	struct wb_ring_entry *entries;
	struct ring *rings;

	/* under lock */
	struct wb_lock lock;
	struct wb_cond changed;
	unsigned set_up_count;
	int error;			/* of the first ring that could not be set up */
	int fuse_fd;			/* from SERVING on */
	/* atomic too: the threads look at it at every turn */
	_Atomic enum phase phase;
};

/* Of this thread. */
static __thread struct ring *this_ring;

/* --- entries ------------------------------------------------------------------------- */

void wb_ring_entry_request(const struct wb_ring_entry *entry, struct wb_ring_request *request)
{
	const struct wb_uring_header *header = entry->header;
	size_t length;

	memcpy(&request->header, header->in_out, sizeof request->header);
	request->payload_bytes = header->transfer.payload_bytes;
	request->fixed = header->fixed;
	length = request->header.len - sizeof request->header - request->payload_bytes;
	g_assert(length <= sizeof header->fixed);
	request->fixed_bytes = length;
}

void *wb_ring_entry_payload(const struct wb_ring_entry *entry)
{
	return entry->payload;
}

void wb_ring_entry_note_write(struct wb_ring_entry *entry)
{
	entry->ring->has_written = entry->ring == this_ring;
}

/* The queue is as long as there are entries, and the read of wake_fd. */
static struct io_uring_sqe *get_sqe(struct ring *ring)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);

	g_assert(sqe);
	return sqe;
}

static void prepare(struct wb_ring_entry *entry, enum wb_uring_command command)
{
	struct io_uring_sqe *sqe = get_sqe(entry->ring);
	struct wb_uring_command_arguments arguments = {
		.queue_id = entry->queue_id,
		.commit_id = command == WB_URING_REGISTER ? 0 :
							    entry->header->transfer.commit_id,
	};

	entry->command = command;
	/* Twice as long as its type says: IORING_SETUP_SQE128. */
	memset((void *)sqe, 0, 2 * sizeof *sqe);
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->flags = IOSQE_FIXED_FILE;
	sqe->fd = 0;
	sqe->cmd_op = command;
	if (command == WB_URING_REGISTER) {
		sqe->addr = (uintptr_t)entry->memory;
		sqe->len = G_N_ELEMENTS(entry->memory);
	}
	memcpy((uint8_t *)sqe + offsetof(struct io_uring_sqe, cmd), &arguments, sizeof arguments);
	io_uring_sqe_set_data(sqe, entry);
}

static void wake(struct ring *ring)
{
	uint64_t one = 1;

	while (write(ring->wake_fd, &one, sizeof one) < 0 && errno == EINTR)
		;
}

static void hand_over(struct wb_ring_entry *entry)
{
	struct ring *ring = entry->ring;
	bool is_first;

	wb_lock_acquire(&ring->lock);
	is_first = !ring->answers;
	entry->next = ring->answers;
	ring->answers = entry;
	wb_lock_release(&ring->lock);
	if (is_first)
		wake(ring);
}

void wb_ring_entry_answer(struct wb_ring_entry *entry, int error, size_t payload_bytes)
{
	struct fuse_out_header out = {
		.len = (uint32_t)(sizeof out + payload_bytes),
		.error = error,
		.unique = entry->unique,
	};

	g_assert(payload_bytes <= entry->memory[1].iov_len);
	memcpy(entry->header->in_out, &out, sizeof out);
	entry->header->transfer.payload_bytes = (uint32_t)payload_bytes;
	if (entry->ring == this_ring)
		prepare(entry, WB_URING_COMMIT_AND_FETCH);
	else
		hand_over(entry);
}

/* --- a thread ------------------------------------------------------------------------ */

/* A read of wake_fd is always in the ring. */
static void arm_wake(struct ring *ring)
{
	struct io_uring_sqe *sqe = get_sqe(ring);

	memset((void *)sqe, 0, 2 * sizeof *sqe);
	io_uring_prep_read(sqe, ring->wake_fd, &ring->wake_count, sizeof ring->wake_count, 0);
	io_uring_sqe_set_data(sqe, NULL);
}

static void take_answers(struct ring *ring)
{
	struct wb_ring_entry *entry, *next;

	wb_lock_acquire(&ring->lock);
	entry = ring->answers;
	ring->answers = NULL;
	wb_lock_release(&ring->lock);
	for (; entry; entry = next) {
		next = entry->next;
		prepare(entry, WB_URING_COMMIT_AND_FETCH);
	}
}

/* The end of the connection, or something that leaves this entry without use. */
static void entry_failed(struct wb_ring_entry *entry, int error)
{
	struct ring *ring = entry->ring;

	if (error == -EAGAIN || error == -EINTR) {
		prepare(entry, entry->command);
		return;
	}
	if (error == -ENOTCONN || error == -ECONNABORTED || error == -ECANCELED ||
	    ring->has_complained)
		return;
	ring->has_complained = true;
	g_warning("the kernel refused an entry of FUSE's queue %u over io_uring: %s",
		  (unsigned)entry->queue_id, g_strerror(-error));
}

static void complete(struct ring *ring, const struct io_uring_cqe *cqe)
{
	struct wb_ring_entry *entry = io_uring_cqe_get_data(cqe);

	if (!entry) {
		arm_wake(ring);
	} else if (cqe->res < 0) {
		entry_failed(entry, cqe->res);
	} else {
		memcpy(&entry->unique, entry->header->in_out +
		       offsetof(struct fuse_in_header, unique), sizeof entry->unique);
		ring->rings->config.serve(ring->rings->config.arg, entry);
	}
}

static void turn(struct ring *ring)
{
	struct io_uring_cqe *cqe;
	unsigned head, seen = 0;
	bool is_woken = false;

	if (ring->has_written) {
		ring->has_written = false;
		io_uring_submit(&ring->uring);
		ring->rings->config.answered(ring->rings->config.arg);
	}
	io_uring_submit_and_wait(&ring->uring, 1);
	io_uring_for_each_cqe(&ring->uring, head, cqe) {
		is_woken |= !io_uring_cqe_get_data(cqe);
		complete(ring, cqe);
		seen++;
	}
	io_uring_cq_advance(&ring->uring, seen);
	/* Whoever hands over the first answer wakes. */
	if (is_woken)
		take_answers(ring);
}

static int set_up(struct ring *ring)
{
	struct io_uring_params params = {
		/* Where this thread alone submits, the kernel can leave what it does in its
		 * name until it waits. */
		.flags = IORING_SETUP_SQE128 | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE |
			 IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
		.cq_entries = 2 * (ring->entry_count + 1),
	};
	int result = io_uring_queue_init_params(ring->entry_count + 1, &ring->uring, &params);

	if (result < 0)
		return result;
	io_uring_register_ring_fd(&ring->uring);	/* only faster */
	return 0;
}

/* Where the requests of its queues come from: on another CPU each would cost an
 * interrupt. Not where the process may not run. */
static void pin(const struct ring *ring)
{
	const struct wb_ring_plan *plan = &ring->rings->plan;
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	for (unsigned i = ring->index; i < plan->queue_count && i < CPU_SETSIZE;
	     i += plan->thread_count)
		CPU_SET(i, &cpus);
	sched_setaffinity(0, sizeof cpus, &cpus);
}

/* FALSE when it will never be served. */
static bool report_and_wait(struct ring *ring, int error)
{
	struct wb_fuse_rings *rings = ring->rings;
	bool is_serving;

	wb_lock_acquire(&rings->lock);
	rings->set_up_count++;
	if (error && !rings->error)
		rings->error = error;
	wb_cond_broadcast(&rings->changed);
	while (atomic_load(&rings->phase) == STARTING)
		wb_cond_wait(&rings->changed, &rings->lock);
	is_serving = atomic_load(&rings->phase) == SERVING;
	wb_lock_release(&rings->lock);
	return is_serving && !error;
}

static void serve(struct ring *ring)
{
	int result = io_uring_register_files(&ring->uring, &ring->rings->fuse_fd, 1);

	if (result < 0) {
		g_warning("no file can be registered with io_uring: %s", g_strerror(-result));
		return;
	}
	arm_wake(ring);
	for (unsigned i = 0; i < ring->entry_count; i++)
		prepare(&ring->entries[i], WB_URING_REGISTER);
	while (atomic_load(&ring->rings->phase) == SERVING)
		turn(ring);
}

static gpointer run(gpointer arg)
{
	struct ring *ring = arg;
	int error = set_up(ring);

	this_ring = ring;
	pin(ring);
	if (report_and_wait(ring, error))
		serve(ring);
	this_ring = NULL;
	if (!error)
		io_uring_queue_exit(&ring->uring);
	return NULL;
}

/* --- start and end ------------------------------------------------------------------- */

static void lay_out_entry(struct wb_fuse_rings *rings, unsigned i, struct ring *ring,
			  unsigned queue_id)
{
	struct wb_ring_entry *entry = &rings->entries[i];

	entry->ring = ring;
	entry->queue_id = (uint16_t)queue_id;
	entry->header = (void *)(rings->headers + i * HEADER_STRIDE_BYTES);
	entry->payload = rings->payloads + i * wb_ring_plan_stride_bytes(&rings->plan);
	entry->memory[0] = (struct iovec){ entry->header, sizeof *entry->header };
	entry->memory[1] = (struct iovec){ entry->payload, rings->plan.payload_bytes };
}

static void lay_out(struct wb_fuse_rings *rings)
{
	const struct wb_ring_plan *plan = &rings->plan;
	unsigned at = 0;

	for (unsigned i = 0; i < plan->thread_count; i++) {
		struct ring *ring = &rings->rings[i];

		ring->rings = rings;
		ring->index = i;
		ring->entries = &rings->entries[at];
		ring->wake_fd = -1;
		wb_lock_init(&ring->lock, WB_RANK_POOL);
		for (unsigned id = i; id < plan->queue_count; id += plan->thread_count)
			for (unsigned k = 0; k < plan->depth; k++, ring->entry_count++)
				lay_out_entry(rings, at++, ring, id);
	}
}

static int start_threads(struct wb_fuse_rings *rings)
{
	unsigned count = rings->plan.thread_count;
	int error;

	for (unsigned i = 0; i < count; i++) {
		rings->rings[i].wake_fd = eventfd(0, EFD_CLOEXEC);
		if (rings->rings[i].wake_fd < 0)
			return -errno;
	}
	for (unsigned i = 0; i < count; i++)
		rings->rings[i].thread = g_thread_new("wb-fuse-ring", run, &rings->rings[i]);
	wb_lock_acquire(&rings->lock);
	while (rings->set_up_count < count)
		wb_cond_wait(&rings->changed, &rings->lock);
	error = rings->error;
	wb_lock_release(&rings->lock);
	return error;
}

int wb_fuse_rings_new(struct wb_fuse_rings **new_rings,
		      const struct wb_fuse_rings_config *config)
{
	struct wb_fuse_rings *rings = g_new0(struct wb_fuse_rings, 1);
	size_t count = (size_t)config->plan->queue_count * config->plan->depth;
	int error = -ENOMEM;

	rings->config = *config;
	rings->plan = *config->plan;
	rings->config.plan = &rings->plan;
	rings->fuse_fd = -1;
	wb_lock_init(&rings->lock, WB_RANK_FRONTEND);
	wb_cond_init(&rings->changed);
	rings->headers_bytes = count * HEADER_STRIDE_BYTES;
	rings->payloads_bytes = count * wb_ring_plan_stride_bytes(&rings->plan);
	rings->headers = wb_memory_map(rings->headers_bytes);
	rings->payloads = wb_memory_map(rings->payloads_bytes);
	rings->entries = g_new0(struct wb_ring_entry, count);
	rings->rings = g_new0(struct ring, rings->plan.thread_count);
	lay_out(rings);
	if (rings->headers && rings->payloads)
		error = start_threads(rings);
	if (!error) {
		*new_rings = rings;
		return 0;
	}
	wb_fuse_rings_stop(rings);
	wb_fuse_rings_free(rings);
	return error;
}

static void enter(struct wb_fuse_rings *rings, enum phase phase, int fuse_fd)
{
	wb_lock_acquire(&rings->lock);
	rings->fuse_fd = fuse_fd;
	atomic_store(&rings->phase, phase);
	wb_cond_broadcast(&rings->changed);
	wb_lock_release(&rings->lock);
}

void wb_fuse_rings_serve(struct wb_fuse_rings *rings, int fuse_fd)
{
	enter(rings, SERVING, fuse_fd);
}

void wb_fuse_rings_stop(struct wb_fuse_rings *rings)
{
	enter(rings, STOPPING, rings->fuse_fd);
	for (unsigned i = 0; i < rings->plan.thread_count; i++)
		if (rings->rings[i].wake_fd >= 0)
			wake(&rings->rings[i]);
}

void wb_fuse_rings_join(struct wb_fuse_rings *rings)
{
	for (unsigned i = 0; i < rings->plan.thread_count; i++) {
		if (rings->rings[i].thread)
			g_thread_join(rings->rings[i].thread);
		rings->rings[i].thread = NULL;
	}
}

void wb_fuse_rings_free(struct wb_fuse_rings *rings)
{
	wb_fuse_rings_join(rings);
	for (unsigned i = 0; i < rings->plan.thread_count; i++) {
		struct ring *ring = &rings->rings[i];

		if (ring->wake_fd >= 0)
			close(ring->wake_fd);
		wb_lock_clear(&ring->lock);
	}
	if (rings->headers)
		wb_memory_unmap(rings->headers, rings->headers_bytes);
	if (rings->payloads)
		wb_memory_unmap(rings->payloads, rings->payloads_bytes);
	wb_cond_clear(&rings->changed);
	wb_lock_clear(&rings->lock);
	g_free(rings->entries);
	g_free(rings->rings);
	g_free(rings);
}
