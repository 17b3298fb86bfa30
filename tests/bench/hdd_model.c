/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bench/hdd_model.h"

#include <math.h>
#include <stdlib.h>

#include "bench/hdd_read_buffer.h"
#include "bench/hdd_write_cache.h"

#define WAITS_TOO_LONG_NS 500e6
#define RUNS_LOOKED_AT 32

struct queue {
	struct wb_hdd_request *first, **end;
	unsigned count;
};

struct wb_hdd {
	struct wb_hdd_settings settings;
	void (*moves)(void *arg, const struct wb_hdd_move *move);
	void *moves_arg;

	struct queue host;		/* outside */
	unsigned in_drive;		/* in one of these, but for the last, or being served */
	struct queue media;		/* wait for the arm */
	struct queue no_room;		/* writes that wait for the write cache */
	struct queue flushes;		/* the first one is being carried out */
	struct queue answered;		/* by the time of the answer, which may be to come */
	struct queue taken;		/* answered: for the caller */

	double interface_free_ns;
	struct wb_hdd_arm arm;
	bool is_working;
	double work_ends_ns;
	uint64_t work_ends_at;
	struct wb_hdd_request *serving;	/* NULL: what is in the write cache */
	bool has_served;		/* the last work was a request's */
	struct wb_hdd_read_buffer buffer;
	struct wb_hdd_write_cache cache;
	struct wb_hdd_counts counts;
};

/* --- queues ------------------------------------------------------------------------- */

static void queue_init(struct queue *queue)
{
	*queue = (struct queue){ NULL, &queue->first, 0 };
}

static void queue_insert(struct queue *queue, struct wb_hdd_request **at,
			 struct wb_hdd_request *request)
{
	request->next = *at;
	*at = request;
	if (!request->next)
		queue->end = &request->next;
	queue->count++;
}

static void queue_put(struct queue *queue, struct wb_hdd_request *request)
{
	queue_insert(queue, queue->end, request);
}

static struct wb_hdd_request *queue_take(struct queue *queue, struct wb_hdd_request **at)
{
	struct wb_hdd_request *request = *at;

	*at = request->next;
	if (!*at)
		queue->end = at;
	request->next = NULL;
	queue->count--;
	return request;
}

/* --- answers ------------------------------------------------------------------------- */

static void answer_at(struct wb_hdd *hdd, struct wb_hdd_request *request, double ns)
{
	struct wb_hdd_request **at = &hdd->answered.first;

	request->answered_ns = ns + hdd->settings.command_ns;
	while (*at && (*at)->answered_ns <= request->answered_ns)
		at = &(*at)->next;
	queue_insert(&hdd->answered, at, request);
}

/* The interface carries one transfer after the other. */
static void answer_over_interface(struct wb_hdd *hdd, struct wb_hdd_request *request,
				  double now_ns)
{
	double free_ns = hdd->interface_free_ns > now_ns ? hdd->interface_free_ns : now_ns;

	hdd->interface_free_ns = free_ns + (double)request->length * 1e9 /
					   hdd->settings.interface_bytes_s;
	answer_at(hdd, request, hdd->interface_free_ns);
}

/* --- into the drive -------------------------------------------------------------------- */

static struct wb_hdd_run blocks_of(const struct wb_hdd_request *request)
{
	uint64_t first = request->offset / WB_HDD_BLOCK;
	uint64_t end = (request->offset + request->length + WB_HDD_BLOCK - 1) / WB_HDD_BLOCK;

	return (struct wb_hdd_run){ first, (uint32_t)(end - first) };
}

static void admit(struct wb_hdd *hdd, struct wb_hdd_request *request, double now_ns)
{
	struct wb_hdd_run blocks = blocks_of(request);

	hdd->in_drive++;
	request->admitted_ns = now_ns;
	switch (request->op) {
	case WB_HDD_READ:
		hdd->counts.reads++;
		hdd->counts.read_bytes += request->length;
		if (wb_hdd_write_cache_holds(&hdd->cache, blocks.first, blocks.count)) {
			hdd->counts.write_cache_hits++;
			answer_over_interface(hdd, request, now_ns);
			return;
		}
		queue_put(&hdd->media, request);
		return;
	case WB_HDD_WRITE:
	case WB_HDD_WRITE_FUA:
		hdd->counts.writes++;
		hdd->counts.written_bytes += request->length;
		hdd->counts.fua_writes += request->op == WB_HDD_WRITE_FUA;
		queue_put(request->op == WB_HDD_WRITE_FUA || !hdd->cache.capacity_blocks ?
			  &hdd->media : &hdd->no_room, request);
		return;
	case WB_HDD_FLUSH:
		hdd->counts.flushes++;
		queue_put(&hdd->flushes, request);
		return;
	}
}

