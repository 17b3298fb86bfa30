/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cmd/cache_file.h"
#include "cmd/client.h"
#include "cmd/commands.h"
#include "cmd/each_mount.h"
#include "cmd/mount_table.h"
#include "cmd/report.h"
#include "cmd/unmount.h"
#include "cmd/unmount_stack.h"
#include "cmd/volume.h"

#define WAIT_US (200 * 1000)
#define SILENT_MS 3000

static int try_unmount(const char *mount_point, const struct wb_options *options, char **reason)
{
	if (options->recursive)
		wb_unmount_stack(mount_point);
	return wb_unmount(mount_point, reason);
}

/* Nothing tells of the end of a use, so it is tried again and again. */
static int unmount_when_free(const char *mount_point, const struct wb_options *options,
			     char **reason)
{
	int result = try_unmount(mount_point, options, reason);
	g_autofree char *users = NULL;

	if (result != -EBUSY || !options->wait)
		return result;
	users = wb_unmount_describe_users(mount_point);
	wb_report_note("waiting until %s is free of %s", mount_point, users);
	while (result == -EBUSY) {
		g_clear_pointer(reason, g_free);
		g_usleep(WAIT_US);
		result = try_unmount(mount_point, options, reason);
	}
	return result;
}

static bool unmount(const char *mount_point, const struct wb_options *options, GError **error)
{
	g_autofree char *users = NULL;
	g_autofree char *reason = NULL;
	int result = unmount_when_free(mount_point, options, &reason);

	if (!result)
		return true;
	if (result != -EBUSY)
		return wb_fail(error, "cannot unmount %s: %s", mount_point, reason);
	users = wb_unmount_describe_users(mount_point);
	return wb_fail(error, "%s is busy: in use by %s. End that first (losetup -d for a loop "
		       "device, umount for a mount); it goes on running", mount_point, users);
}

/* Opened while the daemon is known to live, so that it cannot mean a process that gets
 * the same number later. 0: there is none. */
static int open_process(uint64_t pid)
{
	return pid ? (int)syscall(SYS_pidfd_open, (pid_t)pid, 0) : -1;
}

static void close_process(int pidfd)
{
	if (pidfd >= 0)
		close(pidfd);
}

static bool has_ended(int pidfd, int wait_ms)
{
	struct pollfd poll_fd = { .fd = pidfd, .events = POLLIN };
	int result;

	if (pidfd < 0)
		return true;
	while ((result = poll(&poll_fd, 1, wait_ms)) < 0 && errno == EINTR)
		;
	return result != 0;
}

static void wait_until_gone(int pidfd, const char *mount_point)
{
	if (has_ended(pidfd, SILENT_MS))
		return;
	wb_report_note("%s is unmounted, but its daemon has not ended: it writes what is left, "
		       "or the volume is mounted elsewhere too (a bind mount, or another mount "
		       "namespace) and goes on until it is unmounted there", mount_point);
	has_ended(pidfd, -1);
}

/* The daemon leaves one word about how it ended: the clean flag. */
static bool check_clean(const char *cache_path, GError **error)
{
	struct wb_store *store = wb_cache_file_open(cache_path, error);
	struct wb_superblock *superblock;
	bool is_clean;

	if (!store) {
		/* Mounted again already, by somebody who was waiting for it. */
		if (g_error_matches(*error, WB_COMMAND_ERROR, WB_COMMAND_ERROR_IN_USE))
			g_clear_error(error);
		return !*error;
	}
	superblock = g_new(struct wb_superblock, 1);
	is_clean = wb_volume_read_superblock(store, superblock) &&
		   (superblock->state_flags & WB_STATE_CLEAN);
	g_free(superblock);
	wb_store_close(store);
	if (is_clean)
		return true;
	return wb_fail(error, "unmounted, but cache %s was not stopped cleanly: what was "
		       "synced is safe and the next mount recovers it; the reason is in the "
		       "system log", cache_path);
}

static bool stop(const char *mount_point, const struct wb_options *options, GError **error)
{
	g_autoptr(JsonNode) stats = wb_client_get_stats(mount_point, error);
	const char *cache_path;
	bool ok, is_read_only, is_flushed;
	int worker, keeper;

	if (!stats)
		return false;
	/* Without a cache nothing is left that could tell about it afterwards. */
	cache_path = wb_client_text_in(stats, "cache", "path");
	is_read_only = wb_client_bool(stats, "read_only");
	is_flushed = *cache_path || is_read_only || wb_flush_one(mount_point) == WB_EXIT_DONE;
	worker = open_process(wb_client_number(stats, "worker_pid"));
	keeper = open_process(wb_client_number_in(stats, "keeper", "pid"));
	ok = unmount(mount_point, options, error);
	/* One that dies now has another follow it, and only the keeper sees the end. */
	if (ok) {
		wait_until_gone(worker, mount_point);
		wait_until_gone(keeper, mount_point);
	}
	close_process(worker);
	close_process(keeper);
	if (ok && !is_flushed)
		return wb_fail(error, "unmounted, but writes that were not synced before may be "
			       "missing on %s", wb_client_text_in(stats, "backing", "path"));
	return ok && (!*cache_path || is_read_only || check_clean(cache_path, error));
}

/* Of another user, and closed to root: the daemon stops by itself, and stops cleanly,
 * but nothing can be learnt of it. */
static int umount_closed(const char *mount_point, const struct wb_options *options)
{
	g_autoptr(GError) error = NULL;

	if (!unmount(mount_point, options, &error))
		return wb_report(error);
	wb_report_note("%s was unmounted; its daemon, of another user, is still stopping",
		       mount_point);
	return WB_EXIT_DONE;
}

int wb_umount_one(const char *path, const struct wb_options *options)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *mount_point = wb_mount_table_resolve(path, &error);

	if (!mount_point)
		return wb_report(error);
	if (!geteuid() && !wb_mount_table_may_look(mount_point))
		return umount_closed(mount_point, options);
	if (stop(mount_point, options, &error))
		return WB_EXIT_DONE;
	if (!g_error_matches(error, WB_COMMAND_ERROR, WB_COMMAND_ERROR_DEAD_MOUNT))
		return wb_report(error);
	g_clear_error(&error);
	if (!unmount(mount_point, options, &error))
		return wb_report(error);
	wb_report_note("%s was unmounted, but its daemon had died before: the next mount "
		       "recovers the log", mount_point);
	return WB_EXIT_DONE;
}

int wb_cmd_umount(const struct wb_options *options)
{
	return options->all ? wb_each_mount(wb_umount_one, options, "unmounted") :
			      wb_umount_one(options->argument, options);
}
