/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>
#include <glib.h>
#include <string.h>

#include "base/checksum.h"
#include "format/endian.h"
#include "format/superblock_codec.h"

#define CACHE_BYTES (UINT64_C(100) << 20)

/* Every field different, so that no two can be mixed up. */
static void make(struct wb_superblock *s)
{
	memset(s, 0, sizeof *s);
	cr_assert_eq(wb_geometry_compute(&s->geometry, CACHE_BYTES, 256 << 10,
					 UINT64_C(5000000) * 512), WB_GEOMETRY_OK);
	for (unsigned i = 0; i < 16; i++) {
		s->uuid[i] = (uint8_t)(0xa0 + i);
		s->backing_mark[i] = (uint8_t)(0x50 + i);
	}
	s->generation = 0x1112131415161718;
	s->epoch = 0x2122232425262728;
	s->epoch_start = 0x3132333435363738;
	s->cut_sequence = 0x3132333435363737;
	s->cut_segment = 0x0102030405060708;
	s->cut_crc = 0x41424344;
	s->state_flags = WB_STATE_CLEAN;
	s->tail_segment = 0x0102030405060701;
	s->tail_sequence = 0x3132333435363000;
	s->durable = 0x3132333435363736;
	s->checkpoint_used = 4097;
	s->checkpoint_crc = 0x51525354;
	s->bad_count = 3;
	s->bad_places[0] = 7;
	s->bad_places[1] = 0;
	s->bad_places[2] = 300;
	s->backing_mark_kind = WB_MARK_SIDECAR;
	s->backing_look = (struct wb_backing_look){
		.bytes = 0x5253545556575859, .mtime_ns = 0x6263646566676869,
		.sample_kind = WB_BACKING_SAMPLE_CRC32C, .sample_crc = 0x72737475,
		.dirty_left = 0x8283848586878889,
	};
	s->mark_epoch = 0x2122232425262727;
	s->warm_sequence = 0x3132333435363001;
	strcpy(s->backing_path, "/srv/images/big.raw");
	for (unsigned i = 0; i < WB_SUPERBLOCK_COUNTERS; i++)
		s->counters[i] = UINT64_C(0x0101010101010101) * (i + 1);
}

static enum wb_superblock_verdict decode(const struct wb_superblock_disk *d,
					 struct wb_superblock *s, const char **field)
{
	return wb_superblock_decode(d, CACHE_BYTES, s, field);
}

static void seal(struct wb_superblock_disk *d)
{
	d->crc = wb_put_le32(0);
	d->crc = wb_put_le32(wb_crc32c(d, sizeof *d));
}

Test(superblock_codec, what_was_encoded_is_decoded)
{
	struct wb_superblock in, out;
	struct wb_superblock_disk disk;
	const char *field = "x";

	make(&in);
	memset(&out, 0xee, sizeof out);
	memset(&disk, 0xee, sizeof disk);
	wb_superblock_encode(&in, &disk);
	cr_assert_eq(decode(&disk, &out, &field), WB_SUPERBLOCK_VALID);
	cr_assert_null(field);
	cr_assert_eq(memcmp(in.uuid, out.uuid, 16), 0);
	cr_assert_eq(in.geometry.cache_bytes, out.geometry.cache_bytes);
	cr_assert_eq(in.geometry.backing_bytes, out.geometry.backing_bytes);
	cr_assert_eq(in.geometry.backing_blocks, out.geometry.backing_blocks);
	cr_assert_eq(in.geometry.checkpoint_offset, out.geometry.checkpoint_offset);
	cr_assert_eq(in.geometry.checkpoint_bytes, out.geometry.checkpoint_bytes);
	cr_assert_eq(in.geometry.ring_offset, out.geometry.ring_offset);
	cr_assert_eq(in.geometry.segment_count, out.geometry.segment_count);
	cr_assert_eq(in.geometry.segment_bytes, out.geometry.segment_bytes);
	cr_assert_eq(in.geometry.segment_blocks, out.geometry.segment_blocks);
	cr_assert_eq(in.geometry.slot_count, out.geometry.slot_count);
	cr_assert_eq(out.compat, 0);
	cr_assert_eq(out.ro_compat, 0);
	cr_assert_eq(out.incompat, 0);
	cr_assert_eq(in.generation, out.generation);
	cr_assert_eq(in.epoch, out.epoch);
	cr_assert_eq(in.epoch_start, out.epoch_start);
	cr_assert_eq(in.cut_sequence, out.cut_sequence);
	cr_assert_eq(in.cut_segment, out.cut_segment);
	cr_assert_eq(in.cut_crc, out.cut_crc);
	cr_assert_eq(in.state_flags, out.state_flags);
	cr_assert_eq(in.tail_segment, out.tail_segment);
	cr_assert_eq(in.tail_sequence, out.tail_sequence);
	cr_assert_eq(in.durable, out.durable);
	cr_assert_eq(in.checkpoint_used, out.checkpoint_used);
	cr_assert_eq(in.checkpoint_crc, out.checkpoint_crc);
	cr_assert_eq(in.bad_count, out.bad_count);
	cr_assert_eq(in.backing_mark_kind, out.backing_mark_kind);
	cr_assert_eq(memcmp(in.backing_mark, out.backing_mark, 16), 0);
	cr_assert_eq(memcmp(&in.backing_look, &out.backing_look, sizeof in.backing_look), 0);
	cr_assert_eq(in.mark_epoch, out.mark_epoch);
	cr_assert_eq(in.warm_sequence, out.warm_sequence);
	cr_assert_str_eq(in.backing_path, out.backing_path);
	cr_assert_eq(memcmp(in.counters, out.counters, sizeof in.counters), 0);
	cr_assert_eq(memcmp(in.bad_places, out.bad_places, sizeof in.bad_places), 0);
}

