/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Without a mount: what the cache holds, laid over the backing or over a copy
 * of it. For when mounting is not possible or not wanted: a cache disk that
 * fails, a machine without FUSE. The cache is only read.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cache/backing_check.h"
#include "cache/recovery.h"
#include "cache/repair.h"
#include "cache/rescue.h"
#include "cmd/cache_scan.h"
#include "cmd/commands.h"
#include "cmd/image_copy.h"
#include "cmd/interrupt.h"
#include "cmd/lost_list.h"
#include "cmd/mark_keeper.h"
#include "cmd/progress.h"
#include "cmd/report.h"
#include "cmd/volume.h"
#include "io/store_uring.h"

enum loss {
	LOSS_ROTTEN = WB_RESCUE_ROTTEN,
	LOSS_UNREADABLE = WB_RESCUE_UNREADABLE,
	LOSS_BEFORE = WB_RESCUE_LOST_BEFORE,
	LOSS_BACKING,
};

static const char *const loss_texts[] = {
	[LOSS_ROTTEN] = "their checksum in the cache is wrong",
	[LOSS_UNREADABLE] = "the cache cannot be read there",
	[LOSS_BEFORE] = "they were lost before, and noted as lost in the log",
	[LOSS_BACKING] = "the backing cannot be read there",
};

struct rescue {
	const struct wb_options *options;
	struct wb_volume volume;
	struct wb_disk output;
	struct wb_mark_keeper keeper;	/* of the backing, --in-place */
	bool output_is_new;		/* created by us */
	struct wb_store *cache_store, *target;
	struct wb_recovery *recovery;
	struct wb_replay *replay;
	GArray *losses;			/* see lost_list.h */
	uint64_t lost_blocks;
	bool is_doubtful;		/* later data of a damaged log was applied */
	bool is_begun;			/* to write to the backing or the output */
};

static uint64_t image_bytes(const struct rescue *r)
{
	return r->recovery->superblock.geometry.backing_bytes;
}

/* --- what was lost ------------------------------------------------------------------- */

static void add_loss(struct rescue *r, uint64_t first, uint64_t count, enum loss why)
{
	wb_lost_list_add(r->losses, first, count, loss_texts[why]);
}

static void on_lost(void *arg, uint64_t first, uint64_t count, enum wb_rescue_loss loss)
{
	add_loss(arg, first, count, (enum loss)loss);
}

/* Only what the cache does not have. */
static void on_unreadable(void *arg, uint64_t offset, uint64_t length)
{
	struct rescue *r = arg;
	uint64_t end = (offset + length + WB_BLOCK_BYTES - 1) / WB_BLOCK_BYTES;

	for (uint64_t block = offset / WB_BLOCK_BYTES; block < end; block++)
		if (!wb_replay_is_whole(r->replay, &r->recovery->superblock.geometry, block))
			add_loss(r, block, 1, LOSS_BACKING);
}

/* --- files ----------------------------------------------------------------------------- */

/* Before anything is locked: our own lock on it would be refused. */
static bool is_same_path(const char *path, const struct wb_disk *disk)
{
	struct wb_disk other = WB_DISK_NONE;

	if (stat(path, &other.st))
		return false;
	other.is_block_device = S_ISBLK(other.st.st_mode);
	return wb_disk_is_same(&other, disk);
}

/*
 * Behind damage records may be missing that nobody can name. What they and the
 * others wrote belongs together: half of it must not become the backing. In a
 * copy, with a list of what is doubtful, it may be worth a lot.
 */
static bool go_past_damage(struct rescue *r, GError **error)
{
	const char *cache = r->volume.cache.path, *damage = r->recovery->damage;

	if (!damage)
		return true;
	if (r->options->in_place)
		return wb_fail(error, "%s: %s; nothing was changed. --output IMAGE makes a copy "
			       "with all that can be read; `wbfs check --repair` keeps what lies "
			       "before the damage, and --in-place works then", cache, damage);
	printf("DAMAGED: %s\n", damage);
	wb_lost_list_print_repair(r->recovery, "DOUBTFUL");
	wb_repair_take_lost(r->recovery);
	r->is_doubtful = true;
	return true;
}

static bool read_cache(struct rescue *r, GError **error)
{
	const struct wb_recovery_options how = { .goes_past_damage = true };
	struct wb_disk *cache = &r->volume.cache;

	if (!wb_disk_open(cache, "cache", r->options->argument, WB_DISK_READ_ONLY, error))
		return false;
	r->cache_store = wb_disk_open_store(cache, error);
	r->recovery = r->cache_store ? wb_cache_scan(r->cache_store, r->options, &how, error) :
					NULL;
	if (!r->recovery ||
	    (r->options->in_place && !wb_recovery_check_features(cache->path,
						&r->recovery->superblock, error)) ||
	    !go_past_damage(r, error))
		return false;
	r->replay = wb_replay_new(r->recovery);
	return true;
}

