/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The inside of recovery: what its parts share while one scan runs. Only the
 * recovery_*.c files include it. One thread, start-up only; nothing is written.
 *
 * Two kinds of headers are kept apart. A header in a TRUSTED position is the
 * first block of a segment, or lies behind a trusted one of the same segment:
 * user data is never there. What it says decides. Any other block may be user
 * data, a copy of a header among it; such a find may only lead to a refusal.
 */
#ifndef WB_CACHE_RECOVERY_SCAN_H
#define WB_CACHE_RECOVERY_SCAN_H

#include "cache/cache.h"
#include "cache/recovery.h"
#include "cache/recovery_epochs.h"

#define WB_RECOVERY_DEPTH 64u
#define WB_RECOVERY_AHEAD_MAX 32u	/* segments */
#define WB_RECOVERY_BATCH_BLOCKS 1024u	/* first headers read at once: 4 MiB */

/* A segment's first header, without its entries. */
struct wb_recovery_first {
	uint64_t segment_id, sequence, epoch;
	int error;			/* -errno of reading it */
	uint8_t verdict;		/* enum wb_record_verdict */
	bool is_zeros;
	bool fills;			/* its record leaves no room for another */
	bool is_bad_place;		/* in the superblock's list */
};

/* A run of blocks in memory with what reading them said. */
struct wb_recovery_image {
	uint8_t *data;			/* aligned; `memory`, or what was read ahead */
	uint8_t *memory;
	int *errors;			/* one per block */
	uint64_t first_id;		/* see below; 0 = nothing is loaded */
};

/* Of the next segments; made when first needed. */
struct wb_recovery_ahead {
	bool was_tried;
	uint8_t *memory;		/* NULL: nothing is read ahead */
	unsigned count;
	struct wb_recovery_ahead_slot *slots;
};

struct wb_recovery_scan {
	struct wb_store *store;
	const struct wb_recovery_options *options;	/* never NULL */
	struct wb_recovery *result;
	const struct wb_geometry *geometry;		/* of the superblock */
	const uint8_t *uuid;

	struct wb_recovery_epochs epochs;
	struct wb_recovery_first *firsts;	/* one per place */
	uint64_t head_id;			/* newest segment that is not dead; 0 = none */
	uint64_t tail_segment, tail_sequence;	/* highest seen */
	bool tail_has_moved;			/* since the walk began */
	uint64_t highest_epoch_beyond;		/* in positions that are not trusted */

	struct wb_recovery_image segment;	/* all blocks of segment first_id */
	struct wb_recovery_image headers;	/* first blocks of first_id, first_id+1, ... */
	uint64_t headers_count;
	bool has_all_headers;		/* `headers` is the whole ring, by place */
	struct wb_recovery_ahead ahead;

	/* of the walk */
	bool has_last;			/* a record was taken: */
	uint64_t last_sequence;
	uint32_t last_crc;
	uint64_t last_segment;
	uint32_t last_end;		/* first block behind it */
	uint64_t ahead_id;		/* those before it were read ahead, or need not be */
	bool is_live;			/* the record with tail_sequence was taken */
	guint first_live;		/* index in records */
	GArray *crcs;			/* uint32_t: of the header of each record */
	bool has_unknown_type;		/* the next record is of a later version */
	bool has_too_many;		/* more entries than any sane log has */
	bool has_too_many_lost;		/* more BAD blocks than could be; not for who goes
					 * past damage, and keeps ranges */
	uint64_t lost_more;		/* live BAD blocks, but the first of each entry */
	bool is_stopped;		/* by options->progress */

	/* told by headers behind a break; they count only when the scan goes past
	 * damage */
	uint64_t tail_segment_beyond, tail_sequence_beyond;
	uint64_t durable_beyond;
};

/* recovery_superblock.c: fills the superblock part of the result. */
gboolean wb_recovery_read_superblocks(struct wb_recovery_scan *scan, GError **error);

/* recovery.c: TRUE when the scan has to stop; `done` and `total` are segments. */
bool wb_recovery_is_stopped(struct wb_recovery_scan *scan, enum wb_recovery_stage stage,
			    uint64_t done, uint64_t total);
