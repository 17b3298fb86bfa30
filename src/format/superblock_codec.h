/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The superblock between disk and host form. Pure: no I/O, no allocation. */
#ifndef WB_FORMAT_SUPERBLOCK_CODEC_H
#define WB_FORMAT_SUPERBLOCK_CODEC_H

#include <stdbool.h>

#include "format/geometry.h"
#include "format/ondisk.h"

/* How the mark on the backing is kept. */
enum wb_mark_kind {
	WB_MARK_NONE = 0,
	WB_MARK_XATTR = 1,
	WB_MARK_SIDECAR = 2,
	WB_MARK_STATE_DIRECTORY = 3,
};

/* What the backing looked like at a clean stop, with nothing under way; all 0
 * where that is not known. */
struct wb_backing_look {
	uint64_t bytes, mtime_ns;
	uint32_t sample_kind, sample_crc;
	uint64_t dirty_left;
};

struct wb_superblock {
	uint8_t uuid[16];
	struct wb_geometry geometry;
	uint64_t compat, ro_compat, incompat;
	uint64_t generation;
	uint64_t epoch, epoch_start;
	uint64_t cut_sequence, cut_segment;
	uint32_t cut_crc;
	uint32_t state_flags;
	uint64_t tail_segment, tail_sequence;
	uint64_t durable;
	uint64_t checkpoint_used;
	uint32_t checkpoint_crc;
	uint32_t bad_count;
	uint8_t backing_mark[16];
	uint32_t backing_mark_kind;
	struct wb_backing_look backing_look;
	uint64_t mark_epoch;		/* the backing's mark is not older */
	uint64_t warm_sequence;		/* clean copies in older records are stale */
	char backing_path[1024];	/* NUL-terminated */
	uint64_t counters[WB_SUPERBLOCK_COUNTERS];
	uint32_t bad_places[WB_SUPERBLOCK_BAD_PLACES];
};

enum wb_superblock_verdict {
	WB_SUPERBLOCK_VALID,
	WB_SUPERBLOCK_NO_MAGIC,		/* something else, or empty */
	WB_SUPERBLOCK_ZEROS,		/* nothing but zeros */
	WB_SUPERBLOCK_BAD_CRC,		/* ours, torn or damaged */
	WB_SUPERBLOCK_TOO_NEW,		/* a later version, or an unknown incompat bit */
	WB_SUPERBLOCK_BAD_FIELD,	/* CRC right, contents impossible */
};

uint64_t wb_superblock_offset(unsigned copy);	/* copy 0 or 1, bytes */

/* Fills all 4096 bytes, CRC included. Unknown bits of compat are cleared. */
void wb_superblock_encode(const struct wb_superblock *superblock,
			  struct wb_superblock_disk *disk);
/* `superblock` is filled only when VALID. `cache_bytes` is the size of the
 * store: a geometry that does not fit it is a BAD_FIELD; *field then names the
 * field (static text), else NULL. */
enum wb_superblock_verdict wb_superblock_decode(const struct wb_superblock_disk *disk,
		uint64_t cache_bytes, struct wb_superblock *superblock,
		const char **field);
const char *wb_superblock_verdict_text(enum wb_superblock_verdict verdict);

#endif
