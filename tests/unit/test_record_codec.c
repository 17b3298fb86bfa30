/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>
#include <glib.h>
#include <string.h>

#include "base/checksum.h"
#include "format/endian.h"
#include "format/record_codec.h"

#define BACKING_BLOCKS 100000u
#define LAST_SECTORS 3u		/* of the image's last block */

static const uint8_t uuid[16] = { 0xa0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
static struct wb_geometry geometry;

#define SEGMENT_ID 1234u
#define BLOCK_OFFSET 17u

static void set_up(void)
{
	cr_assert_eq(wb_geometry_compute(&geometry, UINT64_C(100) << 20, 1 << 20,
		     UINT64_C(4096) * (BACKING_BLOCKS - 1) + LAST_SECTORS * 512),
		     WB_GEOMETRY_OK);
}

TestSuite(record_codec, .init = set_up);

static const struct wb_entry samples[] = {
	{ 0x0000123456, 0xff, WB_ENTRY_DATA, 0x11223344 },	/* outside: see begin() */
	{ 5, 0x81, WB_ENTRY_DATA, 0xdeadbeef },
	{ 0, 0, WB_ENTRY_VOID, 0 },
	{ BACKING_BLOCKS - 1, 0x07, WB_ENTRY_CLEAN, 0 },
	{ 10, 0xff, WB_ENTRY_DISCARD, BACKING_BLOCKS - 10 },
	{ 0, 0xff, WB_ENTRY_BYPASS, 1 },
	{ BACKING_BLOCKS - 1, 0xff, WB_ENTRY_BAD, 1 },
};
#define SAMPLES (sizeof samples / sizeof *samples)

static struct wb_entry sample(unsigned i)
{
	struct wb_entry e = samples[i];

	if (i == 0)
		e.address = 0x13456;	/* three different bytes, inside the image */
	return e;
}

/* A header with every field different; returns its crc. */
static uint32_t make(struct wb_record_disk *d)
{
	wb_record_begin(d, uuid, 0x2122232425262728, 0x3132333435363000, 0x3132333435363738,
			SEGMENT_ID, BLOCK_OFFSET);
	for (unsigned i = 0; i < SAMPLES; i++) {
		struct wb_entry e = sample(i);

		wb_record_set_entry(d, i, &e);
	}
	wb_record_set_counts(d, SAMPLES, 4);
	return wb_record_seal(d, 0x51525354, 0x3132333435363700, SEGMENT_ID - 5,
			      0x3132333435363600);
}

static enum wb_record_verdict decode(const struct wb_record_disk *d,
				     struct wb_record_fields *f)
{
	return wb_record_decode(d, uuid, &geometry, wb_geometry_place(&geometry, SEGMENT_ID),
				BLOCK_OFFSET, f);
}

static void reseal(struct wb_record_disk *d)
{
	d->crc = wb_put_le32(0);
	d->crc = wb_put_le32(wb_crc32c(d, sizeof *d));
}

Test(record_codec, what_was_written_is_decoded)
{
	struct wb_record_disk disk;
	struct wb_record_fields f;
	uint32_t crc;

	memset(&disk, 0xee, sizeof disk);
	memset(&f, 0xee, sizeof f);
	crc = make(&disk);
	cr_assert_eq(decode(&disk, &f), WB_RECORD_VALID);
	cr_assert_eq(f.crc, crc);
	cr_assert_eq(f.prev, 0x51525354);
	cr_assert_eq(f.sequence, 0x3132333435363738);
	cr_assert_eq(f.segment_id, SEGMENT_ID);
	cr_assert_eq(f.epoch, 0x2122232425262728);
	cr_assert_eq(f.epoch_start, 0x3132333435363000);
	cr_assert_eq(f.durable, 0x3132333435363700);
	cr_assert_eq(f.tail_segment, SEGMENT_ID - 5);
	cr_assert_eq(f.tail_sequence, 0x3132333435363600);
	cr_assert_eq(f.block_offset, BLOCK_OFFSET);
	cr_assert_eq(f.block_count, 4);
	cr_assert_eq(f.entry_count, SAMPLES);
	cr_assert_eq(f.flags, 0);
	for (unsigned i = 0; i < SAMPLES; i++) {
		struct wb_entry want = sample(i), got;

		wb_record_get_entry(&disk, i, &got);
		cr_assert_eq(got.address, want.address);
		cr_assert_eq(got.mask, want.mask);
		cr_assert_eq(got.type, want.type);
		cr_assert_eq(got.crc_or_length, want.crc_or_length);
	}
}

static void assert_bytes(const struct wb_record_disk *d, size_t offset, size_t count,
			 uint64_t value)
{
	const uint8_t *bytes = (const uint8_t *)d;

	for (size_t i = 0; i < count; i++)
		cr_assert_eq(bytes[offset + i], (uint8_t)(value >> (8 * i)),
			     "byte %zu", offset + i);
}

Test(record_codec, every_field_lies_where_the_format_says_little_endian)
{
	struct wb_record_disk disk;
	static const uint8_t zero[4096];
	const uint8_t *bytes = (const uint8_t *)&disk;
	uint32_t crc;
	struct wb_entry wide = { 0x010203040506, 0x0f, WB_ENTRY_DATA, 0x778899aa };

	memset(&disk, 0xee, sizeof disk);
	crc = make(&disk);
	cr_assert_eq(memcmp(bytes, "wbfsRECD", 8), 0);
	assert_bytes(&disk, 8, 4, crc);
	assert_bytes(&disk, 12, 4, 0x51525354);
	cr_assert_eq(memcmp(bytes + 16, uuid, 16), 0);
	assert_bytes(&disk, 32, 8, 0x3132333435363738);
	assert_bytes(&disk, 40, 8, SEGMENT_ID);
	assert_bytes(&disk, 48, 8, 0x2122232425262728);
	assert_bytes(&disk, 56, 8, 0x3132333435363000);
	assert_bytes(&disk, 64, 8, 0x3132333435363700);
	assert_bytes(&disk, 72, 8, SEGMENT_ID - 5);
	assert_bytes(&disk, 80, 8, 0x3132333435363600);
	assert_bytes(&disk, 88, 2, BLOCK_OFFSET);
	assert_bytes(&disk, 90, 2, 4);
	assert_bytes(&disk, 92, 2, SAMPLES);
	assert_bytes(&disk, 94, 2, 12);
	assert_bytes(&disk, 96, 4, 0);
	cr_assert_eq(memcmp(bytes + 100, zero, 28), 0);
	cr_assert_eq(memcmp(bytes + 128 + 12 * SAMPLES, zero, 4096 - 128 - 12 * SAMPLES), 0);
	wb_record_set_entry(&disk, 329, &wide);
	assert_bytes(&disk, 128 + 12 * 329, 6, 0x010203040506);
	assert_bytes(&disk, 128 + 12 * 329 + 6, 1, 0x0f);
	assert_bytes(&disk, 128 + 12 * 329 + 7, 1, WB_ENTRY_DATA);
	assert_bytes(&disk, 128 + 12 * 329 + 8, 4, 0x778899aa);
	cr_assert_eq(memcmp(bytes + 4088, zero, 8), 0);
}

Test(record_codec, crc_is_that_of_all_bytes_with_itself_as_zero)
{
	struct wb_record_disk disk;
	uint8_t copy[4096];
	uint32_t crc = make(&disk);

	memcpy(copy, &disk, sizeof copy);
	memset(copy + 8, 0, 4);
	cr_assert_eq(crc, wb_crc32c(copy, sizeof copy));
}

Test(record_codec, a_header_can_be_sealed_again_with_other_last_fields)
{
	struct wb_record_disk disk;
	struct wb_record_fields f;
	uint32_t first = make(&disk), second;

	second = wb_record_seal(&disk, 1, 2, 3, 4);
	cr_assert_neq(first, second);
	cr_assert_eq(decode(&disk, &f), WB_RECORD_VALID);
	cr_assert_eq(f.prev, 1);
	cr_assert_eq(f.durable, 2);
	cr_assert_eq(f.tail_segment, 3);
	cr_assert_eq(f.tail_sequence, 4);
}

Test(record_codec, an_entry_that_becomes_void_is_zero_throughout)
{
	struct wb_record_disk disk;
	struct wb_record_fields f;
	static const uint8_t zero[12];
	struct wb_entry none = { .type = WB_ENTRY_VOID };

	make(&disk);
	wb_record_set_entry(&disk, 1, &none);
	cr_assert_eq(memcmp(&disk.entries[1], zero, 12), 0);
	reseal(&disk);
	cr_assert_eq(decode(&disk, &f), WB_RECORD_VALID);
}

Test(record_codec, types_below_0x80_have_a_data_block)
{
	cr_assert(wb_entry_has_block(WB_ENTRY_VOID));
	cr_assert(wb_entry_has_block(WB_ENTRY_DATA));
	cr_assert(wb_entry_has_block(WB_ENTRY_CLEAN));
	cr_assert(wb_entry_has_block(0x7f));
	cr_assert_not(wb_entry_has_block(WB_ENTRY_DISCARD));
	cr_assert_not(wb_entry_has_block(WB_ENTRY_BYPASS));
	cr_assert_not(wb_entry_has_block(WB_ENTRY_BAD));
	cr_assert_not(wb_entry_has_block(0xff));
}

static void fill(struct wb_record_disk *d, unsigned blocks, unsigned extents,
		 uint16_t block_offset)
{
	struct wb_entry data = { 1, 0xff, WB_ENTRY_DATA, 7 };
	struct wb_entry extent = { 1, 0xff, WB_ENTRY_DISCARD, 7 };

	wb_record_begin(d, uuid, 1, 1, 9, SEGMENT_ID, block_offset);
	for (unsigned i = 0; i < blocks; i++)
		wb_record_set_entry(d, i, &data);
	for (unsigned i = 0; i < extents; i++)
		wb_record_set_entry(d, blocks + i, &extent);
	wb_record_set_counts(d, blocks + extents, blocks);
	wb_record_seal(d, 0, 8, 1, 1);
}

static enum wb_record_verdict decode_at(const struct wb_record_disk *d, uint32_t block_offset)
{
	struct wb_record_fields f;

	return wb_record_decode(d, uuid, &geometry, wb_geometry_place(&geometry, SEGMENT_ID),
				block_offset, &f);
}

Test(record_codec, full_and_empty_records_are_valid)
{
	struct wb_record_disk disk;

	fill(&disk, 255, 0, 0);
	cr_assert_eq(decode_at(&disk, 0), WB_RECORD_VALID);
	fill(&disk, 255, 75, 0);
	cr_assert_eq(decode_at(&disk, 0), WB_RECORD_VALID);
	fill(&disk, 0, 330, 255);
	cr_assert_eq(decode_at(&disk, 255), WB_RECORD_VALID);
	fill(&disk, 0, 0, 255);
	cr_assert_eq(decode_at(&disk, 255), WB_RECORD_VALID);
	fill(&disk, 1, 0, 254);
	cr_assert_eq(decode_at(&disk, 254), WB_RECORD_VALID);
}

Test(record_codec, a_record_that_leaves_its_segment_is_refused)
{
	struct wb_record_disk disk;

	fill(&disk, 255, 0, 1);
	cr_assert_eq(decode_at(&disk, 1), WB_RECORD_BAD_FIELD);
	fill(&disk, 1, 0, 255);
	cr_assert_eq(decode_at(&disk, 255), WB_RECORD_BAD_FIELD);
	fill(&disk, 0, 0, 256);
	cr_assert_eq(decode_at(&disk, 256), WB_RECORD_BAD_FIELD);
	fill(&disk, 0, 0, 65535);
	cr_assert_eq(decode_at(&disk, 65535), WB_RECORD_BAD_FIELD);
}

Test(record_codec, small_segments_hold_small_records)
{
	struct wb_record_disk disk;

	cr_assert_eq(wb_geometry_compute(&geometry, UINT64_C(10) << 20, 64 << 10, 1 << 20),
		     WB_GEOMETRY_OK);
	fill(&disk, 15, 0, 0);
	cr_assert_eq(decode_at(&disk, 0), WB_RECORD_VALID);
	fill(&disk, 16, 0, 0);
	cr_assert_eq(decode_at(&disk, 0), WB_RECORD_BAD_FIELD);
}

/* --- refusals -------------------------------------------------------------- */

Test(record_codec, without_the_magic_it_is_no_header)
{
	struct wb_record_disk disk;
	struct wb_record_fields f;

	memset(&disk, 0, sizeof disk);
	cr_assert_eq(decode(&disk, &f), WB_RECORD_NO_MAGIC);
	memset(&disk, 0xff, sizeof disk);
	cr_assert_eq(decode(&disk, &f), WB_RECORD_NO_MAGIC);
}

Test(record_codec, every_single_bit_flip_is_refused_and_nothing_is_filled_in)
{
	struct wb_record_disk disk;
	struct wb_record_fields f, before;
	uint8_t *bytes = (uint8_t *)&disk;

	make(&disk);
	memset(&f, 0x77, sizeof f);
	before = f;
	for (size_t bit = 0; bit < sizeof disk * 8; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		cr_assert_eq(decode(&disk, &f),
			     bit / 8 < 8 ? WB_RECORD_NO_MAGIC : WB_RECORD_BAD_CRC);
		bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
	}
	cr_assert_eq(memcmp(&f, &before, sizeof f), 0);
}

Test(record_codec, of_another_volume_is_foreign)
{
	struct wb_record_disk disk;
	struct wb_record_fields f;

	make(&disk);
	disk.uuid[15] ^= 1;
	reseal(&disk);
	cr_assert_eq(decode(&disk, &f), WB_RECORD_FOREIGN);
}

Test(record_codec, found_elsewhere_it_is_misplaced)
{
	struct wb_record_disk disk;
	struct wb_record_fields f;
	uint64_t place = wb_geometry_place(&geometry, SEGMENT_ID);

	make(&disk);
	cr_assert_eq(wb_record_decode(&disk, uuid, &geometry, place + 1, BLOCK_OFFSET, &f),
		     WB_RECORD_MISPLACED);
	cr_assert_eq(wb_record_decode(&disk, uuid, &geometry, place, BLOCK_OFFSET + 1, &f),
		     WB_RECORD_MISPLACED);
	cr_assert_eq(wb_record_decode(&disk, uuid, &geometry, place, BLOCK_OFFSET + 65536, &f),
		     WB_RECORD_MISPLACED);
	disk.segment_id = wb_put_le64(0);
	reseal(&disk);
	cr_assert_eq(decode(&disk, &f), WB_RECORD_MISPLACED);
}

struct poke {
	size_t offset, size;
	uint64_t value;
};

#define POKE(member, value) { offsetof(struct wb_record_disk, member), \
	sizeof(((struct wb_record_disk *)0)->member), (value) }
