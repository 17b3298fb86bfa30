/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The disks of the tests: a FUSE directory of files that behave like disks with
 * a volatile write cache, lose power when told, and fail where told.
 *
 *   test_disk serve DIRECTORY SOCKET STORE NAME=BYTES...
 *       mounts DIRECTORY with these files, whose bytes lie in the directory
 *       STORE; returns when they can be used, and prints the server's pid
 *   test_disk ask SOCKET COMMAND...
 *       one of the commands below; prints the answer, which is given when it is
 *       done. Status 0, or 1 with what is wrong
 *
 *   power-cut SEED [any|loses-all|keeps-all]     both files, at this moment
 *   power-cut-at N SEED [any|...]   in the N-th write, zero or flush from now
 *                                   (of all files); 0: no longer
 *   power-on                        what the power cut left is there
 *   power                           "on" or "off"
 *   killed                          the process that asked last without power
 *   fail FILE OPS ERROR ...         see test_disk_faults.h
 *   heal FILE                       nothing fails any more, nothing is held
 *   budget FILE BYTES|none          ENOSPC for what would take more than that
 *   rot FILE BYTE BYTES             damages every sector there
 *   lie FILE yes|no                 flushes and FUA say yes and do nothing
 *   forget FILE yes|no              a failed flush loses what it covered
 *   counts FILE                     "NAME VALUE" words
 *
 * Held operations each keep one of the server's threads (SERVER_THREADS): some have to be
 * left for the rest.
 *
 * From the power cut on nothing is taken and everything is EIO, and whoever asks
 * (after power-cut-at: has one of them open) is killed, as the power cut would have
 * done; also everything that comes
 * through a descriptor from before the power came back is EIO, so that a late
 * write of a dead process cannot reach the disk of a later life.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <unistd.h>

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include "test_disk.h"

#define TRANSFER_BYTES_MAX (1u << 20)
#define SERVER_THREADS 4u

struct wb_test_disks wb_test_disks = {
	.lock = PTHREAD_MUTEX_INITIALIZER, .released = PTHREAD_COND_INITIALIZER,
};
#define state wb_test_disks		/* all of it is under its lock */

static struct fuse_session *session;
static const char *mounted_at;	/* where they are mounted */

static void acquire(void)
{
	pthread_mutex_lock(&state.lock);
}

static void release(void)
{
	pthread_mutex_unlock(&state.lock);
}

static struct wb_test_disk *disk_of_inode(fuse_ino_t inode)
{
	return inode >= 2 && inode < 2 + state.count ? &state.disks[inode - 2] : NULL;
}

/* --- power -------------------------------------------------------------------------- */

static pid_t process_of_thread(pid_t thread)
{
	char path[64], line[256];
	int process = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)thread);
	file = fopen(path, "re");
	while (file && !process && fgets(line, sizeof(line), file))
		sscanf(line, "Tgid: %d", &process);
	if (file)
		fclose(file);
	return process;
}

/* The one who asks is in the middle of its request, so the id is still its. */
static void kill_asker_locked(fuse_req_t req)
{
	pid_t process = process_of_thread(fuse_req_ctx(req)->pid);

	if (process <= 1 || process == getpid())
		return;
	kill(process, SIGKILL);
	state.killed = process;
}

static bool has_open(pid_t process)
{
	size_t length = strlen(mounted_at);
	char path[64], target[PATH_MAX];
	bool found = false;
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)process);
	dir = opendir(path);
	while (dir && !found && (entry = readdir(dir))) {
		ssize_t bytes = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target));

		found = bytes > (ssize_t)length && !memcmp(target, mounted_at, length) &&
			target[length] == '/';
	}
	if (dir)
		closedir(dir);
	return found;
}

/* Whoever has one of the disks open is in the dark with them, and not only who asked: a
 * server of the backing, or its client, would live on. */
static void kill_users_locked(void)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		pid_t process = atoi(entry->d_name);

		if (process > 1 && process != getpid() && has_open(process))
			kill(process, SIGKILL);
	}
	if (dir)
		closedir(dir);
}

/* Does the power go in the middle of this operation, which has been taken? */
static bool power_goes_locked(fuse_req_t req)
{
	if (!state.cut_at || --state.cut_at)
		return false;
	wb_test_disks_cut_locked(state.cut_seed, state.cut_how);
	kill_asker_locked(req);
	kill_users_locked();
	return true;
}

