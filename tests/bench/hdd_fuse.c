/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A hard disk that is not there: a FUSE file whose bytes lie in a file STORE (in memory,
 * best on a tmpfs) and whose answers come when hdd_model.h says so, in real time.
 *
 *	hdd_fuse [OPTION]... STORE MOUNTPOINT
 *
 *	--write-cache MIB	its volatile write cache (64; 0: none)
 *	--rpm N			(7200)
 *	--media MB_S		sustained (180)
 *
 * Returns when MOUNTPOINT/disk can be used, after printing the id of the process that
 * serves it; that one ends when it is unmounted. The size is that of STORE, which may be
 * sparse: the disk shows no holes and cannot discard. MOUNTPOINT/stats.json has counters
 * (span_ms: from the first request to the last answer) and MOUNTPOINT/control takes
 *
 *	clear		all counters begin at zero
 *	settle		what is in the write cache is on the platters, in no time
 *	time off	from now on everything takes no time, and is not counted: to bring
 *			a cache in front of it into the state that is to be measured
 *	time on
 *	trace FILE	each operation of the arm as a line of FILE from now on: began and
 *			ended, in microseconds, offset, length, r or w
 *	trace off
 *
 * Its write cache takes time like a volatile one, but loses nothing: all bytes are in
 * STORE at once. Power cuts are the duty of tests/mount/test_disk.
 *
 * One thread answers. It may be late when the machine is busy, but the model's arm
 * is not: what it does begins when the work before it has ended by the model's clock.
 */
#define FUSE_USE_VERSION 314
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bench/daemon.h"
#include "bench/hdd_model.h"

#define ATTRIBUTE_SECONDS 3600.0
#define TIMER_SLACK_NS 1000ul

enum { INO_DISK = 2, INO_STATS, INO_CONTROL, INO_END };
static const char *const names[INO_END] = {
	[INO_DISK] = "disk", [INO_STATS] = "stats.json", [INO_CONTROL] = "control",
};

struct request {
	struct wb_hdd_request hdd;	/* first: the model gives this back */
	fuse_req_t fuse;
};

static struct {
	/* constant after start */
	int store;
	uint64_t size_bytes, base_ns;

	/* under lock */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct wb_hdd *hdd;
	bool has_no_time;
	double sleeps_until_ns;		/* the answering thread; -1: it is awake */
	double cleared_ns;
	FILE *trace;
} disk = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* --- time ------------------------------------------------------------------------- */

static double now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)((uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec - disk.base_ns);
}

static void sleep_until_locked(double ns)
{
	uint64_t at;
	struct timespec until;

	disk.sleeps_until_ns = ns;
	if (isinf(ns)) {
		pthread_cond_wait(&disk.wake, &disk.lock);
	} else {
		at = disk.base_ns + (uint64_t)ceil(ns);
		until = (struct timespec){ (time_t)(at / 1000000000), (long)(at % 1000000000) };
		pthread_cond_timedwait(&disk.wake, &disk.lock, &until);
	}
	disk.sleeps_until_ns = -1;
}

/* --- answers ------------------------------------------------------------------------ */

static void answer(struct request *request, char *buffer)
{
	ssize_t length;

	switch (request->hdd.op) {
	case WB_HDD_READ:
		length = pread(disk.store, buffer, request->hdd.length, (off_t)request->hdd.offset);
		if (length == (ssize_t)request->hdd.length)
			fuse_reply_buf(request->fuse, buffer, request->hdd.length);
		else
			fuse_reply_err(request->fuse, EIO);
		break;
	case WB_HDD_WRITE:
	case WB_HDD_WRITE_FUA:
		fuse_reply_write(request->fuse, request->hdd.length);
		break;
	case WB_HDD_FLUSH:
		fuse_reply_err(request->fuse, 0);
		break;
	}
	free(request);
}

static void *answer_all(void *arg)
{
	char *buffer = malloc(WB_DAEMON_REQUEST_BYTES);
	struct wb_hdd_request *request;

	if (!buffer)
		wb_daemon_die("no memory");
	prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS);
	pthread_mutex_lock(&disk.lock);
	for (;;) {
		request = wb_hdd_take(disk.hdd, now_ns());
		if (!request) {
			sleep_until_locked(wb_hdd_next_ns(disk.hdd));
			continue;
		}
		pthread_mutex_unlock(&disk.lock);
		answer((struct request *)request, buffer);
		pthread_mutex_lock(&disk.lock);
	}
	return arg;
}

