/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/read_policy.h"

#include <errno.h>
#include <stdatomic.h>

#include "base/lines.h"
#include "base/lock.h"
#include "base/memory.h"
#include "cache/cache.h"
#include "cache/limits.h"

enum { SHADOW_HALF = WB_PLANS, SHADOW_DOUBLE, SHADOW_FOURFOLD, SHADOW_COUNT };

struct wb_read_policy {
	/* constant after new */
	uint32_t slot_count;
	unsigned sample_shift;		/* one block in 2^shift is sampled */
	size_t memory_bytes;
	_Atomic uint8_t *marks;		/* of each slot */
	struct wb_ghost ghost;
	struct wb_lock lock;

	/* under lock */
	struct wb_shadow *shadows[SHADOW_COUNT];
	uint64_t hits[SHADOW_COUNT], reads;	/* of late: what is forecast */
	uint64_t won[WB_PLANS], tried;	/* for longer: by what a plan is chosen */
	uint64_t seen_before;
	double expected;		/* reads, had the sample had its share of all */
	uint32_t window, long_window;	/* sampled reads after which the past counts half */

	/* atomic */
	_Atomic enum wb_read_plan plan;
	struct {			/* blocks read, sampled or not */
		_Atomic uint64_t count;
		char gap[WB_CACHE_LINE_BYTES - sizeof(uint64_t)];
	} seen[WB_THREAD_STRIPES];
	atomic_bool is_full;
};

/* The finaliser of MurmurHash3 (Austin Appleby, public domain): all bits mixed. */
static uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= UINT64_C(0xff51afd7ed558ccd);
	x ^= x >> 33;
	x *= UINT64_C(0xc4ceb9fe1a85ec53);
	return x ^ x >> 33;
}

/* By the top bits, which say nothing else. */
static bool is_sampled(const struct wb_read_policy *policy, uint64_t hash)
{
	return policy->sample_shift == 0 || hash >> (64 - policy->sample_shift) == 0;
}

struct wb_read_policy *wb_read_policy_new(const struct wb_geometry *geometry, GError **error)
{
	struct wb_read_policy *policy = g_new0(struct wb_read_policy, 1);
	uint32_t slots = geometry->slot_count, sample = slots;

	policy->slot_count = slots;
	policy->ghost.count = MAX(slots / WB_GHOST_PART, 1);
	policy->memory_bytes = policy->ghost.count * sizeof *policy->ghost.buckets + slots;
	policy->ghost.buckets = wb_memory_map(policy->memory_bytes);
	if (!policy->ghost.buckets) {
		g_set_error(error, WB_CACHE_ERROR, WB_CACHE_ERROR_LIMIT,
			    "cannot get %zu KiB of memory for what was read: %s",
			    policy->memory_bytes >> 10, g_strerror(errno));
		g_free(policy);
		return NULL;
	}
	policy->marks = (_Atomic uint8_t *)&policy->ghost.buckets[policy->ghost.count];
	while (sample > WB_SHADOW_SLOTS_MAX) {
		sample /= 2;
		policy->sample_shift++;
	}
	for (unsigned i = 0; i < WB_PLANS; i++)
		policy->shadows[i] = wb_shadow_new(sample);
	policy->shadows[SHADOW_HALF] = wb_shadow_new(sample / 2);
	policy->shadows[SHADOW_DOUBLE] = wb_shadow_new(sample * 2);
	policy->shadows[SHADOW_FOURFOLD] = wb_shadow_new(sample * 4);
	policy->window = sample * WB_FORECAST_WINDOW;
	policy->long_window = sample * WB_PLAN_WINDOW;
	policy->plan = WB_PLAN_CLOCK;
	wb_lock_init(&policy->lock, WB_RANK_POLICY);
	return policy;
}

