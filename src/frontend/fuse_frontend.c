/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "frontend/fuse_frontend.h"

#include <string.h>

#include "base/lock.h"
#include "frontend/fuse_data.h"
#include "frontend/fuse_loop.h"
#include "frontend/fuse_uring.h"
#include "frontend/thread_spread.h"

#define THREADS_MIN 2u		/* one may be waiting for a sync */
#define THREADS_MAX 4u
#define LARGE_BUFFERS 9u		/* beside one for each thread */
#define SMALL_BUFFERS 128u
#define URING_THREADS 1u		/* for what still comes over /dev/fuse */
#define URING_LARGE_BUFFERS 2u
#define MAX_BACKGROUND 256u	/* async requests the kernel may have open; 12 if not asked */
#define REQUEST_BYTES (1u << 20)	/* the most that libfuse 3.14 can do */
#define STEP_US 2000

struct wb_fuse {
	/* constant after start */
	struct wb_fuse_service service;
	struct wb_receive_pool *receive_pool;
	struct wb_fuse_uring *uring;	/* or NULL: libfuse's transport */
	char *transport_reason;
	struct fuse_session *session;
	struct wb_fuse_channel *channel;
	struct wb_fuse_loop *loop;
	void (*ended)(void *arg);
	void (*meanwhile)(void *arg);
	void *arg;

	/* under lock */
	struct wb_lock lock;
	struct wb_cond changed;
	bool is_ready;		/* INIT was answered */
	bool is_over;
};

/* libfuse says why only here; it becomes part of our error. Start-up only. */
static char start_message[256];
static bool is_starting;

static void fuse_message(enum fuse_log_level level, const char *format, va_list args)
{
	g_autofree char *text = g_strdup_vprintf(format, args);

	g_strchomp(text);
	if (is_starting)
		g_strlcpy(start_message, text, sizeof start_message);
	else if (level <= FUSE_LOG_WARNING)
		g_warning("%s", text);
	else if (level < FUSE_LOG_DEBUG)
		g_message("%s", text);
}

static void session_ready(void *arg)
{
	struct wb_fuse *fuse = arg;

	wb_lock_acquire(&fuse->lock);
	fuse->is_ready = true;
	wb_cond_broadcast(&fuse->changed);
	wb_lock_release(&fuse->lock);
}

static void session_ended(void *arg)
{
	struct wb_fuse *fuse = arg;

	if (fuse->uring)
		wb_fuse_uring_stop(fuse->uring);
	wb_lock_acquire(&fuse->lock);
	fuse->is_over = true;
	wb_cond_broadcast(&fuse->changed);
	wb_lock_release(&fuse->lock);
	fuse->ended(fuse->arg);
}

/* In libfuse's option strings a comma or backslash in a value is escaped. */
static char *escape(const char *value)
{
	GString *text = g_string_new(NULL);

	for (; *value; value++) {
		if (*value == ',' || *value == '\\')
			g_string_append_c(text, '\\');
		g_string_append_c(text, *value);
	}
	return g_string_free(text, FALSE);
}

/* default_permissions: the kernel checks the modes, or allow_other would let
 * everybody read the image. */
static struct fuse_session *session_new(const struct wb_fuse_config *config,
					struct wb_fuse *fuse)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	g_autofree char *fsname = escape(config->fsname);
	g_autofree char *options =
		g_strdup_printf("-osubtype=wbfs,default_permissions,fsname=%s%s%s%s", fsname,
				config->allow_other ? ",allow_other" : "",
				*config->kernel_options ? "," : "", config->kernel_options);
	struct fuse_session *session = NULL;

	if (!fuse_opt_add_arg(&args, "wbfs") && !fuse_opt_add_arg(&args, options))
		session = fuse_session_new(&args, &wb_fuse_operations,
					   sizeof wb_fuse_operations, &fuse->service);
	fuse_opt_free_args(&args);
	return session;
}

