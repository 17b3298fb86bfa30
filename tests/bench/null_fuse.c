/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The limit that the transport sets: a FUSE daemon over libfuse that does for each
 * request only what no daemon can leave out, one memcpy between the request and its
 * memory. Threads, open flags, limits and answers are those of src/frontend, so that
 * the difference to wbfs is what wbfs does; it shares no code with it, so that a
 * slower front end does not slow the limit down too.
 *
 *	null_fuse BYTES MOUNTPOINT
 *
 * Returns when MOUNTPOINT/disk can be used, after printing the id of the process that
 * serves it; that one ends when it is unmounted.
 */
#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define INO_DISK 2
#define THREADS_MIN 2
#define THREADS_MAX 4
#define MAX_BACKGROUND 256u
#define CONGESTION_THRESHOLD 192u
#define REQUEST_BYTES (1u << 20)
#define RECEIVE_BYTES (REQUEST_BYTES + 4096u)	/* libfuse: data and a page of headers */
#define ATTRIBUTE_SECONDS 3600.0

struct null_disk {
	/* constant after start */
	uint64_t size_bytes;
	char *memory;
	struct fuse_session *session;
	int ready_fd;			/* told once, when INIT is answered */
};

/* READ answers from here, after its one copy. */
static __thread char *answer_buffer;

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *format, ...)
{
	va_list args;

	fputs("null_fuse: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

/* Resident from the start: a page fault is no part of a request. */
static char *memory_new(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (memory == MAP_FAILED)
		die("no memory for %zu bytes", bytes);
	return memory;
}

/* --- operations --------------------------------------------------------------- */

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	struct null_disk *disk = userdata;

	if (conn->max_write > REQUEST_BYTES)
		conn->max_write = REQUEST_BYTES;
	conn->max_background = MAX_BACKGROUND;
	conn->congestion_threshold = CONGESTION_THRESHOLD;
	conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
				  FUSE_CAP_SPLICE_MOVE | FUSE_CAP_WRITEBACK_CACHE |
				  FUSE_CAP_ATOMIC_O_TRUNC);
	conn->want |= conn->capable & (FUSE_CAP_ASYNC_DIO | FUSE_CAP_PARALLEL_DIROPS);
	if (write(disk->ready_fd, "", 1) != 1)
		die("nobody waits for the mount");
}

static bool describe(const struct null_disk *disk, fuse_ino_t ino, struct stat *st)
{
	*st = (struct stat){
		.st_ino = ino,
		.st_nlink = 1,
		.st_uid = getuid(),
		.st_gid = getgid(),
		.st_blksize = 128 << 10,
		.st_mode = S_IFDIR | 0755,
	};
	if (ino == INO_DISK) {
		st->st_mode = S_IFREG | 0600;
		st->st_size = (off_t)disk->size_bytes;
		st->st_blocks = (blkcnt_t)(disk->size_bytes / 512);
	}
	return ino == INO_DISK || ino == FUSE_ROOT_ID;
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param entry = {
		.ino = INO_DISK,
		.attr_timeout = ATTRIBUTE_SECONDS,
		.entry_timeout = ATTRIBUTE_SECONDS,
	};

	if (parent != FUSE_ROOT_ID || strcmp(name, "disk") != 0) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	describe(fuse_req_userdata(req), INO_DISK, &entry.attr);
	fuse_reply_entry(req, &entry);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;

	(void)fi;
	if (describe(fuse_req_userdata(req), ino, &st))
		fuse_reply_attr(req, &st, ATTRIBUTE_SECONDS);
	else
		fuse_reply_err(req, ENOENT);
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		       struct fuse_file_info *fi)
{
	(void)attr;
	(void)to_set;
	op_getattr(req, ino, fi);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fuse_open_out out = {
		.open_flags = FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES,
	};

	(void)fi;
	if (ino == INO_DISK)
		fuse_reply_buf(req, (const char *)&out, sizeof out);
	else
		fuse_reply_err(req, EISDIR);
}

