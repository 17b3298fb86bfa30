/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rescue without a mount gives what a mount would read: over random histories,
 * killed anywhere; and the replay by itself against one that goes forward, block
 * by block, through logs with entries of every type.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "cache/rescue.h"
#include "format/endian.h"
#include "support/store_memory.h"
#include "support/volume_sim.h"

#define BLOCK 4096u

/* --- rescue of a simulated volume --------------------------------------------- */

static struct wb_sim sim;
static struct wb_recovery *recovery;
static struct wb_replay *replay;
static struct wb_store *target;

struct losses {
	unsigned count;
	uint64_t first, blocks;		/* of the last one */
	enum wb_rescue_loss loss;
};

static void on_lost(void *arg, uint64_t first, uint64_t count, enum wb_rescue_loss loss)
{
	struct losses *losses = arg;

	losses->count++;
	losses->first = first;
	losses->blocks = count;
	losses->loss = loss;
}

#define BEHIND 8192u

/* What the backing has now, on a larger disk of its own: what lies behind the
 * image is not ours. */
static void copy_backing(uint64_t behind)
{
	struct wb_store *backing = sim.backing_disk.counting;
	uint64_t bytes = backing->size_bytes;

	target = wb_store_memory_new(bytes + behind, backing->alignment_bytes, 512);
	cr_assert_eq(wb_store_read_sync(backing, 0, wb_store_memory_bytes(target), bytes), 0);
	memset(wb_store_memory_bytes(target) + bytes, 0x77, behind);
}

static void check_behind(uint64_t behind)
{
	const uint8_t *bytes = wb_store_memory_bytes(target) + sim.geometry.backing_bytes;

	for (uint64_t i = 0; i < behind; i++)
		cr_assert_eq(bytes[i], 0x77);
}

static void end_rescue(void)
{
	wb_replay_free(replay);
	wb_recovery_free(recovery);
	wb_store_close(target);
	replay = NULL;
	recovery = NULL;
	target = NULL;
}

static void scan(void)
{
	g_autoptr(GError) error = NULL;

	recovery = wb_recovery_scan(sim.cache_disk.counting, NULL, &error);
	cr_assert(recovery, "%s", error ? error->message : "");
	replay = wb_replay_new(recovery);
}

/* Steps until it is stopped; 0 = never. */
static unsigned steps_left;

static bool on_progress(void *arg, uint64_t done_bytes, uint64_t total_bytes)
{
	(void)arg;
	cr_expect_leq(done_bytes, total_bytes);
	return steps_left == 0 || --steps_left > 0;
}

static int apply(struct losses *losses)
{
	struct wb_rescue rescue = {
		.progress = on_progress,
		.cache_store = sim.cache_disk.counting, .target = target,
		.geometry = &recovery->superblock.geometry, .replay = replay,
		.lost = on_lost, .arg = losses,
	};
	uint64_t failed_bytes;

	*losses = (struct losses){ 0 };
	return wb_rescue_apply(&rescue, &failed_bytes);
}

/* What a mount reads, and what was rescued before it. */
static void compare_with_mount(const uint8_t *rescued, uint64_t seed)
{
	uint64_t bytes = sim.geometry.backing_bytes;
	uint8_t *seen = g_malloc(BLOCK);

	cr_assert(wb_sim_open(&sim, NULL));
	for (uint64_t at = 0; at < bytes; at += BLOCK) {
		uint64_t length = MIN(bytes - at, BLOCK);

		cr_assert_eq(wb_sim_read(&sim, at, seen, length), 0);
		cr_assert(!memcmp(seen, rescued + at, length), "seed %lu: block %lu differs",
			  seed, at / BLOCK);
	}
	g_free(seen);
}

struct sums {
	unsigned blocks, parts, zeros;
};

static void add_to(struct sums *sums)
{
	sums->blocks += replay->blocks->len;
	sums->zeros += replay->extents->len;
	for (guint i = 0; i < replay->blocks->len; i++)
		sums->parts += g_array_index(replay->blocks, struct wb_replay_block, i).mask !=
			       0xff;
}

static void rescue_and_compare(uint64_t seed, struct sums *sums)
{
	uint64_t bytes = sim.geometry.backing_bytes;
	uint64_t behind = seed % 3 ? BEHIND : 0;
	uint8_t *once, *cache_before;
	struct losses losses;

	copy_backing(behind);
	cache_before = g_memdup2(wb_sim_cache_bytes(&sim), sim.geometry.cache_bytes);
	scan();
	add_to(sums);
	cr_assert_eq(apply(&losses), 0);
	once = g_memdup2(wb_store_memory_bytes(target), bytes);
	cr_assert_eq(apply(&losses), 0);
	cr_assert(!memcmp(once, wb_store_memory_bytes(target), bytes), "not repeatable");
	cr_assert_eq(losses.count, 0);
	check_behind(behind);
	cr_assert(!memcmp(cache_before, wb_sim_cache_bytes(&sim), sim.geometry.cache_bytes));
	compare_with_mount(once, seed);
	g_free(once);
	g_free(cache_before);
	end_rescue();
}

