/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Opening the backing alone: a cache without a cache. */
#include "cache/cache_private.h"

#include <string.h>

static gboolean check_size(const struct wb_store *backing, GError **error)
{
	/* A byte of it that is in no sector could not be reached. */
	if (backing->size_bytes > 0 && backing->size_bytes % backing->alignment_bytes == 0)
		return TRUE;
	g_set_error(error, WB_CACHE_ERROR, WB_CACHE_ERROR_MISMATCH,
		    "backing %s: %" G_GUINT64_FORMAT " bytes are no image: a multiple of %u, "
		    "more than 0, is needed", backing->label, backing->size_bytes,
		    backing->alignment_bytes);
	return FALSE;
}

static void make_path(struct wb_cache *cache, enum wb_bare_access access)
{
	struct wb_data_path *path = &cache->path;
	struct wb_store *backing = cache->config.backing_store;

	atomic_store(&path->image.bytes, backing->size_bytes);
	path->backing_store = backing;
	path->is_read_only = access == WB_BARE_READ_ONLY;
	path->clock = cache->config.clock;
	path->stats = &cache->stats;
	path->message = &cache->message;
	cache->executor = wb_executor_new("wb-request", cache->config.worker_mode, 2);
	path->executor = cache->executor;
	path->bare = wb_bare_new(&cache->stats, cache->executor);
	path->backing_flush = wb_backing_flush_new(&(struct wb_backing_flush_deps){
		.store = backing, .stats = &cache->stats, .message = &cache->message,
		.failure = WB_FLUSH_FAILURE_IS_FINAL,
	});
	/* What a killed process wrote may still be in the disk's cache. */
	if (access == WB_BARE_READ_WRITE)
		wb_backing_flush_note_change(path->backing_flush, 0);
}

struct wb_cache *wb_cache_open_bare(const struct wb_cache_config *config,
				    enum wb_bare_access access, const uint8_t uuid[16],
				    GError **error)
{
	struct wb_cache *cache;

	if (!check_size(config->backing_store, error))
		return NULL;
	cache = wb_cache_new(config);
	cache->config.cache_store = NULL;
	memcpy(cache->uuid, uuid, sizeof cache->uuid);
	make_path(cache, access);
	wb_cache_set_tunables(cache, &config->tunables);
	if (wb_cache_make_requests(cache, WB_BARE_BOUNCE_BYTES, error)) {
		wb_message_note(&cache->message, "opened without a cache%s",
				access == WB_BARE_READ_ONLY ? ", read only" : "");
		return cache;
	}
	wb_cache_free(cache);
	return NULL;
}
