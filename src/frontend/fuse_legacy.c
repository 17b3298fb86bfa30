/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "frontend/fuse_legacy.h"

#include <errno.h>
#include <linux/fuse.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

/* Newer than the headers of Debian 12. */
#define NOTIFY_RESEND 7
#define INIT_HAS_RESEND_2 (1u << 7)	/* FUSE_HAS_RESEND, in flags2 */

#define INIT_REACHES(bytes, member) ((bytes) >= sizeof(struct fuse_in_header) + \
	offsetof(struct fuse_init_in, member) + sizeof(uint32_t))

/* --- INIT ---------------------------------------------------------------------------- */

/* Several threads read, but nothing else comes before INIT is answered. */
static void keep_init(struct wb_fuse_heritage *heritage, const void *request, size_t bytes)
{
	const struct fuse_in_header *header = request;
	struct wb_fuse_legacy *legacy = heritage->legacy;

	if (header->opcode != FUSE_INIT || bytes > sizeof legacy->init)
		return;
	memcpy(legacy->init, request, bytes);
	atomic_store(&heritage->init_unique, header->unique);
	atomic_store(&legacy->init_bytes, (uint32_t)bytes);
}

bool wb_fuse_legacy_can_resend(const struct wb_fuse_legacy *legacy)
{
	uint32_t bytes = atomic_load(&legacy->init_bytes);
	const struct fuse_init_in *init =
		(const void *)(legacy->init + sizeof(struct fuse_in_header));

	return INIT_REACHES(bytes, flags2) && (init->flags & FUSE_INIT_EXT) &&
	       (init->flags2 & INIT_HAS_RESEND_2);
}

/* libfuse 3.14 cannot ask for what lies above the 32nd bit. */
static void ask_for_resend(const struct wb_fuse_legacy *legacy, struct iovec *out)
{
	struct fuse_init_out *init = out->iov_base;

	if (out->iov_len < offsetof(struct fuse_init_out, flags2) + sizeof init->flags2 ||
	    !wb_fuse_legacy_can_resend(legacy))
		return;
	init->flags |= FUSE_INIT_EXT;
	init->flags2 |= INIT_HAS_RESEND_2;
}

/* --- the session's I/O --------------------------------------------------------------------- */

void wb_fuse_legacy_received(struct wb_fuse_heritage *heritage, const void *request,
			     ssize_t result)
{
	if (result > 0 && heritage->legacy &&
	    !atomic_load_explicit(&heritage->legacy->init_bytes, memory_order_relaxed))
		keep_init(heritage, request, (size_t)result);
}

ssize_t wb_fuse_legacy_answers(struct wb_fuse_heritage *heritage, struct iovec *parts, int count)
{
	uint64_t init_unique = atomic_load_explicit(&heritage->init_unique,
						    memory_order_relaxed);
	const struct fuse_out_header *header = parts->iov_base;

	if (!init_unique || header->unique != init_unique)
		return 0;
	atomic_store(&heritage->init_unique, 0);
	if (heritage->swallows_init)
		return header->len;
	if (!header->error && count > 1)
		ask_for_resend(heritage->legacy, &parts[1]);
	return 0;
}

/* --- take over --------------------------------------------------------------------------------- */

bool wb_fuse_legacy_adopt(struct fuse_session *session, struct wb_fuse_heritage *heritage)
{
	struct wb_fuse_legacy *legacy = heritage->legacy;
	struct fuse_in_header header;
	struct fuse_buf init = {
		.size = atomic_load(&legacy->init_bytes),
		.mem = legacy->init,
	};

	if (init.size < sizeof header || init.size > sizeof legacy->init)
		return false;
	memcpy(&header, legacy->init, sizeof header);
	heritage->swallows_init = true;
	atomic_store(&heritage->init_unique, header.unique);
	fuse_session_process_buf(session, &init);
	return !atomic_load(&heritage->init_unique);
}

int wb_fuse_legacy_resend(int fd)
{
	const struct fuse_out_header resend = { .len = sizeof resend, .error = NOTIFY_RESEND };
	ssize_t n;

	do
		n = write(fd, &resend, sizeof resend);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}
