/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/write_pace.h"

#include <glib.h>

#define SECOND 1e9			/* in ns */

/* Of batches that may take seconds each some are to count. */
#define MEMORY_S 10.0
#define BUSY_LEAST_S 1e-3		/* disks in memory take no time */
/* Close to the mark there is no limit that anybody would notice. */
#define FASTEST 64.0
/* Once it is there the rate gets no higher than so many times what can go on for ever. */
#define CAP 1.25
#define CAP_ENDS_NS UINT64_C(2000000000)
#define EMPTY_PART 8			/* the ring is, when less than that of it is used */
#define GONE_LEAST_S 5.0
/* Until a batch has ended nobody knows the rate: as if the room were to last so long. */
#define UNKNOWN_S 5.0
/* When no room came for so long, and nothing was written back, something holds writeback
 * up, and to wait here does not help: who cares for that does so when somebody waits for
 * the last of the room. It is used up within this time. */
#define STUCK_NS UINT64_C(15000000000)
#define STUCK_S 30.0
/* Likewise when it does get on, but never where room would come of it. */
#define USELESS_NS UINT64_C(120000000000)

/* Who wrote nothing for a while may write a little at once. */
#define SAVED_S 0.5
#define SAVED_PART 8.0			/* but no more than one in so many of the blocks left */

#define WAIT_LEAST_NS UINT64_C(500000)
#define WAIT_MOST_NS UINT64_C(250000000)

/* --- the rate of writeback ----------------------------------------------------------- */

/* Blocks become clean batch by batch: only when some have is the time counted that
 * they took, so that the rate is right in the middle of a batch too. */
static void add_writeback(struct wb_write_pace *pace, const struct wb_write_pace_news *news)
{
	uint64_t cleaned;
	double busy_s, keep;

	if (pace->was_busy)
		pace->pending_ns += news->now_ns - pace->seen_ns;
	pace->seen_ns = news->now_ns;
	pace->was_busy = news->is_working;
	/* News may come late: whoever read the counter first is not always first here. */
	if (news->cleaned_blocks <= pace->counted_blocks)
		return;
	cleaned = news->cleaned_blocks - pace->counted_blocks;
	pace->counted_blocks = news->cleaned_blocks;
	busy_s = (double)pace->pending_ns / SECOND;
	keep = MEMORY_S / (MEMORY_S + busy_s);
	pace->blocks = pace->blocks * keep + (double)cleaned;
	pace->busy_s = pace->busy_s * keep + busy_s;
	pace->pending_ns = 0;
}

static double writeback_rate(const struct wb_write_pace *pace)
{
	double pending_s = (double)pace->pending_ns / SECOND;

	if (pace->blocks <= 0)
		return MAX(pace->mark_blocks, 1) / UNKNOWN_S;
	/* One that takes longer than all before it is slower than they were. */
	return pace->blocks / MAX(MAX(pace->busy_s, pending_s), BUSY_LEAST_S);
}

/* --- rate and credit ------------------------------------------------------------------- */

bool wb_write_pace_is_slow(const struct wb_write_pace *pace)
{
	return pace->is_slow;
}

static double curve(const struct wb_write_pace *pace)
{
	double left = MAX(pace->free_blocks, 0), used = pace->mark_blocks - left;

	return writeback_rate(pace) * MIN(left / MAX(used, 1), FASTEST);
}

static double cap(const struct wb_write_pace *pace)
{
	double gone = MAX(pace->gone_blocks, 0) / MAX(pace->gone_s, GONE_LEAST_S);

	return CAP * MAX(writeback_rate(pace), gone);
}

static bool is_stuck(const struct wb_write_pace *pace, uint64_t now_ns)
{
	return now_ns > MAX(pace->grown_ns, pace->moved_ns) + STUCK_NS ||
	       now_ns > pace->grown_ns + USELESS_NS;
}

double wb_write_pace_rate(const struct wb_write_pace *pace, uint64_t now_ns)
{
	double rate = curve(pace);

	if (pace->is_capped)
		rate = MIN(rate, cap(pace));
	if (is_stuck(pace, now_ns))
		rate = MAX(rate, pace->mark_blocks / STUCK_S);
	return MAX(rate, 1);
}

static double credit_at(const struct wb_write_pace *pace, uint64_t now_ns)
{
	double rate = wb_write_pace_rate(pace, now_ns);
	double most = MIN(rate * SAVED_S, MAX(pace->free_blocks, 0) / SAVED_PART);
	double earned = rate * (double)(now_ns - MIN(pace->credited_ns, now_ns)) / SECOND;

	return MIN(pace->credit_blocks + earned, MAX(most, 0));
}

bool wb_write_pace_take(struct wb_write_pace *pace, uint64_t now_ns, uint64_t blocks)
{
	double credit = credit_at(pace, now_ns);

	if (credit < 0) {
		pace->waited_ns = now_ns;
		return false;
	}
	pace->credit_blocks = credit - (double)blocks;
	pace->paid_blocks += blocks;
	pace->credited_ns = now_ns;
	/* Nobody looks at the ring for each of them. */
	pace->free_blocks -= (double)blocks;
	return true;
}

uint64_t wb_write_pace_wait_ns(const struct wb_write_pace *pace, uint64_t now_ns)
{
	double credit = credit_at(pace, now_ns);

	if (credit >= 0)
		return 0;
	return (uint64_t)CLAMP(-credit / wb_write_pace_rate(pace, now_ns) * SECOND,
			       WAIT_LEAST_NS, WAIT_MOST_NS);
}

/* --- what becomes known ---------------------------------------------------------------- */

/* (What is paid for is dirty a little later; over some seconds that is nothing.) */
static void add_gone(struct wb_write_pace *pace, const struct wb_write_pace_news *news)
{
	double s = (double)(news->now_ns - pace->seen_ns) / SECOND;
	double keep = MEMORY_S / (MEMORY_S + s);

	pace->gone_blocks = pace->gone_blocks * keep + (double)pace->paid_blocks +
			    (double)pace->dirty_blocks - (double)news->dirty_blocks;
	pace->gone_s = pace->gone_s * keep + s;
}

static void judge(struct wb_write_pace *pace, const struct wb_write_pace_news *news)
{
	bool stays = pace->is_capped && news->mark_blocks > 0 && !news->is_held &&
		     news->now_ns < pace->waited_ns + CAP_ENDS_NS &&
		     news->free_blocks < news->ring_blocks - news->ring_blocks / EMPTY_PART;

	pace->is_slow = stays || news->free_blocks < news->mark_blocks;
	pace->is_capped = pace->is_slow && (stays || curve(pace) <= cap(pace));
}

void wb_write_pace_add(struct wb_write_pace *pace, const struct wb_write_pace_news *news)
{
	bool was_slow = wb_write_pace_is_slow(pace);

	/* At the rate that was. */
	pace->credit_blocks = was_slow ? credit_at(pace, news->now_ns) : 0;
	if (was_slow)
		add_gone(pace, news);
	pace->paid_blocks = 0;
	pace->dirty_blocks = news->dirty_blocks;
	pace->credited_ns = news->now_ns;
	add_writeback(pace, news);
	if (!was_slow || news->free_blocks > pace->seen_blocks)
		pace->grown_ns = news->now_ns;
	if (news->write_count != pace->write_count)
		pace->moved_ns = news->now_ns;
	pace->write_count = news->write_count;
	pace->seen_blocks = news->free_blocks;
	pace->free_blocks = (double)news->free_blocks;
	pace->mark_blocks = (double)news->mark_blocks;
	judge(pace, news);
}
