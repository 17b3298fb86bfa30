/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Formatting: lays out a new volume on a cache store. Start-up only. */
#ifndef WB_CACHE_CREATE_H
#define WB_CACHE_CREATE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "format/superblock_codec.h"
#include "io/store.h"

enum wb_zero_mode {
	WB_ZERO_ALL,		/* write zeros over the whole cache first */
	WB_ZERO_HEADERS,	/* only superblocks and the first block of every segment */
};

struct wb_create_params {
	uint8_t uuid[16];
	uint32_t segment_bytes;
	uint64_t backing_bytes;
	uint8_t backing_mark[16];
	enum wb_mark_kind backing_mark_kind;
	const char *backing_path;	/* hint */
	enum wb_zero_mode zero_mode;
	/* FALSE: stop, which leaves "not a cache"; or NULL */
	bool (*progress)(void *arg, uint64_t done_bytes, uint64_t total_bytes);
	void *progress_arg;
};

/*
 * Order: both old superblocks are destroyed and flushed first, so that a
 * format that is cut off leaves "not a cache", never half of an old volume;
 * then zeros, flush, superblock copy 0, flush, copy 1, flush. A new volume has
 * generation 1 and 2, epoch 0, tail (1,1), durable 0, cut (0,0,0), and the
 * clean flag. FALSE and an error that names the store.
 */
gboolean wb_create(struct wb_store *cache_store, const struct wb_create_params *params,
		   GError **error);

/*
 * Its two halves, for a cache that becomes a volume in another way. Both return 0 or
 * -errno. Erasing: no superblock counts any more, and all that `zero_mode` says holds
 * zeros, durably; of the parameters only that and the progress matter. Writing both
 * copies of the superblock, one at a time, each flushed, with the next two generations.
 */
int wb_create_erase(struct wb_store *cache_store, const struct wb_create_params *params,
		    const struct wb_geometry *geometry, const char **doing);
uint64_t wb_create_erased_bytes(const struct wb_store *cache_store,
				const struct wb_create_params *params,
				const struct wb_geometry *geometry);
int wb_create_write_superblocks(struct wb_store *cache_store, struct wb_superblock *superblock);

#endif
