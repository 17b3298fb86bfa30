/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which gaps are filled, and what is learnt of the disk: pure. */
#include <criterion/criterion.h>
#include <glib.h>

#include "cache/disk_model.h"
#include "cache/gap_plan.h"
#include "format/ondisk.h"
#include "support/prng.h"

#define BLOCKS 60u

static struct wb_prng prng;

static uint64_t below(uint64_t limit)
{
	return wb_prng_below(&prng, limit);
}

static struct wb_disk_model random_model(void)
{
	struct wb_disk_model model = { .bytes_per_ns = 0.05 + below(100) / 100.,
				       .turn_ns = below(20000000) };

	for (unsigned i = 0; i < WB_HOP_CLASSES; i++)
		model.hop_ns[i] = below(3) == 0 ? 0 : below(9000000);
	return model;
}

static size_t random_blocks(struct wb_batch_block *blocks)
{
	size_t count = 1 + below(BLOCKS);
	uint64_t at = below(1000), spread = 1 + below(below(2) ? 3 : 200);

	for (size_t i = 0; i < count; i++) {
		blocks[i] = (struct wb_batch_block){ .address = at, .slot = (uint32_t)i,
						     .mask = 0xff, .full_mask = 0xff };
		blocks[i].may_fill = i > 0 && at > blocks[i - 1].address + 1 && below(5) > 0;
		blocks[i].has_cached_gap = blocks[i].may_fill && below(2);
		at += 1 + (below(3) ? below(spread) : 0);
	}
	return count;
}

static double cost_with(struct wb_batch_block *blocks, size_t count, bool fills,
			const struct wb_disk_model *model)
{
	for (size_t i = 0; i < count; i++)
		blocks[i].fills_gap = fills && blocks[i].may_fill;
	return wb_gap_plan_cost_ns(blocks, count, model);
}

Test(gap_plan, costs_no_more_than_filling_nothing_nor_than_filling_everything)
{
	struct wb_batch_block blocks[BLOCKS];
	unsigned filled = 0, unfilled = 0;

	wb_prng_init(&prng, 1);
	for (unsigned round = 0; round < 20000; round++) {
		struct wb_disk_model model = random_model();
		size_t count = random_blocks(blocks);
		double nothing = cost_with(blocks, count, false, &model);
		double all = cost_with(blocks, count, true, &model);
		double planned;
		bool is_one = true;

		for (size_t i = 1; i < count; i++)
			is_one &= blocks[i].may_fill ||
				  blocks[i].address == blocks[i - 1].address + 1;
		wb_gap_plan(blocks, count, SIZE_MAX, &model);
		planned = wb_gap_plan_cost_ns(blocks, count, &model);
		cr_assert_leq(planned, nothing * 1.000001);
		if (is_one)
			cr_assert_leq(planned, all * 1.000001);
		for (size_t i = 0; i < count; i++) {
			cr_assert(!blocks[i].fills_gap || blocks[i].may_fill);
			filled += blocks[i].fills_gap;
			unfilled += blocks[i].may_fill && !blocks[i].fills_gap;
		}
	}
	cr_assert_gt(filled, 10000);
	cr_assert_gt(unfilled, 10000);
}

Test(gap_plan, no_filling_goes_on_for_longer_than_it_may)
{
	struct wb_disk_model model = { .bytes_per_ns = 0.1 };
	struct wb_batch_block blocks[BLOCKS];

	for (unsigned i = 0; i < WB_HOP_CLASSES; i++)
		model.hop_ns[i] = 1e9;
	for (size_t i = 0; i < BLOCKS; i++)
		blocks[i] = (struct wb_batch_block){ .address = i * 2, .may_fill = i > 0 };
	wb_gap_plan(blocks, BLOCKS, 16, &model);
	for (size_t i = 0, run = 0; i < BLOCKS; i++) {
		run = blocks[i].fills_gap ? run + 2 : 0;
		cr_assert_lt(run, 16);
	}
}