static bool take_into_cache(struct wb_hdd *hdd, double now_ns)
{
	struct wb_hdd_run blocks;

	if (!hdd->no_room.first)
		return false;
	blocks = blocks_of(hdd->no_room.first);
	if (!wb_hdd_write_cache_has_room(&hdd->cache, blocks.first, blocks.count))
		return false;
	wb_hdd_write_cache_add(&hdd->cache, blocks.first, blocks.count);
	answer_over_interface(hdd, queue_take(&hdd->no_room, &hdd->no_room.first), now_ns);
	return true;
}

static bool go_on_flushing(struct wb_hdd *hdd, double now_ns)
{
	struct wb_hdd_request *flush = hdd->flushes.first;
	double took_ns;

	if (!flush)
		return false;
	if (!hdd->cache.is_flushing)
		wb_hdd_write_cache_flush(&hdd->cache);
	if (!wb_hdd_write_cache_has_flushed(&hdd->cache))
		return false;
	answer_at(hdd, queue_take(&hdd->flushes, &hdd->flushes.first), now_ns);
	took_ns = flush->answered_ns - flush->arrived_ns;
	hdd->counts.flush_ns += took_ns;
	hdd->counts.flush_most_ns = fmax(hdd->counts.flush_most_ns, took_ns);
	return true;
}

/* --- the arm --------------------------------------------------------------------------- */

static void work(struct wb_hdd *hdd, double now_ns, uint64_t offset, uint64_t length,
		 bool is_write)
{
	const struct wb_hdd_shape *shape = &hdd->settings.shape;
	struct wb_hdd_access access = wb_hdd_access(shape, &hdd->arm, now_ns, offset);
	double transfer_ns = wb_hdd_transfer_ns(shape, length);
	struct wb_hdd_move move = { now_ns, now_ns + access.seek_ns + access.turn_ns + transfer_ns,
				    offset, length, is_write };

	hdd->is_working = true;
	hdd->work_ends_ns = move.ended_ns;
	hdd->work_ends_at = offset + length;
	hdd->counts.seeks += access.seek_ns > 0;
	hdd->counts.seek_ns += access.seek_ns;
	hdd->counts.turn_ns += access.turn_ns;
	hdd->counts.transfer_ns += transfer_ns;
	if (is_write) {
		hdd->counts.media_writes++;
		hdd->counts.media_written_bytes += length;
	} else {
		hdd->counts.media_reads++;
		hdd->counts.media_read_bytes += length;
	}
	if (hdd->moves)
		hdd->moves(hdd->moves_arg, &move);
}

static double access_ns(const struct wb_hdd *hdd, double now_ns, uint64_t offset)
{
	struct wb_hdd_access access =
		wb_hdd_access(&hdd->settings.shape, &hdd->arm, now_ns, offset);

	return access.seek_ns + access.turn_ns;
}

/* What is left to read of it. */
static uint64_t starts_at(const struct wb_hdd *hdd, const struct wb_hdd_request *request,
			  double now_ns)
{
	uint64_t until, end = request->offset + request->length;

	if (request->op != WB_HDD_READ)
		return request->offset;
	until = wb_hdd_buffered_until(&hdd->buffer, &hdd->settings.shape, now_ns,
				      request->offset);
	return until < end ? until : end;
}

/* Reads that need not wait for the arm (any more). */
static bool answer_from_buffer(struct wb_hdd *hdd, double now_ns)
{
	struct wb_hdd_request **at = &hdd->media.first;
	bool any = false;

	while (*at) {
		if ((*at)->op != WB_HDD_READ ||
		    starts_at(hdd, *at, now_ns) < (*at)->offset + (*at)->length) {
			at = &(*at)->next;
			continue;
		}
		hdd->counts.buffer_hits++;
		answer_over_interface(hdd, queue_take(&hdd->media, at), now_ns);
		any = true;
	}
	return any;
}

