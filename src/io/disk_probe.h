/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an open file or block device is like: size, alignment, and whether
 * I/O can go past the page cache. Start-up only.
 */
#ifndef WB_IO_DISK_PROBE_H
#define WB_IO_DISK_PROBE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct wb_disk_probe {
	uint64_t size_bytes;
	uint32_t alignment_bytes;	/* what O_DIRECT asks for; 512 if buffered */
	uint32_t atomic_write_bytes;	/* logical sector of a device, else 512 */
	bool is_block_device;
	bool is_direct;
	const char *buffered_reason;	/* static text; NULL when is_direct */
	unsigned device_major, device_minor;	/* of the disk below */
};

/*
 * Looks at `fd` and sets or clears O_DIRECT on its open file description: the
 * description itself is kept, because the caller's flock belongs to it.
 * `wants_buffered`: a reason to do without O_DIRECT, or NULL. FALSE and an
 * error (G_FILE_ERROR) that names `label` for what is no disk.
 */
gboolean wb_disk_probe(int fd, const char *label, const char *wants_buffered,
		       struct wb_disk_probe *probe, GError **error);

#endif
