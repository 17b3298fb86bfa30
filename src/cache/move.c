/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cache/move.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/checksum.h"
#include "base/mutant.h"
#include "cache/cache.h"
#include "cache/limits.h"
#include "format/endian.h"

/* --- the plan ------------------------------------------------------------------------- */

/* Where the next record goes: ids begin at 1, and so does the ring. */
struct position {
	uint64_t id;
	uint32_t block;			/* first free one */
};

/* The tail stands at the beginning of a segment, so the first live record does. */
static void make_room(struct position *at, const struct wb_geometry *g, uint32_t blocks,
		      bool is_first_live)
{
	if (at->block + blocks <= g->segment_blocks && !(is_first_live && at->block > 0))
		return;
	at->id++;
	at->block = 0;
}

static const struct wb_recovery_record *record_at(const struct wb_recovery *r, guint i)
{
	return &g_array_index(r->records, struct wb_recovery_record, i);
}

static uint64_t count_segments(const struct wb_recovery *r, const struct wb_geometry *g,
			       guint first, guint end)
{
	struct position at = { .id = 1 };

	for (guint i = first; i < end; i++) {
		uint32_t blocks = wb_recovery_count_blocks(r, record_at(r, i));

		make_room(&at, g, blocks, false);
		at.block += blocks;
	}
	return end > first ? at.id : 0;
}

/* As many warm segments as there is room for, the newest ones: what is left out is
 * only on the backing from then on. Copies that are stale are not worth it. */
static guint choose_first(const struct wb_recovery *r, guint first_live, uint64_t room)
{
	uint64_t id = 0, segments = 0;
	guint first = first_live;

	while (first > 0) {
		const struct wb_recovery_record *record = record_at(r, first - 1);

		if (record->segment_id != id && ++segments > room)
			break;
		if (record->sequence < r->superblock.warm_sequence)
			break;
		id = record->segment_id;
		first--;
	}
	return first;
}

/* Ids that no record lies in count too: their places are not free. */
static uint64_t count_old_live(const struct wb_recovery *r)
{
	return r->record_count ? r->last_segment - r->tail_segment + 1 : 0;
}

static gboolean refuse_geometry(const char *label, enum wb_geometry_verdict verdict,
				GError **error)
{
	g_set_error(error, WB_CACHE_ERROR, WB_CACHE_ERROR_LIMIT, "%s: %s", label,
		    wb_geometry_verdict_text(verdict));
	return FALSE;
}

static gboolean refuse_size(const struct wb_move_plan *plan, const char *label,
			    uint64_t free_segments, GError **error)
{
	g_set_error(error, WB_CACHE_ERROR, WB_CACHE_ERROR_LIMIT,
		    "%s: %" PRIu64 " segments of the log are not written back yet, and with %"
		    PRIu64 " free ones to go on they do not fit into a ring of %" PRIu64
		    ": drain the volume first, or choose a larger size", label,
		    plan->live_segments, free_segments, plan->geometry.segment_count);
	return FALSE;
}

gboolean wb_move_make_plan(struct wb_move_plan *plan, const struct wb_recovery *r,
			   const char *label, uint64_t cache_bytes, GError **error)
{
	const struct wb_geometry *old = &r->superblock.geometry;
	enum wb_geometry_verdict verdict;
	uint64_t free_segments;

	*plan = (struct wb_move_plan){ .first_live = r->records->len - (guint)r->record_count };
	verdict = wb_geometry_compute(&plan->geometry, cache_bytes, old->segment_bytes,
				      old->backing_bytes);
	if (verdict != WB_GEOMETRY_OK)
		return refuse_geometry(label, verdict, error);
	plan->live_segments = count_segments(r, &plan->geometry, plan->first_live,
					     r->records->len);
	/* No fewer than the old one has, where that is short of them itself. */
	free_segments = MIN(WB_GOOD_SEGMENTS_MIN, old->segment_count - count_old_live(r));
	if (plan->live_segments + free_segments > plan->geometry.segment_count)
		return refuse_size(plan, label, free_segments, error);
	plan->first_record = choose_first(r, plan->first_live, plan->geometry.segment_count -
					  plan->live_segments - free_segments);
	for (guint i = 0; i < r->records->len; i++) {
		uint32_t blocks = wb_recovery_count_blocks(r, record_at(r, i));

		if (i < plan->first_record)
			plan->left_blocks += blocks;
		else
			plan->bytes += (uint64_t)blocks * WB_BLOCK_BYTES;
	}
	return TRUE;
}

/* --- one segment of each at a time ------------------------------------------------------ */

struct mover {
	struct wb_move *move;
	const struct wb_recovery *recovery;
	const struct wb_geometry *old, *new;
	struct wb_create_params erase;
	uint64_t erased_bytes, done_bytes;

	uint8_t *source;		/* of the old segment source_id; 0: none */
	int *source_errors;		/* one for each block */
	uint64_t source_id;

	uint8_t *target;		/* of segment at.id, at.block blocks of it */
	struct position at;
	uint64_t tail_segment, tail_sequence;	/* of the new log */
	uint64_t first_sequence;
	uint32_t last_crc;
	bool is_stopped;
};

