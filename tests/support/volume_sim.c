/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "support/volume_sim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache/cache_private.h"
#include "cache/create.h"
#include "format/block.h"
#include "format/endian.h"
#include "support/store_memory.h"

#define STEPS_MAX 1000000u	/* more means that it never ends */
#define WAITS_MAX 2000u		/* pauses of a second */
#define SECOND_NS UINT64_C(1000000000)

/* Time also passes by being looked at: what spins for a pause to end, ends. */
static uint64_t now_ns(struct wb_clock *clock)
{
	struct wb_sim *sim = (struct wb_sim *)((char *)clock - offsetof(struct wb_sim, clock));

	return sim->clock.now_ns += 1000000;
}

/* People's time: a look does not move it. */
static uint64_t wall_ns(struct wb_clock *clock)
{
	struct wb_sim *sim = (struct wb_sim *)((char *)clock - offsetof(struct wb_sim, clock));

	return WB_SIM_WALL_NS + sim->wall_offset_ns + sim->clock.now_ns;
}

static int32_t utc_offset_s(struct wb_clock *clock, uint64_t wall)
{
	struct wb_sim *sim = (struct wb_sim *)((char *)clock - offsetof(struct wb_sim, clock));

	(void)wall;
	return sim->utc_offset_s;
}

/* --- disks -------------------------------------------------------------------- */

static void choose_order(struct wb_sim *sim, struct wb_sim_disk *disk, uint64_t salt)
{
	if (sim->params.seed)
		wb_store_memory_set_order(disk->memory, WB_STORE_MEMORY_RANDOM,
					  wb_prng_next(&sim->prng) + salt);
}

static void make_disk(struct wb_sim *sim, struct wb_sim_disk *disk, struct wb_store *memory,
		      uint64_t salt)
{
	disk->memory = memory;
	wb_store_memory_check_buffers(memory);
	choose_order(sim, disk, salt);
	disk->crashy = wb_store_crashy_new(memory, &sim->crash_clock);
	disk->faulty = wb_store_faulty_new(disk->crashy);
	disk->counting = disk->faulty;
	if (!sim->params.is_uncounted)
		disk->counting = wb_store_counting_new(disk->faulty);
}

static uint64_t cache_bytes_for(const struct wb_sim_params *p, struct wb_geometry *g)
{
	uint64_t bytes = WB_SUPERBLOCK_AREA_BYTES;

	do {
		bytes += WB_BLOCK_BYTES;
	} while (wb_geometry_compute(g, bytes, p->segment_bytes, p->image_bytes) !=
		 WB_GEOMETRY_OK || g->segment_count < p->segment_count);
	return bytes;
}

static void set_defaults(struct wb_sim_params *p)
{
	p->image_bytes = p->image_bytes ? p->image_bytes : 1 << 20;
	p->backing_bytes = MAX(p->backing_bytes, p->image_bytes);
	p->segment_count = p->segment_count ? p->segment_count : 8;
	p->segment_bytes = p->segment_bytes ? p->segment_bytes : WB_SEGMENT_BYTES_MIN;
	p->cache_alignment_bytes = p->cache_alignment_bytes ? p->cache_alignment_bytes : 512;
	p->backing_alignment_bytes =
		p->backing_alignment_bytes ? p->backing_alignment_bytes : 512;
	p->ram_segments = p->ram_segments ? p->ram_segments : 4;
	p->request_count = p->request_count ? p->request_count : 16;
}

