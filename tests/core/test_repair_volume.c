/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Repair of volumes that a cache has written and goes on with. Without writeback
 * the image is the prefix of the writes that the kept records hold. With it, all
 * that no lost record has changed is as it was.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "cache/repair.h"
#include "cache/rescue.h"
#include "format/endian.h"
#include "support/store_memory.h"
#include "support/volume_sim.h"

#define BLOCK 4096u
#define IMAGE_BYTES (1u << 20)
#define BLOCKS (IMAGE_BYTES / BLOCK)
#define WRITES 12u
#define RECORDS_MAX 40u

static struct wb_sim sim;
static const struct wb_recovery_options past = { .goes_past_damage = true };

static struct wb_recovery *look(void)
{
	g_autoptr(GError) error = NULL;
	struct wb_recovery *r = wb_recovery_scan(sim.cache_disk.counting, &past, &error);

	cr_assert(r, "%s", error ? error->message : "");
	return r;
}

static void repair(void)
{
	struct wb_recovery *r = look();

	cr_assert(r->damage);
	cr_assert(wb_repair_apply(sim.cache_disk.counting, r, NULL));
	wb_recovery_free(r);
}

static uint64_t header_offset(const struct wb_recovery *r, const struct wb_recovery_record *record)
{
	const struct wb_geometry *g = &r->superblock.geometry;
	uint64_t place = wb_geometry_place(g, record->segment_id);

	return wb_geometry_slot_offset(g, wb_geometry_slot(g, place, record->block_offset));
}

static void spoil(uint64_t offset)
{
	uint8_t *bytes = wb_sim_cache_bytes(&sim);

	bytes[offset + 40] ^= 0x10;
}

static void read_image(uint8_t *image)
{
	for (uint64_t at = 0; at < IMAGE_BYTES; at += BLOCK)
		cr_assert_eq(wb_sim_read(&sim, at, image + at, BLOCK), 0);
}

/* --- the prefix --------------------------------------------------------------------- */

/* One record each, over each other, of all kinds. */
static void write_number(unsigned n, uint8_t *model)
{
	uint64_t offset = (n % 5) * 3 * BLOCK + (n % 3) * 700, length = 2000 + n * 1100;
	bool is_zero = n % 4 == 3;

	if (is_zero)
		cr_assert_eq(wb_sim_zero(&sim, offset, length, 0), 0);
	else
		cr_assert_eq(wb_sim_fill(&sim, offset, (uint8_t)n, length, 0), 0);
	memset(model + offset, is_zero ? 0 : (int)n, length);
	cr_assert_eq(wb_sim_sync(&sim), 0);
}

/* Of which writes the records up to each one are the whole; 0: a write has more
 * than one record, and this is not its last. */
static unsigned writes_of[RECORDS_MAX];
static uint64_t record_count;

static void make_volume(uint8_t models[WRITES + 1][IMAGE_BYTES])
{
	struct wb_sim_params params = { .image_bytes = IMAGE_BYTES, .no_writeback = true,
					.backing_fill = 0xb0, .segment_count = 24 };

	struct wb_stats_snapshot snapshot;

	wb_sim_init(&sim, &params);
	cr_assert(wb_sim_open(&sim, NULL));
	memset(models[0], 0xb0, IMAGE_BYTES);
	memset(writes_of, 0, sizeof writes_of);
	for (unsigned n = 1; n <= WRITES; n++) {
		memcpy(models[n], models[n - 1], IMAGE_BYTES);
		write_number(n, models[n]);
		wb_sim_stats(&sim, &snapshot);
		record_count = snapshot.durable_sequence;
		cr_assert_lt(record_count, RECORDS_MAX);
		writes_of[record_count] = n;
	}
	wb_sim_kill(&sim);
	wb_sim_cut_power(&sim);
}

static void spoil_record(uint64_t sequence)
{
	struct wb_recovery *r = look();

	cr_assert_eq(r->record_count, record_count);
	spoil(header_offset(r, &g_array_index(r->records, struct wb_recovery_record,
					      sequence - 1)));
	wb_recovery_free(r);
}

static void expect_image(const uint8_t *model, const char *when, uint64_t s)
{
	static uint8_t found[IMAGE_BYTES];

	read_image(found);
	for (unsigned i = 0; i < BLOCKS; i++)
		cr_assert(!memcmp(found + i * BLOCK, model + i * BLOCK, BLOCK),
			  "%s: block %u is not that of the first %lu records", when, i, s - 1);
}

