/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/request.h"

#include <errno.h>

#include "base/mutant.h"

uint64_t wb_data_path_last(struct wb_data_path *path)
{
	return path->bare ? 0 : wb_log_last_change(path->log);
}

int wb_data_path_sync(struct wb_data_path *path, struct wb_sync_waiter *waiter)
{
	return path->is_read_only || path->bare ? 0 : wb_flush_sync(path->flush, waiter);
}

static void run_task(struct wb_task *task)
{
	wb_request_run((struct wb_request *)((char *)task - offsetof(struct wb_request, task)));
}

static void count(struct wb_request *request)
{
	struct wb_stats *stats = request->path->stats;

	switch (request->pub.op) {
	case WB_READ:
		WB_STAT_ADD(stats, WB_STAT_READ_REQUESTS, 1);
		WB_STAT_ADD(stats, WB_STAT_READ_BYTES, request->pub.length_bytes);
		break;
	case WB_WRITE:
		WB_STAT_ADD(stats, WB_STAT_WRITE_REQUESTS, 1);
		WB_STAT_ADD(stats, WB_STAT_WRITTEN_BYTES, request->pub.length_bytes);
		break;
	case WB_ZERO:
		WB_STAT_ADD(stats, WB_STAT_DISCARD_REQUESTS, 1);
		WB_STAT_ADD(stats, WB_STAT_DISCARDED_BYTES, request->pub.length_bytes);
		break;
	case WB_SYNC:
		WB_STAT_ADD(stats, WB_STAT_SYNC_REQUESTS, 1);
		break;
	}
}

static enum wb_latency latency_of(const struct wb_request *request)
{
	switch (request->pub.op) {
	case WB_READ:
		return request->path->bare ? WB_LATENCY_READ_BACKING : request->read.slowest;
	case WB_WRITE:
		return request->pub.flags & WB_REQUEST_FUA ? WB_LATENCY_SYNC : WB_LATENCY_WRITE;
	case WB_ZERO:
		return WB_LATENCY_DISCARD;
	case WB_SYNC:
		return WB_LATENCY_SYNC;
	}
	g_assert_not_reached();
}

/* Before its submitter hears of it, and may use it again. */
static void note_end(struct wb_request *request)
{
	struct wb_data_path *path = request->path;

	if (request->is_own)
		return;
	wb_stats_add_latency(path->stats, latency_of(request),
			     wb_clock_now_ns(path->clock) - request->started_ns);
}

/* Of writes that belong to a long stream. One that has to be durable at once does
 * not: it would wait for a flush of the backing. */
static bool is_streaming(struct wb_request *request)
{
	struct wb_data_path *path = request->path;
	struct wb_stream_write write = {
		.offset_bytes = request->pub.offset_bytes,
		.length_bytes = request->pub.length_bytes,
		.threshold_bytes = atomic_load_explicit(&path->bypass_threshold_bytes,
							memory_order_relaxed),
	};
	enum wb_stream_verdict verdict;

	if (!write.threshold_bytes || request->pub.flags & WB_REQUEST_FUA)
		return false;
	wb_lock_acquire(&path->streams_lock);
	verdict = wb_streams_note(&path->streams, &write);
	wb_lock_release(&path->streams_lock);
	if (verdict == WB_STREAM_BEGINS)
		WB_STAT_ADD(path->stats, WB_STAT_BYPASSED_STREAMS, 1);
	request->around_min_bytes = wb_stream_write_min_bytes(write.threshold_bytes);
	return verdict != WB_STREAM_SHORT;
}

static void note_sync(struct wb_data_path *path)
{
	if (!atomic_load_explicit(&path->bypass_threshold_bytes, memory_order_relaxed))
		return;
	wb_lock_acquire(&path->streams_lock);
	wb_streams_note_sync(&path->streams);
	wb_lock_release(&path->streams_lock);
}

static bool goes_around(struct wb_request *request)
{
	request->around_min_bytes = 0;
	if (request->pub.op != WB_WRITE || request->path->bare || request->path->is_read_only)
		return false;
	return request->mode == WB_MODE_WRITEAROUND || is_streaming(request);
}

static void begin(struct wb_request *request)
{
	if (request->path->bare) {
		wb_bare_path_begin(request);
		return;
	}
	switch (request->pub.op) {
	case WB_READ:
		wb_read_path_begin(request);
		break;
	case WB_WRITE:
		if (request->goes_around)
			wb_bypass_path_begin(request);
		else
			wb_write_path_begin(request);
		break;
	case WB_ZERO:
		wb_zero_path_begin(request);
		break;
	case WB_SYNC:
		break;
	}
}

/* Before the first piece: a change may not even be in the log while the mark
 * says that the backing is complete. */
static enum wb_gate_answer enter_gate(struct wb_request *request)
{
	enum wb_gate_answer answer = WB_GATE_THROUGH;
	unsigned pass = 0;

	if (request->is_through_gate)
		return answer;
	answer = wb_mark_gate_enter(request->path->mark_gate, &request->parked, &pass);
	if (answer == WB_GATE_THROUGH) {	/* else it may be gone */
		request->is_through_gate = true;
		request->gate_pass = pass;
	}
	return answer;
}

