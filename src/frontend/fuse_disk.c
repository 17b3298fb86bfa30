/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "frontend/fuse_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>

#include "base/memory.h"
#include "frontend/affine_pool.h"
#include "frontend/fuse_legacy.h"
#include "frontend/fuse_rings.h"
#include "io/buffer_pool.h"
#include "io/thread_ring.h"

/* 13 MiB: small requests, runs, whole requests with the two blocks that they may
 * touch at their ends. */
#define READ_BUFFER_CLASSES                            \
	{                                              \
		{ 16u << 10, 128 },                    \
		{ 128u << 10, 16 },                    \
		{ (1u << 20) + (8u << 10), 6 },        \
	}

/* So long a read waits for the buffer of another one; so often this thread's own are
 * looked after meanwhile. */
#define READ_BUFFER_WAIT_US 20000
#define READ_BUFFER_LOOK_US 50

/* One request under way. */
struct operation {
	struct wb_affine_item item;	/* of the disk's pool */
	struct wb_fuse_disk *disk;
	struct wb_request *request;	/* its own, as long as the cache lives */
	struct wb_fuse_caller caller;
	uint64_t offset_bytes;
	size_t size_bytes;		/* of the answer */
	void *data;			/* READ: where it is put */
	void *read_buffer;		/* the same, when it is of the pool, or borrowed */
	size_t borrowed_bytes;		/* of read_buffer; 0: it is of the pool */
	struct wb_receive_buffer *received;	/* WRITE that waits: its data */
};

struct wb_fuse_disk {
	/* constant after new */
	struct wb_cache *cache;
	struct wb_receive_pool *receive_pool;
	struct wb_buffer_pool *read_pool;
	struct operation *operations;
	struct wb_affine_pool *operation_pool;
	_Atomic uint32_t *has_answered;	/* or NULL */

	/* atomic: nothing came back of read_pool for a while */
	atomic_bool reads_are_stuck;
};

/* --- start and end ------------------------------------------------------------ */

struct wb_fuse_disk *wb_fuse_disk_new(struct wb_cache *cache,
				      struct wb_receive_pool *receive_pool,
				      unsigned request_count, GError **error)
{
	static const struct wb_buffer_class classes[] = READ_BUFFER_CLASSES;
	struct wb_buffer_pool *read_pool = NULL;
	struct wb_fuse_disk *disk;

	if (receive_pool) {
		read_pool = wb_buffer_pool_new(classes, G_N_ELEMENTS(classes), error);
		if (!read_pool)
			return NULL;
	}
	disk = g_new0(struct wb_fuse_disk, 1);
	disk->read_pool = read_pool;
	disk->cache = cache;
	disk->receive_pool = receive_pool;
	disk->operations = g_new0(struct operation, request_count);
	disk->operation_pool = wb_affine_pool_new();
	for (unsigned i = 0; i < request_count; i++) {
		disk->operations[i].disk = disk;
		disk->operations[i].request = wb_request_get(cache);
		g_assert(disk->operations[i].request);
		wb_affine_pool_add(disk->operation_pool, &disk->operations[i].item);
	}
	return disk;
}

void wb_fuse_disk_note_answers(struct wb_fuse_disk *disk, _Atomic uint32_t *has_answered)
{
	disk->has_answered = has_answered;
}

void wb_fuse_disk_end_waits(struct wb_fuse_disk *disk)
{
	wb_affine_pool_end_waits(disk->operation_pool);
}

bool wb_fuse_disk_wait_idle_until(struct wb_fuse_disk *disk, int64_t deadline_us)
{
	return wb_affine_pool_wait_whole_until(disk->operation_pool, deadline_us);
}

void wb_fuse_disk_free(struct wb_fuse_disk *disk)
{
	if (!disk)
		return;
	wb_affine_pool_free(disk->operation_pool);
	wb_buffer_pool_free(disk->read_pool);
	g_free(disk->operations);
	g_free(disk);
}

/* --- operations ----------------------------------------------------------------- */

/* NULL: it has been answered. */
static struct operation *operation_get(struct wb_fuse_disk *disk,
				       struct wb_fuse_caller caller)
{
	struct wb_affine_item *item = wb_affine_pool_try_get(disk->operation_pool);
	struct operation *operation;

