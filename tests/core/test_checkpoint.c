/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The checkpoint of a clean stop: what the next opening makes of it is what the
 * log would have told; it is believed once, and not if anything is odd about it.
 */
#include <criterion/criterion.h>
#include <string.h>
#include <sys/resource.h>

#include "base/checksum.h"
#include "cache/cache_private.h"
#include "cache/recovery.h"
#include "format/block.h"
#include "format/endian.h"
#include "support/store_memory.h"
#include "support/volume_sim.h"

#define BLOCK 4096u
#define IMAGE_BLOCKS 256u

static struct wb_sim sim;

static void start(struct wb_sim_params params)
{
	wb_sim_init(&sim, &params);
	cr_assert(wb_sim_open(&sim, NULL));
}

static void stop(void)
{
	wb_sim_clear(&sim);
}

TestSuite(checkpoint, .fini = stop);

static struct wb_stats_snapshot stats(void)
{
	struct wb_stats_snapshot snapshot;

	wb_sim_stats(&sim, &snapshot);
	return snapshot;
}

static void open_again(bool from_checkpoint, const char *when)
{
	g_autoptr(GError) error = NULL;

	cr_assert(wb_sim_open(&sim, &error), "%s: %s", when, error ? error->message : "");
	cr_assert_eq(stats().is_from_checkpoint, from_checkpoint, "%s", when);
}

static void reopen(bool from_checkpoint, const char *when)
{
	cr_assert_eq(wb_sim_close(&sim), 0, "%s", when);
	open_again(from_checkpoint, when);
}

static struct wb_superblock newest_superblock(void)
{
	struct wb_recovery *r = wb_recovery_scan(sim.cache_disk.counting, NULL, NULL);
	struct wb_superblock superblock;

	cr_assert(r);
	superblock = r->superblock;
	wb_recovery_free(r);
	return superblock;
}

static uint8_t *region(void)
{
	return wb_sim_cache_bytes(&sim) + sim.geometry.checkpoint_offset;
}

/* Both copies, with right checksums. */
static void write_superblocks(const struct wb_superblock *superblock)
{
	for (unsigned copy = 0; copy < WB_SUPERBLOCK_COUNT; copy++) {
		struct wb_superblock s = *superblock;

		s.generation += 1 + copy;
		wb_superblock_encode(&s, (void *)(wb_sim_cache_bytes(&sim) +
						  wb_superblock_offset(copy)));
	}
}

/* The checksums of what lies there, as if the stop had written it so. */
static void fix_checksums(void)
{
	struct wb_superblock superblock = newest_superblock();
	struct wb_checkpoint_disk *head = (void *)region();

	head->crc = wb_put_le32(wb_block_compute_crc(head));
	superblock.checkpoint_crc = wb_crc32c(region(), superblock.checkpoint_used);
	write_superblocks(&superblock);
}

static void read_image(uint8_t *image)
{
	for (uint64_t at = 0; at < sim.params.image_bytes; at += BLOCK) {
		if (wb_sim_read(&sim, at, image + at, MIN(BLOCK, sim.params.image_bytes - at)))
			memset(image + at, 0xee, MIN(BLOCK, sim.params.image_bytes - at));
	}
}

/* --- disks to go back to ------------------------------------------------------------ */

struct disks {
	uint8_t *cache, *backing;
};

static struct disks keep_disks(void)
{
	return (struct disks){
		g_memdup2(wb_sim_cache_bytes(&sim), sim.cache_disk.memory->size_bytes),
		g_memdup2(wb_sim_backing_bytes(&sim), sim.backing_disk.memory->size_bytes),
	};
}

static void put_disks(const struct disks *disks)
{
	memcpy(wb_sim_cache_bytes(&sim), disks->cache, sim.cache_disk.memory->size_bytes);
	memcpy(wb_sim_backing_bytes(&sim), disks->backing, sim.backing_disk.memory->size_bytes);
}

static void free_disks(struct disks *disks)
{
	g_free(disks->cache);
	g_free(disks->backing);
}

/* --- some of everything ------------------------------------------------------------------ */

static void work(uint64_t seed, unsigned steps)
{
	struct wb_prng prng;

	wb_prng_init(&prng, seed);
	for (unsigned i = 0; i < steps; i++) {
		uint64_t at = wb_prng_below(&prng, IMAGE_BLOCKS - 20) * BLOCK;
		uint64_t bytes = (1 + wb_prng_below(&prng, 16)) * BLOCK;

		switch (wb_prng_below(&prng, 8)) {
		case 0:
			cr_assert_eq(wb_sim_zero(&sim, at, bytes, 0), 0);
			break;
		case 1:
			cr_assert_eq(wb_sim_fill(&sim, at + 512 * wb_prng_below(&prng, 8),
						 (uint8_t)wb_prng_next(&prng),
						 512 * (1 + wb_prng_below(&prng, 30)), 0), 0);
			break;
		case 2:
			cr_assert_eq(wb_sim_sync(&sim), 0);
			break;
		default:
			cr_assert_eq(wb_sim_fill(&sim, at, (uint8_t)wb_prng_next(&prng), bytes, 0),
				     0);
		}
		for (uint64_t n = wb_prng_below(&prng, 30); n > 0; n--)
			wb_sim_step(&sim);
	}
}

