/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is asked of a running cache: verbs, tunables, and what the clock asks. */
#include "cache/cache_private.h"

#include <errno.h>
#include <stdarg.h>

#define SECOND_NS UINT64_C(1000000000)

/* --- tunables ------------------------------------------------------------------- */

/* A disk that does not turn passes over gaps at no cost. */
static uint32_t gap_kib(const struct wb_cache *cache)
{
	switch ((enum wb_rotational)cache->tunables.backing_rotational) {
	case WB_ROTATIONAL_AUTO:
		return cache->config.backing_turns ? cache->tunables.writeback_gap : 0;
	case WB_ROTATIONAL_ON:
		return cache->tunables.writeback_gap;
	case WB_ROTATIONAL_OFF:
		return 0;
	}
	g_assert_not_reached();
}

static void apply_locked(struct wb_cache *cache)
{
	atomic_store(&cache->path.cache_mode, cache->tunables.cache_mode);
	atomic_store(&cache->path.bypass_threshold_bytes,
		     (uint64_t)cache->tunables.bypass_threshold << 10);
	atomic_store(&cache->allow_writeback, cache->tunables.allow_writeback);
	atomic_store(&cache->uses_modulator, cache->tunables.writeback_modulator);
	atomic_store(&cache->writeback_threshold, cache->tunables.writeback_threshold);
	atomic_store(&cache->slow_writes_percent, cache->tunables.slow_writes_percent);
	atomic_store(&cache->path.reads.target_ns,
		     cache->tunables.read_latency_target_ms * UINT64_C(1000000));
	atomic_store(&cache->batch_mib, cache->tunables.writeback_batch);
	/* (0: whoever sets some of them and knows nothing of this one) */
	atomic_store(&cache->high_water, cache->tunables.writeback_high_water ?
		     cache->tunables.writeback_high_water : WB_DIRTY_HIGH_PERCENT);
	atomic_store(&cache->sync_interval_s, cache->tunables.sync_interval_s);
	if (cache->path.flush)
		wb_flush_set_company(cache->path.flush,
				     cache->tunables.barrier_deadline_ms * UINT64_C(1000000));
	if (cache->writeback)
		wb_writeback_set_gap(cache->writeback, gap_kib(cache));
	if (cache->writeback)
		wb_writeback_set_order(cache->writeback, cache->tunables.writeback_order);
	atomic_store(&cache->superblock_interval_s, cache->tunables.superblock_interval_s);
	if (cache->path.read_policy)
		wb_fill_gate_set(&cache->path.fill_gate, &cache->tunables);
	if (cache->scrub)
		wb_scrub_set_rate(cache->scrub,
				  (uint64_t)cache->tunables.scrub_rate_mib_s << 20);
	if (cache->place_discard)
		wb_place_discard_set(cache->place_discard, cache->tunables.discard_cache ?
				     WB_DISCARD_PLACES : WB_DISCARD_NOTHING,
				     (uint64_t)cache->tunables.discard_rate_mib_s << 20);
}

/* Who works at things under way looks at them again. */
static void tell_workers(struct wb_cache *cache)
{
	wb_cache_kick_writeback(cache);
	if (cache->flush_worker)
		wb_worker_kick(cache->flush_worker);
}

/* All of it stays: more would leave too little for the rest. */
static bool may_pin(struct wb_cache *cache, const struct wb_tunables *tunables, GError **error)
{
	uint64_t bytes = tunables->pin.end_bytes - tunables->pin.start_bytes;
	uint64_t most = (uint64_t)cache->path.geometry.slot_count * WB_BLOCK_BYTES / 2;

	if (bytes <= most || !cache->path.read_policy)
		return true;
	g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
		    "'pin' may be as large as half of the cache, %" G_GUINT64_FORMAT
		    " bytes, and not %" G_GUINT64_FORMAT, most, bytes);
	return false;
}

