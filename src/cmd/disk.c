/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cmd/disk_remote.h"
#include "cmd/disk_wait.h"
#include "cmd/lock_holder.h"
#include "cmd/report.h"
#include "cmd/size_parse.h"
#include "io/nbd_uri.h"
#include "io/store_uring.h"
#include "keeper/guard.h"

#define LOCK_WAIT_US (10 * G_USEC_PER_SEC)
#define CLAIM_WAIT_US (2 * G_USEC_PER_SEC)
#define POLL_US (20 * 1000)
#define GHOSTS "I/O of the daemon before is still under way there"

static enum wb_disk_trust trust;

void wb_disk_trust_keeper(enum wb_disk_trust how)
{
	trust = how;
}

/* --- open -------------------------------------------------------------------- */

bool wb_disk_refresh(struct wb_disk *disk, GError **error)
{
	if (disk->is_remote)
		return true;
	if (fstat(disk->fd, &disk->st) < 0)
		return wb_fail_errno(error, "%s: cannot look at it", disk->path);
	disk->is_block_device = S_ISBLK(disk->st.st_mode);
	if (!disk->is_block_device && !S_ISREG(disk->st.st_mode))
		return wb_fail(error, "%s is neither a regular file nor a block device",
			       disk->path);
	disk->size_bytes = (uint64_t)disk->st.st_size;
	if (disk->is_block_device && ioctl(disk->fd, BLKGETSIZE64, &disk->size_bytes) < 0)
		return wb_fail_errno(error, "%s: cannot read the size of the device",
				     disk->path);
	return true;
}

bool wb_disk_set_size(struct wb_disk *disk, uint64_t bytes, enum wb_disk_space space,
		      GError **error)
{
	char size[WB_SIZE_TEXT_BYTES];

	if (ftruncate(disk->fd, (off_t)bytes) < 0)
		return wb_fail_errno(error, "%s: cannot make it %s large", disk->path,
				     wb_size_format(bytes, size));
	if (space == WB_DISK_ALLOCATED && fallocate(disk->fd, 0, 0, (off_t)bytes) < 0 &&
	    errno != EOPNOTSUPP)
		return wb_fail_errno(error, "%s: cannot allocate %s", disk->path,
				     wb_size_format(bytes, size));
	return wb_disk_refresh(disk, error);
}

static bool refuse_held(const struct wb_disk *disk, const char *role,
			const struct wb_lock_holder *holder, GError **error)
{
	g_set_error(error, WB_COMMAND_ERROR, WB_COMMAND_ERROR_IN_USE,
		    "%s %s is in use by %s (pid %d)", role, disk->path, holder->program,
		    (int)holder->pid);
	return false;
}

/* By somebody who will not let go. Of disks that a keeper guards nobody else has more
 * than a look at, before he hears of the guard. */
static bool is_held(const struct wb_disk *disk, struct wb_lock_holder *holder)
{
	return trust != WB_DISK_TAKES_OVER && wb_lock_holder_find(&disk->st, holder);
}

static bool open_failed(const struct wb_disk *disk, const char *role, GError **error)
{
	if (errno == EBUSY)
		return wb_fail(error, "%s %s is in use by the system: mounted, or part of "
			       "another device", role, disk->path);
	return wb_fail_errno(error, "cannot open %s %s", role, disk->path);
}

/* Who only reads leaves no trace, where the system lets him: not even the time. */
static int open_quietly(const char *path, int flags)
{
	int fd = open(path, flags | O_NOATIME);

	return fd < 0 && errno == EPERM ? open(path, flags) : fd;
}

/* O_EXCL claims a device for us alone. It is also busy while I/O of a killed
 * process is landing, so a wait comes before the refusal. */
static bool open_path(struct wb_disk *disk, const char *role, GError **error)
{
	struct wb_disk_wait wait = wb_disk_wait_begin(role, disk->path, CLAIM_WAIT_US);
	struct wb_lock_holder holder;
	int flags = O_CLOEXEC;

	flags |= disk->access == WB_DISK_READ_ONLY ? O_RDONLY : O_RDWR;
	if (S_ISBLK(disk->st.st_mode) && disk->access == WB_DISK_READ_WRITE)
		flags |= O_EXCL;
	for (;;) {
		disk->fd = disk->access == WB_DISK_READ_ONLY ? open_quietly(disk->path, flags) :
							       open(disk->path, flags);
		if (disk->fd >= 0)
			break;
		if (errno != EBUSY)
			return open_failed(disk, role, error);
		if (is_held(disk, &holder))
			return refuse_held(disk, role, &holder, error);
		if (!wb_disk_wait_more(&wait, POLL_US, GHOSTS)) {
			errno = EBUSY;
			return open_failed(disk, role, error);
		}
	}
	wb_disk_wait_end(&wait);
	return true;
}

/* --- lock ---------------------------------------------------------------------- */

/* Between two workers no flock keeps others away from a volume, but the guard of its
 * keeper does. */
static bool check_guard(const struct wb_disk *disk, const char *role, gint64 deadline,
			GError **error)
{
	struct wb_lock_holder holder;

	while (trust == WB_DISK_NOBODY &&
	       wb_guard_is_held(disk->fd, disk->access == WB_DISK_READ_ONLY)) {
		if (g_get_monotonic_time() < deadline) {
			g_usleep(POLL_US);
			continue;
		}
		if (wb_lock_holder_find_open(&disk->st, &holder))
			return refuse_held(disk, role, &holder, error);
		g_set_error(error, WB_COMMAND_ERROR, WB_COMMAND_ERROR_IN_USE,
			    "%s %s is guarded by the keeper of a mounted volume, which could not "
			    "be found", role, disk->path);
		return false;
	}
	return true;
}

