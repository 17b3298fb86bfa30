/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/read_first.h"

#include <glib.h>

#include "cache/limits.h"

#define MS UINT64_C(1000000)

#define QUIET_NS (1000 * MS)		/* nobody reads any more */
#define LATE_STEP 0.5
#define SOON_STEP (LATE_STEP / 64)

/* A pause is some times as long as the transfer before it. One that only went to the
 * disk's own cache was too short to go by, and one may have waited for a flush. */
#define TRANSFER_LEAST_NS (4 * MS)
#define TRANSFER_MOST_NS (50 * MS)

/* A reader comes to a disk of which nothing is known: what has the most effect on it and
 * the least on writeback. */
#define FIRST_LEVEL 3.0

static const struct {
	unsigned depth;
	uint32_t blocks;
	unsigned pause;			/* in times of a transfer */
} levels[] = {
	{ WB_WRITEBACK_DEPTH, WB_WRITEBACK_JOIN_BLOCKS, 0 },
	{ 8, 256, 0 },
	{ 4, 128, 0 },
	{ 2, 64, 0 },
	{ 1, 64, 0 },
	{ 1, 32, 1 },
	{ 1, 16, 3 },
	{ 1, 16, 7 },
};

static const double most_level[] = {
	[WB_NEED_NOTHING] = G_N_ELEMENTS(levels) - 1,
	[WB_NEED_SOME] = 5,
	[WB_NEED_MOST] = 4,
};

bool wb_reads_end(struct wb_reads *reads, uint64_t took_ns)
{
	uint64_t target_ns = atomic_load_explicit(&reads->target_ns, memory_order_relaxed);
	bool is_late = target_ns > 0 && took_ns > target_ns;

	if (is_late)
		atomic_fetch_add_explicit(&reads->late, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&reads->ended, 1, memory_order_release);
	return is_late;
}

void wb_read_first_look(struct wb_read_first *first, struct wb_reads *reads, uint64_t now_ns,
			enum wb_read_first_need need)
{
	uint64_t ended = atomic_load_explicit(&reads->ended, memory_order_acquire);
	uint64_t late = atomic_load_explicit(&reads->late, memory_order_relaxed);
	uint64_t begun = atomic_load_explicit(&reads->begun, memory_order_relaxed);
	bool is_new = begun != first->begun || ended != first->ended || begun != ended;

	if (!wb_reads_are_timed(reads)) {
		*first = (struct wb_read_first){ .begun = begun, .ended = ended, .late = late };
		return;
	}
	if (is_new && (!first->is_reading || now_ns > first->read_ns + QUIET_NS))
		first->level = MAX(first->level, FIRST_LEVEL);
	/* One that ended between the looks at both counts. */
	first->level += LATE_STEP * (double)(late - first->late) -
			SOON_STEP * (double)MAX(ended - first->ended, late - first->late);
	first->begun = begun;
	first->ended = ended;
	first->late = late;
	if (is_new)
		first->read_ns = now_ns;
	first->is_reading = is_new || (first->is_reading && now_ns <= first->read_ns + QUIET_NS);
	if (!first->is_reading)
		first->level = 0;
	first->level = CLAMP(first->level, 0, most_level[need]);
	if (first->level == 0)
		first->not_before_ns = 0;
}

void wb_read_first_moved(struct wb_read_first *first, uint64_t now_ns, uint64_t took_ns)
{
	uint64_t pause = levels[(unsigned)first->level].pause;

	if (pause > 0)
		first->not_before_ns = now_ns + pause * CLAMP(took_ns, TRANSFER_LEAST_NS,
							      TRANSFER_MOST_NS);
}

struct wb_read_first_limit wb_read_first_limit(const struct wb_read_first *first,
					       uint64_t now_ns)
{
	unsigned level = (unsigned)first->level;
	bool waits = levels[level].pause > 0 && now_ns < first->not_before_ns;

	return (struct wb_read_first_limit){
		.depth = waits ? 0 : levels[level].depth, .blocks = levels[level].blocks,
		.wait_ns = waits ? first->not_before_ns - now_ns : 0,
	};
}
