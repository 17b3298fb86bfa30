/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which gaps between the blocks of a portion are filled: written over with what is
 * there, so that what lies on both sides becomes one write. Pure.
 *
 * A write that is begun anew costs a hop; over a gap that is filled it costs the time
 * that the gap takes to pass under the head. Data of gaps that are not in the cache has
 * to be read first, which is one read of the whole extent and a turn back. Greedy: from
 * each block on the extent that saves most, if any does; so a plan is never worse than
 * filling nothing, nor than filling all that may be filled.
 */
#ifndef WB_CACHE_GAP_PLAN_H
#define WB_CACHE_GAP_PLAN_H

#include "cache/disk_model.h"
#include "cache/writeback_plan.h"

/* Sets fills_gap of the blocks, which are in ascending order. Of each, may_fill says
 * whether the gap before it may be filled, and has_cached_gap whether all its data is in
 * the cache. No filling goes on for longer than `extent_blocks`. */
void wb_gap_plan(struct wb_batch_block *blocks, size_t count, size_t extent_blocks,
		 const struct wb_disk_model *model);

/* What the model expects the plan to take, for comparison. */
double wb_gap_plan_cost_ns(const struct wb_batch_block *blocks, size_t count,
			   const struct wb_disk_model *model);

/* Whether one read goes over that many blocks which need not be read, rather than that
 * another one begins behind them. */
bool wb_gap_plan_reads_on(const struct wb_disk_model *model, uint64_t between_blocks);

/* How many of the blocks have room together with the gaps that are filled before them;
 * *entries: how much of it they take. At least one. */
size_t wb_gap_plan_fit(const struct wb_batch_block *blocks, size_t count, size_t room,
		       size_t *entries);
/* Makes a block of each that is to be filled: `entries` then, without data and slot. */
void wb_gap_plan_expand(struct wb_batch_block *blocks, size_t count, size_t entries);

#endif