static void serve_request(struct wb_hdd *hdd, double now_ns)
{
	struct wb_hdd_request **at = &hdd->media.first, **best = at;
	double least_ns = INFINITY;
	uint64_t start;

	if (now_ns - (*at)->admitted_ns < WAITS_TOO_LONG_NS) {
		for (; *at; at = &(*at)->next) {
			double ns = access_ns(hdd, now_ns, starts_at(hdd, *at, now_ns));

			if (ns < least_ns) {
				least_ns = ns;
				best = at;
			}
		}
	}
	hdd->serving = queue_take(&hdd->media, best);
	hdd->has_served = true;
	start = starts_at(hdd, hdd->serving, now_ns);
	if (hdd->serving->op != WB_HDD_READ) {
		struct wb_hdd_run blocks = blocks_of(hdd->serving);

		wb_hdd_write_cache_drop(&hdd->cache, blocks.first, blocks.count);
	}
	work(hdd, now_ns, start, hdd->serving->offset + hdd->serving->length - start,
	     hdd->serving->op != WB_HDD_READ);
}

/* Those that are passed over are come by again: a round over the whole disk is short
 * while the cache is small, and their turn is different then. */
static void empty_cache(struct wb_hdd *hdd, double now_ns)
{
	struct wb_hdd_run run, best = { 0, 0 };
	uint64_t from = hdd->arm.at / WB_HDD_BLOCK, start = from, end;
	double least_ns = INFINITY;
	bool is_round = false;

	for (unsigned i = 0; i < RUNS_LOOKED_AT && least_ns > 0; i++) {
		run = wb_hdd_write_cache_next(&hdd->cache, from);
		if (!run.count && !is_round) {
			is_round = true;
			run = wb_hdd_write_cache_next(&hdd->cache, 0);
		}
		if (!run.count || (is_round && run.first >= start && best.count))
			break;
		if (access_ns(hdd, now_ns, run.first * WB_HDD_BLOCK) < least_ns) {
			least_ns = access_ns(hdd, now_ns, run.first * WB_HDD_BLOCK);
			best = run;
		}
		from = run.first + run.count;
	}
	wb_hdd_write_cache_move(&hdd->cache, best);
	hdd->serving = NULL;
	hdd->has_served = false;
	end = (best.first + best.count) * WB_HDD_BLOCK;
	if (end > hdd->settings.shape.size_bytes)
		end = hdd->settings.shape.size_bytes;
	work(hdd, now_ns, best.first * WB_HDD_BLOCK, end - best.first * WB_HDD_BLOCK, true);
}

static void find_work(struct wb_hdd *hdd, double now_ns)
{
	bool has_unwritten = hdd->cache.newer.count + hdd->cache.older.count > 0;
	bool is_pressed = hdd->flushes.first || hdd->no_room.first ||
		wb_hdd_write_cache_used(&hdd->cache) > hdd->cache.capacity_blocks / 2;

	if (!hdd->media.first && !has_unwritten)
		return;
	wb_hdd_buffer_stop(&hdd->buffer, &hdd->settings.shape, now_ns, &hdd->arm);
	if (has_unwritten && (!hdd->media.first || (is_pressed && hdd->has_served)))
		empty_cache(hdd, now_ns);
	else
		serve_request(hdd, now_ns);
}

static void end_work(struct wb_hdd *hdd)
{
	double now_ns = hdd->work_ends_ns;
	struct wb_hdd_request *request = hdd->serving;

	hdd->is_working = false;
	hdd->serving = NULL;
	hdd->arm = (struct wb_hdd_arm){ hdd->work_ends_at, now_ns };
	if (!request) {
		wb_hdd_write_cache_moved(&hdd->cache);
		return;
	}
	/* The interface is faster, and has kept up. */
	answer_at(hdd, request, now_ns);
	if (request->op == WB_HDD_READ)
		wb_hdd_buffer_add(&hdd->buffer, now_ns, request->offset, hdd->work_ends_at);
}

/* --- time ------------------------------------------------------------------------------ */

/* All that is possible at this moment. */
static void go_on(struct wb_hdd *hdd, double now_ns)
{
	bool any = true;

	while (any) {
		any = false;
		while (hdd->host.first && hdd->in_drive < WB_HDD_QUEUE_DEPTH)
			admit(hdd, queue_take(&hdd->host, &hdd->host.first), now_ns);
		while (take_into_cache(hdd, now_ns))
			any = true;
		while (go_on_flushing(hdd, now_ns))
			any = true;
		any |= answer_from_buffer(hdd, now_ns);
	}
	if (!hdd->is_working)
		find_work(hdd, now_ns);
}

