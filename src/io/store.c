/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What every store shares: preparing and judging an I/O, and the helpers that
 * wait for the disk. A store with a thread is waited for on a condition; one
 * with poll() (tests) is driven by the waiting thread itself.
 */
#include "io/store.h"

#include <errno.h>
#include <glib.h>

#include "base/lock.h"

/* No kernel moves more than 2 GiB - 4 KiB at once; stay well below. */
#define SYNC_PIECE_BYTES (UINT64_C(1) << 30)
#define READ_MANY_DEPTH_MAX 256u

void wb_store_close(struct wb_store *store)
{
	if (store)
		store->ops->close(store);
}

void wb_io_prepare(struct wb_io *io, enum wb_io_op op, enum wb_io_class io_class,
		   uint64_t offset_bytes, void *buffer, uint64_t length_bytes,
		   void (*done)(struct wb_io *io, int error))
{
	*io = (struct wb_io){
		.op = op,
		.io_class = io_class,
		.offset_bytes = offset_bytes,
		.length_bytes = length_bytes,
		.one = { .iov_base = buffer, .iov_len = length_bytes },
		.done = done,
	};
	if (op == WB_IO_READ || op == WB_IO_WRITE) {
		io->iov = &io->one;
		io->iov_count = 1;
	}
}

static void assert_iov(const struct wb_store *store, const struct wb_io *io)
{
	uint64_t sum = 0;

	g_assert(io->iov_count >= 1 && io->iov_count <= WB_IO_IOV_MAX);
	for (unsigned i = 0; i < io->iov_count; i++) {
		uintptr_t base = (uintptr_t)io->iov[i].iov_base;

		g_assert((base | io->iov[i].iov_len) % store->alignment_bytes == 0);
		sum += io->iov[i].iov_len;
	}
	g_assert(sum == io->length_bytes);
}

void wb_store_assert_io(const struct wb_store *store, const struct wb_io *io)
{
	uint64_t end = io->offset_bytes + io->length_bytes;

	g_assert(io->done && (unsigned)io->io_class < WB_IO_CLASS_COUNT);
	g_assert(!(io->flags & WB_IO_FUA) || io->op == WB_IO_WRITE);
	if (io->op == WB_IO_FLUSH)
		return;
	g_assert(io->length_bytes > 0 && end > io->offset_bytes);
	g_assert(end <= store->size_bytes);
	if (io->op == WB_IO_ZERO || io->op == WB_IO_DISCARD) {
		g_assert(io->offset_bytes % 4096 == 0);
		g_assert(io->length_bytes % 4096 == 0 || end == store->size_bytes);
		return;
	}
	g_assert((io->offset_bytes | io->length_bytes) % store->alignment_bytes == 0);
	assert_iov(store, io);
}

/* --- waiting ------------------------------------------------------------- */

static void sync_done(struct wb_io *io, int error)
{
	struct wb_store_read *sync = (struct wb_store_read *)io;

	/* Signalled under the lock: once the waiter can see is_finished this
	 * thread is through with the object, which may lie on the waiter's stack. */
	wb_lock_acquire(&sync->lock);
	sync->error = error;
	sync->is_finished = true;
	wb_cond_signal(&sync->cond);
	wb_lock_release(&sync->lock);
}

static bool sync_is_finished(struct wb_store_read *sync)
{
	bool is_finished;

	wb_lock_acquire(&sync->lock);
	is_finished = sync->is_finished;
	wb_lock_release(&sync->lock);
	return is_finished;
}

static void sync_begin(struct wb_store *store, struct wb_store_read *sync, enum wb_io_op op,
		       uint64_t offset_bytes, void *buffer, uint64_t length_bytes)
{
	sync->is_finished = false;
	sync->error = 0;
	wb_lock_init(&sync->lock, WB_RANK_STORE);
	wb_cond_init(&sync->cond);
	wb_io_prepare(&sync->io, op, WB_IO_CLASS_LOG, offset_bytes, buffer,
		      length_bytes, sync_done);
	wb_store_submit(store, &sync->io);
}

static int sync_wait(struct wb_store *store, struct wb_store_read *sync)
{
	if (store->ops->poll) {
		while (!sync_is_finished(sync))
			g_assert(store->ops->poll(store));
	} else {
		wb_lock_acquire(&sync->lock);
		while (!sync->is_finished)
			wb_cond_wait(&sync->cond, &sync->lock);
		wb_lock_release(&sync->lock);
	}
	wb_cond_clear(&sync->cond);
	wb_lock_clear(&sync->lock);
	return sync->error;
}

void wb_store_read_begin(struct wb_store *store, struct wb_store_read *read,
			 uint64_t offset_bytes, void *buffer, uint64_t length_bytes)
{
	sync_begin(store, read, WB_IO_READ, offset_bytes, buffer, length_bytes);
}

int wb_store_read_wait(struct wb_store *store, struct wb_store_read *read)
{
	return sync_wait(store, read);
}

