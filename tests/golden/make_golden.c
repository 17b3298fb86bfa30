/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 *	make_golden DIRECTORY
 *
 * Made the golden images of format version 1, with a fixed uuid and seeds. What
 * it made stays as it is for ever: it writes no file that is there already, so
 * it is for new images. Look at NAME.expected before committing one.
 */
#include <stdio.h>
#include <string.h>

#include "cache/recovery.h"
#include "support/golden.h"
#include "support/log_builder.h"
#include "support/sparse.h"
#include "support/store_memory.h"

#define BLOCK WB_BLOCK_BYTES
#define SEED 0x676f6c64
#define TRIES 20000u	/* a torn record seldom keeps its whole header */

static struct wb_sim sim;

static void must(int error)
{
	if (error)
		g_error("%s", g_strerror(-error));
}

static void start(struct wb_sim_params params)
{
	g_autoptr(GError) error = NULL;

	params.backing_fill = 0xb0;
	wb_sim_init(&sim, &params);
	if (!wb_sim_open(&sim, &error))
		g_error("%s", error->message);
}

/* --- by the cache itself ------------------------------------------------------- */

static void make_clean(void)
{
	start((struct wb_sim_params){ 0 });
	for (unsigned i = 0; i < 6; i++)
		must(wb_sim_fill(&sim, i * 3 * BLOCK, (uint8_t)(1 + i), 2 * BLOCK, 0));
	must(wb_sim_zero(&sim, 40 * BLOCK, 8 * BLOCK, 0));
	must(wb_sim_drain(&sim));
	must(wb_sim_close(&sim));
}

static void make_dirty(void)
{
	start((struct wb_sim_params){ .no_writeback = true });
	for (unsigned i = 0; i < 16; i++) {
		must(wb_sim_fill(&sim, (i * 7 % 50) * BLOCK, (uint8_t)(0x10 + i), 3 * BLOCK, 0));
		if (i % 4 == 0)
			must(wb_sim_sync(&sim));
	}
	must(wb_sim_close(&sim));
}

static bool has_torn_tail(void)
{
	struct wb_recovery *r = wb_recovery_scan(sim.cache_disk.counting, NULL, NULL);
	bool is = r && r->torn_records > 0 && r->record_count > 4;

	wb_recovery_free(r);
	return is;
}

static void crash_while_writing(uint64_t seed)
{
	start((struct wb_sim_params){ .no_writeback = true, .seed = seed });
	for (unsigned i = 0; i < 5; i++)
		must(wb_sim_fill(&sim, i * BLOCK, (uint8_t)(0x40 + i), 2 * BLOCK,
				 WB_REQUEST_FUA));
	for (unsigned i = 0; i < 3; i++) {
		struct wb_sim_op *op = wb_sim_prepare(&sim, WB_WRITE, 0, i * 2 * BLOCK, 14 * BLOCK);

		memset(op->data, (int)(0x50 + i), op->length_bytes);
		wb_sim_submit(op);
	}
	wb_sim_submit(wb_sim_prepare(&sim, WB_SYNC, 0, 0, 0));
	for (unsigned i = 0; i < seed % 30; i++)
		wb_sim_step(&sim);
	wb_sim_kill(&sim);
	wb_sim_cut_power(&sim);
}

static void make_torn(void)
{
	for (uint64_t seed = SEED; seed < SEED + TRIES; seed++) {
		crash_while_writing(seed);
		if (has_torn_tail())
			return;
		wb_sim_clear(&sim);
	}
	g_error("no seed leaves a torn tail");
}

static void make_discards(void)
{
	start((struct wb_sim_params){ .no_writeback = true });
	for (unsigned i = 0; i < 8; i++)
		must(wb_sim_fill(&sim, i * 5 * BLOCK + 512 * i, (uint8_t)(0x60 + i),
				 512 * (1 + 2 * i), 0));
	must(wb_sim_fill(&sim, 60 * BLOCK + 100, 0x70, 3000, 0));
	must(wb_sim_zero(&sim, 10 * BLOCK, 20 * BLOCK, 0));
	must(wb_sim_fill(&sim, 12 * BLOCK + 1024, 0x71, 512, 0));
	must(wb_sim_zero(&sim, 100 * BLOCK + 700, 5 * BLOCK, 0));
	must(wb_sim_zero(&sim, 200 * BLOCK, 56 * BLOCK, WB_REQUEST_FUA));
	wb_sim_kill(&sim);
}

