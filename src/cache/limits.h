/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every limit of the core, in one place. */
#ifndef WB_CACHE_LIMITS_H
#define WB_CACHE_LIMITS_H

/* A chunk is the unit of the stripe locks: no piece of a request crosses one,
 * so that a piece needs exactly one stripe. */
#define WB_CHUNK_BLOCKS 256u
#define WB_STRIPE_COUNT 256u

/* Nothing is written to a volume whose epochs, generations, sequences or ids are above this:
 * no life of one brings it there, and what comes behind WB_NUMBER_MAX the codecs refuse. Above
 * the other one, no epoch in a block that may be user data is believed: a header that somebody
 * made up could use up the epochs of a volume else. */
#define WB_NUMBER_LIVING_MAX (WB_NUMBER_MAX / 2)
#define WB_NUMBER_BELIEVED_MAX (WB_NUMBER_MAX / 4)

/* Records between "opened" and "durable". A power of two. */
#define WB_RECORDS_IN_FLIGHT_MAX 4096u
#define WB_RECORD_WRITES_MAX 16u	/* record writes at the SSD at once */

#define WB_RAM_BUFFER_BYTES_DEFAULT (UINT64_C(64) << 20)
#define WB_RAM_BUFFERS_MIN 4u

/* Free segments that ordinary data may not take: the last is for carried
 * entries alone, the one before it for entries without data too. */
#define WB_RESERVE_DATA 2u
#define WB_RESERVE_EXTENT 1u
/* Copies of what was read may open a segment while more than that are ready. Those that
 * leave a place which is to be used again have a claim to more: they give more than they
 * take, and what came new would else push out what was worth to stay. */
#define WB_RESERVE_FILL 6u
#define WB_RESERVE_AGAIN 4u
/* Places that must be sound: the head, the reserve, and as much again. */
#define WB_GOOD_SEGMENTS_MIN 6u
/* A record is written so often in its place before that is given up. */
#define WB_PLACE_TRIES 2u
/* Segments kept evicted ahead of the head, so that opening one is cheap. */
#define WB_READY_SEGMENTS 8u
/* With fewer ready, what is worth to stay in the next place falls out: writers would wait
 * for it. */
#define WB_HURRY_SEGMENTS 4u
/* While reads are kept the tail is to be that many places ahead of those, or that part of
 * the ring. */
#define WB_AHEAD_SEGMENTS 16u
#define WB_AHEAD_PART 16u

#define WB_EXTENTS_MAX 8192u		/* pending discards, fragments counted */

/* Sequential streams that are known at once; each write is compared with them. */
#define WB_STREAMS_MAX 64u
/* A write that is shorter does not go around the cache: the entry that has to be
 * durable before would take the SSD as long as the hard disk takes for the data. */
#define WB_STREAM_WRITE_BYTES_MIN (64u << 10)
/* How far ahead of its stream a write is that has overtaken others. */
#define WB_STREAM_AHEAD_BYTES (4u << 20)
/* What a stream has to grow by between two syncs. */
#define WB_STREAM_SYNC_BYTES (512u << 10)

#define WB_READ_RUNS_MAX 32u		/* I/Os of one read piece */

#define WB_READ_MISSES_MAX 8u		/* stretches of one read that may be kept */
#define WB_READ_STREAMS 16u		/* sequential reads told apart */
/* What was missed or fell out lately is remembered in slots / this words of eight
 * bytes: half a byte for each slot. */
#define WB_GHOST_PART 16u
/* Of what is appended, so many blocks for each new one may be old ones that were read
 * again: at most 3/4 of a segment that is used again stay. */
#define WB_SECOND_CHANCE_RUN 3u
/* Plans for reads are compared by so many reads for each slot: by fewer, what is best for
 * a while pushes out what everything else needs again. */
#define WB_PLAN_WINDOW 8u
#define WB_FORECAST_WINDOW 2u		/* and what other sizes would give, of so many */
/* The slots of a cache in miniature: between half of this and this. */
#define WB_SHADOW_SLOTS_MAX 2048u

