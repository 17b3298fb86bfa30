/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The limit that the transport sets: a FUSE daemon over libfuse that does for each
 * request only what no daemon can leave out, one memcpy between the request and its
 * memory. Threads, open flags, limits and answers are those of src/frontend, so that
 * the difference to wbfs is what wbfs does; it shares no code with it, so that a
 * slower front end does not slow the limit down too.
 *
 *	null_fuse [--bare] BYTES MOUNTPOINT [FILE OFFSET]
 *
 * --bare: READ and WRITE do not go through libfuse, where all threads share a list, as
 * they do not in wbfs. That is the limit of what can be written instead of libfuse.
 *
 * With a FILE, READs come from there instead, as fast as they can be handed on
 * (pass_ring.h), and never through libfuse: the limit of the transport and a disk
 * together.
 *
 * Returns when MOUNTPOINT/disk can be used, after printing the id of the process that
 * serves it; that one ends when it is unmounted.
 */
#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>

#include <errno.h>
#include <linux/falloc.h>
#include <linux/fuse.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench/daemon.h"
#include "bench/pass_ring.h"

#define INO_DISK 2
#define ATTRIBUTE_SECONDS 3600.0

struct null_disk {
	/* constant after start */
	uint64_t size_bytes;
	char *memory;
	bool passes;		/* READs go to a file */
};

static struct null_disk the_disk;

/* READ answers from here, after its one copy. */
static __thread char *answer_buffer;

/* Resident from the start: a page fault is no part of a request. */
static char *memory_new(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (memory == MAP_FAILED)
		wb_daemon_die("no memory for %zu bytes", bytes);
	return memory;
}

/* --- operations --------------------------------------------------------------- */

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	(void)userdata;
	wb_daemon_negotiate(conn);
	wb_daemon_is_ready();
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
	describe(&the_disk, INO_DISK, &entry.attr);
	fuse_reply_entry(req, &entry);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;

	(void)fi;
	if (describe(&the_disk, ino, &st))
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
	(void)fi;
	if (ino == INO_DISK)
		wb_daemon_reply_open(req);
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

/* Who asked: libfuse, or the kernel by that number. */
struct asker {
	fuse_req_t req;
	uint64_t unique;
};

static void give(struct asker asker, const char *data, size_t size)
{
	if (asker.req)
		fuse_reply_buf(asker.req, data, size);
	else
		wb_daemon_give(asker.unique, data, size);
}

static void wrote(struct asker asker, size_t size)
{
	if (asker.req)
		fuse_reply_write(asker.req, size);
	else
		wb_daemon_wrote(asker.unique, size);
}

static void refuse(struct asker asker, int error)
{
	if (asker.req)
		fuse_reply_err(asker.req, error);
	else
		wb_daemon_end(asker.unique, error);
}

static void serve_read(struct asker asker, size_t size, off_t offset)
{
	const struct null_disk *disk = &the_disk;

	size = cut(disk, offset, size < WB_DAEMON_REQUEST_BYTES ? size : WB_DAEMON_REQUEST_BYTES);
	if (disk->passes && size) {
		wb_pass_read(asker.unique, size, offset);
		return;
	}
	memcpy(answer_buffer, disk->memory + offset, size);
	give(asker, answer_buffer, size);
}

static void serve_write(struct asker asker, const char *data, size_t size, off_t offset)
{
	const struct null_disk *disk = &the_disk;

	if (disk->passes || (size && !cut(disk, offset, size))) {
		refuse(asker, disk->passes ? EROFS : ENOSPC);
		return;
	}
	size = cut(disk, offset, size);
	memcpy(disk->memory + offset, data, size);
	wrote(asker, size);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		    struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	serve_read((struct asker){ .req = req }, size, offset);
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size,
		     off_t offset, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	serve_write((struct asker){ .req = req }, data, size, offset);
}

static bool take(const void *request, size_t bytes)
{
	const struct fuse_in_header *header = request;
	const struct fuse_read_in *read = (const void *)(header + 1);
	const struct fuse_write_in *write = (const void *)(header + 1);
	const struct asker asker = { .unique = header->unique };

	if (header->nodeid != INO_DISK)
		return false;
	if (header->opcode == FUSE_READ && bytes >= sizeof(*header) + sizeof(*read)) {
		serve_read(asker, read->size, (off_t)read->offset);
		return true;
	}
	if (header->opcode == FUSE_WRITE && bytes >= sizeof(*header) + sizeof(*write) + write->size) {
		serve_write(asker, (const char *)(write + 1), write->size,
			    (off_t)write->offset);
		return true;
	}
	return false;
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
	const struct null_disk *disk = &the_disk;

	(void)ino;
	(void)fi;
	if (disk->passes || !(mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))) {
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

/* --- life ------------------------------------------------------------------------ */

static void thread_begin(void)
{
	answer_buffer = memory_new(WB_DAEMON_REQUEST_BYTES);
}

int main(int argc, char **argv)
{
	static const struct wb_daemon_hooks null = { .begin = thread_begin };
	static const struct wb_daemon_hooks bare = { .begin = thread_begin, .take = take };
	static const struct wb_daemon_hooks pass = {
		wb_pass_begin, take, wb_pass_received, wb_pass_idle,
	};
	struct null_disk *disk = &the_disk;
	bool is_bare = argc > 1 && strcmp(argv[1], "--bare") == 0;
	char *mount_point, *end;

	argv += is_bare;
	argc -= is_bare;
	if (argc != 3 && argc != 5)
		wb_daemon_die("usage: null_fuse [--bare] BYTES MOUNTPOINT [FILE OFFSET]");
	disk->size_bytes = strtoull(argv[1], &end, 10);
	if (*end || !disk->size_bytes || disk->size_bytes % 4096)
		wb_daemon_die("%s: a multiple of 4096 bytes is needed", argv[1]);
	mount_point = realpath(argv[2], NULL);
	if (!mount_point)
		wb_daemon_die("%s: %s", argv[2], strerror(errno));
	disk->passes = argc == 5;
	if (disk->passes)
		wb_pass_open(argv[3], strtoull(argv[4], NULL, 10));
	wb_daemon_begin();
	if (!disk->passes)
		disk->memory = memory_new(disk->size_bytes);
	wb_daemon_serve("null", mount_point, 0, &operations, NULL,
			disk->passes ? &pass : is_bare ? &bare : &null);
	return 0;
}