static bool tell(struct mover *m, uint64_t done_bytes)
{
	struct wb_move *move = m->move;

	if (move->progress && !move->progress(move->progress_arg, done_bytes,
					      m->erased_bytes + move->plan->bytes))
		m->is_stopped = true;
	return !m->is_stopped;
}

static bool erase_progress(void *arg, uint64_t done_bytes, uint64_t total_bytes)
{
	(void)total_bytes;
	return tell(arg, done_bytes);
}

/* In one piece; where that fails block by block, so that one bad sector costs one block. */
static void load(struct mover *m, uint64_t id)
{
	uint64_t place = wb_geometry_place(m->old, id);
	uint64_t offset = wb_geometry_segment_offset(m->old, place);
	int error;

	if (m->source_id == id)
		return;
	m->source_id = id;
	error = wb_store_read_sync(m->move->from, offset, m->source, m->old->segment_bytes);
	for (uint32_t i = 0; i < m->old->segment_blocks; i++) {
		uint8_t *block = m->source + (size_t)i * WB_BLOCK_BYTES;

		m->source_errors[i] = !error ? 0 :
			wb_store_read_sync(m->move->from, offset + (uint64_t)i * WB_BLOCK_BYTES,
					   block, WB_BLOCK_BYTES);
		if (m->source_errors[i])
			memset(block, 0, WB_BLOCK_BYTES);
	}
}

static int write_target(struct mover *m)
{
	uint64_t place = wb_geometry_place(m->new, m->at.id);
	uint64_t length = (uint64_t)m->at.block * WB_BLOCK_BYTES;

	if (length == 0)
		return 0;
	m->done_bytes += length;
	return wb_store_write_sync(m->move->to, wb_geometry_segment_offset(m->new, place),
				   m->target, length);
}

/* --- one record ------------------------------------------------------------------------- */

/* The header that the scan has seen, or NULL. */
static const struct wb_record_disk *find_header(struct mover *m,
						const struct wb_recovery_record *record,
						struct wb_record_fields *fields)
{
	const struct wb_record_disk *disk;

	load(m, record->segment_id);
	disk = (const void *)(m->source + (size_t)record->block_offset * WB_BLOCK_BYTES);
	if (m->source_errors[record->block_offset] ||
	    wb_record_decode(disk, m->recovery->superblock.uuid, m->old,
			     wb_geometry_place(m->old, record->segment_id),
			     record->block_offset, fields) != WB_RECORD_VALID ||
	    fields->sequence != record->sequence || fields->entry_count != record->entry_count)
		return NULL;
	return disk;
}

/* What its data blocks are: checked, but taken as they are in any case. One that is
 * wrong keeps the checksum that says so. */
static void copy_data(struct mover *m, const struct wb_record_disk *header, uint8_t *to,
		      const struct wb_recovery_record *record)
{
	uint32_t block = record->block_offset + 1;

	for (unsigned i = 0; i < record->entry_count; i++) {
		const uint8_t *data = m->source + (size_t)block * WB_BLOCK_BYTES;
		struct wb_entry entry;

		wb_record_get_entry(header, i, &entry);
		if (!wb_entry_has_block(entry.type))
			continue;
		memcpy(to, data, WB_BLOCK_BYTES);
		if (entry.type != WB_ENTRY_VOID &&
		    wb_crc32c(data, WB_BLOCK_BYTES) != entry.crc_or_length)
			m->move->bad_blocks++;
		to += WB_BLOCK_BYTES;
		block++;
	}
}

/* A warm record lies before the tail, so its header says none: that of the superblock
 * counts, and those of live ones. */
static void make_header(struct mover *m, const struct wb_record_disk *header,
			const struct wb_record_fields *fields,
			const struct wb_recovery_record *record)
{
	const struct wb_superblock *s = &m->recovery->superblock;
	struct wb_record_disk *to = (void *)(m->target + (size_t)m->at.block * WB_BLOCK_BYTES);
	uint64_t epoch = m->recovery->was_clean ? s->epoch : m->recovery->highest_epoch;

	wb_record_begin(to, s->uuid, epoch, m->first_sequence, record->sequence, m->at.id,
			(uint16_t)m->at.block);
	memcpy(to->entries, header->entries, sizeof to->entries[0] * record->entry_count);
	wb_record_set_counts(to, fields->entry_count, fields->block_count);
	to->flags = wb_put_le32(fields->flags);
	m->last_crc = wb_record_seal(to, m->last_crc, record->sequence - 1,
				     record->is_live ? m->tail_segment : 1,
				     record->is_live ? m->tail_sequence : m->first_sequence);
}

