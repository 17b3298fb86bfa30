/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/daemon.h"

#include <errno.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/memory.h"
#include "cache/cache.h"
#include "cmd/backing_growth.h"
#include "cmd/cache_loss.h"
#include "cmd/commands.h"
#include "cmd/disk_load.h"
#include "cmd/kept.h"
#include "cmd/kept_wait.h"
#include "cmd/line_watch.h"
#include "cmd/mark_keeper.h"
#include "cmd/process.h"
#include "cmd/report.h"
#include "cmd/space_watch.h"
#include "cmd/unmount.h"
#include "cmd/volume.h"
#include "frontend/fuse_frontend.h"
#include "frontend/stats_json.h"
#include "io/store_nbd.h"
#include "io/store_uring.h"
#include "keeper/link.h"
#include "keeper/notify.h"

#define TICK_MS 250u
#define ENDS_WITHIN_US (3 * G_USEC_PER_SEC)	/* what unmounts last */
#define HAND_OVER_US (10 * G_USEC_PER_SEC)
#define RAM_BUFFER_DEFAULT_BYTES (UINT64_C(64) << 20)

struct wb_daemon {
	char *mount_point;
	struct wb_volume volume;
	struct wb_store *cache_store, *backing_store;
	struct wb_cache *cache;
	uint32_t segment_bytes;		/* of the cache */
	struct wb_mark_keeper keeper;
	struct wb_space_watch space_watch;
	struct wb_line_watch line_watch;
	struct wb_backing_growth growth;
	struct wb_disk_load disk_load;
	bool is_in_background;
	struct wb_mount_facts facts;
	guint sources[4];		/* signals, tick, the keeper; 0 = none */
	struct wb_kept *kept;		/* NULL: nobody keeps this process */
	gint64 unmounted_us;		/* by us, and its end is on its way; 0: not */
	bool must_hand_over;
	bool is_paused;			/* nobody answers what comes from the mount */
	bool must_stop;			/* told so meanwhile */

	/* atomic */
	_Atomic(struct wb_fuse *) fuse;	/* NULL before it serves */
	atomic_bool is_over;
};

/* --- start ------------------------------------------------------------------------- */

static void note_disk(struct wb_disk_facts *facts, const struct wb_disk *disk,
		      const struct wb_store *store)
{
	*facts = (struct wb_disk_facts){
		.path = disk->path,
		.is_block_device = disk->is_block_device,
		.is_remote = disk->is_remote,
		.is_direct = true,
		.size_bytes = store->size_bytes,
		.alignment_bytes = store->alignment_bytes,
	};
	if (!disk->is_remote) {
		const struct wb_store_uring_info *info = wb_store_uring_get_info(store);

		facts->is_direct = info->is_direct;
		facts->buffered_reason = info->buffered_reason;
	}
}

static bool open_stores(struct wb_daemon *daemon, GError **error)
{
	/* It may be there, from while the backing was waited for. */
	if (!daemon->cache_store)
		daemon->cache_store = wb_disk_open_store(&daemon->volume.cache, error);
	if (!daemon->cache_store)
		return false;
	note_disk(&daemon->facts.cache, &daemon->volume.cache, daemon->cache_store);
	return true;
}

/* The pair is judged before the backing's descriptor goes to its store, because
 * the mark is read through it; and never left unjudged: the cache would take any
 * backing, and mark it. */
static bool check_pair(struct wb_daemon *daemon, const struct wb_options *options,
		       GError **error)
{
	struct wb_superblock *superblock = g_new(struct wb_superblock, 1);
	struct wb_identity mark = { 0 };
	bool ok = wb_volume_find_superblock(daemon->cache_store, superblock, error) &&
		  wb_volume_check_pair(&daemon->volume, superblock, options->force ?
				       WB_PAIR_FORCED : WB_PAIR_MARKED, &mark, error);

	if (ok) {
		char uuid[WB_UUID_TEXT_BYTES];

		wb_uuid_format(superblock->uuid, uuid);
		wb_report_set_volume(daemon->mount_point, uuid);
		daemon->segment_bytes = superblock->geometry.segment_bytes;
	}
	ok = ok && wb_mark_keeper_init(&daemon->keeper, &daemon->volume.backing, &mark, error);
	wb_identity_clear(&mark);
	g_free(superblock);
	return ok;
}

