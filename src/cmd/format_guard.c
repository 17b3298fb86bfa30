/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/format_guard.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "cache/recovery.h"
#include "cmd/report.h"
#include "cmd/volume.h"
#include "frontend/stats_json.h"

#define LOOKED_AT_BYTES (1u << 20)

enum content { CONTENT_ZEROS, CONTENT_CACHE, CONTENT_OTHER, CONTENT_UNREADABLE };

static bool has_our_magic(const uint8_t *first, size_t length)
{
	for (unsigned i = 0; i < WB_SUPERBLOCK_COUNT; i++)
		if (wb_superblock_offset(i) + WB_BLOCK_BYTES <= length &&
		    !memcmp(first + wb_superblock_offset(i), WB_SUPERBLOCK_MAGIC, 8))
			return true;
	return false;
}

static enum content look_at(struct wb_store *store)
{
	uint64_t length = MIN(store->size_bytes, LOOKED_AT_BYTES) & ~UINT64_C(4095);
	uint8_t *first = g_aligned_alloc0(1, LOOKED_AT_BYTES, 4096);
	enum content content = CONTENT_OTHER;

	if (length && wb_store_read_sync(store, 0, first, length))
		content = CONTENT_UNREADABLE;
	else if (has_our_magic(first, length))
		content = CONTENT_CACHE;
	else if (!first[0] && !memcmp(first, first + 1, LOOKED_AT_BYTES - 1))
		content = CONTENT_ZEROS;
	g_aligned_free(first);
	return content;
}

/* --- the cache --------------------------------------------------------------------- */

static bool guard_log(struct wb_store *cache_store, GError **error)
{
	g_autoptr(GError) problem = NULL;
	struct wb_recovery *recovery = wb_recovery_scan(cache_store, NULL, &problem);
	struct wb_recovery_dirty dirty;

	if (!recovery)
		return wb_fail(error, "%s is a cache that cannot be read, and may hold dirty "
			       "data: %s. --force overwrites it", cache_store->label,
			       problem->message);
	wb_recovery_count_dirty(recovery, &dirty);
	wb_recovery_free(recovery);
	if (!dirty.dirty_blocks && !dirty.extents)
		return true;
	return wb_fail(error, "%s is a cache with %" PRIu64 " dirty blocks and %" PRIu64
		       " discards that its backing does not have yet: mount it, 'wbfs drain' "
		       "and 'wbfs umount' it first; --force loses that data",
		       cache_store->label, dirty.dirty_blocks, dirty.extents);
}

bool wb_format_guard_cache(struct wb_store *cache_store, GError **error)
{
	switch (look_at(cache_store)) {
	case CONTENT_ZEROS:
		return true;
	case CONTENT_CACHE:
		return guard_log(cache_store, error);
	case CONTENT_OTHER:
		return wb_fail(error, "%s is not empty and is no cache: its first MiB holds "
			       "something else. --force overwrites it", cache_store->label);
	case CONTENT_UNREADABLE:
		return wb_fail(error, "%s cannot be read: its first MiB gives I/O errors",
			       cache_store->label);
	}
	g_assert_not_reached();
}

bool wb_format_guard_marked(const struct wb_disk *cache, GError **error)
{
	struct wb_identity identity = { 0 };
	bool is_marked;

	if (!wb_identity_read(cache, &identity, error))
		return false;
	is_marked = identity.kind != WB_MARK_NONE;
	wb_identity_clear(&identity);
	/* Its beginning may be zeros, because the data is still in its cache. */
	return !is_marked ||
	       wb_fail(error, "%s is marked as the backing of a volume. --force overwrites it",
		       cache->path);
}

/* --- the backing ----------------------------------------------------------------------- */

/* The volume that marked the backing: TRUE when its cache can be seen and
 * holds nothing that the backing lacks. */
