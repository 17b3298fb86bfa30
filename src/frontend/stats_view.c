/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "frontend/stats_view.h"

void wb_stats_view_take(struct wb_stats_view *view, struct wb_cache *cache,
			const struct wb_mount_facts *facts)
{
	view->facts = facts;
	wb_cache_uuid(cache, view->uuid);
	wb_cache_get_stats(cache, &view->snapshot);
	wb_cache_get_latencies(cache, view->latency);
	wb_cache_get_tunables(cache, &view->tunables);
	wb_cache_get_ring(cache, view->ring);
	view->keeper = (struct wb_keeper_facts){ .refusal = "" };
	if (facts->describe_keeper)
		facts->describe_keeper(facts->keeper, &view->keeper);
}
