/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Opening: recovery, the memory image of the log, assembly. */
#include "cache/cache_private.h"

#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "base/mutant.h"
#include "cache/backing_check.h"
#include "cache/recovery.h"
#include "cache/takeover.h"

gboolean wb_cache_is_attached(const char *cache_label, const struct wb_superblock *superblock,
			      GError **error)
{
	if (!(superblock->incompat & WB_INCOMPAT_DETACHED))
		return TRUE;
	g_set_error(error, WB_CACHE_ERROR, WB_CACHE_ERROR_NOT_A_CACHE,
		    "cache %s was detached from its backing (it was %s), which is complete "
		    "alone and may have been changed since; `wbfs format` makes a new volume. "
		    "Nothing was changed", cache_label, superblock->backing_path);
	return FALSE;
}

static gboolean check_backing(const struct wb_cache_config *config,
			      const struct wb_superblock *superblock, GError **error)
{
	const struct wb_store *backing = config->backing_store;
	uint64_t need = superblock->geometry.backing_bytes;

	if (backing->size_bytes < need) {
		g_set_error(error, WB_CACHE_ERROR, WB_CACHE_ERROR_MISMATCH,
			    "backing %s: has %" G_GUINT64_FORMAT " bytes, but the cache %s was "
			    "formatted for %" G_GUINT64_FORMAT "; is it the right backing?",
			    backing->label, backing->size_bytes, config->cache_store->label,
			    need);
		return FALSE;
	}
	if (need % backing->alignment_bytes != 0) {
		g_set_error(error, WB_CACHE_ERROR, WB_CACHE_ERROR_MISMATCH,
			    "backing %s: the image's %" G_GUINT64_FORMAT " bytes are no multiple "
			    "of the disk's %u-byte sectors", backing->label, need,
			    backing->alignment_bytes);
		return FALSE;
	}
	return config->access != WB_CACHE_READ_WRITE ||
	       wb_recovery_check_features(config->cache_store->label, superblock, error);
}

/* What lies in them stays readable; nothing new goes there. */
static gboolean mark_bad_places(struct wb_cache *cache, const struct wb_superblock *superblock,
				GError **error)
{
	struct wb_segment_table *segments = cache->path.segments;
	uint64_t count = wb_segment_table_count(segments), bad;

	for (uint32_t i = 0; i < superblock->bad_count; i++)
		wb_segment_table_mark_bad(segments, superblock->bad_places[i]);
	bad = wb_segment_table_bad_count(segments);
	if (count - bad >= WB_GOOD_SEGMENTS_MIN || wb_cache_is_read_only(cache))
		return TRUE;
	g_set_error(error, WB_CACHE_ERROR, WB_CACHE_ERROR_LIMIT,
		    "cache %s: %" G_GUINT64_FORMAT " of its %" G_GUINT64_FORMAT " segments cannot "
		    "be written, and at least %u are needed; `wbfs rescue` brings its data to "
		    "the backing, then format another disk",
		    cache->config.cache_store->label, bad, count, WB_GOOD_SEGMENTS_MIN);
	return FALSE;
}

/* --- the backing --------------------------------------------------------------------- */

static void drop_clean(struct wb_data_path *path)
{
	for (uint32_t slot = 0; slot < path->geometry.slot_count; slot++) {
		struct wb_stripe *stripe;
		struct wb_mapping mapping;

		wb_block_map_peek(path->map, slot, &mapping);
		if (mapping.state != WB_SLOT_CLEAN)
			continue;
		stripe = wb_block_map_stripe(path->map, mapping.address);
		wb_lock_acquire(&stripe->lock);
		wb_block_map_remove_locked(path->map, mapping.address);
		wb_lock_release(&stripe->lock);
	}
}

/* What the superblocks say of the backing from now on. A dropped copy is still in
 * the log: without warm_sequence the next opening would believe it again. */
static void note_backing(struct wb_superblock *superblock,
			 const struct wb_backing_check *check)
{
	const struct wb_backing_watch *watch = &check->config->watch;

	superblock->backing_look = (struct wb_backing_look){ 0 };
	if (watch->mark_epoch || watch->is_forced)
		superblock->mark_epoch = watch->mark_epoch;
	if (check->drops_clean)
		superblock->warm_sequence = check->recovery->cut_sequence + 1;
}