static void make_wrapped(void)
{
	start((struct wb_sim_params){ .seed = SEED });
	for (unsigned i = 0; i < 90; i++) {
		must(wb_sim_fill(&sim, (i * 37 % 240) * BLOCK, (uint8_t)(1 + i), 5 * BLOCK,
				 i % 3 ? 0 : WB_REQUEST_FUA));
		for (unsigned j = 0; j < 20; j++)
			wb_sim_step(&sim);
	}
	must(wb_sim_sync(&sim));
	wb_sim_kill(&sim);
	wb_sim_cut_power(&sim);
}

/* A place that could not be written, in the list; a second epoch behind it. */
static void make_bad_place(void)
{
	struct wb_fault fault = { .op = WB_IO_WRITE, .io_class = WB_FAULT_ANY,
				  .count = WB_FAULT_FOR_EVER };
	struct wb_stats_snapshot stats;

	start((struct wb_sim_params){ .no_writeback = true });
	must(wb_sim_fill(&sim, 0, 0x81, 10 * BLOCK, WB_REQUEST_FUA));
	fault.offset_bytes = wb_geometry_segment_offset(&sim.geometry, 1);
	fault.length_bytes = sim.geometry.segment_bytes;
	wb_store_faulty_add(sim.cache_disk.faulty, &fault);
	must(wb_sim_fill(&sim, 8 * BLOCK, 0x82, 20 * BLOCK, 0));
	must(wb_sim_sync(&sim));
	must(wb_sim_zero(&sim, 20 * BLOCK, 4 * BLOCK, WB_REQUEST_FUA));
	wb_sim_stats(&sim, &stats);
	g_assert(stats.bad_segments == 1);
	wb_sim_kill(&sim);
}

static bool describe(void *arg, struct wb_backing_facts *facts)
{
	(void)arg;
	*facts = (struct wb_backing_facts){ sim.params.image_bytes, UINT64_C(1700000000) << 30 };
	return true;
}

/* A clean stop that took down how the backing looked, with dirty data left. */
static void make_looked_at(void)
{
	struct wb_sim_params params = { .backing_fill = 0xb0, .no_writeback = true };

	wb_sim_init(&sim, &params);
	sim.watch.describe = describe;
	if (!wb_sim_open(&sim, NULL))
		g_error("it does not open");
	for (unsigned i = 0; i < 6; i++)
		must(wb_sim_fill(&sim, i * 3 * BLOCK, (uint8_t)(1 + i), 2 * BLOCK, 0));
	must(wb_sim_drain(&sim));
	must(wb_sim_fill(&sim, 30 * BLOCK + 512, 0x91, 1024, 0));
	must(wb_sim_close(&sim));
}

/* --- record by record: what the cache does not write by itself ------------------- */

static struct wb_log_builder b;

static void start_log(void)
{
	struct wb_sim_params params = { .backing_fill = 0xb0, .no_writeback = true };

	wb_sim_init(&sim, &params);
	wb_log_builder_init(&b, 8);
	b.superblock.geometry.backing_bytes = sim.params.image_bytes;
	b.superblock.geometry.backing_blocks = sim.params.image_bytes / BLOCK;
	wb_log_builder_write_superblocks(&b);
}

static void finish_log(void)
{
	g_assert(b.store->size_bytes == sim.cache_disk.memory->size_bytes);
	memcpy(wb_sim_cache_bytes(&sim), wb_store_memory_bytes(b.store), b.store->size_bytes);
	wb_log_builder_clear(&b);
}

static const struct wb_log_built *add(uint64_t address, unsigned count)
{
	struct wb_entry entries[WB_RECORD_BLOCKS_MAX] = { 0 };

	for (unsigned i = 0; i < count; i++)
		entries[i] = (struct wb_entry){ .address = address + i, .mask = WB_MASK_FULL,
						.type = WB_ENTRY_DATA };
	return wb_log_builder_add_entries(&b, entries, count);
}

static struct wb_entry extent(enum wb_entry_type type, uint64_t address, uint32_t blocks)
{
	return (struct wb_entry){ .address = address, .mask = WB_MASK_FULL,
				  .type = (uint8_t)type, .crc_or_length = blocks };
}