/* The highest claim that is known. */
uint64_t wb_recovery_durable(struct wb_recovery_scan *scan);
gboolean wb_recovery_refuse_stopped(struct wb_recovery_scan *scan, GError **error);

/* recovery_headers.c */
gboolean wb_recovery_read_firsts(struct wb_recovery_scan *scan, GError **error);
void wb_recovery_image_init(struct wb_recovery_image *image, uint64_t blocks);
void wb_recovery_image_clear(struct wb_recovery_image *image);
/* All blocks of the segment with this id are in scan->segment afterwards. */
void wb_recovery_load_segment(struct wb_recovery_scan *scan, uint64_t id);
void wb_recovery_unload_segment(struct wb_recovery_scan *scan);
/* The first block of its place; NULL when it cannot be read. Cheap for growing ids. */
const void *wb_recovery_load_first(struct wb_recovery_scan *scan, uint64_t id);
const void *wb_recovery_block(const struct wb_recovery_scan *scan, uint32_t block);
bool wb_recovery_has_fields(enum wb_record_verdict verdict);
enum wb_record_verdict wb_recovery_decode(const struct wb_recovery_scan *scan, uint64_t id,
					  uint32_t block, const void *data,
					  struct wb_record_fields *fields);
/* Keeps the highest tail. */
void wb_recovery_learn_tail(struct wb_recovery_scan *scan, uint64_t segment,
			    uint64_t sequence);
/* Takes in what a header in a trusted position says, dead or not. */
void wb_recovery_learn(struct wb_recovery_scan *scan, const struct wb_record_fields *fields);
bool wb_recovery_is_dead(struct wb_recovery_scan *scan, const struct wb_record_fields *fields);
struct wb_recovery_first *wb_recovery_first_of(const struct wb_recovery_scan *scan,
					       uint64_t id);
/* Is the first header that of segment `id`, and not dead? */
bool wb_recovery_is_in_use(struct wb_recovery_scan *scan, uint64_t id);
void wb_recovery_find_head(struct wb_recovery_scan *scan);
/* Learns from all headers of the newest live segment. */
void wb_recovery_learn_head(struct wb_recovery_scan *scan);

/* recovery_ahead.c: begins to read the segment with this id, for when it is loaded.
 * FALSE: there is no room before earlier ones are dropped. */
bool wb_recovery_ahead_begin(struct wb_recovery_scan *scan, uint64_t id);
/* Those with ids below this one are not needed any more. */
void wb_recovery_ahead_drop_before(struct wb_recovery_scan *scan, uint64_t id);
/* For wb_recovery_load_segment(): all of it, waited for, until it is dropped. NULL: it
 * was not read, or with an error. */
uint8_t *wb_recovery_ahead_take(struct wb_recovery_scan *scan, uint64_t id);
void wb_recovery_ahead_clear(struct wb_recovery_scan *scan);

/* recovery_walk.c: collects the records, warm and live. */
void wb_recovery_walk(struct wb_recovery_scan *scan);

/* More entries than a cache of this size can hold? */
bool wb_recovery_is_too_many(const struct wb_recovery_scan *scan, const GArray *entries);

/* recovery_break.c: is the end of the walk the end of the log? */
gboolean wb_recovery_judge_end(struct wb_recovery_scan *scan, GError **error);

/* recovery_checkpoint.c: fills the result, if there is one that counts. */
bool wb_recovery_find_checkpoint(struct wb_recovery_scan *scan);

/* recovery_lost.c: what lies behind damage, for scans that go past it. */
void wb_recovery_forget_lost(struct wb_recovery_scan *scan);
/* A header found behind a break. */
void wb_recovery_add_lost(struct wb_recovery_scan *scan, const struct wb_record_disk *disk,
			  const struct wb_record_fields *fields);
/* The log ends before its record `index`: the others are lost, too. */
void wb_recovery_lose_from(struct wb_recovery_scan *scan, guint index);
void wb_recovery_sort_lost(struct wb_recovery_scan *scan);
/* Takes the error as the damage and goes on, or refuses with it. */
gboolean wb_recovery_refuse(struct wb_recovery_scan *scan, enum wb_cache_error code,
			    const char *damage, GError **error);

/* recovery_data.c: the data of the records that no claim covers. */
gboolean wb_recovery_check_data(struct wb_recovery_scan *scan, GError **error);

#endif
