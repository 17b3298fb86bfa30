/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "support/store_crashy.h"

#include <errno.h>
#include <glib.h>
#include <string.h>
#include <sys/mman.h>

#include "support/store_memory.h"

#define SECTOR_BYTES 512u
#define SUPERBLOCKS_END (UINT64_C(1) << 20)

/* A WRITE, ZERO or DISCARD that is not durable. */
struct change {
	uint64_t offset_bytes;
	uint64_t length_bytes;
	uint8_t *data;			/* as submitted, or garbage; NULL: zeros */
	const uint8_t *source;		/* where a WRITE from one piece has it from */
	uint8_t *is_replaced;		/* per sector, by something durable; or NULL */
	uint64_t done_event;		/* when done() ran; 0: in flight */
	bool is_orphan;			/* a failed FLUSH gave it up */
	GList link;			/* in changes, in order of completion */
};

struct store_crashy {
	struct wb_store store;		/* first: ops cast */
	struct wb_store *inner;
	struct wb_crash_clock own_clock, *clock;
	uint8_t *durable;		/* the image that survives for certain */
	GQueue completed, in_flight;	/* of struct change */
	GQueue ghosts;			/* of who died: not landed yet */
	uint64_t event_count;
	uint64_t fail_flush_in;		/* 1: the next; 0: none */
	bool forgets_failed, spoils_superblocks;
	unsigned lies;
	struct wb_io *dead, **dead_tail;	/* submitted after the crash */
};

struct crashy_io {
	struct wb_io io;		/* for the inner store; first: done() casts */
	struct store_crashy *self;
	struct wb_io *outer;
	struct change *change;		/* of WRITE, ZERO and DISCARD */
	uint64_t submit_event;
};

static const struct wb_store_ops ops;

static struct store_crashy *to_crashy(const struct wb_store *store)
{
	g_assert(store->ops == &ops);
	return (struct store_crashy *)(uintptr_t)store;
}

void wb_crash_clock_pass(struct wb_crash_clock *clock)
{
	if (clock->has_crashed || ++clock->point_count != clock->crash_at)
		return;
	clock->has_crashed = true;
	if (clock->on_crash)
		clock->on_crash(clock->arg);
}

/* One more moment at which the power may go; TRUE when it is gone. */
static bool pass_point(struct store_crashy *self)
{
	wb_crash_clock_pass(self->clock);
	return self->clock->has_crashed;
}

/* --- changes ------------------------------------------------------------- */

static struct change *change_new(struct store_crashy *self, const struct wb_io *io)
{
	struct change *change = g_new0(struct change, 1);
	uint8_t *at;

	change->offset_bytes = io->offset_bytes;
	change->length_bytes = io->length_bytes;
	change->link.data = change;
	if (io->op == WB_IO_WRITE) {
		change->data = at = g_malloc(io->length_bytes);
		change->source = io->iov_count == 1 ? io->iov[0].iov_base : NULL;
		for (unsigned i = 0; i < io->iov_count; i++) {
			memcpy(at, io->iov[i].iov_base, io->iov[i].iov_len);
			at += io->iov[i].iov_len;
		}
	}
	if (io->op == WB_IO_DISCARD) {
		change->data = g_malloc(io->length_bytes);
		wb_store_memory_garbage(io->offset_bytes, change->data, io->length_bytes);
	}
	g_queue_push_tail_link(&self->in_flight, &change->link);
	return change;
}

static void change_free(struct change *change)
{
	g_free(change->data);
	g_free(change->is_replaced);
	g_free(change);
}

/* Its part [from, from + bytes) of the disk, as far as it was not replaced. */
static void apply_part(const struct change *change, uint8_t *image, uint64_t from,
		       uint64_t bytes)
{
	for (uint64_t at = from; at < from + bytes; at += SECTOR_BYTES) {
		uint64_t place = at - change->offset_bytes;

		if (change->is_replaced && change->is_replaced[place / SECTOR_BYTES])
			continue;
		if (change->data)
			memcpy(image + at, change->data + place, SECTOR_BYTES);
		else
			memset(image + at, 0, SECTOR_BYTES);
	}
}

