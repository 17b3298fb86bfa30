/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What may be set at mount (and later at run time). Plain data. */
#ifndef WB_CACHE_TUNABLES_H
#define WB_CACHE_TUNABLES_H

#include <stdbool.h>
#include <stdint.h>

struct wb_tunables {
	bool allow_writeback;		/* on */
	uint32_t sync_interval_s;	/* age of unsynced data; 0 = no limit; 5 */
	uint32_t scrub_rate_mib_s;	/* MiB a second; 0 = no limit; 64 */
};

#define WB_TUNABLES_DEFAULT \
	{ .allow_writeback = true, .sync_interval_s = 5, .scrub_rate_mib_s = 64 }

#endif