static void repair_and_go_on(uint64_t s, uint8_t *model)
{
	static uint8_t backing[IMAGE_BYTES];

	memcpy(backing, wb_sim_backing_bytes(&sim), IMAGE_BYTES);
	spoil_record(s);
	cr_assert_not(wb_sim_open(&sim, NULL));
	repair();
	cr_expect_arr_eq(backing, wb_sim_backing_bytes(&sim), IMAGE_BYTES);
	wb_sim_cut_power(&sim);
	cr_assert(wb_sim_open(&sim, NULL));
	expect_image(model, "after the repair", s);
	/* it goes on, and what was given up never comes back */
	write_number(40, model);
	wb_sim_kill(&sim);
	wb_sim_cut_power(&sim);
	cr_assert(wb_sim_open(&sim, NULL));
	expect_image(model, "after a write", s);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	expect_image(model, "drained", s);
}

Test(repair_volume, leaves_the_image_of_the_prefix_whichever_record_is_damaged)
{
	static uint8_t models[WRITES + 1][IMAGE_BYTES];
	unsigned tried = 0;

	make_volume(models);
	for (uint64_t s = 1; s < record_count; s++) {
		if (s == 1 || writes_of[s - 1]) {
			repair_and_go_on(s, models[writes_of[s - 1]]);
			tried++;
		}
		wb_sim_clear(&sim);
		make_volume(models);
	}
	wb_sim_clear(&sim);
	cr_expect_geq(tried, WRITES - 1);
}

/* --- with writeback ---------------------------------------------------------------------- */

/* What a mount would show, without one. */
static void ignore_loss(void *arg, uint64_t first, uint64_t count, enum wb_rescue_loss loss)
{
	(void)arg;
	cr_assert_fail("lost %lu+%lu: %d", first, count, loss);
}

static uint8_t *image_of(struct wb_recovery *r)
{
	struct wb_store *target = wb_store_memory_new(IMAGE_BYTES, 512, 512);
	struct wb_rescue rescue = {
		.cache_store = sim.cache_disk.counting, .target = target,
		.geometry = &r->superblock.geometry, .replay = wb_replay_new(r),
		.lost = ignore_loss,
	};
	uint64_t failed_bytes;
	uint8_t *image;

	memcpy(wb_store_memory_bytes(target), wb_sim_backing_bytes(&sim), IMAGE_BYTES);
	cr_assert_eq(wb_rescue_apply(&rescue, &failed_bytes), 0);
	image = g_memdup2(wb_store_memory_bytes(target), IMAGE_BYTES);
	wb_replay_free((struct wb_replay *)rescue.replay);
	wb_store_close(target);
	return image;
}

static void live(struct wb_prng *prng)
{
	for (uint64_t n = 60 + wb_prng_below(prng, 100); n > 0; n--) {
		uint64_t offset = wb_prng_below(prng, IMAGE_BYTES);
		uint64_t length = 1 + wb_prng_below(prng, 30000);

		length = MIN(length, IMAGE_BYTES - offset);
		if (wb_prng_below(prng, 5))
			cr_assert_eq(wb_sim_fill(&sim, offset, (uint8_t)(1 + n % 250), length,
						 0), 0);
		else
			cr_assert_eq(wb_sim_zero(&sim, offset, length, 0), 0);
		if (wb_prng_below(prng, 2))
			cr_assert_eq(wb_sim_sync(&sim), 0);
		for (uint64_t steps = wb_prng_below(prng, 60); steps > 0; steps--)
			wb_sim_step(&sim);
	}
	wb_sim_kill(&sim);
	wb_sim_cut_power(&sim);
}

static void mark(bool *may_differ, uint64_t first, uint64_t count)
{
	for (uint64_t i = first; i < MIN(first + count, BLOCKS); i++)
		may_differ[i] = true;
}

static void mark_entries(bool *may_differ, const struct wb_recovery *r,
			 const struct wb_recovery_record *record)
{
	for (unsigned i = 0; i < record->entry_count; i++) {
		const struct wb_entry_disk *e = &g_array_index(r->entries, struct wb_entry_disk,
							       record->first_entry + i);

		mark(may_differ, wb_get_le48(e->address),
		     wb_entry_has_block(e->type) ? 1 : wb_get_le32(e->crc_or_length));
	}
}

static void mark_lost(bool *may_differ)
{
	struct wb_recovery *r = look();
	g_autoptr(GArray) ranges = wb_repair_list_lost(r);

	for (guint i = 0; i < ranges->len; i++) {
		const struct wb_repair_range *range =
			&g_array_index(ranges, struct wb_repair_range, i);

		mark(may_differ, range->first, range->count);
	}
	wb_recovery_free(r);
}

/* FALSE when the record chosen is the last: that is the end, and no damage. */
static bool spoil_any(struct wb_prng *prng, const struct wb_recovery *r, bool *may_differ)
{
	guint first = r->records->len - (guint)r->record_count;
	const struct wb_recovery_record *record;
	struct wb_recovery *seen;
	bool is_damaged;

	if (r->record_count < 2)
		return false;
	record = &g_array_index(r->records, struct wb_recovery_record, first +
				wb_prng_below(prng, r->record_count - 1));
	mark_entries(may_differ, r, record);
	spoil(header_offset(r, record));
	seen = look();
	is_damaged = seen->damage != NULL;
	if (is_damaged)
		cr_expect_eq(seen->cut_sequence, record->sequence - 1);
	wb_recovery_free(seen);
	return is_damaged;
}