static int run_sync(struct wb_store *store, enum wb_io_op op, uint64_t offset_bytes,
		    void *buffer, uint64_t length_bytes)
{
	struct wb_store_read sync;

	sync_begin(store, &sync, op, offset_bytes, buffer, length_bytes);
	return sync_wait(store, &sync);
}

static int run_pieces(struct wb_store *store, enum wb_io_op op, uint64_t offset_bytes,
		      void *buffer, uint64_t length_bytes)
{
	uint64_t done_bytes = 0;

	while (done_bytes < length_bytes) {
		uint64_t piece_bytes = MIN(length_bytes - done_bytes, SYNC_PIECE_BYTES);
		void *base = buffer ? (char *)buffer + done_bytes : NULL;
		int error = run_sync(store, op, offset_bytes + done_bytes, base,
				     piece_bytes);

		if (error)
			return error;
		done_bytes += piece_bytes;
	}
	return 0;
}

int wb_store_read_sync(struct wb_store *store, uint64_t offset_bytes,
		       void *buffer, uint64_t length_bytes)
{
	return run_pieces(store, WB_IO_READ, offset_bytes, buffer, length_bytes);
}

int wb_store_write_sync(struct wb_store *store, uint64_t offset_bytes,
			const void *buffer, uint64_t length_bytes)
{
	/* An iovec has no const; a store never changes what it writes. */
	return run_pieces(store, WB_IO_WRITE, offset_bytes, (void *)(uintptr_t)buffer,
			  length_bytes);
}

int wb_store_zero_sync(struct wb_store *store, uint64_t offset_bytes,
		       uint64_t length_bytes)
{
	return run_pieces(store, WB_IO_ZERO, offset_bytes, NULL, length_bytes);
}

int wb_store_discard_sync(struct wb_store *store, uint64_t offset_bytes,
			  uint64_t length_bytes)
{
	return run_pieces(store, WB_IO_DISCARD, offset_bytes, NULL, length_bytes);
}

int wb_store_flush_sync(struct wb_store *store)
{
	return run_sync(store, WB_IO_FLUSH, 0, NULL, 0);
}

/* --- many reads ---------------------------------------------------------- */

struct read_many;

struct read_slot {
	struct wb_io io;		/* first: done() casts */
	struct read_many *many;
	size_t index;
	struct read_slot *next_free;
};

struct read_many {
	/* constant */
	struct wb_store *store;
	int *errors;

	struct wb_lock lock;
	struct wb_cond cond;
	/* under lock */
	struct read_slot *free_slots;
	unsigned busy_count;
};

static void read_slot_done(struct wb_io *io, int error)
{
	struct read_slot *slot = (struct read_slot *)io;
	struct read_many *many = slot->many;

	many->errors[slot->index] = error;
	wb_lock_acquire(&many->lock);
	slot->next_free = many->free_slots;
	many->free_slots = slot;
	many->busy_count--;
	wb_cond_signal(&many->cond);
	wb_lock_release(&many->lock);
}

/* Waits until a slot is free and takes it out. */
static struct read_slot *take_slot(struct read_many *many)
{
	struct read_slot *slot;

	wb_lock_acquire(&many->lock);
	while (!many->free_slots) {
		if (many->store->ops->poll) {
			wb_lock_release(&many->lock);
			g_assert(many->store->ops->poll(many->store));
			wb_lock_acquire(&many->lock);
		} else {
			wb_cond_wait(&many->cond, &many->lock);
		}
	}
	slot = many->free_slots;
	many->free_slots = slot->next_free;
	many->busy_count++;
	wb_lock_release(&many->lock);
	return slot;
}

/* Takes the slots for good, so that none is in flight any more. */
static void take_all_slots(struct read_many *many, unsigned depth)
{
	for (unsigned i = 0; i < depth; i++)
		take_slot(many);
	g_assert(many->busy_count == depth);
}

void wb_store_read_many_sync(struct wb_store *store, const uint64_t *offsets_bytes,
			     size_t count, size_t piece_bytes, void *buffer,
			     int *errors, unsigned depth)
{
	struct read_many many = { .store = store, .errors = errors };
	struct read_slot *slots;

	depth = CLAMP(depth, 1, READ_MANY_DEPTH_MAX);
	slots = g_new0(struct read_slot, depth);
	wb_lock_init(&many.lock, WB_RANK_STORE);
	wb_cond_init(&many.cond);
	for (unsigned i = 0; i < depth; i++) {
		slots[i].many = &many;
		slots[i].next_free = many.free_slots;
		many.free_slots = &slots[i];
	}
	for (size_t i = 0; i < count; i++) {
		struct read_slot *slot = take_slot(&many);

		slot->index = i;
		wb_io_prepare(&slot->io, WB_IO_READ, WB_IO_CLASS_LOG, offsets_bytes[i],
			      (char *)buffer + i * piece_bytes, piece_bytes,
			      read_slot_done);
		wb_store_submit(store, &slot->io);
	}
	take_all_slots(&many, depth);
	wb_cond_clear(&many.cond);
	wb_lock_clear(&many.lock);
	g_free(slots);
}