void wb_read_policy_free(struct wb_read_policy *policy)
{
	if (!policy)
		return;
	for (unsigned i = 0; i < SHADOW_COUNT; i++)
		wb_shadow_free(policy->shadows[i]);
	wb_lock_clear(&policy->lock);
	wb_memory_unmap(policy->ghost.buckets, policy->memory_bytes);
	g_free(policy);
}

/* --- the sample --------------------------------------------------------------------- */

/* Another plan must be better by something: the log does not change its mind for luck. */
static void elect(struct wb_read_policy *policy)
{
	enum wb_read_plan now = policy->plan, best = now;

	for (unsigned i = 0; i < WB_PLANS; i++)
		if (policy->won[i] > policy->won[best])
			best = i;
	if (policy->won[best] > policy->won[now] + policy->tried / 256)
		policy->plan = best;
}

static enum wb_read_plan plan_of(struct wb_read_policy *policy, unsigned shadow)
{
	return shadow < WB_PLANS ? (enum wb_read_plan)shadow : policy->plan;
}

static void expect(struct wb_read_policy *policy)
{
	uint64_t seen = 0;

	for (unsigned i = 0; i < WB_THREAD_STRIPES; i++)
		seen += atomic_load_explicit(&policy->seen[i].count, memory_order_relaxed);
	policy->expected += (double)(seen - policy->seen_before) /
			    (double)(UINT64_C(1) << policy->sample_shift);
	policy->seen_before = seen;
}

/* The past counts half from time to time. */
static void age(uint64_t *reads, uint32_t window, uint64_t *hits, unsigned count)
{
	if (*reads < 2 * (uint64_t)window)
		return;
	*reads /= 2;
	for (unsigned i = 0; i < count; i++)
		hits[i] /= 2;
}

static void sample_read(struct wb_read_policy *policy, uint64_t hash)
{
	uint64_t reads;

	wb_lock_acquire(&policy->lock);
	for (unsigned i = 0; i < SHADOW_COUNT; i++) {
		bool hit = wb_shadow_read(policy->shadows[i], hash, plan_of(policy, i));

		policy->hits[i] += hit;
		if (i < WB_PLANS)
			policy->won[i] += hit;
	}
	expect(policy);
	if (++policy->tried % 64 == 0)
		elect(policy);
	age(&policy->tried, policy->long_window, policy->won, WB_PLANS);
	reads = ++policy->reads;
	age(&policy->reads, policy->window, policy->hits, SHADOW_COUNT);
	if (policy->reads < reads)
		policy->expected /= 2;
	wb_lock_release(&policy->lock);
}

static void sample_write(struct wb_read_policy *policy, uint64_t hash)
{
	wb_lock_acquire(&policy->lock);
	for (unsigned i = 0; i < SHADOW_COUNT; i++)
		wb_shadow_write(policy->shadows[i], hash, plan_of(policy, i));
	wb_lock_release(&policy->lock);
}

void wb_read_policy_note_reads(struct wb_read_policy *policy, uint64_t first, uint32_t count)
{
	atomic_fetch_add_explicit(&policy->seen[wb_thread_stripe()].count, count,
				  memory_order_relaxed);
	for (uint64_t address = first; address < first + count; address++) {
		uint64_t hash = mix(address);

		if (is_sampled(policy, hash))
			sample_read(policy, hash);
	}
}

void wb_read_policy_note_writes(struct wb_read_policy *policy, uint64_t first, uint32_t count)
{
	for (uint64_t address = first; address < first + count; address++) {
		uint64_t hash = mix(address);

		if (is_sampled(policy, hash))
			sample_write(policy, hash);
	}
}

/*
 * The sample has its share of the blocks, but hardly of the reads: a few blocks have
 * most of those. What it has too few or too many are reads of such blocks, which are hits
 * in a cache of any size (Waldspurger et al., "SHARDS", 2015).
 */
static double percent_locked(const struct wb_read_policy *policy, unsigned shadow)
{
	double hits = (double)policy->hits[shadow] + policy->expected - (double)policy->reads;

	return policy->expected > 0 ? CLAMP(100 * hits / policy->expected, 0, 100) : 0;
}