/* An older copy of the cache lacks what was written since, and knows nothing of
 * what was written back. */
static bool check_pair(struct rescue *r, GError **error)
{
	struct wb_identity mark = { 0 };
	bool ok = wb_volume_check_pair(&r->volume, &r->recovery->superblock, WB_PAIR_MARKED,
				       &mark, error);

	if (ok && mark.epoch > r->recovery->highest_epoch && !r->options->force)
		ok = wb_fail(error, "cache %s is an older copy: it ends at epoch %" PRIu64
			     ", but backing %s was mounted with the right one at epoch %" PRIu64
			     ". Give the newest cache of this volume; --force applies this one",
			     r->volume.cache.path, r->recovery->highest_epoch,
			     r->volume.backing.path, mark.epoch);
	ok = ok && wb_mark_keeper_init(&r->keeper, &r->volume.backing, &mark, error);
	wb_identity_clear(&mark);
	return ok;
}

/* An older backing lacks what was written back since it was copied, and the mark
 * of a finished rescue would say that it is complete. */
static bool is_old_backing(const struct rescue *r)
{
	uint64_t epoch = r->keeper.mark.epoch;

	return epoch && epoch < r->recovery->superblock.mark_epoch;
}

static bool refuse_old_backing(const struct rescue *r, GError **error)
{
	uint64_t seen = r->recovery->superblock.mark_epoch, epoch = r->keeper.mark.epoch;

	if (!is_old_backing(r))
		return true;
	return wb_fail(error, "backing %s is an older copy: its mark is of epoch %" PRIu64 ", but "
		       "cache %s has seen %" PRIu64 ". Nothing was changed. --output IMAGE lays "
		       "the dirty data over a copy; --force over this backing",
		       r->volume.backing.path, epoch, r->volume.cache.path, seen);
}

static bool is_newer_than_mark(const struct rescue *r)
{
	struct stat st;

	return wb_disk_is_file(&r->keeper.backing) && !fstat(r->keeper.backing.fd, &st) &&
	       st.st_mtim.tv_sec > r->keeper.mark.complete_time_s;
}

/* What a mount would see. */
static bool differs_from_stop(struct rescue *r, char what[WB_BACKING_WHAT_BYTES])
{
	struct wb_backing_watch watch = { 0 };
	struct wb_backing_facts facts;

	wb_mark_keeper_fill_watch(&r->keeper, &watch);
	return r->recovery->was_clean && !watch.is_rescued &&
	       watch.describe(watch.arg, &facts) &&
	       wb_backing_look_differs(r->target, &r->recovery->superblock, &facts, what);
}

/* After the last rescue, or a drain, it may have been used alone, which is what
 * "complete" is for; and after a clean stop nobody was to write to it. */
static bool refuse_changed(struct rescue *r, const struct wb_rescue *rescue, GError **error)
{
	const struct wb_identity *mark = &r->keeper.mark;
	bool is_complete = mark->epoch && !mark->is_dirty;
	char what[WB_BACKING_WHAT_BYTES] = "";
	uint64_t at_bytes;

	if (!r->replay->blocks->len && !r->replay->extents->len)
		return true;
	if (is_complete ? !is_newer_than_mark(r) && !wb_rescue_differs(rescue, &at_bytes) :
			  !differs_from_stop(r, what))
		return true;
	return wb_fail(error, "backing %s was written to without cache %s after %s: what the cache "
		       "holds is older. Nothing was changed. --output IMAGE lays it over a copy; "
		       "--force over this backing%s%s", r->volume.backing.path,
		       r->volume.cache.path, is_complete ? "it was complete" :
		       "the last clean stop", *what ? ". What differs: " : "", what);
}

/* Should this end half-way, the next mount must not take it for somebody else's. */
static void note_rescue(struct rescue *r)
{
	g_autoptr(GError) error = NULL;

	if (!wb_mark_keeper_note_rescue(&r->keeper, &error))
		g_warning("%s", error->message);
}

/* All that the cache had is on the backing now. */
static void mark_complete(struct rescue *r)
{
	if (r->losses->len > 0 || r->is_doubtful || is_old_backing(r))
		return;
	r->keeper.epoch = MAX(r->recovery->highest_epoch, r->keeper.mark.epoch);
	r->keeper.is_complete = true;
	wb_mark_keeper_finish(&r->keeper);
}

