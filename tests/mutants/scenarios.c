/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mutants/scenarios.h"

#include <errno.h>
#include <string.h>

#include "cache/move.h"
#include "cache/recovery.h"
#include "crash/oracle.h"
#include "format/record_codec.h"
#include "support/store_crashy.h"
#include "support/store_memory.h"
#include "support/volume_sim.h"

#define BLOCK WB_BLOCK_BYTES
#define BLOCKS 64u

/* --- rot ------------------------------------------------------------------------------- */

struct rot {
	struct wb_sim sim;
	struct wb_prng prng;
	uint8_t now[BLOCKS], before[BLOCKS];	/* each block is full of one byte */
	bool is_spoilt[BLOCKS], is_dirty[BLOCKS];
};

static bool is_full_of(const uint8_t *data, uint8_t value)
{
	for (unsigned i = 0; i < BLOCK; i++) {
		if (data[i] != value)
			return false;
	}
	return true;
}

/* All is clean, then some blocks are dirty again, and none is in RAM. */
static void make_rot_volume(struct rot *rot)
{
	for (unsigned i = 0; i < BLOCKS; i++) {
		rot->now[i] = rot->before[i] = (uint8_t)(1 + i);
		g_assert(wb_sim_fill(&rot->sim, i * BLOCK, rot->now[i], BLOCK, 0) == 0);
	}
	g_assert(wb_sim_drain(&rot->sim) == 0);
	for (unsigned n = 0; n < 16; n++) {
		unsigned i = (unsigned)wb_prng_below(&rot->prng, BLOCKS);

		rot->now[i] = (uint8_t)(100 + n);
		g_assert(wb_sim_fill(&rot->sim, i * BLOCK, rot->now[i], BLOCK, 0) == 0);
	}
	g_assert(wb_sim_sync(&rot->sim) == 0);
	wb_sim_kill(&rot->sim);
	g_assert(wb_sim_open(&rot->sim, NULL));
}

static void spoil(struct rot *rot)
{
	for (unsigned n = 0; n < 12; n++) {
		unsigned i = (unsigned)wb_prng_below(&rot->prng, BLOCKS);
		uint8_t *data;

		if (rot->is_spoilt[i])
			continue;
		data = wb_sim_cached_block(&rot->sim, i, &rot->is_dirty[i]);
		if (!data)
			continue;
		data[wb_prng_below(&rot->prng, BLOCK)] ^= (uint8_t)(1u << (n % 8));
		rot->is_spoilt[i] = true;
	}
}

static char *read_rotten(struct rot *rot, unsigned i)
{
	g_autofree uint8_t *data = g_malloc(BLOCK);
	int error = wb_sim_read(&rot->sim, i * BLOCK, data, BLOCK);
	bool is_lost = rot->is_spoilt[i] && rot->is_dirty[i];

	if (error && !is_lost)
		return g_strdup_printf("P6: reading block %u failed with %d", i, error);
	if (!error && !is_full_of(data, rot->now[i]))
		return g_strdup_printf("P6: reading block %u returned rotten data", i);
	return NULL;
}

static char *check_backing(struct rot *rot)
{
	for (unsigned i = 0; i < BLOCKS; i++) {
		const uint8_t *data = wb_sim_backing_bytes(&rot->sim) + i * BLOCK;
		bool is_lost = rot->is_spoilt[i] && rot->is_dirty[i];

		if (!is_full_of(data, rot->now[i]) &&
		    !(is_lost && is_full_of(data, rot->before[i])))
			return g_strdup_printf("P6: block %u of the backing is rotten", i);
	}
	return NULL;
}

char *scenario_rot(uint64_t seed)
{
	struct wb_sim_params params = { .seed = seed, .image_bytes = BLOCKS * BLOCK,
					.segment_count = 12, .is_uncounted = true };
	struct rot rot = { .is_spoilt = { false } };
	char *objection = NULL;

	wb_prng_init(&rot.prng, seed);
	wb_sim_init(&rot.sim, &params);
	g_assert(wb_sim_open(&rot.sim, NULL));
	make_rot_volume(&rot);
	spoil(&rot);
	if (wb_prng_below(&rot.prng, 2))
		for (unsigned i = 0; i < BLOCKS && !objection; i++)
			objection = read_rotten(&rot, i);
	if (!objection) {
		/* It cannot succeed where something is lost. */
		wb_sim_drain(&rot.sim);
		objection = check_backing(&rot);
	}
	wb_sim_clear(&rot.sim);
	return objection;
}

