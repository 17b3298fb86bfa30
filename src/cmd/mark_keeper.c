/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/mark_keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/report.h"

int64_t wb_mark_complete_time(const struct wb_disk *backing)
{
	int64_t now = g_get_real_time() / G_USEC_PER_SEC;
	struct stat st;

	if (!wb_disk_is_file(backing) || fstat(backing->fd, &st))
		return now;
	return MAX(now, (int64_t)st.st_mtim.tv_sec);
}

bool wb_mark_keeper_init(struct wb_mark_keeper *keeper, const struct wb_disk *backing,
			 struct wb_identity *mark, GError **error)
{
	if (!wb_disk_duplicate(backing, &keeper->backing, error))
		return false;
	keeper->mark = *mark;
	*mark = (struct wb_identity){ 0 };
	return true;
}

void wb_mark_keeper_clear(struct wb_mark_keeper *keeper)
{
	wb_disk_close(&keeper->backing);
	wb_identity_clear(&keeper->mark);
}

/* --- what the cache asks ------------------------------------------------------------ */

/* The time of the last change is made durable first: after a power cut an older
 * one would look like a backing from a backup. Who only reads keeps no book of it. */
static bool describe(void *arg, struct wb_backing_facts *facts)
{
	struct wb_mark_keeper *keeper = arg;
	struct stat st;

	/* (a device may have been made larger since) */
	if (keeper->backing.is_block_device && !wb_disk_refresh(&keeper->backing, NULL))
		return false;
	*facts = (struct wb_backing_facts){ .size_bytes = keeper->backing.size_bytes };
	if (keeper->store)
		facts->size_bytes = keeper->store->size_bytes;
	if (!wb_disk_is_file(&keeper->backing))
		return true;
	if ((keeper->backing.access == WB_DISK_READ_WRITE && fsync(keeper->backing.fd)) ||
	    fstat(keeper->backing.fd, &st))
		return false;
	facts->size_bytes = (uint64_t)st.st_size;
	if (st.st_mtim.tv_sec > 0)
		facts->mtime_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000 +
				  (uint64_t)st.st_mtim.tv_nsec;
	return true;
}

static void mark_wanted(void *arg)
{
	struct wb_mark_keeper *keeper = arg;

	atomic_store(&keeper->is_due, true);
	g_main_context_wakeup(NULL);
}

static void stopped(void *arg, bool is_complete)
{
	struct wb_mark_keeper *keeper = arg;

	keeper->is_complete = is_complete;
}

void wb_mark_keeper_fill_watch(struct wb_mark_keeper *keeper, struct wb_backing_watch *watch)
{
	watch->describe = describe;
	watch->mark_wanted = mark_wanted;
	watch->stopped = stopped;
	watch->arg = keeper;
	watch->mark_epoch = keeper->mark.epoch;
	watch->mark_is_complete = keeper->mark.epoch && !keeper->mark.is_dirty;
	watch->mark_time_s = keeper->mark.complete_time_s;
	watch->is_rescued = keeper->mark.is_rescued;
}

/* --- writing ------------------------------------------------------------------------- */

static uint64_t epoch_of(struct wb_cache *cache)
{
	struct wb_stats_snapshot stats;

	wb_cache_get_stats(cache, &stats);
	return stats.epoch;
}

/* While the mark says "complete" that time is now; it stays when the first change
 * comes. */
static bool write_mark(struct wb_mark_keeper *keeper, bool is_dirty, GError **error)
{
	bool was_complete = keeper->mark.epoch == keeper->epoch && !keeper->mark.is_dirty;

	if (!is_dirty || was_complete)
		keeper->mark.complete_time_s = wb_mark_complete_time(&keeper->backing);
	keeper->mark.epoch = keeper->epoch;
	keeper->mark.is_dirty = is_dirty;
	keeper->mark.is_rescued = false;
	return wb_identity_write(&keeper->backing, &keeper->mark, error);
}

/* `written` wants a number; which one it was is in the messages. */
static bool obey(struct wb_mark_keeper *keeper, enum wb_mark_wish wish, GError **error)
{
	bool ok;

	errno = 0;
	ok = write_mark(keeper, wish == WB_MARK_WISH_DIRTY, error);
	wb_cache_mark_written(keeper->cache, wish, ok ? 0 : errno ? -errno : -EIO);
	return ok;
}

bool wb_mark_keeper_note_rescue(struct wb_mark_keeper *keeper, GError **error)
{
	keeper->mark.is_rescued = true;
	keeper->mark.is_dirty = true;
	return wb_identity_write(&keeper->backing, &keeper->mark, error);
}

bool wb_mark_keeper_start(struct wb_mark_keeper *keeper, struct wb_cache *cache,
			  const char *cache_path, GError **error)
{
	enum wb_mark_wish wish;

	keeper->cache = cache;
	keeper->epoch = epoch_of(cache);
	g_free(keeper->mark.cache_path);
	keeper->mark.cache_path = g_strdup(cache_path);
	atomic_store(&keeper->is_due, false);
	wish = wb_cache_mark_wish(cache);
	/* NONE: taken over from a worker that has written it. */
	return wish == WB_MARK_WISH_NONE || obey(keeper, wish, error);
}

void wb_mark_keeper_run(struct wb_mark_keeper *keeper)
{
	g_autoptr(GError) error = NULL;
	enum wb_mark_wish wish;

	if (!keeper->cache || !atomic_exchange(&keeper->is_due, false))
		return;
	keeper->epoch = epoch_of(keeper->cache);
	wish = wb_cache_mark_wish(keeper->cache);
	if (wish == WB_MARK_WISH_NONE)
		return;
	if (obey(keeper, wish, &error)) {
		keeper->has_failed = false;
		return;
	}
	if (!keeper->has_failed)
		g_warning("backing %s cannot be marked as %s: %s", keeper->backing.path,
			  wish == WB_MARK_WISH_DIRTY ? "dirty; writes wait for that" :
						       "complete", error->message);
	keeper->has_failed = true;
}

void wb_mark_keeper_tick(struct wb_mark_keeper *keeper)
{
	atomic_store(&keeper->is_due, true);
}

void wb_mark_keeper_end(struct wb_mark_keeper *keeper)
{
	if (keeper->cache)
		wb_cache_end_marking(keeper->cache);
}

/* A stop that was not clean leaves the mark of the last change. */
void wb_mark_keeper_finish(struct wb_mark_keeper *keeper)
{
	g_autoptr(GError) error = NULL;

	keeper->cache = NULL;
	if (keeper->is_complete && !write_mark(keeper, false, &error))
		g_warning("backing %s is complete, but cannot be marked so: %s",
			  keeper->backing.path, error->message);
}
