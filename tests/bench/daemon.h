/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How the FUSE daemons of the benchmarks come and go: the program returns when the
 * mount can be used, after printing the id of the process that serves it. */
#ifndef WB_TESTS_BENCH_DAEMON_H
#define WB_TESTS_BENCH_DAEMON_H

#include <fuse_lowlevel.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void wb_daemon_die(const char *format, ...)
	__attribute__((noreturn, format(printf, 1, 2)));

/* Returns in the daemon only; the process that was started waits until it is ready,
 * or has ended. */
void wb_daemon_begin(void);
/* To be called once, by the operation `init`. */
void wb_daemon_is_ready(void);

/* What runs in each thread; all may be NULL. */
struct wb_daemon_hooks {
	void (*begin)(void);
	/* Has each request first; false: it is for libfuse. */
	bool (*take)(const void *request, size_t bytes);
	void (*received)(void);		/* after each request */
	/* No request is there: waits for one, and perhaps for other things. Without it a
	 * thread waits in the receiving call. */
	void (*idle)(int session_fd);
};

/* Serves until it is unmounted, with so many threads or, at 0, as many as src/frontend
 * has. */
void wb_daemon_serve(const char *name, const char *mount_point, unsigned threads,
		     const struct fuse_lowlevel_ops *operations, void *userdata,
		     const struct wb_daemon_hooks *hooks);

/* In `init`: the limits and abilities of src/frontend. */
void wb_daemon_negotiate(struct fuse_conn_info *conn);
/* An open file whose I/O comes here directly, writes in parallel; libfuse 3.14 has no
 * bit for that, so this is the kernel's own answer. */
void wb_daemon_reply_open(fuse_req_t req);

/* The answer to what was taken, by the kernel's number of it: 0 or an errno; of a WRITE how
 * much it was, of a READ the data. */
void wb_daemon_end(uint64_t unique, int error);
void wb_daemon_wrote(uint64_t unique, size_t size);
void wb_daemon_give(uint64_t unique, const char *data, size_t size);

#define WB_DAEMON_REQUEST_BYTES (1u << 20)

#endif
