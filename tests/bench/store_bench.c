/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bench/store_bench.h"

#include <glib.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

struct store_bench {
	struct wb_store store;		/* first: ops cast */
	uint8_t *bytes;
	GThread *thread;
	sem_t wake;			/* one for each I/O, one for each change of mode */
	_Atomic(struct wb_io *) given;	/* newest first */
	_Atomic enum wb_store_bench_mode mode;
	atomic_bool is_closing;

	/* the thread's own */
	struct wb_io *first, **last;	/* collected, oldest first */
	struct wb_io *held;
};

/* --- the thread -------------------------------------------------------------- */

static void move(struct store_bench *self, const struct wb_io *io)
{
	uint8_t *disk = self->bytes + io->offset_bytes;

	if (io->op == WB_IO_FLUSH || io->op == WB_IO_DISCARD)
		return;
	if (io->op == WB_IO_ZERO) {
		memset(disk, 0, io->length_bytes);
		return;
	}
	for (unsigned i = 0; i < io->iov_count; disk += io->iov[i].iov_len, i++) {
		if (io->op == WB_IO_READ)
			memcpy(io->iov[i].iov_base, disk, io->iov[i].iov_len);
		else
			memcpy(disk, io->iov[i].iov_base, io->iov[i].iov_len);
	}
}

/* Turns what was given round, so that it is answered in order. */
static void collect(struct store_bench *self)
{
	/* Acquire: what the submitters wrote. Pairs with submit(). */
	struct wb_io *io = atomic_exchange_explicit(&self->given, NULL, memory_order_acquire);
	struct wb_io *oldest = NULL, **end = io ? &io->next : self->last;

	while (io) {
		struct wb_io *next = io->next;

		io->next = oldest;
		oldest = io;
		io = next;
	}
	*self->last = oldest;
	self->last = end;
}

static void handle(struct store_bench *self, struct wb_io *io)
{
	enum wb_store_bench_mode mode = atomic_load(&self->mode);

	if (io->op == WB_IO_READ || mode == WB_STORE_BENCH_KEEP) {
		move(self, io);
	} else if (mode == WB_STORE_BENCH_HOLD) {
		io->next = self->held;
		self->held = io;
		return;
	}
	io->done(io, 0);
}

static void release_held(struct store_bench *self)
{
	while (self->held && atomic_load(&self->mode) != WB_STORE_BENCH_HOLD) {
		struct wb_io *io = self->held;

		self->held = io->next;
		handle(self, io);
	}
}

static gpointer disk_main(gpointer data)
{
	struct store_bench *self = data;

	while (!atomic_load(&self->is_closing)) {
		while (sem_wait(&self->wake) != 0)
			;
		release_held(self);
		collect(self);
		while (self->first) {
			struct wb_io *io = self->first;

			self->first = io->next;
			if (!self->first)
				self->last = &self->first;
			handle(self, io);
		}
	}
	return NULL;
}

/* --- the store ---------------------------------------------------------------- */

static void submit(struct wb_store *store, struct wb_io *io)
{
	struct store_bench *self = (struct store_bench *)store;
	struct wb_io *newest = atomic_load_explicit(&self->given, memory_order_relaxed);

	wb_store_assert_io(store, io);
	do {
		io->next = newest;
	} while (!atomic_compare_exchange_weak_explicit(&self->given, &newest, io,
							memory_order_release,
							memory_order_relaxed));
	/* Whoever puts the first one there wakes the thread, which takes all. */
	if (!newest)
		sem_post(&self->wake);
}

static uint64_t busy_ns(struct wb_store *store)
{
	(void)store;
	return 0;
}

static void close_store(struct wb_store *store)
{
	struct store_bench *self = (struct store_bench *)store;

	atomic_store(&self->is_closing, true);
	sem_post(&self->wake);
	g_thread_join(self->thread);
	g_assert(!self->first && !self->held);
	sem_destroy(&self->wake);
	munmap(self->bytes, store->size_bytes);
	g_free(self);
}

static const struct wb_store_ops ops = {
	.name = "bench",
	.submit = submit,
	.busy_ns = busy_ns,
	.close = close_store,
};

struct wb_store *wb_store_bench_new(uint64_t size_bytes)
{
	struct store_bench *self = g_new0(struct store_bench, 1);

	self->bytes = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	g_assert(self->bytes != MAP_FAILED);
	self->store = (struct wb_store){
		.ops = &ops,
		.label = "bench",
		.size_bytes = size_bytes,
		.alignment_bytes = 512,
		.atomic_write_bytes = 512,
	};
	self->last = &self->first;
	sem_init(&self->wake, 0, 0);
	self->thread = g_thread_new("disk", disk_main, self);
	return &self->store;
}

void wb_store_bench_set_mode(struct wb_store *store, enum wb_store_bench_mode mode)
{
	struct store_bench *self = (struct store_bench *)store;

	g_assert(store->ops == &ops);
	atomic_store(&self->mode, mode);
	sem_post(&self->wake);
}