/* What can be seen of an open volume. */
struct view {
	uint8_t image[IMAGE_BLOCKS * BLOCK], drained[IMAGE_BLOCKS * BLOCK];
	struct wb_stats_snapshot stats;
};

static void look(struct view *view)
{
	view->stats = stats();
	read_image(view->image);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	memcpy(view->drained, wb_sim_backing_bytes(&sim), sim.params.image_bytes);
}

/* What the stopped session had written back or punched already, behind its tail, the
 * log can only tell to be dirty: `a` knows better. */
static void expect_same_view(const struct view *a, const struct view *b, uint64_t seed)
{
	cr_expect_arr_eq(a->image, b->image, sizeof a->image, "seed %lu: image", seed);
	cr_expect_arr_eq(a->drained, b->drained, sizeof a->drained, "seed %lu: backing", seed);
	cr_expect_leq(a->stats.dirty_blocks, b->stats.dirty_blocks, "seed %lu: dirty", seed);
	cr_expect_leq(a->stats.segments_dirty, b->stats.segments_dirty, "seed %lu", seed);
	cr_expect_leq(a->stats.pending_discards > 0, b->stats.pending_discards > 0);
	cr_expect_eq(a->stats.head_segment, b->stats.head_segment, "seed %lu", seed);
	cr_expect_eq(a->stats.head_sequence, b->stats.head_sequence, "seed %lu", seed);
	cr_expect_eq(a->stats.tail_segment, b->stats.tail_segment, "seed %lu", seed);
	cr_expect_eq(a->stats.tail_sequence, b->stats.tail_sequence, "seed %lu", seed);
	cr_expect_eq(a->stats.epoch, b->stats.epoch);
}

Test(checkpoint, it_tells_what_the_log_would_have_told)
{
	struct view *with = g_new(struct view, 1), *without = g_new(struct view, 1);
	uint64_t pending = 0, dirty = 0, fewer = 0;

	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct wb_superblock superblock;
		struct disks disks;

		start((struct wb_sim_params){ .seed = seed, .segment_count = 8 + seed % 9,
					      .no_writeback = seed % 3 == 0,
					      .image_bytes = IMAGE_BLOCKS * BLOCK });
		work(seed, 10 + (unsigned)seed * 3);
		cr_assert_eq(wb_sim_close(&sim), 0);
		disks = keep_disks();
		open_again(true, "as it was stopped");
		look(with);
		cr_expect_eq(with->stats.recovered_records, 0);
		wb_sim_kill(&sim);
		put_disks(&disks);
		superblock = newest_superblock();
		superblock.checkpoint_used = 0;
		superblock.checkpoint_crc = 0;
		write_superblocks(&superblock);
		open_again(false, "without the checkpoint");
		look(without);
		expect_same_view(with, without, seed);
		pending += with->stats.pending_discards;
		dirty += with->stats.dirty_blocks;
		fewer += without->stats.dirty_blocks - with->stats.dirty_blocks;
		free_disks(&disks);
		stop();
	}
	cr_expect_gt(pending, 0);
	cr_expect_gt(dirty, 20 * fewer, "%lu dirty, %lu fewer than in the log", dirty, fewer);
	g_free(with);
	g_free(without);
}

/* All that a checkpoint can tell, as text. */
static char *dump_state(void)
{
	struct wb_data_path *path = &sim.cache->path;
	GString *text = g_string_new(NULL);
	struct wb_extent extent;

	for (uint64_t place = 0; place < path->geometry.segment_count; place++) {
		struct wb_segment *s = wb_segment_at(path->segments, place);

		g_string_append_printf(text, "place %lu id %lu records %lu-%lu dirty %u\n", place,
				       s->id, s->first_sequence, s->last_sequence,
				       s->dirty_count);
	}
	for (uint32_t slot = 0; slot < path->geometry.slot_count; slot++) {
		struct wb_mapping m;

		wb_block_map_peek(path->map, slot, &m);
		if (m.state != WB_SLOT_FREE)
			g_string_append_printf(text, "slot %u block %lu mask %x state %u crc %x\n",
					       slot, m.address, m.mask, m.state,
					       wb_block_map_crc(path->map, slot));
	}
	for (size_t i = 0; wb_extent_table_get(path->extents, i, &extent); i++)
		g_string_append_printf(text, "extent %lu+%lu record %lu segment %lu kind %d\n",
				       extent.first, extent.count, extent.sequence,
				       extent.segment_id, extent.kind);
	return g_string_free(text, FALSE);
}

Test(checkpoint, what_was_loaded_is_written_again_as_it_was)
{
	size_t longest = 0;

	for (uint64_t seed = 1; seed <= 30; seed++) {
		g_autofree char *before = NULL, *after = NULL;

		start((struct wb_sim_params){ .seed = seed, .segment_count = 10 + seed % 7,
					      .no_writeback = seed % 2 == 0,
					      .image_bytes = IMAGE_BLOCKS * BLOCK });
		work(seed, 10 + (unsigned)seed * 4);
		reopen(true, "");
		before = dump_state();
		reopen(true, "");
		after = dump_state();
		cr_assert_str_eq(before, after, "seed %lu:\n%s\n%s", seed, before, after);
		longest = MAX(longest, strlen(before));
		stop();
	}
	cr_expect_gt(longest, 3000);
}