void wb_sim_init(struct wb_sim *sim, const struct wb_sim_params *params)
{
	struct wb_create_params create = { .uuid = "uuid of a test", .backing_path = "/image",
					   .zero_mode = WB_ZERO_HEADERS };
	struct wb_store *cache, *backing;
	g_autoptr(GError) error = NULL;

	memset(sim, 0, sizeof *sim);
	if (params)
		sim->params = *params;
	set_defaults(&sim->params);
	wb_prng_init(&sim->prng, sim->params.seed);
	sim->clock.clock = (struct wb_clock){ .now_ns = now_ns, .wall_ns = wall_ns,
						 .utc_offset_s = utc_offset_s };
	cache = wb_store_memory_new(cache_bytes_for(&sim->params, &sim->geometry),
				    sim->params.cache_alignment_bytes, 512);
	backing = wb_store_memory_new(sim->params.backing_bytes,
				      sim->params.backing_alignment_bytes, 512);
	create.segment_bytes = sim->params.segment_bytes;
	create.backing_bytes = sim->params.image_bytes;
	if (!wb_create(cache, &create, &error))
		g_error("create: %s", error->message);
	/* New memory is zeros, and a large image takes none while it is. */
	if (sim->params.backing_fill)
		memset(wb_store_memory_bytes(backing), sim->params.backing_fill,
		       sim->params.image_bytes);
	memset(wb_store_memory_bytes(backing) + sim->params.image_bytes, sim->params.behind_fill,
	       sim->params.backing_bytes - sim->params.image_bytes);
	make_disk(sim, &sim->cache_disk, cache, 1);
	make_disk(sim, &sim->backing_disk, backing, 2);
	sim->ops = g_new0(struct wb_sim_op, sim->params.request_count);
	if (!sim->params.keeps_memory)
		return;
	sim->memory.bytes = wb_cache_memory_bytes((uint64_t)sim->params.ram_segments *
						  sim->params.segment_bytes,
						  sim->params.segment_bytes,
						  sim->params.request_count);
	sim->memory.base = g_aligned_alloc0(1, sim->memory.bytes, WB_BLOCK_BYTES);
}

void wb_sim_replace_cache(struct wb_sim *sim, struct wb_store *memory)
{
	g_assert(!sim->cache);
	wb_store_close(sim->cache_disk.counting);
	make_disk(sim, &sim->cache_disk, memory, 3);
	g_assert(wb_geometry_compute(&sim->geometry, memory->size_bytes, sim->params.segment_bytes,
				     sim->params.image_bytes) == WB_GEOMETRY_OK);
}

static void forget_ops(struct wb_sim *sim)
{
	for (unsigned i = 0; i < sim->params.request_count; i++) {
		free(sim->ops[i].memory);
		memset(&sim->ops[i], 0, sizeof sim->ops[i]);
	}
}

void wb_sim_clear(struct wb_sim *sim)
{
	if (!sim->ops)
		return;
	if (sim->cache)
		wb_sim_kill(sim);
	wb_store_close(sim->cache_disk.counting);
	wb_store_close(sim->backing_disk.counting);
	g_clear_pointer(&sim->ops, g_free);
	g_clear_pointer(&sim->memory.base, g_aligned_free);
}

/* The disk has had that size all the time. */
static void grow_at_once(void *arg, uint64_t bytes)
{
	struct wb_sim *sim = arg;

	wb_cache_backing_grown(sim->cache, bytes > sim->params.backing_bytes ?
			       "the disk is full" : NULL);
}

bool wb_sim_open(struct wb_sim *sim, GError **error)
{
	struct wb_cache_config config = {
		.access = sim->access,
		.cache_store = sim->cache_disk.counting,
		.backing_store = sim->backing_disk.counting,
		.clock = &sim->clock.clock, .worker_mode = WB_WORKER_MANUAL,
		.ram_buffer_bytes = (uint64_t)sim->params.ram_segments *
				    sim->params.segment_bytes,
		.request_count = sim->params.request_count,
		.tunables = WB_TUNABLES_DEFAULT,
		.meters_backing = sim->params.meters_backing,
		.watch = sim->watch,
		.growth = sim->growth,
		.memory = sim->memory,
	};

	g_assert(!sim->cache);
	if (!config.growth.wanted && !config.growth.arg)
		config.growth = (struct wb_growth){ .wanted = grow_at_once, .arg = sim };
	config.tunables.allow_writeback = !sim->params.no_writeback;
	config.tunables.cache_mode = sim->cache_mode;
	config.tunables.discard_cache = sim->discards_cache;
	config.tunables.bypass_threshold = sim->bypass_threshold;
	g_assert(!sim->schedule || wb_schedule_parse(sim->schedule,
						     &config.tunables.writeback_schedule));
	config.tunables.discard_rate_mib_s = 0;
	config.tunables.slow_writes_percent = sim->slow_writes_percent;
	config.tunables.read_latency_target_ms = sim->read_latency_target_ms;
	config.tunables.read_cache = sim->keeps_reads;
	config.tunables.read_bypass_threshold = config.tunables.fill_budget = 0;
	sim->cache = wb_cache_open(&config, error);
	return sim->cache != NULL;
}