static void assert_bytes(const struct wb_superblock_disk *d, size_t offset, size_t count,
			 uint64_t value)
{
	const uint8_t *bytes = (const uint8_t *)d;

	for (size_t i = 0; i < count; i++)
		cr_assert_eq(bytes[offset + i], (uint8_t)(value >> (8 * i)),
			     "byte %zu", offset + i);
}

Test(superblock_codec, every_field_lies_where_the_format_says_little_endian)
{
	struct wb_superblock s;
	struct wb_superblock_disk disk;
	const uint8_t *bytes = (const uint8_t *)&disk;

	make(&s);
	s.compat = 0x6162636465666768;
	s.ro_compat = 0x7172737475767778;
	s.incompat = 0x8182838485868788;
	wb_superblock_encode(&s, &disk);
	cr_assert_eq(memcmp(bytes, "wbfsSUPR", 8), 0);
	assert_bytes(&disk, 12, 4, 1);
	assert_bytes(&disk, 16, 8, 0);	/* unknown bits, see below */
	assert_bytes(&disk, 24, 8, s.ro_compat);
	assert_bytes(&disk, 32, 8, s.incompat);
	cr_assert_eq(memcmp(bytes + 40, s.uuid, 16), 0);
	assert_bytes(&disk, 56, 4, 4096);
	assert_bytes(&disk, 60, 4, 256 << 10);
	assert_bytes(&disk, 64, 8, s.geometry.segment_count);
	assert_bytes(&disk, 72, 8, s.geometry.ring_offset);
	assert_bytes(&disk, 80, 8, s.geometry.checkpoint_offset);
	assert_bytes(&disk, 88, 8, s.geometry.checkpoint_bytes);
	assert_bytes(&disk, 96, 8, s.geometry.cache_bytes);
	assert_bytes(&disk, 128, 8, s.generation);
	assert_bytes(&disk, 136, 8, s.epoch);
	assert_bytes(&disk, 144, 8, s.epoch_start);
	assert_bytes(&disk, 152, 8, s.cut_sequence);
	assert_bytes(&disk, 160, 8, s.cut_segment);
	assert_bytes(&disk, 168, 4, s.cut_crc);
	assert_bytes(&disk, 172, 4, s.state_flags);
	assert_bytes(&disk, 176, 8, s.tail_segment);
	assert_bytes(&disk, 184, 8, s.tail_sequence);
	assert_bytes(&disk, 192, 8, s.durable);
	assert_bytes(&disk, 200, 8, s.checkpoint_used);
	assert_bytes(&disk, 208, 4, s.checkpoint_crc);
	assert_bytes(&disk, 212, 4, s.bad_count);
	assert_bytes(&disk, 216, 8, s.geometry.backing_bytes);
	cr_assert_eq(memcmp(bytes + 256, s.backing_mark, 16), 0);
	assert_bytes(&disk, 272, 4, s.backing_mark_kind);
	assert_bytes(&disk, 276, 4, s.backing_look.sample_kind);
	assert_bytes(&disk, 280, 8, s.backing_look.bytes);
	assert_bytes(&disk, 288, 8, s.backing_look.mtime_ns);
	assert_bytes(&disk, 296, 4, s.backing_look.sample_crc);
	assert_bytes(&disk, 304, 8, s.backing_look.dirty_left);
	assert_bytes(&disk, 312, 8, s.mark_epoch);
	assert_bytes(&disk, 320, 8, s.warm_sequence);
	cr_assert_str_eq((const char *)bytes + 512, s.backing_path);
	for (unsigned i = 0; i < WB_SUPERBLOCK_COUNTERS; i++)
		assert_bytes(&disk, 1536 + 8 * i, 8, s.counters[i]);
	for (unsigned i = 0; i < s.bad_count; i++)
		assert_bytes(&disk, 2048 + 4 * i, 4, s.bad_places[i]);
}

