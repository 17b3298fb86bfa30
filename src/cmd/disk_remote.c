/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/disk_remote.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cmd/disk_wait.h"
#include "cmd/report.h"
#include "cmd/state_directory.h"
#include "io/nbd_lane.h"
#include "io/nbd_uri.h"
#include "io/store_nbd.h"

#define LOCK_SUFFIX ".lock"
#define PAUSE_FIRST_US (G_USEC_PER_SEC / 10)
#define PAUSE_LAST_US (5 * G_USEC_PER_SEC)

static const char note[] = "in use, or left in a hurry\n";

/* -1 and errno */
static int open_at(const char *path)
{
	g_autofree char *directory = g_path_get_dirname(path);

	return g_mkdir_with_parents(directory, 0755) < 0 ? -1 :
		open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
}

char *wb_disk_remote_lock_file(const char *path)
{
	g_autofree char *name = wb_nbd_uri_is(path) ? wb_nbd_uri_name(path, NULL) : NULL;
	char *file = name ? wb_state_file(name, LOCK_SUFFIX) : NULL;
	int fd = file ? open_at(file) : -1;

	if (fd >= 0)
		close(fd);
	return file;
}

static bool open_lock_file(struct wb_disk *disk, GError **error)
{
	g_autofree char *path = wb_state_file(disk->remote_name, LOCK_SUFFIX);

	disk->fd = open_at(path);
	if (disk->fd < 0 || fstat(disk->fd, &disk->st))
		return wb_fail_errno(error, "cannot open %s, which is locked for %s", path,
				     disk->path);
	return true;
}

static bool check_facts(struct wb_disk *disk, const char *role, GError **error)
{
	struct wb_nbd_export_facts facts;

	wb_nbd_export_get_facts(disk->peer, &facts);
	disk->size_bytes = facts.size_bytes;
	if (disk->access == WB_DISK_READ_WRITE && facts.is_read_only)
		return wb_fail(error, "%s %s is read-only: the server does not let us write",
			       role, disk->path);
	if (disk->access == WB_DISK_READ_WRITE && !facts.can_flush)
		g_warning("the server of %s %s cannot flush: what it has in its memory is lost "
			  "when it dies, and nobody will know", role, disk->path);
	return true;
}

/* Whoever takes over does so from a daemon that was served, or waited for it too. */
static struct wb_nbd_export *connect(const struct wb_disk *disk, const char *role,
				     enum wb_disk_haste haste, GError **error)
{
	struct wb_disk_wait wait = wb_disk_wait_begin(role, disk->path, 0);
	gint64 pause_us = PAUSE_FIRST_US;
	struct wb_nbd_export *peer;

	while (!(peer = wb_nbd_export_open(disk->path, WB_NBD_CONNECT_MS, error)) &&
	       haste == WB_DISK_WHEN_IT_IS_BACK) {
		g_autofree char *why = g_strdup_printf("it cannot be reached (%s)",
						       (*error)->message);

		if (!wb_disk_wait_more(&wait, pause_us, why))
			break;
		g_clear_error(error);
		pause_us = MIN(2 * pause_us, PAUSE_LAST_US);
	}
	if (peer)
		wb_disk_wait_end(&wait);
	return peer;
}

bool wb_disk_remote_open(struct wb_disk *disk, const char *role,
			 enum wb_disk_haste haste, GError **error)
{
	if (strcmp(role, "backing"))
		return wb_fail(error, "%s %s: only a backing may be behind an NBD server; the cache "
			       "is to be a file or device of this machine", role, disk->path);
	disk->is_remote = true;
	disk->remote_name = wb_nbd_uri_name(disk->path, error);
	if (!disk->remote_name || !open_lock_file(disk, error))
		return false;
	disk->peer = connect(disk, role, haste, error);
	if (!disk->peer) {
		g_prefix_error(error, "%s ", role);
		return false;
	}
	return check_facts(disk, role, error);
}

void wb_disk_remote_locked(struct wb_disk *disk)
{
	struct stat st;

	disk->was_killed = !fstat(disk->fd, &st) && st.st_size > 0;
}

struct wb_store *wb_disk_remote_open_store(struct wb_disk *disk, GError **error)
{
	struct wb_nbd_export *peer = g_steal_pointer(&disk->peer);

	/* Before anything can be sent. */
	if (disk->access == WB_DISK_READ_WRITE) {
		disk->is_noted = pwrite(disk->fd, note, sizeof note - 1, 0) > 0;
		disk->noted_us = g_get_monotonic_time();
		if (!disk->is_noted)
			g_warning("the lock file of %s cannot be written: %s", disk->path,
				  g_strerror(errno));
	}
	return wb_store_nbd_open(peer, disk->path, disk->was_killed ? WB_NBD_WAS_KILLED :
				 WB_NBD_SAID_GOODBYE, &disk->leaves_ghosts, error);
}

/* What the one before us sent, or we, may still be landing: the next one has to hold back
 * too. */
static bool is_haunted(const struct wb_disk *disk)
{
	return disk->leaves_ghosts ||
	       (disk->was_killed && g_get_monotonic_time() - disk->noted_us < WB_NBD_HOLD_US);
}

void wb_disk_remote_close(struct wb_disk *disk)
{
	wb_nbd_export_close(g_steal_pointer(&disk->peer));
	if (disk->is_noted && !is_haunted(disk) && ftruncate(disk->fd, 0))
		g_debug("the next one waits a moment for nothing");
	disk->is_noted = false;
	g_clear_pointer(&disk->remote_name, g_free);
}
