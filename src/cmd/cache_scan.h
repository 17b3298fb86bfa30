/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A scan of a cache that goes past damage, for check and rescue. */
#ifndef WB_CMD_CACHE_SCAN_H
#define WB_CMD_CACHE_SCAN_H

#include <glib.h>

#include "cache/recovery.h"
#include "cmd/options.h"

/*
 * As wb_recovery_scan(). Where both superblocks are lost and --backing was given,
 * they are guessed from the records and what that backing says. Shows how far it
 * is; an interrupt (cmd/interrupt.h) ends it.
 */
struct wb_recovery *wb_cache_scan(struct wb_store *cache_store,
				  const struct wb_options *options,
				  const struct wb_recovery_options *how, GError **error);

#endif
