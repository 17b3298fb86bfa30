/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A disk with a volatile write cache that can lose power, over a memory store.
 *
 * A WRITE, ZERO or DISCARD (which leaves garbage) is volatile until it is covered: by its own FUA, or by a
 * FLUSH that was submitted after its done() and was answered with 0. At the
 * power cut every volatile one, and every one in flight, is kept, lost or
 * torn; torn means that each atomic_write_bytes unit is kept or lost for
 * itself. So each unit becomes the durable version or any written since.
 *
 * A crash clock counts the points at which the power may go: every submit and
 * every completion. It can be shared by the two disks of a volume, which then
 * lose power at the same moment. After that moment the disks' contents stand
 * still: everything in flight and everything submitted later is answered with
 * -EIO by poll(), so that what runs on the disks can be thrown away.
 */
#ifndef WB_TESTS_STORE_CRASHY_H
#define WB_TESTS_STORE_CRASHY_H

#include <stdbool.h>
#include <stdint.h>

#include "io/store.h"
#include "support/prng.h"

struct wb_crash_clock {
	uint64_t point_count;	/* points passed so far */
	uint64_t crash_at;	/* the power goes at this point (from 1); 0 = never */
	bool has_crashed;	/* also set by hand, between any two polls */
	/* may be set: at the very moment */
	void (*on_crash)(void *arg);
	/* may be set: each I/O of a disk with power, before its point is passed */
	void (*on_submit)(void *arg, const struct wb_store *store, const struct wb_io *io);
	void *arg;
};

/* `inner` must be a memory store and goes with the new store at close(). The
 * clock stays the caller's; NULL gives a store of its own. What `inner` holds
 * is durable. */
struct wb_store *wb_store_crashy_new(struct wb_store *inner,
				     struct wb_crash_clock *clock);

/* A new memory store with what the disk holds after a power cut now. The
 * crashy store stays as it is: more images can be taken, by other seeds. */
struct wb_store *wb_store_crashy_crash(struct wb_store *store, struct wb_prng *prng);
/* The same with every volatile write lost: the least that may be left. */
struct wb_store *wb_store_crashy_crash_losing_all(struct wb_store *store);

/* The power goes and comes back: the disk itself is what survived by chance, and
 * sound. All I/O has been answered (the clock is the caller's to start again). */
void wb_store_crashy_cut(struct wb_store *store, struct wb_prng *prng);

/*
 * Only who used it has died: what was in flight lands or not, whole or in part, and
 * what is volatile stays so. All I/O has been answered.
 */
void wb_store_crashy_survive(struct wb_store *store, struct wb_prng *prng);
/* The same, but what is in flight stays there, for wb_store_crashy_land(): then it takes
 * its data, as far as that lay in `memory`, from there as it is by then. */
void wb_store_crashy_leave_ghosts(struct wb_store *store, const void *memory, uint64_t bytes);
void wb_store_crashy_land(struct wb_store *store, struct wb_prng *prng);
/* A point like a submit or an answer, of something else that happens. */
void wb_crash_clock_pass(struct wb_crash_clock *clock);

/* Number of I/Os that are done but volatile. */
uint64_t wb_store_crashy_volatile_count(const struct wb_store *store);

/*
 * The n-th FLUSH from now (from 1) is answered with -EIO, and what it covered
 * is not made durable by any later FLUSH either: so do kernels that drop dirty
 * pages after a failed fsync. Only writing again helps.
 */
void wb_store_crashy_fail_flush(struct wb_store *store, uint64_t nth);
/* What it covered is gone at once, for readers too (pages that were marked clean
 * and then evicted); otherwise it can be read until the power goes. */
void wb_store_crashy_forget_failed(struct wb_store *store, bool forgets);

/* A disk of superblocks in the first MiB: a torn one may hold anything. */
void wb_store_crashy_spoil_superblocks(struct wb_store *store);

/* Disks that lie: for tests of the tests. */
enum {
	WB_CRASHY_SWALLOWS_FLUSH = 1u << 0,	/* FLUSH does nothing and says 0 */
	WB_CRASHY_IGNORES_FUA = 1u << 1,
	/* of the first MiB, where superblocks are, nothing is ever durable ... */
	WB_CRASHY_KEEPS_NO_SUPERBLOCK = 1u << 2,
	/* ... or it alone, and at once: before all that was flushed before it */
	WB_CRASHY_SUPERBLOCK_FIRST = 1u << 3,
};
void wb_store_crashy_set_lies(struct wb_store *store, unsigned lies);

#endif