Test(checkpoint, what_it_leads_to_lasts_through_stops_crashes_and_work)
{
	g_autofree uint8_t *before = g_malloc(IMAGE_BLOCKS * BLOCK);
	g_autofree uint8_t *after = g_malloc(IMAGE_BLOCKS * BLOCK);

	start((struct wb_sim_params){ .seed = 7, .segment_count = 12,
				      .image_bytes = IMAGE_BLOCKS * BLOCK });
	for (uint64_t round = 1; round <= 40; round++) {
		work(round, 25);
		if (round % 3) {
			cr_assert_eq(wb_sim_sync(&sim), 0);
			read_image(before);
			wb_sim_kill(&sim);
			wb_sim_cut_power(&sim);
			open_again(false, "after a crash");
		} else {
			read_image(before);
			reopen(true, "after a stop");
			reopen(true, "after a stop without work");
		}
		read_image(after);
		cr_assert_arr_eq(before, after, IMAGE_BLOCKS * BLOCK, "round %lu", round);
	}
}

Test(checkpoint, an_opening_with_it_reads_no_header_but_the_last)
{
	uint64_t reads;

	start((struct wb_sim_params){ .segment_count = 64, .no_writeback = true });
	for (unsigned i = 0; i < 200; i++)
		cr_assert_eq(wb_sim_fill(&sim, i % 50 * BLOCK, (uint8_t)i, BLOCK,
					 WB_REQUEST_FUA), 0);
	cr_assert_eq(wb_sim_close(&sim), 0);
	reads = wb_store_counting_ios(sim.cache_disk.counting, WB_IO_READ);
	open_again(true, "");
	reads = wb_store_counting_ios(sim.cache_disk.counting, WB_IO_READ) - reads;
	cr_expect_leq(reads, 8, "%lu", reads);
	cr_expect_eq(stats().recovered_records, 0);
	cr_expect_eq(stats().recovered_dirty_blocks, 50);
}

/* --- believed once ------------------------------------------------------------------------- */

Test(checkpoint, it_does_not_outlive_the_opening)
{
	uint8_t byte;

	start((struct wb_sim_params){ .no_writeback = true });
	cr_assert_eq(wb_sim_fill(&sim, 0, 1, BLOCK, 0), 0);
	reopen(true, "");
	cr_expect_eq(newest_superblock().checkpoint_used, 0);
	cr_expect_eq(newest_superblock().state_flags, 0);
	cr_assert_eq(wb_sim_fill(&sim, 0, 2, BLOCK, WB_REQUEST_FUA), 0);
	wb_sim_kill(&sim);
	open_again(false, "after a kill");
	cr_assert_eq(wb_sim_read(&sim, 0, &byte, 1), 0);
	cr_expect_eq(byte, 2);
	wb_sim_kill(&sim);
	open_again(false, "after a kill without a change");
}

/* A disk that gives back the superblocks of the stop: they are whole, and the
 * newest that there are. */
Test(checkpoint, superblocks_that_a_disk_gives_back_do_not_bring_it_back)
{
	g_autofree uint8_t *superblocks = NULL;
	uint8_t byte;

	start((struct wb_sim_params){ .no_writeback = true });
	for (unsigned i = 0; i < 30; i++)
		cr_assert_eq(wb_sim_fill(&sim, i * BLOCK, 1, BLOCK, WB_REQUEST_FUA), 0);
	cr_assert_eq(wb_sim_close(&sim), 0);
	superblocks = g_memdup2(wb_sim_cache_bytes(&sim), WB_SUPERBLOCK_AREA_BYTES);
	open_again(true, "");
	cr_assert_eq(wb_sim_fill(&sim, 0, 2, BLOCK, WB_REQUEST_FUA), 0);
	wb_sim_kill(&sim);
	memcpy(wb_sim_cache_bytes(&sim), superblocks, WB_SUPERBLOCK_AREA_BYTES);
	open_again(false, "");
	cr_assert_eq(wb_sim_read(&sim, 0, &byte, 1), 0);
	cr_expect_eq(byte, 2, "%u", byte);
}

Test(checkpoint, one_superblock_that_knows_a_later_session_ends_it)
{
	start((struct wb_sim_params){ .no_writeback = true });
	cr_assert_eq(wb_sim_fill(&sim, 0, 1, BLOCK, 0), 0);
	cr_assert_eq(wb_sim_close(&sim), 0);
	/* An opening that the power ended between its two superblocks. */
	sim.crash_clock.crash_at = sim.crash_clock.point_count + 6;
	if (wb_sim_open(&sim, NULL))
		wb_sim_kill(&sim);
	wb_sim_cut_power(&sim);
	sim.crash_clock.crash_at = 0;
	cr_assert(wb_sim_open(&sim, NULL));
	cr_expect_eq(stats().recovered_dirty_blocks, 1);
}

/* A copy of the superblock that an opening could not write stays what the stop had
 * left; then the other one, which knew better, is lost. */
