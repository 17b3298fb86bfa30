/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Recovery reads the cache and says what the log holds; it writes nothing.
 * The mount, `check`, `dump` and `format` all look at a cache through it.
 *
 * The log's live records are a chain (prev) of growing sequence numbers from
 * the tail to the cut. Which rule closes which hole is said in recovery.c at
 * each rule. Source: design section 3, "Recovery"; the chain is that of
 * log-structured file systems (Rosenblum and Ousterhout, 1992).
 */
#ifndef WB_CACHE_RECOVERY_H
#define WB_CACHE_RECOVERY_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "format/checkpoint_codec.h"
#include "format/record_codec.h"
#include "format/superblock_codec.h"
#include "io/store.h"

struct wb_recovery {
	/* --- superblocks --- */
	enum wb_superblock_verdict copy_verdict[WB_SUPERBLOCK_COUNT];
	int copy_error[WB_SUPERBLOCK_COUNT];	/* 0 or -errno of reading it */
	const char *copy_field[WB_SUPERBLOCK_COUNT];
	unsigned newest_copy;			/* index of the one in use */
	struct wb_superblock superblock;	/* of that copy */
	bool was_clean;				/* its clean flag */
	bool is_guessed;			/* it was given: neither copy counts */

	/* --- the log --- */
	uint64_t highest_epoch;		/* in any valid header or superblock */
	uint64_t tail_segment, tail_sequence;
	uint64_t durable;		/* highest claim seen that is below the cut */
	uint64_t cut_sequence;		/* last sequence of the log; tail - 1 if empty */
	uint32_t cut_crc;		/* its header's crc; 0 when there is none */
	uint64_t last_segment;		/* id of the segment that holds the cut; new
					 * records begin in a later one */
	uint64_t oldest_warm_segment;	/* first segment of the unbroken chain that
					 * ends in the tail; == tail_segment if none */
	uint64_t record_count;		/* live: tail..cut */
	uint64_t torn_records;		/* valid headers cut off for their data */
	uint64_t short_bytes;		/* in segments of more than one record each, which
					 * the walk had to read as a whole */

	/* --- what they hold: all from oldest_warm_segment to the cut, in order of
	 * sequence; entries packed as on disk (12 bytes, never whole headers: a
	 * log of lone blocks has millions) --- */
	GArray *records;		/* of struct wb_recovery_record */
	GArray *entries;		/* of struct wb_entry_disk */

	/* --- only of wb_recovery_from_checkpoint(), instead of records and entries --- */
	bool has_checkpoint;
	struct wb_checkpoint checkpoint;

	/* --- only with goes_past_damage --- */
	char *damage;			/* why opening refuses; NULL: it does not */
	uint64_t claimed;		/* the highest sequence known to have been given */
	/* Records behind the damage whose headers are whole, in order of sequence.
	 * What is missing between them nobody knows: good for a list of losses and
	 * for a rescue that says so, never for a mount. */
	GArray *lost_records;		/* of struct wb_recovery_record */
	GArray *lost_entries;		/* of struct wb_entry_disk */
};

struct wb_recovery_record {
	uint64_t sequence;
	uint64_t segment_id;
	uint32_t block_offset;		/* of the header */
	uint16_t entry_count;
	bool is_live;			/* sequence >= tail_sequence */
	size_t first_entry;		/* index in wb_recovery.entries */
};

/* How many blocks the record takes, its header among them. */
uint32_t wb_recovery_count_blocks(const struct wb_recovery *recovery,
				  const struct wb_recovery_record *record);

/* What a scan is at: its parts of very different speed. */
enum wb_recovery_stage {
	WB_RECOVERY_READING,	/* the log's headers */
	WB_RECOVERY_VERIFYING,	/* its data */
};

struct wb_recovery_options {
	/* Also check the data CRC of every record, not only of those above the
	 * last durable claim; each bad one is reported through `bad_block`, and
	 * is no reason to refuse. For `check`. */
	void (*bad_block)(void *arg, const struct wb_recovery_record *record,
			  unsigned entry_index, const struct wb_entry *entry, uint32_t slot);
	void *arg;
	/* How far it is, in places of the ring or segments of the log. FALSE: stop,
	 * with an error. NULL: nobody wants to know. */
	bool (*progress)(void *arg, enum wb_recovery_stage stage, uint64_t done_bytes,
			 uint64_t total_bytes);
	void *progress_arg;
	/* Damage in the middle of the log is no reason to refuse: the log ends
	 * before it. For `check` and `rescue`. */
	bool goes_past_damage;
	/* Instead of those on the disk, which are both lost; see repair.h. NULL: as
	 * ever. */
	const struct wb_superblock *superblock;
	/* The log is known to be durable up to this record, and somebody else has what
	 * comes after it: what the disk shows of that is not looked at. NULL: as ever. */
	const uint64_t *ends_at;
};

/*
 * NULL and an error (domain WB_CACHE_ERROR of cache.h; messages say which
 * store, which segment, what was found, what to do) when the cache must be
 * refused. `options` may be NULL.
 */
struct wb_recovery *wb_recovery_scan(struct wb_store *cache_store,
				     const struct wb_recovery_options *options,
				     GError **error);
/*
 * The checkpoint of a clean stop, where there is one that counts: what a scan says
 * of superblocks and log, and the head of the checkpoint instead of records; loading
 * it may still fail. NULL: the log has to be scanned.
 */
struct wb_recovery *wb_recovery_from_checkpoint(struct wb_store *cache_store);
void wb_recovery_free(struct wb_recovery *recovery);
/* For who is to write to it: FALSE and an error when the numbers found are at their end.
 * `mark_epoch`: another epoch that the next one is to come after; 0: none. */
gboolean wb_recovery_check_numbers(const struct wb_recovery *recovery,
				   const struct wb_store *store, uint64_t mark_epoch,
				   GError **error);
/* For who is to write to a volume, to either of its disks: FALSE and an error when a
 * later version has to do that. `label` is the cache's. */
gboolean wb_recovery_check_features(const char *label, const struct wb_superblock *superblock,
				    GError **error);

/* Of the superblocks: the one to overwrite first; the other only when that is durable. */
unsigned wb_recovery_first_copy(const struct wb_recovery *recovery);

/*
 * What is dirty in the log, by replaying the live records over each other:
 * the number of blocks whose newest version is only in the log, and of
 * discarded extents. For `format`, `check` and `dump`.
 */
struct wb_recovery_dirty {
	uint64_t dirty_blocks;
	uint64_t extents;
};
void wb_recovery_count_dirty(const struct wb_recovery *recovery,
			     struct wb_recovery_dirty *dirty);

#endif
