/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Four questions, from the surest to the vaguest.
 *
 * 1. Is the cache older than the mark, or the mark older than the cache knows?
 *    Superblocks of an epoch are durable before the mark of it is written, and the
 *    next superblock says which mark was seen. So neither can be for a right pair.
 * 2. After a clean stop: size, time of the last change and a sample of the backing,
 *    taken when all of our writes were over and durable, are in the superblock.
 * 3. Clean copies in the log: at any time, also after a crash, the newest version
 *    of a block whose record lies before the tail equals the backing in the
 *    sectors of its mask. Proof. The tail passed it only after a flush of the
 *    backing that followed its writeback (a version that was superseded is not
 *    the newest: what superseded it was durable before the tail moved, hence is in
 *    the log that recovery sees, behind it). Whatever we write to these sectors
 *    later is a version, discard or loss with a newer entry, written back only
 *    after that entry was durable: recovery sees that one, and the older copy is
 *    not in the map. What goes around the cache has an entry that is durable before
 *    the backing is written, and kills the copies. Places are reused in the order
 *    of the ids and recovery goes back from the tail only while the chain is
 *    unbroken, so an older record is never seen without all newer ones. What a
 *    power cut tears is what was in flight: sectors of versions behind the tail.
 * 4. The mark says "complete", but the log has what looks dirty: after a drain the
 *    tail may not have been recorded, and `wbfs rescue --in-place` does not touch
 *    the cache. Then all of that is on the backing, by what "complete" means.
 */
#include "cache/backing_check.h"

#include <inttypes.h>
#include <string.h>

#include "base/checksum.h"
#include "cache/recovery_replay.h"

#define SAMPLE_BLOCKS 16u
#define SECOND_BLOCK 256u	/* 1 MiB: where most first partitions begin */
#define WHAT_BYTES WB_BACKING_WHAT_BYTES

/* --- reading ------------------------------------------------------------------------ */

/* What the image has of a block; a tail that is no multiple of the backing's
 * sectors cannot be, see check_backing() in cache_open.c. */
static uint32_t block_bytes(const struct wb_geometry *g, uint64_t block)
{
	return (uint32_t)MIN(WB_BLOCK_BYTES, g->backing_bytes - block * WB_BLOCK_BYTES);
}

/* Blocks of the image, in parallel; the end of a last block that is cut off reads
 * as zeros. errors[i] is 0 or -errno. */
static void read_backing(struct wb_store *backing, const struct wb_geometry *g,
			 const uint64_t *blocks, unsigned count, char *buffer, int *errors)
{
	uint64_t offsets[SAMPLE_BLOCKS];
	unsigned whole[SAMPLE_BLOCKS], whole_count = 0;
	int whole_errors[SAMPLE_BLOCKS];
	char *dense = g_aligned_alloc(SAMPLE_BLOCKS, WB_BLOCK_BYTES, WB_BLOCK_BYTES);

	memset(buffer, 0, (size_t)count * WB_BLOCK_BYTES);
	for (unsigned i = 0; i < count; i++) {
		uint64_t offset = blocks[i] * WB_BLOCK_BYTES;

		if (block_bytes(g, blocks[i]) < WB_BLOCK_BYTES) {
			errors[i] = wb_store_read_sync(backing, offset,
						       buffer + i * WB_BLOCK_BYTES,
						       block_bytes(g, blocks[i]));
			continue;
		}
		offsets[whole_count] = offset;
		whole[whole_count++] = i;
	}
	wb_store_read_many_sync(backing, offsets, whole_count, WB_BLOCK_BYTES, dense,
				whole_errors, SAMPLE_BLOCKS);
	for (unsigned i = 0; i < whole_count; i++) {
		errors[whole[i]] = whole_errors[i];
		memcpy(buffer + whole[i] * WB_BLOCK_BYTES, dense + i * WB_BLOCK_BYTES,
		       WB_BLOCK_BYTES);
	}
	g_aligned_free(dense);
}

/* --- the sample of a clean stop --------------------------------------------------------- */