/* What takes memory comes first, and may fail. Under the setting lock. */
static bool make_room(struct wb_cache *cache, const struct wb_tunables *tunables,
		      GError **error)
{
	if (!cache->writeback || tunables->writeback_batch == cache->tunables.writeback_batch)
		return true;
	return wb_writeback_set_batch(cache->writeback,
				      (uint64_t)tunables->writeback_batch << 20, error);
}

static void take_over(struct wb_cache *cache, const struct wb_tunables *tunables)
{
	wb_lock_acquire(&cache->lock);
	cache->tunables = *tunables;
	apply_locked(cache);
	wb_lock_release(&cache->lock);
	wb_cache_update_rest(cache);
	tell_workers(cache);
}

void wb_cache_set_tunables(struct wb_cache *cache, const struct wb_tunables *tunables)
{
	struct wb_tunables taken = *tunables;
	g_autoptr(GError) reason = NULL;

	wb_lock_acquire(&cache->setting_lock);
	if (!make_room(cache, tunables, NULL))
		taken.writeback_batch = cache->tunables.writeback_batch;
	if (!may_pin(cache, tunables, &reason)) {
		wb_cache_add_event(cache, WB_EVENT_REFUSED, "%s", reason->message);
		taken.pin = cache->tunables.pin;
		/* As when it is opened: then there was no earlier one. */
		if (!may_pin(cache, &taken, NULL))
			taken.pin = (struct wb_tunable_range){ 0 };
	}
	take_over(cache, &taken);
	wb_lock_release(&cache->setting_lock);
}

void wb_cache_get_tunables(struct wb_cache *cache, struct wb_tunables *tunables)
{
	wb_lock_acquire(&cache->lock);
	*tunables = cache->tunables;
	wb_lock_release(&cache->lock);
}

bool wb_cache_set_tunable(struct wb_cache *cache, const struct wb_tunable *tunable,
			  const char *text, GError **error)
{
	g_autoptr(GError) reason = NULL;
	struct wb_tunables tunables;
	bool ok;

	wb_lock_acquire(&cache->setting_lock);
	tunables = cache->tunables;
	ok = wb_tunable_parse(tunable, text, &tunables, &reason) &&
	     may_pin(cache, &tunables, &reason) &&
	     make_room(cache, &tunables, &reason);
	if (ok)
		take_over(cache, &tunables);
	wb_lock_release(&cache->setting_lock);
	if (ok) {
		wb_message_note(&cache->message, "%s set to %s", tunable->name, text);
		return true;
	}
	wb_cache_add_event(cache, WB_EVENT_REFUSED, "%s", reason->message);
	g_propagate_error(error, g_steal_pointer(&reason));
	return false;
}

/* --- events --------------------------------------------------------------------- */

void wb_cache_add_event(struct wb_cache *cache, enum wb_event_kind kind,
			const char *format, ...)
{
	va_list args;

	va_start(args, format);
	wb_message_add(&cache->message, kind, format, args);
	va_end(args);
}

unsigned wb_cache_get_events(struct wb_cache *cache, struct wb_event events[WB_EVENTS_MAX])
{
	return wb_message_get_events(&cache->message, events);
}

/* --- verbs ---------------------------------------------------------------------- */

/* A verb whose answer is known at once. */
static void answer_verb(struct wb_cache *cache, struct wb_verb *verb, int error)
{
	wb_lock_acquire(&cache->lock);
	verb->asked++;
	if (error)
		verb->failed++;
	else
		verb->done++;
	wb_lock_release(&cache->lock);
}

/* Without a cache, and with one that nothing is written to or from. */
static int drain_nothing(struct wb_cache *cache)
{
	if (cache->path.bare || wb_segment_table_dirty(cache->path.segments) == 0)
		return 0;
	return wb_cache_refuse_verb(cache, "nothing is written back");
}

