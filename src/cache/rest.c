/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/rest.h"

#include "base/mutant.h"

#define SECOND_NS UINT64_C(1000000000)
#define TROUBLE_NS (60 * SECOND_NS)	/* nothing else is left when nothing moved for so long */

/* For how long something has been dirty that has not had its turn. What is dirty after
 * a pass, in a segment that others go on filling, is newer than its beginning. */
static void note_dirty(struct wb_rest *rest, const struct wb_rest_look *look)
{
	if (look->is_clean)
		rest->dirty_since_ns = look->now_ns;
}

static uint64_t dirty_for_ns(const struct wb_rest *rest, const struct wb_rest_look *look)
{
	return look->now_ns - rest->dirty_since_ns;
}

static bool is_stuck(struct wb_rest *rest, const struct wb_rest_look *look)
{
	if (look->blocks != rest->seen_blocks || !look->has_trouble)
		rest->progress_ns = look->now_ns;
	rest->seen_blocks = look->blocks;
	return look->now_ns - rest->progress_ns >= TROUBLE_NS;
}

/* All before the segment that was being filled is free; what lay in that one was durable
 * when the next batch began, if not before, and the one after it leaves nothing. */
static bool is_over(struct wb_rest *rest, const struct wb_rest_look *look)
{
	if (look->is_clean || is_stuck(rest, look) || look->tail_segment > rest->pass_segment)
		return true;
	if (look->tail_segment < rest->pass_segment)
		return false;
	if (!rest->last_batches)
		rest->last_batches = look->batches + 2;
	return look->batches >= rest->last_batches;
}

static void end_pass(struct wb_rest *rest, const struct wb_rest_look *look)
{
	if (rest->pass == WB_PASS_NONE || !is_over(rest, look) || WB_MUTANT(pass_never_ends))
		return;
	rest->pass = WB_PASS_NONE;
	rest->dirty_since_ns = MAX(rest->dirty_since_ns, rest->pass_began_ns);
}

static bool is_due(const struct wb_rest *rest, const struct wb_rest_policy *policy,
		   const struct wb_rest_look *look)
{
	return policy->schedule.every_s && !look->is_clean &&
	       dirty_for_ns(rest, look) >= policy->schedule.every_s * SECOND_NS;
}

static void begin_pass(struct wb_rest *rest, const struct wb_rest_policy *policy,
		       const struct wb_rest_look *look)
{
	bool is_full = look->used_percent > policy->high_percent && !look->is_clean;

	if (rest->pass == WB_PASS_FULL || (!is_full && (rest->pass == WB_PASS_DUE ||
							!is_due(rest, policy, look))))
		return;
	rest->pass = is_full ? WB_PASS_FULL : WB_PASS_DUE;
	rest->pass_began_ns = look->now_ns;
	rest->pass_segment = look->head_segment;
	rest->progress_ns = look->now_ns;
	rest->last_batches = 0;
}

/* Without users; and when it rests, for how long by the clock. */
static enum wb_rest_verdict judge(struct wb_rest *rest, const struct wb_rest_policy *policy,
				  const struct wb_rest_look *look)
{
	const struct wb_schedule *schedule = &policy->schedule;
	uint64_t dirty_ns = dirty_for_ns(rest, look);
	uint64_t every_ns = schedule->every_s * SECOND_NS;
	uint32_t due_in_s = UINT32_MAX;

	if (wb_schedule_is_always(schedule) || wb_schedule_is_open(schedule, look->local_second))
		return WB_REST_IN_WINDOW;
	if (rest->pass == WB_PASS_DUE)
		return WB_REST_PASS_DUE;
	if (schedule->every_s)
		due_in_s = dirty_ns >= every_ns ? 0 : (uint32_t)((every_ns - dirty_ns + SECOND_NS - 1) /
								 SECOND_NS);
	rest->resumes_in_s = MIN(due_in_s, wb_schedule_opens_in_s(schedule, look->local_second));
	return rest->resumes_in_s == UINT32_MAX ? WB_REST_UNTIL_FULL : WB_REST_UNTIL_TIME;
}

void wb_rest_update(struct wb_rest *rest, const struct wb_rest_policy *policy,
		    const struct wb_rest_look *look)
{
	if (wb_schedule_is_always(&policy->schedule) && !policy->idle_s) {
		*rest = (struct wb_rest){ .dirty_since_ns = look->now_ns };
		return;
	}
	note_dirty(rest, look);
	end_pass(rest, look);
	begin_pass(rest, policy, look);
	rest->resumes_in_s = 0;
	rest->verdict = rest->pass == WB_PASS_FULL ? WB_REST_PASS_FULL :
						     judge(rest, policy, look);
	if (rest->verdict != WB_REST_PASS_FULL && !wb_rest_is_resting(rest->verdict) &&
	    look->idle_ns < policy->idle_s * SECOND_NS)
		rest->verdict = WB_REST_UNTIL_IDLE;
	if (rest->verdict == WB_REST_IN_WINDOW)
		rest->dirty_since_ns = look->now_ns;
	if (wb_rest_is_resting(rest->verdict) && WB_MUTANT(never_rests))
		rest->verdict = WB_REST_IN_WINDOW;
}
