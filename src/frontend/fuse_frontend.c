/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "frontend/fuse_frontend.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <string.h>
#include <unistd.h>

#include "base/lock.h"
#include "frontend/control_files.h"
#include "frontend/fuse_disk.h"
#include "frontend/fuse_loop.h"
#include "frontend/fuse_tree.h"

#define THREADS_MIN 3u		/* one may be waiting for a sync */
#define THREADS_MAX 4u
#define LARGE_BUFFERS 9u		/* beside one for each thread */
#define SMALL_BUFFERS 128u
#define MAX_BACKGROUND 256u	/* async requests the kernel may have open; 12 if not asked */
#define CONGESTION_THRESHOLD 192u
#define REQUEST_BYTES (1u << 20)	/* the most that libfuse 3.14 can do */
#define ATTRIBUTE_SECONDS 3600.0	/* nothing changes them behind the kernel */

struct wb_fuse {
	/* constant after start */
	struct wb_control control;
	struct wb_fuse_tree tree;
	struct wb_receive_pool *receive_pool;
	struct wb_fuse_disk *disk;
	struct fuse_session *session;
	struct wb_fuse_loop *loop;
	void (*ended)(void *arg);
	void *arg;

	/* under lock */
	struct wb_lock lock;
	struct wb_cond changed;
	bool is_ready;		/* INIT was answered */
	bool is_over;
};

static struct wb_fuse *fuse_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

/* --- session ---------------------------------------------------------------------- */

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	struct wb_fuse *fuse = userdata;

	conn->max_write = MIN(conn->max_write, REQUEST_BYTES);
	conn->max_background = MAX_BACKGROUND;
	conn->congestion_threshold = CONGESTION_THRESHOLD;
	conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
				  FUSE_CAP_SPLICE_MOVE | FUSE_CAP_WRITEBACK_CACHE |
				  FUSE_CAP_ATOMIC_O_TRUNC);
	conn->want |= conn->capable & (FUSE_CAP_ASYNC_DIO | FUSE_CAP_PARALLEL_DIROPS);

	wb_lock_acquire(&fuse->lock);
	fuse->is_ready = true;
	wb_cond_broadcast(&fuse->changed);
	wb_lock_release(&fuse->lock);
}

/* --- names and attributes ------------------------------------------------------------- */

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param entry = {
		.ino = wb_fuse_tree_lookup(parent, name),
		.attr_timeout = ATTRIBUTE_SECONDS,
		.entry_timeout = ATTRIBUTE_SECONDS,
	};

	if (!entry.ino || !wb_fuse_tree_stat(&fuse_of(req)->tree, entry.ino, &entry.attr))
		fuse_reply_err(req, ENOENT);
	else
		fuse_reply_entry(req, &entry);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;

	(void)fi;
	if (!wb_fuse_tree_stat(&fuse_of(req)->tree, ino, &st))
		fuse_reply_err(req, ENOENT);
	else
		fuse_reply_attr(req, &st, ATTRIBUTE_SECONDS);
}

/* Times are taken and forgotten; the size may only be set to what it is. A
 * control file may be "truncated", as `echo verb > control` does. */
static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		       struct fuse_file_info *fi)
{
	struct wb_fuse *fuse = fuse_of(req);
	const int owner = FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID;
	struct wb_control_node node;
	bool is_resize = (to_set & FUSE_SET_ATTR_SIZE) && !wb_fuse_tree_control(ino, &node) &&
			 (uint64_t)attr->st_size != fuse->tree.image_bytes;

	if ((to_set & owner) || is_resize)
		fuse_reply_err(req, EPERM);
	else
		op_getattr(req, ino, fi);
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs st = {
		.f_bsize = 4096,
		.f_frsize = 4096,
		.f_blocks = fuse_of(req)->tree.image_bytes / 4096,
		.f_files = wb_fuse_tree_count(),
		.f_namemax = 255,
	};

	(void)ino;
	fuse_reply_statfs(req, &st);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		       struct fuse_file_info *fi)
{
	char buffer[1024];
	size_t used = 0;
	const char *name;
	struct stat st = { 0 };

	(void)fi;
	size = MIN(size, sizeof buffer);
	for (unsigned i = (unsigned)offset; wb_fuse_tree_entry(ino, i, &name, &st.st_ino); i++) {
		size_t need;

		st.st_mode = wb_fuse_tree_is_directory(st.st_ino) ? S_IFDIR : S_IFREG;
		need = fuse_add_direntry(req, buffer + used, size - used, name, &st,
					 (off_t)i + 1);
		if (need > size - used)
			break;
		used += need;
	}
	fuse_reply_buf(req, buffer, used);
}

