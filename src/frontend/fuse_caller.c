/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "frontend/fuse_caller.h"

#include <linux/fuse.h>
#include <string.h>

#include "frontend/fuse_channel.h"
#include "frontend/fuse_rings.h"

/* The thread may have received another request, which libfuse is going to answer: that
 * answer goes where that one came from. */
static void answered(void)
{
	wb_fuse_channel_answer_on(wb_fuse_channel_here());
}

void wb_fuse_caller_end(struct wb_fuse_caller caller, int error)
{
	if (caller.entry) {
		wb_ring_entry_answer(caller.entry, -error, 0);
		return;
	}
	wb_fuse_channel_answer_on(caller.fd);
	fuse_reply_err(caller.req, error);
	answered();
}

void wb_fuse_caller_give(struct wb_fuse_caller caller, const void *data, size_t bytes)
{
	if (!caller.entry) {
		wb_fuse_channel_answer_on(caller.fd);
		fuse_reply_buf(caller.req, data, bytes);
		answered();
		return;
	}
	if (bytes && data != wb_ring_entry_payload(caller.entry))
		memmove(wb_ring_entry_payload(caller.entry), data, bytes);
	wb_ring_entry_answer(caller.entry, 0, bytes);
}

void wb_fuse_caller_wrote(struct wb_fuse_caller caller, size_t bytes)
{
	struct fuse_write_out out = { .size = (uint32_t)bytes };

	if (caller.entry) {
		wb_fuse_caller_give(caller, &out, sizeof out);
		return;
	}
	wb_fuse_channel_answer_on(caller.fd);
	fuse_reply_write(caller.req, bytes);
	answered();
}
