/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/volume.h"

#include <inttypes.h>
#include <string.h>

#include "cache/cache.h"
#include "cache/recovery.h"
#include "cmd/report.h"
#include "frontend/stats_json.h"

bool wb_volume_refuse_same(const char *cache_path, const char *backing_path, GError **error)
{
	struct wb_disk cache = WB_DISK_NONE, backing = WB_DISK_NONE;

	if (stat(cache_path, &cache.st) || stat(backing_path, &backing.st))
		return true;
	cache.is_block_device = S_ISBLK(cache.st.st_mode);
	backing.is_block_device = S_ISBLK(backing.st.st_mode);
	if (!wb_disk_is_same(&cache, &backing))
		return true;
	return wb_fail(error, "cache and backing are the same: %s and %s", cache_path,
		       backing_path);
}

bool wb_volume_open(struct wb_volume *volume, const char *cache_path,
		    const char *backing_path, enum wb_disk_access access, GError **error)
{
	*volume = (struct wb_volume)WB_VOLUME_NONE;
	return wb_volume_refuse_same(cache_path, backing_path, error) &&
	       wb_disk_open(&volume->cache, "cache", cache_path, access, error) &&
	       wb_disk_open(&volume->backing, "backing", backing_path, access, error);
}

void wb_volume_close(struct wb_volume *volume)
{
	wb_disk_close(&volume->cache);
	wb_disk_close(&volume->backing);
}

/* What cannot be read is taken for torn. */
static enum wb_superblock_verdict read_copy(struct wb_store *cache_store, unsigned copy,
					    struct wb_superblock *superblock)
{
	void *block = g_aligned_alloc(1, sizeof(struct wb_superblock_disk), WB_BLOCK_BYTES);
	uint64_t offset = wb_superblock_offset(copy);
	enum wb_superblock_verdict verdict = WB_SUPERBLOCK_BAD_CRC;
	const char *field;

	if (offset + WB_BLOCK_BYTES <= cache_store->size_bytes &&
	    !wb_store_read_sync(cache_store, offset, block, WB_BLOCK_BYTES))
		verdict = wb_superblock_decode(block, cache_store->size_bytes, superblock, &field);
	g_aligned_free(block);
	return verdict;
}

bool wb_volume_read_superblock(struct wb_store *cache_store,
			       struct wb_superblock *superblock)
{
	struct wb_superblock *copy = g_new(struct wb_superblock, 1);
	bool found = false;

	for (unsigned i = 0; i < WB_SUPERBLOCK_COUNT; i++) {
		if (read_copy(cache_store, i, copy) != WB_SUPERBLOCK_VALID)
			continue;
		if (!found || copy->generation > superblock->generation)
			*superblock = *copy;
		found = true;
	}
	g_free(copy);
	return found;
}

bool wb_volume_is_of_later_version(struct wb_store *cache_store)
{
	struct wb_superblock *copy = g_new(struct wb_superblock, 1);
	bool is_later = false;

	for (unsigned i = 0; i < WB_SUPERBLOCK_COUNT; i++)
		is_later |= read_copy(cache_store, i, copy) == WB_SUPERBLOCK_TOO_NEW;
	g_free(copy);
	return is_later;
}

bool wb_volume_find_superblock(struct wb_store *cache_store, struct wb_superblock *superblock,
			       GError **error)
{
	struct wb_recovery *recovery;

	if (!wb_volume_is_of_later_version(cache_store) &&
	    wb_volume_read_superblock(cache_store, superblock))
		return true;
	recovery = wb_recovery_scan(cache_store, NULL, error);
	if (!recovery)
		return false;
	*superblock = recovery->superblock;
	wb_recovery_free(recovery);
	return true;
}

static bool refuse_unmarked(const struct wb_volume *volume,
			    const struct wb_superblock *superblock, const char *wanted,
			    GError **error)
{
	return wb_fail(error,
		       "backing %s carries no mark of a volume, but cache %s belongs to the "
		       "backing marked %s (it was %s, marked %s). Give that backing; if this "
		       "is it and the mark was lost in a copy, restore the mark, as described "
		       "in wbfs(1), FILES, or use --force",
		       volume->backing.path, volume->cache.path, wanted,
		       superblock->backing_path,
		       wb_identity_kind_text(superblock->backing_mark_kind));
}

static bool check_mark(const struct wb_volume *volume, const struct wb_superblock *superblock,
		       const struct wb_identity *identity, enum wb_pair_trust trust,
		       GError **error)
{
	char wanted[WB_UUID_TEXT_BYTES], found[WB_UUID_TEXT_BYTES];

	wb_uuid_format(superblock->backing_mark, wanted);
	if (identity->kind == WB_MARK_NONE)
		return trust == WB_PAIR_FORCED ||
		       refuse_unmarked(volume, superblock, wanted, error);
	if (!memcmp(identity->uuid, superblock->backing_mark, 16))
		return true;
	wb_uuid_format(identity->uuid, found);
	return wb_fail(error,
		       "cache %s belongs to the backing marked %s (it was %s), but backing %s "
		       "is marked %s (its cache was %s). Give the pair that belongs together; "
		       "nothing was changed",
		       volume->cache.path, wanted, superblock->backing_path,
		       volume->backing.path, found,
		       identity->cache_path ? identity->cache_path : "not noted");
}

static bool check_given_up(const struct wb_volume *volume, const struct wb_identity *identity,
			   GError **error)
{
	if (identity->epoch != WB_EPOCH_GIVEN_UP)
		return true;
	return wb_fail(error,
		       "cache %s was given up: backing %s has been written to without it "
		       "('wbfs mount --without-cache --force'), and the cache would write "
		       "older data over newer. 'wbfs format' makes a new cache for this "
		       "backing; nothing was changed", volume->cache.path,
		       volume->backing.path);
}

bool wb_volume_check_pair(const struct wb_volume *volume,
			  const struct wb_superblock *superblock, enum wb_pair_trust trust,
			  struct wb_identity *mark, GError **error)
{
	uint64_t wanted = superblock->geometry.backing_bytes;
	struct wb_identity identity;
	bool ok;

	if (!wb_cache_is_attached(volume->cache.path, superblock, error))
		return false;
	if (volume->backing.size_bytes < wanted)
		return wb_fail(error,
			       "backing %s has %" PRIu64 " bytes, but cache %s was formatted "
			       "for %" PRIu64 ": it is another backing, or it was cut off. "
			       "Nothing was changed", volume->backing.path,
			       volume->backing.size_bytes, volume->cache.path, wanted);
	if (!wb_identity_read(&volume->backing, &identity, error))
		return false;
	ok = check_mark(volume, superblock, &identity, trust, error) &&
	     check_given_up(volume, &identity, error);
	memcpy(identity.uuid, superblock->backing_mark, sizeof identity.uuid);
	if (mark && ok)
		*mark = identity;
	else
		wb_identity_clear(&identity);
	return ok;
}