/* SplitMix64 (Steele, Lea and Flood, 2014). */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static uint64_t begin_random(const struct wb_superblock *superblock)
{
	uint64_t half[2] = { 0, 0 };

	for (unsigned i = 0; i < 16; i++)
		half[i / 8] |= (uint64_t)superblock->uuid[i] << i % 8 * 8;
	return half[0] ^ half[1] ^ superblock->epoch;
}

static void choose_blocks(const struct wb_superblock *superblock, uint64_t *blocks)
{
	uint64_t random = begin_random(superblock);
	uint64_t count = superblock->geometry.backing_blocks;

	blocks[0] = 0;
	blocks[1] = MIN(SECOND_BLOCK, count - 1);
	blocks[2] = count - 1;
	for (unsigned i = 3; i < SAMPLE_BLOCKS; i++)
		blocks[i] = next_random(&random) % count;
}

/* FALSE: not all of it can be read, and a part says nothing. */
static bool take_sample(struct wb_store *backing, const struct wb_superblock *superblock,
			uint32_t *crc)
{
	char *buffer = g_aligned_alloc(SAMPLE_BLOCKS, WB_BLOCK_BYTES, WB_BLOCK_BYTES);
	uint64_t blocks[SAMPLE_BLOCKS];
	int errors[SAMPLE_BLOCKS] = { 0 };
	bool ok = true;

	choose_blocks(superblock, blocks);
	read_backing(backing, &superblock->geometry, blocks, SAMPLE_BLOCKS, buffer, errors);
	for (unsigned i = 0; i < SAMPLE_BLOCKS; i++)
		ok = ok && !errors[i];
	*crc = wb_crc32c(buffer, (size_t)SAMPLE_BLOCKS * WB_BLOCK_BYTES);
	g_aligned_free(buffer);
	return ok;
}

static struct wb_backing_facts get_facts(const struct wb_cache_config *config)
{
	struct wb_backing_facts facts = { 0 };

	if (!config->watch.describe || !config->watch.describe(config->watch.arg, &facts))
		facts = (struct wb_backing_facts){ 0 };
	return facts;
}

struct wb_backing_look wb_backing_describe(const struct wb_cache_config *config,
					   const struct wb_superblock *superblock,
					   uint64_t dirty_left)
{
	struct wb_backing_facts facts = get_facts(config);
	struct wb_backing_look look = { .bytes = facts.size_bytes, .mtime_ns = facts.mtime_ns,
					.dirty_left = dirty_left };

	if (config->watch.describe &&
	    take_sample(config->backing_store, superblock, &look.sample_crc))
		look.sample_kind = WB_BACKING_SAMPLE_CRC32C;
	else
		look.sample_crc = 0;
	return look;
}

bool wb_backing_look_differs(struct wb_store *backing, const struct wb_superblock *superblock,
			     const struct wb_backing_facts *facts, char what[WHAT_BYTES])
{
	const struct wb_backing_look *then = &superblock->backing_look;
	uint32_t crc;

	if (then->bytes && facts->size_bytes && then->bytes != facts->size_bytes)
		return g_snprintf(what, WHAT_BYTES, "its size was %" PRIu64 " bytes at the last "
				  "clean stop and is %" PRIu64, then->bytes, facts->size_bytes);
	if (then->mtime_ns && facts->mtime_ns && then->mtime_ns != facts->mtime_ns)
		return g_snprintf(what, WHAT_BYTES, "it was written to %s the last clean stop "
				  "(the times of its last change are %" PRIu64 " s apart)",
				  facts->mtime_ns > then->mtime_ns ? "after" : "before",
				  (facts->mtime_ns > then->mtime_ns ?
					   facts->mtime_ns - then->mtime_ns :
					   then->mtime_ns - facts->mtime_ns) / 1000000000);
	if (then->sample_kind == WB_BACKING_SAMPLE_CRC32C &&
	    take_sample(backing, superblock, &crc) && crc != then->sample_crc)
		return g_snprintf(what, WHAT_BYTES, "its contents are not those of the last clean "
				  "stop, in a sample of %u blocks", SAMPLE_BLOCKS);
	return false;
}

/* --- copies in the log --------------------------------------------------------------------- */

