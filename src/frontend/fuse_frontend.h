/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The FUSE front end: exports one open cache as MOUNTPOINT/disk, with its
 * control files beside it. It owns the session, its threads and its buffers;
 * the cache stays the caller's and must outlive it.
 *
 * All functions from one thread but where it says otherwise; `ended` runs on a
 * thread of the front end.
 */
#ifndef WB_FRONTEND_FUSE_FRONTEND_H
#define WB_FRONTEND_FUSE_FRONTEND_H

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

#include "cache/cache.h"
#include "frontend/control_files.h"
#include "frontend/fuse_legacy.h"
#include "frontend/mount_facts.h"

/* Requests that the front end has open at once at most: wb_cache_config's
 * request_count. */
#define WB_FUSE_REQUESTS_MAX 320u

struct wb_fuse_config {
	struct wb_cache *cache;
	struct wb_mount_facts *facts;	/* the transport is filled in, before anybody can ask */
	const char *mount_point;	/* absolute */
	const char *fsname;		/* source in the mount table */
	const char *kernel_options;	/* "nodev,noatime", or "" */
	bool allow_other;
	bool wants_io_uring;		/* where it can be had */
	uid_t uid;			/* of the mounting user */
	gid_t gid;
	/* For the next worker, in memory that outlives this one; NULL: there is none. */
	struct wb_fuse_legacy *legacy;
	int session_fd;			/* of the worker before; -1: mount */
	int clone_fd;			/* likewise; -1: none */
	_Atomic uint32_t *has_answered;	/* becomes 1 with the first answer for the image; or NULL */
	struct wb_control_owner owner;
	void (*ended)(void *arg);	/* unmounted, or the connection is gone */
	/* What the caller's main loop would do, called again and again while pause() and
	 * finish() wait on its thread: what they wait for may need the cache's clock. */
	void (*meanwhile)(void *arg);
	void *arg;
};

struct wb_fuse;

/* Mounts and starts to serve; returns when the kernel has been answered and
 * the image can be used. NULL and an error when it could not be mounted. */
struct wb_fuse *wb_fuse_start(const struct wb_fuse_config *config, GError **error);

/* The descriptors of the session, which stay its own; -1: no clone. */
int wb_fuse_session_fd(const struct wb_fuse *fuse);
int wb_fuse_clone_fd(const struct wb_fuse *fuse);
/* Whether another worker can take over. */
enum wb_fuse_bond { WB_FUSE_FREE, WB_FUSE_OLD_KERNEL, WB_FUSE_IN_RINGS };
enum wb_fuse_bond wb_fuse_get_bond(const struct wb_fuse *fuse);

/*
 * Takes no more requests and waits until those under way have been answered. FALSE when
 * they are not by g_get_monotonic_time() == deadline_us: then it serves on. With a legacy,
 * and not in rings. Afterwards: wb_fuse_leave() instead of wb_fuse_finish(). When the
 * session was over before, `ended` has run, and this is TRUE as well.
 */
bool wb_fuse_pause(struct wb_fuse *fuse, int64_t deadline_us);
/* Some times a second while it serves: notices the end of the session where all threads
 * that could are waiting. */
void wb_fuse_tick(struct wb_fuse *fuse);
/* The mount stays, for another worker. */
void wb_fuse_leave(struct wb_fuse *fuse);
/* Paused, but it is to serve on. */
void wb_fuse_go_on(struct wb_fuse *fuse);

/* The image has grown: the kernel is to ask for its size again. Any thread, also while
 * it is being finished. */
void wb_fuse_image_grown(struct wb_fuse *fuse);

/* After `ended`: joins the threads, waits for requests under way. Nobody hears their
 * answers: those that would wait for room end with an error. */
void wb_fuse_finish(struct wb_fuse *fuse);
/* When nobody can tell it of a grown image any more: after the cache was closed. */
void wb_fuse_free(struct wb_fuse *fuse);

#endif
