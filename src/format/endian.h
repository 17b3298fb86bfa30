/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between host integers and the little-endian integers of ondisk.h. */
#ifndef WB_FORMAT_ENDIAN_H
#define WB_FORMAT_ENDIAN_H

#include <endian.h>
#include <string.h>

#include "format/ondisk.h"

static inline uint16_t wb_get_le16(wb_le16 v)
{
	uint16_t x;

	memcpy(&x, v.byte, sizeof x);
	return le16toh(x);
}

static inline uint32_t wb_get_le32(wb_le32 v)
{
	uint32_t x;

	memcpy(&x, v.byte, sizeof x);
	return le32toh(x);
}

static inline uint64_t wb_get_le48(wb_le48 v)
{
	uint64_t x = 0;

	memcpy(&x, v.byte, sizeof v.byte);
	return le64toh(x);
}

static inline uint64_t wb_get_le64(wb_le64 v)
{
	uint64_t x;

	memcpy(&x, v.byte, sizeof x);
	return le64toh(x);
}

static inline wb_le16 wb_put_le16(uint16_t x)
{
	wb_le16 v;

	x = htole16(x);
	memcpy(v.byte, &x, sizeof v.byte);
	return v;
}

static inline wb_le32 wb_put_le32(uint32_t x)
{
	wb_le32 v;

	x = htole32(x);
	memcpy(v.byte, &x, sizeof v.byte);
	return v;
}

static inline wb_le48 wb_put_le48(uint64_t x)
{
	wb_le48 v;

	x = htole64(x);
	memcpy(v.byte, &x, sizeof v.byte);
	return v;
}

static inline wb_le64 wb_put_le64(uint64_t x)
{
	wb_le64 v;

	x = htole64(x);
	memcpy(v.byte, &x, sizeof v.byte);
	return v;
}

#endif
