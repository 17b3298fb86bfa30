/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "frontend/fuse_operations.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <string.h>

#define ATTRIBUTE_SECONDS 3600.0	/* the kernel is told of what changes: the size */

static struct wb_fuse_service *service_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

struct wb_fuse_heritage *wb_fuse_heritage_of(void *userdata)
{
	struct wb_fuse_service *service = userdata;

	return &service->heritage;
}

/* --- session ---------------------------------------------------------------------- */

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	struct wb_fuse_service *service = userdata;

	conn->max_write = MIN(conn->max_write, service->request_bytes);
	conn->max_background = service->max_background;
	conn->congestion_threshold = service->max_background * 3 / 4;
	conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
				  FUSE_CAP_SPLICE_MOVE | FUSE_CAP_WRITEBACK_CACHE |
				  FUSE_CAP_ATOMIC_O_TRUNC);
#ifdef FUSE_CAP_OVER_IO_URING
	/* Not by libfuse's own queues, which the environment can switch on: 3.18 loses
	 * answers that come from another thread than that which brought the request. */
	conn->want &= ~(unsigned)FUSE_CAP_OVER_IO_URING;
#endif
	conn->want |= conn->capable & (FUSE_CAP_ASYNC_DIO | FUSE_CAP_PARALLEL_DIROPS);
	service->ready(service->arg);
}

/* --- names and attributes ------------------------------------------------------------- */

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param entry = {
		.ino = wb_fuse_tree_lookup(parent, name),
		.attr_timeout = ATTRIBUTE_SECONDS,
		.entry_timeout = ATTRIBUTE_SECONDS,
	};

	if (!entry.ino || !wb_fuse_tree_stat(&service_of(req)->tree, entry.ino, &entry.attr))
		fuse_reply_err(req, ENOENT);
	else
		fuse_reply_entry(req, &entry);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;

	(void)fi;
	if (!wb_fuse_tree_stat(&service_of(req)->tree, ino, &st))
		fuse_reply_err(req, ENOENT);
	else
		fuse_reply_attr(req, &st, ATTRIBUTE_SECONDS);
}

/* Times are taken and forgotten; the size may only be set to what it is. A
 * control file may be "truncated", as `echo verb > control` does. */
static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		       struct fuse_file_info *fi)
{
	struct wb_fuse_service *service = service_of(req);
	const int owner = FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID;
	struct wb_control_node node;
	bool is_resize = (to_set & FUSE_SET_ATTR_SIZE) && !wb_fuse_tree_control(ino, &node) &&
			 (uint64_t)attr->st_size != service->tree.image_bytes;

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
		.f_blocks = service_of(req)->tree.image_bytes / 4096,
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

static GBytes *take_snapshot(struct wb_fuse_service *service,
			     const struct wb_control_node *node, int open_flags)
{
	GString *text = g_string_new(NULL);

	if ((open_flags & O_ACCMODE) != O_WRONLY)
		wb_control_node_show(node, &service->control, text);
	return g_string_free_to_bytes(text);
}

/* What is shown is made once, at open, so that a file read in pieces is one
 * snapshot. */
static void open_control(fuse_req_t req, const struct wb_control_node *node,
			 struct fuse_file_info *fi)
{
	struct wb_fuse_service *service = service_of(req);

	fi->fh = wb_snapshots_add(service->snapshots, take_snapshot(service, node, fi->flags));
	fi->direct_io = 1;
	if (fuse_reply_open(req, fi) == -ENOENT)
		wb_snapshots_remove(service->snapshots, fi->fh); /* no release will come */
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct wb_control_node node;

	if (ino == WB_INO_DISK && service_of(req)->tree.is_read_only &&
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
		wb_snapshots_remove(service_of(req)->snapshots, fi->fh);
	fuse_reply_err(req, 0);
}

/* --- data of control files; fuse_data has the disk's ------------------------------------------- */

/* A file that was opened under an earlier worker is read anew from its beginning; the
 * rest of a text that is gone cannot be had. */
static GBytes *find_snapshot(struct wb_fuse_service *service, fuse_ino_t ino, off_t offset,
			     struct fuse_file_info *fi)
{
	GBytes *snapshot = wb_snapshots_get(service->snapshots, fi->fh);
	struct wb_control_node node;

	if (snapshot || offset || !wb_fuse_tree_control(ino, &node))
		return snapshot;
	snapshot = take_snapshot(service, &node, fi->flags);
	wb_snapshots_renew(service->snapshots, fi->fh, g_bytes_ref(snapshot));
	return snapshot;
}

/* Referenced while it is sent: the reader may have its answer, and release may
 * run on another thread, before the reply function returns here. */
static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		    struct fuse_file_info *fi)
{
	GBytes *snapshot = find_snapshot(service_of(req), ino, offset, fi);
	const char *text;
	gsize length;

	/* All of it was had from the earlier worker: that is its end. */
	if (!snapshot && (uint64_t)offset >= wb_snapshots_length(fi->fh)) {
		fuse_reply_buf(req, NULL, 0);
		return;
	}
	if (!snapshot) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	text = g_bytes_get_data(snapshot, &length);
	if (offset < 0 || (uint64_t)offset >= length)
		fuse_reply_buf(req, NULL, 0);
	else
		fuse_reply_buf(req, text + offset, MIN(size, length - (size_t)offset));
	g_bytes_unref(snapshot);
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *text, size_t size,
		     off_t offset, struct fuse_file_info *fi)
{
	struct wb_control_node node;
	int error = -EPERM;

	(void)offset;
	(void)fi;
	if (wb_fuse_tree_control(ino, &node))
		error = wb_control_node_store(&node, &service_of(req)->control, text, size);
	if (error)
		fuse_reply_err(req, -error);
	else
		fuse_reply_write(req, size);
}

/* Never ENOSYS: the kernel would then report success for ever. */
static void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)ino;
	(void)datasync;
	(void)fi;
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
	(void)ino;
	(void)mode;
	(void)offset;
	(void)length;
	(void)fi;
	fuse_reply_err(req, EOPNOTSUPP);
}

static void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence,
		     struct fuse_file_info *fi)
{
	(void)fi;
	if (ino == WB_INO_DISK)
		wb_fuse_disk_lseek(service_of(req)->disk, req, offset, whence);
	else
		fuse_reply_err(req, EINVAL);
}

const struct fuse_lowlevel_ops wb_fuse_operations = {
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
