/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/mark_gate.h"

void wb_mark_gate_init(struct wb_mark_gate *gate, struct wb_executor *executor,
		       void (*wanted)(void *arg), void *arg)
{
	wb_park_list_init(&gate->parked, executor);
	wb_lock_init(&gate->lock, WB_RANK_STRIPE);
	gate->wanted = wanted;
	gate->arg = arg;
	gate->state = WB_GATE_OPEN;
}

void wb_mark_gate_clear(struct wb_mark_gate *gate)
{
	wb_lock_clear(&gate->lock);
	wb_park_list_clear(&gate->parked);
}

void wb_mark_gate_begin(struct wb_mark_gate *gate, bool is_dirty)
{
	if (!gate->wanted)
		return;
	gate->state = is_dirty ? WB_GATE_DIRTY_WANTED : WB_GATE_COMPLETE_WANTED;
	atomic_store(&gate->is_shut, true);
}

/* --- requests -------------------------------------------------------------------- */

enum wb_gate_answer wb_mark_gate_enter(struct wb_mark_gate *gate, struct wb_parked *parked,
				       unsigned *pass)
{
	unsigned mine = wb_thread_stripe();

	for (;;) {
		uint64_t generation = wb_park_generation(&gate->parked);
		bool is_parked, tell;

		atomic_fetch_add(&gate->changes[mine].count, 1);
		if (!atomic_load(&gate->is_shut)) {
			*pass = mine;
			return WB_GATE_THROUGH;
		}
		atomic_fetch_sub(&gate->changes[mine].count, 1);
		if (atomic_load(&gate->is_refusing))
			return WB_GATE_REFUSED;
		/* Under the lock: whoever changes the state either finds this one
		 * parked, or is found to have changed it. */
		wb_lock_acquire(&gate->lock);
		is_parked = wb_park(&gate->parked, parked, generation);
		tell = is_parked && gate->state == WB_GATE_COMPLETE;
		if (tell)
			gate->state = WB_GATE_DIRTY_WANTED;
		wb_lock_release(&gate->lock);
		if (tell)
			gate->wanted(gate->arg);
		if (is_parked)
			return WB_GATE_PARKED;
	}
}

void wb_mark_gate_leave(struct wb_mark_gate *gate, unsigned pass)
{
	atomic_fetch_sub(&gate->changes[pass].count, 1);
}

/* With the gate shut, none that is counted here went through after that. */
static bool has_changes(struct wb_mark_gate *gate)
{
	for (unsigned i = 0; i < WB_THREAD_STRIPES; i++)
		if (atomic_load(&gate->changes[i].count) > 0)
			return true;
	return false;
}

bool wb_mark_gate_is_shut(struct wb_mark_gate *gate)
{
	return atomic_load(&gate->is_shut);
}

/* --- complete ---------------------------------------------------------------------- */

static void open_gate(struct wb_mark_gate *gate)
{
	atomic_store(&gate->is_shut, false);
	wb_park_wake_all(&gate->parked);
}

static enum wb_mark_gate_state get_state(struct wb_mark_gate *gate, bool *has_failed)
{
	enum wb_mark_gate_state state;

	wb_lock_acquire(&gate->lock);
	state = gate->state;
	*has_failed = gate->has_failed;
	wb_lock_release(&gate->lock);
	return state;
}

bool wb_mark_gate_complete(struct wb_mark_gate *gate, bool (*is_dirty)(void *arg), void *arg)
{
	bool has_failed;
	enum wb_mark_gate_state state = get_state(gate, &has_failed);

	if (!gate->wanted)
		return true;
	if (state != WB_GATE_OPEN)
		return state != WB_GATE_COMPLETE_WANTED || has_failed;
	/* A change that went through before may still be on its way to the log:
	 * only when none is, with the gate shut, does "nothing dirty" stay true. */
	atomic_store(&gate->is_shut, true);
	if (has_changes(gate) || is_dirty(arg)) {
		open_gate(gate);	/* the mark still says "dirty" */
		return true;
	}
	wb_lock_acquire(&gate->lock);
	gate->state = WB_GATE_COMPLETE_WANTED;
	gate->has_failed = false;
	wb_lock_release(&gate->lock);
	gate->wanted(gate->arg);
	return false;
}

/* --- the owner of the mark ------------------------------------------------------------ */

enum wb_mark_wish wb_mark_gate_wish(struct wb_mark_gate *gate)
{
	bool has_failed;

	switch (get_state(gate, &has_failed)) {
	case WB_GATE_COMPLETE_WANTED:
		return WB_MARK_WISH_COMPLETE;
	case WB_GATE_DIRTY_WANTED:
		return WB_MARK_WISH_DIRTY;
	case WB_GATE_OPEN:
	case WB_GATE_COMPLETE:
		break;
	}
	return WB_MARK_WISH_NONE;
}

void wb_mark_gate_written(struct wb_mark_gate *gate, enum wb_mark_wish what, int error)
{
	bool opens, tell = false;

	wb_lock_acquire(&gate->lock);
	opens = what == WB_MARK_WISH_DIRTY && !error;
	if (opens) {
		gate->state = WB_GATE_OPEN;
	} else if (what == WB_MARK_WISH_COMPLETE) {
		gate->has_failed = error != 0;
		if (wb_park_count(&gate->parked) > 0) {
			gate->state = WB_GATE_DIRTY_WANTED;
			tell = true;
		} else if (!error) {
			gate->state = WB_GATE_COMPLETE;
		}
	}
	wb_lock_release(&gate->lock);
	if (opens)
		open_gate(gate);
	if (tell)
		gate->wanted(gate->arg);
}

bool wb_mark_gate_is_refusing(struct wb_mark_gate *gate)
{
	return atomic_load(&gate->is_refusing) && wb_mark_gate_is_shut(gate);
}

void wb_mark_gate_refuse(struct wb_mark_gate *gate)
{
	atomic_store(&gate->is_refusing, true);
	wb_park_wake_all(&gate->parked);
}