static int copy_record(struct mover *m, guint index)
{
	const struct wb_recovery_record *record = record_at(m->recovery, index);
	bool is_first_live = index == m->move->plan->first_live;
	struct position before = m->at, after = m->at;
	const struct wb_record_disk *header;
	struct wb_record_fields fields;
	int error = 0;

	header = find_header(m, record, &fields);
	if (!header)
		return -EIO;
	make_room(&after, m->new, 1u + fields.block_count, is_first_live);
	if (after.id != before.id) {
		error = write_target(m);
		m->at = after;
		if (error || !tell(m, m->erased_bytes + m->done_bytes))
			return error;
	}
	if (is_first_live)
		m->tail_segment = m->at.id;
	make_header(m, header, &fields, record);
	copy_data(m, header, m->target + (size_t)(m->at.block + 1) * WB_BLOCK_BYTES, record);
	m->at.block += 1u + fields.block_count;
	return 0;
}

/* --- all of it ----------------------------------------------------------------------------- */

static int copy_log(struct mover *m)
{
	const struct wb_recovery *r = m->recovery;
	int error = 0;

	for (guint i = m->move->plan->first_record; i < r->records->len && !error; i++) {
		error = copy_record(m, i);
		if (m->is_stopped)
			return error;
	}
	if (!error)
		error = write_target(m);
	/* (nothing is live: the log goes on in the next segment) */
	if (r->record_count == 0)
		m->tail_segment = m->at.block > 0 ? m->at.id + 1 : m->at.id;
	if (error || !tell(m, m->erased_bytes + m->done_bytes))
		return error;
	return WB_MUTANT(moved_before_log) ? 0 : wb_store_flush_sync(m->move->to);
}

/* All but what is said of the ring and the log stays: whose backing it is and how that
 * looked, and how much has been written in its life. */
static void fill_superblock(const struct mover *m, struct wb_superblock *s)
{
	const struct wb_recovery *r = m->recovery;
	bool has_records = m->move->plan->first_record < r->records->len;

	*s = r->superblock;
	s->geometry = *m->new;
	if (!r->was_clean) {
		s->epoch = r->highest_epoch;
		s->state_flags &= ~WB_STATE_CLEAN;
	}
	s->epoch_start = m->first_sequence;
	s->cut_sequence = s->durable = r->cut_sequence;
	s->cut_segment = has_records ? m->at.id : 0;
	s->cut_crc = has_records ? m->last_crc : r->cut_crc;
	s->tail_segment = m->tail_segment;
	s->tail_sequence = m->tail_sequence;
	s->checkpoint_used = 0;
	s->checkpoint_crc = 0;
	s->bad_count = 0;
	memset(s->bad_places, 0, sizeof s->bad_places);
	s->counters[WB_COUNTER_SSD_WRITTEN_BYTES] += m->erased_bytes + m->done_bytes;
}

static int run(struct mover *m, const char **doing)
{
	struct wb_superblock *s = g_new(struct wb_superblock, 1);
	int error = wb_create_erase(m->move->to, &m->erase, m->new, doing);

	if (!error) {
		*doing = "copying the log";
		error = copy_log(m);
	}
	if (!error && !m->is_stopped) {
		*doing = "writing the superblocks";
		fill_superblock(m, s);
		error = wb_create_write_superblocks(m->move->to, s);
	}
	g_free(s);
	return error;
}

static void begin(struct mover *m, struct wb_move *move)
{
	const struct wb_recovery *r = move->recovery;
	const struct wb_move_plan *plan = move->plan;

	*m = (struct mover){
		.move = move, .recovery = r, .old = &r->superblock.geometry,
		.new = &plan->geometry, .at = { .id = 1 },
		.erase = { .zero_mode = move->zero_mode, .progress = erase_progress,
			   .progress_arg = m },
		.tail_segment = 1, .tail_sequence = r->tail_sequence,
		.first_sequence = r->cut_sequence + 1,
	};
	if (plan->first_record < r->records->len)
		m->first_sequence = record_at(r, plan->first_record)->sequence;
	m->erased_bytes = wb_create_erased_bytes(move->to, &m->erase, m->new);
	m->source = g_aligned_alloc0(m->old->segment_blocks, WB_BLOCK_BYTES, WB_BLOCK_BYTES);
	m->target = g_aligned_alloc0(m->new->segment_blocks, WB_BLOCK_BYTES, WB_BLOCK_BYTES);
	m->source_errors = g_new0(int, m->old->segment_blocks);
}

gboolean wb_move_run(struct wb_move *move, GError **error)
{
	const char *doing = "";
	struct mover m;
	int result;

	g_assert(move->to->size_bytes >= move->plan->geometry.cache_bytes);
	if (!wb_recovery_check_features(move->from->label, &move->recovery->superblock, error) ||
	    !wb_recovery_check_numbers(move->recovery, move->from, 0, error))
		return FALSE;
	begin(&m, move);
	result = run(&m, &doing);
	g_aligned_free(m.source);
	g_aligned_free(m.target);
	g_free(m.source_errors);
	if (m.is_stopped) {
		g_set_error(error, WB_CACHE_ERROR, WB_CACHE_ERROR_STOPPED,
			    "%s: the move was stopped before its end", move->from->label);
		return FALSE;
	}
	if (result)
		g_set_error(error, WB_CACHE_ERROR, WB_CACHE_ERROR_IO,
			    "%s could not be moved to %s: %s failed: %s; it is as it was",
			    move->from->label, move->to->label, doing, g_strerror(-result));
	return !result;
}
