/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CRC32C as the disk format uses it (initial and final value ~0), by isa-l. */
#ifndef WB_BASE_CHECKSUM_H
#define WB_BASE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

uint32_t wb_crc32c(const void *data, size_t length_bytes);
/* Goes on from an earlier result: wb_crc32c_extend(wb_crc32c(a), b) is the
 * CRC32C of a followed by b; the CRC of nothing is 0. */
uint32_t wb_crc32c_extend(uint32_t crc, const void *data, size_t length_bytes);

#endif
