/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Is what answers now, under the same name, still the image that it was? NBD has no
 * identity for that, and another image of the right size would be written over. So some
 * blocks are remembered, by checksum: the witnesses.
 *
 * The right server must never be refused, though it may have lost what was not flushed.
 * So a witness is known only while its content is durable and nobody changes it:
 *
 *   unknown    changed, or about to be, since the last flush that counts
 *     | no change of it is under way, and a flush that was sent after the last one ended,
 *     | and after every ghost (nbd_lane.h) was over, has succeeded: it is read
 *   known      of every connection that is made its content is asked for
 *     | a change is about to be sent
 *   unknown
 *
 * What was discarded may read as anything from then on, and never is known again.
 */
#ifndef WB_IO_NBD_WITNESS_H
#define WB_IO_NBD_WITNESS_H

#include <glib.h>

#include "base/lock.h"
#include "io/nbd_connect.h"
#include "io/nbd_transfer.h"

#define WB_NBD_WITNESSES 32u
#define WB_NBD_WITNESS_BYTES 4096u

struct wb_nbd_witness {
	/* constant after new */
	uint64_t offset_bytes;

	/* under lock; written by the lane's thread */
	bool is_known;
	uint32_t crc;
	uint64_t changes;		/* that have begun */

	/* the lane's thread only */
	unsigned under_way;		/* of these */
	uint64_t ended_at;		/* by the clock of the book: the last of them */
	bool is_discarded;
};

struct wb_nbd_witnesses {
	/* constant after new */
	unsigned count;			/* 0: nobody could say what is durable */
	char *memory;			/* of the judge; behind it that of the reader */

	struct wb_lock lock;
	struct wb_nbd_witness list[WB_NBD_WITNESSES];

	/* the lane's thread only */
	uint64_t clock;			/* rises with every change that ends */
	uint64_t flushed_at;		/* all that ended until then is durable; 0: nothing */
	gint64 haunted_until_us;
	bool wants_flush;		/* nobody else may send one */
	struct wb_nbd_witness *reading;	/* NULL: none */
	uint64_t reading_changes;
	struct wb_io io;		/* flush, or read */
	bool is_busy;			/* it is under way */

	/* of the judge: here, as an answer may come until the connection is cut */
	struct wb_nbd_read reads[WB_NBD_WITNESSES];
};

/* `haunted_until_us`: what a former user sent may land until then. FALSE: no memory. */
bool wb_nbd_witnesses_init(struct wb_nbd_witnesses *book, uint64_t size_bytes,
			   gint64 haunted_until_us);
void wb_nbd_witnesses_clear(struct wb_nbd_witnesses *book);

/* --- the lane's thread -------------------------------------------------------------- */

/* Of each piece that changes something: before it is sent the first time, and when it has
 * its final answer. */
void wb_nbd_witnesses_begin(struct wb_nbd_witnesses *book, const struct wb_nbd_piece *piece);
void wb_nbd_witnesses_end(struct wb_nbd_witnesses *book, const struct wb_nbd_piece *piece);
/* Of each flush: what to give wb_nbd_witnesses_flushed() when it has succeeded. */
uint64_t wb_nbd_witnesses_flush_is_sent(const struct wb_nbd_witnesses *book);
void wb_nbd_witnesses_flushed(struct wb_nbd_witnesses *book, uint64_t sent);
/* A connection broke: ghosts until then. */
void wb_nbd_witnesses_haunted(struct wb_nbd_witnesses *book, gint64 until_us);
/* The next I/O that it needs, or NULL; its done() is called as of any other. */
struct wb_io *wb_nbd_witnesses_next(struct wb_nbd_witnesses *book);
/* It may want one without that anything else happens. */
static inline bool wb_nbd_witnesses_waits(const struct wb_nbd_witnesses *book)
{
	return book->wants_flush && !book->is_busy;
}
static inline bool wb_nbd_witnesses_is_own(const struct wb_nbd_witnesses *book,
					   const struct wb_io *io)
{
	return io == &book->io;
}

/* --- the thread that connects ---------------------------------------------------------- */

/* NULL, or what is wrong with it, to be freed. Waits. */
char *wb_nbd_witnesses_judge(struct wb_nbd_witnesses *book, const char *uri,
			     const struct wb_nbd_peer *peer);

#endif