static void do_something(struct wb_prng *prng)
{
	uint64_t bytes = sim.geometry.backing_bytes, align = wb_prng_below(prng, 3);
	uint64_t offset = wb_prng_below(prng, bytes), length = 1 + wb_prng_below(prng, 40000);
	unsigned what = (unsigned)wb_prng_below(prng, 100);

	if (align) {
		offset -= offset % (align == 1 ? 512 : BLOCK);
		length += align == 1 ? 512 - length % 512 : BLOCK - length % BLOCK;
	}
	length = wb_prng_below(prng, 10) ? MIN(length, bytes - offset) : bytes - offset;
	if (what < 60)
		cr_assert_eq(wb_sim_fill(&sim, offset, (uint8_t)(1 + what), length, 0), 0);
	else if (what < 85)
		cr_assert_eq(wb_sim_zero(&sim, offset, length, 0), 0);
	else if (what < 98)
		cr_assert_eq(wb_sim_sync(&sim), 0);
	else
		cr_assert_eq(wb_sim_drain(&sim), 0);
	for (uint64_t n = wb_prng_below(prng, 40); n > 0; n--)
		wb_sim_step(&sim);
}

static void live(uint64_t seed, struct sums *sums)
{
	struct wb_sim_params params = {
		.seed = seed, .backing_fill = 200, .no_writeback = seed % 4 == 3,
		.image_bytes = (1u << 20) - (seed % 2 ? 3 * 512 : 0),
		.backing_alignment_bytes = seed % 4 == 2 ? BLOCK : 512,
	};
	struct wb_prng prng;

	wb_prng_init(&prng, seed);
	wb_sim_init(&sim, &params);
	cr_assert(wb_sim_open(&sim, NULL));
	for (unsigned life = 0; life < 4; life++) {
		for (uint64_t n = 20 + wb_prng_below(&prng, 60); n > 0; n--)
			do_something(&prng);
		wb_sim_kill(&sim);
		if (life % 2)
			wb_sim_cut_power(&sim);
		rescue_and_compare(seed, sums);
	}
	wb_sim_clear(&sim);
}

Test(rescue, gives_what_a_mount_reads_whenever_the_daemon_was_killed)
{
	struct sums sums = { 0 };

	for (uint64_t seed = 1; seed <= 40; seed++)
		live(seed, &sums);
	/* the test means something only if all of this happened */
	cr_assert_gt(sums.blocks, 1000);
	cr_assert_gt(sums.parts, 100);
	cr_assert_gt(sums.zeros, 100);
}

/* --- what is lost ------------------------------------------------------------------ */

/* Ten dirty blocks of 1 over a backing of 9; returns block 4 on the cache disk. */
static uint8_t *start_with_ten(void)
{
	struct wb_sim_params params = { .backing_fill = 9, .no_writeback = true };
	uint8_t *block;
	bool is_dirty;

	wb_sim_init(&sim, &params);
	cr_assert(wb_sim_open(&sim, NULL));
	cr_assert_eq(wb_sim_fill(&sim, 0, 1, 10 * BLOCK, 0), 0);
	cr_assert_eq(wb_sim_close(&sim), 0);
	cr_assert(wb_sim_open(&sim, NULL));
	block = wb_sim_cached_block(&sim, 4, &is_dirty);
	cr_assert(block && is_dirty);
	return block;
}

static void check_loss_of_4(enum wb_rescue_loss loss)
{
	struct losses losses;

	if (sim.cache)
		cr_assert_eq(wb_sim_close(&sim), 0);
	copy_backing(0);
	scan();
	cr_assert_eq(apply(&losses), 0);
	cr_expect_eq(losses.count, 1);
	cr_expect_eq(losses.first, 4);
	cr_expect_eq(losses.blocks, 1);
	cr_expect_eq(losses.loss, loss);
	for (unsigned i = 0; i < 10; i++)
		cr_expect_eq(wb_store_memory_bytes(target)[i * BLOCK + 1000], i == 4 ? 9 : 1,
			     "block %u", i);
	end_rescue();
	wb_sim_clear(&sim);
}

Test(rescue, names_a_rotten_block_and_leaves_what_the_backing_has_there)
{
	start_with_ten()[1000] ^= 4;
	check_loss_of_4(WB_RESCUE_ROTTEN);
}

