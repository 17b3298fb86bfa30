/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "io/nbd_witness.h"

#include <stddef.h>

#include "base/checksum.h"
#include "base/memory.h"

#define SECOND_BYTES (UINT64_C(1) << 20)	/* where most first partitions begin */
#define JUDGE_TIMEOUT_MS 10000u
#define FLUSH_AGAIN_US (5 * G_USEC_PER_SEC)
#define MEMORY_BYTES ((size_t)(WB_NBD_WITNESSES + 1) * WB_NBD_WITNESS_BYTES)

/* The begin, where tables and superblocks are, the end, and some evenly between. */
static void choose(struct wb_nbd_witnesses *book, uint64_t size_bytes)
{
	uint64_t blocks = size_bytes / WB_NBD_WITNESS_BYTES;

	book->count = (unsigned)MIN(blocks, WB_NBD_WITNESSES);
	for (unsigned i = 0; i < book->count; i++)
		book->list[i].offset_bytes = (book->count < WB_NBD_WITNESSES ? i :
					      (blocks - 1) * i / (WB_NBD_WITNESSES - 1)) *
					     WB_NBD_WITNESS_BYTES;
	if (book->count == WB_NBD_WITNESSES && size_bytes > SECOND_BYTES + WB_NBD_WITNESS_BYTES)
		book->list[1].offset_bytes = SECOND_BYTES;
}

bool wb_nbd_witnesses_init(struct wb_nbd_witnesses *book, uint64_t size_bytes,
			   gint64 haunted_until_us)
{
	*book = (struct wb_nbd_witnesses){
		.memory = wb_memory_map(MEMORY_BYTES), .clock = 1,
		.haunted_until_us = haunted_until_us, .wants_flush = true,
	};
	wb_lock_init(&book->lock, WB_RANK_STORE);
	choose(book, size_bytes);
	return book->memory != NULL;
}

void wb_nbd_witnesses_clear(struct wb_nbd_witnesses *book)
{
	if (book->memory)
		wb_memory_unmap(book->memory, MEMORY_BYTES);
	wb_lock_clear(&book->lock);
}

/* --- what happens to them -------------------------------------------------------------- */

static bool touches(const struct wb_nbd_piece *piece, const struct wb_nbd_witness *witness)
{
	return piece->offset_bytes < witness->offset_bytes + WB_NBD_WITNESS_BYTES &&
	       witness->offset_bytes < piece->offset_bytes + piece->length_bytes;
}

/* Before it is sent, so that who finds another content under way finds this too. */
void wb_nbd_witnesses_begin(struct wb_nbd_witnesses *book, const struct wb_nbd_piece *piece)
{
	for (unsigned i = 0; i < book->count; i++) {
		struct wb_nbd_witness *witness = &book->list[i];

		if (!touches(piece, witness))
			continue;
		witness->under_way++;
		witness->is_discarded |= piece->op == WB_IO_DISCARD;
		wb_lock_acquire(&book->lock);
		witness->changes++;
		witness->is_known = false;
		wb_lock_release(&book->lock);
	}
}

void wb_nbd_witnesses_end(struct wb_nbd_witnesses *book, const struct wb_nbd_piece *piece)
{
	book->clock++;
	for (unsigned i = 0; i < book->count; i++) {
		if (!touches(piece, &book->list[i]))
			continue;
		book->list[i].under_way--;
		book->list[i].ended_at = book->clock;
	}
}

uint64_t wb_nbd_witnesses_flush_is_sent(const struct wb_nbd_witnesses *book)
{
	return g_get_monotonic_time() < book->haunted_until_us ? 0 : book->clock;
}

void wb_nbd_witnesses_flushed(struct wb_nbd_witnesses *book, uint64_t sent)
{
	book->flushed_at = MAX(book->flushed_at, sent);
	if (sent)
		book->wants_flush = false;
}

/* What landed as a ghost is not what was there when it was read, or flushed. */
void wb_nbd_witnesses_haunted(struct wb_nbd_witnesses *book, gint64 until_us)
{
	book->haunted_until_us = MAX(book->haunted_until_us, until_us);
	book->flushed_at = 0;
	book->wants_flush = true;
}

/* --- reading them ------------------------------------------------------------------------- */

static struct wb_nbd_witnesses *book_of(struct wb_io *io)
{
	return (struct wb_nbd_witnesses *)(void *)((char *)io -
						   offsetof(struct wb_nbd_witnesses, io));
}