Test(checkpoint, a_superblock_of_the_stop_that_is_left_alone_does_not_bring_it_back)
{
	g_autofree uint8_t *superblocks = NULL;

	for (unsigned copy = 0; copy < WB_SUPERBLOCK_COUNT; copy++) {
		uint64_t lost = wb_superblock_offset(1 - copy), left = wb_superblock_offset(copy);

		start((struct wb_sim_params){ .no_writeback = true });
		cr_assert_eq(wb_sim_fill(&sim, 0, 1, BLOCK, 0), 0);
		cr_assert_eq(wb_sim_close(&sim), 0);
		g_free(superblocks);
		superblocks = g_memdup2(wb_sim_cache_bytes(&sim), WB_SUPERBLOCK_AREA_BYTES);
		open_again(true, "");
		wb_sim_kill(&sim);
		memcpy(wb_sim_cache_bytes(&sim) + left, superblocks + left, BLOCK);
		wb_sim_cache_bytes(&sim)[lost + 100] ^= 1;
		open_again(false, "one superblock of the stop");
		cr_expect_eq(stats().recovered_dirty_blocks, 1);
		stop();
	}
}

Test(checkpoint, one_of_an_earlier_stop_makes_the_log_count)
{
	g_autofree uint8_t *earlier = NULL;
	struct wb_superblock before, after;
	uint8_t byte;

	start((struct wb_sim_params){ .no_writeback = true });
	cr_assert_eq(wb_sim_fill(&sim, 0, 1, BLOCK, 0), 0);
	cr_assert_eq(wb_sim_close(&sim), 0);
	before = newest_superblock();
	earlier = g_memdup2(region(), before.checkpoint_used);
	open_again(true, "");
	cr_assert_eq(wb_sim_fill(&sim, 0, 2, BLOCK, 0), 0);
	cr_assert_eq(wb_sim_close(&sim), 0);
	/* As if a program that knows nothing of checkpoints had kept these numbers. */
	after = newest_superblock();
	after.checkpoint_used = before.checkpoint_used;
	after.checkpoint_crc = before.checkpoint_crc;
	write_superblocks(&after);
	memcpy(region(), earlier, before.checkpoint_used);
	open_again(false, "an earlier one");
	cr_assert_eq(wb_sim_read(&sim, 0, &byte, 1), 0);
	cr_expect_eq(byte, 2);
}

static void fail_reads_of_segment(uint64_t id)
{
	struct wb_fault fault = { .op = WB_IO_READ, .io_class = WB_FAULT_ANY, .length_bytes = 512,
				  .count = WB_FAULT_FOR_EVER };

	fault.offset_bytes = wb_geometry_segment_offset(&sim.geometry,
							wb_geometry_place(&sim.geometry, id));
	wb_store_faulty_add(sim.cache_disk.faulty, &fault);
}

Test(checkpoint, a_next_segment_that_cannot_be_read_makes_the_log_count)
{
	uint64_t next;

	start((struct wb_sim_params){ .no_writeback = true });
	cr_assert_eq(wb_sim_fill(&sim, 0, 1, BLOCK, WB_REQUEST_FUA), 0);
	next = stats().head_segment + 1;
	cr_assert_eq(wb_sim_close(&sim), 0);
	fail_reads_of_segment(next);
	open_again(false, "a later session may have begun there");
	cr_expect_eq(stats().recovered_dirty_blocks, 1);
	wb_store_faulty_clear(sim.cache_disk.faulty);
}

/* There is no next segment; opening says why it refuses. */
Test(checkpoint, a_list_that_calls_all_places_bad_is_refused)
{
	g_autoptr(GError) error = NULL;
	struct wb_superblock superblock;

	start((struct wb_sim_params){ .no_writeback = true });
	cr_assert_eq(wb_sim_fill(&sim, 0, 1, BLOCK, WB_REQUEST_FUA), 0);
	cr_assert_eq(wb_sim_close(&sim), 0);
	superblock = newest_superblock();
	superblock.bad_count = (uint32_t)sim.geometry.segment_count;
	for (uint32_t i = 0; i < superblock.bad_count; i++)
		superblock.bad_places[i] = i;
	write_superblocks(&superblock);
	cr_expect_not(wb_sim_open(&sim, &error));
	cr_assert(error);
	cr_expect(strstr(error->message, "cannot be written"), "%s", error->message);
}

Test(checkpoint, a_mount_that_only_reads_uses_it_and_leaves_it)
{
	uint8_t byte;

	start((struct wb_sim_params){ .no_writeback = true });
	cr_assert_eq(wb_sim_fill(&sim, 0, 1, BLOCK, 0), 0);
	cr_assert_eq(wb_sim_close(&sim), 0);
	sim.access = WB_CACHE_READ_ONLY;
	for (unsigned i = 0; i < 3; i++) {
		open_again(true, "read-only");
		cr_assert_eq(wb_sim_read(&sim, 0, &byte, 1), 0);
		cr_expect_eq(byte, 1);
		cr_assert_eq(wb_sim_close(&sim), 0);
	}
	sim.access = WB_CACHE_READ_WRITE;
	open_again(true, "to be written to");
}

/* --- odd ones ------------------------------------------------------------------------------ */