static gboolean look_at_backing(struct wb_cache *cache, struct wb_recovery *recovery,
				GError **error)
{
	const struct wb_backing_watch *watch = &cache->config.watch;
	struct wb_backing_check check = {
		.config = &cache->config, .recovery = recovery, .map = cache->path.map,
		.dirty_count = wb_segment_table_dirty(cache->path.segments),
	};

	/* It was ours until now, and its mark says that it is: nothing is looked at on a
	 * disk that may be busy, while users wait. */
	if (cache->is_taken_over) {
		cache->marked_epoch = watch->mark_epoch;
		if (watch->mark_epoch == 0 || watch->mark_is_complete)
			wb_mark_gate_begin(&cache->mark_gate, check.dirty_count > 0);
		return TRUE;
	}
	if (!wb_backing_check(&check, error))
		return FALSE;
	cache->opening_note = check.note;
	if (check.drops_clean)
		drop_clean(&cache->path);
	if (wb_cache_is_read_only(cache))
		return TRUE;
	note_backing(&recovery->superblock, &check);
	wb_mark_gate_begin(&cache->mark_gate, check.dirty_count > 0);
	return TRUE;
}

/* --- assembly ---------------------------------------------------------------------- */

/* All that counted in it is on the SSD by now. */
static gboolean adopt_ram_buffers(struct wb_cache *cache, GError **error)
{
	cache->path.rambuf = wb_rambuf_adopt(&cache->config.memory);
	if (cache->config.request_count <=
	    wb_region_get_shape(wb_rambuf_region(cache->path.rambuf)).request_count)
		return TRUE;
	g_set_error(error, WB_CACHE_ERROR, WB_CACHE_ERROR_MISMATCH,
		    "the memory that a former process left is for %u requests, not %u",
		    wb_region_get_shape(wb_rambuf_region(cache->path.rambuf)).request_count,
		    cache->config.request_count);
	return FALSE;
}

static gboolean make_ram_buffers(struct wb_cache *cache, GError **error)
{
	struct wb_data_path *path = &cache->path;
	uint64_t ram_bytes = cache->config.ram_buffer_bytes ? cache->config.ram_buffer_bytes :
							      WB_RAM_BUFFER_BYTES_DEFAULT;
	uint32_t buffers = (uint32_t)MIN(ram_bytes / path->geometry.segment_bytes,
					 path->geometry.segment_count);

	if (cache->is_taken_over)
		return adopt_ram_buffers(cache, error);
	if (ram_bytes / path->geometry.segment_bytes < WB_RAM_BUFFERS_MIN) {
		g_set_error(error, WB_CACHE_ERROR, WB_CACHE_ERROR_LIMIT,
			    "ram_buffer is too small: at least %u segments of %u KiB, %u KiB, "
			    "are needed", WB_RAM_BUFFERS_MIN, path->geometry.segment_bytes >> 10,
			    WB_RAM_BUFFERS_MIN * (path->geometry.segment_bytes >> 10));
		return FALSE;
	}
	path->rambuf = wb_rambuf_new(&cache->config.memory, &(struct wb_region_shape){
			.buffer_count = buffers + WB_RAMBUF_SPARE_COUNT,
			.segment_bytes = path->geometry.segment_bytes,
			.request_count = MAX(cache->config.request_count, 1) }, error);
	return path->rambuf != NULL;
}