bool wb_sim_save_memory(struct wb_sim *sim, GError **error)
{
	struct wb_cache_config config = {
		.cache_store = sim->cache_disk.counting, .memory = sim->memory,
	};

	g_assert(!sim->cache);
	return wb_cache_save_memory(&config, error);
}

static bool poll_one(struct wb_sim *sim)
{
	struct wb_store *cache = sim->cache_disk.counting, *backing = sim->backing_disk.counting;

	return cache->ops->poll(cache) || backing->ops->poll(backing);
}

int wb_sim_close(struct wb_sim *sim)
{
	int error;

	for (unsigned i = 0; i < sim->params.request_count; i++)
		g_assert(!sim->ops[i].request);
	error = wb_cache_close(sim->cache, WB_CLOSE_CLEAN);
	sim->cache = NULL;
	g_assert(!poll_one(sim));
	return error;
}

void wb_sim_kill(struct wb_sim *sim)
{
	/* What is at the disks is answered; requests that run on then end up
	 * parked, or with their I/O refused by a disk that is dead. */
	sim->on_progress = NULL;
	sim->on_finish = NULL;
	wb_cache_close(sim->cache, WB_CLOSE_ABANDON);
	sim->cache = NULL;
	g_assert(!poll_one(sim));
	forget_ops(sim);
}

void wb_sim_cut_power(struct wb_sim *sim)
{
	g_assert(!sim->cache);
	wb_store_crashy_cut(sim->cache_disk.crashy, &sim->prng);
	wb_store_crashy_cut(sim->backing_disk.crashy, &sim->prng);
	wb_store_faulty_clear(sim->cache_disk.faulty);
	wb_store_faulty_clear(sim->backing_disk.faulty);
	if (!sim->params.is_uncounted) {
		wb_store_counting_restart(sim->cache_disk.counting);
		wb_store_counting_restart(sim->backing_disk.counting);
	}
	sim->crash_clock.has_crashed = false;
	choose_order(sim, &sim->cache_disk, 1);
	choose_order(sim, &sim->backing_disk, 2);
}

/* --- steps ---------------------------------------------------------------------- */

struct before {
	uint64_t lowest;	/* of an entry that comes now */
	uint64_t bypassed;	/* bytes */
};

static uint64_t bypassed_bytes(struct wb_sim *sim)
{
	return wb_stats_sum(&sim->cache->stats, WB_STAT_BYPASSED_BYTES);
}

static struct before look_before(struct wb_sim *sim)
{
	struct wb_log_head head;

	sim->step_count++;
	wb_log_get_head(sim->cache->path.log, &head);
	return (struct before){ head.last_sequence + (head.has_open_record ? 0 : 1),
				bypassed_bytes(sim) };
}

static bool changes_data(const struct wb_sim_op *op)
{
	return op->op == WB_WRITE || op->op == WB_ZERO;
}

static void tell(struct wb_sim_op *op, const struct wb_sim_progress *progress)
{
	if (!op->sim->crash_clock.has_crashed && progress->kind != WB_SIM_AROUND_BEGINS)
		op->sure_bytes = progress->to_bytes;
	if (op->sim->on_progress)
		op->sim->on_progress(op->sim->arg, op, progress);
}

static bool is_going_around(const struct wb_sim_op *op)
{
	const struct wb_bypass_work *work = &op->request->bypass;

	return op->op == WB_WRITE && !op->is_finished &&
	       op->request->goes_around &&
	       (work->stage == WB_BYPASS_LOGGED || work->stage == WB_BYPASS_WRITTEN);
}

/* A stretch around the cache begins or ends; what failed goes on in the log. A step
 * ends one of one request at most, for its end comes from the disk. */
