/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/rescue.h"

#include <errno.h>
#include <string.h>

#include "base/checksum.h"

#define BLOCK WB_BLOCK_BYTES
#define SECTOR WB_SECTOR_BYTES
#define BATCH_BLOCKS 1024u
#define READ_DEPTH 64u
#define ZERO_PIECE_BYTES (UINT64_C(1) << 30)

struct applying {
	const struct wb_rescue *rescue;
	uint8_t *data;			/* of a batch, aligned */
	uint8_t *edge;			/* one block */
	uint64_t *offsets;
	int *errors;			/* of reading; then: 0 = good */
	uint64_t at_bytes;		/* in the image, for messages */
};

static int tell_progress(const struct applying *a, uint64_t done_blocks)
{
	if (!a->rescue->progress ||
	    a->rescue->progress(a->rescue->progress_arg, done_blocks * BLOCK,
				(uint64_t)a->rescue->replay->blocks->len * BLOCK))
		return 0;
	return -ECANCELED;
}

/* The image may end within its last block. */
static uint64_t clip(const struct applying *a, uint64_t end_bytes)
{
	return MIN(end_bytes, a->rescue->geometry->backing_bytes);
}

/* --- zeros --------------------------------------------------------------------- */

static int zero_range(struct applying *a, uint64_t offset, uint64_t end)
{
	struct wb_store *target = a->rescue->target;
	uint64_t whole = end == target->size_bytes ? end : end - end % BLOCK;

	for (; offset < whole; offset = MIN(offset + ZERO_PIECE_BYTES, whole)) {
		int error = wb_store_zero_sync(target, offset,
					       MIN(whole - offset, ZERO_PIECE_BYTES));

		a->at_bytes = offset;
		if (!error)
			error = tell_progress(a, 0);
		if (error)
			return error;
	}
	if (offset == end)
		return 0;
	/* what lies behind the image is not ours */
	memset(a->edge, 0, BLOCK);
	a->at_bytes = offset;
	return wb_store_write_sync(target, offset, a->edge, end - offset);
}

static int apply_extents(struct applying *a)
{
	const struct wb_rescue *rescue = a->rescue;
	const GArray *extents = rescue->replay->extents;

	for (guint i = 0; i < extents->len; i++) {
		const struct wb_replay_extent *extent =
			&g_array_index(extents, struct wb_replay_extent, i);
		int error = 0;

		if (extent->is_lost)
			rescue->lost(rescue->arg, extent->first, extent->count,
				     WB_RESCUE_LOST_BEFORE);
		else
			error = zero_range(a, extent->first * BLOCK,
					   clip(a, (extent->first + extent->count) * BLOCK));
		if (error)
			return error;
	}
	return 0;
}

/* --- data ------------------------------------------------------------------------ */

static void read_batch(struct applying *a, const struct wb_replay_block *blocks, unsigned count)
{
	struct wb_store *store = a->rescue->cache_store;

	for (unsigned i = 0; i < count; i++)
		a->offsets[i] = wb_geometry_slot_offset(a->rescue->geometry, blocks[i].slot);
	wb_store_read_many_sync(store, a->offsets, count, BLOCK, a->data, a->errors, READ_DEPTH);
	for (unsigned i = 0; i < count; i++) {
		uint8_t *data = a->data + (size_t)i * BLOCK;

		/* a disk that fails may still do it the second time */
		if (a->errors[i])
			a->errors[i] = wb_store_read_sync(store, a->offsets[i], data, BLOCK);
		if (a->errors[i]) {
			a->rescue->lost(a->rescue->arg, blocks[i].address, 1,
					WB_RESCUE_UNREADABLE);
		} else if (wb_crc32c(data, BLOCK) != blocks[i].crc) {
			a->errors[i] = -EIO;
			a->rescue->lost(a->rescue->arg, blocks[i].address, 1, WB_RESCUE_ROTTEN);
		}
	}
}