Test(rescue, names_a_block_that_the_cache_disk_cannot_read)
{
	const uint8_t *block = start_with_ten();
	struct wb_fault fault = {
		.op = WB_IO_READ, .io_class = WB_FAULT_ANY, .length_bytes = BLOCK,
		.offset_bytes = (uint64_t)(block - wb_sim_cache_bytes(&sim)),
		.count = WB_FAULT_FOR_EVER,
	};

	cr_assert_eq(wb_sim_close(&sim), 0);
	wb_store_faulty_add(sim.cache_disk.faulty, &fault);
	check_loss_of_4(WB_RESCUE_UNREADABLE);
}

/* The n-th write fails, n growing until none does. */
Test(rescue, that_the_target_fails_says_so_and_succeeds_when_it_is_repeated)
{
	struct wb_fault fault = { .op = WB_FAULT_ANY, .io_class = WB_FAULT_ANY };
	struct losses losses;
	unsigned n = 0;

	start_with_ten();
	cr_assert_eq(wb_sim_fill(&sim, 20 * BLOCK + 512, 1, 512, 0), 0);
	cr_assert_eq(wb_sim_fill(&sim, 20 * BLOCK + 2048, 1, 2048, 0), 0);
	cr_assert_eq(wb_sim_zero(&sim, 30 * BLOCK, 5 * BLOCK, 0), 0);
	cr_assert_eq(wb_sim_close(&sim), 0);
	copy_backing(0);
	target = wb_store_faulty_new(target);
	scan();
	for (;;) {
		fault.first = ++n;
		wb_store_faulty_clear(target);
		wb_store_faulty_add(target, &fault);
		if (!apply(&losses))
			break;
	}
	/* zeros, the run of ten, two parts of a block, the flush */
	cr_expect_eq(n, 6);
	cr_expect_eq(losses.count, 0);
	wb_store_faulty_clear(target);
	cr_expect_eq(apply(&losses), 0);
	end_rescue();
	wb_sim_clear(&sim);
}

/* The user may change their mind at every step, and then again. */
Test(rescue, that_is_stopped_says_so_and_succeeds_when_it_is_repeated)
{
	struct losses losses;
	unsigned n = 0;

	start_with_ten();
	cr_assert_eq(wb_sim_zero(&sim, 30 * BLOCK, 5 * BLOCK, 0), 0);
	cr_assert_eq(wb_sim_close(&sim), 0);
	copy_backing(0);
	scan();
	do {
		steps_left = ++n;
		if (!apply(&losses))
			break;
		cr_assert_eq(steps_left, 0);
		steps_left = n;
		cr_assert_eq(apply(&losses), -ECANCELED);
	} while (n < 100);
	cr_expect_eq(n, 4);		/* the beginning, zeros, the only batch; never */
	steps_left = 0;
	cr_expect_eq(apply(&losses), 0);
	cr_expect_eq(losses.count, 0);
	cr_expect_eq(wb_store_memory_bytes(target)[9 * BLOCK], 1);
	cr_expect_eq(wb_store_memory_bytes(target)[30 * BLOCK], 0);
	end_rescue();
	wb_sim_clear(&sim);
}

Test(rescue, names_a_block_that_was_lost_before)
{
	start_with_ten()[1000] ^= 4;
	for (unsigned i = 0; i < 100; i++)
		cr_assert_eq(wb_sim_fill(&sim, (16 + i % 14 * 16) * BLOCK, (uint8_t)i,
					 16 * BLOCK, 0), 0);
	check_loss_of_4(WB_RESCUE_LOST_BEFORE);
}

/* --- the replay by itself ------------------------------------------------------------ */

#define BLOCKS 64u
#define LOG_RECORDS 60u

enum origin { BACKING, DATA, ZEROS, LOST };

struct known {
	enum origin origin;
	uint8_t mask;
	uint32_t slot, crc;
};

static void add_entry(struct wb_prng *prng, struct known *known, uint32_t *next_slot,
		      bool is_live)
{
	static const uint8_t types[] = { WB_ENTRY_DATA, WB_ENTRY_DATA, WB_ENTRY_DATA,
					 WB_ENTRY_VOID, WB_ENTRY_CLEAN, WB_ENTRY_DISCARD,
					 WB_ENTRY_BYPASS, WB_ENTRY_BAD };
	uint8_t type = types[wb_prng_below(prng, sizeof types)];
	uint64_t first = wb_prng_below(prng, BLOCKS);
	uint32_t count = 1 + (uint32_t)wb_prng_below(prng, MIN(BLOCKS - first, 20));
	uint32_t crc = (uint32_t)wb_prng_next(prng);
	bool has_block = wb_entry_has_block(type);
	uint8_t mask = has_block && wb_prng_below(prng, 2) ? 0x3c : 0xff;
	struct wb_entry_disk disk = { .mask = mask, .type = type };

	disk.address = wb_put_le48(first);
	disk.crc_or_length = wb_put_le32(has_block ? crc : count);
	g_array_append_val(recovery->entries, disk);
	if (is_live && type == WB_ENTRY_DATA)
		known[first] = (struct known){ DATA, mask, *next_slot, crc };
	for (uint64_t i = first; is_live && !has_block && i < first + count; i++)
		known[i] = (struct known){ type == WB_ENTRY_BYPASS ? BACKING :
					   type == WB_ENTRY_BAD ? LOST : ZEROS, 0, 0, 0 };
	*next_slot += has_block;
}