static void look_around(struct wb_sim_op *op, bool went_around)
{
	struct wb_sim_progress progress = { .kind = WB_SIM_AROUND_ENDS,
					    .from_bytes = op->around_from,
					    .to_bytes = op->around_to };

	if (op->around_to && op->request->cursor_bytes != op->cursor_bytes) {
		if (went_around) {
			tell(op, &progress);
			op->cursor_bytes = op->around_to;
		}
		op->around_to = 0;
	}
}

static void look_for_departure(struct wb_sim_op *op)
{
	struct wb_sim_progress progress = { .kind = WB_SIM_AROUND_BEGINS };

	if (op->around_to || !is_going_around(op))
		return;
	progress.from_bytes = op->around_from = op->request->cursor_bytes;
	progress.to_bytes = op->around_to = op->request->bypass.end_bytes;
	tell(op, &progress);
}

/* Pieces are published by the thread that runs the request, in submit or on
 * the executor: so a step moves the cursor of one request at most, and the
 * order of steps is the order of the log. */
static void look_after(struct wb_sim *sim, struct before before)
{
	for (unsigned i = 0; i < sim->params.request_count; i++) {
		struct wb_sim_op *op = &sim->ops[i];
		struct wb_sim_progress progress = { .kind = WB_SIM_IN_LOG, .low = before.lowest };

		if (!op->request || !changes_data(op) || !op->submit_step)
			continue;
		look_around(op, bypassed_bytes(sim) > before.bypassed);
		if (op->request->cursor_bytes != op->cursor_bytes) {
			progress.from_bytes = op->cursor_bytes;
			progress.to_bytes = op->cursor_bytes = op->request->cursor_bytes;
			progress.high = op->request->sync_target;
			g_assert(progress.low <= progress.high);
			tell(op, &progress);
		}
		look_for_departure(op);
	}
	for (unsigned i = 0; i < sim->params.request_count; i++) {
		struct wb_sim_op *op = &sim->ops[i];

		if (!op->request || !op->is_finished || op->finish_step)
			continue;
		op->finish_step = sim->step_count;
		if (sim->on_finish)
			sim->on_finish(sim->arg, op);
	}
}

bool wb_sim_step(struct wb_sim *sim)
{
	struct before before = look_before(sim);
	bool any = wb_cache_run_one(sim->cache, sim->params.seed ?
				    (unsigned)wb_prng_below(&sim->prng, 1024) : 0);

	look_after(sim, before);
	return any;
}

void wb_sim_settle(struct wb_sim *sim)
{
	for (unsigned i = 0; wb_sim_step(sim); i++)
		g_assert(i < STEPS_MAX);
}

void wb_sim_pass_time(struct wb_sim *sim, uint64_t ns)
{
	struct before before = look_before(sim);

	sim->clock.now_ns += ns;
	wb_cache_tick(sim->cache);
	look_after(sim, before);
}

/* --- requests --------------------------------------------------------------------- */

static void done(struct wb_request *request, int error)
{
	struct wb_sim_op *op = wb_request_public(request)->user;

	g_assert(!op->is_finished);
	op->is_finished = true;
	op->error = error;
}

struct wb_sim_op *wb_sim_prepare(struct wb_sim *sim, enum wb_request_op op, unsigned flags,
				 uint64_t offset_bytes, uint64_t length_bytes)
{
	struct wb_sim_op *it = sim->ops;
	uint64_t span = wb_request_span_bytes(offset_bytes, length_bytes);

	while (it < sim->ops + sim->params.request_count && it->request)
		it++;
	if (it == sim->ops + sim->params.request_count)
		return NULL;
	memset(it, 0, sizeof *it);
	it->sim = sim;
	it->id = ++sim->last_id;
	it->op = op;
	it->flags = flags;
	it->offset_bytes = it->cursor_bytes = offset_bytes;
	it->length_bytes = length_bytes;
	it->request = wb_request_get(sim->cache);
	g_assert(it->request);
	if (op == WB_READ || op == WB_WRITE) {
		/* A size of its own, so that a sanitizer sees what goes too far. */
		it->memory_bytes = op == WB_READ ? span : (length_bytes + 4095) & ~4095ull;
		it->memory = aligned_alloc(4096, it->memory_bytes);
		g_assert(it->memory);
		memset(it->memory, 0xee, it->memory_bytes);
		it->data = it->memory + (op == WB_READ ? offset_bytes % 4096 : 0);
	}
	return it;
}

