/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/segment_table.h"

#include <errno.h>
#include <glib.h>

#include "base/memory.h"
#include "base/mutant.h"
#include "cache/cache.h"

struct wb_segment_table {
	/* constant after opening */
	struct wb_geometry geometry;
	struct wb_segment *segments;
	void (*unpinned)(void *arg);
	void *unpinned_arg;
	struct wb_clock *clock;

	/* atomic; not in the line of what every request reads */
	_Atomic uint64_t dirty_total __attribute__((aligned(WB_CACHE_LINE_BYTES)));
	_Atomic uint64_t bad_count;
	_Atomic uint32_t watchers;
	_Atomic uint64_t superseded_count;	/* while there is one */
	atomic_bool wants_unpinned;
};

static size_t memory_bytes(const struct wb_segment_table *table)
{
	return table->geometry.segment_count * sizeof(struct wb_segment);
}

/* How large it is a superblock says. */
struct wb_segment_table *wb_segment_table_new(const struct wb_geometry *geometry, GError **error)
{
	struct wb_segment_table *table = g_aligned_alloc0(1, sizeof *table, WB_CACHE_LINE_BYTES);

	table->geometry = *geometry;
	table->segments = wb_memory_map(memory_bytes(table));
	if (!table->segments) {
		g_set_error(error, WB_CACHE_ERROR, WB_CACHE_ERROR_LIMIT,
			    "cannot get %zu MiB of memory for the table of segments: %s",
			    memory_bytes(table) >> 20, g_strerror(errno));
		g_aligned_free(table);
		return NULL;
	}
	for (uint64_t place = 0; place < geometry->segment_count; place++) {
		table->segments[place].ram_index = WB_NO_RAM_BUFFER;
		table->segments[place].ram_pins = WB_RAM_CLOSED;
	}
	return table;
}

void wb_segment_table_free(struct wb_segment_table *table)
{
	if (!table)
		return;
	wb_memory_unmap(table->segments, memory_bytes(table));
	g_aligned_free(table);
}

void wb_segment_table_set_clock(struct wb_segment_table *table, struct wb_clock *clock)
{
	table->clock = clock;
}

void wb_segment_table_set_unpinned(struct wb_segment_table *table,
				   void (*unpinned)(void *arg), void *arg)
{
	table->unpinned = unpinned;
	table->unpinned_arg = arg;
}

struct wb_segment *wb_segment_at(struct wb_segment_table *table, uint64_t place)
{
	g_assert(place < table->geometry.segment_count);
	return &table->segments[place];
}

uint64_t wb_segment_table_count(const struct wb_segment_table *table)
{
	return table->geometry.segment_count;
}

struct wb_segment *wb_segment_of_slot(struct wb_segment_table *table, uint32_t slot)
{
	return wb_segment_at(table, wb_geometry_slot_place(&table->geometry, slot));
}

struct wb_segment *wb_segment_of_id(struct wb_segment_table *table, uint64_t id)
{
	return wb_segment_at(table, wb_geometry_place(&table->geometry, id));
}

bool wb_segment_table_mark_bad(struct wb_segment_table *table, uint64_t place)
{
	if (atomic_exchange(&wb_segment_at(table, place)->is_bad, true))
		return false;
	atomic_fetch_add(&table->bad_count, 1);
	return true;
}

uint64_t wb_segment_table_bad_count(const struct wb_segment_table *table)
{
	return atomic_load(&table->bad_count);
}

uint64_t wb_segment_table_good_count(const struct wb_segment_table *table)
{
	return wb_segment_table_count(table) - wb_segment_table_bad_count(table);
}

void wb_segment_add_dirty(struct wb_segment_table *table, struct wb_segment *segment,
			  uint32_t count)
{
	if (!count)
		return;
	if (atomic_fetch_add(&segment->dirty_count, count) == 0 && table->clock)
		segment->dirty_since_ns = wb_clock_now_ns(table->clock);
	atomic_fetch_add(&table->dirty_total, count);
}

void wb_segment_sub_dirty(struct wb_segment_table *table, struct wb_segment *segment)
{
	uint32_t old;

	if (WB_MUTANT(extents_uncounted) && atomic_load(&segment->dirty_count) == 0)
		return;
	old = atomic_fetch_sub(&segment->dirty_count, 1);
	g_assert(old > 0);
	atomic_fetch_sub(&table->dirty_total, 1);
}

void wb_segment_is_superseded(struct wb_segment_table *table, struct wb_segment *segment,
			      uint64_t sequence)
{
	uint64_t old = atomic_load(&segment->superseded_by);

	if (atomic_load(&table->watchers) > 0)
		atomic_fetch_add(&table->superseded_count, 1);
	while (old < sequence &&
	       !atomic_compare_exchange_weak(&segment->superseded_by, &old, sequence))
		;
}

void wb_segment_table_watch(struct wb_segment_table *table)
{
	atomic_fetch_add(&table->watchers, 1);
}

void wb_segment_table_unwatch(struct wb_segment_table *table)
{
	atomic_fetch_sub(&table->watchers, 1);
}

uint64_t wb_segment_table_superseded(struct wb_segment_table *table)
{
	return atomic_load(&table->superseded_count);
}

uint64_t wb_segment_table_dirty(struct wb_segment_table *table)
{
	return atomic_load(&table->dirty_total);
}

static void tell_unpinned(struct wb_segment_table *table)
{
	if (atomic_load(&table->wants_unpinned) &&
	    atomic_exchange(&table->wants_unpinned, false) && table->unpinned)
		table->unpinned(table->unpinned_arg);
}

void wb_segment_table_want_unpinned(struct wb_segment_table *table)
{
	atomic_store(&table->wants_unpinned, true);
}

void wb_segment_pin(struct wb_segment *segment)
{
	atomic_fetch_add(&segment->pins, 1);
}

void wb_segment_unpin(struct wb_segment_table *table, struct wb_segment *segment)
{
	uint32_t old = atomic_fetch_sub(&segment->pins, 1);

	g_assert(old > 0);
	if (old == 1)
		tell_unpinned(table);
}

bool wb_segment_try_ram_pin(struct wb_segment *segment)
{
	uint32_t old = atomic_load(&segment->ram_pins);

	do {
		if (old & WB_RAM_CLOSED)
			return false;
	} while (!atomic_compare_exchange_weak(&segment->ram_pins, &old, old + 1));
	return true;
}

void wb_segment_ram_unpin(struct wb_segment_table *table, struct wb_segment *segment)
{
	uint32_t old = atomic_fetch_sub(&segment->ram_pins, 1);

	g_assert((old & ~WB_RAM_CLOSED) > 0);
	if (old == (WB_RAM_CLOSED | 1))
		tell_unpinned(table);
}

bool wb_segment_ram_close(struct wb_segment *segment)
{
	return (atomic_fetch_or(&segment->ram_pins, WB_RAM_CLOSED) & ~WB_RAM_CLOSED) == 0;
}