/* A stopped volume with dirty, clean and discarded blocks in several segments. */
static struct disks make_mixed(void)
{
	start((struct wb_sim_params){ .no_writeback = true, .image_bytes = IMAGE_BLOCKS * BLOCK });
	for (unsigned i = 0; i < 20; i++)
		cr_assert_eq(wb_sim_fill(&sim, i * 3 * BLOCK, (uint8_t)(i + 1), 2 * BLOCK, 0), 0);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	for (unsigned i = 0; i < 20; i++)
		cr_assert_eq(wb_sim_fill(&sim, i * 5 * BLOCK, (uint8_t)(i + 101), BLOCK, 0), 0);
	cr_assert_eq(wb_sim_zero(&sim, 200 * BLOCK, 9 * BLOCK, 0), 0);
	cr_assert_eq(wb_sim_zero(&sim, 30 * BLOCK, 3 * BLOCK, 0), 0);
	cr_assert_eq(wb_sim_close(&sim), 0);
	return keep_disks();
}

static void expect_image(const uint8_t *expected, const char *what, uint64_t at)
{
	g_autofree uint8_t *image = g_malloc(IMAGE_BLOCKS * BLOCK);

	read_image(image);
	cr_assert_arr_eq(image, expected, IMAGE_BLOCKS * BLOCK, "%s at %lu", what, at);
}

Test(checkpoint, rot_in_it_makes_the_log_count)
{
	g_autofree uint8_t *expected = g_malloc(IMAGE_BLOCKS * BLOCK);
	struct disks disks = make_mixed();
	uint64_t used = newest_superblock().checkpoint_used;

	cr_assert_gt(used, 4096 + 3000);
	open_again(true, "");
	read_image(expected);
	for (uint64_t at = 0; at < used; at += at < 200 ? 1 : 37) {
		wb_sim_kill(&sim);
		put_disks(&disks);
		region()[at] ^= (uint8_t)(1u << at % 8);
		open_again(false, "rotten");
		expect_image(expected, "rot", at);
	}
	wb_sim_kill(&sim);
	put_disks(&disks);
	region()[used] ^= 1;
	open_again(true, "behind its end");
	free_disks(&disks);
}

Test(checkpoint, blocks_that_cannot_be_read_make_the_log_count)
{
	g_autofree uint8_t *expected = g_malloc(IMAGE_BLOCKS * BLOCK);
	struct disks disks = make_mixed();
	uint64_t used = newest_superblock().checkpoint_used;

	open_again(true, "");
	read_image(expected);
	for (uint64_t at = 0; at < used; at += BLOCK) {
		struct wb_fault fault = { .op = WB_IO_READ, .io_class = WB_FAULT_ANY,
					  .offset_bytes = sim.geometry.checkpoint_offset + at,
					  .length_bytes = 512, .count = WB_FAULT_FOR_EVER };

		wb_sim_kill(&sim);
		put_disks(&disks);
		wb_store_faulty_add(sim.cache_disk.faulty, &fault);
		open_again(false, "unreadable");
		expect_image(expected, "unreadable", at);
		wb_store_faulty_clear(sim.cache_disk.faulty);
	}
	free_disks(&disks);
}

static struct wb_checkpoint_disk *head(void)
{
	return (void *)region();
}

static uint8_t *body(void)
{
	return region() + BLOCK + wb_get_le32(head()->run_count) *
					  sizeof(struct wb_checkpoint_run_disk);
}

static struct wb_checkpoint_segment_disk *segment_at(unsigned i)
{
	return (void *)(body() + (size_t)i * sim.geometry.segment_blocks *
					 sizeof(struct wb_entry_disk));
}

static struct wb_entry_disk *first_entry(uint8_t type, unsigned skip)
{
	struct wb_entry_disk *e = (void *)body();
	unsigned count = wb_get_le32(head()->segment_count) * sim.geometry.segment_blocks;

	for (unsigned i = 0; i < count; i++)
		if (i % sim.geometry.segment_blocks && e[i].type == type && skip-- == 0)
			return &e[i];
	g_error("no entry of type %u", type);
}

static struct wb_checkpoint_extent_disk *extent_at(unsigned i)
{
	return (struct wb_checkpoint_extent_disk *)(body() +
		(size_t)wb_get_le32(head()->segment_count) * sim.geometry.segment_blocks *
		sizeof(struct wb_entry_disk)) + i;
}

