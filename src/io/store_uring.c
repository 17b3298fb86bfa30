/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "io/store_uring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/uio.h>
#include <unistd.h>

#include "io/discard_thread.h"
#include "io/disk_probe.h"
#include "io/thread_ring.h"
#include "io/uring_lane.h"

#define QUEUE_ENTRIES_DEFAULT 256u
#define BUSY_FIELD 9		/* of /sys/dev/block/.../stat: io_ticks, ms */

struct store_uring {
	struct wb_store store;		/* first: ops cast */
	/* constant after open */
	struct wb_store_uring_info info;
	char *label;
	int fd;
	int busy_fd;			/* the disk's statistics, or -1 */
	struct wb_uring_lane *user_lane, *log_lane;
	struct wb_uring_disk ring_disk;	/* for the rings of threads */
	struct wb_discard_thread *discard_thread;	/* of a device */

	atomic_bool has_waiting_reader;	/* a thread in read_waiting() */
};

static struct store_uring *to_uring(struct wb_store *store)
{
	return (struct store_uring *)store;
}

static struct wb_uring_lane *lane_of_class(struct store_uring *self,
					   enum wb_io_class io_class)
{
	switch (io_class) {
	case WB_IO_CLASS_LOG:
	case WB_IO_CLASS_WRITEBACK:
		return self->log_lane;
	case WB_IO_CLASS_USER_READ:
	case WB_IO_CLASS_USER_WRITE:
	case WB_IO_CLASS_FILL:
	case WB_IO_CLASS_SCRUB:
	case WB_IO_CLASS_DISCARD:
	case WB_IO_CLASS_COUNT:
		break;
	}
	return self->user_lane;
}

/*
 * A write and its flush in the thread that waits for both: through the ring they
 * would pass through a thread of the kernel (for the flush) and through the
 * lane's, and waking each of them costs as much as half the flush. FALSE: nothing
 * is known of it, do it again.
 */
static bool write_waiting(struct store_uring *self, struct wb_io *io, int *error)
{
	ssize_t result = pwritev2(self->fd, io->iov, (int)io->iov_count,
				  (off_t)io->offset_bytes, RWF_DSYNC);

	*error = result < 0 ? -errno : 0;
	return result < 0 ? errno != EINTR && errno != EAGAIN && errno != EOPNOTSUPP :
			    (uint64_t)result == io->length_bytes;
}

/* Likewise a read that is alone with the disk. Of several at a time the lane makes
 * batches, which saves more, and one thread at most waits here. */
static bool read_waiting(struct store_uring *self, struct wb_io *io)
{
	ssize_t result;

	if (!wb_uring_lane_is_idle(self->user_lane) ||
	    atomic_exchange(&self->has_waiting_reader, true))
		return false;
	result = preadv(self->fd, io->iov, (int)io->iov_count, (off_t)io->offset_bytes);
	atomic_store(&self->has_waiting_reader, false);
	return result >= 0 && (uint64_t)result == io->length_bytes;
}

/* TRUE: it is over, done() was called. */
static bool carry_out_waiting(struct store_uring *self, struct wb_io *io)
{
	int error = 0;
	bool is_over;

	if (!(io->flags & WB_IO_MAY_WAIT))
		return false;
	is_over = io->op == WB_IO_READ ? read_waiting(self, io) :
		  io->op == WB_IO_WRITE && io->flags & WB_IO_FUA &&
			  write_waiting(self, io, &error);
	if (is_over)
		io->done(io, error);
	return is_over;
}

static void submit(struct wb_store *store, struct wb_io *io)
{
	struct store_uring *self = to_uring(store);

	wb_store_assert_io(store, io);
	if (wb_thread_ring_take(&self->ring_disk, io))
		return;
	if (carry_out_waiting(self, io))
		return;
	if (io->op == WB_IO_DISCARD && self->discard_thread)
		wb_discard_thread_submit(self->discard_thread, io);
	else
		wb_uring_lane_submit(lane_of_class(self, io->io_class), io);
}

static uint64_t busy_ns(struct wb_store *store)
{
	char text[512], *at = text;
	uint64_t value = 0;
	ssize_t length;
	int fd = to_uring(store)->busy_fd;

	if (fd < 0)
		return 0;
	length = pread(fd, text, sizeof(text) - 1, 0);
	if (length <= 0)
		return 0;
	text[length] = '\0';
	for (unsigned i = 0; i <= BUSY_FIELD; i++)
		value = strtoull(at, &at, 10);
	return value * UINT64_C(1000000);
}

static void free_store(struct store_uring *self)
{
	wb_uring_lane_free(self->user_lane);
	wb_uring_lane_free(self->log_lane);
	wb_discard_thread_free(self->discard_thread);
	if (self->busy_fd >= 0)
		close(self->busy_fd);
	g_free(self->label);
	g_free(self);
}