static gboolean make_state(struct wb_cache *cache, const struct wb_recovery *recovery,
			   GError **error)
{
	struct wb_data_path *path = &cache->path;

	path->geometry = recovery->superblock.geometry;
	/* From here on one place says it. */
	atomic_store(&path->image.bytes, path->geometry.backing_bytes);
	path->geometry.backing_bytes = path->geometry.backing_blocks = 0;
	if (!wb_cache_is_read_only(cache) && !make_ram_buffers(cache, error))
		return FALSE;
	path->segments = wb_segment_table_new(&path->geometry, error);
	if (!path->segments)
		return FALSE;
	path->map = wb_block_map_new(&path->geometry, path->segments, error);
	if (!path->map)
		return FALSE;
	if (!wb_cache_is_read_only(cache) &&
	    !wb_block_map_make_index(path->map, wb_geometry_blocks_of(path->image.bytes), error))
		return FALSE;
	path->extents = wb_extent_table_new(path->segments, WB_EXTENTS_MAX);
	cache->executor = wb_executor_new("wb-request", cache->config.worker_mode, 2);
	path->executor = cache->executor;
	path->exclusion = wb_exclusion_new(path->map, cache->executor);
	wb_park_list_init(&cache->space, cache->executor);
	wb_park_list_init(&cache->extent_room, cache->executor);
	wb_mark_gate_init(&cache->mark_gate, cache->executor, cache->config.watch.mark_wanted,
			  cache->config.watch.arg);
	path->mark_gate = &cache->mark_gate;
	wb_pressure_init(&cache->pressure, cache->executor, cache->config.clock, &cache->stats);
	path->pressure = &cache->pressure;
	path->space = &cache->space;
	wb_fill_gate_init(&path->fill_gate, cache->config.clock);
	if (!wb_cache_is_read_only(cache)) {
		path->read_policy = wb_read_policy_new(&path->geometry, error);
		if (!path->read_policy)
			return FALSE;
	}
	path->extent_room = &cache->extent_room;
	path->cache_store = cache->config.cache_store;
	path->backing_store = cache->config.backing_store;
	if (cache->config.meters_backing)
		path->backing_meter = &cache->backing_meter;
	path->clock = cache->config.clock;
	path->stats = &cache->stats;
	path->message = &cache->message;
	path->need_space = wb_cache_on_need_space;
	path->need_through = wb_cache_kick_writeback;
	path->arg = cache;
	return TRUE;
}

void wb_cache_make_log(struct wb_cache *cache, const struct wb_log_start *start)
{
	struct wb_data_path *path = &cache->path;

	wb_tail_init(&cache->tail, (struct wb_tail_position){
			start->tail_segment, start->tail_sequence });
	path->log = wb_log_new(&path->geometry, path->segments, path->rambuf, start);
	path->forget = (struct wb_forget){
		.log = path->log, .segments = path->segments, .map = path->map,
		.exclusion = path->exclusion, .tail = &cache->tail, .stats = &cache->stats,
	};
}