/* Each with right checksums, and none may come of a stop. */
static void lie(unsigned which)
{
	struct wb_checkpoint_run_disk *run = (void *)(region() + BLOCK);
	struct wb_checkpoint_segment_disk swap;

	switch (which) {
	case 0: head()->epoch = wb_put_le64(wb_get_le64(head()->epoch) + 1); break;
	case 1: head()->last_sequence = wb_put_le64(wb_get_le64(head()->last_sequence) - 1); break;
	case 2: head()->last_segment = wb_put_le64(wb_get_le64(head()->last_segment) - 1); break;
	case 3: head()->last_segment = wb_put_le64(UINT64_MAX); break;
	case 4: head()->last_crc.byte[0] ^= 1; break;
	case 5: head()->tail_sequence.byte[0] ^= 1; break;
	case 6: head()->run_count.byte[0] += 1; break;
	case 7: head()->segment_count.byte[0] += 1; break;
	case 8: head()->segment_count.byte[0] -= 1; break;
	case 9: head()->extent_count.byte[0] -= 1; break;
	case 10: head()->dirty_blocks.byte[0] ^= 1; break;
	case 11: head()->uuid[3] ^= 1; break;
	case 12: run->place_count.byte[0] -= 1; break;
	case 13: run->first_place.byte[0] += 1; break;
	case 14: run->place_count = wb_put_le32(0); break;
	case 15: segment_at(0)->first_sequence = wb_put_le64(0); break;
	case 16: segment_at(0)->first_sequence = wb_put_le64(UINT64_MAX); break;
	case 17: segment_at(0)->record_count = wb_put_le16(0); break;
	case 18: segment_at(0)->record_count = wb_put_le16(0xffff); break;
	case 19: segment_at(0)->zero_10[0] = 1; break;
	case 20:
		swap = *segment_at(0);
		*segment_at(0) = *segment_at(1);
		*segment_at(1) = swap;
		break;
	case 21: first_entry(WB_ENTRY_DATA, 0)->type = 7; break;
	case 22: first_entry(WB_ENTRY_DATA, 0)->type = WB_ENTRY_BAD; break;
	case 23: first_entry(WB_ENTRY_DATA, 0)->mask = 0; break;
	case 24: first_entry(WB_ENTRY_DATA, 0)->address = wb_put_le48(IMAGE_BLOCKS); break;
	case 25: first_entry(WB_ENTRY_DATA, 0)->address = first_entry(WB_ENTRY_DATA, 1)->address;
		break;
	case 26: first_entry(WB_ENTRY_CLEAN, 0)->address = first_entry(WB_ENTRY_DATA, 1)->address;
		break;
	case 27: first_entry(WB_ENTRY_CLEAN, 0)->type = WB_ENTRY_DATA; break;
	case 28: first_entry(WB_ENTRY_DATA, 0)->type = WB_ENTRY_CLEAN; break;
	case 29: extent_at(0)->first = wb_put_le48(IMAGE_BLOCKS); break;
	case 30: extent_at(0)->count = wb_put_le48(0); break;
	case 31: extent_at(0)->count = wb_put_le48((UINT64_C(1) << 48) - 1); break;
	case 32: extent_at(0)->type = WB_ENTRY_BYPASS; break;
	case 33: extent_at(0)->place = wb_put_le32(UINT32_MAX); break;
	case 34: extent_at(0)->record = wb_put_le16(0xffff); break;
	case 35: extent_at(1)->first = extent_at(0)->first; break;
	case 36: extent_at(0)->zero_7[0] = 1; break;
	case 37: ((uint8_t *)extent_at(wb_get_le32(head()->extent_count)))[0] = 1; break;
	case 38: head()->zero_12[0] = 1; break;
	case 39: head()->zero_96[3999] = 1; break;
	case 40: head()->last_sequence = wb_put_le64(UINT64_MAX); break;
	case 41: head()->extent_count = wb_put_le32(UINT32_MAX); break;
	case 42: head()->segment_count = wb_put_le32(UINT32_MAX); break;
	case 43: extent_at(0)->place = wb_put_le32(sim.geometry.segment_count - 1); break;
	case 44:
		cr_assert_gt(wb_get_le48(extent_at(0)->count), 1);
		extent_at(0)->type = WB_ENTRY_BAD;
		extent_at(0)->count = wb_put_le48(2);
		break;
	default: cr_assert_fail();
	}
}

Test(checkpoint, one_with_right_checksums_that_no_stop_writes_makes_the_log_count)
{
	g_autofree uint8_t *expected = g_malloc(IMAGE_BLOCKS * BLOCK);
	struct disks disks = make_mixed();

	fix_checksums();
	open_again(true, "checksums made again");
	read_image(expected);
	for (unsigned which = 0; which <= 44; which++) {
		g_autofree char *name = g_strdup_printf("lie %u", which);

		wb_sim_kill(&sim);
		put_disks(&disks);
		lie(which);
		fix_checksums();
		open_again(false, name);
		expect_image(expected, "lie", which);
	}
	free_disks(&disks);
}

/* As if superblocks and head agreed on it. FALSE: that is none of a record that is needed. */
static bool move_tail(uint64_t records_back, bool with_checkpoint)
{
	struct wb_superblock superblock = newest_superblock();
	uint64_t last = wb_get_le64(head()->last_sequence);

	if (superblock.tail_sequence + records_back > last)
		return false;
	superblock.tail_sequence = last - records_back;
	head()->tail_sequence = wb_put_le64(superblock.tail_sequence);
	if (!with_checkpoint)
		superblock.checkpoint_used = superblock.checkpoint_crc = 0;
	write_superblocks(&superblock);
	if (with_checkpoint)
		fix_checksums();
	return true;
}

/* All is superseded, some after the other, while the tail is judged. */
static void write_all_and_drain(void)
{
	for (uint64_t a = 0; a < IMAGE_BLOCKS; a++) {
		cr_assert_eq(wb_sim_fill(&sim, a * BLOCK, 0x99, BLOCK, 0), 0);
		for (unsigned n = 0; n < 20; n++) {
			wb_cache_kick_writeback(sim.cache);
			wb_sim_step(&sim);
		}
	}
	cr_assert_eq(wb_sim_drain(&sim), 0);
}