static void note_step(struct wb_daemon *daemon, enum wb_kept_step step)
{
	if (daemon->kept)
		wb_kept_note_step(daemon->kept, step);
}

static bool open_parts(struct wb_daemon *daemon, const struct wb_options *options,
		       GError **error)
{
	if (!wb_volume_open(&daemon->volume, options->cache_path, options->backing_path,
			    options->read_only ? WB_DISK_READ_ONLY : WB_DISK_READ_WRITE, error))
		return false;
	note_step(daemon, WB_KEPT_ALONE);
	if (!open_stores(daemon, error) || !check_pair(daemon, options, error))
		return false;
	daemon->backing_store = wb_disk_open_store(&daemon->volume.backing, error);
	if (!daemon->backing_store)
		return false;
	if (daemon->volume.backing.is_remote)
		daemon->keeper.store = daemon->backing_store;
	note_disk(&daemon->facts.backing, &daemon->volume.backing, daemon->backing_store);
	return true;
}

/* In place of a daemon that died, for as long as it takes. When it cannot be, for another
 * reason than that, it may be that it never will. */
static bool open_volume(struct wb_daemon *daemon, const struct wb_options *options,
			GError **error)
{
	bool takes_over = daemon->kept && !daemon->kept->is_first, ok;

	if (takes_over)
		wb_kept_wait_begin(daemon->kept, daemon->mount_point, &daemon->volume.cache,
				   &daemon->cache_store);
	ok = open_parts(daemon, options, error);
	wb_kept_wait_end();
	/* The cache comes first, and is locked when the backing is tried. */
	if (takes_over && !ok && daemon->volume.backing.path)
		wb_kept_wait_save();
	return ok;
}

/* Its first users may be quicker than the start of FUSE returns here: see start_fuse(). */
static void image_shown(void *arg, uint64_t bytes)
{
	struct wb_daemon *daemon = arg;
	struct wb_fuse *fuse = atomic_load(&daemon->fuse);

	(void)bytes;
	if (fuse)
		wb_fuse_image_grown(fuse);
}

static void growth_wanted(void *arg, uint64_t bytes)
{
	struct wb_daemon *daemon = arg;

	wb_backing_growth_want(&daemon->growth, bytes);
}

static bool open_cache(struct wb_daemon *daemon, const struct wb_options *options,
		       GError **error)
{
	struct wb_cache_config config = {
		.access = options->read_only ? WB_CACHE_READ_ONLY : WB_CACHE_READ_WRITE,
		.cache_store = daemon->cache_store,
		.backing_store = daemon->backing_store,
		.clock = wb_clock_real(),
		.worker_mode = WB_WORKER_THREAD,
		.ram_buffer_bytes = daemon->facts.ram_buffer_bytes,
		.request_count = WB_FUSE_REQUESTS_MAX,
		.tunables = options->tunables,
		.growth = { .wanted = growth_wanted, .shown = image_shown, .arg = daemon },
	};

	wb_disk_load_find(&daemon->disk_load, NULL, wb_disk_local_stat(&daemon->volume.backing),
			  &daemon->volume.cache.st);
	config.backing_turns = wb_disk_load_turns(&daemon->disk_load);
	config.meters_backing = !wb_disk_load_is_known(&daemon->disk_load);
	wb_mark_keeper_fill_watch(&daemon->keeper, &config.watch);
	config.watch.is_forced = options->force;
	if (daemon->kept && !options->read_only &&
	    !wb_kept_map_memory(daemon->kept, config.ram_buffer_bytes, daemon->segment_bytes,
				&config.memory, error))
		return false;
	if (wb_cache_memory_owes_flush(&config.memory))
		wb_store_nbd_doubt(daemon->backing_store);
	daemon->cache = wb_cache_open(&config, error);
	if (!daemon->cache)
		return false;
	daemon->line_watch = (struct wb_line_watch){ .cache = daemon->cache,
						     .store = daemon->backing_store };
	if (wb_cache_opening_note(daemon->cache))
		g_warning("%s", wb_cache_opening_note(daemon->cache));
	if (options->read_only) {
		daemon->facts.ram_buffer_bytes = 0;
		daemon->facts.is_read_only = true;
		return true;
	}
	daemon->space_watch = (struct wb_space_watch){
		.cache = daemon->cache, .path = daemon->keeper.backing.path,
		.fd = wb_disk_is_file(&daemon->keeper.backing) ? daemon->keeper.backing.fd : -1,
	};
	daemon->growth = (struct wb_backing_growth){
		.cache = daemon->cache, .store = daemon->backing_store,
		.fd = daemon->keeper.backing.fd,
		.is_block_device = daemon->keeper.backing.is_block_device,
	};
	/* Before anybody can use the mount: its superblocks are durable. */
	return wb_mark_keeper_start(&daemon->keeper, daemon->cache, daemon->volume.cache.path,
				    error);
}

