/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "support/store_faulty.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

struct active_fault {
	struct wb_fault fault;
	uint64_t match_count;
};

struct store_faulty {
	struct wb_store store;		/* first: ops cast */
	struct wb_store *inner;
	GArray *faults;			/* of struct active_fault */
	GQueue waiting;			/* of struct faulty_io, not given to inner */
	uint64_t hit_count;
};

struct faulty_io {
	struct wb_io io;		/* for the inner store; first: done() casts */
	struct store_faulty *self;
	struct wb_io *outer;
	struct iovec *iov;		/* of a shortened transfer */
	enum wb_fault_effect effect;
	int error;			/* 0: as the inner store says */
	uint64_t delay_polls;
};

static const struct wb_store_ops ops;

static struct store_faulty *to_faulty(const struct wb_store *store)
{
	g_assert(store->ops == &ops);
	return (struct store_faulty *)(uintptr_t)store;
}

/* --- which I/O meets which fault ----------------------------------------- */

static bool is_match(const struct wb_fault *fault, const struct wb_io *io)
{
	if (fault->op != WB_FAULT_ANY && fault->op != (int)io->op)
		return false;
	if (fault->io_class != WB_FAULT_ANY && fault->io_class != (int)io->io_class)
		return false;
	if (fault->length_bytes == 0)
		return true;
	return io->op != WB_IO_FLUSH &&
	       io->offset_bytes < fault->offset_bytes + fault->length_bytes &&
	       fault->offset_bytes < io->offset_bytes + io->length_bytes;
}

static bool is_due(struct active_fault *active)
{
	uint64_t first = MAX(active->fault.first, 1);
	uint64_t count = MAX(active->fault.count, 1);

	active->match_count++;
	return active->match_count >= first && active->match_count - first < count;
}

/* Every fault counts its own matches, whether or not another one comes first. */
static const struct wb_fault *find_fault(struct store_faulty *self, const struct wb_io *io)
{
	const struct wb_fault *found = NULL;

	for (guint i = 0; i < self->faults->len; i++) {
		struct active_fault *active =
			&g_array_index(self->faults, struct active_fault, i);

		if (is_match(&active->fault, io) && is_due(active) && !found)
			found = &active->fault;
	}
	return found;
}

/* --- the store ----------------------------------------------------------- */

static void answer(struct faulty_io *own, int error)
{
	struct wb_io *outer = own->outer;

	g_free(own->iov);
	g_free(own);
	outer->done(outer, error);
}

static void inner_done(struct wb_io *io, int error)
{
	struct faulty_io *own = (struct faulty_io *)io;

	answer(own, own->error ? own->error : error);
}

/* Leaves the first half, in whole alignment units; FALSE when that is none. */
static bool shorten(struct faulty_io *own, uint32_t alignment_bytes)
{
	uint64_t bytes = own->io.length_bytes / 2;
	uint64_t left_bytes;
	unsigned count = 0;

	bytes -= bytes % alignment_bytes;
	if (bytes == 0 || own->io.iov_count == 0)
		return false;
	own->iov = g_memdup2(own->io.iov, own->io.iov_count * sizeof(*own->iov));
	for (left_bytes = bytes; left_bytes > 0; count++) {
		own->iov[count].iov_len = MIN(own->iov[count].iov_len, left_bytes);
		left_bytes -= own->iov[count].iov_len;
	}
	own->io.iov = own->iov;
	own->io.iov_count = count;
	own->io.length_bytes = bytes;
	return true;
}

static void meet_fault(struct store_faulty *self, struct faulty_io *own,
		       const struct wb_fault *fault)
{
	self->hit_count++;
	own->effect = fault->effect;
	own->delay_polls = fault->delay_polls;
	if (fault->effect != WB_FAULT_DELAY)
		own->error = fault->error ? fault->error : -EIO;
	if (fault->effect == WB_FAULT_FAIL_SHORT &&
	    !shorten(own, self->store.alignment_bytes))
		own->effect = WB_FAULT_FAIL;
}

static void submit(struct wb_store *store, struct wb_io *io)
{
	struct store_faulty *self = to_faulty(store);
	struct faulty_io *own = g_new0(struct faulty_io, 1);
	const struct wb_fault *fault;

	wb_store_assert_io(store, io);
	own->io = *io;
	own->io.done = inner_done;
	own->self = self;
	own->outer = io;
	fault = find_fault(self, io);
	if (fault)
		meet_fault(self, own, fault);
	if (fault && (own->effect == WB_FAULT_FAIL || own->effect == WB_FAULT_DELAY))
		g_queue_push_tail(&self->waiting, own);
	else
		wb_store_submit(self->inner, &own->io);
}

/* One that waits no longer, taken out of the list; else NULL. */
static struct faulty_io *take_ripe(struct store_faulty *self)
{
	struct faulty_io *ripe = NULL;

	for (GList *link = self->waiting.head; link; link = link->next) {
		struct faulty_io *own = link->data;

		if (own->delay_polls > 0)
			own->delay_polls--;
		else if (!ripe)
			ripe = own;
	}
	if (ripe)
		g_queue_remove(&self->waiting, ripe);
	return ripe;
}

static bool poll_one(struct wb_store *store)
{
	struct store_faulty *self = to_faulty(store);
	struct faulty_io *ripe = take_ripe(self);

	if (!ripe)
		return self->inner->ops->poll(self->inner) || self->waiting.length > 0;
	if (ripe->effect == WB_FAULT_FAIL)
		answer(ripe, ripe->error);
	else
		wb_store_submit(self->inner, &ripe->io);
	return true;
}

static uint64_t busy_ns(struct wb_store *store)
{
	return to_faulty(store)->inner->ops->busy_ns(to_faulty(store)->inner);
}

static bool has_hole(struct wb_store *store, uint64_t offset_bytes, uint64_t length_bytes)
{
	return wb_store_has_hole(to_faulty(store)->inner, offset_bytes, length_bytes);
}

static void close_store(struct wb_store *store)
{
	struct store_faulty *self = to_faulty(store);

	g_assert(self->waiting.length == 0);
	wb_store_close(self->inner);
	g_array_unref(self->faults);
	g_free(self);
}

static const struct wb_store_ops ops = {
	.name = "faulty",
	.submit = submit,
	.poll = poll_one,
	.busy_ns = busy_ns,
	.has_hole = has_hole,
	.close = close_store,
};

struct wb_store *wb_store_faulty_new(struct wb_store *inner)
{
	struct store_faulty *self = g_new0(struct store_faulty, 1);

	g_assert(inner->ops->poll);
	self->store = *inner;
	self->store.ops = &ops;
	self->inner = inner;
	self->faults = g_array_new(FALSE, FALSE, sizeof(struct active_fault));
	return &self->store;
}

void wb_store_faulty_add(struct wb_store *store, const struct wb_fault *fault)
{
	struct active_fault active = { .fault = *fault };

	g_assert(fault->error <= 0);
	g_array_append_val(to_faulty(store)->faults, active);
}

void wb_store_faulty_clear(struct wb_store *store)
{
	g_array_set_size(to_faulty(store)->faults, 0);
}

uint64_t wb_store_faulty_hit_count(const struct wb_store *store)
{
	return to_faulty(store)->hit_count;
}
