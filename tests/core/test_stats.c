/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the statistics say of requests, of the ring, and of the life of a volume. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "cache/cache_private.h"
#include "support/store_faulty.h"
#include "support/volume_sim.h"

#define BLOCK 4096u
#define SECTOR 512u
#define SECOND_NS UINT64_C(1000000000)
#define SEGMENT_DATA 15u	/* blocks of a record that fills a segment */

static struct wb_sim sim;

static void start_with(struct wb_sim_params params)
{
	params.no_writeback = true;
	params.backing_fill = 9;
	wb_sim_init(&sim, &params);
	cr_assert(wb_sim_open(&sim, NULL));
}

static void start(void)
{
	start_with((struct wb_sim_params){ .segment_count = 16 });
}

static void stop(void)
{
	wb_sim_clear(&sim);
}

TestSuite(stats, .init = start, .fini = stop);

static void fill(uint64_t offset, uint64_t length)
{
	cr_assert_eq(wb_sim_fill(&sim, offset, 1, length, 0), 0);
}

static void take(uint64_t offset, uint64_t length)
{
	uint8_t *data = g_malloc(length);

	cr_assert_eq(wb_sim_read(&sim, offset, data, length), 0);
	g_free(data);
}

static struct wb_stats_snapshot stats(void)
{
	struct wb_stats_snapshot snapshot;

	wb_sim_stats(&sim, &snapshot);
	return snapshot;
}

/* Exactly these blocks, "read_hit_ram_full=2 ...", since the last call. */
static void expect_blocks(const char *wanted)
{
	g_autoptr(GString) text = g_string_new(NULL);
	struct wb_stats_snapshot now = stats();

	for (unsigned i = 0; i < WB_BLOCK_CLASSES; i++)
		if (now.counter[WB_STAT_BLOCKS + i])
			g_string_append_printf(text, "%s%s=%" G_GUINT64_FORMAT,
					       text->len ? " " : "",
					       wb_stat_name(WB_STAT_BLOCKS + i),
					       now.counter[WB_STAT_BLOCKS + i]);
	cr_expect_str_eq(text->str, wanted);
	wb_cache_clear_stats(sim.cache);
}

/* Writes other blocks until what was written before lies on the SSD alone. */
static void push_out(void)
{
	for (unsigned i = 0; i < 6; i++)
		cr_assert_eq(wb_sim_fill(&sim, (100 + i * SEGMENT_DATA) * BLOCK, 2,
					 SEGMENT_DATA * BLOCK, WB_REQUEST_FUA), 0);
	wb_sim_settle(&sim);
	wb_cache_clear_stats(sim.cache);
}

/* --- the sixteen ----------------------------------------------------------------- */

Test(stats, writes_are_sorted_by_what_the_cache_had_and_how_much_was_written)
{
	fill(0, 3 * BLOCK);
	expect_blocks("write_miss_hdd_full=3");
	fill(BLOCK, 2 * BLOCK);
	expect_blocks("write_hit_ram_full=2");
	fill(10 * BLOCK + SECTOR, SECTOR);
	expect_blocks("write_miss_hdd_partial=1");
	fill(10 * BLOCK + 2 * SECTOR, 10);
	expect_blocks("write_hit_ram_partial=1");
	push_out();
	fill(0, BLOCK);
	expect_blocks("write_hit_ssd_full=1");
	fill(BLOCK + SECTOR, BLOCK);
	expect_blocks("write_hit_ssd_partial=2");
}

Test(stats, a_write_over_many_blocks_is_counted_block_by_block)
{
	fill(2 * BLOCK, 2 * BLOCK);
	wb_cache_clear_stats(sim.cache);
	fill(BLOCK + SECTOR, 4 * BLOCK);
	expect_blocks("write_miss_hdd_partial=2 write_miss_hdd_full=1 write_hit_ram_full=2");
}

