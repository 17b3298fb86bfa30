/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A copy of an image into a new file: by reference where the filesystem can,
 * else with its holes kept. */
#ifndef WB_CMD_IMAGE_COPY_H
#define WB_CMD_IMAGE_COPY_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "io/store.h"

struct wb_image_copy {
	const char *from_path, *to_path;	/* for messages */
	int from, to;		/* regular file or device; regular file, empty */
	struct wb_store *from_store;	/* instead of `from`: an NBD server has it */
	uint64_t bytes;
	/* A range that the source gives I/O errors for; it is left as a hole. */
	void (*unreadable)(void *arg, uint64_t offset_bytes, uint64_t length_bytes);
	/* FALSE: stop; or NULL */
	bool (*progress)(void *arg, uint64_t done_bytes, uint64_t total_bytes);
	void *arg, *progress_arg;
};

/* `to` is `bytes` long afterwards; not flushed. */
bool wb_image_copy(const struct wb_image_copy *copy, GError **error);

#endif