Test(superblock_codec, crc_is_that_of_all_bytes_with_itself_as_zero)
{
	struct wb_superblock s;
	struct wb_superblock_disk disk;
	uint8_t copy[4096];

	make(&s);
	wb_superblock_encode(&s, &disk);
	memcpy(copy, &disk, sizeof copy);
	memset(copy + 8, 0, 4);
	cr_assert_eq(wb_get_le32(disk.crc), wb_crc32c(copy, sizeof copy));
}

Test(superblock_codec, unused_bytes_are_zero)
{
	struct wb_superblock s;
	struct wb_superblock_disk disk;
	static const uint8_t zero[4096];
	const uint8_t *bytes = (const uint8_t *)&disk;

	make(&s);
	memset(s.backing_path, 'x', sizeof s.backing_path);
	strcpy(s.backing_path, "/a");	/* what follows the NUL is not copied */
	s.bad_places[3] = 99;		/* nor what lies behind bad_count */
	memset(&disk, 0xee, sizeof disk);
	wb_superblock_encode(&s, &disk);
	cr_assert_eq(memcmp(bytes + 104, zero, 24), 0);
	cr_assert_eq(memcmp(bytes + 224, zero, 32), 0);
	cr_assert_eq(memcmp(bytes + 256 + 44, zero, 4), 0);
	cr_assert_eq(memcmp(bytes + 256 + 72, zero, 256 - 72), 0);
	cr_assert_eq(memcmp(bytes + 514, zero, 1022), 0);
	cr_assert_eq(memcmp(bytes + 2048 + 12, zero, 4 * 445), 0);
	cr_assert_eq(memcmp(bytes + 3840, zero, 256), 0);
}

Test(superblock_codec, copies_lie_at_0_and_512_kib)
{
	cr_assert_eq(wb_superblock_offset(0), 0);
	cr_assert_eq(wb_superblock_offset(1), 512 << 10);
}

Test(superblock_codec, a_path_of_1023_bytes_fits_and_a_longer_one_is_cut)
{
	struct wb_superblock in, out;
	struct wb_superblock_disk disk;
	const char *field;

	make(&in);
	memset(in.backing_path, 'p', sizeof in.backing_path);
	wb_superblock_encode(&in, &disk);
	cr_assert_eq(decode(&disk, &out, &field), WB_SUPERBLOCK_VALID);
	cr_assert_eq(strlen(out.backing_path), 1023);
}

Test(superblock_codec, a_new_volume_is_valid)
{
	struct wb_superblock in, out;
	struct wb_superblock_disk disk;
	const char *field;

	memset(&in, 0, sizeof in);
	in.uuid[0] = 1;
	in.generation = 1;
	in.tail_segment = in.tail_sequence = 1;
	in.state_flags = WB_STATE_CLEAN;
	cr_assert_eq(wb_geometry_compute(&in.geometry, CACHE_BYTES, 1 << 20, 512),
		     WB_GEOMETRY_OK);
	wb_superblock_encode(&in, &disk);
	cr_assert_eq(decode(&disk, &out, &field), WB_SUPERBLOCK_VALID);
}

