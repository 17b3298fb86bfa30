/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What `wbfs status` says of a volume, made of its stats.json. Pure. */
#ifndef WB_CMD_STATUS_TEXT_H
#define WB_CMD_STATUS_TEXT_H

#include <glib.h>
#include <json-glib/json-glib.h>

enum wb_status_style { WB_STATUS_PLAIN, WB_STATUS_COLOURED };

/* For people: a label and a sentence on each line. */
void wb_status_text_append(GString *text, const char *mount_point, JsonNode *stats,
			   enum wb_status_style style);

/* The columns of the status line of dm-writeboost, and a line of their names. */
void wb_status_table_append_names(GString *text);
void wb_status_table_append(GString *text, const char *mount_point, JsonNode *stats);

#endif
