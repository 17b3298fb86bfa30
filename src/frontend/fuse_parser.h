/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libfuse as a function: a request in memory becomes an answer in memory. For the
 * requests that come over a ring and that fuse_disk does not take; they are rare, end
 * at once, and run one at a time. libfuse believes that it talks to the kernel: its
 * descriptor is that of a file in memory.
 *
 * Any thread.
 */
#ifndef WB_FRONTEND_FUSE_PARSER_H
#define WB_FRONTEND_FUSE_PARSER_H

#include <glib.h>
#include <linux/fuse.h>
#include <sys/uio.h>

#include "frontend/fuse_operations.h"

struct wb_fuse_parser;

/* Requests are at most request_bytes long. NULL and an error. */
struct wb_fuse_parser *wb_fuse_parser_new(struct wb_fuse_service *service,
					  size_t request_bytes, GError **error);
void wb_fuse_parser_free(struct wb_fuse_parser *parser);

/*
 * The request is the pieces one behind the other. What the answer has behind its
 * header goes to `data`, which may be where the request lies; returns how much that
 * is. Where there is no answer, header->len is 0.
 */
size_t wb_fuse_parser_run(struct wb_fuse_parser *parser, const struct iovec *request,
			  unsigned piece_count, struct fuse_out_header *header,
			  const struct iovec *data);

#endif
