/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The block map: for each block of the image the one slot of the cache that
 * holds its newest version, if any, and whether that version is dirty.
 *
 * Which blocks are dirty is also kept in the order of their addresses (dirty_index),
 * for writeback; a volume that is only read has no need of that.
 *
 * Memory: 18 bytes per slot and nothing that grows but that index: a 64-bit word (48-bit
 * address, mask, state), the CRC, a 32-bit chain link, and half a 32-bit
 * bucket head. Chains instead of open addressing: no table that a skewed
 * address pattern could overfill, no tombstones, and a bucket belongs to one
 * stripe, so that stripes never touch each other's memory.
 *
 * Locks: an address belongs to a chunk (WB_CHUNK_BLOCKS), a chunk to a stripe.
 * What ends in _locked wants the stripe lock of that address. Slot words may
 * be read without it, as a hint that is checked again under the lock.
 */
#ifndef WB_CACHE_BLOCK_MAP_H
#define WB_CACHE_BLOCK_MAP_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/lines.h"
#include "base/lock.h"
#include "cache/dirty_index.h"
#include "cache/park.h"
#include "cache/segment_table.h"

enum wb_slot_state {
	WB_SLOT_FREE = 0,	/* the map does not name this slot */
	WB_SLOT_DIRTY = 1,
	WB_SLOT_CLEAN = 2,
	WB_SLOT_BAD = 3,	/* dirty, and failed its CRC at writeback: counts
				 * as dirty, is not written back */
};

static inline bool wb_slot_state_is_dirty(enum wb_slot_state state)
{
	return state == WB_SLOT_DIRTY || state == WB_SLOT_BAD;
}

struct wb_mapping {
	uint64_t address;
	uint32_t slot;		/* WB_NO_SLOT: not in the map */
	uint8_t mask;		/* sectors that the slot holds */
	uint8_t state;		/* enum wb_slot_state */
};

/* A range of blocks that one piece of a request is changing. */
struct wb_busy {
	struct wb_busy *next;
	uint64_t first, last;	/* block addresses, inclusive */
};

struct wb_stripe {
	struct wb_lock lock;
	/* under lock */
	uint64_t change_count;	/* publications and discards; guards edge reads */
	struct wb_busy *busy;
	/* written under lock: where the line is ours anyway */
	_Atomic uint64_t cached_count, dirty_count;
	struct wb_park_list parked;	/* requests that met a busy range */
} __attribute__((aligned(WB_CACHE_LINE_BYTES)));

struct wb_block_map;

struct wb_block_map *wb_block_map_new(const struct wb_geometry *geometry,
				      struct wb_segment_table *segments, GError **error);
void wb_block_map_free(struct wb_block_map *map);
/* Opening only, before anything is in it: keep the index, for an image of that many
 * blocks. FALSE and an error when there is no memory. */
bool wb_block_map_make_index(struct wb_block_map *map, uint64_t block_count, GError **error);
/* Before the image has so many. One thread at a time. FALSE: no memory. */
bool wb_block_map_grow_index(struct wb_block_map *map, uint64_t block_count);

struct wb_stripe *wb_block_map_stripe(struct wb_block_map *map, uint64_t address);
struct wb_stripe *wb_block_map_stripe_at(struct wb_block_map *map, unsigned index);

/* Nearly every look-up misses the processor's cache twice, one after the other. Who will
 * look up blocks in a while says so: first, without a lock; and again with that of their
 * stripe, which is one, when there is something else to do before. */
void wb_block_map_fetch_buckets(struct wb_block_map *map, uint64_t first, uint64_t count);
void wb_block_map_fetch_slots_locked(struct wb_block_map *map, uint64_t first, uint64_t count);

void wb_block_map_lookup_locked(struct wb_block_map *map, uint64_t address,
				struct wb_mapping *mapping);
/* `slot` becomes the version of `address`; what was there is forgotten, and counted out
 * of its segment: its slot is returned, or WB_NO_SLOT. */
uint32_t wb_block_map_put_locked(struct wb_block_map *map, uint64_t address, uint32_t slot,
				 uint8_t mask, enum wb_slot_state state);
/* Forgets the version of `address`, if any. TRUE when there was one. */
bool wb_block_map_remove_locked(struct wb_block_map *map, uint64_t address);
/* Changes the state if the map still names `slot` for `address`; else FALSE. */
bool wb_block_map_set_state_locked(struct wb_block_map *map, uint64_t address,
				   uint32_t slot, enum wb_slot_state state);

/* What a slot holds, for an opening that knows it. */
struct wb_map_version {
	uint64_t address;
	uint32_t slot, crc;
	uint8_t mask;
	uint8_t state;		/* enum wb_slot_state, not FREE */
};
/*
 * `count` versions at once, before any other thread: of slots at `place`, in any
 * order, that are free. FALSE: the map names one of these blocks already, or two
 * of them are of one; it is of no use any more.
 */
bool wb_block_map_load(struct wb_block_map *map, uint64_t place,
		       const struct wb_map_version *versions, size_t count);

/* For others than writeback, which tries bad blocks again and counts its tries:
 * the dirty version of `address` in `slot` could not be read. FALSE: it is another
 * one by now, or clean. */
bool wb_block_map_found_bad_locked(struct wb_block_map *map, uint64_t address, uint32_t slot);
/* How many became bad by that: one more means a block that was not tried yet. */
uint64_t wb_block_map_found_bad_count(struct wb_block_map *map);

/* What slot holds, without a lock: a hint. */
void wb_block_map_peek(struct wb_block_map *map, uint32_t slot, struct wb_mapping *mapping);

/* The first address at or behind `from` with a dirty version, or WB_NO_ADDRESS: a hint.
 * The writeback worker only. */
uint64_t wb_block_map_next_dirty(struct wb_block_map *map, uint64_t from);
/* The dirty versions in [first, end), of one chunk, at most `room` of them, ascending.
 * Each has its segment pinned. */
size_t wb_block_map_pin_dirty(struct wb_block_map *map, uint64_t first, uint64_t end,
			      struct wb_mapping *found, size_t room);

/* Of [first, end), of one chunk: whether all blocks have clean and whole versions. With
 * `slots` they are put there, and their segments pinned, if so; and *is_busy says whether
 * somebody is changing any of them. */
bool wb_block_map_are_clean(struct wb_block_map *map, uint64_t first, uint64_t end,
			    uint32_t *slots, bool *is_busy);

/* CRC of a slot's 4096 bytes; set before its RAM buffer goes. */
void wb_block_map_set_crc(struct wb_block_map *map, uint32_t slot, uint32_t crc);
uint32_t wb_block_map_crc(struct wb_block_map *map, uint32_t slot);

/* Forgets every version in [first, first + count): all of them must be older
 * than what asks for it, which holds the range exclusively. Takes stripe locks. */
void wb_block_map_remove_range(struct wb_block_map *map, uint64_t first, uint64_t count);
/* Raises the change counters of the stripes of a range. */
void wb_block_map_touch_range(struct wb_block_map *map, uint64_t first, uint64_t count);

/* Of all stripes, one after the other: what moves between them meanwhile may count twice, but
 * never so that there are more than slots. */
uint64_t wb_block_map_cached_count(struct wb_block_map *map);	/* blocks named */
uint64_t wb_block_map_dirty_count(struct wb_block_map *map);
uint64_t wb_block_map_bad_count(struct wb_block_map *map);	/* of them, WB_SLOT_BAD */

#endif
