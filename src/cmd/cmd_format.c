/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "cache/create.h"
#include "cmd/commands.h"
#include "cmd/configuration_save.h"
#include "cmd/format_guard.h"
#include "cmd/identity.h"
#include "cmd/interrupt.h"
#include "cmd/mark_keeper.h"
#include "cmd/progress.h"
#include "cmd/report.h"
#include "cmd/size_parse.h"
#include "cmd/volume.h"
#include "io/nbd_uri.h"
#include "frontend/stats_json.h"

/* A format under way, and what a failure has to undo. */
struct format {
	const struct wb_options *options;
	struct wb_volume volume;
	bool cache_is_new, backing_is_new;	/* files created by us */
	struct wb_identity old_identity, identity;
	bool is_begun;			/* an old volume on the cache is gone */
	bool is_marked;
	struct wb_store *cache_store;
};

/* --- files --------------------------------------------------------------------------- */

static bool create_file(struct wb_disk *disk, const char *role, const char *path,
			uint64_t bytes, bool *is_new, GError **error)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return wb_fail_errno(error, "cannot create %s %s", role, path);
	*is_new = true;
	return wb_disk_adopt(disk, role, path, fd, error) &&
	       wb_disk_set_size(disk, bytes, strcmp(role, "cache") ? WB_DISK_SPARSE :
				WB_DISK_ALLOCATED, error);
}

/* A size was given and the file is there: fine when it has that size. */
static bool check_size(const struct wb_disk *disk, const char *role, const char *option,
		       uint64_t bytes, GError **error)
{
	if (!bytes || disk->size_bytes == bytes)
		return true;
	return wb_fail(error, "%s %s exists already and has %" PRIu64 " bytes, not the %" PRIu64
		       " of %s: leave %s out to use it as it is, or remove it first",
		       role, disk->path, disk->size_bytes, bytes, option, option);
}

static bool open_disk(struct wb_disk *disk, const char *role, const char *path,
		      const char *option, uint64_t bytes, bool *is_new, GError **error)
{
	bool is_remote = wb_nbd_uri_is(path);
	struct stat st;

	if (!is_remote && bytes && stat(path, &st) && errno == ENOENT)
		return create_file(disk, role, path, bytes, is_new, error);
	if (!is_remote && !bytes && stat(path, &st) && errno == ENOENT)
		return wb_fail(error, "%s %s does not exist; %s SIZE creates it", role, path,
			       option);
	return wb_disk_open(disk, role, path, WB_DISK_READ_WRITE, error) &&
	       check_size(disk, role, option, bytes, error);
}

static bool open_both(struct format *format, GError **error)
{
	const struct wb_options *o = format->options;
	struct stat cache, backing;

	if (!strcmp(o->cache_path, o->backing_path) ||
	    (!stat(o->cache_path, &cache) && !stat(o->backing_path, &backing) &&
	     cache.st_dev == backing.st_dev && cache.st_ino == backing.st_ino))
		return wb_fail(error, "cache and backing are the same: %s and %s",
			       o->cache_path, o->backing_path);
	if (!open_disk(&format->volume.cache, "cache", o->cache_path, "--cache-size",
		       o->cache_size_bytes, &format->cache_is_new, error) ||
	    !open_disk(&format->volume.backing, "backing", o->backing_path, "--size",
		       o->size_bytes, &format->backing_is_new, error))
		return false;
	if (wb_disk_is_same(&format->volume.cache, &format->volume.backing))
		return wb_fail(error, "cache and backing are the same device: %s and %s",
			       o->cache_path, o->backing_path);
	return true;
}

/* --- steps ----------------------------------------------------------------------------- */

static uint32_t segment_bytes(const struct wb_options *options)
{
	return options->segment_size_bytes ?
		       (uint32_t)MIN(options->segment_size_bytes, UINT32_MAX) :
		       WB_SEGMENT_BYTES_DEFAULT;
}

static bool check_geometry(const struct format *format, GError **error)
{
	const struct wb_volume *v = &format->volume;
	struct wb_geometry geometry;
	enum wb_geometry_verdict verdict =
		wb_geometry_compute(&geometry, v->cache.size_bytes,
				    segment_bytes(format->options), v->backing.size_bytes);

	if (verdict == WB_GEOMETRY_OK)
		return true;
	return wb_fail(error, "cache %s (%" PRIu64 " bytes) and backing %s (%" PRIu64
		       " bytes): %s", v->cache.path, v->cache.size_bytes, v->backing.path,
		       v->backing.size_bytes, wb_geometry_verdict_text(verdict));
}

/* Before its store takes the descriptor, through which the mark is read. */
static bool check_cache_mark(struct format *format, GError **error)
{
	return format->cache_is_new || format->options->force ||
	       wb_format_guard_marked(&format->volume.cache, error);
}

static bool check_contents(struct format *format, GError **error)
{
	struct wb_volume *v = &format->volume;

	if (!wb_identity_read(&v->backing, &format->old_identity, error))
		return false;
	if (format->options->force)
		return true;
	return (format->cache_is_new || wb_format_guard_cache(format->cache_store, error)) &&
	       (format->backing_is_new ||
		wb_format_guard_backing(&v->backing, &format->old_identity, &v->cache,
					format->cache_store, error));
}

