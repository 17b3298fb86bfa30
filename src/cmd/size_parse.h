/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sizes as people write them. Pure. */
#ifndef WB_CMD_SIZE_PARSE_H
#define WB_CMD_SIZE_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Plain bytes, or a whole number followed by K, M, G or T (powers of 1024,
 * either case). FALSE for anything else: a sign, a fraction, blanks, more
 * than 2^63 - 1 bytes. */
bool wb_size_parse(const char *text, uint64_t *bytes);

#define WB_SIZE_TEXT_BYTES 32
/* "64 MiB", "1.5 GiB", "512 B": at most one digit behind the point. Returns
 * `text`. */
const char *wb_size_format(uint64_t bytes, char text[WB_SIZE_TEXT_BYTES]);

#endif