#define POKE_BYTE(member, i) { offsetof(struct wb_record_disk, member) + (i), 1, 1 }
#define POKE_ENTRY(i, member, value) { \
	offsetof(struct wb_record_disk, entries) + 12 * (i) + \
		offsetof(struct wb_entry_disk, member), \
	sizeof(((struct wb_entry_disk *)0)->member), (value) }

/* The verdict for the good header with one field changed and a right CRC. */
static enum wb_record_verdict decode_poked(const struct poke *p)
{
	struct wb_record_disk disk;
	struct wb_record_fields f;
	wb_le64 value = wb_put_le64(p->value);

	make(&disk);
	memcpy((uint8_t *)&disk + p->offset, &value, p->size);
	reseal(&disk);
	return decode(&disk, &f);
}

Test(record_codec, an_impossible_field_with_a_right_crc_is_refused)
{
	const uint64_t huge = WB_NUMBER_MAX + 1;
	/* far away, but the same place of the ring */
	const uint64_t far_id = SEGMENT_ID + (huge / geometry.segment_count + 1) *
				geometry.segment_count;
	const struct poke pokes[] = {
		POKE(sequence, 0), POKE(sequence, huge), POKE(sequence, UINT64_MAX),
		POKE(segment_id, far_id), POKE(epoch, huge),
		POKE(epoch_start, 0x3132333435363739),
		POKE(durable, 0x3132333435363738), POKE(durable, UINT64_MAX),
		POKE(tail_segment, 0), POKE(tail_segment, SEGMENT_ID + 1),
		POKE(tail_sequence, 0), POKE(tail_sequence, 0x3132333435363739),
		POKE(block_count, 3), POKE(block_count, 5), POKE(block_count, 256),
		POKE(block_count, 65535),
		POKE(entry_count, 0), POKE(entry_count, SAMPLES - 1),
		POKE(entry_count, SAMPLES + 1),	/* one more VOID than blocks */
		POKE(entry_count, 331), POKE(entry_count, 65535),
		POKE(entry_bytes, 0), POKE(entry_bytes, 16),
		POKE(flags, 1), POKE(flags, 0x80000000),
		POKE_BYTE(zero_100, 0), POKE_BYTE(zero_100, 27),
		POKE_BYTE(zero_4088, 0), POKE_BYTE(zero_4088, 7),
		POKE_ENTRY(SAMPLES, address, 1),	/* behind the last entry */
		POKE_ENTRY(329, crc_or_length, 1),
	};

	for (size_t i = 0; i < sizeof pokes / sizeof *pokes; i++)
		cr_assert_eq(decode_poked(&pokes[i]), WB_RECORD_BAD_FIELD, "poke %zu", i);
}