struct copies {
	unsigned count;
	struct wb_mapping mapping[SAMPLE_BLOCKS];
	uint64_t offsets[SAMPLE_BLOCKS];	/* on the cache */
	uint64_t blocks[SAMPLE_BLOCKS];
};

/* One of each stretch of the ring, so that a large cache is not read through. */
static void choose_copies(const struct wb_backing_check *check, enum wb_slot_state state,
			  struct copies *copies)
{
	const struct wb_geometry *g = &check->recovery->superblock.geometry;
	uint64_t random = begin_random(&check->recovery->superblock);

	copies->count = 0;
	for (unsigned i = 0; i < SAMPLE_BLOCKS; i++) {
		uint64_t first = (uint64_t)g->slot_count * i / SAMPLE_BLOCKS;
		uint64_t length = (uint64_t)g->slot_count * (i + 1) / SAMPLE_BLOCKS - first;
		uint64_t skip = length ? next_random(&random) % length : 0;

		for (uint64_t k = 0; k < length; k++) {
			struct wb_mapping *m = &copies->mapping[copies->count];
			uint32_t slot = (uint32_t)(first + (skip + k) % length);

			wb_block_map_peek(check->map, slot, m);
			if (m->state != state || m->address >= g->backing_blocks)
				continue;
			copies->offsets[copies->count] = wb_geometry_slot_offset(g, slot);
			copies->blocks[copies->count++] = m->address;
			break;
		}
	}
}

static bool sectors_differ(const char *a, const char *b, uint8_t mask)
{
	for (unsigned i = 0; i < WB_SECTORS_PER_BLOCK; i++)
		if (mask & 1u << i && memcmp(a + i * WB_SECTOR_BYTES, b + i * WB_SECTOR_BYTES,
					     WB_SECTOR_BYTES))
			return true;
	return false;
}

/* What cannot be read, or has rotted, is no evidence. */
static bool copies_differ(const struct wb_backing_check *check, enum wb_slot_state state,
			  char what[WHAT_BYTES])
{
	const struct wb_geometry *g = &check->recovery->superblock.geometry;
	char *ours = g_aligned_alloc(2 * SAMPLE_BLOCKS, WB_BLOCK_BYTES, WB_BLOCK_BYTES);
	char *theirs = ours + SAMPLE_BLOCKS * WB_BLOCK_BYTES;
	int our_errors[SAMPLE_BLOCKS] = { 0 }, their_errors[SAMPLE_BLOCKS] = { 0 };
	unsigned differing = 0, compared = 0;
	struct copies copies;

	choose_copies(check, state, &copies);
	wb_store_read_many_sync(check->config->cache_store, copies.offsets, copies.count,
				WB_BLOCK_BYTES, ours, our_errors, SAMPLE_BLOCKS);
	read_backing(check->config->backing_store, g, copies.blocks, copies.count, theirs,
		     their_errors);
	for (unsigned i = 0; i < copies.count; i++) {
		const char *mine = ours + i * WB_BLOCK_BYTES;

		if (our_errors[i] || their_errors[i] ||
		    wb_crc32c(mine, WB_BLOCK_BYTES) !=
			    wb_block_map_crc(check->map, copies.mapping[i].slot))
			continue;
		compared++;
		differing += sectors_differ(mine, theirs + i * WB_BLOCK_BYTES,
					    copies.mapping[i].mask);
	}
	g_aligned_free(ours);
	return differing && g_snprintf(what, WHAT_BYTES, "%u of %u %s blocks that were looked at "
				       "differ from their copies in the cache", differing,
				       compared, state == WB_SLOT_CLEAN ? "unchanged" :
								    "written back");
}

/* --- judgement ------------------------------------------------------------------------------ */

