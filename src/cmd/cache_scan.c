/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/cache_scan.h"

#include <inttypes.h>
#include <string.h>

#include "cache/cache.h"
#include "cache/repair.h"
#include "cmd/disk.h"
#include "cmd/identity.h"
#include "cmd/progress.h"
#include "cmd/report.h"

/* Lost, and not of a later version, which would know more than we do. */
static bool is_copy_lost(struct wb_store *store, unsigned copy)
{
	struct wb_superblock *decoded = g_new(struct wb_superblock, 1);
	void *block = g_aligned_alloc(1, WB_BLOCK_BYTES, WB_BLOCK_BYTES);
	enum wb_superblock_verdict verdict = WB_SUPERBLOCK_BAD_CRC;
	const char *field;

	if (!wb_store_read_sync(store, wb_superblock_offset(copy), block, WB_BLOCK_BYTES))
		verdict = wb_superblock_decode(block, store->size_bytes, decoded, &field);
	g_aligned_free(block);
	g_free(decoded);
	return verdict == WB_SUPERBLOCK_BAD_CRC || verdict == WB_SUPERBLOCK_ZEROS ||
	       verdict == WB_SUPERBLOCK_NO_MAGIC;
}

static bool are_both_lost(struct wb_store *store)
{
	return store->size_bytes >= WB_SUPERBLOCK_AREA_BYTES && is_copy_lost(store, 0) &&
	       is_copy_lost(store, 1);
}

/* That of a backing which was given up is no epoch of the cache, which could not
 * count on from there. */
static void take_epoch(struct wb_repair_facts *facts, const struct wb_identity *identity)
{
	if (identity->epoch == WB_EPOCH_GIVEN_UP)
		return;
	facts->epoch = identity->epoch;
	facts->is_complete = identity->epoch && !identity->is_dirty;
}

/* The backing is let go again: a rescue in place wants it alone. */
static bool ask_backing(struct wb_store *store, const struct wb_options *options,
			struct wb_repair_facts *facts, struct wb_superblock *superblock,
			GError **error)
{
	struct wb_disk backing = WB_DISK_NONE;
	struct wb_identity identity = { 0 };
	bool ok;

	*facts = (struct wb_repair_facts){
		.segment_bytes = (uint32_t)options->segment_size_bytes,
	};
	ok = wb_disk_open(&backing, "backing", options->backing_path, WB_DISK_READ_ONLY,
			  error) && wb_identity_read(&backing, &identity, error);
	if (ok && identity.kind == WB_MARK_NONE)
		ok = wb_fail(error, "backing %s carries no mark of a volume: it does not say what "
			     "the lost superblocks of cache %s did; nothing was changed",
			     backing.path, store->label);
	if (ok) {
		memcpy(facts->uuid, identity.uuid, sizeof facts->uuid);
		take_epoch(facts, &identity);
		facts->mark_kind = identity.kind;
		facts->backing_bytes = backing.size_bytes;
		facts->backing_path = backing.path;
		ok = wb_repair_guess_superblock(store, facts, superblock, error);
		facts->backing_path = NULL;	/* goes with the disk */
	}
	wb_identity_clear(&identity);
	wb_disk_close(&backing);
	return ok;
}

/* It may also be a copy of the backing from before the last writes. */
static void tell_all_written(const struct wb_recovery *recovery, const char *backing)
{
	struct wb_recovery_dirty dirty;

	wb_recovery_count_dirty(recovery, &dirty);
	wb_report_note("backing %s is marked as complete: the %" PRIu64 " blocks and %" PRIu64
		       " discards that the log of the cache still has are taken as written to it. "
		       "'wbfs rescue --force --output IMAGE' shows the image with them",
		       backing, dirty.dirty_blocks, dirty.extents);
}

static struct wb_recovery *scan_without_superblocks(struct wb_store *store,
		const struct wb_options *options, const struct wb_recovery_options *how,
		GError **error)
{
	struct wb_superblock *superblock = g_new(struct wb_superblock, 1);
	struct wb_recovery_options with = *how;
	struct wb_recovery *recovery = NULL;
	struct wb_repair_facts facts;

	with.superblock = superblock;
	if (ask_backing(store, options, &facts, superblock, error))
		recovery = wb_recovery_scan(store, &with, error);
	if (recovery && !options->force &&
	    wb_repair_is_all_written(&facts, recovery, superblock)) {
		tell_all_written(recovery, options->backing_path);
		wb_recovery_free(recovery);
		recovery = wb_recovery_scan(store, &with, error);
	}
	g_free(superblock);
	return recovery;
}

static struct wb_recovery *scan(struct wb_store *store, const struct wb_options *options,
				const struct wb_recovery_options *how, GError **error)
{
	GError *problem = NULL;
	struct wb_recovery *recovery = wb_recovery_scan(store, how, &problem);

	if (recovery)
		return recovery;
	if (g_error_matches(problem, WB_CACHE_ERROR, WB_CACHE_ERROR_STOPPED) ||
	    !are_both_lost(store)) {
		g_propagate_error(error, problem);
		return NULL;
	}
	if (!options->backing_path) {
		g_set_error(error, problem->domain, problem->code, "%s. If it held a cache, "
			    "--backing PATH finds its layout again from its records",
			    problem->message);
		g_error_free(problem);
		return NULL;
	}
	g_error_free(problem);
	return scan_without_superblocks(store, options, how, error);
}

/* --- how far it is ------------------------------------------------------------------ */

struct shown {
	struct wb_progress progress;
	enum wb_recovery_stage stage;
	bool is_begun;
};

static bool show(void *arg, enum wb_recovery_stage stage, uint64_t done_bytes,
		 uint64_t total_bytes)
{
	static const char *const labels[] = {
		[WB_RECOVERY_READING] = "reading the log",
		[WB_RECOVERY_VERIFYING] = "verifying the data",
	};
	struct shown *shown = arg;

	if (shown->is_begun && shown->stage != stage)
		wb_progress_end(&shown->progress);
	if (!shown->is_begun || shown->stage != stage)
		wb_progress_begin(&shown->progress, labels[stage]);
	shown->stage = stage;
	shown->is_begun = true;
	return wb_progress_update(&shown->progress, done_bytes, total_bytes);
}

struct wb_recovery *wb_cache_scan(struct wb_store *store, const struct wb_options *options,
				  const struct wb_recovery_options *how, GError **error)
{
	struct wb_recovery_options with = *how;
	struct shown shown = { 0 };
	struct wb_recovery *recovery;

	with.progress = show;
	with.progress_arg = &shown;
	recovery = scan(store, options, &with, error);
	if (shown.is_begun)
		wb_progress_end(&shown.progress);
	return recovery;
}