/* --- a mirror ---------------------------------------------------------------------------- */

struct half {
	struct wb_sim sim;
	struct wb_prng shape;		/* the same in both halves */
	struct wb_oracle *oracle;
	uint8_t fill;
};

static void on_progress(void *arg, struct wb_sim_op *op, const struct wb_sim_progress *progress)
{
	struct half *half = arg;

	wb_oracle_progress(half->oracle, op, progress);
}

static void open_half(struct half *half)
{
	g_assert(wb_sim_open(&half->sim, NULL));
	half->sim.arg = half;
	half->sim.on_progress = on_progress;
}

/* Writes of the same sizes at the same moments, and of other blocks if the
 * halves are to differ; most are records of their own. */
static void write_some(struct half *half, unsigned count, uint64_t shift)
{
	for (unsigned i = 0; i < count; i++) {
		uint64_t blocks = 1 + wb_prng_below(&half->shape, 6);
		uint64_t at = (wb_prng_below(&half->shape, BLOCKS) + shift) % (BLOCKS - 6);

		g_assert(wb_sim_fill(&half->sim, at * BLOCK, ++half->fill, blocks * BLOCK, 0) == 0);
		if (wb_prng_below(&half->shape, 4))
			g_assert(wb_sim_sync(&half->sim) == 0);
	}
	g_assert(wb_sim_sync(&half->sim) == 0);
	wb_sim_kill(&half->sim);
	wb_sim_cut_power(&half->sim);
}

static void make_half(struct half *half, uint64_t seed, unsigned which)
{
	struct wb_sim_params params = { .seed = seed, .image_bytes = BLOCKS * BLOCK,
					.segment_count = 32, .no_writeback = true,
					.is_uncounted = true };

	wb_prng_init(&half->shape, seed);
	wb_sim_init(&half->sim, &params);
	half->oracle = wb_oracle_new(params.image_bytes);
	open_half(half);
	write_some(half, 3, 0);
	/* From here on they go separate ways. */
	half->fill = (uint8_t)(100 + 60 * which);
	open_half(half);
	write_some(half, 12, 17 * which);
}

static void resume_mirror(struct half *a, struct half *b, struct wb_prng *prng)
{
	const struct wb_geometry *g = &a->sim.geometry;

	for (uint64_t place = 0; place < g->segment_count; place++) {
		uint64_t offset = wb_geometry_segment_offset(g, place);

		if (wb_prng_below(prng, 2))
			memcpy(wb_sim_cache_bytes(&a->sim) + offset,
			       wb_sim_cache_bytes(&b->sim) + offset, g->segment_bytes);
	}
}

static char *judge_mirror(struct half *a, struct half *b)
{
	g_autofree uint8_t *image = g_malloc(BLOCKS * BLOCK);
	g_autofree char *one = NULL, *other = NULL;
	struct wb_stats_snapshot stats;
	int error;

	if (!wb_sim_open(&a->sim, NULL))
		return NULL;
	wb_sim_stats(&a->sim, &stats);
	error = wb_sim_read(&a->sim, 0, image, BLOCKS * BLOCK);
	if (error)
		return g_strdup_printf("P3: reading the image of the mirror failed with %d", error);
	one = wb_oracle_check_recovered(a->oracle, image, stats.head_sequence);
	other = wb_oracle_check_recovered(b->oracle, image, stats.head_sequence);
	if (!one || !other)
		return NULL;
	return g_strdup_printf("P3: the prefix of neither half of the mirror up to %lu; of the "
			       "first: %s", stats.head_sequence, one);
}

