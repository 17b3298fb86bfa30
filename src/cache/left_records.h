/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a dead process left in the memory (region.h): which records, and what the pieces
 * have come to that it was at. For takeover.h. Start-up only.
 */
#ifndef WB_CACHE_LEFT_RECORDS_H
#define WB_CACHE_LEFT_RECORDS_H

#include <glib.h>

#include "cache/region.h"
#include "format/record_codec.h"

/* Records of one buffer that are not durable yet. */
struct wb_left_stretch {
	uint32_t index;			/* of the buffer */
	uint64_t segment_id;		/* where the buffer says that they belong */
	uint64_t first, last;		/* sequences */
	uint32_t block, end;		/* in the buffer: of the first header; behind all */
	/* for who writes them: as above, or elsewhere */
	uint64_t to_segment;
	uint32_t to_block;
};

/* All of them, in order of sequence, without a gap. NULL: the memory is damaged; *missing
 * is the record that is not where it should be. */
GArray *wb_left_records_find(const struct wb_region *region, uint64_t *missing);

struct wb_record_disk *wb_left_records_header(const struct wb_region *region, uint32_t index,
					      uint32_t block);

/* Requests that were under way, piece by piece: it counts, or nothing of it is left. */
void wb_left_records_settle(const struct wb_region *region);

#endif