/* The backing alone. Nothing of it is changed unless that was forced. */
static bool open_alone(struct wb_daemon *daemon, const struct wb_options *options,
		       GError **error)
{
	struct wb_cache_config config = {
		.clock = wb_clock_real(),
		.worker_mode = WB_WORKER_THREAD,
		.request_count = WB_FUSE_REQUESTS_MAX,
		.tunables = options->tunables,
	};
	struct wb_disk *backing = &daemon->volume.backing;
	uint8_t uuid[16];

	if (!wb_disk_open(backing, "backing", options->backing_path, options->force ?
			  WB_DISK_READ_WRITE : WB_DISK_READ_ONLY, error) ||
	    !wb_cache_loss_accept(backing, uuid, error))
		return false;
	config.backing_store = daemon->backing_store = wb_disk_open_store(backing, error);
	if (!daemon->backing_store)
		return false;
	note_disk(&daemon->facts.backing, backing, daemon->backing_store);
	daemon->facts.cache.path = "";
	daemon->facts.ram_buffer_bytes = 0;
	daemon->facts.is_read_only = !options->force;
	daemon->cache = wb_cache_open_bare(&config, options->force ? WB_BARE_READ_WRITE :
					   WB_BARE_READ_ONLY, uuid, error);
	daemon->line_watch = (struct wb_line_watch){ .cache = daemon->cache,
						     .store = daemon->backing_store };
	return daemon->cache != NULL;
}

static void ended(void *arg)
{
	struct wb_daemon *daemon = arg;

	atomic_store(&daemon->is_over, true);
	g_main_context_wakeup(NULL);
}

/* The main loop, while this thread waits elsewhere: retries after errors, the mark and
 * signals come from here alone. */
static void meanwhile(void *arg)
{
	struct wb_daemon *daemon = arg;

	while (g_main_context_iteration(NULL, FALSE))
		;
	wb_mark_keeper_run(&daemon->keeper);
	wb_backing_growth_run(&daemon->growth);
}

/* --- the keeper ----------------------------------------------------------------------- */

static int upgrade_asked(void *arg, const char *program)
{
	struct wb_daemon *daemon = arg;

	return wb_kept_ask_upgrade(daemon->kept, program);
}

static void tunables_set(void *arg)
{
	struct wb_daemon *daemon = arg;

	wb_kept_note_tunables(daemon->kept, daemon->cache);
}

/* Until this mount is unmounted it is one that nobody keeps. */
static gboolean keeper_died(struct wb_daemon *daemon)
{
	g_warning("the keeper of %s is gone: it is served as before, but nobody would start it "
		  "again", daemon->mount_point);
	wb_cache_add_event(daemon->cache, WB_EVENT_NOTE,
			   "the keeper is gone; nobody would start this worker again");
	close(daemon->kept->link_fd);
	g_atomic_int_set(&daemon->kept->link_fd, -1);
	daemon->sources[3] = 0;
	return G_SOURCE_REMOVE;
}

