/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "frontend/fuse_caller.h"

#include <errno.h>
#include <glib.h>
#include <linux/fuse.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "frontend/fuse_rings.h"

/* An answer is written whole, or not at all. */
static void check(ssize_t result)
{
	/* Nobody waits for it any more; the session is over. */
	if (result < 0 && errno != ENOENT && errno != ENODEV)
		g_warning("FUSE took no answer: %s", g_strerror(errno));
}

/* The kernel takes no other number, and the request would stay. */
#define ERROR_MAX 511

static struct fuse_out_header header_of(struct wb_fuse_caller caller, int error, size_t bytes)
{
	return (struct fuse_out_header){
		.len = (uint32_t)(sizeof(struct fuse_out_header) + bytes),
		.error = error < 0 || error > ERROR_MAX ? -EIO : -error,
		.unique = caller.unique,
	};
}

void wb_fuse_caller_end(struct wb_fuse_caller caller, int error)
{
	struct fuse_out_header header = header_of(caller, error, 0);

	if (caller.entry)
		wb_ring_entry_answer(caller.entry, header.error, 0);
	else
		check(write(caller.fd, &header, sizeof header));
}

void wb_fuse_caller_give(struct wb_fuse_caller caller, const void *data, size_t bytes)
{
	struct fuse_out_header header = header_of(caller, 0, bytes);
	const struct iovec pieces[] = {
		{ &header, sizeof header }, { (void *)data, bytes },
	};

	if (!caller.entry) {
		check(writev(caller.fd, pieces, G_N_ELEMENTS(pieces)));
		return;
	}
	if (bytes && data != wb_ring_entry_payload(caller.entry))
		memmove(wb_ring_entry_payload(caller.entry), data, bytes);
	wb_ring_entry_answer(caller.entry, 0, bytes);
}

/* In one piece: the kernel looks up the memory of each. */
void wb_fuse_caller_wrote(struct wb_fuse_caller caller, size_t bytes)
{
	struct {
		struct fuse_out_header header;
		struct fuse_write_out out;
	} answer = {
		header_of(caller, 0, sizeof answer.out), { .size = (uint32_t)bytes },
	};

	if (caller.entry)
		wb_fuse_caller_give(caller, &answer.out, sizeof answer.out);
	else
		check(write(caller.fd, &answer, sizeof answer));
}