static uint32_t blocks_of(const struct wb_request *request)
{
	uint64_t first = request->pub.offset_bytes / WB_BLOCK_BYTES;
	uint64_t last = (wb_request_end_bytes(request) - 1) / WB_BLOCK_BYTES;
	/* A record of its own, with its header. */
	uint64_t header = request->pub.flags & WB_REQUEST_FUA ? 1 : 0;

	return (uint32_t)(last - first + 1 + header);
}

/*
 * TRUE: it waits, and has passed when it runs again. A write with FUA is no exception:
 * it takes the more room of the ring, and many of them would have it run empty for all
 * others. A discard gives back more than it takes; what goes around the cache takes
 * next to nothing, and a sync nothing at all.
 */
static bool is_held_by_pressure(struct wb_request *request)
{
	if (!wb_pressure_is_on(request->path->pressure) || request->is_through_pressure)
		return false;
	request->is_through_pressure = true;
	return request->pub.op == WB_WRITE && !request->goes_around &&
	       wb_pressure_holds(request->path->pressure, &request->slowed, &request->task,
				 blocks_of(request));
}

static enum wb_progress change(struct wb_request *request)
{
	enum wb_progress progress;

	if (!request->is_through_gate && is_held_by_pressure(request))
		return WB_PROGRESS_WAITS;
	if (!request->is_through_gate &&
	    wb_through_parks(request->path->through, &request->parked))
		return WB_PROGRESS_WAITS;
	switch (enter_gate(request)) {
	case WB_GATE_THROUGH:
		break;
	case WB_GATE_PARKED:
		return WB_PROGRESS_WAITS;
	case WB_GATE_REFUSED:
		request->error = -EIO;
		return WB_PROGRESS_DONE;
	}
	if (request->pub.op == WB_ZERO)
		progress = wb_zero_path_run(request);
	else
		progress = request->goes_around ? wb_bypass_path_run(request) :
						  wb_write_path_run(request);
	if (progress == WB_PROGRESS_DONE) {
		request->is_through_gate = false;
		wb_mark_gate_leave(request->path->mark_gate, request->gate_pass);
	}
	return progress;
}

static enum wb_progress run_path(struct wb_request *request)
{
	if (request->path->is_read_only && request->pub.op != WB_READ) {
		request->error = -EROFS;
		return WB_PROGRESS_DONE;
	}
	if (request->path->bare)
		return wb_bare_path_run(request);
	return request->pub.op == WB_READ ? wb_read_path_run(request) : change(request);
}

/* A change with FUA has something to make durable, if it changed anything. */
static bool has_to_sync(const struct wb_request *request)
{
	if (request->error || request->path->is_read_only)
		return false;
	return request->pub.op == WB_SYNC ||
	       (request->pub.flags & WB_REQUEST_FUA &&
		(request->sync_target > 0 || request->has_bypassed));
}

static enum wb_progress run(struct wb_request *request)
{
	if (request->sync_stage == WB_SYNC_NONE) {
		if (request->pub.op != WB_SYNC && run_path(request) == WB_PROGRESS_WAITS)
			return WB_PROGRESS_WAITS;
		if (request->pub.op == WB_WRITE && !(request->pub.flags & WB_REQUEST_FUA))
			wb_sync_guess_wrote(&request->path->sync_guess);
		if (!has_to_sync(request))
			return WB_PROGRESS_DONE;
		wb_sync_path_begin(request);
	}
	return wb_sync_path_run(request);
}

void wb_request_run(struct wb_request *request)
{
	if (atomic_load(&request->path->is_abandoned))
		return;
	if (run(request) == WB_PROGRESS_DONE) {
		note_end(request);
		request->pub.done(request, request->error);
	}
}

void wb_request_resume(struct wb_request *request)
{
	wb_executor_post(request->path->executor, &request->task);
}

static bool park(struct wb_request *request, struct wb_park_list *list, uint64_t generation)
{
	struct wb_data_path *path = request->path;

	request->was_parked = true;
	if (!wb_park(list, &request->parked, generation))
		return false;
	/* The request may be running elsewhere already. */
	WB_STAT_ADD(path->stats, WB_STAT_PARKED_REQUESTS, 1);
	path->need_space(path->arg);
	return true;
}

/* Asked after the generation: whoever sets it wakes afterwards. */
static bool gives_up(struct wb_request *request)
{
	if (atomic_load(&request->path->has_no_patience))
		request->error = -EIO;
	return request->error != 0;
}

bool wb_request_park_for_space(struct wb_request *request, uint64_t generation)
{
	if (atomic_load(&request->path->room_refusals) != request->room_refusals)
		request->error = -EIO;
	return !gives_up(request) && park(request, request->path->space, generation);
}

bool wb_request_park_for_extent(struct wb_request *request, uint64_t generation)
{
	return !gives_up(request) && park(request, request->path->extent_room, generation);
}