Test(record_codec, an_impossible_entry_with_a_right_crc_is_refused)
{
	const struct poke pokes[] = {
		/* DATA and CLEAN */
		POKE_ENTRY(1, mask, 0), POKE_ENTRY(3, mask, 0),
		POKE_ENTRY(1, address, BACKING_BLOCKS), POKE_ENTRY(1, address, WB_ADDRESS_MAX),
		POKE_ENTRY(1, address, BACKING_BLOCKS - 1),	/* mask 0x81 */
		POKE_ENTRY(3, mask, 0x08), POKE_ENTRY(3, mask, 0xff),
		/* VOID */
		POKE_ENTRY(2, address, 1), POKE_ENTRY(2, mask, 1),
		POKE_ENTRY(2, crc_or_length, 1),
		/* extents */
		POKE_ENTRY(4, mask, 0xfe), POKE_ENTRY(4, mask, 0), POKE_ENTRY(5, mask, 1),
		POKE_ENTRY(4, crc_or_length, 0), POKE_ENTRY(5, crc_or_length, 0),
		POKE_ENTRY(6, crc_or_length, 0), POKE_ENTRY(6, crc_or_length, 2),
		POKE_ENTRY(4, crc_or_length, BACKING_BLOCKS - 9),
		POKE_ENTRY(4, crc_or_length, UINT32_MAX),
		POKE_ENTRY(6, address, BACKING_BLOCKS), POKE_ENTRY(5, address, WB_ADDRESS_MAX),
		/* a type that changes the number of blocks */
		POKE_ENTRY(1, type, WB_ENTRY_DISCARD), POKE_ENTRY(6, type, WB_ENTRY_CLEAN),
		POKE_ENTRY(1, type, WB_ENTRY_VOID),
	};

	for (size_t i = 0; i < sizeof pokes / sizeof *pokes; i++)
		cr_assert_eq(decode_poked(&pokes[i]), WB_RECORD_BAD_FIELD, "poke %zu", i);
}

