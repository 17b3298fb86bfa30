/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Histories with bad places of the log that once ended in a refusal.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "cache/cache_private.h"
#include "cache/repair.h"
#include "support/volume_sim.h"

#define BLOCK 4096u

static struct wb_sim sim;

static void stop(void)
{
	wb_sim_clear(&sim);
}

TestSuite(regressions_3, .fini = stop);

static void fill(uint64_t block, uint8_t value, uint64_t count)
{
	cr_assert_eq(wb_sim_fill(&sim, block * BLOCK, value, count * BLOCK, 0), 0);
}

static void expect(uint64_t block, uint8_t value, uint64_t count)
{
	uint8_t data[BLOCK];

	for (uint64_t i = block; i < block + count; i++) {
		cr_assert_eq(wb_sim_read(&sim, i * BLOCK, data, BLOCK), 0, "block %lu", i);
		for (unsigned at = 0; at < BLOCK; at++)
			cr_assert_eq(data[at], value, "block %lu is %u, not %u", i, data[at],
				     value);
	}
}

static struct wb_stats_snapshot stats(void)
{
	struct wb_stats_snapshot snapshot;

	wb_sim_stats(&sim, &snapshot);
	return snapshot;
}

static void spoil_place(uint64_t place)
{
	struct wb_fault fault = {
		.op = WB_IO_WRITE, .io_class = WB_FAULT_ANY, .effect = WB_FAULT_FAIL,
		.offset_bytes = wb_geometry_segment_offset(&sim.geometry, place),
		.length_bytes = sim.geometry.segment_bytes, .count = WB_FAULT_FOR_EVER,
	};

	wb_store_faulty_add(sim.cache_disk.faulty, &fault);
}

static void pass_minutes(unsigned minutes)
{
	for (unsigned i = 0; i < minutes * 6; i++) {
		wb_sim_pass_time(&sim, UINT64_C(10000000000));
		wb_sim_settle(&sim);
	}
}

static void set_bad_places(const uint32_t *places, unsigned count)
{
	for (unsigned copy = 0; copy < 2; copy++) {
		void *disk = wb_sim_cache_bytes(&sim) + wb_superblock_offset(copy);
		struct wb_superblock superblock;
		const char *field;

		cr_assert_eq(wb_superblock_decode(disk, sim.geometry.cache_bytes, &superblock,
						  &field), WB_SUPERBLOCK_VALID);
		memcpy(superblock.bad_places, places, count * sizeof *places);
		superblock.bad_count = count;
		wb_superblock_encode(&superblock, disk);
	}
}

/* --- opening ------------------------------------------------------------------------ */

/* It is no worse off than with a list that has room: what is there was read. */
Test(regressions_3, a_place_that_cannot_be_listed_any_more_is_no_reason_to_refuse)
{
	struct wb_sim_params params = { .no_writeback = true, .backing_fill = 9 };
	uint32_t places[] = { 4, 6 };
	g_autoptr(GError) error = NULL;

	wb_sim_init(&sim, &params);
	cr_assert(wb_sim_open(&sim, NULL));
	cr_assert_eq(wb_sim_close(&sim), 0);
	set_bad_places(places, 2);
	cr_assert(wb_sim_open(&sim, NULL));
	fill(0, 1, 5);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	wb_sim_kill(&sim);
	spoil_place(0);
	cr_assert(wb_sim_open(&sim, &error), "%s", error->message);
	cr_expect_eq(stats().bad_segments, 2);
	expect(0, 1, 5);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	cr_expect_eq(wb_sim_backing_bytes(&sim)[4 * BLOCK], 1);
}

/* --- repair -------------------------------------------------------------------------- */

static void spoil_header(uint64_t sequence)
{
	static const struct wb_recovery_options past = { .goes_past_damage = true };
	const struct wb_geometry *g = &sim.geometry;
	struct wb_recovery *r = wb_recovery_scan(sim.cache_disk.counting, &past, NULL);

	for (guint i = 0; i < r->records->len; i++) {
		const struct wb_recovery_record *record =
			&g_array_index(r->records, struct wb_recovery_record, i);
		uint64_t place = wb_geometry_place(g, record->segment_id);

		if (record->sequence == sequence)
			wb_sim_cache_bytes(&sim)[wb_geometry_slot_offset(g,
				wb_geometry_slot(g, place, record->block_offset)) + 40] ^= 1;
	}
	wb_recovery_free(r);
}