const char *wb_read_plan_name(enum wb_read_plan plan)
{
	static const char *const names[WB_PLANS] = {
		[WB_PLAN_CLOCK] = "clock", [WB_PLAN_COUNT] = "count", [WB_PLAN_SECOND] = "second",
		[WB_PLAN_KEEP] = "keep",
	};

	return names[plan];
}

void wb_read_policy_forecast(struct wb_read_policy *policy, struct wb_read_forecast *forecast)
{
	wb_lock_acquire(&policy->lock);
	forecast->plan = policy->plan;
	forecast->is_known = policy->expected > 0;
	forecast->at_half = percent_locked(policy, SHADOW_HALF);
	forecast->at_same = percent_locked(policy, policy->plan);
	forecast->at_double = percent_locked(policy, SHADOW_DOUBLE);
	forecast->at_fourfold = percent_locked(policy, SHADOW_FOURFOLD);
	wb_lock_release(&policy->lock);
}

/* --- marks ---------------------------------------------------------------------------- */

void wb_read_policy_note_hits(struct wb_read_policy *policy, uint32_t slot, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		uint8_t mark = atomic_load_explicit(&policy->marks[slot + i],
						    memory_order_relaxed);

		/* Most often it is at its end, and the line stays shared. */
		if ((mark & WB_READ_MARK_MAX) < WB_READ_MARK_MAX)
			atomic_store_explicit(&policy->marks[slot + i], (uint8_t)(mark + 1),
					      memory_order_relaxed);
	}
}

void wb_read_policy_set_mark(struct wb_read_policy *policy, uint32_t slot, unsigned mark)
{
	atomic_store_explicit(&policy->marks[slot], (uint8_t)mark,
			      memory_order_relaxed);
}

void wb_read_policy_was_replaced(struct wb_read_policy *policy, uint32_t old_slot,
				 uint32_t new_slot)
{
	unsigned old_mark = wb_read_policy_mark(policy, old_slot);

	/* Mostly nothing of it was read, and the new one is 0 already. */
	if (old_mark != 0)
		wb_read_policy_set_mark(policy, new_slot, wb_plan_written_mark(old_mark));
}

void wb_read_policy_clear(struct wb_read_policy *policy, uint32_t slot, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		wb_read_policy_set_mark(policy, slot + i, 0);
}

unsigned wb_read_policy_mark(struct wb_read_policy *policy, uint32_t slot)
{
	return atomic_load_explicit(&policy->marks[slot], memory_order_relaxed);
}

/* --- decisions ------------------------------------------------------------------------ */

void wb_read_policy_is_full(struct wb_read_policy *policy)
{
	atomic_store_explicit(&policy->is_full, true, memory_order_relaxed);
}

bool wb_read_policy_missed(struct wb_read_policy *policy, uint64_t address, uint8_t *mark)
{
	uint64_t hash = mix(address);
	enum wb_read_plan plan = policy->plan;
	bool again = wb_ghost_take(&policy->ghost, hash);

	*mark = wb_plan_fill_mark(plan, again);
	if (again || plan != WB_PLAN_SECOND || !policy->is_full)
		return true;
	wb_ghost_put(&policy->ghost, hash);
	return false;
}

unsigned wb_read_policy_next_mark(struct wb_read_policy *policy, uint32_t slot)
{
	return wb_plan_next_mark(policy->plan, wb_read_policy_mark(policy, slot));
}

uint32_t wb_read_policy_choose(struct wb_read_policy *policy, uint32_t first_slot,
			       bool *live, uint32_t count)
{
	return wb_plan_choose(policy->plan, &policy->marks[first_slot], live, count);
}

void wb_read_policy_fell_out(struct wb_read_policy *policy, uint64_t address)
{
	wb_ghost_put(&policy->ghost, mix(address));
}
