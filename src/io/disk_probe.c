/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "io/disk_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define ALIGNMENT_MIN 512u
#define ALIGNMENT_MAX 4096u

static gboolean fail_errno(GError **error, const char *label, const char *what)
{
	int saved_errno = errno;

	g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(saved_errno),
		    "%s: %s: %s", label, what, g_strerror(saved_errno));
	return FALSE;
}

static gboolean probe_device(int fd, const char *label, struct wb_disk_probe *probe,
			     GError **error)
{
	int sector_bytes = 0;

	if (ioctl(fd, BLKGETSIZE64, &probe->size_bytes) < 0)
		return fail_errno(error, label, "cannot read the size of the device");
	if (ioctl(fd, BLKSSZGET, &sector_bytes) < 0)
		return fail_errno(error, label, "cannot read the sector size");
	if (sector_bytes < (int)ALIGNMENT_MIN || sector_bytes > (int)ALIGNMENT_MAX) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			    "%s: sectors of %d bytes, expected 512 to 4096",
			    label, sector_bytes);
		return FALSE;
	}
	probe->alignment_bytes = (uint32_t)sector_bytes;
	probe->atomic_write_bytes = (uint32_t)sector_bytes;
	return TRUE;
}

static int set_direct(int fd, bool is_direct)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return -1;
	flags = is_direct ? flags | O_DIRECT : flags & ~O_DIRECT;
	return fcntl(fd, F_SETFL, flags);
}

/* Kernels and filesystems that do not tell: the first alignment that a read
 * gets through with. 0 when none does. */
static uint32_t try_alignments(int fd)
{
	static const uint32_t sizes[] = { 512, 1024, 2048, 4096 };
	uint32_t found = 0;
	char *buffer;

	if (posix_memalign((void **)&buffer, 2 * ALIGNMENT_MAX, 2 * ALIGNMENT_MAX))
		return 0;
	for (unsigned i = 0; i < G_N_ELEMENTS(sizes) && !found; i++) {
		/* Memory and offset are no better aligned than `size`. */
		if (pread(fd, buffer + sizes[i], sizes[i], sizes[i]) >= 0)
			found = sizes[i];
	}
	free(buffer);
	return found;
}

/* 0 and a reason when O_DIRECT is not possible, or not what it says. */
static uint32_t direct_alignment(int fd, const char **reason)
{
	struct statfs fs;
	uint32_t alignment_bytes;

	/* Newer kernels accept O_DIRECT on tmpfs and ignore it. */
	if (fstatfs(fd, &fs) == 0 && fs.f_type == TMPFS_MAGIC) {
		*reason = "tmpfs has no direct I/O";
		return 0;
	}
#ifdef STATX_DIOALIGN
	struct statx stx;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) == 0 &&
	    (stx.stx_mask & STATX_DIOALIGN)) {
		/* Zero: the filesystem would silently buffer (ext4 with
		 * data=journal, for one). */
		*reason = "the filesystem has no direct I/O for this file";
		return MAX(stx.stx_dio_mem_align, stx.stx_dio_offset_align);
	}
#endif
	*reason = "the filesystem refuses O_DIRECT";
	if (set_direct(fd, true) < 0)
		return 0;
	alignment_bytes = try_alignments(fd);
	set_direct(fd, false);
	return alignment_bytes;
}

static void choose_caching(int fd, const char *wants_buffered,
			   struct wb_disk_probe *probe)
{
	const char *reason = wants_buffered;
	uint32_t alignment_bytes = probe->alignment_bytes;

	if (!reason && !probe->is_block_device)
		alignment_bytes = direct_alignment(fd, &reason);
	alignment_bytes = MAX(alignment_bytes, alignment_bytes ? ALIGNMENT_MIN : 0);
	if (!wants_buffered && alignment_bytes) {
		reason = NULL;
		if (alignment_bytes > ALIGNMENT_MAX)
			reason = "direct I/O needs an alignment of more than 4096 bytes";
		else if (probe->size_bytes % alignment_bytes)
			reason = "the size is no multiple of what direct I/O needs";
		else if (set_direct(fd, true) < 0)
			reason = "the kernel refuses O_DIRECT";
	}
	probe->is_direct = !reason;
	probe->buffered_reason = reason;
	if (reason) {
		set_direct(fd, false);
		alignment_bytes = ALIGNMENT_MIN;
	}
	probe->alignment_bytes = alignment_bytes;
}

gboolean wb_disk_probe(int fd, const char *label, const char *wants_buffered,
		       struct wb_disk_probe *probe, GError **error)
{
	struct stat st;
	dev_t device;

	*probe = (struct wb_disk_probe){
		.alignment_bytes = ALIGNMENT_MIN,
		/* A file's device may have larger sectors; the smaller unit is
		 * the weaker promise, and always true. */
		.atomic_write_bytes = ALIGNMENT_MIN,
	};
	if (fstat(fd, &st) < 0)
		return fail_errno(error, label, "cannot be examined");
	if (S_ISBLK(st.st_mode)) {
		probe->is_block_device = true;
		if (!probe_device(fd, label, probe, error))
			return FALSE;
	} else if (S_ISREG(st.st_mode)) {
		probe->size_bytes = (uint64_t)st.st_size;
	} else {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			    "%s: neither a regular file nor a block device", label);
		return FALSE;
	}
	if (probe->size_bytes % 512) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			    "%s: its size of %" G_GUINT64_FORMAT
			    " bytes is no multiple of 512", label, probe->size_bytes);
		return FALSE;
	}
	device = probe->is_block_device ? st.st_rdev : st.st_dev;
	probe->device_major = major(device);
	probe->device_minor = minor(device);
	choose_caching(fd, wants_buffered, probe);
	return TRUE;
}
