/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/cache_loss.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cache/cache.h"
#include "cmd/cache_file.h"
#include "cmd/report.h"
#include "cmd/volume.h"

/* --- what the backing holds ------------------------------------------------------ */

#define NOT_CONSISTENT \
	"Writeback goes in address order, so this is NOT a consistent older state of the " \
	"image: treat it like a disk after a partial loss, and let fsck look at it first"

static void append_lack(GString *text, const struct wb_identity *identity)
{
	g_autoptr(GDateTime) when = g_date_time_new_from_unix_local(identity->complete_time_s);
	g_autofree char *date = when ? g_date_time_format(when, "%Y-%m-%d %H:%M:%S %Z") : NULL;

	g_string_append(text, "everything that was written back. ");
	if (identity->complete_time_s && date)
		g_string_append_printf(text, "Writes since %s may be missing. ", date);
	else
		g_string_append(text, "Since when writes may be missing is not known. ");
	g_string_append(text, NOT_CONSISTENT);
}

/* A mark of an older program, or of a volume that was never mounted. */
static bool is_state_known(const struct wb_identity *identity)
{
	return identity->epoch || identity->complete_time_s;
}

char *wb_cache_loss_describe(const char *backing, const struct wb_identity *identity)
{
	GString *text = g_string_new(NULL);

	if (identity->kind == WB_MARK_NONE) {
		g_string_printf(text, "Backing %s carries no mark of a volume: what it lacks is "
				"not known", backing);
		return g_string_free(text, FALSE);
	}
	g_string_printf(text, "Backing %s holds ", backing);
	if (identity->is_dirty || !is_state_known(identity))
		append_lack(text, identity);
	else
		g_string_append(text, "all that was ever written: it is complete, nothing is "
				"missing");
	if (identity->epoch == WB_EPOCH_GIVEN_UP)
		g_string_append(text, ". Since then it was mounted without its cache, to be "
				"written to");
	return g_string_free(text, FALSE);
}

/* --- is it the cache? --------------------------------------------------------------- */

enum loss { LOSS_NONE, LOSS_WHOLE, LOSS_OF_SUPERBLOCKS, LOSS_PARTLY_READABLE };

static bool is_refused_by_disk(int errnum)
{
	return errnum == EIO || errnum == ENXIO || errnum == ENODEV || errnum == ENOMEDIUM ||
	       errnum == EROFS || (errnum == EACCES && !geteuid());
}

static int try_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

/* With a superblock the rest may be readable too, when the reason was the disk: an
 * SSD at its end often takes no writes any more. One of a later version is no loss. */
static enum loss judge_superblock(const struct wb_options *options, struct wb_store *store,
				  const GError *error)
{
	struct wb_superblock *superblock = g_new(struct wb_superblock, 1);
	bool found = wb_volume_read_superblock(store, superblock);

	g_free(superblock);
	if (wb_volume_is_of_later_version(store))
		return LOSS_NONE;
	if (!found)
		return LOSS_OF_SUPERBLOCKS;
	if (g_error_matches(error, WB_CACHE_ERROR, WB_CACHE_ERROR_IO) ||
	    (!options->read_only && is_refused_by_disk(try_open(options->cache_path, O_RDWR))))
		return LOSS_PARTLY_READABLE;
	return LOSS_NONE;
}

static enum loss judge(const struct wb_options *options, const GError *error)
{
	int errnum = try_open(options->cache_path, O_RDONLY);
	g_autoptr(GError) problem = NULL;
	struct wb_store *store;
	struct stat st;
	enum loss loss;

	if (g_error_matches(error, WB_COMMAND_ERROR, WB_COMMAND_ERROR_IN_USE))
		return LOSS_NONE;
	if (errnum)
		return errnum == ENOENT || errnum == ENOTDIR || is_refused_by_disk(errnum) ?
			       LOSS_WHOLE : LOSS_NONE;
	if (stat(options->cache_path, &st) || (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)))
		return LOSS_NONE;
	store = wb_cache_file_open(options->cache_path, &problem);
	if (!store)
		return g_error_matches(problem, WB_COMMAND_ERROR, WB_COMMAND_ERROR_IN_USE) ?
			       LOSS_NONE : LOSS_WHOLE;
	loss = judge_superblock(options, store, error);
	wb_store_close(store);
	return loss;
}

