/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "support/golden.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "cache/recovery.h"
#include "support/sparse.h"

const char *const wb_golden_names[] = {
	"clean", "dirty", "torn", "discards", "bypass_and_bad", "dead_timelines", "wrapped",
	"bad_place", "looked_at", "checkpoint",
	NULL
};

void wb_golden_init(struct wb_sim *sim)
{
	struct wb_sim_params params = { .no_writeback = true };

	wb_sim_init(sim, &params);
}

uint8_t *wb_golden_read_file(const char *directory, const char *name, const char *suffix,
			     size_t *bytes)
{
	g_autofree char *path = g_strconcat(directory, "/", name, suffix, NULL);
	g_autoptr(GError) error = NULL;
	char *data;

	if (!g_file_get_contents(path, &data, bytes, &error))
		g_error("%s", error->message);
	return (uint8_t *)data;
}

static void load_disk(const char *directory, const char *name, const char *suffix,
		      const struct wb_store *disk, uint8_t *memory)
{
	size_t bytes;
	g_autofree uint8_t *pieces = wb_golden_read_file(directory, name, suffix, &bytes);

	memset(memory, 0, disk->size_bytes);
	g_assert(wb_sparse_lay(pieces, bytes, memory, disk->size_bytes));
}

void wb_golden_load(struct wb_sim *sim, const char *directory, const char *name)
{
	load_disk(directory, name, ".cache", sim->cache_disk.memory, wb_sim_cache_bytes(sim));
	load_disk(directory, name, ".backing", sim->backing_disk.memory,
		  wb_sim_backing_bytes(sim));
}

static void describe_log(const struct wb_recovery *r, GString *text)
{
	struct wb_recovery_dirty dirty;

	wb_recovery_count_dirty(r, &dirty);
	g_string_append_printf(text, "generation %" PRIu64 "\nclean %d\n",
			       r->superblock.generation, r->was_clean);
	g_string_append_printf(text, "highest epoch %" PRIu64 "\n", r->highest_epoch);
	g_string_append_printf(text, "tail segment %" PRIu64 " sequence %" PRIu64 "\n",
			       r->tail_segment, r->tail_sequence);
	g_string_append_printf(text, "cut sequence %" PRIu64 " crc %08" PRIx32
			       " segment %" PRIu64 "\n", r->cut_sequence, r->cut_crc,
			       r->last_segment);
	g_string_append_printf(text, "durable %" PRIu64 "\ntorn %" PRIu64 "\n", r->durable,
			       r->torn_records);
	g_string_append_printf(text, "dirty blocks %" PRIu64 " extents %" PRIu64 "\n",
			       dirty.dirty_blocks, dirty.extents);
	for (guint i = 0; i < r->records->len; i++) {
		const struct wb_recovery_record *record =
			&g_array_index(r->records, struct wb_recovery_record, i);

		g_string_append_printf(text, "record %" PRIu64 " segment %" PRIu64
				       " block %" PRIu32 " entries %u %s\n", record->sequence,
				       record->segment_id, record->block_offset,
				       record->entry_count, record->is_live ? "live" : "warm");
	}
}

static void describe_image(struct wb_sim *sim, GString *text)
{
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);

	for (uint64_t at = 0; at < sim->params.image_bytes; at += WB_BLOCK_BYTES) {
		uint8_t data[WB_BLOCK_BYTES];
		int error = wb_sim_read(sim, at, data, sizeof data);

		if (error) {
			g_assert(error == -EIO);
			g_string_append_printf(text, "unreadable block %" PRIu64 "\n",
					       at / WB_BLOCK_BYTES);
			memset(data, 0xee, sizeof data);
		}
		g_checksum_update(sum, data, sizeof data);
	}
	g_string_append_printf(text, "image sha256 %s\n", g_checksum_get_string(sum));
}

char *wb_golden_describe(struct wb_sim *sim)
{
	GString *text = g_string_new(NULL);
	g_autoptr(GError) error = NULL;
	struct wb_recovery *r = wb_recovery_scan(sim->cache_disk.counting, NULL, &error);
	struct wb_stats_snapshot stats;

	if (!r) {
		g_string_append_printf(text, "refused: %s\n", error->message);
		return g_string_free(text, FALSE);
	}
	describe_log(r, text);
	wb_recovery_free(r);
	if (!wb_sim_open(sim, &error)) {
		g_string_append_printf(text, "not opened: %s\n", error->message);
		return g_string_free(text, FALSE);
	}
	wb_sim_stats(sim, &stats);
	if (stats.is_from_checkpoint)
		g_string_append_printf(text, "opened from its checkpoint, dirty blocks %" PRIu64
				       " cached %" PRIu64 " pending discards %" PRIu64 "\n",
				       stats.dirty_blocks, stats.cached_blocks,
				       stats.pending_discards);
	describe_image(sim, text);
	wb_sim_kill(sim);
	return g_string_free(text, FALSE);
}