void wb_fuse_free(struct wb_fuse *fuse)
{
	if (fuse->session)
		fuse_session_destroy(fuse->session);
	wb_fuse_uring_free(fuse->uring);
	wb_fuse_disk_free(fuse->service.disk);
	wb_snapshots_free(fuse->service.snapshots);
	wb_receive_pool_free(fuse->receive_pool);
	g_free(fuse->transport_reason);
	wb_cond_clear(&fuse->changed);
	wb_lock_clear(&fuse->lock);
	g_free(fuse);
}

/* The mount goes on without what it asked for, and says so. */
static void choose_transport(struct wb_fuse *fuse, const struct wb_fuse_config *config)
{
	g_autoptr(GError) reason = NULL;

	if (config->wants_io_uring)
		fuse->uring = wb_fuse_uring_new(&fuse->service, &reason);
	if (reason) {
		fuse->transport_reason = g_strdup(reason->message);
		g_warning("%s is mounted without FUSE over io_uring: %s", config->mount_point,
			  reason->message);
		wb_cache_add_event(config->cache, WB_EVENT_NOTE,
				   "mounted without FUSE over io_uring: %s", reason->message);
	}
	config->facts->transport = fuse->uring ? "io_uring" : "classic";
	config->facts->transport_reason = fuse->transport_reason;
}

/* A program that looks at the times of the image sees no new file. */
static void inherit_times(struct wb_fuse_legacy *legacy, struct timespec *started)
{
	if (!legacy)
		return;
	if (!legacy->worker_count++) {
		legacy->started_s = started->tv_sec;
		legacy->started_ns = started->tv_nsec;
	}
	started->tv_sec = (time_t)legacy->started_s;
	started->tv_nsec = (long)legacy->started_ns;
}

static void service_init(struct wb_fuse *fuse, const struct wb_fuse_config *config)
{
	fuse->service = (struct wb_fuse_service){
		.control = { config->cache, config->facts, config->owner },
		.heritage = { .legacy = config->legacy },
		.tree = {
			.uid = config->uid,
			.gid = config->gid,
			.image_bytes = wb_cache_image_bytes(config->cache),
			.is_read_only = wb_cache_is_read_only(config->cache),
		},
		.request_bytes = REQUEST_BYTES,
		.max_background = MAX_BACKGROUND,
		.ready = session_ready,
		.arg = fuse,
	};
	clock_gettime(CLOCK_REALTIME, &fuse->service.tree.started);
	inherit_times(config->legacy, &fuse->service.tree.started);
	fuse->service.snapshots =
		wb_snapshots_new(config->legacy ? config->legacy->worker_count : 1);
}

static unsigned thread_count(const struct wb_fuse *fuse)
{
	return fuse->uring ? URING_THREADS :
			     CLAMP(g_get_num_processors(), THREADS_MIN, THREADS_MAX);
}

/* Without its disk when there is not enough memory. Requests of a ring bring theirs. */
static struct wb_fuse *fuse_new(const struct wb_fuse_config *config)
{
	struct wb_fuse *fuse = g_new0(struct wb_fuse, 1);

	wb_lock_init(&fuse->lock, WB_RANK_FRONTEND);
	wb_cond_init(&fuse->changed);
	service_init(fuse, config);
	fuse->ended = config->ended;
	fuse->meanwhile = config->meanwhile;
	fuse->arg = config->arg;
	choose_transport(fuse, config);
	fuse->receive_pool = fuse->uring ?
		wb_receive_pool_new(URING_LARGE_BUFFERS, 0) :
		wb_receive_pool_new(LARGE_BUFFERS + thread_count(fuse), SMALL_BUFFERS);
	if (fuse->receive_pool)
		fuse->service.disk = wb_fuse_disk_new(config->cache, fuse->uring ? NULL :
						      fuse->receive_pool,
						      WB_FUSE_REQUESTS_MAX, NULL);
	if (fuse->service.disk)
		wb_fuse_disk_note_answers(fuse->service.disk, config->has_answered);
	return fuse;
}

