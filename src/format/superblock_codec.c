/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "format/superblock_codec.h"

#include <glib.h>
#include <string.h>

#include "format/block.h"
#include "format/endian.h"

uint64_t wb_superblock_offset(unsigned copy)
{
	return (uint64_t)copy * WB_SUPERBLOCK_SPACING_BYTES;
}

/* --- to disk --------------------------------------------------------------- */

static void encode_layout(const struct wb_superblock *s, struct wb_superblock_disk *d)
{
	const struct wb_geometry *g = &s->geometry;

	memcpy(d->magic, WB_SUPERBLOCK_MAGIC, sizeof d->magic);
	d->version = wb_put_le32(WB_FORMAT_VERSION);
	/* What a later program keeps for a feature is neither written nor kept true here: a
	 * bit that stayed would vouch for it. */
	d->compat = wb_put_le64(s->compat & WB_COMPAT_KNOWN);
	d->ro_compat = wb_put_le64(s->ro_compat);
	d->incompat = wb_put_le64(s->incompat);
	memcpy(d->uuid, s->uuid, sizeof d->uuid);
	d->block_size = wb_put_le32(WB_BLOCK_BYTES);
	d->segment_size = wb_put_le32(g->segment_bytes);
	d->segment_count = wb_put_le64(g->segment_count);
	d->ring_offset = wb_put_le64(g->ring_offset);
	d->checkpoint_offset = wb_put_le64(g->checkpoint_offset);
	d->checkpoint_bytes = wb_put_le64(g->checkpoint_bytes);
	d->cache_bytes = wb_put_le64(g->cache_bytes);
	d->backing_bytes = wb_put_le64(g->backing_bytes);
}

static void encode_log(const struct wb_superblock *s, struct wb_superblock_disk *d)
{
	d->generation = wb_put_le64(s->generation);
	d->epoch = wb_put_le64(s->epoch);
	d->epoch_start = wb_put_le64(s->epoch_start);
	d->cut_sequence = wb_put_le64(s->cut_sequence);
	d->cut_segment = wb_put_le64(s->cut_segment);
	d->cut_crc = wb_put_le32(s->cut_crc);
	d->state_flags = wb_put_le32(s->state_flags);
	d->tail_segment = wb_put_le64(s->tail_segment);
	d->tail_sequence = wb_put_le64(s->tail_sequence);
	d->durable = wb_put_le64(s->durable);
	d->checkpoint_used = wb_put_le64(s->checkpoint_used);
	d->checkpoint_crc = wb_put_le32(s->checkpoint_crc);
	d->bad_count = wb_put_le32(s->bad_count);
}

static void encode_backing(const struct wb_superblock *s, struct wb_superblock_disk *d)
{
	struct wb_backing_disk *b = &d->backing_identity;
	size_t path_bytes = strnlen(s->backing_path, sizeof d->backing_path - 1);

	memcpy(b->mark, s->backing_mark, sizeof b->mark);
	b->mark_kind = wb_put_le32(s->backing_mark_kind);
	b->sample_kind = wb_put_le32(s->backing_look.sample_kind);
	b->bytes = wb_put_le64(s->backing_look.bytes);
	b->mtime_ns = wb_put_le64(s->backing_look.mtime_ns);
	b->sample_crc = wb_put_le32(s->backing_look.sample_crc);
	b->dirty_left = wb_put_le64(s->backing_look.dirty_left);
	b->mark_epoch = wb_put_le64(s->mark_epoch);
	b->warm_sequence = wb_put_le64(s->warm_sequence);
	/* what follows the NUL stays zero */
	memcpy(d->backing_path, s->backing_path, path_bytes);
}

void wb_superblock_encode(const struct wb_superblock *superblock,
			  struct wb_superblock_disk *disk)
{
	const struct wb_superblock *s = superblock;