static bool is_dead_locked(fuse_req_t req, uint64_t era)
{
	if (!state.is_off && era == state.era)
		return false;
	kill_asker_locked(req);
	return true;
}

/* --- operations ---------------------------------------------------------------------- */

struct operation {
	struct wb_test_disk *disk;
	enum wb_fault_op op;
	uint64_t offset_bytes, length_bytes;
	int fault;			/* what a rule says: 0 or -errno */
};

/* A slow disk. */
static void be_late_locked(struct wb_test_disk *disk, unsigned delay_ms)
{
	uint64_t before = disk->times_released;

	if (delay_ms != WB_FAULT_HELD) {
		release();
		usleep(delay_ms * 1000);
		acquire();
		return;
	}
	disk->held++;
	while (disk->times_released == before)
		pthread_cond_wait(&state.released, &state.lock);
	disk->held--;
}

/* 0 with the lock held, or an error without it. */
static int begin(fuse_req_t req, struct operation *operation, uint64_t era)
{
	unsigned delay_ms;

	acquire();
	if (!is_dead_locked(req, era)) {
		operation->fault = wb_faults_judge(&operation->disk->faults, operation->op,
						   operation->offset_bytes,
						   operation->length_bytes, &delay_ms);
		if (!delay_ms)
			return 0;
		be_late_locked(operation->disk, delay_ms);
		if (!is_dead_locked(req, era))
			return 0;
	}
	release();
	return -EIO;
}

static void op_read(fuse_req_t req, fuse_ino_t inode, size_t size, off_t offset,
		    struct fuse_file_info *fi)
{
	struct wb_test_disk *disk = disk_of_inode(inode);
	struct operation operation = { disk, WB_FAULT_READ, (uint64_t)offset, size, 0 };
	uint64_t end = wb_medium_size_bytes(disk->medium);
	int error = begin(req, &operation, fi->fh);

	if (!error) {
		disk->reads++;
		error = operation.fault;
		release();
	}
	if (error) {
		fuse_reply_err(req, -error);
		return;
	}
	if ((uint64_t)offset >= end)
		size = 0;
	else if (size > end - (uint64_t)offset)
		size = end - (uint64_t)offset;
	fuse_reply_buf(req, (const char *)wb_medium_bytes(disk->medium) + offset, size);
}

/* A write that failed may have reached the disk in part. */
static int take_write_locked(const struct operation *operation, const char *data)
{
	size_t half = operation->length_bytes / 2 / WB_MEDIUM_SECTOR * WB_MEDIUM_SECTOR;
	struct wb_medium *medium = operation->disk->medium;

	operation->disk->writes++;
	if (!operation->fault)
		return wb_medium_write(medium, operation->offset_bytes, data,
				       operation->length_bytes);
	if (operation->fault == -EIO)
		wb_medium_write(medium, operation->offset_bytes, data, half);
	return operation->fault;
}

static void op_write(fuse_req_t req, fuse_ino_t inode, const char *data, size_t size,
		     off_t offset, struct fuse_file_info *fi)
{
	struct wb_test_disk *disk = disk_of_inode(inode);
	struct operation operation = { disk, WB_FAULT_WRITE, (uint64_t)offset, size, 0 };
	int error = begin(req, &operation, fi->fh);

	if (!error) {
		error = take_write_locked(&operation, data);
		if (power_goes_locked(req))
			error = -EIO;
		else if (!error && size && (fi->flags & O_DSYNC) && !disk->lies)
			wb_medium_harden_newest(disk->medium);
		release();
	}
	if (error)
		fuse_reply_err(req, -error);
	else
		fuse_reply_write(req, size);
}

static void flush_locked(const struct operation *operation)
{
	struct wb_test_disk *disk = operation->disk;

	if (!operation->fault && !disk->lies)
		wb_medium_flush(disk->medium);
	else if (operation->fault && disk->forgets)
		wb_medium_flush_failed(disk->medium);
}

static void op_fsync(fuse_req_t req, fuse_ino_t inode, int datasync, struct fuse_file_info *fi)
{
	struct wb_test_disk *disk = disk_of_inode(inode);
	struct operation operation = { disk, WB_FAULT_FLUSH, 0, 0, 0 };
	int error = begin(req, &operation, fi->fh);

	(void)datasync;
	if (!error) {
		disk->flushes++;
		error = operation.fault;
		if (power_goes_locked(req))
			error = -EIO;
		else
			flush_locked(&operation);
		release();
	}
	fuse_reply_err(req, -error);
}