/* --- the message ----------------------------------------------------------------------- */

static void append_ways(GString *text, const struct wb_options *options,
			const struct wb_identity *identity, enum loss loss)
{
	g_autofree char *given = g_canonicalize_filename(options->cache_path, NULL);

	if (identity->cache_path && strcmp(identity->cache_path, given))
		g_string_append_printf(text, "\nIts cache was %s: is that the one to give?",
				       identity->cache_path);
	if (loss == LOSS_PARTLY_READABLE)
		g_string_append_printf(text, "\nThe cache can still be read, at least in part. "
				       "To save what it holds:\n  wbfs rescue %s --backing %s "
				       "--output IMAGE", options->cache_path,
				       options->backing_path);
	if (loss == LOSS_PARTLY_READABLE && !options->read_only)
		g_string_append_printf(text, "\nTo read the image with what the cache holds:\n"
				       "  wbfs mount --cache %s --backing %s -o ro %s",
				       options->cache_path, options->backing_path,
				       options->argument);
	if (loss == LOSS_OF_SUPERBLOCKS)
		g_string_append_printf(text, "\nIf it is the cache and only its beginning was "
				       "lost, its records may still tell the rest:\n  wbfs check "
				       "%s --backing %s", options->cache_path,
				       options->backing_path);
	g_string_append_printf(text, "\nTo go on without the cache:\n  wbfs mount "
			       "--without-cache --backing %s %s\nThe image can be read only; "
			       "with --force it can be written to, and the cache is refused "
			       "from then on.", options->backing_path, options->argument);
}

void wb_cache_loss_explain(const struct wb_options *options, GError **error)
{
	enum loss loss = judge(options, *error);
	struct wb_disk backing = WB_DISK_NONE;
	struct wb_identity identity = { 0 };
	g_autofree char *held = NULL;
	g_autoptr(GString) text = NULL;

	if (loss == LOSS_NONE)
		return;
	/* Without the backing there is nothing to say. */
	if (wb_disk_open(&backing, "backing", options->backing_path, WB_DISK_READ_ONLY, NULL) &&
	    wb_identity_read(&backing, &identity, NULL)) {
		held = wb_cache_loss_describe(options->backing_path, &identity);
		text = g_string_new((*error)->message);
		g_string_append_printf(text, "\n%s.", held);
		append_ways(text, options, &identity, loss);
		g_free((*error)->message);
		(*error)->message = g_strdup(text->str);
	}
	wb_identity_clear(&identity);
	wb_disk_close(&backing);
}

/* --- going on without ------------------------------------------------------------------- */

static bool give_up_cache(const struct wb_disk *backing, struct wb_identity *identity,
			  GError **error)
{
	if (identity->kind == WB_MARK_NONE)
		return wb_fail(error, "backing %s carries no mark of a volume, so that no cache "
			       "could be kept from it later: it is not mounted for writing. "
			       "As a plain image it needs no wbfs", backing->path);
	if (identity->epoch == WB_EPOCH_GIVEN_UP)
		return true;
	/* Unknown must not look like complete. */
	identity->is_dirty |= !is_state_known(identity);
	identity->epoch = WB_EPOCH_GIVEN_UP;
	return wb_identity_write(backing, identity, error);
}

bool wb_cache_loss_accept(const struct wb_disk *backing, uint8_t uuid[16], GError **error)
{
	bool is_written = backing->access == WB_DISK_READ_WRITE, ok;
	g_autofree char *held = NULL;
	struct wb_identity identity;

	if (!wb_identity_read(backing, &identity, error))
		return false;
	memcpy(uuid, identity.uuid, 16);
	held = wb_cache_loss_describe(backing->path, &identity);
	ok = !is_written || give_up_cache(backing, &identity, error);
	if (ok)
		g_warning("without the cache%s. %s", is_written ?
			  ", which is refused from now on" : "; read only", held);
	wb_identity_clear(&identity);
	return ok;
}