void wb_cache_start_drain(struct wb_cache *cache)
{
	struct wb_log_head head;
	uint64_t last = wb_data_path_last(&cache->path);

	if (cache->path.bare || cache->path.is_read_only) {
		answer_verb(cache, &cache->drain, drain_nothing(cache));
		return;
	}
	wb_lock_acquire(&cache->lock);
	/* Under the lock, for relocate(). */
	wb_log_get_head(cache->path.log, &head);
	/* Joining a drain that is under way moves its goal. */
	cache->drain.asked++;
	cache->drain.is_running = true;
	cache->drain_segment = head.segment_id;
	cache->drain_failures = wb_writeback_failures(cache->writeback);
	cache->drain_flushes = wb_backing_flush_count(cache->path.backing_flush);
	cache->is_draining = true;
	wb_lock_release(&cache->lock);
	wb_message_note(&cache->message, "drain begun: %" G_GUINT64_FORMAT " blocks dirty",
			wb_block_map_dirty_count(cache->path.map));
	wb_writeback_retry_now(cache->writeback);
	wb_flush_want(cache->path.flush, last);
	wb_cache_kick_writeback(cache);
}

void wb_cache_start_scrub(struct wb_cache *cache)
{
	if (cache->path.bare || cache->path.is_read_only) {
		answer_verb(cache, &cache->scrub_verb, cache->path.bare ? 0 :
			    wb_cache_refuse_verb(cache, "`wbfs check` verifies its cache"));
		return;
	}
	wb_lock_acquire(&cache->lock);
	cache->scrub_verb.asked++;
	wb_lock_release(&cache->lock);
	wb_cache_kick_writeback(cache);
}

static void begin_flush_verb(struct wb_cache *cache);

static void flush_verb_ended(struct wb_cache *cache, int error)
{
	bool again;

	wb_lock_acquire(&cache->lock);
	if (error)
		cache->flush_verb.failed++;
	else
		cache->flush_verb.done++;
	cache->flush_verb.answered_from++;
	again = cache->flush_verb.answered_from < cache->flush_verb.asked;
	cache->flush_verb.is_running = again;
	wb_lock_release(&cache->lock);
	if (again)
		begin_flush_verb(cache);
}

static void flush_verb_done(struct wb_request *request, int error)
{
	flush_verb_ended(request->pub.user, error);
}

static void begin_flush_verb(struct wb_cache *cache)
{
	cache->flush_request.path = &cache->path;
	wb_request_sync(&cache->flush_request, flush_verb_done, cache);
}

void wb_cache_start_flush(struct wb_cache *cache)
{
	bool begin;

	wb_lock_acquire(&cache->lock);
	cache->flush_verb.asked++;
	begin = !cache->flush_verb.is_running;
	cache->flush_verb.is_running = true;
	wb_lock_release(&cache->lock);
	if (begin)
		begin_flush_verb(cache);
}

void wb_cache_end_waits(struct wb_cache *cache)
{
	atomic_store(&cache->path.has_no_patience, true);
	if (cache->path.bare || cache->path.is_read_only)
		return;
	wb_cache_look_at_room(cache);
	wb_park_wake_all(&cache->space);
	wb_park_wake_all(&cache->extent_room);
	wb_cache_kick_writeback(cache);
}

/* --- the size of the image ---------------------------------------------------------- */

void wb_cache_on_growth_wanted(void *arg, uint64_t bytes)
{
	struct wb_cache *cache = arg;

	cache->config.growth.wanted(cache->config.growth.arg, bytes);
}

void wb_cache_on_growth_shown(void *arg, uint64_t bytes)
{
	struct wb_cache *cache = arg;

	if (cache->config.growth.shown)
		cache->config.growth.shown(cache->config.growth.arg, bytes);
}

void wb_cache_on_growth_ended(void *arg, int error)
{
	struct wb_cache *cache = arg;

	wb_lock_acquire(&cache->lock);
	if (error)
		cache->resize.failed++;
	else
		cache->resize.done++;
	wb_lock_release(&cache->lock);
}

void wb_cache_backing_grown(struct wb_cache *cache, const char *problem)
{
	wb_grow_backing_ready(cache->grow, problem);
}