/* How much of the range lies on the disk. */
static size_t cut(const struct null_disk *disk, off_t offset, uint64_t length)
{
	uint64_t start = (uint64_t)offset;

	if (start >= disk->size_bytes)
		return 0;
	return length < disk->size_bytes - start ? length : disk->size_bytes - start;
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		    struct fuse_file_info *fi)
{
	const struct null_disk *disk = fuse_req_userdata(req);

	(void)ino;
	(void)fi;
	size = cut(disk, offset, size < REQUEST_BYTES ? size : REQUEST_BYTES);
	memcpy(answer_buffer, disk->memory + offset, size);
	fuse_reply_buf(req, answer_buffer, size);
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size,
		     off_t offset, struct fuse_file_info *fi)
{
	const struct null_disk *disk = fuse_req_userdata(req);

	(void)ino;
	(void)fi;
	if (size && !cut(disk, offset, size)) {
		fuse_reply_err(req, ENOSPC);
		return;
	}
	size = cut(disk, offset, size);
	memcpy(disk->memory + offset, data, size);
	fuse_reply_write(req, size);
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)ino;
	(void)datasync;
	(void)fi;
	fuse_reply_err(req, 0);
}

static void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
			 struct fuse_file_info *fi)
{
	const struct null_disk *disk = fuse_req_userdata(req);

	(void)ino;
	(void)fi;
	if (!(mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))) {
		fuse_reply_err(req, EOPNOTSUPP);
		return;
	}
	memset(disk->memory + offset, 0, cut(disk, offset, (uint64_t)length));
	fuse_reply_err(req, 0);
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
	.fallocate = op_fallocate,
};

/* --- threads -------------------------------------------------------------------- */

static void *run(void *arg)
{
	struct null_disk *disk = arg;
	char *received = memory_new(RECEIVE_BYTES);

	answer_buffer = memory_new(REQUEST_BYTES);
	while (!fuse_session_exited(disk->session)) {
		struct fuse_buf buffer = { .mem = received, .size = RECEIVE_BYTES };
		int result = fuse_session_receive_buf(disk->session, &buffer);

		if (result == -EINTR || result == -EAGAIN)
			continue;
		if (result <= 0)
			break;
		fuse_session_process_buf(disk->session, &buffer);
	}
	fuse_session_exit(disk->session);
	return NULL;
}

static unsigned thread_count(void)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);

	if (processors < THREADS_MIN)
		return THREADS_MIN;
	return processors > THREADS_MAX ? THREADS_MAX : (unsigned)processors;
}

static void serve(struct null_disk *disk, const char *mount_point)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	pthread_t threads[THREADS_MAX];
	unsigned count = thread_count();

	if (fuse_opt_add_arg(&args, "null_fuse") ||
	    fuse_opt_add_arg(&args, "-osubtype=wbfs-null,default_permissions,fsname=null"))
		die("no memory");
	disk->session = fuse_session_new(&args, &operations, sizeof operations, disk);
	fuse_opt_free_args(&args);
	if (!disk->session || fuse_session_mount(disk->session, mount_point))
		die("%s: cannot mount here", mount_point);
	for (unsigned i = 0; i < count; i++)
		if (pthread_create(&threads[i], NULL, run, disk))
			die("cannot start a thread");
	for (unsigned i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	fuse_session_unmount(disk->session);
	fuse_session_destroy(disk->session);
}

/* --- life ------------------------------------------------------------------------ */

/* The parent waits for INIT, or for the end of the child. */
static int wait_until_ready(int fd, pid_t server)
{
	char byte;

	if (read(fd, &byte, 1) != 1)
		return 1;	/* the child has said why */
	printf("%d\n", (int)server);
	return 0;
}

/* Standard output and input are given up: whoever reads the one waits for its end. */
static void detach(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
	    setsid() < 0 || chdir("/"))
		die("cannot go into the background: %s", strerror(errno));
}

int main(int argc, char **argv)
{
	struct null_disk disk = { 0 };
	char *mount_point, *end;
	int ends[2];
	pid_t server;

	if (argc != 3)
		die("usage: null_fuse BYTES MOUNTPOINT");
	disk.size_bytes = strtoull(argv[1], &end, 10);
	if (*end || !disk.size_bytes || disk.size_bytes % 4096)
		die("%s: a multiple of 4096 bytes is needed", argv[1]);
	mount_point = realpath(argv[2], NULL);
	if (!mount_point || pipe2(ends, O_CLOEXEC))
		die("%s: %s", argv[2], strerror(errno));
	server = fork();
	if (server < 0)
		die("fork: %s", strerror(errno));
	if (server > 0) {
		close(ends[1]);
		return wait_until_ready(ends[0], server);
	}
	close(ends[0]);
	disk.ready_fd = ends[1];
	detach();
	disk.memory = memory_new(disk.size_bytes);
	serve(&disk, mount_point);
	return 0;
}
