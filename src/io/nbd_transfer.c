/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "io/nbd_transfer.h"

#include <string.h>

/* Below it, gathering costs less than another request does. */
#define DIRECT_BYTES (UINT64_C(64) << 10)
/* A server that has to write the zeros shall not be silent for minutes. */
#define ZERO_BYTES (UINT64_C(64) << 20)
#define SMALL_BOUNCE_BYTES ((size_t)64 << 10)

static char zeros[1u << 20] __attribute__((aligned(4096)));

static void advance(const struct wb_io *io, uint32_t *index, uint32_t *used, uint64_t bytes)
{
	while (bytes > 0) {
		uint64_t here = MIN(bytes, io->iov[*index].iov_len - *used);

		*used += (uint32_t)here;
		bytes -= here;
		if (*used == io->iov[*index].iov_len) {
			*index += 1;
			*used = 0;
		}
	}
}

/* How long memory goes on in one stretch, over neighbours in the iov too. */
static uint64_t stretch_bytes(const struct wb_io *io, uint32_t index, uint32_t used,
			      uint64_t most)
{
	const char *end = (const char *)io->iov[index].iov_base + io->iov[index].iov_len;
	uint64_t bytes = io->iov[index].iov_len - used;

	while (++index < io->iov_count && bytes < most && io->iov[index].iov_base == end) {
		bytes += io->iov[index].iov_len;
		end += io->iov[index].iov_len;
	}
	return MIN(bytes, most);
}

enum copy_direction { TO_IOV, FROM_IOV };

static void copy(const struct wb_nbd_piece *piece, enum copy_direction direction)
{
	uint32_t index = piece->iov_index, used = piece->iov_bytes;
	char *at = piece->bounce, *end = at + piece->length_bytes;

	while (at < end) {
		const struct iovec *iov = &piece->io->iov[index];
		size_t bytes = MIN((size_t)(end - at), iov->iov_len - used);
		char *memory = (char *)iov->iov_base + used;

		if (direction == TO_IOV)
			memcpy(memory, at, bytes);
		else
			memcpy(at, memory, bytes);
		at += bytes;
		used = 0;
		index++;
	}
}

/* NULL: as long as memory goes, then. */
static char *get_bounce(struct wb_buffer_pool *pool, uint64_t *bytes)
{
	char *bounce = wb_buffer_get(pool, *bytes);

	if (bounce || *bytes <= SMALL_BOUNCE_BYTES)
		return bounce;
	*bytes = SMALL_BOUNCE_BYTES;
	return wb_buffer_get(pool, *bytes);
}

static void cut_data(struct wb_io *io, struct wb_nbd_piece *piece, uint64_t most,
		     struct wb_buffer_pool *pool)
{
	struct wb_nbd_transfer *transfer = wb_nbd_transfer_of(io);
	uint64_t stretch = stretch_bytes(io, transfer->iov_index, transfer->iov_bytes, most);

	piece->iov_index = transfer->iov_index;
	piece->iov_bytes = transfer->iov_bytes;
	piece->length_bytes = most;
	if (stretch < most && stretch < DIRECT_BYTES)
		piece->bounce = get_bounce(pool, &piece->length_bytes);
	if (piece->bounce) {
		piece->data = piece->bounce;
		if (io->op == WB_IO_WRITE)
			copy(piece, FROM_IOV);
	} else {
		piece->data = (char *)io->iov[transfer->iov_index].iov_base + transfer->iov_bytes;
		piece->length_bytes = MIN(stretch, most);
	}
	advance(io, &transfer->iov_index, &transfer->iov_bytes, piece->length_bytes);
}

static void cut_range(struct wb_io *io, const struct wb_nbd_limits *limits,
		      struct wb_buffer_pool *pool, struct wb_nbd_piece *piece)
{
	struct wb_nbd_transfer *transfer = wb_nbd_transfer_of(io);
	uint64_t left = io->length_bytes - transfer->cut_bytes;

	piece->offset_bytes = io->offset_bytes + transfer->cut_bytes;
	if (io->op == WB_IO_READ || io->op == WB_IO_WRITE) {
		cut_data(io, piece, MIN(left, limits->transfer_bytes), pool);
	} else if (io->op == WB_IO_ZERO && (transfer->is_plain || !limits->can_zero)) {
		piece->op = WB_IO_WRITE;
		piece->data = zeros;
		piece->length_bytes = MIN(left, MIN(limits->transfer_bytes, sizeof zeros));
	} else {
		piece->length_bytes = MIN(left, ZERO_BYTES);
	}
	transfer->cut_bytes += piece->length_bytes;
	transfer->is_cut = transfer->cut_bytes == io->length_bytes;
}

void wb_nbd_transfer_cut(struct wb_io *io, const struct wb_nbd_limits *limits,
			 struct wb_buffer_pool *pool, struct wb_nbd_piece *piece)
{
	struct wb_nbd_transfer *transfer = wb_nbd_transfer_of(io);

	*piece = (struct wb_nbd_piece){ .io = io, .op = io->op };
	if (wb_nbd_transfer_next_is_flush(io)) {
		piece->op = WB_IO_FLUSH;
		transfer->is_cut = true;
	} else {
		cut_range(io, limits, pool, piece);
	}
	transfer->piece_count++;
}

void wb_nbd_transfer_rewind(struct wb_io *io)
{
	struct wb_nbd_transfer *transfer = wb_nbd_transfer_of(io);

	transfer->is_cut = false;
	transfer->cut_bytes = 0;
	transfer->iov_index = transfer->iov_bytes = 0;
	transfer->error = 0;
}

void wb_nbd_piece_end(struct wb_nbd_piece *piece, struct wb_buffer_pool *pool)
{
	if (piece->bounce && piece->op == WB_IO_READ && !piece->error)
		copy(piece, TO_IOV);
	wb_buffer_put(pool, piece->bounce);
	piece->bounce = NULL;
}