/* What lies before such a tail must not be where it moves on to. No stop leaves one, and
 * what the image holds then is of no account. */
static unsigned try_tails(struct disks disks, bool with_checkpoint)
{
	unsigned from_log = 0;

	for (uint64_t back = 0; move_tail(back, with_checkpoint); back++) {
		cr_assert(wb_sim_open(&sim, NULL), "%lu back", back);
		from_log += !stats().is_from_checkpoint;
		write_all_and_drain();
		wb_sim_kill(&sim);
		put_disks(&disks);
	}
	free_disks(&disks);
	return from_log;
}

Test(checkpoint, a_tail_that_its_dirty_segments_lie_before_makes_the_log_count)
{
	cr_expect_gt(try_tails(make_mixed(), true), 0);
}

Test(checkpoint, a_tail_in_the_middle_of_a_later_segment_does_no_harm)
{
	/* several records in each segment */
	start((struct wb_sim_params){ .no_writeback = true, .image_bytes = IMAGE_BLOCKS * BLOCK });
	for (unsigned i = 0; i < 30; i++)
		cr_assert_eq(wb_sim_fill(&sim, i * BLOCK, 1, BLOCK, WB_REQUEST_FUA), 0);
	cr_assert_eq(wb_sim_close(&sim), 0);
	cr_expect_eq(try_tails(keep_disks(), false), 30);
}

#if !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__
static rlim_t memory_in_use(void)
{
	g_autofree char *text = NULL;

	cr_assert(g_file_get_contents("/proc/self/statm", &text, NULL, NULL));
	return g_ascii_strtoull(text, NULL, 10) * BLOCK;
}

/* As many extents as the region has room for, of which none is there: a cache with a hole
 * in place of them takes no space on its disk. */
Test(checkpoint, extents_that_are_not_there_are_given_no_memory)
{
	struct wb_superblock superblock;
	struct wb_checkpoint checkpoint;
	struct rlimit limit;
	uint64_t bytes;

	start((struct wb_sim_params){ .no_writeback = true, .segment_bytes = 1 << 20,
				      .segment_count = 4096 });
	cr_assert_eq(wb_sim_fill(&sim, 0, 1, 3 * BLOCK, 0), 0);
	cr_assert_eq(wb_sim_zero(&sim, 9 * BLOCK, 3 * BLOCK, 0), 0);
	cr_assert_eq(wb_sim_close(&sim), 0);
	superblock = newest_superblock();
	cr_assert_eq(wb_checkpoint_decode(head(), &superblock, &checkpoint), WB_CHECKPOINT_VALID);
	checkpoint.extent_count += (sim.geometry.checkpoint_bytes - superblock.checkpoint_used) /
				   sizeof(struct wb_checkpoint_extent_disk);
	bytes = (uint64_t)checkpoint.extent_count * sizeof(struct wb_extent);
	cr_assert_gt(bytes, 20 << 20);
	wb_checkpoint_encode(&checkpoint, head());
	superblock.checkpoint_used = wb_checkpoint_bytes(&sim.geometry, &checkpoint);
	superblock.checkpoint_crc = wb_crc32c(region(), superblock.checkpoint_used);
	write_superblocks(&superblock);
	limit.rlim_cur = limit.rlim_max = memory_in_use() + (52 << 20);
	cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
	open_again(false, "extents in a hole");
	cr_expect_eq(stats().recovered_dirty_blocks, 3);
	cr_expect_eq(stats().pending_discards, 1);
}
#endif

Test(checkpoint, a_size_that_it_does_not_have_makes_the_log_count)
{
	struct disks disks = make_mixed();
	uint64_t sizes[] = { 1, BLOCK, 2 * BLOCK - 1, 3 * BLOCK, sim.geometry.checkpoint_bytes };

	for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
		struct wb_superblock superblock;

		put_disks(&disks);
		superblock = newest_superblock();
		superblock.checkpoint_used = sizes[i];
		superblock.checkpoint_crc = wb_crc32c(region(), sizes[i]);
		write_superblocks(&superblock);
		open_again(false, "another size");
		wb_sim_kill(&sim);
	}
	free_disks(&disks);
}

/* The log behind it is not looked at: what is damaged there is found when it is
 * needed, and its data has checksums of its own. */
Test(checkpoint, a_header_that_has_rotted_does_not_keep_from_opening)
{
	g_autofree uint8_t *expected = g_malloc(IMAGE_BLOCKS * BLOCK);
	struct disks disks = make_mixed();
	uint64_t last;

	open_again(true, "");
	last = stats().head_segment;
	read_image(expected);
	wb_sim_kill(&sim);
	put_disks(&disks);
	wb_sim_cache_bytes(&sim)[wb_geometry_segment_offset(&sim.geometry,
			wb_geometry_place(&sim.geometry, last - 1)) + 40] ^= 1;
	open_again(true, "the header of a segment in the middle");
	expect_image(expected, "rot in the log", 0);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	cr_assert_arr_eq(wb_sim_backing_bytes(&sim), expected, IMAGE_BLOCKS * BLOCK);
	free_disks(&disks);
}