/* That it was, is known from its answer: wb_nbd_witnesses_flushed(). */
static void flushed(struct wb_io *io, int error)
{
	struct wb_nbd_witnesses *book = book_of(io);

	book->is_busy = false;
	if (error)
		book->haunted_until_us = MAX(book->haunted_until_us,
					     g_get_monotonic_time() + FLUSH_AGAIN_US);
}

static void was_read(struct wb_io *io, int error)
{
	struct wb_nbd_witnesses *book = book_of(io);
	struct wb_nbd_witness *witness = book->reading;

	book->is_busy = false;
	/* Not over and over: with the next flush. */
	if (error)
		witness->ended_at = ++book->clock;
	if (error || witness->changes != book->reading_changes || !book->flushed_at)
		return;
	wb_lock_acquire(&book->lock);
	witness->crc = wb_crc32c(io->one.iov_base, WB_NBD_WITNESS_BYTES);
	witness->is_known = true;
	wb_lock_release(&book->lock);
}

static bool can_be_read(const struct wb_nbd_witnesses *book, const struct wb_nbd_witness *witness)
{
	return !witness->is_known && !witness->is_discarded && !witness->under_way &&
	       book->flushed_at > 0 && witness->ended_at <= book->flushed_at;
}

struct wb_io *wb_nbd_witnesses_next(struct wb_nbd_witnesses *book)
{
	if (book->is_busy || book->count == 0)
		return NULL;
	for (unsigned i = 0; i < book->count && !book->wants_flush; i++) {
		if (!can_be_read(book, &book->list[i]))
			continue;
		book->reading = &book->list[i];
		book->reading_changes = book->reading->changes;
		wb_io_prepare(&book->io, WB_IO_READ, WB_IO_CLASS_FILL,
			      book->reading->offset_bytes,
			      book->memory + (size_t)WB_NBD_WITNESSES * WB_NBD_WITNESS_BYTES,
			      WB_NBD_WITNESS_BYTES, was_read);
		book->is_busy = true;
		return &book->io;
	}
	if (!book->wants_flush || g_get_monotonic_time() < book->haunted_until_us)
		return NULL;
	wb_io_prepare(&book->io, WB_IO_FLUSH, WB_IO_CLASS_FILL, 0, NULL, 0, flushed);
	book->is_busy = true;
	return &book->io;
}

/* --- judging ------------------------------------------------------------------------------ */

/* Still known, and still as when it was asked for? */
static bool is_denied(struct wb_nbd_witnesses *book, unsigned i, uint64_t changes,
		      const char *found)
{
	const struct wb_nbd_witness *witness = &book->list[i];
	uint32_t crc = wb_crc32c(found, WB_NBD_WITNESS_BYTES);
	bool differs;

	wb_lock_acquire(&book->lock);
	differs = witness->is_known && witness->changes == changes && witness->crc != crc;
	wb_lock_release(&book->lock);
	return differs;
}

char *wb_nbd_witnesses_judge(struct wb_nbd_witnesses *book, const char *uri,
			     const struct wb_nbd_peer *peer)
{
	struct wb_nbd_read *reads = book->reads;
	unsigned asked[WB_NBD_WITNESSES], count = 0, denied = 0;
	uint64_t changes[WB_NBD_WITNESSES];

	wb_lock_acquire(&book->lock);
	for (unsigned i = 0; i < book->count; i++) {
		if (!book->list[i].is_known)
			continue;
		asked[count] = i;
		changes[count] = book->list[i].changes;
		reads[count] = (struct wb_nbd_read){
			.offset_bytes = book->list[i].offset_bytes,
			.data = book->memory + (size_t)i * WB_NBD_WITNESS_BYTES,
		};
		count++;
	}
	wb_lock_release(&book->lock);
	if (!wb_nbd_read_all(peer, reads, count, WB_NBD_WITNESS_BYTES, JUDGE_TIMEOUT_MS))
		return g_strdup_printf("%s: the server does not let anybody look at the image", uri);
	/* What cannot be read says nothing. */
	for (unsigned i = 0; i < count; i++)
		denied += !reads[i].error && is_denied(book, asked[i], changes[i], reads[i].data);
	if (!denied)
		return NULL;
	return g_strdup_printf("%s: the export is another one: %u of %u blocks that were looked at "
			       "have not the content that was there before", uri, denied, count);
}