static bool is_drained(const struct wb_identity *identity, struct wb_store *other,
		       GError **error)
{
	struct wb_superblock *superblock = g_new(struct wb_superblock, 1);
	bool is_its_cache = wb_volume_read_superblock(other, superblock);
	bool is_same = is_its_cache && !memcmp(superblock->uuid, identity->uuid, 16);
	bool is_old = is_same && superblock->epoch < identity->epoch;

	g_free(superblock);
	/* Formatted anew since, which was refused while it was dirty; or another
	 * cache lies there now, and the dirty one elsewhere. */
	if (is_its_cache && !is_same)
		return !identity->is_dirty ||
		       wb_fail(error, "%s is the cache of another volume now", other->label);
	if (is_old)
		return wb_fail(error, "%s is an older copy of it", other->label);
	if (!is_its_cache)
		return wb_fail(error, "%s holds no readable cache any more", other->label);
	return guard_log(other, error);
}

static bool check_other_cache(const struct wb_identity *identity, GError **error)
{
	struct wb_disk other = WB_DISK_NONE;
	struct wb_store *store = NULL;
	bool ok = wb_disk_open(&other, "cache", identity->cache_path, WB_DISK_READ_ONLY, error);

	/* A device's name may mean another device today. */
	if (ok && other.is_block_device)
		ok = wb_fail(error, "%s is a device, whose name may have changed", other.path);
	if (ok)
		store = wb_disk_open_store(&other, error);
	if (store)
		ok = is_drained(identity, store, error);
	ok = ok && store;
	wb_store_close(store);
	wb_disk_close(&other);
	return ok;
}

static bool is_path_of(const char *path, const struct wb_disk *disk)
{
	struct wb_disk other = { .fd = -1 };

	if (!path || stat(path, &other.st))
		return false;
	other.is_block_device = S_ISBLK(other.st.st_mode);
	return wb_disk_is_same(&other, disk);
}

/* That a file stands where the cache was proves nothing: the SSD with the real
 * one may just not be mounted. */
static bool is_other_drained(const struct wb_identity *identity, const struct wb_disk *cache,
			     struct wb_store *cache_store, GError **error)
{
	/* The backing says so itself, which stays true until that cache is mounted; of one
	 * that never was it says it without an epoch. */
	if ((identity->epoch || identity->complete_time_s) && !identity->is_dirty)
		return true;
	if (!identity->cache_path)
		return false;
	if (is_path_of(identity->cache_path, cache))
		return is_drained(identity, cache_store, error);
	return check_other_cache(identity, error);
}

static bool guard_mark(const struct wb_identity *identity, const struct wb_disk *backing,
		       const struct wb_disk *cache, struct wb_store *cache_store,
		       GError **error)
{
	g_autoptr(GError) problem = NULL;
	char uuid[WB_UUID_TEXT_BYTES];

	/* Given up: what the old cache has is of no use to anybody. */
	if (identity->kind == WB_MARK_NONE || identity->epoch == WB_EPOCH_GIVEN_UP ||
	    is_other_drained(identity, cache, cache_store, &problem))
		return true;
	wb_uuid_format(identity->uuid, uuid);
	return wb_fail(error, "backing %s belongs to volume %s, whose cache (%s) may hold data "
		       "that the backing lacks%s%s. Drain that volume first; --force takes "
		       "the backing as it is", backing->path, uuid,
		       identity->cache_path ? identity->cache_path : "unknown",
		       problem ? ": " : "", problem ? problem->message : "");
}

bool wb_format_guard_backing(const struct wb_disk *backing,
			     const struct wb_identity *identity,
			     const struct wb_disk *cache, struct wb_store *cache_store,
			     GError **error)
{
	g_autofree uint8_t *first = g_malloc0(LOOKED_AT_BYTES);
	ssize_t length = pread(backing->fd, first, LOOKED_AT_BYTES, 0);

	if (length < 0)
		return wb_fail_errno(error, "cannot read backing %s", backing->path);
	if (has_our_magic(first, (size_t)length))
		return wb_fail(error, "backing %s is a cache: were --cache and --backing "
			       "swapped? --force makes it a backing", backing->path);
	return guard_mark(identity, backing, cache, cache_store, error);
}