Test(superblock_codec, every_layout_that_can_be_computed_is_valid)
{
	for (uint32_t segment = WB_SEGMENT_BYTES_MIN; segment <= WB_SEGMENT_BYTES_MAX;
	     segment *= 2) {
		for (uint64_t bytes = UINT64_C(40) << 20; bytes < UINT64_C(16) << 40;
		     bytes = bytes * 3 + 512 * 5) {
			struct wb_superblock in, out;
			struct wb_superblock_disk disk;
			const char *field;

			make(&in);
			in.bad_count = 0;
			if (wb_geometry_compute(&in.geometry, bytes, segment, 512) !=
			    WB_GEOMETRY_OK)
				continue;
			in.checkpoint_used = in.geometry.checkpoint_bytes;
			wb_superblock_encode(&in, &disk);
			cr_assert_eq(wb_superblock_decode(&disk, bytes, &out, &field),
				     WB_SUPERBLOCK_VALID, "%s", field);
			/* the store may have grown, but not shrunk */
			cr_assert_eq(wb_superblock_decode(&disk, bytes + 4096, &out, &field),
				     WB_SUPERBLOCK_VALID);
			cr_assert_eq(wb_superblock_decode(&disk, bytes - 1, &out, &field),
				     WB_SUPERBLOCK_BAD_FIELD);
			cr_assert_str_eq(field, "cache_bytes");
		}
	}
}

/* --- refusals -------------------------------------------------------------- */

Test(superblock_codec, zeros_and_foreign_bytes_are_told_apart)
{
	struct wb_superblock s;
	struct wb_superblock_disk disk;
	const char *field = "x";

	memset(&disk, 0, sizeof disk);
	cr_assert_eq(decode(&disk, &s, &field), WB_SUPERBLOCK_ZEROS);
	cr_assert_null(field);
	disk.zero_3840[255] = 1;
	cr_assert_eq(decode(&disk, &s, &field), WB_SUPERBLOCK_NO_MAGIC);
	memset(&disk, 0xff, sizeof disk);
	cr_assert_eq(decode(&disk, &s, &field), WB_SUPERBLOCK_NO_MAGIC);
}

Test(superblock_codec, every_single_bit_flip_is_refused_and_nothing_is_filled_in)
{
	struct wb_superblock in, out, before;
	struct wb_superblock_disk disk;
	uint8_t *bytes = (uint8_t *)&disk;

	make(&in);
	wb_superblock_encode(&in, &disk);
	memset(&out, 0x77, sizeof out);
	before = out;
	for (size_t bit = 0; bit < sizeof disk * 8; bit++) {
		const char *field;

		bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		cr_assert_eq(decode(&disk, &out, &field),
			     bit / 8 < 8 ? WB_SUPERBLOCK_NO_MAGIC : WB_SUPERBLOCK_BAD_CRC);
		bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
	}
	cr_assert_eq(memcmp(&out, &before, sizeof out), 0);
}

Test(superblock_codec, a_copy_torn_at_any_sector_between_two_generations_is_refused)
{
	struct wb_superblock s;
	struct wb_superblock_disk old, new;

	make(&s);
	wb_superblock_encode(&s, &old);
	s.generation++;
	s.durable++;
	s.counters[0]++;
	s.bad_count = 448;
	for (unsigned i = 0; i < 448; i++)
		s.bad_places[i] = i % 300 + 1;
	wb_superblock_encode(&s, &new);
	for (size_t torn = 512; torn < 4096; torn += 512) {
		struct wb_superblock_disk mixed = old;
		const char *field;

		memcpy(&mixed, &new, torn);
		if (memcmp(&mixed, &new, sizeof new) == 0)
			continue;	/* the rest is the same */
		cr_assert_eq(decode(&mixed, &s, &field), WB_SUPERBLOCK_BAD_CRC);
	}
}

Test(superblock_codec, a_later_version_and_an_unknown_incompat_bit_are_too_new)
{
	struct wb_superblock s;
	struct wb_superblock_disk disk;
	const char *field;

	make(&s);
	s.incompat = UINT64_C(1) << 63;
	wb_superblock_encode(&s, &disk);
	cr_assert_eq(decode(&disk, &s, &field), WB_SUPERBLOCK_TOO_NEW);
	make(&s);
	wb_superblock_encode(&s, &disk);
	disk.version = wb_put_le32(2);
	seal(&disk);
	cr_assert_eq(decode(&disk, &s, &field), WB_SUPERBLOCK_TOO_NEW);
	/* all else may mean something different by then */
	disk.segment_count = wb_put_le64(0);
	seal(&disk);
	cr_assert_eq(decode(&disk, &s, &field), WB_SUPERBLOCK_TOO_NEW);
}