char *scenario_mirror(uint64_t seed)
{
	struct half halves[2] = { { .fill = 0 }, { .fill = 0 } };
	struct wb_prng prng;
	char *objection;

	wb_prng_init(&prng, seed ^ 77);
	for (unsigned i = 0; i < 2; i++)
		make_half(&halves[i], seed, i);
	resume_mirror(&halves[0], &halves[1], &prng);
	objection = judge_mirror(&halves[0], &halves[1]);
	for (unsigned i = 0; i < 2; i++) {
		wb_sim_clear(&halves[i].sim);
		wb_oracle_free(halves[i].oracle);
	}
	return objection;
}

/* --- bypass -------------------------------------------------------------------------------- */

#define OLD 0x77

/* The program that would write this does not exist yet: one record more, in a
 * fresh segment, as the last session would have written it. */
static void append_bypass(struct wb_sim *sim, struct wb_prng *prng, uint8_t *model)
{
	struct wb_recovery *r = wb_recovery_scan(sim->cache_disk.counting, NULL, NULL);
	uint64_t id = r->last_segment + 1;
	uint64_t place = wb_geometry_place(&sim->geometry, id);
	struct wb_record_disk *header = (void *)(wb_sim_cache_bytes(sim) +
			wb_geometry_segment_offset(&sim->geometry, place));
	unsigned count = 1 + (unsigned)wb_prng_below(prng, 4);

	memset(header, 0, BLOCK);
	wb_record_begin(header, r->superblock.uuid, r->superblock.epoch,
			r->superblock.epoch_start, r->cut_sequence + 1, id, 0);
	for (unsigned i = 0; i < count; i++) {
		uint64_t first = wb_prng_below(prng, BLOCKS - 8);
		struct wb_entry entry = { .address = first, .mask = WB_MASK_FULL,
					  .type = WB_ENTRY_BYPASS,
					  .crc_or_length = 1 + (uint32_t)wb_prng_below(prng, 8) };

		wb_record_set_entry(header, i, &entry);
		memset(model + first, OLD, entry.crc_or_length);
	}
	wb_record_set_counts(header, count, 0);
	wb_record_seal(header, r->cut_crc, r->cut_sequence, r->tail_segment, r->tail_sequence);
	wb_recovery_free(r);
}

static char *compare_model(const uint8_t *image, const uint8_t *model, const char *promise,
			   const char *what)
{
	for (unsigned i = 0; i < BLOCKS; i++) {
		if (!is_full_of(image + i * BLOCK, model[i]))
			return g_strdup_printf("%s: block %u %s is not %#x", promise, i, what,
					       model[i]);
	}
	return NULL;
}

char *scenario_bypass(uint64_t seed)
{
	struct wb_sim_params params = { .seed = seed, .image_bytes = BLOCKS * BLOCK,
					.backing_fill = OLD, .segment_count = 12,
					.no_writeback = true, .is_uncounted = true };
	g_autofree uint8_t *image = g_malloc(BLOCKS * BLOCK);
	uint8_t model[BLOCKS];
	struct wb_prng prng;
	struct wb_sim sim;
	char *objection;

	wb_prng_init(&prng, seed);
	memset(model, OLD, sizeof model);
	wb_sim_init(&sim, &params);
	g_assert(wb_sim_open(&sim, NULL));
	for (unsigned i = 0; i < 4; i++) {
		uint64_t first = wb_prng_below(&prng, BLOCKS - 16);
		uint64_t count = 1 + wb_prng_below(&prng, 16);

		g_assert(wb_sim_zero(&sim, first * BLOCK, count * BLOCK, 0) == 0);
		memset(model + first, 0, count);
	}
	g_assert(wb_sim_sync(&sim) == 0);
	wb_sim_kill(&sim);
	append_bypass(&sim, &prng, model);
	g_assert(wb_sim_open(&sim, NULL));
	g_assert(wb_sim_read(&sim, 0, image, BLOCKS * BLOCK) == 0);
	objection = compare_model(image, model, "P7", "of the image");
	g_assert(wb_sim_drain(&sim) == 0);
	if (!objection)
		objection = compare_model(wb_sim_backing_bytes(&sim), model, "P7", "of the backing");
	wb_sim_clear(&sim);
	return objection;
}

/* --- a checkpoint that rots ------------------------------------------------------------------ */

