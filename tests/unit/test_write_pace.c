/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writers before a ring that writeback empties in lumps, by a clock that is moved
 * here: what they get, how long they wait, and that the ring never runs empty.
 */
#include <criterion/criterion.h>
#include <glib.h>

#include "cache/write_pace.h"

#define MS_NS UINT64_C(1000000)
#define SECOND_NS (1000 * MS_NS)

#define RING 65536.0			/* blocks: 256 MiB */
#define MARK (RING * 15 / 100)
#define SSD_RATE 50000.0		/* what writers could do */
#define WRITERS 64u

/* One writer after another has its turn, as they came. */
struct writer {
	double blocks;
	uint64_t since_ns;
};

struct ring {
	struct wb_write_pace pace;
	uint64_t now_ns;
	double used, rate, lump;	/* of writeback; blocks, a second */
	double superseded;		/* part of what is written that frees as much at once */
	double progress;		/* of the lump under way */
	double room_lump, freed;	/* room that comes when so much of it has; 0: at once */
	uint64_t cleaned;
	bool is_working;
	struct writer writers[WRITERS];
	unsigned writer_count, turn;
	double ssd_credit, offered;	/* blocks a second that writers want; 0: all they can */
	/* since it was cleared */
	double written, least_free, slowest_s, fastest_s;
	uint64_t longest_ns;
};

static void setup(struct ring *ring, unsigned writers, double blocks)
{
	*ring = (struct ring){ .now_ns = SECOND_NS, .rate = 600, .lump = 2048,
			       .is_working = true, .writer_count = writers,
			       .least_free = RING };
	for (unsigned i = 0; i < writers; i++)
		ring->writers[i] = (struct writer){ .blocks = blocks, .since_ns = SECOND_NS };
}

static void look(struct ring *ring)
{
	struct wb_write_pace_news news = {
		.now_ns = ring->now_ns, .free_blocks = (uint64_t)MAX(RING - ring->used, 0),
		.mark_blocks = (uint64_t)MARK, .ring_blocks = (uint64_t)RING,
		.dirty_blocks = (uint64_t)MAX(ring->used - ring->freed, 0),
		.cleaned_blocks = ring->cleaned,
		.write_count = (uint64_t)(ring->cleaned + ring->progress),
		.is_working = ring->is_working,
	};

	wb_write_pace_add(&ring->pace, &news);
}

static void write_back(struct ring *ring)
{
	if (!ring->is_working)
		return;
	ring->progress += ring->rate / 1000;
	if (ring->progress < ring->lump)
		return;
	ring->progress -= ring->lump;
	ring->cleaned += (uint64_t)ring->lump;
	ring->freed += ring->lump;
	if (ring->freed >= ring->room_lump) {
		ring->used -= MIN(ring->freed, ring->used);
		ring->freed = 0;
	}
	look(ring);
}

static bool may_write(struct ring *ring, const struct writer *writer)
{
	if (ring->ssd_credit < 0 || ring->used + writer->blocks > RING)
		return false;
	return !wb_write_pace_is_slow(&ring->pace) ||
	       wb_write_pace_take(&ring->pace, ring->now_ns, (uint64_t)writer->blocks);
}

static void write_on(struct ring *ring)
{
	double wanted = ring->offered > 0 ? ring->offered : SSD_RATE;

	ring->ssd_credit = MIN(ring->ssd_credit + wanted / 1000, wanted / 100);
	for (;;) {
		struct writer *writer = &ring->writers[ring->turn];

		if (!may_write(ring, writer))
			return;
		ring->ssd_credit -= writer->blocks;
		ring->used += writer->blocks * (1 - ring->superseded);
		ring->written += writer->blocks;
		ring->longest_ns = MAX(ring->longest_ns, ring->now_ns - writer->since_ns);
		writer->since_ns = ring->now_ns;
		ring->turn = (ring->turn + 1) % ring->writer_count;
		if ((uint64_t)ring->written % 256 < writer->blocks)
			look(ring);	/* a segment is full */
	}
}