static void apply(const struct change *change, uint8_t *image)
{
	apply_part(change, image, change->offset_bytes, change->length_bytes);
}

/* What is durable now can no longer become an older version again. */
static void replace_older(struct store_crashy *self, const struct change *durable)
{
	uint64_t durable_end = durable->offset_bytes + durable->length_bytes;

	for (GList *link = self->completed.head; link; link = link->next) {
		struct change *old = link->data;
		uint64_t from = MAX(old->offset_bytes, durable->offset_bytes);
		uint64_t end = MIN(old->offset_bytes + old->length_bytes, durable_end);

		if (old->done_event >= durable->done_event || from >= end)
			continue;
		if (!old->is_replaced)
			old->is_replaced = g_malloc0(old->length_bytes / SECTOR_BYTES);
		memset(old->is_replaced + (from - old->offset_bytes) / SECTOR_BYTES, 1,
		       (end - from) / SECTOR_BYTES);
	}
}

/* `change` is in no list any more. */
static void make_durable(struct store_crashy *self, struct change *change)
{
	apply(change, self->durable);
	replace_older(self, change);
	change_free(change);
}

/* A disk that lies lets no FLUSH and no FUA have this one. */
static bool is_kept_back(const struct store_crashy *self, const struct change *change)
{
	bool is_superblock = change->offset_bytes < SUPERBLOCKS_END;

	return is_superblock ? (self->lies & WB_CRASHY_KEEPS_NO_SUPERBLOCK) != 0 :
			       (self->lies & WB_CRASHY_SUPERBLOCK_FIRST) != 0;
}

/* What readers see, after changes were taken out of the list. */
static void show_again(struct store_crashy *self, const struct change *gone)
{
	uint8_t *memory = wb_store_memory_bytes(self->inner);

	memcpy(memory + gone->offset_bytes, self->durable + gone->offset_bytes,
	       gone->length_bytes);
	for (GList *link = self->completed.head; link; link = link->next)
		apply(link->data, memory);
}

static void give_up(struct store_crashy *self, struct change *change)
{
	change->is_orphan = true;
	if (!self->forgets_failed)
		return;
	g_queue_unlink(&self->completed, &change->link);
	show_again(self, change);
	change_free(change);
}

/* All that was answered before `event` is durable, or given up. */
static void finish_flush(struct store_crashy *self, uint64_t event, int error)
{
	GList *link = self->completed.head, *next;

	for (; link; link = next) {
		struct change *change = link->data;

		next = link->next;
		if (change->done_event >= event || change->is_orphan || is_kept_back(self, change))
			continue;
		if (error) {
			give_up(self, change);
			continue;
		}
		g_queue_unlink(&self->completed, link);
		make_durable(self, change);
	}
}

static void finish_change(struct store_crashy *self, struct crashy_io *own)
{
	struct change *change = own->change;

	g_queue_unlink(&self->in_flight, &change->link);
	change->done_event = ++self->event_count;
	if ((self->lies & WB_CRASHY_SUPERBLOCK_FIRST) && !is_kept_back(self, change))
		make_durable(self, change);
	else if ((own->outer->flags & WB_IO_FUA) && !(self->lies & WB_CRASHY_IGNORES_FUA) &&
		 !is_kept_back(self, change))
		make_durable(self, change);
	else
		g_queue_push_tail_link(&self->completed, &change->link);
}

/* --- the store ----------------------------------------------------------- */

static int finish_io(struct store_crashy *self, struct crashy_io *own)
{
	int error = 0;

	if (own->change)
		finish_change(self, own);
	if (own->outer->op != WB_IO_FLUSH)
		return 0;
	if (self->fail_flush_in > 0 && --self->fail_flush_in == 0)
		error = -EIO;
	if (!(self->lies & WB_CRASHY_SWALLOWS_FLUSH))
		finish_flush(self, own->submit_event, error);
	return error;
}