static int take_zero_locked(const struct operation *operation, int mode)
{
	struct wb_medium *medium = operation->disk->medium;
	uint64_t at = operation->offset_bytes, bytes = operation->length_bytes;

	operation->disk->zeros++;
	if (operation->fault)
		return operation->fault;
	if (mode == (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE))
		return wb_medium_zero(medium, at, bytes, true);
	if (mode == (FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE))
		return wb_medium_zero(medium, at, bytes, false);
	if (mode == 0 || mode == FALLOC_FL_KEEP_SIZE)
		return wb_medium_allocate(medium, at, bytes);
	return -EOPNOTSUPP;
}

static void op_fallocate(fuse_req_t req, fuse_ino_t inode, int mode, off_t offset, off_t length,
			 struct fuse_file_info *fi)
{
	struct operation operation = { disk_of_inode(inode), WB_FAULT_ZERO, (uint64_t)offset,
				       (uint64_t)length, 0 };
	int error = begin(req, &operation, fi->fh);

	if (!error) {
		error = take_zero_locked(&operation, mode);
		if (power_goes_locked(req))
			error = -EIO;
		release();
	}
	fuse_reply_err(req, -error);
}

static void op_lseek(fuse_req_t req, fuse_ino_t inode, off_t offset, int whence,
		     struct fuse_file_info *fi)
{
	off_t found = lseek(wb_medium_now_fd(disk_of_inode(inode)->medium), offset, whence);

	(void)fi;
	if (found < 0)
		fuse_reply_err(req, errno);
	else
		fuse_reply_lseek(req, found);
}

/* --- the tree ------------------------------------------------------------------------ */

static void fill_stat(struct stat *st, fuse_ino_t inode)
{
	struct wb_test_disk *disk = disk_of_inode(inode);

	*st = (struct stat){ .st_ino = inode, .st_nlink = 1, .st_mode = S_IFDIR | 0755,
			     .st_uid = getuid(), .st_gid = getgid() };
	if (!disk)
		return;
	st->st_mode = S_IFREG | 0600;
	st->st_size = (off_t)wb_medium_size_bytes(disk->medium);
	st->st_blksize = (blksize_t)WB_MEDIUM_BLOCK;
	acquire();
	st->st_blocks = (blkcnt_t)(wb_medium_taken_bytes(disk->medium) / 512);
	release();
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param entry = { .attr_timeout = 0, .entry_timeout = 3600 };
	struct wb_test_disk *disk = wb_test_disk_of_name(name);

	if (parent != FUSE_ROOT_ID || !disk) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	entry.ino = 2 + (fuse_ino_t)(disk - state.disks);
	fill_stat(&entry.attr, entry.ino);
	fuse_reply_entry(req, &entry);
}

static void op_getattr(fuse_req_t req, fuse_ino_t inode, struct fuse_file_info *fi)
{
	struct stat st;

	(void)fi;
	fill_stat(&st, inode);
	fuse_reply_attr(req, &st, 0);
}

/* Sizes stay; times and modes are of no interest here. */
static void op_setattr(fuse_req_t req, fuse_ino_t inode, struct stat *wanted, int which,
		       struct fuse_file_info *fi)
{
	struct stat st;

	(void)fi;
	fill_stat(&st, inode);
	if ((which & FUSE_SET_ATTR_SIZE) && wanted->st_size != st.st_size)
		fuse_reply_err(req, EPERM);
	else
		fuse_reply_attr(req, &st, 0);
}

static void op_readdir(fuse_req_t req, fuse_ino_t inode, size_t size, off_t offset,
		       struct fuse_file_info *fi)
{
	char buffer[1024];
	size_t used = 0;

	(void)inode;
	(void)fi;
	for (unsigned i = (unsigned)offset; i < state.count; i++) {
		struct stat st;
		size_t left = (size < sizeof(buffer) ? size : sizeof(buffer)) - used, bytes;

		fill_stat(&st, 2 + i);
		bytes = fuse_add_direntry(req, buffer + used, left, state.disks[i].name, &st,
					  (off_t)i + 1);
		if (bytes > left)
			break;
		used += bytes;
	}
	fuse_reply_buf(req, buffer, used);
}

/* The kernel's own struct, because libfuse 3.14 has no bit for writes in
 * parallel. The era goes into the handle. */