#define WB_WRITEBACK_DEPTH 32u
#define WB_WRITEBACK_GAP_BLOCKS 16u	/* read over, in the log, rather than seek */
#define WB_WRITEBACK_JOIN_BLOCKS 1024u	/* longest single write to the backing */
#define WB_BATCH_WRITTEN_BLOCKS 16384u	/* that wait for one flush of the backing */
/* So long new writes are begun in a batch: who waits for its room waits for it. */
#define WB_BATCH_TIME_NS (UINT64_C(1000) * 1000 * 1000)
#define WB_PORTION_BLOCKS_MIN 64u
/* With so many more dirty blocks the next batch begins while that flush is under way;
 * or with one for so many slots, in a small cache. */
#define WB_BEHIND_BLOCKS_MIN 256u
#define WB_BEHIND_PART 64u
/* Above so many percent of the ring that are not written back every other batch is
 * one of the oldest segments, with as few blocks as that takes: */
#define WB_SPACE_SHORT_PERCENT 90u
#define WB_URGENT_BLOCKS 512u
#define WB_GAP_PROBE_BATCHES 16u	/* that filled gaps; then one that does not */
#define WB_ORDER_SEGMENTS_MAX 32u	/* of a batch with writeback_order=segments */

/* Above so many percent of the ring that are not written back nobody asks whether
 * writeback is in others' way, or whether it is time: writeback_high_water. */
#define WB_DIRTY_HIGH_PERCENT 80u
#define WB_DIRTY_HIGH_PERCENT_MAX 90u

/* Writers are slowed while the ring has less room than slow_writes_percent leaves, or
 * than two batches need; and while it has room for less than so many segments. */
#define WB_SLOW_SEGMENTS_MIN 2u

#define WB_SCRUB_BLOCKS 64u		/* one read of the scrubber: 256 KiB */

/* Places of the ring that are discarded on the SSD at once: the log may have to
 * wait for one of them. */
#define WB_DISCARD_PLACES_MAX 8u
/* Clean blocks are given up for a discard in that part of the ring, in front of the
 * head; or in one place. */
#define WB_DISCARD_NEAR_PART 16u

/* Punching in one batch: the first piece, and how long pieces are begun. */
#define WB_ZERO_PIECE_BYTES_MIN (UINT64_C(4) << 20)
#define WB_ZERO_TIME_NS (UINT64_C(1000) * 1000 * 1000)

/* Without a cache: memory of each request for data that the disk cannot take
 * from where it lies, and the longest single zeroing. Multiples of 4096. */
#define WB_BARE_BOUNCE_BYTES (128u << 10)
#define WB_BARE_ZERO_BYTES (UINT64_C(256) << 20)

/* Errors of a disk: growing pauses between tries. */
#define WB_RETRY_FIRST_NS (UINT64_C(100) * 1000 * 1000)
#define WB_RETRY_LAST_NS (UINT64_C(30) * 1000 * 1000 * 1000)
/* After so many failures in a row the cache counts as failed: waiting syncs
 * get EIO and new data is refused, until a try succeeds. */
#define WB_LOG_FAILURES_MAX 5u
/* After so many tries with growing pauses (some 3 s) a dirty block that cannot be
 * read is given up when its place in the ring is wanted and one more try fails. */
#define WB_BAD_TRIES_MAX 5u
/* Places of the backing that refused a write are remembered one by one, up to so
 * many ranges; beyond that all of writeback pauses. */
#define WB_REFUSED_RANGES_MAX 1024u
/* So many of them are tried again in one batch, */
#define WB_REFUSED_RETRIES_MAX 64u
/* and so often in one batch a transfer that failed is halved to find out which
 * blocks are to blame; what is left then waits as a whole. */
#define WB_BATCH_SPLITS_MAX 256u
#define WB_BATCH_SPACE_SPLITS_MAX 8u	/* for want of space */
/* When so many transfers of a batch failed and none succeeded, the disk is gone:
 * the rest is not tried. */
#define WB_BATCH_REFUSALS_MAX 32u
/* After so many failed batches in a row a drain reports failure. */
#define WB_DRAIN_FAILURES_MAX 3u

#endif