static void make_bypass_and_bad(void)
{
	start_log();
	add(0, 10);
	wb_log_builder_add_entries(&b, (struct wb_entry[]){
		{ .address = 20, .mask = WB_MASK_FULL, .type = WB_ENTRY_CLEAN },
		{ .type = WB_ENTRY_VOID },
		{ .address = 21, .mask = WB_MASK_FULL, .type = WB_ENTRY_DATA },
		extent(WB_ENTRY_DISCARD, 30, 20),
	}, 4);
	wb_log_builder_add_entries(&b, (struct wb_entry[]){
		extent(WB_ENTRY_BYPASS, 35, 5), extent(WB_ENTRY_BAD, 60, 3),
		extent(WB_ENTRY_BYPASS, 4, 1), extent(WB_ENTRY_BAD, 8, 1),
	}, 4);
	add(61, 1);
	finish_log();
}

static void recover(void)
{
	g_autoptr(GError) error = NULL;
	struct wb_recovery *r = wb_recovery_scan(b.store, NULL, &error);

	if (!r)
		g_error("%s", error->message);
	wb_log_builder_recover(&b, r);
	wb_recovery_free(r);
}

static void make_dead_timelines(void)
{
	const struct wb_log_built *lost;

	start_log();
	add(0, 4);
	b.is_each_synced = false;
	add(10, 4);
	lost = add(20, 3);
	add(20, 6);	/* whole, but behind a hole: dead from the next epoch on */
	wb_log_builder_lose(&b, lost);
	recover();
	add(20, 2);
	lost = add(30, 2);
	add(40, 2);
	wb_log_builder_tear(&b, lost, 2 * BLOCK);
	recover();
	b.is_each_synced = true;
	add(10, 1);
	add(50, 3);
	finish_log();
}

/* What such a log leads to, some parts of blocks, and a clean stop. */
static void make_checkpoint(void)
{
	make_bypass_and_bad();
	if (!wb_sim_open(&sim, NULL))
		g_error("it does not open");
	for (unsigned i = 0; i < 8; i++)
		must(wb_sim_fill(&sim, (70 + i * 3) * BLOCK + 512 * i, (uint8_t)(0x20 + i),
				 512 * (1 + 3 * i), i % 3 ? 0 : WB_REQUEST_FUA));
	must(wb_sim_zero(&sim, 200 * BLOCK + 700, 20 * BLOCK, WB_REQUEST_FUA));
	must(wb_sim_close(&sim));
}

/* --- writing ------------------------------------------------------------------------ */

static const struct {
	const char *name;
	void (*make)(void);
} images[] = {
	{ "clean", make_clean }, { "dirty", make_dirty }, { "torn", make_torn },
	{ "discards", make_discards }, { "bypass_and_bad", make_bypass_and_bad },
	{ "dead_timelines", make_dead_timelines }, { "wrapped", make_wrapped },
	{ "bad_place", make_bad_place }, { "looked_at", make_looked_at },
	{ "checkpoint", make_checkpoint },
};

static void write_file(const char *directory, const char *name, const char *suffix,
		       const void *data, size_t bytes)
{
	g_autofree char *path = g_strconcat(directory, "/", name, suffix, NULL);
	FILE *file = fopen(path, "wbx");

	if (!file || fwrite(data, 1, bytes, file) != bytes || fclose(file))
		g_error("%s cannot be written, or is there already", path);
}

static void write_disk(const char *directory, const char *name, const char *suffix,
		       const uint8_t *memory, uint64_t bytes)
{
	g_autoptr(GByteArray) pieces = wb_sparse_pack(memory, bytes);

	write_file(directory, name, suffix, pieces->data, pieces->len);
}

int main(int argc, char **argv)
{
	for (unsigned i = 0; argc == 2 && i < G_N_ELEMENTS(images); i++) {
		g_autofree char *path = g_strconcat(argv[1], "/", images[i].name, ".cache", NULL);
		g_autofree char *text = NULL;

		if (g_file_test(path, G_FILE_TEST_EXISTS))
			continue;
		images[i].make();
		write_disk(argv[1], images[i].name, ".cache", wb_sim_cache_bytes(&sim),
			   sim.cache_disk.memory->size_bytes);
		write_disk(argv[1], images[i].name, ".backing", wb_sim_backing_bytes(&sim),
			   sim.params.image_bytes);
		wb_sim_clear(&sim);
		wb_golden_init(&sim);
		wb_golden_load(&sim, argv[1], images[i].name);
		text = wb_golden_describe(&sim);
		wb_sim_clear(&sim);
		write_file(argv[1], images[i].name, ".expected", text, strlen(text));
		printf("%s\n%s\n", images[i].name, text);
	}
	return argc == 2 ? 0 : 2;
}