static void take(void *arg, const struct fuse_buf *request, struct wb_receive_buffer **received)
{
	struct wb_fuse *fuse = arg;

	if (fuse->uring) {
		wb_fuse_uring_take(fuse->uring, fuse->session, request);
	} else if (!wb_fuse_data_take(&fuse->service, wb_fuse_channel_here(), request, received)) {
		wb_thread_spread_end();
		fuse_session_process_buf(fuse->session, request);
	}
}

static struct wb_fuse_loop *start_loop(struct wb_fuse *fuse)
{
	const struct wb_fuse_loop_config config = {
		.session = fuse->session,
		.pool = fuse->receive_pool,
		.channel = fuse->channel,
		.thread_count = thread_count(fuse),
		.take = take,
		.ended = session_ended,
		.arg = fuse,
	};

	return wb_fuse_loop_start(&config);
}

static struct wb_fuse *fail(struct wb_fuse *fuse, GError **error, const char *mount_point,
			    const char *what)
{
	is_starting = false;
	if (fuse->uring)
		wb_fuse_uring_stop(fuse->uring);
	g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "%s: %s%s%s", mount_point, what,
		    *start_message ? ": " : "", start_message);
	wb_fuse_free(fuse);
	return NULL;
}

static bool wait_until_ready(struct wb_fuse *fuse)
{
	bool is_ready;

	wb_lock_acquire(&fuse->lock);
	while (!fuse->is_ready && !fuse->is_over)
		wb_cond_wait(&fuse->changed, &fuse->lock);
	is_ready = fuse->is_ready;
	wb_lock_release(&fuse->lock);
	return is_ready;
}

static void open_channel(struct wb_fuse *fuse, int fd, int clone_fd)
{
	fuse->channel = wb_fuse_channel_new(&(struct wb_fuse_channel_config){
		.session = fuse->session,
		.fd = fd,
		.kind = fuse->uring ? WB_CHANNEL_ALONE : WB_CHANNEL_CLONED,
		.clone_fd = clone_fd,
	});
}

/* Before anything is read: what is sent again comes first, and only once. */
static bool adopt(struct wb_fuse *fuse, int fd, int clone_fd)
{
	struct wb_fuse_heritage *heritage = &fuse->service.heritage;
	int error;

	/* In rings a session cannot be handed on. */
	if (fuse->uring)
		return false;
	open_channel(fuse, fd, clone_fd);
	if (!wb_fuse_legacy_adopt(fuse->session, heritage))
		return false;
	error = wb_fuse_legacy_can_resend(heritage->legacy) ? wb_fuse_legacy_resend(fd) : 0;
	/* Unmounted meanwhile: the first read will say so, and all is stopped cleanly. */
	if (error)
		g_debug("the kernel sends nothing again: %s", g_strerror(-error));
	return true;
}

static bool mount(struct wb_fuse *fuse, const char *mount_point)
{
	if (fuse_session_mount(fuse->session, mount_point))
		return false;
	open_channel(fuse, fuse_session_fd(fuse->session), -1);
	return true;
}

struct wb_fuse *wb_fuse_start(const struct wb_fuse_config *config, GError **error)
{
	struct wb_fuse *fuse = fuse_new(config);
	const char *mount_point = config->mount_point;

	is_starting = true;
	*start_message = '\0';
	fuse_set_log_func(fuse_message);
	if (!fuse->service.disk)
		return fail(fuse, error, mount_point, "not enough memory for its buffers");
	fuse->session = session_new(config, fuse);
	if (!fuse->session)
		return fail(fuse, error, mount_point, "libfuse refused the mount options");
	if (config->session_fd < 0 && !mount(fuse, mount_point))
		return fail(fuse, error, mount_point, "cannot mount here");
	if (config->session_fd >= 0 && !adopt(fuse, config->session_fd, config->clone_fd))
		return fail(fuse, error, mount_point,
			    "the session of the worker before cannot be taken over");
	is_starting = false;
	fuse->loop = start_loop(fuse);
	if (wait_until_ready(fuse))
		return fuse;
	wb_fuse_loop_join(fuse->loop);
	wb_fuse_channel_free(fuse->channel);
	fuse_session_unmount(fuse->session);
	return fail(fuse, error, mount_point,
		    "the kernel and libfuse did not agree on a protocol");
}

