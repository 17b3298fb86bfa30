/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests for the data of the image, as the structs that the kernel sends: taken from
 * there to fuse_disk, whichever way they came. libfuse, which keeps a list of requests
 * that all threads change, has everything else.
 *
 * Any thread.
 */
#ifndef WB_FRONTEND_FUSE_DATA_H
#define WB_FRONTEND_FUSE_DATA_H

#include <linux/fuse.h>
#include <stddef.h>

#include "frontend/fuse_operations.h"

/* READ, WRITE, FSYNC or FALLOCATE of the disk: what may have to wait inside the cache. */
bool wb_fuse_data_is(const struct fuse_in_header *header);

/* Valid until it is answered, but for the header. */
struct wb_fuse_data_request {
	const struct fuse_in_header *header;
	const void *fixed;		/* the struct of its kind, behind the header */
	size_t fixed_bytes;
	const char *payload;		/* of a WRITE */
	size_t payload_bytes;
};

/* One for which the above is true. `received`: see wb_fuse_disk_write(). */
void wb_fuse_data_serve(struct wb_fuse_service *service, struct wb_fuse_caller caller,
			const struct wb_fuse_data_request *request,
			struct wb_receive_buffer **received);

/* What was read from `fd` of the session: FALSE when it is not for the data, and nothing
 * was done. That somebody who waits was interrupted is heard, and that is all: what was
 * begun ends soon, and libfuse would look for the request among its own. */
bool wb_fuse_data_take(struct wb_fuse_service *service, int fd, const struct fuse_buf *request,
		       struct wb_receive_buffer **received);

#endif
