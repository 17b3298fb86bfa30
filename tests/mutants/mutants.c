/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mutants/mutants.h"

#include "support/store_crashy.h"

#define SEEDS 20000u

#define MUTANT(mutant, text) \
	{ .name = mutant, .rule = text, .seeds_max = SEEDS, .is_mutant = true }
#define MUTANT_IN(where, mutant, text) \
	{ .name = mutant, .rule = text, .seeds_max = 300, .is_mutant = true, .scenario = where }
#define MUTANT_IN_FULL_RING(mutant, text) \
	{ .name = mutant, .rule = text, .seeds_max = SEEDS, .is_mutant = true, .fills_ring = true }
#define MUTANT_WITH_BAD_PLACES(mutant, text) \
	{ .name = mutant, .rule = text, .seeds_max = SEEDS, .is_mutant = true, .bad_places = true }
#define MUTANT_AT_DEATH(mutant, text) \
	{ .name = mutant, .rule = text, .seeds_max = SEEDS, .is_mutant = true, .deaths = true }
#define LIAR(liar, cache, backing, text) \
	{ .name = liar, .rule = text, .seeds_max = SEEDS, .cache_lies = cache, \
	  .backing_lies = backing }

const struct mutant mutants[] = {
	/* recovery */
	MUTANT_IN(MUTANT_MIRROR, "chain_unchecked",
		  "a record follows the one whose CRC it carries"),
	MUTANT("epoch_start_ignored",
	       "a record is dead when a later epoch began at or before it"),
	MUTANT("first_gap_ends_walk",
	       "the walk goes on over gaps below the tail, from the oldest side"),
	MUTANT_IN_FULL_RING("head_not_learnt",
			    "all headers of the newest live segment tell tail and claims"),
	MUTANT("unproven_data_unchecked", "data above the last `durable` is checked at recovery"),
	MUTANT("tombstone_dropped", "a discard counts until it is punched and flushed"),
	MUTANT("discard_table_overflows", "the discard table is sized by what recovery finds"),
	MUTANT("warm_copy_survives_discard", "extents below the tail kill warm copies"),
	MUTANT("overwritten_not_carved",
	       "a discard is not applied again under data that was written after its punch"),
	MUTANT("bypass_carves_nothing", "BYPASS carves pending zeros"),
	MUTANT("no_rewrite_at_open", "what no claim covers is written again before it counts"),
	MUTANT("no_flush_at_open", "recovery flushes before its superblocks claim the cut"),
	MUTANT("superblocks_together", "one copy of the superblock is durable before the other "
	       "is touched"),
	MUTANT("checkpoint_outlives_opening",
	       "an opening ends the checkpoint that it used, and none counts when a later session "
	       "has begun"),
	MUTANT_IN(MUTANT_CHECKPOINT, "checkpoint_crc_unchecked",
		  "a checkpoint counts only with the right checksum"),
	MUTANT("checkpoint_without_extents", "a checkpoint holds the pending discards"),
	/* the log */
	MUTANT("durable_not_a_prefix", "`durable` is a prefix of the records"),
	MUTANT("durable_claimed_early", "a header claims only what is durable"),
	MUTANT("failed_flush_believed", "after a failed flush all above `durable` is written "
	       "again"),
	MUTANT("fua_too_early", "FUA stands for a flush only when all before is durable"),
	MUTANT("buffer_released_early", "a RAM buffer is kept until its flush has succeeded"),
	MUTANT("tail_ahead", "the tail in a header is not ahead of what was judged"),
	MUTANT_IN_FULL_RING("place_reused_early", "a place is used again only after a tail beyond it is "
	       "durable"),
	MUTANT("freed_before_durable", "a segment is free only when what superseded it is "
	       "durable"),
	MUTANT_WITH_BAD_PLACES("replacement_forgotten_in_move",
			       "so it is when it has moved away from a bad place"),
	MUTANT("extents_uncounted", "an extent counts as live dirty in its segment"),
	MUTANT("discarded_before_tail_durable",
	       "a place is discarded on the SSD only after a tail beyond it is durable"),
	MUTANT("reused_while_discarded", "a place under discard is not used before that is over"),
	/* what outlives the process */
	MUTANT_AT_DEATH("entry_before_data", "an entry becomes valid after its block is in place"),
	MUTANT_AT_DEATH("record_counts_early", "a record counts after its header is whole"),
	MUTANT_AT_DEATH("durable_not_kept", "the memory hears of `durable` before buffers are used "
			"again"),
	MUTANT_AT_DEATH("kept_durable_early", "... and not before the flush"),
	MUTANT_AT_DEATH("headers_not_mended", "what did not come to count in a header goes"),
	MUTANT_AT_DEATH("overwritten_replayed", "a place that the memory has anew is not replayed "
			"as it was"),
	MUTANT_AT_DEATH("takeover_not_flushed", "what is written at a takeover is flushed before it "
			"counts as durable"),
	MUTANT_AT_DEATH("superblocks_believed", "superblocks that are not known to be durable are "
			"written again"),
	MUTANT_AT_DEATH("moved_records_in_place", "while records move to a new epoch the places in "
			"the memory do not count"),
	MUTANT_AT_DEATH("owed_flush_forgotten", "the next process owes the flush of the backing"),
	MUTANT_AT_DEATH("half_piece_kept", "of a piece that was not executed as a whole nothing is "
			"left"),
	MUTANT_AT_DEATH("whole_piece_forgotten", "a piece whose entries are all valid is executed"),
	MUTANT_AT_DEATH("done_before_executed", "a piece is done after its entries are valid"),
	MUTANT_AT_DEATH("resent_executed_anew", "what is sent again goes on behind what was done"),
	MUTANT_AT_DEATH("left_requests_forgotten", "... also after several deaths"),
	MUTANT_AT_DEATH("requests_forgotten_by_stop", "... and over a clean stop"),
	{ .name = "late_ghosts", .rule = "whoever takes over waits for I/O of the dead process",
	  .seeds_max = SEEDS, .deaths = true, .late_ghosts = true },
	/* requests */
	MUTANT("published_changed_in_place", "published sectors never change"),
	MUTANT("no_block_exclusion", "a merge excludes other writers of its block"),
	MUTANT("dirty_sectors_not_merged", "older dirty sectors move to the new version"),
	MUTANT("pending_zeros_not_merged", "over a pending discard a version is whole"),
	MUTANT("edge_copy_unchecked",
	       "a copy of the backing is used only if the stripe did not change"),
	MUTANT_IN(MUTANT_ROT, "read_unchecked", "readers check every block of the cache"),
	/* reads that are kept */
	MUTANT("fill_unchecked",
	       "a read is kept only if the stripe did not change since it looked"),
	MUTANT("fill_of_unflushed", "and only if the backing has nothing that is not flushed"),
	MUTANT("fill_of_lost", "nor lost anything with a flush that failed"),
	MUTANT("second_chance_unchecked", "only what the map still names gets a second chance"),
	MUTANT("clean_replaces_dirty", "at recovery a copy never replaces what is dirty"),
	/* writeback */
	MUTANT("writeback_before_durable", "only durable records are written back"),
	MUTANT("punch_before_durable", "only durable discards are punched"),
	MUTANT("punch_after_writes",
	       "a punch comes before the writes of newer blocks, or those wait: it never hits "
	       "what is newer"),
	MUTANT("clean_without_comparing", "clean is only what the map still names"),
	MUTANT("backing_error_ignored", "after an error nothing of a batch counts"),
	MUTANT("gap_not_guarded",
	       "between gap read and gap write nobody else changes the backing there"),
	MUTANT("gap_takes_dirty", "what a gap is filled with is what the backing has"),
	MUTANT("gap_error_ignored", "a gap that cannot be read is left out"),
	MUTANT_IN(MUTANT_ROT, "writeback_unchecked", "writeback checks every block"),
	/* growth */
	MUTANT("cut_block_not_zeroed", "the image grows over zeros in the block in which it "
	       "ended"),
	MUTANT("grown_before_recorded", "a new size is shown only when the superblocks say it"),
	/* around the cache, and through it */
	MUTANT("bypass_unlogged", "what goes around the cache has an entry in the log"),
	MUTANT("bypass_before_durable", "which is durable before the backing is written"),
	MUTANT("bypass_over_dirty", "what is dirty does not go around the cache"),
	MUTANT("bypass_over_discard", "nor what is under a pending discard"),
	MUTANT("bypass_keeps_copies", "clean copies of what goes around the cache die"),
	MUTANT("bypass_not_flushed", "a sync flushes the backing after that"),
	MUTANT("switch_forgets_bypass", "also after a switch to writeback"),
	MUTANT("foreign_flush_ignored",
	       "a flush of the backing that fails concerns all that was written since the last"),
	MUTANT("backing_not_flushed_at_open",
	       "what a killed process wrote around the cache is flushed before it is shown"),
	MUTANT("head_before_durable", "of the open segment too only durable records are written "
	       "back"),
	MUTANT("through_promises_early", "in writethrough a sync waits until all is written back"),
	MUTANT("through_forgets_superseded",
	       "what was superseded before it was written back is missing on the backing"),
	/* rest */
	MUTANT_IN(MUTANT_REST, "never_rests", "between the times of its schedule writeback leaves "
		  "the backing alone"),
	MUTANT_IN(MUTANT_REST, "pass_never_ends", "after all that was dirty it rests again, whoever "
		  "goes on writing"),
	/* another cache */
	MUTANT_IN(MUTANT_MOVE, "moved_before_log", "a moved cache has superblocks when all of its "
		  "log is durable"),
	/* disks */
	LIAR("cache swallows FLUSH", WB_CRASHY_SWALLOWS_FLUSH, 0, "a FLUSH makes durable"),
	LIAR("cache ignores FUA", WB_CRASHY_IGNORES_FUA, 0, "FUA makes durable"),
	LIAR("backing swallows FLUSH", 0, WB_CRASHY_SWALLOWS_FLUSH, "likewise, of the backing"),
	LIAR("superblocks torn", WB_CRASHY_KEEPS_NO_SUPERBLOCK, 0,
	     "both copies of the superblock stay volatile"),
	LIAR("superblock first", WB_CRASHY_SUPERBLOCK_FIRST, 0,
	     "superblocks are durable before the segments that were flushed before them"),
};

const unsigned mutant_count = sizeof mutants / sizeof mutants[0];

const char mutants_table_head[] =
	"# Mutants\n\n"
	"Written by `make check-mutants`. Each line is a rule of the program, broken on purpose,\n"
	"or a disk that lies; what objected to it first; after how many histories (the one that\n"
	"objects included where it came to its end) and power cuts; and what runs it again, in a\n"
	"build of `--enable-mutants`. Each was run twice more and objected to in the same words.\n\n"
	"| mutant | the rule | objection | histories | power cuts | again |\n"
	"|---|---|---|---|---|---|\n";