static gboolean on_keeper(gint fd, GIOCondition condition, gpointer arg)
{
	struct wb_daemon *daemon = arg;
	struct wb_link_message message;
	int passed_fd;

	(void)condition;
	if (!wb_link_receive(fd, &message, &passed_fd))
		return keeper_died(daemon);
	if (passed_fd >= 0)
		close(passed_fd);
	daemon->must_hand_over |= message.kind == WB_LINK_HAND_OVER;
	return G_SOURCE_CONTINUE;
}

static void fill_heritage(struct wb_daemon *daemon, struct wb_fuse_config *config)
{
	config->session_fd = config->clone_fd = -1;
	if (!daemon->kept)
		return;
	config->legacy = &daemon->kept->area->fuse;
	config->session_fd = daemon->kept->session_fd;
	config->clone_fd = daemon->kept->clone_fd;
	config->has_answered = &daemon->kept->state->has_answered;
	config->owner = (struct wb_control_owner){ upgrade_asked, tunables_set, daemon };
}

static enum wb_kept_refusal refusal_of(const struct wb_daemon *daemon)
{
	switch (wb_fuse_get_bond(daemon->fuse)) {
	case WB_FUSE_IN_RINGS:
		return WB_KEPT_IO_URING;
	case WB_FUSE_OLD_KERNEL:
		return WB_KEPT_OLD_KERNEL;
	case WB_FUSE_FREE:
		return WB_KEPT_CAN_FOLLOW;
	}
	g_assert_not_reached();
}

/* Of a mount that its keeper does not have the first death would be the end. */
static bool join_keeper(struct wb_daemon *daemon, GError **error)
{
	struct wb_kept *kept = daemon->kept;
	struct wb_fuse *fuse = atomic_load(&daemon->fuse);
	struct wb_stats_snapshot stats;
	g_autofree char *note = NULL;

	if (!kept)
		return true;
	if (!wb_kept_tell_mounted(kept, fuse, error))
		return false;
	daemon->sources[3] = g_unix_fd_add(kept->link_fd, G_IO_IN | G_IO_HUP, on_keeper, daemon);
	wb_cache_get_stats(daemon->cache, &stats);
	note = wb_kept_tell_serving(kept, refusal_of(daemon), stats.recovered_short_bytes);
	if (note) {
		wb_cache_add_event(daemon->cache, WB_EVENT_NOTE, "%s", note);
		g_warning("%s: %s", daemon->mount_point, note);
	}
	return true;
}

static bool start_fuse(struct wb_daemon *daemon, const struct wb_options *options,
		       GError **error)
{
	g_autofree char *kernel_options =
		g_strconcat(options->kernel_options->str,
			    !options->read_only ? "" : options->kernel_options->len ? ",ro" :
								"ro", NULL);
	struct wb_fuse_config config = {
		.cache = daemon->cache,
		.facts = &daemon->facts,
		.mount_point = daemon->mount_point,
		.fsname = options->fsname ? options->fsname : daemon->volume.backing.path,
		.kernel_options = kernel_options,
		.allow_other = options->allow_other,
		.wants_io_uring = options->io_uring,
		.uid = getuid(),
		.gid = getgid(),
		.ended = ended,
		.meanwhile = meanwhile,
		.arg = daemon,
	};
	struct wb_fuse *fuse;

	fill_heritage(daemon, &config);
	fuse = wb_fuse_start(&config, error);
	atomic_store(&daemon->fuse, fuse);
	if (fuse)
		wb_fuse_image_grown(fuse);	/* it may have, since it was mounted */
	return fuse != NULL;
}

/* --- what happens meanwhile ------------------------------------------------------- */

