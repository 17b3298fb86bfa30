/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "support/store_counting.h"

#include <glib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/lock.h"

#define SECTOR_BYTES 512u
#define NOBODY_KNOWS UINT64_MAX		/* the last write failed */

struct sector {
	uint64_t written_at;		/* event of done(); 0 = durable */
	uint32_t in_flight_count;
};

struct store_counting {
	struct wb_store store;		/* first: ops cast */
	struct wb_store *inner;

	struct wb_lock lock;
	/* under lock */
	struct wb_store_counts counts;
	uint64_t reading_bytes, most_reading_bytes;	/* in flight */
	uint64_t event_count;
	uint64_t flushed_until;		/* events up to here are durable */
	struct sector *sectors;
};

struct counting_io {
	struct wb_io io;		/* for the inner store; first: done() casts */
	struct store_counting *self;
	struct wb_io *outer;
	uint64_t submit_event;
};

static void start_write_locked(struct store_counting *self, const struct wb_io *io)
{
	uint64_t end = (io->offset_bytes + io->length_bytes) / SECTOR_BYTES;

	wb_lock_assert_held(&self->lock);
	for (uint64_t i = io->offset_bytes / SECTOR_BYTES; i < end; i++)
		self->sectors[i].in_flight_count++;
}

static void end_write_locked(struct store_counting *self, const struct wb_io *io,
			     uint64_t event)
{
	uint64_t end = (io->offset_bytes + io->length_bytes) / SECTOR_BYTES;

	wb_lock_assert_held(&self->lock);
	for (uint64_t i = io->offset_bytes / SECTOR_BYTES; i < end; i++) {
		self->sectors[i].in_flight_count--;
		self->sectors[i].written_at = event;
	}
}

static void count_submit_locked(struct store_counting *self, const struct wb_io *io)
{
	self->counts.ios[io->io_class][io->op]++;
	self->counts.bytes[io->io_class][io->op] += io->length_bytes;
	if (io->flags & WB_IO_FUA)
		self->counts.fua_writes++;
	if (io->op == WB_IO_WRITE || io->op == WB_IO_ZERO || io->op == WB_IO_DISCARD)
		start_write_locked(self, io);
	if (io->op == WB_IO_READ) {
		self->reading_bytes += io->length_bytes;
		self->most_reading_bytes = MAX(self->most_reading_bytes, self->reading_bytes);
	}
}

static void count_done_locked(struct store_counting *self, const struct counting_io *own,
			      int error)
{
	const struct wb_io *io = own->outer;

	self->counts.answered++;
	self->counts.failed += error != 0;
	if (io->op == WB_IO_READ)
		self->reading_bytes -= io->length_bytes;
	if (io->op == WB_IO_FLUSH && !error)
		self->flushed_until = MAX(self->flushed_until, own->submit_event);
	if (io->op == WB_IO_FLUSH || io->op == WB_IO_READ)
		return;
	self->event_count++;
	if (error)
		end_write_locked(self, io, NOBODY_KNOWS);
	else
		end_write_locked(self, io, io->flags & WB_IO_FUA ? 0 : self->event_count);
}

static void inner_done(struct wb_io *io, int error)
{
	struct counting_io *own = (struct counting_io *)io;
	struct store_counting *self = own->self;
	struct wb_io *outer = own->outer;

	wb_lock_acquire(&self->lock);
	count_done_locked(self, own, error);
	wb_lock_release(&self->lock);
	g_free(own);
	outer->done(outer, error);
}

static void submit(struct wb_store *store, struct wb_io *io)
{
	struct store_counting *self = (struct store_counting *)store;
	struct counting_io *own = g_new0(struct counting_io, 1);

	wb_store_assert_io(store, io);
	own->io = *io;
	/* A store may change io->iov, and may find io->one in it: ours then. */
	if (io->iov == &io->one)
		own->io.iov = &own->io.one;
	own->io.done = inner_done;
	own->self = self;
	own->outer = io;
	wb_lock_acquire(&self->lock);
	own->submit_event = self->event_count;
	count_submit_locked(self, io);
	wb_lock_release(&self->lock);
	wb_store_submit(self->inner, &own->io);
}

static bool poll_one(struct wb_store *store)
{
	struct store_counting *self = (struct store_counting *)store;

	return self->inner->ops->poll(self->inner);
}