static gboolean make_engines(struct wb_cache *cache, const struct wb_log_start *start,
			     GError **error)
{
	struct wb_data_path *path = &cache->path;
	struct wb_flush_deps flush_deps = {
		.segments = path->segments, .rambuf = path->rambuf, .tail = &cache->tail,
		.store = path->cache_store, .clock = cache->config.clock,
		.stats = &cache->stats, .message = &cache->message,
	};
	struct wb_reclaim_deps reclaim_deps = {
		.segments = path->segments, .map = path->map, .tail = &cache->tail,
		.recorder = cache->recorder, .geometry = &path->geometry,
		.clock = cache->config.clock,
	};
	struct wb_writeback_deps writeback_deps = {
		.geometry = path->geometry, .image = &path->image,
		.gap_range = &path->gap_range,
		.segments = path->segments, .rambuf = path->rambuf, .map = path->map,
		.extents = path->extents,
		.tail = &cache->tail, .cache_store = path->cache_store,
		.backing_store = path->backing_store, .clock = cache->config.clock,
		.stats = &cache->stats, .message = &cache->message,
		.read_first = &cache->read_first,
		.batch_bytes = (uint64_t)cache->config.tunables.writeback_batch << 20,
	};

	wb_cache_make_log(cache, start);
	flush_deps.log = reclaim_deps.log = writeback_deps.log = path->log;
	cache->second_chance = reclaim_deps.second_chance =
		wb_second_chance_new(&(struct wb_second_chance_deps){
			.geometry = &path->geometry, .log = path->log,
			.segments = path->segments, .map = path->map,
			.exclusion = path->exclusion, .policy = path->read_policy,
			.gate = &path->fill_gate, .store = path->cache_store,
			.stats = &cache->stats, .kick = wb_cache_kick_writeback, .arg = cache,
		});
	reclaim_deps.policy = path->read_policy;
	path->flush = wb_flush_new(&flush_deps, start->last_segment + 1, start->last_crc);
	wb_recorder_set_flush(cache->recorder, path->flush);
	wb_recorder_set_region(cache->recorder, wb_rambuf_region(path->rambuf));
	reclaim_deps.flush = writeback_deps.flush = path->flush;
	path->backing_flush = writeback_deps.backing_flush =
		wb_backing_flush_new(&(struct wb_backing_flush_deps){
			.store = path->backing_store, .stats = &cache->stats,
			.message = &cache->message,
			.region = wb_rambuf_region(path->rambuf), .flushed = wb_cache_on_backing_flushed,
			.arg = cache,
		});
	path->through = wb_through_new(&(struct wb_through_deps){
		.geometry = &path->geometry, .log = path->log, .segments = path->segments,
		.map = path->map, .extents = path->extents, .flush = path->flush,
		.executor = cache->executor,
	});
	cache->reclaim = wb_reclaim_new(&reclaim_deps);
	cache->relocate = wb_relocate_new(&(struct wb_relocate_deps){
		.geometry = &path->geometry, .log = path->log, .segments = path->segments,
		.rambuf = path->rambuf, .map = path->map, .extents = path->extents,
		.tail = &cache->tail, .flush = path->flush, .recorder = cache->recorder,
		.store = path->cache_store, .clock = cache->config.clock,
		.stats = &cache->stats, .message = &cache->message,
	});
	cache->grow = wb_grow_new(&(struct wb_grow_deps){
		.image = &path->image, .map = path->map, .backing_store = path->backing_store,
		.backing_flush = path->backing_flush, .recorder = cache->recorder,
		.mark_gate = &cache->mark_gate, .message = &cache->message,
	});
	cache->carry = (struct wb_carry){
		.geometry = &path->geometry, .log = path->log, .segments = path->segments,
		.map = path->map, .extents = path->extents, .exclusion = path->exclusion,
		.tail = &cache->tail, .message = &cache->message,
		.newest_segment = &cache->carried_segment,
	};
	cache->scrub = wb_scrub_new(&(struct wb_scrub_deps){
		.geometry = &path->geometry, .image = &path->image, .uuid = cache->uuid,
		.log = path->log,
		.segments = path->segments, .map = path->map, .tail = &cache->tail,
		.forget = &path->forget,
		.store = path->cache_store, .clock = cache->config.clock,
		.stats = &cache->stats, .message = &cache->message,
		.kick = wb_cache_kick_writeback, .arg = cache,
	});
	cache->place_discard = wb_place_discard_new(&(struct wb_place_discard_deps){
		.geometry = &path->geometry, .log = path->log, .segments = path->segments,
		.tail = &cache->tail, .reclaim = cache->reclaim, .flush = path->flush,
		.store = path->cache_store, .clock = cache->config.clock,
		.stats = &cache->stats, .message = &cache->message,
		.kick = wb_cache_kick_writeback, .arg = cache,
	});
	cache->writeback = wb_writeback_new(&writeback_deps, error);
	return cache->writeback != NULL;
}

gboolean wb_cache_make_requests(struct wb_cache *cache, size_t bounce_bytes, GError **error)
{
	unsigned count = MAX(cache->config.request_count, 1);

	cache->bounce_bytes = count * bounce_bytes;
	cache->bounce_memory = wb_memory_map(cache->bounce_bytes);
	if (!cache->bounce_memory) {
		g_set_error(error, WB_CACHE_ERROR, WB_CACHE_ERROR_LIMIT,
			    "cannot get memory for %u requests: %s", count, g_strerror(errno));
		return FALSE;
	}
	cache->requests = g_new0(struct wb_request, count);
	for (unsigned i = 0; i < count; i++) {
		struct wb_request *request = &cache->requests[i];

		request->path = &cache->path;
		request->bounce = cache->bounce_memory + i * bounce_bytes;
		if (cache->path.rambuf)
			request->executed = wb_region_request(
				wb_rambuf_region(cache->path.rambuf), i);
		request->next_free = cache->free_requests;
		cache->free_requests = request;
	}
	return TRUE;
}