static unsigned damage_and_compare(uint64_t seed, struct wb_prng *prng)
{
	struct wb_recovery *r = look();
	bool may_differ[BLOCKS] = { false };
	static uint8_t found[IMAGE_BYTES];
	g_autofree uint8_t *whole = NULL, *kept = NULL;
	unsigned same = 0;

	cr_assert_null(r->damage);
	whole = image_of(r);
	if (!spoil_any(prng, r, may_differ)) {
		wb_recovery_free(r);
		return 0;
	}
	wb_recovery_free(r);
	mark_lost(may_differ);
	repair();
	r = look();
	kept = image_of(r);
	wb_recovery_free(r);
	cr_assert(wb_sim_open(&sim, NULL));
	read_image(found);
	for (unsigned i = 0; i < BLOCKS; i++)
		cr_assert(!memcmp(found + i * BLOCK, kept + i * BLOCK, BLOCK),
			  "seed %lu: block %u is not that of a rescue", seed, i);
	for (unsigned i = 0; i < BLOCKS; i++) {
		same += !may_differ[i];
		cr_assert(may_differ[i] || !memcmp(found + i * BLOCK, whole + i * BLOCK, BLOCK),
			  "seed %lu: block %u differs, but is not listed", seed, i);
	}
	return same;
}

Test(repair_volume, changes_nothing_but_what_it_lists)
{
	unsigned repaired = 0;

	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct wb_sim_params params = { .seed = seed, .image_bytes = IMAGE_BYTES,
						.backing_fill = 200,
						.no_writeback = seed % 4 == 0 };
		struct wb_prng prng;

		wb_prng_init(&prng, seed);
		wb_sim_init(&sim, &params);
		cr_assert(wb_sim_open(&sim, NULL));
		live(&prng);
		repaired += damage_and_compare(seed, &prng) > 0;
		wb_sim_clear(&sim);
	}
	cr_expect_gt(repaired, 30, "%u", repaired);
}

/* --- both superblocks lost ------------------------------------------------------------------ */

static void lose_superblocks(void)
{
	uint8_t *zeros = g_aligned_alloc0(1, BLOCK, BLOCK);

	for (unsigned copy = 0; copy < WB_SUPERBLOCK_COUNT; copy++)
		cr_assert_eq(wb_store_write_sync(sim.cache_disk.counting,
				wb_superblock_offset(copy), zeros, BLOCK), 0);
	cr_assert_eq(wb_store_flush_sync(sim.cache_disk.counting), 0);
	g_aligned_free(zeros);
}

/* The cache is found again, repaired, and gives the same image. */
static void find_again(const struct wb_superblock *was, const uint8_t *image)
{
	struct wb_repair_facts facts = { .epoch = was->epoch, .backing_bytes = IMAGE_BYTES,
					 .backing_path = "/image" };
	struct wb_superblock guessed;
	struct wb_recovery_options with = { .goes_past_damage = true, .superblock = &guessed };
	g_autoptr(GError) error = NULL;
	struct wb_recovery *r;

	memcpy(facts.uuid, was->uuid, sizeof facts.uuid);
	cr_assert(wb_repair_guess_superblock(sim.cache_disk.counting, &facts, &guessed, &error),
		  "%s", error ? error->message : "");
	r = wb_recovery_scan(sim.cache_disk.counting, &with, &error);
	cr_assert(r, "%s", error ? error->message : "");
	cr_expect_null(r->damage, "%s", r->damage);
	cr_expect_eq(wb_repair_need(r), WB_REPAIR_SUPERBLOCKS);
	cr_assert(wb_repair_apply(sim.cache_disk.counting, r, NULL));
	wb_recovery_free(r);
	wb_sim_cut_power(&sim);
	r = look();
	cr_expect_eq(r->superblock.warm_sequence, r->cut_sequence + 1,
		     "copies dropped before would be believed again");
	cr_expect_eq(r->superblock.mark_epoch, was->epoch);
	wb_recovery_free(r);
	cr_assert(wb_sim_open(&sim, &error), "%s", error ? error->message : "");
	for (unsigned i = 0; i < BLOCKS; i++) {
		uint8_t found[BLOCK] __attribute__((aligned(BLOCK)));

		cr_assert_eq(wb_sim_read(&sim, (uint64_t)i * BLOCK, found, BLOCK), 0);
		cr_assert(!memcmp(found, image + (size_t)i * BLOCK, BLOCK), "block %u", i);
	}
}

