/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The texts of MOUNTPOINT/.wbfs/metrics and openmetrics. Pure.
 *
 * They differ in one thing. In OpenMetrics the family of a counter is named without
 * the _total of its samples; the older text format of Prometheus, which promtool and
 * the textfile collector of node_exporter read, knows no families, and would take
 * such counters for numbers without type and help.
 */
#ifndef WB_FRONTEND_METRICS_H
#define WB_FRONTEND_METRICS_H

#include <glib.h>

#include "frontend/stats_view.h"

enum wb_metrics_format {
	WB_METRICS_PROMETHEUS,
	WB_METRICS_OPENMETRICS,
};

void wb_metrics_append(GString *text, const struct wb_stats_view *view,
		       enum wb_metrics_format format);

#endif
