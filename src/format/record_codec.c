/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "format/record_codec.h"

#include <glib.h>
#include <stdatomic.h>
#include <string.h>

#include "base/death.h"
#include "format/block.h"
#include "format/endian.h"

/* --- writing --------------------------------------------------------------- */

/*
 * A header that is being filled may outlive this process at any instruction.
 * A death is precise: what stands before it in the program is done, what
 * stands behind it is not. So it is enough that the compiler keeps the order.
 */
static void keep_order(void)
{
	atomic_signal_fence(memory_order_seq_cst);
}

void wb_record_begin(struct wb_record_disk *disk, const uint8_t uuid[16],
		     uint64_t epoch, uint64_t epoch_start, uint64_t sequence,
		     uint64_t segment_id, uint16_t block_offset)
{
	memset(disk, 0, sizeof *disk);
	WB_DEATH_POINT();
	memcpy(disk->uuid, uuid, sizeof disk->uuid);
	disk->sequence = wb_put_le64(sequence);
	disk->segment_id = wb_put_le64(segment_id);
	disk->epoch = wb_put_le64(epoch);
	disk->epoch_start = wb_put_le64(epoch_start);
	disk->block_offset = wb_put_le16(block_offset);
	disk->entry_bytes = wb_put_le16(sizeof(struct wb_entry_disk));
	/* Last: whoever finds the magic in a mapped buffer finds the rest. */
	keep_order();
	WB_DEATH_POINT();
	memcpy(disk->magic, WB_RECORD_MAGIC, sizeof disk->magic);
}

static void set_type(struct wb_entry_disk *e, uint8_t type)
{
	__atomic_store_n(&e->type, type, __ATOMIC_RELEASE);
}

void wb_record_set_entry(struct wb_record_disk *disk, unsigned i,
			 const struct wb_entry *entry)
{
	struct wb_entry_disk *e = &disk->entries[i];

	g_assert(i < WB_RECORD_ENTRIES_MAX && entry->address <= WB_ADDRESS_MAX);
	/* An entry that dies goes the other way round: a death in between must
	 * not leave DATA with half an address. */
	if (entry->type == WB_ENTRY_VOID) {
		set_type(e, WB_ENTRY_VOID);
		keep_order();
	}
	e->address = wb_put_le48(entry->address);
	WB_DEATH_POINT();
	e->mask = entry->mask;
	e->crc_or_length = wb_put_le32(entry->crc_or_length);
	WB_DEATH_POINT();
	set_type(e, entry->type);
}

static struct wb_entry entry_of(const struct wb_entry_disk *e)
{
	return (struct wb_entry){
		.address = wb_get_le48(e->address),
		.mask = e->mask,
		.type = __atomic_load_n(&e->type, __ATOMIC_ACQUIRE),
		.crc_or_length = wb_get_le32(e->crc_or_length),
	};
}

void wb_record_get_entry(const struct wb_record_disk *disk, unsigned i,
			 struct wb_entry *entry)
{
	g_assert(i < WB_RECORD_ENTRIES_MAX);
	*entry = entry_of(&disk->entries[i]);
}

/* By one instruction: with half of it a death would leave another number. */
static void store_le16(wb_le16 *to, uint16_t value)
{
	wb_le16 as_bytes = wb_put_le16(value);
	uint16_t word;

	memcpy(&word, &as_bytes, sizeof word);
	__atomic_store_n((uint16_t *)(void *)to, word, __ATOMIC_RELEASE);
}

void wb_record_set_counts(struct wb_record_disk *disk, unsigned entry_count,
			  unsigned block_count)
{
	g_assert(entry_count <= WB_RECORD_ENTRIES_MAX && block_count <= WB_RECORD_BLOCKS_MAX);
	keep_order();	/* the entries before their count */
	WB_DEATH_POINT();
	store_le16(&disk->block_count, (uint16_t)block_count);
	WB_DEATH_POINT();
	store_le16(&disk->entry_count, (uint16_t)entry_count);
}

uint32_t wb_record_seal(struct wb_record_disk *disk, uint32_t prev, uint64_t durable,
			uint64_t tail_segment, uint64_t tail_sequence)
{
	uint32_t crc;

	disk->prev = wb_put_le32(prev);
	disk->durable = wb_put_le64(durable);
	disk->tail_segment = wb_put_le64(tail_segment);
	disk->tail_sequence = wb_put_le64(tail_sequence);
	WB_DEATH_POINT();
	crc = wb_block_compute_crc(disk);
	disk->crc = wb_put_le32(crc);
	return crc;
}

