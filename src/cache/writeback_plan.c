/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/writeback_plan.h"

#include <string.h>

/*
 * Heapsort, because the C library's qsort() takes memory for large arrays, and
 * writeback may be what frees memory.
 */
struct heap {
	char *items;
	size_t bytes;			/* of each, at most ITEM_BYTES_MAX */
	uint64_t (*key)(const void *item);
};

#define ITEM_BYTES_MAX 64u

_Static_assert(sizeof(struct wb_batch_block) <= ITEM_BYTES_MAX, "swap() has room for it");

static char *item(const struct heap *heap, size_t i)
{
	return heap->items + i * heap->bytes;
}

static uint64_t key_at(const struct heap *heap, size_t i)
{
	return heap->key(item(heap, i));
}

static void swap(const struct heap *heap, size_t a, size_t b)
{
	char t[ITEM_BYTES_MAX];

	memcpy(t, item(heap, a), heap->bytes);
	memcpy(item(heap, a), item(heap, b), heap->bytes);
	memcpy(item(heap, b), t, heap->bytes);
}

static void sift_down(const struct heap *heap, size_t at, size_t count)
{
	for (;;) {
		size_t child = 2 * at + 1;

		if (child >= count)
			return;
		if (child + 1 < count && key_at(heap, child + 1) > key_at(heap, child))
			child++;
		if (key_at(heap, child) <= key_at(heap, at))
			return;
		swap(heap, at, child);
		at = child;
	}
}

static void sort(const struct heap *heap, size_t count)
{
	for (size_t i = count / 2; i-- > 0;)
		sift_down(heap, i, count);
	for (size_t end = count; end-- > 1;) {
		swap(heap, 0, end);
		sift_down(heap, 0, end);
	}
}

static uint64_t address_of(const void *block)
{
	return ((const struct wb_batch_block *)block)->address;
}

static uint64_t slot_of(const void *written)
{
	return ((const struct wb_written_block *)written)->slot;
}

void wb_writeback_plan_sort(struct wb_batch_block *blocks, size_t count)
{
	sort(&(struct heap){ (char *)blocks, sizeof *blocks, address_of }, count);
}

void wb_writeback_plan_sort_written(struct wb_written_block *written, size_t count)
{
	sort(&(struct heap){ (char *)written, sizeof *written, slot_of }, count);
}

size_t wb_writeback_plan_read(const struct wb_batch_block *blocks, size_t count, size_t from,
			      uint32_t gap_blocks, uint32_t segment_blocks,
			      uint32_t *span_blocks)
{
	uint32_t first = blocks[from].slot, last = first;
	size_t n = 1;

	while (from + n < count) {
		uint32_t slot = blocks[from + n].slot;

		if (slot / segment_blocks != first / segment_blocks || slot <= last ||
		    slot - last - 1 > gap_blocks)
			break;
		last = slot;
		n++;
	}
	*span_blocks = last - first + 1;
	return n;
}

static bool is_whole(const struct wb_batch_block *block)
{
	return block->mask == block->full_mask;
}

static bool next_sectors(const struct wb_batch_block *block, unsigned *sector,
			 struct wb_write_extent *extent)
{
	unsigned first = *sector, end;

	while (first < 8 && !(block->mask & (1u << first)))
		first++;
	for (end = first; end < 8 && block->mask & (1u << end);)
		end++;
	*sector = end;
	extent->first_sector = first;
	extent->sector_count = end - first;
	return end > first;
}

bool wb_writeback_plan_write(const struct wb_batch_block *blocks, size_t count,
			     size_t *index, unsigned *sector, size_t join_blocks,
			     struct wb_write_extent *extent)
{
	for (; *index < count; ++*index, *sector = 0) {
		const struct wb_batch_block *block = &blocks[*index];

		if (block->is_left_out)
			continue;
		extent->first = *index;
		extent->count = 1;
		if (!is_whole(block)) {
			if (next_sectors(block, sector, extent))
				return true;
			continue;
		}
		extent->first_sector = 0;
		extent->sector_count = 0;
		while (extent->count < join_blocks && *index + extent->count < count &&
		       block[extent->count].address == block->address + extent->count &&
		       !block[extent->count].is_left_out && is_whole(&block[extent->count]))
			extent->count++;
		*index += extent->count;
		*sector = 0;
		return true;
	}
	return false;
}

void wb_isolation_begin(struct wb_isolation *isolation, uint64_t count)
{
	isolation->count = count;
	isolation->at = 0;
	isolation->piece = count;
}

/* The tree has its halves at multiples of powers of two, so that where a piece
 * begins says how large it is. */
bool wb_isolation_next(struct wb_isolation *isolation)
{
	uint64_t left;

	isolation->at += isolation->piece;
	left = isolation->count - isolation->at;
	isolation->piece = isolation->at & -isolation->at;
	if (isolation->piece > left)
		isolation->piece = left;
	return left > 0;
}

void wb_isolation_halve(struct wb_isolation *isolation)
{
	uint64_t half = 1;

	while (half * 2 < isolation->piece)
		half *= 2;
	isolation->piece = half;
}