static void run(struct ring *ring, double seconds)
{
	double in_second = 0, before = ring->written;

	ring->written = 0;
	ring->longest_ns = 0;
	ring->least_free = RING;
	ring->slowest_s = SSD_RATE * 2;
	ring->fastest_s = 0;
	before = 0;
	for (unsigned ms = 1; ms <= seconds * 1000; ms++) {
		ring->now_ns += MS_NS;
		write_back(ring);
		if (ms % 10 == 0)
			look(ring);
		write_on(ring);
		ring->least_free = MIN(ring->least_free, RING - ring->used);
		if (ms % 1000 == 0) {
			in_second = ring->written - before;
			before = ring->written;
			ring->slowest_s = MIN(ring->slowest_s, in_second);
			ring->fastest_s = MAX(ring->fastest_s, in_second);
		}
	}
}

/* --- the steady state ---------------------------------------------------------------- */

Test(write_pace, endless_writes_settle_at_the_rate_of_writeback)
{
	struct ring ring;

	setup(&ring, 32, 1);
	run(&ring, 60);		/* full, and settled */
	run(&ring, 60);
	cr_expect_float_eq(ring.written / 60, 600, 30, "%f", ring.written / 60);
	/* It neither swings nor runs empty, though room comes in lumps of 3.4 s. */
	cr_expect_gt(ring.slowest_s, 300, "%f", ring.slowest_s);
	cr_expect_lt(ring.fastest_s, 1200, "%f", ring.fastest_s);
	cr_expect_gt(ring.least_free, MARK / 4, "%f", ring.least_free);
	/* 32 writers at 600 a second: 53 ms each, and at most twice that. */
	cr_expect_lt(ring.longest_ns, 110 * MS_NS, "%lu ms", ring.longest_ns / MS_NS);
}

Test(write_pace, nobody_waits_for_long_when_the_ring_fills_up_at_full_speed)
{
	struct ring ring;

	setup(&ring, 32, 1);
	run(&ring, 1);
	cr_expect_geq(ring.longest_ns, 0);
	cr_expect_not(wb_write_pace_is_slow(&ring.pace));
	run(&ring, 30);		/* from 50000 to 600 a second */
	cr_expect(wb_write_pace_is_slow(&ring.pace));
	cr_expect_gt(ring.least_free, MARK / 8, "%f", ring.least_free);
	cr_expect_lt(ring.longest_ns, 250 * MS_NS, "%lu ms", ring.longest_ns / MS_NS);
}

Test(write_pace, it_holds_for_disks_of_any_speed)
{
	static const double rates[] = { 70, 200, 1000, 5000, 20000 };

	for (unsigned i = 0; i < G_N_ELEMENTS(rates); i++) {
		struct ring ring;

		setup(&ring, 32, 1);
		ring.rate = rates[i];
		ring.lump = MIN(2048, rates[i] * 4);
		run(&ring, 200);
		run(&ring, 100);
		cr_expect_float_eq(ring.written / 100, ring.rate, ring.rate / 10, "%f: %f",
				   ring.rate, ring.written / 100);
		cr_expect_gt(ring.least_free, 0, "%f", ring.rate);
		cr_expect_lt((double)ring.longest_ns, 32 / ring.rate * 2.5 * 1e9 + 20e6, "%f: %lu ms",
			     ring.rate, ring.longest_ns / MS_NS);
	}
}

Test(write_pace, a_lump_as_large_as_half_of_the_room_is_no_cliff)
{
	struct ring ring;

	setup(&ring, 32, 1);
	ring.lump = MARK / 2;
	run(&ring, 120);
	run(&ring, 120);
	cr_expect_float_eq(ring.written / 120, 600, 60, "%f", ring.written / 120);
	cr_expect_gt(ring.least_free, MARK / 16, "%f", ring.least_free);
	cr_expect_gt(ring.slowest_s, 100, "%f", ring.slowest_s);
	cr_expect_lt(ring.longest_ns, SECOND_NS / 2, "%lu ms", ring.longest_ns / MS_NS);
}

Test(write_pace, it_follows_a_disk_that_becomes_faster_or_slower)
{
	struct ring ring;

	setup(&ring, 32, 1);
	run(&ring, 60);
	ring.rate = 60;
	run(&ring, 120);
	cr_expect_gt(ring.least_free, 0);
	run(&ring, 120);
	cr_expect_float_eq(ring.written / 120, 60, 12, "%f", ring.written / 120);
	ring.rate = 3000;
	run(&ring, 60);
	run(&ring, 30);
	cr_expect_float_eq(ring.written / 30, 3000, 300, "%f", ring.written / 30);
}