static bool open_backing(struct rescue *r, GError **error)
{
	const char *hint = r->recovery->superblock.backing_path;
	const char *path = r->options->backing_path ? r->options->backing_path : hint;
	struct wb_disk *backing = &r->volume.backing;

	if (is_same_path(path, &r->volume.cache))
		return wb_fail(error, "cache and backing are the same: %s", path);
	if (!wb_disk_open(backing, "backing", path, r->options->in_place ?
			  WB_DISK_READ_WRITE : WB_DISK_READ_ONLY, error)) {
		if (path == hint)
			g_prefix_error(error, "the backing, last at '%s', is to be given by "
				       "--backing: ", hint);
		return false;
	}
	return check_pair(r, error);
}

static bool check_output(const struct rescue *r, const char *path, GError **error)
{
	struct stat st;

	if (stat(path, &st))
		return true;
	if (is_same_path(path, &r->volume.cache) || is_same_path(path, &r->volume.backing))
		return wb_fail(error, "%s is the volume's own; --in-place changes the backing "
			       "itself", path);
	if (!S_ISREG(st.st_mode))
		return wb_fail(error, "%s is no regular file", path);
	return r->options->force ||
	       wb_fail(error, "%s exists already; --force overwrites it", path);
}

/* Locked before it is emptied: it may be a backing that is mounted. */
static bool open_output(struct rescue *r, GError **error)
{
	const char *path = r->options->output_path;
	int fd;

	if (!check_output(r, path, error))
		return false;
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	r->output_is_new = fd >= 0;
	if (fd < 0 && errno == EEXIST && r->options->force)
		fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return wb_fail_errno(error, "cannot create %s", path);
	if (!wb_disk_adopt(&r->output, "output", path, fd, error))
		return false;
	if (ftruncate(fd, 0) < 0)
		return wb_fail_errno(error, "cannot empty %s", path);
	/* what was the backing of another volume is that no more */
	if (!r->output_is_new)
		wb_identity_remove(&r->output);
	return true;
}

/* --- steps ------------------------------------------------------------------------------ */

static bool copy_backing(struct rescue *r, GError **error)
{
	struct wb_progress progress;
	struct wb_image_copy copy = {
		.from_path = r->volume.backing.path, .to_path = r->output.path,
		.from = r->volume.backing.fd, .to = r->output.fd,
		.bytes = image_bytes(r),
		.unreadable = on_unreadable, .arg = r,
		.progress = wb_progress_update, .progress_arg = &progress,
	};
	bool ok;

	if (r->volume.backing.is_remote) {
		copy.from_store = wb_disk_open_store(&r->volume.backing, error);
		if (!copy.from_store)
			return false;
	}
	r->is_begun = true;
	wb_progress_begin(&progress, "copying the backing");
	ok = wb_image_copy(&copy, error);
	wb_store_close(copy.from_store);
	wb_progress_end(&progress);
	return ok;
}

/* Through the page cache: the file may be of a size that direct I/O cannot
 * write to its end. */
static bool open_output_store(struct rescue *r, GError **error)
{
	struct wb_store_uring_options options = {
		.path = r->output.path, .fd = r->output.fd,
		.access = WB_STORE_READ_WRITE, .caching = WB_STORE_BUFFERED,
	};

	r->target = wb_store_uring_open(&options, error);
	if (r->target)
		r->output.fd = -1;
	return r->target != NULL;
}

static bool open_backing_store(struct rescue *r, GError **error)
{
	r->target = wb_disk_open_store(&r->volume.backing, error);
	if (!r->target)
		return false;
	if (r->volume.backing.is_remote)
		r->keeper.store = r->target;
	if (image_bytes(r) % r->target->alignment_bytes == 0)
		return true;
	return wb_fail(error, "backing %s: the image's %" PRIu64 " bytes are no multiple of the "
		       "disk's %u-byte sectors; use --output", r->volume.backing.path,
		       image_bytes(r), r->target->alignment_bytes);
}

static bool apply(struct rescue *r, GError **error)
{
	struct wb_progress progress;
	struct wb_rescue rescue = {
		.cache_store = r->cache_store, .target = r->target,
		.geometry = &r->recovery->superblock.geometry, .replay = r->replay,
		.lost = on_lost, .arg = r,
		.progress = wb_progress_update, .progress_arg = &progress,
	};
	uint64_t failed_bytes;
	int result;

	if (r->options->in_place && !r->options->force &&
	    (!refuse_old_backing(r, error) || !refuse_changed(r, &rescue, error)))
		return false;
	if (r->options->in_place)
		note_rescue(r);
	r->is_begun = true;
	wb_progress_begin(&progress, "applying dirty data");
	result = wb_rescue_apply(&rescue, &failed_bytes);
	wb_progress_end(&progress);
	return !result || wb_fail(error, "%s: writing at byte %" PRIu64 " failed: %s",
				  r->target->label, failed_bytes, g_strerror(-result));
}