static bool make_uuid(uint8_t uuid[16], GError **error)
{
	if (getrandom(uuid, 16, 0) != 16)
		return wb_fail_errno(error, "cannot get random bytes for the UUID");
	uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40);	/* RFC 4122, version 4 */
	uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
	return true;
}

static bool lay_out(struct format *format, GError **error)
{
	struct wb_progress progress;
	struct wb_create_params params = {
		.segment_bytes = segment_bytes(format->options),
		.backing_bytes = format->volume.backing.size_bytes,
		.backing_mark_kind = wb_identity_probe(&format->volume.backing),
		.backing_path = format->volume.backing.path,
		.zero_mode = format->options->no_zero ? WB_ZERO_HEADERS : WB_ZERO_ALL,
		.progress = wb_progress_update,
		.progress_arg = &progress,
	};
	bool ok;

	format->identity.cache_path = g_strdup(format->volume.cache.path);
	if (!make_uuid(format->identity.uuid, error))
		return false;
	memcpy(params.uuid, format->identity.uuid, 16);
	memcpy(params.backing_mark, format->identity.uuid, 16);
	if (wb_interrupt_is_asked())
		return wb_fail(error, "interrupted before anything was written");
	wb_progress_begin(&progress, "zeroing the cache");
	format->is_begun = true;
	ok = wb_create(format->cache_store, &params, error);
	wb_progress_end(&progress);
	return ok;
}

/* Last: a format that is cut off before leaves a cache that is none, and a
 * backing that another format takes without being forced. */
static bool mark_backing(struct format *format, GError **error)
{
	format->is_marked = true;
	format->identity.complete_time_s = wb_mark_complete_time(&format->volume.backing);
	return wb_identity_write(&format->volume.backing, &format->identity, error);
}

static bool run(struct format *format, GError **error)
{
	if (!open_both(format, error) || !check_geometry(format, error))
		return false;
	if (!check_cache_mark(format, error))
		return false;
	format->cache_store = wb_disk_open_store(&format->volume.cache, error);
	return format->cache_store && check_contents(format, error) &&
	       lay_out(format, error) && mark_backing(format, error);
}

/* --- end --------------------------------------------------------------------------------- */

/* A format that failed leaves nothing half-made: no new files, the old mark. */
static void undo(struct format *format)
{
	if (format->is_marked)
		wb_identity_remove(&format->volume.backing);
	if (format->is_marked && format->old_identity.kind != WB_MARK_NONE)
		wb_identity_write(&format->volume.backing, &format->old_identity, NULL);
	if (format->cache_is_new)
		unlink(format->options->cache_path);
	if (format->backing_is_new)
		unlink(format->options->backing_path);
}

static void say_done(const struct format *format)
{
	char cache[WB_SIZE_TEXT_BYTES], backing[WB_SIZE_TEXT_BYTES], uuid[WB_UUID_TEXT_BYTES];

	wb_uuid_format(format->identity.uuid, uuid);
	printf("volume %s: cache %s (%s), backing %s (%s)\n", uuid, format->volume.cache.path,
	       wb_size_format(format->volume.cache.size_bytes, cache),
	       format->volume.backing.path,
	       wb_size_format(format->volume.backing.size_bytes, backing));
}

static int say_failed(const struct format *format, const GError *error)
{
	if (!wb_interrupt_is_asked())
		return wb_report(error);
	if (format->is_begun && !format->cache_is_new)
		return wb_interrupt_report("cache %s holds no volume now; format it again",
					   format->volume.cache.path);
	return wb_interrupt_report("no volume was made, and nothing was changed");
}

static int format_volume(const struct wb_options *options)
{
	g_autoptr(GError) error = NULL;
	struct format format = { .options = options, .volume = WB_VOLUME_NONE };
	int status = WB_EXIT_DONE;

	wb_interrupt_listen();
	if (run(&format, &error)) {
		say_done(&format);
	} else {
		undo(&format);
		status = say_failed(&format, error);
	}
	wb_store_close(format.cache_store);
	wb_volume_close(&format.volume);
	wb_identity_clear(&format.old_identity);
	wb_identity_clear(&format.identity);
	return status;
}

/* --- the entry of the configuration --------------------------------------------------------- */

/* An entry that cannot be written is no surprise after a long format. */
static int format_and_save(const struct wb_options *options)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *path = wb_configuration_save_path(options->config_path, &error);
	g_autofree char *mount_point = g_canonicalize_filename(options->save_mount_point, NULL);
	g_autofree char *cache = g_canonicalize_filename(options->cache_path, NULL);
	g_autofree char *backing = wb_nbd_uri_is(options->backing_path) ?
		g_strdup(options->backing_path) :
		g_canonicalize_filename(options->backing_path, NULL);
	struct wb_configuration_entry entry = { mount_point, cache, backing, options->force };
	int status;

	if (!path || !wb_configuration_may_save(path, &entry, &error))
		return wb_report(error);
	status = format_volume(options);
	if (status != WB_EXIT_DONE)
		return status;
	if (!wb_configuration_save(path, &entry, &error)) {
		g_prefix_error(&error, "the volume was made, but its entry was not saved: ");
		return wb_report(error);
	}
	printf("'wbfs mount %s' mounts it: saved in %s\n", mount_point, path);
	return WB_EXIT_DONE;
}

int wb_cmd_format(const struct wb_options *options)
{
	return options->save_mount_point ? format_and_save(options) : format_volume(options);
}
