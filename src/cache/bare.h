/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A volume whose cache is lost and whose backing is used alone: which blocks are being
 * changed by the requests on it. Its flushes are those of backing_flush.h, where one
 * that fails is final.
 *
 * Any thread, no lock held.
 */
#ifndef WB_CACHE_BARE_H
#define WB_CACHE_BARE_H

#include <stdbool.h>

#include "cache/exclusion.h"
#include "cache/stats.h"

struct wb_bare;

struct wb_bare *wb_bare_new(struct wb_stats *stats, struct wb_executor *executor);
void wb_bare_free(struct wb_bare *bare);	/* nobody is in it; NULL is fine */

/* The blocks [busy->first, busy->last], exclusively among those that change
 * some. A range of any length; ends with leave. */
enum wb_enter wb_bare_enter(struct wb_bare *bare, struct wb_busy *busy,
			    struct wb_parked *parked);
void wb_bare_leave(struct wb_bare *bare, struct wb_busy *busy);

#endif