	if (!item) {
		wb_thread_ring_drain();
		item = wb_affine_pool_get(disk->operation_pool);
	}
	if (!item) {
		wb_fuse_caller_end(caller, EIO);
		return NULL;
	}
	operation = (struct operation *)((char *)item - offsetof(struct operation, item));
	operation->caller = caller;
	return operation;
}

static void operation_put(struct operation *operation)
{
	struct wb_fuse_disk *disk = operation->disk;

	if (operation->received)
		wb_receive_pool_put(disk->receive_pool, operation->received);
	operation->received = NULL;
	if (operation->read_buffer && operation->borrowed_bytes)
		wb_memory_unmap(operation->read_buffer, operation->borrowed_bytes);
	else if (operation->read_buffer)
		wb_buffer_put(disk->read_pool, operation->read_buffer);
	operation->read_buffer = NULL;
	operation->borrowed_bytes = 0;

	wb_affine_pool_put(disk->operation_pool, &operation->item);
}

/* The answer is sent before anything is given back: the kernel copies from
 * the buffer while it is sent. */
static void answer(struct operation *operation, int error)
{
	struct wb_request_public *public = wb_request_public(operation->request);
	_Atomic uint32_t *has_answered = operation->disk->has_answered;
	bool has_read = !error && public->op == WB_READ;

	/* What a ring's entry holds is the kernel's again once it is answered. */
	if (has_read && operation->caller.entry)
		wb_cache_read_answered(operation->disk->cache, operation->request);
	if (error)
		wb_fuse_caller_end(operation->caller, -error);
	else if (public->op == WB_READ)
		wb_fuse_caller_give(operation->caller,
				    (char *)operation->data + operation->offset_bytes % 4096,
				    operation->size_bytes);
	else if (public->op == WB_WRITE)
		wb_fuse_caller_wrote(operation->caller, operation->size_bytes);
	else
		wb_fuse_caller_end(operation->caller, 0);
	/* Read only from then on: all threads share its line. */
	if (has_answered && !atomic_load_explicit(has_answered, memory_order_relaxed))
		atomic_store_explicit(has_answered, 1, memory_order_relaxed);
	if (has_read && !operation->caller.entry)
		wb_cache_read_answered(operation->disk->cache, operation->request);
	operation_put(operation);
}

static void request_done(struct wb_request *request, int error)
{
	answer(wb_request_public(request)->user, error);
}

static struct wb_request_public *prepare(struct operation *operation, enum wb_request_op op,
					 uint64_t offset_bytes, uint64_t length_bytes)
{
	struct wb_request_public *public = wb_request_public(operation->request);

	*public = (struct wb_request_public){
		.op = op,
		.offset_bytes = offset_bytes,
		.length_bytes = length_bytes,
		.done = request_done,
		.user = operation,
	};
	operation->offset_bytes = offset_bytes;
	operation->size_bytes = op == WB_ZERO ? 0 : (size_t)length_bytes;
	return public;
}

/* What changes data is known by the kernel's number: should this process die before the
 * answer is sent, it comes again with it, and must not be done twice: a later one that was
 * answered may have changed the same place. Reads and syncs may. */
static void identify(const struct operation *operation, struct wb_request_public *public)
{
	uint64_t unique = operation->caller.unique;

	public->unique = unique & ~WB_FUSE_UNIQUE_RESEND;
	if (unique & WB_FUSE_UNIQUE_RESEND)
		public->flags |= WB_REQUEST_RESENT;
}

static void submit(struct operation *operation)
{
	int error = 0;

	if (wb_cache_submit(operation->disk->cache, operation->request, &error) ==
	    WB_SUBMIT_FINISHED)
		answer(operation, error);
}

/* How much of the range lies in the image. */
static uint64_t cut_to_image(const struct wb_fuse_disk *disk, uint64_t offset, uint64_t length)
{
	uint64_t image_bytes = wb_cache_image_bytes(disk->cache);

	return offset >= image_bytes ? 0 : MIN(length, image_bytes - offset);
}

