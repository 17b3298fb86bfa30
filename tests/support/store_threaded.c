/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "support/store_threaded.h"

#include <errno.h>
#include <glib.h>
#include <sched.h>
#include <semaphore.h>
#include <string.h>
#include <sys/mman.h>

#include "support/prng.h"

#define LANES 2u
#define SECTOR 512u
#define GARBAGE UINT64_C(0xdddddddddddddddd)

/* Memory of any type, moved by words. */
#define WORD uint64_t __attribute__((may_alias))

/* What this file does to make a sector whole is nothing that a caller may
 * count on, so the sanitizer does not learn of it. */
#define UNSEEN __attribute__((noinline, no_sanitize("thread")))

struct lane {
	struct store_threaded *self;
	GThread *thread;
	sem_t wake;			/* one for each I/O, one to end */
	_Atomic(struct wb_io *) given;	/* newest first */
	/* the thread's own */
	struct wb_prng prng;
	struct wb_io *queue;
	unsigned queue_count;
};

struct store_threaded {
	struct wb_store store;		/* first: ops cast */
	struct wb_power *power;
	uint8_t *bytes;
	uint8_t *copy;			/* what came after the power went */
	/* one for each sector */
	uint8_t *is_busy;
	uint8_t *is_in_copy;		/* while the sector is held */
	struct lane lanes[LANES];
	/* atomic, relaxed: they order nothing */
	_Atomic unsigned next_lane;
	_Atomic unsigned ops, classes, one_in;
	_Atomic int faults_left;
	_Atomic uint64_t fault_count;
	_Atomic uint64_t unreadable_from, unreadable_to;
	_Atomic int in_flight;
};

#define GET(field) atomic_load_explicit(&(field), memory_order_relaxed)
#define SET(field, value) atomic_store_explicit(&(field), (value), memory_order_relaxed)
#define ADD(field, n) atomic_fetch_add_explicit(&(field), (n), memory_order_relaxed)

/* --- the disk -------------------------------------------------------------- */

static UNSEEN void hold_sector(struct store_threaded *self, uint64_t sector)
{
	while (__atomic_test_and_set(&self->is_busy[sector], __ATOMIC_ACQUIRE))
		sched_yield();
}

static UNSEEN void release_sector(struct store_threaded *self, uint64_t sector)
{
	__atomic_clear(&self->is_busy[sector], __ATOMIC_RELEASE);
}

/* Where the sector is, while it is held. */
static UNSEEN WORD *locate_sector(struct store_threaded *self, uint64_t sector, bool is_read,
				  bool has_power)
{
	if (!has_power && !is_read)
		self->is_in_copy[sector] = 1;
	return (WORD *)(void *)((!has_power && self->is_in_copy[sector] ? self->copy :
									  self->bytes) +
				sector * SECTOR);
}

/* The caller's memory is touched in plain sight, the disk's is not. `memory`
 * NULL writes zeros, or what a DISCARD leaves. */
static void move_sector(struct store_threaded *self, uint64_t sector, WORD *memory,
			enum wb_io_op op, bool has_power)
{
	WORD *disk;

	hold_sector(self, sector);
	disk = locate_sector(self, sector, op == WB_IO_READ, has_power);
	for (unsigned i = 0; i < SECTOR / sizeof(uint64_t); i++) {
		if (op == WB_IO_READ)
			memory[i] = __atomic_load_n(&disk[i], __ATOMIC_RELAXED);
		else
			__atomic_store_n(&disk[i], memory ? memory[i] :
					 op == WB_IO_DISCARD ? GARBAGE : 0, __ATOMIC_RELAXED);
	}
	release_sector(self, sector);
}

static void move(struct store_threaded *self, const struct wb_io *io, uint64_t length_bytes,
		 bool has_power)
{
	uint64_t sector = io->offset_bytes / SECTOR, end = sector + length_bytes / SECTOR;

	if (io->op == WB_IO_ZERO || io->op == WB_IO_DISCARD) {
		for (; sector < end; sector++)
			move_sector(self, sector, NULL, io->op, has_power);
		return;
	}
	for (unsigned i = 0; i < io->iov_count && sector < end; i++) {
		char *memory = io->iov[i].iov_base;
		char *stop = memory + io->iov[i].iov_len;

		for (; memory < stop && sector < end; memory += SECTOR, sector++)
			move_sector(self, sector, (WORD *)(void *)memory, io->op, has_power);
	}
}