static void close_store(struct wb_store *store)
{
	int fd = to_uring(store)->fd;

	free_store(to_uring(store));
	/* All I/O has landed. Unlocked by hand: the kernel may keep a
	 * reference to the file a little longer than close() takes. */
	flock(fd, LOCK_UN);
	close(fd);
}

/* The offset of the description is nobody's: all I/O brings its own. Who cannot say
 * (ENXIO, EINVAL) may have one. */
static bool has_hole(struct wb_store *store, uint64_t offset_bytes, uint64_t length_bytes)
{
	struct store_uring *self = to_uring(store);
	off_t hole;

	if (self->info.is_block_device)
		return false;
	hole = lseek(self->fd, (off_t)offset_bytes, SEEK_HOLE);
	return hole < 0 || (uint64_t)hole < offset_bytes + length_bytes;
}

static const struct wb_store_ops ops = {
	.name = "uring",
	.submit = submit,
	.has_hole = has_hole,
	.busy_ns = busy_ns,
	.close = close_store,
};

static int open_busy_file(const struct wb_disk_probe *probe)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/stat", probe->device_major,
		 probe->device_minor);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static gboolean open_lanes(struct store_uring *self, unsigned queue_entries,
			   GError **error)
{
	unsigned entries = queue_entries ? queue_entries : QUEUE_ENTRIES_DEFAULT;
	uint32_t alignment_bytes = self->store.alignment_bytes;

	self->user_lane = wb_uring_lane_new("wb-io-user", self->fd, alignment_bytes,
					    entries, self->label, error);
	if (!self->user_lane)
		return FALSE;
	self->log_lane = wb_uring_lane_new("wb-io-log", self->fd, alignment_bytes,
					   entries, self->label, error);
	if (!self->log_lane)
		return FALSE;
	if (self->info.is_block_device)
		self->discard_thread = wb_discard_thread_new(self->fd, self->label, error);
	return !self->info.is_block_device || self->discard_thread;
}

static struct wb_store *open_on_fd(const struct wb_store_uring_options *options, int fd,
				   GError **error)
{
	const char *wants_buffered = NULL;
	struct wb_disk_probe probe;
	struct store_uring *self;

	if (options->caching == WB_STORE_BUFFERED)
		wants_buffered = "buffered I/O was asked for";
	if (!wb_disk_probe(fd, options->path, wants_buffered, &probe, error))
		return NULL;
	self = g_new0(struct store_uring, 1);
	self->fd = fd;
	self->ring_disk = (struct wb_uring_disk){
		.file = fd,
		.alignment_bytes = probe.alignment_bytes,
	};
	self->busy_fd = open_busy_file(&probe);
	self->label = g_strdup(options->path);
	self->info = (struct wb_store_uring_info){
		.is_direct = probe.is_direct,
		.is_block_device = probe.is_block_device,
		.buffered_reason = probe.buffered_reason,
	};
	self->store = (struct wb_store){
		.ops = &ops,
		.label = self->label,
		.size_bytes = probe.size_bytes,
		.alignment_bytes = probe.alignment_bytes,
		.atomic_write_bytes = probe.atomic_write_bytes,
	};
	if (!open_lanes(self, options->queue_entries, error)) {
		free_store(self);
		return NULL;
	}
	return &self->store;
}

struct wb_store *wb_store_uring_open(const struct wb_store_uring_options *options,
				     GError **error)
{
	int flags = options->access == WB_STORE_READ_ONLY ? O_RDONLY : O_RDWR;
	struct wb_store *store;
	int fd = options->fd;

	if (fd < 0) {
		fd = open(options->path, flags | O_CLOEXEC);
		if (fd < 0) {
			int saved_errno = errno;

			g_set_error(error, G_FILE_ERROR,
				    g_file_error_from_errno(saved_errno),
				    "%s: cannot be opened: %s", options->path,
				    g_strerror(saved_errno));
			return NULL;
		}
	}
	store = open_on_fd(options, fd, error);
	if (!store && options->fd < 0)
		close(fd);
	return store;
}

const struct wb_store_uring_info *wb_store_uring_get_info(const struct wb_store *store)
{
	g_assert(store->ops == &ops);
	return &((const struct store_uring *)store)->info;
}

void wb_store_uring_set_size(struct wb_store *store, uint64_t size_bytes)
{
	uint64_t now = store->size_bytes;

	g_assert(store->ops == &ops);
	while (now < size_bytes &&
	       !atomic_compare_exchange_weak(&store->size_bytes, &now, size_bytes))
		;
}