static void inner_done(struct wb_io *io, int error)
{
	struct crashy_io *own = (struct crashy_io *)io;
	struct store_crashy *self = own->self;
	struct wb_io *outer = own->outer;

	g_assert(error == 0);		/* `inner` is a memory store */
	error = pass_point(self) ? -EIO : finish_io(self, own);
	g_free(own);
	outer->done(outer, error);
}

static void submit_dead(struct store_crashy *self, struct wb_io *io)
{
	io->next = NULL;
	*self->dead_tail = io;
	self->dead_tail = &io->next;
}

static void submit(struct wb_store *store, struct wb_io *io)
{
	struct store_crashy *self = to_crashy(store);
	struct crashy_io *own;

	wb_store_assert_io(store, io);
	if (self->clock->has_crashed) {
		submit_dead(self, io);
		return;
	}
	own = g_new0(struct crashy_io, 1);
	own->io = *io;
	own->io.done = inner_done;
	own->self = self;
	own->outer = io;
	own->submit_event = ++self->event_count;
	if (io->op == WB_IO_WRITE || io->op == WB_IO_ZERO || io->op == WB_IO_DISCARD)
		own->change = change_new(self, io);
	/* io->iov may be &io->one; it stays where it is until done(). */
	wb_store_submit(self->inner, &own->io);
	if (self->clock->on_submit)
		self->clock->on_submit(self->clock->arg, store, io);
	pass_point(self);
}

static bool poll_one(struct wb_store *store)
{
	struct store_crashy *self = to_crashy(store);
	struct wb_io *io = self->dead;

	if (!io)
		return self->inner->ops->poll(self->inner);
	self->dead = io->next;
	if (!self->dead)
		self->dead_tail = &self->dead;
	io->done(io, -EIO);
	return true;
}

static uint64_t busy_ns(struct wb_store *store)
{
	return to_crashy(store)->inner->ops->busy_ns(to_crashy(store)->inner);
}

static void free_changes(GQueue *queue)
{
	for (GList *link = queue->head, *next; link; link = next) {
		next = link->next;
		change_free(link->data);
	}
}

static bool has_hole(struct wb_store *store, uint64_t offset_bytes, uint64_t length_bytes)
{
	return wb_store_has_hole(to_crashy(store)->inner, offset_bytes, length_bytes);
}

static void close_store(struct wb_store *store)
{
	struct store_crashy *self = to_crashy(store);

	g_assert(!self->dead);
	wb_store_close(self->inner);	/* aborts when something is in flight */
	free_changes(&self->completed);
	free_changes(&self->ghosts);
	free_changes(&self->in_flight);	/* of a crash: answered, but never done */
	munmap(self->durable, store->size_bytes);
	g_free(self);
}

static const struct wb_store_ops ops = {
	.name = "crashy",
	.submit = submit,
	.poll = poll_one,
	.busy_ns = busy_ns,
	.has_hole = has_hole,
	.close = close_store,
};

/* Leaves what is zero untouched, so that sparse images stay small. */
static void copy_image(uint8_t *to, const uint8_t *from, uint64_t bytes)
{
	static const uint8_t zeros[4096];

	for (uint64_t at = 0; at < bytes; at += sizeof(zeros)) {
		size_t piece_bytes = MIN(bytes - at, sizeof(zeros));

		if (memcmp(from + at, zeros, piece_bytes) != 0)
			memcpy(to + at, from + at, piece_bytes);
	}
}

struct wb_store *wb_store_crashy_new(struct wb_store *inner, struct wb_crash_clock *clock)
{
	struct store_crashy *self = g_new0(struct store_crashy, 1);

