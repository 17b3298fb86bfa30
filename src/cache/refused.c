/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/refused.h"

#include <glib.h>
#include <stdatomic.h>
#include <string.h>

#include "base/lock.h"
#include "cache/limits.h"

struct wb_refused {
	struct wb_lock lock;
	/* written by the worker, under lock; read by it without */
	size_t count;
	struct wb_refused_range ranges[WB_REFUSED_RANGES_MAX];

	/* worker only: of the pass */
	uint64_t now_ns;
	unsigned taken_count;

	/* atomic */
	atomic_bool retry_now;
};

struct wb_refused *wb_refused_new(void)
{
	struct wb_refused *refused = g_new0(struct wb_refused, 1);

	wb_lock_init(&refused->lock, WB_RANK_EXTENTS);
	return refused;
}

void wb_refused_free(struct wb_refused *refused)
{
	if (!refused)
		return;
	wb_lock_clear(&refused->lock);
	g_free(refused);
}

static uint64_t end_of(const struct wb_refused_range *range)
{
	return range->first + range->count;
}

/* Index of the first range that ends behind `address`. */
static size_t lower_bound(const struct wb_refused *refused, uint64_t address)
{
	size_t low = 0, high = refused->count;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (end_of(&refused->ranges[mid]) <= address)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static struct wb_refused_range *find(struct wb_refused *refused, uint64_t address,
				     uint64_t *until)
{
	size_t i = lower_bound(refused, address);
	struct wb_refused_range *range = i < refused->count ? &refused->ranges[i] : NULL;
	bool is_in = range && range->first <= address;

	if (until)
		*until = !range ? UINT64_MAX : is_in ? end_of(range) : range->first;
	return is_in ? range : NULL;
}

static void delete_at(struct wb_refused *refused, size_t i)
{
	memmove(&refused->ranges[i], &refused->ranges[i + 1],
		(refused->count - i - 1) * sizeof refused->ranges[0]);
	refused->count--;
}

static bool insert_at(struct wb_refused *refused, size_t i,
		      const struct wb_refused_range *range)
{
	if (refused->count == WB_REFUSED_RANGES_MAX)
		return false;
	memmove(&refused->ranges[i + 1], &refused->ranges[i],
		(refused->count - i) * sizeof refused->ranges[0]);
	refused->ranges[i] = *range;
	refused->count++;
	return true;
}

static void carve(struct wb_refused *refused, uint64_t first, uint64_t end)
{
	size_t i = lower_bound(refused, first);

	while (i < refused->count && refused->ranges[i].first < end) {
		struct wb_refused_range *range = &refused->ranges[i];
		struct wb_refused_range rest = *range;

		rest.first = end;
		rest.count = end_of(range) - MIN(end, end_of(range));
		if (range->first < first) {
			range->count = first - range->first;
			i++;
			/* Without room the rest is forgotten: tried sooner. */
			if (rest.count > 0)
				insert_at(refused, i, &rest);
		} else if (rest.count > 0) {
			*range = rest;
		} else {
			delete_at(refused, i);
		}
	}
}

static bool can_join(const struct wb_refused_range *a, const struct wb_refused_range *b)
{
	return end_of(a) == b->first && a->error == b->error && a->tries == b->tries &&
	       a->is_taken == b->is_taken;
}

static void join_at(struct wb_refused *refused, size_t i)
{
	struct wb_refused_range *a = &refused->ranges[i], *b = a + 1;

	if (i + 1 >= refused->count || !can_join(a, b))
		return;
	a->count += b->count;
	a->since_ns = MIN(a->since_ns, b->since_ns);
	a->retry_at_ns = MAX(a->retry_at_ns, b->retry_at_ns);
	a->was_seen |= b->was_seen;
	delete_at(refused, i + 1);
}

bool wb_refused_add(struct wb_refused *refused, uint64_t first, uint64_t count, int error,
		    uint64_t now_ns)
{
	struct wb_refused_range range = { .first = first, .count = count, .error = error,
					  .since_ns = now_ns, .was_seen = true };
	size_t i;
	bool ok;

	wb_lock_acquire(&refused->lock);
	for (i = lower_bound(refused, first);
	     i < refused->count && refused->ranges[i].first < first + count; i++) {
		range.tries = MAX(range.tries, refused->ranges[i].tries);
		range.since_ns = MIN(range.since_ns, refused->ranges[i].since_ns);
	}
	range.retry_at_ns = now_ns + MIN(WB_RETRY_FIRST_NS << MIN(range.tries, 10u),
					 WB_RETRY_LAST_NS);
	range.tries++;
	carve(refused, first, first + count);
	i = lower_bound(refused, first);
	ok = insert_at(refused, i, &range);
	if (ok) {
		join_at(refused, i);
		if (i > 0)
			join_at(refused, i - 1);
	}
	wb_lock_release(&refused->lock);
	return ok;
}

bool wb_refused_is_empty(struct wb_refused *refused)
{
	return refused->count == 0;
}

bool wb_refused_has(struct wb_refused *refused, uint64_t address, uint64_t *until)
{
	return find(refused, address, until) != NULL;
}

unsigned wb_refused_tries(struct wb_refused *refused, uint64_t address)
{
	const struct wb_refused_range *range = find(refused, address, NULL);

	return range ? range->tries : 0;
}

void wb_refused_begin_pass(struct wb_refused *refused, uint64_t now_ns)
{
	bool retry_now = atomic_exchange(&refused->retry_now, false);

	refused->now_ns = now_ns;
	refused->taken_count = 0;
	wb_lock_acquire(&refused->lock);
	for (size_t i = 0; i < refused->count; i++) {
		struct wb_refused_range *range = &refused->ranges[i];

		range->was_seen = range->is_taken = false;
		if (retry_now) {
			range->tries = 0;
			range->retry_at_ns = now_ns;
		}
	}
	wb_lock_release(&refused->lock);
}

bool wb_refused_may_take(struct wb_refused *refused, uint64_t address, uint64_t *until)
{
	struct wb_refused_range *range = find(refused, address, until);

	if (!range)
		return true;
	if (range->was_seen)
		return range->is_taken;
	wb_lock_acquire(&refused->lock);
	range->was_seen = true;
	range->is_taken = range->retry_at_ns <= refused->now_ns &&
			  refused->taken_count < WB_REFUSED_RETRIES_MAX;
	refused->taken_count += range->is_taken;
	wb_lock_release(&refused->lock);
	return range->is_taken;
}

static void forget(struct wb_refused *refused,
		   bool (*is_over)(const struct wb_refused *, const struct wb_refused_range *))
{
	wb_lock_acquire(&refused->lock);
	for (size_t i = refused->count; i-- > 0;) {
		if (is_over(refused, &refused->ranges[i]))
			delete_at(refused, i);
	}
	wb_lock_release(&refused->lock);
}

static bool is_idle(const struct wb_refused *refused, const struct wb_refused_range *range)
{
	return !range->was_seen && range->retry_at_ns <= refused->now_ns;
}

static bool is_taken(const struct wb_refused *refused, const struct wb_refused_range *range)
{
	(void)refused;
	return range->is_taken;
}

void wb_refused_end_pass(struct wb_refused *refused)
{
	forget(refused, is_idle);
}

void wb_refused_taken_are_done(struct wb_refused *refused)
{
	forget(refused, is_taken);
}

bool wb_refused_is_held(struct wb_refused *refused, uint64_t address, uint64_t *until)
{
	struct wb_refused_range *range = find(refused, address, until);

	return range && !range->is_taken;
}

bool wb_refused_were_held(struct wb_refused *refused, unsigned *least_tries)
{
	bool any = false;

	*least_tries = G_MAXUINT;
	for (size_t i = 0; i < refused->count; i++) {
		const struct wb_refused_range *range = &refused->ranges[i];

		if (range->was_seen && !range->is_taken) {
			any = true;
			*least_tries = MIN(*least_tries, range->tries);
		}
	}
	return any;
}

void wb_refused_retry_now(struct wb_refused *refused)
{
	atomic_store(&refused->retry_now, true);
}

size_t wb_refused_copy(struct wb_refused *refused, struct wb_refused_range *ranges,
		       size_t room, size_t *total_count, uint64_t *total_blocks)
{
	size_t used = 0;

	*total_count = 0;
	*total_blocks = 0;
	wb_lock_acquire(&refused->lock);
	for (size_t i = 0; i < refused->count; i++) {
		const struct wb_refused_range *range = &refused->ranges[i];
		struct wb_refused_range *last = used > 0 ? &ranges[used - 1] : NULL;

		*total_blocks += range->count;
		/* Only the last that was counted may grow. */
		if (last && *total_count == used && end_of(last) == range->first &&
		    last->error == range->error) {
			last->count += range->count;
			last->since_ns = MIN(last->since_ns, range->since_ns);
			last->retry_at_ns = MIN(last->retry_at_ns, range->retry_at_ns);
			continue;
		}
		++*total_count;
		if (used < room)
			ranges[used++] = *range;
	}
	wb_lock_release(&refused->lock);
	return used;
}
