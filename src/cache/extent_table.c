/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/extent_table.h"

#include <glib.h>
#include <string.h>

#include "base/lock.h"
#include "base/mutant.h"

#define SPARE_FRAGMENTS 64

struct wb_extent_table {
	struct wb_segment_table *segments;	/* constant */
	size_t capacity;			/* constant after opening; spare included */

	struct wb_lock lock;
	/* under lock */
	struct wb_extent *extents;
	size_t count;
	size_t reserved;

	/* Atomic; stored under lock, from `count`, when a change is whole: who asks without
	 * the lock whether there is anything must not see the middle of one, where an older
	 * extent is gone and the one in its place not there yet. */
	_Atomic size_t published_count;
};

struct wb_extent_table *wb_extent_table_new(struct wb_segment_table *segments,
					    size_t capacity)
{
	struct wb_extent_table *table = g_new0(struct wb_extent_table, 1);

	table->segments = segments;
	table->capacity = capacity + SPARE_FRAGMENTS;
	table->extents = g_new0(struct wb_extent, table->capacity);
	wb_lock_init(&table->lock, WB_RANK_EXTENTS);
	return table;
}

/* After any change of `count`. */
static void publish_and_release(struct wb_extent_table *table)
{
	atomic_store(&table->published_count, table->count);
	wb_lock_release(&table->lock);
}

/* How much is needed a disk says: that it is more than there is, is no reason to abort. */
bool wb_extent_table_make_room(struct wb_extent_table *table, size_t fragments)
{
	size_t need = table->count + table->reserved + fragments + SPARE_FRAGMENTS;
	struct wb_extent *extents;

	if (table->capacity >= need)
		return true;
	extents = g_try_renew(struct wb_extent, table->extents, need + need / 2);
	if (!extents)
		return false;
	table->extents = extents;
	table->capacity = need + need / 2;
	return true;
}

void wb_extent_table_free(struct wb_extent_table *table)
{
	if (!table)
		return;
	wb_lock_clear(&table->lock);
	g_free(table->extents);
	g_free(table);
}

bool wb_extent_table_reserve(struct wb_extent_table *table)
{
	bool ok;

	wb_lock_acquire(&table->lock);
	ok = table->count + table->reserved + WB_EXTENT_FRAGMENTS <=
	     table->capacity - SPARE_FRAGMENTS;
	if (ok)
		table->reserved += WB_EXTENT_FRAGMENTS;
	wb_lock_release(&table->lock);
	return ok;
}

void wb_extent_table_unreserve(struct wb_extent_table *table)
{
	wb_lock_acquire(&table->lock);
	g_assert(table->reserved >= WB_EXTENT_FRAGMENTS);
	table->reserved -= WB_EXTENT_FRAGMENTS;
	wb_lock_release(&table->lock);
}