Test(record_codec, an_entry_type_of_a_later_version_is_told_apart_and_fills_the_fields)
{
	for (unsigned type = 0; type < 256; type++) {
		struct wb_record_disk disk;
		struct wb_record_fields f = { 0 };
		bool is_known = type <= 2 || (type >= 0x80 && type <= 0x82);

		if (is_known)
			continue;
		make(&disk);
		disk.entries[type < 0x80 ? 1 : 4].type = (uint8_t)type;
		reseal(&disk);
		cr_assert_eq(decode(&disk, &f), WB_RECORD_UNKNOWN_TYPE);
		cr_assert_eq(f.sequence, 0x3132333435363738);
		cr_assert_eq(f.entry_count, SAMPLES);
	}
}

/* Anything with a right CRC: never a crash, and what passes keeps the limits. */
Test(record_codec, random_contents_with_a_right_crc_never_do_harm)
{
	GRand *rand = g_rand_new_with_seed(20132);
	unsigned valid_count = 0;

	for (int round = 0; round < 200000; round++) {
		struct wb_record_disk disk;
		struct wb_record_fields f;
		uint8_t *bytes = (uint8_t *)&disk;
		int flips = g_rand_int_range(rand, 1, 4);

		make(&disk);
		while (flips-- > 0)
			bytes[g_rand_int_range(rand, 12, 224)] ^=
				(uint8_t)(1u << g_rand_int_range(rand, 0, 8));
		reseal(&disk);
		if (decode(&disk, &f) != WB_RECORD_VALID)
			continue;
		valid_count++;
		cr_assert_leq(f.sequence, WB_NUMBER_MAX);
		cr_assert_leq(f.block_offset + 1 + f.block_count, geometry.segment_blocks);
		cr_assert_leq(f.entry_count, WB_RECORD_ENTRIES_MAX);
		for (unsigned i = 0; i < f.entry_count; i++) {
			struct wb_entry e;

			wb_record_get_entry(&disk, i, &e);
			cr_assert_lt(e.address, BACKING_BLOCKS);
			if (!wb_entry_has_block(e.type))
				cr_assert_leq(e.address + e.crc_or_length, BACKING_BLOCKS);
		}
	}
	cr_assert_gt(valid_count, 0);
	g_rand_free(rand);
}

