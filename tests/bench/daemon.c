/* SPDX-License-Identifier: GPL-2.0-or-later */
#define FUSE_USE_VERSION 314
#include "bench/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#define THREADS_MIN 2
#define THREADS_MAX 4
#define MAX_BACKGROUND 256u
#define CONGESTION_THRESHOLD 192u
#define RECEIVE_BYTES (WB_DAEMON_REQUEST_BYTES + 4096u)	/* libfuse: data and a page of headers */

static int ready_fd = -1;
static struct fuse_session *session;
static struct wb_daemon_hooks hooks;

void wb_daemon_die(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "%s: ", program_invocation_short_name);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

/* The parent waits for INIT, or for the end of the child, which has said why. */
static void __attribute__((noreturn)) wait_until_ready(int fd, pid_t server)
{
	char byte;

	if (read(fd, &byte, 1) != 1)
		exit(1);
	printf("%d\n", (int)server);
	exit(0);
}

/* Standard output and input are given up: whoever reads the one waits for its end. */
static void detach(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
	    setsid() < 0 || chdir("/"))
		wb_daemon_die("cannot go into the background: %s", strerror(errno));
}

void wb_daemon_begin(void)
{
	int ends[2];
	pid_t server;

	if (pipe2(ends, O_CLOEXEC))
		wb_daemon_die("pipe: %s", strerror(errno));
	server = fork();
	if (server < 0)
		wb_daemon_die("fork: %s", strerror(errno));
	if (server > 0) {
		close(ends[1]);
		wait_until_ready(ends[0], server);
	}
	close(ends[0]);
	ready_fd = ends[1];
	detach();
}

void wb_daemon_is_ready(void)
{
	if (write(ready_fd, "", 1) != 1)
		wb_daemon_die("nobody waits for the mount");
}

void wb_daemon_negotiate(struct fuse_conn_info *conn)
{
	if (conn->max_write > WB_DAEMON_REQUEST_BYTES)
		conn->max_write = WB_DAEMON_REQUEST_BYTES;
	conn->max_background = MAX_BACKGROUND;
	conn->congestion_threshold = CONGESTION_THRESHOLD;
	conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
				  FUSE_CAP_SPLICE_MOVE | FUSE_CAP_WRITEBACK_CACHE |
				  FUSE_CAP_ATOMIC_O_TRUNC);
	conn->want |= conn->capable & (FUSE_CAP_ASYNC_DIO | FUSE_CAP_PARALLEL_DIROPS);
}

void wb_daemon_reply_open(fuse_req_t req)
{
	struct fuse_open_out out = {
		.open_flags = FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES,
	};

	fuse_reply_buf(req, (const char *)&out, sizeof(out));
}

/* --- answers past libfuse --------------------------------------------------------- */

static void sent(ssize_t result)
{
	if (result < 0 && errno != ENOENT && errno != ENODEV)
		wb_daemon_die("FUSE took no answer: %s", strerror(errno));
}

void wb_daemon_end(uint64_t unique, int error)
{
	struct fuse_out_header out = { .len = sizeof(out), .error = -error, .unique = unique };

	sent(write(fuse_session_fd(session), &out, sizeof(out)));
}

void wb_daemon_wrote(uint64_t unique, size_t size)
{
	struct {
		struct fuse_out_header header;
		struct fuse_write_out out;
	} answer = {
		{ .len = sizeof(answer), .unique = unique }, { .size = (uint32_t)size },
	};

	sent(write(fuse_session_fd(session), &answer, sizeof(answer)));
}

void wb_daemon_give(uint64_t unique, const char *data, size_t size)
{
	struct fuse_out_header out = { .len = (uint32_t)(sizeof(out) + size), .unique = unique };
	const struct iovec pieces[] = { { &out, sizeof(out) }, { (void *)data, size } };

	sent(writev(fuse_session_fd(session), pieces, 2));
}

/* --- threads -------------------------------------------------------------------- */

static void *run(void *arg)
{
	/* resident from the start: a page fault is no part of a request */
	char *received = mmap(NULL, RECEIVE_BYTES, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (received == MAP_FAILED)
		wb_daemon_die("no memory");
	if (hooks.begin)
		hooks.begin();
	while (!fuse_session_exited(session)) {
		struct fuse_buf buffer = { .mem = received, .size = RECEIVE_BYTES };
		int result = fuse_session_receive_buf(session, &buffer);

		if (result == -EAGAIN && hooks.idle)
			hooks.idle(fuse_session_fd(session));
		if (result == -EINTR || result == -EAGAIN)
			continue;
		if (result <= 0)
			break;
		if (!hooks.take || !hooks.take(buffer.mem, buffer.size))
			fuse_session_process_buf(session, &buffer);
		if (hooks.received)
			hooks.received();
	}
	fuse_session_exit(session);
	return arg;
}

static unsigned thread_count(void)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);

	if (processors < THREADS_MIN)
		return THREADS_MIN;
	return processors > THREADS_MAX ? THREADS_MAX : (unsigned)processors;
}

void wb_daemon_serve(const char *name, const char *mount_point, unsigned threads_wanted,
		     const struct fuse_lowlevel_ops *operations, void *userdata,
		     const struct wb_daemon_hooks *wanted_hooks)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	pthread_t threads[THREADS_MAX];
	unsigned count = threads_wanted ? threads_wanted : thread_count();
	char options[128];

	snprintf(options, sizeof(options), "-osubtype=wbfs-%s,default_permissions,fsname=%s",
		 name, name);
	if (fuse_opt_add_arg(&args, name) || fuse_opt_add_arg(&args, options))
		wb_daemon_die("no memory");
	session = fuse_session_new(&args, operations, sizeof(*operations), userdata);
	fuse_opt_free_args(&args);
	if (!session || fuse_session_mount(session, mount_point))
		wb_daemon_die("%s: cannot mount here", mount_point);
	if (wanted_hooks)
		hooks = *wanted_hooks;
	if (hooks.idle && fcntl(fuse_session_fd(session), F_SETFL, O_NONBLOCK))
		wb_daemon_die("%s: %s", mount_point, strerror(errno));
	for (unsigned i = 0; i < count; i++)
		if (pthread_create(&threads[i], NULL, run, NULL))
			wb_daemon_die("cannot start a thread");
	for (unsigned i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	fuse_session_unmount(session);
	fuse_session_destroy(session);
}