static int refuse_resize(struct wb_cache *cache, const char *why)
{
	wb_message_set(&cache->message, "the image stays as it is: %s", why);
	return -EINVAL;
}

/* 0: it can be begun. */
static int check_resize(struct wb_cache *cache, uint64_t bytes)
{
	uint64_t now = wb_image_bytes(&cache->path.image);
	g_autofree char *why = NULL;

	if (cache->path.bare)
		return refuse_resize(cache, "without its cache it is as large as the backing, "
				     "from the next mount on");
	if (cache->path.is_read_only)
		return wb_cache_refuse_verb(cache, "the image keeps its size");
	if (!cache->config.growth.wanted)
		return refuse_resize(cache, "nobody can make the backing larger");
	if (!wb_geometry_is_backing_size(bytes) ||
	    bytes % cache->path.backing_store->alignment_bytes)
		why = g_strdup_printf("its size must be a multiple of %u bytes and at most 1 EiB, "
				      "not %" G_GUINT64_FORMAT,
				      cache->path.backing_store->alignment_bytes, bytes);
	else if (bytes < now)
		why = g_strdup_printf("it has %" G_GUINT64_FORMAT " bytes and is not made smaller: "
				      "what lies behind the new end, a partition or the end of a "
				      "file system, would be lost", now);
	return why ? refuse_resize(cache, why) : 0;
}

void wb_cache_start_resize(struct wb_cache *cache, uint64_t bytes)
{
	int error = check_resize(cache, bytes);

	if (error || bytes == wb_image_bytes(&cache->path.image)) {
		answer_verb(cache, &cache->resize, error);
		return;
	}
	wb_lock_acquire(&cache->lock);
	cache->resize.asked++;
	wb_lock_release(&cache->lock);
	if (wb_grow_begin(cache->grow, bytes))
		return;
	/* Another one is under way, or has ended meanwhile: then its size counts. */
	error = check_resize(cache, bytes);
	if (!error && bytes > wb_image_bytes(&cache->path.image))
		error = refuse_resize(cache, "it is being made larger already");
	wb_cache_on_growth_ended(cache, error);
}

/* --- the clock ------------------------------------------------------------------- */

/* From the last one on, not to a time that was set then: the interval may have
 * become shorter. */
static bool is_due(struct wb_cache *cache, uint32_t interval_s, uint64_t *last_ns)
{
	uint64_t now = wb_clock_now_ns(cache->config.clock);
	uint64_t interval_ns = interval_s * SECOND_NS;
	bool it_is;

	wb_lock_acquire(&cache->lock);
	it_is = interval_ns > 0 && now - *last_ns >= interval_ns;
	if (it_is)
		*last_ns = now;
	wb_lock_release(&cache->lock);
	return it_is;
}

/* In a mode that promises the backing writeback goes on from here. */
static void sync_in_background(struct wb_cache *cache)
{
	wb_flush_want(cache->path.flush, wb_log_last_sequence(cache->path.log));
	wb_backing_flush_want(cache->path.backing_flush);
}

void wb_cache_tick(struct wb_cache *cache)
{
	bool sync_is_due = is_due(cache, cache->sync_interval_s, &cache->last_sync_ns);

	if (cache->path.is_read_only)
		return;
	wb_cache_note_changes(cache);
	if (cache->path.bare) {
		if (sync_is_due)
			wb_backing_flush_want(cache->path.backing_flush);
		return;
	}
	wb_cache_update_rest(cache);
	if (sync_is_due)
		sync_in_background(cache);
	else
		wb_flush_run(cache->path.flush);	/* what was paused after an error */
	if (is_due(cache, cache->superblock_interval_s, &cache->last_recording_ns))
		wb_reclaim_want_recording(cache->reclaim);
	wb_cache_look_at_room(cache);
	/* Parked requests look again: the disks' state may have changed. */
	wb_park_wake_all(&cache->space);
	wb_park_wake_all(&cache->extent_room);
	wb_cache_kick_writeback(cache);
}
