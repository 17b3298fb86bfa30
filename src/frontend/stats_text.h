/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The text of MOUNTPOINT/.wbfs/stats: all that stats.json has, a line for each key,
 * aligned, sizes and times in words behind their numbers. Pure. */
#ifndef WB_FRONTEND_STATS_TEXT_H
#define WB_FRONTEND_STATS_TEXT_H

#include <glib.h>

#include "frontend/stats_view.h"

void wb_stats_text_append(GString *text, const struct wb_stats_view *view);

#endif