Test(stats, reads_are_sorted_by_where_the_block_was)
{
	take(0, BLOCK);
	expect_blocks("read_miss_hdd_full=1");
	take(100, 200);
	expect_blocks("read_miss_hdd_partial=1");
	take(BLOCK / 2, 4 * BLOCK);
	expect_blocks("read_miss_hdd_partial=2 read_miss_hdd_full=3");
	fill(0, 4 * BLOCK);
	wb_cache_clear_stats(sim.cache);
	take(SECTOR, 2 * BLOCK);
	expect_blocks("read_hit_ram_partial=2 read_hit_ram_full=1");
	push_out();
	take(2 * BLOCK, 4 * BLOCK);
	expect_blocks("read_miss_hdd_full=2 read_hit_ssd_full=2");
	take(3 * BLOCK + 1, 1);
	expect_blocks("read_hit_ssd_partial=1");
}

Test(stats, a_block_that_the_cache_has_in_part_is_one_hit)
{
	fill(BLOCK + SECTOR, SECTOR);
	fill(3 * BLOCK, SECTOR);
	wb_cache_clear_stats(sim.cache);
	take(0, 5 * BLOCK);
	expect_blocks("read_miss_hdd_full=3 read_hit_ram_full=2");
	take(BLOCK + 1, 10 + SECTOR);
	expect_blocks("read_hit_ram_partial=1");
	take(0, BLOCK + 2 * SECTOR);
	expect_blocks("read_miss_hdd_full=1 read_hit_ram_partial=1");
}

Test(stats, zeros_of_a_discard_are_hits_in_ram_and_a_discard_is_no_write)
{
	cr_assert_eq(wb_sim_zero(&sim, SECTOR, 4 * BLOCK, 0), 0);
	expect_blocks("");
	take(BLOCK, 3 * BLOCK);
	expect_blocks("read_hit_ram_full=3");
}

Test(stats, a_read_that_is_tried_again_counts_once)
{
	wb_store_faulty_add(sim.backing_disk.faulty, &(struct wb_fault){
		.op = WB_IO_READ, .io_class = WB_FAULT_ANY, .count = 1 });
	take(0, 3 * BLOCK);
	cr_assert_eq(stats().counter[WB_STAT_BACKING_ERRORS], 1);
	expect_blocks("read_miss_hdd_full=3");
}

Test(stats, the_end_of_an_image_inside_a_block_is_a_whole_block, .init = NULL)
{
	start_with((struct wb_sim_params){ .image_bytes = 64 * BLOCK + SECTOR });
	take(63 * BLOCK, BLOCK + SECTOR);
	expect_blocks("read_miss_hdd_full=2");
	fill(64 * BLOCK, SECTOR);
	expect_blocks("write_miss_hdd_full=1");
}

/* --- latencies ------------------------------------------------------------------- */

static void expect_counts(const uint64_t wanted[WB_LATENCY_COUNT])
{
	struct wb_latency_summary latency[WB_LATENCY_COUNT];

	wb_cache_get_latencies(sim.cache, latency);
	for (unsigned i = 0; i < WB_LATENCY_COUNT; i++) {
		const struct wb_latency_summary *l = &latency[i];

		cr_expect_eq(l->count, wanted[i], "%s: %lu", wb_latency_name(i), l->count);
		cr_expect(l->p50_ns <= l->p90_ns && l->p90_ns <= l->p99_ns &&
			  l->p99_ns <= l->p999_ns && l->p999_ns <= l->max_ns);
		cr_expect(l->count == 0 || (l->sum_ns >= l->max_ns && l->p50_ns > 0));
		for (unsigned b = 1; b < WB_LATENCY_BOUNDS; b++)
			cr_expect_leq(l->below[b - 1], l->below[b]);
		cr_expect_leq(l->below[WB_LATENCY_BOUNDS - 1], l->count);
	}
}

