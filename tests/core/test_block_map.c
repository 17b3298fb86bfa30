/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>

#include "cache/block_map.h"
#include "cache/exclusion.h"
#include "support/prng.h"

#define SLOTS 128u

static struct wb_segment_table *segments;
static struct wb_block_map *map;

static void start(void)
{
	struct wb_geometry g = { .segment_count = 8, .segment_blocks = 16,
				 .segment_bytes = 65536, .slot_count = SLOTS };

	segments = wb_segment_table_new(&g, NULL);
	map = wb_block_map_new(&g, segments, NULL);
	cr_assert(map);
}

static void stop(void)
{
	wb_block_map_free(map);
	wb_segment_table_free(segments);
}

TestSuite(block_map, .init = start, .fini = stop);

static void put(uint64_t address, uint32_t slot, uint8_t mask, enum wb_slot_state state)
{
	struct wb_stripe *stripe = wb_block_map_stripe(map, address);

	wb_lock_acquire(&stripe->lock);
	wb_block_map_put_locked(map, address, slot, mask, state);
	wb_lock_release(&stripe->lock);
}

static struct wb_mapping look_up(uint64_t address)
{
	struct wb_stripe *stripe = wb_block_map_stripe(map, address);
	struct wb_mapping mapping;

	wb_lock_acquire(&stripe->lock);
	wb_block_map_lookup_locked(map, address, &mapping);
	wb_lock_release(&stripe->lock);
	return mapping;
}

static bool set_state(uint64_t address, uint32_t slot, enum wb_slot_state state)
{
	struct wb_stripe *stripe = wb_block_map_stripe(map, address);
	bool ok;

	wb_lock_acquire(&stripe->lock);
	ok = wb_block_map_set_state_locked(map, address, slot, state);
	wb_lock_release(&stripe->lock);
	return ok;
}

Test(block_map, what_was_put_is_found)
{
	put(UINT64_C(0xfedcba987654), 5, 0x81, WB_SLOT_DIRTY);
	cr_expect_eq(look_up(UINT64_C(0xfedcba987654)).slot, 5);
	cr_expect_eq(look_up(UINT64_C(0xfedcba987654)).mask, 0x81);
	cr_expect_eq(look_up(UINT64_C(0xfedcba987654)).state, WB_SLOT_DIRTY);
	cr_expect_eq(look_up(1).slot, WB_NO_SLOT);
}

Test(block_map, a_newer_version_replaces_the_older_and_its_count)
{
	put(7, 5, 0xff, WB_SLOT_DIRTY);
	put(7, 20, 0xff, WB_SLOT_DIRTY);
	cr_expect_eq(look_up(7).slot, 20);
	cr_expect_eq(wb_segment_at(segments, 0)->dirty_count, 0);
	cr_expect_eq(wb_segment_at(segments, 1)->dirty_count, 1);
	cr_expect_eq(wb_block_map_dirty_count(map), 1);
	cr_expect_eq(wb_block_map_cached_count(map), 1);
}

Test(block_map, a_state_changes_only_while_the_map_names_the_slot)
{
	put(7, 5, 0xff, WB_SLOT_DIRTY);
	cr_expect(set_state(7, 5, WB_SLOT_CLEAN));
	cr_expect_eq(wb_block_map_dirty_count(map), 0);
	cr_expect_eq(wb_block_map_cached_count(map), 1);
	put(7, 6, 0xff, WB_SLOT_DIRTY);
	cr_expect_not(set_state(7, 5, WB_SLOT_CLEAN));
	cr_expect_eq(look_up(7).state, WB_SLOT_DIRTY);
}

Test(block_map, bad_counts_as_dirty)
{
	put(7, 5, 0xff, WB_SLOT_DIRTY);
	cr_expect(set_state(7, 5, WB_SLOT_BAD));
	cr_expect_eq(wb_block_map_dirty_count(map), 1);
	cr_expect_eq(wb_segment_at(segments, 0)->dirty_count, 1);
}

Test(block_map, a_range_is_removed_and_nothing_beside_it)
{
	for (uint32_t i = 0; i < 20; i++)
		put(250 + i, i, 0xff, WB_SLOT_DIRTY);
	wb_block_map_remove_range(map, 253, 10);
	for (uint32_t i = 0; i < 20; i++)
		cr_expect_eq(look_up(250 + i).slot != WB_NO_SLOT, i < 3 || i >= 13);
	cr_expect_eq(wb_block_map_dirty_count(map), 10);
}