/* Without these the user would be told "function not implemented". */
static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		     dev_t device)
{
	(void)parent;
	(void)name;
	(void)mode;
	(void)device;
	fuse_reply_err(req, EPERM);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	op_mknod(req, parent, name, mode, 0);
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	op_mknod(req, parent, name, 0, 0);
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
		      fuse_ino_t new_parent, const char *new_name, unsigned flags)
{
	(void)new_parent;
	(void)new_name;
	op_mknod(req, parent, name, flags, 0);
}

/* --- open and release --------------------------------------------------------------------- */

/* libfuse 3.14 has no bit for FOPEN_PARALLEL_DIRECT_WRITES, without which the
 * kernel sends the writes to one file one at a time: the answer is the
 * kernel's own struct. */
static void open_disk(fuse_req_t req)
{
	struct fuse_open_out out = {
		.open_flags = FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES,
	};

	fuse_reply_buf(req, (const char *)&out, sizeof out);
}

/* What is shown is made once, at open, so that a file read in pieces is one
 * snapshot. */
static void open_control(fuse_req_t req, const struct wb_control_node *node,
			 struct fuse_file_info *fi)
{
	GString *text = g_string_new(NULL);
	GBytes *snapshot;

	if ((fi->flags & O_ACCMODE) != O_WRONLY)
		wb_control_node_show(node, &fuse_of(req)->control, text);
	snapshot = g_string_free_to_bytes(text);
	fi->fh = (uintptr_t)snapshot;
	fi->direct_io = 1;
	if (fuse_reply_open(req, fi) == -ENOENT)
		g_bytes_unref(snapshot);	/* interrupted: no release will come */
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct wb_control_node node;

	if (ino == WB_INO_DISK && fuse_of(req)->tree.is_read_only &&
	    (fi->flags & O_ACCMODE) != O_RDONLY)
		fuse_reply_err(req, EROFS);
	else if (ino == WB_INO_DISK)
		open_disk(req);
	else if (wb_fuse_tree_control(ino, &node))
		open_control(req, &node, fi);
	else
		fuse_reply_err(req, EISDIR);
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct wb_control_node node;

	if (wb_fuse_tree_control(ino, &node))
		g_bytes_unref((GBytes *)(uintptr_t)fi->fh);
	fuse_reply_err(req, 0);
}

/* --- data ------------------------------------------------------------------------------------- */

/* Referenced while it is sent: the reader may have its answer, and release may
 * run on another thread, before the reply function returns here. */
static void read_control(fuse_req_t req, size_t size, off_t offset, struct fuse_file_info *fi)
{
	GBytes *snapshot = g_bytes_ref((GBytes *)(uintptr_t)fi->fh);
	gsize length;
	const char *text = g_bytes_get_data(snapshot, &length);

	if (offset < 0 || (uint64_t)offset >= length)
		fuse_reply_buf(req, NULL, 0);
	else
		fuse_reply_buf(req, text + offset, MIN(size, length - (size_t)offset));
	g_bytes_unref(snapshot);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		    struct fuse_file_info *fi)
{
	if (ino == WB_INO_DISK)
		wb_fuse_disk_read(fuse_of(req)->disk, req, size, offset);
	else
		read_control(req, size, offset, fi);
}

static void write_control(fuse_req_t req, fuse_ino_t ino, const char *text, size_t size)
{
	struct wb_control_node node;
	int error = -EPERM;

	if (wb_fuse_tree_control(ino, &node))
		error = wb_control_node_store(&node, &fuse_of(req)->control, text, size);
	if (error)
		fuse_reply_err(req, -error);
	else
		fuse_reply_write(req, size);
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size,
		     off_t offset, struct fuse_file_info *fi)
{
	if (ino == WB_INO_DISK)
		wb_fuse_disk_write(fuse_of(req)->disk, req, data, size, offset, fi->flags,
				   wb_fuse_loop_received());
	else
		write_control(req, ino, data, size);
}

/* Never ENOSYS: the kernel would then report success for ever. */
static void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)datasync;
	(void)fi;
	if (ino == WB_INO_DISK)
		wb_fuse_disk_sync(fuse_of(req)->disk, req);
	else
		fuse_reply_err(req, 0);
}

static void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)ino;
	(void)datasync;
	(void)fi;
	fuse_reply_err(req, 0);
}

static void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
			 struct fuse_file_info *fi)
{
	(void)fi;
	if (ino == WB_INO_DISK)
		wb_fuse_disk_fallocate(fuse_of(req)->disk, req, mode, offset, length);
	else
		fuse_reply_err(req, EOPNOTSUPP);
}