/* By the receiving thread. What the model has not answered yet is none of its business. */
static void answer_at_once(struct request *request)
{
	static char buffer[WB_DAEMON_REQUEST_BYTES];	/* there is only one such thread */

	answer(request, buffer);
}

static void submit(fuse_req_t req, enum wb_hdd_op op, uint64_t offset, uint64_t length)
{
	struct request *request = calloc(1, sizeof(*request));
	bool at_once;

	if (!request) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	request->hdd = (struct wb_hdd_request){ .op = op, .offset = offset, .length = length };
	request->fuse = req;
	pthread_mutex_lock(&disk.lock);
	at_once = disk.has_no_time;
	if (!at_once)
		wb_hdd_submit(disk.hdd, &request->hdd, now_ns());
	if (!at_once && wb_hdd_next_ns(disk.hdd) < disk.sleeps_until_ns)
		pthread_cond_signal(&disk.wake);
	pthread_mutex_unlock(&disk.lock);
	if (at_once)
		answer_at_once(request);
}

/* --- the disk ------------------------------------------------------------------------ */

/* How much of the range lies on the disk. */
static size_t cut(off_t offset, size_t length)
{
	uint64_t start = (uint64_t)offset;

	if (length > WB_DAEMON_REQUEST_BYTES)
		length = WB_DAEMON_REQUEST_BYTES;
	if (start >= disk.size_bytes)
		return 0;
	return length < disk.size_bytes - start ? length : disk.size_bytes - start;
}

static void read_disk(fuse_req_t req, size_t size, off_t offset)
{
	size = cut(offset, size);
	if (size)
		submit(req, WB_HDD_READ, (uint64_t)offset, size);
	else
		fuse_reply_buf(req, NULL, 0);
}

static void write_disk(fuse_req_t req, const char *data, size_t size, off_t offset, int flags)
{
	if (size && !cut(offset, size)) {
		fuse_reply_err(req, ENOSPC);
		return;
	}
	size = cut(offset, size);
	if (!size)
		fuse_reply_write(req, 0);
	else if (pwrite(disk.store, data, size, offset) != (ssize_t)size)
		fuse_reply_err(req, EIO);
	else
		submit(req, flags & O_DSYNC ? WB_HDD_WRITE_FUA : WB_HDD_WRITE, (uint64_t)offset, size);
}

/* --- stats.json, control --------------------------------------------------------------- */

static int stats_text(char *text, size_t size)
{
	struct wb_hdd_counts c;
	double now, last;
	uint64_t unwritten;

	pthread_mutex_lock(&disk.lock);
	now = now_ns();
	wb_hdd_get_counts(disk.hdd, &c);
	unwritten = wb_hdd_unwritten_bytes(disk.hdd);
	last = wb_hdd_last_work_ns(disk.hdd, now);
	now -= disk.cleared_ns;
	last -= disk.cleared_ns;
	pthread_mutex_unlock(&disk.lock);
	return snprintf(text, size,
		"{\"reads\": %lu, \"writes\": %lu, \"fua_writes\": %lu, \"flushes\": %lu,\n"
		" \"read_bytes\": %lu, \"written_bytes\": %lu, \"most_queued\": %u,\n"
		" \"media_reads\": %lu, \"media_writes\": %lu, \"media_read_bytes\": %lu, "
		"\"media_written_bytes\": %lu,\n"
		" \"buffer_hits\": %lu, \"write_cache_hits\": %lu, \"seeks\": %lu,\n"
		" \"seek_ms\": %.3f, \"turn_ms\": %.3f, \"transfer_ms\": %.3f, \"busy_ms\": %.3f,\n"
		" \"flush_ms\": %.3f, \"flush_most_ms\": %.3f, \"span_ms\": %.3f,\n"
		" \"unwritten_bytes\": %lu, \"elapsed_ms\": %.3f, \"idle_ms\": %.3f}\n",
		c.reads, c.writes, c.fua_writes, c.flushes, c.read_bytes, c.written_bytes,
		c.most_queued, c.media_reads, c.media_writes, c.media_read_bytes,
		c.media_written_bytes, c.buffer_hits, c.write_cache_hits, c.seeks,
		c.seek_ns / 1e6, c.turn_ns / 1e6, c.transfer_ns / 1e6,
		(c.seek_ns + c.turn_ns + c.transfer_ns) / 1e6, c.flush_ns / 1e6,
		c.flush_most_ns / 1e6, fmax(c.last_answered_ns - c.first_asked_ns, 0) / 1e6, unwritten, now / 1e6, (now - fmax(last, 0)) / 1e6);
}

