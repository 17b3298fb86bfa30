/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The gate before all requests that change data. The backing carries a mark that
 * says whether it is complete without the cache; while it says so, no change may
 * be acknowledged (nor be in the log: a crash would leave the mark wrong). Such
 * requests park here, before their first piece, until the owner of the mark has
 * rewritten it.
 *
 *   OPEN             the mark says "dirty", or nobody keeps one; changes go on
 *   COMPLETE_WANTED  nothing is dirty: the owner is to write "complete"
 *   COMPLETE         it has
 *   DIRTY_WANTED     somebody wants to change data: it is to write "dirty"
 *
 * Only OPEN lets changes through, and it is reached by a "dirty" that was
 * written. After a "complete" whose writing failed nobody knows what the mark
 * says: it is written again, by the owner's clock, and the gate stays shut.
 */
#ifndef WB_CACHE_MARK_GATE_H
#define WB_CACHE_MARK_GATE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/lines.h"
#include "base/lock.h"
#include "cache/cache.h"
#include "cache/park.h"

enum wb_mark_gate_state {
	WB_GATE_OPEN, WB_GATE_COMPLETE_WANTED, WB_GATE_COMPLETE, WB_GATE_DIRTY_WANTED,
};

struct wb_mark_gate {
	/* constant after init */
	void (*wanted)(void *arg);	/* NULL: nobody keeps a mark */
	void *arg;

	struct wb_park_list parked;
	struct wb_lock lock;
	/* under lock */
	enum wb_mark_gate_state state;
	bool has_failed;		/* the last "complete" could not be written */

	/* atomic; each side sets its own and then looks at the other's, so a
	 * change either sees the gate shut or is seen by who shut it */
	atomic_bool is_shut;
	/* requests that went through, not done: by stripe of the thread */
	struct {
		_Atomic uint32_t count;
	} __attribute__((aligned(WB_CACHE_LINE_BYTES))) changes[WB_THREAD_STRIPES];

	/* atomic */
	atomic_bool is_refusing;
};

/* `wanted` is called with no lock held, on any thread, whenever
 * wb_mark_gate_wish() has something new to say. */
void wb_mark_gate_init(struct wb_mark_gate *gate, struct wb_executor *executor,
		       void (*wanted)(void *arg), void *arg);
void wb_mark_gate_clear(struct wb_mark_gate *gate);
/* Opening, before there are requests: the owner is to write this first. */
void wb_mark_gate_begin(struct wb_mark_gate *gate, bool is_dirty);

enum wb_gate_answer {
	WB_GATE_THROUGH,	/* wb_mark_gate_leave() is to follow, with the pass */
	WB_GATE_PARKED,		/* may run elsewhere already */
	WB_GATE_REFUSED,	/* -EIO */
};
/* A request wants to begin to change data. `pass`: for leaving, on any thread. */
enum wb_gate_answer wb_mark_gate_enter(struct wb_mark_gate *gate, struct wb_parked *parked,
				       unsigned *pass);
/* It is done, whatever became of it. */
void wb_mark_gate_leave(struct wb_mark_gate *gate, unsigned pass);

/* The mark may say "complete": the backing stays as it is. */
bool wb_mark_gate_is_shut(struct wb_mark_gate *gate);

/* Nothing is dirty, says the caller: shuts the gate if that is still so with the
 * gate shut, and asks for "complete". TRUE: nothing to wait for any more: it is
 * written, or cannot be, or somebody is changing data again. One thread. */
bool wb_mark_gate_complete(struct wb_mark_gate *gate, bool (*is_dirty)(void *arg), void *arg);

/* The owner: what is to be written, and then how that went. One thread. */
enum wb_mark_wish wb_mark_gate_wish(struct wb_mark_gate *gate);
void wb_mark_gate_written(struct wb_mark_gate *gate, enum wb_mark_wish what, int error);

/* It is shut, and the owner has gone: it stays so. */
bool wb_mark_gate_is_refusing(struct wb_mark_gate *gate);

/* The owner is going: who waits for the mark, or would have to, gets -EIO. */
void wb_mark_gate_refuse(struct wb_mark_gate *gate);

#endif
