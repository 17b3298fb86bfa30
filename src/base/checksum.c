/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/checksum.h"

#include <isa-l/crc.h>

/* isa-l takes the length as an int. */
#define PIECE_BYTES_MAX ((size_t)1 << 30)

uint32_t wb_crc32c_extend(uint32_t crc, const void *data, size_t length_bytes)
{
	const unsigned char *p = data;

	/* isa-l leaves both inversions to its caller; taking back the final one
	 * of the earlier result makes it an initial value again. */
	crc = ~crc;
	while (length_bytes > 0) {
		size_t n = length_bytes < PIECE_BYTES_MAX ? length_bytes : PIECE_BYTES_MAX;

		/* not const in isa-l's prototype, and never written */
		crc = crc32_iscsi((unsigned char *)(uintptr_t)p, (int)n, crc);
		p += n;
		length_bytes -= n;
	}
	return ~crc;
}

uint32_t wb_crc32c(const void *data, size_t length_bytes)
{
	return wb_crc32c_extend(0, data, length_bytes);
}