static bool is_whole(const struct applying *a, const struct wb_replay_block *block)
{
	return block->mask == wb_geometry_block_mask(a->rescue->geometry, block->address);
}

/* How many blocks from the first on are good, whole and neighbours. */
static unsigned count_run(const struct applying *a, const struct wb_replay_block *blocks,
			  const int *errors, unsigned count)
{
	unsigned n = 0;

	while (n < count && !errors[n] && is_whole(a, &blocks[n]) &&
	       blocks[n].address == blocks[0].address + n)
		n++;
	return n;
}

static int write_run(struct applying *a, const struct wb_replay_block *blocks,
		     const uint8_t *data, unsigned count)
{
	uint64_t offset = (uint64_t)blocks[0].address * BLOCK;

	a->at_bytes = offset;
	return wb_store_write_sync(a->rescue->target, offset, data,
				   clip(a, offset + (uint64_t)count * BLOCK) - offset);
}

/* Without a look at the target: it may be a disk that cannot read there. */
static int write_sectors(struct applying *a, const struct wb_replay_block *block,
			 const uint8_t *data)
{
	uint64_t offset = (uint64_t)block->address * BLOCK;
	unsigned i = 0;

	while (i < WB_SECTORS_PER_BLOCK) {
		unsigned n = 0;
		int error = 0;

		while (i + n < WB_SECTORS_PER_BLOCK && (block->mask & (1u << (i + n))))
			n++;
		a->at_bytes = offset + i * SECTOR;
		if (n)
			error = wb_store_write_sync(a->rescue->target, a->at_bytes,
						    data + i * SECTOR, n * SECTOR);
		if (error)
			return error;
		i += n + 1;
	}
	return 0;
}

/* Sectors of the image may be smaller than what the target can write. */
static int write_merged(struct applying *a, const struct wb_replay_block *block,
			const uint8_t *data)
{
	uint64_t offset = (uint64_t)block->address * BLOCK;
	uint64_t length = clip(a, offset + BLOCK) - offset;
	int error;

	a->at_bytes = offset;
	error = wb_store_read_sync(a->rescue->target, offset, a->edge, length);
	if (error)
		return error;
	for (unsigned i = 0; i < WB_SECTORS_PER_BLOCK; i++)
		if (block->mask & (1u << i))
			memcpy(a->edge + i * SECTOR, data + i * SECTOR, SECTOR);
	return wb_store_write_sync(a->rescue->target, offset, a->edge, length);
}

static int write_part(struct applying *a, const struct wb_replay_block *block,
		      const uint8_t *data)
{
	return a->rescue->target->alignment_bytes <= SECTOR ? write_sectors(a, block, data) :
							      write_merged(a, block, data);
}

static int apply_batch(struct applying *a, const struct wb_replay_block *blocks, unsigned count)
{
	unsigned i = 0;

	read_batch(a, blocks, count);
	while (i < count) {
		const uint8_t *data = a->data + (size_t)i * BLOCK;
		unsigned run = count_run(a, &blocks[i], &a->errors[i], count - i);
		int error = 0;

		if (run)
			error = write_run(a, &blocks[i], data, run);
		else if (!a->errors[i])
			error = write_part(a, &blocks[i], data);
		if (error)
			return error;
		i += MAX(run, 1);
	}
	return 0;
}

static int apply_blocks(struct applying *a)
{
	const GArray *blocks = a->rescue->replay->blocks;

	for (guint i = 0; i < blocks->len; i += BATCH_BLOCKS) {
		int error = apply_batch(a, &g_array_index(blocks, struct wb_replay_block, i),
					MIN(blocks->len - i, BATCH_BLOCKS));

		if (!error)
			error = tell_progress(a, i + MIN(blocks->len - i, BATCH_BLOCKS));
		if (error)
			return error;
	}
	return 0;
}