	self->store = *inner;
	self->store.ops = &ops;
	self->inner = inner;
	self->clock = clock ? clock : &self->own_clock;
	self->dead_tail = &self->dead;
	self->durable = mmap(NULL, inner->size_bytes, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	g_assert(self->durable != MAP_FAILED);
	copy_image(self->durable, wb_store_memory_bytes(inner), inner->size_bytes);
	return &self->store;
}

/* --- the power cut ------------------------------------------------------- */

/* Only of superblocks: there are two of them because one that is being written
 * when the power goes may be no good at all. */
static bool may_be_spoilt(const struct store_crashy *self, const struct change *change,
			  struct wb_prng *prng)
{
	return self->spoils_superblocks && !change->is_orphan &&
	       change->offset_bytes < SUPERBLOCKS_END &&
	       wb_prng_below(prng, 4) == 0;
}

static void spoil(uint8_t *image, uint64_t from, uint64_t end, struct wb_prng *prng)
{
	for (uint64_t at = from; at < end; at++)
		image[at] = (uint8_t)wb_prng_next(prng);
}

static void tear(const struct store_crashy *self, const struct change *change,
		 uint8_t *image, struct wb_prng *prng)
{
	uint64_t unit_bytes = self->store.atomic_write_bytes;
	uint64_t at = change->offset_bytes;
	uint64_t end = at + change->length_bytes;

	while (at < end) {
		uint64_t unit_end = MIN(end, (at / unit_bytes + 1) * unit_bytes);

		if (may_be_spoilt(self, change, prng))
			spoil(image, at, unit_end, prng);
		else if (wb_prng_next(prng) & 1)
			apply_part(change, image, at, unit_end - at);
		at = unit_end;
	}
}

static void maybe_apply(const struct store_crashy *self, const struct change *change,
			uint8_t *image, struct wb_prng *prng)
{
	switch (wb_prng_below(prng, 3)) {
	case 0:
		apply(change, image);
		break;
	case 1:
		tear(self, change, image, prng);
		break;
	default:
		break;
	}
}

/*
 * In order of completion: a disk may lose a newer version and keep an older
 * one, but once a newer one is in its place an older one never comes back.
 * What is in flight has no order yet.
 */
static void apply_by_chance(struct store_crashy *self, uint8_t *image,
			    struct wb_prng *prng)
{
	GPtrArray *flying = g_ptr_array_new();

	for (GList *link = self->completed.head; link; link = link->next)
		maybe_apply(self, link->data, image, prng);
	for (GList *link = self->in_flight.head; link; link = link->next)
		g_ptr_array_add(flying, link->data);
	while (flying->len > 0) {
		unsigned index = (unsigned)wb_prng_below(prng, flying->len);

		maybe_apply(self, g_ptr_array_index(flying, index), image, prng);
		g_ptr_array_remove_index_fast(flying, index);
	}
	g_ptr_array_unref(flying);
}

static struct wb_store *durable_image(struct store_crashy *self)
{
	struct wb_store *image = wb_store_memory_new(self->store.size_bytes,
						     self->store.alignment_bytes,
						     self->store.atomic_write_bytes);

	copy_image(wb_store_memory_bytes(image), self->durable, image->size_bytes);
	return image;
}

struct wb_store *wb_store_crashy_crash(struct wb_store *store, struct wb_prng *prng)
{
	struct store_crashy *self = to_crashy(store);
	struct wb_store *image = durable_image(self);