static gboolean on_tick(gpointer arg)
{
	struct wb_daemon *daemon = arg;
	struct wb_fuse *fuse = atomic_load(&daemon->fuse);

	if (fuse && !atomic_load(&daemon->is_over))
		wb_fuse_tick(fuse);
	wb_cache_tick(daemon->cache);
	wb_mark_keeper_tick(&daemon->keeper);
	wb_space_watch_tick(&daemon->space_watch);
	wb_line_watch_tick(&daemon->line_watch);
	wb_disk_load_tick(&daemon->disk_load, daemon->cache);
	return G_SOURCE_CONTINUE;
}

/* A session lives as long as the last of its mounts. */
static void look_elsewhere(struct wb_daemon *daemon)
{
	if (g_get_monotonic_time() - daemon->unmounted_us < ENDS_WITHIN_US)
		return;
	g_warning("%s is unmounted, but the volume is mounted elsewhere too (a bind mount, or "
		  "another mount namespace) and goes on there; all data is being made durable",
		  daemon->mount_point);
	wb_cache_start_flush(daemon->cache);
}

/* A stop in the middle of somebody's use would lose what they write next: it is
 * refused, and what was acknowledged is made durable. */
static gboolean on_stop_signal(gpointer arg)
{
	struct wb_daemon *daemon = arg;
	g_autofree char *users = NULL;
	g_autofree char *reason = NULL;
	int result;

	if (atomic_load(&daemon->is_over))
		return G_SOURCE_CONTINUE;
	/* Once more: a service manager may tell the keeper and us. */
	if (daemon->unmounted_us) {
		look_elsewhere(daemon);
		return G_SOURCE_CONTINUE;
	}
	/* What unmounts, or looks for users, may ask the mount something. */
	daemon->must_stop = daemon->is_paused;
	if (daemon->is_paused)
		return G_SOURCE_CONTINUE;
	result = wb_unmount(daemon->mount_point, &reason);
	if (!result) {
		daemon->unmounted_us = g_get_monotonic_time();
		return G_SOURCE_CONTINUE;	/* the kernel ends the session */
	}
	if (result == -EBUSY) {
		users = wb_unmount_describe_users(daemon->mount_point);
		g_warning("%s is not stopped, because it is in use by %s; all data is being "
			  "made durable", daemon->mount_point, users);
	} else {
		g_warning("cannot unmount %s: %s", daemon->mount_point, reason);
	}
	wb_cache_start_flush(daemon->cache);
	return G_SOURCE_CONTINUE;
}

/* Before anybody can use the mount: the default action of a signal would take
 * acknowledged data with it. */
static bool listen_to_signals(struct wb_daemon *daemon)
{
	/* A file beyond the limit of the process is an error like others. */
	signal(SIGXFSZ, SIG_IGN);
	daemon->sources[0] = g_unix_signal_add(SIGTERM, on_stop_signal, daemon);
	daemon->sources[1] = g_unix_signal_add(SIGINT, on_stop_signal, daemon);
	daemon->sources[2] = g_timeout_add(TICK_MS, on_tick, daemon);
	return true;
}

/* Waits for the end of the session. 0, or why the volume was not stopped cleanly. */
static int end_serving(struct wb_daemon *daemon)
{
	int result;

	wb_line_watch_hurry(&daemon->line_watch);
	wb_mark_keeper_end(&daemon->keeper);
	wb_fuse_finish(daemon->fuse);
	wb_backing_growth_end(&daemon->growth);
	result = wb_cache_close(daemon->cache, WB_CLOSE_CLEAN);
	wb_fuse_free(daemon->fuse);
	wb_mark_keeper_finish(&daemon->keeper);
	return result;
}

static void daemon_free(struct wb_daemon *daemon)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(daemon->sources); i++)
		if (daemon->sources[i])
			g_source_remove(daemon->sources[i]);
	wb_store_close(daemon->backing_store);
	wb_store_close(daemon->cache_store);
	wb_mark_keeper_clear(&daemon->keeper);
	wb_disk_load_clear(&daemon->disk_load);
	wb_volume_close(&daemon->volume);
	g_free(daemon->mount_point);
	g_free(daemon);
}