static void make_stopped_volume(struct wb_sim *sim, struct wb_prng *prng, uint8_t *model)
{
	g_assert(wb_sim_open(sim, NULL));
	for (unsigned n = 0; n < 40; n++) {
		uint64_t first = wb_prng_below(prng, BLOCKS - 8);
		uint64_t count = 1 + wb_prng_below(prng, 8);

		if (wb_prng_below(prng, 8)) {
			memset(model + first, (int)n + 1, count);
			g_assert(wb_sim_fill(sim, first * BLOCK, (uint8_t)(n + 1), count * BLOCK,
					     0) == 0);
		} else {
			memset(model + first, 0, count);
			g_assert(wb_sim_zero(sim, first * BLOCK, count * BLOCK, 0) == 0);
		}
		if (n == 20)
			g_assert(wb_sim_drain(sim) == 0);
	}
	g_assert(wb_sim_close(sim) == 0);
}

/* Anywhere in what its head, which has a checksum of its own, says. */
static void spoil_checkpoint(struct wb_sim *sim, struct wb_prng *prng)
{
	struct wb_recovery *r = wb_recovery_scan(sim->cache_disk.counting, NULL, NULL);
	uint64_t used = r->superblock.checkpoint_used;
	uint8_t *region = wb_sim_cache_bytes(sim) + sim->geometry.checkpoint_offset;

	g_assert(used >= 2 * BLOCK);
	for (uint64_t n = 1 + wb_prng_below(prng, 2); n > 0; n--)
		region[BLOCK + wb_prng_below(prng, used - BLOCK)] ^=
			(uint8_t)(1u << wb_prng_below(prng, 8));
	wb_recovery_free(r);
}

char *scenario_checkpoint(uint64_t seed)
{
	struct wb_sim_params params = { .seed = seed, .image_bytes = BLOCKS * BLOCK,
					.segment_count = 32, .no_writeback = true,
					.is_uncounted = true };
	g_autofree uint8_t *image = g_malloc(BLOCKS * BLOCK);
	uint8_t model[BLOCKS] = { 0 };
	struct wb_prng prng;
	struct wb_sim sim;
	char *objection = NULL;

	wb_prng_init(&prng, seed);
	wb_sim_init(&sim, &params);
	make_stopped_volume(&sim, &prng, model);
	spoil_checkpoint(&sim, &prng);
	if (!wb_sim_open(&sim, NULL))
		objection = g_strdup("refused for a rotten checkpoint");
	else if (wb_sim_read(&sim, 0, image, BLOCKS * BLOCK))
		objection = g_strdup("reading the image failed");
	else
		objection = compare_model(image, model, "P1", "of the image");
	if (!objection && wb_sim_drain(&sim))
		objection = g_strdup("a drain failed");
	if (!objection)
		objection = compare_model(wb_sim_backing_bytes(&sim), model, "P1", "of the backing");
	wb_sim_clear(&sim);
	return objection;
}

/* --- a move ---------------------------------------------------------------------------------- */

static bool has_superblock(struct wb_store *store)
{
	g_autofree struct wb_superblock *superblock = g_new(struct wb_superblock, 1);
	bool found = false;

	for (unsigned copy = 0; copy < WB_SUPERBLOCK_COUNT; copy++) {
		const void *disk = wb_store_memory_bytes(store) + wb_superblock_offset(copy);
		const char *field;

		found |= wb_superblock_decode(disk, store->size_bytes, superblock, &field) ==
			 WB_SUPERBLOCK_VALID;
	}
	return found;
}

/* What a move leaves on the new disk, when the power goes by that clock or in the end. */
static struct wb_store *move_and_cut(struct wb_sim *sim, struct wb_crash_clock *clock,
				     struct wb_prng *prng)
{
	uint64_t bytes = sim->geometry.cache_bytes + (1 << 20);
	struct wb_store *to = wb_store_crashy_new(wb_store_memory_new(bytes, 512, 512), clock);
	struct wb_recovery *recovery = wb_recovery_scan(sim->cache_disk.counting, NULL, NULL);
	struct wb_store *left;
	struct wb_move_plan plan;
	struct wb_move move = { .recovery = recovery, .plan = &plan, .to = to,
				.from = sim->cache_disk.counting, .zero_mode = WB_ZERO_HEADERS };

