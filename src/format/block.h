/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the superblock and the record header share: one block of 4096 bytes
 * with its CRC at byte 8. Of the codecs only. */
#ifndef WB_FORMAT_BLOCK_H
#define WB_FORMAT_BLOCK_H

#include <stdbool.h>
#include <string.h>

#include "base/checksum.h"
#include "format/ondisk.h"

#define WB_BLOCK_CRC_OFFSET 8u
static_assert(offsetof(struct wb_superblock_disk, crc) == WB_BLOCK_CRC_OFFSET, "");
static_assert(offsetof(struct wb_record_disk, crc) == WB_BLOCK_CRC_OFFSET, "");

/* The CRC of all bytes, with the CRC's own taken as zero. */
static inline uint32_t wb_block_compute_crc(const void *block)
{
	static const uint8_t zero[sizeof(wb_le32)];
	const uint8_t *bytes = block;
	size_t after = WB_BLOCK_CRC_OFFSET + sizeof zero;
	uint32_t crc = wb_crc32c(bytes, WB_BLOCK_CRC_OFFSET);

	crc = wb_crc32c_extend(crc, zero, sizeof zero);
	return wb_crc32c_extend(crc, bytes + after, WB_BLOCK_BYTES - after);
}

static inline bool wb_block_is_zero(const void *data, size_t length_bytes)
{
	const uint8_t *p = data;

	/* Each byte is like the one before it: far faster than a loop, and most of a
	 * header is zeros. */
	return length_bytes == 0 || (*p == 0 && memcmp(p, p + 1, length_bytes - 1) == 0);
}

#endif