	g_assert(s->bad_count <= WB_SUPERBLOCK_BAD_PLACES);
	memset(disk, 0, sizeof *disk);
	encode_layout(s, disk);
	encode_log(s, disk);
	encode_backing(s, disk);
	for (unsigned i = 0; i < WB_SUPERBLOCK_COUNTERS; i++)
		disk->counters[i] = wb_put_le64(s->counters[i]);
	for (unsigned i = 0; i < s->bad_count; i++)
		disk->bad_places[i] = wb_put_le32(s->bad_places[i]);
	disk->crc = wb_put_le32(wb_block_compute_crc(disk));
}

/* --- from disk ------------------------------------------------------------- */

static void decode_layout(const struct wb_superblock_disk *d, struct wb_superblock *s)
{
	struct wb_geometry *g = &s->geometry;

	s->compat = wb_get_le64(d->compat);
	s->ro_compat = wb_get_le64(d->ro_compat);
	s->incompat = wb_get_le64(d->incompat);
	memcpy(s->uuid, d->uuid, sizeof s->uuid);
	g->segment_bytes = wb_get_le32(d->segment_size);
	g->segment_blocks = g->segment_bytes / WB_BLOCK_BYTES;
	g->segment_count = wb_get_le64(d->segment_count);
	g->slot_count = (uint32_t)(g->segment_count * g->segment_blocks);
	g->ring_offset = wb_get_le64(d->ring_offset);
	g->checkpoint_offset = wb_get_le64(d->checkpoint_offset);
	g->checkpoint_bytes = wb_get_le64(d->checkpoint_bytes);
	g->cache_bytes = wb_get_le64(d->cache_bytes);
	g->backing_bytes = wb_get_le64(d->backing_bytes);
	g->backing_blocks = g->backing_bytes / WB_BLOCK_BYTES +
			    (g->backing_bytes % WB_BLOCK_BYTES != 0);
}

static void decode_log(const struct wb_superblock_disk *d, struct wb_superblock *s)
{
	s->generation = wb_get_le64(d->generation);
	s->epoch = wb_get_le64(d->epoch);
	s->epoch_start = wb_get_le64(d->epoch_start);
	s->cut_sequence = wb_get_le64(d->cut_sequence);
	s->cut_segment = wb_get_le64(d->cut_segment);
	s->cut_crc = wb_get_le32(d->cut_crc);
	s->state_flags = wb_get_le32(d->state_flags);
	s->tail_segment = wb_get_le64(d->tail_segment);
	s->tail_sequence = wb_get_le64(d->tail_sequence);
	s->durable = wb_get_le64(d->durable);
	s->checkpoint_used = wb_get_le64(d->checkpoint_used);
	s->checkpoint_crc = wb_get_le32(d->checkpoint_crc);
	s->bad_count = wb_get_le32(d->bad_count);
}

static void decode_rest(const struct wb_superblock_disk *d, struct wb_superblock *s)
{
	const struct wb_backing_disk *b = &d->backing_identity;

	memcpy(s->backing_mark, b->mark, sizeof s->backing_mark);
	s->backing_mark_kind = wb_get_le32(b->mark_kind);
	s->backing_look = (struct wb_backing_look){
		.sample_kind = wb_get_le32(b->sample_kind),
		.bytes = wb_get_le64(b->bytes),
		.mtime_ns = wb_get_le64(b->mtime_ns),
		.sample_crc = wb_get_le32(b->sample_crc),
		.dirty_left = wb_get_le64(b->dirty_left),
	};
	s->mark_epoch = wb_get_le64(b->mark_epoch);
	s->warm_sequence = wb_get_le64(b->warm_sequence);
	memcpy(s->backing_path, d->backing_path, sizeof s->backing_path);
	for (unsigned i = 0; i < WB_SUPERBLOCK_COUNTERS; i++)
		s->counters[i] = wb_get_le64(d->counters[i]);
	for (unsigned i = 0; i < WB_SUPERBLOCK_BAD_PLACES; i++)
		s->bad_places[i] = wb_get_le32(d->bad_places[i]);
}

