/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/offline.h"

#include "cmd/report.h"
#include "io/store_nbd.h"

#define TICK_MS 100u

bool wb_offline_open_cache(struct wb_offline *offline, const char *path, GError **error)
{
	struct wb_disk *cache = &offline->volume.cache;

	offline->superblock = g_new0(struct wb_superblock, 1);
	if (!wb_disk_open(cache, "cache", path, WB_DISK_READ_WRITE, error))
		return false;
	offline->cache_store = wb_disk_open_store(cache, error);
	return offline->cache_store &&
	       wb_volume_find_superblock(offline->cache_store, offline->superblock, error);
}

bool wb_offline_open_backing(struct wb_offline *offline, const char *path, GError **error)
{
	const char *hint = offline->superblock->backing_path;
	struct wb_volume *volume = &offline->volume;

	if (!wb_volume_refuse_same(volume->cache.path, path ? path : hint, error))
		return false;
	if (wb_disk_open(&volume->backing, "backing", path ? path : hint, WB_DISK_READ_WRITE,
			 error))
		return true;
	if (!path)
		g_prefix_error(error, "the backing, last at '%s', is to be given by --backing: ",
			       hint);
	return false;
}

/* Before the backing's descriptor goes to its store: the mark is read through it. */
static bool check_pair(struct wb_offline *offline, GError **error)
{
	struct wb_identity mark = { 0 };
	bool ok = wb_volume_check_pair(&offline->volume, offline->superblock, WB_PAIR_MARKED,
				       &mark, error) &&
		  wb_mark_keeper_init(&offline->keeper, &offline->volume.backing, &mark, error);

	wb_identity_clear(&mark);
	return ok;
}

static gboolean on_tick(gpointer arg)
{
	struct wb_offline *offline = arg;

	wb_cache_tick(offline->cache);
	wb_mark_keeper_tick(&offline->keeper);
	return G_SOURCE_CONTINUE;
}

bool wb_offline_start(struct wb_offline *offline, GError **error)
{
	struct wb_cache_config config = {
		.cache_store = offline->cache_store,
		.clock = wb_clock_real(),
		.worker_mode = WB_WORKER_THREAD,
		.request_count = 1,
		.tunables = WB_TUNABLES_DEFAULT,
	};

	if (!check_pair(offline, error))
		return false;
	offline->backing_store = wb_disk_open_store(&offline->volume.backing, error);
	if (!offline->backing_store)
		return false;
	config.backing_store = offline->backing_store;
	if (offline->volume.backing.is_remote)
		offline->keeper.store = offline->backing_store;
	wb_mark_keeper_fill_watch(&offline->keeper, &config.watch);
	offline->cache = wb_cache_open(&config, error);
	if (!offline->cache)
		return false;
	if (wb_cache_opening_note(offline->cache))
		g_warning("%s", wb_cache_opening_note(offline->cache));
	offline->tick = g_timeout_add(TICK_MS, on_tick, offline);
	return wb_mark_keeper_start(&offline->keeper, offline->cache, offline->volume.cache.path,
				    error);
}

void wb_offline_wait(struct wb_offline *offline)
{
	g_main_context_iteration(NULL, TRUE);
	wb_mark_keeper_run(&offline->keeper);
}

int wb_offline_stop(struct wb_offline *offline, enum wb_close_mode mode)
{
	int result;

	if (offline->tick)
		g_source_remove(offline->tick);
	offline->tick = 0;
	wb_store_nbd_hurry(offline->backing_store);
	wb_mark_keeper_end(&offline->keeper);
	result = wb_cache_close(offline->cache, mode);
	offline->cache = NULL;
	wb_mark_keeper_finish(&offline->keeper);
	return result;
}

void wb_offline_clear(struct wb_offline *offline)
{
	if (offline->cache)
		wb_offline_stop(offline, WB_CLOSE_CLEAN);
	wb_store_close(offline->backing_store);
	wb_store_close(offline->cache_store);
	wb_mark_keeper_clear(&offline->keeper);
	wb_volume_close(&offline->volume);
	g_free(offline->superblock);
}