/* Nor can the clean copies in them, which are not to be believed any more. */
Test(regressions_3, a_log_is_repaired_whose_places_cannot_be_written)
{
	struct wb_sim_params params = { .backing_fill = 9, .segment_count = 12 };
	static const struct wb_recovery_options past = { .goes_past_damage = true };
	g_autoptr(GError) error = NULL;
	struct wb_recovery *r;

	wb_sim_init(&sim, &params);
	cr_assert(wb_sim_open(&sim, NULL));
	fill(0, 1, 15);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	fill(15, 2, 7);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	wb_cache_set_tunables(sim.cache, &(struct wb_tunables){ .allow_writeback = false });
	for (uint64_t i = 0; i < 4; i++) {
		fill(30 + i, 3, 1);
		cr_assert_eq(wb_sim_sync(&sim), 0);
	}
	wb_sim_kill(&sim);
	wb_sim_cut_power(&sim);
	spoil_header(5);
	cr_assert_not(wb_sim_open(&sim, NULL));
	for (uint64_t place = 0; place < 4; place++)
		spoil_place(place);
	r = wb_recovery_scan(sim.cache_disk.counting, &past, NULL);
	cr_assert_eq(r->cut_sequence, 4);
	cr_assert(wb_repair_apply(sim.cache_disk.counting, r, &error), "%s", error->message);
	wb_recovery_free(r);
	memset(wb_sim_backing_bytes(&sim), 7, 22 * BLOCK);
	cr_assert(wb_sim_open(&sim, &error), "%s", error ? error->message : "");
	expect(0, 7, 22);
	expect(30, 3, 2);
	expect(32, 9, 2);
}

/* --- the ring ------------------------------------------------------------------------ */

/* A bad stretch longer than the reserve, and nothing else is free: what is written
 * back meanwhile has to come free, though the end of the log is not durable. */
Test(regressions_3, a_full_ring_gets_over_three_bad_places_in_a_row)
{
	struct wb_sim_params params = { .segment_count = 12, .backing_fill = 9,
					.image_bytes = 200 * BLOCK, .no_writeback = true };
	/* The ring is nearly full, so that writeback would not ask for leave. */
	struct wb_fault no_writes = { .op = WB_IO_WRITE, .io_class = WB_FAULT_ANY,
				      .count = WB_FAULT_FOR_EVER };
	uint64_t n = 0, place;

	wb_sim_init(&sim, &params);
	cr_assert(wb_sim_open(&sim, NULL));
	wb_store_faulty_add(sim.backing_disk.faulty, &no_writes);
	for (; wb_log_ready_count(sim.cache->path.log) > WB_RESERVE_DATA + 1; n++) {
		fill(n * 15, 1, 15);
		cr_assert_eq(wb_sim_sync(&sim), 0);
	}
	place = stats().head_segment % 12;
	for (uint64_t i = 0; i < 3; i++)
		spoil_place((place + i) % 12);
	fill(n * 15, 2, 15);
	cr_expect_eq(wb_sim_sync(&sim), -EIO);
	cr_assert_eq(wb_log_ready_count(sim.cache->path.log), 0);
	wb_store_faulty_clear(sim.backing_disk.faulty);
	wb_cache_start_drain(sim.cache);
	pass_minutes(2);
	cr_assert_eq(stats().state, WB_CACHE_RUNNING, "%s", stats().last_error);
	cr_expect_eq(stats().bad_segments, 3);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	wb_sim_kill(&sim);
	wb_sim_cut_power(&sim);
	cr_assert(wb_sim_open(&sim, NULL));
	expect(0, 1, n * 15);
	expect(n * 15, 2, 15);
	cr_assert_eq(wb_sim_drain(&sim), 0);
}

/* What only a record that is not durable has replaced stays: the power may take the
 * record. The first segment comes free, and its place is no better. */
Test(regressions_3, what_only_such_a_record_has_replaced_stays_in_the_ring)
{
	struct wb_sim_params params = { .segment_count = 12, .backing_fill = 9,
					.image_bytes = 200 * BLOCK, .no_writeback = true };
	uint64_t n = 0, place;

	wb_sim_init(&sim, &params);
	cr_assert(wb_sim_open(&sim, NULL));
	for (; wb_log_ready_count(sim.cache->path.log) > WB_RESERVE_DATA + 1; n++) {
		fill(n * 15, 1, 15);
		cr_assert_eq(wb_sim_sync(&sim), 0);
	}
	place = stats().head_segment % 12;
	for (uint64_t i = 0; i < 4; i++)
		spoil_place((place + i) % 12);
	/* all of the second segment */
	fill(15, 2, 15);
	cr_expect_eq(wb_sim_sync(&sim), -EIO);
	wb_cache_start_drain(sim.cache);
	pass_minutes(2);
	cr_expect_eq(stats().tail_segment, 2);
	expect(15, 2, 15);
	wb_sim_kill(&sim);
	wb_sim_cut_power(&sim);
	cr_assert(wb_sim_open(&sim, NULL));
	expect(0, 1, n * 15);
}

/* The head's segment at the time of asking is soon behind the tail: its records
 * went elsewhere. */
Test(regressions_3, a_drain_is_not_over_when_its_records_have_moved)
{
	struct wb_sim_params params = { .backing_fill = 9 };

	for (params.seed = 0; params.seed < 20; params.seed++) {
		wb_sim_init(&sim, &params);
		cr_assert(wb_sim_open(&sim, NULL));
		spoil_place(0);
		fill(0, 1, 14);
		wb_cache_start_drain(sim.cache);
		while (stats().draining)
			if (!wb_sim_step(&sim))
				wb_sim_pass_time(&sim, 1000000000);
		cr_assert_eq(stats().bad_segments, 1);
		cr_assert_eq(stats().dirty_blocks, 0, "seed %lu", params.seed);
		wb_sim_clear(&sim);
	}
	wb_sim_init(&sim, &params);
}
