/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How long segments keep their RAM buffers. Until all their records are durable,
 * because a failed flush has them written again; and then, as long as nobody needs
 * the buffer, because what was written last is read first: from memory.
 *
 *   release_id .. retain_id   durable; each may go at any moment, oldest first
 *   retain_id .. head         not durable yet, or the head itself
 *
 * Owned by the flush engine, all under its lock.
 */
#ifndef WB_CACHE_BUFFER_KEEP_H
#define WB_CACHE_BUFFER_KEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/log.h"

struct wb_buffer_keep {
	/* constant after init */
	struct wb_log *log;
	struct wb_segment_table *segments;
	struct wb_rambuf *rambuf;

	uint64_t release_id;		/* first segment that has its buffer */
	uint64_t retain_id;		/* first one that needs it */
	uint32_t retained_count;	/* buffers in between */
	uint64_t source_id;		/* of a relocation; 0 = none */
};

/* `first_segment`: from here on ids are of this session. */
void wb_buffer_keep_init(struct wb_buffer_keep *keep, struct wb_log *log,
			 struct wb_segment_table *segments, struct wb_rambuf *rambuf,
			 uint64_t first_segment);

/* Records <= `durable` need no buffer any more. Gives back what the log will want
 * soon; TRUE when any was. A buffer that readers have pinned stays. */
bool wb_buffer_keep_release(struct wb_buffer_keep *keep, uint64_t durable);

/* The relocation has moved all records out of `source_id`; its buffer goes when
 * nobody has the segment pinned any more. One at a time. */
void wb_buffer_keep_set_source(struct wb_buffer_keep *keep, uint64_t source_id);
bool wb_buffer_keep_has_source(const struct wb_buffer_keep *keep);

/* Buffers that are free or only kept for readers. */
uint32_t wb_buffer_keep_available(const struct wb_buffer_keep *keep);

#endif