bool wb_request_queues_for_space(struct wb_request *request)
{
	uint64_t generation = wb_park_generation(request->path->space);

	return !request->was_parked && wb_park_count(request->path->space) > 0 &&
	       park(request, request->path->space, generation);
}

unsigned wb_request_hit_bits(const struct wb_segment *segment)
{
	if (!segment)
		return 0;
	return atomic_load_explicit(&segment->ram_index, memory_order_relaxed) !=
	       WB_NO_RAM_BUFFER ? WB_BLOCK_HIT | WB_BLOCK_RAM : WB_BLOCK_HIT;
}

void wb_request_submit_to_backing(struct wb_request *request, struct wb_io *io)
{
	if (request->path->backing_meter)
		wb_busy_meter_begin(request->path->backing_meter);
	if (io->op == WB_IO_READ) {
		wb_reads_begin(&request->path->reads);
		io->begun_ns = wb_reads_are_timed(&request->path->reads) ?
			       wb_clock_now_ns(request->path->clock) : 0;
	}
	wb_store_submit(request->path->backing_store, io);
}

void wb_request_left_backing(struct wb_request *request, const struct wb_io *io)
{
	struct wb_data_path *path = request->path;
	uint64_t took_ns;

	if (path->backing_meter)
		wb_busy_meter_end(path->backing_meter);
	if (io->op != WB_IO_READ)
		return;
	took_ns = io->begun_ns ? wb_clock_now_ns(path->clock) - io->begun_ns : 0;
	if (wb_reads_end(&path->reads, took_ns))
		WB_STAT_ADD(path->stats, WB_STAT_LATE_READS, 1);
}

bool wb_request_io_ended(struct wb_request *request)
{
	return atomic_fetch_sub(&request->io_count, 1) == 1;
}

static bool range_is_valid(const struct wb_request *request)
{
	const struct wb_request_public *pub = &request->pub;
	uint64_t size = wb_image_bytes(&request->path->image);

	if (pub->op == WB_SYNC)
		return true;
	if (pub->length_bytes == 0 || pub->offset_bytes >= size ||
	    pub->length_bytes > size - pub->offset_bytes)
		return false;
	return pub->op == WB_ZERO || pub->length_bytes <= WB_REQUEST_BYTES_MAX;
}

/* Takes its place in the memory that outlives us; returns up to where a former
 * process has executed it. What that did is durable, but it may not be on the
 * backing: a request with FUA has to wait for all of it. */
static uint64_t take_up(struct wb_request *request)
{
	const struct wb_request_public *pub = &request->pub;
	uint64_t unique = pub->op == WB_WRITE || pub->op == WB_ZERO ? pub->unique : 0;
	uint64_t at = pub->offset_bytes;
	bool is_resent = unique && pub->flags & WB_REQUEST_RESENT;
	struct wb_region *region;

	if (!request->executed)
		return at;
	region = wb_rambuf_region(request->path->rambuf);
	if (is_resent && !WB_MUTANT(resent_executed_anew))
		at = MAX(at, wb_region_find_left(region, unique));
	wb_executed_begin(request->executed, unique, at);
	if (is_resent)
		wb_region_forget_left(region, unique);
	return MIN(at, pub->offset_bytes + pub->length_bytes);
}

static enum wb_submit_result start(struct wb_request *request, uint64_t cursor_bytes, int *error)
{
	request->started_ns = wb_clock_now_ns(request->path->clock);
	request->was_parked = false;
	request->is_through_pressure = false;
	request->room_refusals = atomic_load(&request->path->room_refusals);
	request->is_through_gate = false;
	request->has_bypassed = cursor_bytes > request->pub.offset_bytes;
	request->mode = (enum wb_cache_mode)atomic_load_explicit(&request->path->cache_mode,
								 memory_order_relaxed);
	request->goes_around = goes_around(request);
	request->sync_stage = WB_SYNC_NONE;
	request->error = 0;
	request->sync_target = 0;
	request->task.run = run_task;
	request->parked.task = &request->task;
	begin(request);
	request->cursor_bytes = MAX(request->cursor_bytes, cursor_bytes);
	if (run(request) == WB_PROGRESS_WAITS)
		return WB_SUBMIT_PENDING;
	note_end(request);
	*error = request->error;
	return WB_SUBMIT_FINISHED;
}

enum wb_submit_result wb_request_start(struct wb_request *request, int *error)
{
	if (!range_is_valid(request)) {
		*error = -EINVAL;
		return WB_SUBMIT_FINISHED;
	}
	count(request);
	request->is_own = false;
	if (request->pub.op == WB_SYNC) {
		wb_sync_guess_synced(&request->path->sync_guess);
		note_sync(request->path);
	}
	return start(request, take_up(request), error);
}

void wb_request_sync(struct wb_request *request,
		     void (*done)(struct wb_request *request, int error), void *user)
{
	int error;

	request->is_own = true;
	request->pub = (struct wb_request_public){ .op = WB_SYNC, .done = done, .user = user };
	if (start(request, 0, &error) == WB_SUBMIT_FINISHED)
		done(request, error);
}