static void read_stats(fuse_req_t req, size_t size, off_t offset)
{
	char text[2048];
	size_t length = (size_t)stats_text(text, sizeof(text)), start = (size_t)offset;

	if (start > length)
		start = length;
	fuse_reply_buf(req, text + start, size < length - start ? size : length - start);
}

static void trace_move(void *arg, const struct wb_hdd_move *move)
{
	fprintf(arg, "%.0f %.0f %lu %lu %c\n", (move->began_ns - disk.cleared_ns) / 1e3,
		(move->ended_ns - disk.cleared_ns) / 1e3, move->offset, move->length,
		move->is_write ? 'w' : 'r');
}

/* NULL: off. */
static int trace_to_locked(const char *path)
{
	wb_hdd_watch(disk.hdd, NULL, NULL);
	if (disk.trace && fclose(disk.trace))
		return EIO;
	disk.trace = NULL;
	if (!path)
		return 0;
	disk.trace = fopen(path, "we");
	if (!disk.trace)
		return errno;
	wb_hdd_watch(disk.hdd, trace_move, disk.trace);
	return 0;
}

static int command_locked(const char *command)
{
	if (!strcmp(command, "clear")) {
		wb_hdd_clear_counts(disk.hdd);
		disk.cleared_ns = now_ns();
		return 0;
	}
	if (!strcmp(command, "settle")) {
		wb_hdd_settle(disk.hdd, now_ns());
		pthread_cond_signal(&disk.wake);
		return 0;
	}
	if (!strcmp(command, "time off") || !strcmp(command, "time on")) {
		disk.has_no_time = !strcmp(command, "time off");
		return 0;
	}
	if (!strncmp(command, "trace ", 6))
		return trace_to_locked(strcmp(command + 6, "off") ? command + 6 : NULL);
	return EINVAL;
}

static void write_control(fuse_req_t req, const char *data, size_t size)
{
	char command[512];
	int error;

	snprintf(command, sizeof(command), "%.*s", (int)size, data);
	command[strcspn(command, "\n")] = '\0';
	pthread_mutex_lock(&disk.lock);
	error = command_locked(command);
	pthread_mutex_unlock(&disk.lock);
	if (error)
		fuse_reply_err(req, error);
	else
		fuse_reply_write(req, size);
}

/* --- operations ---------------------------------------------------------------------- */

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		    struct fuse_file_info *fi)
{
	(void)fi;
	if (ino == INO_DISK)
		read_disk(req, size, offset);
	else if (ino == INO_STATS)
		read_stats(req, size, offset);
	else
		fuse_reply_buf(req, NULL, 0);
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size,
		     off_t offset, struct fuse_file_info *fi)
{
	if (ino == INO_DISK)
		write_disk(req, data, size, offset, fi->flags);
	else if (ino == INO_CONTROL)
		write_control(req, data, size);
	else
		fuse_reply_err(req, EACCES);
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)datasync;
	(void)fi;
	if (ino == INO_DISK)
		submit(req, WB_HDD_FLUSH, 0, 0);
	else
		fuse_reply_err(req, 0);
}

static void describe(fuse_ino_t ino, struct stat *st)
{
	*st = (struct stat){
		.st_ino = ino, .st_nlink = 1, .st_mode = S_IFDIR | 0755,
		.st_uid = getuid(), .st_gid = getgid(), .st_blksize = 4096,
	};
	if (ino == FUSE_ROOT_ID)
		return;
	st->st_mode = S_IFREG | (ino == INO_STATS ? 0444 : 0600);
	if (ino == INO_DISK) {
		st->st_size = (off_t)disk.size_bytes;
		st->st_blocks = (blkcnt_t)(disk.size_bytes / 512);
	}
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param entry = { .attr_timeout = ATTRIBUTE_SECONDS,
					  .entry_timeout = ATTRIBUTE_SECONDS };

	for (fuse_ino_t ino = INO_DISK; parent == FUSE_ROOT_ID && ino < INO_END; ino++) {
		if (strcmp(name, names[ino]))
			continue;
		entry.ino = ino;
		describe(ino, &entry.attr);
		fuse_reply_entry(req, &entry);
		return;
	}
	fuse_reply_err(req, ENOENT);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;

	(void)fi;
	describe(ino, &st);
	fuse_reply_attr(req, &st, ATTRIBUTE_SECONDS);
}

