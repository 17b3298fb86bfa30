/* SPDX-License-Identifier: GPL-2.0-or-later */
/* All that is known of a mounted volume at one moment: what stats, stats.json and
 * metrics are texts of. */
#ifndef WB_FRONTEND_STATS_VIEW_H
#define WB_FRONTEND_STATS_VIEW_H

#include <stdint.h>

#include "cache/cache.h"
#include "frontend/mount_facts.h"

struct wb_stats_view {
	const struct wb_mount_facts *facts;
	uint8_t uuid[16];
	struct wb_stats_snapshot snapshot;
	struct wb_latency_summary latency[WB_LATENCY_COUNT];
	struct wb_tunables tunables;
	char ring[WB_RING_CELLS_MAX + 1];
	struct wb_keeper_facts keeper;
};

void wb_stats_view_take(struct wb_stats_view *view, struct wb_cache *cache,
			const struct wb_mount_facts *facts);

#endif