/* --- requests ------------------------------------------------------------------- */

/* Until then, and of those that this thread's own reads have too. */
static void *read_buffer_wait(struct wb_fuse_disk *disk, size_t bytes, int64_t deadline_us)
{
	void *buffer;

	while (!(buffer = wb_buffer_get(disk->read_pool, bytes)) &&
	       g_get_monotonic_time() < deadline_us) {
		if (!wb_thread_ring_in_flight())
			return wb_buffer_get_until(disk->read_pool, bytes, deadline_us);
		wb_thread_ring_run(WB_RING_NO_WAIT, -1);
		g_usleep(READ_BUFFER_LOOK_US);
	}
	return buffer;
}

/* A backing that cannot be reached keeps the reads that wait for it, and with them their
 * buffers. What this thread would take next may need no backing, and is not to wait as
 * long: the read goes on in memory that the machine has to spare. */
static void read_buffer_get(struct operation *operation, size_t bytes)
{
	struct wb_fuse_disk *disk = operation->disk;
	bool were_stuck = atomic_load_explicit(&disk->reads_are_stuck, memory_order_relaxed);
	int64_t wait_us = were_stuck ? 0 : READ_BUFFER_WAIT_US;

	operation->read_buffer = wb_buffer_get(disk->read_pool, bytes);
	if (!operation->read_buffer)
		operation->read_buffer =
			read_buffer_wait(disk, bytes, g_get_monotonic_time() + wait_us);
	if (were_stuck == !!operation->read_buffer)
		atomic_store(&disk->reads_are_stuck, !were_stuck);
	if (operation->read_buffer)
		return;
	operation->read_buffer = wb_memory_borrow(bytes);
	if (operation->read_buffer) {
		operation->borrowed_bytes = bytes;
		return;
	}
	wb_thread_ring_drain();
	operation->read_buffer = wb_buffer_get_wait(disk->read_pool, bytes);
}

void wb_fuse_disk_read(struct wb_fuse_disk *disk, struct wb_fuse_caller caller, size_t size, off_t offset)
{
	struct operation *operation;
	struct wb_request_public *public;

	size = cut_to_image(disk, (uint64_t)offset, MIN(size, WB_REQUEST_BYTES_MAX));
	if (!size) {
		wb_fuse_caller_give(caller, NULL, 0);
		return;
	}
	wb_cache_expect(disk->cache, (uint64_t)offset, size);
	operation = operation_get(disk, caller);
	if (!operation)
		return;
	public = prepare(operation, WB_READ, (uint64_t)offset, size);
	if (!caller.entry)
		read_buffer_get(operation, wb_request_span_bytes((uint64_t)offset, size));
	operation->data = caller.entry ? wb_ring_entry_payload(caller.entry) :
					 operation->read_buffer;
	public->buffer = operation->data;
	submit(operation);
}

/* Short writes that may have to wait leave the large buffers to those that
 * need them. */
static struct wb_receive_buffer *find_shorter(struct wb_fuse_disk *disk, size_t bytes)
{
	if (bytes > WB_RECEIVE_MEDIUM_BYTES ||
	    (!wb_receive_pool_is_low(disk->receive_pool) &&
	     !wb_cache_is_short_of_space(disk->cache)))
		return NULL;
	return wb_receive_pool_try_short(disk->receive_pool, bytes);
}

/*
 * The data of a write that may have to wait stays in *received, or moves to another
 * buffer. The thread must not be left without one: what it would receive next may be a
 * read, and what it waited for may not come before the backing can be reached again. So
 * while there are few it has the next one, *spare, before it gives its own away.
 */
static void place_data(struct wb_fuse_disk *disk, struct operation *operation,
		       struct wb_receive_buffer **received, struct wb_receive_buffer **spare)
{
	struct wb_request_public *public = wb_request_public(operation->request);
	struct wb_receive_buffer *other = find_shorter(disk, public->length_bytes);