static double next_event_ns(const struct wb_hdd *hdd)
{
	double work_ns = hdd->is_working ? hdd->work_ends_ns : INFINITY;
	double answer_ns = hdd->answered.first ? hdd->answered.first->answered_ns : INFINITY;

	return fmin(work_ns, answer_ns);
}

/* The end of the arm's work is an answer, or makes one possible, after this time. */
double wb_hdd_next_ns(const struct wb_hdd *hdd)
{
	bool is_awaited = hdd->serving || hdd->media.first || hdd->no_room.first ||
			  hdd->flushes.first;
	double work_ns = hdd->is_working && is_awaited ?
			 hdd->work_ends_ns + hdd->settings.command_ns : INFINITY;
	double answer_ns = hdd->answered.first ? hdd->answered.first->answered_ns : INFINITY;

	return fmin(work_ns, answer_ns);
}

static void advance(struct wb_hdd *hdd, double now_ns)
{
	for (;;) {
		double next_ns = next_event_ns(hdd);

		if (next_ns > now_ns)
			return;
		if (hdd->is_working && hdd->work_ends_ns <= next_ns)
			end_work(hdd);
		while (hdd->answered.first && hdd->answered.first->answered_ns <= next_ns) {
			hdd->counts.last_answered_ns = hdd->answered.first->answered_ns;
			queue_put(&hdd->taken, queue_take(&hdd->answered, &hdd->answered.first));
			hdd->in_drive--;
		}
		go_on(hdd, next_ns);
	}
}

void wb_hdd_submit(struct wb_hdd *hdd, struct wb_hdd_request *request, double now_ns)
{
	unsigned queued;

	advance(hdd, now_ns);
	request->arrived_ns = now_ns;
	if (hdd->counts.first_asked_ns == 0)
		hdd->counts.first_asked_ns = now_ns;
	queue_put(&hdd->host, request);
	queued = hdd->host.count + hdd->in_drive;
	if (queued > hdd->counts.most_queued)
		hdd->counts.most_queued = queued;
	go_on(hdd, now_ns);
}

struct wb_hdd_request *wb_hdd_take(struct wb_hdd *hdd, double now_ns)
{
	advance(hdd, now_ns);
	return hdd->taken.first ? queue_take(&hdd->taken, &hdd->taken.first) : NULL;
}

void wb_hdd_settle(struct wb_hdd *hdd, double now_ns)
{
	advance(hdd, now_ns);
	wb_hdd_write_cache_drop(&hdd->cache, 0, hdd->cache.disk_blocks);
	go_on(hdd, now_ns);
}

/* --- counts, life ------------------------------------------------------------------------ */

void wb_hdd_get_counts(const struct wb_hdd *hdd, struct wb_hdd_counts *counts)
{
	*counts = hdd->counts;
}

void wb_hdd_clear_counts(struct wb_hdd *hdd)
{
	hdd->counts = (struct wb_hdd_counts){ 0 };
}

uint64_t wb_hdd_unwritten_bytes(const struct wb_hdd *hdd)
{
	return wb_hdd_write_cache_used(&hdd->cache) * WB_HDD_BLOCK;
}

double wb_hdd_last_work_ns(const struct wb_hdd *hdd, double now_ns)
{
	return hdd->is_working ? now_ns : hdd->arm.free_ns;
}

void wb_hdd_watch(struct wb_hdd *hdd, void (*moves)(void *arg, const struct wb_hdd_move *),
		  void *arg)
{
	hdd->moves = moves;
	hdd->moves_arg = arg;
}

struct wb_hdd *wb_hdd_new(const struct wb_hdd_settings *settings)
{
	struct wb_hdd *hdd = calloc(1, sizeof(*hdd));

	if (!hdd)
		return NULL;
	hdd->settings = *settings;
	queue_init(&hdd->host);
	queue_init(&hdd->media);
	queue_init(&hdd->no_room);
	queue_init(&hdd->flushes);
	queue_init(&hdd->answered);
	queue_init(&hdd->taken);
	if (!wb_hdd_write_cache_init(&hdd->cache, settings->shape.size_bytes,
				     settings->write_cache_bytes)) {
		wb_hdd_free(hdd);
		return NULL;
	}
	return hdd;
}

void wb_hdd_free(struct wb_hdd *hdd)
{
	wb_hdd_write_cache_clear(&hdd->cache);
	free(hdd);
}