static void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence,
		     struct fuse_file_info *fi)
{
	(void)fi;
	if (ino == WB_INO_DISK)
		wb_fuse_disk_lseek(fuse_of(req)->disk, req, offset, whence);
	else
		fuse_reply_err(req, EINVAL);
}

static const struct fuse_lowlevel_ops operations = {
	.init = op_init,
	.lookup = op_lookup,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.statfs = op_statfs,
	.readdir = op_readdir,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.unlink = op_unlink,
	.rmdir = op_unlink,
	.rename = op_rename,
	.open = op_open,
	.release = op_release,
	.read = op_read,
	.write = op_write,
	.fsync = op_fsync,
	.fsyncdir = op_fsyncdir,
	.fallocate = op_fallocate,
	.lseek = op_lseek,
};

/* --- life ----------------------------------------------------------------------------------- */

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

static void session_ended(void *arg)
{
	struct wb_fuse *fuse = arg;

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
		session = fuse_session_new(&args, &operations, sizeof operations, fuse);
	fuse_opt_free_args(&args);
	return session;
}

static void fuse_free(struct wb_fuse *fuse)
{
	if (fuse->session)
		fuse_session_destroy(fuse->session);
	wb_fuse_disk_free(fuse->disk);
	wb_receive_pool_free(fuse->receive_pool);
	wb_cond_clear(&fuse->changed);
	wb_lock_clear(&fuse->lock);
	g_free(fuse);
}

/* Without its disk when there is not enough memory. */
static struct wb_fuse *fuse_new(const struct wb_fuse_config *config, unsigned thread_count)
{
	struct wb_fuse *fuse = g_new0(struct wb_fuse, 1);

	wb_lock_init(&fuse->lock, WB_RANK_FRONTEND);
	wb_cond_init(&fuse->changed);
	fuse->control = (struct wb_control){ config->cache, config->facts };
	fuse->tree.uid = config->uid;
	fuse->tree.gid = config->gid;
	fuse->tree.image_bytes = wb_cache_image_bytes(config->cache);
	fuse->tree.is_read_only = wb_cache_is_read_only(config->cache);
	clock_gettime(CLOCK_REALTIME, &fuse->tree.started);
	fuse->ended = config->ended;
	fuse->arg = config->arg;
	fuse->receive_pool = wb_receive_pool_new(LARGE_BUFFERS + thread_count, SMALL_BUFFERS);
	if (fuse->receive_pool)
		fuse->disk = wb_fuse_disk_new(config->cache, fuse->receive_pool,
					      WB_FUSE_REQUESTS_MAX, NULL);
	return fuse;
}

static struct wb_fuse *fail(struct wb_fuse *fuse, GError **error, const char *mount_point,
			    const char *what)
{
	is_starting = false;
	g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "%s: %s%s%s", mount_point, what,
		    *start_message ? ": " : "", start_message);
	fuse_free(fuse);
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

struct wb_fuse *wb_fuse_start(const struct wb_fuse_config *config, GError **error)
{
	unsigned thread_count = CLAMP(g_get_num_processors(), THREADS_MIN, THREADS_MAX);
	struct wb_fuse *fuse = fuse_new(config, thread_count);

	const char *mount_point = config->mount_point;

	is_starting = true;
	*start_message = '\0';
	fuse_set_log_func(fuse_message);
	if (!fuse->disk)
		return fail(fuse, error, mount_point, "not enough memory for its buffers");
	fuse->session = session_new(config, fuse);
	if (!fuse->session)
		return fail(fuse, error, mount_point, "libfuse refused the mount options");
	if (fuse_session_mount(fuse->session, mount_point))
		return fail(fuse, error, mount_point, "cannot mount here");
	is_starting = false;
	fuse->loop = wb_fuse_loop_start(fuse->session, fuse->receive_pool, thread_count,
					session_ended, fuse);
	if (wait_until_ready(fuse))
		return fuse;
	wb_fuse_loop_join(fuse->loop);
	fuse_session_unmount(fuse->session);
	return fail(fuse, error, mount_point,
		    "the kernel and libfuse did not agree on a protocol");
}

void wb_fuse_finish(struct wb_fuse *fuse)
{
	wb_fuse_loop_join(fuse->loop);
	wb_fuse_disk_wait_idle(fuse->disk);
	/* Closes /dev/fuse; nothing is unmounted that is not ours any more. */
	fuse_session_unmount(fuse->session);
	fuse_free(fuse);
}