	if (!other && wb_receive_pool_is_low(disk->receive_pool)) {
		*spare = wb_receive_pool_try_take(disk->receive_pool);
		if (!*spare)
			other = wb_receive_pool_borrow(disk->receive_pool, public->length_bytes);
	}
	if (other) {
		memcpy(other->memory, public->buffer, public->length_bytes);
		public->buffer = other->memory;
		operation->received = other;
	} else {
		operation->received = *received;
		*received = NULL;
	}
}

void wb_fuse_disk_write(struct wb_fuse_disk *disk, struct wb_fuse_caller caller, const char *data,
			size_t size, off_t offset, int open_flags,
			struct wb_receive_buffer **received)
{
	struct wb_receive_buffer *large = received ? *received : NULL, *spare = NULL;
	struct wb_request_public *public;
	struct operation *operation;
	int error = 0;

	g_assert(size <= WB_REQUEST_BYTES_MAX);
	if (size && !cut_to_image(disk, (uint64_t)offset, size)) {
		wb_fuse_caller_end(caller, ENOSPC);
		return;
	}
	size = cut_to_image(disk, (uint64_t)offset, size);
	if (!size) {
		wb_fuse_caller_wrote(caller, 0);
		return;
	}
	wb_cache_expect(disk->cache, (uint64_t)offset, size);
	operation = operation_get(disk, caller);
	if (!operation)
		return;
	public = prepare(operation, WB_WRITE, (uint64_t)offset, size);
	public->buffer = (char *)data;
	/* O_SYNC contains the bit of O_DSYNC. No FSYNC follows. */
	if (open_flags & O_DSYNC)
		public->flags = WB_REQUEST_FUA;
	identify(operation, public);
	/* Handed over before submit: done() may run on another thread before
	 * submit returns. */
	if (received)
		place_data(disk, operation, received, &spare);
	if (wb_cache_submit(disk->cache, operation->request, &error) == WB_SUBMIT_PENDING) {
		if (spare)
			*received = spare;
		return;
	}
	if (spare)
		wb_receive_pool_put(disk->receive_pool, spare);
	if (received && operation->received == large) {
		operation->received = NULL;
		*received = large;
	}
	answer(operation, error);
	if (caller.entry)
		wb_ring_entry_note_write(caller.entry);
	else
		wb_cache_answered(disk->cache);
}

void wb_fuse_disk_sync(struct wb_fuse_disk *disk, struct wb_fuse_caller caller)
{
	struct operation *operation = operation_get(disk, caller);

	if (!operation)
		return;
	prepare(operation, WB_SYNC, 0, 0);
	submit(operation);
}

#define PUNCH (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
#define ZERO_KEEP (FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE)

void wb_fuse_disk_fallocate(struct wb_fuse_disk *disk, struct wb_fuse_caller caller, int mode,
			    off_t offset, off_t length)
{
	struct operation *operation;
	uint64_t inside;

	if (offset < 0 || length <= 0) {
		wb_fuse_caller_end(caller, EINVAL);
		return;
	}
	inside = cut_to_image(disk, (uint64_t)offset, (uint64_t)length);
	if (mode != PUNCH && mode != ZERO_KEEP && mode != FALLOC_FL_ZERO_RANGE && mode != 0) {
		wb_fuse_caller_end(caller, EOPNOTSUPP);
		return;
	}
	if (!(mode & FALLOC_FL_KEEP_SIZE) && inside < (uint64_t)length) {
		wb_fuse_caller_end(caller, EFBIG);	/* the image never grows */
		return;
	}
	if (!mode || !inside) {
		wb_fuse_caller_end(caller, 0);
		return;
	}
	operation = operation_get(disk, caller);
	if (!operation)
		return;
	identify(operation, prepare(operation, WB_ZERO, (uint64_t)offset, inside));
	submit(operation);
}

/* All of it may be called data. */
void wb_fuse_disk_lseek(struct wb_fuse_disk *disk, fuse_req_t req, off_t offset, int whence)
{
	uint64_t image_bytes = wb_cache_image_bytes(disk->cache);

	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		fuse_reply_err(req, EINVAL);
	else if (offset < 0 || (uint64_t)offset >= image_bytes)
		fuse_reply_err(req, ENXIO);
	else
		fuse_reply_lseek(req, whence == SEEK_DATA ? offset : (off_t)image_bytes);
}
