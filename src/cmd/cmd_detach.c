/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A volume is taken apart: all that the cache holds goes to the backing, which is
 * a plain image again. The order, so that a death at any moment leaves a volume or
 * two disks that are none: the drain, by the core itself; the cache is marked as
 * detached, after which nobody opens it; the mark of the backing goes. When only
 * the last step is missing, the command can be given again.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cache/recovery.h"
#include "cmd/commands.h"
#include "cmd/interrupt.h"
#include "cmd/lost_list.h"
#include "cmd/offline.h"
#include "cmd/progress.h"
#include "cmd/report.h"
#include "cmd/size_parse.h"

struct detach {
	const struct wb_options *options;
	struct wb_offline offline;
	struct wb_stats_snapshot stats;	/* the last */
	uint64_t begun_blocks;		/* dirty, when it began */
};

static const char *cache_path(const struct detach *d)
{
	return d->offline.volume.cache.path;
}

static const char *backing_path(const struct detach *d)
{
	return d->offline.volume.backing.path;
}

/* --- drain --------------------------------------------------------------------- */

static void add_ranges(GArray *list, const struct wb_stats_ranges *ranges, const char *why)
{
	for (unsigned i = 0; i < ranges->count; i++) {
		uint64_t end = ranges->range[i].start_bytes + ranges->range[i].length_bytes;
		uint64_t first = ranges->range[i].start_bytes / WB_BLOCK_BYTES;

		wb_lost_list_add(list, first,
				 (end + WB_BLOCK_BYTES - 1) / WB_BLOCK_BYTES - first, why);
	}
}

static bool drain_failed(const struct detach *d, GError **error)
{
	GArray *list = wb_lost_list_new();

	add_ranges(list, &d->stats.bad_ranges, "their newest data in the cache is lost");
	add_ranges(list, &d->stats.refused_ranges, "the backing does not take them");
	wb_lost_list_print(list, "LEFT", d->stats.image_bytes);
	g_array_unref(list);
	fflush(stdout);
	return wb_fail(error, "%" PRIu64 " dirty blocks and %" PRIu64 " discards of cache %s could "
		       "not be written back: %s. It still is a volume, and nothing is lost by "
		       "trying again; 'wbfs rescue' takes what can be read", d->stats.dirty_blocks,
		       d->stats.pending_discards, cache_path(d), d->stats.last_error);
}

static bool is_drained(struct detach *d)
{
	wb_cache_get_stats(d->offline.cache, &d->stats);
	return d->stats.drains_done + d->stats.drains_failed > 0;
}

/* TRUE when it was stopped before its end, too. */
static bool drain(struct detach *d, GError **error)
{
	struct wb_progress progress;
	bool goes_on = true;

	wb_cache_get_stats(d->offline.cache, &d->stats);
	d->begun_blocks = d->stats.recovered_dirty_blocks;
	wb_cache_start_drain(d->offline.cache);
	wb_progress_begin(&progress, "draining");
	while (!is_drained(d) && goes_on) {
		uint64_t left = MIN(d->stats.dirty_blocks, d->begun_blocks);

		goes_on = wb_progress_update(&progress, (d->begun_blocks - left) * WB_BLOCK_BYTES,
					     d->begun_blocks * WB_BLOCK_BYTES);
		wb_offline_wait(&d->offline);
	}
	wb_progress_end(&progress);
	return !d->stats.drains_failed || drain_failed(d, error);
}

/* --- apart ----------------------------------------------------------------------- */

static bool remove_mark(const struct detach *d, const struct wb_disk *backing, GError **error)
{
	return wb_identity_remove(backing) ||
	       wb_fail_errno(error, "cache %s is detached and backing %s is complete, but its mark "
			     "cannot be removed; 'wbfs detach' can be given again", cache_path(d),
			     backing->path);
}

static bool stop(struct detach *d, enum wb_close_mode mode, GError **error)
{
	int result = wb_offline_stop(&d->offline, mode);

	return !result || wb_fail(error, "cache %s was not stopped cleanly: %s; 'wbfs detach' can be "
				  "given again", cache_path(d), g_strerror(-result));
}

static bool take_apart(struct detach *d, GError **error)
{
	if (!wb_offline_start(&d->offline, error) || !drain(d, error))
		return false;
	if (!d->stats.drains_done)
		return stop(d, WB_CLOSE_CLEAN, error);
	return stop(d, WB_CLOSE_DETACH, error) && remove_mark(d, &d->offline.keeper.backing, error);
}

/* The last time it came as far as the cache; the backing may belong to another volume
 * by now, or to nobody. */
static bool finish_earlier(struct detach *d, GError **error)
{
	const struct wb_disk *backing = &d->offline.volume.backing;
	struct wb_identity mark;
	bool is_ours, ok = true;

	if (!wb_recovery_check_features(cache_path(d), d->offline.superblock, error) ||
	    !wb_identity_read(backing, &mark, error))
		return false;
	is_ours = mark.kind != WB_MARK_NONE &&
		  !memcmp(mark.uuid, d->offline.superblock->backing_mark, sizeof mark.uuid);
	wb_identity_clear(&mark);
	if (is_ours)
		ok = remove_mark(d, backing, error);
	return ok;
}

static bool is_detached(const struct detach *d)
{
	return d->offline.superblock->incompat & WB_INCOMPAT_DETACHED;
}

static bool run(struct detach *d, GError **error)
{
	const struct wb_options *options = d->options;

	if (!wb_offline_open_cache(&d->offline, options->argument, error) ||
	    !wb_offline_open_backing(&d->offline, options->backing_path, error))
		return false;
	return is_detached(d) ? finish_earlier(d, error) : take_apart(d, error);
}

/* --- end ------------------------------------------------------------------------- */

static int say_interrupted(const struct detach *d)
{
	char left[WB_SIZE_TEXT_BYTES];

	return wb_interrupt_report("%s and %s are still a volume, with %s of dirty data left; "
				   "'wbfs detach' goes on from there", cache_path(d),
				   backing_path(d), wb_size_format(d->stats.dirty_blocks *
				   WB_BLOCK_BYTES, left));
}

static int say_done(const struct detach *d)
{
	char written[WB_SIZE_TEXT_BYTES];

	if (is_detached(d)) {
		printf("cache %s was detached before; backing %s needs it no more\n", cache_path(d),
		       backing_path(d));
		return WB_EXIT_DONE;
	}
	if (!d->stats.drains_done)
		return say_interrupted(d);
	printf("%s is complete without its cache (%s written back)\n%s is detached and may be "
	       "formatted or removed\n", backing_path(d),
	       wb_size_format(d->begun_blocks * WB_BLOCK_BYTES, written), cache_path(d));
	return WB_EXIT_DONE;
}

int wb_cmd_detach(const struct wb_options *options)
{
	g_autoptr(GError) error = NULL;
	struct detach d = { .options = options, .offline = WB_OFFLINE_NONE };
	int status;

	wb_interrupt_listen();
	status = run(&d, &error) ? say_done(&d) : wb_report(error);
	wb_offline_clear(&d.offline);
	return status;
}
