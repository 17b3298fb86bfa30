/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The store for real disks: a regular file or a block device, by io_uring.
 *
 * Two lanes (rings with a thread each): one for what users wait for (USER_READ,
 * USER_WRITE, FILL, SCRUB), one for LOG and WRITEBACK, so that a done() that
 * takes its time never delays a flush; of a device also a thread that discards.
 * Threads are started by open(): fork before, not after.
 *
 * O_DIRECT where the disk can; else buffered I/O with the same promises (FLUSH
 * and FUA make durable in any case), and a reason that can be shown.
 */
#ifndef WB_IO_STORE_URING_H
#define WB_IO_STORE_URING_H

#include <glib.h>
#include <stdbool.h>

#include "io/store.h"

enum wb_store_uring_access { WB_STORE_READ_WRITE, WB_STORE_READ_ONLY };
enum wb_store_uring_caching { WB_STORE_DIRECT_IF_POSSIBLE, WB_STORE_BUFFERED };

struct wb_store_uring_options {
	const char *path;	/* for messages; opened when fd is -1 */
	/*
	 * Open already, or -1. I/O goes through this very open file description
	 * (O_DIRECT is set on it), so an flock on it is held until the last I/O
	 * has landed, even when the process is killed. The store owns it when
	 * open succeeded: close() unlocks and closes it.
	 */
	int fd;
	enum wb_store_uring_access access;	/* of the open by path */
	enum wb_store_uring_caching caching;
	unsigned queue_entries;	/* of each lane; 0 = 256 */
};

/* NULL and an error (G_FILE_ERROR) that names the path. */
struct wb_store *wb_store_uring_open(const struct wb_store_uring_options *options,
				     GError **error);

struct wb_store_uring_info {
	bool is_direct;
	bool is_block_device;
	const char *buffered_reason;	/* for people; NULL when is_direct */
};
/* `store` must come from wb_store_uring_open(), here and below. */
const struct wb_store_uring_info *wb_store_uring_get_info(const struct wb_store *store);
/* The disk has been made larger. A size that it had before stays. */
void wb_store_uring_set_size(struct wb_store *store, uint64_t size_bytes);

#endif
