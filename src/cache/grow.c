/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/grow.h"

#include <errno.h>
#include <glib.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/mutant.h"

#define BLOCK WB_BLOCK_BYTES

enum stage {
	STAGE_IDLE, STAGE_GATE, STAGE_OWNER,
	STAGE_READY,		/* to be zeroed, or over with grow->error */
	STAGE_ZERO, STAGE_FLUSH, STAGE_RECORD, STAGE_RECORDING,
};

struct wb_grow {
	/* constant after set_callbacks */
	struct wb_grow_deps deps;
	struct wb_grow_callbacks callbacks;
	char *zeros;			/* a block of them */

	/* of whoever moves the stage; the stores of it pass them on */
	uint64_t bytes;
	int error;
	uint64_t flush_failures;	/* before the zeros were written */
	bool is_through_gate;
	unsigned gate_pass;
	struct wb_task task;
	struct wb_parked parked;
	struct wb_io io;
	struct wb_backing_waiter waiter;
	int io_error;

	/* atomic */
	_Atomic enum stage stage;
	atomic_bool has_ended;		/* what the stage waits for, with io_error */
	atomic_bool is_abandoned;
	_Atomic unsigned completions;	/* threads inside step_ended() or be_ready() */
};

struct wb_grow *wb_grow_new(const struct wb_grow_deps *deps)
{
	struct wb_grow *grow = g_new0(struct wb_grow, 1);

	grow->deps = *deps;
	grow->zeros = aligned_alloc(BLOCK, BLOCK);
	g_assert(grow->zeros);
	memset(grow->zeros, 0, BLOCK);
	grow->parked.task = &grow->task;
	return grow;
}

void wb_grow_free(struct wb_grow *grow)
{
	if (!grow)
		return;
	free(grow->zeros);
	g_free(grow);
}

void wb_grow_set_callbacks(struct wb_grow *grow, const struct wb_grow_callbacks *callbacks)
{
	grow->callbacks = *callbacks;
}

/* The stage is over, also when it had nothing to do. Whoever closes steps on at once, and
 * frees the worker that is kicked here. */
static void step_ended(struct wb_grow *grow, int error)
{
	atomic_fetch_add(&grow->completions, 1);
	grow->io_error = error;
	atomic_store(&grow->has_ended, true);
	grow->callbacks.kick(grow->callbacks.arg);
	atomic_fetch_sub(&grow->completions, 1);
}

static void go_to(struct wb_grow *grow, enum stage stage)
{
	atomic_store(&grow->has_ended, false);
	atomic_store(&grow->stage, stage);
}

static void be_ready(struct wb_grow *grow, int error)
{
	atomic_fetch_add(&grow->completions, 1);
	grow->error = error;
	atomic_store(&grow->stage, STAGE_READY);
	grow->callbacks.kick(grow->callbacks.arg);
	atomic_fetch_sub(&grow->completions, 1);
}

/* --- the mark, and the backing ----------------------------------------------------- */

/* As a request that changes data. */
static void pass_gate(struct wb_grow *grow)
{
	switch (wb_mark_gate_enter(grow->deps.mark_gate, &grow->parked, &grow->gate_pass)) {
	case WB_GATE_THROUGH:
		grow->is_through_gate = true;
		go_to(grow, STAGE_OWNER);
		grow->callbacks.wanted(grow->callbacks.arg, grow->bytes);
		break;
	case WB_GATE_PARKED:
		break;
	case WB_GATE_REFUSED:
		be_ready(grow, -ECANCELED);
		break;
	}
}

static void run_task(struct wb_task *task)
{
	struct wb_grow *grow = (struct wb_grow *)((char *)task - offsetof(struct wb_grow, task));

	if (!atomic_load(&grow->is_abandoned))
		pass_gate(grow);
}

bool wb_grow_begin(struct wb_grow *grow, uint64_t bytes)
{
	enum stage idle = STAGE_IDLE;

	if (!atomic_compare_exchange_strong(&grow->stage, &idle, STAGE_GATE))
		return false;
	/* Who asks has looked at the size before, and another one may have ended since. */
	if (bytes <= wb_image_bytes(grow->deps.image)) {
		atomic_store(&grow->stage, STAGE_IDLE);
		return false;
	}
	grow->bytes = bytes;
	grow->error = 0;
	grow->is_through_gate = false;
	grow->task.run = run_task;
	pass_gate(grow);
	return true;
}

void wb_grow_backing_ready(struct wb_grow *grow, const char *problem)
{
	if (atomic_load(&grow->stage) != STAGE_OWNER)
		return;
	if (problem)
		wb_message_set(grow->deps.message, "backing %s: cannot be made %" G_GUINT64_FORMAT
			       " bytes large: %s", grow->deps.backing_store->label, grow->bytes,
			       problem);
	be_ready(grow, problem ? -EIO : 0);
}

/* --- steps --------------------------------------------------------------------------- */

static void finish(struct wb_grow *grow, int error)
{
	if (grow->is_through_gate)
		wb_mark_gate_leave(grow->deps.mark_gate, grow->gate_pass);
	go_to(grow, STAGE_IDLE);
	grow->callbacks.ended(grow->callbacks.arg, error);
}

static void fail(struct wb_grow *grow, const char *what, int error)
{
	wb_message_set(grow->deps.message, "the image was not made larger: %s failed: %s", what,
		       g_strerror(-error));
	finish(grow, error);
}