Test(write_pace, what_is_written_over_needs_no_writeback_and_is_not_held_up)
{
	struct ring ring;

	setup(&ring, 32, 1);
	ring.superseded = 0.9;
	run(&ring, 120);
	run(&ring, 60);
	cr_expect_float_eq(ring.written / 60, 6000, 600, "%f", ring.written / 60);
}

/* As with a sweep over random blocks, which frees segments when it has come round. */
Test(write_pace, most_of_the_ring_at_once_is_not_written_full_at_once)
{
	struct ring ring;

	setup(&ring, 32, 1);
	ring.rate = 1500;
	ring.room_lump = RING * 0.6;
	run(&ring, 200);
	run(&ring, 200);
	cr_expect_float_eq(ring.written / 200, 1500, 150, "%f", ring.written / 200);
	cr_expect_lt(ring.fastest_s, 1.4 * 1500, "%f", ring.fastest_s);
	cr_expect_gt(ring.slowest_s, 100, "%f", ring.slowest_s);
	cr_expect_gt(ring.least_free, 0);
	cr_expect_lt(ring.longest_ns, SECOND_NS / 4, "%lu ms", ring.longest_ns / MS_NS);
}

Test(write_pace, a_burst_after_a_pause_is_as_fast_as_ever)
{
	struct ring ring;

	setup(&ring, 32, 1);
	ring.rate = 1500;
	run(&ring, 60);
	ring.offered = 1;
	run(&ring, 12);		/* room for 18000 blocks */
	cr_expect_not(wb_write_pace_is_slow(&ring.pace));
	ring.offered = 0;
	run(&ring, 1);
	cr_expect_gt(ring.written, 10000, "%f", ring.written);
}

/* Each has to wait for its end, but all together are less than writeback can do. */
Test(write_pace, bursts_that_leave_the_ring_empty_are_not_held_up_for_long)
{
	struct ring ring;

	setup(&ring, 32, 1);
	ring.rate = 1500;
	run(&ring, 60);
	for (unsigned i = 0; i < 200; i++) {
		ring.offered = 1;
		run(&ring, 1);
		ring.offered = 2400;
		run(&ring, 1);
	}
	cr_expect_not(wb_write_pace_is_slow(&ring.pace));
}

/* --- who waits ------------------------------------------------------------------------- */

Test(write_pace, long_writes_and_short_ones_share_it_block_by_block)
{
	struct ring ring;

	setup(&ring, 8, 1);
	ring.writers[0].blocks = 256;
	run(&ring, 120);
	run(&ring, 60);
	cr_expect_float_eq(ring.written / 60, 600, 60, "%f", ring.written / 60);
	/* One round of all is 263 blocks. */
	cr_expect_lt(ring.longest_ns, SECOND_NS, "%lu ms", ring.longest_ns / MS_NS);
	cr_expect_gt(ring.least_free, 0);
}

Test(write_pace, who_writes_less_than_writeback_can_do_waits_for_nothing)
{
	struct ring ring;

	setup(&ring, 1, 1);
	ring.used = RING - MARK / 2;
	look(&ring);
	run(&ring, 5);
	ring.offered = 300;
	run(&ring, 60);		/* room grows, and credit with it */
	run(&ring, 30);
	cr_expect_float_eq(ring.written / 30, 300, 10, "%f", ring.written / 30);
}

Test(write_pace, a_pause_is_worth_a_little_at_once)
{
	struct wb_write_pace pace = { 0 };
	struct wb_write_pace_news news = { .now_ns = SECOND_NS, .free_blocks = 5000,
					   .mark_blocks = 10000, .is_working = true };
	unsigned taken = 0;

	wb_write_pace_add(&pace, &news);
	news.now_ns += 4 * SECOND_NS;
	news.cleaned_blocks = 4000;
	wb_write_pace_add(&pace, &news);
	while (wb_write_pace_take(&pace, news.now_ns, 1))
		taken++;
	cr_expect_geq(taken, 400, "%u", taken);	/* half a second of 1000 */
	cr_expect_leq(taken, 505, "%u", taken);
	cr_expect_gt(wb_write_pace_wait_ns(&pace, news.now_ns), 0);
	cr_expect_eq(wb_write_pace_wait_ns(&pace, news.now_ns + SECOND_NS), 0);
}