/* Index of the first extent that ends behind `address`. */
static size_t lower_bound(const struct wb_extent_table *table, uint64_t address)
{
	size_t low = 0, high = table->count;

	while (low < high) {
		size_t mid = (low + high) / 2;
		const struct wb_extent *extent = &table->extents[mid];

		if (extent->first + extent->count <= address)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static void delete_at(struct wb_extent_table *table, size_t i)
{
	struct wb_extent *extent = &table->extents[i];

	wb_segment_sub_dirty(table->segments,
			     wb_segment_of_id(table->segments, extent->segment_id));
	memmove(extent, extent + 1, (table->count - i - 1) * sizeof *extent);
	table->count--;
}

/* A new fragment; the caller sees to its count in the segment. */
static void insert_at(struct wb_extent_table *table, size_t i, const struct wb_extent *extent)
{
	g_assert(table->count < table->capacity);
	memmove(&table->extents[i + 1], &table->extents[i],
		(table->count - i) * sizeof *extent);
	table->extents[i] = *extent;
	table->count++;
}

static void carve_locked(struct wb_extent_table *table, uint64_t first, uint64_t count,
			 enum wb_extent_kind kind)
{
	uint64_t end = first + count;
	size_t i = lower_bound(table, first);

	while (i < table->count && table->extents[i].first < end) {
		struct wb_extent *extent = &table->extents[i];
		uint64_t extent_end = extent->first + extent->count;

		if (kind != WB_EXTENT_NONE && extent->kind != kind) {
			i++;
			continue;
		}
		/* A part of it, too: the rest may be done with before that is durable. */
		wb_segment_is_superseded(table->segments, wb_segment_of_id(table->segments,
					 extent->segment_id), UINT64_MAX);
		if (extent->first < first && extent_end > end) {
			struct wb_extent rest = *extent;

			extent->count = first - extent->first;
			rest.first = end;
			rest.count = extent_end - end;
			wb_segment_add_dirty(table->segments,
				wb_segment_of_id(table->segments, rest.segment_id), 1);
			insert_at(table, i + 1, &rest);
			return;
		} else if (extent->first < first) {
			extent->count = first - extent->first;
			i++;
		} else if (extent_end > end) {
			extent->first = end;
			extent->count = extent_end - end;
			return;
		} else {
			delete_at(table, i);
		}
	}
}

void wb_extent_table_insert(struct wb_extent_table *table, const struct wb_extent *extent)
{
	size_t i;

	g_assert(extent->count > 0 && extent->kind != WB_EXTENT_NONE);
	wb_lock_acquire(&table->lock);
	g_assert(table->reserved >= WB_EXTENT_FRAGMENTS);
	table->reserved -= WB_EXTENT_FRAGMENTS;
	carve_locked(table, extent->first, extent->count, WB_EXTENT_NONE);
	i = lower_bound(table, extent->first);
	/* The usual stream of discards in address order stays one fragment per
	 * record. Lost blocks come single (opening sees to that) and stay so: a
	 * write that cuts one out of many would need room for a fragment that
	 * nobody reserved. */
	if (i > 0) {
		struct wb_extent *before = &table->extents[i - 1];

		if (before->first + before->count == extent->first &&
		    before->sequence == extent->sequence &&
		    before->kind == WB_EXTENT_ZERO && extent->kind == WB_EXTENT_ZERO) {
			before->count += extent->count;
			wb_segment_sub_dirty(table->segments,
				wb_segment_of_id(table->segments, extent->segment_id));
			publish_and_release(table);
			return;
		}
	}
	insert_at(table, i, extent);
	publish_and_release(table);
}

enum wb_extent_kind wb_extent_table_lookup(struct wb_extent_table *table,
					   uint64_t address, uint64_t *until)
{
	enum wb_extent_kind kind = WB_EXTENT_NONE;
	size_t i;

	*until = UINT64_MAX;
	if (wb_extent_table_is_empty(table))
		return kind;
	wb_lock_acquire(&table->lock);
	i = lower_bound(table, address);
	if (i < table->count) {
		const struct wb_extent *extent = &table->extents[i];

		if (extent->first <= address) {
			kind = extent->kind;
			*until = extent->first + extent->count;
		} else {
			*until = extent->first;
		}
	}
	wb_lock_release(&table->lock);
	return kind;
}

bool wb_extent_table_is_empty(struct wb_extent_table *table)
{
	return wb_extent_table_count(table) == 0;
}

size_t wb_extent_table_count(struct wb_extent_table *table)
{
	return atomic_load(&table->published_count);
}

void wb_extent_table_carve(struct wb_extent_table *table, uint64_t first,
			   uint64_t count, enum wb_extent_kind kind)
{
	if (wb_extent_table_is_empty(table))
		return;
	wb_lock_acquire(&table->lock);
	carve_locked(table, first, count, kind);
	publish_and_release(table);
}

static bool find_next(struct wb_extent_table *table, uint64_t from,
		      bool (*is_wanted)(const struct wb_extent *extent, uint64_t limit),
		      uint64_t limit, struct wb_extent *extent)
{
	bool found = false;

	wb_lock_acquire(&table->lock);
	for (size_t i = lower_bound(table, from); i < table->count && !found; i++) {
		found = is_wanted(&table->extents[i], limit);
		if (found)
			*extent = table->extents[i];
	}
	wb_lock_release(&table->lock);
	return found;
}

static bool is_durable_zero(const struct wb_extent *extent, uint64_t durable)
{
	return extent->kind == WB_EXTENT_ZERO &&
	       (extent->sequence <= durable || WB_MUTANT(punch_before_durable));
}

static bool is_bad_of_segment(const struct wb_extent *extent, uint64_t segment_id)
{
	return extent->kind == WB_EXTENT_BAD && extent->segment_id == segment_id;
}

static bool is_zero_of_segment(const struct wb_extent *extent, uint64_t segment_id)
{
	return extent->kind == WB_EXTENT_ZERO && extent->segment_id == segment_id;
}

bool wb_extent_table_next_zero(struct wb_extent_table *table, uint64_t from,
			       uint64_t durable, struct wb_extent *extent)
{
	return find_next(table, from, is_durable_zero, durable, extent);
}

static bool is_kind(const struct wb_extent *extent, uint64_t kind)
{
	return extent->kind == (enum wb_extent_kind)kind;
}

bool wb_extent_table_next(struct wb_extent_table *table, uint64_t from,
			  enum wb_extent_kind kind, struct wb_extent *extent)
{
	return !wb_extent_table_is_empty(table) && find_next(table, from, is_kind, kind, extent);
}

bool wb_extent_table_get(struct wb_extent_table *table, size_t i, struct wb_extent *extent)
{
	bool has;

	wb_lock_acquire(&table->lock);
	has = i < table->count;
	if (has)
		*extent = table->extents[i];
	wb_lock_release(&table->lock);
	return has;
}

size_t wb_extent_table_bad_count(struct wb_extent_table *table)
{
	size_t count = 0;

	if (wb_extent_table_is_empty(table))
		return 0;
	wb_lock_acquire(&table->lock);
	for (size_t i = 0; i < table->count; i++)
		count += table->extents[i].kind == WB_EXTENT_BAD;
	wb_lock_release(&table->lock);
	return count;
}

bool wb_extent_table_next_bad(struct wb_extent_table *table, uint64_t from,
			      uint64_t segment_id, struct wb_extent *extent)
{
	return find_next(table, from, is_bad_of_segment, segment_id, extent);
}

void wb_extent_table_move(struct wb_extent_table *table, uint64_t from_segment,
			  uint64_t above, uint64_t to_segment)
{
	wb_lock_acquire(&table->lock);
	for (size_t i = 0; i < table->count; i++) {
		struct wb_extent *extent = &table->extents[i];

		if (extent->segment_id != from_segment || extent->sequence <= above)
			continue;
		/* In before out: the ring never looks clean in between. */
		wb_segment_add_dirty(table->segments,
				     wb_segment_of_id(table->segments, to_segment), 1);
		extent->segment_id = to_segment;
		wb_segment_sub_dirty(table->segments,
				     wb_segment_of_id(table->segments, from_segment));
	}
	wb_lock_release(&table->lock);
}

bool wb_extent_table_next_zero_of(struct wb_extent_table *table, uint64_t from,
				  uint64_t segment_id, struct wb_extent *extent)
{
	return find_next(table, from, is_zero_of_segment, segment_id, extent);
}

/* An extent that reaches beyond both ends: TRUE when there is one. */
static bool finish_inside_locked(struct wb_extent_table *table, uint64_t from, uint64_t end,
				 uint64_t durable)
{
	size_t i = lower_bound(table, from);
	const struct wb_extent *extent = &table->extents[i];

	if (i == table->count || extent->first >= from || extent->first + extent->count <= end)
		return false;
	if (is_durable_zero(extent, durable) &&
	    table->count + table->reserved + WB_EXTENT_FRAGMENTS <=
		    table->capacity - SPARE_FRAGMENTS)
		carve_locked(table, from, end - from, WB_EXTENT_ZERO);
	return true;
}

/* What is left of an extent without [from, end), which is not inside it. FALSE:
 * nothing. */
static bool trim(struct wb_extent *extent, uint64_t from, uint64_t end)
{
	uint64_t extent_end = extent->first + extent->count;

	if (extent->first < from) {
		extent->count = MIN(from, extent_end) - extent->first;
	} else if (extent_end > end) {
		extent->first = MAX(end, extent->first);
		extent->count = extent_end - extent->first;
	} else {
		return false;
	}
	return true;
}

size_t wb_extent_table_finish_zeros(struct wb_extent_table *table, uint64_t from,
				    uint64_t end, uint64_t durable)
{
	size_t kept = 0, gone = 0;

	wb_lock_acquire(&table->lock);
	if (!finish_inside_locked(table, from, end, durable)) {
		for (size_t i = 0; i < table->count; i++) {
			struct wb_extent extent = table->extents[i];

			if (is_durable_zero(&extent, durable) && !trim(&extent, from, end))
				wb_segment_sub_dirty(table->segments,
					wb_segment_of_id(table->segments, extent.segment_id));
			else
				table->extents[kept++] = extent;
		}
		gone = table->count - kept;
		table->count = kept;
	}
	publish_and_release(table);
	return gone;
}