static void lose_and_find(uint32_t segment_bytes, uint64_t seed)
{
	struct wb_sim_params params = { .seed = seed, .image_bytes = IMAGE_BYTES,
					.backing_fill = 9, .segment_bytes = segment_bytes,
					.no_writeback = seed % 2 };
	g_autofree uint8_t *image = NULL;
	struct wb_superblock was;
	struct wb_recovery *r;
	struct wb_prng prng;

	wb_prng_init(&prng, seed);
	wb_sim_init(&sim, &params);
	for (uint64_t life = 0; life <= seed % 3; life++) {
		cr_assert(wb_sim_open(&sim, NULL));
		live(&prng);
	}
	r = look();
	was = r->superblock;
	image = image_of(r);
	wb_recovery_free(r);
	lose_superblocks();
	cr_assert_not(wb_sim_open(&sim, NULL));
	find_again(&was, image);
	wb_sim_clear(&sim);
}

Test(repair_volume, finds_a_cache_again_whose_superblocks_are_both_lost)
{
	static const uint32_t sizes[] = { 64u << 10, 128u << 10, 256u << 10, 1u << 20 };

	for (uint64_t seed = 1; seed <= 12; seed++)
		lose_and_find(sizes[seed % G_N_ELEMENTS(sizes)], seed);
}

/* So little in the log that several layouts explain it. */
Test(repair_volume, finds_a_cache_again_with_a_single_record)
{
	static const uint32_t sizes[] = { 64u << 10, 128u << 10, 1u << 20, 4u << 20 };

	for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
		struct wb_sim_params params = { .image_bytes = IMAGE_BYTES, .backing_fill = 9,
						.segment_bytes = sizes[i], .no_writeback = true };
		g_autofree uint8_t *image = g_malloc(IMAGE_BYTES);
		struct wb_superblock was;
		struct wb_recovery *r;

		memset(image, 9, IMAGE_BYTES);
		memset(image + 5000, 3, 20000);
		wb_sim_init(&sim, &params);
		cr_assert(wb_sim_open(&sim, NULL));
		cr_assert_eq(wb_sim_fill(&sim, 5000, 3, 20000, 0), 0);
		cr_assert_eq(wb_sim_sync(&sim), 0);
		wb_sim_kill(&sim);
		wb_sim_cut_power(&sim);
		r = look();
		was = r->superblock;
		wb_recovery_free(r);
		lose_superblocks();
		find_again(&was, image);
		wb_sim_clear(&sim);
	}
}

/* Only the first segment was begun: the record that runs over the end of a
 * smaller one is what tells its size. */
Test(repair_volume, finds_a_cache_again_whose_first_segment_is_not_full)
{
	struct wb_sim_params params = { .image_bytes = IMAGE_BYTES, .segment_bytes = 4u << 20,
					.no_writeback = true };
	g_autofree uint8_t *image = g_malloc0(IMAGE_BYTES);
	struct wb_superblock was;
	struct wb_recovery *r;

	wb_sim_init(&sim, &params);
	cr_assert(wb_sim_open(&sim, NULL));
	for (unsigned i = 0; i < 6; i++) {
		cr_assert_eq(wb_sim_fill(&sim, i * 10 * BLOCK, (uint8_t)(i + 1), 60 * BLOCK, 0), 0);
		memset(image + i * 10 * BLOCK, (int)i + 1, 60 * BLOCK);
		cr_assert_eq(wb_sim_sync(&sim), 0);
	}
	wb_sim_kill(&sim);
	wb_sim_cut_power(&sim);
	r = look();
	was = r->superblock;
	wb_recovery_free(r);
	lose_superblocks();
	find_again(&was, image);
	wb_sim_clear(&sim);
}

Test(repair_volume, says_so_when_nothing_proves_a_layout)
{
	struct wb_sim_params params = { .image_bytes = IMAGE_BYTES };
	struct wb_repair_facts facts = { .uuid = "another backing", .backing_path = "/image",
					 .backing_bytes = IMAGE_BYTES };
	g_autoptr(GError) error = NULL;
	struct wb_superblock guessed;

	wb_sim_init(&sim, &params);
	cr_assert(wb_sim_open(&sim, NULL));
	cr_assert_eq(wb_sim_fill(&sim, 0, 1, 5000, 0), 0);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	cr_assert_eq(wb_sim_close(&sim), 0);
	lose_superblocks();
	cr_assert_not(wb_repair_guess_superblock(sim.cache_disk.counting, &facts, &guessed,
						 &error));
	cr_expect(strstr(error->message, "both superblocks are lost, and no layout of a cache of"));
	cr_expect(strstr(error->message, "Is it whole, and the cache of this backing?"));
	wb_sim_clear(&sim);
}
