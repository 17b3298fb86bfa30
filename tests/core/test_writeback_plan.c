/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>

#include "cache/writeback_plan.h"

static struct wb_batch_block block(uint64_t address, uint32_t slot, uint8_t mask)
{
	return (struct wb_batch_block){ .address = address, .slot = slot, .mask = mask,
					.full_mask = 0xff };
}

Test(writeback_plan, blocks_are_written_in_the_order_of_their_addresses)
{
	struct wb_batch_block blocks[] = { block(9, 0, 0xff), block(3, 1, 0xff), block(5, 2, 1) };

	wb_writeback_plan_sort(blocks, 3);
	cr_expect_eq(blocks[0].address, 3);
	cr_expect_eq(blocks[1].address, 5);
	cr_expect_eq(blocks[2].address, 9);
}

/* Many of them, as they are after a batch: glibc's qsort() would take memory. */
Test(writeback_plan, what_was_written_is_sorted_by_slot_without_memory)
{
	static struct wb_written_block written[5000];
	uint32_t slot = 1;

	for (unsigned i = 0; i < 5000; i++) {
		slot = slot * 1664525 + 1013904223;
		written[i] = (struct wb_written_block){ .address = ~(uint64_t)slot, .slot = slot };
	}
	wb_writeback_plan_sort_written(written, 5000);
	for (unsigned i = 0; i < 5000; i++) {
		cr_assert(i == 0 || written[i - 1].slot <= written[i].slot);
		cr_assert_eq(written[i].address, ~(uint64_t)written[i].slot);
	}
}

Test(writeback_plan, one_read_covers_small_gaps_but_no_large_one)
{
	struct wb_batch_block blocks[] = { block(0, 1, 0xff), block(1, 2, 0xff),
					   block(2, 6, 0xff), block(3, 12, 0xff) };
	uint32_t span;

	cr_expect_eq(wb_writeback_plan_read(blocks, 4, 0, 3, 16, &span), 3);
	cr_expect_eq(span, 6);
	cr_expect_eq(wb_writeback_plan_read(blocks, 4, 3, 3, 16, &span), 1);
	cr_expect_eq(span, 1);
}

Test(writeback_plan, one_read_never_leaves_its_segment)
{
	struct wb_batch_block blocks[] = { block(0, 15, 0xff), block(1, 16, 0xff) };
	uint32_t span;

	cr_expect_eq(wb_writeback_plan_read(blocks, 2, 0, 3, 16, &span), 1);
}

Test(writeback_plan, neighbours_are_joined_up_to_the_limit)
{
	struct wb_batch_block blocks[] = { block(3, 0, 0xff), block(4, 9, 0xff),
					   block(5, 2, 0xff), block(7, 3, 0xff) };
	struct wb_write_extent extent;
	size_t index = 0;
	unsigned sector = 0;

	cr_assert(wb_writeback_plan_write(blocks, 4, &index, &sector, 2, &extent));
	cr_expect(extent.first == 0 && extent.count == 2 && extent.sector_count == 0);
	cr_assert(wb_writeback_plan_write(blocks, 4, &index, &sector, 2, &extent));
	cr_expect(extent.first == 2 && extent.count == 1);
	cr_assert(wb_writeback_plan_write(blocks, 4, &index, &sector, 2, &extent));
	cr_expect(extent.first == 3 && extent.count == 1);
	cr_expect_not(wb_writeback_plan_write(blocks, 4, &index, &sector, 2, &extent));
}

Test(writeback_plan, a_partial_block_is_written_sector_by_sector_run)
{
	struct wb_batch_block blocks[] = { block(3, 0, 0xc6), block(4, 1, 0xff) };
	struct wb_write_extent extent;
	size_t index = 0;
	unsigned sector = 0;

	cr_assert(wb_writeback_plan_write(blocks, 2, &index, &sector, 100, &extent));
	cr_expect(extent.first == 0 && extent.first_sector == 1 && extent.sector_count == 2);
	cr_assert(wb_writeback_plan_write(blocks, 2, &index, &sector, 100, &extent));
	cr_expect(extent.first == 0 && extent.first_sector == 6 && extent.sector_count == 2);
	cr_assert(wb_writeback_plan_write(blocks, 2, &index, &sector, 100, &extent));
	cr_expect(extent.first == 1 && extent.sector_count == 0);
	cr_expect_not(wb_writeback_plan_write(blocks, 2, &index, &sector, 100, &extent));
}

Test(writeback_plan, what_is_left_out_is_not_written)
{
	struct wb_batch_block blocks[] = { block(3, 0, 0xff), block(4, 1, 0xff),
					   block(5, 2, 0xff) };
	struct wb_write_extent extent;
	size_t index = 0;
	unsigned sector = 0;

	blocks[1].is_left_out = true;
	cr_assert(wb_writeback_plan_write(blocks, 3, &index, &sector, 100, &extent));
	cr_expect(extent.first == 0 && extent.count == 1);
	cr_assert(wb_writeback_plan_write(blocks, 3, &index, &sector, 100, &extent));
	cr_expect(extent.first == 2 && extent.count == 1);
	cr_expect_not(wb_writeback_plan_write(blocks, 3, &index, &sector, 100, &extent));
}