/* A compatible one, and its bytes. */
static void make_with_unknown_feature(struct wb_superblock_disk *disk)
{
	struct wb_superblock s;

	make(&s);
	wb_superblock_encode(&s, disk);
	disk->compat = wb_put_le64(4);
	memset(disk->zero_104, 0x11, sizeof disk->zero_104);
	seal(disk);
}

Test(superblock_codec, unknown_compatible_features_and_their_bytes_are_no_reason_to_refuse)
{
	struct wb_superblock s;
	struct wb_superblock_disk disk;
	const char *field;

	make_with_unknown_feature(&disk);
	cr_assert_eq(decode(&disk, &s, &field), WB_SUPERBLOCK_VALID);
	cr_assert_eq(s.compat, 4);
	make(&s);
	s.ro_compat = 8;
	wb_superblock_encode(&s, &disk);
	cr_assert_eq(decode(&disk, &s, &field), WB_SUPERBLOCK_VALID);
	cr_assert_eq(s.ro_compat, 8);
}

/* Whoever knew it would look for its bytes, which are zeros now. */
Test(superblock_codec, an_unknown_compatible_feature_ends_with_its_bytes_when_it_is_written)
{
	struct wb_superblock s;
	struct wb_superblock_disk disk;
	const char *field;

	make_with_unknown_feature(&disk);
	cr_assert_eq(decode(&disk, &s, &field), WB_SUPERBLOCK_VALID);
	wb_superblock_encode(&s, &disk);
	cr_assert_eq(decode(&disk, &s, &field), WB_SUPERBLOCK_VALID);
	cr_expect_eq(s.compat, 0);
	for (unsigned i = 0; i < sizeof disk.zero_104; i++)
		cr_expect_eq(disk.zero_104[i], 0);
}

struct poke {
	const char *field;
	size_t offset, size;
	uint64_t value;
};

#define POKE(member, value) { #member, offsetof(struct wb_superblock_disk, member), \
	sizeof(((struct wb_superblock_disk *)0)->member), (value) }
#define POKE_BYTE(member, i) { #member, offsetof(struct wb_superblock_disk, member) + (i), 1, 1 }