Test(stats, every_request_has_its_time_under_its_kind)
{
	fill(0, BLOCK);
	fill(BLOCK, BLOCK);
	cr_assert_eq(wb_sim_fill(&sim, 2 * BLOCK, 1, BLOCK, WB_REQUEST_FUA), 0);
	cr_assert_eq(wb_sim_sync(&sim), 0);
	cr_assert_eq(wb_sim_zero(&sim, 50 * BLOCK, BLOCK, 0), 0);
	take(0, BLOCK);			/* RAM */
	take(BLOCK, 5 * BLOCK);		/* RAM and backing */
	expect_counts((uint64_t[WB_LATENCY_COUNT]){
		[WB_LATENCY_WRITE] = 2, [WB_LATENCY_SYNC] = 2, [WB_LATENCY_DISCARD] = 1,
		[WB_LATENCY_READ_RAM] = 1, [WB_LATENCY_READ_BACKING] = 1 });
	push_out();
	expect_counts((uint64_t[WB_LATENCY_COUNT]){ 0 });
	take(0, BLOCK);
	expect_counts((uint64_t[WB_LATENCY_COUNT]){ [WB_LATENCY_READ_CACHE] = 1 });
}

Test(stats, writes_to_the_backing_have_theirs)
{
	struct wb_latency_summary latency[WB_LATENCY_COUNT];

	fill(0, BLOCK);
	fill(20 * BLOCK, BLOCK);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	wb_cache_get_latencies(sim.cache, latency);
	cr_expect_eq(latency[WB_LATENCY_WRITEBACK].count, 2);
}

Test(stats, a_request_takes_as_long_as_the_disk_lets_it_wait)
{
	struct wb_latency_summary latency[WB_LATENCY_COUNT];
	struct wb_sim_op *op = wb_sim_prepare(&sim, WB_READ, 0, 0, BLOCK);

	wb_sim_submit(op);
	sim.clock.now_ns += 7 * SECOND_NS;
	cr_assert_eq(wb_sim_wait(op), 0);
	wb_sim_release(op);
	wb_cache_get_latencies(sim.cache, latency);
	cr_expect_geq(latency[WB_LATENCY_READ_BACKING].p50_ns, 7 * SECOND_NS);
	cr_expect_eq(latency[WB_LATENCY_READ_BACKING].below[WB_LATENCY_BOUNDS - 3], 0);
}

/* --- ages and rates --------------------------------------------------------------- */

Test(stats, the_oldest_dirty_data_has_an_age_until_it_is_written_back)
{
	cr_expect_eq(stats().oldest_dirty_s, 0);
	fill(0, BLOCK);
	wb_sim_pass_time(&sim, 100 * SECOND_NS);
	fill(20 * BLOCK, 40 * BLOCK);
	cr_expect_geq(stats().oldest_dirty_s, 100);
	cr_expect_leq(stats().oldest_dirty_s, 110);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	cr_expect_eq(stats().oldest_dirty_s, 0);
	wb_sim_pass_time(&sim, 50 * SECOND_NS);
	fill(0, 40 * BLOCK);
	cr_expect_leq(stats().oldest_dirty_s, 10);
}

Test(stats, dirty_data_of_an_earlier_mount_is_as_old_as_the_mount)
{
	fill(0, BLOCK);
	wb_sim_pass_time(&sim, 100 * SECOND_NS);
	cr_assert_eq(wb_sim_close(&sim), 0);
	cr_assert(wb_sim_open(&sim, NULL));
	cr_expect_leq(stats().oldest_dirty_s, 10);
	wb_sim_pass_time(&sim, 30 * SECOND_NS);
	cr_expect_geq(stats().oldest_dirty_s, 30);
}