static void zero_done(struct wb_io *io, int error)
{
	step_ended((struct wb_grow *)((char *)io - offsetof(struct wb_grow, io)), error);
}

/* From the old end to the end of its block, as far as the new image goes. Nobody else
 * reads or writes there before the new size is shown. */
static void begin_zero(struct wb_grow *grow)
{
	uint64_t from = wb_image_bytes(grow->deps.image);
	uint64_t to = MIN((from + BLOCK - 1) / BLOCK * BLOCK, grow->bytes);

	if (!wb_block_map_grow_index(grow->deps.map, wb_geometry_blocks_of(grow->bytes))) {
		fail(grow, "getting memory for the index of dirty blocks", -ENOMEM);
		return;
	}
	go_to(grow, STAGE_ZERO);
	grow->flush_failures = wb_backing_flush_failures(grow->deps.backing_flush);
	if (to == from || WB_MUTANT(cut_block_not_zeroed)) {
		step_ended(grow, 0);
		return;
	}
	wb_io_prepare(&grow->io, WB_IO_WRITE, WB_IO_CLASS_WRITEBACK, from, grow->zeros,
		      to - from, zero_done);
	wb_store_submit(grow->deps.backing_store, &grow->io);
}

static void flush_done(struct wb_backing_waiter *waiter, int error)
{
	step_ended((struct wb_grow *)((char *)waiter - offsetof(struct wb_grow, waiter)), error);
}

static void begin_flush(struct wb_grow *grow)
{
	go_to(grow, STAGE_FLUSH);
	grow->waiter.purpose = WB_FLUSH_FOR_BATCH;
	grow->waiter.done = flush_done;
	wb_backing_flush_batch(grow->deps.backing_flush, &grow->waiter);
}

static void recorded(void *arg, int error)
{
	struct wb_grow *grow = arg;

	/* Told by idle(): until then the next update cannot begin. */
	grow->io_error = error;
}

static void recorder_idle(void *arg)
{
	struct wb_grow *grow = arg;

	step_ended(grow, grow->io_error);
}

/* FALSE: somebody else's update is under way, and its end kicks the worker. After a
 * failure the superblock keeps the new size: it may be on one copy already, and is
 * true of the backing. */
static bool begin_record(struct wb_grow *grow)
{
	const struct wb_recorder_callbacks callbacks = { recorded, recorder_idle, grow };
	struct wb_superblock *superblock;

	if (wb_recorder_is_busy(grow->deps.recorder))
		return false;
	superblock = wb_recorder_superblock(grow->deps.recorder);
	superblock->geometry.backing_bytes = grow->bytes;
	superblock->geometry.backing_blocks = wb_geometry_blocks_of(grow->bytes);
	go_to(grow, STAGE_RECORDING);
	if (WB_MUTANT(grown_before_recorded))
		atomic_store(&grow->deps.image->bytes, grow->bytes);
	wb_recorder_start(grow->deps.recorder, &callbacks);
	return true;
}

static void show(struct wb_grow *grow)
{
	uint64_t before = wb_image_bytes(grow->deps.image);

	atomic_store(&grow->deps.image->bytes, grow->bytes);
	wb_message_note(grow->deps.message, "the image has grown from %" G_GUINT64_FORMAT " to %"
			G_GUINT64_FORMAT " bytes", before, grow->bytes);
	grow->callbacks.shown(grow->callbacks.arg, grow->bytes);
	finish(grow, 0);
}

static void be_over(struct wb_grow *grow)
{
	if (grow->error == -ECANCELED)
		wb_message_set(grow->deps.message, "the image was not made larger: the volume is "
			       "being stopped");
	finish(grow, grow->error);
}

/* TRUE when the stage ended well. */
static bool has_succeeded(struct wb_grow *grow, const char *what)
{
	int error = grow->io_error;

	if (!error && wb_backing_flush_failures(grow->deps.backing_flush) != grow->flush_failures)
		error = -EIO;
	if (error)
		fail(grow, what, error);
	return !error;
}

bool wb_grow_step(struct wb_grow *grow)
{
	enum stage stage = atomic_load(&grow->stage);
	bool is_abandoned = atomic_load(&grow->is_abandoned);

	if (stage == STAGE_READY || stage == STAGE_RECORD) {
		if (is_abandoned && !grow->error)
			grow->error = -ECANCELED;
		if (grow->error)
			be_over(grow);
		else if (stage == STAGE_READY)
			begin_zero(grow);
		else
			return begin_record(grow);
		return true;
	}
	if (stage < STAGE_ZERO || !atomic_load(&grow->has_ended))
		return false;
	if (stage == STAGE_ZERO && has_succeeded(grow, "writing zeros to the backing"))
		begin_flush(grow);
	else if (stage == STAGE_FLUSH && has_succeeded(grow, "the flush of the backing"))
		go_to(grow, STAGE_RECORD);
	else if (stage == STAGE_RECORDING && grow->io_error)
		fail(grow, "writing the superblocks", grow->io_error);
	else if (stage == STAGE_RECORDING)
		show(grow);
	return true;
}

void wb_grow_abandon(struct wb_grow *grow)
{
	atomic_store(&grow->is_abandoned, true);
}

bool wb_grow_is_settled(struct wb_grow *grow)
{
	/* In this order: what brings the stage back counts before it does. */
	return atomic_load(&grow->stage) <= STAGE_OWNER && atomic_load(&grow->completions) == 0;
}