Test(gap_plan, a_gap_in_the_cache_is_worth_less_than_one_that_has_to_be_read)
{
	struct wb_disk_model model = { .bytes_per_ns = 0.1, .turn_ns = 5e6, .hop_ns = { 1e6 } };
	struct wb_batch_block blocks[3] = {
		{ .address = 0 }, { .address = 2, .may_fill = true },
		{ .address = 4, .may_fill = true },
	};

	wb_gap_plan(blocks, 3, 100, &model);
	cr_assert_not(blocks[1].fills_gap || blocks[2].fills_gap, "two hops for one turn");
	blocks[1].has_cached_gap = true;
	wb_gap_plan(blocks, 3, 100, &model);
	cr_assert(blocks[1].fills_gap && !blocks[2].fills_gap);
	blocks[1].has_cached_gap = false;
	model.turn_ns = 1e6;
	wb_gap_plan(blocks, 3, 100, &model);
	cr_assert(blocks[1].fills_gap && blocks[2].fills_gap);
}

Test(gap_plan, what_is_filled_becomes_part_of_the_portion_as_far_as_there_is_room)
{
	struct wb_batch_block blocks[4 * BLOCKS];

	wb_prng_init(&prng, 2);
	for (unsigned round = 0; round < 5000; round++) {
		size_t count = random_blocks(blocks), entries, fit, room = 1 + below(BLOCKS), at = 0;
		uint64_t last;

		for (size_t i = 0; i < count; i++)
			blocks[i].fills_gap = i > 0 && below(2) &&
				blocks[i].address - blocks[i - 1].address <= 3;
		fit = wb_gap_plan_fit(blocks, count, room, &entries);
		cr_assert(fit > 0 && fit <= count && (entries <= room || fit == 1));
		last = blocks[fit - 1].address;
		wb_gap_plan_expand(blocks, fit, entries);
		for (size_t i = 0; i < entries; i++) {
			cr_assert(i == 0 || blocks[i].address > blocks[i - 1].address);
			cr_assert_eq(blocks[i].is_gap, blocks[i].slot == UINT32_MAX);
			if (!blocks[i].is_gap)
				cr_assert_eq(blocks[i].slot, at++);
			if (i > 0 && blocks[i].is_gap)
				cr_assert_eq(blocks[i].address, blocks[i - 1].address + 1);
		}
		cr_assert_eq(at, fit);
		cr_assert_eq(blocks[entries - 1].address, last);
	}
}

/* --- the model ----------------------------------------------------------------------- */

#define MIB (UINT64_C(1) << 20)

Test(disk_model, at_first_no_gap_is_worth_filling)
{
	struct wb_disk_model model = WB_DISK_MODEL_DEFAULT;

	for (uint64_t gap = 1; gap < 3000; gap++)
		cr_assert_leq(wb_disk_model_hop_ns(&model, gap),
			      wb_disk_model_pass_ns(&model, gap));
}

Test(disk_model, learns_what_hops_cost_by_their_length)
{
	struct wb_disk_model model = WB_DISK_MODEL_DEFAULT;

	for (unsigned i = 0; i < 20; i++) {
		/* a disk that turns once for each write */
		wb_disk_model_add_writes(&model, 1000 * UINT64_C(8300000), 1000, 4 * MIB,
					 8 * MIB);
		/* and one that passes over far gaps */
		wb_disk_model_add_writes(&model, 1000 * UINT64_C(400000), 1000, 4 * MIB,
					 64 * MIB);
	}
	cr_assert_float_eq(wb_disk_model_hop_ns(&model, 1), 8.27e6, 1e5);
	cr_assert_lt(wb_disk_model_hop_ns(&model, 12), 5e5);
	cr_assert_eq(wb_disk_model_hop_ns(&model, 1000), wb_disk_model_pass_ns(&model, 1000));
}

Test(disk_model, learns_the_rate_from_large_writes_and_the_turn_from_reads)
{
	struct wb_disk_model model = WB_DISK_MODEL_DEFAULT;

	for (unsigned i = 0; i < 20; i++) {
		wb_disk_model_add_writes(&model, UINT64_C(1000000000), 100, 200 * MIB, 200 * MIB);
		wb_disk_model_add_reads(&model, UINT64_C(50000000), 4, 4 * MIB);
	}
	cr_assert_float_eq(model.bytes_per_ns, 0.2097, 0.002);
	cr_assert_float_eq(model.turn_ns, 7.5e6, 3e5);
	/* Single slow ones say little. */
	wb_disk_model_add_writes(&model, UINT64_C(9000000000), 10, 20 * MIB, 20 * MIB);
	cr_assert_gt(model.bytes_per_ns, 0.19);
}