void wb_sim_submit(struct wb_sim_op *op)
{
	struct wb_sim *sim = op->sim;
	struct wb_request_public *pub = wb_request_public(op->request);
	struct before before = look_before(sim);
	int error = 0;

	pub->op = op->op;
	pub->flags = op->flags;
	pub->offset_bytes = op->offset_bytes;
	pub->length_bytes = op->length_bytes;
	pub->buffer = op->memory;
	pub->done = done;
	pub->user = op;
	pub->unique = 0;
	if (sim->params.keeps_memory && changes_data(op)) {
		pub->unique = op->id;
		pub->flags |= op->is_resent ? WB_REQUEST_RESENT : 0;
	}
	op->submit_step = sim->step_count;
	op->sure_bytes = op->cursor_bytes;
	/* Of the request's last use, until it begins. */
	op->request->cursor_bytes = op->cursor_bytes;
	if (wb_cache_submit(sim->cache, op->request, &error) == WB_SUBMIT_FINISHED) {
		g_assert(!op->is_finished);
		op->is_finished = true;
		op->error = error;
		wb_cache_answered(sim->cache);
	}
	look_after(sim, before);
}

bool wb_sim_finishes(struct wb_sim_op *op)
{
	for (unsigned waits = 0; waits < WAITS_MAX && !op->is_finished; waits++) {
		unsigned i = 0;

		while (!op->is_finished && wb_sim_step(op->sim))
			g_assert(i++ < STEPS_MAX);
		if (!op->is_finished)
			wb_sim_pass_time(op->sim, SECOND_NS);
	}
	return op->is_finished;
}

int wb_sim_wait(struct wb_sim_op *op)
{
	g_assert(wb_sim_finishes(op));
	return op->error;
}

void wb_sim_release(struct wb_sim_op *op)
{
	g_assert(op->is_finished);
	/* So late, because more may have happened since the read looked. */
	if (op->op == WB_READ && !op->error && op->submit_step && !op->sim->only_looks)
		wb_cache_read_answered(op->sim->cache, op->request);
	wb_request_put(op->sim->cache, op->request);
	free(op->memory);
	memset(op, 0, sizeof *op);
}

static int wait_and_release(struct wb_sim_op *op)
{
	int error = wb_sim_wait(op);

	wb_sim_release(op);
	return error;
}

int wb_sim_write(struct wb_sim *sim, uint64_t offset_bytes, const void *data,
		 uint64_t length_bytes, unsigned flags)
{
	struct wb_sim_op *op = wb_sim_prepare(sim, WB_WRITE, flags, offset_bytes, length_bytes);

	g_assert(op);
	memcpy(op->data, data, length_bytes);
	wb_sim_submit(op);
	return wait_and_release(op);
}

int wb_sim_fill(struct wb_sim *sim, uint64_t offset_bytes, uint8_t value,
		uint64_t length_bytes, unsigned flags)
{
	struct wb_sim_op *op = wb_sim_prepare(sim, WB_WRITE, flags, offset_bytes, length_bytes);

	g_assert(op);
	memset(op->data, value, length_bytes);
	wb_sim_submit(op);
	return wait_and_release(op);
}

int wb_sim_read(struct wb_sim *sim, uint64_t offset_bytes, void *data, uint64_t length_bytes)
{
	struct wb_sim_op *op = wb_sim_prepare(sim, WB_READ, 0, offset_bytes, length_bytes);
	int error;

	g_assert(op);
	wb_sim_submit(op);
	error = wb_sim_wait(op);
	if (!error)
		memcpy(data, op->data, length_bytes);
	wb_sim_release(op);
	return error;
}