/* The name of the first field that cannot be, or NULL. Constraints, not what
 * wb_geometry_compute() would choose: a later version may lay out otherwise. */
static const char *find_bad_geometry(const struct wb_geometry *g, uint64_t store_bytes)
{
	uint32_t size = g->segment_bytes;

	if (size < WB_SEGMENT_BYTES_MIN || size > WB_SEGMENT_BYTES_MAX ||
	    (size & (size - 1)) != 0)
		return "segment_size";
	if (g->segment_count < WB_SEGMENTS_MIN ||
	    g->segment_count > WB_SLOTS_MAX / g->segment_blocks)
		return "segment_count";
	if (g->cache_bytes > store_bytes)
		return "cache_bytes";
	/* No sum below can wrap: each part is known to be below cache_bytes. */
	if (g->checkpoint_offset < WB_SUPERBLOCK_AREA_BYTES ||
	    g->checkpoint_offset % WB_BLOCK_BYTES != 0 ||
	    g->checkpoint_offset > g->cache_bytes)
		return "checkpoint_offset";
	if (g->checkpoint_bytes % WB_BLOCK_BYTES != 0 ||
	    g->checkpoint_bytes < (uint64_t)g->slot_count * WB_CHECKPOINT_SLOT_BYTES +
				  WB_CHECKPOINT_EXTRA_BYTES ||
	    g->checkpoint_bytes > g->cache_bytes - g->checkpoint_offset)
		return "checkpoint_bytes";
	if (g->ring_offset % WB_BLOCK_BYTES != 0 || g->ring_offset > g->cache_bytes ||
	    g->ring_offset < g->checkpoint_offset + g->checkpoint_bytes)
		return "ring_offset";
	if (g->segment_count > (g->cache_bytes - g->ring_offset) / size)
		return "segment_count";
	if (g->backing_bytes == 0 || g->backing_bytes % WB_SECTOR_BYTES != 0 ||
	    g->backing_blocks > WB_ADDRESS_MAX + 1)
		return "backing_bytes";
	return NULL;
}

static const char *find_bad_log(const struct wb_superblock *s)
{
	if (s->generation == 0 || s->generation > WB_NUMBER_MAX)
		return "generation";
	if (s->epoch > WB_NUMBER_MAX)
		return "epoch";
	if (s->epoch_start > WB_NUMBER_MAX)
		return "epoch_start";
	if (s->cut_sequence > WB_NUMBER_MAX)
		return "cut_sequence";
	if (s->cut_segment > WB_NUMBER_MAX)
		return "cut_segment";
	if ((s->state_flags & ~WB_STATE_CLEAN) != 0)
		return "state_flags";
	if (s->tail_segment == 0 || s->tail_segment > WB_NUMBER_MAX)
		return "tail_segment";
	if (s->tail_sequence == 0 || s->tail_sequence > WB_NUMBER_MAX)
		return "tail_sequence";
	if (s->durable > WB_NUMBER_MAX)
		return "durable";
	if (s->checkpoint_used > s->geometry.checkpoint_bytes)
		return "checkpoint_used";
	return NULL;
}

static const char *find_bad_rest(const struct wb_superblock *s)
{
	if (s->bad_count > WB_SUPERBLOCK_BAD_PLACES)
		return "bad_count";
	for (unsigned i = 0; i < s->bad_count; i++) {
		if (s->bad_places[i] >= s->geometry.segment_count)
			return "bad_places";
	}
	if (s->backing_mark_kind > WB_MARK_STATE_DIRECTORY ||
	    s->mark_epoch > WB_NUMBER_MAX || s->warm_sequence > WB_NUMBER_MAX)
		return "backing_identity";
	if (memchr(s->backing_path, 0, sizeof s->backing_path) == NULL)
		return "backing_path";
	return NULL;
}

/* A later version that is still compatible may use the reserved bytes and
 * says so in its feature bits. */