/* --- when there is no progress ------------------------------------------------------------ */

Test(write_pace, without_any_progress_the_room_is_used_up_and_nobody_waits_for_ever)
{
	struct ring ring;

	setup(&ring, 4, 1);
	ring.rate = 0;
	run(&ring, 10);
	cr_expect(wb_write_pace_is_slow(&ring.pace));
	cr_expect_lt(ring.longest_ns, 3 * SECOND_NS, "%lu ms", ring.longest_ns / MS_NS);
	run(&ring, 60);
	/* The rest of the ring is for those who know what to do about it. */
	cr_expect_lt(RING - ring.used, 8, "%f", RING - ring.used);
}

Test(write_pace, that_holds_too_when_writeback_has_been_fast_before)
{
	struct ring ring;

	setup(&ring, 4, 1);
	run(&ring, 60);
	ring.is_working = false;	/* ... and is not even asked */
	run(&ring, 70);
	cr_expect_lt(RING - ring.used, 8, "%f", RING - ring.used);
	ring.is_working = true;
	run(&ring, 60);
	run(&ring, 60);
	cr_expect_float_eq(ring.written / 60, 600, 60, "%f", ring.written / 60);
}

/* Half of the room before the mark is left, and writeback has shown how fast it is. */
static struct wb_write_pace_news at_1000_a_second(struct wb_write_pace *pace)
{
	struct wb_write_pace_news news = { .now_ns = SECOND_NS, .free_blocks = 5000,
					   .mark_blocks = 10000, .is_working = true };

	*pace = (struct wb_write_pace){ 0 };
	wb_write_pace_add(pace, &news);
	news.now_ns += SECOND_NS;
	news.cleaned_blocks = 1000;
	wb_write_pace_add(pace, &news);
	return news;
}

Test(write_pace, a_batch_that_takes_longer_than_those_before_it_counts_before_it_ends)
{
	struct wb_write_pace pace;
	struct wb_write_pace_news news = at_1000_a_second(&pace);
	double before = wb_write_pace_rate(&pace, news.now_ns);

	cr_expect_float_eq(before, 1000, 50);
	news.now_ns += SECOND_NS / 2;	/* the middle of a batch is nothing to worry about */
	wb_write_pace_add(&pace, &news);
	cr_expect_float_eq(wb_write_pace_rate(&pace, news.now_ns), before, 1);
	news.now_ns += 10 * SECOND_NS;
	wb_write_pace_add(&pace, &news);
	cr_expect_lt(wb_write_pace_rate(&pace, news.now_ns), 100);
}

/* Two threads look at the counters, and the one that looked first comes last. */
Test(write_pace, news_that_come_late_change_nothing)
{
	struct wb_write_pace pace;
	struct wb_write_pace_news news = at_1000_a_second(&pace);
	double before = wb_write_pace_rate(&pace, news.now_ns);

	news.cleaned_blocks = 400;
	wb_write_pace_add(&pace, &news);
	cr_expect_float_eq(wb_write_pace_rate(&pace, news.now_ns), before, 1);
	news.now_ns += SECOND_NS;
	news.cleaned_blocks = 2000;
	wb_write_pace_add(&pace, &news);
	cr_expect_float_eq(wb_write_pace_rate(&pace, news.now_ns), before, 50);
}

/* What is far from the mark is not to be written back then, and slow writers would. */
Test(write_pace, the_cap_ends_with_room_where_writeback_is_held)
{
	struct wb_write_pace pace = { 0 };
	struct wb_write_pace_news news = { .now_ns = SECOND_NS, .free_blocks = 1000,
					   .mark_blocks = 10000, .ring_blocks = 60000,
					   .is_working = true };

	wb_write_pace_add(&pace, &news);
	while (wb_write_pace_take(&pace, news.now_ns, 1))
		;
	news.free_blocks = 30000;
	wb_write_pace_add(&pace, &news);
	cr_expect(wb_write_pace_is_slow(&pace));
	news.is_held = true;
	wb_write_pace_add(&pace, &news);
	cr_expect_not(wb_write_pace_is_slow(&pace));
}