	g_assert(wb_move_make_plan(&plan, recovery, "memory", bytes, NULL));
	wb_move_run(&move, NULL);
	left = wb_store_crashy_crash(to, prng);
	wb_store_close(to);
	wb_recovery_free(recovery);
	return left;
}

/* Mostly near its end: before that there is nothing to be found. */
static struct wb_store *move_and_cut_late(struct wb_sim *sim, struct wb_prng *prng)
{
	struct wb_crash_clock whole = { 0 }, cut = { 0 };

	wb_store_close(move_and_cut(sim, &whole, prng));
	cut.crash_at = whole.point_count - wb_prng_below(prng, wb_prng_below(prng, 8) ? 12 :
							  whole.point_count);
	return move_and_cut(sim, &cut, prng);
}

char *scenario_move(uint64_t seed)
{
	struct wb_sim_params params = { .seed = seed, .image_bytes = BLOCKS * BLOCK,
					.segment_count = 32, .no_writeback = true,
					.is_uncounted = true };
	g_autofree uint8_t *image = g_malloc(BLOCKS * BLOCK);
	uint8_t model[BLOCKS] = { 0 };
	char *objection = NULL;
	struct wb_store *left;
	struct wb_prng prng;
	struct wb_sim sim;

	wb_prng_init(&prng, seed);
	wb_sim_init(&sim, &params);
	make_stopped_volume(&sim, &prng, model);
	left = move_and_cut_late(&sim, &prng);
	if (!has_superblock(left)) {
		wb_store_close(left);
		wb_sim_clear(&sim);
		return NULL;
	}
	wb_sim_replace_cache(&sim, left);
	if (!wb_sim_open(&sim, NULL))
		objection = g_strdup("P2: half a cache has superblocks, and is refused");
	else if (wb_sim_read(&sim, 0, image, BLOCKS * BLOCK))
		objection = g_strdup("P2: reading the image failed");
	else
		objection = compare_model(image, model, "P2", "of the image");
	wb_sim_clear(&sim);
	return objection;
}

/* --- rest -------------------------------------------------------------------------------- */

#define MINUTE_NS (UINT64_C(60) * 1000000000)

/* Does something, and lets a minute pass: TRUE when anything came to the backing. */
static bool is_disturbed(struct wb_sim *sim, struct wb_prng *prng)
{
	struct wb_store *backing = sim->backing_disk.counting;
	uint64_t before = 0, after = 0;

	for (unsigned op = 0; op < WB_IO_OP_COUNT; op++)
		before += wb_store_counting_ios(backing, (enum wb_io_op)op);
	if (wb_prng_below(prng, 2))
		g_assert(wb_sim_fill(sim, wb_prng_below(prng, 12) * BLOCK, 1, BLOCK, 0) == 0);
	if (wb_prng_below(prng, 5) == 0)
		g_assert(wb_sim_sync(sim) == 0);
	for (unsigned i = 0; i < 60; i++) {
		wb_sim_pass_time(sim, MINUTE_NS / 60);
		wb_sim_settle(sim);
	}
	for (unsigned op = 0; op < WB_IO_OP_COUNT; op++)
		after += wb_store_counting_ios(backing, (enum wb_io_op)op);
	return after > before;
}

/* The simulated clock begins at 01:46 of universal time. */
char *scenario_rest(uint64_t seed)
{
	struct wb_sim_params params = { .seed = seed, .image_bytes = BLOCKS * BLOCK,
					.segment_count = 32 };
	bool has_windows = seed % 2;
	unsigned minutes = 0, disturbed = 0;
	char *objection = NULL;
	struct wb_prng prng;
	struct wb_sim sim;

	wb_prng_init(&prng, seed);
	wb_sim_init(&sim, &params);
	sim.schedule = has_windows ? "12:00-13:00" : "every 1h";
	g_assert(wb_sim_open(&sim, NULL));
	for (; minutes < 4 * 60; minutes++)
		disturbed += is_disturbed(&sim, &prng);
	/* two minutes for each time when it is due */
	if (disturbed > (has_windows ? 0u : 2 * 4u))
		objection = g_strdup_printf("the backing was disturbed in %u of %u minutes",
					    disturbed, minutes);
	wb_sim_clear(&sim);
	return objection;
}
