/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An I/O cut into pieces that one NBD request can carry: no longer than the server
 * takes, and in one stretch of memory. What is scattered is gathered in a bounce
 * buffer, as long as there is one; without, it goes stretch by stretch.
 *
 * Keeps its book in wb_io.store_word. The thread of the store only.
 */
#ifndef WB_IO_NBD_TRANSFER_H
#define WB_IO_NBD_TRANSFER_H

#include <stdbool.h>
#include <stdint.h>

#include "io/buffer_pool.h"
#include "io/store.h"

/* How an I/O stands; lies in its store_word. */
struct wb_nbd_transfer {
	uint64_t cut_bytes;		/* so far */
	uint32_t iov_index, iov_bytes;	/* where the next piece begins in memory */
	uint32_t piece_count;		/* of those cut that have no final answer */
	int32_t error;
	int64_t since_us;		/* when it was submitted */
	int64_t held_until_us;		/* no done() before; 0: it was not sent twice */
	uint32_t doubts;		/* see nbd_lane.c; as they were when it began */
	uint16_t sends_fua;		/* as a flag of the request */
	uint16_t flushes;		/* enum wb_nbd_flushes */
	uint16_t is_plain;		/* what the server does not zero is written, what it
					 * does not read in one may come in parts */
	uint16_t is_cut;		/* nothing is left to be cut */
};

/* FUA with a server that does not have it. */
enum wb_nbd_flushes {
	WB_NBD_FLUSHES_NOT,
	WB_NBD_FLUSHES_AFTER,		/* once the data was answered */
	WB_NBD_FLUSHES_NOW,		/* the one piece that is left to be cut */
};

struct wb_nbd_piece {
	struct wb_nbd_piece *next;	/* of whoever has it */
	struct wb_io *io;
	enum wb_io_op op;		/* what is asked of the server */
	uint64_t offset_bytes, length_bytes;
	char *data;
	char *bounce;			/* == data, or NULL */
	uint32_t iov_index, iov_bytes;	/* where a bounced read goes */
	int64_t sent_us;
	bool is_answered;
	int error;			/* of the answer: 0 or -errno */
};

struct wb_nbd_limits {
	uint32_t transfer_bytes;
	bool can_zero;
};

static inline struct wb_nbd_transfer *wb_nbd_transfer_of(struct wb_io *io)
{
	_Static_assert(sizeof(struct wb_nbd_transfer) <= sizeof io->store_word, "no room");
	return (struct wb_nbd_transfer *)(void *)io->store_word;
}

static inline bool wb_nbd_transfer_is_change(enum wb_io_op op)
{
	return op == WB_IO_WRITE || op == WB_IO_ZERO || op == WB_IO_DISCARD;
}

static inline bool wb_nbd_transfer_next_is_flush(struct wb_io *io)
{
	return io->op == WB_IO_FLUSH || wb_nbd_transfer_of(io)->flushes == WB_NBD_FLUSHES_NOW;
}

/* The next piece of it, which is not cut completely. */
void wb_nbd_transfer_cut(struct wb_io *io, const struct wb_nbd_limits *limits,
			 struct wb_buffer_pool *pool, struct wb_nbd_piece *piece);
/* Begins it, or begins it anew. */
void wb_nbd_transfer_rewind(struct wb_io *io);
/* The piece has been answered for good: what was bounced is put where it belongs. */
void wb_nbd_piece_end(struct wb_nbd_piece *piece, struct wb_buffer_pool *pool);

#endif
