/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/buffer_keep.h"

#include <glib.h>

#include "cache/limits.h"

void wb_buffer_keep_init(struct wb_buffer_keep *keep, struct wb_log *log,
			 struct wb_segment_table *segments, struct wb_rambuf *rambuf,
			 uint64_t first_segment)
{
	*keep = (struct wb_buffer_keep){
		.log = log, .segments = segments, .rambuf = rambuf,
		.release_id = first_segment, .retain_id = first_segment,
	};
}

static bool release_buffer(struct wb_buffer_keep *keep, struct wb_segment *segment)
{
	/* Asked for before it is closed: the last reader may leave in between. */
	wb_segment_table_want_unpinned(keep->segments);
	if (!wb_segment_ram_close(segment))
		return false;
	wb_rambuf_give_back(keep->rambuf,
			    atomic_exchange(&segment->ram_index, WB_NO_RAM_BUFFER));
	return true;
}

/* Whoever looked up a slot of it before that was moved holds a pin, and will ask
 * for RAM: on the SSD there is nothing at that slot. When nobody has a pin, nobody
 * has such a slot, and nobody can get one. */
static bool release_source(struct wb_buffer_keep *keep)
{
	struct wb_segment *source = wb_segment_of_id(keep->segments, keep->source_id);

	if (keep->source_id == 0)
		return false;
	wb_segment_table_want_unpinned(keep->segments);
	if (atomic_load(&source->pins) > 0 || !release_buffer(keep, source))
		return false;
	keep->source_id = 0;
	return true;
}

/* An id that was stepped over has none; a source is looked after by itself. */
static bool has_buffer(const struct wb_buffer_keep *keep, uint64_t id)
{
	struct wb_segment *segment = wb_segment_of_id(keep->segments, id);

	return atomic_load(&segment->id) == id && id != keep->source_id &&
	       segment->ram_index != WB_NO_RAM_BUFFER;
}

static void find_durable(struct wb_buffer_keep *keep, uint64_t durable, uint64_t head_id)
{
	for (; keep->retain_id < head_id; keep->retain_id++) {
		if (!has_buffer(keep, keep->retain_id))
			continue;
		if (wb_segment_of_id(keep->segments, keep->retain_id)->last_sequence > durable)
			break;
		keep->retained_count++;
	}
}

/* The log has no place for data without this one. (With few sound places that may be so
 * soon behind the head.) */
static bool is_in_the_way(const struct wb_buffer_keep *keep, uint64_t id)
{
	return wb_log_ready_count(keep->log) <= WB_RESERVE_DATA &&
	       wb_log_limit(keep->log) + 1 >= id + wb_segment_table_count(keep->segments);
}

/* Some buffers are always free, so that the log never waits for one that only
 * readers like; and a place of the ring that comes to be used again soon has none,
 * or it would not be free. */
static bool is_wanted(const struct wb_buffer_keep *keep, uint64_t id, uint64_t head_id)
{
	return wb_rambuf_free_count(keep->rambuf) < MAX(wb_rambuf_count(keep->rambuf) / 4, 1) ||
	       head_id - id >= wb_segment_table_count(keep->segments) / 4 ||
	       is_in_the_way(keep, id);
}

bool wb_buffer_keep_release(struct wb_buffer_keep *keep, uint64_t durable)
{
	bool released = release_source(keep);
	struct wb_log_head head;

	wb_log_get_head(keep->log, &head);
	find_durable(keep, durable, head.segment_id);
	for (; keep->release_id < keep->retain_id; keep->release_id++) {
		if (!has_buffer(keep, keep->release_id))
			continue;
		if (!is_wanted(keep, keep->release_id, head.segment_id) ||
		    !release_buffer(keep, wb_segment_of_id(keep->segments, keep->release_id)))
			break;
		keep->retained_count--;
		released = true;
	}
	return released;
}

void wb_buffer_keep_set_source(struct wb_buffer_keep *keep, uint64_t source_id)
{
	g_assert(keep->source_id == 0);
	keep->source_id = source_id;
	release_source(keep);
}

bool wb_buffer_keep_has_source(const struct wb_buffer_keep *keep)
{
	return keep->source_id != 0;
}

uint32_t wb_buffer_keep_available(const struct wb_buffer_keep *keep)
{
	return wb_rambuf_free_count(keep->rambuf) + keep->retained_count;
}
