/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Syncs, and what is left of a write or discard with FUA when it has its place:
 *
 *   LOG       everything up to here durable in the log
 *   THROUGH   and written back (unless the mode is writeback)
 *   BACKING   and the backing flushed, if anything was written around the cache
 *
 * In any mode: what went around the cache before the mode was switched is part of
 * what was acknowledged. The order does not matter for the promise, only all of it
 * does; the log comes first because writeback takes only what is durable.
 */
#include "cache/request.h"

#include "base/mutant.h"

static bool goes_through(const struct wb_request *request)
{
	return !request->path->bare && request->mode != WB_MODE_WRITEBACK;
}

static struct wb_request *of_waiter(struct wb_sync_waiter *waiter)
{
	return (struct wb_request *)((char *)waiter - offsetof(struct wb_request, waiter));
}

static void go_on(struct wb_request *request, int error)
{
	request->error = error;
	request->sync_stage++;
	wb_request_run(request);
}

static void log_synced(struct wb_sync_waiter *waiter, int error)
{
	struct wb_request *request = of_waiter(waiter);

	if (error && goes_through(request))
		wb_through_give_up(request->path->through);
	go_on(request, error);
}

static void written_through(struct wb_through_waiter *waiter, int error)
{
	go_on((struct wb_request *)((char *)waiter - offsetof(struct wb_request, through)), error);
}

static void backing_flushed(struct wb_backing_waiter *waiter, int error)
{
	go_on((struct wb_request *)((char *)waiter -
				    offsetof(struct wb_request, backing_waiter)), error);
}

void wb_sync_path_begin(struct wb_request *request)
{
	struct wb_data_path *path = request->path;

	request->sync_stage = WB_SYNC_LOG;
	request->waiter.may_wait = request->pub.op != WB_SYNC;
	request->waiter.done = log_synced;
	if (goes_through(request)) {
		wb_through_begin(path->through, &request->through);
		request->waiter.target = request->through.sequence;
	} else if (request->pub.op == WB_SYNC || request->has_bypassed) {
		/* An O_DSYNC write covers what was acknowledged before it, and around
		 * the cache it may have no place in the log. The cache's own is for all
		 * that there is, copies of reads too. */
		request->waiter.target = request->is_own && !path->bare ?
					 wb_log_last_sequence(path->log) :
					 wb_data_path_last(path);
	} else {
		request->waiter.target = request->sync_target;
	}
}

/* Each returns 1 when go_on() will be called, or was already, else the result. */

static int sync_log(struct wb_request *request)
{
	return wb_data_path_sync(request->path, &request->waiter);
}

static int sync_through(struct wb_request *request)
{
	struct wb_data_path *path = request->path;

	if (!goes_through(request))
		return 0;
	request->through.done = written_through;
	wb_through_wait(path->through, &request->through);
	/* It may be answered, and gone. */
	path->need_through(path->arg);
	return 1;
}

static int sync_backing(struct wb_request *request)
{
	if (!request->path->backing_flush ||
	    (WB_MUTANT(switch_forgets_bypass) && request->mode == WB_MODE_WRITEBACK))
		return 0;
	request->backing_waiter.purpose = request->is_own	       ? WB_FLUSH_FOR_OWN :
					  request->pub.op == WB_SYNC ? WB_FLUSH_FOR_SYNC :
								       WB_FLUSH_FOR_WRITE;
	request->backing_waiter.done = backing_flushed;
	return wb_backing_flush_sync(request->path->backing_flush, &request->backing_waiter);
}

enum wb_progress wb_sync_path_run(struct wb_request *request)
{
	int result = 0;

	for (; !request->error && request->sync_stage < WB_SYNC_END; request->sync_stage++) {
		switch (request->sync_stage) {
		case WB_SYNC_LOG:
			result = sync_log(request);
			if (result < 0 && goes_through(request))
				wb_through_give_up(request->path->through);
			break;
		case WB_SYNC_THROUGH:
			result = sync_through(request);
			break;
		case WB_SYNC_BACKING:
			result = sync_backing(request);
			break;
		case WB_SYNC_NONE:
		case WB_SYNC_END:
			g_assert_not_reached();
		}
		if (result == 1)
			return WB_PROGRESS_WAITS;	/* may be finished and gone */
		request->error = result;
	}
	return WB_PROGRESS_DONE;
}
