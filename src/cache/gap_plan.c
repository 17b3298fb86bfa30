/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/gap_plan.h"

#include "format/geometry.h"

#define NO_READ UINT64_MAX

static uint64_t gap_before(const struct wb_batch_block *block)
{
	return block->address - block[-1].address - 1;
}

/* One more block in the extent; FALSE when it ends before that. */
static bool goes_on(const struct wb_batch_block *blocks, size_t from, size_t at,
		    size_t extent_blocks)
{
	return blocks[at].address - blocks[from].address < extent_blocks &&
	       (gap_before(&blocks[at]) == 0 || blocks[at].may_fill);
}

bool wb_gap_plan_reads_on(const struct wb_disk_model *model, uint64_t between_blocks)
{
	return wb_disk_model_pass_ns(model, between_blocks) <= model->turn_ns;
}

/* What filling the gap before a block costs; *read_end: up to where was read last. */
static double fill_cost_ns(const struct wb_batch_block *block, const struct wb_disk_model *model,
			   uint64_t *read_end)
{
	uint64_t gap = gap_before(block), first = block->address - gap;
	double cost = wb_disk_model_pass_ns(model, gap);

	if (block->has_cached_gap)
		return cost;
	if (*read_end != NO_READ && wb_gap_plan_reads_on(model, first - *read_end))
		cost += wb_disk_model_pass_ns(model, first - *read_end);
	else
		cost += model->turn_ns;
	*read_end = block->address;
	return cost + wb_disk_model_pass_ns(model, gap);
}

/* The last block of the best extent that begins with `from`; `from`: none is any good. */
static size_t best_end(const struct wb_batch_block *blocks, size_t count, size_t from,
		       size_t extent_blocks, const struct wb_disk_model *model)
{
	double value = 0, best = 0;
	uint64_t read_end = NO_READ;
	size_t end = from;

	for (size_t at = from + 1; at < count && goes_on(blocks, from, at, extent_blocks); at++) {
		uint64_t gap = gap_before(&blocks[at]);

		if (gap == 0)
			continue;
		value += wb_disk_model_hop_ns(model, gap) -
			 fill_cost_ns(&blocks[at], model, &read_end);
		if (value > best) {
			best = value;
			end = at;
		}
	}
	return end;
}

void wb_gap_plan(struct wb_batch_block *blocks, size_t count, size_t extent_blocks,
		 const struct wb_disk_model *model)
{
	size_t from = 0;

	for (size_t i = 0; i < count; i++)
		blocks[i].fills_gap = false;
	while (from < count) {
		size_t end = best_end(blocks, count, from, extent_blocks, model);

		for (size_t i = from + 1; i <= end; i++)
			blocks[i].fills_gap = gap_before(&blocks[i]) > 0;
		from = end + 1;
	}
}

double wb_gap_plan_cost_ns(const struct wb_batch_block *blocks, size_t count,
			   const struct wb_disk_model *model)
{
	double sum = count > 0 ? wb_disk_model_pass_ns(model, count) : 0;
	uint64_t read_end = NO_READ;

	for (size_t i = 1; i < count; i++) {
		uint64_t gap = gap_before(&blocks[i]);

		if (gap == 0)
			continue;
		if (blocks[i].fills_gap) {
			sum += fill_cost_ns(&blocks[i], model, &read_end);
		} else {
			sum += wb_disk_model_hop_ns(model, gap);
			read_end = NO_READ;
		}
	}
	return sum;
}

size_t wb_gap_plan_fit(const struct wb_batch_block *blocks, size_t count, size_t room,
		       size_t *entries)
{
	size_t fit = 0;

	*entries = 0;
	for (; fit < count; fit++) {
		size_t more = 1 + (blocks[fit].fills_gap ? gap_before(&blocks[fit]) : 0);

		if (fit > 0 && *entries + more > room)
			break;
		*entries += more;
	}
	return fit;
}

/* From the end, so that nothing is overwritten before it was moved. */
void wb_gap_plan_expand(struct wb_batch_block *blocks, size_t count, size_t entries)
{
	for (size_t i = count; i-- > 0;) {
		struct wb_batch_block block = blocks[i];
		uint64_t gap = block.fills_gap ? gap_before(&blocks[i]) : 0;

		blocks[--entries] = block;
		for (uint64_t g = 1; g <= gap; g++)
			blocks[--entries] = (struct wb_batch_block){
				.address = block.address - g, .slot = WB_NO_SLOT,
				.mask = 0xff, .full_mask = 0xff, .is_gap = true,
			};
	}
}