/* --- power and faults --------------------------------------------------------- */

static bool has_power(struct store_threaded *self)
{
	struct wb_power *power = self->power;

	if (GET(power->is_off))
		return false;
	if (ADD(power->ios_left, -1) > 0)
		return true;
	SET(power->is_off, true);
	return false;
}

static bool meets_fault(struct lane *lane, const struct wb_io *io)
{
	struct store_threaded *self = lane->self;

	if (GET(self->faults_left) <= 0 || !(GET(self->ops) & 1u << io->op) ||
	    !(GET(self->classes) & 1u << io->io_class) ||
	    wb_prng_below(&lane->prng, MAX(GET(self->one_in), 1u)) != 0)
		return false;
	if (ADD(self->faults_left, -1) > 0)
		return true;
	ADD(self->faults_left, 1);
	return false;
}

static bool is_unreadable(struct store_threaded *self, const struct wb_io *io)
{
	return io->op == WB_IO_READ && io->offset_bytes < GET(self->unreadable_to) &&
	       GET(self->unreadable_from) < io->offset_bytes + io->length_bytes;
}

static int carry_out(struct lane *lane, const struct wb_io *io)
{
	struct store_threaded *self = lane->self;
	uint64_t length = io->op == WB_IO_FLUSH ? 0 : io->length_bytes, half;
	bool powered = has_power(self);

	if (is_unreadable(self, io)) {
		ADD(self->fault_count, 1);
		return -EIO;
	}
	if (!meets_fault(lane, io)) {
		move(self, io, length, powered);
		return 0;
	}
	ADD(self->fault_count, 1);
	half = length / 2;
	switch (wb_prng_below(&lane->prng, 3)) {
	case 0: return -EIO;
	case 1: move(self, io, length, powered); return -EIO;
	default: move(self, io, half - half % self->store.alignment_bytes, powered); return -ENOSPC;
	}
}

/* --- threads ------------------------------------------------------------------- */

static void collect(struct lane *lane)
{
	/* Acquire: what the submitters wrote. Pairs with give(). */
	struct wb_io *io = atomic_exchange_explicit(&lane->given, NULL, memory_order_acquire);

	while (io) {
		struct wb_io *next = io->next;

		io->next = lane->queue;
		lane->queue = io;
		lane->queue_count++;
		io = next;
	}
}

static struct wb_io *take_any(struct lane *lane)
{
	struct wb_io **at = &lane->queue, *io;

	for (uint64_t i = wb_prng_below(&lane->prng, lane->queue_count); i > 0; i--)
		at = &(*at)->next;
	io = *at;
	*at = io->next;
	lane->queue_count--;
	return io;
}

static gpointer lane_main(gpointer data)
{
	struct lane *lane = data;

	for (;;) {
		struct wb_io *io;
		int error;

		while (sem_wait(&lane->wake) != 0)
			;
		/* Now and then more than one gathers. */
		if (wb_prng_below(&lane->prng, 8) == 0)
			g_usleep(wb_prng_below(&lane->prng, 100));
		collect(lane);
		if (lane->queue_count == 0)
			return NULL;	/* woken to end */
		io = take_any(lane);
		error = carry_out(lane, io);
		ADD(lane->self->in_flight, -1);
		io->done(io, error);
	}
}

static void submit(struct wb_store *store, struct wb_io *io)
{
	struct store_threaded *self = (struct store_threaded *)store;
	struct lane *lane = &self->lanes[ADD(self->next_lane, 1) % LANES];
	struct wb_io *newest = GET(lane->given);

	wb_store_assert_io(store, io);
	ADD(self->in_flight, 1);
	/* Release only: two submitters are not ordered by this. */
	do {
		io->next = newest;
	} while (!atomic_compare_exchange_weak_explicit(&lane->given, &newest, io,
							memory_order_release,
							memory_order_relaxed));
	sem_post(&lane->wake);
}