static void op_open(fuse_req_t req, fuse_ino_t inode, struct fuse_file_info *fi)
{
	struct fuse_open_out out = {
		.open_flags = FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES,
	};
	bool is_off;

	(void)fi;
	acquire();
	out.fh = state.era;
	is_off = state.is_off;
	release();
	if (!disk_of_inode(inode))
		fuse_reply_err(req, EISDIR);
	else if (is_off)
		fuse_reply_err(req, EIO);
	else
		fuse_reply_buf(req, (const char *)&out, sizeof(out));
}

/* At close(): no sync. */
static void op_flush(fuse_req_t req, fuse_ino_t inode, struct fuse_file_info *fi)
{
	(void)inode;
	(void)fi;
	fuse_reply_err(req, 0);
}

static void op_statfs(fuse_req_t req, fuse_ino_t inode)
{
	struct wb_test_disk *disk = disk_of_inode(inode);
	struct statvfs st = { .f_bsize = WB_MEDIUM_BLOCK, .f_frsize = WB_MEDIUM_BLOCK,
			      .f_namemax = 255 };

	if (disk) {
		acquire();
		st.f_blocks = wb_medium_size_bytes(disk->medium) / WB_MEDIUM_BLOCK;
		st.f_bfree = wb_medium_free_bytes(disk->medium) / WB_MEDIUM_BLOCK;
		st.f_bavail = st.f_bfree;
		release();
	}
	fuse_reply_statfs(req, &st);
}

/* --- attributes ----------------------------------------------------------------------- */

static void set_attribute(fuse_req_t req, fuse_ino_t inode, const char *name,
			  const char *value, size_t size)
{
	struct wb_test_disk *disk = disk_of_inode(inode);
	int error = -EOPNOTSUPP;

	if (disk && !strncmp(name, "user.", 5)) {
		acquire();
		error = state.is_off ? -EIO :
			wb_medium_set_attribute(disk->medium, name, value, size);
		release();
	}
	fuse_reply_err(req, -error);
}

static void op_setxattr(fuse_req_t req, fuse_ino_t inode, const char *name, const char *value,
			size_t size, int flags)
{
	(void)flags;
	set_attribute(req, inode, name, value, size);
}

static void op_removexattr(fuse_req_t req, fuse_ino_t inode, const char *name)
{
	set_attribute(req, inode, name, NULL, 0);
}

static void reply_attribute(fuse_req_t req, ssize_t length, const void *value, size_t size)
{
	if (length < 0)
		fuse_reply_err(req, (int)-length);
	else if (!size)
		fuse_reply_xattr(req, (size_t)length);
	else if ((size_t)length > size)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, value, (size_t)length);
}

static void op_getxattr(fuse_req_t req, fuse_ino_t inode, const char *name, size_t size)
{
	struct wb_test_disk *disk = disk_of_inode(inode);
	const void *value = NULL;
	ssize_t length = -ENODATA;

	acquire();
	if (disk)
		length = wb_medium_get_attribute(disk->medium, name, &value);
	reply_attribute(req, length, value, size);
	release();
}

static void op_listxattr(fuse_req_t req, fuse_ino_t inode, size_t size)
{
	struct wb_test_disk *disk = disk_of_inode(inode);
	char names[1024];
	size_t length = 0;

	acquire();
	if (disk)
		length = wb_medium_list_attributes(disk->medium, names, sizeof(names));
	release();
	reply_attribute(req, (ssize_t)length, names, size);
}

static void op_init(void *arg, struct fuse_conn_info *connection)
{
	(void)arg;
	connection->max_write = TRANSFER_BYTES_MAX;
	connection->max_background = 64;
}

static const struct fuse_lowlevel_ops operations = {
	.init = op_init,
	.lookup = op_lookup,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.readdir = op_readdir,
	.open = op_open,
	.read = op_read,
	.write = op_write,
	.flush = op_flush,
	.fsync = op_fsync,
	.fallocate = op_fallocate,
	.lseek = op_lseek,
	.statfs = op_statfs,
	.setxattr = op_setxattr,
	.getxattr = op_getxattr,
	.listxattr = op_listxattr,
	.removexattr = op_removexattr,
};

/* --- the server ------------------------------------------------------------------------ */

static int listen_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(address.sun_path, path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 8))
		return -1;
	return fd;
}

