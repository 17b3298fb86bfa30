/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which writes are taken for a sequential stream, and which never. */
#include <criterion/criterion.h>
#include <glib.h>

#include "cache/streams.h"
#include "support/prng.h"

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define THRESHOLD (4 * MIB)

static struct wb_streams streams;

static enum wb_stream_verdict write_at(uint64_t offset_bytes, uint64_t length_bytes)
{
	struct wb_stream_write write = { .offset_bytes = offset_bytes,
					 .length_bytes = length_bytes,
					 .threshold_bytes = THRESHOLD };

	return wb_streams_note(&streams, &write);
}

/* Invariants of the table: at most half is long, and none is longer than it may be. */
static void check_table(void)
{
	unsigned long_count = 0;

	for (unsigned i = 0; i < WB_STREAMS_MAX; i++) {
		const struct wb_stream *s = &streams.stream[i];

		if (s->length_bytes == 0)
			continue;
		cr_assert_leq(s->start_bytes, s->end_bytes);
		cr_assert_leq(s->length_bytes, s->end_bytes - s->start_bytes);
		cr_assert_leq(s->length_bytes, 2 * THRESHOLD + 1);
		long_count += s->is_long;
	}
	cr_assert_eq(long_count, streams.long_count);
	cr_assert_leq(long_count, WB_STREAMS_MAX / 2);
}

Test(streams, goes_around_with_the_write_that_takes_it_beyond_the_threshold)
{
	for (uint64_t at = 0; at < THRESHOLD; at += 256 * KIB)
		cr_assert_eq(write_at(GIB + at, 256 * KIB), WB_STREAM_SHORT);
	cr_assert_eq(write_at(GIB + THRESHOLD, 256 * KIB), WB_STREAM_BEGINS);
	cr_assert_eq(write_at(GIB + THRESHOLD + 256 * KIB, 256 * KIB), WB_STREAM_GOES_ON);
	check_table();
}

/* --- several at once --------------------------------------------------------------- */

struct writer {
	uint64_t next_bytes, written_bytes;
	uint64_t offset[4], length[4];	/* handed out, not come yet */
	unsigned waiting;
};

/* Requests of a writer come out of order, of four that it has under way. */
static void hand_out(struct writer *writer, struct wb_prng *prng)
{
	while (writer->waiting < G_N_ELEMENTS(writer->offset)) {
		uint64_t length = 4 * KIB * (16 + wb_prng_below(prng, 241));

		writer->offset[writer->waiting] = writer->next_bytes;
		writer->length[writer->waiting++] = length;
		writer->next_bytes += length;
	}
}

static enum wb_stream_verdict one_comes(struct writer *writer, struct wb_prng *prng)
{
	unsigned i = (unsigned)wb_prng_below(prng, writer->waiting);
	enum wb_stream_verdict verdict = write_at(writer->offset[i], writer->length[i]);

	writer->written_bytes += writer->length[i];
	writer->waiting--;
	writer->offset[i] = writer->offset[writer->waiting];
	writer->length[i] = writer->length[writer->waiting];
	return verdict;
}

/* Nearly all of what each has written beyond the threshold goes around. Out of order
 * a writer needs several places of the table: up to 8 are as good as alone. */
Test(streams, tells_interleaved_writers_apart_out_of_order_and_among_others)
{
	for (uint64_t seed = 1; seed <= 30; seed++) {
		unsigned count = 1 + (unsigned)(seed % (WB_STREAMS_MAX / 8));
		struct writer writers[WB_STREAMS_MAX / 8] = { { 0 } };
		uint64_t around[WB_STREAMS_MAX / 8] = { 0 };
		struct wb_prng prng;

		wb_prng_init(&prng, seed);
		streams = (struct wb_streams){ 0 };
		for (unsigned w = 0; w < count; w++)
			writers[w].next_bytes = w * 10 * GIB;
		for (unsigned i = 0; i < 400 * count; i++) {
			unsigned w = (unsigned)wb_prng_below(&prng, count);
			uint64_t before = writers[w].written_bytes;

			if (writers[w].waiting == 0)
				hand_out(&writers[w], &prng);
			if (one_comes(&writers[w], &prng) != WB_STREAM_SHORT)
				around[w] += writers[w].written_bytes - before;
			/* others: far away, small ones and one in ten large */
			write_at(1000 * GIB + wb_prng_below(&prng, GIB) * 4 * KIB,
				 wb_prng_below(&prng, 10) ? 4 * KIB : 128 * KIB);
			check_table();
		}
		for (unsigned w = 0; w < count; w++)
			cr_assert_gt(around[w] + 4 * THRESHOLD, writers[w].written_bytes,
				     "seed %lu, writer %u of %u: %lu of %lu MiB", seed, w, count,
				     around[w] / MIB, writers[w].written_bytes / MIB);
	}
}

Test(streams, in_order_all_beyond_the_threshold_goes_around_whoever_else_writes)
{
	struct wb_prng prng;
	uint64_t at[8] = { 0 };

	wb_prng_init(&prng, 7);
	for (unsigned i = 0; i < 8; i++)
		at[i] = i * 10 * GIB;
	for (unsigned i = 0; i < 20000; i++) {
		unsigned w = (unsigned)wb_prng_below(&prng, 8);
		uint64_t done = at[w] - w * 10 * GIB;
		enum wb_stream_verdict verdict = write_at(at[w], 256 * KIB);

		cr_assert_eq(verdict != WB_STREAM_SHORT, done >= THRESHOLD);
		at[w] += 256 * KIB;
		write_at(1000 * GIB + wb_prng_below(&prng, GIB) * 4 * KIB, 4 * KIB);
		write_at(9000 * GIB + wb_prng_below(&prng, GIB) * 4 * KIB, 64 * KIB);
	}
	check_table();
}

