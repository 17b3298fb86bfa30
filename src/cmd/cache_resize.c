/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/cache_resize.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cache/cache.h"
#include "cache/move.h"
#include "cmd/cache_scan.h"
#include "cmd/disk.h"
#include "cmd/file_replace.h"
#include "cmd/format_guard.h"
#include "cmd/interrupt.h"
#include "cmd/progress.h"
#include "cmd/report.h"
#include "cmd/size_parse.h"
#include "cmd/volume.h"

/* Beside the old one until it takes its name. */
#define SUFFIX ".wbfs-resize"

struct resize {
	const struct wb_options *options;
	struct wb_disk old, new;
	struct wb_store *from, *to;	/* which hold the locks of the two */
	struct wb_recovery *recovery;
	struct wb_move_plan plan;
	struct wb_move move;
	uint64_t bytes;			/* of the new cache */
	char *created;			/* a file of ours, to be removed; or NULL */
	bool is_same;			/* it has that size already */
	bool is_overwritten;		/* what was on a disk that was there is gone */
};

/* --- the old one --------------------------------------------------------------------- */

static bool scan_old(struct resize *r, GError **error)
{
	struct wb_superblock *superblock = g_new0(struct wb_superblock, 1);
	const struct wb_recovery_options how = { 0 };
	bool ok = wb_volume_find_superblock(r->from, superblock, error) &&
		  wb_cache_is_attached(r->old.path, superblock, error) &&
		  wb_recovery_check_features(r->old.path, superblock, error);

	if (ok)
		r->recovery = wb_cache_scan(r->from, r->options, &how, error);
	g_free(superblock);
	return r->recovery != NULL;
}

static bool open_old(struct resize *r, GError **error)
{
	if (!wb_disk_open(&r->old, "cache", r->options->argument, WB_DISK_READ_WRITE, error))
		return false;
	if (r->old.is_block_device && !r->options->to_path)
		return wb_fail(error, "cache %s is a device, and its log does not fit a ring of "
			       "another size where it lies. Either 'wbfs detach %s' and 'wbfs "
			       "format', or move it away and back: 'wbfs resize %s --to FILE "
			       "--cache-size SIZE', then 'wbfs resize FILE --to %s --force'; it "
			       "has the size of the device then. Nothing was changed",
			       r->old.path, r->old.path, r->old.path, r->old.path);
	r->from = wb_disk_open_store(&r->old, error);
	return r->from && scan_old(r, error);
}

/* --- the new one ----------------------------------------------------------------------- */

static void choose_size(struct resize *r)
{
	r->bytes = r->options->cache_size_bytes;
	if (r->options->size_is_added)
		r->bytes += r->old.size_bytes;
	r->is_same = r->bytes == r->old.size_bytes && !r->options->to_path;
}

static bool make_plan(struct resize *r, GError **error)
{
	return wb_move_make_plan(&r->plan, r->recovery, r->old.path, r->bytes, error);
}

/* As the old one is: whoever may mount that is to mount this. */
static bool create_file(struct resize *r, const char *path, GError **error)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return wb_fail_errno(error, "the new cache %s cannot be made", path);
	r->created = g_strdup(path);
	if (!wb_disk_adopt(&r->new, "new cache", path, fd, error))
		return false;
	if (fchown(fd, r->old.st.st_uid, r->old.st.st_gid) ||
	    fchmod(fd, r->old.st.st_mode & 0777))
		wb_report_note("the new cache cannot be given the owner, group and mode of the old "
			       "one, and is for its owner alone: %s", g_strerror(errno));
	return wb_disk_set_size(&r->new, r->bytes, WB_DISK_ALLOCATED, error);
}

/* The lock on the old one is ours, so that a file of that name is what a killed one
 * has left. */
static bool create_beside(struct resize *r, GError **error)
{
	g_autofree char *path = g_strconcat(r->old.path, SUFFIX, NULL);

	if (unlink(path) && errno != ENOENT)
		return wb_fail_errno(error, "cannot remove %s, which an earlier resize has left",
				     path);
	return make_plan(r, error) && create_file(r, path, error);
}

static bool is_backing(struct resize *r, const char *path)
{
	struct wb_disk one = WB_DISK_NONE, other = WB_DISK_NONE;

	if (stat(path, &one.st) || stat(r->recovery->superblock.backing_path, &other.st))
		return false;
	one.is_block_device = S_ISBLK(one.st.st_mode);
	other.is_block_device = S_ISBLK(other.st.st_mode);
	return wb_disk_is_same(&one, &other);
}

/* Before our own lock on the old one looks like somebody else's. */
static bool refuse_ours(struct resize *r, const char *path, GError **error)
{
	struct wb_disk one = { .is_block_device = false };

	if (!stat(path, &one.st)) {
		one.is_block_device = S_ISBLK(one.st.st_mode);
		if (wb_disk_is_same(&one, &r->old))
			return wb_fail(error, "%s is the cache itself; without --to it changes its "
				       "size under its own name", path);
	}
	return !is_backing(r, path) || wb_fail(error, "%s is the backing of cache %s", path,
					       r->old.path);
}

static bool open_existing(struct resize *r, const char *path, GError **error)
{
	if (!wb_disk_open(&r->new, "new cache", path, WB_DISK_READ_WRITE, error))
		return false;
	if (r->bytes && r->bytes != r->new.size_bytes)
		return wb_fail(error, "%s exists already and has %" PRIu64 " bytes, not the %" PRIu64
			       " of --cache-size: leave that out to use it as it is, or remove it "
			       "first", path, r->new.size_bytes, r->bytes);
	r->bytes = r->new.size_bytes;
	return make_plan(r, error) &&
	       (r->options->force || wb_format_guard_marked(&r->new, error));
}