	apply_by_chance(self, wb_store_memory_bytes(image), prng);
	return image;
}

struct wb_store *wb_store_crashy_crash_losing_all(struct wb_store *store)
{
	return durable_image(to_crashy(store));
}

/* Memory and what is durable differ at most where a change lies. */
static void forget_changes(struct store_crashy *self, GQueue *queue)
{
	uint8_t *memory = wb_store_memory_bytes(self->inner);

	for (GList *link = queue->head, *next; link; link = next) {
		struct change *change = link->data;

		next = link->next;
		memcpy(memory + change->offset_bytes, self->durable + change->offset_bytes,
		       change->length_bytes);
		change_free(change);
	}
	g_queue_init(queue);
}

/* --- the death of who uses it --------------------------------------------- */

/* Its units from `from` to `end`, as something that is done by now. */
static void land_part(struct store_crashy *self, const struct change *change, uint64_t from,
		      uint64_t end)
{
	struct change *part = g_new0(struct change, 1);

	part->offset_bytes = from;
	part->length_bytes = end - from;
	part->link.data = part;
	if (change->data)
		part->data = g_memdup2(change->data + (from - change->offset_bytes), end - from);
	part->done_event = ++self->event_count;
	g_queue_push_tail_link(&self->completed, &part->link);
	apply(part, wb_store_memory_bytes(self->inner));
}

static void land_by_chance(struct store_crashy *self, const struct change *change,
			   struct wb_prng *prng)
{
	uint64_t unit_bytes = self->store.atomic_write_bytes;
	uint64_t at = change->offset_bytes, end = at + change->length_bytes, unit_end;
	uint64_t how = wb_prng_below(prng, 3);

	for (; how > 0 && at < end; at = unit_end) {
		unit_end = how == 1 ? end : MIN(end, (at / unit_bytes + 1) * unit_bytes);
		if (how == 1 || wb_prng_next(prng) & 1)
			land_part(self, change, at, unit_end);
	}
}

/* What was in flight is not there, until it lands. */
static void leave_all(struct store_crashy *self)
{
	GList *link;

	g_assert(!self->dead && wb_store_memory_in_flight(self->inner) == 0);
	while ((link = g_queue_pop_head_link(&self->in_flight))) {
		show_again(self, link->data);
		g_queue_push_tail_link(&self->ghosts, link);
	}
}

void wb_store_crashy_land(struct wb_store *store, struct wb_prng *prng)
{
	struct store_crashy *self = to_crashy(store);
	GList *link;

	while ((link = g_queue_pop_head_link(&self->ghosts))) {
		struct change *change = link->data;

		if (change->source)
			memcpy(change->data, change->source, change->length_bytes);
		land_by_chance(self, change, prng);
		change_free(change);
	}
}

void wb_store_crashy_survive(struct wb_store *store, struct wb_prng *prng)
{
	wb_store_crashy_leave_ghosts(store, NULL, 0);
	wb_store_crashy_land(store, prng);
}

void wb_store_crashy_leave_ghosts(struct wb_store *store, const void *memory, uint64_t bytes)
{
	struct store_crashy *self = to_crashy(store);

	leave_all(self);
	for (GList *link = self->ghosts.head; link; link = link->next) {
		struct change *change = link->data;

		if (!memory || (uintptr_t)change->source < (uintptr_t)memory ||
		    (uintptr_t)change->source >= (uintptr_t)memory + bytes)
			change->source = NULL;
	}
}

void wb_store_crashy_cut(struct wb_store *store, struct wb_prng *prng)
{
	struct store_crashy *self = to_crashy(store);

	g_assert(!self->dead && wb_store_memory_in_flight(self->inner) == 0);
	apply_by_chance(self, self->durable, prng);
	forget_changes(self, &self->completed);
	forget_changes(self, &self->in_flight);
	self->fail_flush_in = 0;
	self->lies = 0;
}

uint64_t wb_store_crashy_volatile_count(const struct wb_store *store)
{
	return to_crashy(store)->completed.length;
}

void wb_store_crashy_fail_flush(struct wb_store *store, uint64_t nth)
{
	to_crashy(store)->fail_flush_in = nth;
}

void wb_store_crashy_forget_failed(struct wb_store *store, bool forgets)
{
	to_crashy(store)->forgets_failed = forgets;
}

void wb_store_crashy_spoil_superblocks(struct wb_store *store)
{
	to_crashy(store)->spoils_superblocks = true;
}

void wb_store_crashy_set_lies(struct wb_store *store, unsigned lies)
{
	to_crashy(store)->lies = lies;
}
