/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What `wbfs format` refuses to overwrite without --force. */
#ifndef WB_CMD_FORMAT_GUARD_H
#define WB_CMD_FORMAT_GUARD_H

#include <glib.h>
#include <stdbool.h>

#include "cmd/disk.h"
#include "cmd/identity.h"

/* FALSE when the file that is to become a cache is a volume's backing. */
bool wb_format_guard_marked(const struct wb_disk *cache, GError **error);
/* FALSE when the cache holds dirty data, is damaged, or is something else
 * than a cache or zeros. */
bool wb_format_guard_cache(struct wb_store *cache_store, GError **error);

/* FALSE when the backing is a cache itself, or is marked by a volume whose
 * cache may still be dirty. `identity` is its mark; `cache` and its store are
 * the cache that is about to be formatted. */
bool wb_format_guard_backing(const struct wb_disk *backing,
			     const struct wb_identity *identity,
			     const struct wb_disk *cache, struct wb_store *cache_store,
			     GError **error);

#endif