Test(block_map, a_range_larger_than_the_cache_is_removed_by_slots)
{
	for (uint32_t i = 0; i < 20; i++)
		put(i * 1000, i, 0xff, WB_SLOT_CLEAN);
	wb_block_map_remove_range(map, 1000, 15001);
	cr_expect_eq(look_up(0).slot, 0);
	cr_expect_eq(look_up(1000).slot, WB_NO_SLOT);
	cr_expect_eq(look_up(16000).slot, WB_NO_SLOT);
	cr_expect_eq(look_up(17000).slot, 17);
}

Test(block_map, it_agrees_with_a_plain_table_in_any_history)
{
	uint32_t wanted[64];
	bool is_taken[SLOTS] = { false };
	struct wb_prng prng;

	wb_prng_init(&prng, 1);
	for (unsigned i = 0; i < 64; i++)
		wanted[i] = WB_NO_SLOT;
	for (unsigned i = 0; i < 20000; i++) {
		uint64_t address = wb_prng_below(&prng, 64);
		uint32_t slot = (uint32_t)wb_prng_below(&prng, SLOTS);

		if (wb_prng_below(&prng, 3) == 0) {
			wb_block_map_remove_range(map, address * 100, 1);
			if (wanted[address] != WB_NO_SLOT)
				is_taken[wanted[address]] = false;
			wanted[address] = WB_NO_SLOT;
		} else if (!is_taken[slot]) {
			put(address * 100, slot, 0xff, WB_SLOT_DIRTY);
			if (wanted[address] != WB_NO_SLOT)
				is_taken[wanted[address]] = false;
			wanted[address] = slot;
			is_taken[slot] = true;
		}
		cr_assert_eq(look_up(address * 100).slot, wanted[address]);
	}
	for (unsigned i = 0; i < 64; i++)
		cr_assert_eq(look_up(i * 100).slot, wanted[i]);
	cr_expect_eq(wb_block_map_dirty_count(map), wb_segment_table_dirty(segments));
}

Test(block_map, a_range_touches_every_stripe_that_it_has_blocks_in)
{
	uint64_t before = wb_block_map_stripe(map, 256)->change_count;

	wb_block_map_touch_range(map, 255, 2);
	cr_expect_eq(wb_block_map_stripe(map, 256)->change_count, before + 1);
	cr_expect_eq(wb_block_map_stripe(map, 0)->change_count, 1);
}

/* --- exclusion stands on its stripes ------------------------------------------------ */

static void nothing(struct wb_task *task)
{
	(void)task;
}

Test(block_map, two_pieces_of_a_block_exclude_each_other_and_a_range_both)
{
	struct wb_executor *executor = wb_executor_new("test", WB_WORKER_MANUAL, 1);
	struct wb_exclusion *exclusion = wb_exclusion_new(map, executor);
	struct wb_task tasks[3] = { { .run = nothing }, { .run = nothing }, { .run = nothing } };
	struct wb_parked parked[3] = { { .task = &tasks[0] }, { .task = &tasks[1] },
				       { .task = &tasks[2] } };
	struct wb_busy one = { .first = 10, .last = 20 }, two = { .first = 20, .last = 30 };
	struct wb_busy beside = { .first = 21, .last = 22 };
	struct wb_busy range = { .first = 0, .last = 100000 };

	cr_assert_eq(wb_exclusion_enter(exclusion, &one, &parked[0]), WB_ENTERED);
	wb_lock_release(&wb_block_map_stripe(map, 10)->lock);
	cr_expect_eq(wb_exclusion_enter(exclusion, &two, &parked[1]), WB_ENTER_PARKED);
	cr_expect_eq(wb_exclusion_enter_range(exclusion, &range, &parked[2]), WB_ENTER_PARKED);
	cr_assert_eq(wb_exclusion_enter(exclusion, &beside, &parked[0]), WB_ENTERED);
	wb_lock_release(&wb_block_map_stripe(map, 21)->lock);
	wb_exclusion_leave(exclusion, &beside);
	wb_exclusion_leave(exclusion, &one);
	while (wb_executor_run_one(executor))
		;
	cr_assert_eq(wb_exclusion_enter_range(exclusion, &range, &parked[2]), WB_ENTERED);
	cr_expect_eq(wb_exclusion_enter(exclusion, &two, &parked[1]), WB_ENTER_PARKED);
	wb_exclusion_leave_range(exclusion, &range);
	cr_expect_eq(wb_executor_queued_count(executor), 1);
	wb_executor_free(executor);
	wb_exclusion_free(exclusion);
}
