/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel and the daemon exchange when FUSE goes over io_uring (Linux 6.14;
 * Documentation/filesystems/fuse/fuse-io-uring.rst). <linux/fuse.h> is older where we
 * build. In the byte order of the machine.
 */
#ifndef WB_FRONTEND_URING_ABI_H
#define WB_FRONTEND_URING_ABI_H

#include <assert.h>
#include <stdint.h>

/* In flags2 of INIT: the kernel offers it, the answer accepts. */
#define WB_FUSE_OVER_IO_URING (1u << 9)

/* cmd_op of IORING_OP_URING_CMD on /dev/fuse. Both complete when the entry holds a
 * request; the second one first hands over the answer that lies in it. */
enum wb_uring_command { WB_URING_REGISTER = 1, WB_URING_COMMIT_AND_FETCH = 2 };

/* At the end of the SQE of 128 bytes. */
struct wb_uring_command_arguments {
	uint64_t flags;
	uint64_t commit_id;		/* COMMIT: of the request that is answered */
	uint16_t queue_id;		/* the number of a CPU */
	uint8_t padding[6];
};

struct wb_uring_transfer {
	uint64_t flags;
	uint64_t commit_id;
	uint32_t payload_bytes;		/* of the request, then of the answer */
	uint32_t padding;
	uint64_t reserved;
};

/* One of an entry's two pieces of memory; the other is the payload: all of a
 * request behind its fixed part, and all of an answer behind its header. */
struct wb_uring_header {
	uint8_t in_out[128];		/* fuse_in_header, then fuse_out_header */
	uint8_t fixed[128];		/* the fixed part of the request */
	struct wb_uring_transfer transfer;
};

static_assert(sizeof(struct wb_uring_command_arguments) == 24, "the kernel's");
static_assert(sizeof(struct wb_uring_header) == 288, "the kernel's");

#endif