static bool open_elsewhere(struct resize *r, const char *path, GError **error)
{
	struct stat st;

	if (!refuse_ours(r, path, error))
		return false;
	if (!stat(path, &st) || errno != ENOENT)
		return open_existing(r, path, error);
	if (!r->bytes)
		return wb_fail(error, "there is no %s yet: --cache-size SIZE makes it", path);
	return make_plan(r, error) && create_file(r, path, error);
}

static bool open_new(struct resize *r, GError **error)
{
	const char *to = r->options->to_path;

	if (!(to ? open_elsewhere(r, to, error) : create_beside(r, error)))
		return false;
	r->to = wb_disk_open_store(&r->new, error);
	return r->to && (r->created || r->options->force || wb_format_guard_cache(r->to, error));
}

/* --- the move ---------------------------------------------------------------------------- */

/* What was there before us may have been this volume, at this epoch: a record of that
 * life which is found again tells of a tail where it stood then. */
static enum wb_zero_mode choose_zeros(const struct resize *r)
{
	if (!r->options->no_zero)
		return WB_ZERO_ALL;
	if (r->created)
		return WB_ZERO_HEADERS;
	wb_report_note("all of %s is written with zeros, in spite of --no-zero: it may hold "
		       "records of the same volume from earlier", r->new.path);
	return WB_ZERO_ALL;
}

static bool move(struct resize *r, GError **error)
{
	struct wb_progress progress;
	bool ok;

	r->move = (struct wb_move){
		.recovery = r->recovery, .plan = &r->plan, .from = r->from, .to = r->to,
		.progress = wb_progress_update, .progress_arg = &progress,
	};
	if (wb_interrupt_is_asked())
		return wb_fail(error, "interrupted before anything was written");
	r->move.zero_mode = choose_zeros(r);
	r->is_overwritten = !r->created;
	wb_progress_begin(&progress, "resizing");
	ok = wb_move_run(&r->move, error);
	wb_progress_end(&progress);
	return ok;
}

/* Both are locked, and all of the new one is durable: whoever opens the name now gets
 * the one or the other, and waits for neither. */
static bool take_name(struct resize *r, GError **error)
{
	if (r->options->to_path) {
		g_clear_pointer(&r->created, g_free);
		return wb_file_sync_directory(r->new.path) ||
		       wb_fail_errno(error, "cannot sync the directory of %s", r->new.path);
	}
	if (rename(r->created, r->old.path))
		return wb_fail_errno(error, "cannot rename %s to %s", r->created, r->old.path);
	g_clear_pointer(&r->created, g_free);
	return wb_file_sync_directory(r->old.path) ||
	       wb_fail_errno(error, "cache %s has its new size, but a power cut may give it the "
			     "old one back: its directory cannot be synced", r->old.path);
}

static bool run(struct resize *r, GError **error)
{
	if (!open_old(r, error))
		return false;
	choose_size(r);
	return r->is_same || (open_new(r, error) && move(r, error) && take_name(r, error));
}

/* --- end ------------------------------------------------------------------------------------ */

static void say_moved(const struct resize *r)
{
	char old_size[WB_SIZE_TEXT_BYTES], new_size[WB_SIZE_TEXT_BYTES], text[WB_SIZE_TEXT_BYTES];
	const char *to = r->options->to_path;

	wb_size_format(r->old.size_bytes, old_size);
	wb_size_format(r->bytes, new_size);
	if (to)
		printf("cache %s (%s) is now %s (%s): mount it with that from now on, and format or "
		       "remove the old one\n", r->old.path, old_size, r->new.path, new_size);
	else
		printf("cache %s has %s now, before it had %s\n", r->old.path, new_size, old_size);
	if (r->plan.left_blocks)
		printf("%s of its log, all of it on the backing too, did not fit\n",
		       wb_size_format(r->plan.left_blocks * WB_BLOCK_BYTES, text));
	if (r->move.bad_blocks)
		wb_report_note("%" PRIu64 " blocks of the old cache could not be read or were not "
			       "what was written; 'wbfs check %s' says which", r->move.bad_blocks,
			       to ? r->new.path : r->old.path);
}

static int say_failed(const struct resize *r, const GError *error)
{
	if (!wb_interrupt_is_asked())
		return wb_report(error);
	if (r->is_overwritten)
		return wb_interrupt_report("cache %s is as it was, and %s holds nothing now",
					   r->old.path, r->new.path);
	return wb_interrupt_report("cache %s is as it was", r->options->argument);
}

static void clear(struct resize *r)
{
	wb_recovery_free(r->recovery);
	wb_store_close(r->to);
	wb_store_close(r->from);
	wb_disk_close(&r->new);
	wb_disk_close(&r->old);
	g_free(r->created);
}

int wb_cache_resize(const struct wb_options *options)
{
	g_autoptr(GError) error = NULL;
	struct resize r = { .options = options, .old = WB_DISK_NONE, .new = WB_DISK_NONE };
	int status = WB_EXIT_DONE;

	wb_interrupt_listen();
	if (!run(&r, &error)) {
		if (r.created)
			unlink(r.created);
		status = say_failed(&r, error);
	} else if (r.is_same) {
		printf("cache %s has %" PRIu64 " bytes already\n", r.old.path, r.bytes);
	} else {
		say_moved(&r);
	}
	clear(&r);
	return status;
}