/* --- what a death left -------------------------------------------------------- */

bool wb_record_is_begun(const struct wb_record_disk *disk, const uint8_t uuid[16],
			uint64_t sequence, uint32_t segment_blocks)
{
	return memcmp(disk->magic, WB_RECORD_MAGIC, sizeof disk->magic) == 0 &&
	       memcmp(disk->uuid, uuid, sizeof disk->uuid) == 0 &&
	       wb_get_le64(disk->sequence) == sequence &&
	       wb_record_entry_count(disk) <= WB_RECORD_ENTRIES_MAX &&
	       wb_record_count_blocks(disk) <= MIN(WB_RECORD_BLOCKS_MAX, segment_blocks - 1);
}

unsigned wb_record_entry_count(const struct wb_record_disk *disk)
{
	return wb_get_le16(disk->entry_count);
}

unsigned wb_record_count_blocks(const struct wb_record_disk *disk)
{
	unsigned count = 0;

	for (unsigned i = 0; i < wb_record_entry_count(disk); i++)
		count += wb_entry_has_block(disk->entries[i].type);
	return count;
}

bool wb_record_is_sealed(const struct wb_record_disk *disk, uint32_t prev)
{
	return wb_get_le32(disk->crc) == wb_block_compute_crc(disk) &&
	       wb_get_le32(disk->prev) == prev;
}

void wb_record_mend(struct wb_record_disk *disk)
{
	unsigned count = wb_record_entry_count(disk);

	/* A death between the fields of an entry and its type. */
	for (unsigned i = 0; i < count; i++) {
		if (disk->entries[i].type == WB_ENTRY_VOID)
			memset(&disk->entries[i], 0, sizeof disk->entries[i]);
	}
	/* ... or, of an extent, its count. */
	memset(&disk->entries[count], 0,
	       (WB_RECORD_ENTRIES_MAX - count) * sizeof disk->entries[0]);
	wb_record_set_counts(disk, count, wb_record_count_blocks(disk));
}

void wb_record_move(struct wb_record_disk *disk, uint64_t epoch, uint64_t epoch_start,
		    uint64_t segment_id, uint16_t block_offset)
{
	disk->segment_id = wb_put_le64(segment_id);
	disk->block_offset = wb_put_le16(block_offset);
	WB_DEATH_POINT();
	disk->epoch = wb_put_le64(epoch);
	disk->epoch_start = wb_put_le64(epoch_start);
}

/* --- judging --------------------------------------------------------------- */

static void get_fields(const struct wb_record_disk *d, struct wb_record_fields *f)
{
	f->crc = wb_get_le32(d->crc);
	f->prev = wb_get_le32(d->prev);
	f->sequence = wb_get_le64(d->sequence);
	f->segment_id = wb_get_le64(d->segment_id);
	f->epoch = wb_get_le64(d->epoch);
	f->epoch_start = wb_get_le64(d->epoch_start);
	f->durable = wb_get_le64(d->durable);
	f->tail_segment = wb_get_le64(d->tail_segment);
	f->tail_sequence = wb_get_le64(d->tail_sequence);
	f->block_offset = wb_get_le16(d->block_offset);
	f->block_count = wb_get_le16(d->block_count);
	f->entry_count = wb_get_le16(d->entry_count);
	f->flags = wb_get_le32(d->flags);
}

static bool are_fields_possible(const struct wb_record_disk *d,
				const struct wb_record_fields *f,
				const struct wb_geometry *g)
{
	/* With these limits no +1 of a caller can wrap. */
	if (f->sequence == 0 || f->sequence > WB_NUMBER_MAX || f->epoch > WB_NUMBER_MAX ||
	    f->segment_id > WB_NUMBER_MAX)
		return false;
	if (f->epoch_start > f->sequence || f->durable >= f->sequence)
		return false;
	if (f->tail_segment == 0 || f->tail_segment > f->segment_id ||
	    f->tail_sequence == 0 || f->tail_sequence > f->sequence)
		return false;
	if (wb_get_le16(d->entry_bytes) != sizeof(struct wb_entry_disk) || f->flags != 0)
		return false;
	if (f->entry_count > WB_RECORD_ENTRIES_MAX || f->block_count > WB_RECORD_BLOCKS_MAX ||
	    f->block_offset + 1u + f->block_count > g->segment_blocks)
		return false;
	return wb_block_is_zero(d->zero_100, sizeof d->zero_100) &&
	       wb_block_is_zero(d->zero_4088, sizeof d->zero_4088) &&
	       wb_block_is_zero(&d->entries[f->entry_count],
		       (WB_RECORD_ENTRIES_MAX - f->entry_count) * sizeof d->entries[0]);
}