static uint64_t busy_ns(struct wb_store *store)
{
	(void)store;
	return 0;
}

static void close_store(struct wb_store *store)
{
	struct store_threaded *self = (struct store_threaded *)store;

	g_assert(GET(self->in_flight) == 0);
	for (unsigned i = 0; i < LANES; i++) {
		sem_post(&self->lanes[i].wake);
		g_thread_join(self->lanes[i].thread);
		sem_destroy(&self->lanes[i].wake);
	}
	munmap(self->bytes, store->size_bytes);
	munmap(self->copy, store->size_bytes);
	g_free(self->is_busy);
	g_free(self->is_in_copy);
	g_free(self);
}

static const struct wb_store_ops ops = {
	.name = "threaded",
	.submit = submit,
	.busy_ns = busy_ns,
	.close = close_store,
};

static uint8_t *map_zeros(uint64_t size_bytes)
{
	uint8_t *memory = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	g_assert(memory != MAP_FAILED);
	return memory;
}

struct wb_store *wb_store_threaded_new(uint64_t size_bytes, uint32_t alignment_bytes,
				       uint64_t seed, struct wb_power *power)
{
	struct store_threaded *self = g_new0(struct store_threaded, 1);

	g_assert(size_bytes > 0 && size_bytes % SECTOR == 0);
	self->bytes = map_zeros(size_bytes);
	self->copy = map_zeros(size_bytes);
	self->is_busy = g_new0(uint8_t, size_bytes / SECTOR);
	self->is_in_copy = g_new0(uint8_t, size_bytes / SECTOR);
	self->power = power;
	self->store = (struct wb_store){
		.ops = &ops,
		.label = "threaded",
		.size_bytes = size_bytes,
		.alignment_bytes = alignment_bytes,
		.atomic_write_bytes = SECTOR,
	};
	for (unsigned i = 0; i < LANES; i++) {
		struct lane *lane = &self->lanes[i];

		lane->self = self;
		wb_prng_init(&lane->prng, seed * LANES + i);
		sem_init(&lane->wake, 0, 0);
		lane->thread = g_thread_new("disk", lane_main, lane);
	}
	return &self->store;
}

static struct store_threaded *to_threaded(struct wb_store *store)
{
	g_assert(store->ops == &ops);
	return (struct store_threaded *)store;
}

void wb_store_threaded_fail(struct wb_store *store, const struct wb_threaded_faults *faults)
{
	struct store_threaded *self = to_threaded(store);

	SET(self->ops, faults->ops);
	SET(self->classes, faults->classes);
	SET(self->one_in, faults->one_in);
	ADD(self->faults_left, faults->count);
}

void wb_store_threaded_set_unreadable(struct wb_store *store, uint64_t offset_bytes,
				      uint64_t length_bytes)
{
	SET(to_threaded(store)->unreadable_from, offset_bytes);
	SET(to_threaded(store)->unreadable_to, length_bytes ? offset_bytes + length_bytes : 0);
}

void wb_store_threaded_heal(struct wb_store *store)
{
	SET(to_threaded(store)->ops, 0);
	SET(to_threaded(store)->faults_left, 0);
	wb_store_threaded_set_unreadable(store, 0, 0);
}

uint64_t wb_store_threaded_fault_count(struct wb_store *store)
{
	return GET(to_threaded(store)->fault_count);
}

UNSEEN void wb_store_threaded_restart(struct wb_store *store)
{
	struct store_threaded *self = to_threaded(store);

	g_assert(self->in_flight == 0);
	for (uint64_t i = 0; i < store->size_bytes / SECTOR; i++)
		self->is_in_copy[i] = 0;
}

uint8_t *wb_store_threaded_bytes(struct wb_store *store)
{
	g_assert(GET(to_threaded(store)->in_flight) == 0);
	return to_threaded(store)->bytes;
}