Test(stats, the_time_until_all_is_clean_follows_from_the_last_minute)
{
	cr_expect_eq(stats().clean_in_s, 0);
	fill(0, 30 * BLOCK);
	cr_expect_eq(stats().clean_in_s, WB_STATS_UNKNOWN);
	for (unsigned i = 0; i < 5; i++)
		wb_sim_pass_time(&sim, SECOND_NS);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	cr_expect_eq(stats().clean_in_s, 0);
	cr_expect_gt(stats().writeback_bytes_per_s, 0);
	cr_expect_leq(stats().writeback_bytes_per_s, 30 * BLOCK);
	fill(40 * BLOCK, 10 * BLOCK);
	/* 30 blocks in some seconds: 10 more take some too. */
	cr_expect_gt(stats().clean_in_s, 0);
	cr_expect_lt(stats().clean_in_s, 60);
	for (unsigned i = 0; i < 70; i++)
		wb_sim_pass_time(&sim, SECOND_NS);
	cr_expect_eq(stats().clean_in_s, WB_STATS_UNKNOWN, "that is more than a minute ago");
}

Test(stats, write_amplification_is_of_what_was_written)
{
	struct wb_stats_snapshot now = stats();

	wb_cache_clear_stats(sim.cache);
	now = stats();
	cr_expect_lt(wb_stats_amplification(&now), 0);
	cr_assert_eq(wb_sim_fill(&sim, 0, 1, BLOCK, WB_REQUEST_FUA), 0);
	now = stats();
	cr_expect_float_eq(wb_stats_amplification(&now), 2, 1e-9);
}

/* --- a volume's life ---------------------------------------------------------------- */

static void reopen(void)
{
	cr_assert_eq(wb_sim_close(&sim), 0);
	cr_assert(wb_sim_open(&sim, NULL));
}

Test(stats, lifetime_counters_go_on_over_mounts_and_are_not_cleared)
{
	uint64_t formatted = stats().lifetime[WB_LIFETIME_SSD_WRITTEN_BYTES];

	cr_expect_eq(stats().lifetime[WB_LIFETIME_MOUNTS], 1);
	/* What format wrote counts; these were headers alone, and two superblocks. */
	cr_expect_geq(formatted, sim.geometry.segment_count * BLOCK);
	fill(0, 10 * BLOCK);
	take(0, 3 * BLOCK);
	cr_assert_eq(wb_sim_drain(&sim), 0);
	wb_cache_clear_stats(sim.cache);
	for (unsigned i = 2; i < 4; i++) {
		cr_expect_eq(stats().lifetime[WB_LIFETIME_WRITTEN_BYTES], 10 * BLOCK);
		cr_expect_eq(stats().lifetime[WB_LIFETIME_READ_BYTES], 3 * BLOCK);
		cr_expect_eq(stats().lifetime[WB_LIFETIME_BACKING_WRITTEN_BYTES], 10 * BLOCK);
		cr_expect_geq(stats().lifetime[WB_LIFETIME_SSD_WRITTEN_BYTES],
			      formatted + 11 * BLOCK);
		reopen();
		cr_expect_eq(stats().lifetime[WB_LIFETIME_MOUNTS], i);
		cr_expect_eq(stats().counter[WB_STAT_WRITTEN_BYTES], 0);
	}
}

Test(stats, after_a_crash_lifetime_counters_are_those_of_the_last_superblocks)
{
	fill(0, 10 * BLOCK);
	reopen();
	cr_assert_eq(wb_sim_fill(&sim, 0, 1, 5 * BLOCK, WB_REQUEST_FUA), 0);
	cr_expect_eq(stats().lifetime[WB_LIFETIME_WRITTEN_BYTES], 15 * BLOCK);
	wb_sim_kill(&sim);
	wb_sim_cut_power(&sim);
	cr_assert(wb_sim_open(&sim, NULL));
	cr_expect_eq(stats().lifetime[WB_LIFETIME_WRITTEN_BYTES], 10 * BLOCK);
	cr_expect_eq(stats().lifetime[WB_LIFETIME_MOUNTS], 3);
}

Test(stats, counters_of_a_later_version_stay)
{
	struct wb_superblock *superblock;

	cr_assert_eq(wb_sim_close(&sim), 0);
	cr_assert(wb_sim_open(&sim, NULL));
	superblock = wb_recorder_superblock(sim.cache->recorder);
	superblock->counters[63] = 77;
	reopen();
	reopen();
	cr_expect_eq(wb_recorder_superblock(sim.cache->recorder)->counters[63], 77);
}