static bool is_changed(const struct wb_backing_check *check, char what[WHAT_BYTES])
{
	const struct wb_backing_watch *watch = &check->config->watch;
	struct wb_backing_facts facts = get_facts(check->config);

	if (watch->mark_is_complete && check->dirty_count > 0) {
		/* Somebody completed it, perhaps after the clean stop. */
		if (facts.mtime_ns &&
		    facts.mtime_ns / 1000000000 > (uint64_t)watch->mark_time_s)
			return g_snprintf(what, WHAT_BYTES, "its mark says that it was complete "
					  "without the cache, and it was written to after that");
		return copies_differ(check, WB_SLOT_DIRTY, what) ||
		       copies_differ(check, WB_SLOT_CLEAN, what);
	}
	return (check->recovery->was_clean && !watch->is_rescued &&
		wb_backing_look_differs(check->config->backing_store,
					&check->recovery->superblock, &facts, what)) ||
	       copies_differ(check, WB_SLOT_CLEAN, what);
}

static bool is_other_time(const struct wb_backing_check *check, char what[WHAT_BYTES])
{
	uint64_t mark = check->config->watch.mark_epoch;

	return mark && mark < check->recovery->superblock.mark_epoch &&
	       g_snprintf(what, WHAT_BYTES, "it is an older copy: its mark is of epoch %" PRIu64
			  ", the cache has seen %" PRIu64, mark,
			  check->recovery->superblock.mark_epoch);
}

static gboolean refuse_old_cache(const struct wb_backing_check *check, GError **error)
{
	g_set_error(error, WB_CACHE_ERROR, WB_CACHE_ERROR_CHANGED,
		    "cache %s is an older copy: it ends at epoch %" PRIu64 ", but backing %s "
		    "was mounted with the right one at epoch %" PRIu64 ". Give the newest cache "
		    "of this volume; if there is none, --force goes on with this one and loses "
		    "what was written since. Nothing was changed",
		    check->config->cache_store->label, check->recovery->highest_epoch,
		    check->config->backing_store->label, check->config->watch.mark_epoch);
	return FALSE;
}

/* What --force would lay over it, which goes by the log: see read_checkpoint() in
 * cache_open.c. */
static uint64_t count_forced(const struct wb_backing_check *check)
{
	struct wb_recovery *recovery = check->recovery->has_checkpoint ?
		wb_recovery_scan(check->config->cache_store, NULL, NULL) : NULL;
	struct wb_replay *replay;
	uint64_t count;

	if (!recovery)
		return check->dirty_count;
	replay = wb_replay_new(recovery);
	count = (uint64_t)replay->blocks->len + replay->extents->len;
	wb_replay_free(replay);
	wb_recovery_free(recovery);
	return count;
}

static gboolean refuse_changed(const struct wb_backing_check *check, const char *what,
			       GError **error)
{
	g_set_error(error, WB_CACHE_ERROR, WB_CACHE_ERROR_CHANGED,
		    "backing %s was changed without cache %s, or is not the one that belongs to "
		    "it: %s. The cache holds %" PRIu64 " dirty blocks and ranges, which do not "
		    "fit it any more. Give the right backing; or save them with "
		    "'wbfs rescue %s --output IMAGE'; or mount with --force, which lays them "
		    "over this backing; or, if this backing is complete, format the cache anew. "
		    "Nothing was changed", check->config->backing_store->label,
		    check->config->cache_store->label, what, count_forced(check),
		    check->config->cache_store->label);
	return FALSE;
}

gboolean wb_backing_check(struct wb_backing_check *check, GError **error)
{
	const struct wb_backing_watch *watch = &check->config->watch;
	bool is_old = watch->mark_epoch > check->recovery->highest_epoch;
	char what[WHAT_BYTES] = "";

	if (!watch->describe)
		return TRUE;
	if (is_old && !watch->is_forced)
		return refuse_old_cache(check, error);
	if (is_old)
		g_strlcpy(what, "the cache is an older copy", sizeof what);
	else if (!is_other_time(check, what) && !is_changed(check, what) && !watch->is_forced)
		return TRUE;
	if (check->dirty_count > 0 && !watch->is_forced)
		return refuse_changed(check, what, error);
	check->drops_clean = true;
	if (*what)
		check->note = g_strdup_printf(
			"backing %s was changed without cache %s: %s. %s, and all clean copies "
			"in the cache were dropped", check->config->backing_store->label,
			check->config->cache_store->label, what, watch->is_forced ?
			"It was attached all the same (--force)" : "Nothing was dirty");
	return TRUE;
}
