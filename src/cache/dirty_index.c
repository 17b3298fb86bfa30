/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/dirty_index.h"

#include <errno.h>
#include <glib.h>
#include <stdatomic.h>

#include "base/memory.h"

#define WORD_BITS 64u
#define LEVELS_MAX 8u		/* 64^8 blocks is more than an address can say */
#define TOP_WORDS 16u		/* the level that is looked through word by word */
/* A section is at least an eighth of what there is: so many are enough for the
 * largest image, in whatever steps it grew. */
#define SECTIONS_MAX 256u
#define SECTION_BLOCKS_MIN (UINT64_C(1) << 15)	/* a page of bits */

typedef _Atomic uint64_t word_t;

/* What one opening or growth has added. */
struct section {
	uint64_t first, end;		/* blocks */
	unsigned level_count;
	word_t *levels[LEVELS_MAX];	/* the lowest: a bit for each block */
	uint64_t word_counts[LEVELS_MAX];
	void *memory;
	size_t memory_bytes;
};

struct wb_dirty_index {
	/* A section is constant before it is counted. */
	struct section sections[SECTIONS_MAX];
	_Atomic unsigned section_count;
};

/* --- sections ------------------------------------------------------------------------ */

static bool make_section(struct section *section, uint64_t first, uint64_t block_count)
{
	uint64_t count = block_count, words = 0;
	word_t *at;

	section->first = first;
	section->end = first + block_count;
	section->level_count = 0;
	do {
		count = (count + WORD_BITS - 1) / WORD_BITS;
		section->word_counts[section->level_count++] = count;
		words += count;
	} while (count > TOP_WORDS);
	section->memory_bytes = words * sizeof(word_t);
	section->memory = wb_memory_map(section->memory_bytes);
	if (!section->memory)
		return false;
	at = section->memory;
	for (unsigned level = 0; level < section->level_count; level++) {
		section->levels[level] = at;
		at += section->word_counts[level];
	}
	return true;
}

bool wb_dirty_index_grow(struct wb_dirty_index *index, uint64_t block_count)
{
	unsigned count = atomic_load(&index->section_count);
	uint64_t have = count > 0 ? index->sections[count - 1].end : 0, more;

	if (block_count <= have)
		return true;
	g_assert(count < SECTIONS_MAX);
	more = MAX(block_count - have, MAX(have / 8, SECTION_BLOCKS_MIN));
	more = (more + SECTION_BLOCKS_MIN - 1) / SECTION_BLOCKS_MIN * SECTION_BLOCKS_MIN;
	if (!make_section(&index->sections[count], have, more))
		return false;
	atomic_store(&index->section_count, count + 1);
	return true;
}

struct wb_dirty_index *wb_dirty_index_new(uint64_t block_count)
{
	struct wb_dirty_index *index = g_new0(struct wb_dirty_index, 1);

	if (wb_dirty_index_grow(index, MAX(block_count, 1)))
		return index;
	g_free(index);
	return NULL;
}

void wb_dirty_index_free(struct wb_dirty_index *index)
{
	if (!index)
		return;
	for (unsigned i = 0; i < index->section_count; i++)
		wb_memory_unmap(index->sections[i].memory, index->sections[i].memory_bytes);
	g_free(index);
}

size_t wb_dirty_index_bytes(const struct wb_dirty_index *index)
{
	unsigned count = atomic_load(&index->section_count);
	size_t bytes = sizeof *index;

	for (unsigned i = 0; i < count; i++)
		bytes += index->sections[i].memory_bytes;
	return bytes;
}

/* Nearly always there is only one. */
static struct section *section_of(struct wb_dirty_index *index, uint64_t address)
{
	struct section *section = index->sections;

	while (address >= section->end) {
		section++;
		g_assert(section < index->sections + SECTIONS_MAX);
	}
	return section;
}

/* --- bits ---------------------------------------------------------------------------- */

/* All the way up, whatever is set there already: on some level somebody may just be
 * taking the bit away, and looks again afterwards (see take_away()). */
static void mark_levels(struct section *section, unsigned level, uint64_t bit)
{
	for (; level < section->level_count; level++, bit /= WORD_BITS) {
		word_t *word = &section->levels[level][bit / WORD_BITS];
		uint64_t mask = UINT64_C(1) << bit % WORD_BITS;

		if (!(atomic_load(word) & mask))
			atomic_fetch_or(word, mask);
	}
}

void wb_dirty_index_set(struct wb_dirty_index *index, uint64_t address)
{
	struct section *section = section_of(index, address);
	uint64_t bit = address - section->first;
	word_t *word = &section->levels[0][bit / WORD_BITS];
	uint64_t old = atomic_load_explicit(word, memory_order_relaxed);
	uint64_t new = old | UINT64_C(1) << bit % WORD_BITS;

	if (old) {
		atomic_store_explicit(word, new, memory_order_release);
		return;
	}
	atomic_store(word, new);
	mark_levels(section, 1, bit / WORD_BITS);
}

/* The levels above are left to whoever looks there next. */
void wb_dirty_index_clear(struct wb_dirty_index *index, uint64_t address)
{
	struct section *section = section_of(index, address);
	uint64_t bit = address - section->first;
	word_t *word = &section->levels[0][bit / WORD_BITS];
	uint64_t old = atomic_load_explicit(word, memory_order_relaxed);

	atomic_store_explicit(word, old & ~(UINT64_C(1) << bit % WORD_BITS),
			      memory_order_release);
}

/* --- looking ------------------------------------------------------------------------- */

/*
 * The word below that bit is zero. A block may become dirty there just now: either it
 * sees that the bit is gone and sets it, or it has changed the word before we look at
 * that again.
 */
static void take_away(struct section *section, unsigned level, uint64_t bit)
{
	atomic_fetch_and(&section->levels[level][bit / WORD_BITS],
			 ~(UINT64_C(1) << bit % WORD_BITS));
	if (atomic_load(&section->levels[level - 1][bit]))
		mark_levels(section, level, bit);
}

/* The first bit at or behind `from` that is set on a level. */
static uint64_t next_bit(struct section *section, unsigned level, uint64_t from)
{
	uint64_t index = from / WORD_BITS, word;
	uint64_t mask = UINT64_MAX << from % WORD_BITS;

	while (index < section->word_counts[level]) {
		word = atomic_load(&section->levels[level][index]) & mask;
		if (word)
			return index * WORD_BITS + (uint64_t)__builtin_ctzll(word);
		mask = UINT64_MAX;
		if (level + 1 == section->level_count) {
			index++;
			continue;
		}
		index = next_bit(section, level + 1, index + 1);
		if (index != WB_NO_ADDRESS && !atomic_load(&section->levels[level][index]))
			take_away(section, level + 1, index);
	}
	return WB_NO_ADDRESS;
}

uint64_t wb_dirty_index_next(struct wb_dirty_index *index, uint64_t from)
{
	unsigned count = atomic_load(&index->section_count);

	for (unsigned i = 0; i < count; i++) {
		struct section *section = &index->sections[i];
		uint64_t bit;

		if (from >= section->end)
			continue;
		bit = next_bit(section, 0, MAX(from, section->first) - section->first);
		if (bit != WB_NO_ADDRESS)
			return section->first + bit;
	}
	return WB_NO_ADDRESS;
}