Test(streams, of_more_than_the_table_holds_those_go_on_that_wrote_last)
{
	for (unsigned w = 0; w < WB_STREAMS_MAX; w++) {
		for (uint64_t at = 0; at <= THRESHOLD; at += MIB)
			write_at(w * 10 * GIB + at, MIB);
	}
	check_table();
	cr_assert_eq(write_at((WB_STREAMS_MAX - 1) * 10 * GIB + THRESHOLD + MIB, MIB),
		     WB_STREAM_GOES_ON);
	cr_assert_eq(write_at(THRESHOLD + MIB, MIB), WB_STREAM_SHORT, "forgotten");
}

/* Somebody else has just written a place that it comes to. */
Test(streams, goes_on_over_what_was_written_before_it)
{
	write_at(8 * MIB, MIB);
	for (uint64_t at = 0; at < 20 * MIB; at += MIB)
		cr_assert_eq(write_at(at, MIB) != WB_STREAM_SHORT, at >= THRESHOLD);
	check_table();
}

/* --- what is no stream ------------------------------------------------------------------ */

Test(streams, never_takes_random_writes_for_one)
{
	struct wb_prng prng;

	wb_prng_init(&prng, 1);
	for (unsigned i = 0; i < 200000; i++) {
		uint64_t length = 4 * KIB << wb_prng_below(&prng, 9);

		cr_assert_eq(write_at(wb_prng_below(&prng, 256 * GIB / length) * length, length),
			     WB_STREAM_SHORT);
	}
	check_table();
}

Test(streams, never_takes_a_range_that_is_written_again_and_again_for_one)
{
	struct wb_prng prng;

	wb_prng_init(&prng, 1);
	/* up to its end each time, */
	for (unsigned lap = 0; lap < 100; lap++) {
		for (uint64_t at = 0; at < THRESHOLD; at += MIB)
			cr_assert_eq(write_at(at, MIB), WB_STREAM_SHORT);
	}
	/* and here and there */
	for (unsigned i = 0; i < 10000; i++)
		cr_assert_eq(write_at(GIB + wb_prng_below(&prng, 16) * 64 * KIB, 64 * KIB),
			     WB_STREAM_SHORT);
	check_table();
}

Test(streams, never_takes_a_writer_for_one_that_goes_backwards)
{
	for (uint64_t at = GIB; at > 0; at -= MIB)
		cr_assert_eq(write_at(at, MIB), WB_STREAM_SHORT);
	check_table();
}

Test(streams, small_writes_go_on_with_one_and_stay_in_the_cache_themselves)
{
	uint64_t at = 0;

	for (; at < 2 * THRESHOLD; at += 4 * KIB)
		cr_assert_eq(write_at(at, 4 * KIB), WB_STREAM_SHORT);
	for (; at <= 4 * THRESHOLD; at += MIB)
		write_at(at, MIB);
	cr_assert_eq(write_at(at, 4 * KIB), WB_STREAM_SHORT);
	cr_assert_eq(write_at(at + 4 * KIB, MIB), WB_STREAM_GOES_ON);
}

Test(streams, a_low_threshold_is_the_least_write_too)
{
	struct wb_stream_write write = { .length_bytes = 4 * KIB, .threshold_bytes = 8 * KIB };

	cr_assert_eq(wb_stream_write_min_bytes(8 * KIB), 8 * KIB);
	cr_assert_eq(wb_stream_write_min_bytes(THRESHOLD), 64 * KIB);
	cr_assert_eq(wb_streams_note(&streams, &write), WB_STREAM_SHORT);
	write = (struct wb_stream_write){ .length_bytes = 16 * KIB, .threshold_bytes = 8 * KIB };
	cr_assert_eq(wb_streams_note(&streams, &write), WB_STREAM_BEGINS);
}

/* --- syncs --------------------------------------------------------------------------------- */

/* 256 MiB, synced after each write: whether any of it went around. */
static bool any_around(uint64_t start_bytes, uint64_t write_bytes)
{
	bool any = false;

	for (uint64_t at = 0; at < 256 * MIB; at += write_bytes) {
		any |= write_at(start_bytes + at, write_bytes) != WB_STREAM_SHORT;
		wb_streams_note_sync(&streams);
	}
	check_table();
	return any;
}

Test(streams, a_journal_is_none_and_a_copy_that_somebody_syncs_is_one)
{
	cr_assert_not(any_around(0, 64 * KIB));
	cr_assert_not(any_around(GIB, 512 * KIB));
	cr_assert(any_around(2 * GIB, MIB));
}

Test(streams, what_becomes_a_journal_is_soon_none_any_more)
{
	uint64_t at = 0;
	unsigned writes = 0;

	for (; at < 100 * THRESHOLD; at += MIB)
		write_at(at, MIB);
	do {
		wb_streams_note_sync(&streams);
		at += 64 * KIB;
		writes++;
	} while (write_at(at - 64 * KIB, 64 * KIB) != WB_STREAM_SHORT);
	cr_assert_lt(writes, 12);
}