static enum wb_record_verdict judge_entry(const struct wb_entry *e,
					  const struct wb_geometry *g)
{
	bool is_possible;

	switch (e->type) {
	case WB_ENTRY_VOID:
		is_possible = e->address == 0 && e->mask == 0 && e->crc_or_length == 0;
		break;
	case WB_ENTRY_DATA:
	case WB_ENTRY_CLEAN:
		is_possible = e->mask != 0 &&
			      (e->mask & ~wb_geometry_block_mask(g, e->address)) == 0;
		break;
	case WB_ENTRY_DISCARD:
	case WB_ENTRY_BYPASS:
	case WB_ENTRY_BAD:
		is_possible = e->mask == WB_MASK_FULL && e->crc_or_length > 0 &&
			      e->address < g->backing_blocks &&
			      e->crc_or_length <= g->backing_blocks - e->address;
		break;
	default:
		return WB_RECORD_UNKNOWN_TYPE;
	}
	return is_possible ? WB_RECORD_VALID : WB_RECORD_BAD_FIELD;
}

static enum wb_record_verdict judge_entries(const struct wb_record_disk *d,
					    const struct wb_record_fields *f,
					    const struct wb_geometry *g)
{
	enum wb_record_verdict verdict = WB_RECORD_VALID;
	unsigned block_count = 0;

	for (unsigned i = 0; i < f->entry_count; i++) {
		struct wb_entry e = entry_of(&d->entries[i]);
		enum wb_record_verdict one = judge_entry(&e, g);

		if (one == WB_RECORD_BAD_FIELD)
			return one;
		if (one == WB_RECORD_UNKNOWN_TYPE)
			verdict = one;
		block_count += wb_entry_has_block(e.type);
	}
	return block_count == f->block_count ? verdict : WB_RECORD_BAD_FIELD;
}

enum wb_record_verdict wb_record_decode(const struct wb_record_disk *disk,
		const uint8_t uuid[16], const struct wb_geometry *geometry,
		uint64_t place, uint32_t block_offset,
		struct wb_record_fields *fields)
{
	struct wb_record_fields f;
	enum wb_record_verdict verdict;

	if (memcmp(disk->magic, WB_RECORD_MAGIC, sizeof disk->magic) != 0)
		return WB_RECORD_NO_MAGIC;
	if (wb_get_le32(disk->crc) != wb_block_compute_crc(disk))
		return WB_RECORD_BAD_CRC;
	if (memcmp(disk->uuid, uuid, sizeof disk->uuid) != 0)
		return WB_RECORD_FOREIGN;
	get_fields(disk, &f);
	/* A block of user data may hold a copy of a header: right in itself, but
	 * not where it says that it is. */
	if (f.segment_id == 0 || wb_geometry_place(geometry, f.segment_id) != place ||
	    f.block_offset != block_offset)
		return WB_RECORD_MISPLACED;
	if (!are_fields_possible(disk, &f, geometry))
		return WB_RECORD_BAD_FIELD;
	verdict = judge_entries(disk, &f, geometry);
	if (verdict == WB_RECORD_VALID || verdict == WB_RECORD_UNKNOWN_TYPE)
		*fields = f;
	return verdict;
}

const char *wb_record_verdict_text(enum wb_record_verdict verdict)
{
	switch (verdict) {
	case WB_RECORD_VALID:
		return "valid";
	case WB_RECORD_NO_MAGIC:
		return "no record header";
	case WB_RECORD_BAD_CRC:
		return "torn or damaged (its checksum is wrong)";
	case WB_RECORD_FOREIGN:
		return "of another volume";
	case WB_RECORD_MISPLACED:
		return "not written for this place";
	case WB_RECORD_BAD_FIELD:
		return "impossible (a field has a value that it cannot have)";
	case WB_RECORD_UNKNOWN_TYPE:
		return "with an entry type of a later version of wbfs";
	}
	return "unknown";
}
