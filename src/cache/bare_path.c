/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests without a cache, straight to the backing. A change runs in pieces,
 * each with its blocks marked busy from the first I/O to the last:
 *
 *   ENTER    mark; what the piece covers only in part is read first
 *   READ     the disk's sectors have come
 *   FILL     the user's bytes are laid over them; write, or zero
 *   CHANGED  the disk has answered; leave
 *
 * The mark is what keeps concurrent writes to one sector whole: each of them
 * writes back what it read.
 */
#include "cache/request.h"

#include <errno.h>
#include <string.h>

#define BLOCK WB_BLOCK_BYTES

void wb_bare_path_begin(struct wb_request *request)
{
	request->cursor_bytes = request->pub.offset_bytes;
	request->bare.stage = WB_BARE_ENTER;
	request->bare.request = request;
}

static struct wb_request *request_of(struct wb_io *io)
{
	return ((struct wb_bare_work *)((char *)io - offsetof(struct wb_bare_work, io)))->request;
}

/* The disk's answer as the user gets it; the reason is for status. */
static void fail(struct wb_request *request, const char *what, int error)
{
	WB_STAT_ADD(request->path->stats, WB_STAT_BACKING_ERRORS, 1);
	wb_message_set(request->path->message, "backing %s: %s at byte %" G_GUINT64_FORMAT
		       " failed: %s", request->path->backing_store->label, what,
		       request->cursor_bytes, g_strerror(-error));
	request->error = -EIO;
}

/* --- reads --------------------------------------------------------------------- */

static void read_done(struct wb_io *io, int error)
{
	struct wb_request *request = request_of(io);

	request->bare.io_error = error;
	request->bare.stage = WB_BARE_READ;
	wb_request_run(request);
}

static enum wb_progress run_read(struct wb_request *request)
{
	struct wb_bare_work *work = &request->bare;
	uint64_t start = wb_round_down(request->pub.offset_bytes, BLOCK);
	uint64_t end = start + wb_request_span_bytes(request->pub.offset_bytes,
						     request->pub.length_bytes);

	if (work->stage == WB_BARE_READ) {
		if (work->io_error)
			fail(request, "a read", work->io_error);
		return WB_PROGRESS_DONE;
	}
	end = MIN(end, wb_image_bytes(&request->path->image));
	WB_STAT_ADD(request->path->stats, WB_STAT_READ_BACKING_BYTES, end - start);
	wb_io_prepare(&work->io, WB_IO_READ, WB_IO_CLASS_USER_READ, start, request->pub.buffer,
		      end - start, read_done);
	wb_store_submit(request->path->backing_store, &work->io);
	return WB_PROGRESS_WAITS;
}

/* --- pieces of a change ----------------------------------------------------------- */

static char *user_bytes(const struct wb_request *request)
{
	return (char *)request->pub.buffer +
	       (request->cursor_bytes - request->pub.offset_bytes);
}

/* The disk takes it from where it lies, or it goes through the request's own
 * memory; an edge ends where the former becomes possible. */
static void plan_write(struct wb_request *request)
{
	struct wb_bare_work *work = &request->bare;
	uint32_t unit = wb_request_backing_unit(request);
	uint64_t end = wb_request_end_bytes(request), at = request->cursor_bytes;
	uint64_t whole = wb_round_up(at, unit);
	bool is_memory_right = ((uintptr_t)user_bytes(request) + (whole - at)) % unit == 0;

	if (is_memory_right && whole == at && end - at >= unit) {
		work->kind = WB_BARE_DIRECT;
		work->end_bytes = wb_round_down(end, unit);
		return;
	}
	work->kind = WB_BARE_BOUNCED;
	work->end_bytes = MIN(end, wb_round_down(at, unit) + WB_BARE_BOUNCE_BYTES);
	if (is_memory_right && whole > at)
		work->end_bytes = MIN(end, whole);
}

/* Whole blocks by the disk itself, cut ones at the ends as data. */
static void plan_zero(struct wb_request *request)
{
	struct wb_bare_work *work = &request->bare;
	uint64_t end = wb_request_end_bytes(request), at = request->cursor_bytes;
	bool is_to_image_end = end == wb_image_bytes(&request->path->image);
	uint64_t whole_end = is_to_image_end ? end : wb_round_down(end, BLOCK);

	work->kind = at % BLOCK == 0 && whole_end > at ? WB_BARE_ZEROED : WB_BARE_BOUNCED;
	if (work->kind == WB_BARE_ZEROED)
		work->end_bytes = MIN(whole_end, at + WB_BARE_ZERO_BYTES);
	else
		work->end_bytes = MIN(end, wb_round_down(at, BLOCK) + BLOCK);
}

/* Runs on an executor thread: data is copied there. */
static void io_done(struct wb_io *io, int error)
{
	struct wb_request *request = request_of(io);

	request->bare.io_error = error;
	wb_request_resume(request);
}