int wb_sim_zero(struct wb_sim *sim, uint64_t offset_bytes, uint64_t length_bytes,
		unsigned flags)
{
	struct wb_sim_op *op = wb_sim_prepare(sim, WB_ZERO, flags, offset_bytes, length_bytes);

	g_assert(op);
	wb_sim_submit(op);
	return wait_and_release(op);
}

int wb_sim_sync(struct wb_sim *sim)
{
	struct wb_sim_op *op = wb_sim_prepare(sim, WB_SYNC, 0, 0, 0);

	g_assert(op);
	wb_sim_submit(op);
	return wait_and_release(op);
}

int wb_sim_drain(struct wb_sim *sim)
{
	struct wb_stats_snapshot before, now;

	wb_sim_stats(sim, &before);
	wb_cache_start_drain(sim->cache);
	for (unsigned waits = 0; waits < WAITS_MAX; waits++) {
		for (unsigned i = 0; wb_sim_step(sim); i++)
			g_assert(i < STEPS_MAX);
		wb_sim_stats(sim, &now);
		if (!now.draining)
			return now.drains_failed > before.drains_failed ? -EIO : 0;
		wb_sim_pass_time(sim, SECOND_NS);
	}
	g_assert_not_reached();
}

void wb_sim_set(struct wb_sim *sim, const char *name, const char *value)
{
	g_autoptr(GError) error = NULL;

	if (!wb_cache_set_tunable(sim->cache, wb_tunable_find(name), value, &error))
		g_error("%s", error->message);
}

int wb_sim_resize(struct wb_sim *sim, uint64_t bytes)
{
	struct wb_stats_snapshot before, now;

	wb_sim_stats(sim, &before);
	wb_cache_start_resize(sim->cache, bytes);
	for (unsigned waits = 0; waits < WAITS_MAX; waits++) {
		for (unsigned i = 0; wb_sim_step(sim); i++)
			g_assert(i < STEPS_MAX);
		wb_sim_stats(sim, &now);
		if (now.resizes_failed > before.resizes_failed)
			return -EIO;
		if (now.resizes_done > before.resizes_done)
			return 0;
		wb_sim_pass_time(sim, SECOND_NS);
	}
	g_assert_not_reached();
}

/* --- looking ------------------------------------------------------------------------ */

void wb_sim_stats(struct wb_sim *sim, struct wb_stats_snapshot *snapshot)
{
	wb_cache_get_stats(sim->cache, snapshot);
}

uint64_t wb_sim_counter(struct wb_sim *sim, enum wb_stat which)
{
	struct wb_stats_snapshot snapshot;

	wb_sim_stats(sim, &snapshot);
	return snapshot.counter[which];
}

uint8_t *wb_sim_cache_bytes(struct wb_sim *sim)
{
	return wb_store_memory_bytes(sim->cache_disk.memory);
}

uint8_t *wb_sim_backing_bytes(struct wb_sim *sim)
{
	return wb_store_memory_bytes(sim->backing_disk.memory);
}

void wb_sim_change_superblocks(struct wb_sim *sim,
			       void (*change)(struct wb_superblock_disk *superblock))
{
	for (unsigned copy = 0; copy < WB_SUPERBLOCK_COUNT; copy++) {
		struct wb_superblock_disk *disk =
			(void *)(wb_sim_cache_bytes(sim) + wb_superblock_offset(copy));

		change(disk);
		disk->crc = wb_put_le32(wb_block_compute_crc(disk));
	}
}

uint8_t *wb_sim_cached_block(struct wb_sim *sim, uint64_t address, bool *is_dirty)
{
	struct wb_data_path *path = &sim->cache->path;
	struct wb_stripe *stripe = wb_block_map_stripe(path->map, address);
	struct wb_mapping now;

	wb_lock_acquire(&stripe->lock);
	wb_block_map_lookup_locked(path->map, address, &now);
	wb_lock_release(&stripe->lock);
	if (now.slot == WB_NO_SLOT)
		return NULL;
	if (is_dirty)
		*is_dirty = wb_slot_state_is_dirty(now.state);
	return wb_sim_cache_bytes(sim) + wb_geometry_slot_offset(&path->geometry, now.slot);
}
