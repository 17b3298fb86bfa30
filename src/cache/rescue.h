/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Applies what a replay of the log says to the backing, or to a copy of it.
 * Reads the cache and never writes to it. One thread. */
#ifndef WB_CACHE_RESCUE_H
#define WB_CACHE_RESCUE_H

#include "cache/recovery_replay.h"
#include "io/store.h"

enum wb_rescue_loss {
	WB_RESCUE_ROTTEN,	/* its checksum is wrong */
	WB_RESCUE_UNREADABLE,	/* the cache gives an I/O error for it */
	WB_RESCUE_LOST_BEFORE,	/* noted as lost in the log */
};

struct wb_rescue {
	struct wb_store *cache_store;
	/* At least as large as the image, whose size is a multiple of its
	 * alignment. */
	struct wb_store *target;
	const struct wb_geometry *geometry;
	const struct wb_replay *replay;
	/* Blocks that cannot be had: the target keeps what it holds there. */
	void (*lost)(void *arg, uint64_t first, uint64_t count, enum wb_rescue_loss loss);
	/* FALSE: stop, with -ECANCELED; or NULL */
	bool (*progress)(void *arg, uint64_t done_bytes, uint64_t total_bytes);
	void *arg, *progress_arg;
};

/*
 * All is durable on the target when this returns 0. -errno is that of the
 * target; *failed_bytes is then where in the image. What was done until then
 * stays, and it can be done again from the beginning.
 */
int wb_rescue_apply(const struct wb_rescue *rescue, uint64_t *failed_bytes);

/* Does the target lack any of it, or hold something else there? What cannot be
 * read says nothing. *at_bytes is where in the image. Reads only. */
bool wb_rescue_differs(const struct wb_rescue *rescue, uint64_t *at_bytes);

#endif