static bool take_flock(struct wb_disk *disk, const char *role, GError **error)
{
	int how = disk->access == WB_DISK_READ_ONLY ? LOCK_SH : LOCK_EX;
	struct wb_disk_wait wait = wb_disk_wait_begin(role, disk->path, LOCK_WAIT_US);
	struct wb_lock_holder holder;

	while (flock(disk->fd, how | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return wb_fail_errno(error, "cannot lock %s %s", role, disk->path);
		if (is_held(disk, &holder))
			return refuse_held(disk, role, &holder, error);
		if (!wb_disk_wait_more(&wait, POLL_US, GHOSTS)) {
			g_set_error(error, WB_COMMAND_ERROR, WB_COMMAND_ERROR_IN_USE,
				    "%s %s is still locked after 10 s, by no process that could "
				    "be found: I/O of a killed one may be stuck, or the lock is "
				    "that of another machine or container", role, disk->path);
			return false;
		}
	}
	wb_disk_wait_end(&wait);
	return true;
}

/* A living worker is named by its flock. Without one the guard may be that of a keeper
 * which is just ending: a moment is waited for it, with nothing held, so that the next
 * worker does not find the disk locked; and it is looked at again at the end. A worker
 * of that keeper need not look for others. */
static bool lock(struct wb_disk *disk, const char *role, GError **error)
{
	struct wb_lock_holder holder;

	return (trust != WB_DISK_NOBODY || wb_lock_holder_find(&disk->st, &holder) ||
		check_guard(disk, role, g_get_monotonic_time() + CLAIM_WAIT_US, error)) &&
	       take_flock(disk, role, error) && check_guard(disk, role, 0, error);
}

/* --- doors ----------------------------------------------------------------------- */

/* `wbfs resize` may have put another cache in its place since it was opened; what is
 * written to the old one would be written to a file without a name. */
static bool check_name(const struct wb_disk *disk, const char *role, GError **error)
{
	struct stat st;

	if (!wb_disk_is_file(disk) || stat(disk->path, &st) ||
	    (st.st_dev == disk->st.st_dev && st.st_ino == disk->st.st_ino))
		return true;
	return wb_fail(error, "%s %s was replaced by another file just now; try again", role,
		       disk->path);
}

bool wb_disk_adopt(struct wb_disk *disk, const char *role, const char *path, int fd,
		   GError **error)
{
	g_autofree char *resolved = realpath(path, NULL);

	*disk = (struct wb_disk){
		.path = g_strdup(resolved ? resolved : path),
		.fd = fd,
		.access = WB_DISK_READ_WRITE,
	};
	return wb_disk_refresh(disk, error) && lock(disk, role, error);
}

static bool open_remote(struct wb_disk *disk, const char *role, GError **error)
{
	if (!wb_disk_remote_open(disk, role, trust == WB_DISK_TAKES_OVER ?
				 WB_DISK_WHEN_IT_IS_BACK : WB_DISK_NOW, error) ||
	    !lock(disk, role, error))
		return false;
	wb_disk_remote_locked(disk);
	return true;
}

bool wb_disk_open(struct wb_disk *disk, const char *role, const char *path,
		  enum wb_disk_access access, GError **error)
{
	g_autofree char *resolved = realpath(path, NULL);

	*disk = (struct wb_disk){ .path = g_strdup(path), .fd = -1, .access = access };
	if (wb_nbd_uri_is(path))
		return open_remote(disk, role, error);
	if (!resolved || stat(resolved, &disk->st) < 0)
		return open_failed(disk, role, error);
	g_free(disk->path);
	disk->path = g_strdup(resolved);
	if (!S_ISREG(disk->st.st_mode) && !S_ISBLK(disk->st.st_mode))
		return wb_fail(error, "%s %s is neither a regular file nor a block device",
			       role, disk->path);
	return open_path(disk, role, error) && wb_disk_refresh(disk, error) &&
	       lock(disk, role, error) && check_name(disk, role, error);
}

bool wb_disk_duplicate(const struct wb_disk *disk, struct wb_disk *copy, GError **error)
{
	int fd = fcntl(disk->fd, F_DUPFD_CLOEXEC, 3);

	if (fd < 0)
		return wb_fail_errno(error, "cannot duplicate the descriptor of %s", disk->path);
	*copy = *disk;
	copy->path = g_strdup(disk->path);
	copy->remote_name = g_strdup(disk->remote_name);
	copy->peer = NULL;
	copy->is_noted = false;
	copy->fd = fd;
	return true;
}

void wb_disk_close(struct wb_disk *disk)
{
	wb_disk_remote_close(disk);
	if (disk->fd >= 0)
		close(disk->fd);
	disk->fd = -1;
	g_free(disk->path);
	disk->path = NULL;
}

struct wb_store *wb_disk_open_store(struct wb_disk *disk, GError **error)
{
	struct wb_store_uring_options options = {
		.path = disk->path,
		.fd = disk->fd,
		.access = disk->access == WB_DISK_READ_ONLY ? WB_STORE_READ_ONLY :
							      WB_STORE_READ_WRITE,
		.caching = WB_STORE_DIRECT_IF_POSSIBLE,
	};
	struct wb_store *store;

	if (disk->is_remote)
		return wb_disk_remote_open_store(disk, error);
	store = wb_store_uring_open(&options, error);
	if (store)
		disk->fd = -1;
	return store;
}

bool wb_disk_is_same(const struct wb_disk *a, const struct wb_disk *b)
{
	if (a->is_block_device && b->is_block_device)
		return a->st.st_rdev == b->st.st_rdev;
	return a->st.st_dev == b->st.st_dev && a->st.st_ino == b->st.st_ino;
}
