/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a cache holds, what is wrong with it, and what a repair would keep and
 * give up. Only --repair changes anything, and asks first when it costs data.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cache/recovery.h"
#include "cache/repair.h"
#include "cache/rescue.h"
#include "cmd/cache_file.h"
#include "cmd/cache_scan.h"
#include "cmd/commands.h"
#include "cmd/interrupt.h"
#include "cmd/lost_list.h"
#include "cmd/report.h"
#include "frontend/stats_json.h"

struct check {
	const char *path;
	struct wb_store *store;
	struct wb_recovery *recovery;
	GHashTable *bad_slots;		/* whose data does not match its checksum */
	uint64_t problems;
	uint64_t superseded;		/* bad, but nobody will read it */
};

/* --- what is wrong ------------------------------------------------------------------- */

static void bad_block(void *arg, const struct wb_recovery_record *record,
		      unsigned entry_index, const struct wb_entry *entry, uint32_t slot)
{
	struct check *check = arg;

	(void)record;
	(void)entry_index;
	(void)entry;
	g_hash_table_add(check->bad_slots, GUINT_TO_POINTER(slot));
}

/* A copy that cannot be used is a problem even when the other one can: the
 * next torn write would hit the last one. */
static void print_superblocks(struct check *check)
{
	const struct wb_recovery *recovery = check->recovery;

	for (unsigned i = 0; i < WB_SUPERBLOCK_COUNT; i++) {
		bool is_valid = !recovery->copy_error[i] &&
				recovery->copy_verdict[i] == WB_SUPERBLOCK_VALID;

		printf("%s: superblock %u: %s%s%s%s\n", is_valid ? "ok" : "BAD", i,
		       recovery->copy_error[i] ? g_strerror(-recovery->copy_error[i]) :
			       wb_superblock_verdict_text(recovery->copy_verdict[i]),
		       recovery->copy_field[i] ? ", field " : "",
		       recovery->copy_field[i] ? recovery->copy_field[i] : "",
		       i == recovery->newest_copy ? " (the newest)" : "");
		check->problems += !is_valid;
	}
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
	if (s->incompat & WB_INCOMPAT_DETACHED)
		puts("detached: the backing is complete alone, and no mount takes this cache");
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

/* Dirty blocks whose newest version is gone. A wrong copy of what the backing has
 * too, or of what was written again later, is read by nobody for long. */
static void print_bad_data(struct check *check)
{
	const struct wb_recovery *recovery = check->recovery;
	struct wb_replay *replay = wb_replay_new(recovery);
	GArray *ranges = wb_lost_list_new();

	for (guint i = 0; i < replay->blocks->len; i++) {
		const struct wb_replay_block *block =
			&g_array_index(replay->blocks, struct wb_replay_block, i);

		if (g_hash_table_remove(check->bad_slots, GUINT_TO_POINTER(block->slot)))
			wb_lost_list_add(ranges, block->address, 1,
				"dirty, and its checksum in the cache is wrong");
	}
	for (guint i = 0; i < replay->extents->len; i++) {
		const struct wb_replay_extent *extent =
			&g_array_index(replay->extents, struct wb_replay_extent, i);

		if (extent->is_lost)
			wb_lost_list_add(ranges, extent->first, extent->count,
				"lost before, and noted so in the log");
	}
	check->problems += wb_lost_list_print(ranges, "BAD",
					      recovery->superblock.geometry.backing_bytes);
	if (ranges->len)
		puts("Reads of these give an I/O error until they are written as a whole, or "
		     "discarded.");
	check->superseded = g_hash_table_size(check->bad_slots);
	if (check->superseded)
		printf("note: %" PRIu64 " blocks with wrong checksums that nothing depends on\n",
		       check->superseded);
	g_array_unref(ranges);
	wb_replay_free(replay);
}

/* --- damage --------------------------------------------------------------------------- */

static void print_damage(struct check *check)
{
	const struct wb_recovery *recovery = check->recovery;

	if (!recovery->damage)
		return;
	check->problems++;
	printf("DAMAGED: %s\n", recovery->damage);
	printf("A mount is refused. A repair keeps the log up to record %" PRIu64 ", and with it "
	       "the image\nas it was then, and gives up:\n", recovery->cut_sequence);
	wb_lost_list_print_repair(recovery, "LOST");
	puts("There the image will hold older data, or newer where it was written back already.");
}

static void print_advice(const struct check *check)
{
	switch (wb_repair_need(check->recovery)) {
	case WB_REPAIR_NOTHING:
		return;
	case WB_REPAIR_SUPERBLOCK:
		printf("`wbfs check --repair %s` writes the superblock again from the other; "
		       "so does a mount.\n", check->path);
		return;
	case WB_REPAIR_SUPERBLOCKS:
		printf("The superblocks are guessed from the records: `wbfs check --repair "
		       "--backing PATH %s`\nwrites them, `wbfs rescue` with the same --backing "
		       "needs no repair.\n", check->path);
		return;
	case WB_REPAIR_LOG:
		printf("First save what can be read, the later data too:\n"
		       "  wbfs rescue --output IMAGE %s\nThen:\n"
		       "  wbfs check --repair %s\n", check->path, check->path);
		return;
	}
}

/* --- repair ----------------------------------------------------------------------------- */

static bool confirm(const struct wb_options *options, GError **error)
{
	char answer[16] = "";

	if (options->yes)
		return true;
	if (!isatty(STDIN_FILENO))
		return wb_fail(error, "%s: the repair settles what is listed above and was not "
			       "confirmed: --yes does that; nothing was changed",
			       options->argument);
	printf("Settle what is listed above in this way? Type 'yes' to repair: ");
	fflush(stdout);
	if (fgets(answer, sizeof answer, stdin) && !strcmp(answer, "yes\n"))
		return true;
	return wb_fail(error, "%s: not repaired; nothing was changed", options->argument);
}

/* TRUE when the cache is as sound as it can be. */
static bool repair(struct check *check, const struct wb_options *options, GError **error)
{
	enum wb_repair_need need = wb_repair_need(check->recovery);

	if (need == WB_REPAIR_NOTHING) {
		puts("nothing to repair");
		return true;
	}
	if (!wb_recovery_check_features(check->path, &check->recovery->superblock, error))
		return false;
	if (need != WB_REPAIR_SUPERBLOCK && !confirm(options, error))
		return false;
	if (!wb_repair_apply(check->store, check->recovery, error))
		return false;
	check->problems -= need == WB_REPAIR_SUPERBLOCKS ? WB_SUPERBLOCK_COUNT : 1;
	if (need == WB_REPAIR_SUPERBLOCKS)
		puts("repaired: new superblocks, as the records tell it");
	else if (need == WB_REPAIR_SUPERBLOCK)
		puts("repaired: both superblocks are whole again; nothing was lost");
	else
		printf("repaired: the log ends with record %" PRIu64 "; a mount will work\n",
		       check->recovery->cut_sequence);
	return true;
}

static int conclude(struct check *check, const struct wb_options *options, GError **error)
{
	bool is_lossy = check->recovery->damage != NULL;

	if (!options->repair) {
		print_advice(check);
	} else if (!repair(check, options, error)) {
		return WB_EXIT_FAILED;
	} else if (is_lossy) {
		/* what is written to the log also mends a superblock */
		return WB_EXIT_FAILED;
	}
	if (check->problems)
		printf("problems %s: %" PRIu64 "\n", options->repair ? "left" : "found",
		       check->problems);
	else
		puts("sound");
	return check->problems ? WB_EXIT_FAILED : WB_EXIT_DONE;
}

static int run(struct check *check, const struct wb_options *options, GError **error)
{
	struct wb_recovery_options how = { .bad_block = bad_block, .arg = check,
					   .goes_past_damage = true };

	check->recovery = wb_cache_scan(check->store, options, &how, error);
	if (!check->recovery)
		return WB_EXIT_FAILED;
	print_superblocks(check);
	print_volume(check->recovery);
	print_log(check->recovery);
	print_bad_data(check);
	print_damage(check);
	return conclude(check, options, error);
}

int wb_cmd_check(const struct wb_options *options)
{
	g_autoptr(GError) error = NULL;
	struct check check = { .path = options->argument };
	int status = WB_EXIT_FAILED;

	wb_interrupt_listen();
	check.store = wb_cache_file_open_as(options->argument, options->repair ?
					    WB_DISK_READ_WRITE : WB_DISK_READ_ONLY, &error);
	check.bad_slots = g_hash_table_new(g_direct_hash, g_direct_equal);
	if (check.store)
		status = run(&check, options, &error);
	wb_recovery_free(check.recovery);
	g_hash_table_unref(check.bad_slots);
	wb_store_close(check.store);
	fflush(stdout);
	/* (a repair that was begun is finished) */
	if (error && wb_interrupt_is_asked())
		return wb_interrupt_report("cache %s was not changed", options->argument);
	if (error)
		wb_report(error);
	return status;
}