static const char *find_not_zero(const struct wb_superblock_disk *d,
				 const struct wb_superblock *s)
{
	const struct wb_backing_disk *b = &d->backing_identity;

	if (s->compat != 0 || s->ro_compat != 0)
		return NULL;
	if (!wb_block_is_zero(d->zero_104, sizeof d->zero_104))
		return "zero_104";
	if (!wb_block_is_zero(d->zero_224, sizeof d->zero_224))
		return "zero_224";
	if (!wb_block_is_zero(b->zero_44, sizeof b->zero_44) ||
	    !wb_block_is_zero(b->zero_72, sizeof b->zero_72))
		return "backing_identity";
	if (!wb_block_is_zero(d->bad_places + s->bad_count,
		     (WB_SUPERBLOCK_BAD_PLACES - s->bad_count) * sizeof d->bad_places[0]))
		return "bad_places";
	if (!wb_block_is_zero(d->zero_3840, sizeof d->zero_3840))
		return "zero_3840";
	return NULL;
}

/* What can be said before any field means anything. */
static enum wb_superblock_verdict judge_frame(const struct wb_superblock_disk *d)
{
	if (memcmp(d->magic, WB_SUPERBLOCK_MAGIC, sizeof d->magic) != 0)
		return wb_block_is_zero(d, sizeof *d) ? WB_SUPERBLOCK_ZEROS :
							WB_SUPERBLOCK_NO_MAGIC;
	/* Before the version: a torn copy must not look like a later format. */
	if (wb_get_le32(d->crc) != wb_block_compute_crc(d))
		return WB_SUPERBLOCK_BAD_CRC;
	if (wb_get_le32(d->version) > WB_FORMAT_VERSION)
		return WB_SUPERBLOCK_TOO_NEW;
	return WB_SUPERBLOCK_VALID;
}

enum wb_superblock_verdict wb_superblock_decode(const struct wb_superblock_disk *disk,
		uint64_t cache_bytes, struct wb_superblock *superblock,
		const char **field)
{
	enum wb_superblock_verdict verdict = judge_frame(disk);
	const char *bad = NULL;
	struct wb_superblock s;

	*field = NULL;
	if (verdict != WB_SUPERBLOCK_VALID)
		return verdict;
	if ((wb_get_le64(disk->incompat) & ~WB_INCOMPAT_KNOWN) != 0)
		return WB_SUPERBLOCK_TOO_NEW;
	decode_layout(disk, &s);
	decode_log(disk, &s);
	decode_rest(disk, &s);
	if (wb_get_le32(disk->version) != WB_FORMAT_VERSION)
		bad = "version";
	else if (wb_get_le32(disk->block_size) != WB_BLOCK_BYTES)
		bad = "block_size";
	if (bad == NULL)
		bad = find_bad_geometry(&s.geometry, cache_bytes);
	if (bad == NULL)
		bad = find_bad_log(&s);
	if (bad == NULL)
		bad = find_bad_rest(&s);
	if (bad == NULL)
		bad = find_not_zero(disk, &s);
	*field = bad;
	if (bad != NULL)
		return WB_SUPERBLOCK_BAD_FIELD;
	*superblock = s;
	return WB_SUPERBLOCK_VALID;
}

const char *wb_superblock_verdict_text(enum wb_superblock_verdict verdict)
{
	switch (verdict) {
	case WB_SUPERBLOCK_VALID:
		return "valid";
	case WB_SUPERBLOCK_NO_MAGIC:
		return "not a superblock of wbfs";
	case WB_SUPERBLOCK_ZEROS:
		return "empty (nothing but zeros)";
	case WB_SUPERBLOCK_BAD_CRC:
		return "torn or damaged (its checksum is wrong)";
	case WB_SUPERBLOCK_TOO_NEW:
		return "of a later version of wbfs";
	case WB_SUPERBLOCK_BAD_FIELD:
		return "impossible (a field has a value that it cannot have)";
	}
	return "unknown";
}