/* A new name is durable only with its directory. */
static bool sync_name(const struct rescue *r, GError **error)
{
	g_autofree char *directory = g_path_get_dirname(r->output.path);
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool ok = fd >= 0 && !fsync(fd);

	if (!ok)
		wb_fail_errno(error, "cannot sync %s", directory);
	if (fd >= 0)
		close(fd);
	return ok;
}

static bool run(struct rescue *r, GError **error)
{
	if (!read_cache(r, error) || !open_backing(r, error))
		return false;
	if (r->options->in_place)
		return open_backing_store(r, error) && apply(r, error);
	return open_output(r, error) && copy_backing(r, error) && open_output_store(r, error) &&
	       apply(r, error) && sync_name(r, error);
}

/* --- end ---------------------------------------------------------------------------------- */

static int say_done(struct rescue *r)
{
	const char *cache = r->volume.cache.path, *backing = r->volume.backing.path;
	guint blocks = r->replay->blocks->len, extents = r->replay->extents->len;

	r->lost_blocks = wb_lost_list_print(r->losses, "LOST", image_bytes(r));
	if (r->options->in_place)
		mark_complete(r);
	if (r->options->in_place)
		printf("%s: %u dirty blocks and %u discarded ranges of %s applied\n"
		       "The cache was not changed: this can be repeated, and a mount of the two "
		       "would apply the same\nagain. That is harmless only while the backing is "
		       "not changed otherwise: format the cache anew\n(wbfs format --force), or "
		       "never use it with this backing again.\n",
		       backing, blocks, extents, cache);
	else
		printf("%s: a copy of %s with %u dirty blocks and %u discarded ranges of %s "
		       "applied\n", r->output.path, backing, blocks, extents, cache);
	if (r->is_doubtful)
		printf("The log is damaged: what is listed as DOUBTFUL was written behind the "
		       "damage, and what\nwas written between may be missing. `wbfs check --repair` "
		       "gives the image as it was before.\n");
	if (!r->lost_blocks)
		return r->is_doubtful ? WB_EXIT_FAILED : WB_EXIT_DONE;
	printf("Blocks lost: %" PRIu64 "; there it holds what the backing held%s\n",
	       r->lost_blocks, r->options->in_place ? "" : ", or zeros");
	return WB_EXIT_FAILED;
}

/* Half an image must not be taken for one. */
static int say_failed(const struct rescue *r, const GError *error)
{
	const char *cache = r->options->argument;

	if (r->output_is_new)
		unlink(r->options->output_path);
	if (!wb_interrupt_is_asked())
		return wb_report(error);
	if (!r->is_begun)
		return wb_interrupt_report("the rescue had not begun; nothing was changed");
	if (r->options->in_place)
		return wb_interrupt_report("backing %s has a part of the dirty data of %s, which "
					   "was not changed: run it again, or mount the two",
					   r->volume.backing.path, cache);
	if (r->output_is_new)
		return wb_interrupt_report("%s was removed; cache and backing were not changed",
					   r->options->output_path);
	return wb_interrupt_report("%s holds a part of an image; cache and backing were not "
				   "changed", r->options->output_path);
}

static void clear(struct rescue *r)
{
	wb_store_close(r->cache_store);
	wb_store_close(r->target);
	wb_volume_close(&r->volume);
	wb_disk_close(&r->output);
	wb_mark_keeper_clear(&r->keeper);
	wb_recovery_free(r->recovery);
	wb_replay_free(r->replay);
	g_array_unref(r->losses);
}

int wb_cmd_rescue(const struct wb_options *options)
{
	g_autoptr(GError) error = NULL;
	struct rescue rescue = { .options = options, .volume = WB_VOLUME_NONE,
				 .output = WB_DISK_NONE, .keeper = WB_MARK_KEEPER_NONE };
	int status;

	if (!options->output_path == !options->in_place) {
		wb_report_note("'wbfs rescue' needs either --output IMAGE or --in-place");
		return WB_EXIT_USAGE;
	}
	rescue.losses = wb_lost_list_new();
	wb_interrupt_listen();
	if (run(&rescue, &error))
		status = say_done(&rescue);
	else
		status = say_failed(&rescue, error);
	clear(&rescue);
	return status;
}