Test(record_codec, every_verdict_has_a_text_of_its_own)
{
	for (int a = WB_RECORD_VALID; a <= WB_RECORD_UNKNOWN_TYPE; a++) {
		const char *text = wb_record_verdict_text((enum wb_record_verdict)a);

		cr_assert_neq(text[0], '\0');
		for (int b = WB_RECORD_VALID; b < a; b++)
			cr_assert_str_neq(text,
				wb_record_verdict_text((enum wb_record_verdict)b));
	}
}

Test(endian, values_survive_the_disk_and_lie_there_lowest_byte_first)
{
	wb_le16 a = wb_put_le16(0x0102);
	wb_le32 b = wb_put_le32(0x01020304);
	wb_le48 c = wb_put_le48(0x010203040506);
	wb_le64 d = wb_put_le64(0x0102030405060708);

	cr_assert_eq(wb_get_le16(a), 0x0102);
	cr_assert_eq(wb_get_le32(b), 0x01020304);
	cr_assert_eq(wb_get_le48(c), 0x010203040506);
	cr_assert_eq(wb_get_le64(d), 0x0102030405060708);
	for (unsigned i = 0; i < 8; i++) {
		if (i < 2)
			cr_assert_eq(a.byte[i], 2 - i);
		if (i < 4)
			cr_assert_eq(b.byte[i], 4 - i);
		if (i < 6)
			cr_assert_eq(c.byte[i], 6 - i);
		cr_assert_eq(d.byte[i], 8 - i);
	}
}
