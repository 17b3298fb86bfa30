/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cache/recovery.h"
#include "cmd/cache_file.h"
#include "cmd/commands.h"
#include "cmd/report.h"
#include "frontend/stats_json.h"

static void bad_block(void *arg, const struct wb_recovery_record *record,
		      unsigned entry_index, const struct wb_entry *entry, uint32_t slot)
{
	uint64_t *count = arg;

	++*count;
	printf("BAD: block %" PRIu64 " of the image: wrong checksum in slot %" PRIu32
	       " (record %" PRIu64 ", entry %u, segment %" PRIu64 ", %s)\n", entry->address,
	       slot, record->sequence, entry_index, record->segment_id,
	       !record->is_live ? "warm, the backing has it" :
	       entry->type == WB_ENTRY_CLEAN ? "clean, the backing has it" : "dirty");
}

/* A copy that cannot be used is a problem even when the other one can: the
 * next torn write would hit the last one. */
static unsigned print_superblocks(const struct wb_recovery *recovery)
{
	unsigned problems = 0;

	for (unsigned i = 0; i < WB_SUPERBLOCK_COUNT; i++) {
		bool is_valid = !recovery->copy_error[i] &&
				recovery->copy_verdict[i] == WB_SUPERBLOCK_VALID;

		printf("%s: superblock %u: %s%s%s%s\n", is_valid ? "ok" : "BAD", i,
		       recovery->copy_error[i] ? g_strerror(-recovery->copy_error[i]) :
			       wb_superblock_verdict_text(recovery->copy_verdict[i]),
		       recovery->copy_field[i] ? ", field " : "",
		       recovery->copy_field[i] ? recovery->copy_field[i] : "",
		       i == recovery->newest_copy ? " (the newest)" : "");
		problems += !is_valid;
	}
	return problems;
}

static void print_volume(const struct wb_recovery *recovery)
{
	const struct wb_superblock *s = &recovery->superblock;
	char uuid[WB_UUID_TEXT_BYTES];

	wb_uuid_format(s->uuid, uuid);
	printf("volume %s, backing of %" PRIu64 " bytes, last at %s\n", uuid,
	       s->geometry.backing_bytes, s->backing_path);
	printf("%" PRIu64 " segments of %" PRIu32 " bytes, epoch %" PRIu64 "\n",
	       s->geometry.segment_count, s->geometry.segment_bytes, s->epoch);
}

static void print_log(const struct wb_recovery *recovery)
{
	struct wb_recovery_dirty dirty;

	wb_recovery_count_dirty(recovery, &dirty);
	printf("stopped cleanly: %s\n",
	       recovery->was_clean ? "yes" : "no, the log will be recovered at the next mount");
	if (recovery->record_count)
		printf("log: records %" PRIu64 " to %" PRIu64 ", segments %" PRIu64 " to %" PRIu64
		       "\n", recovery->tail_sequence, recovery->cut_sequence,
		       recovery->tail_segment, recovery->last_segment);
	else
		printf("log: empty\n");
	if (recovery->torn_records)
		printf("records cut off behind the end of the log: %" PRIu64 "\n",
		       recovery->torn_records);
	printf("dirty: %" PRIu64 " blocks, %" PRIu64 " discards\n", dirty.dirty_blocks,
	       dirty.extents);
}

static int check(struct wb_store *store, GError **error)
{
	uint64_t bad_blocks = 0;
	struct wb_recovery_options options = { .bad_block = bad_block, .arg = &bad_blocks };
	struct wb_recovery *recovery = wb_recovery_scan(store, &options, error);
	uint64_t problems;

	if (!recovery)
		return WB_EXIT_FAILED;
	problems = bad_blocks + print_superblocks(recovery);
	print_volume(recovery);
	print_log(recovery);
	wb_recovery_free(recovery);
	if (problems)
		printf("problems found: %" PRIu64 "\n", problems);
	else
		puts("sound");
	return problems ? WB_EXIT_FAILED : WB_EXIT_DONE;
}

int wb_cmd_check(const struct wb_options *options)
{
	g_autoptr(GError) error = NULL;
	struct wb_store *store = wb_cache_file_open(options->argument, &error);
	int status = store ? check(store, &error) : WB_EXIT_FAILED;

	wb_store_close(store);
	if (error)
		wb_report(error);
	return status;
}