Test(superblock_codec, an_impossible_field_with_a_right_crc_is_refused_by_name)
{
	const uint64_t huge = WB_NUMBER_MAX + 1;
	const struct poke pokes[] = {
		POKE(version, 0),
		POKE(block_size, 0), POKE(block_size, 8192),
		POKE(segment_size, 0), POKE(segment_size, 32 << 10), POKE(segment_size, 8 << 20),
		POKE(segment_size, 100000),
		POKE(segment_count, 0), POKE(segment_count, 7), POKE(segment_count, UINT64_MAX),
		POKE(segment_count, UINT64_C(1) << 26),
		/* a ring that ends behind the cache */
		{ "segment_count", offsetof(struct wb_superblock_disk, ring_offset), 8,
		  CACHE_BYTES - 4096 },
		POKE(ring_offset, 0), POKE(ring_offset, CACHE_BYTES + 4096),
		POKE(ring_offset, UINT64_MAX - 4095), POKE(ring_offset, (2 << 20) + 512),
		POKE(checkpoint_offset, 0), POKE(checkpoint_offset, (1 << 20) + 512),
		POKE(checkpoint_offset, UINT64_MAX - 4095),
		POKE(checkpoint_bytes, 0), POKE(checkpoint_bytes, 4096),
		POKE(checkpoint_bytes, UINT64_MAX - 4095), POKE(checkpoint_bytes, UINT64_MAX),
		POKE(cache_bytes, CACHE_BYTES + 1), POKE(cache_bytes, UINT64_MAX),
		POKE(backing_bytes, 0), POKE(backing_bytes, 513),
		POKE(backing_bytes, (UINT64_C(1) << 60) + 512),
		POKE(backing_bytes, UINT64_MAX - 511),
		POKE(generation, 0), POKE(generation, huge), POKE(epoch, huge),
		POKE(epoch_start, huge), POKE(cut_sequence, huge), POKE(cut_segment, UINT64_MAX),
		POKE(state_flags, 2), POKE(state_flags, 0x80000001),
		POKE(tail_segment, 0), POKE(tail_segment, huge),
		POKE(tail_sequence, 0), POKE(tail_sequence, huge), POKE(durable, UINT64_MAX),
		POKE(checkpoint_used, UINT64_MAX), POKE(checkpoint_used, CACHE_BYTES),
		POKE(bad_count, 449), POKE(bad_count, UINT32_MAX),
		{ "bad_places", 2048, 4, UINT32_MAX }, { "bad_places", 2052, 4, 400 },
		POKE_BYTE(bad_places, 12),	/* behind bad_count */
		{ "backing_identity", 272, 4, 4 }, POKE_BYTE(backing_identity, 44),
		POKE_BYTE(backing_identity, 72), POKE_BYTE(backing_identity, 255),
		{ "backing_identity", 312, 8, huge }, { "backing_identity", 320, 8, huge },
		POKE_BYTE(zero_104, 0), POKE_BYTE(zero_104, 23),
		POKE_BYTE(zero_224, 0), POKE_BYTE(zero_224, 31),
		POKE_BYTE(zero_3840, 0), POKE_BYTE(zero_3840, 255),
	};

	for (size_t i = 0; i < sizeof pokes / sizeof *pokes; i++) {
		const struct poke *p = &pokes[i];
		struct wb_superblock s;
		struct wb_superblock_disk disk;
		wb_le64 value = wb_put_le64(p->value);
		const char *field = NULL;

		make(&s);
		wb_superblock_encode(&s, &disk);
		memcpy((uint8_t *)&disk + p->offset, &value, p->size);
		seal(&disk);
		cr_assert_eq(decode(&disk, &s, &field), WB_SUPERBLOCK_BAD_FIELD,
			     "poke %zu: %s", i, p->field);
		cr_assert_str_eq(field, p->field, "poke %zu: %s, not %s", i, p->field, field);
	}
}

Test(superblock_codec, a_path_without_an_end_is_refused)
{
	struct wb_superblock s;
	struct wb_superblock_disk disk;
	const char *field;

	make(&s);
	wb_superblock_encode(&s, &disk);
	memset(disk.backing_path, 'x', sizeof disk.backing_path);
	seal(&disk);
	cr_assert_eq(decode(&disk, &s, &field), WB_SUPERBLOCK_BAD_FIELD);
	cr_assert_str_eq(field, "backing_path");
}

/* Anything with a right CRC: never a crash, and what passes keeps the limits. */
Test(superblock_codec, random_contents_with_a_right_crc_never_do_harm)
{
	GRand *rand = g_rand_new_with_seed(20131);

	for (int round = 0; round < 200000; round++) {
		struct wb_superblock s;
		struct wb_superblock_disk disk;
		uint8_t *bytes = (uint8_t *)&disk;
		const char *field;
		int flips = g_rand_int_range(rand, 1, 4);

		make(&s);
		wb_superblock_encode(&s, &disk);
		while (flips-- > 0)
			bytes[g_rand_int_range(rand, 12, 280)] ^=
				(uint8_t)(1u << g_rand_int_range(rand, 0, 8));
		seal(&disk);
		if (decode(&disk, &s, &field) != WB_SUPERBLOCK_VALID)
			continue;
		cr_assert_leq(s.geometry.cache_bytes, CACHE_BYTES);
		cr_assert_leq(s.geometry.ring_offset +
			      s.geometry.segment_count * s.geometry.segment_bytes, CACHE_BYTES);
		cr_assert_leq(s.bad_count, WB_SUPERBLOCK_BAD_PLACES);
	}
	g_rand_free(rand);
}

Test(superblock_codec, every_verdict_has_a_text_of_its_own)
{
	for (int a = WB_SUPERBLOCK_VALID; a <= WB_SUPERBLOCK_BAD_FIELD; a++) {
		const char *text = wb_superblock_verdict_text((enum wb_superblock_verdict)a);

		cr_assert_neq(text[0], '\0');
		for (int b = WB_SUPERBLOCK_VALID; b < a; b++)
			cr_assert_str_neq(text,
				wb_superblock_verdict_text((enum wb_superblock_verdict)b));
	}
}
