/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "support/sparse.h"

#include <string.h>

#define HEAD_BYTES 7u
#define UNIT_BYTES 16u		/* zeros shorter than this are not left out */
#define SECTOR_BYTES 512u
#define LENGTH_MAX (UINT16_MAX / SECTOR_BYTES * SECTOR_BYTES)

static uint32_t get_le(const uint8_t *p, unsigned bytes)
{
	uint32_t value = 0;

	while (bytes-- > 0)
		value = value << 8 | p[bytes];
	return value;
}

bool wb_sparse_lay(const uint8_t *p, size_t left, uint8_t *image, size_t image_bytes)
{
	while (left >= HEAD_BYTES) {
		size_t offset = get_le(p, 4), length = get_le(p + 4, 2), pattern = p[6];
		size_t taken = HEAD_BYTES + (pattern ? pattern : length);

		if (taken > left || offset > image_bytes || length > image_bytes - offset)
			return false;
		for (size_t i = 0; i < length; i += pattern ? pattern : length)
			memcpy(image + offset + i, p + HEAD_BYTES,
			       pattern ? MIN(pattern, length - i) : length);
		p += taken;
		left -= taken;
	}
	return left == 0;
}

static void add_piece(GByteArray *pieces, size_t offset, size_t length, size_t pattern,
		      const uint8_t *data)
{
	uint8_t head[HEAD_BYTES] = {
		(uint8_t)offset, (uint8_t)(offset >> 8), (uint8_t)(offset >> 16),
		(uint8_t)(offset >> 24), (uint8_t)length, (uint8_t)(length >> 8),
		(uint8_t)pattern,
	};

	g_byte_array_append(pieces, head, sizeof head);
	g_byte_array_append(pieces, data, (guint)(pattern ? pattern : length));
}

/* How many of `bytes` repeat the first `period` ones. */
static size_t repeated(const uint8_t *data, size_t bytes, size_t period)
{
	size_t i = period;

	while (i < bytes && data[i] == data[i - period])
		i++;
	return i;
}

static bool is_zero(const uint8_t *data, size_t bytes)
{
	return data[0] == 0 && repeated(data, bytes, 1) == bytes;
}

static void pack_sector(GByteArray *pieces, const uint8_t *sector, size_t offset)
{
	size_t from = 0, to;

	while (from < SECTOR_BYTES) {
		if (is_zero(sector + from, UNIT_BYTES)) {
			from += UNIT_BYTES;
			continue;
		}
		to = from + UNIT_BYTES;
		while (to < SECTOR_BYTES && !is_zero(sector + to, UNIT_BYTES))
			to += UNIT_BYTES;
		add_piece(pieces, offset + from, to - from, 0, sector + from);
		from = to;
	}
}

GByteArray *wb_sparse_pack(const uint8_t *image, size_t image_bytes)
{
	static const uint8_t periods[] = { 1, 32 };
	GByteArray *pieces = g_byte_array_new();
	size_t at = 0, length = 0;

	g_assert(image_bytes % SECTOR_BYTES == 0 && image_bytes <= UINT32_MAX);
	for (; at < image_bytes; at += length) {
		length = SECTOR_BYTES;
		if (is_zero(image + at, SECTOR_BYTES))
			continue;
		for (unsigned i = 0; i < sizeof periods; i++) {
			size_t same = repeated(image + at, MIN(image_bytes - at, LENGTH_MAX),
					       periods[i]);

			length = same / SECTOR_BYTES * SECTOR_BYTES;
			if (length == 0)
				continue;
			add_piece(pieces, at, length, periods[i], image + at);
			break;
		}
		if (length)
			continue;
		length = SECTOR_BYTES;
		pack_sector(pieces, image + at, at);
	}
	return pieces;
}