static void answer_one(int fd)
{
	char text[1024], *words[WB_TEST_DISK_WORDS_MAX + 1], *rest = NULL;
	unsigned count = 0;
	ssize_t length = read(fd, text, sizeof(text) - 1);
	FILE *out = fdopen(fd, "w");

	text[length > 0 ? length : 0] = '\0';
	for (char *word = strtok_r(text, " \n", &rest); word && count < WB_TEST_DISK_WORDS_MAX;
	     word = strtok_r(NULL, " \n", &rest))
		words[count++] = word;
	words[count] = NULL;
	wb_test_disks_answer(words, out);
	fclose(out);
}

static void *answer_all(void *arg)
{
	int listen_fd = *(int *)arg;

	for (;;) {
		int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);

		if (fd >= 0)
			answer_one(fd);
		else if (errno != EINTR && errno != ECONNABORTED)
			return NULL;
	}
}

static bool make_disk(const char *directory, char *word)
{
	struct wb_test_disk *disk = &state.disks[state.count];
	char *size = strchr(word, '=');

	if (!size || state.count == WB_TEST_DISKS_MAX)
		return false;
	*size++ = '\0';
	disk->name = word;
	disk->medium = wb_medium_new(directory, word, strtoull(size, NULL, 0));
	if (!disk->medium)
		return false;
	state.count++;
	return true;
}

static bool mount_at(const char *directory)
{
	char *argv[] = { (char *)"test_disk", (char *)"-ofsname=wbfs-test-disk", NULL };
	struct fuse_args args = FUSE_ARGS_INIT(2, argv);

	session = fuse_session_new(&args, &operations, sizeof(operations), NULL);
	fuse_opt_free_args(&args);
	return session && !fuse_session_mount(session, directory);
}

static int run(int ready_fd, int listen_fd)
{
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	pthread_t thread;
	int result;

	if (pthread_create(&thread, NULL, answer_all, &listen_fd) ||
	    fuse_set_signal_handlers(session))
		return 1;
	fuse_loop_cfg_set_max_threads(config, SERVER_THREADS);
	if (write(ready_fd, "r", 1) != 1)
		return 1;
	close(ready_fd);
	result = fuse_session_loop_mt(session, config);
	fuse_session_unmount(session);
	return result != 0;
}

/* The pipe of the caller's output must not stay open in the server. */
static int be_server(char **argv, int ready_fd)
{
	int null_fd = open("/dev/null", O_RDWR), listen_fd;

	setsid();
	dup2(null_fd, 0);
	dup2(null_fd, 1);
	dup2(ready_fd, 3);
	close_range(4, ~0u, 0);
	umask(077);
	mounted_at = argv[2];
	for (char **word = argv + 5; *word; word++)
		if (!make_disk(argv[4], *word))
			return perror(*word), 1;
	listen_fd = listen_at(argv[3]);
	if (listen_fd < 0)
		return perror(argv[3]), 1;
	if (!mount_at(argv[2]))
		return 1;
	return run(3, listen_fd);
}

static int serve(char **argv)
{
	int fds[2];
	char byte;
	pid_t pid;

	if (pipe(fds) || (pid = fork()) < 0)
		return perror("test_disk"), 1;
	if (!pid)
		_exit(be_server(argv, fds[1]));
	close(fds[1]);
	if (read(fds[0], &byte, 1) != 1)
		return fprintf(stderr, "test_disk: the server did not start\n"), 1;
	printf("%d\n", (int)pid);
	return 0;
}

static int ask(char **argv)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char text[4096] = "";
	size_t length = 0;
	ssize_t more;

	for (char **word = argv + 3; *word; word++)
		length += (size_t)snprintf(text + length, sizeof(text) - length, "%s ", *word);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", argv[2]);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) ||
	    write(fd, text, length) != (ssize_t)length)
		return perror(argv[2]), 1;
	for (length = 0; (more = read(fd, text + length, sizeof(text) - 1 - length)) > 0;)
		length += (size_t)more;
	text[length] = '\0';
	if (strncmp(text, "ok", 2))
		return fprintf(stderr, "test_disk: %s", text), 1;
	if (text[2] == ' ')
		fputs(text + 3, stdout);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc >= 6 && !strcmp(argv[1], "serve"))
		return serve(argv);
	if (argc >= 4 && !strcmp(argv[1], "ask"))
		return ask(argv);
	fprintf(stderr, "usage: %s serve DIRECTORY SOCKET STORE NAME=BYTES...\n"
			"       %s ask SOCKET COMMAND...\n", argv[0], argv[0]);
	return 2;
}
