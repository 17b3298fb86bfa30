/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Byte 0: flags; then the superblock from its first byte on. */
#include <glib.h>
#include <string.h>

#include "format/block.h"
#include "format/endian.h"
#include "format/superblock_codec.h"
#include "fuzz/fuzz.h"

enum {
	FIX_CRC = 1u << 0,
	SIZE_AS_SAID = 1u << 1,	/* the disk is as large as the superblock says */
};

int WB_FUZZ_TARGET(superblock)(const uint8_t *data, size_t size)
{
	static struct wb_superblock superblock;
	struct wb_superblock_disk disk = { 0 }, again;
	uint64_t cache_bytes = 2u << 20;
	enum wb_superblock_verdict verdict;
	const char *field;

	if (size == 0)
		return 0;
	memcpy(&disk, data + 1, MIN(size - 1, sizeof disk));
	if (data[0] & FIX_CRC)
		disk.crc = wb_put_le32(wb_block_compute_crc(&disk));
	if (data[0] & SIZE_AS_SAID)
		cache_bytes = wb_get_le64(disk.cache_bytes);
	verdict = wb_superblock_decode(&disk, cache_bytes, &superblock, &field);
	g_assert(*wb_superblock_verdict_text(verdict));
	g_assert((verdict == WB_SUPERBLOCK_BAD_FIELD) == (field != NULL));
	if (verdict != WB_SUPERBLOCK_VALID)
		return 0;

	/* What was understood is written, and understood as the same. */
	wb_superblock_encode(&superblock, &again);
	disk = again;
	g_assert(wb_superblock_decode(&disk, cache_bytes, &superblock, &field) ==
		 WB_SUPERBLOCK_VALID);
	wb_superblock_encode(&superblock, &again);
	g_assert(!memcmp(&disk, &again, sizeof disk));
	return 0;
}
