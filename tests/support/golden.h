/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Golden images: small volumes of a format version, kept in tests/golden for
 * every later program. NAME.cache and NAME.backing are the disks (sparse.h),
 * NAME.expected is what wb_golden_describe() has to say of them.
 */
#ifndef WB_TESTS_GOLDEN_H
#define WB_TESTS_GOLDEN_H

#include <stdbool.h>
#include <stdint.h>

#include "support/volume_sim.h"

/* All of them: NULL at the end. */
extern const char *const wb_golden_names[];

/* 1 MiB of image, 8 segments of 64 KiB, nothing written back by itself. */
void wb_golden_init(struct wb_sim *sim);
/* What lies in DIRECTORY/NAME.cache and .backing becomes the disks. */
void wb_golden_load(struct wb_sim *sim, const char *directory, const char *name);
/* Superblock, records and dirty data as recovery finds them, then the sha256 of
 * the image as the open cache reads it: blocks that cannot be read are named,
 * and hashed as 0xee. Opens the cache and abandons it. To be freed. */
char *wb_golden_describe(struct wb_sim *sim);

/* DIRECTORY/NAMESUFFIX; aborts when there is none. */
uint8_t *wb_golden_read_file(const char *directory, const char *name, const char *suffix,
			     size_t *bytes);

#endif
