/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which writes belong to a long sequential stream, of several that are under way at
 * the same time. Pure: it is told of each write in the order in which they come, and
 * says how long the stream is of which this is the newest.
 *
 * A stream goes on where a write begins exactly at its end. What several threads
 * bring comes a little out of order: a write that is ahead of its stream begins one of
 * its own, which is as long as both when the gap is closed from below; meanwhile it goes the
 * way of the stream that it has overtaken. (Only so: a writer that
 * goes backwards makes no stream, for a hard disk would make it wait for a turn at
 * each write, and the log does not.) Who writes the same range again begins anew.
 *
 * Two kinds must not be taken for streams though they are sequential:
 *   small writes     each one around the cache costs an entry of the log that is
 *                    durable first; in the log many of them share one. A small write
 *                    goes on with a stream, but begins none
 *   journals         which are synced again and again, so that each sync would wait
 *                    for the hard disk: a stream loses WB_STREAM_SYNC_BYTES of its
 *                    length with the first write after a sync, so that it must have
 *                    grown by more between two of them
 *
 * The table is bounded. Streams of one write make room first, the longest unused of
 * them; so a crowd of writes here and there does not drive out what is known as a
 * stream, of which there are at most half as many.
 *
 * One thread at a time.
 */
#ifndef WB_CACHE_STREAMS_H
#define WB_CACHE_STREAMS_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/limits.h"

struct wb_stream {
	uint64_t start_bytes, end_bytes;	/* end: where its next write begins */
	uint64_t length_bytes;		/* what counts; 0: nothing is here */
	uint64_t used;			/* by which write, counted from 1 */
	uint64_t sync_count;		/* syncs before that */
	bool is_long;			/* of more than one write */
	bool is_part;			/* it has overtaken the rest of one that is over */
	bool is_over;			/* of more than the threshold, or a part of that */
};

struct wb_streams {			/* all zero at first */
	struct wb_stream stream[WB_STREAMS_MAX];
	uint64_t write_count, sync_count;
	unsigned long_count;
};

struct wb_stream_write {
	uint64_t offset_bytes, length_bytes;
	uint64_t threshold_bytes;	/* not 0: a longer stream goes around the cache */
};

enum wb_stream_verdict {
	WB_STREAM_SHORT,		/* not longer than the threshold, or the write is small */
	WB_STREAM_BEGINS,		/* longer, with this write */
	WB_STREAM_GOES_ON,
};

/* A write comes. */
enum wb_stream_verdict wb_streams_note(struct wb_streams *streams,
				       const struct wb_stream_write *write);
/* A sync of everything comes. */
void wb_streams_note_sync(struct wb_streams *streams);

/* A shorter write is small. Of a low threshold that itself, so that it can be reached. */
static inline uint64_t wb_stream_write_min_bytes(uint64_t threshold_bytes)
{
	return threshold_bytes < WB_STREAM_WRITE_BYTES_MIN ? threshold_bytes :
							     WB_STREAM_WRITE_BYTES_MIN;
}

#endif