/* Only the attributes: the kernel keeps no data of the image. The lock is held over
 * it, because the end of the session closes the descriptor that it is written to. */
void wb_fuse_image_grown(struct wb_fuse *fuse)
{
	int error = 0;

	wb_lock_acquire(&fuse->lock);
	fuse->service.tree.image_bytes = wb_cache_image_bytes(fuse->service.control.cache);
	if (!fuse->is_over)
		error = fuse->uring ?
			wb_fuse_uring_invalidate(fuse->session, WB_INO_DISK) :
			fuse_lowlevel_notify_inval_inode(fuse->session, WB_INO_DISK, -1, 0);
	wb_lock_release(&fuse->lock);
	/* ENOENT: the kernel has never looked at it. */
	if (error && error != -ENOENT)
		g_warning("the kernel cannot be told that the image has grown: %s",
			  g_strerror(-error));
}

int wb_fuse_session_fd(const struct wb_fuse *fuse)
{
	return fuse_session_fd(fuse->session);
}

int wb_fuse_clone_fd(const struct wb_fuse *fuse)
{
	return wb_fuse_channel_clone_fd(fuse->channel);
}

enum wb_fuse_bond wb_fuse_get_bond(const struct wb_fuse *fuse)
{
	const struct wb_fuse_legacy *legacy = fuse->service.heritage.legacy;

	if (fuse->uring)
		return WB_FUSE_IN_RINGS;
	return legacy && wb_fuse_legacy_can_resend(legacy) ? WB_FUSE_FREE : WB_FUSE_OLD_KERNEL;
}

static bool wait_idle(struct wb_fuse *fuse, int64_t deadline_us)
{
	int64_t now_us = g_get_monotonic_time();

	while (!wb_fuse_disk_wait_idle_until(fuse->service.disk,
					     MIN(now_us + STEP_US, deadline_us))) {
		now_us = g_get_monotonic_time();
		if (now_us >= deadline_us)
			return false;
		fuse->meanwhile(fuse->arg);
	}
	return true;
}

bool wb_fuse_pause(struct wb_fuse *fuse, int64_t deadline_us)
{
	g_assert(!fuse->uring);
	if (!wb_fuse_loop_stop(fuse->loop, deadline_us, fuse->meanwhile, fuse->arg))
		return false;
	fuse->loop = NULL;
	if (wait_idle(fuse, deadline_us))
		return true;
	wb_fuse_go_on(fuse);
	return false;
}

/* If the session is over, its threads will see that again. */
void wb_fuse_go_on(struct wb_fuse *fuse)
{
	fuse->loop = start_loop(fuse);
}

/* Whoever waits for a buffer or a context does not read what would tell it. */
void wb_fuse_tick(struct wb_fuse *fuse)
{
	if (!wb_fuse_channel_is_dead(fuse->channel))
		return;
	wb_receive_pool_end_waits(fuse->receive_pool);
	wb_fuse_disk_end_waits(fuse->service.disk);
}

void wb_fuse_leave(struct wb_fuse *fuse)
{
	wb_lock_acquire(&fuse->lock);
	fuse->is_over = true;
	wb_lock_release(&fuse->lock);
}

void wb_fuse_finish(struct wb_fuse *fuse)
{
	wb_fuse_loop_join(fuse->loop);
	if (fuse->uring)
		wb_fuse_uring_join(fuse->uring);
	wb_cache_end_waits(fuse->service.control.cache);
	wait_idle(fuse, G_MAXINT64);
	wb_lock_acquire(&fuse->lock);
	fuse->is_over = true;
	wb_lock_release(&fuse->lock);
	/* Closes /dev/fuse; nothing is unmounted that is not ours any more. */
	wb_fuse_channel_free(fuse->channel);
	fuse_session_unmount(fuse->session);
}