/* One record in each segment of 16 blocks; the first ten are below the tail. */
static void make_log(struct wb_prng *prng, struct known *known)
{
	recovery = g_new0(struct wb_recovery, 1);
	recovery->records = g_array_new(FALSE, FALSE, sizeof(struct wb_recovery_record));
	recovery->entries = g_array_new(FALSE, FALSE, sizeof(struct wb_entry_disk));
	recovery->superblock.geometry = (struct wb_geometry){
		.backing_bytes = BLOCKS * BLOCK, .backing_blocks = BLOCKS,
		.segment_count = LOG_RECORDS, .segment_blocks = 16,
		.segment_bytes = 16 * BLOCK, .slot_count = LOG_RECORDS * 16,
	};
	for (unsigned i = 0; i < LOG_RECORDS; i++) {
		struct wb_recovery_record record = {
			.sequence = i + 1, .segment_id = i + 1, .block_offset = i % 3,
			.entry_count = 1 + (uint16_t)wb_prng_below(prng, 10),
			.is_live = i >= 10, .first_entry = recovery->entries->len,
		};
		uint32_t slot = i * 16 + record.block_offset + 1;

		for (unsigned j = 0; j < record.entry_count; j++)
			add_entry(prng, known, &slot, record.is_live);
		g_array_append_val(recovery->records, record);
	}
}

/* Takes the replay apart again; nothing may be named twice or out of order. */
static void read_replay(struct known *found)
{
	uint64_t next = 0;

	for (guint i = 0; i < replay->extents->len; i++) {
		const struct wb_replay_extent *e =
			&g_array_index(replay->extents, struct wb_replay_extent, i);

		cr_assert_geq(e->first, next);
		next = e->first + e->count;
		cr_assert(e->count && next <= BLOCKS);
		for (uint64_t j = e->first; j < next; j++)
			found[j].origin = e->is_lost ? LOST : ZEROS;
	}
	for (guint i = 0; i < replay->blocks->len; i++) {
		const struct wb_replay_block *b =
			&g_array_index(replay->blocks, struct wb_replay_block, i);

		cr_assert(!i || b[-1].address < b->address);
		cr_assert_eq(found[b->address].origin, BACKING);
		found[b->address] = (struct known){ DATA, b->mask, b->slot, b->crc };
	}
}

static void compare(const struct known *known, const struct known *found, uint64_t seed)
{
	for (uint64_t i = 0; i < BLOCKS; i++) {
		bool is_whole = known[i].origin == ZEROS || known[i].origin == LOST ||
				(known[i].origin == DATA && known[i].mask == 0xff);

		cr_assert(known[i].origin == found[i].origin && known[i].mask == found[i].mask &&
			  known[i].slot == found[i].slot && known[i].crc == found[i].crc,
			  "seed %lu, block %lu: %d, not %d", seed, i, found[i].origin,
			  known[i].origin);
		cr_assert_eq(wb_replay_is_whole(replay, &recovery->superblock.geometry, i),
			     is_whole, "seed %lu, block %lu", seed, i);
	}
}

Test(recovery_replay, backwards_gives_the_same_as_forwards_with_entries_of_every_type)
{
	for (uint64_t seed = 1; seed <= 2000; seed++) {
		struct known known[BLOCKS] = { 0 }, found[BLOCKS] = { 0 };
		struct wb_prng prng;

		wb_prng_init(&prng, seed);
		make_log(&prng, known);
		replay = wb_replay_new(recovery);
		read_replay(found);
		compare(known, found, seed);
		end_rescue();
	}
}

Test(recovery_replay, of_an_empty_log_is_nothing)
{
	recovery = g_new0(struct wb_recovery, 1);
	recovery->records = g_array_new(FALSE, FALSE, sizeof(struct wb_recovery_record));
	recovery->entries = g_array_new(FALSE, FALSE, sizeof(struct wb_entry_disk));
	replay = wb_replay_new(recovery);
	cr_expect_eq(replay->blocks->len, 0);
	cr_expect_eq(replay->extents->len, 0);
	end_rescue();
}