/* News travels upward through these; from here on threads run. */
static void wire(struct wb_cache *cache)
{
	wb_segment_table_set_unpinned(cache->path.segments, wb_cache_kick_writeback, cache);
	wb_segment_table_set_clock(cache->path.segments, cache->config.clock);
	wb_log_set_sealed(cache->path.log, wb_cache_on_sealed, cache);
	wb_log_set_opened(cache->path.log, wb_cache_on_opened, cache);
	wb_flush_set_advanced(cache->path.flush, wb_cache_on_advanced, cache);
	wb_pressure_set_first_waits(&cache->pressure, wb_cache_on_slowed, cache);
	wb_flush_set_wait_began(cache->path.flush, wb_cache_on_wait_began, cache);
	wb_reclaim_set_callbacks(cache->reclaim, wb_cache_on_ready, wb_cache_kick_writeback,
				 wb_cache_on_no_room, cache);
	wb_grow_set_callbacks(cache->grow, &(struct wb_grow_callbacks){
		.wanted = wb_cache_on_growth_wanted, .shown = wb_cache_on_growth_shown,
		.ended = wb_cache_on_growth_ended, .kick = wb_cache_kick_writeback, .arg = cache,
	});
	wb_relocate_set_callbacks(cache->relocate, wb_cache_on_ready, wb_cache_kick_writeback,
				  cache);
	wb_writeback_set_callbacks(cache->writeback, wb_cache_kick_writeback,
				   wb_cache_on_zeros_done, cache);
	/* The first places, before anybody asks. */
	wb_reclaim_step(cache->reclaim, WB_CALM);
	cache->flush_worker = wb_worker_new("wb-flush", cache->config.worker_mode,
					    wb_cache_flush_step, cache);
	cache->writeback_worker = wb_worker_new("wb-writeback", cache->config.worker_mode,
						wb_cache_writeback_step, cache);
	wb_worker_kick(cache->writeback_worker);
}

/* In place of a process that died they are those of a volume that was opened before. */
static gboolean check_numbers(const struct wb_cache *cache, const struct wb_recovery *recovery,
			      GError **error)
{
	return wb_cache_is_read_only(cache) || cache->is_taken_over ||
	       wb_recovery_check_numbers(recovery, cache->config.cache_store,
					 cache->config.watch.mark_epoch, error);
}

/* FALSE without an error: the checkpoint is odd. */
static gboolean open_recovered(struct wb_cache *cache, struct wb_recovery *recovery,
			       bool *is_odd, GError **error)
{
	struct wb_log_start start = {
		/* Beyond the mark's too: with --force the cache may be an older copy,
		 * and the newer one is not to be taken for this volume's again. */
		.epoch = MAX(recovery->highest_epoch, cache->config.watch.mark_epoch) + 1,
		.epoch_start = recovery->cut_sequence + 1,
		.last_sequence = recovery->cut_sequence, .last_crc = recovery->cut_crc,
		.last_segment = recovery->last_segment,
		.tail_segment = recovery->tail_segment,
		.tail_sequence = recovery->tail_sequence,
	};

	if (cache->is_taken_over) {
		start.epoch = recovery->superblock.epoch;
		start.epoch_start = recovery->superblock.epoch_start;
	}
	memcpy(start.uuid, recovery->superblock.uuid, sizeof start.uuid);
	memcpy(cache->uuid, recovery->superblock.uuid, sizeof cache->uuid);
	memcpy(cache->found_lifetime, recovery->superblock.counters,
	       sizeof cache->found_lifetime);
	cache->opened_epoch = start.epoch;
	/* All memory first: a volume that cannot be opened is not changed. */
	if (!wb_cache_is_attached(cache->config.cache_store->label, &recovery->superblock,
				  error) ||
	    !check_backing(&cache->config, &recovery->superblock, error) ||
	    !check_numbers(cache, recovery, error) ||
	    !make_state(cache, recovery, error) ||
	    !wb_cache_make_requests(cache, WB_BOUNCE_COUNT * WB_BLOCK_BYTES, error) ||
	    !mark_bad_places(cache, &recovery->superblock, error) ||
	    !wb_cache_replay(cache, recovery, is_odd, error) ||
	    !look_at_backing(cache, recovery, error))
		return FALSE;
	if (wb_cache_is_read_only(cache)) {
		start.epoch = recovery->highest_epoch;
		wb_cache_make_read_only(cache, &start);
		return TRUE;
	}
	wb_cache_make_recorder(cache, recovery, &start);
	return make_engines(cache, &start, error) &&
	       (cache->is_taken_over ? wb_cache_go_on(cache) :
				       wb_cache_begin_epoch(cache, recovery, error) &&
				       wb_cache_begin_memory(cache, &start));
}