int wb_rescue_apply(const struct wb_rescue *rescue, uint64_t *failed_bytes)
{
	struct applying a = {
		.rescue = rescue,
		.data = g_aligned_alloc(BATCH_BLOCKS, BLOCK, BLOCK),
		.edge = g_aligned_alloc(1, BLOCK, BLOCK),
		.offsets = g_new(uint64_t, BATCH_BLOCKS),
		.errors = g_new0(int, BATCH_BLOCKS),
	};
	int error = tell_progress(&a, 0);

	if (!error)
		error = apply_extents(&a);
	if (!error)
		error = apply_blocks(&a);
	if (!error)
		error = wb_store_flush_sync(rescue->target);
	*failed_bytes = a.at_bytes;
	g_aligned_free(a.data);
	g_aligned_free(a.edge);
	g_free(a.offsets);
	g_free(a.errors);
	return error;
}

/* --- comparing ------------------------------------------------------------------- */

static void ignore_loss(void *arg, uint64_t first, uint64_t count, enum wb_rescue_loss loss)
{
	(void)arg;
	(void)first;
	(void)count;
	(void)loss;
}

static bool block_differs(struct applying *a, const struct wb_replay_block *block,
			  const uint8_t *data)
{
	uint64_t offset = (uint64_t)block->address * BLOCK;

	a->at_bytes = offset;
	if (wb_store_read_sync(a->rescue->target, offset, a->edge,
			       clip(a, offset + BLOCK) - offset))
		return false;
	for (unsigned i = 0; i < WB_SECTORS_PER_BLOCK; i++)
		if (block->mask & (1u << i) &&
		    memcmp(a->edge + i * SECTOR, data + i * SECTOR, SECTOR))
			return true;
	return false;
}

/* Only where it begins: it may be as long as the image. */
static bool extent_differs(struct applying *a, const struct wb_replay_extent *extent)
{
	uint64_t start = extent->first * BLOCK;
	uint64_t length = clip(a, start + MIN(extent->count, BATCH_BLOCKS) * BLOCK) - start;

	if (extent->is_lost)
		return false;
	a->at_bytes = start;
	return !wb_store_read_sync(a->rescue->target, start, a->data, length) &&
	       (a->data[0] || memcmp(a->data, a->data + 1, length - 1));
}

static bool any_differs(struct applying *a)
{
	const GArray *blocks = a->rescue->replay->blocks, *extents = a->rescue->replay->extents;
	bool differs = false;

	for (guint i = 0; i < blocks->len && !differs; i += BATCH_BLOCKS) {
		const struct wb_replay_block *batch =
			&g_array_index(blocks, struct wb_replay_block, i);
		unsigned count = MIN(blocks->len - i, BATCH_BLOCKS);

		read_batch(a, batch, count);
		for (unsigned k = 0; k < count && !differs; k++)
			differs = !a->errors[k] &&
				  block_differs(a, &batch[k], a->data + (size_t)k * BLOCK);
	}
	for (guint i = 0; i < extents->len && !differs; i++)
		differs = extent_differs(a, &g_array_index(extents, struct wb_replay_extent, i));
	return differs;
}

bool wb_rescue_differs(const struct wb_rescue *rescue, uint64_t *at_bytes)
{
	struct wb_rescue silent = *rescue;
	struct applying a = {
		.rescue = &silent,
		.data = g_aligned_alloc(BATCH_BLOCKS, BLOCK, BLOCK),
		.edge = g_aligned_alloc(1, BLOCK, BLOCK),
		.offsets = g_new(uint64_t, BATCH_BLOCKS),
		.errors = g_new0(int, BATCH_BLOCKS),
	};
	bool differs;

	silent.lost = ignore_loss;
	differs = any_differs(&a);
	*at_bytes = a.at_bytes;
	g_aligned_free(a.data);
	g_aligned_free(a.edge);
	g_free(a.offsets);
	g_free(a.errors);
	return differs;
}