Test(checkpoint, a_last_record_that_is_not_there_makes_the_log_count)
{
	struct disks disks = make_mixed();
	uint64_t last;

	open_again(true, "");
	last = stats().head_segment;
	wb_sim_kill(&sim);
	put_disks(&disks);
	wb_sim_cache_bytes(&sim)[wb_geometry_segment_offset(&sim.geometry,
			wb_geometry_place(&sim.geometry, last)) + 40] ^= 1;
	cr_expect_not(wb_sim_open(&sim, NULL), "the log is damaged");
	free_disks(&disks);
}

/* --- none ------------------------------------------------------------------------------- */

static void expect_stop_with_fault(const struct wb_fault *fault, bool from_checkpoint)
{
	uint8_t byte;

	start((struct wb_sim_params){ .no_writeback = true });
	cr_assert_eq(wb_sim_fill(&sim, 0, 1, 3 * BLOCK, WB_REQUEST_FUA), 0);
	wb_sim_settle(&sim);
	wb_store_faulty_add(sim.cache_disk.faulty, fault);
	cr_assert_eq(wb_sim_close(&sim), 0, "a stop needs no checkpoint");
	cr_assert_eq(wb_store_faulty_hit_count(sim.cache_disk.faulty), 1);
	wb_store_faulty_clear(sim.cache_disk.faulty);
	wb_sim_cut_power(&sim);
	open_again(from_checkpoint, "");
	cr_assert_eq(wb_sim_read(&sim, 0, &byte, 1), 0);
	cr_expect_eq(byte, 1);
	stop();
}

Test(checkpoint, an_error_of_writing_it_is_no_failure_of_the_stop)
{
	struct wb_fault write = { .op = WB_IO_WRITE, .io_class = WB_FAULT_ANY,
				  .offset_bytes = WB_SUPERBLOCK_AREA_BYTES,
				  .length_bytes = 65536 };
	struct wb_fault flush = { .op = WB_IO_FLUSH, .io_class = WB_FAULT_ANY };

	expect_stop_with_fault(&write, false);
	write.effect = WB_FAULT_FAIL_SHORT;
	expect_stop_with_fault(&write, false);
	write.effect = WB_FAULT_FAIL_LATE;
	expect_stop_with_fault(&write, false);
	expect_stop_with_fault(&flush, false);
}

Test(checkpoint, any_io_of_a_stop_may_fail)
{
	for (uint64_t n = 1, hits = 1; hits > 0; n++) {
		struct wb_fault fault = { .op = WB_FAULT_ANY, .io_class = WB_FAULT_ANY,
					  .first = n };
		uint8_t byte;

		start((struct wb_sim_params){ .no_writeback = true });
		cr_assert_eq(wb_sim_fill(&sim, 0, 1, 3 * BLOCK, 0), 0);
		cr_assert_eq(wb_sim_zero(&sim, 9 * BLOCK, 3 * BLOCK, 0), 0);
		wb_store_faulty_add(sim.cache_disk.faulty, &fault);
		wb_sim_close(&sim);
		hits = wb_store_faulty_hit_count(sim.cache_disk.faulty);
		wb_store_faulty_clear(sim.cache_disk.faulty);
		cr_assert(wb_sim_open(&sim, NULL), "n %lu", n);
		cr_expect_eq(stats().recovered_dirty_blocks, 3, "n %lu", n);
		cr_expect_eq(stats().pending_discards, 1, "n %lu", n);
		cr_assert_eq(wb_sim_read(&sim, 0, &byte, 1), 0);
		cr_expect_eq(byte, 1);
		cr_assert_lt(n, 100);
		stop();
	}
}

/* As many discards as the table takes, in a ring that is in use all over. */
Test(checkpoint, what_does_not_fit_into_its_region_is_left_to_the_log)
{
	struct wb_stats_snapshot now;
	g_autoptr(GError) error = NULL;

	start((struct wb_sim_params){ .no_writeback = true, .segment_count = 64,
				      .image_bytes = UINT64_C(64) << 20 });
	for (unsigned i = 0; i < 5000; i++)
		cr_assert_eq(wb_sim_zero(&sim, (uint64_t)i * 3 * BLOCK, BLOCK, 0), 0);
	/* Nothing of this is freed, and most of the ring is used. */
	for (unsigned i = 0; i < 45; i++)
		cr_assert_eq(wb_sim_fill(&sim, (uint64_t)i * 15 * BLOCK + (40u << 20), 1,
					 15 * BLOCK, 0), 0);
	now = stats();
	cr_assert_gt(now.pending_discards, 4000);
	cr_assert_eq(wb_sim_close(&sim), 0);
	open_again(false, "too much");
	cr_expect_eq(stats().pending_discards, now.pending_discards);
	cr_expect_eq(stats().dirty_blocks, now.dirty_blocks);
}

Test(checkpoint, a_volume_that_was_never_written_to_has_one_too)
{
	start((struct wb_sim_params){ 0 });
	for (unsigned i = 0; i < 3; i++)
		reopen(true, "empty");
	cr_assert_eq(wb_sim_fill(&sim, 0, 1, BLOCK, 0), 0);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	for (unsigned i = 0; i < 3; i++)
		reopen(true, "all clean");
	cr_expect_eq(stats().cached_blocks, 1);
}
