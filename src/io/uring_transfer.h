/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One wb_io as a chain of io_uring operations: how the next one looks, and
 * what the result of the last one means. No threads, no waiting; the lane
 * (uring_lane.h) moves the operations.
 *
 * Uses wb_io.store_word: [0] bytes done so far, [1] retries since progress and how
 * the operation under way makes zeros.
 */
#ifndef WB_IO_URING_TRANSFER_H
#define WB_IO_URING_TRANSFER_H

#include <liburing.h>
#include <stdint.h>

#include "io/store.h"

/* How zeros get there: the first that the disk can do; found out by trying,
 * and only ever moving down. */
enum wb_zero_method {
	WB_ZERO_BY_PUNCH,	/* PUNCH_HOLE: gives the space back */
	WB_ZERO_BY_RANGE,	/* ZERO_RANGE */
	WB_ZERO_BY_WRITE,	/* from a buffer of zeros */
};

struct wb_uring_disk {
	int file;			/* descriptor, or index if is_fixed_file */
	unsigned sqe_flags;		/* IOSQE_FIXED_FILE or 0 */
	uint32_t alignment_bytes;
	int zero_method;		/* enum wb_zero_method */
};

void wb_uring_transfer_start(struct wb_io *io);
void wb_uring_transfer_prepare(const struct wb_uring_disk *disk, struct wb_io *io,
			       struct io_uring_sqe *sqe);

enum wb_transfer_verdict {
	WB_TRANSFER_FINISHED,	/* *error is the answer */
	WB_TRANSFER_AGAIN,	/* prepare and submit the next operation */
};
/* `result` is what the completion said. */
enum wb_transfer_verdict wb_uring_transfer_advance(struct wb_uring_disk *disk,
						   struct wb_io *io, int result,
						   int *error);

#endif