static void protect(struct wb_mount_facts *facts)
{
	struct wb_process_protection protection;

	wb_process_protect(&protection);
	facts->memory_locked = protection.memory_locked;
	facts->io_flusher = protection.io_flusher;
	facts->oom_protected = protection.oom_protected;
}

struct wb_daemon *wb_daemon_start(const struct wb_options *options, const char *mount_point,
				  struct wb_kept *kept, GError **error)
{
	struct wb_daemon *daemon = g_new0(struct wb_daemon, 1);
	bool is_open;

	daemon->mount_point = g_strdup(mount_point);
	daemon->kept = kept;
	wb_report_set_volume(mount_point, NULL);
	daemon->volume = (struct wb_volume)WB_VOLUME_NONE;
	daemon->keeper = (struct wb_mark_keeper)WB_MARK_KEEPER_NONE;
	daemon->is_in_background = !options->foreground;
	daemon->facts.version = PACKAGE_VERSION;
	daemon->facts.mount_point = daemon->mount_point;
	daemon->facts.worker_pid = getpid();
	daemon->facts.describe_keeper = kept ? wb_kept_describe : NULL;
	daemon->facts.keeper = kept;
	daemon->facts.ram_buffer_bytes = options->ram_buffer_bytes ? options->ram_buffer_bytes :
								     RAM_BUFFER_DEFAULT_BYTES;
	protect(&daemon->facts);
	/* Users wait. What is locked in the end comes in when they are served again. */
	if (kept && !kept->is_first && daemon->facts.memory_locked)
		wb_memory_bring_in_late();
	is_open = options->without_cache ?
		open_alone(daemon, options, error) :
		open_volume(daemon, options, error) && open_cache(daemon, options, error);
	note_step(daemon, WB_KEPT_RECOVERED);
	if (is_open && listen_to_signals(daemon) && start_fuse(daemon, options, error) &&
	    join_keeper(daemon, error)) {
		if (daemon->facts.memory_locked)
			daemon->facts.memory_locked = wb_process_bring_memory_in();
		return daemon;
	}
	if (atomic_load(&daemon->fuse)) {
		/* It is mounted, and served from the cache. Below one that has been unmounted
		 * already may be another. */
		if (!atomic_load(&daemon->is_over))
			wb_unmount_by_force(daemon->mount_point);
		(void)end_serving(daemon);
	} else if (daemon->cache) {
		wb_cache_close(daemon->cache, WB_CLOSE_CLEAN);
		wb_mark_keeper_finish(&daemon->keeper);
	}
	daemon_free(daemon);
	if (!is_open && !options->without_cache)
		wb_cache_loss_explain(options, error);
	return NULL;
}

/* --- run and end ------------------------------------------------------------------- */

/* Only one that was begun in the foreground is what the manager has started. */
static void tell_manager(const struct wb_daemon *daemon, const char *lines)
{
	g_autofree char *text = g_strdup_printf("%s %s", lines, daemon->mount_point);

	if (daemon->is_in_background)
		return;
	if (daemon->kept)
		wb_kept_notify(daemon->kept, text);
	else
		wb_notify(text);
}

static bool finish(struct wb_daemon *daemon, GError **error)
{
	int result;

	tell_manager(daemon, "STOPPING=1\nSTATUS=Stopping");
	result = end_serving(daemon);
	if (result && !daemon->cache_store)
		wb_fail(error, "%s was not stopped cleanly: %s. What was not synced may not be "
			"on %s", daemon->mount_point, g_strerror(-result),
			daemon->volume.backing.path);
	else if (result)
		wb_fail(error, "%s was not stopped cleanly: %s. The log on %s will be recovered "
			"at the next mount", daemon->mount_point, g_strerror(-result),
			daemon->volume.cache.path);
	daemon_free(daemon);
	return !result;
}

/* --- hand over ---------------------------------------------------------------------- */

static uint64_t failed_flushes(struct wb_daemon *daemon, uint64_t *answered)
{
	struct wb_stats_snapshot stats;

	wb_cache_get_stats(daemon->cache, &stats);
	*answered = stats.flushes_done + stats.flushes_failed;
	return stats.flushes_failed;
}

