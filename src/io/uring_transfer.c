/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "io/uring_transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <linux/falloc.h>
#include <linux/fs.h>

#define OPERATION_BYTES_MAX (UINT64_C(1) << 30)
#define ZEROS_BYTES (1u << 20)
#define RETRIES_MAX 1000u

enum { WORD_DONE_BYTES, WORD_STATE };
#define RETRY_MASK UINT64_C(0xffffffff)
#define METHOD_SHIFT 32		/* how the operation under way makes zeros */

static char zeros[ZEROS_BYTES] __attribute__((aligned(4096)));

void wb_uring_transfer_start(struct wb_io *io)
{
	io->store_word[WORD_DONE_BYTES] = 0;
	io->store_word[WORD_STATE] = 0;
}

static void prepare_transfer(const struct wb_uring_disk *disk, struct wb_io *io,
			     struct io_uring_sqe *sqe)
{
	uint64_t offset_bytes = io->offset_bytes + io->store_word[WORD_DONE_BYTES];
	bool is_read = io->op == WB_IO_READ;
	const struct iovec *iov = io->iov;

	if (io->iov_count == 1)
		io_uring_prep_rw(is_read ? IORING_OP_READ : IORING_OP_WRITE, sqe,
				 disk->file, iov->iov_base,
				 (unsigned)MIN(iov->iov_len, OPERATION_BYTES_MAX),
				 offset_bytes);
	else
		io_uring_prep_rw(is_read ? IORING_OP_READV : IORING_OP_WRITEV, sqe,
				 disk->file, iov, io->iov_count, offset_bytes);
	if (io->flags & WB_IO_FUA)
		sqe->rw_flags = RWF_DSYNC;
}

static void prepare_zero(const struct wb_uring_disk *disk, struct wb_io *io,
			 struct io_uring_sqe *sqe)
{
	uint64_t offset_bytes = io->offset_bytes + io->store_word[WORD_DONE_BYTES];
	uint64_t left_bytes = io->length_bytes - io->store_word[WORD_DONE_BYTES];
	int method = disk->zero_method;
	int mode;

	io->store_word[WORD_STATE] &= RETRY_MASK;
	io->store_word[WORD_STATE] |= (uint64_t)method << METHOD_SHIFT;
	if (method == WB_ZERO_BY_WRITE) {
		io_uring_prep_write(sqe, disk->file, zeros,
				    (unsigned)MIN(left_bytes, ZEROS_BYTES), offset_bytes);
		return;
	}
	/* On a block device both modes promise zeros: the kernel never answers
	 * them with a plain discard. */
	mode = method == WB_ZERO_BY_PUNCH ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE;
	io_uring_prep_fallocate(sqe, disk->file, mode | FALLOC_FL_KEEP_SIZE,
				(off_t)offset_bytes, (off_t)left_bytes);
}

/*
 * Of a file: its filesystem gets the space back (and tells the disk below by
 * itself, at once or with the next fstrim). Devices do not come here: for them a
 * hole would be zeros, which some write.
 */
static void prepare_discard(const struct wb_uring_disk *disk, const struct wb_io *io,
			    struct io_uring_sqe *sqe)
{
	io_uring_prep_fallocate(sqe, disk->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				(off_t)io->offset_bytes, (off_t)io->length_bytes);
}

void wb_uring_transfer_prepare(const struct wb_uring_disk *disk, struct wb_io *io,
			       struct io_uring_sqe *sqe)
{
	switch (io->op) {
	case WB_IO_READ:
	case WB_IO_WRITE:
		prepare_transfer(disk, io, sqe);
		break;
	case WB_IO_FLUSH:
		io_uring_prep_fsync(sqe, disk->file, IORING_FSYNC_DATASYNC);
		break;
	case WB_IO_ZERO:
		prepare_zero(disk, io, sqe);
		break;
	case WB_IO_DISCARD:
		prepare_discard(disk, io, sqe);
		break;
	}
	io_uring_sqe_set_flags(sqe, disk->sqe_flags);
	io_uring_sqe_set_data(sqe, io);
}

static void skip_iov(struct wb_io *io, uint64_t bytes)
{
	while (bytes > 0) {
		uint64_t piece_bytes = MIN(bytes, io->iov->iov_len);

		io->iov->iov_base = (char *)io->iov->iov_base + piece_bytes;
		io->iov->iov_len -= piece_bytes;
		bytes -= piece_bytes;
		if (io->iov->iov_len == 0 && io->iov_count > 1) {
			io->iov++;
			io->iov_count--;
		}
	}
}

static enum wb_transfer_verdict advance_bytes(const struct wb_uring_disk *disk,
					      struct wb_io *io, uint64_t bytes, int *error)
{
	uint64_t left_bytes = io->length_bytes - io->store_word[WORD_DONE_BYTES];

	g_assert(bytes <= left_bytes);
	*error = 0;
	if (bytes == left_bytes)
		return WB_TRANSFER_FINISHED;
	/* Going on from the middle of a sector would be EINVAL under O_DIRECT. */
	bytes -= bytes % disk->alignment_bytes;
	if (bytes == 0) {
		/* The file ended inside size_bytes: somebody truncated it. */
		*error = -EIO;
		return WB_TRANSFER_FINISHED;
	}
	io->store_word[WORD_DONE_BYTES] += bytes;
	io->store_word[WORD_STATE] &= ~RETRY_MASK;
	if (io->op != WB_IO_ZERO)
		skip_iov(io, bytes);
	return WB_TRANSFER_AGAIN;
}

static enum wb_transfer_verdict advance_zero(struct wb_uring_disk *disk, struct wb_io *io,
					     int result, int *error)
{
	/* Of this operation: another ZERO may have moved the disk's since. */
	int method = (int)(io->store_word[WORD_STATE] >> METHOD_SHIFT);

	if (method == WB_ZERO_BY_WRITE && result >= 0)
		return advance_bytes(disk, io, (uint64_t)result, error);
	if (method != WB_ZERO_BY_WRITE && (result == -EOPNOTSUPP || result == -ENOSYS)) {
		disk->zero_method = MAX(disk->zero_method, method + 1);
		return WB_TRANSFER_AGAIN;
	}
	*error = result;
	return WB_TRANSFER_FINISHED;
}

static bool is_transient(int result)
{
	/* ECANCELED: what waits for a kernel worker may be cancelled when the
	 * thread that submitted it ends; the operation never began then. */
	return result == -EINTR || result == -EAGAIN || result == -ECANCELED;
}

enum wb_transfer_verdict wb_uring_transfer_advance(struct wb_uring_disk *disk,
						   struct wb_io *io, int result,
						   int *error)
{
	if (is_transient(result) && (io->store_word[WORD_STATE]++ & RETRY_MASK) < RETRIES_MAX)
		return WB_TRANSFER_AGAIN;
	if (io->op == WB_IO_ZERO)
		return advance_zero(disk, io, result, error);
	if (result < 0 || io->op == WB_IO_FLUSH || io->op == WB_IO_DISCARD) {
		*error = result == -ENOSYS && io->op == WB_IO_DISCARD ? -EOPNOTSUPP :
									MIN(result, 0);
		return WB_TRANSFER_FINISHED;
	}
	return advance_bytes(disk, io, (uint64_t)result, error);
}
