/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The memory that outlives the process, and opening with what is in it. */
#include "cache/cache_private.h"

#include <string.h>

#include "cache/left_records.h"
#include "cache/recovery.h"
#include "cache/takeover.h"

size_t wb_cache_memory_bytes(uint64_t ram_buffer_bytes, uint32_t segment_bytes,
			     unsigned request_count)
{
	struct wb_region_shape shape = {
		.buffer_count = (uint32_t)((ram_buffer_bytes ? ram_buffer_bytes :
					    WB_RAM_BUFFER_BYTES_DEFAULT) / segment_bytes) +
				WB_RAMBUF_SPARE_COUNT,
		.segment_bytes = segment_bytes,
		.request_count = MAX(request_count, 1),
	};

	return wb_region_bytes(&shape);
}

enum wb_cache_memory_state wb_cache_memory_look(const struct wb_cache_memory *memory,
						uint32_t *version)
{
	if (!memory->is_left)
		return WB_CACHE_MEMORY_EMPTY;
	return wb_region_look(memory->base, memory->bytes, version);
}

bool wb_cache_memory_owes_flush(const struct wb_cache_memory *memory)
{
	struct wb_region *region;
	bool owes;

	if (wb_cache_memory_look(memory, NULL) != WB_CACHE_MEMORY_HOLDS)
		return false;
	region = wb_region_adopt(memory->base, memory->bytes);
	owes = wb_region_has_debt(region, WB_OWES_FLUSH);
	wb_region_free(region);
	return owes;
}

static gboolean refuse_memory(const struct wb_cache_config *config, const char *why,
			      GError **error)
{
	g_set_error(error, WB_CACHE_ERROR, WB_CACHE_ERROR_MISMATCH,
		    "cache %s: it does not fit the memory of the process before, which %s; nothing "
		    "was changed",
		    config->cache_store->label, why);
	return FALSE;
}

static gboolean take_over(struct wb_takeover *takeover, const struct wb_cache_config *config,
			  GError **error)
{
	const struct wb_superblock *superblock = &takeover->recovery->superblock;
	struct wb_region_head head;

	wb_region_get_head(takeover->region, &head);
	if (memcmp(head.uuid, superblock->uuid, sizeof head.uuid) != 0)
		return refuse_memory(config, "is of another volume", error);
	if (wb_region_get_shape(takeover->region).segment_bytes !=
	    superblock->geometry.segment_bytes)
		return refuse_memory(config, "has buffers of another size", error);
	if (!wb_cache_is_attached(config->cache_store->label, superblock, error) ||
	    !wb_recovery_check_features(config->cache_store->label, superblock, error))
		return FALSE;
	/* Before any record is durable that a request had not come to the end of. */
	wb_left_records_settle(takeover->region);
	if (!wb_takeover_write_log(takeover, error))
		return FALSE;
	wb_region_leave_requests(takeover->region);
	return TRUE;
}

/* What it died of does not matter: the log on the SSD is whole afterwards, and the memory
 * has nothing that is not there. FALSE and an error, or without one: *is_clean, it died
 * between the last word of a clean stop and the end, with nothing to be taken over. */
static gboolean complete_log(struct wb_takeover *takeover, const struct wb_cache_config *config,
			     bool *is_clean, GError **error)
{
	struct wb_recovery_options options = { 0 };
	struct wb_region_head head;

	*takeover = (struct wb_takeover){
		.store = config->cache_store,
		.region = wb_region_adopt(config->memory.base, config->memory.bytes),
	};
	wb_region_get_head(takeover->region, &head);
	options.ends_at = &head.durable;
	takeover->recovery = wb_recovery_scan(config->cache_store, &options, error);
	*is_clean = takeover->recovery && takeover->recovery->was_clean;
	if (takeover->recovery && !*is_clean && take_over(takeover, config, error))
		return TRUE;
	if (takeover->recovery)
		wb_recovery_free(takeover->recovery);
	return FALSE;
}

static struct wb_cache *open_left(const struct wb_cache_config *config, GError **error)
{
	struct wb_takeover takeover;
	struct wb_cache *cache = NULL;
	bool is_clean, is_odd;

	if (complete_log(&takeover, config, &is_clean, error))
		cache = wb_cache_open_from(config, &takeover, takeover.recovery, &is_odd, error);
	if (is_clean)
		wb_region_end(takeover.region);
	wb_region_free(takeover.region);
	return is_clean ? wb_cache_open_alone(config, error) : cache;
}

gboolean wb_cache_save_memory(const struct wb_cache_config *config, GError **error)
{
	struct wb_takeover takeover;
	bool is_clean;
	gboolean ok;

	switch (wb_cache_memory_look(&config->memory, NULL)) {
	case WB_CACHE_MEMORY_EMPTY:
		return TRUE;
	case WB_CACHE_MEMORY_UNKNOWN:
		return refuse_memory(config, "was laid out by another version of wbfs", error);
	case WB_CACHE_MEMORY_HOLDS:
		ok = complete_log(&takeover, config, &is_clean, error);
		if (ok)
			wb_recovery_free(takeover.recovery);
		wb_region_free(takeover.region);
		return ok || is_clean;
	}
	g_assert_not_reached();
}

struct wb_cache *wb_cache_open_memory(const struct wb_cache_config *config, GError **error)
{
	switch (wb_cache_memory_look(&config->memory, NULL)) {
	case WB_CACHE_MEMORY_EMPTY:
		/* At once: a death in the middle must not make it count. */
		if (!config->memory.is_left)
			wb_region_clear(config->memory.base, config->memory.bytes);
		return wb_cache_open_alone(config, error);
	case WB_CACHE_MEMORY_HOLDS:
		return open_left(config, error);
	case WB_CACHE_MEMORY_UNKNOWN:
		refuse_memory(config, "was laid out by another version of wbfs", error);
		return NULL;
	}
	g_assert_not_reached();
}