/* With no request under way: afterwards a stop has nothing left that could fail and be
 * lost by that. The main loop goes on, because what is flushed may wait for the mark. */
static bool flush_all(struct wb_daemon *daemon, gint64 deadline_us)
{
	uint64_t before, now, failed_before = failed_flushes(daemon, &before);

	wb_cache_start_flush(daemon->cache);
	do {
		g_main_context_iteration(NULL, TRUE);
		wb_mark_keeper_run(&daemon->keeper);
		if (failed_flushes(daemon, &now) != failed_before)
			return false;
	} while (now == before && g_get_monotonic_time() < deadline_us);
	return now != before;
}

/* It is idle: is there still somebody who would have another program serve? NULL, or why
 * not. What has come meanwhile is heard first; later nobody listens. */
static const char *why_stay(struct wb_daemon *daemon)
{
	while (g_main_context_iteration(NULL, FALSE))
		;
	if (daemon->kept->link_fd < 0)
		return "the keeper is gone";
	return daemon->must_stop ? "it is being stopped" : NULL;
}

/* NULL, with every request answered and all durable; or why not, and it serves on. */
static const char *make_idle(struct wb_daemon *daemon)
{
	struct wb_fuse *fuse = atomic_load(&daemon->fuse);
	gint64 deadline_us = g_get_monotonic_time() + HAND_OVER_US;
	const char *problem;

	if (wb_fuse_get_bond(fuse) == WB_FUSE_IN_RINGS)
		return "over io_uring no other worker can take over";
	/* Here writes go on meanwhile; a new one would have to wait for it. */
	if (wb_line_watch_is_away(&daemon->line_watch))
		return "the server of the backing cannot be reached";
	if (!wb_fuse_pause(fuse, deadline_us))
		return "requests under way did not end in 10 seconds";
	problem = flush_all(daemon, deadline_us) ? why_stay(daemon) :
		  "what was written cannot be made durable now";
	if (problem)
		wb_fuse_go_on(fuse);
	return problem;
}

/* To the next worker, of another program, by the log on the cache: all is stopped as at
 * the end of a mount. FALSE: it serves on. */
static bool hand_over(struct wb_daemon *daemon)
{
	const char *problem;

	daemon->must_hand_over = false;
	daemon->is_paused = true;
	problem = make_idle(daemon);
	daemon->is_paused = false;
	if (problem) {
		wb_kept_tell_busy(daemon->kept, problem);
		if (daemon->must_stop)
			on_stop_signal(daemon);
		return false;
	}
	wb_fuse_leave(atomic_load(&daemon->fuse));
	wb_line_watch_hurry(&daemon->line_watch);
	wb_mark_keeper_end(&daemon->keeper);
	wb_backing_growth_end(&daemon->growth);
	if (wb_cache_close(daemon->cache, WB_CLOSE_CLEAN))
		g_warning("%s was not stopped cleanly before it is handed over: the log will be "
			  "recovered", daemon->mount_point);
	/* The session stays open: its end here would unmount it. */
	wb_mark_keeper_finish(&daemon->keeper);
	return true;
}

enum wb_daemon_outcome wb_daemon_run(struct wb_daemon *daemon, GError **error)
{
	tell_manager(daemon, "READY=1\nSTATUS=Serving");
	/* Standard error was where the mount was asked for; this is the syslog. */
	if (daemon->is_in_background && wb_cache_opening_note(daemon->cache))
		g_warning("%s", wb_cache_opening_note(daemon->cache));
	/* No GMainLoop: told to quit before it runs, it would run for ever. */
	while (!atomic_load(&daemon->is_over)) {
		g_main_context_iteration(NULL, TRUE);
		wb_mark_keeper_run(&daemon->keeper);
		wb_backing_growth_run(&daemon->growth);
		if (daemon->must_hand_over && hand_over(daemon))
			return WB_DAEMON_HANDED_OVER;
	}
	return finish(daemon, error) ? WB_DAEMON_STOPPED : WB_DAEMON_FAILED;
}
