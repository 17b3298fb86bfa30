/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A disk image of mostly zeros in few bytes, for images that are kept in the
 * tree and for fuzzing. A list of pieces, little-endian: offset 4, length 2,
 * pattern 1; then `pattern` bytes that are repeated over the length, or, where
 * that is 0, the `length` bytes themselves. What no piece covers is zero.
 */
#ifndef WB_TESTS_SPARSE_H
#define WB_TESTS_SPARSE_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Lays the pieces over `image`. FALSE at the first piece that is cut off or
 * does not fit; those before it have been laid. Takes any bytes. */
bool wb_sparse_lay(const uint8_t *pieces, size_t pieces_bytes, uint8_t *image,
		   size_t image_bytes);
/* image_bytes is a multiple of 512, at most 4 GiB. */
GByteArray *wb_sparse_pack(const uint8_t *image, size_t image_bytes);

#endif