/* --- the ring -------------------------------------------------------------------------- */

static void expect_ring(const char *wanted)
{
	char cells[WB_RING_CELLS_MAX + 1];

	wb_cache_get_ring(sim.cache, cells);
	cr_expect_str_eq(cells, wanted);
}

Test(stats, the_ring_shows_what_lies_where)
{
	expect_ring("ffffffffffffffff");
	fill(0, BLOCK);
	expect_ring("hfffffffffffffff");
	fill(BLOCK, 3 * SEGMENT_DATA * BLOCK);
	expect_ring("dddhffffffffffff");
	cr_assert_eq(wb_sim_drain(&sim), 0);
	expect_ring("ccchffffffffffff");
	wb_segment_table_mark_bad(sim.cache->path.segments, 2);
	wb_segment_table_mark_bad(sim.cache->path.segments, 15);
	expect_ring("ccbhfffffffffffb");
	wb_segment_at(sim.cache->path.segments, 15)->is_bad = false;
	wb_segment_at(sim.cache->path.segments, 2)->is_bad = false;
	/* A new mount goes on behind it. */
	reopen();
	expect_ring("ccccffffffffffff");
}

Test(stats, many_segments_share_a_cell_and_the_most_telling_one_is_shown, .init = NULL)
{
	char cells[WB_RING_CELLS_MAX + 1];

	start_with((struct wb_sim_params){ .segment_count = 1500 });
	fill(0, 2 * SEGMENT_DATA * BLOCK + BLOCK);
	wb_cache_get_ring(sim.cache, cells);
	cr_assert_eq(strlen(cells), WB_RING_CELLS_MAX);
	/* 1500 in 1024: the first cell has one, the second too, the third has two. */
	cr_expect_arr_eq(cells, "ddhff", 5);
	wb_segment_table_mark_bad(sim.cache->path.segments, 1499);
	wb_cache_get_ring(sim.cache, cells);
	cr_expect_eq(cells[WB_RING_CELLS_MAX - 1], 'b');
	cr_expect_eq(cells[WB_RING_CELLS_MAX - 2], 'f');
	wb_segment_at(sim.cache->path.segments, 1499)->is_bad = false;
}

/* --- threads -------------------------------------------------------------------------- */

static gpointer count_many(gpointer arg)
{
	struct wb_block_counts counts = { .count = { [WB_BLOCK_HIT] = 2, [0] = 1 } };

	for (unsigned i = 0; i < 100000; i++) {
		WB_STAT_ADD((struct wb_stats *)arg, WB_STAT_RECORDS, 3);
		wb_stats_add_latency(arg, WB_LATENCY_WRITE, 1000);
		wb_stats_add_blocks(arg, WB_BLOCK_WRITE, &counts);
	}
	return NULL;
}

Test(stats, nothing_that_threads_count_at_the_same_time_is_lost, .init = NULL, .fini = NULL)
{
	struct wb_stats *shared = g_new0(struct wb_stats, 1);
	struct wb_latency_summary summary;
	GThread *threads[6];

	for (unsigned i = 0; i < G_N_ELEMENTS(threads); i++)
		threads[i] = g_thread_new("count", count_many, shared);
	for (unsigned i = 0; i < G_N_ELEMENTS(threads); i++)
		g_thread_join(threads[i]);
	cr_expect_eq(wb_stats_sum(shared, WB_STAT_RECORDS), 1800000);
	cr_expect_eq(wb_stats_sum(shared, WB_STAT_BLOCKS + (WB_BLOCK_WRITE | WB_BLOCK_HIT)),
		     1200000);
	cr_expect_eq(wb_stats_sum(shared, WB_STAT_BLOCKS + WB_BLOCK_WRITE), 600000);
	wb_stats_summarise(shared, WB_LATENCY_WRITE, &summary);
	cr_expect_eq(summary.count, 600000);
	cr_expect_eq(summary.sum_ns, 600000000);
	g_free(shared);
}