/* Returns at the disk's; the request may be anywhere by then. */
static enum wb_progress submit(struct wb_request *request, enum wb_io_op op, uint64_t from,
			       void *memory, uint64_t to)
{
	struct wb_bare_work *work = &request->bare;

	wb_io_prepare(&work->io, op, WB_IO_CLASS_USER_WRITE, from, memory, to - from, io_done);
	wb_store_submit(request->path->backing_store, &work->io);
	return WB_PROGRESS_WAITS;
}

/* --- stages ------------------------------------------------------------------------ */

static enum wb_progress enter(struct wb_request *request)
{
	struct wb_bare_work *work = &request->bare;
	uint32_t unit = wb_request_backing_unit(request);
	uint64_t start = wb_round_down(request->cursor_bytes, unit), stop;

	if (wb_backing_flush_failures(request->path->backing_flush) > 0) {
		request->error = -EIO;
		return WB_PROGRESS_DONE;
	}
	if (request->pub.op == WB_WRITE)
		plan_write(request);
	else
		plan_zero(request);
	work->busy.first = request->cursor_bytes / BLOCK;
	work->busy.last = (work->end_bytes - 1) / BLOCK;
	if (wb_bare_enter(request->path->bare, &work->busy, &request->parked) != WB_ENTERED)
		return WB_PROGRESS_WAITS;
	work->stage = WB_BARE_FILL;
	stop = wb_round_up(work->end_bytes, unit);
	if (work->kind != WB_BARE_BOUNCED ||
	    (start == request->cursor_bytes && stop == work->end_bytes))
		return WB_PROGRESS_DONE;
	work->stage = WB_BARE_READ;
	WB_STAT_ADD(request->path->stats, WB_STAT_MERGED_BLOCKS, 1);
	return submit(request, WB_IO_READ, start, request->bounce, stop);
}

static void leave(struct wb_request *request)
{
	wb_bare_leave(request->path->bare, &request->bare.busy);
	request->bare.stage = WB_BARE_ENTER;
}

static void after_read(struct wb_request *request)
{
	request->bare.stage = WB_BARE_FILL;
	if (!request->bare.io_error)
		return;
	fail(request, "a read for a part of a sector", request->bare.io_error);
	leave(request);
}

static enum wb_progress fill(struct wb_request *request)
{
	struct wb_bare_work *work = &request->bare;
	uint64_t from = request->cursor_bytes, to = work->end_bytes;
	uint32_t unit = wb_request_backing_unit(request);
	uint64_t start = wb_round_down(from, unit), stop = wb_round_up(to, unit);
	struct wb_stats *stats = request->path->stats;

	work->stage = WB_BARE_CHANGED;
	if (work->kind == WB_BARE_ZEROED) {
		WB_STAT_ADD(stats, WB_STAT_BACKING_ZEROED_BYTES, to - from);
		return submit(request, WB_IO_ZERO, from, NULL, to);
	}
	WB_STAT_ADD(stats, WB_STAT_BACKING_WRITES, 1);
	WB_STAT_ADD(stats, WB_STAT_BACKING_WRITTEN_BYTES, stop - start);
	if (work->kind == WB_BARE_DIRECT)
		return submit(request, WB_IO_WRITE, from, user_bytes(request), to);
	if (request->pub.op == WB_WRITE)
		memcpy(request->bounce + (from - start), user_bytes(request), to - from);
	else
		memset(request->bounce + (from - start), 0, to - from);
	return submit(request, WB_IO_WRITE, start, request->bounce, stop);
}

/* A failed change may have been made in part; that part counts as one too. */
static void after_change(struct wb_request *request)
{
	struct wb_backing_flush *flush = request->path->backing_flush;

	/* If one has failed, no later sync says that this is durable. */
	wb_backing_flush_note_change(flush, wb_backing_flush_failures(flush));
	leave(request);
	if (request->bare.io_error) {
		fail(request, request->bare.kind == WB_BARE_ZEROED ? "zeroing" : "a write",
		     request->bare.io_error);
		return;
	}
	request->cursor_bytes = request->bare.end_bytes;
	request->sync_target = 1;	/* there is something to flush, for FUA */
}

static enum wb_progress run_change(struct wb_request *request)
{
	enum wb_progress progress = WB_PROGRESS_DONE;

	while (progress == WB_PROGRESS_DONE && !request->error &&
	       request->cursor_bytes < wb_request_end_bytes(request)) {
		switch (request->bare.stage) {
		case WB_BARE_ENTER:
			progress = enter(request);
			break;
		case WB_BARE_READ:
			after_read(request);
			break;
		case WB_BARE_FILL:
			progress = fill(request);
			break;
		case WB_BARE_CHANGED:
			after_change(request);
			break;
		}
	}
	return progress;
}

enum wb_progress wb_bare_path_run(struct wb_request *request)
{
	if (request->pub.op == WB_READ)
		return run_read(request);
	return run_change(request);
}