static void note_opening(struct wb_cache *cache)
{
	g_autofree char *found = cache->is_from_checkpoint ?
		g_strdup("what the clean stop left") :
		g_strdup_printf("%" G_GUINT64_FORMAT " records found in the log",
				cache->recovered_records);

	wb_message_note(&cache->message, "opened: epoch %" G_GUINT64_FORMAT ", %s, %"
			G_GUINT64_FORMAT " blocks dirty", cache->opened_epoch, found,
			cache->recovered_dirty_blocks);
	if (cache->opening_note)
		wb_message_note(&cache->message, "%s", cache->opening_note);
}

struct wb_cache *wb_cache_new(const struct wb_cache_config *config)
{
	struct wb_cache *cache = g_new0(struct wb_cache, 1);

	cache->config = *config;
	cache->tunables = config->tunables;
	cache->path.is_read_only = config->access == WB_CACHE_READ_ONLY;
	cache->opened_ns = wb_clock_now_ns(config->clock);
	cache->last_sync_ns = cache->last_recording_ns = cache->opened_ns;
	cache->last_request_ns = cache->rest.dirty_since_ns = cache->opened_ns;
	wb_lock_init(&cache->setting_lock, WB_RANK_SETTING);
	wb_lock_init(&cache->lock, WB_RANK_CACHE);
	wb_lock_init(&cache->pool_lock, WB_RANK_POOL);
	wb_lock_init(&cache->path.streams_lock, WB_RANK_STREAMS);
	wb_message_init(&cache->message, config->clock);
	wb_busy_meter_init(&cache->backing_meter, config->clock);
	cache->writeback_depth = WB_WRITEBACK_DEPTH;
	cache->writeback_io_blocks = WB_WRITEBACK_JOIN_BLOCKS;
	return cache;
}

/* Takes the recovery. NULL and an error, or the checkpoint is odd. */
struct wb_cache *wb_cache_open_from(const struct wb_cache_config *config,
				    const struct wb_takeover *takeover,
				    struct wb_recovery *recovery, bool *is_odd, GError **error)
{
	struct wb_cache *cache = wb_cache_new(config);
	gboolean ok;

	if (takeover) {
		cache->is_taken_over = true;
		cache->left_records = takeover->record_count;
		cache->left_wrong_blocks = takeover->wrong_blocks;
	}
	ok = open_recovered(cache, recovery, is_odd, error);
	wb_recovery_free(recovery);
	if (!ok) {
		wb_cache_free(cache);
		return NULL;
	}
	wb_cache_set_tunables(cache, &config->tunables);
	note_opening(cache);
	if (!wb_cache_is_read_only(cache))
		wire(cache);
	return cache;
}

/* A checkpoint leaves out what was written back behind the tail; the log cannot, and after
 * a crash it is what there is. Over a backing that somebody changed they would not come to
 * the same, so the log counts from the beginning. */
static struct wb_recovery *read_checkpoint(const struct wb_cache_config *config)
{
	return config->watch.is_forced ? NULL : wb_recovery_from_checkpoint(config->cache_store);
}

struct wb_cache *wb_cache_open_alone(const struct wb_cache_config *config, GError **error)
{
	struct wb_recovery *recovery = read_checkpoint(config);
	struct wb_cache *cache = NULL;
	bool is_odd = recovery == NULL;

	if (recovery)
		cache = wb_cache_open_from(config, NULL, recovery, &is_odd, error);
	/* Nothing was changed yet, and the log is complete without it. */
	if (is_odd) {
		recovery = wb_recovery_scan(config->cache_store, NULL, error);
		if (recovery)
			cache = wb_cache_open_from(config, NULL, recovery, &is_odd, error);
	}
	return cache;
}

struct wb_cache *wb_cache_open(const struct wb_cache_config *config, GError **error)
{
	return config->access == WB_CACHE_READ_WRITE ? wb_cache_open_memory(config, error) :
						       wb_cache_open_alone(config, error);
}