/* A disk keeps its size; who opens `control` to write to it truncates it. */
static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		       struct fuse_file_info *fi)
{
	if (ino == INO_DISK && (to_set & FUSE_SET_ATTR_SIZE) &&
	    (uint64_t)attr->st_size != disk.size_bytes)
		fuse_reply_err(req, EPERM);
	else
		op_getattr(req, ino, fi);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)fi;
	if (ino == FUSE_ROOT_ID)
		fuse_reply_err(req, EISDIR);
	else
		wb_daemon_reply_open(req);
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	(void)userdata;
	wb_daemon_negotiate(conn);
	wb_daemon_is_ready();
}

static const struct fuse_lowlevel_ops operations = {
	.init = op_init,
	.lookup = op_lookup,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.open = op_open,
	.read = op_read,
	.write = op_write,
	.fsync = op_fsync,
};

/* --- life ------------------------------------------------------------------------------ */

static void open_store(const char *path)
{
	struct stat st;

	disk.store = open(path, O_RDWR | O_CLOEXEC);
	if (disk.store < 0 || fstat(disk.store, &st))
		wb_daemon_die("%s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode) || st.st_size < (1 << 20) || st.st_size % 4096)
		wb_daemon_die("%s: a file of at least 1 MiB, in blocks of 4096 bytes, is needed", path);
	disk.size_bytes = (uint64_t)st.st_size;
}

static double number(const char *option, const char *text, double least, double most)
{
	char *end;
	double value = strtod(text, &end);

	if (!*text || *end || !(value >= least && value <= most))
		wb_daemon_die("--%s %s: a number from %g to %g is needed", option, text, least, most);
	return value;
}

static void set_option(struct wb_hdd_settings *settings, const char *name, const char *text)
{
	if (!strcmp(name, "rpm"))
		settings->shape.rpm = number(name, text, 1, 1e6);
	else if (!strcmp(name, "media"))
		settings->shape.media_bytes_s = number(name, text, 1, 1e6) * 1e6;
	else
		settings->write_cache_bytes = (uint64_t)number(name, text, 0, 1 << 20) << 20;
}

static void start(const struct wb_hdd_settings *settings)
{
	pthread_condattr_t attributes;
	pthread_t thread;

	disk.hdd = wb_hdd_new(settings);
	if (!disk.hdd)
		wb_daemon_die("no memory");
	disk.base_ns = (uint64_t)now_ns();
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&disk.wake, &attributes);
	if (pthread_create(&thread, NULL, answer_all, NULL))
		wb_daemon_die("cannot start a thread");
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "write-cache", required_argument, NULL, 0 },
		{ "rpm", required_argument, NULL, 0 },
		{ "media", required_argument, NULL, 0 },
		{ NULL, 0, NULL, 0 },
	};
	struct wb_hdd_settings settings = WB_HDD_SETTINGS_DEFAULT(0);
	char *mount_point;
	int index, c;

	while ((c = getopt_long(argc, argv, "", options, &index)) == 0)
		set_option(&settings, options[index].name, optarg);
	if (c != -1 || argc - optind != 2)
		wb_daemon_die("usage: hdd_fuse [--write-cache MIB] [--rpm N] [--media MB_S] STORE MOUNTPOINT");
	open_store(argv[optind]);
	settings.shape.size_bytes = disk.size_bytes;
	mount_point = realpath(argv[optind + 1], NULL);
	if (!mount_point)
		wb_daemon_die("%s: %s", argv[optind + 1], strerror(errno));
	wb_daemon_begin();
	start(&settings);
	/* A drive's interface carries one command after the other: two threads would now
	 * and then turn neighbours round, and a drive that is idle begins with the second. */
	wb_daemon_serve("hdd", mount_point, 1, &operations, NULL, NULL);
	pthread_mutex_lock(&disk.lock);
	trace_to_locked(NULL);
	return 0;
}
