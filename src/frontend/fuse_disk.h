/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MOUNTPOINT/disk: each FUSE request on the image becomes one request to the
 * cache, and its answer is sent from done(). Nothing is allocated here after
 * start, but for writes that wait (receive_pool.h): when contexts or buffers
 * run out, the FUSE thread waits for one. That cannot lock up: what it waits
 * for is given back by the cache's own threads, which never wait for a FUSE
 * thread.
 *
 * Called on any FUSE thread; answers leave on any thread.
 */
#ifndef WB_FRONTEND_FUSE_DISK_H
#define WB_FRONTEND_FUSE_DISK_H

#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>

#include "cache/cache.h"
#include "frontend/fuse_caller.h"
#include "frontend/receive_pool.h"

struct wb_fuse_disk;

/* `request_count` as given to wb_cache_open(). No receive_pool: every request brings
 * its memory, as those of a ring do. NULL and an error when there is not enough
 * memory. */
struct wb_fuse_disk *wb_fuse_disk_new(struct wb_cache *cache,
				      struct wb_receive_pool *receive_pool,
				      unsigned request_count, GError **error);
/* Before the first request: *has_answered becomes 1 with the first answer; NULL: nothing. */
void wb_fuse_disk_note_answers(struct wb_fuse_disk *disk, _Atomic uint32_t *has_answered);
/* TRUE when every request has been answered, FALSE when g_get_monotonic_time() has reached
 * `deadline_us` before. */
bool wb_fuse_disk_wait_idle_until(struct wb_fuse_disk *disk, int64_t deadline_us);
/* The session is over: requests that would have to wait for a context fail. Any thread. */
void wb_fuse_disk_end_waits(struct wb_fuse_disk *disk);
void wb_fuse_disk_free(struct wb_fuse_disk *disk);	/* idle */

void wb_fuse_disk_read(struct wb_fuse_disk *disk, struct wb_fuse_caller caller, size_t size, off_t offset);
/*
 * `*received` is the buffer that holds `data`. When the write has to wait
 * there, it keeps the buffer, *received becomes NULL, and the buffer goes back
 * to the pool with the answer: whoever reused it earlier would put one write's
 * data in another's place. NULL: the data lies where it stays until the answer, in
 * the entry of a ring.
 */
void wb_fuse_disk_write(struct wb_fuse_disk *disk, struct wb_fuse_caller caller, const char *data,
			size_t size, off_t offset, int open_flags,
			struct wb_receive_buffer **received);
void wb_fuse_disk_sync(struct wb_fuse_disk *disk, struct wb_fuse_caller caller);
void wb_fuse_disk_fallocate(struct wb_fuse_disk *disk, struct wb_fuse_caller caller, int mode,
			    off_t offset, off_t length);
void wb_fuse_disk_lseek(struct wb_fuse_disk *disk, fuse_req_t req, off_t offset, int whence);

#endif
