/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The text of stats.json: one consistent snapshot as JSON. Pure. */
#ifndef WB_FRONTEND_STATS_JSON_H
#define WB_FRONTEND_STATS_JSON_H

#include <glib.h>
#include <json-glib/json-glib.h>

#include "frontend/stats_view.h"

/* The object itself, for another text of the same; json_object_unref(). */
JsonObject *wb_stats_json_object(const struct wb_stats_view *view);
/* Appends the object and a newline. Every key is in wbfs-control(7). */
void wb_stats_json_append(GString *text, const struct wb_stats_view *view);

/* "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx" */
#define WB_UUID_TEXT_BYTES 37
void wb_uuid_format(const uint8_t uuid[16], char text[WB_UUID_TEXT_BYTES]);

#endif