static uint64_t busy_ns(struct wb_store *store)
{
	struct store_counting *self = (struct store_counting *)store;

	return self->inner->ops->busy_ns(self->inner);
}

static bool has_hole(struct wb_store *store, uint64_t offset_bytes, uint64_t length_bytes)
{
	return wb_store_has_hole(((struct store_counting *)store)->inner, offset_bytes,
				 length_bytes);
}

static void close_store(struct wb_store *store)
{
	struct store_counting *self = (struct store_counting *)store;

	munmap(self->sectors, store->size_bytes / SECTOR_BYTES * sizeof(*self->sectors));
	wb_store_close(self->inner);
	wb_lock_clear(&self->lock);
	g_free(self);
}

#define COUNTING_OPS(poll_function)      \
	{                                \
		.name = "counting",      \
		.submit = submit,        \
		.poll = (poll_function), \
		.busy_ns = busy_ns,      \
		.has_hole = has_hole,    \
		.close = close_store,    \
	}

static const struct wb_store_ops polled_ops = COUNTING_OPS(poll_one);
static const struct wb_store_ops threaded_ops = COUNTING_OPS(NULL);

static struct store_counting *to_counting(struct wb_store *store)
{
	g_assert(store->ops == &polled_ops || store->ops == &threaded_ops);
	return (struct store_counting *)store;
}

struct wb_store *wb_store_counting_new(struct wb_store *inner)
{
	struct store_counting *self = g_new0(struct store_counting, 1);
	size_t book_bytes = inner->size_bytes / SECTOR_BYTES * sizeof(*self->sectors);

	self->store = *inner;
	self->store.ops = inner->ops->poll ? &polled_ops : &threaded_ops;
	self->inner = inner;
	self->sectors = mmap(NULL, book_bytes, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	g_assert(self->sectors != MAP_FAILED);
	wb_lock_init(&self->lock, WB_RANK_STORE);
	return &self->store;
}

void wb_store_counting_restart(struct wb_store *store)
{
	struct store_counting *self = to_counting(store);

	wb_lock_acquire(&self->lock);
	memset(&self->counts, 0, sizeof self->counts);
	memset(self->sectors, 0,
	       self->store.size_bytes / SECTOR_BYTES * sizeof(*self->sectors));
	self->event_count = self->flushed_until = 0;
	wb_lock_release(&self->lock);
}

void wb_store_counting_get(struct wb_store *store, struct wb_store_counts *counts)
{
	struct store_counting *self = to_counting(store);

	wb_lock_acquire(&self->lock);
	*counts = self->counts;
	wb_lock_release(&self->lock);
}

uint64_t wb_store_counting_ios(struct wb_store *store, enum wb_io_op op)
{
	struct wb_store_counts counts;
	uint64_t sum = 0;

	wb_store_counting_get(store, &counts);
	for (unsigned i = 0; i < WB_IO_CLASS_COUNT; i++)
		sum += counts.ios[i][op];
	return sum;
}

uint64_t wb_store_counting_bytes(struct wb_store *store, enum wb_io_op op)
{
	struct wb_store_counts counts;
	uint64_t sum = 0;

	wb_store_counting_get(store, &counts);
	for (unsigned i = 0; i < WB_IO_CLASS_COUNT; i++)
		sum += counts.bytes[i][op];
	return sum;
}

uint64_t wb_store_counting_take_most_read(struct wb_store *store)
{
	struct store_counting *self = (struct store_counting *)store;
	uint64_t most;

	wb_lock_acquire(&self->lock);
	most = self->most_reading_bytes;
	self->most_reading_bytes = self->reading_bytes;
	wb_lock_release(&self->lock);
	return most;
}

bool wb_store_counting_is_covered(struct wb_store *store, uint64_t offset_bytes,
				  uint64_t length_bytes)
{
	struct store_counting *self = to_counting(store);
	uint64_t end = (offset_bytes + length_bytes + SECTOR_BYTES - 1) / SECTOR_BYTES;
	bool is_covered = true;

	wb_lock_acquire(&self->lock);
	for (uint64_t i = offset_bytes / SECTOR_BYTES; i < end && is_covered; i++)
		is_covered = self->sectors[i].in_flight_count == 0 &&
			     self->sectors[i].written_at <= self->flushed_until;
	wb_lock_release(&self->lock);
	return is_covered;
}
